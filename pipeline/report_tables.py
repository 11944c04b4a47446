"""What the report shows, out of a run's published tables: columns for the page, no texts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.arrow_columns import Rows, plain
from pipeline.cluster_tables import MEMBERS_RELATIONS
from pipeline.confirm import RELATION_NAMES
from pipeline.words import run_starts

# Pairs of one cluster that the page gets, the least certain ones: a cluster of a thousand copies has half a
# million pairs, and nobody looks at the certain ones.
MAX_PAIRS = 2_000
MAX_BETWEEN = 200  # pairs between clusters
PAIR_NUMBERS = (
    "probability", "cosine", "cosine_bigrams", "cosine_names", "cosine_numbers", "jaccard",
    "containment_l_in_r", "containment_r_in_l",
)  # fmt: skip
_SHOWN = ("article_id", "source", "url", "title", "published_at", "n_tokens", "cluster_id")


@dataclass(frozen=True)
class Members:
    """The articles of all clusters of two or more, by cluster, time of publication (unknown ones last), id.

    `cluster` int64 (n,): place of its cluster in the table of clusters. `ends` int64 (n_clusters,): the
    member after each cluster's last. `source` int64 (n,): place in `Sources.names`, -1 for none. `at` int64
    (n,): seconds since 1970, the least int64 where unknown. `table` has the other columns, `row` the row in
    the table of articles.
    """

    table: pa.Table
    cluster: Rows
    ends: Rows
    source: Rows
    at: Rows
    row: Rows


NEVER = np.iinfo(np.int64).min


@dataclass(frozen=True)
class Articles:
    """Articles that the report shows, of clusters or with repeats, in the order of the input; `row` int64.

    `names`: all sources of the run, those with most articles first; `n_articles`, `n_tokens` and
    `n_furniture_tokens` int64 (n_sources,). `source` int64 (n,): place in `names`, -1 for none.
    """

    table: pa.Table
    row: Rows
    source: Rows
    names: list[str]
    n_articles: Rows
    n_tokens: Rows
    n_furniture_tokens: Rows


def read_articles(folder: Path, clusters: pa.Table) -> Articles:
    """Read the table of articles in pieces, and keep what is shown."""
    repeats = pq.read_table(folder / "repeated_sections.parquet", columns=["article_id"])["article_id"]
    with_repeats = pc.unique(repeats)
    kept, rows = [], []
    counted: list[pa.RecordBatch] = []
    row = 0
    with pq.ParquetFile(folder / "articles.parquet") as file:
        for batch in file.iter_batches(columns=[*_SHOWN, "n_furniture_tokens"]):
            counted.append(batch.select(["source", "n_tokens", "n_furniture_tokens"]))
            shown = pc.or_(
                pc.is_in(batch["cluster_id"], value_set=clusters["cluster_id"]),
                pc.is_in(batch["article_id"], value_set=with_repeats),
            )
            kept.append(batch.select(list(_SHOWN)).filter(shown))
            rows.append(row + np.flatnonzero(shown.to_numpy(zero_copy_only=False)))
            row += batch.num_rows
        schema = file.schema_arrow
    table = pa.Table.from_batches(kept, pa.schema([schema.field(name) for name in _SHOWN]))
    counts = pa.schema([schema.field(name) for name in ("source", "n_tokens", "n_furniture_tokens")])
    totals = pa.Table.from_batches(counted, counts).group_by("source")
    totals = totals.aggregate([("source", "count"), ("n_tokens", "sum"), ("n_furniture_tokens", "sum")])
    totals = totals.sort_by([("source_count", "descending"), ("source", "ascending")])
    totals = totals.filter(pc.is_valid(totals["source"]))
    names = plain(totals["source"].cast(pa.string()))
    sums = [totals[name].to_numpy().astype(np.int64)
            for name in ("source_count", "n_tokens_sum", "n_furniture_tokens_sum")]  # fmt: skip
    source = pc.index_in(table["source"], value_set=names).fill_null(-1).to_numpy().astype(np.int64)
    return Articles(table, np.concatenate([np.zeros(0, np.int64), *rows]), source, names.to_pylist(), *sums)


def members_of(folder: Path, clusters: pa.Table, articles: Articles) -> Members:
    """The clusters' members."""
    place = pc.index_in(articles.table["cluster_id"], value_set=clusters["cluster_id"])
    inside = np.flatnonzero(place.is_valid().to_numpy())
    cluster = place.take(pa.array(inside)).to_numpy().astype(np.int64)
    columns = ["article_id", "is_representative", "relation", "probability", "cosine", "jaccard"]
    scored = pq.read_table(
        folder / "cluster_members.parquet", columns=columns, filters=pc.field("cluster_size") > 1
    )
    at = seconds(articles.table["published_at"])[inside]
    ids = articles.table["article_id"].take(pa.array(inside))
    rank = pc.rank(ids, sort_keys="ascending", tiebreaker="first").to_numpy().astype(np.int64)
    order = np.lexsort((rank, at, at == NEVER, cluster))
    mine = articles.table.take(pa.array(inside[order])).drop_columns(["cluster_id", "published_at", "source"])
    scores = scored.take(pc.index_in(mine["article_id"], value_set=scored["article_id"]))
    for name in columns[1:]:
        mine = mine.append_column(name, scores[name])
    ends = np.searchsorted(cluster[order], np.arange(len(clusters)), side="right")
    chosen = inside[order]
    return Members(mine, cluster[order], ends, articles.source[chosen], at[order], articles.row[chosen])


@dataclass(frozen=True)
class Pairs:
    """Confirmed pairs of two members of one cluster, by cluster; `left`, `right` int64: places in `Members`.

    `n_all` int64 (n_clusters,): how many each cluster has; at most MAX_PAIRS of them are in `table`.
    `n_between`: confirmed pairs whose articles are in different clusters, or alone; `between` has their ids,
    relation and probability, at most MAX_BETWEEN, the most certain first.
    """

    table: pa.Table
    left: Rows
    right: Rows
    ends: Rows
    n_all: Rows
    n_between: int
    between: pa.Table


def pairs_of(folder: Path, members: Members) -> Pairs:
    """The clusters' pairs, the least certain first."""
    columns = ["article_id_l", "article_id_r", "relation", *PAIR_NUMBERS, "found_by"]
    table = pq.read_table(folder / "confirmed_pairs.parquet", columns=columns)
    ids = members.table["article_id"]
    left, right = (
        pc.index_in(table[side], value_set=ids).fill_null(-1).to_numpy().astype(np.int64)
        for side in ("article_id_l", "article_id_r")
    )
    none = np.append(members.cluster, -1)
    is_inside = (left >= 0) & (right >= 0) & (none[left] == none[right])
    inside = np.flatnonzero(is_inside)
    between = table.filter(pa.array(~is_inside)).select(
        ["article_id_l", "article_id_r", "relation", "probability"]
    )
    order = [("probability", "descending"), ("article_id_l", "ascending"), ("article_id_r", "ascending")]
    cluster = none[left[inside]]
    inside = inside[np.lexsort((table["probability"].to_numpy()[inside], cluster))]
    cluster = np.sort(cluster)
    n_all = np.bincount(cluster, minlength=len(members.ends)).astype(np.int64)
    starts = run_starts(cluster)
    nth = np.arange(len(cluster)) - np.repeat(starts, np.diff(np.append(starts, len(cluster))))
    kept = inside[nth < MAX_PAIRS]
    ends = np.cumsum(np.minimum(n_all, MAX_PAIRS))
    chosen = table.select(["relation", *PAIR_NUMBERS, "found_by"]).take(pa.array(kept))
    shown = between.sort_by(order)[:MAX_BETWEEN]
    return Pairs(chosen, left[kept], right[kept], ends, n_all, len(between), shown)


def cluster_columns(clusters: pa.Table, members: Members, begin: int, end: int) -> dict[str, Any]:
    """The list's columns of the clusters [begin, end)."""
    some = clusters.slice(begin, end - begin)
    first, last = (seconds(some[name]) for name in ("first_published_at", "last_published_at"))
    start = int(members.ends[begin - 1]) if begin else 0
    stop = int(members.ends[end - 1]) if end else 0
    # Distinct sources of each cluster: the list can be searched for them.
    both = np.unique((members.cluster[start:stop] << 32) | (members.source[start:stop] & 0xFFFFFFFF))
    both = both[(both & 0xFFFFFFFF) != 0xFFFFFFFF]
    edges = np.searchsorted(both >> 32, np.arange(begin, end), side="right")
    return {
        "cluster_id": some["cluster_id"].to_pylist(),
        "title": [t or i for t, i in zip(some["title"].to_pylist(), some["representative_id"].to_pylist(),
                                         strict=True)],
        "n_articles": some["n_articles"].to_pylist(),
        "n_sources": some["n_sources"].to_pylist(),
        "first": dates(first), "last": dates(last),
        "min_probability": rounded(some["min_probability"]),
        "mean_cosine": rounded(some["mean_cosine"]),
        "relations": relation_bits(some["relations"]).tolist(),
        "sources": (both & 0xFFFFFFFF).tolist(), "source_ends": edges.tolist(),
    }  # fmt: skip


def detail_columns(
    members: Members, pairs: Pairs, places: npt.NDArray[np.int64], begin: int, end: int
) -> dict[str, Any]:
    """Members and pairs of the clusters [begin, end); ends are counted from the first of them.

    `places` int64 (n_members,): where each member's text is, -1 for those whose text is not in the report.
    """
    start, stop = (int(members.ends[at - 1]) if at else 0 for at in (begin, end))
    own = slice(start, stop)
    some = members.table.slice(start, stop - start)
    from_, to = (int(pairs.ends[at - 1]) if at else 0 for at in (begin, end))
    chosen = pairs.table.slice(from_, to - from_)
    base = np.concatenate(([0], members.ends))[members.cluster[pairs.left[from_:to]]]
    return {
        "members": {
            "ends": (members.ends[begin:end] - start).tolist(),
            **{name: some[name].to_pylist() for name in ("article_id", "title", "url", "n_tokens")},
            "source": members.source[own].tolist(),
            "at": dates(members.at[own]),
            "place": places[own].tolist(),
            "is_representative": some["is_representative"].cast(pa.int8()).to_pylist(),
            "relation": relation_numbers(some["relation"]),
            **{name: rounded(some[name]) for name in ("probability", "cosine", "jaccard")},
        },
        "pairs": {
            "ends": (pairs.ends[begin:end] - from_).tolist(),
            "n_all": pairs.n_all[begin:end].tolist(),
            "l": (pairs.left[from_:to] - base).tolist(),
            "r": (pairs.right[from_:to] - base).tolist(),
            "relation": relation_numbers(chosen["relation"]),
            **{name: rounded(chosen[name]) for name in PAIR_NUMBERS},
            "found_by": chosen["found_by"].to_pylist(),
        },
    }


def repeats_of(folder: Path, articles: Articles, places: npt.NDArray[np.int64]) -> Iterator[dict[str, Any]]:
    """Each article with repeated sections, in the order of the input, with its sections by place."""
    sections = pq.read_table(folder / "repeated_sections.parquet")
    if not sections.num_rows:
        return
    at = pc.index_in(sections["article_id"], value_set=articles.table["article_id"]).to_numpy()
    order = np.lexsort((sections["begin"].to_numpy(), at))
    rows = sections.take(pa.array(order)).drop_columns(["article_id"]).to_pylist()
    starts = run_starts(at[order].astype(np.int64)).tolist()
    shown = at[order[starts]].astype(np.int64)
    own = articles.table.take(pa.array(shown))
    heads = own.select(["article_id", "url", "title"]).to_pylist()
    for head, start, stop, time, source, place in zip(
        heads, starts, [*starts[1:], len(rows)], dates(seconds(own["published_at"])),
        articles.source[shown].tolist(), places[shown].tolist(), strict=True,
    ):  # fmt: skip
        yield head | {"published_at": time, "source": source, "place": place, "sections": rows[start:stop]}


def relation_bits(relations: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """A bit for each relation that a list holds, by RELATIONS; int64 (n,)."""
    lists = plain(relations)
    places = pc.index_in(lists.flatten(), value_set=RELATION_NAMES).to_numpy().astype(np.int64)
    found = np.zeros(len(lists), np.int64)
    np.bitwise_or.at(found, pc.list_parent_indices(lists).to_numpy(), np.left_shift(1, places))
    return found


def relation_numbers(relations: pa.ChunkedArray) -> list[int]:
    """Place of each relation in RELATIONS, behind them "indirect"; -1 for none."""
    return [MEMBERS_RELATIONS.index(r) if r else -1 for r in relations.to_pylist()]


def rounded(values: pa.ChunkedArray) -> list[float | None]:
    """Four decimals: more than the page shows, less than takes room."""
    found: list[float | None] = pc.round(values, 4).to_pylist()
    return found


def seconds(times: pa.ChunkedArray) -> Rows:
    """Seconds since 1970, int64 (n,); NEVER where unknown."""
    return np.asarray(times.cast(pa.timestamp("s", "UTC"), safe=False).cast(pa.int64()).fill_null(NEVER))


def dates(values: Rows) -> list[int | None]:
    """The seconds for JSON."""
    return [None if value == NEVER else value for value in values.tolist()]
