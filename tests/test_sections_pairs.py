"""Agreeing units, repeated runs and how they are put together, against plain-Python twins and by hand."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.section_groups import Match, chain_units, group_matches, without_covered
from pipeline.section_pairs import MAX_UNITS, SHINGLE, find_runs, may_hold_run, pair_units
from pipeline.section_terms import index_units


@pytest.fixture(autouse=True)
def _wrapping_integers():
    with np.errstate(over="ignore"):
        yield


def naive_pairs(units, weights, kinds, min_tokens, min_terms):
    """Agreement of all pairs of units; each unit is a list of terms."""
    takes = [len(u) >= min_tokens and not k for u, k in zip(units, kinds, strict=True)]
    within = [sum(t in u for u, take in zip(units, takes, strict=True) if take) for t in range(len(weights))]
    vectors = []
    for unit in units:
        kept = {t for t in unit if weights[t] > 0 and within[t] <= MAX_UNITS}
        vectors.append({t: (1 + math.log(unit.count(t))) * weights[t] for t in kept})
    found = {}
    for right in range(len(units)):
        for left in range(right):
            a, b = vectors[left], vectors[right]
            shared = a.keys() & b.keys()
            if takes[left] and takes[right] and len(shared) >= max(min_terms, 1):
                norm = math.sqrt(sum(v * v for v in a.values()) * sum(v * v for v in b.values()))
                cosine = sum(a[t] * b[t] for t in shared) / norm
                found[left, right] = (cosine + 2 * len(shared) / (len(a) + len(b))) / 2
    return found


@settings(deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=12), min_size=1, max_size=12),
    st.lists(st.sampled_from([0.0, 1.0, 2.5, 4.0]), min_size=10, max_size=10),
    st.data(),
)
def test_pairs_equal_the_naive_twin(units, weights, data):
    kinds = data.draw(st.lists(st.sampled_from([0, 0, 0, 1]), min_size=len(units), max_size=len(units)))
    starts = np.cumsum([0, *map(len, units)]).astype(np.int32)
    term_of = np.array([t for unit in units for t in unit], np.int32)
    given_weights = np.array(weights, np.float32)
    index = index_units(term_of, given_weights, starts)
    expected = naive_pairs(units, weights, kinds, 3, 2)
    least = 0.5
    left, right, agreement = pair_units(
        starts, np.array(kinds, np.uint8), *index, given_weights, 3, 2, np.float32(least)
    )
    pairs = list(zip(left.tolist(), right.tolist(), strict=True))
    assert right.tolist() == sorted(right.tolist())
    assert len(set(pairs)) == len(pairs)
    found = dict(zip(pairs, agreement.tolist(), strict=True))
    assert {p for p, v in expected.items() if v >= least + 1e-5} <= found.keys()
    assert found.keys() <= {p for p, v in expected.items() if v >= least - 1e-5}
    for pair, value in found.items():
        assert value == pytest.approx(expected[pair], abs=1e-5)


def test_a_term_of_very_many_units_counts_for_nothing():
    n = MAX_UNITS + 1
    starts = np.arange(n + 1, dtype=np.int32) * 2
    term_of = np.tile(np.array([0, 1], np.int32), n)
    weights = np.ones(2, np.float32)
    index = index_units(term_of, weights, starts)
    left, _, _ = pair_units(starts, np.zeros(n, np.uint8), *index, weights, 1, 1, np.float32(0.1))
    assert len(left) == 0


def holds(terms, left, right, length):
    return terms[left : left + length] == terms[right : right + length]


@settings(deadline=None)
@given(st.lists(st.integers(0, 3), max_size=80), st.integers(SHINGLE, 9))
@example([1, 2, 3, 4, 5, 6] * 2, 6)
@example([0] * 30, 5)
def test_runs_are_true_disjoint_maximal_and_the_screen_lets_them_pass(values, least):
    terms = np.array(values, np.uint32)
    left, right, length = (a.tolist() for a in find_runs(terms, least))
    for a, b, n in zip(left, right, length, strict=True):
        assert n >= least
        assert a + n <= b
        assert holds(values, a, b, n)
        assert a + n == b or b + n == len(values) or values[a + n] != values[b + n]
    assert all(b + n <= c for b, n, c in zip(right, length, right[1:], strict=False))
    assert may_hold_run(terms, least) or not left


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 10**6), min_size=20, max_size=40, unique=True),
    st.integers(0, 15),
    st.integers(0, 12),
)
def test_a_passage_repeated_once_is_found_whole(values, gap, extra):
    passage = values[: 8 + extra]
    text = [*values, *range(2 * 10**6, 2 * 10**6 + gap), *passage, 10**7]
    left, right, length = find_runs(np.array(text, np.uint32), 8)
    assert left.tolist() == [0]
    assert right.tolist() == [len(values) + gap]
    assert length.tolist() == [len(passage)]
    assert may_hold_run(np.array(text, np.uint32), 8)


def test_text_without_a_repeat_is_screened_out():
    assert not may_hold_run(np.arange(500, dtype=np.uint32), 25)
    assert not may_hold_run(np.arange(3, dtype=np.uint32), 25)


def test_neighbouring_pairs_are_one_section():
    starts = np.array([0, 30, 33, 70, 100, 130, 170], np.int32)
    paragraphs = np.array([0, 2, 3, 4, 5], np.int32)  # unit 1 is a heading
    matches = chain_units(starts, paragraphs, np.array([0, 2], np.int32), np.array([4, 5], np.int32))
    assert matches == [Match(0, 70, 100, 170, is_section=True)]


def test_a_chain_does_not_run_into_its_own_copy():
    starts = np.arange(5, dtype=np.int32) * 30
    units = np.arange(4, dtype=np.int32)
    left, right = np.array([0, 1, 2], np.int32), np.array([1, 2, 3], np.int32)
    for match in chain_units(starts, units, left, right):
        assert match.end_l <= match.begin_r


def test_groups_have_disjoint_occurrences_in_order():
    matches = [Match(0, 40, 100, 140, False), Match(0, 38, 200, 240, False), Match(300, 330, 400, 430, True)]
    assert group_matches(without_covered(matches)) == [
        (False, [(0, 40), (100, 140), (200, 240)]),
        (True, [(300, 330), (400, 430)]),
    ]


SPANS = st.tuples(st.integers(0, 40), st.integers(1, 15), st.integers(0, 20), st.integers(1, 15))


@settings(deadline=None)
@given(st.lists(SPANS, max_size=8))
def test_groups_hold_for_any_matches(rows):
    matches = [Match(a, a + n, a + n + gap, a + n + gap + m, False) for a, n, gap, m in rows]
    for _, spans in group_matches(without_covered(matches)):
        assert len(spans) > 1
        assert all(a[1] <= b[0] for a, b in pairwise(spans))
    assert group_matches(without_covered(matches)) == group_matches(without_covered(matches[::-1]))
