"""What the terms of one article weigh, and in which of its units they stand."""

from __future__ import annotations

from dataclasses import dataclass

import numba as nb
import numpy as np
import numpy.typing as npt

from pipeline.arrays import ANY_U32, BYTES, F32, I32, READ_U32, U8
from pipeline.section_units import FIGURES
from pipeline.terms import TermStatistics
from pipeline.token_scan import CAPITAL, CASE_OWED, DIGIT

NAME, NUMBER = 1, 2  # kinds of a term; 0 is any other word

# Common words are no evidence; names and numbers are what two stories of one kind don't share.
MIN_IDF, FACT_WEIGHT = np.float32(1.0), np.float32(3.0)
# A term of one article in 400 is as rare as any: so the rule finds the same development pages under the
# idf of 30,000 articles, of 220 and of none.
MAX_IDF = np.float32(6.0)

# What an occurrence says of a term's spelling.
AS_NAME, WITHOUT_CAPITAL, AS_NUMBER, OTHERWISE = 1, 2, 4, 8

_WEIGHED = nb.types.Tuple((I32, F32, U8))  # type: ignore[no-untyped-call]
_INDEX = nb.types.Tuple((I32, I32, I32))  # type: ignore[no-untyped-call]
_WEIGHT = nb.types.Tuple((nb.float32, nb.uint8))  # type: ignore[no-untyped-call]


@dataclass(frozen=True)
class Rarity:
    """The idf of terms: `of_df[min(df[bucket], len(of_df) - 1)]`, `df` uint32 (a power of two,), or strided.

    `of_df` float32 holds `TermStatistics.rarity` for 0, 1, 2 ... articles, down to what is below MIN_IDF: so
    far fewer logarithms are taken than there are buckets, and what is looked up stays in the caches.
    """

    df: npt.NDArray[np.uint32]
    of_df: npt.NDArray[np.float32]

    @classmethod
    def of(cls, statistics: TermStatistics) -> Rarity:
        """The rarity of the terms of a collection."""
        # A hundredth more, so that rounding can't leave the last one at MIN_IDF.
        common = int(1.01 * (1 + statistics.n_articles) / np.exp(MIN_IDF)) + 2
        of_df = statistics.idf(np.arange(common + 1, dtype=np.int32)) - np.float32(1)
        return cls(np.asarray(statistics.df).view(np.uint32), of_df)


def _say(flag: int) -> int:
    if flag & DIGIT:
        return AS_NUMBER
    if flag & CASE_OWED:
        return OTHERWISE
    return OTHERWISE | (AS_NAME if flag & CAPITAL else WITHOUT_CAPITAL)


# What a token of these flags says of its term's spelling, unless it is a number that opens a unit or stands
# in a row of figures: that says nothing.
SAYS = np.array([_say(flag) for flag in range(256)], np.uint8)


@nb.njit(_WEIGHT(nb.float32, nb.uint8, nb.float32, nb.float32, nb.float32), cache=True, nogil=True)
def weigh(idf, says, min_idf, max_idf, fact_weight):  # type: ignore[no-untyped-def]
    """Weight float32 and kind uint8 of a term, by its idf and all that its occurrences say."""
    weight = min(idf, max_idf)
    if weight < min_idf or says == 0:
        return np.float32(0), np.uint8(0)
    if says & AS_NUMBER:
        return weight * fact_weight, np.uint8(NUMBER)
    if says & (AS_NAME | WITHOUT_CAPITAL) == AS_NAME:
        return weight * fact_weight, np.uint8(NAME)
    return weight, np.uint8(0)


@nb.njit(
    _WEIGHED(READ_U32, BYTES, I32, U8, ANY_U32, F32, nb.float32, nb.float32, nb.float32),
    cache=True, nogil=True,
)  # fmt: skip
def weigh_terms(terms, flags, starts, unit_kinds, df, idf, min_idf, max_idf, fact_weight):  # type: ignore[no-untyped-def]
    """Numbers the distinct terms of one body in order of appearance, and weighs them.

    `df` and `idf` are the arrays of `Rarity`. Returns the term of each token int32 (n_tokens,), and per term
    its weight float32 and kind uint8 (n_terms,). A weight is the idf, at most `max_idf`, or 0 below
    `min_idf` (common words are no evidence), times `fact_weight` for names and numbers. A name is never
    spelt without its capital where case is free to say something. A number that only ever opens a unit or
    stands in a row of figures weighs nothing.
    """
    n = len(terms)
    size = 16
    while size < 2 * n:
        size *= 2
    table = np.full(size, np.int32(-1), np.int32)
    seen = np.empty(n, np.uint32)
    spelling = np.zeros(n, np.uint8)
    term_of = np.empty(n, np.int32)
    n_terms = 0
    unit = 0
    for i in range(n):
        opens = starts[unit] == i
        if opens:
            unit += 1
        term = terms[i]
        slot = np.int64(np.uint32(term * np.uint32(0x9E3779B1)) >> np.uint32(7)) & (size - 1)
        while table[slot] >= 0 and seen[table[slot]] != term:
            slot = (slot + 1) & (size - 1)
        if table[slot] < 0:
            table[slot] = n_terms
            seen[n_terms] = term
            n_terms += 1
        number = table[slot]
        term_of[i] = number
        says = SAYS[flags[i]]
        if not (says & AS_NUMBER and (opens or unit_kinds[unit - 1] & FIGURES)):
            spelling[number] |= says
    weights = np.empty(n_terms, np.float32)
    kinds = np.empty(n_terms, np.uint8)
    mask, common = np.uint32(len(df) - 1), np.uint32(len(idf) - 1)
    for number in range(n_terms):
        weights[number], kinds[number] = weigh(
            idf[min(df[seen[number] & mask], common)], spelling[number], min_idf, max_idf, fact_weight
        )
    return term_of, weights, kinds


@nb.njit(_INDEX(I32, F32, I32), cache=True, nogil=True)
def index_units(term_of, weights, starts):  # type: ignore[no-untyped-def]
    """Distinct terms of weight of each unit, as CSR: indptr int32 (n_units + 1,), terms and counts int32."""
    n_units = len(starts) - 1
    indptr = np.zeros(n_units + 1, np.int32)
    terms = np.empty(len(term_of), np.int32)
    counts = np.empty(len(term_of), np.int32)
    place = np.full(len(weights), np.int32(-1), np.int32)
    n = 0
    for unit in range(n_units):
        first = n
        for i in range(starts[unit], starts[unit + 1]):
            term = term_of[i]
            if weights[term] <= 0:
                continue
            if place[term] < first:
                place[term] = n
                terms[n] = term
                counts[n] = 0
                n += 1
            counts[place[term]] += 1
        indptr[unit + 1] = n
    return indptr, terms[:n].copy(), counts[:n].copy()
