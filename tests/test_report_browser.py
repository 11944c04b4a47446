"""The report as people see it: each part renders, filters filter, marks say what the evidence says."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pictures
import pytest
from browser import probe, report_in

from pipeline.aligned import LEFT_OUT
from pipeline.executor import Silence, ThreadExecutor
from pipeline.revisit import explain_articles

VIEWS = ("overview", "clusters", "cluster={first}", "repeats", "repeats=0", "sources")
EVENT = "story/A01"
WITHOUT_MARKS = """all => all.map((e) => {
  for (const mark of e.querySelectorAll('sup')) mark.remove();
  return e.textContent; })"""


@pytest.fixture
def report(browser, page_path):
    with report_in(browser, page_path) as opened:
        yield opened
        assert opened.is_clean()


def views_of(largest: dict) -> list[str]:
    return [view.format(first=largest["cluster_id"]) for view in VIEWS]


def in_order(tables: dict, cluster_id: str) -> list[dict]:
    own = [article for article in tables["articles"] if article["cluster_id"] == cluster_id]
    return sorted(own, key=lambda a: (a["published_at"] or datetime.max.replace(tzinfo=UTC), a["article_id"]))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_every_part_renders(browser, page_path, largest, scheme, width):
    viewport = {"width": width, "height": 900}
    with report_in(browser, page_path, viewport=viewport, color_scheme=scheme) as report:
        for view in views_of(largest):
            report.show(view)
            assert report.page.locator("h1").inner_text()
            assert report.page.get_by_text(re.compile(r"\b(null|undefined|NaN|\[object)")).count() == 0
            assert report.page.evaluate("document.scrollingElement.scrollWidth") <= width
            report.screenshot(f"{view.split('=')[0]}-{scheme}-{width}")
        assert report.is_clean()


def test_the_overview_has_the_numbers_of_the_summary_and_the_manifest(report, sample_run):
    manifest = json.loads((sample_run.run_dir / "manifest.json").read_text(encoding="utf-8"))
    told = report.page.locator(".figures").inner_text()
    counts = manifest["counts"]
    for number in (
        counts["n_accepted"],
        counts["n_clusters"],
        counts["n_confirmed_pairs"],
        counts["n_rejected"],
    ):
        assert re.search(rf"\b{number:,}\b", told)
    stages = report.page.locator(".stages tbody th").all_inner_texts()
    assert stages == [stage["stage"] for stage in manifest["stages"]]
    printed = sample_run.stderr
    assert f"{counts['n_accepted']:,} articles, " in printed
    assert f"{counts['n_confirmed_pairs']:,} confirmed pairs" in printed


def with_other_data(page_path: Path, name: str, change: Callable[[dict], None], page: Path) -> Path:
    """The report with one of its data changed, as `page`."""
    html = page_path.read_text(encoding="utf-8")
    begin = html.index(">", html.index(f'id="data-{name}"')) + 1
    end = html.index("</script>", begin)
    data = json.loads(html[begin:end])
    change(data)
    page.write_text(html[:begin] + json.dumps(data).replace("<", "\\u003c") + html[end:], encoding="utf-8")
    return page


def test_the_overview_has_every_number_of_the_summary(browser, page_path, tmp_path):
    """Numbers that can't be taken for others, of fields too that are 0 of the sample."""
    numbers: dict[str, int] = {}

    def change(data: dict) -> None:
        names = sorted(name for name, value in data["summary"].items() if type(value) is int)
        numbers.update({name: 7_001 + 13 * k for k, name in enumerate(names)})
        data["summary"] |= numbers
        data["summary"]["index"] = {
            "n_articles_before": 1,
            "n_forgotten": 6_001,
            "n_forgotten_new": 6_002,
            "drift": 0.1,
            "is_rebuild_due": False,
            "statistics": None,
        }

    page = with_other_data(page_path, "overview", change, tmp_path / "report.html")
    assert {"n_unreadable_dates", "n_files_passed_over", "n_repeated_groups", "n_earlier"} <= set(numbers)
    with report_in(browser, page) as report:
        told = report.page.locator("main").inner_text()
        assert "6,001 articles, 6,002 of this run" in told
        assert [name for name, n in numbers.items() if f"{n:,}" not in told] == []
        assert report.is_clean()


@pytest.mark.parametrize("n", [1, 60, 100, 119, 130])
def test_no_label_of_the_timeline_is_cut_off(browser, page_path, tmp_path, n):
    def change(data: dict) -> None:
        starts = [1_767_225_600 + 86_400 * day for day in range(n)]
        data["timeline"] |= {"unit": "day", "starts": starts, "first": [1] * n, "later": [0] * n}

    with report_in(
        browser, with_other_data(page_path, "overview", change, tmp_path / "report.html")
    ) as report:
        chart = report.page.get_by_role("img", name="Articles of clusters by day of publication")
        box = chart.bounding_box()
        labels = [label.bounding_box() for label in chart.locator(".tick:not(.end)").all()]
        assert labels
        assert max(label["x"] + label["width"] for label in labels) <= box["x"] + box["width"]


def test_the_timeline_can_be_read_in_a_narrow_window(browser, page_path):
    with report_in(browser, page_path, viewport={"width": 360, "height": 800}) as report:
        chart = report.page.get_by_role("img", name="Articles of clusters by")
        heights = [label.bounding_box()["height"] for label in chart.locator(".tick").all()]
        assert min(heights) > 8  # pixels


def test_the_matrix_has_the_largest_flows(browser, page_path, tmp_path):
    """Where those that give and take most have nothing to do with each other."""

    def change(data: dict) -> None:
        n = len(data["names"])
        for column in data.values():
            if isinstance(column, list) and len(column) == n:
                column += [f"site{i}" for i in range(100)] if column is data["names"] else [0] * 100
        small = [[n + i, n + 50 + j, 1, 0, 0] for i in range(20) for j in range(40)]
        data["flows"] = [[n + i, n + 20 + i, 50 - i, 0, 0] for i in range(20)] + small
        data["n_flows"] = len(data["flows"])

    with report_in(
        browser, with_other_data(page_path, "sources", change, tmp_path / "report.html")
    ) as report:
        report.show("sources")
        told = [int(n) for n in report.page.locator(".matrix strong").all_inner_texts()]
        assert sorted(told, reverse=True) == [50 - i for i in range(16)]
        words = report.page.locator(".card", has=report.page.locator(".matrix")).locator("p.left-out").first
        assert words.inner_text().startswith("The largest, 16 of 820 numbers")


def test_the_timeline_says_that_later_is_not_later_copy(report):
    own = report.page.locator(
        "section", has=report.page.get_by_role("heading", name="First and later articles")
    )
    assert "those of the same source too" in own.inner_text()
    assert "copies" not in own.locator("h2").inner_text()


def test_pairs_between_clusters_are_listed(report, tables):
    own = {article["article_id"]: article["cluster_id"] for article in tables["articles"]}
    pairs = [p for p in tables["confirmed_pairs"] if own[p["article_id_l"]] != own[p["article_id_r"]]]
    assert pairs
    assert report.page.get_by_text(f"{len(pairs)} pairs of them lead out of a cluster").is_visible()
    report.page.get_by_text("Which", exact=True).click()
    report.page.wait_for_selector(".between")
    ids = report.page.locator(".between .id").evaluate_all("all => all.map(e => e.textContent)")
    told = set(zip(ids[::2], ids[1::2], strict=True))
    assert told == {(p["article_id_l"], p["article_id_r"]) for p in pairs}


def test_the_list_sorts(report, tables):
    report.show("clusters")
    sizes = [int(n) for n in report.page.locator(".clusters tbody td:nth-child(2)").all_inner_texts()]
    assert sizes == sorted((c["n_articles"] for c in tables["clusters"]), reverse=True)
    report.page.get_by_role("button", name="Weakest pair", exact=True).click()
    report.shown("clusters?sort=min_probability&way=up")
    weakest = [float(p) for p in report.page.locator(".clusters tbody td:nth-child(6)").all_inner_texts()]
    assert weakest == sorted(weakest)
    assert report.page.locator("th[aria-sort=ascending]").inner_text().startswith("Weakest pair")


@pytest.mark.parametrize(
    ("name", "value", "holds"),
    [
        ("relation", "exact", lambda c, a: "exact" in c["relations"]),
        ("loosest", "respun", lambda c, a: "respun" in c["relations"]),
        ("source", "clickpulse", lambda c, a: any("clickpulse" in x["source"] for x in a)),
        ("min", "5", lambda c, a: c["n_articles"] >= 5),
        ("max", "2", lambda c, a: c["n_articles"] <= 2),
        ("from", "2026-05-01", lambda c, a: c["last_published_at"] >= datetime(2026, 5, 1, tzinfo=UTC)),
        ("to", "2026-02-28", lambda c, a: c["first_published_at"] < datetime(2026, 3, 1, tzinfo=UTC)),
        ("weakest", "0.5", lambda c, a: c["min_probability"] < 0.5),
        ("q", "memo BENJA", lambda c, a: any("memo" in x["title"].lower() for x in a)
         and any("benja" in x["title"].lower() for x in a)),
        ("q", "story/A03/light", lambda c, a: any(x["article_id"] == "story/A03/light" for x in a)),
    ],
)  # fmt: skip
def test_filters_filter(report, tables, name, value, holds):
    report.show("clusters")
    field = report.page.locator(f"[name={name}]")
    if field.evaluate("element => element.tagName") == "SELECT":
        field.select_option(value)
    else:
        field.fill(value)
        field.press("Enter")
    report.page.wait_for_function("() => document.getElementById('main').dataset.shown.includes('?')")
    wanted = [c for c in tables["clusters"] if holds(c, in_order(tables, c["cluster_id"]))]
    links = report.page.locator(".clusters tbody th a").evaluate_all("all => all.map(a => a.hash)")
    assert sorted(link.split("?")[0] for link in links) == sorted(
        f"#cluster={c['cluster_id']}" for c in wanted
    )
    assert wanted
    if len(wanted) < len(tables["clusters"]):
        status = report.page.get_by_text(f"{len(wanted)} of {len(tables['clusters'])} clusters")
        assert status.count() == 1


def test_a_filter_that_nothing_meets_says_so(report):
    report.show("clusters?q=zzzz")
    assert report.page.get_by_text("No cluster is like this.").is_visible()


def settled(report) -> None:
    """Wait until the page shows what its address says."""
    report.page.wait_for_function(
        "() => { const main = document.getElementById('main');"
        " return main.dataset.shown === location.hash && !main.hasAttribute('aria-busy'); }"
    )


def test_a_date_is_typed_key_by_key(report, tables):
    """A browser calls it whole from the first digit of the year on."""
    report.show("clusters")
    report.page.locator("[name=from]").focus()
    for key in "05012026":
        report.page.keyboard.press(key)
        settled(report)
    assert report.page.locator("[name=from]").input_value() == "2026-05-01"
    assert report.page.evaluate("location.hash") == "#clusters?from=2026-05-01"
    late = [c for c in tables["clusters"] if c["last_published_at"] >= datetime(2026, 5, 1, tzinfo=UTC)]
    assert report.page.locator(".clusters tbody tr").count() == len(late)
    report.page.get_by_role("button", name="Clear").click()
    report.shown("clusters")
    assert report.page.locator("[name=from]").input_value() == ""


def test_a_search_is_no_steps_to_go_back_through(report):
    report.show("overview")
    report.show("clusters?relation=respun")
    report.page.locator("#search").press_sequentially("memo")
    report.shown("clusters?q=memo&relation=respun")
    report.page.go_back()
    report.shown("overview")
    report.page.go_forward()
    report.shown("clusters?q=memo&relation=respun")
    assert report.page.locator("#search").input_value() == "memo"
    assert report.page.locator("[name=relation]").input_value() == "respun"


@pytest.mark.parametrize(
    ("view", "name", "value", "target", "ends"),
    [
        ("clusters", "q", "memo", "main .filters button", "clusters"),
        ("clusters", "weakest", "0.5", "main .filters button", "clusters"),
        ("clusters", "source", "click", "main .clusters tbody a", "cluster=.*[?]source=click"),
        ("clusters", "q", "memo", "main [name=sort-title]", "clusters[?]q=memo&sort=title&way=up"),
        ("sources", "q", "click", "main [name=sort-name]", "sources[?]q=click&sort=name"),
        ("repeats", "q", "story", "main [name=sort-title]", "repeats[?]q=story&sort=title&way=up"),
    ],
)
def test_a_click_right_after_typing_counts(report, view, name, value, target, ends):
    """What the press of the button changes is there before it is let go of."""
    report.show(view)
    report.page.locator(f"[name={name}]").press_sequentially(value)
    report.page.locator(target).first.hover()
    report.page.mouse.down()
    settled(report)
    report.page.mouse.up()
    report.page.wait_for_function("ends => new RegExp(`^#${ends}$`).test(location.hash)", arg=ends)
    settled(report)


def test_members_come_in_the_order_of_publishing(report, tables, largest):
    report.show(f"cluster={largest['cluster_id']}")
    own = in_order(tables, largest["cluster_id"])
    shown = report.page.locator(".members .story .id").all_inner_texts()
    assert shown == [article["article_id"] for article in own]
    assert f"First published by {own[0]['source']}" in report.page.locator(".facts").inner_text()
    scores = {m["article_id"]: m for m in tables["cluster_members"]}
    last = report.page.locator(".members tbody tr td:last-child").all_inner_texts()
    for article, words in zip(own, last, strict=True):
        member = scores[article["article_id"]]
        expected = "representative" if member["is_representative"] else f"{member['probability']:.2f}"
        assert expected in words


def test_the_graph_has_the_confirmed_pairs_and_marks_the_weak(report, tables, largest, sample_run):
    report.show(f"cluster={largest['cluster_id']}")
    ids = [article["article_id"] for article in in_order(tables, largest["cluster_id"])]
    pairs = [p for p in tables["confirmed_pairs"] if {p["article_id_l"], p["article_id_r"]} <= set(ids)]
    told = report.page.locator(".graph .link title").evaluate_all("all => all.map(t => t.textContent)")
    threshold = json.loads((sample_run.run_dir / "manifest.json").read_text(encoding="utf-8"))["threshold"]
    expected = set()
    for pair in pairs:
        low, high = sorted((ids.index(pair["article_id_l"]) + 1, ids.index(pair["article_id_r"]) + 1))
        weak = pair["probability"] < (1 + threshold) / 2
        expected.add((low, high, pair["relation"], weak))
    found = set()
    for words in told:
        a, b, relation, rest = re.match(r"(\d+) and (\d+): (\w+), (.*)", words).groups()
        found.add((*sorted((int(a), int(b))), relation, "weak" in rest))
    assert found == expected
    assert report.page.locator(".graph .edge.weak").count() == sum(pair[3] for pair in expected)


def squeezed(text: str) -> str:
    return re.sub(r"\W", "", text)


@pytest.mark.parametrize(("event", "left", "right"), [
    *((EVENT, "source", other) for other in ("light", "heavy", "trimmed", "copy")),
    # The matcher finds other runs from the other side.
    ("story/B02", "copy", "light"), ("story/B02", "light", "copy"),
])  # fmt: skip
def test_side_by_side_marks_what_the_evidence_says(report, tables, sample_run, event, left, right):
    """The page aligns by itself; what it finds is what `respun explain` finds with the run's own aligner."""
    ids = (f"{event}/{left}", f"{event}/{right}")
    found = explain_articles(sample_run.run_dir, *ids, ThreadExecutor(1), Silence())
    cluster_id = next(a["cluster_id"] for a in tables["articles"] if a["article_id"] == ids[0])
    members = [article["article_id"] for article in in_order(tables, cluster_id)]
    report.show(f"cluster={cluster_id}/{members.index(ids[0])}/{members.index(ids[1])}")
    runs = [passage for passage in found.alignment.passages if passage.same]
    marks = report.page.locator("[data-side] [data-run]").evaluate_all(
        "all => all.map(e => [+e.closest('[data-side]').dataset.side, +e.dataset.run, e.textContent])"
    )
    for side, name in enumerate(("text_a", "text_b")):
        marked: dict[int, str] = {}
        for own, run, text in marks:
            if own == side:
                marked[run] = marked.get(run, "") + squeezed(text)
        told = [squeezed(getattr(passage, name).replace(LEFT_OUT, "")) for passage in runs]
        assert [marked[run] for run in sorted(marked)] == told
    legend = report.page.locator(".aligned .legend").inner_text()
    assert re.search(rf"\b{found.alignment.n_tokens_same:,} words?, ", legend)
    for side in (0, 1):
        only = report.page.locator(f"[data-side='{side}'] .only").all_inner_texts()
        passages = found.alignment.passages
        told_only = [
            (p.text_a, p.text_b)[side][fact.begin : fact.end]
            for p in passages for fact in (p.facts_a, p.facts_b)[side] if not fact.in_other
        ]  # fmt: skip
        assert only == told_only
    pair = {"article_id_l": min(ids), "article_id_r": max(ids)}
    row = next((p for p in tables["confirmed_pairs"] if pair.items() <= p.items()), None)
    measures = report.page.locator(".measures").inner_text()
    if row:
        assert f"probability {row['probability']:.2f}" in measures.replace("\n", " ")
    report.screenshot(f"beside-{event[-3:]}-{left}-{right}")


def test_any_two_members_can_be_put_side_by_side(report, tables, largest):
    report.show(f"cluster={largest['cluster_id']}")
    ids = [article["article_id"] for article in in_order(tables, largest["cluster_id"])]
    report.page.get_by_label("left 4", exact=True).check()
    report.page.get_by_label("right 7", exact=True).check()
    heads = report.page.locator(".two .text header .id")
    report.page.wait_for_function(
        "id => document.querySelectorAll('.two header .id')[1]?.textContent === id", arg=ids[6]
    )
    assert heads.all_inner_texts() == [ids[3], ids[6]]
    body = next(t["text"] for t in tables["texts"] if t["article_id"] == ids[3])
    [shown] = report.page.locator("[data-side='0'] .body").evaluate_all(WITHOUT_MARKS)
    assert squeezed(shown) == squeezed(body)


def test_reworded_sentences_are_linked_both_ways(report, tables):
    cluster_id = next(a["cluster_id"] for a in tables["articles"] if a["article_id"] == f"{EVENT}/source")
    members = [article["article_id"] for article in in_order(tables, cluster_id)]
    report.show(f"cluster={cluster_id}/{members.index(f'{EVENT}/source')}/{members.index(f'{EVENT}/light')}")
    left, right = (
        report.page.locator(f"[data-side='{side}'] .reworded").evaluate_all(
            "all => all.map(e => e.dataset.link)"
        )
        for side in (0, 1)
    )
    assert sorted(left) == sorted(right)
    assert len(left) >= 5
    report.page.locator("#reworded-0-2").focus()
    report.page.keyboard.press("Enter")
    assert report.page.evaluate("document.activeElement.id") == "reworded-1-2"
    assert report.page.locator(".lit").count() == 2


def test_repeats_are_the_spans_of_the_table(report, tables):
    report.show("repeats=0")
    article_id = report.page.locator(".facts .id").inner_text()
    own = [s for s in tables["repeated_sections"] if s["article_id"] == article_id]
    body = next(t["text"] for t in tables["texts"] if t["article_id"] == article_id)
    assert own
    assert report.page.locator(".two .text").count() == sum(s["level"] == "part" for s in own)
    versions = report.page.locator(".two .text .body").evaluate_all(WITHOUT_MARKS)
    parts = [body[s["begin"] : s["end"]] for s in own if s["level"] == "part"]
    assert [squeezed(version) for version in versions] == [squeezed(part) for part in parts]
    assert report.page.locator(".two .reworded").count() > 5
    whole = report.page.locator(".whole .repeat").evaluate_all(
        "all => all.map(e => { e.querySelector('button')?.remove(); return e.textContent; })"
    )
    assert whole == [body[s["begin"] : s["end"]] for s in sorted(own, key=lambda s: s["begin"])]


def test_repeats_are_linked(report):
    report.show("repeats=0")
    jumps = report.page.locator(".whole .jump")
    jumps.first.focus()
    report.page.keyboard.press("Enter")
    assert report.page.evaluate("document.activeElement.textContent") == jumps.nth(1).inner_text()


def test_sources_count_who_was_first(report, tables):
    report.show("sources")
    first: dict[str, int] = {}
    for cluster in tables["clusters"]:
        own = in_order(tables, cluster["cluster_id"])
        first[own[0]["source"]] = first.get(own[0]["source"], 0) + 1
    for row in report.page.locator(".sources tbody tr").all():
        name = row.locator("th").inner_text()
        assert int(row.locator("td").nth(2).inner_text()) == first.get(name, 0)


def test_keys_alone_are_enough(report):
    press = report.page.keyboard.press
    press("2")
    report.shown("clusters")
    press("/")
    assert report.page.evaluate("document.activeElement.id") == "search"
    report.page.keyboard.type("memo")
    press("Enter")
    report.shown("clusters?q=memo")
    for _ in range(60):
        if report.page.evaluate("document.activeElement.matches('.clusters tbody a')"):
            break
        press("Tab")
    assert report.page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    press("Enter")
    report.page.wait_for_selector(".beside .two")
    before = report.page.locator(".beside h2").inner_text()
    press("j")
    report.page.wait_for_function(
        "words => document.querySelector('.beside h2')?.textContent !== words", arg=before
    )
    press("x")
    press("?")
    assert report.page.locator("#help").is_visible()
    press("Escape")
    assert not report.page.locator("#help").is_visible()
    press("t")
    assert report.page.evaluate("document.documentElement.dataset.theme") == "dark"
    report.page.get_by_label("right 3", exact=True).focus()
    press("ArrowDown")
    assert report.page.get_by_label("right 4", exact=True).is_checked()


def test_the_focus_stays_where_one_works(report):
    report.show("clusters")
    for button, view in (
        ("sort-n_sources", "clusters?sort=n_sources"),
        ("sort-n_sources", "clusters?sort=n_sources&way=up"),
    ):
        report.page.locator(f"[name={button}]").focus()
        report.page.keyboard.press("Enter")
        report.shown(view)
        assert report.page.evaluate("document.activeElement.name") == button
    report.page.locator(".clusters tbody a").first.focus()
    report.page.keyboard.press("Enter")
    report.page.wait_for_selector(".beside .two")
    assert report.page.evaluate("document.activeElement.id") == "main"


def test_tab_reaches_everything_that_a_click_does(report, largest):
    """But for the graph's lines, whose pairs the two columns of choices reach."""
    for view in views_of(largest):
        report.show(view)
        controls = report.page.locator("a, button, input, select, summary, [role=button]")
        unreachable = controls.evaluate_all("all => all.filter(e => e.tabIndex < 0).map(e => e.outerHTML)")
        assert unreachable == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_contrast_is_enough_to_read(browser, page_path, largest, scheme):
    """WCAG 2.2, AA: 4.5 to 1, and 3 to 1 for large letters."""
    with report_in(browser, page_path, color_scheme=scheme) as report:
        for view in views_of(largest):
            report.show(view)
            for closed in report.page.locator("details").all():
                closed.evaluate("e => { e.open = true; }")
            assert report.page.evaluate(probe("contrast")) == []
            assert report.page.evaluate(probe("marks")) == []


def test_whatever_leads_with_a_click_leads_with_enter(report, largest):
    report.show(f"cluster={largest['cluster_id']}")
    of_side = "all => [...new Set(all.map(e => e.dataset.run))].sort()"
    left = report.page.locator("[data-side='0']")
    runs = left.locator("[data-run]").evaluate_all(of_side)
    in_sentences = left.locator(".reworded [data-run]").evaluate_all(of_side)
    led = left.locator("[data-run][tabindex='0']").evaluate_all(of_side)
    assert len(led) > 5
    assert set(runs) - set(led) <= set(in_sentences)
    run = led[2]
    left.locator(f"[data-run='{run}'][tabindex]").focus()
    report.page.keyboard.press("Enter")
    told = "(e => [e.closest('[data-side]').dataset.side, e.matches('.lit') || !!e.querySelector('.lit')])"
    assert report.page.evaluate(f"{told}(document.activeElement)") == ["1", True]
    pointed = report.page.locator(".two *").evaluate_all(
        "all => all.filter(e => getComputedStyle(e).cursor === 'pointer' && !e.closest('[tabindex]')).length"
    )
    assert pointed == 0


def test_the_form_for_any_two_articles_is_found(report, largest):
    for view in ("overview", "clusters", f"cluster={largest['cluster_id']}"):
        report.show(view)
        report.page.get_by_role("link", name="Any two articles side by side").click()
        report.shown("pair")
        assert report.page.locator("[name=left]").input_value() == ""


def test_relations_that_join_nothing_are_no_cluster_s_loosest(report):
    card = report.page.locator(".card", has=report.page.get_by_role("heading", name="loosest relation"))
    names = card.locator("th").all_inner_texts()
    assert "respun" in names
    assert "excerpt" not in names


def test_the_page_itself_has_no_outline(report):
    report.page.keyboard.press("2")
    report.shown("clusters")
    report.page.keyboard.press("Tab")
    report.page.locator("#main").focus()
    assert report.page.evaluate("document.activeElement.matches('#main:focus-visible')")
    assert report.page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "none"


def test_each_filter_has_a_name_of_its_own(report):
    report.show("clusters")
    names = report.page.locator(".filters label > span").all_inner_texts()
    assert {"Articles from", "Articles to", "Published from (UTC)", "Published until (UTC)"} <= set(names)


def test_the_pictures_in_the_readme_are_of_today(report):
    """Else: `python tests/pictures.py`."""
    assert pictures.show(report) == pictures.WORDS.read_text(encoding="utf-8")


def test_a_cluster_that_is_not_there_is_said(report):
    report.show("cluster=ffffffffffffffff")
    assert report.page.get_by_role("heading", name="No such cluster").is_visible()


def test_furniture_of_the_collection_says_what_it_counts(report):
    report.show("sources")
    own = report.page.locator(
        "section", has=report.page.get_by_role("heading", name="Furniture of the whole")
    )
    told = own.locator("li", has_text="Leave a Reply").inner_text()
    assert re.search(r"\d+ articles?, \d+ more of sites that repeat it", told)
    assert "sites that don't repeat the line" in own.inner_text()
