"""The executor runs calls in any order and returns them in theirs; the runner times and tells."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.executor import (
    Job,
    Silence,
    Stage,
    StageReport,
    StageRunner,
    ThreadExecutor,
    n_threads,
    peak_rss_bytes,
)


class Notes:
    """A listener that writes everything down."""

    def __init__(self) -> None:
        self.heard: list[tuple] = []

    def waiting_for(self, what: str) -> None:
        self.heard.append(("waiting", what))

    def stage_started(self, stage: str, n_calls: int) -> None:
        self.heard.append(("started", stage, n_calls))

    def call_finished(self, stage: str, n_rows: int) -> None:
        self.heard.append(("call", stage, n_rows))

    def stage_finished(self, report: StageReport) -> None:
        self.heard.append(("finished", report.stage, report.n_rows))


def jobs_of(function, numbers) -> list[Job]:
    return [Job("stage", i, function, (n,)) for i, n in enumerate(numbers)]


def run_all(executor: ThreadExecutor, jobs: list[Job]) -> list[tuple[int, object]]:
    """The number and the result of each job, in the order in which they ended."""
    executor.submit(jobs)
    ended = [executor.next_done() for _ in jobs]
    return [(job.number, outcome()) for job, outcome in ended]


@given(numbers=st.lists(st.integers(), max_size=30), n_workers=st.integers(1, 5))
def test_each_result_is_told_once(numbers, n_workers):
    seen = run_all(ThreadExecutor(n_workers), jobs_of(lambda n: n * n, numbers))
    assert sorted(seen) == [(i, n * n) for i, n in enumerate(numbers)]


def test_results_are_in_order_when_the_last_call_ends_first():
    last_is_done = threading.Event()

    def call(number: int) -> int:
        if number == 1:
            last_is_done.set()
        else:
            assert last_is_done.wait(30)
        return number

    assert StageRunner(ThreadExecutor(2), Silence()).map("stage", call, [(0,), (1,)], rows=int) == [0, 1]


def test_an_error_comes_out_unchanged_and_stops_what_has_not_begun():
    begun = []

    def call(number: int) -> None:
        begun.append(number)
        raise KeyError(number)

    run = StageRunner(ThreadExecutor(1), Silence())
    with pytest.raises(KeyError):
        run.map("stage", call, [(n,) for n in range(100)], rows=int)
    assert len(begun) < 100
    assert run.map("next", int, [(1,)], rows=int) == [1]


def test_results_are_taken_in_the_calling_thread_and_no_thread_stays():
    threads = []

    class Where(Silence):
        def call_finished(self, stage: str, n_rows: int) -> None:
            threads.append(threading.current_thread())

    before = threading.active_count()
    StageRunner(ThreadExecutor(3), Where()).map("stage", int, [(n,) for n in range(10)], rows=int)
    assert set(threads) == {threading.current_thread()}
    assert threading.active_count() == before


def test_what_runs_beside_is_there_when_it_is_asked_for():
    release = threading.Event()

    def slow(number: int) -> int:
        assert release.wait(30)
        return number

    run = StageRunner(ThreadExecutor(2), Silence())
    beside = run.begin(Stage("slow", slow, [(1,), (2,)], int), later=True)
    # The second slow call must leave a thread to these.
    assert run.map("quick", int, [(5,), (6,), (7,)], rows=int) == [5, 6, 7]
    release.set()
    assert run.finish(beside) == [1, 2]
    assert [(r.stage, r.n_rows) for r in run.reports] == [("quick", 18), ("slow", 3)]


def test_what_may_wait_begins_after_what_is_in_line():
    order = []
    gate = threading.Event()
    executor = ThreadExecutor(1)
    executor.submit([Job("gate", 0, lambda: gate.wait(30), ())])
    executor.submit([Job("later", 0, lambda: order.append("later"), ())], later=True)
    executor.submit([Job("now", 0, lambda: order.append("now"), ())])
    gate.set()
    assert [executor.next_done()[0].stage for _ in range(3)] == ["gate", "now", "later"]
    assert order == ["now", "later"]


def test_an_error_beside_comes_out_of_whatever_is_waited_for():
    failed = threading.Event()

    def fail() -> int:
        failed.set()
        raise KeyError("beside")

    def wait() -> int:
        assert failed.wait(30)
        return 1

    run = StageRunner(ThreadExecutor(2), Silence())
    run.begin(Stage("beside", fail, [()], int))
    with pytest.raises(KeyError, match="beside"):
        run.map("waited for", wait, [()] * 3, rows=int)
    assert run.current == "beside"


def test_what_was_begun_can_be_let_go(monkeypatch):
    begun = []
    gate = threading.Event()
    shutdown = ThreadPoolExecutor.shutdown

    def let_go(pool: ThreadPoolExecutor, wait: bool = True, *, cancel_futures: bool = False) -> None:
        shutdown(pool, wait=False, cancel_futures=cancel_futures)
        gate.set()  # only now: else what is in line would run
        shutdown(pool, wait=wait)

    def call(number: int) -> int:
        begun.append(number)
        assert gate.wait(30)
        return number

    run = StageRunner(ThreadExecutor(1), Silence())
    run.begin(Stage("beside", call, [(n,) for n in range(50)], int))
    monkeypatch.setattr(ThreadPoolExecutor, "shutdown", let_go)
    run.close()
    assert len(begun) < 50
    assert run.map("next", int, [(1,)], rows=int) == [1]


def test_stages_that_run_together_wait_for_each_other_only_at_the_end():
    second_began = threading.Event()

    def first() -> int:
        assert second_began.wait(30)  # would time out if the second stage began after this one
        return 1

    def second(number: int) -> int:
        second_began.set()
        return number

    notes = Notes()
    run = StageRunner(ThreadExecutor(2), notes)
    results = run.together(
        Stage("first", first, [()], int),
        Stage("none", int, [], int),
        Stage("second", second, [(5,), (6,)], int),
    )
    assert results == [[1], [], [5, 6]]
    assert [(r.stage, r.n_calls, r.n_rows) for r in run.reports] == [
        ("first", 1, 1), ("none", 0, 0), ("second", 2, 11)
    ]  # fmt: skip
    assert [note[:2] for note in notes.heard[:3]] == [("started", s) for s in ("first", "none", "second")]


def test_the_runner_reports_stages_in_order():
    notes = Notes()
    run = StageRunner(ThreadExecutor(2), notes)
    assert run.map("double", lambda n: 2 * n, [(1,), (2,)], rows=lambda n: n) == [2, 4]
    assert run.call("sum", lambda a, b: a + b, 2, 4, rows=lambda n: n) == 6
    assert [(r.stage, r.n_calls, r.n_rows) for r in run.reports] == [("double", 2, 6), ("sum", 1, 6)]
    assert notes.heard[0] == ("started", "double", 2)
    assert sorted(notes.heard[1:3]) == [("call", "double", 2), ("call", "double", 4)]
    assert notes.heard[3:] == [
        ("finished", "double", 6),
        ("started", "sum", 1),
        ("call", "sum", 6),
        ("finished", "sum", 6),
    ]


def test_a_stage_without_calls_is_reported_too():
    run = StageRunner(ThreadExecutor(2), Silence())
    assert run.map("nothing", len, [], rows=int) == []
    assert [(r.stage, r.n_calls, r.n_rows) for r in run.reports] == [("nothing", 0, 0)]


def test_the_runner_knows_the_stage_that_failed():
    run = StageRunner(ThreadExecutor(2), Silence())
    run.call("first", int, rows=int)
    with pytest.raises(ZeroDivisionError):
        run.together(Stage("beside", int, [(1,)], int), Stage("second", lambda: 1 // 0, [()], int))
    assert run.current == "second"
    assert "second" not in [report.stage for report in run.reports]


def test_rates_and_defaults():
    assert StageReport("s", 1, 10, 2.0, 0).rows_per_second == 5.0
    assert StageReport("s", 1, 10, 0.0, 0).rows_per_second == 0.0
    assert n_threads(3) == 3
    assert n_threads(0) >= 1
    assert peak_rss_bytes() > 1 << 20
