"""The numbers of a run's summary, read from its published tables and manifest."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.confirm import RELATED, RELATIONS
from pipeline.manifest import read_manifest
from pipeline.report_files import PAGE
from pipeline.report_words import heading

N_LARGEST = 5
NEIGHBOUR = RELATIONS[RELATED]


@dataclass(frozen=True)
class LargeCluster:
    """A large or a new cluster; `title` is the representative's, or its article_id without one."""

    cluster_id: str
    n_articles: int
    n_sources: int
    relations: tuple[str, ...]
    title: str
    first_published_at: datetime | None


@dataclass(frozen=True)
class Summary:
    """What a run found.

    `n_earlier` of the `n_articles` are of earlier nights. `n_clusters` counts clusters of two or more
    articles. `clusters_by_relation` adds up to it: a cluster counts once, under the loosest relation among
    its pairs. `tables` are the names of the Parquet files in `run_dir`, `page` is its report, None without
    one. `newest` are clusters whose first article was published last; without dates there are none.
    `seconds`: wall time of the run, None where an older one doesn't say. `index` is what the manifest says of
    it, None for a run without one. `only_source`: what all articles, two or more, have as their source, where
    that was weighed. `n_unreadable_dates` and `n_files_passed_over` are the manifest's counts,
    0 where an older one lacks them.
    """

    run_id: str
    run_dir: Path
    n_articles: int
    seconds: float | None
    n_recognised: int
    n_new_versions: int
    index: dict[str, Any] | None
    n_clustered: int
    rejected_by_reason: dict[str, int]
    pairs_by_relation: dict[str, int]
    n_clusters: int
    clusters_by_relation: dict[str, int]
    largest: tuple[LargeCluster, ...]
    newest: tuple[LargeCluster, ...]
    n_articles_with_repeats: int
    n_repeated_groups: int
    tables: tuple[str, ...]
    page: Path | None = None
    n_unreadable_dates: int = 0
    n_files_passed_over: int = 0
    n_earlier: int = 0
    only_source: str | None = None

    @property
    def n_rejected(self) -> int:
        """Rows of `rejected.parquet`."""
        return sum(self.rejected_by_reason.values())

    @property
    def n_pairs(self) -> int:
        """Confirmed pairs."""
        return sum(self.pairs_by_relation.values()) - self.n_neighbours

    @property
    def n_neighbours(self) -> int:
        """Pairs that are listed among the confirmed ones and are none."""
        return self.pairs_by_relation.get(NEIGHBOUR, 0)


def read_summary(run_dir: Path) -> Summary:
    """Read the summary of the run in `run_dir`. Raises OutputError when its manifest can't be read."""
    manifest = read_manifest(run_dir)
    counts = manifest["counts"]
    clusters = _read(
        run_dir,
        "clusters",
        "cluster_id",
        "n_articles",
        "n_sources",
        "representative_id",
        "title",
        "first_published_at",
        "relations",
    )
    dated = clusters.filter(pc.is_valid(clusters["first_published_at"]))
    repeats = _read(run_dir, "repeated_sections", "article_id", "group_id")
    rejected = Counter(_read(run_dir, "rejected", "reason")["reason"].to_pylist())
    return Summary(
        run_id=manifest["run_id"],
        run_dir=run_dir,
        n_articles=pq.read_metadata(run_dir / "articles.parquet").num_rows,
        n_earlier=_n_earlier(run_dir) if manifest["index"] is not None else 0,
        seconds=manifest.get("seconds"),
        n_recognised=counts["n_recognised"],
        n_new_versions=counts["n_new_versions"],
        index=manifest["index"],
        n_clustered=pc.sum(clusters["n_articles"], min_count=0).as_py(),
        rejected_by_reason=dict(sorted(rejected.items(), key=lambda item: (-item[1], item[0]))),
        pairs_by_relation=_by_relation(_read(run_dir, "confirmed_pairs", "relation")["relation"].to_pylist()),
        n_clusters=clusters.num_rows,
        clusters_by_relation=_by_relation([loosest(r) for r in clusters["relations"].to_pylist()]),
        largest=_first(clusters, ("n_articles", "descending"), ("n_sources", "descending")),
        newest=_first(dated, ("first_published_at", "descending"), ("n_articles", "descending")),
        n_articles_with_repeats=pc.count_distinct(repeats["article_id"]).as_py(),
        n_repeated_groups=pc.count_distinct(repeats["group_id"]).as_py(),
        tables=tuple(sorted(path.stem for path in run_dir.glob("*.parquet"))),
        page=page if (page := run_dir / PAGE).is_file() else None,
        n_unreadable_dates=counts.get("n_unreadable_dates", 0),
        n_files_passed_over=counts.get("n_files_passed_over", 0),
        only_source=_only_source(run_dir) if manifest["config"].get("weigh_source") else None,
    )


def loosest(relations: list[str]) -> str:
    """The loosest of a cluster's relations; RELATIONS goes from the closest to the loosest."""
    return max(relations, key=RELATIONS.index)


def _read(run_dir: Path, table: str, *columns: str) -> pa.Table:
    return pq.read_table(run_dir / f"{table}.parquet", columns=list(columns))


def _n_earlier(run_dir: Path) -> int:
    run_ids = _read(run_dir, "articles", "earlier_run_id")["earlier_run_id"]
    return len(run_ids) - int(run_ids.null_count)


def _only_source(run_dir: Path) -> str | None:
    sources = _read(run_dir, "articles", "source")["source"]
    known = pc.unique(sources)
    return known[0].as_py() if len(known) == 1 < len(sources) else None


def _by_relation(relations: list[str]) -> dict[str, int]:
    counted = Counter(relations)
    # Neighbours are listed only where a run was asked for them.
    return {name: counted[name] for name in RELATIONS if name in counted or name != NEIGHBOUR}


def _first(clusters: pa.Table, *order: tuple[str, str]) -> tuple[LargeCluster, ...]:
    order = (*order, ("cluster_id", "ascending"))
    return tuple(
        LargeCluster(
            row["cluster_id"],
            row["n_articles"],
            row["n_sources"],
            tuple(row["relations"]),
            heading(row["title"], row["representative_id"]),
            row["first_published_at"],
        )
        for row in clusters.take(pc.sort_indices(clusters, list(order))[:N_LARGEST]).to_pylist()
    )
