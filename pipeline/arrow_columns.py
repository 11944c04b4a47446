"""Columns of Arrow tables read, made and put in order, without a Python object per row."""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import schema
from pipeline.tables import Ref, read_ipc

Rows = npt.NDArray[np.int64]

DAY = 86_400_000_000  # in microseconds, as times are counted
NO_TIME = np.iinfo(np.int64).min  # of an article without a time of publication

# Rows of a batch of strings on their way into a table: under 2 GiB, which is what Arrow's offsets can count.
_PART = 1 << 17
_DIGITS = np.frombuffer(b"0123456789abcdef", np.uint8)


def read_column(shards: Sequence[Ref], name: str) -> pa.ChunkedArray:
    """A column of all articles in the order of their rows, memory-mapped."""
    chunks = [chunk for shard in shards for chunk in read_ipc(shard.path)[name].chunks]
    return pa.chunked_array(chunks, schema.ACCEPTED.field(name).type)


def ends_of(pairs: pa.Table) -> pa.ChunkedArray:
    """The ids of both articles of each pair, first those on the left."""
    return pa.chunked_array([*pairs["article_id_l"].chunks, *pairs["article_id_r"].chunks], pa.string())


def microseconds(times: pa.ChunkedArray) -> pa.ChunkedArray:
    """Times as int64: microseconds since 1970, NO_TIME where there is none."""
    return times.cast(pa.int64()).fill_null(NO_TIME)


def times_of(shards: Sequence[Ref]) -> Rows:
    """When each article was published, as by `microseconds`, int64 (n,)."""
    return np.asarray(microseconds(read_column(shards, "published_at")).to_numpy(), np.int64)


def ranks(values: pa.ChunkedArray) -> Rows:
    """Place of each value in ascending order, int64 (n,); strings are compared by code points."""
    rank = np.empty(len(values), np.int64)
    rank[pc.sort_indices(values).to_numpy()] = np.arange(len(values))
    return rank


def digest(text: str) -> bytes:
    """What a cluster is numbered by: the first 64 bits of the text's SHA-256, big-endian."""
    return hashlib.sha256(text.encode()).digest()[:8]


def hexadecimal(numbers: npt.NDArray[np.uint64]) -> pa.StringArray:
    """16 hex digits, in lower case, of each number uint64 (n,)."""
    octets = numbers.astype(">u8").view(np.uint8)
    digits = _DIGITS[np.column_stack((octets >> 4, octets & 15)).ravel()]
    offsets = np.arange(len(numbers) + 1, dtype=np.int32) * 16
    return pa.StringArray.from_buffers(len(numbers), pa.py_buffer(offsets), pa.py_buffer(digits))


def plain(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """The column in one piece."""
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def fixed_array(rows: npt.NDArray[Any]) -> pa.FixedSizeBinaryArray:
    """A value of fixed length for each row of `rows` (n, width): its bytes."""
    octets = np.ascontiguousarray(rows).view(np.uint8)
    return pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(octets.shape[1]), len(octets), [None, pa.py_buffer(octets.ravel())]
    )


def table_batch(name: str, columns: Sequence[pa.Array | pa.ChunkedArray]) -> pa.RecordBatch:
    """All rows of the run's table `name`, its columns in the order of the schema."""
    return pa.record_batch([plain(column) for column in columns], schema=schema.TABLES[name])


def parts_of(rows: Rows) -> Iterator[Rows]:
    """The rows int64 (n,) in the same order, cut into pieces that make a batch each."""
    for at in range(0, len(rows), _PART):
        yield rows[at : at + _PART]
