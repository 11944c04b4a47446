"""Tells, at little cost, which articles can hold a repeated section at all."""

import numba as nb
import numpy as np

from pipeline.section_pairs import find_runs, pair_units
from pipeline.section_terms import index_units, weigh_terms
from pipeline.section_units import CAPTION, SHORT, cut_units
from pipeline.section_versions import weigh_boundaries

SECTION_TOKENS = 60  # a heading's text of at least two short paragraphs

_I32, _U8, _U32, _F32, _I64 = nb.int32[::1], nb.uint8[::1], nb.uint32[::1], nb.float32[::1], nb.int64[::1]
_BYTES = nb.types.Array(nb.uint8, 1, "C", readonly=True)
_OFFSETS = nb.types.Array(nb.int32, 1, "C", readonly=True)


@nb.njit(_I32(_I32, _U8), cache=True, nogil=True)
def lead_sections(starts, kinds):  # type: ignore[no-untyped-def]
    """First tokens of the sections led by a heading, int32, then n_tokens; the text before the first is one.

    A heading is a SHORT unit before one that is not.
    """
    n_units = len(kinds)
    out = np.empty(n_units + 1, np.int32)
    out[0] = 0
    n = 1
    for unit in range(1, n_units - 1):
        if kinds[unit] & SHORT and not kinds[unit + 1] & SHORT:
            out[n] = starts[unit]
            n += 1
    out[n] = starts[n_units]
    return out[: n + 1].copy()


@nb.njit(nb.boolean(_I32, _U8, _I32, _I32), cache=True, nogil=True)
def in_paragraph(starts, kinds, begin, stop):  # type: ignore[no-untyped-def]
    """Whether at least half of the tokens of any span [begin, stop) stand in units that aren't CAPTIONs."""
    for k in range(len(begin)):
        told = 0
        unit = np.searchsorted(starts, begin[k], side="right") - 1
        while unit < len(kinds) and starts[unit] < stop[k]:
            if not kinds[unit] & CAPTION:
                told += min(stop[k], starts[unit + 1]) - max(begin[k], starts[unit])
            unit += 1
        if 2 * told >= stop[k] - begin[k]:
            return True
    return False


@nb.njit(
    nb.void(
        _BYTES, _OFFSETS, _U32, _U8, _I32, _I32, _I32, _I64, _I64, _F32, nb.float32, nb.float32,
        nb.int64, nb.int64, nb.float32, nb.int64, _F32, nb.float32, _U8,
    ),
    cache=True, nogil=True,
)  # fmt: skip
def scan(  # type: ignore[no-untyped-def]
    data, offsets, terms, flags, begin, end, line, body, indptr, idf, min_idf, fact_weight,
    min_tokens, min_terms, min_agreement, min_part_tokens, coefficients, min_score, out,
):  # fmt: skip
    """out[i] = 1 where article i of a batch may hold a repeated section: `find_repeats` looks closer.

    `data`, `offsets` are the bodies' Arrow buffers, `terms` to `indptr` the arrays of `Tokens`;
    `min_score` is the least sum of evidence times `coefficients` of a boundary between parts.
    """
    for i in range(len(body)):
        out[i] = 0
        first, stop = body[i], indptr[i + 1]
        if stop - first < 2 * min_tokens:
            continue
        bytes_of = data[: offsets[i + 1]]
        starts, unit_kinds = cut_units(
            bytes_of, np.int64(offsets[i]), begin[first:stop], end[first:stop], line[first:stop], flags[first:stop]
        )
        term_of, weights, kinds = weigh_terms(
            terms[first:stop], flags[first:stop], starts, idf, min_idf, fact_weight
        )
        at, units, counts = index_units(term_of, weights, starts)
        left, _, _ = pair_units(
            starts, unit_kinds, at, units, counts, weights, min_tokens, min_terms, min_agreement
        )
        if len(left):
            out[i] = 1
            continue
        if stop - first >= 2 * min_part_tokens:
            evidence = weigh_boundaries(
                term_of, starts, unit_kinds, at, units, weights, kinds, min_part_tokens
            )
            for unit in range(1, len(unit_kinds)):
                score = np.float32(0)
                for k in range(len(coefficients)):
                    score += evidence[unit, k] * coefficients[k]
                # A boundary with too short a side has no evidence at all: its SIDE is 0.
                if evidence[unit, 4] > 0 and score >= min_score:
                    out[i] = 1
            if out[i]:
                continue
            sections = lead_sections(starts, unit_kinds)
            if len(sections) > 3:
                at, units, counts = index_units(term_of, weights, sections)
                left, _, _ = pair_units(
                    sections, np.zeros(len(sections) - 1, np.uint8), at, units, counts, weights,
                    SECTION_TOKENS, min_terms, min_agreement,
                )  # fmt: skip
                if len(left):
                    out[i] = 1
                    continue
        _, right, length = find_runs(terms[first:stop], min_tokens)
        if len(right) and in_paragraph(starts, unit_kinds, right, right + length):
            out[i] = 1
