"""Random texts for the kernels' tests, and how many of them to try."""

from __future__ import annotations

import os

import pyarrow as pa
from hypothesis import settings
from hypothesis import strategies as st

from pipeline.unicode.build import LIMIT, category_of, load

# With the JIT off a kernel is a thousand times slower: `test_jit_off.py` runs the same tests on few examples.
JIT_OFF = os.environ.get("NUMBA_DISABLE_JIT", "0") == "1"
EXAMPLES = settings(max_examples=20 if JIT_OFF else 150, deadline=None)
FEW_EXAMPLES = settings(max_examples=6 if JIT_OFF else 40, deadline=None)  # where each writes files

# What a tokeniser trips over; texts are made of these pieces.
_TRIPPING = """
the The NATO O'Neill naïve Straße STRASSE ﬁne office ＡＢＣ ｆｕｌｌ １２ x² Ⅳ ½ ǅ Ǆ İstanbul ıI ſt 𝐀𝐁 Ⓐ ™ №
1,200 3.5 1,2,3.4.5 12. ,5 5,x 2024-05-01 ١٢٣ e\u0301 é e\u0323\u0302 ê\u0323 ệ \u0301 \u0301\u0323x Việt
Москва ёлка Ёлка Ελλάδα ΣΊΣΥΦΟΣ שָׁלוֹם السَّلام हिन्दी 한국어 각 ᄀ
日本 東京都 カタカナ ｶﾀｶﾅ ひらがな が 日 ไทย ภาษา ខ្មែរ မြန်မာ 𠀀 𠀀𠀁 \U00030000 葛\U000e0100飾 ⽇
co\u00adoperate zero\u200bwidth a\ufeffb 😀 👩\u200d💻 . ! ? … “ ” - ' , 、 。 •
"""
PIECES = (*_TRIPPING.split(), "\n", "\n\n", "\r\n", "\u2028", "\t", " ", " ", "  ", "\u00a0", "\u3000")
_PLAIN = "rain Rain river London Paris 1,200 3.5 vote Vote bridge new New 日本語 5"


def is_settled(character: str) -> bool:
    """Whether the interpreter's Unicode and the kept tables' agree (not on the newest)."""
    code = ord(character)
    return code >= LIMIT or int(_CATEGORY[code]) == category_of(character)


_CATEGORY = load()[0]
_characters = st.characters(exclude_categories=["Cs"]).filter(is_settled)
anything = st.text(_characters, max_size=30)
_piece = st.one_of(st.sampled_from(PIECES), st.sampled_from(" \n.aA1"), st.text(_characters, max_size=3))
texts = st.lists(_piece, max_size=30).map("".join)
_word = st.sampled_from((*(f"{word} " for word in _PLAIN.split()), ". ", "\n", "\n"))
plain_texts = st.lists(_word, max_size=40).map("".join)
# (title, body) of a few articles.
collections = st.lists(
    st.tuples(st.one_of(st.none(), texts, plain_texts), st.one_of(texts, plain_texts)), max_size=5
)


def strings(values: list[str | None]) -> pa.StringArray:
    return pa.array(values, pa.string())
