"""Times of publication: each form that is read, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.dates import parse_times
from pipeline.schema import UTC_TIME

WHEN = datetime(1987, 3, 16, 8, 57, 53, tzinfo=UTC)


def read(*values: object, kind: pa.DataType | None = None) -> list[datetime | None]:
    times = parse_times(pa.array(values, kind))
    assert times.values.type == UTC_TIME
    return times.values.to_pylist()


@pytest.mark.parametrize(
    "text",
    [
        "1987-03-16T08:57:53Z",
        "1987-03-16 08:57:53",
        "1987-03-16T08:57:53.000+00:00",
        "1987/03/16 08:57:53",
        "1987-03-16T10:57:53+0200",
        "1987-03-16t10:57:53+02",
        "16-MAR-1987 08:57:53.00",
        "16-MAR-1987 08:57:53",
        "Mon, 16 Mar 1987 08:57:53 GMT",
        "Mon, 16 Mar 87 03:57:53 -0500 (EST)",
        "16 Mar 1987 03:57:53 EST",
        "Mon Mar 16 08:57:53 1987",
        "Mon Mar 16 08:57:53 +0000 1987",
        "March 16, 1987, 8:57:53 AM",
        "Monday, March 16th 1987 at 8:57:53 a.m. (UTC)",
        "16/03/1987 08:57:53",
        "03/16/1987 08:57:53",
        "19870316085753",
        "19870316T085753Z",
        "542883473",
        "542883473000",
        "542883473.0",
        "  1987-03-16 08:57:53 ",
    ],
)
def test_forms_of_one_time(text):
    assert read(text) == [WHEN]


@pytest.mark.parametrize(
    "text",
    ["1987-03-16", "19870316", "16 March 1987", "Mar 16, 1987", "16-MAR-1987", "16.03.1987", "3/16/1987"],
)
def test_days_begin_at_midnight(text):
    assert read(text) == [datetime(1987, 3, 16, tzinfo=UTC)]


@pytest.mark.parametrize(
    "text",
    [
        "03/04/1987",
        "1987",
        "March 1987",
        "16 Smarch 1987",
        "1987-02-29",
        "1987-13-01",
        "1987-03-16 24:00:00",
        "1987-03-16 08:57:53 XYZ",
        "1987-03-16 13:00 PM",
        "1987-03-16 08:57:53+25:00",
        "0000-01-01",
        "yesterday",
        "0",
        "99999999999999999999",
        "9999-12-31T23:59-05:00",
        "0001-01-01T00:00+05:00",
        "nan",
        "-",
        "1987-03-16 08:57:53 1987-03-16",
    ],
)
def test_what_is_ambiguous_or_no_time_is_null_and_counted(text):
    times = parse_times(pa.array([text, None, "", "  ", text]))
    assert times.values.null_count == 5
    assert times.n_bad == 2


@settings(deadline=None)
@given(
    st.lists(st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1)), min_size=1, max_size=5),
    st.integers(-14 * 60, 14 * 60),
    st.sampled_from(["iso", "rfc", "asctime"]),
)
def test_standard_library_as_oracle(times, offset, form):
    zoned = [t.replace(tzinfo=timezone(timedelta(minutes=offset))) for t in times]
    if form == "iso":
        assert read(*(t.isoformat() for t in zoned)) == zoned
    elif form == "rfc":
        assert read(*(format_datetime(t) for t in zoned)) == [t.replace(microsecond=0) for t in zoned]
    else:
        assert read(*(t.ctime() for t in times)) == [t.replace(microsecond=0, tzinfo=UTC) for t in times]


def test_arrow_times_of_every_unit():
    for unit in ("s", "ms", "us", "ns"):
        assert read(WHEN, None, kind=pa.timestamp(unit, "Europe/Berlin")) == [WHEN, None]
        assert read(WHEN.replace(tzinfo=None), kind=pa.timestamp(unit)) == [WHEN]
    assert read(WHEN.date(), kind=pa.date32()) == read(WHEN.date(), kind=pa.date64())
    assert read("1987-03-16", kind=pa.dictionary(pa.int8(), pa.string())) == [
        datetime(1987, 3, 16, tzinfo=UTC)
    ]


@pytest.mark.parametrize("kind", [pa.int64(), pa.float64(), pa.decimal128(38, 0)])
def test_epoch_numbers_by_their_size(kind):
    seconds = 542883473
    numbers = [seconds * 10**power for power in (0, 3, 6, 9)]
    values = [float(n) for n in numbers] if kind == pa.float64() else numbers
    assert read(*values, None, kind=kind) == [WHEN] * 4 + [None]
    assert read(19870316, kind=kind) == [datetime(1987, 3, 16, tzinfo=UTC)]


@pytest.mark.parametrize(
    ("values", "kind", "n_bad"),
    [
        ([10**17], pa.timestamp("s"), 1),
        ([float("inf")], pa.float64(), 1),
        ([float("nan")], pa.float64(), 0),
        ([0, 1987], pa.int32(), 2),
        ([True, None], pa.bool_(), 1),
        ([None], pa.null(), 0),
        ([], pa.string(), 0),
    ],
)
def test_values_that_are_no_times(values, kind, n_bad):
    times = parse_times(pa.array(values, kind))
    assert (times.values.null_count, times.n_bad) == (len(values), n_bad)
