"""How long a run's report takes to open, in headless Chromium, from disk.

    python -m benchmarks.open_report RUN [--repeats 5]

RUN is a published run's folder. Printed are seconds until there is something to see: of the page, of the list
of clusters, and of the first cluster of the list, the largest. Each time in a new page; the fastest counts.
"""

from __future__ import annotations

import argparse
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from benchmarks.measured_process import folder_bytes
from benchmarks.side_by_side_tables import print_table


def open_report(run: Path, browser: Any) -> tuple[float, float, float]:
    """Seconds to the overview, from there to the list, from there to its first cluster."""
    page = browser.new_page()

    def show(act: Callable[[], object], wanted: str) -> float:
        begin = time.perf_counter()
        act()
        page.wait_for_selector(wanted)
        return time.perf_counter() - begin

    first = show(lambda: page.goto((run / "report.html").absolute().as_uri()), "main .figures")
    second = show(lambda: page.evaluate("location.hash = 'clusters'"), "main tbody tr")
    third = show(lambda: page.click("main tbody tr a"), "main .members tbody tr")
    page.close()
    return first, second, third


def main() -> None:
    """Measure the report of a run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
        found = [open_report(options.run, browser) for _ in range(options.repeats)]
        browser.close()
    sizes = ((options.run / "report.html").stat().st_size, folder_bytes(options.run / "report"))
    megabytes = [f"{size / 1e6:.1f}" for size in sizes]
    print_table(
        ("page MB", "data MB", "overview s", "list of clusters s", "largest cluster s"),
        [(*megabytes, *(f"{min(part):.2f}" for part in zip(*found, strict=True)))],
    )


if __name__ == "__main__":
    main()
