"""Places of old articles, over several files: equal ones counted as a plain comparison counts them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import index_places
from pipeline.errors import RunError
from pipeline.index_places import OldPlaces, fetch_places
from pipeline.index_segments import IndexReader, OpenIndex
from pipeline.index_store import Store
from pipeline.tables import Layout, Ref

WIDTH, SIZES = 200, (7, 0, 64, 1)
RNG = np.random.default_rng(5)
OLD = RNG.integers(0, 3, (sum(SIZES), WIDTH), np.uint8)
NEW = RNG.integers(0, 3, (9, WIDTH), np.uint8)


class _Files:
    """What is asked of a reader: where files with places are."""

    def __init__(self, folder: Path) -> None:
        self.store = Store(str(folder))
        ends = np.cumsum([0, *SIZES])
        self.firsts, self.n_articles, self.segments = ends[:-1], int(ends[-1]), []
        schema = pa.schema([pa.field("places", pa.binary(WIDTH), nullable=False)])
        for k, (begin, n) in enumerate(zip(ends, SIZES, strict=False)):
            rows = [row.tobytes() for row in OLD[begin : begin + n]]
            batch = pa.record_batch([pa.array(rows, pa.binary(WIDTH))], schema=schema)
            layout = Layout(30, in_place=True)
            ref = self.store.write(f"{k}/places.parquet", schema, iter([batch]), folder, layout)
            self.segments.append(type("S", (), {"files": {"places": ref}}))


@pytest.fixture(scope="module", params=["mapped", "fetched"])
def places(request, tmp_path_factory) -> OldPlaces:
    folder = tmp_path_factory.mktemp("places")
    files = _Files(folder)
    store = files.store
    if request.param == "fetched":
        index = OpenIndex(str(folder), Ref("", 0, 0, ""), "", None, None)
        copies = [fetch_places(index, s.files["places"], folder / "work") for s in files.segments]
        store = Store(str(folder / "work"))
        assert [copy.rows for copy in copies] == list(SIZES)
    reader: IndexReader = files  # type: ignore[assignment]
    return OldPlaces(reader, store)


PAIRS = st.lists(st.tuples(st.integers(0, len(NEW) - 1), st.integers(0, len(OLD) - 1)), max_size=60)


@settings(deadline=None)
@given(PAIRS, st.sampled_from([(0, 128), (128, WIDTH), (0, WIDTH), (3, 4)]))
def test_equal_places_are_counted(places, pairs, view):
    words = np.array([row << 32 | position for row, position in pairs], np.uint64)
    begin, end = view
    expected = [int((NEW[row, begin:end] == OLD[position, begin:end]).sum()) for row, position in pairs]
    assert places.equal(words, NEW, begin, end).tolist() == expected


def test_columns_are_those_of_the_positions(places):
    positions = np.array([0, 6, 7, 7, 36, 37, 70, 71])
    np.testing.assert_array_equal(places.columns(positions, 5, 13), OLD[positions, 5:13])
    assert places.columns(positions[:0], 5, 13).shape == (0, 8)


def test_only_what_lies_elsewhere_is_fetched(tmp_path):
    index = OpenIndex(str(tmp_path), Ref("", 0, 0, ""), "", None, None)
    assert index_places.places_elsewhere(index) == []


@pytest.mark.parametrize("damage", ["changed", "cut off"])
def test_a_copy_of_what_is_damaged_is_an_error(damage, tmp_path):
    files = _Files(tmp_path)
    ref = files.segments[2].files["places"]
    path = tmp_path / ref.path
    data = path.read_bytes()
    path.write_bytes(data[:-1] if damage == "cut off" else data[:200] + b"?" + data[201:])
    index = OpenIndex(str(tmp_path), Ref("", 0, 0, ""), "", None, None)
    with pytest.raises(RunError, match=rf"^index {tmp_path}: {ref.path} can't be read"):
        fetch_places(index, ref, tmp_path / "work")
