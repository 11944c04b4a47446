"""TF-IDF rows of every article's terms, in files that later stages map.

Rows keep the order of the bags: nothing is sorted, because pairs are compared by probing a small hash table
of one side (`compare.py`). Weights follow from what is kept, and are what scikit-learn gives, which itself
weighs the bigrams (`tfidf`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from pipeline.array_files import ArrayFiles, write_arrays
from pipeline.arrays import BYTES, I32, READ_COUNTS, READ_I32, READ_I64, READ_U16, READ_U32, U8
from pipeline.bags import MOST_COUNTED, Bags
from pipeline.shards import ShardGroup
from pipeline.terms import TermStatistics
from pipeline.token_scan import CAPITAL, DIGIT, TITLE
from pipeline.wide import AHEAD, prefetch

NAME, NUMBER, TOLD_IN_TITLE = 1, 2, 4  # bits of `term_kinds`
# Articles weighted at a time; bounds the memory of a call.
AT_A_TIME = 2_048
# Rarity (idf less 1). A term below TELLING, in more than one article of seven, counts in cosines only; RARE
# and VERY_RARE ones are what few other articles have.
TELLING, RARE, VERY_RARE = 2.0, 4.0, 6.0
# `term_rarity` counts in steps of 1 / RARITY_STEPS.
RARITY_STEPS = 2_000

# Columns of `totals`.
(
    NAMES, NUMBERS, RARE_NAMES, RARE_NUMBERS, LEAD, LEAD_FACTS, REPEATS, REPEATED_FACTS, TITLE_FACTS, NORM
) = range(10)  # fmt: skip
N_TOTALS = 10


@dataclass(frozen=True)
class TermVectors:
    """Rows of n articles. Row i is [term_ends[i - 1], term_ends[i]) of the arrays (from 0 for i = 0).

    `term_keys` uint32, `term_kinds` uint8 (NAME, NUMBER, TOLD_IN_TITLE), `term_counts` uint8, `term_rarity`
    uint16 (of 1 / RARITY_STEPS), `term_ends` int64 (n,). TF-IDF weights follow from these (`weights`).
    `lead_sizes` int32 (n,): terms of a row, its first, that stand in the lead. `n_tokens` int64 (n,),
    furniture included. `totals` float32 (n, N_TOTALS), sums over an article's terms: squared weights of its
    names and numbers, and of its numbers; rarity of rare names, and of rare numbers; squared rarity of the
    lead, and of its names and numbers; what repeated terms weigh (`told_weight` times `log_count`), and those
    that are names and numbers; what the names and numbers of the title weigh (`told_weight`); the L2 norm of
    the weights before they were normalised.
    """

    term_keys: npt.NDArray[np.uint32]
    term_kinds: npt.NDArray[np.uint8]
    term_counts: npt.NDArray[np.uint8]
    term_rarity: npt.NDArray[np.uint16]
    term_ends: npt.NDArray[np.int64]
    lead_sizes: npt.NDArray[np.int32]
    n_tokens: npt.NDArray[np.int64]
    totals: npt.NDArray[np.float32]

    @classmethod
    def load(cls, bags: ArrayFiles, weights: ArrayFiles) -> "TermVectors":
        """The arrays of a group, mapped and read-only."""
        counted = bags.load()
        return cls.of(Bags.of(counted), counted["n_tokens"], weights.load())

    @classmethod
    def of(
        cls, bags: Bags, n_tokens: npt.NDArray[np.int64], weighed: Mapping[str, npt.NDArray[Any]]
    ) -> "TermVectors":
        """Of bags, their articles' tokens, and what `weigh` makes of them."""
        return cls(
            bags.term_keys, weighed["term_kinds"], bags.term_counts, weighed["term_rarity"], bags.term_ends,
            bags.lead_sizes, n_tokens, weighed["totals"].reshape(-1, N_TOTALS),
        )  # fmt: skip

    def weights(self) -> npt.NDArray[np.float32]:
        """The TF-IDF weight of each term, float32 (n_terms,), rows L2-normalised.

        As by scikit-learn's TfidfTransformer(sublinear_tf=True), with the idf that the rarity tells.
        """
        idf = np.float32(1) + self.term_rarity * np.float32(1 / RARITY_STEPS)
        norms = np.repeat(self.totals[:, NORM], np.diff(self.term_ends, prepend=0))
        return np.asarray((np.float32(1) + _LOGS[self.term_counts]) * idf / norms, np.float32)


WEIGHT_TYPES = {"term_kinds": np.uint8, "term_rarity": np.uint16, "totals": np.float32}


def tfidf(
    counts: npt.NDArray[np.uint8] | npt.NDArray[np.int32],
    idf: npt.NDArray[np.float32],
    ends: npt.NDArray[np.int64],
) -> npt.NDArray[np.float32]:
    """Weights float32 of scikit-learn's TfidfTransformer(sublinear_tf=True), rows L2-normalised.

    `counts` of each entry and its `idf`, both (n_entries,): the idf is the collection's, not the batch's.
    Columns don't matter to the weights, so none are numbered: every entry stands in column 0.
    """
    # A second to import, which a process that only compiles kernels does without.
    from sklearn.feature_extraction.text import TfidfTransformer
    from sklearn.preprocessing import normalize

    indptr = np.concatenate((np.zeros(1, np.int64), ends))
    columns = np.zeros(len(counts), np.int32)
    matrix = csr_matrix((counts.astype(np.float32), columns, indptr), shape=(len(ends), 1))
    matrix = TfidfTransformer(use_idf=False, sublinear_tf=True, norm=None).fit(matrix).transform(matrix)
    matrix.data *= idf
    return np.asarray(normalize(matrix, norm="l2", copy=False).data, np.float32)


@nb.njit(nb.void(READ_U32, BYTES, READ_COUNTS, I32, U8, nb.boolean[::1]), cache=True, nogil=True)
def look_up(keys, flags, counts, df, kinds, spelt_large):  # type: ignore[no-untyped-def]
    """Articles that hold each term, and its kind: NUMBER with a digit, NAME by the spelling, or neither.

    NAME is what the collection spells with a capital (`spelt_large`); where it can't tell, the spelling that
    `flags` show does.
    """
    mask = np.uint32(len(counts) - 1)
    for j in range(len(keys)):
        # The table of a large collection is in no cache.
        if j + AHEAD < len(keys):
            prefetch(counts, np.int64(2 * (keys[j + AHEAD] & mask)))
        bucket = keys[j] & mask
        df[j] = counts[bucket, 0]
        spelling = counts[bucket, 1]
        spelt_large[j] = spelling > 0
        if flags[j] & DIGIT:
            kinds[j] = NUMBER
        else:
            kinds[j] = NAME * (spelling > 0 or (spelling == 0 and flags[j] & CAPITAL != 0))
        kinds[j] |= TOLD_IN_TITLE * (flags[j] & TITLE != 0)


@nb.njit(cache=True, nogil=True, inline="always")
def told_weight(rarity):  # type: ignore[no-untyped-def]
    """Square of what a rarity exceeds TELLING by: what a term counts among repeats and in a title."""
    above = max(np.float32(0), np.float32(rarity - np.float32(TELLING)))
    return np.float32(above * above)


_LOGS = np.log(np.maximum(np.arange(MOST_COUNTED + 1), 1)).astype(np.float32)


@nb.njit(cache=True, nogil=True, inline="always")
def log_count(count):  # type: ignore[no-untyped-def]
    """Natural logarithm of how often an article uses a term, at least once."""
    return _LOGS[count]


@nb.njit(cache=True, nogil=True, inline="always")
def rarity_of(steps):  # type: ignore[no-untyped-def]
    """Rarity from `TermVectors.term_rarity`."""
    return np.float32(np.float32(steps) * np.float32(1 / RARITY_STEPS))


@nb.njit(cache=True, nogil=True, inline="always")
def tf_idf_of(log, rarity):  # type: ignore[no-untyped-def]
    """Weight, not normalised, of a term with this `log_count` and rarity."""
    return np.float32((np.float32(1) + log) * (np.float32(1) + rarity))


@nb.njit(nb.void(BYTES, BYTES, READ_U16, READ_I64, READ_I32, nb.float32[:, ::1]), cache=True, nogil=True)
def _total(kinds, counts, rarities, ends, lead_sizes, totals):  # type: ignore[no-untyped-def]
    """Fills `TermVectors.totals`."""
    begin = 0
    for i in range(len(ends)):
        totals[i] = 0
        squares = names = numbers = 0.0
        for j in range(begin, ends[i]):
            rarity = rarity_of(rarities[j])
            tf_idf = np.float64(tf_idf_of(log_count(counts[j]), rarity))
            square = tf_idf * tf_idf
            squares += square
            is_fact = kinds[j] & (NAME | NUMBER)
            repeated = told_weight(rarity) * log_count(counts[j])
            totals[i, REPEATS] += repeated
            leads = j - begin < lead_sizes[i] and rarity >= TELLING
            if leads:
                totals[i, LEAD] += rarity * rarity
            if is_fact:
                names += square
                totals[i, REPEATED_FACTS] += repeated
                if leads:
                    totals[i, LEAD_FACTS] += rarity * rarity
                if kinds[j] & TOLD_IN_TITLE:
                    totals[i, TITLE_FACTS] += told_weight(rarity)
                if is_fact == NUMBER:
                    numbers += square
                    totals[i, RARE_NUMBERS] += max(np.float32(0), np.float32(rarity - np.float32(TELLING)))
                else:
                    totals[i, RARE_NAMES] += max(np.float32(0), np.float32(rarity - np.float32(RARE)))
        if squares > 0:
            totals[i, NAMES], totals[i, NUMBERS] = names / squares, numbers / squares
        totals[i, NORM] = np.float32(np.sqrt(squares))
        begin = ends[i]


@dataclass(frozen=True)
class Told:
    """What a collection says of terms: articles that hold each, its kind and whether it is spelt large.

    `df` int32, `kinds` uint8, `spelt_large` bool, each (n_terms,), as by `look_up`.
    """

    df: npt.NDArray[np.int32]
    kinds: npt.NDArray[np.uint8]
    spelt_large: npt.NDArray[np.bool_]


def tell(keys: npt.NDArray[np.uint32], flags: npt.NDArray[np.uint8], statistics: TermStatistics) -> Told:
    """Looks up terms with their flags."""
    n = len(keys)
    told = Told(np.empty(n, np.int32), np.empty(n, np.uint8), np.empty(n, np.bool_))
    look_up(keys, flags, statistics.counts, told.df, told.kinds, told.spelt_large)
    return told


def weigh(
    bags: Bags, statistics: TermStatistics, told: Told | None = None
) -> dict[str, npt.NDArray[np.generic]]:
    """The arrays of WEIGHT_TYPES for some bags; `totals` (n, N_TOTALS). `told`: of their terms, if known."""
    told = told or tell(bags.term_keys, bags.term_flags, statistics)
    rarity = _rarity(told, statistics)
    totals = np.empty((bags.n_articles, N_TOTALS), np.float32)
    _total(told.kinds, bags.term_counts, rarity, bags.term_ends, bags.lead_sizes, totals)
    return {"term_kinds": told.kinds, "term_rarity": rarity, "totals": totals}


def weigh_some(
    bags: Bags, totals: npt.NDArray[np.float32], statistics: TermStatistics
) -> dict[str, npt.NDArray[np.generic]]:
    """What `weigh` says of the terms of `bags`, a part of each article's, from the `totals` of them all."""
    told = tell(bags.term_keys, bags.term_flags, statistics)
    return {"term_kinds": told.kinds, "term_rarity": _rarity(told, statistics), "totals": totals}


def _rarity(told: Told, statistics: TermStatistics) -> npt.NDArray[np.uint16]:
    """`TermVectors.term_rarity` of each term."""
    # Counts that weren't cut at the number of articles give an idf below 1, which would wrap.
    rarity = np.maximum(statistics.idf(told.df) - np.float32(1), 0) * np.float32(RARITY_STEPS)
    return np.asarray(np.round(rarity), np.uint16)


def write_group(group: ShardGroup, bags: ArrayFiles, statistics: TermStatistics, work: Path) -> ArrayFiles:
    """Weighs the bags of a group of shards and writes the arrays."""

    def batches() -> Iterator[dict[str, npt.NDArray[np.generic]]]:
        for at in range(0, bags.n_articles, AT_A_TIME):
            # Mapped anew for each batch: what was touched counts as memory for as long as it is mapped.
            some = Bags.of(bags.load()).some(at, min(at + AT_A_TIME, bags.n_articles))
            yield weigh(some, statistics)

    return write_arrays(group, WEIGHT_TYPES, batches(), work)
