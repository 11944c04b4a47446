"""Bigrams and shingles of the articles that have a pair left after the screen.

The stage "wording" (`reread`) makes them of texts, "recalled-wording" of the tokens of an index. The others'
rows are empty. Rows keep the order in which keys first stand in the text.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numba as nb
import numpy as np
import numpy.typing as npt

from pipeline.array_files import ArrayFiles, write_arrays
from pipeline.arrays import BYTES, I64, READ_U32, U8, U32
from pipeline.bags import distinct_rows
from pipeline.config import Config
from pipeline.elements import shingle_elements
from pipeline.furniture import masked_batches
from pipeline.minhash import fmix32
from pipeline.shards import ShardGroup
from pipeline.tables import Ref, read_ipc
from pipeline.terms import TermStatistics
from pipeline.text import KeptTokens
from pipeline.token_scan import FURNITURE
from pipeline.vectors import NAME, NUMBER, tell, tfidf

# `Wording.bigram_tells`: rarity beyond TOLD_FROM, in steps of 1 / TOLD_STEPS, up to MOST_TOLD of them.
TOLD_STEPS, MOST_TOLD, TOLD_FROM = 16, 96, 1.0


@dataclass(frozen=True)
class Wording:
    """Rows of n articles. Row i of a space is [ends[i - 1], ends[i]) of its arrays (from 0 for i = 0).

    Bigrams: `bigram_keys` uint32, `bigram_weights` float32 (L2-normalised TF-IDF), `bigram_ends` int64 (n,);
    `bigram_terms` uint32 and `bigram_tells` uint8: the first of its two terms, and what that tells (`tells`).
    Shingles: `shingle_keys` uint32, distinct, `shingle_ends` int64 (n,).
    """

    bigram_keys: npt.NDArray[np.uint32]
    bigram_weights: npt.NDArray[np.float32]
    bigram_ends: npt.NDArray[np.int64]
    bigram_terms: npt.NDArray[np.uint32]
    bigram_tells: npt.NDArray[np.uint8]
    shingle_keys: npt.NDArray[np.uint32]
    shingle_ends: npt.NDArray[np.int64]

    @classmethod
    def load(cls, files: ArrayFiles) -> "Wording":
        """The arrays of a group, mapped and read-only."""
        return cls(**files.load())


TYPES = {
    "bigram_keys": np.uint32, "bigram_weights": np.float32, "bigram_ends": np.int64,
    "bigram_terms": np.uint32, "bigram_tells": np.uint8,
    "shingle_keys": np.uint32, "shingle_ends": np.int64,
}  # fmt: skip


@nb.njit(nb.int64(READ_U32, BYTES, I64, BYTES, U32, U8, I64), cache=True, nogil=True)
def _own_terms(terms, flags, indptr, chosen, out, out_flags, out_indptr):  # type: ignore[no-untyped-def]
    """Copies the tokens of the chosen articles that are no furniture; returns how many."""
    n = 0
    out_indptr[0] = 0
    for i in range(len(indptr) - 1):
        if chosen[i]:
            for j in range(indptr[i], indptr[i + 1]):
                if not flags[j] & FURNITURE:
                    out[n] = terms[j]
                    out_flags[n] = flags[j]
                    n += 1
        out_indptr[i + 1] = n
    return n


@nb.njit(nb.int64(U32, I64, U32, I64, I64), cache=True, nogil=True)
def _bigrams(terms, indptr, keys, begins, out_indptr):  # type: ignore[no-untyped-def]
    """Key of each pair of neighbouring tokens, and where the first of them stands."""
    n = 0
    out_indptr[0] = 0
    for i in range(len(indptr) - 1):
        for j in range(indptr[i] + 1, indptr[i + 1]):
            keys[n] = fmix32(np.uint32(np.uint32(terms[j - 1] * np.uint32(0x9E3779B1)) + terms[j]))
            begins[n] = j - 1
            n += 1
        out_indptr[i + 1] = n
    return n


def _distinct(
    keys: npt.NDArray[np.uint32], indptr: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int32], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    out_keys, counts = np.empty(len(keys), np.uint32), np.empty(len(keys), np.int32)
    first, ends = np.empty(len(keys), np.int64), np.empty(len(indptr) - 1, np.int64)
    n = distinct_rows(keys, indptr, out_keys, counts, first, ends)
    return out_keys[:n], counts[:n], first[:n], ends


def tells(idf: npt.NDArray[np.float32], kinds: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """What names and numbers (`kinds`) tell, uint8 as `idf`: rarity beyond TOLD_FROM, in steps; else 0."""
    beyond = (idf - np.float32(1 + TOLD_FROM)) * np.float32(TOLD_STEPS)
    return np.where(kinds & (NAME | NUMBER), np.clip(beyond, 0, MOST_TOLD), 0).astype(np.uint8)


def build(
    tokens: KeptTokens, chosen: npt.NDArray[np.bool_], statistics: TermStatistics, shingle_size: int
) -> Wording:
    """Wording of the chosen articles (mask, bool) of a batch; furniture is left out."""
    terms, indptr = np.empty(len(tokens.terms), np.uint32), np.empty(tokens.n_articles + 1, np.int64)
    flags = np.empty(len(terms), np.uint8)
    n = _own_terms(tokens.terms, tokens.flags, tokens.indptr, chosen.view(np.uint8), terms, flags, indptr)
    terms = terms[:n]
    pairs, begins, pair_indptr = np.empty(n, np.uint32), np.empty(n, np.int64), np.empty_like(indptr)
    known = tell(terms, flags[:n], statistics)
    idf = statistics.idf(known.df)
    n_pairs = _bigrams(terms, indptr, pairs, begins, pair_indptr)
    bigram_keys, bigram_counts, bigram_first, bigram_ends = _distinct(pairs[:n_pairs], pair_indptr)
    begins = begins[bigram_first]
    elements, element_indptr = np.empty(n, np.uint32), np.empty_like(indptr)
    plain = np.zeros(n, np.uint8)
    n_elements = shingle_elements(terms, plain, indptr, shingle_size, elements, element_indptr)
    shingle_keys, _, _, shingle_ends = _distinct(elements[:n_elements], element_indptr)
    # The idf of the two added, as if they met by chance.
    bigram_weights = tfidf(bigram_counts, idf[begins] + idf[begins + 1], bigram_ends)
    told = tells(idf[begins], known.kinds[begins])
    return Wording(bigram_keys, bigram_weights, bigram_ends, terms[begins], told, shingle_keys, shingle_ends)


def passing_rows(screened: Sequence[Ref]) -> npt.NDArray[np.int64]:
    """Rows int64 of the articles that have a passing pair, as they come, repeated."""
    tables = [read_ipc(part.path) for part in screened]
    passing = [table.filter(table["passes"]) for table in tables]
    sides = [table[side].to_numpy().astype(np.int64) for table in passing for side in ("left", "right")]
    return np.concatenate([np.zeros(0, np.int64), *sides])


def write_group(
    group: ShardGroup, tokens: Ref, masked: Ref, statistics: Ref, screened: Sequence[Ref], config: Config,
    work: Path,
) -> ArrayFiles:  # fmt: skip
    """Writes the wording of the articles of a group that have a pair left in `screened` (`screen`)."""
    batches = masked_batches(group, tokens, masked, config)
    return write_batches(group, batches, passing_rows(screened), statistics, config, work)


def write_batches(
    group: ShardGroup, tokens: Iterable[KeptTokens], rows: npt.NDArray[np.int64], statistics: Ref,
    config: Config, work: Path,
) -> ArrayFiles:  # fmt: skip
    """Writes the wording of the articles of a group that have one of the rows.

    `tokens` are the group's, with furniture flagged; nobody looks at those of the others.
    """
    chosen = group.among(rows)
    counts = TermStatistics.load(statistics)

    def batches() -> Iterator[dict[str, npt.NDArray[np.generic]]]:
        row = 0
        for kept in tokens:
            own = chosen[row : row + kept.n_articles]
            yield vars(build(kept, own, counts, config.reprint.shingle_size))
            row += kept.n_articles

    return write_arrays(group, TYPES, batches(), work)
