"""Repeated sections as a user meets them: rows with code points, levels and relations."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stages import tokenised

from pipeline.config import Config, SectionsConfig
from pipeline.reread import CHOSEN
from pipeline.schema import TABLES
from pipeline.section_terms import Rarity
from pipeline.sections import find_in_batch, find_in_group, find_repeats, scan_batch, scan_group
from pipeline.tables import read_batches, read_ipc, write_ipc
from pipeline.terms import TermStatistics, with_prior
from pipeline.text import KeptTokens, KeptUnits, keep, keep_units
from pipeline.tokens import tokenise

CONFIG = SectionsConfig()
with np.errstate(over="ignore"):
    # A page alone: only the shipped word list tells common from rare.
    RARITY = Rarity.of(with_prior(TermStatistics.empty(16)))

A = (
    "The harbour board of Penmarrow voted on Tuesday to close the east pier for eleven weeks while "
    "divers replace 46 oak piles that were found to be hollow. The work will cost 2.3 million and is"
    " to begin on 4 May, the harbour master, Judith Aldane, told a meeting of boat owners."
)
A_REWORDED = (
    "Penmarrow's east pier is to be shut for eleven weeks from 4 May so that divers can put in new "
    "oak piles in place of 46 which turned out to be hollow, the harbour board decided on Tuesday. "
    "Judith Aldane, the harbour master, put the cost of the work at 2.3 million when she met boat "
    "owners."
)
B = (
    "Ferries to Skerry Holm will use the west quay until the end of July. The operator, Northsound "
    "Lines, said that two sailings a day had been dropped from its timetable because lorries can't "
    "turn there, and that foot passengers should allow half an hour more than usual."
)
B_REWORDED = (
    "Until July ends the boats for Skerry Holm are going to leave from the west quay, where lorries "
    "have no room to turn. For that reason Northsound Lines has taken two daily sailings out of the "
    "timetable, and it advises foot passengers to come half an hour earlier."
)
C = (
    "Fishermen were less patient. Their association asked for compensation, since crab boats of more"
    " than nine metres can't land at low water anywhere else, and its chairman, Tobias Wren, said "
    "that the hollow timber had been reported to the previous board six years ago without anything "
    "being done about it."
)
C_REWORDED = (
    "Less patience was shown by the fishermen, whose chairman Tobias Wren recalled that the previous"
    " board had been told of the hollow timber six years ago and did nothing. His association wants "
    "compensation because at low water there is nowhere else for crab boats over nine metres to "
    "land."
)
D = (
    "A second inspection is planned for the autumn, when the slipway and the old ice house will be "
    "looked at as well. The board has set aside a further 400,000 for whatever may be found there, "
    "and will publish the report of the divers in full, photographs included, on its website next "
    "week."
)
D_REWORDED = (
    "In the autumn inspectors will return for the slipway and the old ice house. Another 400,000 has"
    " been set aside by the board in case more is found, and next week its website will carry the "
    "divers' report in full along with the photographs."
)


@pytest.fixture(autouse=True)
def _wrapping_integers():
    with np.errstate(over="ignore"):
        yield


def kept(texts: pa.StringArray) -> tuple[KeptTokens, KeptUnits]:
    tokens = tokenise(pa.array(["A title of no account"] * len(texts)), texts)
    return keep(tokens), keep_units(tokens, texts)


def rows(text: str, config: SectionsConfig = CONFIG) -> list[dict]:
    batch = pa.record_batch({"article_id": ["x"], "text": [text]})
    return found_in(batch, config)


def found_in(batch: pa.RecordBatch, config: SectionsConfig = CONFIG) -> list[dict]:
    """What is found in the articles that the scan lets through."""
    scanned = scan_batch(*kept(batch.column("text")), RARITY, config)
    return find_in_batch(batch.filter(pa.array(scanned == 1)), RARITY, config).to_pylist()


def page(*paragraphs: str) -> str:
    return "\n\n".join(paragraphs)


def spans(text: str, found: list[dict]) -> list[str]:
    return [text[row["begin"] : row["end"]] for row in found]


def test_a_paragraph_repeated_word_for_word_is_exact():
    text = page(A, B, C, A, D)
    found = rows(text)
    assert spans(text, found) == [A, A]
    assert {(r["level"], r["relation"], r["cosine"], r["jaccard"]) for r in found} == {
        ("paragraph", "exact", 1.0, 1.0)
    }
    assert [r["occurrence"] for r in found] == [0, 1]
    assert len({r["group_id"] for r in found}) == 1
    assert found[0]["n_tokens"] == len(tokenise(None, pa.array([A])).terms)


def test_a_reworded_paragraph_is_respun():
    text = page(A, B, C, D, A_REWORDED)
    found = rows(text)
    assert spans(text, found) == [A, A_REWORDED]
    assert {r["relation"] for r in found} == {"respun"}
    assert found[0]["cosine"] == found[1]["cosine"] > 0.5
    assert found[0]["jaccard"] == found[1]["jaccard"] < 0.3


def test_a_paragraph_with_small_edits_is_a_reprint():
    text = page(A, B, C, A.replace("on Tuesday", "yesterday"), D)
    assert {r["relation"] for r in rows(text)} == {"reprint"}


def test_three_occurrences_are_one_group():
    found = rows(page(A, B, A, C, A))
    assert [r["occurrence"] for r in found] == [0, 1, 2]
    assert len({r["group_id"] for r in found}) == 1


def test_a_doubled_page_is_two_parts():
    one = page(A, B, C, D)
    text = page(one, one)
    found = rows(text)
    assert spans(text, found) == [one, one]
    assert {(r["level"], r["relation"]) for r in found} == {("part", "exact")}


def test_two_versions_of_a_page_are_two_parts():
    first, second = page(A, B, C, D), page("Pier to close", A_REWORDED, B_REWORDED, C_REWORDED, D_REWORDED)
    text = page(first, second)
    found = rows(text)
    assert spans(text, found) == [first, second]
    assert {(r["level"], r["relation"]) for r in found} == {("part", "respun")}


def test_a_teaser_before_a_whole_version_is_a_part():
    text = page(A, B, A_REWORDED, B_REWORDED, C_REWORDED, D_REWORDED)
    found = rows(text)
    assert [r["level"] for r in found] == ["part", "part"]
    assert found[1]["begin"] == text.index(A_REWORDED)


def test_two_neighbouring_paragraphs_are_a_section():
    text = page(C, A, B, D, A, B)
    found = rows(text)
    assert [r["level"] for r in found] == ["section", "section"]
    assert spans(text, found) == [page(A, B), page(A, B)]


def test_a_story_told_once_repeats_nothing():
    assert rows(page(A, B, C, D)) == []


@pytest.mark.parametrize(
    "line",
    [
        "Read also: what the closure of the pier means for you",  # a heading or furniture
        "Oh the pier, the pier of Penmarrow",  # a refrain
        "12 4 9 31 7 2 5 8 41 3 6 9 12 4 1 3 5 7 9 2 4 6 8 1 3 5",  # a row of figures
        "Judith Aldane, harbour master of Penmarrow, at the east pier with divers and crew of the Skerry "
        "Holm boat, a Northsound Lines vessel of the older kind, on a wet Tuesday in spring",  # a caption
    ],
)
def test_what_repeats_by_nature_is_not_reported(line):
    assert rows(page(line, A, line, B, line, C, line, D)) == []


def test_hard_wrapped_text_and_unbroken_text():
    wrapped = (
        "The harbour board of Penmarrow voted on Tuesday to close\n"
        "the east pier for eleven weeks while divers\n"
        "replace 46 oak piles that were found to be hollow, it said\n"
        "after a meeting of boat owners in the hall."
    )
    text = "\n    ".join([wrapped, B, C, wrapped, D])
    assert spans(text, rows(text)) == [wrapped, wrapped]
    unbroken = " ".join([A, B, C, D])
    found = rows(" ".join([unbroken, A]))
    assert [r["relation"] for r in found] == ["exact", "exact"]
    assert [r["n_tokens"] for r in found] == [len(tokenise(None, pa.array([A])).terms)] * 2


def test_offsets_are_code_points():
    head = "Zażółć gęślą jaźń 😀😀 𝔘𝔫𝔦𝔠𝔬𝔡𝔢 — ça va? Ναι."
    quoted = f"“{A}” 😀"
    text = page(head, quoted, B, head, C, quoted)
    assert all(s == quoted.split(" 😀")[0] for s in spans(text, rows(text)))
    assert len(rows(text)) == 2


def test_chinese_paragraphs():
    first = (
        "周二上午港务局投票决定关闭东码头十一周以便潜水员更换四"
        "十六根空心橡木桩，工程费用二百三十万，将于五月四日开工。"
    )
    second = (
        "渔民协会要求赔偿，因为低潮时大型捕蟹船没有其他地方可"
        "以靠岸，协会主席说六年前就已经报告过木材空心的问题。"
    )
    third = (
        "秋季还计划进行第二次检查，届时将查看船台和旧冰库，董"
        "事会另外拨出四十万元，并将在网站上公布完整的潜水报告。"
    )
    text = page(first, second, third, first)
    assert spans(text, rows(text)) == [first.rstrip("。"), first.rstrip("。")] or spans(text, rows(text)) == [
        first,
        first,
    ]


@pytest.mark.parametrize("text", ["", " \n\n ", "One.", "word " * 400, ".\n" * 50, "a\n\n" * 100, "😀" * 60])
def test_tiny_and_odd_texts(text):
    assert rows(text) == []


def test_ids_come_from_content_and_article():
    text = page(A, B, C, A, D)
    batch = pa.record_batch({"article_id": ["x", "y", "z"], "text": [text, text, "Nothing."]})
    found = found_in(batch)
    assert len({r["group_id"] for r in found}) == 2
    assert found[:2] == rows(text)
    assert rows(page("Another opening line.", A, B, C, A, D))[0]["group_id"] == found[0]["group_id"]


def test_options():
    text = page(A, B, C, D, A_REWORDED)
    assert rows(text, SectionsConfig(min_agreement=0.95)) == []
    assert rows(page(A, B, C, A), SectionsConfig(min_tokens=100)) == []
    assert rows(page(A, B, C, D) + "\n\n" + page(A, B, C, D), SectionsConfig(min_part_probability=0.5))


PARTS = [A, A_REWORDED, B, B_REWORDED, C, D, "Pier to close", "1. One.\n2. Two.", "😀 fin 終わり。"]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from(PARTS), max_size=9), st.sampled_from(["\n\n", "\n", " "]))
def test_rows_hold_for_any_page(paragraphs, between):
    text = between.join(paragraphs)
    found = rows(text)
    groups: dict[str, list[dict]] = {}
    for row in found:
        groups.setdefault(row["group_id"], []).append(row)
    for group in groups.values():
        assert len(group) > 1
        assert [r["occurrence"] for r in group] == list(range(len(group)))
        assert len({r["level"] for r in group}) == 1
        assert all(a["end"] <= b["begin"] for a, b in pairwise(group))
        for r in group:
            assert 0 <= r["begin"] < r["end"] <= len(text)
            assert 0 <= r["jaccard"] <= 1
            assert 0 <= r["cosine"] <= 1
            assert text[r["begin"] : r["end"]].strip() == text[r["begin"] : r["end"]]
    assert found == rows(text)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from(PARTS), max_size=9))
def test_the_screen_drops_nothing_that_would_be_found(paragraphs):
    texts = pa.array(["\n\n".join(paragraphs)])
    if not scan_batch(*kept(texts), RARITY, CONFIG)[0]:
        assert find_repeats(texts, tokenise(None, texts), 0, RARITY, CONFIG) == []


def test_stages_write_the_table_in_the_order_of_the_articles(tmp_path: Path):
    texts = [page(A, B, C, A), "Nothing.", page(B, A, D, B)]
    [group], [tokens] = tokenised(tmp_path, [("s", "One title", t) for t in texts], 1)
    group = replace(group, first_row=7)  # some articles are before it
    statistics = with_prior(TermStatistics.empty(16)).save(tmp_path / "terms.npy")
    scanned = scan_group(group, tokens, statistics, Config(), tmp_path)
    assert read_ipc(scanned.path)["row"].to_pylist() == [7, 9]
    rows = [{"row": 7 + i, "article_id": str(i), "text": t} for i, t in enumerate(texts)]
    batches = pa.Table.from_pylist(rows, schema=CHOSEN).to_batches(1)
    chosen = write_ipc(tmp_path / "chosen.arrow", CHOSEN, batches)
    what = (0, chosen, scanned, statistics, Config())
    refs = [find_in_group(*what, tmp_path / name) for name in ("one", "two")]
    table = pa.Table.from_batches(read_batches(refs[0].path))
    assert table.schema.equals(TABLES["repeated_sections"])
    assert table.column("article_id").to_pylist() == ["0", "0", "2", "2"]
    assert refs[0].digest == refs[1].digest
