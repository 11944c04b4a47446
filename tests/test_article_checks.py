"""Which rows are articles: the kernel that looks for a first token, against the tokeniser and its twin."""

from __future__ import annotations

import naive
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from texts import EXAMPLES, JIT_OFF, PIECES, anything, strings, texts

from pipeline.article_checks import has_token
from pipeline.tokens import tokenise
from pipeline.unicode.build import LIMIT

SIGNS = "\u0301\u00ad\ufeff.,…“ \n\u2028😀™👩\u200d\U000e0100\U00040000\U0010ffff"
signs = st.text(alphabet=SIGNS, max_size=8)


@EXAMPLES
@given(st.lists(st.one_of(st.none(), anything, texts, signs), max_size=6))
@example([*PIECES, None, ""])
@example(["\U00030000", "𠀀", "\U0003ffff", "\U00040000", "\U000e0100", "... 日", "\u0301a", "👩"])
def test_a_text_has_a_token_where_the_tokeniser_and_the_naive_twin_find_one(values):
    found = has_token(strings(values)).tolist()
    assert found == (np.diff(tokenise(None, strings(values)).indptr) > 0).tolist()
    assert found == [bool(naive.tokenise_text(value or "")) for value in values]


@pytest.mark.skipif(JIT_OFF, reason="a million characters")
def test_every_character_is_told_as_by_the_tokeniser():
    surrogates = range(0xD800, 0xE000)
    codes = [*range(LIMIT), *range(LIMIT, 0x110000, 251), *range(0xE0000, 0xE1000)]
    values = strings([chr(code) for code in codes if code not in surrogates])
    assert (has_token(values) == (np.diff(tokenise(None, values).indptr) > 0)).all()


def test_a_slice_begins_where_it_begins():
    values = strings(["a", "...", "b", "", "!", "日"])
    assert has_token(values.slice(1, 4)).tolist() == [False, True, False, False]
    assert has_token(values.slice(6)).tolist() == []
