"""The pair kernels against scipy, Python's sets and plain loops."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix
from texts import EXAMPLES

from pipeline import compare
from pipeline.shards import MAX_GROUPS
from pipeline.vectors import NAME, NUMBER

KEYS = 12  # columns: few, so that rows share some


@dataclass(frozen=True)
class Rows:
    """Rows of distinct keys in any order, with a weight and a kind each."""

    keys: np.ndarray
    weights: np.ndarray
    kinds: np.ndarray
    ends: np.ndarray

    def dense(self, of: int | None = None) -> np.ndarray:
        """Weights (n_rows, KEYS); only those of terms of this kind and up."""
        weights = self.weights if of is None else np.where(self.kinds >= of, self.weights, 0)
        indptr = np.concatenate(([0], self.ends))
        return csr_matrix((weights, self.keys % KEYS, indptr), (len(self.ends), KEYS)).toarray()

    def sets(self) -> list[list[int]]:
        return [part.tolist() for part in np.split(self.keys, self.ends[:-1])]


@st.composite
def some_rows(draw):
    # Keys far apart land in all slots of the tables; the remainder tells the column.
    spread = st.integers(0, (2**32 - KEYS) // KEYS).map(lambda k: k * KEYS)
    base = [draw(spread) + column for column in range(KEYS)] if draw(st.booleans()) else list(range(KEYS))
    kind_of = [draw(st.sampled_from((0, NAME, NUMBER))) for _ in range(KEYS)]
    sides = []
    for _ in range(2):
        rows = draw(st.lists(st.lists(st.integers(0, KEYS - 1), unique=True), min_size=1, max_size=5))
        flat = [column for row in rows for column in row]
        weights = [draw(st.floats(0.015625, 1, width=32)) for _ in flat]
        sides.append(
            Rows(
                np.array([base[c] for c in flat], np.uint32),
                np.array(weights, np.float32),
                np.array([kind_of[c] for c in flat], np.uint8),
                np.cumsum([len(row) for row in rows], dtype=np.int64),
            )
        )
    pairs = st.tuples(st.integers(0, len(sides[0].ends) - 1), st.integers(0, len(sides[1].ends) - 1))
    chosen = sorted(draw(st.lists(pairs, max_size=12)), key=lambda pair: pair[0])
    left, right = (np.array([pair[i] for pair in chosen], np.int64) for i in (0, 1))
    return *sides, left, right


@EXAMPLES
@given(some_rows())
def test_dots_are_scipys(rows):
    of_l, of_r, left, right = rows
    out = np.empty(len(left), np.float32)
    compare.dots(of_l.keys, of_l.weights, of_l.ends, of_r.keys, of_r.weights, of_r.ends, left, right, out)
    np.testing.assert_allclose(out, (of_l.dense() @ of_r.dense().T)[left, right], rtol=1e-5)


@EXAMPLES
@given(some_rows())
def test_term_sums_are_numpys(rows):
    of_l, of_r, left, right = rows
    out = np.empty((len(left), 5), np.float32)
    # The right side twice, as groups 0 and 1, which the pairs take in turn; the other groups are empty.
    empty = (np.zeros(0, np.uint32), np.zeros(0, np.float32), np.zeros(0, np.uint8), np.zeros(0, np.int64))
    own_r = (of_r.keys, of_r.weights, of_r.kinds, of_r.ends)
    groups = zip(own_r, own_r, *[empty] * (MAX_GROUPS - 2), strict=True)
    group_r = np.arange(len(left)) % 2
    compare.term_sums(
        of_l.keys, of_l.weights, of_l.kinds, of_l.ends, *map(tuple, groups), left, group_r, right, out
    )
    expected = np.empty_like(out)
    expected[:, 0] = (of_l.dense() @ of_r.dense().T)[left, right]
    for place, kind in ((1, NAME), (2, NUMBER)):
        expected[:, place] = (of_l.dense(kind) @ of_r.dense(kind).T)[left, right]
    shared = (of_l.dense()[left] > 0) & (of_r.dense()[right] > 0)
    expected[:, 3] = (of_l.dense()[left] ** 2 * shared).sum(axis=1)
    expected[:, 4] = (of_r.dense()[right] ** 2 * shared).sum(axis=1)
    np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-7)


@EXAMPLES
@given(some_rows())
def test_overlaps_are_those_of_sets_and_runs_those_of_a_plain_loop(rows):
    of_l, of_r, left, right = rows
    shared, longest = np.empty(len(left), np.int64), np.empty(len(left), np.int64)
    compare.overlaps(of_l.keys, of_l.ends, of_r.keys, of_r.ends, left, right, shared, longest)
    sets_l, sets_r = of_l.sets(), of_r.sets()
    assert shared.tolist() == [len(set(sets_l[i]) & set(sets_r[j])) for i, j in zip(left, right, strict=True)]
    for i, j, found in zip(left, right, longest, strict=True):
        runs = itertools.groupby(sets_r[j], key=set(sets_l[i]).__contains__)
        assert found == max((len(list(run)) for is_shared, run in runs if is_shared), default=0)


# Keys that the filter can't tell apart (equal in their low 12 bits), or that start at the same slot.
MEETING = st.one_of(
    st.integers(0, 12).map(lambda k: k << 12),
    st.integers(0, 12).map(lambda k: k << 16 | k ^ 5),
    st.integers(0, 2**32 - 1),
)
SETS = st.lists(st.lists(MEETING, unique=True, max_size=20), min_size=2, max_size=4)


@EXAMPLES
@given(SETS)
def test_no_key_gets_lost_or_found_by_the_filter_or_in_the_slots(sets):
    keys = np.array([key for own in sets for key in own], np.uint32)
    ends = np.cumsum([len(own) for own in sets]).astype(np.int64)
    both = list(itertools.product(range(len(sets)), repeat=2))
    left, right = (np.array(side, np.int64) for side in zip(*both, strict=True))
    shared, longest = np.empty(len(both), np.int64), np.empty(len(both), np.int64)
    compare.overlaps(keys, ends, keys, ends, left, right, shared, longest)
    assert shared.tolist() == [len(set(sets[i]) & set(sets[j])) for i, j in both]


def test_rows_longer_than_the_filter_are_compared_all_the_same():
    """With 5,000 keys nearly every bit of the filter is set."""
    rng = np.random.default_rng(3)
    one, other = (rng.permutation(2**16)[:n].astype(np.uint32) * np.uint32(40503) for n in (5000, 300))
    ends = [np.array([len(keys)], np.int64) for keys in (one, other)]
    shared, longest, first = np.empty(1, np.int64), np.empty(1, np.int64), np.zeros(1, np.int64)
    compare.overlaps(one, ends[0], other, ends[1], first, first, shared, longest)
    assert shared[0] == len(set(one.tolist()) & set(other.tolist())) > 0
