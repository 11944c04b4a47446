"""What every reader yields: rows in Arrow arrays, and the rows that could not be read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.config import ColumnsConfig
from pipeline.errors import InputError
from pipeline.inputs import InputFile

# The fields of an article, in the order of the columns' configuration.
FIELDS = ("article_id", "text", "title", "source", "url", "published_at")
# Enough to keep Arrow busy, small enough that a hundred readers fit into memory.
BLOCK_BYTES = 2 << 20
BATCH_BYTES = 8 << 20
BATCH_ROWS = 2_048


@dataclass(frozen=True)
class Reject:
    """An input row that can't become an article, or with `row` None a file that can't be read (further)."""

    input_file: str
    row: int | None
    reason: str
    detail: str
    article_id: str | None = None


@dataclass(frozen=True)
class Rows:
    """Rows as read, in input order, with what had to be left out.

    `columns` maps fields to arrays of one length: strings, valid UTF-8, `published_at` of any type; `text`
    is always there. `input_file` (string) and `row` (int64, from 0 in the file) say where each came from.
    """

    input_file: pa.Array
    row: npt.NDArray[np.int64]
    columns: Mapping[str, pa.Array]
    rejects: tuple[Reject, ...] = ()

    @property
    def n_input_rows(self) -> int:
        """Rows and rejects: each ends in one of the two tables."""
        return len(self.row) + len(self.rejects)


def rows_of(
    name: str, row: npt.NDArray[np.int64], columns: Mapping[str, pa.Array], rejects: tuple[Reject, ...] = ()
) -> Rows:
    """Rows of one file."""
    return Rows(pa.repeat(pa.scalar(name, pa.string()), len(row)), row, columns, rejects)


def only_rejects(*rejects: Reject) -> Rows:
    """No rows, only what could not be read."""
    return rows_of("", np.empty(0, dtype=np.int64), {"text": pa.array([], pa.string())}, rejects)


def unreadable_file(file: InputFile, error: object) -> Rows:
    """One reject for a file that can't be read, or not beyond what was read."""
    return only_rejects(Reject(file.name, None, "unreadable_file", one_line(error)))


def mapped(columns: ColumnsConfig) -> dict[str, str]:
    """The fields to read and the names of their columns; a field mapped to "" isn't read."""
    return {field: name for field in FIELDS if (name := getattr(columns, field))}


def check_names(file_name: str, found: Sequence[str], wanted: Mapping[str, str]) -> None:
    """Refuse a file whose columns `found` don't have the text, or have one that is `wanted` more than once.

    Raises InputError.
    """
    text = wanted["text"]
    if text not in found:
        separator = next((sign for sign in (";", "\t", "|") if len(found) == 1 and sign in found[0]), None)
        hint = f"; is the separator {separator!r}? Only commas are read" if separator else ""
        raise InputError(
            f"columns.text: must name a column of {file_name}, {text!r} is none of {', '.join(found)}{hint}"
        )
    for field, name in wanted.items():
        if (n := list(found).count(name)) > 1:
            raise InputError(
                f"columns.{field}: must name one column of {file_name}, {name!r} is the name of {n}"
            )


def one_line(error: object, limit: int = 200) -> str:
    """An error's message as one short line."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= limit else text[: limit - 3] + "..."


def is_valid_utf8(data: bytes) -> bool:
    """Whether bytes are UTF-8, by Arrow's validator: 3 GB/s, and no copy."""
    value = pa.StringArray.from_buffers(
        1, pa.py_buffer(np.array([0, len(data)], dtype=np.int32)), pa.py_buffer(data)
    )
    try:
        value.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True
