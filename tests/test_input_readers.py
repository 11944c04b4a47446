"""Reading each format: the fast parsers against their slow twins, and what damage costs."""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
import zlib

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from collections_on_disk import pack
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline import input_blocks
from pipeline.articles import plan_inputs
from pipeline.config import Config, load_config
from pipeline.errors import InputError
from pipeline.input_csv import CsvRecords, csv_header, read_csv, record_end, records
from pipeline.input_jsonl import JsonLines, read_jsonl, sniff_keys
from pipeline.input_parquet import parquet_parts, read_parquet
from pipeline.input_text import read_texts
from pipeline.inputs import InputFile, expand

CONFIG = Config()
COLUMNS = {"article_id": "article_id", "text": "text", "title": "title"}


def collect(stream) -> tuple[list[dict], list[tuple]]:
    """Rows as (row, fields) and rejects as (row, reason), in order."""
    rows, rejects = [], []
    for part in stream:
        fields = {field: values.to_pylist() for field, values in part.columns.items()}
        rows += [
            {"row": int(row)} | {field: fields[field][i] for field in fields}
            for i, row in enumerate(part.row)
        ]
        rejects += [(reject.row, reject.reason) for reject in part.rejects]
    return rows, rejects


def as_file(path) -> InputFile:
    return expand([str(path)]).files[0]


# JSON lines

GOOD_JSON = st.fixed_dictionaries(
    {"text": st.one_of(st.none(), st.text(max_size=12))},
    optional={"article_id": st.text(max_size=4), "title": st.none(), "other": st.lists(st.integers())},
)
JSON_LINES = st.one_of(
    GOOD_JSON.map(lambda row: json.dumps(row).encode()),
    GOOD_JSON.map(lambda row: json.dumps(row, ensure_ascii=False).encode("utf-8", "surrogatepass")),
    st.sampled_from(
        [
            b"",
            b"  ",
            b"{",
            b"[1]",
            b"null",
            b'{"text": 3}',
            b'{"text": "\xff"}',
            b'{"article_id": 5}',
            b'{"text": "a"}{"text": "b"}',
            b'{"text": "\\ud800"}',
            b'{"text": "a", "text": "b"}',
            b'{"article_id": [1], "text": "a"}',
            b'{"text": "a"} ',
            b'\t{"text":"\\u00e9"}\r',
            b"\x00",
            b'{"text": "a"} null {"text": "b"}',
            b'{"text": "} null"}',
            b'{"title": {}, "text":',
        ]
    ),
)


def json_twin(block: bytes) -> tuple[list[dict], list[tuple]]:
    return collect([JsonLines("f", COLUMNS).slow(block)])


@settings(deadline=None)  # the first block starts Arrow's JSON reader
@given(st.lists(JSON_LINES, max_size=8), st.booleans())
@example([b'{"text": "a"}', b"", b'{"text": "b"}'], True)
def test_jsonl_blocks_by_arrow_are_what_reading_line_by_line_gives(lines, newline_at_end):
    block = b"\n".join(lines) + (b"\n" if newline_at_end else b"")
    fast = JsonLines("f", COLUMNS).fast(block)
    if fast is not None:
        assert collect([fast]) == json_twin(block)
    rows, rejects = json_twin(block)
    assert len(rows) + len(rejects) == sum(bool(line.strip(b" \t\r")) for line in lines)


def test_a_null_between_rows_on_a_line_is_kept_from_arrow_which_would_crash():
    block = b'{"text": "a"}\n{"text": "b"} null {"text": "c"}\n{"text": "d"}\n'
    assert JsonLines("f", COLUMNS).fast(block) is None
    rows, rejects = json_twin(block)
    assert [row["text"] for row in rows] == ["a", "d"]
    assert rejects == [(1, "unreadable_row")]


def test_good_jsonl_takes_the_fast_way():
    lines = [
        json.dumps({"article_id": i, "text": 'é\n"', "x": {"y": [None]}}, ensure_ascii=bool(i % 2))
        for i in range(50)
    ]
    parser = JsonLines("f", COLUMNS)
    block = "\n".join(lines).encode()
    assert parser.fast(block) is None  # ids are numbers: learnt line by line
    parser.slow(block)
    rows, _ = collect([parser.fast(block + b"\n\n")])
    assert [row["row"] for row in rows] == list(range(50, 100))
    assert rows[3]["article_id"] == "3"


def test_jsonl_rejects_lines_not_files(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(
        b'\xef\xbb\xbf{"text": "one"}\n\n{"text": "tw\xff", "article_id": "x"}\n{"text": \n'
        b'"text"\n{"text": ["a"], "article_id": "y"}\n{"text": "last"}'
    )
    rows, rejects = collect(read_jsonl(as_file(path), CONFIG))
    assert [(row["row"], row["text"]) for row in rows] == [(0, "one"), (5, "last")]
    assert rejects == [
        (1, "invalid_utf8"),
        (2, "unreadable_row"),
        (3, "unreadable_row"),
        (4, "unreadable_row"),
    ]


def test_not_a_number_is_no_value(tmp_path):
    """As pandas writes and keeps what is missing: such articles would all have one id."""
    lines = tmp_path / "a.jsonl"
    lines.write_bytes(
        b'{"article_id": NaN, "text": "one"}\n{"article_id": 2, "text": NaN}\n{"text": "three"}'
    )
    rows, rejects = collect(read_jsonl(as_file(lines), CONFIG))
    assert [(row["article_id"], row["text"]) for row in rows] == [(None, "one"), ("2", None), (None, "three")]
    assert rejects == []
    table = pa.table({"article_id": [math.nan, 2.0, None], "text": ["one", "two", "three"]})
    pq.write_table(table, tmp_path / "a.parquet")
    rows, _ = read_all(tmp_path / "a.parquet")
    assert [row["article_id"] for row in rows] == [None, "2", None]


def test_sniff_keys(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'broken\n{"b": 1}\n{"a": 1, "b": 2}\n[3]\n')
    assert sniff_keys(as_file(path)) == ["b", "a"]
    path.write_bytes(b"broken")
    assert sniff_keys(as_file(path)) is None


# CSV

FIELD = st.text(st.sampled_from('ab ,"\n\r\té'), max_size=6)
CSV_PIECES = st.lists(
    st.sampled_from(["a", "é", ",", '"', '""', "\n", "\r\n", "\r", '","', '"\n', '\n"', "x\xffy"]),
    max_size=30,
).map("".join)


def csv_twin(data: bytes) -> tuple[list[dict], list[tuple]]:
    parser = CsvRecords("f", COLUMNS)
    parser._take_header(["article_id", "text"])
    return collect([parser.slow(data, True, False)[0]])


def csv_fast(data: bytes):
    parser = CsvRecords("f", COLUMNS)
    parser._take_header(["article_id", "text"])
    return parser.fast(data) if record_end(data, True) == len(data) else None


@given(CSV_PIECES.map(lambda text: text.encode("latin-1" if "\xff" in text else "utf-8")))
@example(b'1,"a\n2,"b"\n')
@example(b'"a","b"')
@example(b'"a","b')
def test_csv_blocks_by_arrow_are_what_reading_record_by_record_gives(data):
    fast = csv_fast(data)
    if fast is not None:
        assert collect([fast]) == csv_twin(data)


@given(st.lists(st.tuples(FIELD, FIELD), max_size=8), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_csv_written_by_the_standard_library_is_read_back(rows, newline, quote_all):
    if not quote_all:  # the writer doesn't quote a lone carriage return
        rows = [(a.replace("\r", ""), b.replace("\r", "")) for a, b in rows]
    out = io.StringIO()
    quoting = csv.QUOTE_ALL if quote_all else csv.QUOTE_MINIMAL
    csv.writer(out, lineterminator=newline, quoting=quoting).writerows([("article_id", "text"), *rows])
    data = out.getvalue().encode()
    body = data[data.index(b"\n") + 1 :]
    want = ([{"row": i, "article_id": a, "text": b} for i, (a, b) in enumerate(rows)], [])
    assert csv_twin(body) == want
    fast = csv_fast(body)
    if fast is None:
        assert not rows or b"\r" in body.replace(b"\r\n", b"")
    else:
        assert collect([fast]) == want


def whole_records(data: bytes) -> list[list[str] | None]:
    """Records, None for the broken ones: what is wrong with them may be told otherwise in a shorter text."""
    return [fields if isinstance(fields, list) else None for fields, _, _ in records(data, True, False)]


@example([("\r", "\n"), ("", ",a")], 6)
@given(st.lists(st.tuples(FIELD, FIELD), max_size=8), st.integers(0, 200))
def test_csv_is_cut_at_a_record(rows, cut):
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    data = out.getvalue().encode()
    head = data[:cut]
    end = record_end(head, False)
    if end is not None:
        assert end <= len(head)
        assert whole_records(data) == whole_records(head[:end]) + whole_records(data[end:])


def test_csv_rejects_records_not_files(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(
        b'\xef\xbb\xbfarticle_id,text,url\n1,one,u\n\n2,"tw\no",u\n3,three\n4,"stray,u\n5,five,u\n'
        b'6,"si"x,u\n7,se\xffven,u\n8,5" disk,u\n9,"last",u'
    )
    rows, rejects = collect(read_csv(as_file(path), CONFIG))
    assert [(row["row"], row["text"]) for row in rows] == [
        (0, "one"),
        (1, "tw\no"),
        (4, "five"),
        (7, '5" disk'),
        (8, "last"),
    ]
    assert rejects == [
        (2, "unreadable_row"),
        (3, "unreadable_row"),
        (5, "unreadable_row"),
        (6, "invalid_utf8"),
    ]


def test_csv_of_another_encoding_is_told_by_its_byte(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes("article_id,text\n1,café\n".encode("latin-1"))
    [rows] = read_csv(as_file(path), CONFIG)
    [reject] = rows.rejects
    assert (reject.reason, "byte 0xe9" in reject.detail) == ("invalid_utf8", True)


def test_csv_quote_never_closed_costs_one_line(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b'article_id,text\n1,one\n2,"two\n' + b"".join(b"%d,x\n" % i for i in range(3, 100)))
    rows, rejects = collect(read_csv(as_file(path), CONFIG))
    assert [row["article_id"] for row in rows] == ["1", *map(str, range(3, 100))]
    assert rejects == [(1, "unreadable_row")]


def test_csv_header(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b'\n"a\nb",c\r\n1,2\n')
    assert csv_header(as_file(path)) == ["a\nb", "c"]
    path.write_bytes(b"")
    assert csv_header(as_file(path)) is None
    assert collect(read_csv(as_file(path), CONFIG)) == ([], [(None, "unreadable_file")])
    path.write_bytes(b"a,b\n1,2\n")
    with pytest.raises(
        InputError, match=r"columns\.text: must name a column of a\.csv, 'text' is none of a, b"
    ):
        list(read_csv(as_file(path), CONFIG))


# Both, as streams


@pytest.mark.parametrize("ending", ["jsonl", "csv"])
@pytest.mark.parametrize("block", [1, 2, 7, 64, 1 << 20])
def test_blocks_of_any_size_give_the_same_rows(tmp_path, monkeypatch, ending, block):
    texts = ["one", "two\nlines", 'quo"te', "ünïcödé" * 9, "", "x,y"] * 4
    path = tmp_path / f"a.{ending}.gz"
    if ending == "jsonl":
        data = b"".join(json.dumps({"text": text}).encode() + b"\n" for text in texts) + b"{broken\n"
    else:
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerows(
            [["text", "title"], *([t, "t"] for t in texts), ["broken"]]
        )
        data = out.getvalue().encode()
    path.write_bytes(pack(path.name, data))
    monkeypatch.setattr(input_blocks, "BLOCK_BYTES", block)
    rows, rejects = collect((read_jsonl if ending == "jsonl" else read_csv)(as_file(path), CONFIG))
    assert [(row["row"], row["text"]) for row in rows] == list(enumerate(texts))
    assert rejects == [(len(texts), "unreadable_row")]


@pytest.mark.parametrize("block", [8, 1 << 20])
def test_a_line_longer_than_any_row_is_rejected_alone(tmp_path, monkeypatch, block):
    monkeypatch.setattr(input_blocks, "_FLOOR_ROW_BYTES", 64)
    monkeypatch.setattr(input_blocks, "BLOCK_BYTES", block)
    config = load_config(None, ["max_text_bytes=1000"])
    long = b"y" * 20_000
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": "a"}\n{"text": "' + long + b'"}\n{"text": "b"}\n')
    rows, rejects = collect(read_jsonl(as_file(path), config))
    if block == 8:
        assert ([row["text"] for row in rows], rejects) == (["a", "b"], [(1, "text_too_large")])
    path = tmp_path / "a.csv"
    path.write_bytes(b"text\na\n" + long + b'\nb\n"never closed\n' + b"c\n" * 9000 + b"d")
    rows, rejects = collect(read_csv(as_file(path), config))
    if block == 8:
        assert [row["text"] for row in rows] == ["a", "b", *"c" * 9000, "d"]
        assert rejects == [(1, "text_too_large"), (3, "unreadable_row")]


def test_a_damaged_archive_keeps_what_was_read(tmp_path):
    data = b"".join(json.dumps({"text": f"{i} {i * 7919 % 104729}"}).encode() + b"\n" for i in range(200_000))
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(data)[:-1000])
    rows, rejects = collect(read_jsonl(as_file(path), CONFIG))
    assert 100_000 < len(rows) < 200_000
    assert rejects == [(None, "unreadable_file")]
    path.write_bytes(b"no gzip")
    assert collect(read_jsonl(as_file(path), CONFIG)) == ([], [(None, "unreadable_file")])


@pytest.mark.parametrize("n_rows", [40, 5000, 200_000])
@pytest.mark.parametrize("ending", ["gz", "zst"])
@pytest.mark.parametrize(("kind", "read"), [("jsonl", read_jsonl), ("csv", read_csv)])
def test_every_whole_row_before_the_damage_is_read(tmp_path, n_rows, ending, kind, read):
    """What zlib can decode of the same bytes is the oracle."""
    lines = [json.dumps({"text": f"{i} {i * 7919 % 104729}"}).encode() for i in range(n_rows)]
    if kind == "csv":
        lines = [b"text", *(b'"' + b"%d %d" % (i, i * 7919 % 104729) + b'"' for i in range(n_rows))]
    path = tmp_path / f"a.{kind}.{ending}"
    packed = pack(path.name, b"\n".join(lines) + b"\n")
    packed = packed[: len(packed) * 3 // 4]
    path.write_bytes(packed)
    parts = list(read(as_file(path), CONFIG))
    n_read = sum(len(part.row) for part in parts)
    [reject] = [reject for part in parts for reject in part.rejects]
    assert (reject.row, reject.reason) == (None, "unreadable_file")
    assert reject.detail.startswith(f"after {n_read:,} rows: ")
    if ending == "gz":
        assert n_read == zlib.decompressobj(31).decompress(packed).count(b"\n") - (kind == "csv")
        assert n_read > n_rows / 2
    else:  # zstd decodes blocks of 128 KB as a whole
        assert n_read > n_rows * 3 / 4 - 10_000


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize(("name", "text", "read"), [
    ("a.csv", "text\nWorte\n", read_csv), ("a.jsonl", '{"text": "Worte"}\n', read_jsonl),
    ("a.csv.gz", "text\nWorte\n", read_csv),
])  # fmt: skip
def test_utf16_is_named(tmp_path, encoding, name, text, read):
    (tmp_path / name).write_bytes(pack(name, text.encode(encoding)))
    file = as_file(tmp_path / name)
    assert (csv_header(file) if read is read_csv else sniff_keys(file)) is None
    [rows] = read(file, CONFIG)
    [reject] = rows.rejects
    assert (reject.row, reject.reason) == (None, "unreadable_file")
    assert reject.detail == "after 0 rows: looks like UTF-16, must be UTF-8"


def test_a_text_in_utf16_is_named(tmp_path):
    (tmp_path / "a.txt").write_bytes("Österreich".encode("utf-16"))
    [rows] = read_texts([as_file(tmp_path / "a.txt")], CONFIG)
    assert [(r.reason, r.detail) for r in rows.rejects] == [
        ("invalid_utf8", "looks like UTF-16, must be UTF-8")
    ]


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_another_separator_is_suspected(tmp_path, separator):
    (tmp_path / "a.csv").write_text(f"article_id{separator}text\n1{separator}words\n")
    with pytest.raises(InputError) as caught:
        list(read_csv(as_file(tmp_path / "a.csv"), CONFIG))
    assert str(caught.value).endswith(f"; is the separator {separator!r}? Only commas are read")


# Parquet and plain text


def read_all(path) -> tuple[list[dict], list[tuple]]:
    return collect(rows for part in parquet_parts(as_file(path)) for rows in read_parquet(part, CONFIG))


@pytest.mark.parametrize(
    "kind",
    [
        pa.string(),
        pa.large_string(),
        pa.string_view(),
        pa.binary(),
        pa.large_binary(),
        pa.dictionary(pa.int32(), pa.string()),
    ],
)
def test_parquet_texts_of_any_type(tmp_path, kind):
    path = tmp_path / "a.parquet"
    texts = ["one", None, "zwei é", "", "one"]
    values = [None if t is None else t.encode() for t in texts] if "binary" in str(kind) else texts
    pq.write_table(
        pa.table({"text": pa.array(values, kind), "article_id": [5, 6, None, 8, 9]}), path, row_group_size=2
    )
    rows, rejects = read_all(path)
    assert rejects == []
    assert [(r["row"], r["text"], r["article_id"]) for r in rows] == list(
        zip(range(5), texts, ["5", "6", None, "8", "9"], strict=True)
    )


def test_parquet_with_two_columns_of_a_mapped_name_is_refused(tmp_path):
    table = pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["text", "text"])
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"must name one column of a\.parquet, 'text' is the name of 2"):
        plan_inputs([str(tmp_path / "a.parquet")], CONFIG)


def test_parquet_rejects_rows_with_bytes_that_are_no_text(tmp_path):
    path = tmp_path / "a.parquet"
    raw = pa.array([b"one", b"tw\xff", None, b"four"])
    broken = pa.Array.from_buffers(pa.string(), 4, raw.buffers())
    pq.write_table(pa.table({"article_id": ["a", "b", "c", "d"], "text": broken}), path)
    rows, rejects = read_all(path)
    assert [(r["row"], r["text"]) for r in rows] == [(0, "one"), (2, None), (3, "four")]
    assert rejects == [(1, "invalid_utf8")]


def test_parquet_damaged_row_group_loses_its_rows_only(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(
        pa.table({"text": [f"text {i}" * 20 for i in range(30)]}),
        path,
        row_group_size=10,
        compression="zstd",
        use_dictionary=False,
    )
    metadata = pq.read_metadata(path)
    data = bytearray(path.read_bytes())
    column = metadata.row_group(1).column(0)
    begin = column.data_page_offset
    data[begin : begin + column.total_compressed_size] = b"\xff" * column.total_compressed_size
    path.write_bytes(data)
    rows, rejects = read_all(path)
    assert [r["row"] for r in rows] == [*range(10), *range(20, 30)]
    assert rejects == [(i, "unreadable_row_group") for i in range(10, 20)]


def test_parquet_that_is_none_is_one_reject(tmp_path):
    path = tmp_path / "a.parquet"
    path.write_bytes(b"PAR1 no")
    assert read_all(path) == ([], [(None, "unreadable_file")])


def test_text_files(tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfone")
    (tmp_path / "b.txt.gz").write_bytes(pack("b.gz", b"two"))
    (tmp_path / "c.txt").write_bytes(b"\xff")
    (tmp_path / "d.txt").write_bytes(b"x" * 1001)
    (tmp_path / "e.txt.zst").write_bytes(b"no zstd")
    (tmp_path / "f.txt").write_bytes(b"")
    monkeypatch.setattr("pipeline.input_text.BATCH_ROWS", 2)
    config = load_config(None, ["max_text_bytes=1000"])
    rows, rejects = collect(read_texts(expand([str(tmp_path)]).files, config))
    assert [row["text"] for row in rows] == ["one", "two", ""]
    assert rejects == [(0, "invalid_utf8"), (0, "text_too_large"), (None, "unreadable_file")]
