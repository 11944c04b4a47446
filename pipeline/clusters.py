"""Stage "clusters": components of the confirmed pairs, chains broken, a representative for each.

Excerpt pairs don't link. Within a component, copies (exact, or reprints of high resemblance) stand together;
the rest is joined by average linkage over the judged probabilities, down to a mean of
`clusters.min_linkage`; an excerpt, and a pair that was never a candidate, counts 0. So two groups of articles
become one only if, taken all together, they are likely to be the same story. One good pair between two
groups no longer chains them.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import squareform

from pipeline.arrow_columns import ranks, read_column
from pipeline.config import Config
from pipeline.confirm import EXACT, EXCERPT, JUDGED, REPRINT, links
from pipeline.tables import Ref, read_ipc, write_ipc
from pipeline.words import run_starts

# Reprints of at least this resemblance are copies: they are never taken apart.
COPY_JACCARD = 0.7
# Average linkage holds a square matrix: larger components are cut at rising probabilities first.
MAX_LINKAGE = 2_000
_RISING = (0.8, 0.9, 0.97, 0.99)
_SLACK = 1e-9  # means are rounded

MEMBERSHIP = pa.schema([("label", pa.int64()), ("size", pa.int32()), ("representative", pa.int64())])


@dataclass(frozen=True)
class Graph:
    """The judged pairs of n articles; arrays (n_pairs,).

    Rows `left` < `right` int64; `probability` float64, 0 for excerpts. `links`: confirmed, and no mere
    excerpt; `is_copy`: links of copies. Both bool.
    """

    n: int
    left: np.ndarray
    right: np.ndarray
    probability: np.ndarray
    links: np.ndarray
    is_copy: np.ndarray


def read_judged(judged: Sequence[Ref]) -> pa.Table:
    """All judged pairs of a run, ascending by left and right."""
    return pa.concat_tables([JUDGED.empty_table(), *(read_ipc(part.path) for part in judged)])


def graph_of(pairs: pa.Table, n: int) -> Graph:
    """The graph of n articles. Excerpts and neighbours don't link."""
    relation = pairs["relation"].to_numpy()
    linked = links(pairs)
    copy = (relation == EXACT) | ((relation == REPRINT) & (pairs["jaccard"].to_numpy() >= COPY_JACCARD))
    return Graph(
        n,
        pairs["left"].to_numpy().astype(np.int64),
        pairs["right"].to_numpy().astype(np.int64),
        np.where(relation == EXCERPT, 0.0, pairs["probability"].to_numpy()),
        linked,
        linked & copy,
    )


def components(n: int, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Label int64 (n,) of each node's component: the component's least node."""
    matrix = coo_matrix((np.ones(len(left), np.int8), (left, right)), shape=(n, n))
    _, labels = connected_components(matrix, directed=False)
    least = np.full(labels.max(initial=-1) + 1, n, np.int64)
    np.minimum.at(least, labels, np.arange(n))
    return np.asarray(least[labels])


def partition(graph: Graph, min_linkage: float) -> np.ndarray:
    """Label int64 (n,) of each article's cluster: the cluster's least row.

    `min_linkage`: mean probability, 0..1, from which two groups of articles are one cluster.
    """
    copies = components(graph.n, graph.left[graph.is_copy], graph.right[graph.is_copy])
    labels = _bounded_components(graph, copies)
    inside = np.flatnonzero(labels[graph.left] == labels[graph.right])
    inside = inside[np.argsort(labels[graph.left[inside]], kind="stable")]
    owner = labels[graph.left[inside]]
    n_heads = _n_heads(copies, labels)
    starts = run_starts(owner)
    for start, stop in itertools.pairwise(np.append(starts, len(inside))):
        if 2 < n_heads[owner[start]] <= MAX_LINKAGE:
            _break_chains(graph, inside[start:stop], copies, labels, min_linkage)
    # Linkage also weighs pairs that are likely but not confirmed: what holds a cluster together is confirmed.
    kept = graph.links & (labels[graph.left] == labels[graph.right])
    return components(graph.n, graph.left[kept], graph.right[kept])


def _n_heads(copies: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Groups of copies in each component, by the component's label."""
    heads = np.flatnonzero(copies == np.arange(len(copies)))
    return np.bincount(labels[heads], minlength=len(copies))


def _bounded_components(graph: Graph, copies: np.ndarray) -> np.ndarray:
    """Components of the links, those too large for a matrix cut at rising probabilities."""
    links = graph.links
    labels = components(graph.n, graph.left[links], graph.right[links])
    for floor in _RISING:
        is_large = _n_heads(copies, labels) > MAX_LINKAGE
        if not is_large.any():
            break
        links = links & (graph.is_copy | (graph.probability >= floor) | ~is_large[labels[graph.left]])
        labels = components(graph.n, graph.left[links], graph.right[links])
    return labels


def _break_chains(
    graph: Graph, pairs: np.ndarray, copies: np.ndarray, labels: np.ndarray, min_linkage: float
) -> None:
    """Rewrites `labels` of one component; `pairs` are the judged pairs inside it."""
    rows = np.unique(np.concatenate((graph.left[pairs], graph.right[pairs])))
    heads = np.unique(copies[rows])
    left = np.searchsorted(heads, copies[graph.left[pairs]])
    right = np.searchsorted(heads, copies[graph.right[pairs]])
    likeness = np.zeros((len(heads), len(heads)))
    np.maximum.at(likeness, (left, right), graph.probability[pairs])
    likeness = np.maximum(likeness, likeness.T)
    np.fill_diagonal(likeness, 1)
    if likeness.min() > min_linkage + _SLACK:
        return  # no mean of some of them is less
    group = fcluster(linkage(squareform(1 - likeness, checks=False), "average"), 1 - min_linkage, "distance")
    of_row = group[np.searchsorted(heads, copies[rows])]
    least = np.full(group.max() + 1, graph.n, np.int64)
    np.minimum.at(least, of_row, rows)
    labels[rows] = least[of_row]


def representatives(
    graph: Graph, labels: np.ndarray, published: np.ndarray, id_rank: np.ndarray
) -> np.ndarray:
    """Row int64 (n,) of the representative of each article's cluster: the medoid.

    The medoid has the highest sum of probabilities to the others of its cluster; ties go to the earliest
    `published` (int64, nulls last as the largest number), then to the smallest id (`id_rank` int64).
    """
    same = graph.links & (labels[graph.left] == labels[graph.right])
    score = np.zeros(graph.n)
    np.add.at(score, graph.left[same], graph.probability[same])
    np.add.at(score, graph.right[same], graph.probability[same])
    # Measures are float32: below the fifth digit a score depends on which article was the left one.
    order = np.lexsort((id_rank, published, -np.round(score, 5), labels))
    first = order[run_starts(labels[order])]
    medoid = np.zeros(graph.n, np.int64)
    medoid[labels[first]] = first
    return np.asarray(medoid[labels])


def cluster(judged: Sequence[Ref], shards: Sequence[Ref], config: Config, work: Path) -> Ref:
    """Each article's cluster (label: its least row), the cluster's size, and its representative's row."""
    id_rank = ranks(read_column(shards, "article_id"))
    dates = read_column(shards, "published_at")
    n = len(id_rank)
    graph = graph_of(read_judged(judged), n)
    labels = partition(graph, config.clusters.min_linkage)
    published = dates.cast(pa.int64()).fill_null(np.iinfo(np.int64).max).to_numpy()
    medoid = representatives(graph, labels, published, id_rank)
    size = np.bincount(labels, minlength=n)[labels].astype(np.int32)
    batch = pa.record_batch([pa.array(labels), pa.array(size), pa.array(medoid)], schema=MEMBERSHIP)
    return write_ipc(work / "clusters.arrow", MEMBERSHIP, [batch])
