"""Old articles are weighed by the terms that pairs ask for: what is measured of a pair is the same."""

from __future__ import annotations

import random

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st
from measured import articles, weighed_by
from stages import kept
from texts import EXAMPLES

from pipeline.bags import Bags, bag
from pipeline.index_asked import asked
from pipeline.index_tokens import FACTS, Stored
from pipeline.measures import measure_terms
from pipeline.terms import TermStatistics
from pipeline.vectors import TermVectors, weigh, weigh_some

LARGE = 200_000
# Articles of terms that stand for themselves, some of them in the lead.
BAGS = st.lists(
    st.tuples(st.lists(st.integers(0, 12), unique=True), st.integers(0, 9)), min_size=1, max_size=4
)


def statistics(rng: random.Random) -> TermStatistics:
    """Of a large collection, with common and rare terms, names and others."""
    rows = [(rng.choice((1, 20, 3_000, LARGE)), rng.choice((-1, 0, 1))) for _ in range(1 << 8)]
    return TermStatistics(LARGE, np.array(rows, np.int32))


def bags_of(articles: list[tuple[list[int], int]]) -> Bags:
    """Bags of (terms, how many of them lead): hashes far apart, counts and flags that differ."""
    terms = [np.array(terms, np.uint32) for terms, _ in articles]
    keys = np.concatenate([np.zeros(0, np.uint32), *terms]) * np.uint32(2_654_435_761)
    ends = np.cumsum([len(t) for t in terms], dtype=np.int64)
    leads = np.array([min(lead, len(t)) for t, lead in articles], np.int32)
    places = np.arange(len(keys))
    return Bags(keys, (places % 255 + 1).astype(np.uint8), (places % 7).astype(np.uint8), ends, leads)


def stored(bags: Bags) -> Stored:
    """The bags as an index has them."""
    facts = np.zeros(bags.n_articles, FACTS)
    facts["n_terms"], facts["lead_size"] = np.diff(bags.term_ends, prepend=0), bags.lead_sizes
    octets, starts = b"?", []
    for begin, end in zip([0, *bags.term_ends], bags.term_ends, strict=False):
        starts.append(len(octets))
        for values in (bags.term_keys, bags.term_counts, bags.term_flags):
            octets += values[begin:end].tobytes()
    return Stored(facts, {"bag": (np.frombuffer(octets, np.uint8), np.array(starts, np.int64))}, "")


def some_pairs(rng: random.Random, n_old: int, sizes: list[int]) -> tuple[np.ndarray, ...]:
    """Old rows, ascending, with groups and rows of new ones: a few of all pairs, some old ones in none."""
    pairs = [
        (i, g, k) for i in range(n_old) for g, n in enumerate(sizes) for k in range(n) if rng.random() < 0.5
    ]
    return tuple(np.array([pair[side] for pair in pairs], np.int64) for side in range(3))


@EXAMPLES
@given(articles, articles, articles, st.randoms(use_true_random=False))
def test_pairs_measure_the_same_by_the_terms_that_are_asked_for(old, first, second, rng):
    counts = statistics(rng)
    tokens = kept(old)
    bags = bag(tokens)[0]
    whole = TermVectors.of(bags, np.diff(tokens.indptr), weigh(bags, counts))
    new = [weighed_by(counts, kept(texts)) for texts in (first, second)]
    pairs = some_pairs(rng, len(old), [len(first), len(second)])
    own = asked(stored(bags), new, *pairs)
    thin = TermVectors.of(own, whole.n_tokens, weigh_some(own, whole.totals, counts))
    expected, found = (measure_terms(vectors, new, *pairs) for vectors in (whole, thin))
    for name, measured in vars(expected).items():
        np.testing.assert_allclose(getattr(found, name), measured, rtol=1e-5, atol=1e-6, err_msg=name)


@given(BAGS, BAGS, st.randoms(use_true_random=False))
@example([([1, 2, 3], 2)], [([2, 5], 0)], random.Random(1))
def test_what_is_asked_for_is_what_new_articles_of_the_pairs_may_have(old, new, rng):
    bags = bags_of(old)
    words = bags_of(new)
    nothing = weigh(words, statistics(rng))
    vectors = [TermVectors.of(words, np.zeros(len(new), np.int64), nothing)]
    left, group, right = some_pairs(rng, len(old), [len(new)])
    found = asked(stored(bags), vectors, left, group, right)
    starts, own_starts = (np.concatenate(([0], b.term_ends)) for b in (bags, found))
    for i, (terms, _) in enumerate(old):
        asking = {term for row in right[left == i] for term in new[row][0]}
        # So few keys share no bit of the filter: exactly these are kept, in their order.
        wanted = np.flatnonzero([term in asking for term in terms]) + starts[i]
        own = slice(own_starts[i], own_starts[i + 1])
        for name in ("term_keys", "term_counts", "term_flags"):
            np.testing.assert_array_equal(getattr(found, name)[own], getattr(bags, name)[wanted], name)
        assert found.lead_sizes[i] == np.count_nonzero(wanted - starts[i] < bags.lead_sizes[i])


def test_most_terms_that_nobody_asks_for_are_left_out():
    rng = np.random.default_rng(1)
    keys = rng.integers(0, 1 << 32, 400_000, np.uint32)
    one = np.ones(200_000, np.uint8)
    ends, leads = np.arange(400, 200_001, 400), np.full(500, 60, np.int32)
    old, new = (Bags(k, one, one, ends, leads) for k in np.split(keys, 2))
    counts = TermStatistics(LARGE, np.ones((1 << 8, 2), np.int32))
    rows = np.arange(500)
    found = asked(
        stored(old), [TermVectors.of(new, rows, weigh(new, counts))], rows, np.zeros_like(rows), rows
    )
    assert len(found.term_keys) < len(old.term_keys) / 8
