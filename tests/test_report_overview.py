"""The timeline of the report's overview, and who was first."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from pipeline.report_first import standing
from pipeline.report_overview import timeline, usual_times
from pipeline.report_tables import NEVER, Members


def members(at: list[int], cluster: list[int], source: list[int]) -> Members:
    ends = np.searchsorted(cluster, np.arange(max(cluster) + 1), side="right")
    arrays = (np.array(values, np.int64) for values in (cluster, source, at))
    own, sources_, times = arrays
    return Members(pa.table({}), own, ends, sources_, times, np.arange(len(at)))


def timeline_of(at: list[int], cluster: list[int] | None = None) -> dict:
    own = members(at, cluster or [0] * len(at), [0] * len(at))
    return timeline(own, standing(own))


def test_the_timeline_takes_a_unit_that_fits():
    day = 86_400
    assert timeline_of([NEVER]) is None
    hours = timeline_of([0, 7_200, NEVER])
    assert (hours["unit"], hours["first"], hours["later"]) == ("hour", [1, 0, 0], [0, 0, 1])
    assert (hours["n_undated"], hours["n_alone"]) == (1, 0)
    assert timeline_of([0, 40 * day])["unit"] == "day"
    assert timeline_of([0, 900 * day])["unit"] == "month"
    ages = timeline_of([-400 * 365 * day, 0])
    assert (ages["unit"], ages["n_left_out"]) == ("year", 1)


DAY, THEN = 86_400, 1_770_000_000
SOME_DAYS = [THEN + i * DAY // 4 for i in range(100)]
EPOCH, FUTURE, YEAR_1 = 0, 4_070_908_800, -62_135_596_800


@pytest.mark.parametrize(
    "bad",
    [[EPOCH], [EPOCH] * 3, [EPOCH] * 9, [EPOCH] * 4 + [FUTURE] * 4, [YEAR_1, -DAY, EPOCH, EPOCH, FUTURE]],
    ids=["one", "three", "a twelfth", "both ends", "several"],
)
def test_bad_dates_do_not_flatten_the_timeline(bad):
    timed = timeline_of([*bad, *SOME_DAYS])
    assert timed["unit"] == "day"
    assert (timed["n_left_out"], len(timed["starts"])) == (len(bad), 25)
    assert timed["usual"] == [SOME_DAYS[0], SOME_DAYS[-1]]


@pytest.mark.parametrize(
    "at",
    [
        [i * DAY for i in range(20)],
        [THEN, THEN + 60 * DAY, THEN + 150 * DAY],
        # A crawl of a day with a tenth of older articles, thinly over five years.
        [*(THEN + i for i in range(90)), *(THEN - i * 180 * DAY for i in range(10))],
        # Two times of a collection: a fifth is of ten years ago.
        [*(THEN + i * DAY for i in range(80)), *(THEN - 3_650 * DAY + i * DAY for i in range(20))],
        # A century, ever denser.
        [THEN - int(100 * 365 * DAY * 0.93**i) for i in range(120)],
        [THEN],
    ],
    ids=["even", "three", "thin tail", "two times", "century", "one"],
)
def test_real_spreads_are_not_left_out(at):
    assert usual_times(np.array(at)) == (min(at), max(at))


def test_firsts_at_one_time_are_all_first_and_one_date_says_nothing():
    cluster = [0, 0, 0, 1, 1, 2, 2, 2]
    at = [5, 5, 9, 7, NEVER, 1, 2, 2]
    own = members(at, cluster, [0, 1, 2, 0, 1, 1, 1, 0])
    told = standing(own)
    assert told.is_first.tolist() == [True, True, False, False, False, True, False, False]
    assert told.is_after.tolist() == [False, False, True, False, False, False, True, True]
    # The second article of the source that was first is no copy of another's.
    assert np.flatnonzero(told.is_copy).tolist() == [2, 7]
