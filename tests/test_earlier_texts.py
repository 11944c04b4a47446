"""A night shows, and `explain` reads, the texts of earlier nights from the runs that brought them."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from browser import report_in
from click.testing import CliRunner
from indexes import Night, run_night
from made_up_news import stories

from flows.cli import cli
from pipeline import report_texts
from pipeline.config import Config
from pipeline.earlier_texts import Budget, earlier_texts, why_none
from pipeline.executor import Silence, ThreadExecutor
from pipeline.report_pages import GONE
from pipeline.report_texts import TEXTS_A_FILE, chosen_rows
from pipeline.revisit import explain_articles, report_run
from pipeline.schema import TABLES
from pipeline.tables import Layout, write_parquet

ROWS = stories(5, 12)
HALF = len(ROWS) // 2
TEXTS = {row["article_id"]: row["text"] for row in ROWS}


def night(folder: Path, rows: list[dict], name: str, **settings: object) -> Night:
    return run_night(rows, folder, folder / "index", Config.model_validate(settings), name)


@pytest.fixture(scope="module")
def done(tmp_path_factory) -> Path:
    """Two nights; the second has five articles of the first again."""
    folder = tmp_path_factory.mktemp("nights")
    night(folder, ROWS[: HALF + 5], "first")
    night(folder, ROWS[HALF - 5 :], "second")
    return folder


@pytest.fixture
def nights(done, tmp_path) -> tuple[Path, Night]:
    """The folder of the first night, and the second, in a copy of the output folder."""
    shutil.copytree(done, tmp_path / "copy")
    first, second = sorted((tmp_path / "copy" / "out" / "runs").iterdir(), key=lambda p: not is_first(p))
    return first, Night(second)


def is_first(run: Path) -> bool:
    return json.loads((run / "manifest.json").read_text())["index"]["n_articles_before"] == 0


def earlier(night: Night) -> dict[str, str]:
    """Run of each article of an earlier night in a cluster of two or more."""
    shown = {c["cluster_id"] for c in night.rows("clusters")}
    return {a["article_id"]: a["earlier_run_id"] for a in night.rows("articles")
            if a["earlier_run_id"] and a["cluster_id"] in shown}  # fmt: skip


def data_of(night: Night) -> dict[str, dict]:
    page = (night.folder / "report.html").read_text("utf-8")
    found = re.findall(r'<script type="application/json" id="data-([\w-]+)">(.*?)</script>', page)
    return {name: json.loads(content) for name, content in found}


def shown_texts(night: Night) -> dict[str, str | int]:
    """The text that the report has of each member of a cluster, or the place that says that it has none."""
    data = data_of(night)
    files = data["overview"]["shape"]["text_files"]
    members = data["clusters-0"]["members"]
    return {
        article_id: data[files[place // TEXTS_A_FILE]]["texts"][place % TEXTS_A_FILE] if place >= 0 else place
        for article_id, place in zip(members["article_id"], members["place"], strict=True)
    }


def rewritten(night: Night) -> dict[str, str | int]:
    report_run(night.folder, None, ThreadExecutor(1), Silence())
    return shown_texts(night)


def test_a_night_shows_the_texts_of_earlier_nights(nights):
    _, second = nights
    old = earlier(second)
    texts = shown_texts(second)
    assert len(old) > 5
    assert old.keys() < texts.keys()
    assert texts == {article_id: TEXTS[article_id] for article_id in texts}
    assert data_of(second)["overview"]["shape"]["n_gone"] == 0
    before = data_of(second)
    assert rewritten(second) == texts
    assert data_of(second) == before


def pair_with(night: Night, old: int) -> tuple[str, str, float]:
    """A confirmed pair with so many articles of an earlier night."""
    known = earlier(night)
    for pair in night.rows("confirmed_pairs"):
        both = (pair["article_id_l"], pair["article_id_r"])
        if sum(article_id in known for article_id in both) == old:
            return *both, pair["probability"]
    raise AssertionError(f"no pair with {old} earlier articles")


@pytest.fixture(scope="module")
def spread(tmp_path_factory) -> Night:
    """A second night that has new articles of stories of the first."""
    folder = tmp_path_factory.mktemp("spread")
    night(folder, ROWS[::2], "first")
    return night(folder, ROWS[1::2], "second")


@pytest.mark.parametrize("old", [1, 2])
def test_explain_reads_the_texts_of_earlier_nights(spread, nights, old):
    run = spread if old == 1 else nights[1]
    left, right, probability = pair_with(run, old)
    for one, two in ((left, right), (right, left)):
        found = explain_articles(run.folder, one, two, ThreadExecutor(1), Silence())
        assert (found.a.name, found.b.name) == (one, two)
        assert found.waterfall.probability == pytest.approx(probability, abs=1e-5)
        said = "".join(p.text_a for p in found.alignment.passages)
        assert TEXTS[one].split()[-1] in said


def take_away(run: Path) -> str:
    shutil.rmtree(run)
    return "is not in this output folder"


def keep_no_texts(run: Path) -> str:
    (run / "texts.parquet").unlink()
    return "keep_texts = false"


def cut_short(run: Path) -> str:
    whole = (run / "texts.parquet").read_bytes()
    (run / "texts.parquet").write_bytes(whole[: len(whole) // 2])
    return "can't be read"


def damage_pages(run: Path) -> str:
    """Other bytes where the texts are; the footer is whole."""
    path = run / "texts.parquet"
    column = pq.read_metadata(path).row_group(0).column(2)
    content = bytearray(path.read_bytes())
    end = column.data_page_offset + column.total_compressed_size
    content[end - 2_000 : end] = b"\xff" * 2_000
    path.write_bytes(content)
    return "can't be read"


def other_columns(run: Path) -> str:
    pq.write_table(pa.table({"article_id": list(TEXTS)}), run / "texts.parquet")
    return "can't be read"


def others_articles(run: Path) -> str:
    write_parquet(run / "texts.parquet", TABLES["texts"], TABLES["texts"].empty_table())
    return "lacks the article"


@pytest.mark.parametrize(
    "spoil", [take_away, keep_no_texts, cut_short, damage_pages, other_columns, others_articles]
)
def test_texts_that_are_gone_are_told_truly(nights, spoil):
    first, second = nights
    words = spoil(first)
    old = earlier(second)
    texts = rewritten(second)
    assert {i for i, text in texts.items() if text == GONE} == old.keys()
    assert all(text == TEXTS[i] for i, text in texts.items() if i not in old)
    shape = data_of(second)["overview"]["shape"]
    assert shape["n_gone"] >= len(old)
    assert [(one["run_id"], one["n"]) for one in shape["gone"]] == [(first.name, shape["n_gone"])]
    assert words in shape["gone"][0]["why"]
    left, right, _ = pair_with(second, 2)
    asked = CliRunner().invoke(cli, ["explain", str(second.folder), left, right])
    assert (asked.exit_code, asked.stdout) == (2, "")
    assert left in asked.stderr or right in asked.stderr
    for told in (words, first.name, "respun compare"):
        assert told in asked.stderr
    assert len(asked.stderr.splitlines()) == 1


@pytest.mark.parametrize("spoil", [take_away, cut_short, damage_pages])
def test_a_night_is_published_though_earlier_runs_are_gone(nights, spoil):
    first, _ = nights
    spoil(first)
    folder = first.parents[2]
    again = [row | {"article_id": f"again-{row['article_id']}"} for row in ROWS[:6]]
    third = night(folder, again, "third")
    texts = shown_texts(third)
    assert {row["article_id"] for row in again} <= texts.keys()
    assert GONE in texts.values()
    assert all(text in (GONE, TEXTS[i.removeprefix("again-")]) for i, text in texts.items())


def test_texts_that_are_gone_take_no_place_of_others(nights):
    first, second = nights
    runs, n_all = first.parent, len(chosen_rows(second.folder, first.parent, None).rows)
    keep_no_texts(first)
    found = chosen_rows(second.folder, runs, None)
    assert len(found.rows) + len(found.gone) == n_all
    few = chosen_rows(second.folder, runs, len(found.rows))
    assert few.rows.tolist() == found.rows.tolist()
    assert few.gone.tolist() == found.gone.tolist() != []


def test_only_row_groups_that_hold_a_text_are_decoded(tmp_path):
    """The others may be damaged."""
    rows = [{"article_id": f"a{i}", "title": None, "text": f"Text {i} " * 20} for i in range(12)]
    table = pa.Table.from_pylist(rows, schema=TABLES["texts"])
    path = tmp_path / "r" / "texts.parquet"
    write_parquet(path, TABLES["texts"], table, Layout(4))
    content = bytearray(path.read_bytes())
    text = pq.read_metadata(path).row_group(1).column(2)
    content[text.data_page_offset : text.data_page_offset + text.total_compressed_size] = bytes(
        text.total_compressed_size
    )
    path.write_bytes(content)
    asked = pa.chunked_array([["a9", "nobody", "a1", "a8"]])
    found = [
        (places.tolist(), texts["text"].to_pylist())
        for places, texts in earlier_texts(tmp_path, "r", asked, Budget(None))
    ]
    assert found == [([2], [rows[1]["text"]]), ([3, 0], [rows[8]["text"], rows[9]["text"]])]
    damaged = list(earlier_texts(tmp_path, "r", pa.chunked_array([["a5"]]), Budget(None)))
    assert damaged == []
    assert "can't be read" in why_none(tmp_path, "r")


def test_no_more_is_decoded_than_may_be(tmp_path):
    rows = [{"article_id": f"a{i}", "title": None, "text": f"Text {i} " * 20} for i in range(12)]
    path = tmp_path / "r" / "texts.parquet"
    table = pa.Table.from_pylist(rows, schema=TABLES["texts"])
    write_parquet(path, TABLES["texts"], table, Layout(4))
    sizes = [pq.read_metadata(path).row_group(number).total_byte_size for number in range(3)]
    asked = pa.chunked_array([["a1", "a5", "a9"]])
    for n_groups in range(4):
        budget = Budget(sum(sizes[:n_groups]))
        assert len(list(earlier_texts(tmp_path, "r", asked, budget))) == n_groups
        assert budget.is_spent == (n_groups < 3)


def test_texts_too_far_back_are_left_to_the_report_written_again(done, tmp_path, monkeypatch):
    monkeypatch.setattr(report_texts, "EARLIER_BYTES", 0)
    shutil.copytree(done / "index", tmp_path / "index")
    shutil.copytree(done / "out", tmp_path / "out")
    third = night(tmp_path, [{**row, "article_id": f"again-{n}"} for n, row in enumerate(ROWS[:3])], "third")
    old = earlier(third)
    assert old
    shown = shown_texts(third)
    assert {shown[article_id] for article_id in old} == {-1}
    shape = data_of(third)["overview"]["shape"]
    assert shape["n_texts"] < shape["n_shown"]
    assert shape["n_gone"] == 0
    again = rewritten(third)
    assert {article_id: again[article_id] for article_id in old} == {i: TEXTS[i] for i in old}


def test_the_page_shows_them_or_says_why_not(browser, nights):
    first, second = nights
    left, right, _ = pair_with(second, 2)
    both = f"pair={left}/{right}"
    with report_in(browser, second.folder / "report.html") as report:
        report.show(both)
        assert report.page.locator(".beside article.text").count() == 2
        report.show("overview")
        assert report.page.locator(".left-out.gone").count() == 0
        n_old = sum(article["earlier_run_id"] is not None for article in second.rows("articles"))
        assert f"articles, {n_old} of earlier nights" in report.page.locator(".figures").inner_text()
        assert report.is_clean()
    keep_no_texts(first)
    report_run(second.folder, None, ThreadExecutor(1), Silence())
    with report_in(browser, second.folder / "report.html") as report:
        told = report.page.locator(".left-out.gone").inner_text()
        assert first.name in told
        assert "keep_texts = false" in told
        assert f"respun report {second.folder}" in told
        report.show(both)
        words = report.page.locator(".beside").inner_text()
        assert "came with an earlier night" in words
        # Neither helps here.
        assert "respun report" not in words
        assert "respun explain" not in words
        assert report.is_clean()
