"""The pair kernels against scipy, the plain twin of the sums, Python's sets and plain loops."""

from __future__ import annotations

import itertools
import math
import random
from dataclasses import dataclass, replace

import naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix
from texts import EXAMPLES

from pipeline import compare
from pipeline.shards import MAX_GROUPS
from pipeline.vectors import NAME, NUMBER, RARITY_STEPS, TOLD_IN_TITLE
from pipeline.wording import TOLD_STEPS

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
def test_the_dot_product_of_bigrams_is_scipys(rows):
    *sides, left, right = rows
    out = np.empty((len(left), compare.N_BIGRAM_SUMS), np.float32)
    told = [
        (side.keys, side.weights, side.keys, np.zeros(len(side.keys), np.uint8), side.ends) for side in sides
    ]
    compare.bigram_sums(*told[0], *told[1], left, right, out)
    expected = (sides[0].dense() @ sides[1].dense().T)[left, right]
    np.testing.assert_allclose(out[:, compare.DOT_BIGRAMS], expected, rtol=1e-5)


@dataclass(frozen=True)
class TermRows:
    """Rows with all that `term_sums` is told of a term; rarity is of the key, the same in every row."""

    keys: np.ndarray
    kinds: np.ndarray
    ends: np.ndarray
    counts: np.ndarray
    rarity: np.ndarray
    leads: np.ndarray

    @property
    def weights(self) -> np.ndarray:
        return (1 + np.log(self.counts.astype(float))) * (1 + self.rarity / RARITY_STEPS)

    def terms(self, row: int) -> dict[int, naive.Term]:
        begin = int(self.ends[row - 1]) if row else 0
        return {
            int(self.keys[j]): naive.Term(
                float(self.weights[j]), int(self.kinds[j]), int(self.counts[j]),
                self.rarity[j] / RARITY_STEPS, j - begin < self.leads[row],
            )
            for j in range(begin, int(self.ends[row]))
        }  # fmt: skip


NO_ROWS = TermRows(
    *(np.zeros(0, dtype) for dtype in (np.uint32, np.uint8, np.int64, np.uint8, np.uint16, np.int32))
)
KINDS = (0, NAME, NUMBER, TOLD_IN_TITLE, NAME | TOLD_IN_TITLE, NUMBER | TOLD_IN_TITLE)
# Around the rarities from which something counts.
RARITIES = (0.0, 1.9, 2.2, 2.5, 3.0, 4.0, 4.5, 6.0, 6.5, 9.0)


def term_rows(rng, vocabulary: dict[int, int], n_rows: int) -> TermRows:
    """Rows of some of the vocabulary (rarity by key)."""
    rows = [rng.sample(sorted(vocabulary), rng.randint(0, len(vocabulary))) for _ in range(n_rows)]
    flat = [key for row in rows for key in row]
    return TermRows(
        np.array(flat, np.uint32),
        np.array([rng.choice(KINDS) for _ in flat], np.uint8),
        np.cumsum([len(row) for row in rows], dtype=np.int64),
        np.array([rng.choice((1, 1, 2, 5)) for _ in flat], np.uint8),
        np.array([vocabulary[key] for key in flat], np.uint16),
        np.array([rng.randint(0, len(row)) for row in rows], np.int32),
    )


def summed(of_l: TermRows, of_r: list[TermRows], pairs: list[tuple[int, int, int]]) -> np.ndarray:
    """Of (left row, group, row in it), by left row."""
    groups = [*of_r, *[NO_ROWS] * (MAX_GROUPS - len(of_r))]
    left, group_r, right = (np.array([pair[k] for pair in pairs], np.int64) for k in range(3))
    out = np.full((len(pairs), compare.N_SUMS), np.nan, np.float32)
    compare.term_sums(
        of_l.keys, of_l.kinds, of_l.counts, of_l.rarity, of_l.ends, of_l.leads,
        *(tuple(getattr(g, name) for g in groups) for name in ("keys", "kinds", "counts", "ends", "leads")),
        left, group_r, right, out,
    )  # fmt: skip
    return out


@EXAMPLES
@given(st.integers(0, 20), st.integers(1, MAX_GROUPS), st.randoms(use_true_random=False))
def test_term_sums_are_the_naive_twins(n_terms, n_groups, rng):
    """Every column of every pair, right rows in as many groups as there can be."""
    spread = rng.choice((1, 1 << 12, 12_345_677))
    vocabulary = {k * spread % 2**32: round(rng.choice(RARITIES) * RARITY_STEPS) for k in range(n_terms)}
    of_l = term_rows(rng, vocabulary, 3)
    of_r = [term_rows(rng, vocabulary, 2) for _ in range(n_groups)]
    pairs = sorted((rng.randrange(3), rng.randrange(n_groups), rng.randrange(2)) for _ in range(12))
    found = summed(of_l, of_r, pairs)
    expected = [naive.term_sums(of_l.terms(i), of_r[group].terms(j)) for i, group, j in pairs]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_the_sides_of_the_sums_change_places_with_the_articles():
    rng = random.Random(3)
    vocabulary = {k: round(rng.choice(RARITIES) * RARITY_STEPS) for k in range(40)}
    one, other = term_rows(rng, vocabulary, 4), term_rows(rng, vocabulary, 4)
    there = summed(one, [other], [(i, 0, i) for i in range(4)])
    back = summed(other, [one], [(i, 0, i) for i in range(4)])
    n_common = compare.RARE_NAMES_SHARED
    swapped = back[:, n_common:].reshape(4, -1, 2)[:, :, ::-1].reshape(4, -1)
    np.testing.assert_allclose(there, np.hstack((back[:, :n_common], swapped)), rtol=1e-4, atol=1e-6)
    # No column is 0 throughout: each has been compared.
    assert (there > 0).any(axis=0).all()


def test_the_columns_are_in_the_order_of_their_names():
    """One term at a time, so that each column tells itself."""

    def sums(kind_l: int, kind_r: int, rarity: float, counts=(1, 1), leads=(0, 0)) -> dict[int, float]:
        sides = [
            TermRows(
                np.array([7], np.uint32), np.array([kind], np.uint8), np.array([1]),
                np.array([count], np.uint8), np.array([round(rarity * RARITY_STEPS)], np.uint16),
                np.array([lead], np.int32),
            )
            for kind, count, lead in zip((kind_l, kind_r), counts, leads, strict=True)
        ]  # fmt: skip
        [row] = summed(sides[0], [sides[1]], [(0, 0, 0)])
        return {column: round(float(v), 4) for column, v in enumerate(row) if v}

    def weights(rarity: float, counts=(1, 1)) -> dict[int, float]:
        left, right = ((1 + math.log(count)) * (1 + rarity) for count in counts)
        sums = {compare.DOT: left * right, compare.SHARED: left**2, compare.SHARED + 1: right**2}
        return {column: round(value, 4) for column, value in sums.items()}

    common = weights(2)
    rare = weights(7) | {compare.RARE_SHARED: 3.0, compare.VERY_RARE_SHARED: 1.0}
    assert sums(0, 0, 2) == common
    assert sums(0, 0, 7) == rare
    assert sums(NAME, 0, 7) == rare | {compare.RARE_NAMES_SHARED: 3.0}
    assert sums(0, NAME, 7) == rare | {compare.RARE_NAMES_SHARED + 1: 3.0}
    of_names = {compare.DOT_NAMES: 64.0, compare.RARE_NAMES_SHARED: 3.0, compare.RARE_NAMES_SHARED + 1: 3.0}
    assert sums(NAME, NAME, 7) == rare | of_names
    of_numbers = {compare.DOT_NAMES: 64.0, compare.DOT_NUMBERS: 64.0, compare.RARE_NUMBERS_SHARED: 5.0}
    assert sums(NUMBER, NUMBER, 7) == rare | of_numbers
    # A name for one and a number for the other (IV, and the numeral of one character) is no number of both.
    for kinds, side in (((NAME, NUMBER), 0), ((NUMBER, NAME), 1)):
        expected = rare | {compare.DOT_NAMES: 64.0, compare.RARE_NAMES_SHARED + side: 3.0}
        assert sums(*kinds, 7) == expected
    assert sums(0, 0, 2, leads=(1, 0)) == common | {compare.LEAD: 4.0}
    assert sums(0, 0, 2, leads=(0, 1)) == common | {compare.LEAD + 1: 4.0}
    both_lead = {compare.LEAD: 4.0, compare.LEAD + 1: 4.0}
    in_lead = {compare.LEAD_FACTS: 4.0, compare.LEAD_FACTS_IN_LEAD: 4.0}
    assert sums(NAME, 0, 2, leads=(1, 1)) == common | both_lead | in_lead
    twice, four = round(math.log(2), 4), round(math.log(4), 4)
    assert sums(0, 0, 3, counts=(2, 1)) == weights(3, (2, 1)) | {compare.REPEATS: twice}
    repeats = {
        compare.REPEATS: twice, compare.REPEATS + 1: four, compare.REPEATED_BY_BOTH: twice,
        compare.REPEATED_BY_BOTH + 1: four,
    }  # fmt: skip
    assert sums(0, 0, 3, counts=(2, 4)) == pytest.approx(weights(3, (2, 4)) | repeats, abs=1e-3)
    assert sums(0, NAME, 3, counts=(2, 4)) == sums(0, 0, 3, counts=(2, 4)) | {
        compare.REPEATED_FACTS + 1: four
    }
    told = NAME | TOLD_IN_TITLE
    assert sums(TOLD_IN_TITLE, told, 3) == weights(3) | {compare.TITLE_FACTS + 1: 1.0}
    assert sums(told, 0, 3) == weights(3) | {compare.TITLE_FACTS: 1.0}


@EXAMPLES
@given(some_rows())
def test_cosines_of_the_sums_are_scipys(rows):
    """Of all terms, of names and numbers, and of numbers; and the weight that is on shared terms."""
    of_l, of_r, left, right = rows
    # Counts of 1 to 5, whatever they are, and a rarity for each key.
    sides = [
        TermRows(
            r.keys, r.kinds, r.ends, (1 + r.weights * 4).astype(np.uint8),
            (r.keys % KEYS * 700).astype(np.uint16), np.zeros(len(r.ends), np.int32),
        )
        for r in (of_l, of_r)
    ]  # fmt: skip
    of_l, of_r = (
        replace(r, weights=side.weights.astype(np.float32)) for r, side in zip(rows, sides, strict=False)
    )
    # The right side twice, as groups 0 and 1, which the pairs take in turn.
    chosen = zip(left.tolist(), (np.arange(len(left)) % 2).tolist(), right.tolist(), strict=True)
    out = summed(sides[0], [sides[1]] * 2, list(chosen))
    for column, kind in ((compare.DOT, None), (compare.DOT_NAMES, NAME), (compare.DOT_NUMBERS, NUMBER)):
        expected = (of_l.dense(kind) @ of_r.dense(kind).T)[left, right]
        np.testing.assert_allclose(out[:, column], expected, rtol=1e-5, atol=1e-7)
    shared = (of_l.dense()[left] > 0) & (of_r.dense()[right] > 0)
    for side, own in enumerate((of_l.dense()[left], of_r.dense()[right])):
        np.testing.assert_allclose(
            out[:, compare.SHARED + side], (own**2 * shared).sum(axis=1), rtol=1e-5, atol=1e-7
        )


@EXAMPLES
@given(some_rows())
def test_overlaps_are_those_of_sets_and_runs_those_of_a_plain_loop(rows):
    of_l, of_r, left, right = rows
    out = np.empty((len(left), 3), np.int64)
    compare.overlaps(of_l.keys, of_l.ends, of_r.keys, of_r.ends, left, right, out)
    sets_l, sets_r = of_l.sets(), of_r.sets()
    for i, j, found in zip(left, right, out.tolist(), strict=True):
        assert found == overlaps_twin(sets_l[i], sets_r[j])


def overlaps_twin(left: list[int], right: list[int]) -> list[int]:
    """How many keys two rows share, the most of them in a row in `right`, those in rows of QUOTE or more."""
    grouped = itertools.groupby(right, key=set(left).__contains__)
    runs = [len(list(run)) for is_shared, run in grouped if is_shared]
    return [sum(runs), max(runs, default=0), sum(run for run in runs if run >= compare.QUOTE)]


@EXAMPLES
@given(st.lists(st.tuples(st.booleans(), st.integers(1, 60)), max_size=8))
def test_runs_are_quoted_from_their_length_on(stretches):
    """The right row is stretches of the left row's keys and of others, of any lengths."""
    numbers = iter(range(1, 1_000))
    own, others = [], []
    for is_shared, n in stretches:
        keys = list(itertools.islice(numbers, n))
        own += keys if is_shared else []
        others += keys
    rows = [np.array(row, np.uint32) for row in (own[::-1], others)]
    ends = [np.array([len(row)], np.int64) for row in rows]
    out, first = np.empty((1, 3), np.int64), np.zeros(1, np.int64)
    compare.overlaps(rows[0], ends[0], rows[1], ends[1], first, first, out)
    assert out[0].tolist() == overlaps_twin(own, others)


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
    out = np.empty((len(both), 3), np.int64)
    compare.overlaps(keys, ends, keys, ends, left, right, out)
    shared = out[:, compare.SHARED_KEYS].tolist()
    assert shared == [len(set(sets[i]) & set(sets[j])) for i, j in both]


def test_rows_longer_than_the_filter_are_compared_all_the_same():
    """With 5,000 keys nearly every bit of the filter is set."""
    rng = np.random.default_rng(3)
    one, other = (rng.permutation(2**16)[:n].astype(np.uint32) * np.uint32(40503) for n in (5000, 300))
    ends = [np.array([len(keys)], np.int64) for keys in (one, other)]
    out, first = np.empty((1, 3), np.int64), np.zeros(1, np.int64)
    compare.overlaps(one, ends[0], other, ends[1], first, first, out)
    assert out[0, compare.SHARED_KEYS] == len(set(one.tolist()) & set(other.tolist())) > 0


def replaced_twin(left: list[tuple[int, int, int]], right: list[tuple[int, int, int]]) -> list[float]:
    """FACTS and PLACES of two rows of (bigram, its first term, what that tells), by slices of lists."""
    keys_l, keys_r = [key for key, _, _ in left], [key for key, _, _ in right]
    facts, places = 0.0, 0
    for a, b in itertools.permutations(set(keys_l) & set(keys_r), 2):
        between_l = left[keys_l.index(a) + 1 : keys_l.index(b)]
        between_r = right[keys_r.index(a) + 1 : keys_r.index(b)]
        longest = max(len(between_l), len(between_r))
        alone = not (
            {key for key, _, _ in between_l} & set(keys_r) | {key for key, _, _ in between_r} & set(keys_l)
        )
        if between_l and between_r and longest <= compare.LONGEST_STRETCH and alone:
            places += 1
            told = [
                sum(
                    tells / (2 if term in {other for _, other, _ in whole} else 1)
                    for _, term, tells in here
                    if term not in {other for _, other, _ in there}
                )
                for here, there, whole in ((between_l, between_r, right), (between_r, between_l, left))
            ]
            facts += min(told) / TOLD_STEPS
    return [facts, places]


@EXAMPLES
@given(st.integers(2, 30), st.randoms(use_true_random=False))
def test_what_is_replaced_is_the_naive_twins_and_the_same_both_ways(n_keys, rng):
    keys = [rng.randrange(2**32) for _ in range(n_keys)]
    common = rng.sample(keys, rng.randint(0, n_keys))

    def row() -> list[tuple[int, int, int]]:
        """Some of the common keys nearly in their order, others between them."""
        own = [key for key in common if rng.random() < 0.8]
        for key in keys:
            if key not in own and rng.random() < 0.5:
                own.insert(rng.randint(0, len(own)), key)
        return [(key, rng.randrange(8), rng.choice((0, 0, 5, 96))) for key in dict.fromkeys(own)]

    sides = [[row() for _ in range(3)] for _ in range(2)]
    arrays = []
    for rows in sides:
        flat = list(zip(*itertools.chain.from_iterable(rows), strict=True)) or [(), (), ()]
        dtypes = (np.uint32, np.uint32, np.uint8)
        arrays.append([np.array(column, dtype) for column, dtype in zip(flat, dtypes, strict=True)])
        arrays[-1].insert(1, np.zeros(len(arrays[-1][0]), np.float32))  # weights
        arrays[-1].append(np.cumsum([len(one) for one in rows], dtype=np.int64))
    left, right = (np.array(side, np.int64) for side in ((0, 0, 1, 2, 2), (0, 2, 1, 0, 1)))
    out = np.full((len(left), compare.N_BIGRAM_SUMS), np.nan, np.float32)
    compare.bigram_sums(*arrays[0], *arrays[1], left, right, out)
    expected = [replaced_twin(sides[0][i], sides[1][j]) for i, j in zip(left, right, strict=True)]
    np.testing.assert_array_equal(out[:, [compare.FACTS, compare.PLACES]], np.array(expected, np.float32))
    order = np.argsort(right, kind="stable")
    back = np.full_like(out, np.nan)
    compare.bigram_sums(*arrays[1], *arrays[0], right[order], left[order], back)
    np.testing.assert_array_equal(back, out[order])
