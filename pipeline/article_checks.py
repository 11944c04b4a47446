"""Which of the rows read are articles: whole-array checks, one reason for each row that is none."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numba as nb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.arrays import BYTES, READ_I32, U8
from pipeline.config import Config
from pipeline.dates import parse_times
from pipeline.input_rows import Reject, Rows
from pipeline.schema import ACCEPTED, REJECTED, UTC_TIME
from pipeline.tokens import TABLES, buffers
from pipeline.unicode.build import DIGIT, LIMIT, LOWER, UNSPACED, UPPER

Bool = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Checked:
    """Accepted articles with where they came from, and the rejected rows, both in input order."""

    articles: pa.RecordBatch
    input_file: pa.Array
    row: npt.NDArray[np.int64]
    rejected: pa.RecordBatch
    n_bad_dates: int


def check_rows(rows: Rows, config: Config) -> Checked:
    """Sort rows into articles and rejects. The first reason that holds is given."""
    ids = article_ids(rows)
    text = rows.columns["text"]
    sizes = np.asarray(pc.fill_null(pc.binary_length(text), 0))
    reasons = _reasons(text, sizes, config.max_text_bytes)
    rejected = [_rejected(rows, ids, mask, reason, detail) for reason, mask, detail in reasons if mask.any()]
    unread = _from_rejects(rows.rejects)
    good = ~np.logical_or.reduce([mask for _, mask, _ in reasons])
    input_file, row, columns = rows.input_file, rows.row, dict(rows.columns, article_id=ids)
    if not good.all():
        keep = pa.array(good)
        input_file, row = input_file.filter(keep), row[good]
        columns = {field: values.filter(keep) for field, values in columns.items()}
    articles, n_bad_dates = _articles(columns, len(row))
    batch = pa.Table.from_batches([*rejected, unread]).combine_chunks().to_batches()
    return Checked(articles, input_file, row, batch[0] if batch else unread, n_bad_dates)


def article_ids(rows: Rows) -> pa.Array:
    """The id column where it has a value, else the url, else `<file>#<row>`."""
    found = [_present(rows.columns[field]) for field in ("article_id", "url") if field in rows.columns]
    if found and found[0].null_count == 0:
        return found[0]
    made = pc.binary_join_element_wise(rows.input_file, pa.array(rows.row).cast(pa.string()), "#")
    return pc.coalesce(*found, made)


def _reasons(text: pa.Array, sizes: npt.NDArray[np.int32], max_bytes: int) -> list[tuple[str, Bool, str]]:
    """(reason, rows, detail) for each reason; a row has one at most."""
    missing = np.asarray(pc.is_null(text))
    empty = ~missing & ((sizes == 0) | np.asarray(pc.fill_null(pc.utf8_is_space(text), False)))
    large = ~empty & (sizes > max_bytes)
    no_token = ~(missing | empty | large | has_token(text))
    return [
        ("missing_text", missing, "null"),
        ("empty_text", empty, "nothing but white space"),
        ("text_too_large", large, f"more than {max_bytes} bytes"),
        ("no_token", no_token, "no letter and no digit"),
    ]


def has_token(texts: pa.StringArray) -> Bool:
    """Whether `tokens.tokenise` finds any token in each text, bool (n,); nulls have none.

    Each text is read up to its first letter or digit, which almost always is the first character.
    """
    found: Bool = _has_token(*buffers(texts), _begins_token())
    return found


@cache
def _begins_token() -> npt.NDArray[np.uint8]:
    """Whether a token begins at each code point below LIMIT, uint8: marks only go on with one."""
    category, _, _ = TABLES
    return np.isin(category, (LOWER, UPPER, DIGIT, UNSPACED)).astype(np.uint8)


@nb.njit(nb.boolean[::1](BYTES, READ_I32, U8), cache=True, nogil=True)
def _has_token(data, offsets, begins_token):  # type: ignore[no-untyped-def]
    """Whether a token begins in each data[offsets[i]:offsets[i + 1]], valid UTF-8."""
    found = np.zeros(len(offsets) - 1, np.bool_)
    for i in range(len(found)):
        at = offsets[i]
        while at < offsets[i + 1] and not found[i]:
            byte = np.uint32(data[at])
            width = 1 if byte < 0x80 else 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            code = byte if width == 1 else byte & np.uint32(0x7F >> width)
            for k in range(1, width):
                code = np.uint32((code << 6) | (data[at + k] & 0x3F))
            if code < LIMIT:
                found[i] = begins_token[code] != 0
            else:  # as in the tokeniser: Han, then nothing but signs
                found[i] = code < 0x40000
            at += width
    return found


def _rejected(rows: Rows, ids: pa.Array, mask: Bool, reason: str, detail: str) -> pa.RecordBatch:
    keep, n = pa.array(mask), int(np.count_nonzero(mask))
    return pa.record_batch(
        [
            rows.input_file.filter(keep),
            pa.array(rows.row[mask]),
            ids.filter(keep),
            pa.repeat(reason, n),
            pa.repeat(detail, n),
        ],
        schema=REJECTED,
    )


def _from_rejects(rejects: tuple[Reject, ...]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(
        [
            {
                "input_file": r.input_file,
                "row": r.row,
                "article_id": r.article_id,
                "reason": r.reason,
                "detail": r.detail,
            }
            for r in rejects
        ],
        schema=REJECTED,
    )


def _articles(columns: dict[str, pa.Array], n_rows: int) -> tuple[pa.RecordBatch, int]:
    times = parse_times(columns["published_at"]) if "published_at" in columns else None
    arrays = {
        "article_id": columns["article_id"],
        "text": columns["text"],
        "published_at": times.values if times else pa.nulls(n_rows, UTC_TIME),
    }
    for field in ("source", "url", "title"):
        arrays[field] = _present(columns[field]) if field in columns else pa.nulls(n_rows, pa.string())
    batch = pa.record_batch([arrays[name] for name in ACCEPTED.names], schema=ACCEPTED)
    return batch, times.n_bad if times else 0


def _present(values: pa.Array) -> pa.Array:
    """Strings with "" as null: CSV can't tell one from the other."""
    return pc.if_else(pc.equal(values, ""), None, values)
