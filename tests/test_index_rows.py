"""Rows of an index read in place: those that decoding the Parquet file gives, and damage is noticed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline import index_rows
from pipeline.errors import RunError
from pipeline.index_rows import BATCH, ends_of_batches, fixed_layout, fixed_rows, stored_rows
from pipeline.index_segments import layout_of
from pipeline.index_store import Store
from pipeline.index_tokens import FACTS, PARTS, TOKENS, lengths
from pipeline.tables import Layout, Ref

GROUP, N = 50, 230
FIXED = pa.schema([pa.field("a", pa.binary(6), nullable=False), pa.field("b", pa.binary(3), nullable=False)])


def made_up(n: int) -> pa.RecordBatch:
    """Rows of TOKENS that look like nothing, some of them empty, one larger than all others."""
    rng = np.random.default_rng(n)
    facts = np.zeros(n, FACTS)
    for name in ("n_terms", "n_others", "n_lines"):
        facts[name] = rng.integers(0, 9, n) * (rng.random(n) < 0.8)
    facts["n_tokens"] = 2 * (facts["n_terms"] + facts["n_others"])
    facts["n_terms"][n // 2] = 4_000
    facts["lead_size"] = facts["n_terms"] // 2
    values = {name: [rng.bytes(int(size)) for size in lengths(facts, name).sum(axis=0)] for name in PARTS}
    return pa.record_batch(
        [pa.array([row.tobytes() for row in facts], TOKENS.field("facts").type),
         *(pa.array(values[name], pa.binary()) for name in PARTS)],
        schema=TOKENS,
    )  # fmt: skip


def write(folder: Path, batch: pa.RecordBatch, rows: int = GROUP, in_place: bool = True) -> tuple[Store, Ref]:
    store = Store(str(folder))
    ref = store.write("t.parquet", batch.schema, iter([batch]), folder, Layout(rows, "rest", in_place))
    return store, ref


@pytest.fixture(params=[1, 7, 1 << 30], ids=["each", "few", "all"])
def gap(request, monkeypatch):
    monkeypatch.setattr(index_rows, "_GAP", request.param)


@pytest.mark.parametrize("columns", [["bag"], ["rest"], ["bag", "rest"], []])
@pytest.mark.parametrize("share", [0.02, 0.4, 1.0])
@pytest.mark.usefixtures("gap")
def test_rows_are_those_that_decoding_gives(columns, share, tmp_path, monkeypatch):
    monkeypatch.setattr(index_rows, "BATCH", 17)
    batch = made_up(N)
    store, ref = write(tmp_path, batch)
    rows = np.flatnonzero(np.random.default_rng(1).random(N) < share)
    assert pq.ParquetFile(tmp_path / "t.parquet").num_row_groups == -(-N // GROUP)
    table = pq.read_table(tmp_path / "t.parquet").take(pa.array(rows))
    at = 0
    for stored in stored_rows(store, ref, rows, columns):
        n = len(stored.facts)
        assert 0 < n <= 17
        expected = table.slice(at, n)
        assert [row.tobytes() for row in stored.facts] == expected["facts"].to_pylist()
        assert list(stored.octets) == columns
        for name, (octets, starts) in stored.octets.items():
            sizes = lengths(stored.facts, name).sum(axis=0)
            found = [octets[s : s + size].tobytes() for s, size in zip(starts, sizes, strict=True)]
            assert found == expected[name].to_pylist()
        at += n
    assert at == len(rows)


def test_fixed_values_are_those_that_decoding_gives(tmp_path):
    rng = np.random.default_rng(2)
    values = [[rng.bytes(field.type.byte_width) for _ in range(N)] for field in FIXED]
    batch = pa.record_batch([pa.array(v, f.type) for v, f in zip(values, FIXED, strict=True)], schema=FIXED)
    store, ref = write(tmp_path, batch)
    whole = np.fromfile(tmp_path / "t.parquet", np.uint8)
    for field, expected in zip(FIXED, values, strict=True):
        found = list(fixed_rows(store, ref, field.name))
        assert [len(octets) for octets in found] == [50, 50, 50, 50, 30]
        assert [row.tobytes() for octets in found for row in octets] == expected
        rows = np.array([0, 49, 50, 51, 229])
        places = fixed_layout(store, ref, field.name).places(rows)
        width = field.type.byte_width
        assert [whole[p : p + width].tobytes() for p in places] == [expected[row] for row in rows]


@pytest.mark.parametrize("table", ["tokens", "keys", "places"])
def test_a_whole_row_group_of_an_index_is_one_page(table, tmp_path):
    """As it is laid out there: Arrow ends a page at so many rows, too."""
    layout = layout_of(table)
    n = layout.rows + 1
    if table == "tokens":
        batch, column = made_up(n), "rest"
    else:
        columns = [pa.array([b"?" * f.type.byte_width] * n, f.type) for f in FIXED]
        batch = pa.record_batch(columns, schema=FIXED)
        column = "a"
    store = Store(str(tmp_path))
    ref = store.write("t.parquet", batch.schema, iter([batch]), tmp_path, layout)
    assert pq.ParquetFile(tmp_path / "t.parquet").num_row_groups == 2
    if table == "tokens":
        assert sum(len(s.facts) for s in stored_rows(store, ref, np.arange(n), [column])) == n
    else:
        assert sum(map(len, fixed_rows(store, ref, column))) == n


def test_a_large_row_group_is_cut_by_the_bytes_of_its_rest(tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.tables.ROW_GROUP_BYTES", 400)
    batch = made_up(N)
    store, ref = write(tmp_path, batch)
    assert pq.ParquetFile(tmp_path / "t.parquet").num_row_groups > N // GROUP + 5
    found = stored_rows(store, ref, np.arange(N), ["rest"])
    assert sum(len(s.facts) for s in found) == N


def test_what_is_laid_out_otherwise_is_refused(tmp_path):
    batch = pa.record_batch([pa.array([b"abc"] * 30_000, pa.binary(3))], schema=pa.schema([FIXED.field("b")]))
    store, ref = write(tmp_path, batch, 30_000)
    with pytest.raises(RunError, match=r"t\.parquet can't be read: from byte 4 on it must have 30000 plain"):
        list(fixed_rows(store, ref, "b"))
    with pytest.raises(RunError, match="must have the columns of tokens"):
        list(stored_rows(store, ref, np.arange(3), ["bag"]))
    with pytest.raises(RunError, match="must have a, of one length"):
        list(fixed_rows(store, ref, "a"))
    with pytest.raises(RunError, match="can't be read"):
        list(fixed_rows(store, replace(ref, path="u.parquet"), "a"))


def test_no_damage_of_tokens_is_taken_for_other_sizes(tmp_path):
    """Any byte that changes: rows are as they were but for bytes of values, or an error says so."""
    batch = made_up(40)
    store, ref = write(tmp_path, batch, 20)
    path = tmp_path / "t.parquet"
    good = path.read_bytes()
    rng = np.random.default_rng(3)
    sizes = {name: [len(v) for v in batch[name].to_pylist()] for name in PARTS}
    n_noticed = 0
    for at in rng.choice(len(good), 600, replace=False).tolist():
        path.write_bytes(good[:at] + bytes([good[at] ^ int(rng.integers(1, 256))]) + good[at + 1 :])
        try:
            found = list(stored_rows(store, ref, np.arange(40), list(PARTS)))
        except RunError:
            n_noticed += 1
            continue
        facts = np.concatenate([s.facts for s in found])
        for name in PARTS:
            assert lengths(facts, name).sum(axis=0).tolist() == sizes[name]
    assert 20 < n_noticed < 580


def test_no_damage_moves_fixed_values(tmp_path):
    """Any bit that falls over, in the footer too: one value differs at most, or an error says so."""
    rng = np.random.default_rng(4)
    values = [[rng.bytes(field.type.byte_width) for _ in range(60)] for field in FIXED]
    batch = pa.record_batch([pa.array(v, f.type) for v, f in zip(values, FIXED, strict=True)], schema=FIXED)
    store, ref = write(tmp_path, batch, 25)
    path = tmp_path / "t.parquet"
    good = path.read_bytes()
    footer = len(good) - 8 - int.from_bytes(good[-8:-4], "little")
    pages = rng.integers(0, 8 * footer, 300).tolist()
    n_noticed = 0
    for bit in [*range(8 * footer, 8 * len(good)), *pages]:
        damaged = bytearray(good)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        for field in FIXED:
            try:
                found = [v.tobytes() for octets in fixed_rows(store, ref, field.name) for v in octets]
            except RunError as error:
                n_noticed += "t.parquet can't be read" in str(error)
                continue
            pairs = zip(found, batch[field.name].to_pylist(), strict=True)
            assert sum(a != b for a, b in pairs) <= 1
    assert n_noticed > 100


def test_a_file_with_other_rows_is_an_error(tmp_path):
    store, ref = write(tmp_path, made_up(N))
    for other in (replace(ref, rows=N - 1), replace(ref, rows=N + 1)):
        with pytest.raises(
            RunError, match=rf"t\.parquet can't be read: it must have {other.rows} rows, has {N}"
        ):
            list(stored_rows(store, other, np.arange(3), ["bag"]))
        with pytest.raises(RunError, match=rf"must have {other.rows} rows"):
            list(fixed_rows(store, other, "facts"))


@pytest.mark.parametrize(
    ("sizes", "most", "ends"),
    [([], 5, []), ([9], 5, [1]), ([1, 1, 1], 2, [2, 3]), ([9, 1, 9, 9, 2, 3], 5, [1, 2, 3, 4, 6]),
     ([0] * (BATCH + 1), 5, [BATCH, BATCH + 1]), ([5, 0, 0, 1], 5, [3, 4])],
)  # fmt: skip
def test_batches_end_where_enough_is_in_them(sizes, most, ends):
    assert ends_of_batches(np.array(sizes, np.int64), most) == ends


def test_few_long_articles_are_a_batch(tmp_path, monkeypatch):
    monkeypatch.setattr(index_rows, "_BATCH_BYTES", 300)
    store, ref = write(tmp_path, made_up(N))
    batches = [len(s.facts) for s in stored_rows(store, ref, np.arange(N), ["bag", "rest"])]
    assert sum(batches) == N
    assert max(batches) < N / 4
    assert 1 in batches


@pytest.mark.parametrize("left", [3, 100, 2_000])
def test_a_file_that_ends_too_early_is_an_error(left, tmp_path):
    store, ref = write(tmp_path, made_up(N))
    path = tmp_path / "t.parquet"
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(RunError, match="can't be read"):
        list(stored_rows(store, ref, np.arange(N), ["bag"]))
