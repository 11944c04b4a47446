"""What a run shows: log lines, a display on a terminal, the summary's text."""

from __future__ import annotations

import io
import threading
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from flows import progress
from flows.report import summary_lines
from pipeline.executor import StageReport
from pipeline.summary import LargeCluster, Summary

REPORT = StageReport("confirm", 2, 3000, 1.5, 200 << 20)


def test_a_line_for_each_stage():
    lines: list[str] = []
    listen = progress.LogLines(lines.append)
    listen.stage_started("confirm", 2)
    listen.call_finished("confirm", 1000)
    listen.stage_finished(REPORT)
    assert lines == ["confirm: 3,000 rows in 1.5 s (2,000 rows/s), memory up to 200 MiB"]


def test_a_stage_that_takes_long_gives_signs_of_life(monkeypatch):
    monkeypatch.setattr(progress, "QUIET_SECONDS", -1.0)
    lines: list[str] = []
    listen = progress.LogLines(lines.append)
    listen.stage_started("confirm", 3)
    listen.call_finished("confirm", 1000)
    listen.call_finished("confirm", 500)
    assert lines == ["confirm: 1 of 3 calls done, 1,000 rows", "confirm: 2 of 3 calls done, 1,500 rows"]


def test_short_stages_have_no_rate():
    lines: list[str] = []
    progress.LogLines(lines.append).stage_finished(StageReport("number", 1, 5, 0.01, 1 << 20))
    assert lines == ["number: 5 rows in 0.0 s, memory up to 1 MiB"]


def test_the_display_has_a_line_for_each_stage():
    screen = io.StringIO()
    with progress._bars(Console(file=screen, force_terminal=True, width=120)) as bars:
        listen = progress.StageBars(bars, "starting Prefect")
        for stage in ("read", "confirm"):
            listen.stage_started(stage, 2)
            listen.call_finished(stage, 1000)
            listen.stage_finished(StageReport(stage, 2, 3000, 1.5, 0))
        assert [task.description for task in bars.tasks] == ["read", "confirm"]
        assert all(task.finished for task in bars.tasks)
    last_frame = screen.getvalue()
    assert "3,000 rows in 1.5 s (2,000 rows/s)" in last_frame


def test_the_display_closes_a_stage_without_calls():
    with progress._bars(Console(file=io.StringIO())) as bars:
        listen = progress.StageBars(bars, "starting")
        listen.stage_started("confirm", 0)
        listen.stage_finished(StageReport("confirm", 0, 0, 0.0, 0))
        assert all(task.finished for task in bars.tasks)


def test_what_takes_long_before_the_first_stage_is_said_again(monkeypatch):
    monkeypatch.setattr(progress, "QUIET_SECONDS", 0.001)
    lines: list[str] = []
    said_again = threading.Event()

    def write(line: str) -> None:
        lines.append(line)
        if line.startswith("the server, "):
            said_again.set()

    listen = progress.LogLines(write)
    with listen.opening:
        listen.waiting_for("the server")
        assert said_again.wait(60)
        listen.stage_started("read", 1)
        n_lines = len(lines)
        assert "the server" in lines
        assert not listen.opening._thread.is_alive()
    assert len(lines) == n_lines


def test_what_takes_very_long_is_said_less_and_less_often(monkeypatch):
    """An hour in ten lines."""
    clock = FakeClock()
    monkeypatch.setattr(progress, "time", clock)
    said: list[float] = []
    opening = progress.Opening("starting", lambda _: said.append(clock.now), growth=2.0)
    opening._ended = clock
    opening.now("the index")
    clock.ends_at = 3600.0
    opening._run()
    assert said == [10.0, 30.0, 70.0, 150.0, 310.0, 630.0, 1270.0, 2550.0]


class FakeClock:
    """Time that passes only while one waits; in place of the module `time` and of an event."""

    now = 0.0
    ends_at = 0.0

    def monotonic(self) -> float:
        return self.now

    def wait(self, seconds: float) -> bool:
        self.now += seconds
        return self.now > self.ends_at


def test_the_display_says_what_it_waits_for_and_clears_it():
    with progress._bars(Console(file=io.StringIO(), force_terminal=True)) as bars:
        shown = progress.StageBars(bars, "starting")
        shown.waiting_for("the server")
        assert [task.description for task in bars.tasks] == ["the server"]
        shown.end_opening()
        shown.waiting_for("nothing")
        assert bars.tasks == []


def test_lines_elsewhere_than_on_a_terminal(capsys):
    with progress.progress_display("starting") as listen:
        assert isinstance(listen, progress.LogLines)
        listen.stage_finished(REPORT)
    out, err = capsys.readouterr()
    assert out == ""
    assert [line.split(" ", 1)[1][:8] for line in err.splitlines()] == ["starting", "confirm:"]


SUMMARY = Summary(
    run_id="r", run_dir=Path("out/runs/r"), n_articles=1200, seconds=75.04, n_recognised=0, n_new_versions=0,
    index=None, n_clustered=1,
    rejected_by_reason={"empty_text": 2}, n_clusters=1,
    pairs_by_relation={"exact": 1, "reprint": 0, "excerpt": 0, "respun": 1500},
    clusters_by_relation={"exact": 0, "reprint": 0, "excerpt": 0, "respun": 1},
    largest=(LargeCluster("c", 3, 1, ("exact", "respun"), "A very\nlong title " * 10, None),), newest=(),
    n_articles_with_repeats=0, n_repeated_groups=0, tables=("articles", "clusters"),
)  # fmt: skip


def test_the_summary_says_what_was_not_used_and_leaves_out_what_is_not_there():
    cluster = LargeCluster("c", 25, 0, ("exact",), "A title", None)
    summary = replace(SUMMARY, n_unreadable_dates=1, n_files_passed_over=2, largest=(cluster,))
    lines = list(summary_lines(summary))
    assert "1 article whose published_at can't be read" in lines
    assert "2 files of another kind passed over" in lines
    assert "weigh_source" not in "".join(lines)
    assert "  25 articles (exact): A title" in lines


def test_the_summary_says_where_one_source_speaks_against_each_pair():
    told = "all have the source feed: one source speaks against each pair; weigh_source = false finds more"
    assert told in summary_lines(replace(SUMMARY, only_source="feed"))


def test_the_summary_in_words():
    lines = list(summary_lines(SUMMARY))
    assert lines[:5] == [
        "1,200 articles, 1 of them in clusters, 75.0 s",
        "2 rejected: 2 empty_text",
        "1,501 confirmed pairs: 1 exact, 1,500 respun",
        "1 cluster of two or more: 1 respun, each under its loosest relation",
        "0 articles with repeated sections, 0 groups",
    ]
    assert lines[6].startswith("  3 articles from 1 source (exact, respun): A very long title A very")
    assert lines[6].endswith("…")
    assert lines[-1] == "tables in out/runs/r: articles, clusters"
