"""The run's tables from what the stages left: ids, order, sides, and what is measured to whom."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stages import config
from texts import EXAMPLES

from pipeline import (
    arrow_columns,
    articles,
    assemble,
    clusters,
    confirm,
    furniture_table,
    schema,
    screen,
)
from pipeline.arrow_columns import hexadecimal, parts_of, ranks
from pipeline.config import Config
from pipeline.executor import Silence, StageRunner, ThreadExecutor
from pipeline.job import candidate_stages
from pipeline.shards import slices
from pipeline.stages import reread_stage
from pipeline.tables import Ref, read_ipc, write_ipc

SAMPLE = Path(__file__).parents[1] / "data/sample/articles.parquet"


@dataclass(frozen=True)
class Staged:
    found: assemble.Found
    rejected: Ref
    chosen: tuple[Ref, ...]
    texts: Ref
    config: Config
    judged: pa.Table


def stage(path: Path, work: Path, settings: Config) -> Staged:
    run = StageRunner(ThreadExecutor(2), Silence())
    staged = candidate_stages(articles.plan_inputs([str(path)], settings), settings, run, work)
    screened = [
        screen.screen_slice(staged.pairs, begin, end, staged.signed, settings, work)
        for begin, end in slices(staged.pairs.rows)
    ]
    [again] = run.together(reread_stage(staged, screened, settings, work))
    worded = tuple(one.worded for one in again)
    judged = [confirm.confirm_part(part, staged.signed, worded, settings, work) for part in screened]
    shards = staged.accepted.shards.articles
    membership = clusters.cluster(judged, shards, settings, work)
    found = assemble.Found(shards, staged.signed, worded, staged.pairs, tuple(judged), membership)
    chosen = tuple(one.texts for one in again)
    return Staged(
        found, staged.accepted.rejected, chosen, staged.texts, settings, clusters.read_judged(judged)
    )


@pytest.fixture(scope="module")
def staged(tmp_path_factory) -> Staged:
    # At 0.5 some members are in their cluster by others alone, at the calibration's own threshold none.
    settings = config("keep_rejected_candidates=true", "threshold=0.5")
    return stage(SAMPLE, tmp_path_factory.mktemp("assemble"), settings)


@pytest.fixture(scope="module")
def tables(staged, tmp_path_factory) -> dict[str, list[dict]]:
    return written(staged, tmp_path_factory.mktemp("tables"))


def write(staged: Staged, folder: Path) -> dict[str, Ref]:
    sections = write_ipc(folder / "sections.arrow", schema.REPEATED_SECTIONS, [])
    names = assemble.clustered_tables(staged.config)
    signed = staged.found.signed
    return (
        {"texts": staged.texts}
        | assemble.write_tables(staged.found, names, staged.config, folder)
        | assemble.write_section_tables([sections], staged.rejected, signed, staged.chosen, folder)
    )


def written(staged: Staged, folder: Path) -> dict[str, list[dict]]:
    refs = write(staged, folder)
    assert all(pq.read_metadata(ref.path).num_rows == ref.rows for ref in refs.values())
    return {name: pq.read_table(ref.path).to_pylist() for name, ref in refs.items()}


def by_id(rows: list[dict]) -> dict[str, dict]:
    return {row["article_id"]: row for row in rows}


def test_articles_and_texts_come_in_the_order_of_the_input(tables):
    given_rows = pq.read_table(SAMPLE).to_pylist()
    for name, columns in (
        ("articles", ("article_id", "source", "title", "published_at")),
        ("texts", ("title", "text")),
    ):
        assert [[row[c] for c in columns] for row in tables[name]] == [
            [row[c] for c in columns] for row in given_rows
        ]


def test_hashes_are_equal_where_bodies_are(staged, tables):
    hashes = [row["text_hash"] for row in tables["articles"]]
    numbers = np.concatenate([read_ipc(s.articles.path)["text_hash"].to_numpy() for s in staged.found.signed])
    assert hashes == [f"{number:016x}" for number in numbers.tolist()]
    of_text = {row["text"]: h for row, h in zip(tables["texts"], hashes, strict=True)}
    assert len(set(hashes)) == len(of_text)


def test_a_clusters_id_is_the_hash_of_its_smallest_article(tables):
    members: dict[str, list[str]] = {}
    for row in tables["cluster_members"]:
        members.setdefault(row["cluster_id"], []).append(row["article_id"])
    assert {c: hashlib.sha256(min(ids).encode()).hexdigest()[:16] for c, ids in members.items()} == {
        c: c for c in members
    }
    assert {row["article_id"]: row["cluster_id"] for row in tables["articles"]} == {
        i: c for c, ids in members.items() for i in ids
    }


def test_members_are_measured_against_their_representative(tables):
    rows = tables["cluster_members"]
    assert rows == sorted(rows, key=lambda r: (r["cluster_id"], r["article_id"]))
    heads = {row["cluster_id"]: row["article_id"] for row in rows if row["is_representative"]}
    pairs = {(p["article_id_l"], p["article_id_r"]): p for p in tables["confirmed_pairs"]}
    seen = indirect = 0
    for row in rows:
        numbers = (row["probability"], row["cosine"], row["jaccard"])
        if row["cluster_size"] == 1:
            assert row["is_representative"]
            assert (row["relation"], *numbers) == (None,) * 4
        elif row["is_representative"]:
            assert (row["relation"], *numbers) == ("exact", 1, 1, 1)
        elif pair := pairs.get(tuple(sorted((row["article_id"], heads[row["cluster_id"]])))):
            assert (row["relation"], *numbers) == (
                pair["relation"],
                pair["probability"],
                pair["cosine"],
                pair["jaccard"],
            )
            seen += 1
        else:
            # It is in the cluster by others.
            assert row["relation"] == "indirect"
            indirect += 1
    assert seen > 50
    assert indirect > 0


def test_clusters_sum_up_their_members_and_pairs(tables):
    about = by_id(tables["articles"])
    rows = tables["clusters"]
    assert [row["cluster_id"] for row in rows] == sorted(
        {m["cluster_id"] for m in tables["cluster_members"] if m["cluster_size"] > 1}
    )
    for row in rows:
        members = [m for m in tables["cluster_members"] if m["cluster_id"] == row["cluster_id"]]
        own = [about[m["article_id"]] for m in members]
        head = next(m["article_id"] for m in members if m["is_representative"])
        inner = [
            p for p in tables["confirmed_pairs"]
            if p["relation"] != "excerpt"
            and {about[p[f"article_id_{i}"]]["cluster_id"] for i in "lr"} == {row["cluster_id"]}
        ]  # fmt: skip
        dates = [a["published_at"] for a in own if a["published_at"]]
        assert row == {
            "cluster_id": row["cluster_id"],
            "n_articles": len(own),
            "n_sources": len({a["source"] for a in own if a["source"]}),
            "representative_id": head,
            "title": about[head]["title"],
            "first_published_at": min(dates, default=None),
            "last_published_at": max(dates, default=None),
            "min_probability": min(p["probability"] for p in inner),
            "mean_cosine": pytest.approx(np.mean([p["cosine"] for p in inner])),
            "relations": sorted({p["relation"] for p in inner}),
        }


def test_pairs_have_the_smaller_id_on_the_left_and_their_containments_with_them(staged, tables):
    ids = [row["article_id"] for row in tables["articles"]]
    expected = {}
    for pair in staged.judged.to_pylist():
        swap = ids[pair["left"]] > ids[pair["right"]]
        key = (ids[pair["right"]], ids[pair["left"]]) if swap else (ids[pair["left"]], ids[pair["right"]])
        sides = ("r_in_l", "l_in_r") if swap else ("l_in_r", "r_in_l")
        expected[key] = pair | {
            f"containment_{a}": pair[f"containment_{b}"]
            for a, b in zip(("l_in_r", "r_in_l"), sides, strict=True)
        }
    confirmed = {key: pair for key, pair in expected.items() if pair["is_confirmed"]}
    rows = tables["confirmed_pairs"]
    assert [(r["article_id_l"], r["article_id_r"]) for r in rows] == sorted(confirmed)
    for row in rows:
        pair = confirmed[row["article_id_l"], row["article_id_r"]]
        assert row["relation"] == confirm.RELATIONS[pair["relation"]]
        assert row["found_by"] == {1: "reprint", 2: "respun", 3: "both"}[pair["found_by"]]
        for name in ("probability", "cosine", "cosine_bigrams", "cosine_names", "cosine_numbers", "jaccard",
                     "containment_l_in_r", "containment_r_in_l"):  # fmt: skip
            assert row[name] == pair[name]
    assert any(r["containment_l_in_r"] != r["containment_r_in_l"] for r in rows)

    rows = tables["candidate_pairs"]
    assert [(r["article_id_l"], r["article_id_r"]) for r in rows] == sorted(expected)
    for row in rows:
        pair = expected[row["article_id_l"], row["article_id_r"]]
        reason = (
            "confirmed" if pair["is_confirmed"] else "below_threshold" if pair["probability"] else "screened"
        )
        assert (row["reason"], row["probability"]) == (reason, pair["probability"] or None)
        assert row["jaccard_estimate"] == max(pair["estimate_reprint"], pair["estimate_respun"])
        unread = reason == "screened"
        assert row["relation"] == (None if unread else confirm.RELATIONS[pair["relation"]])
        for name in ("cosine", "cosine_names", "cosine_numbers"):
            assert row[name] == pair[name]
        for name in ("cosine_bigrams", "jaccard", "containment_l_in_r", "containment_r_in_l"):
            assert row[name] == (None if unread else pair[name])
    assert {r["reason"] for r in rows} == {"confirmed", "below_threshold", "screened"}


def test_batches_do_not_show_in_the_files(staged, tables, tmp_path, monkeypatch):
    monkeypatch.setattr(arrow_columns, "_PART", 7)
    monkeypatch.setattr(furniture_table, "_ARTICLES_AT_A_TIME", 2)
    first = write(staged, tmp_path / "small")
    monkeypatch.undo()
    second = write(staged, tmp_path / "large")
    assert {name: ref.digest for name, ref in first.items()} == {
        name: ref.digest for name, ref in second.items()
    }


def rows_at(path: Path, rows: list[dict]) -> Path:
    fields = [schema.ACCEPTED.field(name).remove_metadata() for name in schema.ACCEPTED.names]
    pq.write_table(
        pa.Table.from_pylist(rows, schema=pa.schema([f.with_nullable(True) for f in fields])), path
    )
    return path


def test_a_pair_that_was_no_candidate_is_judged_for_its_member(staged, tables, tmp_path):
    """As if the pair of a member and its representative had never met in a band."""
    about = {row["article_id"]: i for i, row in enumerate(tables["articles"])}
    heads = {r["cluster_id"]: r["article_id"] for r in tables["cluster_members"] if r["is_representative"]}
    ends = {
        tuple(sorted((about[r["article_id"]], about[heads[r["cluster_id"]]])))
        for r in tables["cluster_members"] if not r["is_representative"]
    }  # fmt: skip
    keep = [
        pair["left"] % 2 == 0 or (pair["left"], pair["right"]) not in ends
        for pair in staged.judged.to_pylist()
    ]
    assert not all(keep)
    fewer = write_ipc(
        tmp_path / "fewer.arrow", confirm.JUDGED, staged.judged.filter(pa.array(keep)).to_batches()
    )
    found = replace(staged.found, judged=(fewer,))
    refs = assemble.write_tables(found, ("cluster_members",), staged.config, tmp_path)
    assert pq.read_table(refs["cluster_members"].path).to_pylist() == tables["cluster_members"]


def test_a_member_that_the_screen_dropped_is_measured_all_the_same(staged, tables, tmp_path):
    """Two of a cluster may hang together by others; what the member's row says is measured none the less."""
    rows = [row | {"probability": 0.0, "cosine": 0.0, "jaccard": 0.0} for row in staged.judged.to_pylist()]
    unmeasured = pa.Table.from_pylist(rows, schema=confirm.JUDGED)
    judged = write_ipc(tmp_path / "none.arrow", confirm.JUDGED, unmeasured.to_batches())
    found = replace(staged.found, judged=(judged,))
    refs = assemble.write_tables(found, ("cluster_members",), staged.config, tmp_path)
    assert pq.read_table(refs["cluster_members"].path).to_pylist() == tables["cluster_members"]


@pytest.mark.parametrize("candidates", [True, False])
def test_every_table_of_the_run_is_written(candidates, staged, tmp_path):
    settings = config(f"keep_rejected_candidates={str(candidates).lower()}", "threshold=0.5")
    names = write(replace(staged, config=settings), tmp_path)
    kept = {"candidate_pairs": candidates, "cluster_events": False}
    assert sorted(names) == sorted(name for name in schema.TABLES if kept.get(name, True))


def test_sources_dates_and_titles_may_be_absent(tmp_path):
    body = "the mayor of Ghent opened the bridge over the river Leie on 3 May in pouring rain with 400 guests"
    day = datetime(2026, 5, 3, tzinfo=UTC)
    rows = [
        {"article_id": "d", "text": body},
        {"article_id": "c", "text": body, "source": "x", "published_at": day},
        {"article_id": "b", "text": body, "source": "x"},
        {"article_id": "a", "text": body, "source": "y", "published_at": day.replace(year=1969)},
        {"article_id": "z", "text": "something else altogether"},
        {
            "article_id": "u",
            "text": body.upper() + " Uccle Ukkel 77 88 99 100 111 222 333 444 555",
            "title": None,
        },
    ]
    found = written(stage(rows_at(tmp_path / "in.parquet", rows), tmp_path, config()), tmp_path / "out")
    row = next(row for row in found["clusters"] if row["n_articles"] >= 4)
    assert (row["representative_id"], row["n_sources"], row["title"]) == ("a", 2, None)
    assert (row["first_published_at"], row["last_published_at"]) == (day.replace(year=1969), day)
    assert row["min_probability"] > 0.35


def test_no_cluster_no_pair_no_furniture(tmp_path):
    rows = [{"article_id": "a", "text": "one thing"}, {"article_id": "b", "text": "quite another"}]
    found = written(stage(rows_at(tmp_path / "in.parquet", rows), tmp_path, config()), tmp_path / "out")
    assert [found[name] for name in ("clusters", "confirmed_pairs", "furniture")] == [[], [], []]
    assert [row["cluster_size"] for row in found["cluster_members"]] == [1, 1]


def test_furniture_is_shown_as_it_first_stands(tmp_path):
    def row(i: int, source: str | None, *lines: str) -> dict:
        story = " ".join(f"w{i}x{k}" for k in range(30))
        return {"article_id": f"a{i:02d}", "source": source, "text": "\n".join((story, *lines))}

    rows = [row(i, "site", f"{'Leave' if i else 'LEAVE'} a reply", "short line") for i in range(5)]
    rows += [row(5 + i, f"s{i}", "Share — this, “page”!") for i in range(20)]
    rows += [row(30, None, "Leave a reply"), row(31, "site", "Leave a reply", "LEAVE A REPLY ...")]
    found = written(stage(rows_at(tmp_path / "in.parquet", rows), tmp_path, config()), tmp_path / "out")
    assert found["furniture"] == [
        {"source": "site", "line": "LEAVE a reply", "n_articles": 6},
        {"source": "site", "line": "short line", "n_articles": 5},
        {"source": None, "line": "Share — this, “page", "n_articles": 20},
    ]


@EXAMPLES
@given(st.lists(st.integers(0, 2**64 - 1), max_size=20))
def test_hex_digits_are_pythons(numbers):
    column = hexadecimal(np.array(numbers, np.uint64))
    column.validate(full=True)
    assert column.to_pylist() == [f"{number:016x}" for number in numbers]


@EXAMPLES
@given(st.lists(st.text(max_size=4), unique=True, max_size=20), st.integers(1, 20))
def test_ranks_are_pythons_order(values, cut):
    column = pa.chunked_array([pa.array(values[:cut], pa.string()), pa.array(values[cut:], pa.string())])
    ordered = sorted(values)
    assert ranks(column).tolist() == [ordered.index(value) for value in values]


def test_parts_are_the_rows_in_order(monkeypatch):
    monkeypatch.setattr(arrow_columns, "_PART", 4)
    for n in (0, 1, 4, 9):
        parts = list(parts_of(np.arange(n)))
        assert list(itertools.chain(*(part.tolist() for part in parts))) == list(range(n))
        assert all(0 < len(part) <= 4 for part in parts)


def test_every_column_that_may_not_be_null_is_not(tables, staged, tmp_path):
    for name, ref in write(staged, tmp_path).items():
        table = pq.read_table(ref.path)
        for field in schema.TABLES[name]:
            assert field.nullable or not pc.any(pc.is_null(table[field.name]), min_count=0).as_py(), (
                name,
                field.name,
            )
