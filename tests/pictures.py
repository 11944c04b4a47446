"""The two pictures in README.md, taken anew by `python tests/pictures.py`: look at them then.

What they show is kept as words beside them, and a test compares these with the report of today.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from browser import ARGUMENTS, CHROMIUM, Report, report_in
from command_line import ROOT, SAMPLE, command

IMAGES = ROOT / "docs" / "images"
WORDS = IMAGES / "shown.txt"
VIEWPORT = {"width": 1180, "height": 760}


def show(report: Report) -> str:
    """The largest cluster, as the list leads there. Returns what it tells, for `WORDS`."""
    report.show("clusters")
    report.page.locator(".clusters tbody th a").first.click()
    report.page.wait_for_selector(".two")
    report.page.wait_for_selector(".crumbs .pager")
    report.page.mouse.move(0, 0)
    parts = (
        ".crumbs .pager span",
        ".facts",
        ".members tbody",
        ".graph title",
        ".legend",
        ".measures",
        ".aligned",
    )
    told = [report.page.locator(f"main {part}").all_text_contents() for part in parts]
    return "\n".join(" ".join(" ".join(words).split()) for words in told) + "\n"


def main() -> None:
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        done = command("run", SAMPLE, "--output", Path(folder) / "out", "--config", "smoke", "--direct")
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        context = {"viewport": VIEWPORT, "color_scheme": "light"}
        with report_in(browser, done.run_dir / "report.html", **context) as report:
            WORDS.write_text(show(report), encoding="utf-8")
            report.page.screenshot(path=IMAGES / "report-cluster.png")
            report.page.get_by_role("button", name="to the texts").click()
            report.page.screenshot(path=IMAGES / "report-beside.png")
        browser.close()


if __name__ == "__main__":
    main()
