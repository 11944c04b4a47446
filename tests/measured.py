"""Collections of a few articles, and all that is measured of their pairs."""

from __future__ import annotations

import itertools

import naive
import numpy as np
from hypothesis import strategies as st
from stages import counted, kept
from texts import plain_texts

from pipeline import measures
from pipeline.bags import bag
from pipeline.measures import Measures
from pipeline.terms import TermStatistics
from pipeline.text import KeptTokens
from pipeline.vectors import RARITY_STEPS, TermVectors, weigh
from pipeline.wording import Wording, build

articles = st.lists(st.tuples(st.one_of(st.none(), plain_texts), plain_texts), min_size=1, max_size=5)
# Longer ones that share passages: runs of shingles that one has in a row and another in pieces.
words = st.lists(st.sampled_from([f"w{i}" for i in range(60)]), min_size=5, max_size=40).map(" ".join)
PASSAGE = [f"p{i}" for i in range(80)]
passages = st.lists(st.tuples(st.integers(0, 60), st.integers(5, 60)), max_size=3).map(
    lambda cuts: " ".join(" ".join(PASSAGE[at : at + n]) for at, n in cuts)
)
long_articles = st.lists(
    st.tuples(st.none(), st.tuples(words, passages, words).map(" ".join)), min_size=2, max_size=4
)


def weighed_by(statistics: TermStatistics, tokens: KeptTokens) -> TermVectors:
    """The term vectors of some articles in a collection of which so much is known."""
    bags = bag(tokens)[0]
    weighed = weigh(bags, statistics)
    return TermVectors(
        bags.term_keys, weighed["term_kinds"], bags.term_counts, weighed["term_rarity"], bags.term_ends,
        bags.lead_sizes, np.diff(tokens.indptr), weighed["totals"],
    )  # fmt: skip


def vectors_of(texts, rng=None) -> tuple[TermVectors, Wording]:
    """The term vectors and the wording of (title, body), measured as a collection of their own.

    Or as of a large collection, in which `rng` says how common each term is and whether it is a name.
    """
    tokens = kept(texts)
    statistics = counted(16, tokens)
    if rng is not None:
        rows = [(rng.choice((1, 20, 400, 3_000, 100_000)), rng.choice((-1, 0, 1))) for _ in range(1 << 8)]
        statistics = TermStatistics(200_000, np.array(rows, np.int32))
    return weighed_by(statistics, tokens), build(tokens, np.ones(tokens.n_articles, np.bool_), statistics, 5)


def terms_of(of: TermVectors) -> list[dict[int, naive.Term]]:
    """Each article's terms by key, for plain Python."""
    rows = []
    weights = of.weights()
    for begin, end, lead in zip([0, *of.term_ends[:-1]], of.term_ends, of.lead_sizes, strict=True):
        rows.append({
            int(of.term_keys[j]): naive.Term(
                float(weights[j]), int(of.term_kinds[j]), int(of.term_counts[j]),
                of.term_rarity[j] / RARITY_STEPS, j - begin < lead,
            )
            for j in range(begin, end)
        })  # fmt: skip
    return rows


def all_pairs(built: tuple[TermVectors, Wording]) -> tuple[Measures, np.ndarray, np.ndarray]:
    """Measures of every ordered pair, an article with itself included."""
    vectors, words = built
    n = len(vectors.n_tokens)
    left, right = (
        np.array(side, np.int64) for side in zip(*itertools.product(range(n), range(n)), strict=True)
    )
    terms = measures.measure_terms(vectors, [vectors], left, np.zeros_like(right), right)
    days_apart = np.where((left + right) % 3 == 0, np.nan, np.abs(left - right) * 1.5)
    same_source = np.where((left + right) % 5 == 0, np.nan, (left - right) % 3 == 0)
    return measures.measure(words, words, left, right, terms, days_apart, same_source), left, right


def mirror(left: np.ndarray, right: np.ndarray) -> list[int]:
    """Where the same pair stands with its sides changed."""
    place = {pair: p for p, pair in enumerate(zip(left.tolist(), right.tolist(), strict=True))}
    return [place[j, i] for i, j in place]
