"""The report of a large run: data beside the page come when they are needed, and what is missing is said."""

from __future__ import annotations

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
        return report_run(folder, 30, ThreadExecutor(1), Silence())


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


def test_what_is_left_out_is_said(browser, in_files, tables, largest):
    with report_in(browser, in_files) as report:
        repeated = {s["article_id"] for s in tables["repeated_sections"]}
        clustered = {m["article_id"] for m in tables["cluster_members"] if m["cluster_size"] > 1}
        shown = len(repeated | clustered)
        assert f"the texts of 30 of the {shown} articles" in report.page.locator(".left-out").inner_text()
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
