"""Stage "articles": every input row is accepted or rejected, in an order that depends on the input alone."""

from __future__ import annotations

import itertools
import json
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from collections_on_disk import FORMATS, as_csv, pack, write_rows
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import articles, inputs
from pipeline.config import Config, load_config
from pipeline.errors import InputError
from pipeline.schema import ARTICLE_SHARD, REJECTED, TEXT_SHARD
from pipeline.tables import read_batches, read_ipc

CONFIG = load_config(None, ["max_text_bytes=1000"])


@dataclass
class Read:
    """A collection that went through the stage."""

    result: articles.ArticlesResult
    articles: list[dict]
    rejected: list[dict]

    @property
    def ids(self) -> list[str]:
        return [row["article_id"] for row in self.articles]

    @property
    def reasons(self) -> dict[str, str]:
        return {
            row["article_id"] or f"{row['input_file']}:{row['row']}": row["reason"] for row in self.rejected
        }


def read(paths, work, config: Config = CONFIG) -> Read:
    units = articles.plan_inputs([str(path) for path in paths], config)
    result = articles.number([articles.read_unit(unit, config, work) for unit in units], config, work)
    rows = []
    for shard, texts in zip(result.shards.articles, result.shards.texts, strict=True):
        shard.verify()
        texts.verify()
        table, bodies = read_ipc(shard.path), read_ipc(texts.path)
        assert table.schema.equals(ARTICLE_SHARD)
        assert bodies.schema.equals(TEXT_SHARD)
        assert table.num_rows == shard.rows == bodies.num_rows == texts.rows
        sizes = [[batch.num_rows for batch in read_batches(ref.path)] for ref in (shard, texts)]
        assert sizes[0] == sizes[1]
        rows += table.append_column("text", bodies["text"]).to_pylist()
    assert read_ipc(result.rejected.path).schema.equals(REJECTED)
    return Read(result, rows, read_ipc(result.rejected.path).to_pylist())


# One row for each reason; the file's second row of an id is its duplicate.
EVERY_REASON = [
    {"article_id": "good", "title": "T", "text": "A text."},
    {"article_id": "empty", "text": ""},
    {"article_id": "blank", "text": " \t\u3000\n"},
    {"article_id": "marks", "text": "... \u2014 !?"},
    {"article_id": "long", "text": "x" * 1001},
    {"article_id": "good", "text": "Another text."},
    {"article_id": "limit", "text": "y" * 1000},
    {"article_id": "han", "text": "\u65b0\u805e"},
]
REASONS = {
    "empty": "empty_text",
    "blank": "empty_text",
    "marks": "no_token",
    "long": "text_too_large",
    "good": "duplicate_id",
}


@pytest.mark.parametrize("ending", FORMATS)
def test_each_reason_in_each_format(tmp_path, ending):
    path = write_rows(tmp_path / "in" / f"a.{ending}", EVERY_REASON)
    found = read([path], tmp_path / "work")
    assert found.ids == ["good", "limit", "han"]
    assert found.reasons == REASONS
    assert (
        found.articles[0] | {"text": "A text.", "title": "T", "source": None, "url": None}
        == found.articles[0]
    )
    assert [row["row"] for row in found.rejected] == [1, 2, 3, 4, 5]
    assert found.rejected[-1]["detail"] == f"first in a.{ending} row 0"
    assert found.result.n_rejected_by_reason == dict(sorted(Counter(REASONS.values()).items()))


def test_missing_text_is_not_empty_text(tmp_path):
    path = write_rows(tmp_path / "a.jsonl", [{"text": None}, {"title": "x"}, {"text": "ok"}, {"text": ""}])
    assert read([path], tmp_path / "work").reasons == {
        "a.jsonl#0": "missing_text",
        "a.jsonl#1": "missing_text",
        "a.jsonl#3": "empty_text",
    }


def test_id_from_url_else_from_file_and_row(tmp_path):
    rows = [
        {"text": "a", "url": "http://x/1", "article_id": "mine"},
        {"text": "b", "url": "http://x/2"},
        {"text": "c", "url": None},
        {"text": "d", "url": "", "article_id": ""},
    ]
    write_rows(tmp_path / "in" / "sub" / "a.jsonl", rows)
    (tmp_path / "in" / "b.txt").write_text("e")
    found = read([tmp_path / "in"], tmp_path / "work")
    assert found.ids == ["b.txt#0", "mine", "http://x/2", "sub/a.jsonl#2", "sub/a.jsonl#3"]


def test_columns_are_mapped_and_may_be_left_out(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(
        pa.table(
            {
                "id": [7, 8],
                "body": ["one", "two"],
                "when": ["16-MAR-1987 08:57:53.18", "soon"],
                "site": ["s", None],
            }
        ),
        path,
    )
    mapping = [
        "columns.text=body",
        "columns.article_id=id",
        "columns.published_at=when",
        "columns.source=site",
    ]
    found = read([path], tmp_path / "work", load_config(None, mapping))
    assert found.ids == ["7", "8"]
    assert [row["source"] for row in found.articles] == ["s", None]
    assert str(found.articles[0]["published_at"]) == "1987-03-16 08:57:53.180000+00:00"
    assert found.result.n_bad_dates == 1
    found = read([path], tmp_path / "work", load_config(None, [*mapping, "columns.article_id="]))
    assert found.ids == ["a.parquet#0", "a.parquet#1"]


def test_one_column_may_serve_two_fields(tmp_path):
    for ending in ("parquet", "csv", "jsonl"):
        path = write_rows(tmp_path / f"a.{ending}", [{"article_id": "x", "text": "b", "title": "t"}])
        found = read([path], tmp_path / "work", load_config(None, ["columns.source=title"]))
        assert (found.articles[0]["source"], found.articles[0]["title"]) == ("t", "t")


@pytest.mark.parametrize("ending", ["parquet", "csv", "jsonl"])
def test_missing_columns_refuse_the_run_and_name_what_is_there(tmp_path, ending):
    path = write_rows(tmp_path / f"a.{ending}", [{"article_id": "x", "title": "t", "text": "b"}])
    for key, rest in (("text", f"a column of a.{ending}"), ("source", "a column of the input")):
        with pytest.raises(InputError) as caught:
            articles.plan_inputs([str(path)], load_config(None, [f"columns.{key}=body"]))
        assert f"columns.{key}: must name {rest}, 'body' is none of article_id, title, text" in str(
            caught.value
        )


def test_a_name_that_two_columns_have_is_refused(tmp_path):
    (tmp_path / "a.csv").write_text("text,title,text,note,note\na,b,c,d,e\n")
    with pytest.raises(
        InputError, match=r"columns\.text: must name one column of a\.csv, 'text' is the name of 2"
    ):
        articles.plan_inputs([str(tmp_path / "a.csv")], CONFIG)
    found = read([tmp_path / "a.csv"], tmp_path / "work", load_config(None, ["columns.text=title"]))
    assert [row["text"] for row in found.articles] == ["b"]


def test_columns_that_cannot_be_text(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": [1, 2]}), path)
    with pytest.raises(
        InputError, match=r"columns\.text: must name a column of text, 'text' of a\.parquet is int"
    ):
        articles.plan_inputs([str(path)], CONFIG)
    pq.write_table(pa.table({"text": ["a"], "title": [["b"]]}), path)
    with pytest.raises(InputError, match=r"columns\.title: .* is list"):
        articles.plan_inputs([str(path)], CONFIG)


def test_unreadable_files_are_counted_and_the_others_go_on(tmp_path):
    write_rows(tmp_path / "in" / "b.jsonl", [{"text": "fine"}])
    for name in ("a.parquet", "c.jsonl.gz", "d.csv", "e.txt.zst"):
        (tmp_path / "in" / name).write_bytes(b"" if name == "d.csv" else b"\x00broken")
    found = read([tmp_path / "in"], tmp_path / "work")
    assert found.ids == ["b.jsonl#0"]
    assert [(r["input_file"], r["row"], r["reason"]) for r in found.rejected] == [
        (name, None, "unreadable_file") for name in ("a.parquet", "c.jsonl.gz", "d.csv", "e.txt.zst")
    ]
    result = found.result
    assert (result.n_files, result.n_unreadable_files, result.n_input_rows) == (5, 4, 5)
    [unit] = articles.plan_inputs([str(tmp_path / "in")], CONFIG)
    assert articles.read_unit(unit, CONFIG, tmp_path / "work").n_rows_read == 1


def test_nothing_accepted(tmp_path):
    path = write_rows(tmp_path / "a.jsonl", [{"text": ""}, {"text": "?"}])
    rule = "at least one article must be accepted, none was: empty_text 1, no_token 1"
    with pytest.raises(InputError, match=rf"{rule} \(first: a.jsonl"):
        read([path], tmp_path / "work")
    path.write_text("\n")
    with pytest.raises(InputError, match="none was: there are no rows"):
        read([path], tmp_path / "work")


def test_repeated_ids_keep_the_first_and_rewrite_only_their_shards(tmp_path, monkeypatch):
    monkeypatch.setattr(articles, "SHARD_BYTES", 40)
    monkeypatch.setattr(inputs, "MIN_UNIT_BYTES", 1)
    monkeypatch.setattr(articles, "BATCH_ROWS", 2)
    rows = [{"article_id": f"{name}{i}", "text": "ten bytes!"} for name in "abcd" for i in range(5)]
    rows[16] = dict(rows[2])
    for part in range(4):
        write_rows(tmp_path / "in" / f"{part}.jsonl", rows[part * 5 : part * 5 + 5])
    found = read([tmp_path / "in"], tmp_path / "work")
    assert found.ids == [row["article_id"] for i, row in enumerate(rows) if i != 16]
    assert [(r["input_file"], r["row"], r["article_id"], r["detail"]) for r in found.rejected] == [
        ("3.jsonl", 1, "a2", "first in 0.jsonl row 2")
    ]
    for refs in (found.result.shards.articles, found.result.shards.texts):
        assert ["distinct" in ref.path for ref in refs].count(True) == 1
    assert len(found.result.shards.articles) > 4


def test_batches_and_shards_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(articles, "SHARD_BYTES", 3_000)
    monkeypatch.setattr(articles, "BATCH_BYTES", 900)
    rows = [{"text": "w" * (100 + 7 * i % 900)} for i in range(300)]
    found = read([write_rows(tmp_path / "a.jsonl", rows)], tmp_path / "work")
    assert [row["text"] for row in found.articles] == [row["text"] for row in rows]
    for texts in found.result.shards.texts:
        sizes = [
            [len(text) for text in batch.column("text").to_pylist()] for batch in read_batches(texts.path)
        ]
        assert all(sum(batch) <= 900 or len(batch) == 1 for batch in sizes)
        assert sum(map(sum, sizes)) <= 3_000
    assert found.result.text_bytes == sum(len(row["text"]) for row in rows)


ROWS = st.fixed_dictionaries(
    {
        "article_id": st.sampled_from([None, "a", "b", "c", "d", "\u00e9"]),
        "title": st.sampled_from([None, "A, title", 'say "so"']),
        "text": st.sampled_from(
            [None, "", " ", "?!", "one", "two\nlines", 'quo"te, comma', "z" * 1001, "\u65b0\u805e"]
        ),
    }
)
BROKEN = {
    "jsonl": [b"{\n", b'{"text": "\xff"}\n', b"[]\n", b'{"text": {}}\n'],
    "csv": [b"one\n", b'a,b,"x"y\n', b"a,b,\xff\n", b"1,2,3,4\n"],
}
FILES = st.lists(
    st.tuples(st.sampled_from(FORMATS), st.lists(st.one_of(ROWS, st.integers(0, 3)), max_size=7)),
    min_size=1,
    max_size=4,
)


@settings(deadline=None, max_examples=60)
@given(FILES, st.randoms(use_true_random=False))
def test_any_mixture_of_rows_ends_in_one_of_two_tables_whatever_the_order_of_paths(files, random):
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        paths, expected = [], 0
        for number, (ending, rows) in enumerate(files):
            rows = [{"article_id": f"first{number}", "title": None, "text": "there is one"}, *rows]
            paths.append(write_mixture(root / "in" / f"{number}.{ending}", rows))
            expected += len(rows) if "parquet" not in ending else sum(isinstance(r, dict) for r in rows)
        found = read(paths, root / "work")
        assert len(found.articles) + len(found.rejected) == found.result.n_input_rows == expected
        assert found.result.n_accepted == len(found.articles) == len(set(found.ids))
        places = [(row["input_file"], row["row"]) for row in found.rejected]
        assert places == sorted(places)
        assert len(set(places)) == len(places)
        shuffled = random.sample(paths, len(paths)) + paths[:1]
        again = read(shuffled, root / "work2")
        assert (again.articles, again.rejected) == (found.articles, found.rejected)
        digests = [
            [ref.digest for ref in (*one.result.shards.articles, *one.result.shards.texts)]
            for one in (again, found)
        ]
        assert digests[0] == digests[1]


def write_mixture(path: Path, rows: list) -> Path:
    """Rows are dicts, or numbers of broken lines."""
    kind = path.name.split(".")[1].replace("ndjson", "jsonl")
    good = [row for row in rows if isinstance(row, dict)]
    if kind == "parquet":
        return write_rows(path, good)
    lines = []
    for row in rows:
        if not isinstance(row, dict):
            lines.append(BROKEN[kind][row])
        elif kind == "jsonl":
            lines.append(json.dumps(row).encode() + b"\n")
        else:
            lines.append(as_csv([row]).split(b"\n", 1)[1])
    header = b"article_id,title,text\n" if kind == "csv" else b""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pack(path.name, header + b"".join(lines)))
    return path


def test_number_of_units_does_not_change_the_articles(tmp_path, monkeypatch):
    rows = [{"article_id": f"a{i % 70}", "text": f"text {i}" if i % 9 else ""} for i in range(100)]
    for part in range(10):
        write_rows(tmp_path / "in" / f"{part}.parquet", rows[part * 10 : part * 10 + 10])
    one = read([tmp_path / "in"], tmp_path / "work")
    monkeypatch.setattr(inputs, "MIN_UNIT_BYTES", 1)
    assert len(articles.plan_inputs([str(tmp_path / "in")], CONFIG)) == inputs.MAX_UNITS
    many = read([tmp_path / "in"], tmp_path / "work2")
    assert (one.articles, one.rejected) == (many.articles, many.rejected)


def test_permutations_of_inputs(tmp_path):
    paths = [write_rows(tmp_path / f"{n}.jsonl", [{"article_id": "same", "text": n}]) for n in "abc"]
    found = {json.dumps(read(order, tmp_path / "work").articles) for order in itertools.permutations(paths)}
    assert len(found) == 1
    assert '"text": "a"' in found.pop()
