"""Places of the signatures of old articles: read where they lie, for pairs that share a band's key.

Pairs are gone through in the order of the old articles, so that what is near in a mapped file is looked at
together.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numba as nb
import numpy as np
import numpy.typing as npt

from pipeline.arrays import BYTES, I64
from pipeline.arrow_columns import Rows
from pipeline.candidates import matches
from pipeline.errors import RunError
from pipeline.index_rows import fixed_layout
from pipeline.index_segments import IndexReader, OpenIndex
from pipeline.index_store import Store
from pipeline.tables import Ref, atomic_file
from pipeline.wide import fetch_bytes
from pipeline.words import sort_words

_PIECE_BYTES = 8 << 20  # that are fetched at a time
_AHEAD = 4  # pairs between the one that is looked at and the one that is fetched for later
_LOW = np.uint64(0xFFFFFFFF)


@nb.njit(
    nb.void(I64, nb.uint8[:, ::1], BYTES, I64, nb.int64, nb.int64, nb.int32[::1]), cache=True, nogil=True
)
def _count(rows, new_places, octets, starts, begin, end, out):  # type: ignore[no-untyped-def]
    """Equal places, in the columns [begin, end), of each new row and the old article that starts there."""
    width = new_places.shape[1]
    for p in range(len(rows)):
        if p + _AHEAD < len(rows):
            old_row, new_row = starts[p + _AHEAD], rows[p + _AHEAD] * width
            fetch_bytes(octets, old_row + begin, old_row + end)
            fetch_bytes(new_places, new_row + begin, new_row + end)
        old = octets[starts[p] : starts[p] + width].reshape(1, width)
        out[p] = matches(new_places, rows[p], old, 0, begin, end)


def fetch_places(index: OpenIndex, places: Ref, work: Path) -> Ref:
    """Copy a file with places to where it can be mapped. Raises RunError unless it is what was written."""
    store = Store(index.location)
    with store.open_file(places) as source, atomic_file(work / places.path) as copy:
        shutil.copyfileobj(source, copy, _PIECE_BYTES)
    found = copy.ref(places.rows)
    if found.digest != places.digest:
        raise RunError(
            f"index {store.shown}: {places.path} can't be read: it is not the file that was written"
        )
    return found


def places_elsewhere(index: OpenIndex) -> list[Ref]:
    """The files with places, by segment, where they can't be mapped; none where they can."""
    return [] if Store(index.location).is_local else [s.files["places"] for s in index.live().segments]


class OldPlaces:
    """The places of all old articles, by position, in files that can be mapped.

    `store`: where these are, that of the index or one of copies.
    """

    def __init__(self, reader: IndexReader, store: Store) -> None:
        files = [segment.files["places"] for segment in reader.segments]
        self._ends = np.append(reader.firsts, reader.n_articles)
        self._layouts = [fixed_layout(store, file, "places") for file in files]
        self._octets = [_mapped(store, file) for file in files]

    def equal(
        self, pairs: npt.NDArray[np.uint64], new_places: npt.NDArray[np.uint8], begin: int, end: int
    ) -> npt.NDArray[np.int32]:
        """Equal places of each pair (row << 32 | position) in the columns [begin, end), int32 (n,)."""
        # By position, and which pair it is.
        words = sort_words((pairs << np.uint64(32)) | np.arange(len(pairs), dtype=np.uint64), 32)
        order = (words & _LOW).astype(np.int64)
        rows = (pairs[order] >> np.uint64(32)).astype(np.int64)
        ascending = np.empty(len(pairs), np.int32)
        for own, octets, starts in self._where((words >> np.uint64(32)).astype(np.int64)):
            _count(rows[own], new_places, octets, starts, begin, end, ascending[own])
        equal = np.empty_like(ascending)
        equal[order] = ascending
        return equal

    def columns(self, positions: Rows, begin: int, end: int) -> npt.NDArray[np.uint8]:
        """The columns [begin, end) at some positions, ascending: uint8 (n, end - begin)."""
        found = np.empty((len(positions), end - begin), np.uint8)
        for own, octets, starts in self._where(positions):
            found[own] = octets[starts[:, None] + np.arange(begin, end)]
        return found

    def _where(self, positions: Rows) -> Iterator[tuple[slice, npt.NDArray[np.uint8], Rows]]:
        """For each file which of the positions, ascending, it has, and where in its bytes these start."""
        cuts = np.searchsorted(positions, self._ends).tolist()
        for at, (first, last) in enumerate(pairwise(cuts)):
            if first < last:
                rows = positions[first:last] - self._ends[at]
                yield slice(first, last), self._octets[at], self._layouts[at].places(rows)


def _mapped(store: Store, file: Ref) -> npt.NDArray[np.uint8]:
    with store.open_file(file) as opened:
        return np.frombuffer(opened.read_buffer(), np.uint8)
