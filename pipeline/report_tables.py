"""What the report shows, out of a run's published tables: clusters' members, and articles."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.arrow_columns import Rows, ends_of, plain
from pipeline.cluster_tables import MEMBERS_RELATIONS

_RELATION_NAMES = pa.array(MEMBERS_RELATIONS)
_COUNTED = ["source", "published_at", "n_tokens", "n_furniture_tokens"]
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

    @property
    def starts(self) -> Rows:
        """The first member of each cluster, int64 (n_clusters,)."""
        return np.concatenate((np.zeros(1, np.int64), self.ends))[:-1]


NEVER = np.iinfo(np.int64).min


@dataclass(frozen=True)
class Articles:
    """Articles that the report shows, in the order of the input; `row` int64.

    They are in a cluster, have repeats, or are in a pair between clusters. The `cluster_id` of those that are
    alone is null. `source` int64 (n,): place in
    `names`, -1 for none. `names`: all sources of the run, those with most articles first; `n_articles`,
    `n_dated`, `n_tokens` and `n_furniture_tokens` int64 (n_sources,).
    """

    table: pa.Table
    row: Rows
    source: Rows
    names: list[str]
    n_articles: Rows
    n_dated: Rows
    n_tokens: Rows
    n_furniture_tokens: Rows


def read_articles(folder: Path, clusters: pa.Table, between: pa.Table) -> Articles:
    """Read the table of articles in pieces, and keep what is shown; `between` are pairs between clusters."""
    repeats = pq.read_table(folder / "repeated_sections.parquet", columns=["article_id"])["article_id"]
    others = pa.chunked_array([*repeats.chunks, *ends_of(between).chunks], pa.string())
    kept, rows = [], []
    counted: list[pa.RecordBatch] = []
    row = 0
    with pq.ParquetFile(folder / "articles.parquet") as file:
        for batch in file.iter_batches(columns=[*_SHOWN, "n_furniture_tokens"]):
            counted.append(batch.select(_COUNTED))
            shown = pc.or_(
                pc.is_in(batch["cluster_id"], value_set=clusters["cluster_id"]),
                pc.is_in(batch["article_id"], value_set=others),
            )
            kept.append(batch.select(list(_SHOWN)).filter(shown))
            rows.append(row + np.flatnonzero(shown.to_numpy(zero_copy_only=False)))
            row += batch.num_rows
        schema = file.schema_arrow
    table = pa.Table.from_batches(kept, pa.schema([schema.field(name) for name in _SHOWN]))
    is_alone = pc.invert(pc.is_in(table["cluster_id"], value_set=clusters["cluster_id"]))
    own = pc.if_else(is_alone, None, table["cluster_id"])
    table = table.set_column(table.schema.get_field_index("cluster_id"), "cluster_id", own)
    counts = pa.schema([schema.field(name) for name in _COUNTED])
    totals = pa.Table.from_batches(counted, counts).group_by("source")
    totals = totals.aggregate(
        [("source", "count"), ("published_at", "count"), ("n_tokens", "sum"), ("n_furniture_tokens", "sum")]
    )
    totals = totals.sort_by([("source_count", "descending"), ("source", "ascending")])
    totals = totals.filter(pc.is_valid(totals["source"]))
    names = plain(totals["source"].cast(pa.string()))
    summed = ("source_count", "published_at_count", "n_tokens_sum", "n_furniture_tokens_sum")
    sums = [totals[name].to_numpy().astype(np.int64) for name in summed]
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


def relation_numbers(relations: pa.ChunkedArray) -> Rows:
    """Place of each relation in MEMBERS_RELATIONS, int64 (n,); -1 for none."""
    numbers = pc.index_in(relations, value_set=_RELATION_NAMES).fill_null(-1)
    return np.asarray(numbers.to_numpy(), np.int64)


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
