"""Evidence that a page is told again, against plain-Python twins."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.section_scan import may_repeat
from pipeline.section_terms import NUMBER, index_units
from pipeline.section_units import SHORT
from pipeline.section_versions import (
    LEAD,
    LEAD_TOKENS,
    N_EVIDENCE,
    NUMBER_TOKENS,
    NUMBERS,
    RESTATED,
    SEAM,
    SHARE,
    SIDE,
    weigh_boundaries,
)

MANY = 12
LEAST = LEAD_TOKENS
WEIGHTS = np.array([0.0, 1.0, 2.0, 3.5, 5.0, 1.5, 4.0, 6.0], np.float32)
KINDS = np.array([0, 0, 1, 0, 2, 0, 2, 2], np.uint8)
COEFFICIENTS = np.array([1.7, 5.9, 0.85, 7.5, 1.8, 1.9], np.float32)


@pytest.fixture(autouse=True)
def _wrapping_integers():
    with np.errstate(over="ignore"):
        yield


def naive_restated(units, at):
    n = sum(map(len, units))
    left = sum(map(len, units[:at])) / n
    gained = variance = 0.0
    for term, weight in enumerate(WEIGHTS.tolist()):
        at_units = [u for u, unit in enumerate(units) if term in unit and weight > 0]
        k = min(len(at_units), MANY)
        if k > 1:
            chance = 1 - left**k - (1 - left) ** k
            gained += weight * ((at_units[0] < at <= at_units[-1]) - chance)
            variance += weight**2 * chance * (1 - chance)
    return gained / math.sqrt(variance) if variance > 0 else 0.0


def naive_lead(tokens, at):
    def vector(part):
        return {t: (1 + math.log(part.count(t))) * float(WEIGHTS[t]) for t in set(part)}

    a, b = vector(tokens[:LEAD_TOKENS]), vector(tokens[at : at + LEAD_TOKENS])
    norm = math.sqrt(sum(v * v for v in a.values()) * sum(v * v for v in b.values()))
    return sum(v * b.get(t, 0) for t, v in a.items()) / norm if norm else 0.0


def naive_numbers(tokens, at):
    a, b = set(tokens[: min(NUMBER_TOKENS, at)]), set(tokens[at : at + NUMBER_TOKENS])
    return math.log(1 + sum(KINDS[t] == NUMBER for t in a & b))


def evidence_of(units, unit_kinds, min_score=-np.inf):
    tokens = np.array([t for unit in units for t in unit], np.int32)
    starts = np.cumsum([0, *map(len, units)]).astype(np.int32)
    indptr, terms, _ = index_units(tokens, WEIGHTS, starts)
    return weigh_boundaries(
        tokens, starts, np.array(unit_kinds, np.uint8), indptr, terms, WEIGHTS, KINDS, LEAST, COEFFICIENTS,
        np.float32(min_score),
    )  # fmt: skip


PAGES = st.lists(st.lists(st.integers(0, 7), min_size=10, max_size=50), min_size=2, max_size=12)


@settings(deadline=None)
@given(PAGES, st.data())
def test_evidence_equals_the_naive_twins(units, data):
    kinds = data.draw(st.lists(st.sampled_from([0, SHORT]), min_size=len(units), max_size=len(units)))
    tokens = [t for unit in units for t in unit]
    out = evidence_of(units, kinds)
    assert out.shape == (len(units), N_EVIDENCE)
    assert not out[0].any()
    for at in range(1, len(units)):
        begin = sum(map(len, units[:at]))
        side = min(begin, len(tokens) - begin)
        if side < LEAST:
            assert not out[at].any()
            continue
        expected = np.zeros(N_EVIDENCE)
        expected[RESTATED] = naive_restated(units, at)
        expected[LEAD] = naive_lead(tokens, begin)
        expected[NUMBERS] = naive_numbers(tokens, begin)
        expected[SHARE] = math.log(side / len(tokens))
        expected[SIDE] = math.log(side)
        expected[SEAM] = bool((kinds[at] | kinds[at - 1]) & SHORT)
        assert out[at] == pytest.approx(expected, abs=1e-4)


@settings(deadline=None)
@given(PAGES, st.floats(-10, 20))
def test_leaving_out_hopeless_boundaries_loses_none_above_the_threshold(units, least):
    full = evidence_of(units, [0] * len(units))
    short = evidence_of(units, [0] * len(units), least)
    kept = full[:, SIDE] > 0
    reach = kept & (full @ COEFFICIENTS >= least + 1e-3)
    assert np.array_equal(full[reach], short[reach])
    assert np.all(np.any(short != 0, axis=1) <= kept)


def test_a_story_told_twice_stands_out_at_its_second_beginning():
    rng = np.random.default_rng(1)
    weights = np.full(200, 3.0, np.float32)
    kinds = np.zeros(200, np.uint8)
    story = [rng.integers(k * 25, k * 25 + 25, 40) for k in range(8)]  # each paragraph has its own words
    tokens = np.concatenate([*story, *story]).astype(np.int32)
    starts = np.arange(17, dtype=np.int32) * 40
    indptr, terms, _ = index_units(tokens, weights, starts)
    out = weigh_boundaries(
        tokens, starts, np.zeros(16, np.uint8), indptr, terms, weights, kinds, 80, COEFFICIENTS,
        np.float32(-np.inf),
    )  # fmt: skip
    assert int(np.argmax(out[:, RESTATED])) == 8
    assert int(np.argmax(out[:, LEAD])) == 8
    limits = (25, 11, np.float32(1.1), 80, np.float32(13.0))
    args = (starts, np.zeros(16, np.uint8), tokens, weights, kinds, COEFFICIENTS, limits)
    assert may_repeat(rng.integers(0, 2**32, len(tokens), dtype=np.uint32), *args)
