"""Nightly runs: which nights are finished, which are to be run, and one at a time.

`<output>/nights.json` has an entry for each night that was begun: its state, when, the run or the error. A
night is finished when its run is published, and part of the index where there is one. The manifest names the
night too, so that a kill between the two files makes no night run twice.
"""

from __future__ import annotations

import fcntl
import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Generic, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pipeline.errors import ConfigError, InputError, OutputError, RespunError, RunError
from pipeline.index_run import require_index
from pipeline.manifest import MANIFEST, read_object
from pipeline.publish import RUNS, check_output
from pipeline.scratch import WORK, is_unfinished
from pipeline.tables import atomic_file

T = TypeVar("T")

NIGHTS = "nights.json"
FINISHED, FAILED, STARTED, GIVEN_UP = "finished", "failed", "started", "given up"
_LOCK = "nightly.lock"
_DATE = re.compile(r"\{date(?::([^{}]*))?\}")


def night_before(now: datetime, timezone: str | None) -> date:
    """The day before `now` (aware) by the calendar of `timezone`, an IANA name; None is this machine's.

    Raises ConfigError when there is no such timezone.
    """
    try:
        here = now.astimezone(ZoneInfo(timezone) if timezone else None)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ConfigError(f"timezone: must be an IANA name such as Europe/Berlin, not {timezone!r}") from None
    return here.date() - timedelta(days=1)


def inputs_of(templates: Sequence[str], night: date) -> list[str]:
    """The inputs of a night: `{date}` is put in as 2026-11-24, `{date:%Y/%m/%d}` as that says.

    Raises ConfigError when a template has no date: every night would read the same.
    """
    for template in templates:
        if not _DATE.search(template):
            raise ConfigError(f"input: must have a {{date}} in it, {template!r} has none")
    return [_DATE.sub(lambda found: night.strftime(found[1] or "%Y-%m-%d"), one) for one in templates]


@dataclass(frozen=True)
class Plan(Generic[T]):
    """What a nightly run is to do: nights up to `target`, from at most `catch_up_days` before it.

    `run` makes the run of one night and returns its id and something for the caller; `again` has it made for
    the target even if that is finished. `index`: the folder or address that the nights join.
    """

    target: date
    catch_up_days: int
    run: Callable[[date], tuple[str, T]]
    again: bool = False
    index: str | None = None


def run_nights(output: Path, plan: Plan[T], tell: Callable[[str], None]) -> list[T]:
    """Run the nights that are missing, in their order. Returns what `plan.run` did, for each.

    What is wrong with the input of one night doesn't hold up the others; what is wrong with the machine
    would befall them too, so that ends it. Raises the error of a single night, or a RunError that names all
    that failed; OutputError when another nightly run with this output folder is under way.
    """
    check_output(output)
    with _alone(output):
        nights = _Nights(output, plan.target - timedelta(days=plan.catch_up_days), plan.index)
        _give_up(nights, tell)
        due = _due(nights, plan)
        tell(f"nights to run: {', '.join(map(str, due))}" if due else f"{plan.target}: finished already")
        done: list[T] = []
        failed: dict[date, RespunError] = {}
        for night in due:
            nights.note(night, STARTED)
            try:
                run_id, result = plan.run(night)
            except RespunError as error:
                nights.note(night, FAILED, error=str(error))
                tell(f"night {night} failed: {error}")
                failed[night] = error
                if not isinstance(error, InputError):
                    break
            else:
                nights.note(night, FINISHED, run_id=run_id)
                done.append(result)
    _raise_failed(failed, due)
    return done


def _due(nights: _Nights, plan: Plan[Any]) -> list[date]:
    days = (nights.window + timedelta(days=n) for n in range(plan.catch_up_days + 1))
    missing = [day for day in days if day >= nights.first and not nights.is_finished(day)]
    return sorted({*missing, plan.target} if plan.again or not nights.is_finished(plan.target) else missing)


def _give_up(nights: _Nights, tell: Callable[[str], None]) -> None:
    """Say once of the nights that are too old to be caught up with."""
    days = (nights.first + timedelta(days=n) for n in range((nights.window - nights.first).days))
    old = [day for day in days if nights.state(day) not in (FINISHED, GIVEN_UP)]
    for day in old:
        nights.note(day, GIVEN_UP)
    if old:
        span = f"{old[0]} to {old[-1]}" if len(old) > 1 else str(old[0])
        tell(f"given up, never finished and over catch_up_days ago: {len(old)} nights of {span}")


def _raise_failed(failed: dict[date, RespunError], due: list[date]) -> None:
    if len(due) == len(failed) == 1:
        raise next(iter(failed.values()))
    if failed:
        told = "; ".join(f"{night}: {error}" for night, error in failed.items())
        raise RunError(f"{len(failed)} of {len(due)} nights failed: {told}")


class _Nights:
    """The entries of nights.json. Nights before `window` can't be caught up with.

    Raises OutputError when these, a manifest or the `index` can't be read.
    """

    def __init__(self, output: Path, window: date, index: str | None) -> None:
        self._path = output / NIGHTS
        self.window = window
        self._index = index
        self._entries: dict[str, dict[str, Any]] = {}
        if self._path.is_file():
            self._entries = read_object(self._path)
        self._find_published(output / RUNS)

    @property
    def first(self) -> date:
        """The night that was begun first; none before it is missing, though some were asked for by date."""
        counted = (night for night, entry in self._entries.items() if not entry.get("earlier"))
        return date.fromisoformat(min(counted, default="9999-12-31"))

    def state(self, night: date) -> str | None:
        """What became of a night; None when it was not begun."""
        return self._entries.get(str(night), {}).get("state")

    def is_finished(self, night: date) -> bool:
        """Whether the night's run is published."""
        return self.state(night) == FINISHED

    def note(self, night: date, state: str, **more: str | bool) -> None:
        """Write down what became of a night."""
        if self._entries and night < self.first:
            more["earlier"] = True
        self._entries[str(night)] = {"state": state, "at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", **more}
        with atomic_file(self._path, durable=True) as file:
            text = json.dumps(dict(sorted(self._entries.items())), indent=2, ensure_ascii=False)
            file.write((text + "\n").encode(errors="replace"))

    def _find_published(self, runs: Path) -> None:
        """Note nights that were published, and then cut off before they were noted."""
        for manifest in sorted(runs.glob(f"*/{MANIFEST}")):
            if manifest.parent.name < f"{self.window:%Y%m%d}":  # run ids begin with the day of the run
                continue
            if is_unfinished(runs.parent, manifest.parent.name):  # it may not be current yet
                continue
            found = read_object(manifest)
            night = found.get("night")
            if night and not self.is_finished(date.fromisoformat(night)) and self._has_joined(found):
                self.note(date.fromisoformat(night), FINISHED, run_id=manifest.parent.name)

    def _has_joined(self, manifest: dict[str, Any]) -> bool:
        """Whether the index has what a published run brought: it may have died in between."""
        if self._index is None or manifest.get("index") is None:
            return True
        counts = manifest["counts"]
        brought = counts["n_accepted"] > counts["n_recognised"]
        return not brought or require_index(self._index).has_run(manifest["run_id"])


@contextmanager
def _alone(output: Path) -> Iterator[None]:
    """Hold a lock that goes with this process. Raises OutputError when another one holds it."""
    (output / WORK).mkdir(exist_ok=True)
    with (output / WORK / _LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise OutputError(f"output {output}: another nightly run is under way") from None
        yield
