"""Whatever hostile articles hold, the report only shows it, and the browser would refuse the rest."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from browser import probe, report_in
from command_line import SAMPLE

from pipeline.config import load_config
from pipeline.executor import Silence, ThreadExecutor
from pipeline.job import run_job

ATTACKS = {
    "script": "<script>window.pwned = 1</script>",
    "end": "</script><script>window.pwned = 2</script><!--",
    "attribute": "\"' onmouseover=window.pwned=3 autofocus onfocus=window.pwned=4 x='",
    "image": "<img src=x onerror=window.pwned=5><iframe srcdoc='<script>parent.pwned=6</script>'></iframe>",
    "svg": "<svg onload=window.pwned=7><animate onbegin=window.pwned=8 attributeName=x></svg>",
    "css": "</style><style>*{display:none!important;background:url(http://127.0.0.1:9/leak)}</style>",
    "template": "${window.pwned=9} {{constructor.constructor('window.pwned=10')()}} $data $style",
    "bidi": "abc \u202eDEFG\u202c \u2066hij\u2069 \u200fklm",
    "marks": "a\u0300Z" + "".join(chr(0x300 + k % 0x70) for k in range(300)),
    "separators": "line\u2028break\u2029 \u0007 bell ');window.pwned=11;//",
}
ADDRESSES = (
    "javascript:window.pwned=12", "JaVaScRiPt:window.pwned=13", " javascript:window.pwned=14",
    "data:text/html,<script>window.pwned=15</script>", "vbscript:x", "file:///etc/passwd", "//host.example/x",
    "https://host.example/\"onmouseover=window.pwned=16", "http://user:pass@host.example/a?b=<c>#d",
)  # fmt: skip


@pytest.fixture(scope="module")
def attacked(tmp_path_factory) -> Path:
    """The report of a run over articles that attack whoever shows them."""
    folder = tmp_path_factory.mktemp("attacked")
    rows = []
    for n, (name, attack) in enumerate(ATTACKS.items()):
        story = " ".join(f"Word{n}x{k} and the {name} of {k * 7 + n} Kestrel{n}{k % 9}." for k in range(60))
        for copy in range(3):
            rows.append({
                "article_id": f"{name}-{copy} {attack}", "title": f"{attack} title {copy}",
                "source": f"{attack} source {copy % 2}", "url": ADDRESSES[(n + copy) % len(ADDRESSES)],
                "published_at": f"2026-03-{n + 1:02d}T0{copy}:00:00Z",
                "text": f"{attack}\n\n{story}\n\n{attack} {attack}" + (f"\n\nMore{n} of it." * copy),
            })  # fmt: skip
    page = next(row for row in pq.read_table(SAMPLE).to_pylist() if row["article_id"] == "story/A03/page")
    rows.append({"article_id": "page", "title": ATTACKS["svg"], "source": ATTACKS["css"], "url": ADDRESSES[0],
                 "text": page["text"].replace("\n\n", f"\n\n{ATTACKS['script']} ", 1)})  # fmt: skip
    rows.append({"article_id": ATTACKS["image"], "text": ""})
    source = folder / "<img src=x onerror=window.pwned=17>.jsonl"
    source.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    run = run_job([str(source)], folder / "out", load_config(), ThreadExecutor(2), Silence())
    return run.run_dir / "report.html"


def test_hostile_articles_are_only_shown(browser, attacked):
    clusters = pq.read_table(attacked.parent / "clusters.parquet")["cluster_id"].to_pylist()
    repeats = pq.read_table(attacked.parent / "repeated_sections.parquet").num_rows
    assert len(clusters) >= len(ATTACKS) - 1
    assert repeats
    views = ["overview", "clusters", *(f"cluster={i}" for i in clusters), "repeats", "repeats=0", "sources"]
    with report_in(browser, attacked) as report:
        report.page.evaluate(probe("handlers"))
        for view in views:
            report.show(view)
            for closed in report.page.locator("main details").all():
                closed.evaluate("e => { e.open = true; }")
            report.page.mouse.move(640, 450)
            assert report.page.evaluate("[window.pwned, window.broken]") == [None, []]
            # Nothing but our own elements: no element of the attacks came to be.
            assert (
                report.page.locator("main :is(script, img, iframe, style, animate, link, object)").count()
                == 0
            )
            assert report.page.evaluate(probe("handlers")) == []
            links = report.page.locator("a.url").evaluate_all(
                "all => all.map(a => [a.protocol, a.rel, a.target])"
            )
            assert all(protocol in ("http:", "https:") for protocol, _, _ in links)
            assert all("noopener" in rel and "noreferrer" in rel for _, rel, _ in links)
            raw = report.page.locator("main").evaluate("e => e.textContent")
            assert not re.search("[\u202a-\u202e\u2066-\u2069\u2028\u2029\u200f\u0007]", raw)
        report.show("clusters?q=abc")
        assert report.page.locator(".hidden-char").all_inner_texts()[:2] == ["RLO", "PDF"]
        isolated = report.page.locator(".clusters tbody th a bdi").evaluate(
            "e => getComputedStyle(e).unicodeBidi"
        )
        assert isolated == "isolate"
        report.show(f"cluster={clusters[0]}")
        report.screenshot("attacked")
        assert report.is_clean()


def test_marks_without_end_stay_in_their_row(browser, attacked):
    with report_in(browser, attacked) as report:
        report.show("sources?sort=name")
        table = report.page.locator(".sources")
        hostile = table.locator("tr", has_text="\u0301")
        box = hostile.last.locator("xpath=following-sibling::tr[1]").bounding_box()
        clip = {"x": box["x"], "y": box["y"] + 5, "width": 300, "height": box["height"] - 10}
        shown = report.page.screenshot(clip=clip, full_page=True)
        hostile.evaluate_all("all => all.forEach(e => { e.style.opacity = 0; })")
        assert report.page.screenshot(clip=clip, full_page=True) == shown


def test_marks_without_end_do_not_widen_the_page(browser, attacked):
    articles = pq.read_table(attacked.parent / "articles.parquet").to_pylist()
    cluster_id = next(a["cluster_id"] for a in articles if a["article_id"].startswith("marks"))
    with report_in(browser, attacked, viewport={"width": 360, "height": 800}) as report:
        for view in ("overview", "clusters", f"cluster={cluster_id}", "sources"):
            report.show(view)
            assert report.page.evaluate("document.scrollingElement.scrollWidth") <= 360


def test_long_names_leave_room_for_numbers(browser, attacked):
    with report_in(browser, attacked, viewport={"width": 360, "height": 800}) as report:
        report.show("sources")
        cell = report.page.locator(".matrix tbody td").first.bounding_box()
        assert cell["x"] + cell["width"] < 360


def test_the_policy_holds_even_against_the_page_itself(browser, page_path):
    """Were there a hole in the page, the browser would still load and run nothing."""
    with report_in(browser, page_path) as report:
        found = report.page.evaluate(probe("policy"))
    assert found["markup"] == found["script"] == "TypeError"
    assert (found["fetch"], found["style"]) == ("TypeError", "refused")
