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

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.arrow_columns import Rows
from pipeline.index_store import Store
from pipeline.index_tokens import FACTS, TOKENS, Stored, facts_of, lengths

# Articles at a time.
BATCH = 1_024
# Row groups that are fetched ahead of the one that is worked on.
_AHEAD = 3
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
        header = self._header()
        if len(octets) != self.size or self.size <= self.n_bytes or octets[: len(header)].tobytes() != header:
            raise pa.ArrowInvalid(
                f"from byte {self.begin} on it must have {self.n_values} plain values of {self.n_bytes} bytes"
            )
        return octets[self.size - self.n_bytes :]

    def _header(self) -> bytes:
        """How the header must begin, in Thrift's compact protocol: type, both sizes, values, encoding."""
        size = b"\x15" + _varint(2 * self.n_bytes)
        return b"\x15\x00" + size + size + b"\x2c\x15" + _varint(2 * self.n_values) + b"\x15\x00"


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


def stored_rows(store: Store, name: str, rows: Rows, columns: Sequence[str]) -> Iterator[Stored]:
    """Some rows, ascending, of a table of TOKENS: their facts and columns of PARTS, BATCH at most at a time.

    What comes next is fetched while one is worked on. They may be mapped, for as long as nobody takes the
    next. Raises RunError when the file is gone or damaged.
    """
    with store.open_parquet(name) as file:
        if not file.schema_arrow.equals(TOKENS):
            raise pa.ArrowInvalid("it must have the columns of tokens, has others")
        layout = file.metadata
    groups = list(_wanted(store, name, layout, rows, columns))
    for at, group in enumerate(groups):
        for following in groups[at + _AHEAD if at else 1 : at + _AHEAD + 1]:
            for column in columns:
                store.fetch_ahead(name, following.near(column))
        # Mapped anew for each group: what was touched counts as memory for as long as it is mapped.
        with store.open_file(name) as opened:
            octets = {column: group.octets(opened, column) for column in columns}
        for begin in range(0, len(group.facts), BATCH):
            own = slice(begin, begin + BATCH)
            yield Stored(group.facts[own], {c: (values, at[own]) for c, (values, at) in octets.items()})


def _wanted(
    store: Store, name: str, layout: pq.FileMetaData, rows: Rows, columns: Sequence[str]
) -> Iterator[_Wanted]:
    """The row groups that have one of the rows."""
    ends = np.cumsum([0, *(layout.row_group(g).num_rows for g in range(layout.num_row_groups))])
    cuts = np.searchsorted(rows, ends)
    groups = np.flatnonzero(np.diff(cuts)).tolist()
    chunks = [{c: layout.row_group(g).column(i) for i, c in enumerate(TOKENS.names)} for g in groups]
    pages = [_Page.of(c["facts"], c["facts"].num_values * FACTS.itemsize) for c in chunks]
    store.fetch_ahead(name, ((page.begin, page.size) for page in pages))
    with store.open_file(name) as opened:
        for group, chunk, page in zip(groups, chunks, pages, strict=True):
            facts = facts_of(page.values(opened))
            own = rows[cuts[group] : cuts[group + 1]] - ends[group]
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


def fixed_layout(store: Store, name: str, column: str) -> FixedLayout:
    """Where a column of values of one length is. Raises RunError when the file is gone or damaged."""
    width, pages = _fixed_pages(store, name, column)
    with store.open_file(name) as opened:
        for page in pages:
            page.values(opened)
    ends = np.cumsum([0, *(page.n_values for page in pages)])
    return FixedLayout(width, ends.astype(np.int64), np.array([page.first for page in pages], np.int64))


def fixed_rows(store: Store, name: str, column: str) -> Iterator[npt.NDArray[np.uint8]]:
    """A column of values of one length, a row group at a time: uint8 (rows, width), mapped where it is local.

    Raises RunError when the file is gone or damaged.
    """
    width, pages = _fixed_pages(store, name, column)
    for at, page in enumerate(pages):
        following = pages[at + _AHEAD if at else 1 : at + _AHEAD + 1]
        store.fetch_ahead(name, ((p.begin, p.size) for p in following))
        with store.open_file(name) as opened:
            values = page.values(opened)
        yield values.reshape(-1, width)


def _fixed_pages(store: Store, name: str, column: str) -> tuple[int, list[_Page]]:
    """The width of a column of values of one length, and its pages."""
    with store.open_parquet(name) as file:
        schema, layout = file.schema_arrow, file.metadata
        at = schema.get_field_index(column)
        if at < 0 or not pa.types.is_fixed_size_binary(schema.field(at).type) or schema.field(at).nullable:
            raise pa.ArrowInvalid(f"it must have {column}, of one length and never null")
        width: int = schema.field(at).type.byte_width
        chunks = [layout.row_group(g).column(at) for g in range(layout.num_row_groups)]
        return width, [_Page.of(chunk, chunk.num_values * width) for chunk in chunks]
