"""Term statistics: against the plain twin and scikit-learn's idf, the same however shards are grouped."""

from __future__ import annotations

import itertools

import naive
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from other_languages import STORIES
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfTransformer
from stages import config, counted, kept, rows_in, tokenised, write_shards
from texts import EXAMPLES, collections

from pipeline import array_files, common_words, furniture, terms
from pipeline.bags import Bags
from pipeline.shards import group_shards
from pipeline.terms import TermStatistics, bits_for
from pipeline.token_scan import FURNITURE

BITS = 6


def of_articles(batch) -> list[list[tuple[int, int]]]:
    pairs = list(zip(batch.terms.tolist(), batch.flags.tolist(), strict=True))
    return [pairs[a:b] for a, b in itertools.pairwise(batch.indptr)]


def assert_equal(one: TermStatistics, other: TermStatistics) -> None:
    assert one.n_articles == other.n_articles
    np.testing.assert_array_equal(one.df, other.df)
    np.testing.assert_array_equal(one.spelling, other.spelling)


@EXAMPLES
@given(st.lists(collections, max_size=3), st.data())
def test_counts_are_the_naive_twins(batches, data):
    made = [kept(articles) for articles in batches]
    for batch in made:
        chosen = data.draw(st.lists(st.booleans(), min_size=len(batch.flags), max_size=len(batch.flags)))
        batch.flags[np.array(chosen, bool)] |= FURNITURE
    found = counted(BITS, *made)
    df, spelling = naive.document_frequencies([a for batch in made for a in of_articles(batch)], BITS)
    assert found.n_articles == sum(len(articles) for articles in batches)
    assert found.df.tolist() == df
    assert found.spelling.tolist() == spelling


def test_spelling_tells_names_from_words():
    body = "Once upon a time Ann met the rain. Rain fell on Ann"
    found = counted(BITS, kept([("Big Rain Title Here", body), (None, "x the 5 B2")]))
    sign = {w: int(found.spelling[kept([(None, w)]).terms[0] % (1 << BITS)]) for w in ("ann", "met", "rain")}
    assert sign == {"ann": 2, "met": -1, "rain": -1}


@EXAMPLES
@given(collections.filter(len))
def test_idf_is_that_of_scikit_learn(articles):
    """Of a matrix with a column for each bucket that adds up how many of its terms an article has."""
    batch = kept(articles)
    found = counted(BITS, batch)
    distinct = [sorted({term for term, _ in article}) for article in of_articles(batch)]
    df = np.bincount([t % (1 << BITS) for own in distinct for t in own], minlength=1 << BITS)
    np.testing.assert_array_equal(found.df, df)
    # Where no two terms of an article share a bucket, df counts articles, and idf is scikit-learn's.
    rows = np.repeat(np.arange(batch.n_articles), np.diff(batch.indptr))
    shape = (batch.n_articles, 1 << BITS)
    matrix = csr_matrix((np.ones(len(rows)), (rows, batch.terms % (1 << BITS))), shape=shape)
    theirs = TfidfTransformer().fit(matrix).idf_
    shared = np.zeros(1 << BITS, bool)
    for own in distinct:
        buckets, n = np.unique(np.array(own, np.int64) % (1 << BITS), return_counts=True)
        shared[buckets[n > 1]] = True
    np.testing.assert_allclose(found.idf()[~shared], theirs[~shared], rtol=1e-6)
    # A shared bucket looks less rare than it is, never rarer.
    assert (found.idf()[shared] < theirs[shared]).all()


@EXAMPLES
@given(collections.filter(len))
def test_the_idf_of_terms_far_apart_is_scikit_learns(articles):
    """Where no two terms share a bucket, whatever their article."""
    batch = kept(articles)
    found = counted(16, batch)
    rows = np.repeat(np.arange(batch.n_articles), np.diff(batch.indptr))
    distinct, columns = np.unique(batch.terms, return_inverse=True)
    assume(0 < len(distinct) == len(set(found.buckets(distinct).tolist())))
    matrix = csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(batch.n_articles, len(distinct)))
    np.testing.assert_allclose(
        found.idf(found.df[found.buckets(distinct)]), TfidfTransformer().fit(matrix).idf_, rtol=1e-6
    )


def test_two_terms_of_a_bucket_count_twice_and_no_more_than_the_articles(tmp_path):
    """Terms 3 and 3 + 2**BITS of every article, and of the prior's articles nothing but what they have."""
    group = group_shards(write_shards(tmp_path, [("s", None, "...")]).articles, 1)[0]
    n = 4 * common_words.PRIOR_ARTICLES
    statistics = TermStatistics(n, np.zeros((1 << BITS, 2), np.int32))
    statistics.counts[3] = 2 * n, -7
    files = array_files.write_arrays(group, {}, iter([]), tmp_path)
    ref = terms.save_held(tmp_path / "terms-000.npy", statistics)
    merged = TermStatistics.load(terms.merge([terms.Counted(ref, files)], BITS, tmp_path))
    prior = terms.with_prior(TermStatistics(n, np.zeros((1 << BITS, 2), np.int32)))
    assert merged.n_articles == n + common_words.PRIOR_ARTICLES
    assert merged.df[3] == merged.n_articles
    assert merged.spelling[3] == -7
    others = np.arange(1 << BITS) != 3
    expected = np.minimum(prior.df[others], merged.n_articles)
    np.testing.assert_array_equal(merged.df[others], expected)
    assert (merged.rarity() >= 0).all()


def test_rarity_is_nothing_for_a_term_of_every_article():
    statistics = TermStatistics(3, np.array([[3, 0], [1, 0]], np.int32))
    np.testing.assert_allclose(statistics.rarity(), [0, np.log(2)], atol=1e-7)


@pytest.mark.parametrize(("n", "df", "expected"), [
    (22_025, 0, np.log(22_026)), (22_027, 0, 10), (3_000_000, 1, 10), (3_000_000, 135, 10),
    (3_000_000, 137, np.log(3_000_001 / 138)),
])  # fmt: skip
def test_terms_of_a_large_collection_are_no_rarer_than_those_of_a_small_one(n, df, expected):
    statistics = TermStatistics(n, np.array([[df, 0]], np.int32))
    np.testing.assert_allclose(statistics.rarity(), [expected], rtol=1e-6)


@EXAMPLES
@given(collections)
def test_the_idf_of_counts_is_that_of_their_buckets(articles):
    found = counted(BITS, kept(articles))
    np.testing.assert_array_equal(found.idf(found.df), found.idf())
    terms_of = kept(articles).terms
    np.testing.assert_array_equal(found.buckets(terms_of), terms_of % (1 << BITS))


def test_statistics_come_back_from_their_file(tmp_path):
    found = counted(BITS, kept([("Title", "one Two 3\nfour")]))
    ref = found.save(tmp_path / "terms.npy")
    assert ref.rows == 1
    loaded = TermStatistics.load(ref)
    assert_equal(loaded, found)
    assert (loaded.df.dtype, loaded.spelling.dtype) == (np.int32, np.int32)
    assert not loaded.counts.flags.writeable


def test_the_stage_counts_the_same_however_the_shards_are_grouped(tmp_path):
    bodies = [f"Leave a Reply\nstory {i} of {i % 3} and Bob{i}\nsecond line" for i in range(9)]
    articles = [("s", f"Title {i}", body) for i, body in enumerate(bodies)]
    settings = config("furniture.min_articles=2")
    totals = []
    for n_groups in (1, 2, 3):
        folder = tmp_path / str(n_groups)
        groups, tokens = tokenised(folder, articles, n_groups)
        both = list(zip(groups, tokens, strict=True))
        found = furniture.merge([furniture.count(*b, settings, folder) for b in both], settings, folder)
        parts = [terms.count(*b, found, 16, settings, folder) for b in both]
        totals.append(TermStatistics.load(terms.merge(parts, 16, folder)))
    assert_equal(totals[0], totals[1])
    assert_equal(totals[0], totals[2])
    # Furniture isn't counted: "reply" stands nowhere else. What news at large has of it is the prior's.
    prior = terms.with_prior(TermStatistics(len(bodies), TermStatistics.empty(16).counts))
    place = kept([(None, "reply story")]).terms % (1 << 16)
    assert (totals[0].df[place] - prior.df[place]).tolist() == [0, 9]


def test_the_stage_keeps_the_bags_of_its_articles(tmp_path):
    """What it counted is what stands in the files, furniture left out; `n_tokens` counts it."""
    bodies = [f"Leave a Reply\nstory {i} of {i % 3} and Bob{i}\nsecond line" for i in range(7)]
    bodies[3] = "..."
    settings = config("furniture.min_articles=2")
    groups, tokens = tokenised(tmp_path, [("s", None, body) for body in bodies])
    both = list(zip(groups, tokens, strict=True))
    masked = furniture.merge([furniture.count(*b, settings, tmp_path) for b in both], settings, tmp_path)
    for group, ref in both:
        part = terms.count(group, ref, masked, 16, settings, tmp_path)
        loaded = part.bags.load()
        own = Bags.of(loaded)
        assert (part.bags.first_row, own.n_articles) == (group.first_row, group.n_articles)
        assert part.statistics.rows == group.n_articles
        held = np.load(part.statistics.path)
        buckets, n = np.unique(own.term_keys & np.uint32((1 << 16) - 1), return_counts=True)
        assert held[:, 0].tolist() == buckets.tolist()
        assert held[:, 1].tolist() == n.tolist()
        here = bodies[group.first_row : group.first_row + group.n_articles]
        assert loaded["n_tokens"].tolist() == [len(naive.tokenise_text(body)) for body in here]
        for body, keys in zip(here, rows_in(own.term_keys, own.term_ends), strict=True):
            terms_of = [t.term for t in naive.tokenise_text(body.removeprefix("Leave a Reply\n"))]
            # "second line" is furniture too.
            assert keys == list(dict.fromkeys(terms_of[: -2 if len(terms_of) > 2 else None]))


@pytest.mark.parametrize("n", [1, 29_999, 30_000, 10**6])
def test_the_prior_counts_for_what_a_collection_lacks(n):
    own = TermStatistics(n, counted(BITS, kept([(None, "the bridge")])).counts)
    both = terms.with_prior(own)
    n_lacking = max(0, 30_000 - n)
    assert both.n_articles == n + 10_000 + n_lacking
    expected = own.df.astype(np.int64)
    for name, n_articles in (("common_words", 10_000), ("news_words", n_lacking)):
        words = common_words.words_of(name)
        articles = np.round(n_articles * words.shares)
        expected += np.bincount(words.terms % (1 << BITS), articles, 1 << BITS).astype(np.int64)
    assert both.df.tolist() == expected.tolist()
    np.testing.assert_array_equal(both.spelling, own.spelling)
    assert own.n_articles == n


@pytest.mark.parametrize("language", [*STORIES, "English"])
def test_no_english_is_added_to_other_languages(language):
    english = "Ministers met on Tuesday to discuss new rules on the price of bread, and said they were good."
    texts = STORIES.get(language, (english,))
    both = terms.with_prior(counted(16, kept([(None, text) for text in texts])))
    n_lacking = 30_000 - len(texts) if language == "English" else 0
    assert both.n_articles == len(texts) + 10_000 + n_lacking


def test_rare_words_are_as_rare_in_a_small_collection_as_in_the_one_that_the_rule_knows():
    """Of a name that two articles have, and of words that are common in news at large."""
    batch = kept([(None, "the police"), (None, "Kesara police"), (None, "Kesara said")])
    small = terms.with_prior(counted(16, batch))
    name, common, known = kept([(None, "Kesara the police")]).terms
    rarity = small.idf(small.df[small.buckets(np.array([name, common, known]))]) - 1
    assert rarity[0] == pytest.approx(np.log(40_001 / 3), abs=1e-3)
    assert rarity[1] < 0.1
    assert 2 < rarity[2] < 6


def test_the_table_grows_with_the_collection_within_bounds():
    sizes = [bits_for(n) for n in (0, 1, 2**20, 2**23, 2**26, 2**29, 2**32, 2**45)]
    assert sizes == sorted(sizes)
    assert (sizes[0], sizes[-1]) == (20, 24)
    assert all(b - a in (0, 1, 2, 3) for a, b in itertools.pairwise(sizes))
