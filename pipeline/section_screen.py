"""A quick look at one body: False only where `section_scan.may_repeat` is False too.

One walk over the tokens notes in which units each term stands again. That bounds from above what any repeat
needs: terms that two paragraphs share, what is told on both sides of a boundary, tokens in a row that stood
before. Where a boundary could be one, the opening is looked for after it. Of the planted benchmark's 20,000
articles 602 pass, of the development benchmark's 30,361 4,326.
"""

import numba as nb
import numpy as np

from pipeline.arrays import ANY_U32, BYTES, F32, I32, READ_U32, U8, U32, U64
from pipeline.section_pairs import may_hold_run
from pipeline.section_terms import AS_NUMBER, NUMBER, SAYS, weigh
from pipeline.section_units import FIGURES, SHORT, lead_sections
from pipeline.section_versions import (
    LEAD,
    LEAD_TOKENS,
    NUMBER_TOKENS,
    NUMBERS,
    RESTATED,
    SEAM,
    SHARE,
    SIDE,
    excess,
)

MOST_TOKENS = 65_535  # of a body that is looked at; a longer one may repeat
MOST_PARAGRAPHS = 64  # likewise: each has a bit of a word
_SLACK = 1e-3  # sums are rounded otherwise than in `weigh_boundaries`

# min_tokens, min_terms, min_agreement, min_part_tokens, min_score; as for `section_scan.scan`
LIMITS = nb.types.Tuple((nb.int64, nb.int64, nb.float32, nb.int64, nb.float32))  # type: ignore[no-untyped-call]
# min_idf, max_idf, fact_weight
WEIGHING = nb.types.UniTuple(nb.float32, 3)  # type: ignore[no-untyped-call]
_U16 = nb.uint16[::1]


@nb.njit(
    nb.int64(READ_U32, BYTES, I32, U8, U32, U8, I32, U32, _U16, I32), cache=True, nogil=True
)  # fmt: skip
def note_repeats(  # type: ignore[no-untyped-def]
    terms, flags, starts, unit_kinds, seen, spelling, slot_of, again, before, stops
):  # fmt: skip
    """Notes the terms that stood in a unit before; returns the most tokens in a row whose terms stood before.

    `seen` uint32 and `spelling` uint8, zeros, of a power of two that is more than the tokens, become a hash
    table of the terms and of what their spelling says (`SAYS`); `slot_of` int32 (n_tokens,) takes the slot of
    each token's term. For each term of each unit but the term's
    first, `again` uint32 takes its slot and `before` uint16 the unit where it stood last, from 1; those of
    unit u end at stops[u], int32 (n_units,). One more than the tokens must have room in them. The first
    token of a term of hash 0 has unit 0 before it.
    """
    mask = np.uint64(len(seen) - 1)
    last = np.zeros(len(seen), np.uint16)  # unit of the term's latest token, from 1
    n = np.uint64(0)
    streak = longest = 0
    for unit in range(len(unit_kinds)):
        here = np.uint16(unit + 1)
        within = np.uint8(0xFF ^ AS_NUMBER if unit_kinds[unit] & FIGURES else 0xFF)
        heard = np.uint8(0xFF ^ AS_NUMBER)  # a number that opens a unit says nothing
        for i in range(np.uint64(starts[unit]), np.uint64(starts[unit + 1])):
            term = terms[i]
            slot = np.uint64(term) & mask
            while seen[slot] != term and seen[slot] != 0:
                slot = (slot + np.uint64(1)) & mask
            # No branches: whether a term is new can't be foretold.
            known = seen[slot] == term
            seen[slot] = term
            slot_of[i] = slot
            latest = last[slot]
            last[slot] = here
            again[n] = np.uint32(slot)
            before[n] = latest
            n += np.uint64(known & (latest != here))
            spelling[slot] |= SAYS[flags[i]] & heard
            heard = within
            streak = (streak + 1) * known
            longest = max(longest, streak)
        stops[unit] = n
    return longest


@nb.njit(
    nb.int64(U32, ANY_U32, F32, nb.float32, U32, _U16, I32, U32, I32, I32, I32, F32), cache=True, nogil=True
)  # fmt: skip
def number_repeats(seen, df, idf, min_idf, again, before, stops, slots, first, last, units, rarity):  # type: ignore[no-untyped-def]
    """Numbers the terms that `note_repeats` noted; returns how many there are, or -1 with a term of hash 0.

    Puts their numbers into `again` for their slots, without the common words, and the new ends into `stops`.
    Fills, by number, the slot uint32, first and last unit and number of units int32, and the idf float32.
    """
    number_of = np.zeros(len(seen), np.int32)  # from 1
    n_terms = begin = 0
    for unit in range(len(stops)):
        for k in range(begin, stops[unit]):
            slot = again[k]
            number = number_of[slot] - 1
            if number < 0:
                if before[k] == 0:
                    return -1
                number = n_terms
                n_terms += 1
                number_of[slot] = n_terms
                slots[number] = slot
                first[number] = before[k] - 1
                units[number] = 1
            units[number] += 1
            last[number] = unit
            again[k] = number
        begin = stops[unit]
    # Looked up one right after the other, they come from memory at the same time.
    mask, common = np.uint32(len(df) - 1), np.uint32(len(idf) - 1)
    for number in range(n_terms):
        rarity[number] = idf[min(df[seen[slots[number]] & mask], common)]
    n = begin = 0
    for unit in range(len(stops)):
        for k in range(begin, stops[unit]):
            number = again[k]
            again[n] = number
            n += rarity[number] >= min_idf
        begin = stops[unit]
        stops[unit] = n
    return n_terms


@nb.njit(nb.int64(U64, U32), cache=True, nogil=True)
def most_shared(stands_in, numbers):  # type: ignore[no-untyped-def]
    """The most of the terms `numbers` that one paragraph holds; stands_in[term] has its bits."""
    counts = np.zeros(MOST_PARAGRAPHS, np.int64)
    most = 0
    for k in range(len(numbers)):
        bits = stands_in[numbers[k]]
        paragraph = 0
        while bits:
            if not bits & np.uint64(0xFFFF):
                bits >>= np.uint64(16)
                paragraph += 16
                continue
            if bits & np.uint64(1):
                counts[paragraph] += 1
                most = max(most, counts[paragraph])
            bits >>= np.uint64(1)
            paragraph += 1
    return most


@nb.njit(nb.boolean(I32, U8, U32, I32, I32, nb.int64, nb.int64), cache=True, nogil=True)
def may_pair(starts, kinds, again, stops, first, min_tokens, min_terms):  # type: ignore[no-untyped-def]
    """Whether two paragraphs of `min_tokens` share `min_terms` terms, or are too many to tell.

    `again` and `stops` as `number_repeats` leaves them: terms of each unit that stood in one before; `first`
    int32 (n_terms,) is the first of a term.
    """
    bit_of = np.zeros(len(kinds), np.uint64)
    paragraphs = 0
    for unit in range(len(kinds)):
        if starts[unit + 1] - starts[unit] >= min_tokens and not kinds[unit]:
            if paragraphs == MOST_PARAGRAPHS:
                return True
            bit_of[unit] = np.uint64(1) << np.uint64(paragraphs)
            paragraphs += 1
    stands_in = bit_of[first]
    begin = 0
    for unit in range(len(kinds)):
        stop = stops[unit]
        if bit_of[unit]:
            if stop - begin >= min_terms and most_shared(stands_in, again[begin:stop]) >= min_terms:
                return True
            for k in range(begin, stop):
                stands_in[again[k]] |= bit_of[unit]
        begin = stop
    return False


@nb.njit(cache=True, nogil=True, inline="always")
def may_open(  # type: ignore[no-untyped-def]
    starts, kinds, first, last, units, weights, opening, min_side, coefficients, min_score, wanted, scores
):  # fmt: skip
    """Whether a boundary can reach `min_score`, were the page's whole `opening` told again after it.

    `first` to `weights` are those of `excess`, the next three those of `weigh_boundaries`. For those that can
    `wanted` uint8 (n_units,), zeros, is set, and `scores` float32 (n_units,) is what they have without it.
    """
    n = starts[len(kinds)]
    beyond = excess(starts, first, last, units, weights)
    # Few reach what a boundary in the middle of the page would need: only those are worth two logarithms.
    middle = (
        coefficients[SEAM] + np.log(0.5) * coefficients[SHARE] + np.log(n / 2) * coefficients[SIDE] + _SLACK
    )
    found = False
    for unit in range(1, len(kinds)):
        side = min(starts[unit], n - starts[unit])
        told = beyond[unit] * coefficients[RESTATED] + opening + _SLACK
        if side >= min_side and middle + told >= min_score:
            told += np.log(side / n) * coefficients[SHARE] + np.log(np.float64(side)) * coefficients[SIDE]
            if (kinds[unit] | kinds[unit - 1]) & SHORT:
                told += coefficients[SEAM]
            if told >= min_score:
                wanted[unit] = 1
                scores[unit] = told - opening
                found = True
    return found


@nb.njit(cache=True, nogil=True, inline="always")
def may_reopen(  # type: ignore[no-untyped-def]
    terms, slot_of, starts, spelling, df, idf, weighing, coefficients, min_score, wanted, scores
):  # fmt: skip
    """Whether a `wanted` boundary can reach `min_score` with what of the opening stands again after it.

    `slot_of` and `spelling` as `note_repeats` leaves them, `wanted` and `scores` as `may_open` does. Only the
    opening is weighed: a cosine is at most the share of the lead's length that its shared terms have (Cauchy
    and Schwarz), and no more numbers are shared than stand after the boundary.
    """
    min_idf, max_idf, fact_weight = weighing
    mask, common = np.uint32(len(df) - 1), np.uint32(len(idf) - 1)
    lead, counts = np.zeros(len(spelling), np.float32), np.zeros(len(spelling), np.int32)
    for i in range(LEAD_TOKENS):
        counts[slot_of[i]] += 1
    squares = np.float32(0)
    for i in range(LEAD_TOKENS):
        slot = slot_of[i]
        if counts[slot]:
            rarity = idf[min(df[terms[i] & mask], common)]
            weight, _ = weigh(rarity, spelling[slot], min_idf, max_idf, fact_weight)
            value = weight * np.float32(1.0 + np.log(counts[slot]))
            lead[slot] = value * value
            squares += lead[slot]
            counts[slot] = 0
    is_number, most_numbers = np.zeros(len(spelling), np.uint8), 0
    for i in range(min(len(terms), NUMBER_TOKENS)):
        is_number[slot_of[i]] = spelling[slot_of[i]] & AS_NUMBER != 0
        most_numbers += is_number[slot_of[i]]
    for unit in range(1, len(wanted)):
        if not wanted[unit]:
            continue
        at = starts[unit]
        shared = np.float32(0)
        for i in range(at, at + LEAD_TOKENS):
            slot = slot_of[i]
            if counts[slot] != unit:
                counts[slot] = unit
                shared += lead[slot]
        told = scores[unit] + _SLACK
        if shared > 0:
            told += np.sqrt(shared / squares) * coefficients[LEAD]
        if told + np.log(1.0 + most_numbers) * coefficients[NUMBERS] >= min_score:
            n_numbers = 0
            for i in range(at, min(len(terms), at + NUMBER_TOKENS)):
                n_numbers += is_number[slot_of[i]]
            if told + np.log(1.0 + n_numbers) * coefficients[NUMBERS] >= min_score:
                return True
    return False


@nb.njit(cache=True, nogil=True, inline="always")
def is_worth_a_look(terms, flags, starts, unit_kinds, df, idf, weighing, coefficients, limits):  # type: ignore[no-untyped-def]
    """Whether one body may hold a repeated section, by bounds alone; arguments as for `section_scan.scan`."""
    min_idf, max_idf, fact_weight = weighing
    min_tokens, min_terms, _, min_part_tokens, min_score = limits
    n = len(terms)
    if n > MOST_TOKENS:
        return True
    size = 16
    while size < 2 * n:
        size *= 2
    seen, spelling = np.zeros(size, np.uint32), np.zeros(size, np.uint8)
    slot_of = np.empty(n, np.int32)
    again, before = np.empty(n + 1, np.uint32), np.empty(n + 1, np.uint16)
    stops = np.empty(len(unit_kinds), np.int32)
    longest = note_repeats(terms, flags, starts, unit_kinds, seen, spelling, slot_of, again, before, stops)
    most = np.int64(stops[-1]) if len(stops) else 0
    slots, weights = np.empty(most, np.uint32), np.empty(most, np.float32)
    first, last, units = np.empty(most, np.int32), np.empty(most, np.int32), np.empty(most, np.int32)
    n_terms = number_repeats(
        seen, df, idf, min_idf, again, before, stops, slots, first, last, units, weights
    )  # fmt: skip
    if n_terms < 0 or may_pair(starts, unit_kinds, again, stops, first[:n_terms], min_tokens, min_terms):
        return True
    if n >= 2 * min_part_tokens:
        # Sections are not bounded: few pages have three headings.
        if len(lead_sections(starts, unit_kinds)) > 3:
            return True
        n_numbers = 0
        for number in range(n_terms):
            says = spelling[slots[number]]
            weights[number], kind = weigh(weights[number], says, min_idf, max_idf, fact_weight)
            n_numbers += kind == NUMBER
        opening = np.float32(coefficients[LEAD] + coefficients[NUMBERS] * np.log(1.0 + n_numbers))
        wanted, scores = np.zeros(len(unit_kinds), np.uint8), np.empty(len(unit_kinds), np.float32)
        if may_open(
            starts, unit_kinds, first[:n_terms], last[:n_terms], units[:n_terms], weights[:n_terms], opening,
            min_part_tokens, coefficients, min_score, wanted, scores,
        ) and may_reopen(
            terms, slot_of, starts, spelling, df, idf, weighing, coefficients, min_score, wanted, scores
        ):  # fmt: skip
            return True
    return longest >= min_tokens and may_hold_run(terms, min_tokens)
