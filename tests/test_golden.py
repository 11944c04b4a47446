"""A run over the sample gives what it gave before, column by column.

After a change that is meant to change it (a new calibration, say), look at what differs and renew the file:

    RENEW_GOLDEN=1 python -m pytest tests/test_golden.py
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from stages import config

from pipeline.executor import Silence, ThreadExecutor
from pipeline.job import run_job

TESTS = Path(__file__).parent
GOLDEN = TESTS / "golden" / "sample.json"
RENEW = "RENEW_GOLDEN=1 python -m pytest tests/test_golden.py"
# Logarithms may differ in the last bits from one processor to the next.
DIGITS = 4

Content = dict[str, dict[str, Any]]


def content(values: list[Any]) -> str:
    """Hash of a column's values in order, floats rounded, whatever file or type holds them."""
    plain = [round(value, DIGITS) + 0.0 if isinstance(value, float) else value for value in values]
    return hashlib.sha256(json.dumps(plain, default=str, ensure_ascii=False).encode()).hexdigest()[:16]


def table_content(path: Path) -> dict[str, Any]:
    table = pq.read_table(path)
    return {"rows": table.num_rows, "columns": {c: content(table[c].to_pylist()) for c in table.column_names}}


def differences(found: Content, kept: Content) -> list[str]:
    """What differs, a line for each table or column."""
    lines = [f"table {name}: only in one" for name in sorted(found.keys() ^ kept.keys())]
    for name in sorted(found.keys() & kept.keys()):
        if found[name]["rows"] != kept[name]["rows"]:
            lines.append(f"{name}: {found[name]['rows']} rows, were {kept[name]['rows']}")
            continue
        here, there = found[name]["columns"], kept[name]["columns"]
        lines += [
            f"{name}.{c}: other values"
            for c in sorted(here.keys() | there.keys())
            if here.get(c) != there.get(c)
        ]
    return lines


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> Content:
    settings = config("keep_rejected_candidates=true")
    sample = str(TESTS.parent / "data/sample/articles.parquet")
    run = run_job([sample], tmp_path_factory.mktemp("golden"), settings, ThreadExecutor(2), Silence())
    return {path.stem: table_content(path) for path in sorted(run.run_dir.glob("*.parquet"))}


def test_the_sample_gives_what_it_gave_before(found):
    if os.environ.get("RENEW_GOLDEN") == "1":
        GOLDEN.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    kept = json.loads(GOLDEN.read_text(encoding="utf-8"))
    assert differences(found, kept) == [], f"if this is meant to be, renew the file: {RENEW}"


def test_what_differs_is_named(found):
    fewer = {name: table for name, table in found.items() if name != "texts"}
    other = fewer | {
        "clusters": {"rows": 1, "columns": {}},
        "articles": found["articles"] | {"columns": found["articles"]["columns"] | {"title": "x"}},
    }
    assert differences(found, other) == [
        "table texts: only in one",
        "articles.title: other values",
        f"clusters: {found['clusters']['rows']} rows, were 1",
    ]


def test_the_content_is_that_of_the_values():
    assert content([0.1 + 0.2, None, "a"]) == content([0.3, None, "a"])
    assert content([-1e-9]) == content([0.0])
    assert len({content(values) for values in ([1], ["1"], [1, 1], [None], [0.3001], ["é"])}) == 6
