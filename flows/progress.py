"""What a run shows while it runs, always on stderr: a live display on a terminal, log lines elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn

from flows.compiling import compiling_together
from pipeline.executor import Listener, StageReport

QUIET_SECONDS = 10.0
SHORT_SECONDS = 0.1  # below it a rate says nothing


@contextmanager
def progress_display(opening: str = "") -> Iterator[Listener]:
    """The display that fits where stderr goes; `opening` names what happens until the first stage.

    Without it nothing is shown yet: what can't be used is told in a single line.
    """
    if not sys.stderr.isatty():
        lines = LogLines(write_line)
        with lines.opening, compiling_together(lines.waiting_for):
            if opening:
                lines.waiting_for(opening)
            yield lines
        return
    with _bars(Console(stderr=True)) as bars:
        shown = StageBars(bars, opening or "starting")
        with shown.opening, compiling_together(shown.waiting_for):
            try:
                yield shown
            finally:
                shown.end_opening()


class Opening:
    """What is waited for until the first stage. After QUIET_SECONDS `tell` is given it, with the seconds.

    And again and again, each time after `growth` times as long.
    """

    def __init__(self, what: str, tell: Callable[[str], None], growth: float = 1.0) -> None:
        self._tell = tell
        self._growth = growth
        self.now(what)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="respun-opening", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_error: object) -> None:
        self.end()

    def now(self, what: str) -> None:
        """This is waited for, from now on."""
        self._what = what
        self._began = time.monotonic()
        self._pause = QUIET_SECONDS
        self._next = self._began + self._pause

    def end(self) -> None:
        """The first stage begins: after this `tell` isn't called any more."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(max(0.0, self._next - time.monotonic())):
            now = time.monotonic()
            if now >= self._next:  # else something new is waited for
                self._pause *= self._growth
                self._next = now + self._pause
                self._tell(f"{self._what}, {now - self._began:.0f} s")


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
        # For another run on an index it may be an hour.
        self.opening = Opening("starting", write, growth=2.0)

    def waiting_for(self, what: str) -> None:
        """Say it now, and again with the seconds."""
        self.opening.now(what)
        self._write(what)

    def stage_started(self, stage: str, n_calls: int) -> None:
        """Begin to count."""
        self.opening.end()
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
        self._first: TaskID | None = bars.add_task(opening, total=None, rows="")
        self.opening = Opening(opening, self._describe)
        self._lines: dict[str, TaskID] = {}
        self._n_rows: dict[str, int] = {}
        self._began: dict[str, float] = {}

    def waiting_for(self, what: str) -> None:
        """Show it, and then with the seconds."""
        self.opening.now(what)
        self._describe(what)

    def _describe(self, what: str) -> None:
        if (first := self._first) is not None:
            self._bars.update(first, description=what)

    def stage_started(self, stage: str, n_calls: int) -> None:
        """Open the stage's line."""
        self.end_opening()
        if (line := self._lines.pop(stage, None)) is not None:  # a run that begins anew
            self._bars.remove_task(line)
        self._lines[stage] = self._bars.add_task(stage, total=n_calls, rows="")
        self._n_rows[stage], self._began[stage] = 0, time.monotonic()

    def end_opening(self) -> None:
        """Take the line away that says what is waited for."""
        self.opening.end()
        if (first := self._first) is not None:
            self._first = None
            self._bars.remove_task(first)

    def call_finished(self, stage: str, n_rows: int) -> None:
        """Move the stage's bar."""
        self._n_rows[stage] += n_rows
        rate = self._n_rows[stage] / max(time.monotonic() - self._began[stage], 1e-9)
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
