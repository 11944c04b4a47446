"""JSON lines: Arrow's parser over blocks of lines, and line by line over the blocks that it refuses."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.json as pj

from pipeline.config import Config
from pipeline.input_blocks import BOM, BlockParser, max_row_bytes, read_blocks, read_head
from pipeline.input_rows import Reject, Rows, is_valid_utf8, mapped, one_line, rows_of
from pipeline.inputs import InputFile

# Arrow 26 crashes on a null between two rows: reading b'{} null {}' ends the process.
_NULL_ROW = re.compile(rb"}[ \t\r]*null")
_SNIFF_BYTES = 1 << 20


def read_jsonl(file: InputFile, config: Config) -> Iterator[Rows]:
    """Yield the rows of a file of one JSON object a line; blank lines are no rows."""
    parser = JsonLines(file.name, mapped(config.columns))
    return read_blocks(file, parser, max_row_bytes(config.max_text_bytes))


def sniff_keys(file: InputFile) -> list[str] | None:
    """Keys of the objects at the head of the file, in order; None when no object could be read there."""
    head = read_head(file, _SNIFF_BYTES) or b""
    lines = head.split(b"\n")
    if len(head) >= _SNIFF_BYTES - len(BOM):
        lines.pop()
    found: dict[str, None] | None = None
    for line in lines:
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            found = (found or {}) | dict.fromkeys(value)
    return None if found is None else list(found)


class JsonLines(BlockParser):
    """Parses blocks of JSON lines; a block that Arrow refuses is parsed line by line."""

    def __init__(self, name: str, columns: dict[str, str]) -> None:
        super().__init__()
        self._name = name
        self._columns = columns
        # Ids and times may be numbers; which they are is learnt from the first block that isn't text.
        self._types = dict.fromkeys(columns, pa.string())

    def parse(self, data: bytes, final: bool, stuck: bool) -> tuple[Rows | None, int]:
        """Read the whole lines of `data`."""
        taken = len(data) if final else data.rfind(b"\n") + 1
        if not taken:
            return None, 0
        block = data[:taken]
        return self.fast(block) or self.slow(block), taken

    def fast(self, block: bytes) -> Rows | None:
        """Rows by Arrow's parser; None when it refuses the block, or a line may not be one row."""
        n_lines = _object_lines(block)
        if n_lines is None or not is_valid_utf8(block):
            return None
        schema = pa.schema({column: self._types[field] for field, column in self._columns.items()})
        try:
            table = pj.read_json(
                pa.BufferReader(block),
                pj.ReadOptions(use_threads=False, block_size=len(block)),
                pj.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore"),
            )
        except (pa.ArrowException, UnicodeDecodeError):
            return None
        if table.num_rows != n_lines:
            return None
        columns = {field: table.column(column).combine_chunks() for field, column in self._columns.items()}
        return self._rows(table.num_rows, columns)

    def slow(self, block: bytes) -> Rows:
        """Rows line by line, rejecting each line that isn't an object with readable fields."""
        values: dict[str, list[Any]] = {field: [] for field in self._columns}
        numbers, rejects = [], []
        for line in block.split(b"\n"):
            if not line.strip(b" \t\r"):
                continue
            row = self.next_row()
            read = self._read_line(line, row)
            if isinstance(read, Reject):
                rejects.append(read)
                continue
            numbers.append(row)
            for field in self._columns:
                values[field].append(read[field])
        self._learn_types(values)
        columns = {
            field: pa.array([None if v is None else str(v) for v in found], pa.string())
            for field, found in values.items()
        }
        return rows_of(self._name, np.array(numbers, dtype=np.int64), columns, tuple(rejects))

    def _rows(self, n_rows: int, columns: dict[str, pa.Array]) -> Rows:
        first, self._row = self._row, self._row + n_rows
        if not pa.types.is_string(columns.get("article_id", columns["text"]).type):
            columns["article_id"] = columns["article_id"].cast(pa.string())
        return rows_of(self._name, np.arange(first, self._row), columns)

    def _read_line(self, line: bytes, row: int) -> dict[str, Any] | Reject:
        """The line's fields, None where absent, or why it can't be a row."""
        try:
            text, reason = line.decode(), None
        except UnicodeDecodeError as error:
            text, reason = line.decode(errors="replace"), one_line(error)
        try:
            value = json.loads(text, parse_constant=_constant)
        except (ValueError, RecursionError) as error:
            if reason is not None:
                return Reject(self._name, row, "invalid_utf8", reason)
            return Reject(self._name, row, "unreadable_row", f"not JSON: {one_line(error)}")
        if not isinstance(value, dict):
            return Reject(self._name, row, "unreadable_row", f"a JSON {_kind(value)}, not an object")
        found = {field: value.get(column) for field, column in self._columns.items()}
        article_id = found.get("article_id")
        named = article_id if isinstance(article_id, str) and _has_utf8(article_id) else None
        if reason is not None:
            return Reject(self._name, row, "invalid_utf8", reason, named)
        for field, one in found.items():
            if isinstance(one, str) and not _has_utf8(one):
                detail = f"{self._columns[field]}: half a surrogate pair"
                return Reject(self._name, row, "invalid_utf8", detail, named)
            # An unreadable time becomes null and is counted; any other field that isn't text breaks the row.
            if (isinstance(one, dict | list | bool) and field != "published_at") or (
                field == "text" and not isinstance(one, str | None)
            ):
                return Reject(
                    self._name,
                    row,
                    "unreadable_row",
                    f"{self._columns[field]}: a JSON {_kind(one)}, not text",
                    named,
                )
        return found

    def _learn_types(self, values: dict[str, list[Any]]) -> None:
        for field in ("article_id", "published_at"):
            kinds = {type(value) for value in values.get(field, []) if value is not None}
            if kinds == {int}:
                self._types[field] = pa.int64()
            elif kinds and kinds <= {int, float} and field == "published_at":
                self._types[field] = pa.float64()
            elif kinds == {str}:
                self._types[field] = pa.string()


def _object_lines(block: bytes) -> int | None:
    """Lines of the block if each begins an object and ends one, else None.

    Between "}" and "{" JSON has a comma inside a value, so such a newline can only stand between two rows;
    Arrow's parser alone would also take an object over two lines, or two in one line.
    """
    body = block.strip()
    if not (body.startswith(b"{") and body.endswith(b"}")) or _NULL_ROW.search(body):
        return None
    array = np.frombuffer(body, dtype=np.uint8)
    newlines = np.flatnonzero(array == ord("\n"))
    last = array[newlines - 1]
    if b"\r" in body:
        last = np.where(last == ord("\r"), array[newlines - 2], last)
    if (last != ord("}")).any() or (array[newlines + 1] != ord("{")).any():
        return None
    return len(newlines) + 1


def _has_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _constant(name: str) -> float | None:
    """What is no JSON and written all the same: NaN, which stands for what is missing, and the infinities."""
    return None if name == "NaN" else float(name)


def _kind(value: object) -> str:
    names = {dict: "object", list: "array", str: "string", bool: "boolean", type(None): "null"}
    return names.get(type(value), "number")
