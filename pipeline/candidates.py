"""Stage "candidates": pairs of articles that share a band's key in either view (Indyk & Motwani 1998).

Per band the keys are packed with the row number into 64-bit words and sorted; equal neighbours are a
bucket. A bucket's pairs are kept when the resemblance estimated from one byte per signature place reaches
the view's minimum. A bucket of more than `candidates.max_bucket` articles is not expanded: its articles are
put in the order of their whole signatures and each is paired with those next to it, so that the cost is
linear and copies, which come to lie side by side, stay linked.
"""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakValueDictionary

import numba as nb
import numpy as np
import pyarrow as pa

from pipeline.array_files import RowFile, read_stacked
from pipeline.arrays import F32, U64
from pipeline.arrow_columns import DAY, NO_TIME, times_of
from pipeline.config import Config
from pipeline.signatures import REPRINT, RESPUN, Signatures, Signed, bands
from pipeline.tables import Ref, read_ipc, write_ipc
from pipeline.wide import fetch_bytes
from pipeline.words import distinct, run_starts, sort_words

# In an oversized bucket, how many neighbours (in the order of signatures) an article is paired with.
NEIGHBOURS = 8
# Rows of the bands' pairs that are merged at a time; bounds the memory of a call.
MERGED_AT_A_TIME = 2_000_000
# Oversized buckets that are told of in the manifest, the largest.
N_TOLD = 10
# Articles between one whose places are compared and the one whose places are fetched for later.
AHEAD = 8
_ROW_MASK = np.uint64(0xFFFFFFFF)

PAIRS = pa.schema([("left", pa.int32()), ("right", pa.int32()), ("found_by", pa.uint8()),
                   ("estimate_reprint", pa.float32()), ("estimate_respun", pa.float32())])  # fmt: skip


@dataclass(frozen=True, order=True)
class Bucket:
    """Articles that share a band's key: how many, the band, which view's it is, and the first of them."""

    n_articles: int
    band: int
    view: str
    first_row: int


@dataclass(frozen=True)
class BandPairs:
    """Pairs of some bands: `pairs` IPC (PAIRS, ascending, distinct), and what was seen on the way.

    `n_collisions`: pairs that were compared. `n_passed_over`: pairs of oversized buckets that were not; a
    pair counts in each band. `oversized`: the largest N_TOLD of the `n_oversized` buckets, largest first.
    """

    pairs: Ref
    n_collisions: int
    n_passed_over: int
    n_oversized: int
    largest_bucket: int
    oversized: tuple[Bucket, ...]


@nb.njit(cache=True, nogil=True, inline="always")
def matches(places_i, i, places_j, j, begin, end):  # type: ignore[no-untyped-def]
    """Equal bytes, int64, of row i of one array of places and row j of another, in columns [begin, end)."""
    row_i, row_j = places_i[i, begin:end], places_j[j, begin:end]
    n = 0
    whole = len(row_i) // 128 * 128
    for block in range(0, whole, 128):
        # Counted in a byte, which 128 can't overflow, 64 of them fit one vector register.
        equal = np.uint8(0)
        for k in range(block, block + 128):
            equal = np.uint8(equal + np.uint8(row_i[k] == row_j[k]))
        n += int(equal)
    for k in range(whole, len(row_i)):
        n += row_i[k] == row_j[k]
    return n


@nb.njit(
    nb.types.Tuple((nb.int64, nb.int64))(  # type: ignore[no-untyped-call]
        U64, nb.uint8[:, ::1], nb.int64, nb.int64, nb.int64, nb.int64, nb.int64, U64
    ),
    cache=True, nogil=True,
)  # fmt: skip
def _expand(words, places, begin, end, least, max_bucket, neighbours, out):  # type: ignore[no-untyped-def]
    """Pairs (left << 32 | right) of the buckets of sorted words that have `least` equal places.

    Returns how many pairs there are, which may be more than `out` holds (then call again with more room),
    and how many were compared.
    """
    n = 0
    compared = 0
    start = 0
    last = len(words) - 1
    while start <= last:
        stop = start + 1
        key = words[start] >> np.uint64(32)
        while stop < len(words) and words[stop] >> np.uint64(32) == key:
            stop += 1
        reach = stop - start if stop - start <= max_bucket else neighbours
        for i in range(start, stop):
            row_i = np.int64(words[i] & np.uint64(0xFFFFFFFF))
            ahead = i + AHEAD
            # Places of a large collection are in no cache: those of articles that share a key are fetched.
            if ahead < last and (
                words[ahead] ^ words[ahead - 1] <= _ROW_MASK or words[ahead] ^ words[ahead + 1] <= _ROW_MASK
            ):
                row = np.int64(words[ahead] & _ROW_MASK) * places.shape[1]
                fetch_bytes(places, row + begin, row + end)
            for j in range(i + 1, min(stop, i + 1 + reach)):
                row_j = np.int64(words[j] & np.uint64(0xFFFFFFFF))
                compared += 1
                if matches(places, row_i, places, row_j, begin, end) >= least:
                    if n < len(out):
                        left, right = min(row_i, row_j), max(row_i, row_j)
                        out[n] = (np.uint64(left) << np.uint64(32)) | np.uint64(right)
                    n += 1
        start = stop
    return n, compared


@nb.njit(nb.void(U64, nb.uint8[:, ::1], nb.int64, nb.int64, F32), cache=True, nogil=True)
def _estimate(words, places, begin, end, out):  # type: ignore[no-untyped-def]
    """Resemblance of each pair: equal bytes, less the 1 in 256 that are equal by chance."""
    for p in range(len(words)):
        if p + AHEAD < len(words):
            row = np.int64(words[p + AHEAD] & _ROW_MASK) * places.shape[1]
            fetch_bytes(places, row + begin, row + end)
        i = np.int64(words[p] >> np.uint64(32))
        j = np.int64(words[p] & np.uint64(0xFFFFFFFF))
        share = matches(places, i, places, j, begin, end) / (end - begin)
        out[p] = max(0.0, (share - 1 / 256) / (1 - 1 / 256))


_loading = threading.Lock()
_loaded: WeakValueDictionary[tuple[Ref, ...], np.ndarray] = WeakValueDictionary()


def load_places(signed: Sequence[Signatures]) -> np.ndarray:
    """One byte per signature place of every article, uint8 (n, n_perm of both views).

    Calls that are under way at the same time share one array: it is the largest of a run.
    """
    files = tuple(s.places for s in signed)
    with _loading:
        places = _loaded.get(files)
        if places is None:
            places = _loaded[files] = read_stacked([ref.path for ref in files])
        return places


def load_articles(signed: Sequence[Signed], column: str) -> np.ndarray:
    """A column of the signed articles, over all groups."""
    return np.concatenate([read_ipc(s.articles.path)[column].to_numpy() for s in signed])


def find_in_bands(
    signed: Sequence[Signatures], part: int, n_parts: int, config: Config, work: Path
) -> BandPairs:
    """Pairs of every n_parts-th band, starting with `part`."""
    plan = bands(config)
    places = load_places(signed)
    keys = [RowFile(s.keys.path) for s in signed]
    is_signed = load_articles(signed, "is_signed")
    n_reprint = config.reprint.n_perm
    found = [np.zeros(0, np.uint64)]
    oversized: list[Bucket] = []
    n_collisions = n_passed_over = n_oversized = largest = 0
    for band in range(part, plan.n, n_parts):
        reprint = band < plan.n_reprint
        begin, end = (0, n_reprint) if reprint else (n_reprint, places.shape[1])
        least = config.candidates.min_jaccard_reprint if reprint else config.candidates.min_jaccard_respun
        rows = np.flatnonzero(is_signed & (REPRINT if reprint else RESPUN))
        words = pack(np.concatenate([group[band] for group in keys])[rows], rows)
        starts, sizes = _buckets(words)
        large = np.flatnonzero(sizes > config.candidates.max_bucket)
        for bucket in large.tolist():
            _order(words[starts[bucket] : starts[bucket] + sizes[bucket]], places[:, begin:end])
        room = 4 * len(words) + 1024
        while True:
            out = np.empty(room, np.uint64)
            n, compared = _expand(
                words, places, begin, end, least_matches(least, end - begin), config.candidates.max_bucket,
                NEIGHBOURS, out,
            )  # fmt: skip
            if n <= room:
                break
            room = n
        # A pair is found in several bands. Those found again go when they are as many as the distinct ones.
        found.append(out[:n].copy())
        if sum(map(len, found[1:])) > len(found[0]):
            found = [distinct(np.concatenate(found))]
        n_collisions += compared
        n_passed_over += int((sizes * (sizes - 1) // 2).sum()) - compared
        n_oversized += len(large)
        largest = max(largest, int(sizes.max(initial=0)))
        seen = [_told(words, int(starts[b]), int(sizes[b]), band, reprint) for b in _largest(large, sizes)]
        oversized = sorted((*oversized, *seen), reverse=True)[:N_TOLD]
    pairs = distinct(np.concatenate(found))
    # The estimate is what is kept of a pair; which view found it follows from the views' minima.
    described = (
        describe(pairs[at : at + MERGED_AT_A_TIME], places, config)
        for at in range(0, len(pairs), MERGED_AT_A_TIME)
    )
    ref = write_ipc(work / f"bands-{part:03d}.arrow", PAIRS, described)
    return BandPairs(ref, n_collisions, n_passed_over, n_oversized, largest, tuple(oversized))


def least_matches(jaccard: float, n_places: int) -> int:
    """Equal bytes from which the estimate reaches `jaccard`."""
    return int(np.ceil((jaccard * (1 - 1 / 256) + 1 / 256) * n_places - 1e-9))


def pack(keys: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Sorted words (key << 32 | row); rows ascending."""
    words = (keys.astype(np.uint64) << np.uint64(32)) | rows.astype(np.uint64)
    return np.asarray(sort_words(words, 32))


def _buckets(words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First index and size of each bucket of sorted words, both int64 (n_buckets,)."""
    starts = run_starts(words >> np.uint64(32))
    return starts, np.diff(np.append(starts, len(words)))


def _order(words: np.ndarray, places: np.ndarray) -> None:
    """Puts the articles of a bucket in the order of their signatures, in place."""
    rows = (words & _ROW_MASK).astype(np.int64)
    # Eight leading bytes order copies next to each other; the row settles the rest.
    lead = np.zeros((len(rows), 8), np.uint8)
    lead[:, : places.shape[1]] = places[rows, :8]
    words[:] = words[np.lexsort((rows, lead.view(np.uint64).ravel()))]


def _largest(large: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """The N_TOLD largest of some buckets."""
    return np.asarray(large[np.argsort(-sizes[large], kind="stable")[:N_TOLD]])


def _told(words: np.ndarray, start: int, size: int, band: int, reprint: bool) -> Bucket:
    first_row = int((words[start : start + size] & _ROW_MASK).min())
    return Bucket(size, band, "reprint" if reprint else "respun", first_row)


def describe(pairs: np.ndarray, places: np.ndarray, config: Config) -> pa.RecordBatch:
    """Pairs (left << 32 | right, uint64) with estimates, and the views whose minimum they reach (PAIRS)."""
    n = config.reprint.n_perm
    reprint, respun = np.empty(len(pairs), np.float32), np.empty(len(pairs), np.float32)
    _estimate(pairs, places, 0, n, reprint)
    _estimate(pairs, places, n, places.shape[1], respun)
    return with_estimates(pairs, reprint, respun, PAIRS, config)


def with_estimates(
    pairs: np.ndarray, reprint: np.ndarray, respun: np.ndarray, schema: pa.Schema, config: Config
) -> pa.RecordBatch:
    """Pairs (left << 32 | right) with the estimates of both views, and which of the two found them.

    `schema`: PAIRS, or another type of `right`.
    """
    limits = config.candidates
    found_by = (REPRINT * (reprint >= limits.min_jaccard_reprint - 1e-6)
                + RESPUN * (respun >= limits.min_jaccard_respun - 1e-6))  # fmt: skip
    columns = (pairs >> np.uint64(32), pairs & _ROW_MASK, found_by, reprint, respun)
    typed = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    return pa.record_batch(typed, schema=schema)


def merge(parts: Sequence[BandPairs], work: Path, shards: Sequence[Ref] = (), window_days: int = 0) -> Ref:
    """All pairs once, ascending by left and right.

    `window_days` above 0 drops pairs of articles of `shards` that were published further apart.
    """
    merged = _merged([PAIRS.empty_table(), *(read_ipc(part.pairs.path) for part in parts)])
    if window_days:
        times, span = times_of(shards), window_days * DAY
        merged = (batch.filter(pa.array(_in_window(batch, times, span))) for batch in merged)
    return write_ipc(work / "pairs.arrow", PAIRS, merged)


def _in_window(pairs: pa.RecordBatch, times: np.ndarray, span: int) -> np.ndarray:
    left, right = (times[pairs[side].to_numpy()] for side in ("left", "right"))
    return within(left, right, span)


def within(left: np.ndarray, right: np.ndarray, span: int) -> np.ndarray:
    """Which pairs of times lie at most `span` apart, bool (n,); those with an unknown time do."""
    undated = (left == NO_TIME) | (right == NO_TIME)
    return np.asarray(undated | (np.abs(np.where(undated, 0, left - right)) <= span))


def _merged(tables: Sequence[pa.Table]) -> Iterator[pa.RecordBatch]:
    """The rows of sorted tables (PAIRS) in order, equal pairs once: a range of left rows at a time."""
    lefts = [table["left"].to_numpy() for table in tables]
    n_rows = sum(map(len, lefts))
    n_ranges = n_rows // MERGED_AT_A_TIME + 1
    # Left rows have more pairs the smaller they are: the longest table is cut into equal parts.
    longest = max(lefts, key=len)
    cuts = [longest[len(longest) * i // n_ranges] for i in range(1, n_ranges)]
    edges = np.array([[0, *np.searchsorted(left, cuts), len(left)] for left in lefts])
    for begins, ends in zip(edges.T[:-1], edges.T[1:], strict=True):
        table = pa.concat_tables(
            t.slice(begin, end - begin) for t, begin, end in zip(tables, begins, ends, strict=True)
        ).combine_chunks()
        left, right = (table[side].to_numpy().astype(np.uint64) for side in ("left", "right"))
        words = (left << np.uint64(32)) | right
        order = np.argsort(words, kind="stable")
        first = order[run_starts(words[order])]
        yield from table.take(pa.array(first)).combine_chunks().to_batches()
