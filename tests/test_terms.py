"""Term statistics: against the plain twin and scikit-learn's idf, the same however shards are grouped."""

from __future__ import annotations

import dataclasses
import itertools

import naive
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfTransformer
from stages import config, kept, write_shards
from texts import EXAMPLES, collections

from pipeline import common_words, furniture, terms, text
from pipeline.shards import group_shards
from pipeline.terms import TermCounter, TermStatistics, bits_for
from pipeline.token_scan import FURNITURE

BITS = 6


def counted(*batches) -> TermStatistics:
    counter = TermCounter(BITS)
    for batch in batches:
        counter.add(batch)
    return counter.result()


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
    found = counted(*made)
    df, spelling = naive.document_frequencies([a for batch in made for a in of_articles(batch)], BITS)
    assert found.n_articles == sum(len(articles) for articles in batches)
    assert found.df.tolist() == df
    assert found.spelling.tolist() == spelling


@EXAMPLES
@given(collections, collections)
def test_counts_add_up_over_batches(left, right):
    left, right = kept(left), kept(right)
    assert_equal(counted(left) + counted(right), counted(left, right))
    assert_equal(counted(left) + TermStatistics.empty(BITS), counted(left))


def test_spelling_tells_names_from_words():
    body = "Once upon a time Ann met the rain. Rain fell on Ann"
    found = counted(kept([("Big Rain Title Here", body), (None, "x the 5 B2")]))
    sign = {w: int(found.spelling[kept([(None, w)]).terms[0] % (1 << BITS)]) for w in ("ann", "met", "rain")}
    assert sign == {"ann": 2, "met": -1, "rain": -1}


@EXAMPLES
@given(collections.filter(len))
def test_idf_is_that_of_scikit_learn(articles):
    batch = kept(articles)
    found = counted(batch)
    rows = np.repeat(np.arange(batch.n_articles), np.diff(batch.indptr))
    shape = (batch.n_articles, 1 << BITS)
    matrix = csr_matrix((np.ones(len(rows)), (rows, batch.terms % (1 << BITS))), shape=shape)
    np.testing.assert_allclose(found.idf(), TfidfTransformer().fit(matrix).idf_, rtol=1e-6)


def test_rarity_is_nothing_for_a_term_of_every_article():
    statistics = TermStatistics(3, np.array([3, 1], np.uint32), np.zeros(2, np.int32))
    np.testing.assert_allclose(statistics.rarity(), [0, np.log(2)], atol=1e-7)


def test_statistics_come_back_from_their_file(tmp_path):
    found = counted(kept([("Title", "one Two 3\nfour")]))
    ref = found.save(tmp_path / "terms.npz")
    assert ref.rows == 1
    assert_equal(TermStatistics.load(ref.path), found)
    assert {f.name: getattr(TermStatistics.load(ref.path), f.name).dtype
            for f in dataclasses.fields(found)[1:]} == {"df": np.uint32, "spelling": np.int32}  # fmt: skip


def test_the_stage_counts_the_same_however_the_shards_are_grouped(tmp_path):
    bodies = [f"Leave a Reply\nstory {i} of {i % 3} and Bob{i}\nsecond line" for i in range(9)]
    articles = [("s", f"Title {i}", body) for i, body in enumerate(bodies)]
    settings = config("furniture.min_articles=2")
    totals = []
    for n_groups in (1, 2, 3):
        folder = tmp_path / str(n_groups)
        groups = group_shards(write_shards(folder, articles), n_groups)
        tokens = [text.tokenise_group(group, folder) for group in groups]
        both = list(zip(groups, tokens, strict=True))
        found = furniture.merge([furniture.count(*b, settings, folder) for b in both], settings, folder)
        parts = [terms.count(*b, found, 16, settings, folder) for b in both]
        totals.append(TermStatistics.load(terms.merge(parts, folder).path))
    assert_equal(totals[0], totals[1])
    assert_equal(totals[0], totals[2])
    # Furniture isn't counted: "reply" stands nowhere else. What news at large has of it is the prior's.
    prior = terms.with_prior(TermStatistics.empty(16))
    place = kept([(None, "reply story")]).terms % (1 << 16)
    assert (totals[0].df[place] - prior.df[place]).tolist() == [0, 9]


def test_the_prior_counts_as_so_many_articles_more():
    own = counted(kept([(None, "the bridge")]))
    words, counts = common_words.prior()
    both = terms.with_prior(own)
    assert both.n_articles == 1 + common_words.PRIOR_ARTICLES
    expected = own.df.astype(np.int64) + np.bincount(words % (1 << BITS), counts, 1 << BITS).astype(np.int64)
    assert both.df.tolist() == expected.tolist()
    np.testing.assert_array_equal(both.spelling, own.spelling)
    assert own.n_articles == 1


def test_the_table_grows_with_the_collection_within_bounds():
    sizes = [bits_for(n) for n in (0, 1, 2**20, 2**23, 2**26, 2**29, 2**32, 2**45)]
    assert sizes == sorted(sizes)
    assert (sizes[0], sizes[-1]) == (16, 24)
    assert all(b - a in (0, 1, 2, 3) for a, b in itertools.pairwise(sizes))
