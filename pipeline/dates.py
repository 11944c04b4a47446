"""Times of publication, in whatever form an input has them, to timestamps in UTC. No Python per value.

Read are: timestamps and dates; epoch numbers in s, ms, us or ns, told apart by size; and, as text, ISO 8601,
RFC 2822, `date`, Reuters' "16-MAR-1987 08:57:53.18", "March 16, 1987, 9:00 PM", "16/03/1987". A time without
a zone is UTC. What could mean two days ("03/04/1987"), lacks a part ("March 1987") or names an unknown zone
is unreadable: a wrong time is worse than none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.schema import UTC_TIME

Int64 = npt.NDArray[np.int64]

_MONTHS = (
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
)
_MONTH_NUMBERS = {name: i + 1 for i, month in enumerate(_MONTHS) for name in (month, month[:3])} | {"sept": 9}
# RFC 2822, section 4.3, and names that stand for one offset only; minutes east of UTC.
_ZONES = {
    "": 0,
    "z": 0,
    "utc": 0,
    "gmt": 0,
    "ut": 0,
    "est": -300,
    "edt": -240,
    "cst": -360,
    "cdt": -300,
    "mst": -420,
    "mdt": -360,
    "pst": -480,
    "pdt": -420,
    "cet": 60,
    "cest": 120,
    "eet": 120,
    "eest": 180,
    "jst": 540,
}

_CLOCK = (
    r"(?P<h>\d{1,2}):(?P<min>\d{2})(?::(?P<s>\d{2})(?:[.,](?P<frac>\d{1,9}))?)?"
    r"(?:\s*(?P<ap>[ap])\.?m\.?)?"
)
_ZONE = (
    r"\(?(?:(?P<z>[a-z]{1,4})|(?:utc|gmt)?(?P<sign>[+-])(?P<zh>\d{2}):?(?P<zm>\d{2})?)\)?"
    r"(?:\s*\([a-z ]+\))?"
)
_TIME = rf"(?:(?:\s*t\s*|,?\s+(?:at\s+)?){_CLOCK}(?:\s*{_ZONE})?)?"
_DAY = r"(?P<d>\d{1,2})"
_MONTH_NAME = r"(?P<month>[a-z]{3,9})\.?"
_PATTERNS = (
    rf"^(?P<y>\d{{4}})[-/.](?P<m>\d{{1,2}})[-/.]{_DAY}{_TIME}$",
    rf"^(?:[a-z]{{3,9}}\.?,?\s+)?{_DAY}(?:st|nd|rd|th)?[-\s]\s*{_MONTH_NAME},?[-\s]\s*(?P<y>\d{{4}}|\d{{2}}){_TIME}$",
    rf"^(?:[a-z]{{3,9}}\.?,?\s+)?{_MONTH_NAME}\s+{_DAY}(?:st|nd|rd|th)?,?\s+(?P<y>\d{{4}}){_TIME}$",
    rf"^[a-z]{{3}},?\s+{_MONTH_NAME}\s+{_DAY}\s+{_CLOCK}(?:\s+{_ZONE})?\s+(?P<y>\d{{4}})$",
    rf"^(?P<p>\d{{1,2}})[-/.](?P<q>\d{{1,2}})[-/.](?P<y>\d{{4}}){_TIME}$",
    r"^(?P<y>(?:19|20)\d{2})(?P<m>\d{2})(?P<d>\d{2})(?:t?(?P<h>\d{2})(?P<min>\d{2})(?P<s>\d{2})(?P<z>z)?)?$",
)
_EPOCH = r"^-?\d{1,19}(\.\d+)?$"
# Years 1 to 9999, in seconds: what Python, pandas and DuckDB can all show.
FIRST, LAST = -62_135_596_800, 253_402_300_799
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


@dataclass(frozen=True)
class Times:
    """`values`: timestamp[us, UTC], one for each input value. `n_bad`: values there, but unreadable."""

    values: pa.Array
    n_bad: int


def parse_times(values: pa.Array) -> Times:
    """Read times of any Arrow type. Nulls and blank texts become null, and are not counted as bad."""
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    kind = values.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _from_text(values)
    present = np.asarray(pc.is_valid(values))
    if pa.types.is_timestamp(kind):
        micros, good = _from_ticks(values.cast(pa.int64()), kind.unit, present)
    elif pa.types.is_date(kind):
        micros, good = _from_ticks(values.cast(pa.timestamp("ms")).cast(pa.int64()), "ms", present)
    elif pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        numbers = _floats(values)
        micros, good = _from_epoch(numbers)
        present &= ~np.isnan(numbers)
    else:
        micros, good = np.zeros(len(values), dtype=np.int64), np.zeros(len(values), dtype=np.bool_)
    return Times(_timestamps(micros, good), int(np.count_nonzero(present & ~good)))


def _from_text(values: pa.Array) -> Times:
    encoded = pc.utf8_lower(pc.utf8_trim_whitespace(values.cast(pa.string()))).dictionary_encode()
    texts = encoded.dictionary
    micros = np.zeros(len(texts), dtype=np.int64)
    good = np.zeros(len(texts), dtype=np.bool_)
    left = np.arange(len(texts))
    for pattern in _PATTERNS:
        if not len(left):
            break
        parts = pc.extract_regex(texts.take(pa.array(left)), pattern)
        hit = np.asarray(pc.is_valid(parts))
        if hit.any():
            micros[left[hit]], good[left[hit]] = _from_parts(parts.filter(pa.array(hit)))
        left = left[~hit]
    if len(left):
        numbers = texts.take(pa.array(left))
        hit = np.asarray(pc.match_substring_regex(numbers, _EPOCH))
        micros[left[hit]], good[left[hit]] = _from_epoch(_floats(numbers.filter(pa.array(hit))))
    codes = encoded.indices
    present = np.asarray(pc.is_valid(codes))
    at = np.asarray(codes.fill_null(0)).astype(np.int64)
    if not len(texts):
        return Times(pa.nulls(len(values), UTC_TIME), 0)
    blank = np.asarray(pc.equal(texts, ""))
    known = present & good[at]
    return Times(_timestamps(micros[at], known), int(np.count_nonzero(present & ~good[at] & ~blank[at])))


def _from_parts(parts: pa.StructArray) -> tuple[Int64, npt.NDArray[np.bool_]]:
    """Microseconds since 1970 and whether they mean a time, for matches of one pattern."""
    groups = {parts.type.field(i).name: parts.field(i) for i in range(parts.type.num_fields)}
    year = _number(groups, "y")
    short = np.asarray(pc.less_equal(pc.utf8_length(groups["y"]), 2))
    year = np.where(short, year + np.where(year < 50, 2000, 1900), year)  # RFC 2822, section 4.3
    month, day, good = _month_and_day(groups)
    first = (year - 1970).astype("M8[Y]").astype("M8[M]") + (np.clip(month, 1, 12) - 1)
    days = first.astype("M8[D]").astype(np.int64) + day - 1
    good &= (year >= 1) & (month >= 1) & (month <= 12) & (day >= 1)
    good &= days < (first + 1).astype("M8[D]").astype(np.int64)
    hour, minute, second = (_number(groups, name) for name in ("h", "min", "s"))
    if "ap" in groups:
        half = np.asarray(pc.fill_null(pc.index_in(groups["ap"], pa.array(["", "a", "p"])), 0))
        good &= (half == 0) | ((hour >= 1) & (hour <= 12))
        hour = np.where(half == 0, hour, hour % 12 + 12 * (half == 2))
    good &= (hour < 24) & (minute < 60) & (second <= 60)
    offset, known = _offset(groups)
    micros = (((days * 24 + hour) * 60 + minute - offset) * 60 + second) * 1_000_000
    if "frac" in groups:
        six = pc.utf8_slice_codeunits(pc.utf8_rpad(groups["frac"], 6, "0"), 0, 6)
        micros += _number({"frac": six}, "frac")
    # The zone may have moved it out of these years.
    return micros, good & known & _in_years(micros // 10**6)


def _month_and_day(groups: dict[str, pa.Array]) -> tuple[Int64, Int64, npt.NDArray[np.bool_]]:
    if "p" in groups:  # 16/03/1987: only when one order of day and month is possible
        p, q = _number(groups, "p"), _number(groups, "q")
        return np.where(p > 12, q, p), np.where(p > 12, p, q), (p > 12) | (q > 12) | (p == q)
    day = _number(groups, "d")
    if "month" not in groups:
        return _number(groups, "m"), day, np.ones(len(day), dtype=np.bool_)
    names = pc.index_in(groups["month"], pa.array(list(_MONTH_NUMBERS)))
    month = np.array([*_MONTH_NUMBERS.values(), 0], dtype=np.int64)[np.asarray(names.fill_null(-1))]
    return month, day, month > 0


def _offset(groups: dict[str, pa.Array]) -> tuple[Int64, npt.NDArray[np.bool_]]:
    """Minutes east of UTC, and whether the zone is one we know."""
    n = len(groups["y"])
    if "z" not in groups:
        return np.zeros(n, dtype=np.int64), np.ones(n, dtype=np.bool_)
    names = np.asarray(pc.index_in(groups["z"], pa.array(list(_ZONES))).fill_null(-1))
    minutes = np.array([*_ZONES.values(), 0], dtype=np.int64)[names]
    good = names >= 0
    if "sign" in groups:
        sign = np.where(np.asarray(pc.equal(groups["sign"], "-")), -1, 1)
        hours, rest = _number(groups, "zh"), _number(groups, "zm")
        minutes, good = minutes + sign * (hours * 60 + rest), good & (hours < 24) & (rest < 60)
    return minutes, good


def _number(groups: dict[str, pa.Array], name: str) -> Int64:
    """Digits as numbers; 0 where the group is absent or matched nothing."""
    if name not in groups:
        return np.zeros(len(groups["y"]), dtype=np.int64)
    digits = groups[name]
    return np.asarray(pc.if_else(pc.equal(digits, ""), "0", digits).cast(pa.int64()))


def _from_epoch(values: npt.NDArray[np.float64]) -> tuple[Int64, npt.NDArray[np.bool_]]:
    """Epoch numbers: s below 1e11 (the year 5138), ms below 1e14, us below 1e17, else ns.

    Eight digits that are a day of 1900 to 2099 are that day, not a time in 1970. Numbers below 10,000 in size
    are unreadable: more likely a bare year, or 0 for nothing, than the first hours of 1970.
    """
    size = np.abs(values)
    scale = np.select([size < 1e11, size < 1e14, size < 1e17], [1e6, 1e3, 1.0], 1e-3)
    with np.errstate(invalid="ignore", over="ignore"):
        micros = np.round(values * scale)
        good = np.isfinite(micros) & (size >= 10_000) & _in_years(micros / 1e6)
        as_day = good & (values >= 19_000_101) & (values <= 20_991_231) & (values == np.floor(values))
    whole = np.where(good, micros, 0).astype(np.int64)
    if as_day.any():
        days = pa.array(values[as_day].astype(np.int64)).cast(pa.string())
        parts = pc.extract_regex(days, r"^(?P<y>\d{4})(?P<m>\d{2})(?P<d>\d{2})$")
        found, is_day = _from_parts(parts)
        whole[as_day] = np.where(is_day, found, whole[as_day])
    return whole, good


def _from_ticks(
    ticks: pa.Array, unit: str, present: npt.NDArray[np.bool_]
) -> tuple[Int64, npt.NDArray[np.bool_]]:
    counts = np.asarray(ticks.fill_null(0))
    per_second = _PER_SECOND[unit]
    good = present & _in_years(counts // per_second)
    counts = np.where(good, counts, 0)
    return (counts // 1000 if unit == "ns" else counts * (10**6 // per_second)), good


def _in_years(seconds: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Whether times, seconds since 1970, are of the years that are taken: FIRST to LAST."""
    return np.asarray((seconds >= FIRST) & (seconds <= LAST))


def _floats(values: pa.Array) -> npt.NDArray[np.float64]:
    return np.asarray(values.cast(pa.float64(), safe=False).fill_null(float("nan")))


def _timestamps(micros: Int64, good: npt.NDArray[np.bool_]) -> pa.Array:
    return pa.array(np.where(good, micros, 0), mask=~good).cast(UTC_TIME)
