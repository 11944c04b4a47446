"""Tokens in an index: what was taken apart is put together again, and the bags are those of the night."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.arrow_columns import fixed_array
from pipeline.bags import Bags, bag
from pipeline.errors import RunError
from pipeline.index_tokens import BAG_COLUMNS, TOKENS, bags_of, packed, totals_of, unpacked
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
            "n_title": len(article) // 3, "line_keys": [7, 2**64 - 1 - n], "line_stops": [n, len(article)],
            "longest": 2**63 + n, "unit_starts": [], "unit_kinds": [],
        }
        for n, article in enumerate(articles)
    ]  # fmt: skip
    batch = pa.RecordBatch.from_pylist(rows, KEPT)
    kept = kept_of(batch)
    kept.flags[:] |= np.array([FURNITURE * masked for article in articles for _, masked in article], np.uint8)
    return batch, bag(kept)[0]


def table_of(batch: pa.RecordBatch, bags: Bags) -> pa.Table:
    """Both as an index has them, with totals that tell the articles apart."""
    totals = np.arange(len(batch) * N_TOTALS, dtype=np.float32).reshape(-1, N_TOTALS)
    return pa.Table.from_batches([packed(batch, bags, totals)])


@given(ARTICLES)
@example([])
@example([[], [(5, True)], [], [(5, True), (6, False), (5, False), (7, True)]])
def test_what_is_taken_apart_is_put_together_again(articles):
    batch, bags = batch_of(articles)
    table = table_of(batch, bags)
    assert table.schema == TOKENS
    assert unpacked(table).equals(batch)
    found = bags_of(table.select(list(BAG_COLUMNS)))
    for name, values in vars(bags).items():
        np.testing.assert_array_equal(getattr(found, name), values, name)


@given(ARTICLES, st.data())
def test_any_rows_of_it_are_those_articles(articles, data):
    batch, bags = batch_of(articles)
    rows = data.draw(st.lists(st.integers(0, len(articles) - 1), unique=True)) if articles else []
    some, own = batch_of([articles[row] for row in rows])
    table = table_of(batch, bags).take(pa.array(rows, pa.int64()))
    own_columns = [name for name in KEPT.names if name not in {"line_keys", "line_stops", "longest", "flags"}]
    assert unpacked(table).select(own_columns).equals(some.select(own_columns))
    np.testing.assert_array_equal(bags_of(table).term_keys, own.term_keys)
    np.testing.assert_array_equal(totals_of(table)[:, 0], np.array(rows) * N_TOTALS)
    begin = len(articles) // 2
    cut = table_of(batch, bags).slice(begin)
    assert unpacked(cut).equals(batch.slice(begin))
    np.testing.assert_array_equal(bags_of(cut).term_counts, bags.some(begin, len(articles)).term_counts)
    np.testing.assert_array_equal(totals_of(cut), totals_of(table_of(batch, bags))[begin:])


def test_an_article_may_have_more_terms_than_two_bytes_tell():
    terms = [(term * 2_654_435_761 % 2**32, term % 2 == 0) for term in range(70_000)]
    batch, bags = batch_of([[(1, False)], terms + terms[::-1]])
    assert unpacked(table_of(batch, bags)).equals(batch)


@pytest.mark.parametrize("name", ["term_keys", "term_counts", "term_flags"])
def test_terms_that_lack_something_are_an_error(name):
    table = table_of(*batch_of([[(1, False)], [(2, False), (3, False)]]))
    column = table[name].to_pylist()
    damaged = table.set_column(TOKENS.get_field_index(name), TOKENS.field(name), [column[::-1]])
    with pytest.raises(RunError, match="damaged"):
        bags_of(damaged)


def test_totals_that_are_no_numbers_are_an_error():
    table = table_of(*batch_of([[(1, False)], [(2, False)]]))
    damaged = np.frombuffer(b"\xff" * table["totals"].type.byte_width * 2, np.uint8).reshape(2, -1)
    at = TOKENS.get_field_index("totals")
    with pytest.raises(RunError, match="damaged"):
        totals_of(table.set_column(at, TOKENS.field(at), [fixed_array(damaged)]))


@pytest.mark.parametrize("order", [b"\x03", b"\x00\x00", b""])
def test_places_that_are_none_of_the_terms_are_an_error(order):
    table = table_of(*batch_of([[(1, False), (2, True), (3, False)]]))
    assert table["order"].to_pylist() == [bytes([0 | 2 << 2 | 1 << 4])]
    damaged = table.set_column(TOKENS.get_field_index("order"), TOKENS.field("order"), [[order]])
    with pytest.raises(RunError, match="damaged"):
        unpacked(damaged)
