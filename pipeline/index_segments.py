"""The segments of an index: their tables, and reading of them what a night needs.

A *position* is an article's place over all live segments, in their order; it holds for one state of the
index. A *number* is the article's for good. Numbers ascend with the positions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.arrow_columns import Rows, microseconds
from pipeline.candidates import PAIRS
from pipeline.config import Config
from pipeline.confirm import JUDGED
from pipeline.index_catalog import Catalog, Segment
from pipeline.index_rows import chosen_groups, ends_of_batches, fetching, fixed_rows, stored_rows
from pipeline.index_store import Store
from pipeline.index_tokens import PARTS, TOKENS, Stored, unpacked
from pipeline.schema import CLUSTER_EVENTS, REPEATED_SECTIONS, UTC_TIME
from pipeline.shards import MAX_GROUPS
from pipeline.signatures import bands
from pipeline.tables import BY_TEXT, Layout, Ref

# Rows of a Parquet row group. Of articles a night needs some here and there. What is read in place is one
# page a group, and Arrow ends pages at 20,000 rows.
_ARTICLE_ROWS, _IN_PLACE_ROWS = 8_192, 16_384
# Tokens of a batch of old articles at most, where one has not more: of a thousand articles of 4 KB 700,000.
_BATCH_TOKENS = 1 << 20
# Bands of one column of keys: every MAX_GROUPS-th, as the calls of stage "candidates" take them.
N_PARTS = MAX_GROUPS

ARTICLES = pa.schema([
    ("number", pa.int64()), ("article_id", pa.string()), ("version_of", pa.string()), ("run_id", pa.string()),
    ("source", pa.string()), ("url", pa.string()), ("title", pa.string()), ("published_at", UTC_TIME),
    ("text_hash", pa.uint64()), ("n_tokens", pa.int32()), ("n_furniture_tokens", pa.int32()),
    ("is_signed", pa.uint8()),
])  # fmt: skip
# Judged pairs that passed the screen; left and right are numbers, left < right.
JUDGED_PAIRS = pa.schema([
    pa.field(f.name, pa.int64()) if f.name in ("left", "right") else f for f in JUDGED
])  # fmt: skip
# The cluster of an article from this segment's nights on; the last one holds. `representative` is a number.
MEMBERSHIP = pa.schema([("number", pa.int64()), ("cluster", pa.uint64()), ("representative", pa.int64())])
# Tables that are the same whatever the configuration.
_SCHEMAS = {"articles": ARTICLES, "tokens": TOKENS, "pairs": JUDGED_PAIRS, "membership": MEMBERSHIP}
NEW_AND_OLD = pa.schema([PAIRS.field("left"), pa.field("right", pa.int64()), *list(PAIRS)[2:]])


def keys_schema(config: Config) -> pa.Schema:
    """Band keys, uint32 little-endian: column `part_K` holds those of the bands K, K + N_PARTS ..."""
    n = bands(config).n
    widths = [4 * len(range(part, n, N_PARTS)) for part in range(N_PARTS)]
    return pa.schema([pa.field(f"part_{k}", pa.binary(w), nullable=False) for k, w in enumerate(widths)])


def places_schema(config: Config) -> pa.Schema:
    """The low byte of each place of both signatures."""
    width = config.reprint.n_perm + config.respun.n_perm
    return pa.schema([pa.field("places", pa.binary(width), nullable=False)])


def schema_of(table: str, config: Config) -> pa.Schema:
    """The columns of one of TABLES."""
    fixed = _SCHEMAS | {"sections": REPEATED_SECTIONS}
    if table in fixed:
        return fixed[table]
    return keys_schema(config) if table == "keys" else places_schema(config)


def layout_of(table: str) -> Layout:
    """How one of TABLES is laid out."""
    if table == "tokens":
        return Layout(_ARTICLE_ROWS, "rest", in_place=True)
    if table in ("keys", "places"):
        return Layout(_IN_PLACE_ROWS, in_place=True)
    return Layout(_ARTICLE_ROWS) if table == "articles" else BY_TEXT


@dataclass(frozen=True)
class OpenIndex:
    """An index as it was when the run began: where it is, and a copy of its catalog under the run's folder.

    The copy's Ref stands for what the stages read of the index: files that the catalog names never change,
    but for damage and what is put back, which `state` tells (`Store.state`): then they are read again.
    `furniture` and `statistics` are the frozen ones in the form of the stages, None before the first night.
    """

    location: str
    catalog: Ref
    state: str
    furniture: Ref | None
    statistics: Ref | None

    def live(self) -> Catalog:
        """The catalog."""
        return Catalog.of(Path(self.catalog.path).read_bytes())

    def read(self) -> IndexReader:
        """A reader of it."""
        return IndexReader(Store(self.location), self.live())


class IndexReader:
    """Reads columns of the live segments."""

    def __init__(self, store: Store, catalog: Catalog) -> None:
        self.store = store
        self.catalog = catalog
        self.segments = catalog.segments
        ends = np.cumsum([0, *(s.n_articles for s in self.segments)])
        self.firsts: Rows = ends[:-1].astype(np.int64)
        self.n_articles = int(ends[-1])

    def batches(self, table: str, columns: Sequence[str] | None = None) -> Iterator[tuple[int, pa.Table]]:
        """A table's row groups over all segments: how many rows are before, and the columns.

        In a table with a row for each article that is the position of the first row.
        """
        row = 0
        for segment in self.segments:
            with self._opened(segment, table) as file:
                for read in self._row_groups(segment.files[table], file, range(file.num_row_groups), columns):
                    yield row, read
                    row += read.num_rows

    @contextmanager
    def _opened(self, segment: Segment, table: str) -> Iterator[pq.ParquetFile]:
        """A table of a segment, as `Store.open_parquet`. Raises RunError, too, when it has other columns."""
        with self.store.open_parquet(segment.files[table]) as file:
            if table in _SCHEMAS and not file.schema_arrow.equals(_SCHEMAS[table]):
                raise pa.ArrowInvalid(f"it must have the columns of {table}, has others")
            yield file

    def _row_groups(
        self, ref: Ref, file: pq.ParquetFile, groups: Sequence[int], columns: Sequence[str] | None
    ) -> Iterator[pa.Table]:
        """Row groups of a file, in their order. What comes next is fetched while one is worked on."""
        layout = file.metadata
        paths = [layout.schema.column(i).path.split(".")[0] for i in range(layout.num_columns)]
        own = [i for i, path in enumerate(paths) if columns is None or path in columns]
        chunks = [[layout.row_group(group).column(i) for i in own] for group in groups]
        parts = [[(c.dictionary_page_offset or c.data_page_offset, c.total_compressed_size) for c in of_group]
                 for of_group in chunks]  # fmt: skip
        for group in fetching(self.store, ref, groups, parts):
            yield file.read_row_group(group, columns=columns and list(columns), use_threads=False)

    def fixed(self, table: str, column: str) -> Iterator[tuple[int, npt.NDArray[np.uint8]]]:
        """A column of "keys" or "places", as `index_rows.fixed_rows`, and how many rows are before."""
        row = 0
        for segment in self.segments:
            for octets in fixed_rows(self.store, segment.files[table], column):
                yield row, octets
                row += len(octets)

    def column(self, table: str, name: str) -> pa.ChunkedArray:
        """A column over all segments."""
        type_ = _SCHEMAS[table].field(name).type
        chunks = [c for _, t in self.batches(table, [name]) for c in t[name].chunks]
        return pa.chunked_array(chunks, type_)

    @cached_property
    def numbers(self) -> Rows:
        """The number of each position, ascending, int64 (n,)."""
        return np.asarray(self.column("articles", "number").to_numpy(), np.int64)

    @cached_property
    def published(self) -> Rows:
        """Time of publication of each position, as by `microseconds`, int64 (n,)."""
        return np.asarray(microseconds(self.column("articles", "published_at")).to_numpy(), np.int64)

    def positions(self, numbers: Rows) -> Rows:
        """The position of each number, int64; -1 of those that were forgotten."""
        if not self.n_articles:
            return np.full(len(numbers), -1, np.int64)
        at = np.minimum(np.searchsorted(self.numbers, numbers), self.n_articles - 1)
        return np.where(self.numbers[at] == numbers, at, -1)

    def membership(self) -> tuple[npt.NDArray[np.uint64], Rows]:
        """Cluster uint64 (n,) and the representative's position int64 (n,), -1 when forgotten."""
        at = self.positions(self.column("membership", "number").to_numpy())
        cluster, representative = np.zeros(self.n_articles, np.uint64), np.zeros(self.n_articles, np.int64)
        known = at >= 0
        # numpy writes in order: of several rows of an article the last one holds.
        cluster[at[known]] = self.column("membership", "cluster").to_numpy()[known]
        representative[at[known]] = self.column("membership", "representative").to_numpy()[known]
        return cluster, self.positions(representative)

    def untold(self) -> list[pa.RecordBatch]:
        """The rows of cluster_events that the next run is to tell, in their order."""
        if self.catalog.untold is None:
            return []
        with self.store.open_parquet(self.catalog.untold) as file:
            return list(file.read().cast(CLUSTER_EVENTS).to_batches())

    def links(self) -> tuple[Rows, Rows, npt.NDArray[np.bool_]]:
        """Positions of the judged pairs, int64, and which are confirmed, in the order of the files."""
        sides = [self.positions(self.column("pairs", side).to_numpy()) for side in ("left", "right")]
        confirmed = self.column("pairs", "is_confirmed").to_numpy()
        return sides[0], sides[1], np.asarray(confirmed, np.bool_)

    def take(self, positions: Rows, columns: Sequence[str]) -> pa.Table:
        """Columns of ARTICLES at some positions, ascending, in a table with a row for each article.

        Only row groups that hold one of them are read.
        """
        pieces = [pa.schema([ARTICLES.field(c) for c in columns]).empty_table()]
        for segment, own in self._by_segment(positions):
            with self._opened(segment, "articles") as file:
                chosen = chosen_groups(file.metadata, own)
                tables = self._row_groups(segment.files["articles"], file, [g for g, _ in chosen], columns)
                for (_, rows), read in zip(chosen, tables, strict=True):
                    pieces.append(read.select(list(columns)).take(pa.array(rows)))
        return pa.concat_tables(pieces).combine_chunks()

    def tokens(self, positions: Rows, columns: Sequence[str]) -> Iterator[Stored]:
        """Columns of PARTS of the articles at some positions, ascending, as `index_rows.stored_rows`."""
        for segment, own in self._by_segment(positions):
            yield from stored_rows(self.store, segment.files["tokens"], own, columns)

    def _by_segment(self, positions: Rows) -> Iterator[tuple[Segment, Rows]]:
        """The segments that hold some of the positions, ascending, and which of their rows."""
        for segment, first in zip(self.segments, self.firsts.tolist(), strict=True):
            begin, end = np.searchsorted(positions, [first, first + segment.n_articles])
            if begin < end:
                yield segment, positions[begin:end] - first


def batch_ends(n_tokens: Rows) -> list[int]:
    """Where batches of old articles end that have so many tokens: what they take is bounded."""
    return ends_of_batches(n_tokens, _BATCH_TOKENS)


def kept_batches(reader: IndexReader, positions: Rows, ends: Sequence[int]) -> Iterator[pa.RecordBatch]:
    """The tokens of the articles at some positions, ascending, KEPT without units: batches so cut."""
    pending: list[pa.RecordBatch] = []
    read = map(unpacked, reader.tokens(positions, list(PARTS)))
    for begin, end in pairwise([0, *ends]):
        while sum(map(len, pending)) < end - begin:
            pending.append(next(read))
        table = pa.Table.from_batches(pending)
        yield from table.slice(0, end - begin).combine_chunks().to_batches()
        pending = table.slice(end - begin).to_batches()
