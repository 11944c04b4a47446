"""The quick look at a body, against plain-Python twins; it lets pass all that the close look would."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.section_pairs import SHINGLE
from pipeline.section_parts import COEFFICIENTS
from pipeline.section_scan import may_repeat
from pipeline.section_screen import (
    MOST_PARAGRAPHS,
    MOST_TOKENS,
    is_worth_a_look,
    may_pair,
    most_shared,
    note_repeats,
    number_repeats,
)
from pipeline.section_terms import AS_NUMBER, NUMBER, SAYS, index_units, weigh_terms
from pipeline.section_units import CAPTION, FIGURES, SHORT, lead_sections
from pipeline.section_versions import LEAD, LEAD_TOKENS, NUMBER_TOKENS, SIDE, weigh_boundaries
from pipeline.section_versions import NUMBERS as EVIDENCE_NUMBERS
from pipeline.token_scan import CAPITAL, CASE_OWED, DIGIT

WEIGHING = (np.float32(1), np.float32(6), np.float32(3))
IDF = np.array([7, 5, 4, 3, 2, 1.5, 0.5], np.float32)
DF = np.array([0, 1, 2, 3, 9, 0, 5, 1, 6, 4, 2, 0, 0, 3, 1, 99], np.uint32)
NUMBERS = 4  # as if a term of hash 4k were a number


@pytest.fixture(autouse=True)
def _wrapping_integers():
    with np.errstate(over="ignore"):
        yield


UNITS = st.lists(st.lists(st.integers(1, 40), min_size=1, max_size=14), min_size=1, max_size=9)
KINDS = st.sampled_from([0, 0, 0, SHORT | CAPTION, CAPTION, FIGURES])


def arrays(units, kinds):
    """terms, flags, starts and kinds of a body; one term in four is a number, some are in capitals."""
    terms = np.array([t for unit in units for t in unit], np.uint32)
    flags = np.where(terms % NUMBERS == 0, DIGIT, np.where(terms % 3, CAPITAL, CASE_OWED)).astype(np.uint8)
    starts = np.cumsum([0, *map(len, units)]).astype(np.int32)
    return terms, flags, starts, np.resize(np.array(kinds, np.uint8), len(units))


def noted(terms, flags, starts, kinds):
    size = 16
    while size < 2 * len(terms):
        size *= 2
    seen, spelling = np.zeros(size, np.uint32), np.zeros(size, np.uint8)
    again, before = np.zeros(len(terms) + 1, np.uint32), np.zeros(len(terms) + 1, np.uint16)
    slot_of, stops = np.zeros(len(terms), np.int32), np.zeros(len(kinds), np.int32)
    longest = note_repeats(terms, flags, starts, kinds, seen, spelling, slot_of, again, before, stops)
    assert seen[slot_of].tolist() == terms.tolist()
    return seen, spelling, again, before, stops, longest


@settings(deadline=None)
@given(UNITS, st.lists(KINDS, min_size=9, max_size=9))
def test_what_stands_again_equals_the_naive_twin(units, kinds):
    body = arrays(units, kinds)
    seen, spelling, again, before, stops, longest = noted(*body)
    begin, streak, told, flat = 0, 0, 0, []
    for u, unit in enumerate(units):
        for t in unit:
            streak = streak + 1 if t in flat else 0
            told = max(told, streak)
            flat.append(t)
        expected = [t for t in dict.fromkeys(unit) if any(t in other for other in units[:u])]
        assert seen[again[begin : stops[u]]].tolist() == expected
        assert before[begin : stops[u]].tolist() == [
            max(k for k, other in enumerate(units[:u]) if t in other) + 1 for t in expected
        ]
        begin = stops[u]
    assert longest == told
    for term in set(flat):
        says = 0
        for u, unit in enumerate(units):
            for k, t in enumerate(unit):
                silent = t % NUMBERS == 0 and (k == 0 or body[3][u] & FIGURES)
                says |= SAYS[body[1][flat.index(t)]] if t == term and not silent else 0
        assert spelling[seen == term] == says


@settings(deadline=None)
@given(UNITS, st.lists(KINDS, min_size=9, max_size=9), st.integers(1, 8), st.integers(1, 4))
def test_numbers_of_the_terms_and_their_pairs_equal_the_naive_twins(units, kinds, min_tokens, min_terms):
    terms, flags, starts, unit_kinds = arrays(units, kinds)
    seen, _, again, before, stops, _ = noted(terms, flags, starts, unit_kinds)
    room = int(stops[-1])
    slots, rarity = np.zeros(room, np.uint32), np.zeros(room, np.float32)
    first, last, n_units = (np.zeros(room, np.int32) for _ in range(3))
    n = number_repeats(seen, DF, IDF, WEIGHING[0], again, before, stops, slots, first, last, n_units, rarity)
    found = {}
    for number, term in enumerate(seen[slots[:n]].tolist()):
        found[term] = (first[number], last[number], n_units[number], rarity[number])
    within = {t: [u for u, unit in enumerate(units) if t in unit] for t in terms.tolist()}
    idf = {t: float(IDF[min(DF[t % 16], 6)]) for t in within}
    assert found == {t: (u[0], u[-1], len(u), idf[t]) for t, u in within.items() if len(u) > 1}
    begin = 0
    for u, unit in enumerate(units):
        expected = {t for t in unit if within[t][0] < u and idf[t] >= 1}
        assert set(seen[slots[again[begin : stops[u]]]].tolist()) == expected
        begin = stops[u]
    paragraphs = [
        {t for t in unit if idf[t] >= 1}
        for unit, kind in zip(units, unit_kinds, strict=True)
        if len(unit) >= min_tokens and not kind
    ]
    shared = [len(a & b) for k, a in enumerate(paragraphs) for b in paragraphs[:k]]
    pairs = may_pair(starts, unit_kinds, again, stops, first[:n], min_tokens, min_terms)
    assert pairs == (max(shared, default=0) >= min_terms)


@settings(deadline=None)
@given(st.lists(st.integers(0, 2**64 - 1), max_size=12))
@example([1 << 63, 1 << 63, 1, 0, (1 << 16) | (1 << 32)])
def test_the_most_shared_is_the_naive_twin(words):
    numbers = np.arange(len(words), dtype=np.uint32)
    expected = max((sum(w >> bit & 1 for w in words) for bit in range(64)), default=0)
    assert most_shared(np.array(words, np.uint64), numbers) == expected


def looks(units, kinds, limits):
    terms, flags, starts, unit_kinds = arrays(units, kinds)
    quick = is_worth_a_look(terms, flags, starts, unit_kinds, DF, IDF, WEIGHING, COEFFICIENTS, limits)
    term_of, weights, term_kinds = weigh_terms(terms, flags, starts, unit_kinds, DF, IDF, *WEIGHING)
    close = may_repeat(terms, starts, unit_kinds, term_of, weights, term_kinds, COEFFICIENTS, limits)
    return quick, close


@settings(deadline=None, max_examples=300)
@given(
    st.lists(st.lists(st.integers(1, 60), min_size=5, max_size=50), min_size=4, max_size=12),
    st.lists(KINDS, min_size=12, max_size=12),
)
def test_what_a_boundary_can_reach_is_the_bound_of_the_naive_twin(units, kinds):
    terms, flags, starts, unit_kinds = arrays(units, kinds)
    if len(terms) < 2 * LEAD_TOKENS or len(lead_sections(starts, unit_kinds)) > 3:
        return
    term_of, weights, term_kinds = weigh_terms(terms, flags, starts, unit_kinds, DF, IDF, *WEIGHING)
    index = index_units(term_of, weights, starts)
    evidence = weigh_boundaries(
        term_of, starts, unit_kinds, *index[:2], weights, term_kinds, LEAD_TOKENS, COEFFICIENTS,
        np.float32(-np.inf),
    )  # fmt: skip
    seen, spelling = noted(terms, flags, starts, unit_kinds)[:2]
    numbers = {t for t, says in zip(seen.tolist(), spelling.tolist(), strict=True) if says & AS_NUMBER}
    numbers &= set(terms[:NUMBER_TOKENS].tolist())
    counts = Counter(term_of[:LEAD_TOKENS].tolist())
    lead = {t: float(weights[t] * (1 + np.log(n))) ** 2 for t, n in counts.items()}
    n_units = Counter(t for begin, end in pairwise(starts) for t in set(term_of[begin:end].tolist()))
    n_numbers = sum(n > 1 and term_kinds[t] == NUMBER for t, n in n_units.items())
    most = float(COEFFICIENTS[LEAD] + COEFFICIENTS[EVIDENCE_NUMBERS] * np.log(1 + n_numbers))
    bounds = []
    for unit in np.flatnonzero(evidence[:, SIDE] > 0).tolist():
        at, told = starts[unit], evidence[unit].copy()
        shared = sum(lead.get(t, 0) for t in set(term_of[at : at + LEAD_TOKENS].tolist()))
        told[LEAD] = np.sqrt(shared / sum(lead.values())) if shared else 0
        told[EVIDENCE_NUMBERS] = np.log(
            1 + sum(t in numbers for t in terms[at : at + NUMBER_TOKENS].tolist())
        )
        assert (told >= evidence[unit] - 1e-5).all()
        without = evidence[unit].copy()
        without[LEAD] = without[EVIDENCE_NUMBERS] = 0
        bounds.append(min(float(told @ COEFFICIENTS), float(without @ COEFFICIENTS) + most))
    for least, expected in ((max(bounds, default=0) - 0.1, True), (max(bounds, default=0) + 0.1, False)):
        limits = (1000, 999, np.float32(0.6), LEAD_TOKENS, np.float32(least))
        if bounds:
            look = is_worth_a_look(
                terms, flags, starts, unit_kinds, DF, IDF, WEIGHING, COEFFICIENTS, limits
            )  # fmt: skip
            assert look == expected


LONG = st.lists(st.lists(st.integers(0, 90), min_size=5, max_size=50), min_size=2, max_size=12)


@settings(deadline=None, max_examples=300)
@given(LONG, st.lists(KINDS, min_size=12, max_size=12), st.floats(-5, 25), st.integers(1, 11))
def test_the_quick_look_lets_pass_all_that_the_close_look_does(units, kinds, least, min_terms):
    limits = (12, min_terms, np.float32(0.6), 60, np.float32(least))
    quick, close = looks(units, kinds, limits)
    assert quick or not close


def test_the_quick_look_stops_a_story_told_once():
    units = [list(range(k, k + 40)) for k in range(100, 900, 40)]
    assert looks(units, [0], (25, 11, np.float32(0.6), 80, np.float32(13.15))) == (False, False)


def test_what_has_no_room_in_the_tables_passes():
    limits = (SHINGLE, 99, np.float32(0.6), 80, np.float32(1e9))
    many = [list(range(k, k + SHINGLE)) for k in range(1, 999, SHINGLE)]
    assert looks(many[:MOST_PARAGRAPHS], [0], limits) == (False, False)
    assert looks(many[: MOST_PARAGRAPHS + 1], [0], limits) == (True, False)
    assert looks([list(range(1, MOST_TOKENS + 1))], [0], limits) == (False, False)
    assert looks([list(range(1, MOST_TOKENS + 2))], [0], limits) == (True, False)
    assert looks([[1, 0, 2]], [0], limits) == (True, False)  # 0 marks an empty place of the table
