"""Stage "vectors": TF-IDF rows and shingle sets of every article, in files that confirmation maps.

Rows keep the order in which keys first stand in the text; nothing is sorted, because pairs are compared by
probing a small hash table of one side (`compare.py`). scikit-learn's TfidfTransformer does the weighting.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numba as nb
import numpy as np
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.preprocessing import normalize

from pipeline.arrays import F32, I32, I64, READ_U32, U8, U32
from pipeline.config import Config
from pipeline.elements import shingle_elements
from pipeline.furniture import masked_batches
from pipeline.minhash import fmix32
from pipeline.shards import ShardGroup
from pipeline.tables import Ref, atomic_file, file_ref
from pipeline.terms import TermStatistics
from pipeline.text import KeptTokens
from pipeline.token_scan import CAPITAL, DIGIT, FURNITURE

NAME, NUMBER = 1, 2  # bits of `term_kinds`


@dataclass(frozen=True)
class Vectors:
    """Rows of n articles. Row i of a space is [ends[i - 1], ends[i]) of its arrays (from 0 for i = 0).

    Terms: `term_keys` uint32, `term_weights` float32 (L2-normalised TF-IDF), `term_kinds` uint8 (NAME,
    NUMBER), `term_ends` int64 (n,). Bigrams: `bigram_keys`, `bigram_weights`, `bigram_ends`. Shingles:
    `shingle_keys` uint32, distinct, `shingle_ends`. `n_tokens` int64 (n,), furniture included.
    """

    term_keys: np.ndarray
    term_weights: np.ndarray
    term_kinds: np.ndarray
    term_ends: np.ndarray
    bigram_keys: np.ndarray
    bigram_weights: np.ndarray
    bigram_ends: np.ndarray
    shingle_keys: np.ndarray
    shingle_ends: np.ndarray
    n_tokens: np.ndarray


_TYPES = {
    "term_keys": np.uint32, "term_weights": np.float32, "term_kinds": np.uint8, "term_ends": np.int64,
    "bigram_keys": np.uint32, "bigram_weights": np.float32, "bigram_ends": np.int64,
    "shingle_keys": np.uint32, "shingle_ends": np.int64, "n_tokens": np.int64,
}  # fmt: skip


@dataclass(frozen=True)
class VectorFiles:
    """The files of a group's `Vectors`, by field, and its articles [first_row, first_row + n_articles)."""

    first_row: int
    n_articles: int
    files: dict[str, Ref]

    def load(self) -> Vectors:
        """The arrays, mapped and read-only."""
        return Vectors(**{name: _map(ref, _TYPES[name]) for name, ref in self.files.items()})


def _map(ref: Ref, dtype: type) -> np.ndarray:
    # An empty file can't be mapped.
    return np.memmap(ref.path, dtype, "r") if ref.bytes else np.zeros(0, dtype)


@nb.njit(nb.int64(READ_U32, U8, I64, U32, U8, I64), cache=True, nogil=True)
def _without_furniture(terms, flags, indptr, out_terms, out_flags, out_indptr):  # type: ignore[no-untyped-def]
    """Copies the tokens that are no furniture; returns how many."""
    n = 0
    out_indptr[0] = 0
    for i in range(len(indptr) - 1):
        for j in range(indptr[i], indptr[i + 1]):
            if not flags[j] & FURNITURE:
                out_terms[n] = terms[j]
                out_flags[n] = flags[j]
                n += 1
        out_indptr[i + 1] = n
    return n


@nb.njit(nb.int64(READ_U32, I64, F32, U32, F32, I64), cache=True, nogil=True)
def _bigrams(terms, indptr, idf, keys, rarity, out_indptr):  # type: ignore[no-untyped-def]
    """Key and idf of each pair of neighbouring tokens: the idf of the two added, as if they met by chance."""
    n = 0
    mask = np.uint32(len(idf) - 1)
    out_indptr[0] = 0
    for i in range(len(indptr) - 1):
        for j in range(indptr[i] + 1, indptr[i + 1]):
            keys[n] = fmix32(np.uint32(np.uint32(terms[j - 1] * np.uint32(0x9E3779B1)) + terms[j]))
            rarity[n] = idf[terms[j - 1] & mask] + idf[terms[j] & mask]
            n += 1
        out_indptr[i + 1] = n
    return n


@nb.njit(nb.int64(READ_U32, I64, U32, I32, I64, I64), cache=True, nogil=True)
def distinct_rows(keys, indptr, out_keys, counts, first, ends):  # type: ignore[no-untyped-def]
    """The distinct keys of each row in order of appearance, their counts, and where each stands first.

    `ends` int64 (n_rows,): where each row ends in the output. Returns how many there are.
    """
    longest = 0
    for i in range(len(indptr) - 1):
        longest = max(longest, indptr[i + 1] - indptr[i])
    size = 4
    while size < 2 * longest:
        size *= 2
    slots = np.zeros(size, np.int32)
    n = 0
    for i in range(len(indptr) - 1):
        start = n
        room = 4
        while room < 2 * (indptr[i + 1] - indptr[i]):
            room *= 2
        slots[:room] = 0
        mask = np.uint32(room - 1)
        for j in range(indptr[i], indptr[i + 1]):
            key = keys[j]
            slot = np.uint32(fmix32(key) & mask)
            while slots[slot] != 0 and out_keys[start + slots[slot] - 1] != key:
                slot = np.uint32(np.uint32(slot + np.uint32(1)) & mask)
            if slots[slot] == 0:
                out_keys[n] = key
                counts[n] = 1
                first[n] = j
                n += 1
                slots[slot] = np.int32(n - start)
            else:
                counts[start + slots[slot] - 1] += 1
        ends[i] = n
    return n


def _distinct(keys: np.ndarray, indptr: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    out_keys, counts = np.empty(len(keys), np.uint32), np.empty(len(keys), np.int32)
    first, ends = np.empty(len(keys), np.int64), np.empty(len(indptr) - 1, np.int64)
    n = distinct_rows(keys, indptr, out_keys, counts, first, ends)
    return out_keys[:n], counts[:n], first[:n], ends


def tfidf(counts: np.ndarray, idf: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Weights float32 of scikit-learn's TfidfTransformer(sublinear_tf=True), rows L2-normalised.

    `counts` of each entry and its `idf`, both (n_entries,): the idf is the collection's, not the batch's.
    Columns don't matter to the weights, so none are numbered: every entry stands in column 0.
    """
    indptr = np.concatenate((np.zeros(1, np.int64), ends))
    columns = np.zeros(len(counts), np.int32)
    matrix = csr_matrix((counts.astype(np.float32), columns, indptr), shape=(len(ends), 1))
    matrix = TfidfTransformer(use_idf=False, sublinear_tf=True, norm=None).fit(matrix).transform(matrix)
    matrix.data *= idf
    return np.asarray(normalize(matrix, norm="l2", copy=False).data, np.float32)


class VectorBuilder:
    """Builds the vectors of batches of one collection."""

    def __init__(self, statistics: TermStatistics, shingle_size: int) -> None:
        self._spelling = statistics.spelling
        self._idf = statistics.idf()
        self._shingle_size = shingle_size

    def build(self, tokens: KeptTokens) -> Vectors:
        """Vectors of one batch; furniture is left out."""
        terms, flags = np.empty(len(tokens.terms), np.uint32), np.empty(len(tokens.terms), np.uint8)
        indptr = np.empty(tokens.n_articles + 1, np.int64)
        n = _without_furniture(tokens.terms, tokens.flags, tokens.indptr, terms, flags, indptr)
        terms, flags = terms[:n], flags[:n]
        term_keys, counts, first, term_ends = _distinct(terms, indptr)
        pairs, rarity, pair_indptr = np.empty(n, np.uint32), np.empty(n, np.float32), np.empty_like(indptr)
        n_pairs = _bigrams(terms, indptr, self._idf, pairs, rarity, pair_indptr)
        bigram_keys, bigram_counts, bigram_first, bigram_ends = _distinct(pairs[:n_pairs], pair_indptr)
        elements, element_indptr = np.empty(n, np.uint32), np.empty_like(indptr)
        n_elements = shingle_elements(terms, flags, indptr, self._shingle_size, elements, element_indptr)
        shingle_keys, _, _, shingle_ends = _distinct(elements[:n_elements], element_indptr)
        buckets = term_keys & np.uint32(len(self._idf) - 1)
        weights = tfidf(counts, self._idf[buckets], term_ends)
        bigram_weights = tfidf(bigram_counts, rarity[bigram_first], bigram_ends)
        return Vectors(
            term_keys, weights, self._kinds(buckets, flags[first]), term_ends,
            bigram_keys, bigram_weights, bigram_ends,
            shingle_keys, shingle_ends, np.diff(tokens.indptr),
        )  # fmt: skip

    def _kinds(self, buckets: np.ndarray, flags: np.ndarray) -> np.ndarray:
        """NUMBER for terms with a digit; NAME for those that the collection spells with a capital.

        Where the collection can't tell, the article's own first spelling does.
        """
        spelling = self._spelling[buckets]
        number = (flags & DIGIT) > 0
        name = ~number & ((spelling > 0) | ((spelling == 0) & ((flags & CAPITAL) > 0)))
        return np.asarray(NAME * name + NUMBER * number, np.uint8)


def write_group(
    group: ShardGroup, tokens: Ref, masked: Ref, statistics: Ref, config: Config, work: Path
) -> VectorFiles:
    """Builds and writes the vectors of a group of shards."""
    builder = VectorBuilder(TermStatistics.load(statistics.path), config.reprint.shingle_size)
    paths = {name: work / f"{name}-{group.number:03d}.bin" for name in _TYPES}
    rows = dict.fromkeys(_TYPES, 0)
    with ExitStack() as stack:
        files = {name: stack.enter_context(atomic_file(path)) for name, path in paths.items()}
        for name, values in _columns(builder, masked_batches(group, tokens, masked, config)):
            files[name].write(np.ascontiguousarray(values).data)
            rows[name] += len(values)
    refs = {name: file_ref(path, rows[name]) for name, path in paths.items()}
    return VectorFiles(group.first_row, group.n_articles, refs)


def _columns(builder: VectorBuilder, batches: Iterator[KeptTokens]) -> Iterator[tuple[str, np.ndarray]]:
    """Arrays of all batches by field name, the ends counted on from batch to batch."""
    offsets = {"term_ends": 0, "bigram_ends": 0, "shingle_ends": 0}
    for batch in batches:
        built = builder.build(batch)
        for name, dtype in _TYPES.items():
            values = getattr(built, name).astype(dtype, copy=False)
            if name in offsets:
                values = values + offsets[name]
                offsets[name] = int(values[-1]) if len(values) else offsets[name]
            yield name, values
