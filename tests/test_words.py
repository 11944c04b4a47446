"""Sorted words against Python's own sets."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from texts import EXAMPLES

from pipeline.words import distinct, run_starts

words = st.lists(st.one_of(st.integers(0, 5), st.integers(0, 2**64 - 1)), max_size=40)


@EXAMPLES
@given(words)
def test_run_starts_are_where_groups_begin(values):
    ordered = sorted(values)
    sizes = [len(list(group)) for _, group in itertools.groupby(ordered)]
    starts = run_starts(np.array(ordered, np.uint64))
    assert starts.tolist() == [0, *itertools.accumulate(sizes)][: len(sizes)]
    assert starts.dtype == np.int64


@EXAMPLES
@given(words)
def test_distinct_words_are_a_sorted_set(values):
    given_words = np.array(values, np.uint64)
    found = distinct(given_words)
    assert found.tolist() == sorted(set(values))
    assert found.dtype == np.uint64
    assert given_words.tolist() == values
