"""What a run leaves in Prefect's interface: progress while it runs, then summary, clusters, and a link.

Only where a server is configured that outlives the run. The numbers are those of `pipeline.summary`.
"""

from typing import cast
from uuid import UUID

from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.settings import get_current_settings

from flows.report import count_lines
from pipeline.executor import Listener, StageReport
from pipeline.job import INDEX_STAGES, STAGES, Outcome
from pipeline.summary import LargeCluster, Summary, read_summary

PROGRESS, SUMMARY, CLUSTERS, REPORT = "respun-progress", "respun-summary", "respun-clusters", "respun-report"


def server_is_kept() -> bool:
    """Whether a server is configured, so that someone can look at artifacts afterwards."""
    return get_current_settings().api.url is not None


class ProgressArtifact:
    """Tells another listener all it hears, and keeps a progress bar in Prefect's interface."""

    def __init__(self, listen: Listener, night: str | None, has_index: bool) -> None:
        self._listen = listen
        self._n_stages = len(STAGES) + (len(INDEX_STAGES) if has_index else 0)
        self._of = f"night {night}" if night else "run"
        self._done: set[str] = set()
        made = create_progress_artifact(progress=0.0, key=PROGRESS, description=f"{self._of}: starting")
        self._id = cast(UUID, made)

    def waiting_for(self, what: str) -> None:
        """Say what is waited for."""
        self._listen.waiting_for(what)
        self._update(what)

    def stage_started(self, stage: str, n_calls: int) -> None:
        """Say which stage runs, and what share of the stages is done."""
        self._listen.stage_started(stage, n_calls)
        self._update(f"stage {stage}")

    def call_finished(self, stage: str, n_rows: int) -> None:
        """Only told on: a call to the server for each would cost more than many of them."""
        self._listen.call_finished(stage, n_rows)

    def stage_finished(self, report: StageReport) -> None:
        """Count the stage."""
        self._listen.stage_finished(report)
        self._done.add(report.stage)

    def published(self) -> None:
        """Say that all is done; a run needn't have had every stage."""
        self._update("published", 100.0)

    def _update(self, state: str, share: float | None = None) -> None:
        if share is None:
            share = 100.0 * len(self._done) / self._n_stages
        update_progress_artifact(self._id, round(share, 1), f"{self._of}: {state}")


def leave_artifacts(outcome: Outcome, night: str | None) -> None:
    """Write the artifacts of a published run."""
    summary = read_summary(outcome.run_dir)
    create_markdown_artifact(_markdown(summary, night), SUMMARY, f"Run {summary.run_id}")
    rows = [_row("largest", cluster) for cluster in summary.largest]
    rows += [_row("newest", cluster) for cluster in summary.newest]
    create_table_artifact(rows, CLUSTERS, f"The largest and the newest clusters of run {summary.run_id}")
    if summary.page is not None:
        link = summary.page.absolute().as_uri()
        create_link_artifact(link, "Report", REPORT, f"Report of run {summary.run_id}")


def _markdown(summary: Summary, night: str | None) -> str:
    title = f"Night {night}" if night else "Run"
    lines = "\n".join(f"- {line}" for line in count_lines(summary))
    return f"## {title}\n\n{lines}\n\nTables: `{summary.run_dir.absolute()}`\n"


def _row(why: str, cluster: LargeCluster) -> dict[str, str | int]:
    first = cluster.first_published_at
    return {
        "why": why,
        "articles": cluster.n_articles,
        "sources": cluster.n_sources,
        "title": cluster.title,
        "first published": f"{first:%Y-%m-%d %H:%M}" if first else "",
        "relations": ", ".join(cluster.relations),
        "cluster_id": cluster.cluster_id,
    }
