"""The elements of both views against their plain twins."""

from __future__ import annotations

import itertools

import naive
import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st
from texts import EXAMPLES

from pipeline.elements import rare_elements, shingle_elements
from pipeline.token_scan import CAPITAL, DIGIT, FURNITURE

TERMS = st.one_of(st.integers(0, 12), st.integers(0, 2**32 - 1))
FLAGS = st.sampled_from([0, 0, 0, CAPITAL, DIGIT, CAPITAL | DIGIT, FURNITURE, FURNITURE | CAPITAL])
ARTICLES = st.lists(st.lists(st.tuples(TERMS, FLAGS), max_size=14), max_size=5)
BITS = 4
DF = st.lists(st.integers(0, 6), min_size=1 << BITS, max_size=1 << BITS)
SPELLING = st.lists(st.integers(-2, 2), min_size=1 << BITS, max_size=1 << BITS)


def arrays(articles):
    """terms, flags and indptr of articles of (term, flags)."""
    flat = [token for article in articles for token in article]
    return (
        np.array([term for term, _ in flat], np.uint32), np.array([flags for _, flags in flat], np.uint8),
        np.cumsum([0, *map(len, articles)]).astype(np.int64),
    )  # fmt: skip


def shingles(articles, k: int) -> list[list[int]]:
    terms, flags, indptr = arrays(articles)
    out, out_indptr = np.empty(len(terms), np.uint32), np.empty(len(indptr), np.int64)
    n = shingle_elements(terms, flags, indptr, k, out, out_indptr)
    assert n == out_indptr[-1]
    return [out[a:b].tolist() for a, b in itertools.pairwise(out_indptr)]


@EXAMPLES
@given(ARTICLES, st.integers(1, 6))
@example([[], [(5, FURNITURE)], [(5, 0)], [(1, 0), (2, FURNITURE), (3, 0)]], 2)
def test_shingles_are_the_naive_twins(articles, k):
    expected = [[term for term, flags in article if not flags & FURNITURE] for article in articles]
    assert shingles(articles, k) == [naive.shingle_elements(terms, k) for terms in expected]


@EXAMPLES
@given(st.lists(TERMS, min_size=3, max_size=10), st.lists(TERMS, max_size=4), st.lists(TERMS, max_size=4))
def test_a_passage_has_the_same_shingles_wherever_it_stands(passage, before, after):
    alone, within = shingles([[(t, 0) for t in passage], [(t, 0) for t in before + passage + after]], 3)
    assert within[len(before) : len(before) + len(alone)] == alone


def test_articles_shorter_than_a_shingle_have_one_element_each_of_their_own():
    short = [[1], [2], [1, 2], [2, 1], [1, 1], [1, 2, 3], [3, 2, 1], [1, 2, 3, 4], [0], [0, 0], [0, 0, 0]]
    found = shingles([[(t, 0) for t in terms] for terms in short], 5)
    assert [len(elements) for elements in found] == [1] * len(short)
    assert len({elements[0] for elements in found}) == len(short)


def test_an_article_without_tokens_of_its_own_has_no_shingle():
    assert shingles([[], [(1, FURNITURE), (2, FURNITURE)]], 5) == [[], []]


def rare(articles, df, spelling, most, name_weight, number_weight) -> list[list[int]]:
    bags = [naive.bag(article) for article in articles]
    keys = np.array([term for own in bags for term in own], np.uint32)
    flags = np.array([first for own in bags for _, first, _ in own.values()], np.uint8)
    ends = np.cumsum([len(own) for own in bags]).astype(np.int64)
    room = len(keys) * (1 + max(name_weight, number_weight))
    out, out_indptr = np.empty(room, np.uint32), np.empty(len(ends) + 1, np.int64)
    buckets = keys & np.uint32(len(df) - 1)
    told = np.array(df, np.int32)[buckets], np.array(spelling)[buckets] > 0
    n = rare_elements(keys, flags, ends, *told, most, name_weight, number_weight, out, out_indptr)
    assert n == out_indptr[-1]
    return [out[a:b].tolist() for a, b in itertools.pairwise(out_indptr)]


@EXAMPLES
@given(ARTICLES, DF, SPELLING, st.integers(0, 6), st.integers(0, 3), st.integers(0, 3))
def test_rare_elements_are_the_naive_twins(articles, df, spelling, most, name_weight, number_weight):
    expected = [naive.rare_elements(a, df, spelling, most, name_weight, number_weight) for a in articles]
    assert rare(articles, df, spelling, most, name_weight, number_weight) == expected


def test_names_and_numbers_weigh_more():
    # Buckets 0..3: a common word, a rare word, a rare name, a rare number; bucket 4: spelt small elsewhere.
    df, spelling = [9, 1, 1, 1, 1, *[0] * 11], [0, -3, 3, 0, -1, *[0] * 11]
    article = [(0, 0), (1, 0), (1, 0), (2, CAPITAL), (3, DIGIT), (4, CAPITAL), (5, FURNITURE)]
    [found] = rare([article], df, spelling, 2, 2, 3)
    assert len(found) == 0 + 1 + 3 + 4 + 1
    assert len(set(found)) == len(found)


def test_replicated_elements_make_the_weighted_resemblance():
    # Two articles share a name (weight 2) and differ in one plain term each: 2 of 4 elements.
    df, spelling = [1] * 16, [1] * 16
    one, other = rare([[(1, CAPITAL), (2, 0)], [(1, CAPITAL), (3, 0)]], df, spelling, 2, 1, 1)
    assert naive.jaccard(one, other) == 2 / 4


def test_every_term_of_a_shared_bucket_has_its_elements():
    df, spelling = [1] * (1 << BITS), [0] * (1 << BITS)
    both, one, other = rare(
        [[(3, 0), (3 + (1 << BITS), DIGIT)], [(3, 0)], [(3 + (1 << BITS), DIGIT)]], df, spelling, 1, 1, 1
    )
    assert both == one + other
    assert (len(one), len(other)) == (1, 2)
    # A common bucket is common for both.
    assert rare([[(3, 0), (3 + (1 << BITS), DIGIT)]], df, spelling, 0, 1, 1) == [[]]
