"""The queries of docs/reading-the-results.md run, find something, and pandas says what DuckDB says."""

from __future__ import annotations

import re

import duckdb
import pandas as pd
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


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.splitlines()[0])
def test_both_say_the_same(demo, section):
    connection = duckdb.connect()
    connection.execute(block(INTRO, "sql"))
    asked = connection.execute(block(section, "sql"))
    columns = [column[0] for column in asked.description]
    told = plain(asked.fetchall())
    names: dict = {}
    exec(block(INTRO, "python"), names)
    exec(block(section, "python"), names)
    answer = names["answer"]
    assert list(answer.columns) == columns
    assert plain(list(answer.itertuples(index=False, name=None))) == told
    assert told
