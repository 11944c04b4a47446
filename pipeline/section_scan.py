"""Tells, at little cost, which articles can hold a repeated section at all."""

import numba as nb
import numpy as np

from pipeline.arrays import ANY_U32, BYTES, F32, I32, READ_I32, READ_I64, READ_U32, U8
from pipeline.section_pairs import find_runs, may_hold_run, pair_units
from pipeline.section_screen import LIMITS, WEIGHING, is_worth_a_look
from pipeline.section_terms import index_units, weigh_terms
from pipeline.section_units import CAPTION, lead_sections
from pipeline.section_versions import N_EVIDENCE, SIDE, weigh_boundaries

SECTION_TOKENS = 60  # a heading's text of at least two short paragraphs


@nb.njit(U8(I32, U8, I32, I32), cache=True, nogil=True)
def span_kinds(starts, kinds, begin, stop):  # type: ignore[no-untyped-def]
    """Kinds uint8 of spans of tokens [begin, stop): CAPTION where half or more is in units of a kind, or 0.

    Menus, tables, captions and verse in short lines repeat by nature.
    """
    out = np.zeros(len(begin), np.uint8)
    for k in range(len(begin)):
        told = 0
        unit, after = 0, len(starts)  # the span begins in or after `unit`, and before `after`
        while after - unit > 1:
            middle = (unit + after) >> 1
            if starts[middle] <= begin[k]:
                unit = middle
            else:
                after = middle
        while unit < len(kinds) and starts[unit] < stop[k]:
            if not kinds[unit]:
                told += min(stop[k], starts[unit + 1]) - max(begin[k], starts[unit])
            unit += 1
        if 2 * told <= stop[k] - begin[k]:
            out[k] = CAPTION
    return out


@nb.njit(cache=True, nogil=True, inline="always")
def may_repeat(terms, starts, unit_kinds, term_of, weights, kinds, coefficients, limits):  # type: ignore[no-untyped-def]
    """Whether one article can hold a repeated section; `limits` as for `scan`."""
    min_tokens, min_terms, min_agreement, min_part_tokens, min_score = limits
    at, units, counts = index_units(term_of, weights, starts)
    left, _, _ = pair_units(
        starts, unit_kinds, at, units, counts, weights, min_tokens, min_terms, min_agreement
    )
    if len(left):
        return True
    if len(terms) >= 2 * min_part_tokens:
        evidence = weigh_boundaries(
            term_of, starts, unit_kinds, at, units, weights, kinds, min_part_tokens, coefficients, min_score
        )
        for unit in range(1, len(unit_kinds)):
            score = np.float32(0)
            for k in range(N_EVIDENCE):
                score += evidence[unit, k] * coefficients[k]
            # A boundary with too short a side has no evidence at all, its SIDE is 0.
            if evidence[unit, SIDE] > 0 and score >= min_score:
                return True
        sections = lead_sections(starts, unit_kinds)
        if len(sections) > 3:
            at, units, counts = index_units(term_of, weights, sections)
            section_kinds = span_kinds(starts, unit_kinds, sections[:-1], sections[1:])
            left, _, _ = pair_units(
                sections, section_kinds, at, units, counts, weights, SECTION_TOKENS, min_terms, min_agreement
            )
            if len(left):
                return True
    if not may_hold_run(terms, min_tokens):
        return False
    _, right, length = find_runs(terms, min_tokens)
    n_told = 0
    for kind in span_kinds(starts, unit_kinds, right, right + length):
        n_told += kind == 0
    return n_told > 0


@nb.njit(
    nb.void(
        READ_U32, BYTES, READ_I64, READ_I32, READ_I32, BYTES, READ_I64, ANY_U32, F32, WEIGHING, F32, LIMITS,
        U8,
    ),
    cache=True, nogil=True,
)  # fmt: skip
def scan(  # type: ignore[no-untyped-def]
    terms, flags, indptr, n_title, unit_starts, unit_kinds, unit_indptr, df, idf, weighing, coefficients,
    limits, out,
):  # fmt: skip
    """out[i] = 1 where article i of a batch may hold a repeated section: `find_repeats` looks closer.

    `terms` to `n_title` are the arrays of `KeptTokens`, the next three those of `KeptUnits`, `df` and `idf`
    those of `Rarity`, `weighing` the last three arguments of `weigh_terms`. `limits`: least tokens of a
    paragraph, least shared terms and least agreement of two, least tokens of a part, and least sum of
    evidence times `coefficients` of a boundary between parts.
    """
    min_idf, max_idf, fact_weight = weighing
    for i in range(len(n_title)):
        out[i] = 0
        own = slice(indptr[i] + n_title[i], indptr[i + 1])
        n = own.stop - own.start
        if n < 2 * limits[0]:
            continue
        units = slice(unit_indptr[i], unit_indptr[i + 1])
        kinds = unit_kinds[units].copy()
        starts = np.empty(len(kinds) + 1, np.int32)
        for unit in range(len(kinds)):
            starts[unit] = unit_starts[units.start + unit]
        starts[-1] = n
        if is_worth_a_look(
            terms[own], flags[own], starts, kinds, df, idf, weighing, coefficients, limits
        ):  # fmt: skip
            term_of, weights, term_kinds = weigh_terms(
                terms[own], flags[own], starts, kinds, df, idf, min_idf, max_idf, fact_weight
            )
            out[i] = may_repeat(terms[own], starts, kinds, term_of, weights, term_kinds, coefficients, limits)
