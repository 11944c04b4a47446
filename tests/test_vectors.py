"""TF-IDF rows of terms against collections.Counter, scikit-learn and plain sums."""

from __future__ import annotations

import itertools
import math
from collections import Counter

import naive
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfTransformer
from stages import config, counted, kept, rows_in, sign
from texts import EXAMPLES, plain_texts

from pipeline import vectors
from pipeline.bags import Bags, bag
from pipeline.terms import MOST_RARITY, TermStatistics
from pipeline.text import KeptTokens
from pipeline.token_scan import CAPITAL, DIGIT, FURNITURE, TITLE
from pipeline.vectors import (
    LEAD,
    LEAD_FACTS,
    N_TOTALS,
    NAME,
    NAMES,
    NORM,
    NUMBER,
    NUMBERS,
    RARE_NAMES,
    RARE_NUMBERS,
    RARITY_STEPS,
    REPEATED_FACTS,
    REPEATS,
    TITLE_FACTS,
    TOLD_IN_TITLE,
    WEIGHT_TYPES,
    TermVectors,
    tfidf,
    weigh,
)

BITS = 16
ROUNDED = 1 / RARITY_STEPS  # half a step of an idf of at least 1, on both sides of a quotient
articles = st.lists(st.tuples(st.one_of(st.none(), plain_texts), plain_texts), min_size=1, max_size=5)


def weighed(tokens: KeptTokens, bits: int = BITS) -> tuple[Bags, TermStatistics, dict]:
    bags, statistics = bag(tokens)[0], counted(bits, tokens)
    return bags, statistics, weigh(bags, statistics)


def weights_of(bags: Bags, found: dict) -> np.ndarray:
    return TermVectors.of(bags, np.zeros(bags.n_articles, np.int64), found).weights()


@EXAMPLES
@given(st.integers(1, 8), st.integers(1, 8), st.data())
def test_weights_are_scikit_learns_with_the_collections_idf(n_rows, n_columns, data):
    """The idf comes from a larger collection than the batch that is weighted."""
    cells = st.lists(st.integers(0, 4), min_size=n_columns, max_size=n_columns)
    counts = data.draw(st.lists(cells, min_size=n_rows, max_size=n_rows + 4))
    collection = csr_matrix(counts, dtype=np.float64)
    transformer = TfidfTransformer(sublinear_tf=True).fit(collection)
    batch = collection[:n_rows]
    expected = transformer.transform(batch)
    idf = transformer.idf_.astype(np.float32)[batch.indices]
    found = tfidf(batch.data.astype(np.int32), idf, batch.indptr[1:].astype(np.int64))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected.data, rtol=1e-5)


@EXAMPLES
@given(articles)
def test_term_rows_are_scikit_learns(texts):
    """Where each term has a bucket of its own."""
    tokens = kept(texts)
    bags, statistics, found = weighed(tokens)
    counters = [Counter(tokens.terms[a:b].tolist()) for a, b in itertools.pairwise(tokens.indptr)]
    columns = {term: i for i, term in enumerate(sorted(set().union(*counters)))}
    assume(len(set(statistics.buckets(np.array(list(columns), np.uint32)).tolist())) == len(columns))
    if not columns:
        assert len(weights_of(bags, found)) == 0
        return
    matrix = csr_matrix((len(texts), len(columns))).tolil()
    for i, counter in enumerate(counters):
        for term, n in counter.items():
            matrix[i, columns[term]] = n
    expected = TfidfTransformer(sublinear_tf=True).fit_transform(matrix.tocsr()).toarray()
    dense = np.zeros_like(expected)
    keys, weights = rows_in(bags.term_keys, bags.term_ends), rows_in(weights_of(bags, found), bags.term_ends)
    for i, (row, values) in enumerate(zip(keys, weights, strict=True)):
        dense[i, [columns[key] for key in row]] = values
    np.testing.assert_allclose(dense, expected, rtol=ROUNDED)


@EXAMPLES
@given(articles, st.sampled_from([4, BITS]))
def test_weights_are_what_scikit_learn_makes_of_the_kept_rarity(texts, bits):
    """But for the rounding of the rarity they are as near as float32 lets them be."""
    bags, _, found = weighed(kept(texts), bits)
    idf = (1 + found["term_rarity"] / RARITY_STEPS).astype(np.float32)
    expected = tfidf(bags.term_counts, idf, bags.term_ends)
    np.testing.assert_allclose(weights_of(bags, found), expected, rtol=1e-5)


@EXAMPLES
@given(articles, st.sampled_from([1, 3, 6]))
def test_terms_that_share_a_bucket_share_its_idf(texts, bits):
    """At so few bits nearly all do; each keeps its own count and its own entry."""
    tokens = kept(texts)
    bags, statistics, found = weighed(tokens, bits)
    idf = np.maximum(statistics.idf(), 1).tolist()  # a rarity is never negative
    rows = zip(rows_in(bags.term_keys, bags.term_ends), rows_in(weights_of(bags, found), bags.term_ends),
               strict=True)  # fmt: skip
    for (keys, weights), (a, b) in zip(rows, itertools.pairwise(tokens.indptr), strict=True):
        counter = Counter(tokens.terms[a:b].tolist())
        assert keys == list(counter)
        expected = [(1 + math.log(n)) * idf[key % 2**bits] for key, n in counter.items()]
        norm = math.sqrt(sum(w * w for w in expected)) or 1.0
        np.testing.assert_allclose(weights, [w / norm for w in expected], rtol=ROUNDED)


@EXAMPLES
@given(articles, st.randoms(use_true_random=False))
def test_furniture_is_left_out(texts, rng):
    tokens = kept(texts)
    statistics = counted(BITS, tokens)
    for j in range(len(tokens.flags)):
        tokens.flags[j] |= FURNITURE * (rng.random() < 0.3)
    bags = bag(tokens)[0]
    rows = rows_in(weights_of(bags, weigh(bags, statistics)), bags.term_ends)
    for row, (a, b) in zip(rows, itertools.pairwise(tokens.indptr), strict=True):
        own = tokens.terms[a:b][(tokens.flags[a:b] & FURNITURE) == 0]
        assert len(row) == len(set(own.tolist()))
        assert sum(w * w for w in row) == pytest.approx(1 if row else 0, rel=1e-5)


def terms_of(bags: Bags, found: dict) -> list[list[naive.Term]]:
    """The terms of each article, for the plain twins."""
    columns = (weights_of(bags, found), found["term_kinds"], bags.term_counts, found["term_rarity"])
    rows = zip(*(rows_in(column, bags.term_ends) for column in columns), strict=True)
    return [
        [
            naive.Term(weight, kind, count, rarity / RARITY_STEPS, place < lead)
            for place, (weight, kind, count, rarity) in enumerate(zip(*row, strict=True))
        ]
        for row, lead in zip(rows, bags.lead_sizes.tolist(), strict=True)
    ]


def of_a_large_collection(data, bits: int) -> TermStatistics:
    """Some 200,000 articles, in which terms are as common or rare, and as often spelt large, as is drawn."""
    rng = data.draw(st.randoms(use_true_random=False))
    rows = [(rng.choice((0, 1, 20, 3_000, 200_000)), rng.choice((-1, 0, 1))) for _ in range(1 << bits)]
    return TermStatistics(200_000, np.array(rows, np.int32))


@EXAMPLES
@given(articles, st.sampled_from([4, 10]), st.data())
def test_totals_are_the_naive_twins(texts, bits, data):
    """In a collection of the size at which names and numbers are rare enough to count."""
    bags = bag(kept(texts))[0]
    statistics = of_a_large_collection(data, bits)
    found = weigh(bags, statistics)
    assert {name: values.dtype for name, values in found.items()} == WEIGHT_TYPES
    assert found["totals"].shape == (len(texts), N_TOTALS)
    expected = [naive.totals(row) for row in terms_of(bags, found)]
    np.testing.assert_allclose(found["totals"][:, :NORM], expected, rtol=1e-4, atol=1e-5)
    tf_idf = (1 + np.log(bags.term_counts.astype(np.float64))) * statistics.idf()[
        statistics.buckets(bags.term_keys)
    ]
    norms = [math.sqrt(sum(w * w for w in row)) for row in rows_in(tf_idf, bags.term_ends)]
    np.testing.assert_allclose(found["totals"][:, NORM], norms, rtol=ROUNDED)


@EXAMPLES
@given(articles, st.sampled_from([4, 10, BITS]), st.booleans(), st.data())
def test_rarity_is_the_logarithm_of_the_articles_for_each_that_holds_the_term(texts, bits, is_large, data):
    bags, statistics, found = weighed(kept(texts), bits)
    if is_large:
        statistics = of_a_large_collection(data, bits)
        found = weigh(bags, statistics)
    for key, rarity in zip(bags.term_keys.tolist(), found["term_rarity"].tolist(), strict=True):
        share = (1 + statistics.n_articles) / (1 + int(statistics.df[key % 2**bits]))
        # Where several terms of an article share a bucket, it can seem to be in more articles than there are.
        expected = min(max(0.0, math.log(share)), MOST_RARITY) * RARITY_STEPS
        assert abs(rarity - expected) <= 0.5 + 0.01  # rounded, from an idf in float32


def test_totals_by_hand():
    """Rarity is 0 for rain, 6.91 for what one article in a thousand has, 3 for what one in twenty has."""
    tokens = kept([("Paris rain", "we saw Paris and rain and Fog and Fog in 1998 . 1998 was small Paris")])
    bags = bag(tokens)[0]
    assert len(set((bags.term_keys & 0xFFFF).tolist())) == len(bags.term_keys)
    counts = np.zeros((1 << 16, 2), np.int32)
    words = ["paris", "rain", "we", "saw", "and", "fog", "in", "1998", "was", "small"]
    bucket = {word: int(key) & 0xFFFF for word, key in zip(words, bags.term_keys.tolist(), strict=True)}
    n = 10_000
    for word, df, spelling in (
        ("paris", 9, 1), ("fog", 500, 1), ("1998", 500, 0), ("rain", n, 0), ("we", n, -1), ("saw", n, -1),
        ("and", n, -1), ("in", n, -1), ("was", n, -1), ("small", 9, -1),
    ):  # fmt: skip
        counts[bucket[word]] = df, spelling
    found = weigh(bags, TermStatistics(n, counts))
    rarity = dict(zip(words, (found["term_rarity"] / RARITY_STEPS).tolist(), strict=True))
    very, some = math.log(10_001 / 10), math.log(10_001 / 501)
    assert [rarity[w] for w in ("paris", "fog", "1998", "rain")] == pytest.approx(
        [very, some, some, 0], abs=1e-3
    )
    kinds = dict(zip(words, found["term_kinds"].tolist(), strict=True))
    assert (kinds["paris"], kinds["rain"], kinds["fog"]) == (NAME | TOLD_IN_TITLE, TOLD_IN_TITLE, NAME)
    assert (kinds["1998"], kinds["small"]) == (NUMBER, 0)
    squares = dict(zip(words, (weights_of(bags, found).astype(float) ** 2).tolist(), strict=True))
    [totals] = found["totals"].tolist()
    by_hand = {
        NAMES: squares["paris"] + squares["fog"] + squares["1998"],
        NUMBERS: squares["1998"],
        RARE_NAMES: very - 4,
        RARE_NUMBERS: some - 2,
        LEAD: 2 * very**2 + 2 * some**2,
        LEAD_FACTS: very**2 + 2 * some**2,
        REPEATS: (very - 2) ** 2 * math.log(3) + 2 * (some - 2) ** 2 * math.log(2),
        REPEATED_FACTS: (very - 2) ** 2 * math.log(3) + 2 * (some - 2) ** 2 * math.log(2),
        TITLE_FACTS: (very - 2) ** 2,
        NORM: (1 + math.log(3)) * (1 + very) / math.sqrt(squares["paris"]),
    }
    assert sorted(by_hand) == list(range(N_TOTALS))
    assert totals == pytest.approx([by_hand[column] for column in range(N_TOTALS)], rel=2e-3)


@EXAMPLES
@given(articles, st.data())
def test_a_term_is_a_name_where_its_bucket_or_else_its_article_spells_it_so(texts, data):
    """With any spelling of the collection; the article's own first spelling decides where that is 0."""
    bags, statistics, _ = weighed(kept(texts), 4)
    spelling = data.draw(st.lists(st.integers(-1, 1), min_size=16, max_size=16))
    other = TermStatistics(statistics.n_articles, np.column_stack((statistics.df, spelling)).astype(np.int32))
    kinds = weigh(bags, other)["term_kinds"].tolist()
    for key, flags, kind in zip(bags.term_keys.tolist(), bags.term_flags.tolist(), kinds, strict=True):
        is_name = spelling[key % 16] > 0 or (spelling[key % 16] == 0 and flags & CAPITAL)
        in_title = TOLD_IN_TITLE if flags & TITLE else 0
        assert kind == (NUMBER if flags & DIGIT else NAME if is_name else 0) | in_title


def test_names_of_a_text():
    bodies = ("we saw Paris and Paris and rain in 1998 . so Paris", "the rain fell on Fog")
    tokens = kept([(None, body) for body in bodies])
    flags = {int(t): int(f) for t, f in zip(tokens.terms, tokens.flags, strict=True)}
    bags, statistics, found = weighed(tokens)
    kinds = dict(zip(bags.term_keys.tolist(), found["term_kinds"].tolist(), strict=True))
    for term, kind in kinds.items():
        spelling = int(statistics.spelling[term % 2**BITS])
        is_name = spelling > 0 or (spelling == 0 and flags[term] & CAPITAL)
        assert kind == (NUMBER if flags[term] & DIGIT else NAME if is_name else 0)
    assert Counter(kinds.values()) == {0: 9, NAME: 2, NUMBER: 1}


def test_terms_of_the_title_are_marked_wherever_else_they_stand():
    """Each by its first place, which is the title's; what only the body has isn't marked."""
    bags, _, found = weighed(kept([("Rain 5", "no more rain in wet Paris"), (None, "Rain 5"), ("", "rain")]))
    told = [kind & TOLD_IN_TITLE for kind in found["term_kinds"].tolist()]
    assert rows_in(np.array(told), bags.term_ends) == [[4, 4, 0, 0, 0, 0, 0], [0, 0], [0]]


def test_written_groups_hold_what_one_batch_would(tmp_path, monkeypatch):
    """Rows go on counting over batches and groups; an article without tokens has an empty row."""
    monkeypatch.setattr(vectors, "AT_A_TIME", 2)
    body = "Story {} of the bridge in Paris cost {} coins and then more rain fell"
    collection = [("s", None, body.format(i, 7 * i)) for i in range(9)]
    collection[4] = ("s", None, "...")
    signing = sign(tmp_path, collection, config("furniture.min_articles=100"), n_groups=3)
    whole = bag(kept([(title, body) for _, title, body in collection]))[0]
    expected = weigh(whole, TermStatistics.load(signing.statistics))
    assert [s.weights.first_row for s in signing.signed] == [g.first_row for g in signing.groups]
    assert sum(s.weights.n_articles for s in signing.signed) == len(collection)
    loaded = [TermVectors.load(s.bags, s.weights) for s in signing.signed]
    for name in WEIGHT_TYPES:
        np.testing.assert_array_equal(np.concatenate([getattr(v, name) for v in loaded]), expected[name])
    for name in ("term_counts", "lead_sizes"):
        np.testing.assert_array_equal(
            np.concatenate([getattr(v, name) for v in loaded]), getattr(whole, name)
        )
    found = [row for v in loaded for row in rows_in(v.term_keys, v.term_ends)]
    assert found == rows_in(whole.term_keys, whole.term_ends)
    n_tokens = np.concatenate([v.n_tokens for v in loaded]).tolist()
    assert n_tokens == np.diff(kept([(t, b) for _, t, b in collection]).indptr).tolist()
    assert loaded[0].term_keys.flags.writeable is False


def test_n_tokens_counts_furniture(tmp_path):
    pages = [("a.com", None, f"{'word ' * 9}{i}\nShare\nShare") for i in range(5)]
    settings = config("furniture.min_articles=3")
    [signed] = sign(tmp_path, pages, settings, n_groups=1).signed
    loaded = TermVectors.load(signed.bags, signed.weights)
    assert loaded.n_tokens.tolist() == [12] * 5
    assert np.diff(loaded.term_ends, prepend=0).tolist() == [2] * 5


def test_a_group_of_empty_articles_can_be_loaded(tmp_path):
    [signed] = sign(tmp_path, [("s", None, "..."), ("s", None, "!")], config(), n_groups=1).signed
    loaded = TermVectors.load(signed.bags, signed.weights)
    assert loaded.term_ends.tolist() == loaded.n_tokens.tolist() == [0, 0]
    assert loaded.totals.tolist() == [[0] * N_TOTALS] * 2
    assert loaded.lead_sizes.tolist() == [0, 0]
    assert len(loaded.term_keys) == len(loaded.weights()) == 0
