"""The report of a run that is hard to show: hundreds of copies, ties, missing dates, blank titles."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from awkward_run import BOGUS, LONG_NAME, LONG_URLS, N_COPIES, PARTLY_DATED, TIED, UNDATED
from browser import report_in
from command_line import ROOT
from indexes import run_night
from made_up_news import stories

from pipeline.cluster_tables import MEMBERS_RELATIONS
from pipeline.config import Config
from pipeline.executor import Silence, ThreadExecutor
from pipeline.report_pairs import MAX_PAIRS
from pipeline.revisit import report_run

PAGE = ROOT / "pipeline" / "report_page"


@pytest.fixture
def report(browser, awkward):
    with report_in(browser, awkward / "report.html") as opened:
        yield opened
        assert opened.is_clean()


@pytest.fixture(scope="module")
def rows(awkward) -> dict[str, list[dict]]:
    return {name: pq.read_table(awkward / f"{name}.parquet").to_pylist()
            for name in ("articles", "clusters", "confirmed_pairs")}  # fmt: skip


@pytest.fixture(scope="module")
def cluster_of(rows) -> dict[str, str]:
    return {a["article_id"]: a["cluster_id"] for a in rows["articles"]}


@pytest.fixture(scope="module")
def large(rows) -> tuple[str, list[str], dict[frozenset, dict]]:
    """Id, members and pairs of the large cluster."""
    cluster_id = max(rows["clusters"], key=lambda c: c["n_articles"])["cluster_id"]
    own = [a for a in rows["articles"] if a["cluster_id"] == cluster_id]
    own.sort(key=lambda a: (a["published_at"] is None, a["published_at"], a["article_id"]))
    ids = [a["article_id"] for a in own]
    pairs = {
        frozenset((ids.index(p["article_id_l"]), ids.index(p["article_id_r"]))): p
        for p in rows["confirmed_pairs"]
        if {p["article_id_l"], p["article_id_r"]} <= set(ids)
    }
    return cluster_id, ids, pairs


def facts(report, cluster_of, article_id: str) -> str:
    report.show(f"cluster={cluster_of[article_id]}")
    return report.page.locator(".facts").inner_text()


def side_by_side(report, left: int, right: int) -> str:
    """The measures of two members, once they are there."""
    report.page.wait_for_function(
        "words => document.querySelector('.beside h2')?.textContent === words",
        arg=f"{left + 1} and {right + 1} side by side",
    )
    return report.page.locator(".beside .measures").inner_text()


def test_a_pair_that_the_page_does_not_hold_is_not_called_unconfirmed(report, large):
    cluster_id, ids, pairs = large
    assert len(pairs) > MAX_PAIRS
    certain = sorted(pairs, key=lambda both: -pairs[both]["probability"])
    said = []
    for both in certain[:: len(certain) // 6]:
        report.show(f"cluster={cluster_id}/{min(both)}/{max(both)}")
        words = report.page.locator(".beside .measures").inner_text()
        assert "Not a confirmed pair" not in words
        if "Not among the" in words:
            said.append(both)
            assert "respun explain" in report.page.locator(".beside > p.note").last.inner_text()
        else:
            assert f"{pairs[both]['probability']:.2f}" in words
    assert said
    for i in range(1, len(ids), 40):
        if frozenset((0, i)) in pairs:
            report.show(f"cluster={cluster_id}/0/{i}")
            assert "probability" in report.page.locator(".beside .measures").inner_text()


def test_a_pair_that_is_known_not_to_be_listed_is_not_called_unknown(browser, awkward, large, tmp_path):
    """As in clusters so large that not all of their pairs are candidates."""
    cluster_id, ids, _ = large
    run = Path(shutil.copytree(awkward, tmp_path / "run"))
    members = {m["article_id"]: m for m in pq.read_table(run / "cluster_members.parquet").to_pylist()}
    representative = next(i for i, one in enumerate(ids) if members[one]["is_representative"])
    measured = next(i for i, one in enumerate(ids) if members[one]["relation"] == "reprint" and i)
    plain = next(i for i in range(1, len(ids)) if i not in (measured, representative) and representative)
    gone = [{ids[measured], ids[representative]}, {ids[0], ids[plain]}]
    table = pq.read_table(run / "confirmed_pairs.parquet")
    is_left = [{p["article_id_l"], p["article_id_r"]} not in gone for p in table.to_pylist()]
    pq.write_table(table.filter(pa.array(is_left)), run / "confirmed_pairs.parquet")
    page = report_run(run, None, ThreadExecutor(1), Silence())
    with report_in(browser, page) as report:
        report.show(f"cluster={cluster_id}/{measured}/{representative}")
        words = report.page.locator(".beside .measures").inner_text()
        assert "Not among" not in words
        assert "were no candidates, or screened" in words
        assert f"{members[ids[measured]]['probability']:.2f}" in words
        assert "reprint" in words
        report.show(f"cluster={cluster_id}/0/{plain}")
        words = report.page.locator(".beside .measures").inner_text()
        assert words == "Not a confirmed pair: the two are in one cluster by way of others."
        assert report.is_clean()


def test_any_two_members_of_different_pages_of_the_table(report, large):
    cluster_id, ids, _ = large
    assert len(ids) > 220
    report.show(f"cluster={cluster_id}")
    report.page.get_by_label("right 150", exact=True).check()
    side_by_side(report, 0, 149)
    report.page.get_by_label("Pages of the members").get_by_role("button", name="Next").click()
    report.page.get_by_label("left 210", exact=True).check()
    side_by_side(report, 209, 149)


def test_the_texts_are_at_hand_however_many_members_there_are(report, large):
    report.show(f"cluster={large[0]}")
    assert report.page.locator(".beside h2").bounding_box()["y"] < 1_400
    report.page.get_by_label("right 90", exact=True).check()
    side_by_side(report, 0, 89)
    bar = report.page.locator(".picked")
    assert bar.locator("strong").inner_text() == "1 ↔ 90"
    bar.get_by_role("button", name="to the texts").click()
    assert 0 <= report.page.locator(".beside h2").bounding_box()["y"] < 300
    assert 0 <= bar.bounding_box()["y"] < 100
    report.screenshot("large")


def test_a_click_on_a_member_of_the_graph_picks_it(report, cluster_of):
    report.show(f"cluster={cluster_of['story/A05/source']}")
    report.page.locator(".graph .node").nth(2).click()
    side_by_side(report, 0, 2)
    report.page.locator(".graph .node").nth(0).click()
    side_by_side(report, 2, 0)


def test_the_graph_of_a_large_cluster_shows_the_links_that_people_look_for(report, large):
    cluster_id, ids, _ = large
    report.show(f"cluster={cluster_id}")
    assert report.page.locator(".graph .node").count() == len(ids)
    links = report.page.locator(".graph .link").count()
    assert len(ids) - 1 <= links <= 600
    assert f"Drawn are {links} of" in report.page.locator(".pairs .left-out").inner_text()


@pytest.mark.parametrize("pause", [0, 5, 15])
def test_what_was_asked_for_last_is_shown(report, large, pause):
    found = report.page.evaluate(
        """async ([id, pause]) => {
          location.hash = `cluster=${id}`;
          await new Promise((done) => setTimeout(done, pause));
          location.hash = 'sources';
          await new Promise((done) => setTimeout(done, 50));
        }""",
        [large[0], pause],
    )
    assert found is None
    report.shown("sources")
    # Whatever is still under way for the cluster ends before its data are asked for again.
    report.show("overview")
    report.show("sources")
    assert report.page.evaluate("location.hash") == "#sources"
    assert report.page.locator("h1").inner_text() == "Sources"
    report.page.keyboard.press("j")
    assert report.page.evaluate("location.hash") == "#sources"


def test_who_was_first_is_said_as_far_as_it_is_known(report, cluster_of):
    assert "No member has a date" in facts(report, cluster_of, f"story/{UNDATED}/source")
    partly = facts(report, cluster_of, f"story/{PARTLY_DATED}/light")
    assert re.search(r"Earliest of the 1 dated article: .*; \d have no date", partly)
    tied = facts(report, cluster_of, f"story/{TIED}/source")
    names = set(re.findall(r"\w+\.example", tied))
    assert re.search(r"First: \d at the same time, by ", tied)
    assert len(names) > 1
    assert "2026-03-01 00:00 UTC" in tied


def test_sources_of_undated_articles_are_not_called_original(report, rows):
    report.show("sources")
    for row in report.page.locator(".sources tbody tr").all()[:12]:
        name = row.locator("th").inner_text()
        own = [a for a in rows["articles"] if a["source"] == name]
        cells = row.locator("td").all_inner_texts()
        dated = [a for a in own if a["published_at"]]
        assert int(cells[0]) == len(own)
        assert int(cells[1]) == len(own) - len(dated)
        later = int(cells[3])
        share = 100 * (len(dated) - later) / len(dated) if dated else None
        told = float(cells[4].split()[0]) if share is not None else cells[4]
        assert told == (pytest.approx(share, abs=0.5) if share is not None else "–")


def test_copies_say_whom_they_are_closest_to(report, large):
    cluster_id, _, pairs = large
    report.show(f"cluster={cluster_id}")
    words = report.page.locator(".members .closest").all_inner_texts()
    assert words[0] == "none is earlier"
    told = {re.match(r"(exact copy of|reprint of|respun from) \d+$", w) is not None for w in words[1:40]}
    assert told == {True}
    for i in range(1, 40):
        other = int(words[i].split()[-1]) - 1
        relation = pairs[frozenset((i, other))]["relation"]
        assert words[i].startswith({"exact": "exact", "reprint": "reprint", "respun": "respun"}[relation])
    button = report.page.locator(".members .closest button").nth(5)
    button.click()
    side_by_side(report, int(words[6].split()[-1]) - 1, 6)


def test_neighbours_are_listed_and_not_called_confirmed(report, rows):
    counted: dict[str, int] = {}
    for pair in rows["confirmed_pairs"]:
        counted[pair["relation"]] = counted.get(pair["relation"], 0) + 1
    told = report.page.locator(".figures").inner_text().replace(",", "")
    confirmed = sum(counted.values()) - counted["related"]
    assert re.search(rf"\b{confirmed}\s+confirmed pairs", told)
    assert re.search(rf"\b{counted['related']}\s+pairs of neighbours", told)
    bars = report.page.locator(".bars").first
    names = bars.locator("th").all_inner_texts()
    numbers = [int(n.replace(",", "")) for n in bars.locator("td.number").all_inner_texts()]
    assert dict(zip(names, numbers, strict=True)) == counted


def test_relations_have_one_source():
    """Colours for each; no other list of them in the scripts."""
    style = (PAGE / "page.css").read_text(encoding="utf-8")
    for name in MEMBERS_RELATIONS:
        assert f".{name} {{ --kind:" in style
        if name != "indirect":  # of members, never of a pair
            assert f".fill-{name} {{ fill:" in style
    for script in PAGE.glob("*.js"):
        listed = re.findall(r"\[[^\]]*\"exact\"[^\]]*\]", script.read_text(encoding="utf-8"))
        assert listed == [], script.name


def test_pairs_between_clusters_can_be_looked_at(report, rows, cluster_of):
    report.page.get_by_text("Which", exact=True).click()
    row = report.page.locator(".between tr").first
    row.wait_for()  # the pairs are loaded when they are asked for
    ids = row.locator(".id").all_inner_texts()
    pair = next(p for p in rows["confirmed_pairs"] if [p["article_id_l"], p["article_id_r"]] == ids)
    sizes = {c["cluster_id"] for c in rows["clusters"]}
    links = row.locator("a").evaluate_all("all => all.map(a => a.hash)")
    assert links[:-1] == [f"#cluster={cluster_of[i]}" for i in ids if cluster_of[i] in sizes]
    row.get_by_role("link", name="side by side").click()
    report.page.wait_for_selector(".two")
    assert report.page.locator(".two header .id").all_inner_texts() == ids
    words = report.page.locator(".measures").inner_text().replace("\n", " ")
    assert f"probability {pair['probability']:.2f}" in words
    report.screenshot("pair")
    for left, right in (("story/A01/source", "copy-004"), ("story/A05/source", "story/A06/source")):
        report.page.locator("[name=left]").fill(left)
        report.page.locator("[name=right]").fill(right)
        report.page.get_by_role("button", name="Compare").click()
        report.page.wait_for_function(
            "id => document.querySelectorAll('.two header .id')[1]?.textContent === id", arg=right
        )
    assert "Not" in report.page.locator(".measures").inner_text()
    report.page.locator("[name=left]").fill("nobody")
    report.page.get_by_role("button", name="Compare").click()
    report.page.get_by_text("The report shows no article with the id nobody.").wait_for()


def test_an_article_is_not_compared_with_itself(report):
    report.show("pair=story%2FA01%2Fsource/story%2FA01%2Fsource")
    assert report.page.get_by_text("Both ids are of the same article.").is_visible()
    assert report.page.locator(".two").count() == 0
    assert "confirmed" not in report.page.locator("main").inner_text()


def test_a_cluster_lists_the_pairs_that_lead_out_of_it(report, cluster_of):
    data = json.loads(report.page.locator("#data-between").text_content())
    ends = [[data["articles"][pair[side]] for side in "lr"] for pair in data["pairs"]]
    cluster_id = next(end["cluster_id"] for both in ends for end in both if end["cluster_id"])
    wanted = [{end["article_id"] for end in both} for both in ends
              if cluster_id in (both[0]["cluster_id"], both[1]["cluster_id"])]  # fmt: skip
    report.show(f"cluster={cluster_id}")
    out = report.page.locator(".out")
    out.locator("summary").click()
    assert [set(row.locator(".id").all_inner_texts()) for row in out.locator("tr").all()] == wanted
    assert {cluster_of[i] == cluster_id for both in wanted for i in both} == {True, False}


def test_a_filter_offers_only_what_finds_something(report, rows):
    report.show("clusters")
    for name in ("relation", "loosest"):
        for value in report.page.locator(f"[name={name}] option").evaluate_all(
            "all => all.map(o => o.value)"
        )[1:]:
            report.show(f"clusters?{name}={value}")
            assert report.page.locator(".clusters tbody a").count() > 0


@pytest.mark.parametrize("way", ["Escape", "cleared"])
def test_a_cleared_search_finds_everything_again(report, rows, way):
    report.show("clusters?q=memo")
    field = report.page.locator("#search")
    field.focus()
    if way == "Escape":
        field.press("Escape")
    else:
        field.fill("")
    report.shown("clusters")
    assert report.page.get_by_text(f"{len(rows['clusters'])} clusters", exact=True).count() == 1


def test_words_of_texts_are_found(report, rows, awkward, cluster_of):
    word = "motorcycles"
    texts = pq.read_table(awkward / "texts.parquet").to_pylist()
    sizes = {c["cluster_id"] for c in rows["clusters"]}
    wanted = {
        cluster_of[t["article_id"]] for t in texts if word in f"{t['title']} {t['text']}".lower()
    } & sizes
    report.show(f"clusters?q={word}")
    links = report.page.locator(".clusters tbody th a").evaluate_all(
        "all => all.map(a => a.hash.slice(9, 25))"
    )
    assert set(links) == wanted
    assert not any(word in c["title"].lower() for c in rows["clusters"])


def test_a_source_leads_to_its_own_clusters_alone(report, rows):
    name = "site1.example"  # is in no other name; site1 is in site10
    report.show("clusters?source=%22site1.example%22")
    exact = report.page.locator(".clusters tbody a").count()
    report.show("clusters?source=site1")
    assert exact <= report.page.locator(".clusters tbody a").count()
    report.show(f"sources?q={name}")
    report.page.locator(".sources tbody th a").first.click()
    report.page.wait_for_selector(".clusters tbody a")
    assert report.page.locator("[name=source]").input_value() == f'"{name}"'
    report.show("clusters?source=%22site%22")
    assert report.page.get_by_text("No cluster is like this.").count() == 1


def test_a_bogus_date_is_left_out_and_marked(report, cluster_of):
    report.show("overview")
    assert report.page.get_by_text("is not drawn: from before").count() == 1
    assert report.page.locator("figure .tick", has_text="1950").count() == 0
    report.show(f"cluster={cluster_of[BOGUS]}")
    assert report.page.locator(".odd-date").first.inner_text() == "1950-01-01 00:00 (?)"


def test_titles_that_show_nothing_give_way_to_ids(report, cluster_of):
    report.show("clusters")
    names = report.page.locator(".clusters tbody th a").all_inner_texts()
    assert all(name.strip() for name in names)
    report.show(f"cluster={cluster_of['story/A04/source']}")
    assert report.page.locator("h1").inner_text().startswith("story/A04/")


def test_the_next_cluster_of_the_list_survives_a_reload(report, rows):
    report.show("clusters?relation=excerpt&sort=title&way=up")
    links = report.page.locator(".clusters tbody th a").evaluate_all("all => all.map(a => a.hash)")
    report.show(links[1][1:])
    report.page.reload()
    report.page.get_by_text(f"2 of {len(links)}").wait_for()
    report.page.keyboard.press("n")
    report.shown(links[2][1:])
    report.page.get_by_role("link", name="Clusters").last.click()
    report.shown("clusters?relation=excerpt&sort=title&way=up")


@pytest.mark.parametrize(
    ("view", "words"),
    [("nonsense", "No such part"), ("sources?sort=bogus", "Each source"), ("clusters?sort=bogus", "Clusters"),
     ("repeats?sort=bogus", "Repeated sections"), ("repeats=abc", "No such article"),
     ("cluster=%E0", "No such")],
)  # fmt: skip
def test_an_address_that_means_nothing_is_no_error(report, view, words):
    report.show(view)
    assert words in report.page.locator("main").inner_text()
    assert "TypeError" not in report.page.locator("main").inner_text()


def test_help_says_what_the_words_mean(report):
    report.page.get_by_role("button", name="Words and keys").click()
    told = report.page.locator("#help").inner_text()
    readme = (ROOT / "README.md").read_text(encoding="utf-8").replace("`", "")
    for relation in json.loads(report.page.locator("#data-overview").text_content())["relations"]:
        assert f"| {relation['name']} | {relation['meaning']} |" in readme
        assert relation["meaning"] in told
    for word in (
        "later",
        "later copy",
        "cosine",
        "jaccard",
        "left in right",
        "found by",
        "weak",
        "only link",
    ):
        assert re.search(rf"^{word}$", told, re.MULTILINE)
    assert report.page.locator(".bars .relation[title]").count() >= 4


HIDDEN = "\u200b\u2060\u00ad\u034f\u180e\u3164\u200e\U000e0041"
KEPT = (
    "👨\u200d👩\u200d👧 🏳\ufe0f\u200d🌈 👩🏽\u200d🚀",
    "می\u200cخواهم",
    "क्\u200dष",
    "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
)


def test_what_hides_is_named_and_what_joins_is_not(browser):
    script = (PAGE / "text.js").read_text(encoding="utf-8")
    told = browser.new_page()
    told.add_script_tag(
        content=script + "\nwindow.shown = (text) => visible(text).map((p) => p.textContent ?? p);"
    )
    for letter in HIDDEN:
        assert len(told.evaluate("text => window.shown(text)", f"a{letter}b")) == 3, hex(ord(letter))
    for letter in ("\u200c", "\u200d"):
        assert len(told.evaluate("text => window.shown(text)", f"pay{letter}pal")) == 3
    for text in KEPT:
        assert told.evaluate("text => window.shown(text)", text) == [text]
    told.close()


def test_print_and_forced_colours_show_what_is_word_for_word(browser, awkward, cluster_of):
    view = f"cluster={cluster_of['story/A05/source']}"
    line = "getComputedStyle(document.querySelector('.same')).borderBottomStyle"
    with report_in(browser, awkward / "report.html", forced_colors="active") as report:
        report.show(view)
        assert report.page.evaluate(line) == "solid"
    with report_in(browser, awkward / "report.html") as report:
        report.show(view)
        report.page.emulate_media(media="print")
        assert report.page.evaluate(line) == "solid"


def test_shares_are_not_rounded_to_all_or_nothing(browser):
    told = browser.new_page()
    told.add_script_tag(
        content=(PAGE / "text.js").read_text(encoding="utf-8") + "\nwindow.told = (a, b) => share(a, b);"
    )
    shares = {(999, 1000): "99.9 %", (1000, 1000): "100 %", (0, 9): "0 %", (1, 0): "–", (1, 3): "33 %",
              (9_999, 10_000): "under 100 %", (1, 10_000): "under 0.1 %"}  # fmt: skip
    for (part, whole), words in shares.items():
        assert told.evaluate("([a, b]) => window.told(a, b)", [part, whole]) == words
    told.close()


@pytest.mark.parametrize("view", ["repeats", "sources", "clusters"])
def test_lists_are_readable_in_a_narrow_window(browser, awkward, view):
    with report_in(browser, awkward / "report.html", viewport={"width": 360, "height": 800}) as report:
        report.show(view)
        heads = report.page.locator(".cards tbody th").first.bounding_box()
        assert heads["width"] > 200
        assert report.page.evaluate("document.scrollingElement.scrollWidth") <= 360


def test_a_narrow_window_cuts_no_time_between_far_dates(browser, awkward, cluster_of):
    with report_in(browser, awkward / "report.html", viewport={"width": 360, "height": 800}) as report:
        report.show(f"cluster={cluster_of[BOGUS]}")
        # As of a member with a mark at its date, behind one of the year 1.
        report.page.locator(".members .date .note").evaluate_all(
            "all => { for (const e of all) { e.previousSibling.textContent += ' (?)'; "
            "e.textContent = '+1969 y'; } }"
        )
        sizes = report.page.locator(".box > .scroll").evaluate("e => [e.scrollWidth, e.clientWidth]")
        assert report.page.locator(".members .date .note").count() > 0
        assert sizes[0] <= sizes[1]


def test_a_long_address_hides_no_column(report, cluster_of):
    report.show(f"cluster={cluster_of[f'story/{LONG_URLS}/source']}")
    sizes = report.page.locator(".box > .scroll").evaluate("e => [e.scrollWidth, e.clientWidth]")
    assert sizes[0] <= sizes[1]
    assert report.page.locator(".members .url").first.get_attribute("href").endswith("?hl=en")


def test_a_long_name_of_a_source_takes_few_lines(report):
    report.show("sources?q=news+news")
    name = report.page.locator(".sources tbody th").first
    assert name.bounding_box()["height"] < 120
    assert name.locator("bdi").get_attribute("title") == LONG_NAME


def test_members_of_a_large_graph_have_numbers(report, large):
    report.show(f"cluster={large[0]}")
    numbers = [int(n) for n in report.page.locator(".graph text").all_text_contents()]
    assert 10 < len(numbers) <= 24
    assert numbers == sorted(numbers)
    view = report.page.locator(".graph").bounding_box()
    for number in report.page.locator(".graph text").all():
        box = number.bounding_box()
        assert view["x"] <= box["x"]
        assert box["x"] + box["width"] <= view["x"] + view["width"]


def test_the_fixture_is_what_it_says(rows, large):
    assert sum(a["article_id"].startswith("copy-") for a in rows["articles"]) == N_COPIES
    assert len(large[1]) > 200
    assert Path(PAGE).is_dir()


def test_the_overview_of_a_night_tells_of_its_index(browser, tmp_path):
    rows = stories(5, 12)
    for name, some in (("one", rows[: len(rows) // 2]), ("two", rows)):
        night = run_night(some, tmp_path, tmp_path / "index", Config(), name)
    with report_in(browser, night.folder / "report.html") as report:
        told = report.page.locator(
            ".card", has=report.page.get_by_role("heading", name="The index")
        ).inner_text()
        assert re.search(
            rf"{night.manifest()['counts']['n_recognised']}\s+came again", report.page.inner_text("main")
        )
        for word in ("drift", "created", "articles before"):
            assert word in told
        report.screenshot("night")
        assert report.is_clean()
