"""What a run shows while it runs, always on stderr: a live display on a terminal, log lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn

from pipeline.executor import Listener, StageReport

QUIET_SECONDS = 10.0
SHORT_SECONDS = 0.1  # below it a rate says nothing


@contextmanager
def progress_display(opening: str) -> Iterator[Listener]:
    """The listener that fits where stderr goes; `opening` names what happens until the first stage."""
    if not sys.stderr.isatty():
        write_line(opening)
        yield LogLines(write_line)
        return
    with _bars(Console(stderr=True)) as bars:
        yield StageBars(bars, opening)


def write_line(line: str) -> None:
    """Write one log line to stderr, with the time in UTC."""
    print(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {line}", file=sys.stderr, flush=True)


@dataclass
class _Progress:
    """How far a stage is."""

    n_calls: int
    n_done: int = 0
    n_rows: int = 0


class LogLines:
    """A line for each stage that has finished, and now and then one for a stage that takes its time."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._under_way: dict[str, _Progress] = {}
        self._last_line = 0.0

    def stage_started(self, stage: str, n_calls: int) -> None:
        """Begin to count."""
        self._under_way[stage] = _Progress(n_calls)
        self._last_line = time.monotonic()

    def call_finished(self, stage: str, n_rows: int) -> None:
        """Say how far the stage is, unless something was said a moment ago."""
        so_far = self._under_way[stage]
        so_far.n_done += 1
        so_far.n_rows += n_rows
        if time.monotonic() - self._last_line > QUIET_SECONDS:
            self._write(f"{stage}: {so_far.n_done} of {so_far.n_calls} calls done, {so_far.n_rows:,} rows")
            self._last_line = time.monotonic()

    def stage_finished(self, report: StageReport) -> None:
        """Say what the stage did."""
        self._write(f"{report.stage}: {_work_done(report)}, memory up to {report.peak_rss_bytes >> 20:,} MiB")


class StageBars:
    """A line on the terminal for each stage: how many of its calls are done, rows, rows a second."""

    def __init__(self, bars: Progress, opening: str) -> None:
        self._bars = bars
        self._opening: TaskID | None = bars.add_task(opening, total=None, rows="")
        self._lines: dict[str, TaskID] = {}
        self._n_rows: dict[str, int] = {}
        self._began = 0.0

    def stage_started(self, stage: str, n_calls: int) -> None:
        """Open the stage's line."""
        if self._opening is not None:
            self._bars.remove_task(self._opening)
            self._opening = None
        self._lines[stage] = self._bars.add_task(stage, total=n_calls, rows="")
        self._n_rows[stage], self._began = 0, time.monotonic()

    def call_finished(self, stage: str, n_rows: int) -> None:
        """Move the stage's bar."""
        self._n_rows[stage] += n_rows
        rate = self._n_rows[stage] / max(time.monotonic() - self._began, 1e-9)
        rows = f"{self._n_rows[stage]:,} rows, {rate:,.0f} rows/s"
        self._bars.update(self._lines[stage], advance=1, rows=rows)

    def stage_finished(self, report: StageReport) -> None:
        """Close the stage's line with its final figures."""
        self._bars.update(
            self._lines[report.stage],
            total=max(report.n_calls, 1),
            completed=max(report.n_calls, 1),
            rows=_work_done(report),
        )


def _work_done(report: StageReport) -> str:
    rate = f" ({report.rows_per_second:,.0f} rows/s)" if report.seconds >= SHORT_SECONDS else ""
    return f"{report.n_rows:,} rows in {report.seconds:.1f} s{rate}"


def _bars(console: Console) -> Progress:
    return Progress(
        SpinnerColumn(finished_text="✓"), TextColumn("{task.description:<18}"), BarColumn(24),
        MofNCompleteColumn(), TextColumn("{task.fields[rows]}"), console=console,
    )  # fmt: skip
