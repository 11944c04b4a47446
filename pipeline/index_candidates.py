"""Stage "index-candidates": new articles and old ones that share a band's key in either view.

The keys of the index are read by column and tested against those of the night: a bit in a table that stays in
the processor's cache says of nearly every old key that no new article has it. That takes a nanosecond a key,
and needs no order on the disk. What is left is sorted and met with the new keys, and pairs are kept as in
stage "candidates". In a bucket of more than `candidates.max_bucket` articles, old and new together, each new
article is paired with those next to it in the order of signatures.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numba as nb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.array_files import map_npy
from pipeline.arrays import ANY_U32, BYTES, I64, READ_U32, READ_U64, U8, U64
from pipeline.arrow_columns import DAY, NO_TIME, Rows, times_of
from pipeline.candidates import (
    NEIGHBOURS,
    BandPairs,
    least_matches,
    load_articles,
    load_places,
    pack,
    with_estimates,
)
from pipeline.config import Config
from pipeline.index_places import OldPlaces
from pipeline.index_segments import N_PARTS, NEW_AND_OLD, IndexReader, OpenIndex
from pipeline.index_store import Store
from pipeline.signatures import REPRINT, RESPUN, Signatures, bands
from pipeline.tables import Ref, write_ipc
from pipeline.wide import load_key
from pipeline.words import distinct, run_starts, sort_words

# Bits of the table for the keys of one band: 64 to 128 for each new article, as far as the cache goes.
_MIN_BITS, _MAX_BITS = 12, 23
_KEY = 32  # first bit of the key in a word
_LOW = np.uint64(0xFFFFFFFF)
# Pairs that are put together before they are compared, since many meet in several bands. Bounds the memory.
_PAIRS = 1 << 20
# Keys between two bands, so that bands of a power of two of them don't share one set of the cache's lines.
_PADDING = 16
# Rows whose keys are looked at band by band: so many that a band's table is worth fetching into the cache.
_LOT = 1 << 17


@nb.njit(nb.void(ANY_U32, U8), cache=True, nogil=True)
def _mark(keys, table):  # type: ignore[no-untyped-def]
    """Sets the bit of each key's low bits; as many bits as a power of two."""
    mask = np.uint32(8 * len(table) - 1)
    for key in keys:
        bit = np.uint32(key & mask)
        table[bit >> np.uint32(3)] |= np.uint8(1) << np.uint8(bit & np.uint32(7))


@nb.njit(nb.void(BYTES, nb.uint32[:, ::1], nb.int64), cache=True, nogil=True)
def _by_band(octets, out, at):  # type: ignore[no-untyped-def]
    """Turns the keys of rows, one behind the other, into those of bands, (bands, rows), from row `at` on."""
    n_bands = len(out)
    for i in range(len(octets) // (4 * n_bands)):
        for band in range(n_bands):
            out[band, at + i] = load_key(octets, 4 * (i * n_bands + band))


@nb.njit(nb.int64(READ_U32, U8, U8, nb.int64, U64), cache=True, nogil=True)
def _hits(keys, may_meet, table, first, out):  # type: ignore[no-untyped-def]
    """Words (key << 32 | position) of the old articles whose key's bit is set; returns how many."""
    mask = np.uint32(8 * len(table) - 1)
    n = 0
    for i in range(len(keys)):
        bit = np.uint32(keys[i] & mask)
        # One key in a hundred or less: a branch that is foretold costs less than words that nobody wants.
        if table[bit >> np.uint32(3)] & (np.uint8(1) << np.uint8(bit & np.uint32(7))) and may_meet[i]:
            out[n] = (np.uint64(keys[i]) << np.uint64(32)) | np.uint64(first + i)
            n += 1
    return n


@nb.njit(nb.int64(U64, U64, nb.int64, U64), cache=True, nogil=True)
def _meet(new, old, max_bucket, out):  # type: ignore[no-untyped-def]
    """Pairs (row << 32 | position) of equal keys; both words ascending.

    Buckets over `max_bucket` are passed over, so `out` needs as many places for each new word. Returns how
    many pairs there are.
    """
    n = 0
    i = 0
    j = 0
    while i < len(new) and j < len(old):
        key = new[i] >> np.uint64(32)
        if old[j] >> np.uint64(32) < key:
            j += 1
            continue
        if old[j] >> np.uint64(32) > key:
            i += 1
            continue
        stop_i = i
        while stop_i < len(new) and new[stop_i] >> np.uint64(32) == key:
            stop_i += 1
        stop_j = j
        while stop_j < len(old) and old[stop_j] >> np.uint64(32) == key:
            stop_j += 1
        if stop_i - i + stop_j - j <= max_bucket:
            for a in range(i, stop_i):
                for b in range(j, stop_j):
                    out[n] = (new[a] << np.uint64(32)) | (old[b] & np.uint64(0xFFFFFFFF))
                    n += 1
        i = stop_i
        j = stop_j
    return n


@nb.njit(nb.void(READ_U64, READ_U64, I64, I64), cache=True, nogil=True)
def _find_runs(keys, words, begin, end):  # type: ignore[no-untyped-def]
    """Where the words of each key begin and end; keys and words ascending."""
    j = 0
    for i in range(len(keys)):
        while j < len(words) and words[j] >> np.uint64(32) < keys[i]:
            j += 1
        begin[i] = j
        while j < len(words) and words[j] >> np.uint64(32) == keys[i]:
            j += 1
        end[i] = j


@dataclass(frozen=True)
class _View:
    """One view of the night and of the index: rows signed in it, columns of its places, equal ones needed."""

    rows: Rows
    may_meet: npt.NDArray[np.uint8]
    begin: int
    end: int
    least: int


class _Sides:
    """The places of both sides and what each view asks."""

    def __init__(
        self,
        signed: Sequence[Signatures],
        shards: Sequence[Ref],
        reader: IndexReader,
        places: Store,
        config: Config,
    ) -> None:
        self.new = load_places(signed)
        self.old = OldPlaces(reader, places)
        is_signed = load_articles(signed, "is_signed")
        old_signed = np.asarray(reader.column("articles", "is_signed").to_numpy(), np.uint8)
        in_time = _within_window(reader, shards, config)
        n = config.reprint.n_perm
        limits = config.candidates
        spans = ((REPRINT, 0, n, limits.min_jaccard_reprint),
                 (RESPUN, n, self.new.shape[1], limits.min_jaccard_respun))  # fmt: skip
        self.views = [
            _View(
                np.flatnonzero(is_signed & bit), ((old_signed & bit) != 0).astype(np.uint8) & in_time,
                begin, end, least_matches(least, end - begin),
            )
            for bit, begin, end, least in spans
        ]  # fmt: skip

    def equal(self, pairs: npt.NDArray[np.uint64], view: _View) -> npt.NDArray[np.int32]:
        """Equal places of each pair (row << 32 | position) in a view."""
        return self.old.equal(pairs, self.new, view.begin, view.end)


def _within_window(reader: IndexReader, shards: Sequence[Ref], config: Config) -> npt.NDArray[np.uint8]:
    """Which old articles can lie within `match_window_days` of any new one, uint8 (n,)."""
    span = config.candidates.match_window_days * DAY
    dated = times_of(shards) if span else np.zeros(0, np.int64)
    if not len(dated) or (dated == NO_TIME).any():
        return np.ones(reader.n_articles, np.uint8)
    old = reader.published
    near = (old >= dated.min() - span) & (old <= dated.max() + span)
    return np.asarray(near | (old == NO_TIME)).astype(np.uint8)


def find_in_index(
    index: OpenIndex,
    signed: Sequence[Signatures],
    shards: Sequence[Ref],
    copies: Sequence[Ref],
    part: int,
    config: Config,
    work: Path,
) -> BandPairs:
    """Pairs of every N_PARTS-th band, starting with `part`: IPC (NEW_AND_OLD), `right` is a position.

    `copies` from `index_places.fetch_places`, under `work`.
    """
    reader = index.read()
    sides = _Sides(signed, shards, reader, Store(str(work)) if copies else reader.store, config)
    keys = [map_npy(s.keys.path) for s in signed]
    plan = bands(config)
    own = range(part, plan.n, N_PARTS)
    views = [sides.views[0 if band < plan.n_reprint else 1] for band in own]
    new = [np.concatenate([k[band] for k in keys])[view.rows] for band, view in zip(own, views, strict=True)]
    found: list[npt.NDArray[np.uint64]] = []
    met: dict[int, list[npt.NDArray[np.uint64]]] = {view.begin: [] for view in sides.views}
    n_collisions = n_passed_over = n_oversized = largest = 0
    for new_keys, view, hits in zip(new, views, _hits_by_band(reader, part, new, views), strict=True):
        new_words, old_words = pack(new_keys, view.rows), sort_words(hits, _KEY)
        beside, passed_over, oversized, longest = _neighbours(
            new_words, old_words, sides, view, config.candidates.max_bucket
        )
        for pairs in chain(_pairs_of_band(new_words, old_words, config.candidates.max_bucket), [beside]):
            met[view.begin].append(pairs)
            n_collisions += len(pairs)
            if sum(map(len, met[view.begin])) > _PAIRS:
                found.append(_alike(met[view.begin], sides, view))
                met[view.begin] = []
        n_passed_over += passed_over
        n_oversized += oversized
        largest = max(largest, longest)
    found += [_alike(met[view.begin], sides, view) for view in sides.views]
    pairs = distinct(np.concatenate(found))
    ref = write_ipc(work / f"old-bands-{part:03d}.arrow", NEW_AND_OLD, [_describe(pairs, sides, config)])
    return BandPairs(ref, n_collisions, n_passed_over, n_oversized, largest, ())


def _hits_by_band(
    reader: IndexReader, part: int, new: Sequence[npt.NDArray[np.uint32]], views: Sequence[_View]
) -> list[npt.NDArray[np.uint64]]:
    """For each band of the part, the old articles whose key may be a new one's: words, not in order."""
    tables = [_table_of(keys) for keys in new]
    hits: list[list[npt.NDArray[np.uint64]]] = [[] for _ in new]
    for first, lot in _lots(reader.fixed("keys", f"part_{part}")):
        n_rows = sum(map(len, lot))
        keys = np.empty((len(new), n_rows + _PADDING), np.uint32)
        at = 0
        for octets in lot:
            _by_band(octets.ravel(), keys, at)
            at += len(octets)
        out = np.empty(n_rows, np.uint64)
        for band, (table, view) in enumerate(zip(tables, views, strict=True)):
            n = _hits(keys[band, :n_rows], view.may_meet[first : first + n_rows], table, first, out)
            hits[band].append(out[:n].copy())
    return [np.concatenate([np.zeros(0, np.uint64), *parts]) for parts in hits]


def _lots(
    groups: Iterable[tuple[int, npt.NDArray[np.uint8]]],
) -> Iterator[tuple[int, list[npt.NDArray[np.uint8]]]]:
    """Row groups put together, up to _LOT rows, and how many rows are before."""
    first, lot = 0, list[npt.NDArray[np.uint8]]()
    for row, octets in groups:
        if lot and row + len(octets) - first > _LOT:
            yield first, lot
            first, lot = row, []
        lot.append(octets)
    if lot:
        yield first, lot


def _table_of(keys: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint8]:
    bits = min(max((64 * len(keys)).bit_length(), _MIN_BITS), _MAX_BITS)
    table = np.zeros(1 << (bits - 3), np.uint8)
    _mark(keys, table)
    return table


def _pairs_of_band(
    new: npt.NDArray[np.uint64], old: npt.NDArray[np.uint64], max_bucket: int
) -> Iterator[npt.NDArray[np.uint64]]:
    """Pairs of equal keys, about _PAIRS at a time: an article meets fewer than `max_bucket` in a bucket."""
    begin = 0
    while begin < len(new):
        last = new[min(begin + max(_PAIRS // max_bucket, 1), len(new)) - 1]
        end = int(np.searchsorted(new, last | _LOW, side="right"))
        first = int(np.searchsorted(old, new[begin] >> np.uint64(32) << np.uint64(32)))
        out = np.empty((end - begin) * max_bucket, np.uint64)
        n = _meet(new[begin:end], old[first:], max_bucket, out)
        yield out[:n].copy()
        begin = end


def _alike(lots: Sequence[npt.NDArray[np.uint64]], sides: _Sides, view: _View) -> npt.NDArray[np.uint64]:
    """The pairs of all lots with as many equal places as the view asks."""
    pairs = distinct(np.concatenate([np.zeros(0, np.uint64), *lots]))
    return pairs[sides.equal(pairs, view) >= view.least]


def _neighbours(
    new: npt.NDArray[np.uint64], old: npt.NDArray[np.uint64], sides: _Sides, view: _View, max_bucket: int
) -> tuple[npt.NDArray[np.uint64], int, int, int]:
    """Pairs of neighbours in the oversized buckets, how many others are in them, how many such buckets there
    are, and the size of the largest bucket of both.
    """
    heads = new >> np.uint64(32)
    starts = run_starts(heads)
    keys = heads[starts]
    n_new = np.diff(np.append(starts, len(new)))
    begin, end = np.empty(len(keys), np.int64), np.empty(len(keys), np.int64)
    _find_runs(keys, old, begin, end)
    sizes = np.where(end > begin, n_new + end - begin, 0)
    large = np.flatnonzero(sizes > max_bucket)
    found = [np.zeros(0, np.uint64)]
    for bucket in large.tolist():
        rows = (new[starts[bucket] : starts[bucket] + n_new[bucket]] & _LOW).astype(np.int64)
        positions = (old[begin[bucket] : end[bucket]] & _LOW).astype(np.int64)
        found.append(_next_to(rows, positions, sides, view))
    beside = np.concatenate(found)
    n_passed_over = int((n_new[large] * (end - begin)[large]).sum()) - len(beside)
    return beside, n_passed_over, len(large), int(sizes.max(initial=0))


def _next_to(rows: Rows, positions: Rows, sides: _Sides, view: _View) -> npt.NDArray[np.uint64]:
    """Pairs of a new article and an old one that are NEIGHBOURS or less apart in the order of signatures."""
    width = min(8, view.end - view.begin)
    lead = np.zeros((len(positions) + len(rows), 8), np.uint8)
    lead[: len(positions), :width] = sides.old.columns(positions, view.begin, view.begin + width)
    lead[len(positions) :, :width] = sides.new[rows, view.begin : view.begin + width]
    is_new = np.arange(len(lead)) >= len(positions)
    article = np.concatenate((positions, rows))
    order = np.lexsort((article, is_new, lead.view(np.uint64).ravel()))
    is_new, article = is_new[order], article[order].astype(np.uint64)
    pairs = [np.zeros(0, np.uint64)]
    for apart in range(1, NEIGHBOURS + 1):
        before, after = slice(0, -apart), slice(apart, None)
        mixed = is_new[before] != is_new[after]
        row = np.where(is_new[before], article[before], article[after])[mixed]
        position = np.where(is_new[before], article[after], article[before])[mixed]
        pairs.append((row << np.uint64(32)) | position)
    return distinct(np.concatenate(pairs))


def _describe(pairs: npt.NDArray[np.uint64], sides: _Sides, config: Config) -> pa.RecordBatch:
    """Pairs with estimates, and the views whose minimum they reach (NEW_AND_OLD)."""
    estimates = []
    for view in sides.views:
        share = sides.equal(pairs, view) / (view.end - view.begin)
        estimates.append(np.maximum(0, (share - 1 / 256) / (1 - 1 / 256)).astype(np.float32))
    reprint, respun = estimates
    return with_estimates(pairs, reprint, respun, NEW_AND_OLD, config)
