"""Arrays in files: what was written batch by batch comes back as one, mapped."""

from __future__ import annotations

import ast
import tempfile
import threading
from pathlib import Path

import made_up_news as news
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from indexes import run_night
from stages import rows_in
from texts import FEW_EXAMPLES

from pipeline.array_files import ArrayFiles, RowFile, map_npy, read_stacked, write_arrays
from pipeline.config import load_config
from pipeline.shards import ShardGroup
from pipeline.tables import Ref, write_npy
from pipeline.vectors import tfidf

TYPES = {"values": np.float32, "keys": np.uint32, "row_ends": np.int64}
GROUP = ShardGroup(3, 40, (Ref("nowhere", 5, 0, ""),))
BATCHES = st.lists(st.lists(st.lists(st.integers(0, 2**32 - 1), max_size=4), max_size=4), max_size=4)


def arrays(rows: list[list[int]]) -> dict[str, np.ndarray]:
    flat = np.array([key for row in rows for key in row], np.uint32)
    ends = np.cumsum([len(row) for row in rows]).astype(np.int64)
    return {"keys": flat, "values": flat.astype(np.float32) / 7, "row_ends": ends}


@FEW_EXAMPLES
@given(BATCHES)
def test_batches_come_back_as_one(batches):
    """Ends are counted on over batches, those without a row and those of empty rows too."""
    with tempfile.TemporaryDirectory() as folder:
        files = write_arrays(GROUP, TYPES, map(arrays, batches), Path(folder))
        loaded = files.load()
        rows = [row for batch in batches for row in batch]
        whole = arrays(rows)
        assert list(loaded) == list(TYPES)
        for name, dtype in TYPES.items():
            assert loaded[name].dtype == dtype
            assert files.files[name] == (np.dtype(dtype).name, files.files[name][1])
            assert files.files[name][1].rows == len(loaded[name])
            np.testing.assert_array_equal(loaded[name], whole[name])
        assert rows_in(loaded["keys"], loaded["row_ends"]) == rows


def test_files_are_named_by_array_and_group_and_know_their_articles(tmp_path):
    files = write_arrays(GROUP, TYPES, iter([arrays([[1], [2, 3]])]), tmp_path)
    assert (files.first_row, files.n_articles) == (40, 5)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["keys-003.bin", "row_ends-003.bin",
                                                                "values-003.bin"]  # fmt: skip


def test_what_is_loaded_is_read_only(tmp_path):
    loaded = write_arrays(GROUP, TYPES, iter([arrays([[1], [2, 3]])]), tmp_path).load()
    with pytest.raises(ValueError, match="read-only"):
        loaded["keys"][0] = 5


def test_arrays_of_other_types_and_strides_are_written_as_they_should_be(tmp_path):
    even = np.arange(8, dtype=np.int64)[::2]
    batch = {"keys": even, "values": even.astype(np.float64), "row_ends": np.array([4], np.int32)}
    loaded = write_arrays(GROUP, TYPES, iter([batch]), tmp_path).load()
    assert loaded["keys"].tolist() == loaded["values"].tolist() == [0, 2, 4, 6]


def test_an_array_of_rows_comes_back_flat(tmp_path):
    """Its Ref counts values, as the file holds them."""
    flat, n = np.arange(6, dtype=np.float32), np.zeros(0, np.int64)
    batches = (
        {"keys": n, "values": rows, "row_ends": n} for rows in (flat[:4].reshape(2, 2), flat[4:, None])
    )
    files = write_arrays(GROUP, TYPES, batches, tmp_path)
    assert files.files["values"][1].rows == 6
    assert files.load()["values"].tolist() == flat.tolist()


def test_a_failing_batch_leaves_no_file(tmp_path):
    def batches():
        yield arrays([[1], [2, 3]])
        raise OSError("no more")

    with pytest.raises(OSError, match="no more"):
        write_arrays(GROUP, TYPES, batches(), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_files_are_plain_data():
    """They cross between stages: a frozen dataclass of Refs and small numbers, equal by value."""
    ref = Ref("a.bin", 2, 8, "0")
    assert ArrayFiles(0, 1, {"keys": ("uint32", ref)}) == ArrayFiles(0, 1, {"keys": ("uint32", ref)})


def test_npy_files_are_read_by_the_row_and_one_below_the_other(tmp_path):
    whole = np.random.default_rng(3).integers(0, 1 << 32, (7, 5), np.uint32)
    paths = [str(tmp_path / f"{name}.npy") for name in "abcd"]
    for path, rows in zip(paths, (slice(0, 3), slice(3, 3), slice(3, 4), slice(4, 7)), strict=True):
        np.save(path, whole[rows])
    np.testing.assert_array_equal(read_stacked(paths), whole)
    for row in range(3):
        np.testing.assert_array_equal(RowFile(paths[3])[row], whole[4 + row])
    no_columns = str(tmp_path / "none.npy")
    np.save(no_columns, whole[:, :0])
    assert len(RowFile(no_columns)[6]) == 0


@pytest.mark.parametrize("shape", [(3, 2), (1, 1), (0, 4), (5, 0)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint32, np.int32, np.float32])
def test_npy_files_are_mapped_as_numpy_would(tmp_path, shape, dtype):
    values = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    ref = write_npy(tmp_path / "values.npy", values, len(values))
    mapped, expected = map_npy(ref.path), np.load(ref.path)
    np.testing.assert_array_equal(mapped, expected)
    assert (mapped.dtype, mapped.shape) == (expected.dtype, expected.shape)
    if mapped.size:
        with pytest.raises(ValueError, match="read-only"):
            mapped[0] = 1


@pytest.mark.parametrize("values", [np.arange(3), np.zeros((2, 2), order="F"), np.zeros((1, 1, 1))])
def test_other_npy_files_are_refused(tmp_path, values):
    np.save(tmp_path / "values.npy", values)
    with pytest.raises(ValueError, match="two dimensions in C order"):
        map_npy(tmp_path / "values.npy")


def test_no_stage_has_python_parse_anything_in_a_thread(tmp_path, monkeypatch):
    """Python counts how deep the parser is for all threads together, and fails when one is in between."""
    parse = ast.parse

    def parse_here(*args, **kwargs):
        assert threading.current_thread() is threading.main_thread()
        return parse(*args, **kwargs)

    # Imported by the first call that weighs; pytest parses what is imported.
    tfidf(np.ones(1, np.int32), np.ones(1, np.float32), np.ones(1, np.int64))
    monkeypatch.setattr(ast, "parse", parse_here)
    rows = news.stories(1, 6)
    for name, night in (("first", rows[::2]), ("second", rows[1::2])):
        run_night(night, tmp_path, tmp_path / "index", load_config(overrides=["n_workers=2"]), name)
