"""TF-IDF rows of every article's terms, in files that later stages map.

Rows keep the order of the bags: nothing is sorted, because pairs are compared by probing a small hash table
of one side (`compare.py`). scikit-learn's TfidfTransformer does the weighting.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numba as nb
import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.preprocessing import normalize

from pipeline.array_files import ArrayFiles, write_arrays
from pipeline.arrays import BYTES, F32, I32, READ_COUNTS, READ_I64, READ_U32, U8
from pipeline.bags import Bags
from pipeline.shards import ShardGroup
from pipeline.terms import TermStatistics
from pipeline.token_scan import CAPITAL, DIGIT

NAME, NUMBER = 1, 2  # bits of `term_kinds`
# Articles weighted at a time; bounds the memory of a call.
AT_A_TIME = 2_048


@dataclass(frozen=True)
class TermVectors:
    """Rows of n articles. Row i is [term_ends[i - 1], term_ends[i]) of the arrays (from 0 for i = 0).

    `term_keys` uint32, `term_weights` float32 (L2-normalised TF-IDF), `term_kinds` uint8 (NAME, NUMBER),
    `term_ends` int64 (n,). `squares` float32 (2 n,): sums of squared weights over an article's names and
    numbers, and over its numbers. `n_tokens` int64 (n,), furniture included.
    """

    term_keys: npt.NDArray[np.uint32]
    term_weights: npt.NDArray[np.float32]
    term_kinds: npt.NDArray[np.uint8]
    term_ends: npt.NDArray[np.int64]
    squares: npt.NDArray[np.float32]
    n_tokens: npt.NDArray[np.int64]

    @classmethod
    def load(cls, bags: ArrayFiles, weights: ArrayFiles) -> "TermVectors":
        """The arrays of a group, mapped and read-only."""
        counted, weighed = bags.load(), weights.load()
        return cls(
            counted["term_keys"], weighed["term_weights"], weighed["term_kinds"], counted["term_ends"],
            weighed["squares"], counted["n_tokens"],
        )  # fmt: skip


WEIGHT_TYPES = {"term_weights": np.float32, "term_kinds": np.uint8, "squares": np.float32}


def tfidf(
    counts: npt.NDArray[np.int32], idf: npt.NDArray[np.float32], ends: npt.NDArray[np.int64]
) -> npt.NDArray[np.float32]:
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


@nb.njit(nb.void(READ_U32, BYTES, READ_COUNTS, I32, U8), cache=True, nogil=True)
def _look_up(keys, flags, counts, df, kinds):  # type: ignore[no-untyped-def]
    """Articles that hold each term, and its kind: NUMBER with a digit, NAME by the spelling, or neither.

    NAME is what the collection spells with a capital; where it can't tell, the article's own first spelling
    does.
    """
    mask = np.uint32(len(counts) - 1)
    for j in range(len(keys)):
        bucket = keys[j] & mask
        df[j] = counts[bucket, 0]
        spelling = counts[bucket, 1]
        if flags[j] & DIGIT:
            kinds[j] = NUMBER
        else:
            kinds[j] = NAME * (spelling > 0 or (spelling == 0 and flags[j] & CAPITAL != 0))


@nb.njit(nb.void(F32, BYTES, READ_I64, F32), cache=True, nogil=True)
def _square(weights, kinds, ends, squares):  # type: ignore[no-untyped-def]
    """Sums of squared weights of each row over names and numbers, and over numbers."""
    j = 0
    for i in range(len(ends)):
        names = numbers = 0.0
        while j < ends[i]:
            if kinds[j]:
                square = weights[j] * weights[j]
                names += square
                if kinds[j] == NUMBER:
                    numbers += square
            j += 1
        squares[2 * i], squares[2 * i + 1] = names, numbers


def weigh(bags: Bags, statistics: TermStatistics) -> dict[str, npt.NDArray[np.generic]]:
    """The arrays of WEIGHT_TYPES for some bags."""
    n = len(bags.term_keys)
    df, kinds = np.empty(n, np.int32), np.empty(n, np.uint8)
    _look_up(bags.term_keys, bags.term_flags, statistics.counts, df, kinds)
    weights = tfidf(bags.term_counts, statistics.idf(df), bags.term_ends)
    squares = np.empty(2 * bags.n_articles, np.float32)
    _square(weights, kinds, bags.term_ends, squares)
    return {"term_weights": weights, "term_kinds": kinds, "squares": squares}


def write_group(group: ShardGroup, bags: Bags, statistics: TermStatistics, work: Path) -> ArrayFiles:
    """Weighs the bags of a group of shards and writes the arrays."""

    def batches() -> Iterator[dict[str, npt.NDArray[np.generic]]]:
        for at in range(0, bags.n_articles, AT_A_TIME):
            yield weigh(bags.some(at, min(at + AT_A_TIME, bags.n_articles)), statistics)

    return write_arrays(group, WEIGHT_TYPES, batches(), work)
