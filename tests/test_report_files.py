"""The report of a large run: data beside the page come when they are needed, and what is missing is said."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from browser import report_in

from pipeline import report_pages
from pipeline.executor import Silence, ThreadExecutor
from pipeline.revisit import report_run


@pytest.fixture(scope="module")
def in_files(sample_run, tmp_path_factory) -> Path:
    """The sample's report as that of a large run: all but the overview in many files beside it."""
    folder = tmp_path_factory.mktemp("in-files") / "run"
    shutil.copytree(sample_run.run_dir, folder)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("INLINE_BYTES", 0), ("LIST_CLUSTERS", 10), ("DETAIL_MEMBERS", 20)):
            patch.setattr(report_pages, name, value)
        return report_run(folder, 75, ThreadExecutor(1), Silence())


def test_data_beside_the_page_come_when_they_are_needed(browser, in_files, tables, largest):
    with report_in(browser, in_files) as report:
        assert [url for url in report.requests if url.endswith(".js")] == []
        report.show("clusters?q=memo")
        assert len(report.page.locator(".clusters tbody th a").all_inner_texts()) == 1
        for cluster in tables["clusters"]:
            report.show(f"cluster={cluster['cluster_id']}")
            assert report.page.locator(".members tbody tr").count() == cluster["n_articles"]
        loaded = [url for url in report.requests if url.endswith(".js")]
        assert len(loaded) == len(set(loaded)) > 6
        assert report.is_clean()


def test_texts_beside_the_page_are_searched_when_asked_for(browser, in_files, tables):
    word = "motorcycles"
    cluster_of = {a["article_id"]: a["cluster_id"] for a in tables["articles"]}
    having = {cluster_of[t["article_id"]] for t in tables["texts"] if word in t["text"].lower()}
    wanted = having & {c["cluster_id"] for c in tables["clusters"]}
    assert wanted
    links = ".clusters tbody th a"
    with report_in(browser, in_files) as report:
        report.show(f"clusters?q={word}")
        assert report.page.locator(links).count() == 0
        loaded = [url for url in report.requests if "/texts-" in url]
        assert loaded == []
        report.page.get_by_label("In the texts too", exact=True).check()
        report.page.wait_for_selector(links)
        found = report.page.locator(links).evaluate_all("all => all.map(a => a.hash.slice(9, 25))")
        assert set(found) <= wanted
        assert found
        told = report.page.locator("main [role=status]").inner_text()
        assert "75 of" in told  # the others' texts are not in the report
        report.page.locator(links).first.click()
        report.page.get_by_text(f"1 of {len(found)}", exact=True).wait_for()
        assert report.is_clean()


def test_a_search_in_texts_says_what_it_could_not_load(browser, copied):
    for file in (copied.parent / "report").glob("texts-*.js"):
        file.unlink()
    with report_in(browser, copied) as report:
        report.page.goto(f"{report.page.url}#clusters?q=memo&texts=yes")
        report.page.get_by_text("Texts are not searched: report/texts-").wait_for()
        assert report.page.locator(".clusters tbody a").count() == 1


def test_what_is_left_out_is_said(browser, in_files, tables, largest):
    with report_in(browser, in_files) as report:
        repeated = {s["article_id"] for s in tables["repeated_sections"]}
        clustered = {m["article_id"] for m in tables["cluster_members"] if m["cluster_size"] > 1}
        own = {a["article_id"]: a["cluster_id"] for a in tables["articles"]}
        ends = [(p["article_id_l"], p["article_id_r"]) for p in tables["confirmed_pairs"]]
        between = {i for both in ends if own[both[0]] != own[both[1]] for i in both}
        shown = len(repeated | clustered | between)
        assert f"the texts of 75 of the {shown} articles" in report.page.locator(".left-out").inner_text()
        smallest = min(tables["clusters"], key=lambda cluster: cluster["n_articles"])
        report.show(f"cluster={smallest['cluster_id']}")
        assert "does not have both texts" in report.page.locator(".beside .left-out").inner_text()
        report.show(f"cluster={largest['cluster_id']}")
        assert report.page.locator(".two .text").count() == 2
        told = report.page.locator(".beside > p.note code").inner_text()
        assert told.startswith(f"respun explain {in_files.parent} ")


def test_a_missing_file_is_said(browser, in_files, tmp_path):
    shutil.copy(in_files, tmp_path / "report.html")
    with report_in(browser, tmp_path / "report.html") as report:
        report.page.goto(f"{report.page.url}#sources")
        report.page.get_by_text("report/sources.js can't be loaded").wait_for()


@pytest.fixture
def copied(in_files, tmp_path) -> Path:
    return Path(shutil.copytree(in_files.parent, tmp_path / "run")) / "report.html"


def list_of(report) -> int:
    report.page.goto(f"{report.page.url.split('#')[0]}#clusters?q=memo")
    report.page.wait_for_selector(".clusters tbody a")
    return report.page.locator(".clusters tbody a").count()


def test_one_missing_file_of_details_does_not_hide_the_list(browser, copied):
    (copied.parent / "report" / "clusters-1.js").unlink()
    with report_in(browser, copied) as report:
        assert list_of(report) == 1
        told = report.page.locator(".left-out").inner_text()
        assert "Only titles" in told
        assert "report/clusters-1.js can't be loaded" in told


def test_a_damaged_file_is_said(browser, copied):
    file = copied.parent / "report" / "repeats.js"
    file.write_bytes(file.read_bytes()[:-20])
    with report_in(browser, copied) as report:
        report.page.goto(f"{report.page.url}#repeats")
        report.page.get_by_text("report/repeats.js is damaged").wait_for()


def test_data_of_another_report_are_not_taken(browser, copied):
    file = copied.parent / "report" / "repeats.js"
    file.write_bytes(file.read_bytes().replace(b'"articles":[', b'"articles":[],"b":[', 1))
    key = re.search(rb'^respun\("repeats","(\w+)"', file.read_bytes())[1]
    file.write_bytes(file.read_bytes().replace(key, b"0" * 16, 1))
    with report_in(browser, copied) as report:
        report.page.goto(f"{report.page.url}#repeats")
        report.page.get_by_text("report/repeats.js belongs to another report").wait_for()
