"""The tables of clusters and of their members."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import compress

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.arrow_columns import Rows, digest, hexadecimal, parts_of, ranks, table_batch
from pipeline.candidates import PAIRS
from pipeline.confirm import EXACT, RELATED, RELATIONS, Judge, links
from pipeline.schema import UTC_TIME
from pipeline.shards import take_articles
from pipeline.tables import Ref
from pipeline.words import distinct, run_starts

# What a member may be to its representative: where that pair is not confirmed itself, others link the two.
INDIRECT = len(RELATIONS)
MEMBERS_RELATIONS = (*RELATIONS, "indirect")
_RELATION_NAMES = pa.array(MEMBERS_RELATIONS)
_NEVER = np.int64(np.iinfo(np.int64).max)


@dataclass(frozen=True)
class Clustering:
    """The cluster of each article; arrays (n,) by row.

    `ids` and `id_rank` int64, their order. `number` uint64: of the cluster, its id in hex digits. `size`
    int32: articles of the cluster. `representative` int64: its row. `is_shown` bool: whether the cluster is
    in the tables, as it always is in a run without an index.
    """

    ids: pa.ChunkedArray
    id_rank: Rows
    number: npt.NDArray[np.uint64]
    size: npt.NDArray[np.int32]
    representative: Rows
    is_shown: npt.NDArray[np.bool_]


def clustering_of(ids: pa.ChunkedArray, membership: pa.Table, named: pa.Table | None) -> Clustering:
    """Gives each cluster of `membership` (clusters.MEMBERSHIP) its number.

    It is that of `named` (index_clusters.NAMED), which says what is shown too. Without it, the number is the
    first 64 bits of the SHA-256 of the cluster's smallest article_id, so that a cluster keeps its id for as
    long as it keeps that article.
    """
    id_rank = ranks(ids)
    size, representative = membership["size"].to_numpy(), membership["representative"].to_numpy()
    if named is not None:
        number, is_shown = named["cluster"].to_numpy(), named["is_shown"].to_numpy()
        return Clustering(ids, id_rank, number, size, representative, is_shown)
    label = membership["label"].to_numpy()
    number = numbers(ids, id_rank, np.arange(len(label)), label)
    return Clustering(ids, id_rank, number, size, representative, np.ones(len(label), np.bool_))


def numbers(
    ids: pa.ChunkedArray, id_rank: Rows, rows: Rows, label: Rows, kind: str = ""
) -> npt.NDArray[np.uint64]:
    """The number of the group `label` that each of the rows is in, from the group's smallest id.

    Groups of another `kind` have other numbers.
    """
    order = np.lexsort((id_rank[rows], label))
    starts = run_starts(label[order])
    smallest = ids.take(pa.array(rows[order[starts]])).to_pylist()
    own = np.frombuffer(b"".join(digest(f"{kind}{one}") for one in smallest), ">u8").astype(np.uint64)
    found = np.empty(len(rows), np.uint64)
    found[order] = np.repeat(own, np.diff(np.append(starts, len(rows))))
    return found


def clusters(clustering: Clustering, shards: Sequence[Ref], judged: pa.Table) -> pa.RecordBatch:
    """The clusters of two or more, by id. `judged` are all judged pairs (confirm.JUDGED)."""
    rows = np.flatnonzero((clustering.size > 1) & clustering.is_shown)
    rows = rows[np.argsort(clustering.number[rows], kind="stable")]
    starts = run_starts(clustering.number[rows])
    medoids = clustering.representative[rows[starts]]
    n_articles = clustering.size[rows[starts]]
    articles = _take_in_any_order(shards, rows, ("source", "published_at"))
    n_sources = _distinct_sources(np.repeat(np.arange(len(starts)), n_articles), articles["source"])
    titles = _take_in_any_order(shards, medoids, ("title",))["title"]
    first, last = _first_and_last(articles["published_at"], starts)
    return table_batch("clusters", [
        hexadecimal(clustering.number[rows[starts]]), pa.array(n_articles), pa.array(n_sources),
        clustering.ids.take(pa.array(medoids)), titles, first, last, *_inside(clustering, judged),
    ])  # fmt: skip


def _take_in_any_order(shards: Sequence[Ref], rows: Rows, columns: Sequence[str]) -> pa.Table:
    order = np.argsort(rows, kind="stable")
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    return take_articles(shards, rows[order], columns).take(pa.array(back))


def _distinct_sources(cluster: Rows, sources: pa.ChunkedArray) -> npt.NDArray[np.int32]:
    """How many different sources, nulls left out, the articles of each cluster (0, 1, 2 ...) have."""
    codes = pc.index_in(sources, value_set=pc.unique(sources))
    known = sources.is_valid().to_numpy()
    pairs = (cluster.astype(np.uint64) << np.uint64(32)) | codes.to_numpy().astype(np.uint64)
    owners = (distinct(pairs[known]) >> np.uint64(32)).astype(np.int64)
    return np.bincount(owners, minlength=int(cluster.max(initial=-1)) + 1).astype(np.int32)


def _first_and_last(times: pa.ChunkedArray, starts: Rows) -> tuple[pa.Array, pa.Array]:
    """Earliest and latest time of each run of articles; null where none has one."""
    known = times.is_valid().to_numpy()
    stamps = times.cast(pa.int64()).fill_null(0).to_numpy()
    nobody = ~np.logical_or.reduceat(known, starts) if len(starts) else np.zeros(0, bool)
    first = np.minimum.reduceat(np.where(known, stamps, _NEVER), starts)
    last = np.maximum.reduceat(np.where(known, stamps, -_NEVER), starts)
    earliest, latest = (pa.array(stamps, pa.int64(), mask=nobody).cast(UTC_TIME) for stamps in (first, last))
    return earliest, latest


def _inside(clustering: Clustering, judged: pa.Table) -> tuple[pa.Array, pa.Array, pa.Array]:
    """Least probability, mean cosine and relations of the confirmed pairs that link each cluster, by id.

    Every cluster of two or more has such a pair.
    """
    left, right = (judged[side].to_numpy() for side in ("left", "right"))
    inside = (clustering.number[left] == clustering.number[right]) & clustering.is_shown[left]
    chosen = np.flatnonzero(links(judged) & inside)
    chosen = chosen[np.argsort(clustering.number[left[chosen]], kind="stable")]
    starts = run_starts(clustering.number[left[chosen]])
    inner = judged.take(pa.array(chosen))
    n_pairs = np.diff(np.append(starts, len(chosen)))
    cosine = np.add.reduceat(inner["cosine"].to_numpy().astype(np.float64), starts) / n_pairs
    kinds = np.bitwise_or.reduceat(np.int8(1) << inner["relation"].to_numpy(), starts)
    sets = pa.array([sorted(_relations(bits)) for bits in range(1 << len(RELATIONS))], pa.list_(pa.string()))
    return (
        pa.array(np.minimum.reduceat(inner["probability"].to_numpy(), starts)),
        pa.array(cosine),
        sets.take(pa.array(kinds)),
    )


def _relations(bits: int) -> Iterator[str]:
    return compress(RELATIONS, (bits >> place & 1 for place in range(len(RELATIONS))))


def members(clustering: Clustering, judged: pa.Table, judge: Judge) -> Iterator[pa.RecordBatch]:
    """Every article by cluster and id, with what is measured between it and its cluster's representative."""
    medoid = clustering.representative
    others = np.flatnonzero((medoid != np.arange(len(medoid))) & clustering.is_shown)
    ends = np.sort(np.stack((others, medoid[others])), axis=0)
    pairs = _judged_pairs(ends[0], ends[1], judged, judge)
    order = np.lexsort((clustering.id_rank, clustering.number))
    for part in parts_of(order[clustering.is_shown[order]]):
        is_other, is_alone = medoid[part] != part, clustering.size[part] == 1
        at = np.searchsorted(others, part[is_other])
        # A representative is to itself what an exact copy is; a singleton has no representative.
        relation = np.full(len(part), EXACT, np.int8)
        own = np.where(pairs["is_confirmed"].to_numpy(), pairs["relation"].to_numpy(), INDIRECT)
        relation[is_other] = np.where(own == RELATED, INDIRECT, own)[at]
        numbers = np.ones((3, len(part)))
        for values, column in zip(numbers, ("probability", "cosine", "jaccard"), strict=True):
            values[is_other] = pairs[column].to_numpy()[at]
        yield table_batch("cluster_members", [
            hexadecimal(clustering.number[part]), clustering.ids.take(pa.array(part)), pa.array(~is_other),
            _RELATION_NAMES.take(pa.array(relation, mask=is_alone)),
            *(pa.array(values, mask=is_alone) for values in numbers), pa.array(clustering.size[part]),
        ])  # fmt: skip


def _judged_pairs(left: Rows, right: Rows, judged: pa.Table, judge: Judge) -> pa.Table:
    """The judged pairs (left, right), in that order; those never measured in full are judged now."""
    known = (judged["left"].to_numpy().astype(np.int64) << 32) | judged["right"].to_numpy()
    wanted = (left << 32) | right
    place = np.searchsorted(known, wanted)
    place[place == len(known)] = 0
    missing = np.arange(len(wanted))
    if len(known):
        screened = judged["probability"].to_numpy()[place] == 0
        missing = np.flatnonzero((known[place] != wanted) | screened)
    if not len(missing):
        return judged.take(pa.array(place))
    place[missing] = len(judged) + np.arange(len(missing))
    nobody, nothing = np.zeros(len(missing), np.uint8), np.zeros(len(missing), np.float32)
    ends = (left[missing].astype(np.int32), right[missing].astype(np.int32))
    fresh = judge.judge(pa.table([*ends, nobody, nothing, nothing], schema=PAIRS))
    return pa.concat_tables([judged, fresh]).take(pa.array(place))
