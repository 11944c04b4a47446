"""Clusters against networkx and a plain average linkage; chains, stars, copies and medoids."""

from __future__ import annotations

import itertools
import random
from datetime import UTC, datetime

import networkx as nx
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stages import config
from texts import EXAMPLES

from pipeline import clusters
from pipeline.clusters import MEMBERSHIP, Graph, cluster, components, graph_of, partition, representatives
from pipeline.confirm import EXACT, EXCERPT, JUDGED, REPRINT, RESPUN
from pipeline.schema import ARTICLE_SHARD
from pipeline.tables import read_ipc, write_ipc

LINKAGE = 0.25
THRESHOLD = 0.35


def judged(*pairs: tuple) -> pa.Table:
    """Judged pairs of (left, right, probability[, relation[, jaccard]])."""
    rows = []
    for left, right, probability, *rest in pairs:
        relation, jaccard = (*rest, *(RESPUN, 0.0)[len(rest) :])
        zeros = dict.fromkeys(JUDGED.names, 0)
        rows.append(
            zeros
            | {"left": min(left, right), "right": max(left, right), "probability": probability}
            | {"relation": relation, "jaccard": jaccard, "is_confirmed": probability >= THRESHOLD}
        )
    return pa.Table.from_pylist(sorted(rows, key=lambda r: (r["left"], r["right"])), schema=JUDGED)


def groups_of(labels: np.ndarray) -> set[frozenset[int]]:
    """The sets of rows that share a label."""
    return {frozenset(np.flatnonzero(labels == label).tolist()) for label in set(labels.tolist())}


def clustered(n: int, *pairs: tuple, min_linkage: float = LINKAGE) -> set[frozenset[int]]:
    return groups_of(partition(graph_of(judged(*pairs), n), min_linkage))


def sets(*members: range | list[int]) -> set[frozenset[int]]:
    return {frozenset(m) for m in members}


def clique(members: range | list[int], probability: float = 0.9) -> list[tuple]:
    return [(i, j, probability) for i, j in itertools.combinations(members, 2)]


@st.composite
def graphs(draw) -> tuple[int, list[tuple]]:
    """Small graphs; all probabilities differ, so that no two ways of joining are equally good."""
    n = draw(st.integers(1, 10))
    ends = st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)).filter(lambda p: p[0] < p[1])
    pairs = draw(st.lists(ends, unique=True, max_size=20)) if n > 1 else []
    rng = random.Random(draw(st.integers(0, 10**6)))
    kinds = st.sampled_from((RESPUN, RESPUN, RESPUN, EXACT, REPRINT, EXCERPT))
    return n, [
        (*pair, rng.uniform(0.01, 1), draw(kinds), draw(st.sampled_from((0.5, 0.8)))) for pair in pairs
    ]


def networkx_components(n: int, pairs: list[tuple]) -> set[frozenset[int]]:
    graph = nx.Graph([pair[:2] for pair in pairs])
    graph.add_nodes_from(range(n))
    return {frozenset(nodes) for nodes in nx.connected_components(graph)}


def links(pairs: list[tuple]) -> list[tuple]:
    return [p for p in pairs if p[2] >= THRESHOLD and p[3] != EXCERPT]


def copies(pairs: list[tuple]) -> list[tuple]:
    return [p for p in links(pairs) if p[3] == EXACT or (p[3] == REPRINT and p[4] >= clusters.COPY_JACCARD)]


def naive_partition(n: int, pairs: list[tuple], min_linkage: float) -> set[frozenset[int]]:
    """Average linkage over groups of copies within each component, then what links still hold together."""
    heads = {row: group for group in networkx_components(n, copies(pairs)) for row in group}
    likeness: dict[frozenset, float] = {}
    for left, right, probability, relation, *_ in pairs:
        probability *= relation != EXCERPT
        key = frozenset((heads[left], heads[right]))
        likeness[key] = max(probability, likeness.get(key, 0))
    groups = []
    for component in networkx_components(n, links(pairs)):
        open_groups = [[head] for head in {heads[row] for row in component}]
        while len(open_groups) > 1:
            mean = {
                (a, b): np.mean(
                    [likeness.get(frozenset((x, y)), 0) for x in open_groups[a] for y in open_groups[b]]
                )
                for a, b in itertools.combinations(range(len(open_groups)), 2)
            }
            (a, b), best = max(mean.items(), key=lambda item: item[1])
            if best < min_linkage and len({heads[row] for row in component}) > 2:
                break
            open_groups[a] += open_groups.pop(b)
        groups += [frozenset().union(*group) for group in open_groups]
    owner = {row: group for group in groups for row in group}
    return networkx_components(n, [p for p in links(pairs) if owner[p[0]] == owner[p[1]]])


@EXAMPLES
@given(graphs())
def test_components_are_networkxs(graph):
    n, pairs = graph
    left, right = (np.array([p[i] for p in pairs], np.int64) for i in (0, 1))
    labels = components(n, left, right)
    assert groups_of(labels) == networkx_components(n, pairs)
    assert all(label == min(np.flatnonzero(labels == label)) for label in labels)


@EXAMPLES
@given(graphs(), st.sampled_from((0.1, 0.25, 0.5, 0.8)))
def test_the_partition_is_the_naive_twins(graph, min_linkage):
    n, pairs = graph
    assert clustered(n, *pairs, min_linkage=min_linkage) == naive_partition(n, pairs, min_linkage)


@EXAMPLES
@given(graphs(), st.sampled_from((0.1, 0.5, 0.9)), st.integers(1, 2_000))
def test_clusters_lie_within_components_and_hold_copies_together(graph, min_linkage, max_linkage):
    n, pairs = graph
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clusters, "MAX_LINKAGE", max_linkage)
        labels = partition(graph_of(judged(*pairs), n), min_linkage)
    found = groups_of(labels)
    assert sum(map(len, found)) == n
    assert all(labels[row] <= row and labels[labels[row]] == labels[row] for row in range(n))
    whole = networkx_components(n, links(pairs))
    assert all(any(group <= component for component in whole) for group in found)
    assert all(any(group <= own for own in found) for group in networkx_components(n, copies(pairs)))
    # A cluster is held together by confirmed pairs of its own.
    kept = [p for p in links(pairs) if labels[p[0]] == labels[p[1]]]
    assert networkx_components(n, kept) == found


@EXAMPLES
@given(graphs(), st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_matter(graph, rng):
    n, pairs = graph
    order = list(range(n))
    rng.shuffle(order)
    moved = clustered(n, *((order[left], order[right], *rest) for left, right, *rest in pairs))
    assert moved == {frozenset(order[row] for row in group) for group in clustered(n, *pairs)}


def test_one_pair_does_not_chain_two_cohesive_groups():
    two = [*clique(range(0, 5)), *clique(range(5, 10))]
    assert clustered(10, *two, (4, 5, 0.8)) == sets(range(5), range(5, 10))


def test_a_chain_is_broken_and_a_clique_is_not():
    chain = [(i, i + 1, 0.6) for i in range(19)]
    assert max(map(len, clustered(20, *chain))) < 8
    assert clustered(20, *clique(range(20), 0.4)) == sets(range(20))


def test_a_star_of_a_source_and_its_rewrites_stays_together():
    # Rewrites of one source that were not even candidates of each other.
    assert clustered(4, *((0, i, 0.9) for i in range(1, 4))) == sets(range(4))
    # Any number, where they are alike but not confirmed.
    star = [(0, i, 0.9) for i in range(1, 31)]
    assert clustered(31, *star, *clique(range(1, 31), 0.3)) == sets(range(31))


def test_excerpts_link_nothing():
    assert clustered(3, (0, 1, 0.99, EXCERPT), (1, 2, 0.9)) == sets([0], [1, 2])


def test_an_excerpt_does_not_hold_its_article_in_a_cluster():
    """One pair with a rewrite is not enough, however sure it is that the source is quoted."""
    story = clique([0, 1, 2])
    assert clustered(4, *story, (1, 3, 0.5), (0, 3, 0.99, EXCERPT)) == sets([0, 1, 2], [3])
    assert clustered(4, *story, (1, 3, 0.5), (0, 3, 0.99)) == sets(range(4))


def test_what_is_not_confirmed_links_nothing():
    assert clustered(2, (0, 1, THRESHOLD - 0.01)) == sets([0], [1])
    assert clustered(2, (0, 1, THRESHOLD)) == sets([0, 1])


def test_copies_are_never_taken_apart():
    """However long the chain, and however little the copies' own pairs are like each other."""
    exact = [(i, i + 1, 0.6, EXACT) for i in range(19)]
    reprints = [(i, i + 1, 0.6, REPRINT, clusters.COPY_JACCARD) for i in range(19, 39)]
    assert clustered(40, *exact, *reprints) == sets(range(40))
    loose = [(i, i + 1, 0.6, REPRINT, clusters.COPY_JACCARD - 0.01) for i in range(19)]
    assert len(clustered(20, *loose)) > 1


def test_copies_count_as_one_article():
    """Twenty copies of one side don't outweigh the other side's doubts."""
    copied = [(i, i + 1, 0.99, EXACT) for i in range(19)]
    others = clique([20, 21, 22])
    assert clustered(23, *copied, *others, (0, 20, 0.8), (1, 21, 0.8)) == sets(range(23))


@pytest.mark.parametrize("max_linkage", [4, 9])
def test_a_component_too_large_for_a_matrix_is_cut_at_rising_probabilities(max_linkage, monkeypatch):
    monkeypatch.setattr(clusters, "MAX_LINKAGE", max_linkage)
    pairs = [*clique(range(0, 4), 0.95), *clique(range(4, 8), 0.95), (3, 4, 0.5), *clique([8, 9], 0.5)]
    assert clustered(10, *pairs) == sets(range(0, 4), range(4, 8), [8, 9])


def test_only_what_is_too_large_is_cut(monkeypatch):
    monkeypatch.setattr(clusters, "MAX_LINKAGE", 4)
    large = [*clique(range(0, 4), 0.95), *clique(range(4, 8), 0.95), (3, 4, 0.85)]
    small = clique(range(8, 11), 0.5)
    low_copies = [(11, 12, 0.5, EXACT), *((12, i, 0.95) for i in range(13, 17))]
    found = clustered(17, *large, *small, *low_copies)
    assert frozenset(range(8, 11)) in found
    assert any({11, 12} <= group for group in found)
    assert {frozenset(range(0, 4)), frozenset(range(4, 8))} <= found


def test_no_pair_at_all():
    assert clustered(3) == sets([0], [1], [2])


def medoids(
    n: int, *pairs: tuple, published: list[int] | None = None, ranks: list[int] | None = None
) -> list[int]:
    graph: Graph = graph_of(judged(*pairs), n)
    times = np.array(published or [0] * n, np.int64)
    return representatives(graph, partition(graph, 0.01), times, np.array(ranks or range(n))).tolist()


def test_the_representative_is_the_most_like_the_others():
    assert medoids(5, (0, 1, 0.5), (1, 2, 0.9), (0, 2, 0.6), (3, 4, 0.9)) == [2, 2, 2, 3, 3]


def test_excerpts_and_other_clusters_do_not_count_for_the_medoid():
    pairs = [(0, 1, 0.5), (1, 2, 0.5), (0, 2, 0.6), (1, 3, 0.99, EXCERPT), (1, 4, 0.99, EXCERPT)]
    assert medoids(5, *pairs)[:3] == [0, 0, 0]


def test_equals_go_by_time_of_publication_then_by_id():
    never = np.iinfo(np.int64).max
    pair = (0, 1, 0.9)
    assert medoids(2, pair, published=[5, 4]) == [1, 1]
    assert medoids(2, pair, published=[never, 4]) == [1, 1]
    assert medoids(2, pair, published=[-5, 4]) == [0, 0]
    assert medoids(2, pair, published=[4, 4], ranks=[1, 0]) == [1, 1]
    assert medoids(2, pair, published=[never, never], ranks=[0, 1]) == [0, 0]


def test_rounding_errors_are_no_difference():
    third = 0.1 + 0.2  # is not 0.3
    assert medoids(3, (0, 1, 0.1), (1, 2, 0.2), (0, 2, third), published=[2, 1, 3])[0] in (0, 2)
    pairs = [(0, 1, 0.9), (0, 2, 0.5), (1, 2, 0.5 + 1e-12)]
    assert medoids(3, *pairs, published=[1, 2, 3]) == [0, 0, 0]


def shards(folder, articles: list[tuple[str, int | None]]) -> list:
    """Two shards of (article_id, day of publication)."""
    rows = [
        {"article_id": i, "published_at": day and datetime(2026, 1, day, tzinfo=UTC)}
        for i, day in articles
    ]
    cut = len(rows) // 2
    return [
        write_ipc(
            folder / f"{k}.arrow",
            ARTICLE_SHARD,
            pa.Table.from_pylist(part, schema=ARTICLE_SHARD).to_batches(),
        )
        for k, part in enumerate((rows[:cut], rows[cut:]))
    ]


def test_every_article_gets_a_cluster_a_size_and_a_representative(tmp_path):
    articles = [("e", None), ("d", 3), ("c", 2), ("b", 1), ("a", None), ("B", 1)]
    pairs = judged((0, 2, 0.9), (1, 3, 0.9), (1, 5, 0.9), (3, 5, 0.9))
    parts = [
        write_ipc(tmp_path / f"judged-{k}.arrow", JUDGED, part.to_batches())
        for k, part in enumerate((pairs.slice(0, 1), pairs.slice(1)))
    ]
    ref = cluster(parts, shards(tmp_path, articles), config(), tmp_path)
    table = read_ipc(ref.path)
    assert table.schema.equals(MEMBERSHIP)
    assert ref.rows == len(articles)
    assert table["label"].to_pylist() == [0, 1, 0, 1, 4, 1]
    assert table["size"].to_pylist() == [2, 3, 2, 3, 1, 3]
    # "c" has a date and "e" has none; "B" and "b" are of one day, and "B" is the smaller id.
    assert table["representative"].to_pylist() == [2, 5, 2, 5, 4, 5]


def test_articles_without_a_candidate(tmp_path):
    table = read_ipc(cluster([], shards(tmp_path, [("a", 1), ("b", 1)]), config(), tmp_path).path)
    assert table["label"].to_pylist() == table["representative"].to_pylist() == [0, 1]
    assert table["size"].to_pylist() == [1, 1]
