"""Nights are run once each, in order; failed and missed ones are caught up with, too old ones given up."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import made_up_news as news
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stages import config

from pipeline.errors import ConfigError, InputError, OutputError, RunError
from pipeline.index_catalog import require_catalog
from pipeline.index_store import Store
from pipeline.nights import Plan, inputs_of, night_before, run_nights

DAY = date(2026, 11, 20)
# What an index has that a night may have joined.
FIRST, SETTINGS = news.stories(11, 6), config()


def day(n: int) -> date:
    return DAY + timedelta(days=n)


class Runs:
    """Pretends to run nights; some fail."""

    def __init__(self, output: Path, **failing: Exception) -> None:
        self.output = output
        self.failing = {date.fromisoformat(k[1:].replace("_", "-")): v for k, v in failing.items()}
        self.seen: list[date] = []
        self.numbers = itertools.count()
        self.told: list[str] = []

    def __call__(self, night: date) -> tuple[str, date]:
        self.seen.append(night)
        if night in self.failing:
            raise self.failing[night]
        folder = self.output / "runs" / f"{night:%Y%m%d}T000000Z-{next(self.numbers)}"
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text(json.dumps({"night": str(night)}))
        return folder.name, night

    def nightly(
        self, target: date, days: int = 7, again: bool = False, index: Path | None = None
    ) -> list[date]:
        self.seen.clear()
        self.told.clear()
        plan = Plan(target, days, self, again, index and str(index))
        return run_nights(self.output, plan, self.told.append)


def states(output: Path) -> dict[str, str]:
    return {k: v["state"] for k, v in json.loads((output / "nights.json").read_text()).items()}


def test_the_first_night_is_run_alone_and_only_once(tmp_path):
    runs = Runs(tmp_path)
    assert runs.nightly(DAY) == [DAY]
    assert runs.nightly(DAY) == []
    assert runs.told == ["2026-11-20: finished already"]
    assert states(tmp_path) == {"2026-11-20": "finished"}


def test_missed_nights_are_run_first_in_order(tmp_path):
    runs = Runs(tmp_path)
    runs.nightly(DAY)
    assert runs.nightly(day(3)) == [day(1), day(2), day(3)]


def test_a_night_may_be_run_again(tmp_path):
    runs = Runs(tmp_path)
    runs.nightly(DAY)
    assert runs.nightly(DAY, again=True) == [DAY]
    assert runs.nightly(day(1), again=True) == [day(1)]


def test_a_failed_night_is_picked_up_by_the_next(tmp_path):
    runs = Runs(tmp_path, _2026_11_20=RunError("no"))
    with pytest.raises(RunError, match=r"^no$"):
        runs.nightly(DAY)
    assert json.loads((tmp_path / "nights.json").read_text())["2026-11-20"]["error"] == "no"
    runs.failing.clear()
    assert runs.nightly(day(1)) == [DAY, day(1)]


def test_a_night_without_input_holds_up_no_other(tmp_path):
    runs = Runs(tmp_path, _2026_11_21=InputError("no files"))
    runs.nightly(DAY)
    with pytest.raises(RunError, match="1 of 3 nights failed: 2026-11-21: no files"):
        runs.nightly(day(3))
    assert runs.seen == [day(1), day(2), day(3)]
    assert states(tmp_path)["2026-11-21"] == "failed"


def test_a_broken_machine_ends_it(tmp_path):
    runs = Runs(tmp_path, _2026_11_21=RunError("disk"))
    runs.nightly(DAY)
    with pytest.raises(RunError, match="1 of 3 nights failed"):
        runs.nightly(day(3))
    assert runs.seen == [day(1)]


def test_nights_that_are_too_old_are_given_up_aloud_and_once(tmp_path):
    runs = Runs(tmp_path)
    runs.nightly(DAY)
    assert runs.nightly(day(5), days=2) == [day(3), day(4), day(5)]
    assert runs.told[0].endswith("2 nights of 2026-11-21 to 2026-11-22")
    runs.nightly(day(6), days=2)
    assert [line for line in runs.told if "given up" in line] == []
    # By name it can still be run.
    assert runs.nightly(day(1), days=0) == [day(1)]


def test_an_earlier_night_that_is_asked_for_makes_no_others_missing(tmp_path):
    runs = Runs(tmp_path)
    runs.nightly(DAY)
    assert runs.nightly(day(-40)) == [day(-40)]
    assert runs.nightly(day(-20), again=True) == [day(-20)]
    assert runs.nightly(day(1)) == [day(1)]
    assert len(states(tmp_path)) == 4


def test_a_night_that_was_published_and_not_noted_is_finished(tmp_path):
    runs = Runs(tmp_path)
    runs.nightly(DAY)
    runs(day(1))  # killed right after
    assert runs.nightly(day(2)) == [day(2)]
    assert states(tmp_path)["2026-11-21"] == "finished"


def test_a_night_that_was_cut_off_while_it_was_published_is_run_again(tmp_path):
    runs = Runs(tmp_path)
    run_id, night = runs(DAY)
    scratch = tmp_path / ".work" / run_id
    scratch.mkdir(parents=True)
    (scratch / "job.json").write_text('{"inputs": "", "settings": ""}')
    assert runs.nightly(DAY) == [night]


@pytest.mark.parametrize(("n_recognised", "has_joined", "is_finished"), [
    (3, False, False), (3, True, True), (8, False, True),
])  # fmt: skip
def test_a_night_is_finished_when_the_index_has_what_it_brought(
    one_night, tmp_path, n_recognised, has_joined, is_finished
):
    """Whatever became of the scratch of the run that was published and died."""
    [segment] = require_catalog(Store(str(one_night))).segments
    runs = Runs(tmp_path)
    run_id, _ = runs(DAY)
    manifest = {
        "night": str(DAY), "run_id": segment.run_ids[0] if has_joined else run_id,
        "index": {"location": "anywhere"}, "counts": {"n_accepted": 8, "n_recognised": n_recognised},
    }  # fmt: skip
    (tmp_path / "runs" / run_id / "manifest.json").write_text(json.dumps(manifest))
    assert runs.nightly(DAY, index=one_night) == ([] if is_finished else [DAY])
    assert states(tmp_path) == {str(DAY): "finished"}


def test_a_finished_night_stays_so_when_its_run_is_removed(tmp_path):
    runs = Runs(tmp_path)
    runs.nightly(DAY)
    for path in (tmp_path / "runs").iterdir():
        path.rename(tmp_path / "elsewhere")
    assert runs.nightly(DAY) == []


def test_one_nightly_run_at_a_time(tmp_path):
    runs = Runs(tmp_path)

    def nested(night: date) -> tuple[str, date]:
        with pytest.raises(OutputError, match="another nightly run is under way"):
            runs.nightly(night)
        return "x", night

    run_nights(tmp_path, Plan(DAY, 7, nested), lambda _: None)
    assert runs.seen == []


@pytest.mark.parametrize("text", ["[]", "{", "\udcff"])
def test_a_broken_state_is_said_and_not_overwritten(tmp_path, text):
    (tmp_path / ".respun").write_text("")
    (tmp_path / "nights.json").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(OutputError, match=r"nights\.json: must be a JSON object"):
        Runs(tmp_path).nightly(DAY)
    assert (tmp_path / "nights.json").read_bytes() == text.encode(errors="surrogateescape")


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 12), st.sampled_from(["ok", "fails", "no input"])), max_size=12))
def test_whatever_happens_every_night_is_finished_once(tmp_path_factory, happenings):
    """Some nights are skipped, some fail: at the end one more run has finished all since the first."""
    runs = Runs(tmp_path_factory.mktemp("out"))
    finished: list[date] = []
    targets = sorted(n for n, _ in happenings)
    for target, (_, how) in zip(targets, happenings, strict=True):
        runs.failing = {"ok": {}, "fails": {day(target): RunError("x")}}.get(
            how, {day(target): InputError("x")}
        )
        try:
            finished += runs.nightly(day(target), days=30)
        except (RunError, InputError):
            finished = [date.fromisoformat(k) for k, v in states(runs.output).items() if v == "finished"]
    runs.failing = {}
    finished += runs.nightly(day(13), days=30)
    first = min(targets, default=13)
    assert sorted(finished) == [day(n) for n in range(first, 14)]


def test_midnight_is_where_the_timezone_is():
    now = datetime(2026, 11, 25, 0, 30, tzinfo=UTC)
    assert night_before(now, "Etc/UTC") == date(2026, 11, 24)
    assert night_before(now, "America/New_York") == date(2026, 11, 23)
    assert night_before(now, "Asia/Tokyo") == date(2026, 11, 24)
    assert abs((night_before(now, None) - date(2026, 11, 24)).days) <= 1


@pytest.mark.parametrize("name", ["Europe/Nowhere", "../etc/passwd", "/etc/localtime", "Europe"])
def test_an_unknown_timezone_is_named(name):
    with pytest.raises(ConfigError, match="timezone: must be an IANA name"):
        night_before(datetime.now(UTC), name)


def test_templates():
    assert inputs_of(["/crawl/{date}/*.jsonl", "x-{date:%Y/%m/%d}-{date}"], DAY) == [
        "/crawl/2026-11-20/*.jsonl",
        "x-2026/11/20-2026-11-20",
    ]
    with pytest.raises(ConfigError, match=r"input: must have a \{date\}"):
        inputs_of(["/crawl/{date}", "/crawl/all"], DAY)
