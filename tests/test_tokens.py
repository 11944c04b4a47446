"""The tokeniser: against its plain twin, and by examples written by hand."""

from __future__ import annotations

import itertools
import unicodedata

import naive
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from texts import EXAMPLES, JIT_OFF, PIECES, anything, collections, is_settled, strings, texts

from pipeline.token_scan import CAPITAL, CASE_OWED, DIGIT, PAIR, TITLE
from pipeline.tokens import Tokeniser, Tokens, tokenise
from pipeline.unicode import build


def rows(tokens: Tokens, i: int = 0) -> list[tuple[int, int, int, int, int]]:
    """(term, flags, begin, end, line) of article i."""
    own = slice(tokens.indptr[i], tokens.indptr[i + 1])
    columns = (tokens.terms, tokens.flags, tokens.begin, tokens.end, tokens.line)
    return list(zip(*(c[own].tolist() for c in columns), strict=True))


def naive_rows(found: list[naive.Token]) -> list[tuple[int, int, int, int, int]]:
    return [(t.term, t.flags, t.begin, t.end, t.line) for t in found]


def spelt(text: str) -> list[str]:
    """What stands in the text at each token's place."""
    data, tokens = text.encode(), tokenise(None, strings([text]))
    return [data[begin:end].decode() for begin, end in zip(tokens.begin, tokens.end, strict=True)]


def terms(text: str) -> list[int]:
    return tokenise(None, strings([text])).terms.tolist()


def flags(text: str) -> list[int]:
    return tokenise(None, strings([text])).flags.tolist()


@EXAMPLES
@given(collections)
@example([(None, "")])
@example([("", "日a日a日"), ("日a日a日", "a b c")])
@example([("A title", "\n\nBody\n"), (None, "\u00ad\n\u0301\n1,\n2")])
def test_the_kernel_is_the_naive_twin(articles):
    tokens = tokenise(strings([title for title, _ in articles]), strings([body for _, body in articles]))
    assert tokens.n_articles == len(articles)
    for i, (title, body) in enumerate(articles):
        assert rows(tokens, i) == naive_rows(naive.tokenise(title or "", body))
        assert tokens.indptr[i + 1] - tokens.body[i] == len(naive.tokenise_text(body))


@EXAMPLES
@given(anything)
def test_the_kernel_is_the_naive_twin_on_any_unicode(text):
    assert rows(tokenise(None, strings([text]))) == naive_rows(naive.tokenise_text(text))


# What stops or splits a run of plain ASCII, and words that reach beyond eight, 64 and 72 bytes.
_ASCII = st.one_of(
    st.sampled_from(["the", "Rain", "X", "1,200", "3.5", "1,", "2.", ",5", ".5", "1,2,x", "7a", "a7"]),
    st.sampled_from(["O'Neill", "A.B.", "no.1", ".", "!", "?", ".\n", "\n\n", "\r\n", "\t", "--", ","]),
    st.integers(1, 140).map(lambda n: "Abcdefgh" * (n // 8) + "z" * (n % 8)),
    st.integers(1, 70).map(lambda n: "9" * n),
    st.text(alphabet="aA9 ,.\n", max_size=12),
)
_ascii_pieces = st.lists(st.tuples(_ASCII, st.sampled_from(["", " ", " ", " ", "\n"])), max_size=40)
ascii_texts = _ascii_pieces.map(lambda pieces: "".join(itertools.chain.from_iterable(pieces)))
# One other letter or sign in the midst of it: the way of the single code points, and back.
_other = st.sampled_from(["é", "日", "日本", "\u0301", "\u00ad", "\u2028", "“", "", "…", "½", "İ"])
mixed_texts = st.tuples(ascii_texts, _other, ascii_texts).map("".join)


@EXAMPLES
@given(st.one_of(ascii_texts, mixed_texts))
@example("x" * 72)
@example("a" * 63 + " b" * 40)
@example("a" * 62 + " 1,5" + " b" * 40)
@example(" " * 200 + "a" + "." * 200 + "B c")
@example(("All In Capitals Of Their Own\n" * 5).title())
def test_long_runs_of_plain_ascii_are_the_naive_twins(text):
    expected = naive_rows(naive.tokenise_text(text))
    assert rows(tokenise(None, strings([text]))) == expected
    # Where the buffer goes on, 64 bytes can be read at once up to the text's end.
    assert rows(tokenise(None, strings([text, "b" * 80]))) == expected


@EXAMPLES
@given(mixed_texts, st.integers(0, 80), st.integers(0, 80))
def test_where_a_text_stands_in_the_buffer_does_not_matter(text, before, after):
    alone = rows(tokenise(None, strings([text])))
    among = tokenise(None, strings(["A" * before, text, "1" * after]))
    assert rows(among, 1) == alone


@pytest.mark.skipif(JIT_OFF, reason="so many code points take minutes without the JIT")
@pytest.mark.parametrize("around", ["{}", "a{}b", "1{}2"])
def test_code_points_of_all_blocks_are_as_the_naive_twin_has_them(around):
    blocks = (range(0x3400), range(0x3400, 0xD800, 13), range(0xF900, 0x20000), range(0x20000, 0x30010, 97),
              range(0xE0000, 0xE0200))  # fmt: skip
    every = [chr(c) for block in blocks for c in block if is_settled(chr(c))]
    tokens = tokenise(None, strings([around.format(c) for c in every]))
    ends = tokens.indptr.tolist()
    found, places = tokens.terms.tolist(), tokens.end.tolist()
    for i, c in enumerate(every):
        own = slice(ends[i], ends[i + 1])
        expected = naive.tokenise_text(around.format(c))
        assert found[own] == [t.term for t in expected], f"U+{ord(c):04X}"
        assert places[own] == [t.end for t in expected], f"U+{ord(c):04X}"


# Letters and marks whose NFKC, NFC, NFD and NFKD forms differ, in spaced scripts.
SPACED = "aAeEoOıİiIßſﬁﬀǅǄĳ ÅåéèêëẹệốộơởñçÿøŁłⅣⅫ²¹ªº̣̂́̈̀ ٱلسَّاﻼﷲשָׁלאָ한국어각ㄱ각ΆΐΰσςΣйёЙЁїğşŞ𝐀𝕒𝟙ｆＦ１Ⓐⓐ \n"


@EXAMPLES
@given(st.text(alphabet=SPACED, max_size=25))
@example("ệ e\u0323\u0302 ê\u0323 e\u0302\u0323")
@example("Việt Nam")
def test_strings_equal_under_nfkc_give_equal_tokens(text):
    assert terms(text.casefold()) == terms(text)
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        assert terms(unicodedata.normalize(form, text)) == terms(text), form


@EXAMPLES
@given(st.text(alphabet="ｱｲｳｶｷｻﾀﾅﾏﾔﾗﾜｦﾝｯｰアカサ⽇⽉日月㊊豈 、a", max_size=12))
def test_letters_of_unspaced_scripts_are_compared_by_nfkc(text):
    assert terms(unicodedata.normalize("NFKC", text)) == terms(text)


@EXAMPLES
@given(texts, st.sampled_from("\u00ad\u200b\u200d\ufeff\ufe0f\U000e0100"), st.integers(0, 30))
def test_ignorable_characters_are_ignored(text, ignorable, at):
    # ... but for one between a comma and a digit, where the comma no longer groups digits.
    at = min(at, len(text))
    if text[max(at - 1, 0) : at] not in (",", "."):
        assert terms(text[:at] + ignorable + text[at:]) == terms(text)


@EXAMPLES
@given(st.lists(texts, max_size=4), st.lists(texts, max_size=4))
def test_an_article_does_not_see_its_neighbours(before, after):
    alone = rows(tokenise(None, strings(["Rain in 日本."])))
    among = tokenise(None, strings([*before, "Rain in 日本.", *after]))
    assert rows(among, len(before)) == alone


@EXAMPLES
@given(texts)
def test_tokens_are_in_order_and_begin_and_end_on_characters(text):
    data = text.encode()
    tokens = tokenise(None, strings([text]))
    assert (np.diff(tokens.begin) > 0).all()
    assert (tokens.begin < tokens.end).all()
    assert (tokens.end[:-1] <= tokens.begin[1:]).sum() >= ((tokens.flags & PAIR)[:-1] == 0).sum()
    for begin, end in zip(tokens.begin.tolist(), tokens.end.tolist(), strict=True):
        assert data[begin:end].decode()
    assert tokens.line.tolist() == [data[:begin].count(b"\n") for begin in tokens.begin.tolist()]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \n\t.,-", []),
        ("Don't stop-me now", ["Don", "t", "stop", "me", "now"]),
        ("1,200 people, 3.5 % of 7.", ["1,200", "people", "3.5", "of", "7"]),
        ("3.14.15, 5,x .5", ["3.14.15", "5", "x", "5"]),
        ("co\u00adoperate\u200b!", ["co\u00adoperate"]),
        ("e\u0301te\u0301", ["e\u0301te\u0301"]),
        ("日本語", ["日本", "本語"]),
        ("日 本", ["日", "本"]),
        ("x日y", ["x", "日", "y"]),
        ("𠀀 𠀀𠀁", ["𠀀", "𠀀𠀁"]),
        ("葛\U000e0100飾区", ["葛\U000e0100飾", "飾区"]),
        ("ไทย", ["ไท", "ทย"]),
        ("ｶﾅ カナ", ["ｶﾅ", "カナ"]),
        ("שלום עולם", ["שלום", "עולם"]),
        ("한국어 뉴스", ["한국어", "뉴스"]),
        ("Windows™ № 5", ["Windows", "5"]),
        ("😀 ok 👍", ["ok"]),
    ],
)
def test_textbook_texts(text, expected):
    assert spelt(text) == expected


@pytest.mark.parametrize(
    "same",
    [
        ("1,200", "1200", "１２００"),
        ("STRASSE", "straße", "Straße"),
        ("ﬁnance", "finance", "FINANCE"),
        ("ΣΊΣΥΦΟΣ", "σίσυφος"),
        ("café", "cafe\u0301", "CAFÉ", "ｃａｆé"),
        ("ê\u0323", "ệ", "e\u0302\u0323", "e\u0323\u0302", "Ệ"),
        ("שָׁ", "ש\u05b8\u05c1", "ש\u05c1\u05b8"),
        ("한", "\u1112\u1161\u11ab"),
        ("x²", "x2"),
        ("カナ", "ｶﾅ"),
        ("⽇本", "日本"),
        ("Ⓐ", "a"),
    ],
)
def test_spellings_that_are_the_same_word(same):
    assert len({tuple(terms(word)) for word in same}) == 1
    assert len(terms(same[0])) == 1


def test_spellings_that_are_not_the_same_word():
    distinct = ["resume", "résumé", "3.5", "35", "3", "が", "か", "e\u0301\u0323", "e\u0300\u0323", "ệ", "İ"]
    assert len({tuple(terms(word)) for word in distinct}) == len(distinct)


def test_the_title_is_a_line_of_its_own_before_the_body():
    tokens = tokenise(strings(["Big News"]), strings(["first line\nsecond"]))
    assert tokens.line.tolist() == [-1, -1, 0, 0, 1]
    assert tokens.indptr.tolist() == [0, 5]
    assert tokens.body.tolist() == [2]
    assert tokens.begin.tolist() == [0, 4, 0, 6, 11]
    assert [bool(f & TITLE) for f in tokens.flags.tolist()] == [True, True, False, False, False]
    assert tokenise(strings(["x日"]), strings(["本y"])).terms.tolist() == terms("x 日 本 y")


def test_capitals_and_where_case_says_nothing():
    text = "We often met Ann. She then left Rome\nby car: “Fine” said B2B"
    by_word = dict(zip(spelt(text), flags(text), strict=True))
    assert by_word == {
        "We": CAPITAL | CASE_OWED, "often": 0, "met": 0, "Ann": CAPITAL,
        "She": CAPITAL | CASE_OWED, "then": 0, "left": 0, "Rome": CAPITAL,
        "by": CASE_OWED, "car": 0, "Fine": CAPITAL | CASE_OWED, "said": CASE_OWED, "B2B": CAPITAL | DIGIT,
    }  # fmt: skip


def test_a_headline_in_capitals_owes_its_case():
    assert all(f & CASE_OWED for f in flags("Storm Hits The Coast of Maine"))
    assert [bool(f & CASE_OWED) for f in flags("Ann met Bob at the old Bridge")] == [True] + [False] * 6
    assert [bool(f & CASE_OWED) for f in flags("Ann Met")] == [True, False]  # two words are no headline


def test_numbers_and_pairs_are_flagged():
    assert flags("x 12 日本 3rd ½ ١") == [CASE_OWED, DIGIT, PAIR, DIGIT, DIGIT, DIGIT]


def test_null_and_missing_titles_count_as_empty():
    bodies = strings(["one two", "three"])
    without = tokenise(None, bodies)
    for titles in (strings([None, None]), strings(["", ""])):
        assert [rows(tokenise(titles, bodies), i) for i in range(2)] == [rows(without, i) for i in range(2)]


def test_slices_of_arrow_arrays_are_read_at_their_offset():
    whole = strings(["aaa bbb", "Rain in Paris", "日本"])
    sliced = tokenise(whole.slice(1, 1), whole.slice(1, 1))
    assert rows(sliced) == naive_rows(naive.tokenise("Rain in Paris", "Rain in Paris"))
    assert tokenise(None, whole.slice(3, 0)).indptr.tolist() == [0]


def test_other_arrow_types_are_refused():
    with pytest.raises(TypeError, match=r"texts must be pa\.string\(\), not large_string"):
        tokenise(None, pa.array(["x"], pa.large_string()))


def test_a_tokeniser_gives_the_same_in_the_arrays_of_the_batch_before():
    tokeniser = Tokeniser()
    batches = (["a longer text of 12 words", "日本語"], ["short"], [], ["", "again a much longer one, 3.5"])
    for texts_of_batch in batches:
        found = tokeniser.tokenise(None, strings(texts_of_batch))
        for i, text in enumerate(texts_of_batch):
            assert rows(found, i) == naive_rows(naive.tokenise_text(text))


def test_the_densest_texts_fit_the_room_set_aside():
    for text in ("a " * 50, "日a" * 50, "a" + "日a" * 50, "日 " * 50, "1 日" * 50, "".join(PIECES) * 3):
        assert rows(tokenise(strings([text]), strings([text]))) == naive_rows(naive.tokenise(text, text))


@pytest.mark.skipif(
    build.unidata_version() != unicodedata.unidata_version,
    reason=f"tables of Unicode {build.unidata_version()}, Python has {unicodedata.unidata_version}",
)
@pytest.mark.skipif(JIT_OFF, reason="holds no kernel")
def test_the_kept_tables_are_those_that_build_makes():
    fresh = build.build()
    with np.load(build.PATH) as kept:
        assert sorted(kept.files) == sorted(fresh)
        for name, values in fresh.items():
            np.testing.assert_array_equal(kept[name], values, err_msg=name)


@pytest.mark.parametrize(
    ("characters", "kind"),
    [
        ("aßżяαشअ한ⓐ", build.LOWER), ("AŻЯΑⒶ", build.UPPER), ("5५½²Ⅷ", build.DIGIT),
        ("\u0301\u093f", build.MARK), ("\u00ad\u200b\u200d\ufeff\ufe0f", build.IGNORED),
        ("日あアไខｱﾞ⽇㊊", build.UNSPACED), ("\n\r\u2028\u0085", build.NEWLINE), (".!?…“。؟", build.STOP),
        (" ,-'$™№😀\t", build.OTHER),
    ],
)  # fmt: skip
def test_classes_of_characters(characters, kind):
    assert [build.category_of(c) for c in characters] == [kind] * len(characters)


def test_folded_and_unspaced_forms():
    assert build.folded("ﬁ") == "fi"
    assert build.folded("Å") == "a\u030a"
    assert build.folded("ẞ") == "ss"
    assert [build.unspaced_form(c) for c in "が⽇ｶำ"] == ["が", "日", "カ", "ำ"]
