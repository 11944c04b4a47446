"""CSV with a header: Arrow's parser over blocks that follow RFC 4180, record by record over the others.

Where the records of a block end depends on its quotes. In a block that follows the standard every odd
quote opens a field or comes after another quote, every even one closes a field or comes before another;
a newline behind an even number of quotes ends a record. That is checked over whole blocks with numpy. A
block that breaks it holds a stray quote somewhere: its records are read one by one, and a record whose
quote is never closed costs its first line, not the rest of the file.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pcsv

from pipeline.config import Config
from pipeline.input_blocks import BlockParser, max_row_bytes, read_blocks, read_head
from pipeline.input_rows import (
    Reject,
    Rows,
    check_names,
    is_valid_utf8,
    mapped,
    one_line,
    only_rejects,
    rows_of,
)
from pipeline.inputs import InputFile

# The csv module refuses fields over 128 KB by default; ours are bounded by the block.
csv.field_size_limit(2**31 - 1)

_QUOTE, _NEWLINE = ord('"'), ord("\n")
_FIELD_ENDS = np.frombuffer(b',\n\r"', dtype=np.uint8)


def read_csv(file: InputFile, config: Config) -> Iterator[Rows]:
    """Yield the rows of a CSV file; blank lines are no rows."""
    return read_blocks(
        file, CsvRecords(file.name, mapped(config.columns)), max_row_bytes(config.max_text_bytes)
    )


def csv_header(file: InputFile) -> list[str] | None:
    """The file's column names; None when there is no readable header."""
    head = read_head(file) or b""
    return next((fields for fields, _, _ in records(head, True, False) if isinstance(fields, list)), None)


def records(data: bytes, final: bool, stuck: bool) -> Iterator[tuple[list[str] | str, int, int]]:
    """Yield the records at the head of `data`: fields, or what is wrong, and where they begin and end.

    Bytes that aren't UTF-8 come as lone surrogates. Stops before a record that may go on after `data`,
    unless `final`; with `stuck`, what is unfinished at the very head is wrong.
    """
    lines = _lines(data)
    at = begin = 0
    while at < len(lines):
        if not final and at == len(lines) - 1 and not lines[at].endswith(b"\n"):
            return
        feed = _Feed(lines, at)
        fields: list[str] | str
        try:
            fields = next(csv.reader(feed, strict=True))
        except csv.Error as error:
            if (
                feed.at == len(lines)
                and str(error) == "unexpected end of data"
                and not final
                and not (stuck and begin == 0)
            ):
                return
            fields, feed.at = str(error), at + 1
        end = begin + sum(map(len, lines[at : feed.at]))
        if fields:
            yield fields, begin, end
        at, begin = feed.at, end


class CsvRecords(BlockParser):
    """Parses blocks of CSV; the first record is the header."""

    def __init__(self, name: str, columns: dict[str, str]) -> None:
        super().__init__()
        self._name = name
        self._wanted = columns
        self._header: list[str] | None = None

    def parse(self, data: bytes, final: bool, stuck: bool) -> tuple[Rows | None, int]:
        """Read the whole records of `data`."""
        skipped = 0
        if self._header is None:
            for fields, _, end in records(data, final, stuck):
                skipped = end
                if isinstance(fields, list):
                    self._take_header(fields)
                    break
            if self._header is None:
                if final:
                    return self._no_header(), len(data)
                return None, 0
        body = data[skipped:] if skipped else data
        whole = record_end(body, final)
        if whole == 0 and not stuck:
            return None, skipped
        if whole:
            rows = self.fast(body[:whole])
            if rows is not None:
                return rows, skipped + whole
        rows, taken = self.slow(body, final, stuck)
        return rows, skipped + taken

    def fast(self, block: bytes) -> Rows | None:
        """Rows by Arrow's parser; None when it refuses the block, or might read it otherwise than `slow`."""
        if not is_valid_utf8(block) or has_lone_return(block):
            return None
        header = self._header or []
        names = [str(i) for i in range(len(header))]
        at = {field: str(header.index(column)) for field, column in self._wanted.items() if column in header}
        try:
            table = pcsv.read_csv(
                pa.BufferReader(block),
                pcsv.ReadOptions(use_threads=False, column_names=names, block_size=len(block) + 1),
                pcsv.ParseOptions(newlines_in_values=True),
                pcsv.ConvertOptions(
                    include_columns=list(dict.fromkeys(at.values())),
                    check_utf8=False,
                    column_types=dict.fromkeys(names, pa.string()),
                    strings_can_be_null=False,
                ),
            )
        except pa.ArrowException:
            return None
        first, self._row = self._row, self._row + table.num_rows
        columns = {field: table.column(name).combine_chunks() for field, name in at.items()}
        return rows_of(self._name, np.arange(first, self._row), columns)

    def slow(self, data: bytes, final: bool, stuck: bool) -> tuple[Rows, int]:
        """Rows record by record, rejecting each that has other columns than the header or isn't UTF-8."""
        header = self._header or []
        at = {field: header.index(column) for field, column in self._wanted.items() if column in header}
        values: dict[str, list[str]] = {field: [] for field in at}
        numbers, rejects, taken = [], [], 0
        for fields, _, end in records(data, final, stuck):
            taken = end
            row = self.next_row()
            reject = self._why_not(fields, row, at)
            if reject is not None:
                rejects.append(reject)
                continue
            numbers.append(row)
            for field, column in at.items():
                values[field].append(fields[column])
        if final:
            taken = len(data)
        columns = {field: pa.array(found, pa.string()) for field, found in values.items()}
        return rows_of(self._name, np.array(numbers, dtype=np.int64), columns, tuple(rejects)), taken

    def _take_header(self, fields: list[str]) -> None:
        check_names(self._name, fields, self._wanted)
        self._header = fields

    def _no_header(self) -> Rows:
        reject = Reject(self._name, None, "unreadable_file", "no header: the first row must name columns")
        return only_rejects(reject)

    def _why_not(self, fields: list[str] | str, row: int, at: dict[str, int]) -> Reject | None:
        if isinstance(fields, str):
            return Reject(self._name, row, "unreadable_row", f"not CSV: {fields}")
        n_columns = len(self._header or [])
        if len(fields) != n_columns:
            return Reject(
                self._name, row, "unreadable_row", f"{len(fields)} fields, the header has {n_columns}"
            )
        for field in fields:
            try:
                field.encode(errors="surrogateescape").decode()
            except UnicodeDecodeError as error:
                name = fields[at["article_id"]] if "article_id" in at else None
                return Reject(
                    self._name,
                    row,
                    "invalid_utf8",
                    one_line(error),
                    None if name is None else name.encode(errors="replace").decode(),
                )
        return None


def record_end(data: bytes, final: bool) -> int | None:
    """Bytes of the whole records at the head of `data`, which begins with one.

    None when quotes are stray, or a carriage return stands alone: outside quotes it breaks its record.
    """
    if has_lone_return(data[:-1] if not final and data.endswith(b"\r") else data):
        return None
    array = np.frombuffer(data, dtype=np.uint8)
    quotes = np.flatnonzero(array == _QUOTE)
    if not _well_quoted(array, quotes, final):
        return None
    if final:
        return None if len(quotes) % 2 else len(data)
    end = len(data)
    while (end := data.rfind(b"\n", 0, end)) >= 0:
        if np.searchsorted(quotes, end) % 2 == 0:
            return end + 1
        # Inside a quoted field: the record that holds it begins before the quote that opened it.
        end = int(quotes[np.searchsorted(quotes, end) - 1])
    return 0


def has_lone_return(data: bytes) -> bool:
    """Whether a carriage return stands without a line feed behind it."""
    return b"\r" in data and data.count(b"\r") != data.count(b"\r\n")


def _well_quoted(array: npt.NDArray[np.uint8], quotes: npt.NDArray[np.int64], final: bool) -> bool:
    """Whether each quote opens or closes a field, or is one of a pair inside a quoted field."""
    opening, closing = quotes[0::2], quotes[1::2]
    before = array[opening[opening > 0] - 1]
    inner = closing[closing < len(array) - 1]
    return bool(np.isin(before, _FIELD_ENDS).all() and np.isin(array[inner + 1], _FIELD_ENDS).all())


class _Feed:
    """Hands lines to the csv reader and knows how many it took: just those of one record."""

    def __init__(self, lines: list[bytes], at: int) -> None:
        self._lines = lines
        self.at = at

    def __iter__(self) -> _Feed:
        return self

    def __next__(self) -> str:
        if self.at == len(self._lines):
            raise StopIteration
        self.at += 1
        return self._lines[self.at - 1].decode(errors="surrogateescape")


def _lines(data: bytes) -> list[bytes]:
    parts = data.split(b"\n")
    return [part + b"\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])
