"""What executes the calls of a stage, what is told about it, and the threads that `--direct` uses.

`pipeline.job` writes the order of the stages once; an `Executor` decides where their calls run.
"""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

T = TypeVar("T")
Call = tuple[Any, ...]  # the arguments of one call: paths, Refs, configuration, small numbers; never data


@dataclass(frozen=True)
class StageReport:
    """How one stage went. `peak_rss_bytes` is the process's peak up to the end of the stage.

    `n_reused` of its `n_calls` calls were not made: their results were known from before the run was resumed.
    """

    stage: str
    n_calls: int
    n_rows: int
    seconds: float
    peak_rss_bytes: int
    n_reused: int = 0

    @property
    def rows_per_second(self) -> float:
        """Rows a second of wall time; 0 for a stage too short to tell."""
        return self.n_rows / self.seconds if self.seconds > 0 else 0.0


class Executor(Protocol):
    """Runs calls of a plain function, in any order and place; exceptions of a call come out unchanged."""

    def map(
        self, stage: str, function: Callable[..., T], calls: Sequence[Call], done: Callable[[T], None]
    ) -> list[T]:
        """Return `function(*call)` for each call, in the order of `calls`.

        `done` gets each result as it arrives, from the calling thread.
        """


class Listener(Protocol):
    """Is told what happens during a run, always from the thread that started it."""

    def stage_started(self, stage: str, n_calls: int) -> None:
        """A stage of `n_calls` calls begins."""

    def call_finished(self, stage: str, n_rows: int) -> None:
        """One of the stage's calls has finished, having handled `n_rows` rows."""

    def stage_finished(self, report: StageReport) -> None:
        """All calls of the stage have finished."""


class Journal(Protocol):
    """Remembers the results of calls, so that a run that is resumed doesn't make them again."""

    def recall(
        self, stage: str, function: Callable[..., T], calls: Sequence[Call]
    ) -> tuple[dict[int, T], list[Call]]:
        """The results that are known, by the number of the call, and all calls as they are to be made."""

    def note(self, stage: str, number: int, result: object) -> None:
        """Keep the result of a call; called from the thread that started the run."""


class NoJournal:
    """Remembers nothing: for stages that are run over a folder of the moment."""

    def recall(
        self, stage: str, function: Callable[..., T], calls: Sequence[Call]
    ) -> tuple[dict[int, T], list[Call]]:
        """Nothing is known."""
        return {}, list(calls)

    def note(self, stage: str, number: int, result: object) -> None:
        """Nothing."""


class Silence:
    """The listener that nobody hears: for tests and notebooks."""

    def stage_started(self, stage: str, n_calls: int) -> None:
        """Nothing."""

    def call_finished(self, stage: str, n_rows: int) -> None:
        """Nothing."""

    def stage_finished(self, report: StageReport) -> None:
        """Nothing."""


class ThreadExecutor:
    """Runs the calls in threads of this process: the kernels and Arrow release the GIL."""

    def __init__(self, n_workers: int) -> None:
        self.n_threads = n_threads(n_workers)

    def map(
        self, stage: str, function: Callable[..., T], calls: Sequence[Call], done: Callable[[T], None]
    ) -> list[T]:
        """Return `function(*call)` for each call, in the order of `calls`; the first error stops the rest."""
        with ThreadPoolExecutor(self.n_threads, thread_name_prefix=stage) as pool:
            futures = [pool.submit(function, *call) for call in calls]
            try:
                for future in as_completed(futures):
                    done(future.result())
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise
            return [future.result() for future in futures]


class StageRunner:
    """Executes stages one after the other, times them and tells the listener.

    What the journal knows is not executed again. `reports` holds what has finished, in order.
    """

    def __init__(self, execute: Executor, listen: Listener, journal: Journal | None = None) -> None:
        self._execute = execute
        self._listen = listen
        self._journal = journal or NoJournal()
        self.reports: list[StageReport] = []
        self.current = ""

    def map(
        self, stage: str, function: Callable[..., T], calls: Sequence[Call], rows: Callable[[T], int]
    ) -> list[T]:
        """Run one stage over its calls; `rows` tells how many rows a result stands for."""
        self.current = stage
        self._listen.stage_started(stage, len(calls))
        began = time.perf_counter()
        results, calls = self._journal.recall(stage, function, calls)
        n_reused = len(results)
        for result in results.values():
            self._listen.call_finished(stage, rows(result))

        def done(numbered: tuple[int, T]) -> None:
            number, results[number] = numbered
            self._journal.note(stage, number, results[number])
            self._listen.call_finished(stage, rows(results[number]))

        missing = [(number, function, *call) for number, call in enumerate(calls) if number not in results]
        self._execute.map(stage, _numbered, missing, done)
        seconds = time.perf_counter() - began
        n_rows = sum(map(rows, results.values()))
        report = StageReport(stage, len(calls), n_rows, seconds, peak_rss_bytes(), n_reused)
        self.reports.append(report)
        self._listen.stage_finished(report)
        return [results[number] for number in range(len(calls))]

    def call(self, stage: str, function: Callable[..., T], *args: Any, rows: Callable[[T], int]) -> T:
        """Run a stage of a single call."""
        return self.map(stage, function, [args], rows)[0]


def _numbered(number: int, function: Callable[..., T], *call: Any) -> tuple[int, T]:
    return number, function(*call)


def n_threads(n_workers: int) -> int:
    """Threads that the configuration's `n_workers` means: 0 is one for each core this process may use."""
    if n_workers:
        return n_workers
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def peak_rss_bytes() -> int:
    """The most memory this process has held, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
