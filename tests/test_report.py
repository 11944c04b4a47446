"""What the report is given: texts with the run's own tokens, and the numbers of the published tables."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from command_line import SAMPLE, command
from hypothesis import given, settings
from made_up_news import row, write
from stages import counted, kept
from texts import collections, strings

from pipeline import report_texts
from pipeline.aligned import MAX_TOKENS
from pipeline.config import Config
from pipeline.confirm import RELATIONS
from pipeline.executor import Silence, ThreadExecutor
from pipeline.furniture import FurnitureMask
from pipeline.job import run_job
from pipeline.report_files import as_json, read_data, write_data
from pipeline.report_overview import sources, timeline
from pipeline.report_tables import NEVER, Members, members_of, pairs_of, read_articles
from pipeline.report_texts import chosen_rows
from pipeline.report_tokens import BACKSLASH, FIRST_CODE, N_SURROGATES, SURROGATES
from pipeline.revisit import report_run
from pipeline.summary import read_summary
from pipeline.tables import write_ipc
from pipeline.tokens import Tokeniser, tokenise


def data_of(page: Path) -> dict[str, dict]:
    """The data inside a page."""
    found = re.findall(
        r'<script type="application/json" id="data-([\w-]+)">(.*?)</script>', page.read_text("utf-8")
    )
    return {name: json.loads(content) for name, content in found}


def decoded(packed: str) -> list[int]:
    """The numbers of a string of tokens, as the page reads them."""
    codes = [ord(letter) for letter in packed]
    codes = [code - N_SURROGATES * (code >= SURROGATES + N_SURROGATES) for code in codes]
    return [code - (code > BACKSLASH) - FIRST_CODE for code in codes]


def writer(tmp_path: Path, texts: list[tuple[str | None, str]]) -> report_texts._Writer:
    none = write_ipc(tmp_path / "furniture.arrow", pa.schema([("key", pa.uint64())]), [])
    return report_texts._Writer(FurnitureMask(none, Config()), counted(16, kept(texts)), Tokeniser())


def encoded(tmp_path: Path, texts: list[tuple[str | None, str]], lot: pa.Table) -> dict[str, Any]:
    return json.loads(as_json(writer(tmp_path, texts).encode(lot)))


@settings(deadline=None, max_examples=60)
@given(collections)
def test_tokens_lie_where_the_tokeniser_finds_them(tmp_path_factory, texts):
    if not texts:
        return
    titles, bodies = (strings(list(side)) for side in zip(*texts, strict=True))
    lot = pa.table({"source": pa.nulls(len(texts), pa.string()), "title": titles, "text": bodies})
    told = encoded(tmp_path_factory.mktemp("w"), texts, lot)
    tokens = tokenise(titles, bodies)
    for i, (title, body) in enumerate(texts):
        whole = (f"{title or ''}\n{body}").encode("utf-16-le")
        numbers = np.array(decoded(told["tokens"][i]), np.int64).reshape(-1, 3)
        begin = np.cumsum(numbers[:, 0])
        words = [whole[2 * b : 2 * (b + n)].decode("utf-16-le")
                 for b, n in zip(begin.tolist(), (numbers[:, 1] >> 3).tolist(), strict=True)]  # fmt: skip
        own = range(int(tokens.indptr[i]), int(tokens.indptr[i + 1]))
        expected = []
        for k in own:
            data = ((title or "") if k < tokens.body[i] else body).encode()
            expected.append(data[tokens.begin[k] : tokens.end[k]].decode())
        assert words == expected
        assert told["n_tokens"][i] == len(own)


def test_very_long_texts_are_cut_in_tokens_not_in_text(tmp_path):
    body = " ".join(f"w{i}" for i in range(MAX_TOKENS + 7))
    lot = pa.table({"source": strings([None]), "title": strings([None]), "text": strings([body])})
    told = encoded(tmp_path, [(None, body)], lot)
    assert told["texts"] == [body]
    assert len(told["tokens"][0]) == 3 * MAX_TOKENS
    assert told["n_tokens"] == [MAX_TOKENS + 7]


def test_no_tag_can_stand_in_data(tmp_path):
    hostile = {"text": "</script><!--<script>", "line": "\u2028"}
    write_data(tmp_path, "x", hostile)
    content = (tmp_path / "x.js").read_text(encoding="utf-8")
    assert "<" not in content
    assert json.loads(read_data(tmp_path, "x")) == hostile


def test_texts_are_chosen_by_repeats_and_size(sample_run):
    folder = sample_run.run_dir
    rows = pq.read_table(folder / "articles.parquet").to_pylist()
    sizes = {c["cluster_id"]: c["n_articles"] for c in pq.read_table(folder / "clusters.parquet").to_pylist()}
    repeats = set(pq.read_table(folder / "repeated_sections.parquet")["article_id"].to_pylist())
    shown = [i for i, a in enumerate(rows) if a["cluster_id"] in sizes or a["article_id"] in repeats]
    assert chosen_rows(folder, None).tolist() == chosen_rows(folder, 10_000).tolist() == shown
    few = chosen_rows(folder, 9).tolist()
    assert few == sorted(few)
    assert len(few) == 9
    assert {i for i in shown if rows[i]["article_id"] in repeats} <= set(few)
    largest = max(sizes.values())
    of_largest = {i for i in shown if sizes.get(rows[i]["cluster_id"]) == largest}
    assert len(of_largest & set(few)) == 8
    assert chosen_rows(folder, 0).tolist() == []


def test_the_numbers_come_from_one_place(sample_run):
    """Page, manifest, summary and tables say the same."""
    data = data_of(sample_run.run_dir / "report.html")
    overview = data["overview"]
    manifest = json.loads((sample_run.run_dir / "manifest.json").read_text(encoding="utf-8"))
    told = overview["manifest"]
    assert told["counts"] == manifest["counts"]
    assert told["stages"] == manifest["stages"]
    summary = read_summary(sample_run.run_dir)
    assert overview["summary"]["pairs_by_relation"] == summary.pairs_by_relation
    assert summary.n_pairs == manifest["counts"]["n_confirmed_pairs"]
    assert summary.n_clusters == manifest["counts"]["n_clusters"] == len(data["list-0"]["title"])
    assert summary.n_rejected == manifest["counts"]["n_rejected"]
    assert summary.n_articles == manifest["counts"]["n_accepted"] == sum(data["sources"]["n_articles"])
    assert sum(data["list-0"]["n_articles"]) == summary.n_clustered
    assert sum(bin_["n"] for bin_ in overview["sizes"]) == summary.n_clusters
    counted = [summary.pairs_by_relation.get(relation, 0) for relation in RELATIONS]
    assert [sum(bins) for bins in overview["probabilities"]] == counted
    timed = overview["timeline"]
    assert sum(timed["first"]) + sum(timed["later"]) + timed["n_undated"] == summary.n_clustered
    assert sum(timed["first"]) == summary.n_clusters
    inside = sum(data["clusters-0"]["pairs"]["n_all"])
    assert inside + overview["n_between"] == summary.n_pairs


def members(at: list[int], cluster: list[int], source: list[int]) -> Members:
    ends = np.searchsorted(cluster, np.arange(max(cluster) + 1), side="right")
    arrays = (np.array(values, np.int64) for values in (cluster, source, at))
    own, sources_, times = arrays
    return Members(pa.table({}), own, ends, sources_, times, np.arange(len(at)))


def test_the_timeline_takes_a_unit_that_fits():
    day = 86_400
    assert timeline(members([NEVER], [0], [0])) is None
    hours = timeline(members([0, 7_200, NEVER], [0, 0, 0], [0, 0, 0]))
    assert (hours["unit"], hours["first"], hours["later"], hours["n_undated"]) == (
        "hour",
        [1, 0, 0],
        [0, 0, 1],
        1,
    )
    assert timeline(members([0, 40 * day], [0, 0], [0, 0]))["unit"] == "day"
    assert timeline(members([0, 900 * day], [0, 0], [0, 0]))["unit"] == "month"
    ages = timeline(members([-400 * 365 * day, 0], [0, 0], [0, 0]))
    assert (ages["unit"], ages["n_earlier"]) == ("year", 1)


def test_who_takes_from_whom_is_what_plain_counting_says(sample_run):
    folder = sample_run.run_dir
    told = data_of(folder / "report.html")["sources"]
    articles = pq.read_table(folder / "articles.parquet").to_pylist()
    clustered = {c["cluster_id"] for c in pq.read_table(folder / "clusters.parquet").to_pylist()}
    pairs = {
        frozenset((p["article_id_l"], p["article_id_r"])): p["relation"]
        for p in pq.read_table(folder / "confirmed_pairs.parquet").to_pylist()
    }
    flows: dict[tuple[str, str], list[int]] = {}
    for cluster_id in clustered:
        own = [a for a in articles if a["cluster_id"] == cluster_id]
        first = min(own, key=lambda a: (a["published_at"], a["article_id"]))
        for a in own:
            if a["published_at"] > first["published_at"] and a["source"] != first["source"]:
                relation = pairs.get(frozenset((a["article_id"], first["article_id"])))
                how = 2 if relation is None else int(relation == "respun")
                flows.setdefault((first["source"], a["source"]), [0, 0, 0])[how] += 1
    names = told["names"]
    assert {(names[a], names[b]): how for a, b, *how in told["flows"]} == flows
    later = [sum(sum(how) for (_, to), how in flows.items() if to == name) for name in names]
    assert told["n_later"] == later


@pytest.fixture
def copied(sample_run, tmp_path) -> Path:
    return Path(shutil.copytree(sample_run.run_dir, tmp_path / "run"))


def test_a_report_written_again_has_the_same_data(copied):
    before = data_of(copied / "report.html")
    done = command("report", copied)
    assert done.code == 0, done.stderr
    assert Path(done.stdout.splitlines()[-1]) == copied / "report.html"
    assert data_of(copied / "report.html") == before
    assert not list(copied.glob(".report-*"))


def test_a_smaller_report_takes_the_place_of_a_larger_one(copied, monkeypatch):
    monkeypatch.setattr("pipeline.report_pages.INLINE_BYTES", 0)
    page = report_run(copied, None, ThreadExecutor(1), Silence())
    assert {path.stem for path in (copied / "report").iterdir()} == {
        "clusters-0",
        "repeats",
        "texts-0-0",
        "texts-0-1",
    }
    assert set(data_of(page)) == {"overview", "sources", "list-0"}
    monkeypatch.undo()
    page = report_run(copied, 0, ThreadExecutor(1), Silence())
    assert not (copied / "report").exists()
    assert data_of(page)["overview"]["shape"]["n_texts"] == 0


def test_a_run_that_is_none_is_refused(tmp_path):
    done = command("report", tmp_path)
    assert done.code == 2
    assert "must hold a published run" in done.stderr


def rows_of(n: int) -> list[dict]:
    body = " ".join(f"Word{i} of the harbour and Kestrel {i % 7}." for i in range(80))
    return [row(f"a{i}", f"{body} And {i}.", "A title") for i in range(n)]


@pytest.mark.parametrize(
    ("overrides", "has_page", "n_texts"),
    [({}, True, 3), ({"keep_texts": False}, True, 0), ({"report": {"max_texts": 2}}, True, 2),
     ({"report": {"write": False}}, False, 0)],
)  # fmt: skip
def test_keys_say_what_the_report_holds(tmp_path, overrides, has_page, n_texts):
    source = write(tmp_path / "in.parquet", rows_of(3))
    config = Config.model_validate(overrides)
    done = run_job([str(source)], tmp_path / "out", config, ThreadExecutor(1), Silence())
    page = done.run_dir / "report.html"
    assert page.is_file() == has_page
    if has_page:
        shape = data_of(page)["overview"]["shape"]
        assert (shape["n_texts"], shape["has_texts"]) == (n_texts, config.keep_texts)
    assert config.fingerprint() == Config().fingerprint()


def test_a_run_that_found_nothing_has_a_report(tmp_path):
    source = write(tmp_path / "in.parquet", rows_of(1))
    done = run_job([str(source)], tmp_path / "out", Config(), ThreadExecutor(1), Silence())
    data = data_of(done.run_dir / "report.html")
    assert data["overview"]["summary"]["n_clusters"] == 0
    assert data["repeats"]["articles"] == []
    assert data["sources"]["names"] == []


def test_texts_are_the_same_for_any_number_of_workers(tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.report_pages.INLINE_BYTES", 0)
    found = []
    for n in (1, 3):
        config = Config(n_workers=n)
        done = run_job([str(SAMPLE)], tmp_path / str(n), config, ThreadExecutor(n), Silence())
        found.append({p.name: p.read_bytes() for p in sorted((done.run_dir / "report").glob("*.js"))})
    assert found[0] == found[1]
    assert "texts-0-0.js" in found[0]


def test_pairs_over_the_limit_are_the_least_certain(sample_run, monkeypatch):
    monkeypatch.setattr("pipeline.report_tables.MAX_PAIRS", 3)
    folder = sample_run.run_dir
    clusters = pq.read_table(folder / "clusters.parquet")
    articles = read_articles(folder, clusters)
    own = members_of(folder, clusters, articles)
    pairs = pairs_of(folder, own)
    at = int(np.argmax(pairs.n_all))
    begin = int(pairs.ends[at - 1]) if at else 0
    kept_ = pairs.table["probability"].to_pylist()[begin : int(pairs.ends[at])]
    all_ = pq.read_table(folder / "confirmed_pairs.parquet").to_pylist()
    ids = set(own.table["article_id"].to_pylist()[int(own.ends[at - 1]) if at else 0 : int(own.ends[at])])
    inside = sorted(p["probability"] for p in all_ if {p["article_id_l"], p["article_id_r"]} <= ids)
    assert kept_ == inside[:3]
    assert pairs.n_all[at] == len(inside)
    assert sources(folder, articles, own, pairs)["n_flows"]
