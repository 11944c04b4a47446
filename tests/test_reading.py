"""The queries of docs/reading-the-results.md run, find something, and pandas says what DuckDB says."""

from __future__ import annotations

import json
import re

import duckdb
import pandas as pd
import pyarrow.parquet as pq
import pytest
from command_line import ROOT

PAGE = (ROOT / "docs" / "reading-the-results.md").read_text(encoding="utf-8")
INTRO, *SECTIONS = re.split(r"^## ", PAGE, flags=re.MULTILINE)


def block(text: str, language: str) -> str:
    [found] = re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return found


def plain(rows: list[tuple]) -> list[tuple]:
    """Rows whose missing values are all None and whose numbers are Python's."""
    return [tuple(None if pd.isna(value) else getattr(value, "item", lambda v=value: v)() for value in row)
            for row in rows]  # fmt: skip


def test_there_are_ten():
    assert [section.split(".")[0] for section in SECTIONS] == [str(n) for n in range(1, 11)]


def answers(section: str) -> tuple[list[str], list[tuple], list[str], list[tuple]]:
    """Columns and rows of DuckDB, and of pandas, in a folder that has out/demo."""
    connection = duckdb.connect()
    connection.execute(block(INTRO, "sql"))
    asked = connection.execute(block(section, "sql"))
    told = plain(asked.fetchall())
    names: dict = {}
    exec(block(INTRO, "python"), names)
    exec(block(section, "python"), names)
    rows = plain(list(names["answer"].itertuples(index=False, name=None)))
    return [column[0] for column in asked.description], told, list(names["answer"].columns), rows


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.splitlines()[0])
def test_both_say_the_same(demo, section):
    columns, told, names, rows = answers(section)
    assert (names, rows) == (columns, told)
    assert told


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.splitlines()[0])
def test_both_say_the_same_where_dates_are_missing(awkward_views, section):
    """Of clusters that went round most, some have no date and some have one."""
    whole = section.replace("LIMIT 10", "").replace(".head(10)", "")
    columns, told, names, rows = answers(whole)
    assert (names, rows) == (columns, told)
    assert told


def test_undated_articles_drop_out_of_pairs_between_dates(awkward_views, awkward):
    undated = {a["article_id"] for a in pq.read_table(awkward / "articles.parquet").to_pylist()
               if a["published_at"] is None}  # fmt: skip
    pairs = pq.read_table(awkward / "confirmed_pairs.parquet").to_pylist()
    assert any({p["article_id_l"], p["article_id_r"]} & undated for p in pairs)
    found = awkward_views.execute(block(SECTIONS[4], "sql")).fetchall()
    assert found
    assert not [row for row in found if undated & set(row[:2])]


def test_stories_with_fewer_than_two_dates_have_no_minutes(awkward_views):
    query = block(SECTIONS[6], "sql").replace("LIMIT 10", "")
    rows = awkward_views.execute(query).fetchall()
    assert len(rows) == awkward_views.execute("SELECT count(*) FROM clusters").fetchone()[0]
    few = awkward_views.execute(
        "SELECT count(*) FROM (SELECT 1 FROM clusters JOIN articles USING (cluster_id) "
        "GROUP BY cluster_id HAVING count(published_at) < 2)"
    ).fetchone()[0]
    assert few > 1
    assert sum(row[2:] == (None, None) for row in rows) == few


@pytest.fixture
def awkward_views(awkward, tmp_path, monkeypatch) -> duckdb.DuckDBPyConnection:
    """The views over the run that has ties, missing dates and neighbours."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "demo").symlink_to(awkward.parents[1])
    monkeypatch.chdir(tmp_path)
    connection = duckdb.connect()
    connection.execute(block(INTRO, "sql"))
    return connection


def test_sources_are_as_original_as_the_report_says(awkward_views, awkward):
    """The views define once more who is first and who later."""
    data = re.search(r'id="data-sources">(.*?)</script>', (awkward / "report.html").read_text("utf-8"))
    told = json.loads(data[1])
    shares = [
        (name, n, dated, round(1 - later / dated, 2) if dated else None)
        for name, n, dated, later in zip(
            *(told[key] for key in ("names", "n_articles", "n_dated", "n_later")), strict=True
        )
    ]
    found = awkward_views.execute(block(SECTIONS[2], "sql")).fetchall()
    assert sorted(found) == sorted(shares)
    assert any(later for later in told["n_later"])
    flows = awkward_views.execute(
        "SELECT f.source, l.source, count(*) FROM later l JOIN firsts f USING (cluster_id) GROUP BY ALL"
    ).fetchall()
    names = told["names"]
    assert {(a, b): n for a, b, n in flows} == {
        (names[a], names[b]): sum(how) for a, b, *how in told["flows"]
    }


def test_the_newest_spin_is_the_later_side_and_no_copy(awkward_views):
    query = block(SECTIONS[1], "sql")
    [(article_id, _, _)] = awkward_views.execute(query).fetchall()
    sides = awkward_views.execute(
        "SELECT relation FROM sides JOIN articles a USING (article_id) "
        "JOIN articles b ON b.article_id = other_id "
        f"WHERE article_id = '{article_id}' AND a.published_at > b.published_at "
        "AND a.cluster_id = b.cluster_id"
    ).fetchall()
    assert ("respun",) in sides
    assert ("exact",) not in sides


@pytest.mark.parametrize("section", SECTIONS[:1], ids=["1"])
def test_a_source_without_articles_copies_nobody_and_is_no_error(demo, section):
    connection = duckdb.connect()
    connection.execute(block(INTRO, "sql"))
    other = section.replace("dailyherald.example", "nobody.example")
    assert connection.execute(block(other, "sql")).fetchall() == []
    names: dict = {}
    exec(block(INTRO, "python") + block(other, "python"), names)
    assert names["answer"].empty


def test_spreads_of_a_century_are_told(awkward_views):
    longest = max(row[3] or 0 for row in awkward_views.execute(
        block(SECTIONS[6], "sql").replace("LIMIT 10", "")
    ).fetchall())  # fmt: skip
    assert longest > 68 * 366 * 24 * 60  # the article of 1950
