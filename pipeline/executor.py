"""What executes the calls of a stage, what is told about it, and the threads that `--direct` uses.

`pipeline.job` writes the order of the stages once; an `Executor` decides where their calls run.
"""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, cast

if TYPE_CHECKING:  # a listener needs this module, and nothing that is slow to import
    from pipeline.tables import Ref

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


@dataclass(frozen=True)
class Job:
    """The `number`-th call of a stage, to be executed as `function(*call)`."""

    stage: str
    number: int
    function: Callable[..., Any]
    call: Call


class Executor(Protocol):
    """Runs calls of plain functions, in any order and place; exceptions of a call come out unchanged."""

    def map(self, jobs: Sequence[Job], done: Callable[[Job, Callable[[], Any]], None]) -> None:
        """Run all jobs; those that stand first begin first.

        `done` is told of each job as it ends, from the calling thread, with a function that returns the
        job's result or raises its error. An error that it lets through stops the jobs that have not begun.
        """


class Listener(Protocol):
    """Is told what happens during a run, always from the thread that started it."""

    def waiting_for(self, what: str) -> None:
        """Until something else is said, or a stage begins, this is what is waited for."""

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

    def free(self, files: Iterable[Ref]) -> None:
        """Files that no call will ask for any more: they may be removed."""

    def ask_for(self, file: Ref) -> None:
        """A file that is to be there at the end, whichever calls are known."""


class NoJournal:
    """Remembers nothing, frees nothing: for stages that are run over a folder of the moment."""

    def recall(
        self, stage: str, function: Callable[..., T], calls: Sequence[Call]
    ) -> tuple[dict[int, T], list[Call]]:
        """Nothing is known."""
        return {}, list(calls)

    def note(self, stage: str, number: int, result: object) -> None:
        """Nothing."""

    def free(self, files: Iterable[Ref]) -> None:
        """Nothing: the folder goes as a whole."""

    def ask_for(self, file: Ref) -> None:
        """Nothing: it is there."""


class Silence:
    """The listener that nobody hears."""

    def waiting_for(self, what: str) -> None:
        """Nothing."""

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

    def map(self, jobs: Sequence[Job], done: Callable[[Job, Callable[[], Any]], None]) -> None:
        """Run all jobs in threads."""
        with ThreadPoolExecutor(self.n_threads, thread_name_prefix="respun") as pool:
            futures = {pool.submit(job.function, *job.call): job for job in jobs}
            try:
                for future in as_completed(futures):
                    done(futures[future], future.result)
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise


@dataclass(frozen=True)
class Stage(Generic[T]):
    """Calls of one function; `rows` tells how many rows a result stands for.

    `last_read`: of each call a file that nobody asks for any more when the call is done; or nothing.
    """

    name: str
    function: Callable[..., T]
    calls: Sequence[Call]
    rows: Callable[[T], int]
    last_read: Sequence[Ref] = ()


class StageRunner:
    """Executes stages, times them and tells the listener.

    What the journal knows is not executed again. `reports` holds what has finished, in order.
    """

    def __init__(self, execute: Executor, listen: Listener, journal: Journal | None = None) -> None:
        self._execute = execute
        self._listen = listen
        self._journal = journal or NoJournal()
        self.reports: list[StageReport] = []
        self.current = ""
        self._began = time.perf_counter()

    def free(self, files: Iterable[Ref]) -> None:
        """Say that no call will ask for these files any more."""
        self._journal.free(files)

    def ask_for(self, file: Ref) -> None:
        """Say that a file is to be there at the end. Raises the journal's FreedError when it has gone."""
        self._journal.ask_for(file)

    @property
    def seconds(self) -> float:
        """Wall time since it was made: less than its stages' seconds added up, where some ran together."""
        return time.perf_counter() - self._began

    def map(
        self, stage: str, function: Callable[..., T], calls: Sequence[Call], rows: Callable[[T], int]
    ) -> list[T]:
        """Run one stage over its calls; results in the order of the calls."""
        return cast(list[T], self.together(Stage(stage, function, calls, rows))[0])

    def call(self, stage: str, function: Callable[..., T], *args: Any, rows: Callable[[T], int]) -> T:
        """Run a stage of a single call."""
        return self.map(stage, function, [args], rows)[0]

    def together(self, *stages: Stage[Any]) -> list[list[Any]]:
        """Run stages that don't need each other at the same time; the results of each, in their order.

        Calls of the stage that is named first begin first. The seconds of each are counted from the common
        beginning to the end of its last call.
        """
        began = time.perf_counter()
        jobs: list[Job] = []
        known: dict[str, dict[int, Any]] = {}
        by_name = {stage.name: stage for stage in stages}
        for stage in stages:
            name = stage.name
            self._listen.stage_started(name, len(stage.calls))
            known[name], calls = self._journal.recall(name, stage.function, stage.calls)
            for number, result in known[name].items():
                self._free_last_read(stage, number)
                self._listen.call_finished(name, stage.rows(result))
            jobs += [
                Job(name, number, stage.function, call)
                for number, call in enumerate(calls)
                if number not in known[name]
            ]
        n_reused = {name: len(results) for name, results in known.items()}
        ended = dict.fromkeys(known, time.perf_counter())

        def done(job: Job, outcome: Callable[[], Any]) -> None:
            self.current = job.stage
            known[job.stage][job.number] = result = outcome()
            ended[job.stage] = time.perf_counter()
            self._journal.note(job.stage, job.number, result)
            stage = by_name[job.stage]
            self._free_last_read(stage, job.number)
            self._listen.call_finished(job.stage, stage.rows(result))

        self.current = stages[0].name
        self._execute.map(jobs, done)
        for stage in stages:
            name = stage.name
            n_rows = sum(map(stage.rows, known[name].values()))
            seconds = ended[name] - began
            report = StageReport(
                name, len(stage.calls), n_rows, seconds, peak_rss_bytes(), n_reused[name]
            )  # fmt: skip
            self.reports.append(report)
            self._listen.stage_finished(report)
        return [[known[stage.name][i] for i in range(len(stage.calls))] for stage in stages]

    def _free_last_read(self, stage: Stage[Any], number: int) -> None:
        """Free what only the call still read, which is done."""
        if stage.last_read:
            self._journal.free([stage.last_read[number]])


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
