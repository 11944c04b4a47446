"""The path of confirmed pairs: fewest pairs, then the highest least probability."""

from __future__ import annotations

import itertools

import networkx as nx
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.explained import Link
from pipeline.links import shortest_path


def link(a: str, b: str, probability: float) -> Link:
    return Link(a, b, "respun", probability)


def test_fewest_first_then_the_strongest():
    weak, long = [link("a", "m", 0.9), link("m", "z", 0.5)], [link("a", "k", 1), link("k", "l", 1)]
    strong = [link("n", "a", 0.6), link("n", "z", 0.7)]
    path = shortest_path([*weak, *long, link("l", "z", 1), *strong], "a", "z")
    assert path == (link("a", "n", 0.6), link("n", "z", 0.7))
    assert shortest_path(weak, "z", "a") == (link("z", "m", 0.5), link("m", "a", 0.9))
    assert shortest_path(weak, "a", "k") == shortest_path(weak, "a", "a") == ()


EDGES = st.dictionaries(
    st.sampled_from(list(itertools.combinations("abcdefg", 2))), st.integers(1, 9).map(lambda n: n / 10)
)


@settings(deadline=None)
@given(EDGES)
def test_it_is_the_best_of_all_shortest_paths(edges):
    links = [link(*pair, probability) for pair, probability in edges.items()]
    graph = nx.Graph(list(edges))
    graph.add_nodes_from("ag")
    found = shortest_path(links, "a", "g")
    back = shortest_path(links, "g", "a")
    assert back == tuple(link(one.article_id_to, one.article_id_from, one.probability) for one in found[::-1])
    if not nx.has_path(graph, "a", "g"):
        assert found == ()
        return
    shortest = [list(itertools.pairwise(path)) for path in nx.all_shortest_paths(graph, "a", "g")]
    best = max(min(edges[tuple(sorted(step))] for step in path) for path in shortest)
    assert len(found) == len(shortest[0])
    assert min(one.probability for one in found) == best
