"""The confirmed pairs that the report shows, and what only all of them together can tell."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import minimum_spanning_tree

from pipeline.arrow_columns import Rows
from pipeline.bridges import bridges
from pipeline.confirm import JOIN_NO_CLUSTER, RELATED
from pipeline.report_tables import NEVER, Members, relation_numbers
from pipeline.words import run_starts

# Pairs of one cluster that the page gets, the least certain ones: a cluster of a thousand copies has half a
# million pairs, and nobody looks at the certain ones. Those that say how a member belongs to it come besides.
MAX_PAIRS = 2_000
MAX_BETWEEN = 200  # pairs between clusters
PAIR_NUMBERS = (
    "probability", "cosine", "cosine_bigrams", "cosine_names", "cosine_numbers", "jaccard",
    "containment_l_in_r", "containment_r_in_l",
)  # fmt: skip
# What a pair does for its cluster: nothing, it is part of the tree that holds it together, or the only link.
TREE, BRIDGE = 1, 2


@dataclass(frozen=True)
class Pairs:
    """Listed pairs of two members of one cluster, all of them, by cluster, the least certain first.

    `left`, `right` int64 (n,): places in `Members`. `relation` int64 (n,): place in MEMBERS_RELATIONS.
    `holds` int8 (n,): 0, TREE or BRIDGE. `is_shown` bool (n,): whether the page gets it; `table` has the
    measures of those. `ends` int64 (n_clusters,): the pair after each cluster's last.

    `closest` int64 (n_members,): the pair with the earlier article that each member is closest to, -1 for
    none. The closest relation counts first, then the higher cosine, then who was earlier.
    """

    table: pa.Table
    left: Rows
    right: Rows
    relation: Rows
    holds: npt.NDArray[np.int8]
    is_shown: npt.NDArray[np.bool_]
    ends: Rows
    closest: Rows


def pairs_of(folder: Path, members: Members) -> Pairs:
    """The clusters' pairs."""
    columns = ["article_id_l", "article_id_r", "relation", *PAIR_NUMBERS, "found_by"]
    table = pq.read_table(folder / "confirmed_pairs.parquet", columns=columns)
    ids = members.table["article_id"]
    left, right = (_places(table[side], ids) for side in ("article_id_l", "article_id_r"))
    inside = np.flatnonzero((left >= 0) & (right >= 0))
    inside = inside[members.cluster[left[inside]] == members.cluster[right[inside]]]
    # As the page shows them: what further digits say depends on the processor.
    probability = np.round(table["probability"].to_numpy(), 4)
    inside = inside[np.lexsort((inside, probability[inside], members.cluster[left[inside]]))]
    left, right, probability = left[inside], right[inside], probability[inside]
    relation = np.array(relation_numbers(table["relation"]), np.int64)[inside]
    cosine = table["cosine"].to_numpy()[inside]
    n_clusters = len(members.ends)
    ends = np.searchsorted(members.cluster[left], np.arange(n_clusters), side="right")
    holds = _holding(len(members.at), left, right, relation, probability)
    closest = _closest(members, left, right, relation, cosine)
    is_shown = _shown(members, left, right, holds, closest, ends)
    chosen = table.select([*PAIR_NUMBERS, "found_by"]).take(pa.array(inside[is_shown]))
    return Pairs(chosen, left, right, relation, holds, is_shown, ends, closest)


def between_pairs(folder: Path) -> tuple[pa.Table, int]:
    """Pairs whose articles are in different clusters, or alone: at most MAX_BETWEEN, and how many there are.

    The most certain first. The columns are those of the table `confirmed_pairs`.
    """
    members = pq.read_table(
        folder / "cluster_members.parquet",
        columns=["article_id", "cluster_id"],
        filters=pc.field("cluster_size") > 1,
    )
    columns = ["article_id_l", "article_id_r", "relation", *PAIR_NUMBERS, "found_by"]
    table = pq.read_table(folder / "confirmed_pairs.parquet", columns=columns)
    left, right = (
        members["cluster_id"].take(pc.index_in(table[side], value_set=members["article_id"]))
        for side in ("article_id_l", "article_id_r")
    )
    between = table.filter(pc.not_equal(left, right).fill_null(True))  # who is alone is no member
    order = [("probability", "descending"), ("article_id_l", "ascending"), ("article_id_r", "ascending")]
    return between.sort_by(order)[:MAX_BETWEEN], len(between)


def _places(ids: pa.ChunkedArray, known: pa.ChunkedArray) -> Rows:
    return np.asarray(pc.index_in(ids, value_set=known).fill_null(-1).to_numpy(), np.int64)


def _holding(
    n: int, left: Rows, right: Rows, relation: Rows, probability: npt.NDArray[np.float64]
) -> npt.NDArray[np.int8]:
    """What each pair does for its cluster; the tree is the one of the most certain pairs."""
    joining = np.flatnonzero(~np.isin(relation, JOIN_NO_CLUSTER))
    order = joining[np.lexsort((joining, -probability[joining]))]
    weights = np.arange(1.0, len(order) + 1)  # each one once, so that there is one tree; 0 would be no link
    tree = minimum_spanning_tree(coo_matrix((weights, (left[order], right[order])), shape=(n, n)).tocsr())
    found = np.zeros(len(left), np.int8)
    found[order[tree.data.astype(np.int64) - 1]] = TREE
    found[joining[bridges(n, left[joining], right[joining])]] = BRIDGE
    return found


def _closest(
    members: Members, left: Rows, right: Rows, relation: Rows, cosine: npt.NDArray[np.float64]
) -> Rows:
    at_l, at_r = members.at[left], members.at[right]
    told = np.flatnonzero((at_l != NEVER) & (at_r != NEVER) & (at_l != at_r) & (relation != RELATED))
    is_later = at_l[told] > at_r[told]
    later = np.where(is_later, left[told], right[told])
    earlier = np.where(is_later, right[told], left[told])
    # Four decimals, as the page shows: less is rounding.
    order = np.lexsort((earlier, -np.round(cosine[told], 4), relation[told], later))
    best = order[run_starts(later[order])]
    closest = np.full(len(members.at), -1)
    closest[later[best]] = told[best]
    return closest


def _shown(
    members: Members, left: Rows, right: Rows, holds: npt.NDArray[np.int8], closest: Rows, ends: Rows
) -> npt.NDArray[np.bool_]:
    """The least certain pairs of each cluster, each member's with the first, with the representative and with
    the earlier article it is closest to, and those that hold the cluster together."""  # fmt: skip
    cluster = members.cluster[left]
    starts = np.concatenate((np.zeros(1, np.int64), ends))[:-1]
    found = np.arange(len(left)) - starts[cluster] < MAX_PAIRS
    found |= holds > 0
    found[closest[closest >= 0]] = True
    stands = members.table["is_representative"].to_numpy(zero_copy_only=False).astype(np.bool_)
    stands[members.starts] = True  # the first of each cluster
    return np.asarray(found | stands[left] | stands[right])


def relation_bits(members: Members, pairs: Pairs) -> Rows:
    """A bit for each relation that a pair inside a cluster has, int64 (n_clusters,)."""
    found = np.zeros(len(members.ends), np.int64)
    np.bitwise_or.at(found, members.cluster[pairs.left], np.left_shift(1, pairs.relation))
    return found
