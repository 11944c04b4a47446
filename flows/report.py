"""The summary that a run ends with, as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from pipeline.summary import NEIGHBOUR, Summary, read_summary

TITLE_WIDTH = 72


def print_summary(run_dir: Path) -> None:
    """Print the summary of a published run to stderr."""
    for line in summary_lines(read_summary(run_dir)):
        click.echo(line, err=True)


def summary_lines(summary: Summary) -> Iterator[str]:
    """The summary's lines: counts, the largest clusters, where the tables are."""
    yield from count_lines(summary)
    if summary.largest:
        yield "largest clusters:"
    for cluster in summary.largest:
        sources = f" from {_count(cluster.n_sources, 'source')}" if cluster.n_sources else ""
        yield (
            f"  {_count(cluster.n_articles, 'article')}{sources} "
            f"({', '.join(cluster.relations)}): {_shorten(cluster.title)}"
        )
    if summary.page:
        yield f"report: {summary.page}"
    yield f"tables in {summary.run_dir}: {', '.join(summary.tables)}"


def count_lines(summary: Summary) -> Iterator[str]:
    """The lines of the summary that count."""
    took = "" if summary.seconds is None else f", {summary.seconds:.1f} s"
    n_new = summary.n_articles - summary.n_earlier
    nights = f" ({n_new:,} new, {summary.n_earlier:,} of earlier nights)" if summary.n_earlier else ""
    clustered = f"{summary.n_clustered:,} of them in clusters"
    yield f"{_count(summary.n_articles, 'article')}{nights}, {clustered}{took}"
    yield f"{summary.n_rejected:,} rejected{_parts(summary.rejected_by_reason)}"
    if summary.n_unreadable_dates:
        yield f"{_count(summary.n_unreadable_dates, 'article')} whose published_at can't be read"
    if summary.n_files_passed_over:
        yield f"{_count(summary.n_files_passed_over, 'file')} of another kind passed over"
    if summary.only_source is not None:
        yield (
            f"all have the source {_shorten(summary.only_source)}: one source speaks against each pair; "
            "weigh_source = false finds more"
        )
    if summary.index is not None:
        yield from _index_lines(summary, summary.index)
    confirmed = {name: n for name, n in summary.pairs_by_relation.items() if name != NEIGHBOUR}
    yield f"{_count(summary.n_pairs, 'confirmed pair')}{_parts(confirmed)}"
    if summary.n_neighbours:
        yield f"{_count(summary.n_neighbours, 'pair')} of neighbours: {NEIGHBOUR}, of no cluster"
    yield (
        f"{_count(summary.n_clusters, 'cluster')} of two or more{_parts(summary.clusters_by_relation)}"
        f"{', each under its loosest relation' if summary.n_clusters else ''}"
    )
    yield (
        f"{_count(summary.n_articles_with_repeats, 'article')} with repeated sections, "
        f"{_count(summary.n_repeated_groups, 'group')}"
    )


def _index_lines(summary: Summary, index: Mapping[str, Any]) -> Iterator[str]:
    yield (
        f"index of {_count(index['n_articles_before'], 'article')}: {summary.n_recognised:,} came again, "
        f"{summary.n_new_versions:,} with another text"
    )
    if n_forgotten := index.get("n_forgotten", 0):  # manifests of before don't say it
        own = f", {index['n_forgotten_new']:,} of them of this run" * (index["n_forgotten_new"] > 0)
        yield f"{_count(n_forgotten, 'article')} forgotten by index.retention_days{own}"
    if index["is_rebuild_due"]:
        yield f"drift {index['drift']:.3f}: a rebuild is due, respun index rebuild {index['location']}"


def _count(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def _parts(counts: Mapping[str, int]) -> str:
    parts = [f"{n:,} {name}" for name, n in counts.items() if n]
    return f": {', '.join(parts)}" if parts else ""


def _shorten(title: str) -> str:
    one_line = " ".join(title.split())
    return one_line if len(one_line) <= TITLE_WIDTH else f"{one_line[: TITLE_WIDTH - 1]}…"
