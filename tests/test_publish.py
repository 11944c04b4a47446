"""Stage "publish": wrong tables never become current, and a kill at any point leaves the previous run."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline import articles, manifest, publish, reread, table_checks
from pipeline.candidate_recall import Recall
from pipeline.candidates import BandPairs, Bucket
from pipeline.config import Config
from pipeline.confirm import JUDGED
from pipeline.errors import RunError
from pipeline.executor import StageReport
from pipeline.schema import MANIFEST_KEYS, TABLES
from pipeline.shards import ShardGroup
from pipeline.tables import Ref, file_digest, write_ipc, write_parquet

CONFIG = Config()
REPORTS = (StageReport("read", 2, 4, 0.5, 1000), StageReport("number", 1, 3, 0.0, 2000))
RECALL = Recall(0.9, 1)


@dataclass(frozen=True)
class Staged:
    accepted: articles.ArticlesResult
    bands: tuple[BandPairs, ...]
    pairs: Ref
    planned: None = None


@dataclass
class Run:
    """A small finished run: a, b are one cluster, c is alone, one row was rejected."""

    output: Path
    run_id: str
    units: list
    staged: Staged
    judged: tuple[Ref, ...]
    tables: dict[str, Ref]

    def check(self) -> dict[str, table_checks.CheckedTable]:
        names = ("texts", "repeated_sections", "rejected")
        others, clustered = (
            {name: ref for name, ref in self.tables.items() if (name in names) is is_apart}
            for is_apart in (True, False)
        )
        shards = self.staged.accepted.shards.articles
        texts = Path(self.tables["texts"].path)
        chosen = [
            reread.choose(ShardGroup(i, 0, shards), texts, np.array(rows), texts.parent.parent)
            for i, rows in enumerate(([2], [0, 1]))
        ]
        apart = table_checks.check_texts(others, shards, chosen)
        return apart | table_checks.check(clustered, shards, "r")

    def publish(self, checked: dict[str, table_checks.CheckedTable] | None = None) -> Path:
        tables = self.check() if checked is None else checked
        return publish.publish(
            self.output, self.run_id, CONFIG, self.units, self.staged, self.judged, RECALL, tables, REPORTS,
            2.5,
        )  # fmt: skip

    def change(self, table: str, **columns: list) -> None:
        """Write a table again with other values in some columns."""
        rows = pq.read_table(self.tables[table].path).to_pydict() | columns
        self.tables[table] = write(Path(self.tables[table].path).parent, table, rows)


def write(folder: Path, name: str, rows: dict) -> Ref:
    table = pa.table(rows, schema=TABLES[name]) if rows else TABLES[name].empty_table()
    return write_parquet(folder / f"{name}.parquet", TABLES[name], table)


def make(output: Path, run_id: str = "one") -> Run:
    source = output.parent / "in.jsonl"
    source.write_text(
        "".join(
            json.dumps({"article_id": i, "text": t}) + "\n"
            for i, t in (("a", "one t\u00e9xt"), ("b", "one text"), ("c", "two"), ("d", ""))
        )
    )
    publish.check_output(output)
    units = articles.plan_inputs([str(source)], CONFIG)
    work = output / ".work" / run_id
    accepted = articles.number([articles.read_unit(unit, CONFIG, work) for unit in units], CONFIG, work)
    none, three = [None, None], [None, None, None]
    scores = (
        "cosine",
        "cosine_bigrams",
        "cosine_names",
        "cosine_numbers",
        "jaccard",
        "containment_l_in_r",
        "containment_r_in_l",
        "probability",
    )
    rows = {
        "articles": {
            "article_id": ["a", "b", "c"],
            "source": three,
            "url": three,
            "title": three,
            "published_at": three,
            "text_hash": ["1", "2", "3"],
            "n_tokens": [2, 2, 1],
            "n_furniture_tokens": [0, 0, 0],
            "cluster_id": ["A", "A", "C"],
            "version_of": three,
            "earlier_run_id": three,
        },
        "clusters": {
            "cluster_id": ["A"],
            "n_articles": [2],
            "n_sources": [0],
            "representative_id": ["b"],
            "title": none[:1],
            "first_published_at": none[:1],
            "last_published_at": none[:1],
            "min_probability": [0.9],
            "mean_cosine": [0.5],
            "relations": [["respun"]],
        },
        "cluster_members": {
            "cluster_id": ["A", "A", "C"],
            "article_id": ["a", "b", "c"],
            "is_representative": [False, True, True],
            "relation": ["respun", None, None],
            "probability": [0.9, None, None],
            "cosine": [0.5, None, None],
            "jaccard": [0.1, None, None],
            "cluster_size": [2, 2, 1],
        },
        "confirmed_pairs": {
            "article_id_l": ["a"],
            "article_id_r": ["b"],
            "relation": ["respun"],
            "found_by": ["both"],
        }
        | {name: [0.5] for name in scores},
        "repeated_sections": {
            "article_id": ["a", "a"],
            "group_id": ["g", "g"],
            "occurrence": [0, 1],
            "level": ["paragraph"] * 2,
            "begin": [0, 4],
            "end": [3, 8],
            "n_tokens": [1, 1],
            "relation": ["exact", "exact"],
            "cosine": [1.0, 1.0],
            "jaccard": [1.0, 1.0],
        },
        "rejected": {
            "input_file": ["in.jsonl"],
            "row": [3],
            "article_id": ["d"],
            "reason": ["empty_text"],
            "detail": [None],
        },
        "texts": {
            "article_id": ["a", "b", "c"],
            "title": three,
            "text": ["one t\u00e9xt", "one text", "two"],
        },
    }
    tables = {name: write(work / "tables", name, columns) for name, columns in rows.items()}
    judged = tuple(write_judged(work / f"judged-{n}.arrow", p) for n, p in enumerate(([0.9, 0.0], [0.2])))
    pairs = Ref("pairs.arrow", 3, 0, "")
    bands = (BandPairs(pairs, 4, 0, 0, 2, ()), BandPairs(pairs, 3, 33, 1, 9, (Bucket(9, 5, "respun", 1),)))
    return Run(output, run_id, units, Staged(accepted, bands, pairs), judged, tables)


def write_judged(path: Path, probability: list[float]) -> Ref:
    zeros = {field.name: pa.array([0] * len(probability)).cast(field.type) for field in JUDGED}
    rows = pa.record_batch(zeros | {"probability": pa.array(probability)}, schema=JUDGED)
    return write_ipc(path, JUDGED, [rows])


@pytest.fixture
def run(tmp_path) -> Run:
    return make(tmp_path / "out")


def test_a_run_becomes_current_with_its_tables_and_manifest(run):
    folder = run.publish()
    assert folder == run.output / "runs" / "one" == publish.current_run(run.output)
    assert json.loads((run.output / "latest.json").read_text()) == {"run_id": "one", "path": "runs/one"}
    tables = {f"{name}.parquet" for name in run.tables}
    assert {path.name for path in folder.iterdir()} == tables | {"manifest.json", "report.html"}
    found = json.loads((folder / "manifest.json").read_text())
    assert found["run_id"] == "one"
    assert found["config"] == CONFIG.model_dump()
    assert found["config_fingerprint"] == CONFIG.fingerprint()
    counts = found["counts"]
    assert counts["n_input"] == counts["n_accepted"] + counts["n_rejected"] == 4
    assert counts["n_rejected_by_reason"] == {"empty_text": 1}
    assert (counts["n_clusters"], counts["n_files"], counts["n_unreadable_dates"]) == (1, 1, 0)
    # Of the three candidates one was confirmed, one screened.
    assert (counts["n_candidate_pairs"], counts["n_screened_pairs"], counts["n_confirmed_pairs"]) == (3, 1, 1)
    assert (counts["n_collisions"], counts["n_oversized_buckets"], counts["largest_bucket"]) == (7, 1, 9)
    assert counts["candidate_pairs_per_article"] == 1.0
    assert (counts["candidate_recall"], counts["n_recall_sample"], counts["n_passed_over"]) == (0.9, 1, 33)
    assert found["oversized_buckets"] == [{"n_articles": 9, "view": "respun", "band": 5, "article_id": "b"}]
    named = [key for key in found if key != "counts"] + [f"counts.{key}" for key in counts]
    assert sorted(named) == sorted(MANIFEST_KEYS)
    assert [(s["stage"], s["rows_per_second"]) for s in found["stages"]] == [("read", 8.0), ("number", 0.0)]
    assert found["peak_rss_bytes"] > 2000
    assert 0 < found["threshold"] < 1
    assert found["versions"].keys() >= {"respun", "python", "numpy", "pyarrow", "scikit-learn", "datasketch"}
    assert found["tables"]["texts"] == {
        "rows": 3,
        "bytes": (folder / "texts.parquet").stat().st_size,
        "sha256": hashlib.sha256((folder / "texts.parquet").read_bytes()).hexdigest(),
    }
    [source] = found["inputs"]
    assert (source["name"], source["bytes"], len(source["sha256"])) == (
        "in.jsonl",
        (run.output.parent / "in.jsonl").stat().st_size,
        64,
    )


def test_inputs_that_are_large_or_gone(tmp_path, monkeypatch):
    run = make(tmp_path / "out")
    [file] = manifest.files_of(run.units)
    monkeypatch.setattr(manifest, "MAX_HASHED_BYTES", 10)
    assert manifest.describe(file).keys() == {"name", "path", "bytes", "modified_at"}
    Path(file.path).unlink()
    assert manifest.describe(file)["error"]


def test_run_id_tells_time_config_and_input(run):
    now = datetime(2024, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
    one = manifest.run_id(now, CONFIG, run.units)
    assert one == manifest.run_id(now, CONFIG, run.units)
    assert one.startswith("20240102T030405Z-")
    assert len(one) == 25
    assert manifest.started_at(one) == now.replace(microsecond=0)
    others = {
        manifest.run_id(now.replace(microsecond=7), CONFIG, run.units),
        manifest.run_id(now, CONFIG.model_copy(update={"seed": 2}), run.units),
        manifest.run_id(now, CONFIG, []),
    }
    assert len(others | {one}) == 4


@pytest.mark.parametrize(
    ("table", "columns", "words"),
    [
        (
            "articles",
            {"article_id": ["a", "b", "x"]},
            "must have the 3 accepted articles in their order, found 3 rows, 2 of them in their place",
        ),
        (
            "articles",
            {"earlier_run_id": [None, None, "before"]},
            "must have the 3 accepted articles in their order, found 2 rows",
        ),
        ("cluster_members", {"article_id": ["a", "b", "x"]}, "every id must be known, 1 are not"),
        (
            "articles",
            {"cluster_id": ["A", "A", "A"]},
            "cluster_id must be that of articles, found otherwise in 1",
        ),
        ("cluster_members", {"article_id": ["a", "a", "c"]}, "each of 3 articles once, found 3 rows of 2"),
        ("cluster_members", {"cluster_size": [2, 2, 2]}, "cluster_size must be"),
        ("cluster_members", {"is_representative": [True, True, True]}, "must have one representative"),
        ("clusters", {"cluster_id": ["C"]}, "every id must be known, 1 are not, such as 'C'"),
        ("clusters", {"n_articles": [3]}, "n_articles must agree"),
        ("clusters", {"representative_id": ["a"]}, "representative_id must agree"),
        ("confirmed_pairs", {"article_id_l": ["b"], "article_id_r": ["a"]}, "must be less than"),
        ("confirmed_pairs", {"article_id_r": ["x"]}, "every id must be known, 1 are not, such as 'x'"),
        ("repeated_sections", {"article_id": ["a", "x"]}, "every id must be known"),
        ("repeated_sections", {"begin": [3, 4]}, "0 <= begin < end"),
        ("repeated_sections", {"end": [3, 9]}, "end must lie within the text, found beyond it in 1 rows"),
        ("texts", {"article_id": ["a", "b", "b"]}, "must have the 3 accepted articles in their order"),
        ("texts", {"article_id": ["b", "a", "c"]}, "found 3 rows, 1 of them in their place"),
        (
            "texts",
            {"article_id": ["a", "b"], "title": [None] * 2, "text": ["a", "b"]},
            "must have the 3 accepted articles in their order, found 2 rows",
        ),
        (
            "texts",
            {"article_id": list("abcd"), "title": [None] * 4, "text": list("abcd")},
            "texts: must have 3 rows, one an article, found 4",
        ),
    ],
)
def test_tables_that_disagree_are_not_published(run, table, columns, words):
    run.change(table, **columns)
    with pytest.raises(RunError) as caught:
        run.publish()
    assert words in str(caught.value)
    assert not (run.output / "latest.json").exists()
    assert not (run.output / "runs").exists()


@pytest.mark.parametrize(
    ("event", "cluster", "other", "words"),
    [
        ("grew", "X", None, "cluster_events: every id must be known, 1 are not, such as 'X'"),
        ("merged", "A", "C", "cluster_events: what was merged must be gone, found 1 that are not"),
        ("expired", "X", None, None),
    ],
)
def test_events_must_be_of_the_clusters(event, cluster, other, words, run):
    tell(run, "r", event, cluster, other)
    if words is None:
        run.publish()
        return
    with pytest.raises(RunError) as caught:
        run.publish()
    assert words in str(caught.value)


def test_events_from_before_the_run_may_be_of_clusters_that_it_does_not_show(run):
    tell(run, "rebuild-1", "merged", "X", "A")
    run.publish()


def test_texts_that_changed_after_they_were_decoded_are_not_published(run, monkeypatch):
    """What was decoded is what is published only if the file still is that of its Ref."""
    path = Path(run.tables["texts"].path)

    def damage(name: str, table: Ref) -> pa.Table:
        path.write_bytes(bytes(run.tables["texts"].bytes))
        return read(name, table)

    read = table_checks._read
    monkeypatch.setattr(table_checks, "_read", damage)
    with pytest.raises(RunError, match=r"texts\.parquet"):
        run.publish()
    assert not (run.output / "latest.json").exists()


def test_a_file_of_texts_with_rows_behind_those_of_the_articles_is_not_published(run):
    rows = {"article_id": list("abcd"), "title": [None] * 4, "text": ["one text", "one text", "two", "more"]}
    run.change("texts", **rows)
    run.tables["texts"] = replace(run.tables["texts"], rows=3)
    with pytest.raises(RunError, match="must have 3 rows, has 4"):
        run.publish()


def test_texts_that_no_group_decoded_are_looked_at_nevertheless(tmp_path):
    """Of a night without new articles."""
    path = tmp_path / "texts.parquet"
    none = {name: write(tmp_path, name, {}) for name in ("repeated_sections", "texts")}
    assert table_checks.check_texts(none, [], []).keys() == none.keys()
    path.write_bytes(b"no table")
    length, digest = file_digest(path)
    with pytest.raises(RunError, match="can't be read back"):
        table_checks.check_texts(none | {"texts": Ref(str(path), 0, length, digest)}, [], [])


def tell(run: Run, run_id: str, event: str, cluster: str, other: str | None) -> None:
    """A table of one event."""
    columns = {
        "run_id": run_id,
        "event": event,
        "cluster_id": cluster,
        "other_id": other,
        "n_before": 1,
        "n_after": 2,
    }
    folder = Path(run.tables["articles"].path).parent
    run.tables["cluster_events"] = write(folder, "cluster_events", {k: [v] for k, v in columns.items()})


def test_counts_must_add_up(run):
    accepted = run.staged.accepted
    for change, words in (
        ({"n_input_rows": 5}, "must add up to 5 input rows, found 4"),
        ({"n_accepted": 2}, "each of 2 accepted articles, found 3"),
        ({"rejected": replace(accepted.rejected, rows=2)}, "each of 2 rejected rows, found 1"),
    ):
        run.staged = replace(run.staged, accepted=replace(accepted, **change))
        with pytest.raises(RunError) as caught:
            run.publish()
        assert words in str(caught.value)


def test_missing_changed_and_wrong_tables(run):
    whole = dict(run.tables)
    checked = run.check()
    del checked["clusters"]
    with pytest.raises(RunError, match="clusters missing"):
        run.publish(checked)
    path = Path(whole["rejected"].path)
    pq.write_table(pa.table({"x": [1]}), path)
    with pytest.raises(RunError, match="must be the file of"):
        run.publish()
    run.tables = whole | {"rejected": replace(whole["articles"], rows=3)}
    with pytest.raises(RunError, match="must have the columns input_file"):
        run.publish()


class Killed(BaseException):
    """What a kill looks like from inside."""


def kill_at(monkeypatch, number: int, after: bool) -> None:
    """End the process, so to speak, before or after the number-th change of the disk: none follows it."""
    calls = itertools.count()
    dead = False

    def wrap(owner, name):
        original = getattr(owner, name)

        def call(*args, **kwargs):
            nonlocal dead
            step = next(calls)
            if dead or (step == number and not after):
                dead = True
                raise Killed
            result = original(*args, **kwargs)
            if step == number:
                dead = True
                raise Killed
            return result

        monkeypatch.setattr(owner, name, call)

    wrap(os, "fsync")
    wrap(Path, "rename")
    wrap(Path, "replace")
    wrap(Path, "unlink")


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_kill_at_any_step_leaves_a_whole_current_run_and_publishing_again_works(
    tmp_path, monkeypatch, after
):
    output = tmp_path / "out"
    make(output).publish()
    for step in range(100):
        run = make(output, f"run{step}")
        checked = run.check()
        with monkeypatch.context() as patch:
            kill_at(patch, step, after)
            try:
                run.publish(checked)
                killed = False
            except Killed:
                killed = True
        current = publish.current_run(output)
        for path in current.glob("*.parquet"):
            pq.read_table(path)
        assert json.loads((current / "manifest.json").read_text())["run_id"] == current.name
        assert killed or current.name == f"run{step}"
        assert run.publish(checked) == publish.current_run(output) == output / "runs" / f"run{step}"
        if not killed:
            break
    assert step >= 6
