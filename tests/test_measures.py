"""What is measured of a pair against scikit-learn and sets; what the rule weighs is the same both ways."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from measured import all_pairs, articles, long_articles, mirror, vectors_of
from sklearn.metrics.pairwise import cosine_similarity
from stages import counted, kept
from texts import EXAMPLES

from pipeline import measures
from pipeline.measures import TermMeasures
from pipeline.vectors import NAME, NUMBER
from pipeline.wording import build


def dense(keys: np.ndarray, weights: np.ndarray, ends: np.ndarray) -> np.ndarray:
    columns = {key: i for i, key in enumerate(sorted(set(keys.tolist())))}
    out = np.zeros((len(ends), max(1, len(columns))))
    for i, (own, values) in enumerate(
        zip(np.split(keys, ends[:-1]), np.split(weights, ends[:-1]), strict=True)
    ):
        out[i, [columns[key] for key in own.tolist()]] = values
    return out


@EXAMPLES
@given(articles)
def test_cosines_are_scikit_learns(texts):
    built, worded = vectors_of(texts)
    found, left, right = all_pairs((built, worded))

    def cosines(weights: np.ndarray) -> np.ndarray:
        return cosine_similarity(dense(built.term_keys, weights, built.term_ends))[left, right]

    weights, own = built.weights(), built.term_kinds & (NAME | NUMBER)
    np.testing.assert_allclose(found.cosine, cosines(weights), atol=1e-5)
    # A cosine of nothing is 0, here as there; a term that only one side spells as a name counts for its side.
    for name, least in (("cosine_names", NAME), ("cosine_numbers", NUMBER)):
        np.testing.assert_allclose(
            getattr(found, name), cosines(np.where(own >= least, weights, 0)), atol=1e-5
        )
    bigrams = dense(worded.bigram_keys, worded.bigram_weights, worded.bigram_ends)
    # Side by side, as one space.
    joint = np.hstack((dense(built.term_keys, weights, built.term_ends), bigrams))
    whole = (np.linalg.norm(bigrams, axis=1) > 0)[left] & (np.linalg.norm(bigrams, axis=1) > 0)[right]
    np.testing.assert_allclose(
        found.cosine_bigrams[whole], cosine_similarity(joint)[left, right][whole], atol=1e-5
    )


@EXAMPLES
@given(articles)
def test_overlaps_of_shingles_are_those_of_sets(texts):
    built, worded = vectors_of(texts)
    found, left, right = all_pairs((built, worded))
    sets = [set(part.tolist()) for part in np.split(worded.shingle_keys, worded.shingle_ends[:-1])]
    for p, (i, j) in enumerate(zip(left, right, strict=True)):
        shared = len(sets[i] & sets[j])
        expected = (shared / max(1, len(whole)) for whole in (sets[i] | sets[j], sets[i], sets[j]))
        measured = (found.jaccard[p], found.containment_l_in_r[p], found.containment_r_in_l[p])
        np.testing.assert_allclose(measured, list(expected), rtol=1e-6)


@EXAMPLES
@given(articles)
def test_shares_of_weight(texts):
    built, worded = vectors_of(texts)
    found, left, right = all_pairs((built, worded))
    squares = dense(built.term_keys, built.weights(), built.term_ends) ** 2
    shared = (squares[left] > 0) & (squares[right] > 0)
    np.testing.assert_allclose(found.weight_l_in_r, (squares[left] * shared).sum(axis=1), atol=1e-6)
    np.testing.assert_allclose(found.weight_r_in_l, (squares[right] * shared).sum(axis=1), atol=1e-6)
    for name, least in (("names", NAME), ("numbers", NUMBER)):
        weights = np.where(built.term_kinds & (NAME | NUMBER) >= least, built.weights(), 0)
        total = (dense(built.term_keys, weights, built.term_ends) ** 2).sum(axis=1)
        np.testing.assert_allclose(getattr(found, f"{name}_l"), total[left], atol=1e-6)
        np.testing.assert_allclose(getattr(found, f"{name}_r"), total[right], atol=1e-6)


@EXAMPLES
@given(st.one_of(articles, long_articles), st.one_of(st.none(), st.randoms(use_true_random=False)))
def test_what_the_rule_weighs_is_the_same_both_ways(texts, rng):
    found, left, right = all_pairs(vectors_of(texts, rng))
    weighed = measures.features(found)
    assert weighed.shape == (len(left), len(measures.FEATURES))
    assert np.isfinite(weighed).all()
    # Sums of float32 differ by the order in which the terms come.
    np.testing.assert_allclose(weighed, weighed[mirror(left, right)], atol=1e-6 if rng is None else 1e-4)
    np.testing.assert_array_equal(weighed[:, : len(measures.TERM_FEATURES)], measures.term_features(found))


@EXAMPLES
@given(long_articles)
def test_long_runs_are_the_same_both_ways(texts):
    found, left, right = all_pairs(vectors_of(texts))
    other = found.longest_run[mirror(left, right)]
    long = (found.longest_run >= measures.LONG_RUN) & (other >= measures.LONG_RUN)
    np.testing.assert_array_equal(found.longest_run[long], other[long])
    np.testing.assert_array_equal(found.quoted, found.quoted[mirror(left, right)])


@EXAMPLES
@given(articles, st.randoms(use_true_random=False))
def test_each_feature_is_made_of_its_measures(texts, rng):
    """Amounts by their logarithm, of what each has alone the lesser; of shares the least and the most."""
    found, _, _ = all_pairs(vectors_of(texts, rng))
    weighed = dict(zip(measures.FEATURES, measures.features(found).T, strict=True))
    for name in ("rarity_shared", "high_rarity_shared", "rarity_of_names_shared", "rarity_of_numbers_shared"):
        np.testing.assert_allclose(weighed[name], np.log1p(getattr(found, name)), rtol=1e-5)
    for name in ("names_of_own", "numbers_of_own"):
        least = [
            min(pair) for pair in zip(getattr(found, f"{name}_l"), getattr(found, f"{name}_r"), strict=True)
        ]
        np.testing.assert_allclose(weighed[name], np.log1p(least), rtol=1e-5)
    shares = [name.removesuffix("_least") for name in measures.FEATURES if name.endswith("_least")]
    for name in set(shares) - {"weight_shared"}:
        of_both = list(zip(getattr(found, f"{name}_l"), getattr(found, f"{name}_r"), strict=True))
        np.testing.assert_array_equal(weighed[f"{name}_least"], list(map(min, of_both)))
        np.testing.assert_array_equal(weighed[f"{name}_most"], list(map(max, of_both)))
    assert len(shares) == 8
    late = [
        0 if math.isnan(days) or quoted >= 46 else math.log1p(min(max(days - 1, 0), 14))
        for days, quoted in zip(found.days_apart, found.quoted, strict=True)
    ]
    np.testing.assert_allclose(weighed["days_late"], late, rtol=1e-6)
    same = [one == 1 and quoted < 46 for one, quoted in zip(found.same_source, found.quoted, strict=True)]
    np.testing.assert_array_equal(weighed["same_source"], same)


@pytest.mark.parametrize(("n", "quoted"), [(27, 0), (28, 4 * 24)], ids=["sentences", "paragraphs"])
def test_a_passage_in_pieces_is_no_long_run_and_quoted_where_they_are_paragraphs(n, quoted):
    """r says the passage in one go, l says four pieces of it with other words between."""
    words = [f"w{i}" for i in range(120)]
    pieces = [" ".join(words[at : at + n]) for at in (0, 30, 60, 90)]
    between = [" ".join(f"x{k}{i}" for i in range(20)) for k in range(4)]
    texts = [
        (None, " ".join(words)),
        (None, " ".join(part for pair in zip(pieces, between, strict=True) for part in pair)),
    ]
    found, left, right = all_pairs(vectors_of(texts))
    of = {pair: p for p, pair in enumerate(zip(left.tolist(), right.tolist(), strict=True))}
    assert found.longest_run[of[0, 0]] == found.quoted[of[0, 0]] == 116
    assert found.longest_run[of[0, 1]] == found.longest_run[of[1, 0]] == n - 4
    assert found.quoted[of[0, 1]] == found.quoted[of[1, 0]] == quoted
    # The days between them and a source of both count for sentences, and not for what is quoted.
    n = len(left)
    own = replace(found, days_apart=np.full(n, 20, np.float32), same_source=np.ones(n, np.float32))
    for name in ("days_late", "same_source"):
        against = measures.features(own)[:, measures.FEATURES.index(name)]
        assert against[of[0, 0]] == 0
        assert (against[of[0, 1]] > 0) == (quoted == 0)


def test_other_names_at_the_same_place_are_told_from_other_words():
    """A form filled in anew has other names and figures between the same words, a re-spin other words."""
    first = "Directors of Scotia approved a dividend of 51 cents, payable in May, to loyal holders in town."
    form = "Directors of Lockheed approved a dividend of 74 cents, payable in May, to loyal holders in town."
    respun = "Directors of Scotia approved a payout of 51 cents, payable in May, to faithful holders in town."
    # Among others, so that a name of one or two articles is rare.
    others = [f"Something else of day {i}" for i in range(40)]
    found, left, right = all_pairs(vectors_of([(None, text) for text in (first, form, respun, *others)]))
    of = {pair: p for p, pair in enumerate(zip(left.tolist(), right.tolist(), strict=True))}
    assert found.places_replaced[of[0, 1]] == found.places_replaced[of[0, 2]] == 2
    assert found.facts_replaced[of[0, 1]] > 2
    assert found.facts_replaced[of[0, 2]] == 0
    replaced = measures.features(found)[:, measures.FEATURES.index("facts_replaced")]
    assert replaced[of[0, 1]] > 0 == replaced[of[0, 2]] == replaced[of[0, 0]]


def test_an_article_is_wholly_itself():
    found, left, right = all_pairs(
        vectors_of([("Rain", "It rained in Paris on 3 May, for 12 hours."), (None, "5 words")])
    )
    same = left == right
    cosines = ("cosine", "cosine_bigrams", "cosine_names", "cosine_numbers")
    for name in (*cosines, "jaccard", "containment_l_in_r", "weight_l_in_r"):
        np.testing.assert_allclose(getattr(found, name)[same], 1, atol=1e-6)
    assert all((getattr(found, name) <= 1).all() for name in cosines)


def test_lots_are_taken_apart_and_put_together():
    found, _, _ = all_pairs(
        vectors_of([(None, "one two three"), (None, "two three four 5"), (None, "Paris 5")])
    )
    halves = [measures.take(found, np.arange(4)), measures.take(found, np.arange(9) >= 4)]
    again = measures.concatenate(halves)
    for name, values in vars(found).items():
        np.testing.assert_array_equal(getattr(again, name), values)


@EXAMPLES
@given(articles)
def test_word_order_leaves_the_term_measures_as_they_are(texts):
    """Those that the screen saw are those that the rule weighs; articles without wording share none."""
    (vectors, _), tokens = vectors_of(texts), kept(texts)
    found, left, right = all_pairs(vectors_of(texts))
    terms = measures.measure_terms(vectors, [vectors], left, np.zeros_like(right), right)
    for name in TermMeasures.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(found, name), getattr(terms, name))
    unworded = build(tokens, np.zeros(tokens.n_articles, np.bool_), counted(16, tokens), 5)
    nothing = measures.measure(unworded, unworded, left, right, terms, found.days_apart, found.same_source)
    shared = ("jaccard", "containment_l_in_r", "containment_r_in_l", "longest_run", "quoted")
    for name in (*shared, "facts_replaced", "places_replaced"):
        assert not getattr(nothing, name).any()
    np.testing.assert_array_equal(nothing.cosine_bigrams, terms.cosine / 2)


def test_more_likeness_speaks_for_a_pair_and_own_facts_late_days_and_one_source_against_it():
    ways = dict(zip(measures.FEATURES, measures.directions(measures.FEATURES), strict=True))
    against = {"names_of_own", "numbers_of_own", "facts_replaced", "days_late", "same_source"}
    assert {name for name, way in ways.items() if way < 0} == against
    assert {name for name, way in ways.items() if way == 0} == {"weight_of_names"}
    assert measures.directions(measures.TERM_FEATURES) == tuple(ways[name] for name in measures.TERM_FEATURES)
