"""The executor runs calls in any order and returns them in theirs; the runner times and tells."""

from __future__ import annotations

import threading

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


@given(numbers=st.lists(st.integers(), max_size=30), n_workers=st.integers(1, 5))
def test_each_result_is_told_once(numbers, n_workers):
    seen = {}
    ThreadExecutor(n_workers).map(
        jobs_of(lambda n: n * n, numbers),
        lambda job, outcome: seen.setdefault(job.number, []).append(outcome()),
    )
    assert seen == {i: [n * n] for i, n in enumerate(numbers)}


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

    with pytest.raises(KeyError):
        ThreadExecutor(1).map(jobs_of(call, range(100)), lambda _, outcome: outcome())
    assert len(begun) < 100


def test_done_is_called_from_the_calling_thread():
    threads = []
    ThreadExecutor(3).map(
        jobs_of(lambda n: n, range(10)), lambda _job, _outcome: threads.append(threading.current_thread())
    )
    assert set(threads) == {threading.current_thread()}


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
    assert [report.stage for report in run.reports] == ["first"]


def test_rates_and_defaults():
    assert StageReport("s", 1, 10, 2.0, 0).rows_per_second == 5.0
    assert StageReport("s", 1, 10, 0.0, 0).rows_per_second == 0.0
    assert n_threads(3) == 3
    assert n_threads(0) >= 1
    assert peak_rss_bytes() > 1 << 20
