"""Files that stages write: scratch Arrow IPC shards, Parquet tables, and the one way to write a file at all.

Every file is written under a temporary name in the same folder, and renamed: a reader, or the next stage,
sees a whole file or none. What is published is flushed to the disk before; scratch is not, for it lives for
one run, and a Ref tells a file that a power cut has damaged. Equal rows give equal bytes, however they were
cut into batches.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from pipeline.errors import RunError

_TEMPORARY = re.compile(r"\..+\.\d+\.[0-9a-f]{8}\.tmp")  # as `atomic_file` names them
_DAY_SECONDS = 86_400
_READ_PIECE_BYTES = 1 << 20  # of a file, at a time
_WRITTEN_PIECE_BYTES = 128 << 10
ROW_GROUP_ROWS = 65_536
# Peak memory of a reader is a few row groups; texts of 4 KB fill one at about 4,000 rows. Who wants a part of
# the texts decodes whole row groups: of four times the size the groups of a small run shared theirs.
ROW_GROUP_BYTES = 16 << 20
# A table is read back in batches of about this size, whose memory is used again: 85 MB of texts take 0.11 s,
# in one piece, which touches new memory, 0.2 to 0.8 s (the texts of 20,000 articles).
_READ_BYTES = 4 << 20
# Bytes of a page that nothing else cuts: what Parquet can count.
_LARGEST_PAGE = (1 << 31) - 1
# Columns whose values hardly ever repeat: a dictionary would be built only to be thrown away.
_NO_DICTIONARY = frozenset({"text", "article_id", "text_hash", "url"})


@dataclass(frozen=True)
class Ref:
    """A file that one stage wrote for the next: where it is and what it must be. Never data.

    `rows` counts table rows, `bytes` the file's length, `digest` is the XXH3 of its content, 128 bits in hex:
    it tells damage, not forgery.
    """

    path: str
    rows: int
    bytes: int
    digest: str

    def verify(self) -> None:
        """Compare the file with what was written. Raises RunError when it is gone or differs."""
        found = file_digest(self.path) if Path(self.path).is_file() else None
        if found != (self.bytes, self.digest):
            state = "is gone" if found is None else f"has {found[0]} bytes, XXH3 {found[1][:12]}"
            raise RunError(
                f"{self.path}: must be the file of {self.bytes} bytes, XXH3 "
                f"{self.digest[:12]}, that was written, but {state}"
            )


class _FileInPieces(io.FileIO):
    """A new file that is written in small pieces, so that the system keeps it in small pieces too.

    Linux looks for as much memory in one place as is written at once: a GB costs the system 1.4 to 1.9 s in
    pieces of 0.5 or 1 MB, 0.3 to 0.5 in pieces of 32 to 128 KB (a virtual machine, 15 GB free).
    Length and digest are counted as the pieces pass, while they are in the processor's cache, so it is
    written from the beginning to the end.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, "xb")
        self.length, self.digest = 0, xxhash.xxh3_128()

    def write(self, data: Any, /) -> int:
        """All of it, where a plain file may write less."""
        left = memoryview(data).cast("B")
        n = len(left)
        while left:
            piece = left[: super().write(left[:_WRITTEN_PIECE_BYTES])]
            self.digest.update(piece)
            left = left[len(piece) :]
        self.length += n
        return n

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Not to another place: the digest is of what was written in a row."""
        raise io.UnsupportedOperation("written from the beginning to the end only")


class AtomicFile(io.BufferedWriter):
    """What `atomic_file` opens."""

    def __init__(self, raw: _FileInPieces, final: Path) -> None:
        super().__init__(raw)
        self._written, self._final = raw, final

    def ref(self, rows: int) -> Ref:
        """The Ref of the file, of `rows` rows by the caller's count, once it is closed."""
        if not self.closed:
            raise ValueError("a file's Ref is known when it is closed")
        return Ref(os.fspath(self._final), rows, self._written.length, self._written.digest.hexdigest())


@contextmanager
def atomic_file(path: str | os.PathLike[str], durable: bool = False) -> Iterator[AtomicFile]:
    """Open a file for writing that takes its name only when the block ends without an error.

    `durable`: its content is on the disk before it has the name, so that it survives a power cut.
    """
    final = Path(path)
    final.parent.mkdir(parents=True, exist_ok=True)
    temporary = final.with_name(f".{final.name}.{os.getpid()}.{os.urandom(4).hex()}.tmp")
    try:
        with _FileInPieces(temporary) as raw, AtomicFile(raw, final) as file:
            yield file
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(final)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        raise


def remove_left_over(folder: Path) -> None:
    """Remove what `atomic_file` began right below a folder over a day ago: whoever did has died."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if _TEMPORARY.fullmatch(path.name) and time.time() - path.lstat().st_mtime > _DAY_SECONDS:
            path.unlink(missing_ok=True)


def sync(path: str | os.PathLike[str]) -> None:
    """Flush a file's content, or a folder's entries, so that what is there survives a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_ipc(path: str | os.PathLike[str], schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Ref:
    """Write scratch batches as an uncompressed Arrow IPC file, cut as they come. Creates the folder."""
    rows = 0
    with atomic_file(path) as file, pa.ipc.new_file(file, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
            rows += batch.num_rows
    return file.ref(rows)


def read_batches(path: str | os.PathLike[str]) -> Iterator[pa.RecordBatch]:
    """Yield an IPC file's batches, memory-mapped: the arrays point into the file and must not be altered.

    Each is mapped anew: what was touched of a mapped file counts as memory until nobody holds the mapping.
    """
    index, n_batches = 0, 1
    while index < n_batches:
        with pa.memory_map(os.fspath(path)) as source, pa.ipc.open_file(source) as reader:
            n_batches = reader.num_record_batches
            if index < n_batches:
                batch = reader.get_batch(index)
                yield batch
                del batch
        index += 1


def read_ipc(path: str | os.PathLike[str], columns: list[str] | None = None) -> pa.Table:
    """Read an IPC file as a table, memory-mapped; with `columns` only these are looked at."""
    with pa.memory_map(os.fspath(path)) as source, pa.ipc.open_file(source) as reader:
        table = reader.read_all()
    return table if columns is None else table.select(columns)


def regroup(
    batches: Iterable[pa.RecordBatch], max_rows: int, max_bytes: int, size_column: str | None = None
) -> Iterator[pa.Table]:
    """Cut a stream of batches anew, so that the cuts depend on the rows alone.

    Every piece has at most `max_rows` rows and, when `size_column` names a column of strings or bytes, at
    most `max_bytes` bytes of it; one longer row is a piece of its own. No piece is empty.
    """
    pending: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        start = 0
        sizes = np.cumsum(_lengths(batch, size_column))
        while start < batch.num_rows:
            done = int(sizes[start - 1]) if start else 0
            fits = int(np.searchsorted(sizes, done + max_bytes - size, side="right"))
            stop = min(max(fits, start), start + max_rows - rows, batch.num_rows)
            if stop == start and not rows:
                stop = start + 1
            if stop > start:
                pending.append(batch.slice(start, stop - start))
                rows, size, start = rows + stop - start, size + int(sizes[stop - 1]) - done, stop
            if start < batch.num_rows:
                yield pa.Table.from_batches(pending)
                pending, rows, size = [], 0, 0
    if rows:
        yield pa.Table.from_batches(pending)


@dataclass(frozen=True)
class Layout:
    """How a Parquet table is cut into row groups: by rows, and by the size of a column if it has that.

    `in_place`: a column of a row group is one page, so that packed values can be read where they lie.
    """

    rows: int = ROW_GROUP_ROWS
    size_column: str = "text"
    in_place: bool = False


BY_TEXT = Layout()


def write_parquet(
    path: str | os.PathLike[str],
    schema: pa.Schema,
    data: pa.Table | Iterable[pa.RecordBatch],
    layout: Layout = BY_TEXT,
    *,
    durable: bool = True,
) -> Ref:
    """Write a table, compressed, in row groups. Creates the folder. `durable` as in `atomic_file`.

    Columns must come in the schema's order and types. Raises RunError when they don't.
    """
    batches = data.to_batches() if isinstance(data, pa.Table) else data
    size_column = layout.size_column if layout.size_column in schema.names else None
    pages = {"data_page_size": _LARGEST_PAGE, "write_statistics": False} if layout.in_place else {}
    rows = 0
    with (
        atomic_file(path, durable) as file,
        pq.ParquetWriter(
            file,
            schema,
            compression={_leaf(f): "none" if _is_packed(f) else "zstd" for f in schema},
            version="2.6",
            use_dictionary=[_leaf(f) for f in schema if f.name not in _NO_DICTIONARY and not _is_packed(f)],
            **pages,
        ) as writer,
    ):
        for group in regroup(batches, layout.rows, ROW_GROUP_BYTES, size_column):
            writer.write_table(conform(group, schema, path), row_group_size=group.num_rows)
            rows += group.num_rows
    return file.ref(rows)


def _leaf(field: pa.Field) -> str:
    """What Parquet calls the column that holds the values of a field."""
    return f"{field.name}.list.element" if pa.types.is_list(field.type) else str(field.name)


def _is_packed(field: pa.Field) -> bool:
    """Whether a value is the bytes of many numbers: not worth a dictionary, and read every night.

    As they are the tokens of an index take a quarter more bytes than with lz4, and half the time.
    """
    return bool(pa.types.is_binary(field.type) or pa.types.is_fixed_size_binary(field.type))


def read_back(table: Ref, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Decode a Parquet table that was written, all of it, in batches of a few megabytes.

    Raises RunError, at the end at the latest, unless it is the file of the Ref, with its rows and the columns
    of `schema`.
    """
    table.verify()
    size = check_footer(table, schema)
    batch_rows = min(max(_READ_BYTES * table.rows // max(size, 1), 1), ROW_GROUP_ROWS)
    counted = 0
    for _, batch in decoded(table.path, (0, table.rows), batch_rows):
        counted += batch.num_rows
        yield batch
    if counted != table.rows:
        raise RunError(f"{table.path}: must have {table.rows} rows, has {counted}")


def check_footer(table: Ref, schema: pa.Schema) -> int:
    """Compare what a Parquet file says of itself with what was to be written: rows, and columns of `schema`.

    Returns its bytes when they are not compressed. Raises RunError where they differ or nothing is told.
    """
    with _reading_back(table.path), pq.ParquetFile(table.path) as file:
        found, metadata = file.schema_arrow, file.metadata
    if not found.equals(schema, check_metadata=False):
        raise RunError(f"{table.path}: must have the columns {_columns(schema)}, has {_columns(found)}")
    if metadata.num_rows != table.rows:
        raise RunError(f"{table.path}: must have {table.rows} rows, has {metadata.num_rows}")
    return sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))


def decoded(
    path: str | os.PathLike[str], rows: tuple[int, int], batch_rows: int
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Decode the rows [begin, end) of a Parquet file.

    Yields batches of at most `batch_rows` rows, each with the row of the file that is its first. Raises
    RunError where the file can't be decoded.
    """
    with _reading_back(path), pq.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20) as file:
        n_rows = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
        ends = np.cumsum([0, *n_rows])
        parts = np.flatnonzero((ends[:-1] < rows[1]) & (ends[1:] > rows[0])).tolist()
        at = int(ends[parts[0]]) if parts else 0
        for batch in file.iter_batches(batch_rows, parts, use_threads=False):
            begin, end = max(rows[0] - at, 0), min(rows[1] - at, len(batch))
            if begin < end:
                yield at + begin, batch.slice(begin, end - begin)
            at += len(batch)
            if at >= rows[1]:
                break


@contextmanager
def _reading_back(path: str | os.PathLike[str]) -> Iterator[None]:
    """Raises RunError for what goes wrong when a Parquet file that was written is read."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise RunError(f"{path}: can't be read back: {error}") from None


def conform(table: pa.Table, schema: pa.Schema, name: object) -> pa.Table:
    """Put the schema's metadata and nullability on a table with the same columns. Raises RunError."""
    if table.schema.names != schema.names or any(
        a.type != b.type for a, b in zip(table.schema, schema, strict=True)
    ):
        raise RunError(f"{name}: must have the columns {_columns(schema)}, has {_columns(table.schema)}")
    for field, values in zip(schema, table.columns, strict=True):
        if not field.nullable and values.null_count:
            raise RunError(f"{name}: {field.name} must not be null, is in {values.null_count} rows")
    return pa.Table.from_arrays(table.columns, schema=schema)


def _lengths(batch: pa.RecordBatch, column: str | None) -> npt.NDArray[np.int64]:
    if column is None:
        return np.zeros(batch.num_rows, dtype=np.int64)
    values = batch.column(column)
    width = np.int64 if pa.types.is_large_string(values.type) else np.int32
    offsets = np.frombuffer(values.buffers()[1], dtype=width, count=values.offset + len(values) + 1)
    starts = offsets[values.offset :].astype(np.int64)
    return starts[1:] - starts[:-1]


def _columns(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name} {field.type}" for field in schema)


def write_npy(path: str | os.PathLike[str], values: npt.NDArray[Any], rows: int) -> Ref:
    """Write an array as .npy, of `rows` rows by the caller's count.

    np.save would write past Python, and its error doesn't say that the disk is full.
    """
    whole = np.ascontiguousarray(values)
    with atomic_file(path) as file:
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(whole))
        file.write(whole.data)
    return file.ref(rows)


def ref_rows(ref: Ref) -> int:
    """Rows of the file that a call wrote."""
    return ref.rows


def file_sha256(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file's content, in hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_digest(path: str | os.PathLike[str]) -> tuple[int, str]:
    """Length in bytes and XXH3 of a file's content, 128 bits in hex."""
    with open(path, "rb") as file:
        return stream_digest(file)


def stream_digest(stream: Any) -> tuple[int, str]:
    """The same of what a stream still has, read a piece at a time; one of Arrow's can't be sought in."""
    digest, length = xxhash.xxh3_128(), 0
    while piece := stream.read(_READ_PIECE_BYTES):
        digest.update(piece)
        length += len(piece)
    return length, digest.hexdigest()
