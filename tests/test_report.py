"""What the report is given: the numbers of the published tables, and how much of them."""

from __future__ import annotations

import json
import re
import shutil
from datetime import datetime
from itertools import chain
from pathlib import Path

import networkx as nx
import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from command_line import SAMPLE
from hypothesis import given, settings
from hypothesis import strategies as st
from indexes import run_night
from made_up_news import row, stories, write

from flows.cli import cli
from flows.report import count_lines
from pipeline.bridges import bridges
from pipeline.config import Config
from pipeline.confirm import RELATIONS
from pipeline.executor import Silence, ThreadExecutor
from pipeline.job import run_job
from pipeline.revisit import report_run
from pipeline.summary import read_summary


def data_of(page: Path) -> dict[str, dict]:
    """The data inside a page."""
    found = re.findall(
        r'<script type="application/json" id="data-([\w-]+)">(.*?)</script>', page.read_text("utf-8")
    )
    return {name: json.loads(content) for name, content in found}


@pytest.mark.parametrize("has_neighbours", [False, True])
def test_the_numbers_come_from_one_place(sample_run, awkward, has_neighbours):
    """Page, manifest, summary and tables say the same."""
    run_dir = awkward if has_neighbours else sample_run.run_dir
    data = data_of(run_dir / "report.html")
    overview = data["overview"]
    manifest = json.loads((run_dir / "manifest.json").read_text(encoding="utf-8"))
    told = overview["manifest"]
    assert told["counts"] == manifest["counts"]
    assert told["stages"] == manifest["stages"]
    assert told["seconds"] == manifest["seconds"]
    assert "location" not in json.dumps(overview)
    summary = read_summary(run_dir)
    assert overview["summary"]["pairs_by_relation"] == summary.pairs_by_relation
    assert summary.n_pairs == manifest["counts"]["n_confirmed_pairs"]
    assert summary.n_neighbours == manifest["counts"]["n_neighbours"]
    assert has_neighbours == (summary.n_neighbours > 0)
    assert summary.n_pairs + summary.n_neighbours == manifest["tables"]["confirmed_pairs"]["rows"]
    assert summary.n_clusters == manifest["counts"]["n_clusters"] == len(data["list-0"]["title"])
    assert summary.n_rejected == manifest["counts"]["n_rejected"]
    assert summary.n_articles == manifest["counts"]["n_accepted"] == sum(data["sources"]["n_articles"])
    assert sum(data["list-0"]["n_articles"]) == summary.n_clustered
    assert sum(bin_["n"] for bin_ in overview["sizes"]) == summary.n_clusters
    counted = [summary.pairs_by_relation.get(relation, 0) for relation in RELATIONS]
    assert [sum(bins) for bins in overview["probabilities"]] == counted
    timed = overview["timeline"]
    not_drawn = sum(timed[name] for name in ("n_undated", "n_alone", "n_left_out"))
    assert sum(timed["first"]) + sum(timed["later"]) + not_drawn == summary.n_clustered
    assert summary.seconds == manifest["seconds"]
    inside = sum(data["clusters-0"]["pairs"]["n_all"])
    assert inside + overview["n_between"] == summary.n_pairs + summary.n_neighbours


def test_lines_of_the_whole_collection_count_those_of_sources_too(sample_run):
    """Together they are all articles that have the line."""
    told = data_of(sample_run.run_dir / "report.html")["sources"]["furniture"][""]
    texts = pq.read_table(sample_run.run_dir / "texts.parquet")["text"].to_pylist()
    assert any(n_own > n for _, n, n_own in told)
    # A line is its words: it is stored without the signs around them.
    lines = [{tuple(re.findall(r"\w+", line.casefold())) for line in text.split("\n")} for text in texts]
    for line, n, n_own in told:
        words = tuple(re.findall(r"\w+", line.casefold()))
        assert n + n_own == sum(words in own for own in lines)


def plain_flows(folder: Path) -> tuple[dict, dict, dict]:
    """Flows, later copies and firsts of each source, counted one by one."""
    articles = [a for a in pq.read_table(folder / "articles.parquet").to_pylist() if a["published_at"]]
    pairs = {
        frozenset((p["article_id_l"], p["article_id_r"])): p["relation"]
        for p in pq.read_table(folder / "confirmed_pairs.parquet").to_pylist()
        if p["relation"] != "related"
    }
    flows: dict[tuple[str, str], list[int]] = {}
    later: dict[str, int] = {}
    firsts: dict[str, int] = {}
    for cluster_id in {a["cluster_id"] for a in articles}:
        own = [a for a in articles if a["cluster_id"] == cluster_id]
        first = [a for a in own if a["published_at"] == min(b["published_at"] for b in own)]
        leaders = {a["source"] for a in first} - {None} if len(own) > 1 else set()
        for leader in leaders:
            firsts[leader] = firsts.get(leader, 0) + 1
        for a in own:
            if a in first or a["source"] is None or a["source"] in leaders or not leaders:
                continue
            later[a["source"]] = later.get(a["source"], 0) + 1
            for leader in leaders:
                relations = [pairs.get(frozenset((a["article_id"], b["article_id"]))) for b in first
                             if b["source"] == leader]  # fmt: skip
                kinds = [2 if r is None else int(r == "respun") for r in relations]
                flows.setdefault((leader, a["source"]), [0, 0, 0])[min(kinds)] += 1
    return flows, later, firsts


@pytest.mark.parametrize("n_pairs", [2_000, 3])
def test_who_takes_from_whom_is_what_plain_counting_says(made_up, monkeypatch, n_pairs):
    """However few pairs the page gets."""
    monkeypatch.setattr("pipeline.report_pairs.MAX_PAIRS", n_pairs)
    told = data_of(report_run(made_up, 0, ThreadExecutor(1), Silence()))["sources"]
    flows, later, firsts = plain_flows(made_up)
    names = told["names"]
    assert {(names[a], names[b]): how for a, b, *how in told["flows"]} == flows
    assert {name: n for name, n in zip(names, told["n_later"], strict=True) if n} == later
    assert {name: n for name, n in zip(names, told["n_first"], strict=True) if n} == firsts
    assert {how for flow in flows.values() for how, n in enumerate(flow) if n} == {0, 1, 2}


@pytest.fixture
def made_up(awkward, tmp_path) -> Path:
    return Path(shutil.copytree(awkward, tmp_path / "run"))


@pytest.fixture
def copied(sample_run, tmp_path) -> Path:
    return Path(shutil.copytree(sample_run.run_dir, tmp_path / "run"))


def test_a_report_written_again_has_the_same_data(copied):
    before = data_of(copied / "report.html")
    done = CliRunner().invoke(cli, ["report", str(copied)])
    assert done.exit_code == 0, done.stderr
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
        "texts-0-2",
    }
    assert set(data_of(page)) == {"overview", "sources", "list-0", "between"}
    monkeypatch.undo()
    page = report_run(copied, 0, ThreadExecutor(1), Silence())
    assert not (copied / "report").exists()
    assert data_of(page)["overview"]["shape"]["n_texts"] == 0


def test_a_run_that_is_none_is_refused(tmp_path):
    done = CliRunner().invoke(cli, ["report", str(tmp_path)])
    assert done.exit_code == 2
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


def test_pairs_over_the_limit_are_the_least_certain_and_those_that_say_who_is_what(made_up, monkeypatch):
    monkeypatch.setattr("pipeline.report_pairs.MAX_PAIRS", 3)
    data = data_of(report_run(made_up, 0, ThreadExecutor(1), Silence()))
    at = int(np.argmax(data["list-0"]["n_articles"]))
    own, pairs = (rows_at(data["clusters-0"][name], at) for name in ("members", "pairs"))
    ids = [member["article_id"] for member in own]
    every = {
        frozenset(map(ids.index, (p["article_id_l"], p["article_id_r"]))): p
        for p in pq.read_table(made_up / "confirmed_pairs.parquet").to_pylist()
        if {p["article_id_l"], p["article_id_r"]} <= set(ids)
    }
    shown = {frozenset((p["l"], p["r"])): p for p in pairs}
    assert data["clusters-0"]["pairs"]["n_all"][at] == len(every) > len(shown) + 10
    least = sorted(p["probability"] for p in every.values())[:3]
    assert least == pytest.approx(sorted(p["probability"] for p in pairs)[:3], abs=1e-4)
    representative = next(i for i, member in enumerate(own) if member["is_representative"])
    for both in every:
        if both & {0, representative}:
            assert both in shown
    joining = {both for both, p in every.items() if p["relation"] not in ("excerpt", "related")}
    graph = nx.Graph(map(tuple, joining))
    assert {both for both, p in shown.items() if p["holds"] == 2} == {frozenset(b) for b in nx.bridges(graph)}
    tree = nx.Graph(tuple(both) for both, p in shown.items() if p["holds"])
    assert nx.is_tree(tree)
    assert set(tree) == set(range(len(own)))


def test_the_closest_earlier_article_is_what_plain_looking_finds(made_up):
    data = data_of(report_run(made_up, 0, ThreadExecutor(1), Silence()))
    pairs = {
        frozenset((p["article_id_l"], p["article_id_r"])): (
            RELATIONS.index(p["relation"]),
            -round(p["cosine"], 4),
        )
        for p in pq.read_table(made_up / "confirmed_pairs.parquet").to_pylist()
        if p["relation"] != "related"
    }
    found: dict[str, list] = {}
    for i in range(len(data["list-0"]["title"])):
        own = rows_at(data["clusters-0"]["members"], i)
        for k, member in enumerate(own):
            options = [
                (*pairs[both], j)
                for j, other in enumerate(own)
                if None not in (other["at"], member["at"])
                and other["at"] < member["at"]
                and (both := frozenset((member["article_id"], other["article_id"]))) in pairs
            ]
            assert member["closest"] == (min(options)[2] if options else -1)
            found.setdefault(RELATIONS[min(options)[0]] if options else "none", []).append(k)
    assert {"none", "exact", "reprint", "respun"} <= set(found)


@settings(deadline=None, max_examples=200)
@given(st.integers(1, 9), st.data())
def test_bridges_are_those_of_networkx(n, data):
    pairs = [(a, b) for a in range(n) for b in range(a)]
    chosen = data.draw(st.lists(st.sampled_from(pairs), unique=True)) if pairs else []
    left, right = (np.array([pair[side] for pair in chosen], np.int64) for side in (0, 1))
    expected = {frozenset(pair) for pair in nx.bridges(nx.Graph(chosen))} if chosen else set()
    found = bridges(n, left, right)
    assert {frozenset(pair) for pair, is_bridge in zip(chosen, found, strict=True) if is_bridge} == expected


def test_a_title_that_shows_nothing_gives_way_to_the_id(made_up):
    data = data_of(report_run(made_up, 0, ThreadExecutor(1), Silence()))
    titles = [t for rows in (data["list-0"], data["clusters-0"]["members"]) for t in rows["title"]]
    titles += [cluster["title"] for cluster in data["overview"]["summary"]["largest"]]
    titles += [cluster.title for cluster in read_summary(made_up).largest]
    assert not [title for title in titles if re.fullmatch(r"[\s\u200b\u2060\u3164]*", title)]


def test_relations_are_counted_with_excerpts_and_neighbours(made_up):
    data = data_of(report_run(made_up, 0, ThreadExecutor(1), Silence()))
    pairs = pq.read_table(made_up / "confirmed_pairs.parquet").to_pylist()
    names = [one["name"] for one in data["overview"]["relations"]]
    inside: set[str] = set()
    for i, bits in enumerate(data["list-0"]["relations"]):
        ids = {member["article_id"] for member in rows_at(data["clusters-0"]["members"], i)}
        own = {p["relation"] for p in pairs if {p["article_id_l"], p["article_id_r"]} <= ids}
        assert {name for k, name in enumerate(names) if bits >> k & 1} == own
        inside |= own
    assert set(data["overview"]["in_clusters"]) == inside
    summary = read_summary(made_up)
    assert summary.n_neighbours == sum(p["relation"] == "related" for p in pairs) > 0
    assert summary.n_pairs + summary.n_neighbours == len(pairs)


def rows_at(columns: dict, at: int) -> list[dict]:
    """The rows of one cluster, as the page reads them."""
    begin = columns["ends"][at - 1] if at else 0
    names = [name for name in columns if name not in ("ends", "n_all")]
    return [{name: columns[name][k] for name in names} for k in range(begin, columns["ends"][at])]


def test_a_run_knows_how_long_it_took_and_what_the_screen_left(awkward):
    manifest = json.loads((awkward / "manifest.json").read_text(encoding="utf-8"))
    stages = {stage["stage"]: stage for stage in manifest["stages"]}
    # Stages that overlap are counted from their beginning: their sum is no time that passed.
    together = [("keep-texts", "text"), ("clusters", "candidate-recall")]
    beside = {"sections", "section-tables", "check-texts", "check", "report"}
    alone = stages.keys() - {*chain.from_iterable(together)} - beside
    others = sum(stages[name]["seconds"] for name in alone)
    least = others + sum(max(stages[name]["seconds"] for name in names) for names in together)
    assert manifest["seconds"] >= least
    began, ended = (datetime.fromisoformat(manifest[name]) for name in ("started_at", "ended_at"))
    assert (ended - began).total_seconds() == pytest.approx(manifest["seconds"], abs=1.1)
    counts = manifest["counts"]
    assert not manifest["config"]["keep_rejected_candidates"]
    assert counts["n_screened_pairs"] > 0
    assert counts["n_candidate_pairs"] - counts["n_screened_pairs"] == stages["confirm"]["n_rows"]


def test_a_night_tells_of_its_index_and_not_where_it_lies(tmp_path):
    rows = stories(5, 12)
    nights = [run_night(rows[:half], tmp_path, tmp_path / "secret-index", Config(), f"night{half}")
              for half in (len(rows) // 2, len(rows))]  # fmt: skip
    overview = data_of(nights[1].folder / "report.html")["overview"]
    events = [event[0] for event in nights[1].events()]
    assert overview["events"] == {event: events.count(event) for event in sorted(set(events))}
    index = nights[1].manifest()["index"]
    assert overview["summary"]["index"] == {k: v for k, v in index.items() if k != "location"}
    assert overview["summary"]["n_recognised"] > 0
    n_new = nights[1].manifest()["counts"]["n_accepted"]
    assert overview["summary"]["n_articles"] - overview["summary"]["n_earlier"] == n_new
    assert overview["summary"]["n_earlier"] == sum(
        article["earlier_run_id"] is not None for article in nights[1].rows("articles")
    )
    summary = read_summary(nights[1].folder)
    words = f"{summary.n_articles} articles ({n_new} new, {summary.n_earlier} of earlier nights), "
    assert next(count_lines(summary)).startswith(words)
    assert "earlier" not in next(count_lines(read_summary(nights[0].folder)))
    for night in nights:
        page = (night.folder / "report.html").read_text(encoding="utf-8")
        assert "secret-index" not in page
        assert str(tmp_path) not in page
