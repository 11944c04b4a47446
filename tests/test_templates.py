"""Templates against networkx's k-core, and forms by hand."""

from __future__ import annotations

import random

import networkx as nx
import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st
from texts import EXAMPLES

from pipeline.candidates import PAIRS
from pipeline.confirm import JUDGED
from pipeline.templates import ALIKE, OTHERS, find


def candidates(pairs: list[tuple[int, int, float]]) -> pa.Table:
    rows = [
        {"left": i, "right": j, "found_by": 1, "estimate_reprint": alike, "estimate_respun": 0.1}
        for i, j, alike in sorted(pairs)
    ]
    return pa.Table.from_pylist(rows, schema=PAIRS)


def judged(confirmed: list[tuple[int, int]]) -> pa.Table:
    zeros = dict.fromkeys(JUDGED.names, 0)
    rows = [zeros | {"left": i, "right": j, "is_confirmed": True} for i, j in confirmed]
    return pa.Table.from_pylist(rows, schema=JUDGED)


def templates_of(n: int, pairs, confirmed=()) -> set[frozenset[int]]:
    label, n_alike = find(candidates(list(pairs)), judged(list(confirmed)), n)
    assert ((label >= 0) == (n_alike >= OTHERS)).all()
    return {frozenset(np.flatnonzero(label == own).tolist()) for own in set(label.tolist()) - {-1}}


@EXAMPLES
@given(st.integers(1, 12), st.integers(0, 10**6), st.floats(0, 1))
def test_templates_are_the_components_of_networkxs_core(n, seed, share):
    rng = random.Random(seed)
    every = [(i, j) for i in range(n) for j in range(i + 1, n) if rng.random() < share]
    pairs = [(i, j, rng.choice((ALIKE - 0.01, ALIKE, 0.9))) for i, j in every]
    confirmed = [pair for pair in every if rng.random() < 0.1]
    graph = nx.Graph([(i, j) for i, j, alike in pairs if alike >= ALIKE and (i, j) not in confirmed])
    core = nx.k_core(graph, OTHERS)
    assert templates_of(n, pairs, confirmed) == {frozenset(c) for c in nx.connected_components(core)}


def clique(rows: range, alike: float = 0.6) -> list[tuple[int, int, float]]:
    return [(i, j, alike) for i in rows for j in rows if i < j]


def test_bulletins_are_a_template_and_a_few_alike_are_none():
    assert templates_of(9, [*clique(range(5)), *clique(range(5, 8))]) == {frozenset(range(5))}


def test_articles_of_one_story_are_no_template():
    pairs = clique(range(6))
    assert templates_of(6, pairs, [pair[:2] for pair in pairs]) == set()


def test_without_pairs_there_are_no_templates():
    assert templates_of(3, []) == set()
