"""What must hold of whole runs: nothing depends on workers or order, copies meet, no row is lost."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import made_up_news as news
import pyarrow.parquet as pq
import pytest
from stages import config

from pipeline.config import Config
from pipeline.errors import ConfigError
from pipeline.executor import Silence, ThreadExecutor
from pipeline.job import run_job

SAMPLE = Path(__file__).parents[1] / "data/sample/articles.parquet"
SETTINGS = config("keep_rejected_candidates=true")


@dataclass(frozen=True)
class Run:
    """The tables of a published run."""

    folder: Path

    def rows(self, table: str) -> list[dict]:
        return pq.read_table(self.folder / f"{table}.parquet").to_pylist()

    def digests(self) -> dict[str, str]:
        return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in self.folder.glob("*.parquet")}

    def clusters(self) -> set[frozenset[str]]:
        """Clusters as sets of ids, singletons too."""
        members: dict[str, set[str]] = {}
        for row in self.rows("cluster_members"):
            members.setdefault(row["cluster_id"], set()).add(row["article_id"])
        return {frozenset(ids) for ids in members.values()}

    def pairs(self) -> dict[tuple[str, str], dict]:
        return {
            (row.pop("article_id_l"), row.pop("article_id_r")): row for row in self.rows("confirmed_pairs")
        }


def run(inputs: list[Path], output: Path, n_workers: int = 2, settings: Config = SETTINGS) -> Run:
    outcome = run_job([str(path) for path in inputs], output, settings, ThreadExecutor(n_workers), Silence())
    return Run(outcome.run_dir)


def run_over(rows: list[dict], folder: Path, settings: Config = SETTINGS) -> Run:
    return run([news.write(folder / "in" / "articles.parquet", rows)], folder / "out", settings=settings)


def sample_rows() -> list[dict]:
    return pq.read_table(SAMPLE, columns=list(news.FIELDS)).to_pylist()


def with_rejects(rows: list[dict]) -> list[dict]:
    """Rows that are turned away, among the others."""
    bad = [
        news.row("no-text", None),
        news.row("empty", ""),
        news.row("signs", "... !!"),
        rows[0] | {"title": "again"},
    ]
    return [*rows[:3], bad[0], *rows[3:6], *bad[1:], *rows[6:]]


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> list[Path]:
    """A generated collection in nine files, together with the sample."""
    folder = tmp_path_factory.mktemp("files")
    rows = with_rejects(news.stories(1, 60))
    made = [news.write(folder / f"part-{i}.parquet", rows[i::8]) for i in range(8)]
    sample = folder / "sample.parquet"
    sample.write_bytes(SAMPLE.read_bytes())
    return [*made, sample]


@pytest.fixture(scope="module")
def reference(files, tmp_path_factory) -> Run:
    return run(files, tmp_path_factory.mktemp("reference"), n_workers=1)


def test_the_collection_has_everything_in_it(reference):
    assert {p["relation"] for p in reference.pairs().values()} == {"exact", "reprint", "excerpt", "respun"}
    assert {row["reason"] for row in reference.rows("rejected")} == {
        "missing_text", "empty_text", "no_token", "duplicate_id"
    }  # fmt: skip
    assert len(reference.rows("repeated_sections")) > 10
    assert {row["line"] for row in reference.rows("furniture")} >= set(news.FOOTER)
    assert max(map(len, reference.clusters())) > 3


@pytest.mark.parametrize("n_workers", [2, 5])
def test_the_number_of_workers_changes_no_byte(n_workers, files, reference, tmp_path):
    assert run(files, tmp_path, n_workers).digests() == reference.digests()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_order_of_the_paths_changes_no_byte(seed, files, reference, tmp_path):
    mixed = random.Random(seed).sample(files, len(files))
    assert run(mixed, tmp_path).digests() == reference.digests()


def test_a_folder_is_its_files(files, reference, tmp_path):
    assert run([files[0].parent], tmp_path).digests() == reference.digests()


def sections(found: Run) -> set[frozenset[tuple]]:
    """Groups of repeated sections, without the name of the group."""
    groups: dict[str, set[tuple]] = {}
    for row in found.rows("repeated_sections"):
        numbers = [value and round(value, 5) for value in (row["cosine"], row["jaccard"])]
        kept = (row[c] for c in ("article_id", "occurrence", "level", "begin", "end", "n_tokens", "relation"))
        groups.setdefault(row["group_id"], set()).add((*kept, *numbers))
    return {frozenset(group) for group in groups.values()}


def rounded(row: dict) -> dict:
    """The row, whose numbers may differ by rounding: which article is the left one changes the sums."""
    return {c: pytest.approx(v, abs=1e-5) if isinstance(v, float) else v for c, v in row.items()}


def assert_same_findings(found: Run, expected: Run) -> None:
    assert found.clusters() == expected.clusters()
    assert sections(found) == sections(expected)
    assert found.rows("furniture") == expected.rows("furniture")
    assert found.rows("candidate_pairs") == [rounded(row) for row in expected.rows("candidate_pairs")]
    pairs = expected.pairs()
    assert found.pairs().keys() == pairs.keys()
    for key, row in found.pairs().items():
        numbers = {name: pytest.approx(v, abs=1e-5) for name, v in pairs[key].items() if isinstance(v, float)}
        assert row == pairs[key] | numbers
    for table, key in (
        ("clusters", "cluster_id"),
        ("cluster_members", "article_id"),
        ("articles", "article_id"),
    ):
        before, after = ({row[key]: row for row in r.rows(table)} for r in (expected, found))
        assert after.keys() == before.keys()
        for name, row in after.items():
            numbers = {c: pytest.approx(v, abs=1e-5) for c, v in before[name].items() if isinstance(v, float)}
            assert row == before[name] | numbers


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("collection", ["sample", "generated"])
def test_the_order_of_the_rows_changes_no_finding(collection, seed, tmp_path):
    rows = news.stories(7, 50) if collection == "generated" else sample_rows()
    mixed = random.Random(seed).sample(rows, len(rows))
    assert_same_findings(run_over(mixed, tmp_path / "mixed"), run_over(rows, tmp_path / "plain"))


def test_neither_do_files_and_groups(tmp_path):
    """One file or many: other shards and groups, the same rows in the same order."""
    rows = news.stories(8, 50)
    many = [news.write(tmp_path / "in" / f"{i:03d}.parquet", rows[i : i + 5]) for i in range(0, len(rows), 5)]
    found, whole = run(many, tmp_path / "out"), run_over(rows, tmp_path / "whole")
    assert found.digests() == whole.digests()


def copies_of(rows: list[dict]) -> list[dict]:
    return [row | {"article_id": f"copy-{row['article_id']}", "source": "copy.example"} for row in rows]


def assert_copies_meet(found: Run, rows: list[dict]) -> None:
    pairs = found.pairs()
    cluster = {row["article_id"]: row["cluster_id"] for row in found.rows("articles")}
    for row in rows:
        ids = tuple(sorted((row["article_id"], f"copy-{row['article_id']}")))
        assert pairs[ids]["relation"] == "exact", ids
        assert cluster[ids[0]] == cluster[ids[1]]


TINY = (
    ("Yes.", None), ("No comment", None), ("Rain", "Weather"), ("1,200", None),
    ("we are closed today", "Note"),
    ("東京", None), ("Goal! Ada Ko3 scores for 2 to 1", "Live"),
)  # fmt: skip


@pytest.mark.parametrize("collection", ["sample", "generated", "cjk", "tiny"])
def test_an_exact_copy_of_each_article_is_found(collection, tmp_path):
    rows = {"sample": sample_rows(), "generated": news.stories(3, 40), "cjk": news.cjk(4, 30)}.get(
        collection, news.stories(5, 20)
    )
    if collection == "tiny":
        rows += [news.row(f"tiny-{i}", *article) for i, article in enumerate(TINY)]
    assert_copies_meet(run_over([*rows, *copies_of(rows)], tmp_path), rows)


@pytest.mark.parametrize("at", [0, 50, 100, 150, 170])
def test_an_exact_copy_of_one_article_is_found_whatever_its_title(at, tmp_path):
    rows = sample_rows()
    copy = copies_of(rows[at : at + 1])[0] | {"title": "Another headline altogether: 7 things to know"}
    found = run_over([*rows, copy], tmp_path)
    assert_copies_meet(found, rows[at : at + 1])
    without = run_over(rows, tmp_path / "without").clusters()
    grown = next(cluster for cluster in found.clusters() if copy["article_id"] in cluster)
    assert grown - {copy["article_id"]} in without or len(grown) > 2


def test_an_articles_only_copy_is_all_there_is(tmp_path):
    rows = [news.row("a", "It rained in Ghent on 3 May and the river Leie rose by 12 centimetres.")]
    found = run_over([*rows, *copies_of(rows)], tmp_path)
    assert_copies_meet(found, rows)
    assert [row["representative_id"] for row in found.rows("clusters")] == ["a"]


@pytest.mark.parametrize("text", ["It rained in Ghent on 3 May and the river rose.", "Yes", "雨"])
def test_one_article(text, tmp_path):
    found = run_over([news.row("only", text)], tmp_path)
    assert found.clusters() == {frozenset({"only"})}
    assert found.pairs() == {}
    assert found.rows("clusters") == found.rows("rejected") == []


def test_tiny_texts_do_not_meet_because_they_are_tiny(tmp_path):
    rows = [
        news.row(f"t{i}", text)
        for i, text in enumerate(("Yes.", "No.", "Rain", "雨", "5", "a b", "c d", "Ghent"))
    ]
    found = run_over(rows, tmp_path)
    assert found.pairs() == {}
    assert len(found.clusters()) == len(rows)


@pytest.mark.parametrize("titles", [("", None), ("", ""), ("Rain in Ghent", None)])
def test_empty_titles_are_no_titles(titles, tmp_path):
    rng = random.Random(2)
    rows = [news.row(f"a{i}", news.paragraph(rng), titles[i % 2]) for i in range(6)]
    rows.append(rows[0] | {"article_id": "b", "title": titles[1]})
    found = run_over(rows, tmp_path)
    assert {c for c in found.clusters() if len(c) > 1} == {frozenset({"a0", "b"})}


@pytest.mark.parametrize("n_words", [1, 4, 150])
def test_500_copies_are_one_cluster_at_linear_cost(n_words, tmp_path):
    text = " ".join(f"word{i}" for i in range(n_words))
    rows = [news.row(f"a{i:03d}", text, f"Title {i}" if n_words > 4 else None) for i in range(500)]
    found = run_over(rows, tmp_path)
    assert found.clusters() == {frozenset(row["article_id"] for row in rows)}
    assert len(found.rows("candidate_pairs")) < 20 * len(rows)
    members = found.rows("cluster_members")
    assert {(row["relation"], row["cluster_size"]) for row in members} == {("exact", 500)}
    assert [row["article_id"] for row in members if row["is_representative"]] != []
    assert found.rows("repeated_sections") == found.rows("furniture") == []


def test_a_collection_in_an_unspaced_script(tmp_path):
    rows = news.cjk(6, 45)
    found = run_over(rows, tmp_path)
    expected = {frozenset({f"c{i - 1:03d}", f"c{i:03d}"}) for i in range(2, 45, 3)}
    assert {c for c in found.clusters() if len(c) > 1} == expected
    assert {row["relation"] for row in found.pairs().values()} == {"reprint"}


def test_every_row_is_an_article_or_rejected(files, reference):
    given_ids = Counter(row["article_id"] for path in files for row in pq.read_table(path).to_pylist())
    accepted = Counter(row["article_id"] for row in reference.rows("articles"))
    rejected = Counter(row["article_id"] for row in reference.rows("rejected"))
    assert accepted + rejected == given_ids
    assert max(accepted.values()) == 1
    for table in ("cluster_members", "texts"):
        assert Counter(row["article_id"] for row in reference.rows(table)) == accepted


def test_the_tables_agree_with_each_other(reference):
    """Clusters lie within the components of the confirmed pairs, and each hangs together by its own."""
    parent = {row["article_id"]: row["article_id"] for row in reference.rows("articles")}

    def root(node: str) -> str:
        while parent[node] != node:
            node = parent[node]
        return node

    cluster = {row["article_id"]: row["cluster_id"] for row in reference.rows("articles")}
    for (left, right), row in reference.pairs().items():
        if row["relation"] != "excerpt" and cluster[left] == cluster[right]:
            parent[root(left)] = root(right)
    assert len({root(node) for node in parent}) == len(set(cluster.values()))


def test_a_calibration_that_is_not_there_is_an_error_before_anything_is_read(tmp_path):
    listen = Recorder()
    with pytest.raises(ConfigError, match="not found: nowhere"):
        run_job(
            [str(SAMPLE)], tmp_path / "out", config("calibration=nowhere.json"), ThreadExecutor(1), listen
        )
    assert listen.stages == []


class Recorder(Silence):
    def __init__(self) -> None:
        self.stages: list[str] = []

    def stage_started(self, stage: str, n_calls: int) -> None:
        self.stages.append(stage)
