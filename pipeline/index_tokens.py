"""The tokens of an article as an index keeps them: its terms once, and in which order it uses them.

To screen an old article takes its terms and how often it uses each, which is half of what its tokens are. A
rebuild counts furniture anew, and the few articles that are recalled are compared word by word: for them the
tokens are put together again.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.arrays import BYTES, I64, READ_I64, READ_U32, U8, U32
from pipeline.arrow_columns import fixed_array, plain
from pipeline.bags import Bags, empty_slots, n_slots
from pipeline.errors import RunError
from pipeline.text import KEPT, list_array, list_values
from pipeline.vectors import N_TOTALS

# Lists are one value each, the bytes of their numbers: twice as fast to read as Parquet's own, no larger.
# `term_keys`, `term_counts`, `term_flags`, `lead_size`: the article's bag, with the furniture that was frozen
# with the statistics. `totals`: those of `vectors.TermVectors`, by the frozen counts. `other_terms`: distinct
# terms that only its furniture has. `order`: where each token's term stands among both, in as many bits as
# the last of them takes, the lowest first.
TOKENS = pa.schema([
    ("term_keys", pa.binary()), ("term_counts", pa.binary()), ("term_flags", pa.binary()),
    ("lead_size", pa.int32()), ("totals", pa.binary(4 * N_TOTALS)), ("other_terms", pa.binary()),
    ("order", pa.binary()), ("flags", pa.binary()), ("n_title", pa.int32()), ("line_keys", pa.binary()),
    ("line_stops", pa.binary()), ("longest", pa.uint64()),
])  # fmt: skip
BAG_COLUMNS = ("term_keys", "term_counts", "term_flags", "lead_size", "totals")
# Lists that both have, and columns.
_LISTS: dict[str, type[np.generic]] = {"flags": np.uint8, "line_keys": np.uint64, "line_stops": np.int32}
_VALUES = ("n_title", "longest")
# What the tokens are put together of: all but the rest of the bags.
KEPT_COLUMNS = tuple(name for name in TOKENS.names if name == "term_keys" or name not in BAG_COLUMNS)


@nb.njit(nb.int64(nb.int64), cache=True, nogil=True, inline="always")
def _width(n_terms):  # type: ignore[no-untyped-def]
    """Bits of a place among so many terms."""
    width = 0
    while (n_terms - 1) >> width > 0:
        width += 1
    return width


@nb.njit(nb.int64(READ_U32, READ_I64, READ_U32, READ_I64, U32, I64, U8, I64), cache=True, nogil=True)
def _take_apart(terms, indptr, keys, ends, others, other_ends, order, order_ends):  # type: ignore[no-untyped-def]
    """Fills `others` with the terms that the bag of each article lacks, and `order`, zeros until then.

    Returns how many others there are.
    """
    slots = empty_slots(indptr)
    places = np.empty(len(terms), np.uint64)
    n = 0
    begin = np.int64(0)
    byte = np.int64(0)
    for i in range(len(ends)):
        first, size = n, ends[i] - begin
        n_tokens = indptr[i + 1] - indptr[i]
        room = n_slots(n_tokens)
        slots[:room] = 0
        mask = np.uint32(room - 1)
        for at in range(size):
            slot = np.uint32(np.uint32(keys[begin + at] >> np.uint32(7)) & mask)
            while slots[slot] != 0:
                slot = np.uint32(np.uint32(slot + np.uint32(1)) & mask)
            slots[slot] = np.int32(at + 1)
        for j in range(n_tokens):
            key = terms[indptr[i] + j]
            slot = np.uint32(np.uint32(key >> np.uint32(7)) & mask)
            while slots[slot] != 0:
                at = slots[slot] - 1
                if key == (keys[begin + at] if at < size else others[first + at - size]):
                    break
                slot = np.uint32(np.uint32(slot + np.uint32(1)) & mask)
            if slots[slot] == 0:
                others[n] = key
                n += 1
                slots[slot] = np.int32(size + n - first)
            places[j] = np.uint64(slots[slot] - 1)
        width = _width(size + n - first)
        for j in range(n_tokens):
            word, bit = places[j] << np.uint64(j * width & 7), byte + (j * width >> 3)
            while word != 0:
                order[bit] |= np.uint8(word & np.uint64(255))
                word >>= np.uint64(8)
                bit += 1
        byte += (n_tokens * width + 7) >> 3
        order_ends[i] = byte
        other_ends[i] = n
        begin = ends[i]
    return n


@nb.njit(
    nb.boolean(READ_U32, READ_I64, READ_U32, READ_I64, BYTES, READ_I64, READ_I64, U32),
    cache=True, nogil=True,
)  # fmt: skip
def _put_together(keys, key_indptr, others, other_indptr, order, order_indptr, indptr, terms):  # type: ignore[no-untyped-def]
    """Fills `terms`; False when a place is beyond an article's terms, or there are not as many as tokens."""
    for i in range(len(indptr) - 1):
        n_tokens = indptr[i + 1] - indptr[i]
        size, n_others = key_indptr[i + 1] - key_indptr[i], other_indptr[i + 1] - other_indptr[i]
        width = _width(size + n_others)
        begin, end = order_indptr[i], order_indptr[i + 1]
        if end - begin != (n_tokens * width + 7) >> 3 or (n_tokens > 0 and size + n_others == 0):
            return False
        for j in range(n_tokens):
            first, word = begin + (j * width >> 3), np.uint64(0)
            for byte in range(first, min(first + 5, end)):
                word |= np.uint64(order[byte]) << np.uint64(8 * (byte - first))
            word >>= np.uint64(j * width & 7)
            place = np.int64(word & np.uint64((1 << width) - 1))
            if place < size:
                terms[indptr[i] + j] = keys[key_indptr[i] + place]
            elif place - size < n_others:
                terms[indptr[i] + j] = others[other_indptr[i] + place - size]
            else:
                return False
    return True


def packed(batch: pa.RecordBatch, bags: Bags, totals: npt.NDArray[np.float32]) -> pa.RecordBatch:
    """Kept tokens (text.KEPT), their bags and the totals of these, (n, N_TOTALS), as TOKENS."""
    terms, indptr = list_values(batch.column("terms"))
    others, other_ends = np.empty(len(terms), np.uint32), np.empty(len(batch), np.int64)
    order, order_ends = np.zeros(4 * len(terms), np.uint8), np.empty(len(batch), np.int64)
    n = _take_apart(terms, indptr, bags.term_keys, bags.term_ends, others, other_ends, order, order_ends)
    term_indptr, other_indptr, order_indptr = (
        np.concatenate((np.zeros(1, np.int64), ends)) for ends in (bags.term_ends, other_ends, order_ends)
    )
    columns = {
        "term_keys": _binary(bags.term_keys, term_indptr),
        "term_counts": _binary(bags.term_counts, term_indptr),
        "term_flags": _binary(bags.term_flags, term_indptr),
        "lead_size": pa.array(bags.lead_sizes),
        "totals": fixed_array(totals),
        "other_terms": _binary(others[:n], other_indptr),
        "order": _binary(order, order_indptr),
    }
    columns |= {name: _binary(*list_values(batch.column(name))) for name in _LISTS}
    columns |= {name: batch.column(name) for name in _VALUES}
    return pa.record_batch([columns[name] for name in TOKENS.names], schema=TOKENS)


def unpacked(table: pa.Table) -> pa.RecordBatch:
    """Kept tokens (text.KEPT) of rows of KEPT_COLUMNS, units left empty. Raises RunError for damaged ones."""
    n = len(table)
    flags, indptr = _values(table, "flags", np.uint8)
    keys, key_indptr = _values(table, "term_keys", np.uint32)
    others, other_indptr = _values(table, "other_terms", np.uint32)
    order, order_indptr = _values(table, "order", np.uint8)
    terms = np.empty(len(flags), np.uint32)
    if not _put_together(keys, key_indptr, others, other_indptr, order, order_indptr, indptr, terms):
        raise RunError("index: the tokens of an article must be of its terms, a table of them is damaged")
    columns = {"terms": list_array(terms, indptr)}
    columns |= {name: list_array(*_values(table, name, dtype)) for name, dtype in _LISTS.items()}
    columns |= {name: plain(table[name]) for name in _VALUES}
    nothing = pa.array(np.zeros(n + 1, np.int32))
    for field in KEPT:
        if field.name not in columns:
            columns[field.name] = pa.ListArray.from_arrays(nothing, pa.array([], field.type.value_type))
    return pa.record_batch([columns[name] for name in KEPT.names], schema=KEPT)


def totals_of(table: pa.Table) -> npt.NDArray[np.float32]:
    """The totals of some rows, (n, N_TOTALS). Raises RunError for damaged ones."""
    column = plain(table["totals"])
    octets = np.frombuffer(column.buffers()[1], np.float32)
    totals = octets.reshape(-1, N_TOTALS)[column.offset : column.offset + len(column)]
    if not np.isfinite(totals).all():
        raise RunError("index: the totals of an article must be numbers, a table of them is damaged")
    return totals


def bags_of(table: pa.Table) -> Bags:
    """The bags of some rows of BAG_COLUMNS; shares the table's memory. Raises RunError for damaged ones."""
    keys, indptr = _values(table, "term_keys", np.uint32)
    counts, of_counts = _values(table, "term_counts", np.uint8)
    flags, of_flags = _values(table, "term_flags", np.uint8)
    if not np.array_equal(indptr, of_counts) or not np.array_equal(indptr, of_flags):
        raise RunError(
            "index: the terms of an article must have a count and flags each, a table of them is damaged"
        )
    return Bags(keys, counts, flags, indptr[1:], plain(table["lead_size"]).to_numpy())


def _binary(values: npt.NDArray[Any], indptr: npt.NDArray[np.int64]) -> pa.Array:
    """A value for each row of `values`, its bytes."""
    ends = pa.py_buffer((indptr * values.itemsize).astype(np.int32))
    octets = pa.py_buffer(np.ascontiguousarray(values).view(np.uint8))
    return pa.Array.from_buffers(pa.binary(), len(indptr) - 1, [None, ends, octets])


def _values(
    table: pa.Table, name: str, dtype: type[np.generic]
) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
    """The numbers of a column of bytes, and indptr int64 (rows + 1,)."""
    column = plain(table[name])
    width = np.dtype(dtype).itemsize
    ends = np.frombuffer(column.buffers()[1], np.int32)[column.offset : column.offset + len(column) + 1]
    first, n = int(ends[0]), int(ends[-1] - ends[0]) // width
    values = np.frombuffer(column.buffers()[2], dtype, n, first) if n else np.zeros(0, dtype)
    return values, ((ends - first) // width).astype(np.int64)
