"""The report in a real browser: Debian's Chromium, driven by Playwright, that downloads nothing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from command_line import ROOT

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
SCREENSHOTS = ROOT / "build" / "screenshots"
# Chromium's sandbox refuses to run as root, which CI containers often are.
ARGUMENTS = ["--no-sandbox"] if os.geteuid() == 0 else []


@dataclass
class Report:
    """A page of the report, and all that the browser had to say or asked for meanwhile."""

    page: Any
    path: Path
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def show(self, view: str) -> None:
        """Go to a part, such as `clusters?q=x`, and wait until it is there."""
        address = f"file://{self.path}#{view}"
        # A new address with another hash doesn't load the page again.
        self.page.goto(address)
        self.shown(view)

    def shown(self, view: str) -> None:
        self.page.wait_for_function(
            "view => { const main = document.getElementById('main');"
            " return main.dataset.shown === '#' + view && !main.hasAttribute('aria-busy'); }",
            arg=view,
        )

    def screenshot(self, name: str, full_page: bool = True) -> None:
        """Kept as an artifact of the tests, for people to look at."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=full_page)

    def is_clean(self) -> bool:
        """No error in the console, and nothing loaded but the page and the data beside it."""
        folder = f"file://{self.path.parent}/"
        outside = [url for url in self.requests if not url.startswith((folder, "data:image/svg+xml"))]
        assert self.errors == []
        assert outside == []
        return True


@contextmanager
def report_in(browser: Any, path: Path, **context: Any) -> Iterator[Report]:
    """A report opened from disk in a fresh context of the browser."""
    own = browser.new_context(**({"viewport": {"width": 1280, "height": 900}} | context))
    page = own.new_page()
    page.set_default_timeout(60_000)
    report = Report(page, path)
    page.on("console", lambda m: report.errors.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: report.errors.append(str(error)))
    page.on("dialog", lambda dialog: (report.errors.append(dialog.message), dialog.dismiss()))
    page.on("request", lambda request: report.requests.append(request.url))
    own.on("page", lambda popup: report.errors.append(f"opened {popup.url}"))
    try:
        page.goto(f"file://{path}")
        page.wait_for_selector("h1")
        yield report
    finally:
        own.close()


@dataclass
class Often:
    """How often the piece of the page's script ran that ran most often."""

    n: int = 0


@contextmanager
def most_often(page: Any) -> Iterator[Often]:
    """Counts meanwhile: says what a page takes without a clock."""
    session = page.context.new_cdp_session(page)
    session.send("Profiler.enable")
    session.send("Profiler.startPreciseCoverage", {"callCount": True, "detailed": True})
    found = Often()
    yield found
    scripts = session.send("Profiler.takePreciseCoverage")["result"]
    found.n = max(
        piece["count"]
        for script in scripts
        for function in script["functions"]
        for piece in function["ranges"]
    )
    session.send("Profiler.stopPreciseCoverage")
    session.detach()


def probe(name: str) -> str:
    """A function of tests/probes, to be evaluated in the page."""
    return (ROOT / "tests" / "probes" / f"{name}.js").read_text(encoding="utf-8")
