"""Radix sort against numpy's."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.words import distinct, run_starts, sort_words

u64 = st.integers(0, 2**64 - 1)
words = st.lists(u64 | st.integers(0, 5) | st.integers(0, 5).map(lambda n: n << 32), max_size=60)


@given(words)
def test_words_come_sorted_and_the_argument_stays(values):
    given_words = np.array(values, np.uint64)
    before = given_words.copy()
    assert np.array_equal(sort_words(given_words, 0), np.sort(before))
    assert np.array_equal(given_words, before)


@given(words, st.integers(0, 63))
def test_words_that_agree_from_the_first_bit_on_keep_their_order(values, first_bit):
    given_words = np.array(values, np.uint64)
    order = np.argsort(given_words >> np.uint64(first_bit), kind="stable")
    assert np.array_equal(sort_words(given_words, first_bit), given_words[order])


def test_many_words_of_a_few_bits():
    rng = np.random.default_rng(5)
    for bits in (3, 11, 12, 40, 64):
        given_words = rng.integers(0, 2**bits - 1, 30_000, np.uint64, endpoint=True)
        assert np.array_equal(sort_words(given_words, 0), np.sort(given_words))


@given(words)
def test_distinct_words_and_runs(values):
    given_words = np.array(values, np.uint64)
    assert np.array_equal(distinct(given_words), np.unique(given_words))
    ordered = np.sort(given_words)
    assert np.array_equal(run_starts(ordered), np.unique(ordered, return_index=True)[1])
