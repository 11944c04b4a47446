"""What the terms say of a pair against sets and dicts in plain Python, and by hand."""

from __future__ import annotations

import itertools
import math
from dataclasses import fields

import naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from measured import all_pairs, articles, long_articles, mirror, terms_of, vectors_of, weighed_by
from stages import kept
from texts import EXAMPLES

from pipeline import measures, vectors
from pipeline.bags import LEAD_TOKENS
from pipeline.measures import TermMeasures
from pipeline.terms import TermStatistics
from pipeline.vectors import TOLD_IN_TITLE, TermVectors


def naive_terms(of_l: dict[int, naive.Term], of_r: dict[int, naive.Term]) -> dict[str, float]:
    """The term measures of a pair but for cosines and lengths, from sets of keys."""
    both = of_l.keys() & of_r.keys()

    def sum_of(row: dict[int, naive.Term], keys, value) -> float:
        return sum(value(row[key]) for key in keys)

    def doubted(part: float, whole: float, doubt: float) -> float:
        return (part + doubt / 2) / (whole + doubt)

    numbers = {key for key in both if of_l[key].is_number and of_r[key].is_number}
    names = max(
        sum_of(row, {k for k in both if row[k].is_name}, lambda t: t.above(4)) for row in (of_l, of_r)
    )
    found = {
        "rarity_shared": sum_of(of_l, both, lambda t: t.above(4)),
        "high_rarity_shared": sum_of(of_l, both, lambda t: t.above(6)),
        "rarity_of_numbers_shared": sum_of(of_l, numbers, lambda t: t.above(2)),
        "rarity_of_names_shared": names,
        "weight_l_in_r": sum_of(of_l, both, lambda t: t.weight**2),
        "weight_r_in_l": sum_of(of_r, both, lambda t: t.weight**2),
    }
    for side, own, other in (("l", of_l, of_r), ("r", of_r, of_l)):
        lead = {key for key, term in own.items() if term.in_lead and term.is_telling}
        facts = {key for key, term in own.items() if term.is_fact}
        title = {key for key in facts if own[key].kind & TOLD_IN_TITLE}
        other_lead = {key for key, term in other.items() if term.in_lead}
        repeated = {key for key, term in own.items() if term.count > 1}
        other_repeated = {key for key, term in other.items() if term.count > 1}
        for name, of, shared, value, doubt in (
            ("lead", lead, lead & both, lambda t: t.rarity**2, 1),
            ("lead_facts", lead & facts, lead & facts & both, lambda t: t.rarity**2, 1),
            ("lead_facts_in_lead", lead & facts, lead & facts & other_lead, lambda t: t.rarity**2, 1),
            ("repeats", repeated, repeated & both, lambda t: t.repeated, 10),
            ("repeats_of_both", repeated, repeated & other_repeated, lambda t: t.repeated, 10),
            ("repeated_facts", repeated & facts, repeated & facts & both, lambda t: t.repeated, 10),
            ("title_facts", title, title & both, lambda t: t.told, 10),
        ):
            found[f"{name}_{side}"] = doubted(sum_of(own, shared, value), sum_of(own, of, value), doubt)
        found[f"names_of_own_{side}"] = sum_of(
            own, {k for k in facts - both if own[k].is_name}, lambda t: t.above(4)
        )
        found[f"numbers_of_own_{side}"] = sum_of(
            own, {k for k in facts - numbers if own[k].is_number}, lambda t: t.above(2)
        )
    return found


@EXAMPLES
@given(st.one_of(articles, long_articles), st.randoms(use_true_random=False))
def test_term_measures_are_those_of_sets_and_dicts(texts, rng):
    built, worded = vectors_of(texts, rng)
    found, left, right = all_pairs((built, worded))
    rows = terms_of(built)
    expected = [naive_terms(rows[i], rows[j]) for i, j in zip(left, right, strict=True)]
    for name in expected[0]:
        measured, by_hand = getattr(found, name), [one[name] for one in expected]
        np.testing.assert_allclose(measured, by_hand, rtol=1e-4, atol=1e-3, err_msg=name)
    # Every measure is asked after, here or in one of the tests that name it.
    elsewhere = {"cosine", "cosine_names", "cosine_numbers", "n_tokens_l", "n_tokens_r",
                 "names_l", "names_r", "numbers_l", "numbers_r"}  # fmt: skip
    assert {f.name for f in fields(TermMeasures)} == elsewhere | expected[0].keys()
    lengths = built.n_tokens.astype(np.float32)
    np.testing.assert_array_equal((found.n_tokens_l, found.n_tokens_r), (lengths[left], lengths[right]))


SHARES = [
    f.name
    for f in fields(TermMeasures)
    if f.name.startswith(("cosine", "weight_", "lead", "repeat", "title_"))
    or f.name in ("names_l", "names_r", "numbers_l", "numbers_r")
]
AMOUNTS = [f.name for f in fields(TermMeasures) if "rarity" in f.name or "_of_own_" in f.name]


@EXAMPLES
@given(st.one_of(articles, long_articles), st.randoms(use_true_random=False))
def test_shares_lie_within_0_and_1_and_amounts_are_not_negative(texts, rng):
    found, _, _ = all_pairs(vectors_of(texts, rng))
    for name in SHARES:
        values = getattr(found, name)
        assert (values >= 0).all(), name
        assert (values <= 1 + 1e-5).all(), name
        assert not name.startswith("cosine") or (values <= 1).all(), name
    for name in AMOUNTS:
        assert (getattr(found, name) >= 0).all(), name
    assert sorted([*SHARES, *AMOUNTS, "n_tokens_l", "n_tokens_r"]) == sorted(
        TermMeasures.__dataclass_fields__
    )


@EXAMPLES
@given(st.one_of(articles, long_articles), st.randoms(use_true_random=False))
def test_measures_of_the_sides_change_places_with_the_articles(texts, rng):
    """And those of the pair stay as they are."""
    found, left, right = all_pairs(vectors_of(texts, rng))
    back = mirror(left, right)
    for f in fields(TermMeasures):
        other = {"weight_l_in_r": "weight_r_in_l", "weight_r_in_l": "weight_l_in_r"}.get(f.name, f.name)
        if f.name.endswith(("_l", "_r")) and other == f.name:
            other = f.name[:-1] + {"l": "r", "r": "l"}[f.name[-1]]
        np.testing.assert_allclose(
            getattr(found, f.name), getattr(found, other)[back], rtol=1e-4, atol=1e-3, err_msg=f.name
        )


def test_a_number_written_as_letters_there_changes_nothing_with_the_sides():
    """Equal terms, one with a digit and one without: no number that both have."""
    found, left, right = all_pairs(vectors_of([(None, "King Ⅳ 5"), (None, "King IV 5")]))
    np.testing.assert_allclose(found.cosine_numbers, found.cosine_numbers[mirror(left, right)], rtol=1e-6)
    assert (found.cosine_numbers <= 1 + 1e-6).all()


def test_groups_on_the_right_are_asked_each_for_its_own():
    """Articles in three groups of vectors give what they give in one."""
    texts = [("Rain in Paris", "It rained on 5 May in Paris"), (None, "Paris paid 12 coins"),
             ("Fog", "May 5 fog"), ("Paris", "rain again and again"), (None, "...")]  # fmt: skip
    whole, _ = vectors_of(texts)

    def rows(a: int, b: int) -> TermVectors:
        first = int(whole.term_ends[a - 1]) if a else 0
        own = slice(first, int(whole.term_ends[b - 1]))
        return TermVectors(
            whole.term_keys[own], whole.term_kinds[own], whole.term_counts[own], whole.term_rarity[own],
            whole.term_ends[a:b] - first, whole.lead_sizes[a:b], whole.n_tokens[a:b], whole.totals[a:b],
        )  # fmt: skip

    left, right = (np.repeat(np.arange(5), 5), np.tile(np.arange(5), 5))
    expected = measures.measure_terms(whole, [whole], left, np.zeros(25, np.int64), right)
    edges = np.array([0, 2, 3, 5])
    group = np.searchsorted(edges, right, side="right") - 1
    parts = [rows(int(a), int(b)) for a, b in itertools.pairwise(edges)]
    found = measures.measure_terms(whole, parts, left, group, right - edges[group])
    for f in fields(TermMeasures):
        np.testing.assert_array_equal(getattr(found, f.name), getattr(expected, f.name))


def test_term_measures_by_hand():
    """A report, and another in the same form: other place and sum, the same words."""
    body = "the council of {} will pay {} coins . said the mayor of {}"
    texts = [(f"{place} pays {amount}", body.format(place, amount, place))
             for place, amount in (("Westerby", "1,200"), ("Hinckley", "88"))]  # fmt: skip
    _, worded = vectors_of(texts)
    tokens = kept(texts)
    names = {int(t) for t, f in zip(tokens.terms, tokens.flags, strict=True) if f}
    counts = np.zeros((1 << 16, 2), np.int32)
    counts[:, 0], counts[:, 1] = 100_000, -1  # words are common
    for term in set(tokens.terms.tolist()):
        count = int((tokens.terms == term).sum())
        if term in names and count == 3:
            counts[term & 0xFFFF] = 19, 1  # the places: rarity ln(100,001 / 20)
    found, _, _ = all_pairs((weighed_by(TermStatistics(100_000, counts), tokens), worded))
    rarity = math.log(100_001 / 20)
    told, repeated = (rarity - 2) ** 2, (rarity - 2) ** 2 * math.log(3)
    other, same = 1, 0  # the pairs (0, 1) and (0, 0)
    assert found.names_of_own_l[[same, other]] == pytest.approx([0, rarity - 4], rel=1e-3)
    assert found.rarity_of_names_shared[[same, other]] == pytest.approx([rarity - 4, 0], rel=1e-3)
    assert found.high_rarity_shared[[same, other]] == pytest.approx([rarity - 6, 0], rel=1e-3)
    for name, whole, doubt in (
        ("lead", rarity**2, 1), ("lead_facts", rarity**2, 1), ("lead_facts_in_lead", rarity**2, 1),
        ("repeats", repeated, 10), ("repeats_of_both", repeated, 10), ("repeated_facts", repeated, 10),
        ("title_facts", told, 10),
    ):  # fmt: skip
        expected = [(whole + doubt / 2) / (whole + doubt), doubt / 2 / (whole + doubt)]
        for side in "lr":
            assert getattr(found, f"{name}_{side}")[[same, other]] == pytest.approx(expected, rel=1e-3)


def test_only_the_lead_counts_as_lead():
    """What one says first and the other says after its lead is of the first one's lead alone."""
    filler = " ".join(f"v{i}" for i in range(LEAD_TOKENS))
    texts = [(None, f"Paris {filler}"), (None, f"{filler} Paris")]
    _, worded = vectors_of(texts)
    counts = np.full((1 << 16, 2), 1, np.int32)  # each word is in one article of all, and a name
    built = weighed_by(TermStatistics(10_000, counts), kept(texts))
    found, left, right = all_pairs((built, worded))
    pair = np.flatnonzero((left == 0) & (right == 1))[0]
    totals = built.totals[:, vectors.LEAD_FACTS]
    rarity = math.log(10_001 / 2)
    facts = totals[0]
    # The filler's words are facts too, all but the last are in both leads.
    assert facts == pytest.approx(LEAD_TOKENS * rarity**2, rel=1e-3)
    shared = (LEAD_TOKENS - 1) * rarity**2
    assert found.lead_facts_l[pair] == pytest.approx((facts + 0.5) / (facts + 1), rel=1e-3)
    assert found.lead_facts_in_lead_l[pair] == pytest.approx((shared + 0.5) / (facts + 1), rel=1e-3)
