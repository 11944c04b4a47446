"""What the terms of one article weigh, and in which of its units they stand."""

import numba as nb
import numpy as np

from pipeline.arrays import F32, I32, U8, U32
from pipeline.section_units import FIGURES
from pipeline.token_scan import CAPITAL, CASE_OWED, DIGIT

NAME, NUMBER = 1, 2  # kinds of a term; 0 is any other word

_WEIGHED = nb.types.Tuple((I32, F32, U8))  # type: ignore[no-untyped-call]
_INDEX = nb.types.Tuple((I32, I32, I32))  # type: ignore[no-untyped-call]


@nb.njit(_WEIGHED(U32, U8, I32, U8, F32, nb.float32, nb.float32, nb.float32), cache=True, nogil=True)
def weigh_terms(terms, flags, starts, unit_kinds, idf, min_idf, max_idf, fact_weight):  # type: ignore[no-untyped-def]
    """Numbers the distinct terms of one body in order of appearance, and weighs them.

    Returns the term of each token int32 (n_tokens,), and per term its weight float32 and kind uint8
    (n_terms,). A weight is the idf, at most `max_idf`, or 0 below `min_idf` (common words are no evidence),
    times `fact_weight` for names and numbers. A name is never spelt without its capital where case is free
    to say something. A number that only ever opens a unit or stands in a row of figures weighs nothing.
    """
    n = len(terms)
    size = 16
    while size < 2 * n:
        size *= 2
    table = np.full(size, np.int32(-1), np.int32)
    seen = np.empty(n, np.uint32)
    spelling = np.zeros(n, np.uint8)  # 1 seen as a name, 2 seen without a capital, 4 a number, 8 any other
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
        flag = flags[i]
        if flag & DIGIT:
            if not opens and not unit_kinds[unit - 1] & FIGURES:
                spelling[number] |= np.uint8(4)
        else:
            spelling[number] |= np.uint8(8)
            if not flag & CASE_OWED:
                spelling[number] |= np.uint8(1 if flag & CAPITAL else 2)
    weights = np.empty(n_terms, np.float32)
    kinds = np.zeros(n_terms, np.uint8)
    mask = np.uint32(len(idf) - 1)
    for number in range(n_terms):
        weight = min(idf[seen[number] & mask], max_idf)
        says = spelling[number]
        if weight < min_idf or says == 0:
            weight = np.float32(0)
        elif says & 4:
            kinds[number] = NUMBER
            weight *= fact_weight
        elif says & 3 == 1:
            kinds[number] = NAME
            weight *= fact_weight
        weights[number] = weight
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
