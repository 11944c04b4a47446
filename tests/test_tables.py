"""Files of the stages: whole or not there, equal rows give equal bytes, damage is noticed."""

from __future__ import annotations

import io
import itertools
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import tables
from pipeline.errors import RunError

SCHEMA = pa.schema([pa.field("article_id", pa.string(), nullable=False), pa.field("text", pa.string())])


def make(texts: list[str]) -> pa.RecordBatch:
    return pa.record_batch(
        {"article_id": [f"a{i}" for i in range(len(texts))], "text": pa.array(texts, pa.string())},
        schema=SCHEMA,
    )


def naive_regroup(sizes: list[int], max_rows: int, max_bytes: int) -> list[int]:
    """Lengths of the pieces, row by row."""
    pieces: list[int] = []
    rows = size = 0
    for one in sizes:
        if rows and (rows == max_rows or size + one > max_bytes):
            pieces.append(rows)
            rows = size = 0
        rows, size = rows + 1, size + one
    return pieces + ([rows] if rows else [])


@given(
    sizes=st.lists(st.integers(0, 12), max_size=40),
    cuts=st.lists(st.integers(0, 40), max_size=6),
    max_rows=st.integers(1, 9),
    max_bytes=st.integers(1, 20),
)
def test_regroup_is_the_naive_twin_however_the_batches_were_cut(sizes, cuts, max_rows, max_bytes):
    whole = make(["é" * (n // 2) + "x" * (n % 2) for n in sizes])
    edges = [0, *sorted(min(c, len(sizes)) for c in cuts), len(sizes)]
    batches = [whole.slice(a, b - a) for a, b in itertools.pairwise(edges)]
    pieces = list(tables.regroup(batches, max_rows, max_bytes, "text"))
    assert [piece.num_rows for piece in pieces] == naive_regroup(sizes, max_rows, max_bytes)
    assert [r for piece in pieces for r in piece.to_pylist()] == whole.to_pylist()


def test_regroup_reads_large_strings_and_no_size_column():
    batch = pa.record_batch({"text": pa.array(["aaaa", "bb", "cc"], pa.large_string())})
    assert [t.num_rows for t in tables.regroup([batch], 10, 4, "text")] == [1, 2]
    assert [t.num_rows for t in tables.regroup([batch], 2, 1)] == [2, 1]


def test_parquet_bytes_depend_on_the_rows_alone(tmp_path):
    layout = tables.Layout(64)
    batch = make([f"text {i}" * (i % 7) for i in range(500)])
    one = tables.write_parquet(tmp_path / "one.parquet", SCHEMA, pa.Table.from_batches([batch]), layout)
    cuts = [batch.slice(i, 37) for i in range(0, 500, 37)]
    two = tables.write_parquet(tmp_path / "two.parquet", SCHEMA, iter(cuts), layout)
    assert one.digest == two.digest
    assert one.rows == two.rows == 500
    with pq.ParquetFile(tmp_path / "one.parquet") as file:
        assert [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)] == [64] * 7 + [52]
        assert file.metadata.row_group(0).column(1).compression == "ZSTD"
    assert pa.Table.from_batches(tables.read_back(one, SCHEMA)).equals(pa.Table.from_batches([batch]))


def test_empty_table_is_a_file_with_columns(tmp_path):
    ref = tables.write_parquet(tmp_path / "t.parquet", SCHEMA, SCHEMA.empty_table())
    assert ref.rows == 0
    assert list(tables.read_back(ref, SCHEMA)) == []


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (
            pa.table({"text": ["a"], "article_id": ["b"]}),
            "must have the columns article_id string, text string",
        ),
        (pa.table({"article_id": [1], "text": ["b"]}), "has article_id int64"),
        (pa.table({"article_id": pa.array([None, "a"]), "text": ["b", "c"]}), "article_id must not be null"),
    ],
)
def test_wrong_columns_are_refused_and_leave_no_file(tmp_path, table, words):
    with pytest.raises(RunError, match=words):
        tables.write_parquet(tmp_path / "t.parquet", SCHEMA, table)
    assert list(tmp_path.iterdir()) == []


def test_read_back_notices_damage(tmp_path):
    ref = tables.write_parquet(tmp_path / "t.parquet", SCHEMA, pa.Table.from_batches([make(["abc"] * 1000)]))
    with pytest.raises(RunError, match="must have 999 rows, has 1000"):
        list(tables.read_back(replace(ref, rows=999), SCHEMA))
    with pytest.raises(RunError, match="must have the columns"):
        list(tables.read_back(ref, pa.schema([pa.field("text", pa.string())])))
    content = Path(ref.path).read_bytes()
    Path(ref.path).write_bytes(content[: len(content) // 2])
    with pytest.raises(RunError, match="must be the file of"):
        list(tables.read_back(ref, SCHEMA))
    with pytest.raises(RunError, match="can't be read back"):
        list(tables.read_back(tables.Ref(ref.path, 1000, *tables.file_digest(ref.path)), SCHEMA))


def test_read_back_comes_in_pieces_and_one_row_may_be_larger(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "_READ_BYTES", 1 << 10)
    texts = [f"{i} " * (i % 50) for i in range(300)] + ["long " * 10_000]
    table = pa.Table.from_batches([make(texts)])
    batches = list(tables.read_back(tables.write_parquet(tmp_path / "t.parquet", SCHEMA, table), SCHEMA))
    assert len(batches) > 10
    assert pa.Table.from_batches(batches).equals(table)


def test_ipc_round_trip_is_memory_mapped(tmp_path):
    batches = [make(["a", "bc"]), make(["d"])]
    ref = tables.write_ipc(tmp_path / "deep" / "s.arrow", SCHEMA, batches)
    ref.verify()
    before = pa.total_allocated_bytes()
    found = list(tables.read_batches(ref.path))
    assert pa.total_allocated_bytes() == before
    assert found == batches
    assert tables.read_ipc(ref.path, ["text"]).to_pydict() == {"text": ["a", "bc", "d"]}
    assert ref.rows == 3


def test_ref_notices_a_file_that_changed_or_is_gone(tmp_path):
    ref = tables.write_ipc(tmp_path / "s.arrow", SCHEMA, [make(["a"])])
    content = bytearray(Path(ref.path).read_bytes())
    content[len(content) // 2] ^= 1
    Path(ref.path).write_bytes(content)
    with pytest.raises(RunError, match=r"must be the file .* has \d+ bytes"):
        ref.verify()
    Path(ref.path).unlink()
    with pytest.raises(RunError, match="is gone"):
        ref.verify()


def test_a_write_that_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), tables.atomic_file(path) as file:
        file.write(b"new")
        raise ZeroDivisionError
    assert [p.name for p in tmp_path.iterdir()] == ["f"]
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize("n", [0, 1, 131_072, 131_073, 700_000])
def test_a_file_is_written_in_pieces_and_holds_all_of_them(n, tmp_path, monkeypatch):
    sizes: list[int] = []

    class Short(io.FileIO):
        """Writes less than it is given, as a file may."""

        def write(self, data: memoryview, /) -> int:
            sizes.append(len(data))
            return super().write(data[: max(1, len(data) * 2 // 3)])

    monkeypatch.setattr(tables, "_FileInPieces", type("Both", (tables._FileInPieces, Short), {}))
    numbers = np.arange(n, dtype=np.uint64)
    with tables.atomic_file(tmp_path / "file") as file:
        file.write(b"begins")
        file.write(numbers.data)
        file.write(numbers.reshape(-1, 1).data)
    assert (tmp_path / "file").read_bytes() == b"begins" + 2 * numbers.tobytes()
    assert max(sizes) <= 1 << 20


def test_tables_are_on_the_disk_before_they_have_their_name_and_scratch_need_not_be(tmp_path, monkeypatch):
    steps = []
    sync, rename = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda descriptor: (steps.append("flush"), sync(descriptor)))
    monkeypatch.setattr(Path, "replace", lambda *args: (steps.append("rename"), rename(*args)))
    tables.write_parquet(tmp_path / "t.parquet", SCHEMA, pa.Table.from_batches([make(["a"])]))
    assert steps == ["flush", "rename"]
    tables.write_ipc(tmp_path / "s.arrow", SCHEMA, [make(["a"])]).verify()
    assert steps == ["flush", "rename", "rename"]


def test_lengths_see_through_slices():
    batch = make(["a", "bbb", "cc", ""]).slice(1, 3)
    np.testing.assert_array_equal(tables._lengths(batch, "text"), [3, 2, 0])
