"""Rows of an index's tables, read where they lie in the Parquet file.

A night needs some articles here and there, and to decode Parquet is to decode whole row groups. What is
written for it (`tables.Layout.in_place`) is not compressed, a column of a row group is one page of plain
values, and nothing is null: behind the page's header its bytes are the values. Those of one length are found
by their row. Others stand behind their length each; of tokens the facts tell these lengths, so that one
article is found without those before it. (Apache Parquet format: Data Pages, Plain encoding.)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.arrow_columns import Rows
from pipeline.index_store import Store
from pipeline.index_tokens import FACTS, TOKENS, Stored, facts_of, lengths
from pipeline.tables import Ref

T = TypeVar("T")

# Articles of a batch at most, and their bytes.
BATCH, _BATCH_BYTES = 1_024, 16 << 20
# Bytes that are fetched ahead of what is worked on.
_AHEAD_BYTES = 64 << 20
# Bytes between two articles that are fetched as well: to go on reading is quicker than to start anew.
_GAP = 1 << 15
# Bytes before a value of a binary column: its length.
_PREFIX = 4


@dataclass(frozen=True)
class _Page:
    """A column of a row group: the first byte of its header, bytes with it, values and their bytes."""

    begin: int
    size: int
    n_values: int
    n_bytes: int

    @classmethod
    def of(cls, chunk: pq.ColumnChunkMetaData, n_bytes: int) -> _Page:
        """The page of a chunk whose values have so many bytes."""
        return cls(chunk.data_page_offset, chunk.total_compressed_size, chunk.num_values, n_bytes)

    @property
    def first(self) -> int:
        """The first byte of the values."""
        return self.begin + self.size - self.n_bytes

    def values(self, opened: pa.NativeFile) -> npt.NDArray[np.uint8]:
        """The bytes of the values. Raises ArrowInvalid unless they are one plain page, not compressed."""
        opened.seek(self.begin)
        octets = np.frombuffer(opened.read_buffer(self.size), np.uint8)
        header = octets[: max(self.size - self.n_bytes, 0)].tobytes()
        if len(octets) != self.size or header not in self._headers():
            raise pa.ArrowInvalid(
                f"from byte {self.begin} on it must have {self.n_values} plain values of {self.n_bytes} bytes"
            )
        return octets[self.size - self.n_bytes :]

    def _headers(self) -> tuple[bytes, bytes]:
        """What the header may be, in Thrift's compact protocol: type, both sizes, values, encodings.

        Arrow puts statistics behind them, empty as none are asked for.
        """
        size = b"\x15" + _varint(2 * self.n_bytes)
        values = b"\x2c\x15" + _varint(2 * self.n_values) + b"\x15\x00\x15\x06\x15\x06"
        known = b"\x15\x00" + size + size + values
        return known + b"\x1c\x00\x00\x00", known + b"\x00\x00"


def _varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first; all but the last have the highest bit."""
    octets = bytearray()
    while number > 127:
        octets.append(number & 127 | 128)
        number >>= 7
    return bytes([*octets, number])


@dataclass(frozen=True)
class _Wanted:
    """Articles of a row group: their facts, and in each column where their values begin, and their bytes."""

    facts: npt.NDArray[np.void]
    pages: dict[str, _Page]
    places: dict[str, tuple[Rows, Rows]]

    @property
    def sizes(self) -> Rows:
        """Bytes of each article in all columns, int64 (n,)."""
        total = np.zeros(len(self.facts), np.int64)
        for _, sizes in self.places.values():
            total += sizes
        return total

    def near(self, column: str) -> Iterator[tuple[int, int]]:
        """Where the values of a column are in the file, those that are near in one: (first byte, bytes)."""
        begins, sizes = self.places[column]
        ends = begins + sizes
        is_far = begins[1:] - ends[:-1] > _GAP
        firsts = begins[np.concatenate(([True], is_far))]
        n_bytes = ends[np.append(is_far, True)] - firsts
        yield from zip((self.pages[column].first + firsts).tolist(), n_bytes.tolist(), strict=True)

    def octets(self, opened: pa.NativeFile, column: str) -> tuple[npt.NDArray[np.uint8], Rows]:
        """The values of a column, and where in them those of the articles begin."""
        values, (begins, sizes) = self.pages[column].values(opened), self.places[column]
        prefixes = values[begins[:, None] + np.arange(-_PREFIX, 0)].view("<u4")[:, 0]
        if not np.array_equal(prefixes, sizes):
            raise pa.ArrowInvalid(f"{column} of an article must have as many bytes as its facts say")
        return values, begins


def ends_of_batches(sizes: Rows, most: int) -> list[int]:
    """Where batches of articles of such sizes end: after BATCH, or `most` in all but for a single one."""
    ends = [0]
    total = np.cumsum(sizes, dtype=np.int64)
    while ends[-1] < len(total):
        before = int(total[ends[-1] - 1]) if ends[-1] else 0
        fits = int(np.searchsorted(total, before + most, side="right"))
        ends.append(min(max(fits, ends[-1] + 1), ends[-1] + BATCH))
    return ends[1:]


def chosen_groups(layout: pq.FileMetaData, rows: Rows) -> list[tuple[int, Rows]]:
    """The row groups that have some of the rows, ascending, and which of their own rows these are."""
    ends = np.cumsum([0, *(layout.row_group(g).num_rows for g in range(layout.num_row_groups))])
    cuts = np.searchsorted(rows, ends)
    return [(g, rows[cuts[g] : cuts[g + 1]] - ends[g]) for g in np.flatnonzero(np.diff(cuts)).tolist()]


def fetching(
    store: Store, file: Ref, pieces: Sequence[T], parts: Sequence[Sequence[tuple[int, int]]]
) -> Iterator[T]:
    """The pieces of work in their order. Parts of the file, (first byte, bytes), come ahead of it."""
    total = np.cumsum([sum(n_bytes for _, n_bytes in own) for own in parts])
    fetched = 0
    for at, piece in enumerate(pieces):
        stop = int(np.searchsorted(total, total[at] + _AHEAD_BYTES, side="right"))
        if stop > fetched:
            store.fetch_ahead(file.path, chain.from_iterable(parts[fetched:stop]))
            fetched = stop
        yield piece


def stored_rows(store: Store, file: Ref, rows: Rows, columns: Sequence[str]) -> Iterator[Stored]:
    """Some rows, ascending, of a table of TOKENS: their facts and columns of PARTS, in batches.

    What comes next is fetched while one is worked on. They may be mapped, for as long as nobody takes the
    next. Raises RunError when the file is gone or damaged.
    """
    with store.open_parquet(file) as parquet:
        if not parquet.schema_arrow.equals(TOKENS):
            raise pa.ArrowInvalid("it must have the columns of tokens, has others")
        layout = parquet.metadata
    groups = list(_wanted(store, file, layout, rows, columns))
    near = [[part for column in columns for part in group.near(column)] for group in groups]
    for group in fetching(store, file, groups, near):
        # Mapped anew for each group: what was touched counts as memory for as long as it is mapped.
        with store.open_file(file) as opened:
            octets = {column: group.octets(opened, column) for column in columns}
        source = f"index {store.shown}: {file.path}"
        for begin, end in pairwise([0, *ends_of_batches(group.sizes, _BATCH_BYTES)]):
            own = slice(begin, end)
            parts = {column: (values, starts[own]) for column, (values, starts) in octets.items()}
            yield Stored(group.facts[own], parts, source)


def _wanted(
    store: Store, file: Ref, layout: pq.FileMetaData, rows: Rows, columns: Sequence[str]
) -> Iterator[_Wanted]:
    """The row groups that have one of the rows."""
    groups = chosen_groups(layout, rows)
    chunks = [{c: layout.row_group(g).column(i) for i, c in enumerate(TOKENS.names)} for g, _ in groups]
    pages = [_Page.of(c["facts"], c["facts"].num_values * FACTS.itemsize) for c in chunks]
    store.fetch_ahead(file.path, ((page.begin, page.size) for page in pages))
    with store.open_file(file) as opened:
        for (group, own), chunk, page in zip(groups, chunks, pages, strict=True):
            facts = facts_of(page.values(opened))
            if len(facts) != layout.row_group(group).num_rows:
                raise pa.ArrowInvalid(f"row group {group} must have as many facts as rows")
            of_column, places = {}, {}
            for column in columns:
                sizes = lengths(facts, column).sum(axis=0)
                stops = np.cumsum(_PREFIX + sizes)
                of_column[column] = _Page.of(chunk[column], int(stops[-1]))
                places[column] = (stops[own] - sizes[own], sizes[own])
            yield _Wanted(facts[own], of_column, places)


@dataclass(frozen=True)
class FixedLayout:
    """Where a column of values of `width` bytes is in its file.

    Row group g has the rows [ends[g], ends[g + 1]), the first of them at byte begins[g], int64.
    """

    width: int
    ends: Rows
    begins: Rows

    def places(self, rows: Rows) -> Rows:
        """The first byte of the value of some rows, int64 (n,)."""
        group = np.searchsorted(self.ends, rows, side="right") - 1
        return np.asarray(self.begins[group] + (rows - self.ends[group]) * self.width)


def fixed_layout(store: Store, file: Ref, column: str) -> FixedLayout:
    """Where a column of values of one length is. Raises RunError when the file is gone or damaged."""
    width, pages = _fixed_pages(store, file, column)
    with store.open_file(file) as opened:
        for page in pages:
            page.values(opened)
    ends = np.cumsum([0, *(page.n_values for page in pages)])
    return FixedLayout(width, ends.astype(np.int64), np.array([page.first for page in pages], np.int64))


def fixed_rows(store: Store, file: Ref, column: str) -> Iterator[npt.NDArray[np.uint8]]:
    """A column of values of one length, a row group at a time: uint8 (rows, width), mapped where it is local.

    Raises RunError when the file is gone or damaged.
    """
    width, pages = _fixed_pages(store, file, column)
    for page in fetching(store, file, pages, [[(page.begin, page.size)] for page in pages]):
        with store.open_file(file) as opened:
            values = page.values(opened)
        yield values.reshape(-1, width)


def _fixed_pages(store: Store, file: Ref, column: str) -> tuple[int, list[_Page]]:
    """The width of a column of values of one length, and its pages."""
    with store.open_parquet(file) as parquet:
        schema, layout = parquet.schema_arrow, parquet.metadata
        at = schema.get_field_index(column)
        if at < 0 or not pa.types.is_fixed_size_binary(schema.field(at).type) or schema.field(at).nullable:
            raise pa.ArrowInvalid(f"it must have {column}, of one length and never null")
        width: int = schema.field(at).type.byte_width
        chunks = [layout.row_group(g).column(at) for g in range(layout.num_row_groups)]
        if sum(chunk.num_values for chunk in chunks) != file.rows:
            raise pa.ArrowInvalid(f"{column} must have {file.rows} values")
        return width, [_Page.of(chunk, chunk.num_values * width) for chunk in chunks]
