"""Texts that are long, or made to hold up a reader: the page stays quick, and says what is left out."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from browser import most_often, report_in
from command_line import SAMPLE

from pipeline.config import Config
from pipeline.executor import Silence, ThreadExecutor
from pipeline.job import run_job

# Runs of any piece of the page's script while two articles are shown. Bounded they are 1,200,000 at most;
# without the bounds they were 1,600 millions (goals), 1,800 (lines) and 11 (short).
MOST_OFTEN = 10_000_000
GOALS = "goal " * 4_400
SAVES = ("goal " * 9 + "save ") * 440
SHORT = "goal save goal save. " * 1_200
LINES = "\n".join(["ah!"] * 30_000)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """The run of the sample with pages of many versions, far from each other, and with hostile copies."""
    rows = pq.read_table(SAMPLE).to_pylist()
    by_id = {row["article_id"]: row for row in rows}

    def told(story: str, *kinds: str) -> list[str]:
        return [by_id[f"story/{story}/{kind}"]["text"] for kind in kinds]

    far = [
        row["text"]
        for row in rows
        if row["article_id"].endswith("/source") and "A03" not in row["article_id"]
    ]
    first, second = told("A03", "source", "light")
    added = {
        "three": "\n\n".join(told("A01", "source", "light", "heavy")),
        "long": "\n\n".join([first, *far[:14], second]),
        "longest": "\n\n".join(
            [first, *(f"Number {k}. {text}" for k in range(4) for text in far[:14]), second]
        ),
    }
    body = told("A05", "source")[0]
    for name, (left, right) in {
        "goals": (GOALS, SAVES),
        "short": (SHORT, SHORT[5:]),
        "lines": (LINES, LINES),
    }.items():
        added |= {f"{name}/a": f"{body}\n\n{left}", f"{name}/b": f"{body}\n\n{right}"}
    row = by_id["story/A05/source"]
    rows += [row | {"article_id": name, "text": text, "url": None} for name, text in added.items()]
    out = tmp_path_factory.mktemp("long")
    pq.write_table(pa.Table.from_pylist(rows, schema=pq.read_schema(SAMPLE)), out / "in.parquet")
    return run_job([str(out / "in.parquet")], out / "out", Config(), ThreadExecutor(2), Silence()).run_dir


@pytest.fixture
def report(browser, folder):
    with report_in(browser, folder / "report.html") as opened:
        yield opened
        assert opened.is_clean()


def show_repeats(report, article_id: str) -> None:
    articles = json.loads(report.page.locator("#data-repeats").text_content())["articles"]
    report.show(f"repeats={[article['article_id'] for article in articles].index(article_id)}")


@pytest.mark.parametrize("name", ["goals", "short", "lines"])
def test_no_text_holds_up_the_reader(report, name):
    with most_often(report.page) as often:
        report.show(f"pair={name}%2Fa/{name}%2Fb")
        report.page.wait_for_selector(".two")
    assert often.n < MOST_OFTEN
    told = report.page.locator(".aligned").inner_text()
    same = int(re.search(r"word for word\s+([\d,]+) word", told)[1].replace(",", ""))
    assert same > 400  # the story in front of it is found nevertheless
    assert (
        ("of the first 5,000 words of the left" in told) == ("were not aligned" in told) == (name != "goals")
    )
    assert ("not everything was compared" in told) == (name == "goals" or name == "short")


def test_versions_far_from_each_other_are_aligned(report):
    show_repeats(report, "long")
    told = report.page.locator(".aligned").inner_text()
    assert int(re.search(r"word for word\s+([\d,]+) word", told)[1]) > 100
    only = report.page.locator(".two .only").all_inner_texts()
    assert not {"Westerby", "312", "Pettifer"} & set(only)
    assert report.page.locator(".two .both", has_text="Westerby").count() >= 2


def test_what_the_report_does_not_hold_is_not_called_missing(report):
    show_repeats(report, "longest")
    report.page.locator("select[name=right]").select_option(label="version 4")
    told = report.page.locator(".aligned").inner_text()
    assert re.search(r"[\d,]+ words at the end of very long texts were not aligned", told)
    assert report.page.locator(".two [data-side='0'] .only").count() == 0
    assert "of version 1 only" not in told
    assert "of the first 5,000 words of version 1, none of version 4 was aligned" in told


def test_any_two_of_three_versions_are_compared(report):
    show_repeats(report, "three")
    assert report.page.locator(".two .text header strong").all_inner_texts() == ["Version 1", "Version 2"]
    report.page.locator("select[name=right]").select_option(label="version 3")
    assert report.page.locator(".two .text header strong").all_inner_texts() == ["Version 1", "Version 3"]
    told = report.page.locator(".aligned").inner_text()
    assert "of version 1 only" in told
    assert "of version 3 only" in told
    assert "left" not in told
    links = [report.page.locator(f"[data-side='{side}'] .reworded").evaluate_all(
        "all => all.map(e => e.dataset.link)") for side in (0, 1)]  # fmt: skip
    assert links[0]
    assert sorted(links[0]) == sorted(links[1])
    report.page.locator("#reworded-0-1").focus()
    report.page.keyboard.press("Enter")
    assert report.page.evaluate("document.activeElement.id") == "reworded-1-1"
    report.page.locator("select[name=left]").select_option(label="version 3")
    assert report.page.locator(".two .text header strong").all_inner_texts() == ["Version 3", "Version 1"]
    report.screenshot("three-versions")
