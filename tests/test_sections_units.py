"""Units of a body, against a plain-Python twin and by hand."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.section_scan import span_kinds
from pipeline.section_terms import MIN_IDF, NAME, NUMBER, Rarity, index_units, weigh_terms
from pipeline.section_units import (
    CAPTION,
    CAPTION_TOKENS,
    FIGURES,
    SHORT,
    SHORT_TOKENS,
    UNBROKEN_TOKENS,
    WRAPPED_MAX,
    WRAPPED_MIN,
    cut_units,
    lead_sections,
)
from pipeline.terms import TermStatistics
from pipeline.token_scan import CAPITAL, CASE_OWED, DIGIT, PAIR
from pipeline.tokens import Tokens, buffers, tokenise

FULL_STOP = re.compile(r"[.!?:;。！？…؟۔।]")
CHARACTERS = st.sampled_from("ab1A .,:\n\n  \t“\r。é漢字😀-")
LINES = st.lists(st.text(CHARACTERS, max_size=60).map(lambda s: s + " word"), max_size=8)


@pytest.fixture(autouse=True)
def _wrapping_integers():
    """Without the JIT, numpy warns where the kernels mean to wrap."""
    with np.errstate(over="ignore"):
        yield


def cut(text: str) -> tuple[Tokens, np.ndarray, np.ndarray]:
    texts = pa.array([text])
    tokens = tokenise(None, texts)
    data, offsets = buffers(texts)
    starts, kinds = cut_units(data[: offsets[1]], tokens.begin, tokens.end, tokens.line, tokens.flags)
    return tokens, starts, kinds


def units(text: str) -> list[str]:
    tokens, starts, _ = cut(text)
    data = text.encode()
    return [data[tokens.begin[a] : tokens.end[b - 1]].decode() for a, b in pairwise(starts)]


def naive_units(text: str) -> tuple[list[int], list[int]]:
    tokens = tokenise(None, pa.array([text]))
    data, n = text.encode(), len(tokens.terms)
    starts, kinds = [], []
    line_begin = 0
    for i in range(n):
        if i:
            gap = data[tokens.end[i - 1] : tokens.begin[i]].decode()
            if tokens.line[i] != tokens.line[i - 1]:
                width = tokens.end[i - 1] - tokens.begin[line_begin]
                item = (
                    re.match(rb"\d{1,2}[.)]", data[tokens.begin[i] :]) and tokens.end[i] - tokens.begin[i] < 3
                )
                wrapped = (
                    not item and re.fullmatch(r"[^\n]*\n\r*", gap) and WRAPPED_MIN <= width <= WRAPPED_MAX
                )
                if not wrapped:
                    starts.append(i)
                line_begin = i
            elif i - starts[-1] >= UNBROKEN_TOKENS and tokens.flags[i] & CASE_OWED:
                starts.append(i)
                line_begin = i
        else:
            starts.append(0)
    edges = [*starts, n] if n else [0]
    for a, b in pairwise(edges):
        stop = tokens.begin[b] if b < n else len(data)
        rest = data[tokens.end[b - 1] : stop].decode().split("\n")[0]
        kind = 0
        if b - a < CAPTION_TOKENS and not tokens.flags[b - 1] & PAIR and not FULL_STOP.search(rest):
            kind = CAPTION | (SHORT if b - a <= SHORT_TOKENS else 0)
        if 3 * sum(bool(f & DIGIT) for f in tokens.flags[a:b]) >= b - a:
            kind |= FIGURES
        kinds.append(kind)
    return edges, kinds


@settings(deadline=None)
@given(LINES)
def test_units_equal_the_naive_twin(lines):
    text = "\n".join(lines)
    _, starts, kinds = cut(text)
    expected_starts, expected_kinds = naive_units(text)
    assert starts.tolist() == expected_starts
    assert kinds.tolist() == expected_kinds


def test_empty_text_has_no_unit():
    _, starts, kinds = cut("")
    assert starts.tolist() == [0]
    assert len(kinds) == 0


def test_paragraphs_are_split_at_blank_lines_and_long_lines():
    assert units("One thing is told here.\n\nAnother is told there.") == [
        "One thing is told here",
        "Another is told there",
    ]
    long = (
        "A paragraph of one line which is longer by far than "
        + "any wrapped line of a news wire would be " * 3
    )
    assert len(units(f"{long}\n{long}\n{long}")) == 3


def test_wrapped_lines_are_one_paragraph_and_an_indent_opens_the_next():
    text = (
        "The company said on Monday that its board had approved\n"
        "the sale of the plant to a group of its own managers.\n"
        "    Shareholders will be asked to vote on the sale at the\n"
        "meeting in May, the company added in a statement.\n"
    )
    assert [u.split()[0] for u in units(text)] == ["The", "Shareholders"]


def test_list_items_and_headings_are_units():
    text = (
        "What to know\n\n1. The bridge closes on Monday morning.\n2. Buses take another road.\n• Trains go.\n"
    )
    _, _, kinds = cut(text)
    assert len(kinds) == 4
    assert kinds[0] & SHORT
    assert not kinds[1] & SHORT


def test_kinds_tell_tables_and_captions():
    caption = "Picture: a man looks at the river from his window in the old town at dusk on a cold winter day"
    _, _, kinds = cut(f"12 34 56 78 90 and 11 22.\n\n{caption}\n\nHe saw it.")
    assert kinds.tolist() == [FIGURES, CAPTION, 0]


def test_unbroken_text_is_cut_at_sentences():
    text = " ".join(
        f"Sentence {chr(97 + i % 26)} says a little more than the one before it did." for i in range(60)
    )
    assert len(units(text)) > 4
    assert all(u.startswith("Sentence") for u in units(text))


def test_chinese_paragraphs_end_with_their_own_full_stop():
    _, _, kinds = cut("警方周二证实已经收到警告。\n\n社区领袖说他们以前听过这样的承诺。")
    assert kinds.tolist() == [0, 0]


TERMS = st.lists(st.integers(0, 12), min_size=1, max_size=60)


@settings(deadline=None)
@given(TERMS, st.data())
def test_weights_and_index_equal_the_naive_twins(values, data):
    terms = np.array(values, np.uint32) * np.uint32(2654435761)
    n = len(terms)
    flags = np.array(data.draw(st.lists(st.sampled_from([0, CAPITAL, CASE_OWED, CAPITAL | CASE_OWED, DIGIT]),
                                        min_size=n, max_size=n)), np.uint8)  # fmt: skip
    cuts = sorted({0, n, *data.draw(st.lists(st.integers(0, n), max_size=4))})
    starts = np.array(cuts, np.int32)
    figures = data.draw(st.lists(st.booleans(), min_size=len(cuts), max_size=len(cuts)))
    unit_kinds = np.array(figures[1:], np.uint8) * np.uint8(FIGURES)
    idf = np.linspace(4.0, 0.0, 48, dtype=np.float32)
    df = np.arange(64, dtype=np.uint32)[::-1].copy()
    term_of, weights, kinds = weigh_terms(
        terms, flags, starts, unit_kinds, df, idf, np.float32(1), np.float32(3.5), np.float32(3)
    )
    order = list(dict.fromkeys(terms.tolist()))
    assert term_of.tolist() == [order.index(t) for t in terms.tolist()]
    for number, term in enumerate(order):
        at = [i for i in range(n) if terms[i] == term]
        says = [
            int(flags[i])
            for i in at
            if not (flags[i] & DIGIT and (i in cuts or unit_kinds[np.searchsorted(starts, i, "right") - 1]))
        ]
        free = [f for f in says if not f & (DIGIT | CASE_OWED)]
        is_number = any(f & DIGIT for f in says)
        is_name = bool(free) and all(f & CAPITAL for f in free)
        weight = min(float(idf[min(df[term & 63], 47)]), 3.5)
        if weight < 1 or not says:
            weight, kind = 0.0, 0
        elif is_number or is_name:
            weight, kind = weight * 3, NUMBER if is_number else NAME
        else:
            kind = 0
        assert weights[number] == pytest.approx(weight)
        assert kinds[number] == kind
    indptr, index, counts = index_units(term_of, weights, starts)
    for unit in range(len(cuts) - 1):
        inside = [t for t in term_of[cuts[unit] : cuts[unit + 1]].tolist() if weights[t] > 0]
        own = slice(indptr[unit], indptr[unit + 1])
        assert dict(zip(index[own].tolist(), counts[own].tolist(), strict=True)) == {
            t: inside.count(t) for t in inside
        }


@pytest.mark.parametrize("n_articles", [1, 7, 4000, 10**6])
def test_rarity_is_that_of_the_buckets(n_articles):
    statistics = replace(TermStatistics.empty(8), n_articles=n_articles)
    statistics.df[:] = np.geomspace(1, n_articles + 1, 256) - 1
    rarity = Rarity.of(statistics)
    found, expected = rarity.of_df[np.minimum(rarity.df, len(rarity.of_df) - 1)], statistics.rarity()
    assert np.array_equal(found[expected >= MIN_IDF], expected[expected >= MIN_IDF])
    assert (found[expected < MIN_IDF] < MIN_IDF).all()
    assert rarity.of_df[-1] < MIN_IDF


def test_frequencies_may_be_a_column_of_a_mapped_table(tmp_path):
    counts = np.arange(32, dtype=np.int32).reshape(16, 2)
    np.save(tmp_path / "counts.npy", counts)
    mapped = np.asarray(np.load(tmp_path / "counts.npy", mmap_mode="r")[:, 0]).view(np.uint32)
    terms = np.arange(40, dtype=np.uint32)
    starts, kinds = np.array([0, 40], np.int32), np.zeros(1, np.uint8)
    idf = np.linspace(6.0, 0.0, 31, dtype=np.float32)
    limits = np.float32(1), np.float32(6), np.float32(3)
    found, expected = (
        weigh_terms(terms, np.zeros(40, np.uint8), starts, kinds, df, idf, *limits)
        for df in (mapped, mapped.copy())
    )
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


def test_sections_begin_with_their_headings():
    starts = np.array([0, 40, 44, 90, 92, 94, 150], np.int32)
    kinds = np.array([0, SHORT | CAPTION, 0, SHORT | CAPTION, SHORT | CAPTION, 0], np.uint8)
    assert lead_sections(starts, kinds).tolist() == [0, 40, 92, 150]
    spans = span_kinds(starts, kinds, np.array([0, 88, 40], np.int32), np.array([40, 94, 90], np.int32))
    assert spans.tolist() == [0, CAPTION, 0]
