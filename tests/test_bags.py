"""Bags of terms, and distinct rows, against collections.Counter and the plain twins."""

from __future__ import annotations

import itertools
import random
from collections import Counter

import naive
import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st
from stages import kept, rows_in
from texts import EXAMPLES, collections

from pipeline.bags import BAG_TYPES, LEAD_TOKENS, MOST_COUNTED, Bags, bag, distinct_rows
from pipeline.text import KeptTokens
from pipeline.token_scan import CAPITAL, CASE_OWED, DIGIT, FURNITURE, TITLE

# Few different keys repeat, keys equal but for their high bits or their low ones meet in the slots.
KEYS = st.one_of(
    st.integers(0, 6), st.integers(0, 6).map(lambda k: k << 29), st.integers(0, 6).map(lambda k: k * 128),
    st.integers(0, 2**32 - 1),
)  # fmt: skip
ROWS = st.lists(st.lists(KEYS, max_size=30), max_size=6)
FLAGS = st.sampled_from(
    [0, 0, CAPITAL, CAPITAL | CASE_OWED, CASE_OWED, TITLE, DIGIT, FURNITURE, CAPITAL | TITLE]
)
ARTICLES = st.lists(st.lists(st.tuples(KEYS, FLAGS), max_size=30), max_size=6)


def tokens_of(articles: list[list[tuple[int, int]]]) -> KeptTokens:
    """Kept tokens of articles of (term, flags), without lines."""
    flat = [token for article in articles for token in article]
    terms, flags = np.array([t for t, _ in flat], np.uint32), np.array([f for _, f in flat], np.uint8)
    n, none = len(articles), np.zeros(0, np.int64)
    return KeptTokens(
        terms, flags, np.cumsum([0, *map(len, articles)]).astype(np.int64), np.zeros(n, np.int32),
        none.astype(np.uint64), none.astype(np.int32), np.zeros(n + 1, np.int64), np.zeros(n, np.uint64),
    )  # fmt: skip


def rows_of(bags: Bags, spelt: np.ndarray) -> list[dict[int, list[int]]]:
    """As `naive.bag` gives them, in order."""
    columns = (bags.term_keys, bags.term_counts, bags.term_flags, spelt)
    rows = zip(*(rows_in(column, bags.term_ends) for column in columns), strict=True)
    return [{key: list(rest) for key, *rest in zip(*row, strict=True)} for row in rows]


@EXAMPLES
@given(ARTICLES)
@example([])
@example([[], [(5, FURNITURE)], []])
def test_bags_are_the_naive_twins(articles):
    bags, spelt = bag(tokens_of(articles))
    expected = [naive.bag(article) for article in articles]
    found = rows_of(bags, spelt)
    assert found == expected
    # Dicts are equal in any order: that of the text is part of the promise.
    assert [list(row) for row in found] == [list(row) for row in expected]
    assert bags.n_articles == len(articles)
    assert (len(bags.term_keys), len(spelt)) == (sum(map(len, expected)),) * 2


@EXAMPLES
@given(collections)
def test_bags_count_the_words_of_a_text(articles):
    tokens = kept(articles)
    bags, _ = bag(tokens)
    for i, (a, b) in enumerate(itertools.pairwise(tokens.indptr)):
        own = slice(int(bags.term_ends[i - 1]) if i else 0, int(bags.term_ends[i]))
        counter = Counter(tokens.terms[a:b].tolist())
        assert list(counter.items()) == list(
            zip(bags.term_keys[own].tolist(), bags.term_counts[own].tolist(), strict=True)
        )
    assert {name: getattr(bags, name).dtype for name in BAG_TYPES} == BAG_TYPES


def test_the_case_counts_where_it_is_free():
    article = [(1, CAPITAL), (1, CAPITAL | CASE_OWED), (1, 0), (1, CAPITAL), (2, TITLE), (3, DIGIT), (4, 0)]
    bags, spelt = bag(tokens_of([article]))
    assert spelt.tolist() == [1, 0, 0, -1]
    assert bags.term_counts.tolist() == [4, 1, 1, 1]
    assert bags.term_flags.tolist() == [CAPITAL, TITLE, DIGIT, 0]


def test_a_count_stops_at_the_most_that_is_counted():
    bags, _ = bag(
        tokens_of([[(1, 0)] * (MOST_COUNTED - 1), [(1, 0)] * MOST_COUNTED, [(1, 0)] * 600 + [(2, 0)]])
    )
    assert bags.term_counts.tolist() == [MOST_COUNTED - 1, MOST_COUNTED, MOST_COUNTED, 1]


@EXAMPLES
@given(st.lists(st.integers(0, 3 * LEAD_TOKENS), max_size=4), st.integers(1, 200), st.randoms())
@example([0, LEAD_TOKENS - 1, LEAD_TOKENS, LEAD_TOKENS + 1], 2**32 - 1, random.Random(0))
def test_leads_are_counted_as_by_the_naive_twin(lengths, n_terms, rng):
    """Articles on either side of the lead's length, of few terms and of many."""
    flags = [0, CAPITAL, TITLE, DIGIT, FURNITURE, FURNITURE | CAPITAL]
    articles = [[(rng.randrange(n_terms), rng.choice(flags)) for _ in range(n)] for n in lengths]
    bags, _ = bag(tokens_of(articles))
    assert bags.lead_sizes.dtype == np.int32
    assert bags.lead_sizes.tolist() == [naive.lead_size(article, LEAD_TOKENS) for article in articles]
    # They are the first rows of the bag: its order is that of first appearance.
    for article, keys, size in zip(
        articles, rows_in(bags.term_keys, bags.term_ends), bags.lead_sizes.tolist(), strict=True
    ):
        told = [term for term, flag in article if not flag & FURNITURE]
        assert set(keys[:size]) == set(told[:LEAD_TOKENS])


def test_the_lead_ends_after_so_many_tokens_and_furniture_is_none_of_them():
    told = [(term, 0) for term in range(LEAD_TOKENS + 5)]
    furniture = [(1000 + term, FURNITURE) for term in range(LEAD_TOKENS)]
    repeats = [(7, 0)] * (LEAD_TOKENS - 2)
    articles = [told, furniture + told, told[:3] + furniture, repeats + told[:3], repeats + told[8:]]
    assert bag(tokens_of(articles))[0].lead_sizes.tolist() == [LEAD_TOKENS, LEAD_TOKENS, 3, 3, 3]


def test_the_title_is_of_the_lead():
    [size] = bag(kept([("one two three", " ".join(f"w{i}" for i in range(100)))]))[0].lead_sizes.tolist()
    assert size == LEAD_TOKENS
    both = bag(kept([("one two three", "three two four")]))[0]
    assert both.lead_sizes.tolist() == [4]


@EXAMPLES
@given(ARTICLES, st.data())
def test_some_bags_are_those_of_their_articles(articles, data):
    begin = data.draw(st.integers(0, len(articles)))
    end = data.draw(st.integers(begin, len(articles)))
    whole, spelt = bag(tokens_of(articles))
    some, alone = whole.some(begin, end), bag(tokens_of(articles[begin:end]))[0]
    for name in BAG_TYPES:
        np.testing.assert_array_equal(getattr(some, name), getattr(alone, name))
        assert (
            name == "term_ends"
            or not len(some.term_keys)
            or np.shares_memory(getattr(some, name), getattr(whole, name))
        )
    again = Bags.of({**vars(whole), "n_tokens": spelt})
    assert vars(again) == vars(whole)


@EXAMPLES
@given(ROWS)
@example([])
@example([[], [], [7]])
def test_distinct_rows_are_counters(rows):
    flat = np.array([key for row in rows for key in row], np.uint32)
    indptr = np.cumsum([0, *map(len, rows)], dtype=np.int64)
    keys, counts = np.empty(len(flat), np.uint32), np.empty(len(flat), np.int32)
    first, ends = np.empty(len(flat), np.int64), np.empty(len(rows), np.int64)
    n = distinct_rows(flat, indptr, keys, counts, first, ends)
    counters = [Counter(row) for row in rows]
    assert n == sum(map(len, counters))
    assert rows_in(keys[:n], ends) == [list(counter) for counter in counters]
    assert rows_in(counts[:n], ends) == [list(counter.values()) for counter in counters]
    for start, row, found in zip(indptr.tolist(), rows, rows_in(first[:n], ends), strict=False):
        assert found == [start + row.index(key) for key in Counter(row)]
