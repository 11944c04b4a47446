"""Where a page begins to tell its story again: evidence at each boundary between two units."""

import numba as nb
import numpy as np

from pipeline.arrays import F32, I32, U8
from pipeline.section_terms import NUMBER
from pipeline.section_units import SHORT

LEAD_TOKENS = 60  # what a reader takes for the opening of a story: its first two or three paragraphs
NUMBER_TOKENS = 150
_MANY = 12  # a term of more units is found on both sides of nearly any boundary

# Columns of the evidence.
RESTATED, LEAD, NUMBERS, SHARE, SIDE, SEAM = range(6)
N_EVIDENCE = 6

_EVIDENCE = nb.float32[:, ::1]
_EXCESS = nb.float64[::1]


@nb.njit(_EXCESS(I32, I32, I32, I32, F32), cache=True, nogil=True)
def excess(starts, first, last, units, weights):  # type: ignore[no-untyped-def]
    """How much more is told on both sides of each unit's beginning than by chance, float64 (n_units,).

    Weight of the terms that stand on both sides, minus what is expected when each of a term's k units lies
    left with probability p = share of the tokens that are left, in standard deviations; a term is on both
    sides with probability 1 - p**k - (1 - p)**k. A story told once says a thing again near where it said
    it, so the figure stays small; a story told twice says each thing once on either side.

    `first` and `last` int32 are a term's first and last unit, `units` int32 how many it stands in; terms of
    fewer than two count for nothing. 0 for unit 0, and where there is nothing to expect.
    """
    n_units = len(starts) - 1
    out = np.zeros(n_units, np.float64)
    most = 1
    step = np.zeros(n_units + 1, np.float64)
    weight_of = np.zeros(_MANY + 1, np.float64)
    square_of = np.zeros(_MANY + 1, np.float64)
    for term in range(len(weights)):
        if units[term] > 1:
            weight = np.float64(weights[term])
            step[first[term] + 1] += weight
            step[last[term] + 1] -= weight
            many = min(units[term], _MANY)
            most = max(most, many)
            weight_of[many] += weight
            square_of[many] += weight * weight
    both = 0.0
    for unit in range(1, n_units):
        both += step[unit]
        left = starts[unit] / starts[n_units]
        right = 1.0 - left
        left_power, right_power = left, right
        expected = variance = 0.0
        for many in range(2, most + 1):
            left_power *= left
            right_power *= right
            chance = 1.0 - left_power - right_power
            expected += weight_of[many] * chance
            variance += square_of[many] * chance * (1.0 - chance)
        if variance > 0.0:
            out[unit] = (both - expected) / np.sqrt(variance)
    return out


@nb.njit(cache=True, nogil=True, inline="always")
def restated(starts, indptr, terms, weights, out):  # type: ignore[no-untyped-def]
    """out[b, RESTATED] is the `excess` of unit b's beginning, over the terms of CSR `indptr`, `terms`."""
    n_units = len(starts) - 1
    n_terms = len(weights)
    first = np.full(n_terms, np.int32(-1), np.int32)
    last = np.zeros(n_terms, np.int32)
    units = np.zeros(n_terms, np.int32)
    for unit in range(n_units):
        for k in range(indptr[unit], indptr[unit + 1]):
            term = terms[k]
            if first[term] < 0:
                first[term] = unit
            last[term] = unit
            units[term] += 1
    beyond = excess(starts, first, last, units, weights)
    for unit in range(1, n_units):
        out[unit, RESTATED] = beyond[unit]


@nb.njit(nb.void(I32, I32, F32, U8, U8, _EVIDENCE), cache=True, nogil=True)
def reopened(term_of, starts, weights, kinds, wanted, out):  # type: ignore[no-untyped-def]
    """How much of the page's opening is told again right after the beginning of unit b.

    out[b, LEAD] is the cosine (sublinear tf) of the first LEAD_TOKENS of the page and of the LEAD_TOKENS
    after the boundary; out[b, NUMBERS] = ln(1 + distinct numbers that the NUMBER_TOKENS of both share).
    Left at 0 where wanted[b], uint8 (n_units,), is 0; elsewhere both sides must have LEAD_TOKENS or more.
    """
    n_units = len(starts) - 1
    n = starts[n_units]
    lead = np.zeros(len(weights), np.int32)
    here = np.zeros(len(weights), np.int32)
    early = np.zeros(len(weights), np.int32)  # a number of the opening: 1 + the last boundary that shared it
    opening = 0
    squares = 0.0
    for unit in range(1, n_units):
        if not wanted[unit]:
            continue
        at = starts[unit]
        if squares == 0.0:
            for i in range(LEAD_TOKENS):
                lead[term_of[i]] += 1
            for i in range(LEAD_TOKENS):
                tf = lead[term_of[i]]
                value = weights[term_of[i]] * (1.0 + np.log(tf))
                squares += value * value / tf
            if squares == 0.0:
                return
        while opening < min(NUMBER_TOKENS, at):
            early[term_of[opening]] = 1
            opening += 1
        numbers = 0
        for i in range(at, min(n, at + NUMBER_TOKENS)):
            term = term_of[i]
            if kinds[term] == NUMBER and 0 < early[term] <= unit:
                numbers += 1
                early[term] = unit + 1
        dot = own = 0.0
        for i in range(at, at + LEAD_TOKENS):
            here[term_of[i]] += 1
        for i in range(at, at + LEAD_TOKENS):
            term = term_of[i]
            if here[term]:
                value = weights[term] * (1.0 + np.log(here[term]))
                own += value * value
                if lead[term]:
                    dot += value * weights[term] * (1.0 + np.log(lead[term]))
                here[term] = 0
        if own > 0.0:
            out[unit, LEAD] = dot / np.sqrt(squares * own)
        out[unit, NUMBERS] = np.log(1.0 + numbers)


@nb.njit(
    _EVIDENCE(I32, I32, U8, I32, I32, F32, U8, nb.int64, F32, nb.float32), cache=True, nogil=True
)  # fmt: skip
def weigh_boundaries(  # type: ignore[no-untyped-def]
    term_of, starts, unit_kinds, indptr, terms, weights, kinds, min_tokens, coefficients, min_score
):  # fmt: skip
    """Evidence float32 (n_units, N_EVIDENCE) that the page is told again from the beginning of each unit.

    Besides `restated` and `reopened`: SHARE, ln of the shorter side's share of the tokens; SIDE, ln of its
    tokens; SEAM, 1 where a heading or a line of furniture stands at the boundary. All 0 in row 0, where a
    side has fewer than `min_tokens` (>= LEAD_TOKENS), and where evidence times `coefficients` (>= 0) can't
    reach `min_score` whatever the opening says.
    """
    n_units = len(starts) - 1
    out = np.zeros((n_units, N_EVIDENCE), np.float32)
    wanted = np.zeros(n_units, np.uint8)
    n = starts[n_units]
    if n < 2 * min_tokens:
        return out
    restated(starts, indptr, terms, weights, out)
    opening = 0
    for i in range(min(n, NUMBER_TOKENS)):
        opening += kinds[term_of[i]] == NUMBER
    most = coefficients[LEAD] + coefficients[NUMBERS] * np.log(1.0 + opening)
    for unit in range(n_units):
        side = min(starts[unit], n - starts[unit])
        if unit and side >= min_tokens:
            out[unit, SHARE] = np.log(side / n)
            out[unit, SIDE] = np.log(np.float64(side))
            out[unit, SEAM] = (unit_kinds[unit] | unit_kinds[unit - 1]) & SHORT
            score = np.float32(0)
            for k in range(N_EVIDENCE):
                score += out[unit, k] * coefficients[k]
            wanted[unit] = score + most >= min_score
        if not wanted[unit]:
            out[unit] = 0
    reopened(term_of, starts, weights, kinds, wanted, out)
    return out
