"""Tokens in an index: what was taken apart is put together again, and the bags are those of the night."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.bags import Bags, bag
from pipeline.errors import RunError
from pipeline.index_tokens import TOKENS, Stored, bags_of, facts_of, lengths, packed, totals_of, unpacked
from pipeline.text import KEPT, kept_of
from pipeline.token_scan import FURNITURE
from pipeline.vectors import N_TOTALS

# Articles of (term, is furniture): few terms, so that they come again on both sides.
TERMS = st.one_of(st.integers(0, 8), st.sampled_from([1 << 7, 1 << 31, (1 << 32) - 1]))
ARTICLES = st.lists(st.lists(st.tuples(TERMS, st.booleans()), max_size=30), max_size=5)


def batch_of(articles: list[list[tuple[int, bool]]]) -> tuple[pa.RecordBatch, Bags]:
    """A batch as the stage "text" keeps it, with two lines an article, and its bags without furniture."""
    rows = [
        {
            "terms": [term for term, _ in article], "flags": [n % 8 for n in range(len(article))],
            "n_title": len(article) // 3, "line_keys": [7, 2**64 - 1 - n],
            "line_stops": [min(n, len(article)), len(article)],
            "longest": 2**63 + n, "unit_starts": [], "unit_kinds": [],
        }
        for n, article in enumerate(articles)
    ]  # fmt: skip
    batch = pa.RecordBatch.from_pylist(rows, KEPT)
    kept = kept_of(batch)
    kept.flags[:] |= np.array([FURNITURE * masked for article in articles for _, masked in article], np.uint8)
    return batch, bag(kept)[0]


def stored(batch: pa.RecordBatch, bags: Bags, rows: Sequence[int] | None = None) -> Stored:
    """Both as an index has them, with totals that tell the articles apart; some rows of it."""
    totals = np.arange(len(batch) * N_TOTALS, dtype=np.float32).reshape(-1, N_TOTALS)
    table = packed(batch, bags, totals)
    assert table.schema == TOKENS
    if rows is not None:
        table = table.take(pa.array(rows, pa.int64()))
    facts = facts_of(np.frombuffer(b"".join(table["facts"].to_pylist()), np.uint8))
    octets = {}
    for name in ("bag", "rest"):
        values = table[name].to_pylist()
        assert lengths(facts, name).sum(axis=0).tolist() == [len(v) for v in values]
        # Something between them, which nobody may look at.
        starts = np.cumsum([3, *(3 + len(v) for v in values)])[:-1].astype(np.int64)
        octets[name] = (np.frombuffer(b"".join(b"..." + v for v in values), np.uint8), starts)
    return Stored(facts, octets, "index x: tokens")


@given(ARTICLES)
@example([])
@example([[], [(5, True)], [], [(5, True), (6, False), (5, False), (7, True)]])
def test_what_is_taken_apart_is_put_together_again(articles):
    batch, bags = batch_of(articles)
    kept = stored(batch, bags)
    assert unpacked(kept).equals(batch)
    found = bags_of(kept)
    for name, values in vars(bags).items():
        np.testing.assert_array_equal(getattr(found, name), values, name)


@given(ARTICLES, st.data())
def test_any_rows_of_it_are_those_articles(articles, data):
    batch, bags = batch_of(articles)
    rows = data.draw(st.lists(st.integers(0, len(articles) - 1), unique=True)) if articles else []
    some, own = batch_of([articles[row] for row in rows])
    kept = stored(batch, bags, rows)
    own_columns = [name for name in KEPT.names if name not in {"line_keys", "line_stops", "longest", "flags"}]
    assert unpacked(kept).select(own_columns).equals(some.select(own_columns))
    np.testing.assert_array_equal(bags_of(kept).term_keys, own.term_keys)
    np.testing.assert_array_equal(totals_of(kept)[:, 0], np.array(rows) * N_TOTALS)


def test_an_article_may_have_more_terms_than_two_bytes_tell():
    terms = [(term * 2_654_435_761 % 2**32, term % 2 == 0) for term in range(70_000)]
    batch, bags = batch_of([[(1, False)], terms + terms[::-1]])
    assert unpacked(stored(batch, bags)).equals(batch)


@pytest.mark.parametrize(
    ("name", "value"),
    [("n_terms", -1), ("lead_size", -1), ("lead_size", 3), ("n_others", -1), ("n_tokens", 0), ("n_title", -1),
     ("n_lines", -1)],
)  # fmt: skip
def test_facts_that_can_not_be_are_an_error(name, value):
    facts = stored(*batch_of([[(1, False), (2, True), (3, False)]])).facts.copy()
    facts[name] = value
    with pytest.raises(pa.ArrowInvalid, match="0 terms and tokens or more"):
        facts_of(facts.view(np.uint8))


def test_totals_that_are_no_numbers_are_an_error():
    kept = stored(*batch_of([[(1, False)], [(2, False)]]))
    facts = kept.facts.copy()
    facts["totals"][1, 2] = np.nan
    with pytest.raises(RunError, match="index x: tokens can't be read"):
        totals_of(Stored(facts, kept.octets, kept.source))


def test_places_that_are_none_of_the_terms_are_an_error():
    kept = stored(*batch_of([[(1, False), (2, True), (3, False)]]))
    octets, (start,) = kept.octets["rest"]
    order = start + 4  # behind the one term that is furniture only
    assert octets[order] == 0 | 2 << 2 | 1 << 4
    damaged = octets.copy()
    damaged[order] = 3
    with pytest.raises(RunError, match="index x: tokens can't be read"):
        unpacked(Stored(kept.facts, {**kept.octets, "rest": (damaged, np.array([start]))}, kept.source))


@pytest.mark.parametrize("stop", [-1, 4])
def test_lines_that_end_elsewhere_are_an_error(stop):
    batch, bags = batch_of([[(1, False), (2, True), (3, False)]])
    at = KEPT.get_field_index("line_stops")
    wrong = batch.set_column(at, KEPT.field(at), pa.array([[0, stop]], KEPT.field(at).type))
    with pytest.raises(
        RunError, match="index x: tokens can't be read: the lines of an article must end in it"
    ):
        unpacked(stored(wrong, bags))
