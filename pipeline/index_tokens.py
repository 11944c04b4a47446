"""The tokens of an article as an index keeps them: its terms once, and in which order it uses them.

To screen an old article takes its terms and how often it uses each, which is half of what its tokens are. A
rebuild counts furniture anew, and the few articles that are recalled are compared word by word: for them the
tokens are put together again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.arrays import BYTES, I64, READ_I64, READ_U32, U8, U32
from pipeline.arrow_columns import Rows, fixed_array
from pipeline.bags import Bags, empty_slots, n_slots
from pipeline.errors import RunError
from pipeline.text import KEPT, list_array, list_values
from pipeline.vectors import N_TOTALS

# What is known of an article without a list: how many terms its bag has, how many of them stand in its lead,
# how many other terms only its furniture has, its tokens, those of its title, its lines; the key of its
# longest line; the totals of `vectors.TermVectors`, by the frozen counts.
FACTS = np.dtype([
    ("n_terms", "<i4"), ("lead_size", "<i4"), ("n_others", "<i4"), ("n_tokens", "<i4"), ("n_title", "<i4"),
    ("n_lines", "<i4"), ("longest", "<u8"), ("totals", "<f4", (N_TOTALS,)),
])  # fmt: skip
# The lists of an article, one behind the other: how long each is follows from the facts. `bag`: keys, counts
# and flags of its terms, with the furniture that was frozen with the statistics. `rest`: keys of the other
# terms; where each token's term stands among both, in as many bits as the last of them takes, the lowest
# first; flags of the tokens; keys and stops of the lines.
PARTS: dict[str, tuple[type[np.generic], ...]] = {
    "bag": (np.uint32, np.uint8, np.uint8),
    "rest": (np.uint32, np.uint8, np.uint8, np.uint64, np.int32),
}
# Nothing is null: so values lie in the file as they are here (see `index_rows`).
TOKENS = pa.schema([
    pa.field("facts", pa.binary(FACTS.itemsize), nullable=False),
    *(pa.field(name, pa.binary(), nullable=False) for name in PARTS),
])  # fmt: skip


@dataclass(frozen=True)
class Stored:
    """Some articles of TOKENS: their facts, FACTS (n,), and where they are.

    `octets`: for columns of PARTS, bytes uint8, and where in them the value of each article begins, int64
    (n,). `source` names the file in errors.
    """

    facts: npt.NDArray[np.void]
    octets: Mapping[str, tuple[npt.NDArray[np.uint8], Rows]]
    source: str

    def damaged(self, rule: str) -> RunError:
        """An error that says what must hold."""
        return RunError(f"{self.source} can't be read: {rule}")


def facts_of(octets: npt.NDArray[np.uint8]) -> npt.NDArray[np.void]:
    """The facts of articles from their bytes, FACTS (n,). Raises ArrowInvalid for damaged ones."""
    facts = octets.view(FACTS)
    n_terms, n_tokens = facts["n_terms"], facts["n_tokens"]
    sound = (facts["lead_size"] >= 0) & (facts["lead_size"] <= n_terms) & (facts["n_others"] >= 0)
    sound &= (facts["n_title"] >= 0) & (facts["n_title"] <= n_tokens) & (facts["n_lines"] >= 0)
    if not sound.all():
        raise pa.ArrowInvalid("an article must have 0 terms and tokens or more")
    return facts


def lengths(facts: npt.NDArray[np.void], column: str) -> npt.NDArray[np.int64]:
    """Bytes of each part of a column of PARTS, int64 (parts, n)."""
    n_terms, n_others, n_tokens, n_lines = (
        facts[name].astype(np.int64) for name in ("n_terms", "n_others", "n_tokens", "n_lines")
    )
    if column == "bag":
        return np.stack((4 * n_terms, n_terms, n_terms))
    # Bits that tell the last of the terms, as `_width` counts them.
    width = np.frexp(np.maximum(n_terms + n_others - 1, 0))[1]
    return np.stack((4 * n_others, (n_tokens * width + 7) >> 3, n_tokens, 8 * n_lines, 4 * n_lines))


@nb.njit(nb.void(BYTES, READ_I64, U8, READ_I64, READ_I64), cache=True, nogil=True)
def _copy(source, starts, target, target_starts, sizes):  # type: ignore[no-untyped-def]
    """Copies `sizes` bytes each from where they start to where they go."""
    for i in range(len(sizes)):
        begin, to = starts[i], target_starts[i]
        for j in range(sizes[i]):
            target[to + j] = source[begin + j]


def _joined(parts: Sequence[npt.NDArray[Any]], sizes: npt.NDArray[np.int64]) -> pa.Array:
    """A value for each article: its bytes of every part, `sizes` (parts, n)."""
    ends = np.cumsum(np.concatenate(([0], sizes.sum(axis=0))))
    octets = np.empty(ends[-1], np.uint8)
    at = ends[:-1].copy()
    for part, size in zip(parts, sizes, strict=True):
        _copy(np.ascontiguousarray(part).view(np.uint8), np.cumsum(size) - size, octets, at, size)
        at += size
    return pa.Array.from_buffers(
        pa.binary(), len(at), [None, pa.py_buffer(ends.astype(np.int32)), pa.py_buffer(octets)]
    )


def _parts(stored: Stored, column: str) -> tuple[list[npt.NDArray[Any]], list[Rows]]:
    """Each part of a column, all articles one behind the other, and indptr int64 (n + 1,) of it."""
    octets, at = stored.octets[column]
    parts, indptrs = [], []
    for size, dtype in zip(lengths(stored.facts, column), PARTS[column], strict=True):
        indptr = np.concatenate((np.zeros(1, np.int64), np.cumsum(size)))
        part = np.empty(indptr[-1], np.uint8)
        _copy(octets, at, part, indptr[:-1], size)
        at = at + size
        parts.append(part.view(dtype))
        indptrs.append(indptr // part.view(dtype).itemsize)
    return parts, indptrs


@nb.njit(cache=True, nogil=True, inline="always")
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
    """Fills `terms`; False when a place is beyond an article's terms."""
    for i in range(len(indptr) - 1):
        n_tokens = indptr[i + 1] - indptr[i]
        size, n_others = key_indptr[i + 1] - key_indptr[i], other_indptr[i + 1] - other_indptr[i]
        width = _width(size + n_others)
        begin, end = order_indptr[i], order_indptr[i + 1]
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
    flags, line_keys, line_stops = (
        list_values(batch.column(name)) for name in ("flags", "line_keys", "line_stops")
    )
    facts = np.zeros(len(batch), FACTS)
    facts["n_terms"], facts["lead_size"] = np.diff(bags.term_ends, prepend=0), bags.lead_sizes
    facts["n_others"], facts["n_tokens"] = np.diff(other_ends, prepend=0), np.diff(indptr)
    facts["n_lines"], facts["totals"] = np.diff(line_keys[1]), totals
    facts["n_title"], facts["longest"] = (batch.column(name).to_numpy() for name in ("n_title", "longest"))
    bag = _joined((bags.term_keys, bags.term_counts, bags.term_flags), lengths(facts, "bag"))
    rest = _joined((others[:n], order, flags[0], line_keys[0], line_stops[0]), lengths(facts, "rest"))
    rows = facts.view(np.uint8).reshape(len(facts), FACTS.itemsize)
    return pa.record_batch([fixed_array(rows), bag, rest], schema=TOKENS)


def unpacked(stored: Stored) -> pa.RecordBatch:
    """Kept tokens (text.KEPT) of some articles, units left empty. Raises RunError for damaged ones."""
    n = len(stored.facts)
    (keys, _, _), (key_indptr, _, _) = _parts(stored, "bag")
    (others, order, flags, line_keys, line_stops), indptrs = _parts(stored, "rest")
    other_indptr, order_indptr, indptr, line_indptr, _ = indptrs
    terms = np.empty(len(flags), np.uint32)
    if not _put_together(keys, key_indptr, others, other_indptr, order, order_indptr, indptr, terms):
        raise stored.damaged("the tokens of an article must be of its terms")
    if ((line_stops < 0) | (line_stops > np.repeat(np.diff(indptr), np.diff(line_indptr)))).any():
        raise stored.damaged("the lines of an article must end in it")
    columns = {
        "terms": list_array(terms, indptr),
        "flags": list_array(flags, indptr),
        "line_keys": list_array(line_keys, line_indptr),
        "line_stops": list_array(line_stops, line_indptr),
    }
    columns |= {name: pa.array(stored.facts[name]) for name in ("n_title", "longest")}
    nothing = pa.array(np.zeros(n + 1, np.int32))
    for field in KEPT:
        if field.name not in columns:
            columns[field.name] = pa.ListArray.from_arrays(nothing, pa.array([], field.type.value_type))
    return pa.record_batch([columns[name] for name in KEPT.names], schema=KEPT)


def totals_of(stored: Stored) -> npt.NDArray[np.float32]:
    """The totals of some articles, (n, N_TOTALS). Raises RunError for damaged ones."""
    totals = np.ascontiguousarray(stored.facts["totals"])
    if not np.isfinite(totals).all():
        raise stored.damaged("the totals of an article must be numbers")
    return totals


def bags_of(stored: Stored) -> Bags:
    """The bags of some articles."""
    (keys, counts, flags), (indptr, _, _) = _parts(stored, "bag")
    return Bags(keys, counts, flags, indptr[1:], np.ascontiguousarray(stored.facts["lead_size"]))
