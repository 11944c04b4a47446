"""What executes the calls of a stage, what is told about it, and the threads that `--direct` uses.

`pipeline.job` writes the order of the stages once; an `Executor` decides where their calls run.
"""

from __future__ import annotations

import os
import resource
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

if TYPE_CHECKING:  # a listener needs this module, and nothing that is slow to import
    from pipeline.tables import Ref

T = TypeVar("T")
Call = tuple[Any, ...]  # the arguments of one call: paths, Refs, configuration, small numbers; never data


@dataclass(frozen=True)
class StageReport:
    """How one stage went. `seconds` count from when it was called for, whatever was in line before it;
    `peak_rss_bytes` is the process's peak up to when its results were asked for.

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

    def submit(self, jobs: Sequence[Job], *, later: bool = False) -> None:
        """Have jobs run; those that stand first begin first.

        `later` ones may wait until no other is in line, and leave room for those that may come.
        """

    def next_done(self) -> tuple[Job, Callable[[], Any]]:
        """Wait for one of the jobs to end. The function returns its result or raises its error."""

    def cancel(self) -> None:
        """Forget the jobs that have not begun, wait for those that have, and forget all results.

        Then others may be submitted.
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
        """Files that no call will ask for any more: they may be removed, while the run goes on."""

    def settle(self) -> None:
        """Wait until nothing is being removed."""

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

    def settle(self) -> None:
        """Nothing."""

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
        self._pool: ThreadPoolExecutor | None = None  # as long as there are jobs
        self._jobs: dict[Future[Any], Job] = {}
        self._later: deque[Job] = deque()
        self._later_begun: set[Future[Any]] = set()
        self._ended: SimpleQueue[Future[Any]] = SimpleQueue()

    def submit(self, jobs: Sequence[Job], *, later: bool = False) -> None:
        """Have jobs run in threads."""
        if later:
            self._later.extend(jobs)
        else:
            for job in jobs:
                self._begin(job)
        self._fill()

    def next_done(self) -> tuple[Job, Callable[[], Any]]:
        """Wait for one of the jobs to end."""
        future = self._ended.get()
        job = self._jobs.pop(future)
        self._later_begun.discard(future)
        self._fill()
        if not self._jobs:
            self.cancel()  # nothing is left; no thread stays
        return job, future.result

    def cancel(self) -> None:
        """Forget what has not begun, and wait for what has."""
        self._later.clear()
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
        self._pool, self._jobs, self._ended = None, {}, SimpleQueue()
        self._later_begun.clear()

    def _begin(self, job: Job) -> Future[Any]:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self.n_threads, thread_name_prefix="respun")
        future = self._pool.submit(job.function, *job.call)
        self._jobs[future] = job
        future.add_done_callback(self._ended.put)
        return future

    def _fill(self) -> None:
        """Give what may wait to threads that have nothing else to do, but not to all of several."""
        most = max(self.n_threads - 1, 1)
        while self._later and len(self._later_begun) < most and len(self._jobs) < self.n_threads:
            self._later_begun.add(self._begin(self._later.popleft()))


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


@dataclass
class Begun(Generic[T]):
    """A stage that has begun: the results that are there, by the number of the call, and the times."""

    stage: Stage[T]
    results: dict[int, T]
    n_reused: int
    began: float
    ended: float


class StageRunner:
    """Executes stages, times them and tells the listener.

    What the journal knows is not executed again. `reports` holds what has finished, in the order in which it
    was asked for.
    """

    def __init__(self, execute: Executor, listen: Listener, journal: Journal | None = None) -> None:
        self._execute = execute
        self._listen = listen
        self._journal = journal or NoJournal()
        self._begun: dict[str, Begun[Any]] = {}  # those that are not finished
        self.reports: list[StageReport] = []
        self.current = ""
        self._start = time.perf_counter()

    def free(self, files: Iterable[Ref]) -> None:
        """Say that no call will ask for these files any more."""
        self._journal.free(files)

    def ask_for(self, file: Ref) -> None:
        """Say that a file is to be there at the end. Raises the journal's FreedError when it has gone."""
        self._journal.ask_for(file)

    @property
    def seconds(self) -> float:
        """Wall time since it was made: less than its stages' seconds added up, where some ran together."""
        return time.perf_counter() - self._start

    def map(
        self, stage: str, function: Callable[..., T], calls: Sequence[Call], rows: Callable[[T], int]
    ) -> list[T]:
        """Run one stage over its calls; results in the order of the calls."""
        return self.finish(self.begin(Stage(stage, function, calls, rows)))

    def call(self, stage: str, function: Callable[..., T], *args: Any, rows: Callable[[T], int]) -> T:
        """Run a stage of a single call."""
        return self.map(stage, function, [args], rows)[0]

    def together(self, *stages: Stage[Any]) -> list[list[Any]]:
        """Run stages that don't need each other at the same time; the results of each, in their order.

        Calls of the stage that is named first begin first. The seconds of each are counted from the common
        beginning to the end of its last call.
        """
        prepared = [self._prepare(stage) for stage in stages]
        for _, jobs in prepared:
            self._execute.submit(jobs)
        return [self.finish(begun) for begun, _ in prepared]

    def begin(self, stage: Stage[T], *, later: bool = False) -> Begun[T]:
        """Have a stage run beside those that follow, until `finish` asks for its results.

        `later`: its calls begin when no other is in line (`Executor.submit`).
        """
        begun, jobs = self._prepare(stage)
        self._execute.submit(jobs, later=later)
        return begun

    def finish(self, begun: Begun[T]) -> list[T]:
        """Wait for a stage's end; results in the order of the calls."""
        stage, results = begun.stage, begun.results
        if self._begun.get(stage.name) is not begun:
            raise RuntimeError(f"stage {stage.name}: must have begun, and be neither finished nor let go")
        while len(results) < len(stage.calls):
            self._take_next()
        del self._begun[stage.name]
        report = StageReport(
            stage.name, len(stage.calls), sum(map(stage.rows, results.values())), begun.ended - begun.began,
            peak_rss_bytes(), begun.n_reused,
        )  # fmt: skip
        self.reports.append(report)
        self._listen.stage_finished(report)
        return [results[i] for i in range(len(stage.calls))]

    def close(self) -> None:
        """Let go of what has begun and is not finished, if something has failed; then nothing is at work."""
        if any(len(begun.results) < len(begun.stage.calls) for begun in self._begun.values()):
            self._execute.cancel()
        self._begun.clear()
        self._journal.settle()

    def _prepare(self, stage: Stage[T]) -> tuple[Begun[T], list[Job]]:
        """The stage with the results that are known, and the jobs that are left."""
        now = time.perf_counter()
        self.current = name = stage.name
        self._listen.stage_started(name, len(stage.calls))
        known, calls = self._journal.recall(name, stage.function, stage.calls)
        for number, result in known.items():
            self._free_last_read(stage, number)
            self._listen.call_finished(name, stage.rows(result))
        jobs = [
            Job(name, number, stage.function, call)
            for number, call in enumerate(calls)
            if number not in known
        ]
        self._begun[name] = begun = Begun(stage, known, len(known), now, time.perf_counter())
        return begun, jobs

    def _take_next(self) -> None:
        """Wait for the next call that ends, of any stage."""
        try:
            job, outcome = self._execute.next_done()
            self.current = job.stage
            result = outcome()
            begun = self._begun[job.stage]
            begun.results[job.number] = result
            begun.ended = time.perf_counter()
            self._journal.note(job.stage, job.number, result)
            self._free_last_read(begun.stage, job.number)
            self._listen.call_finished(job.stage, begun.stage.rows(result))
        except BaseException:
            self.close()
            raise

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
