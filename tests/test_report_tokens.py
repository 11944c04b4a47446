"""The report's packed tokens, against plain-Python twins."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import orjson
from hypothesis import example, given, settings
from hypothesis import strategies as st
from texts import collections, strings

from pipeline.report_tokens import (
    BACKSLASH,
    FIRST_CODE,
    FURNITURE_BIT,
    LAST_CODE,
    N_SURROGATES,
    NAME_BIT,
    NUMBER_BIT,
    SURROGATES,
    number_terms,
    pack,
    write_number,
)
from pipeline.token_scan import CAPITAL, DIGIT, FURNITURE
from pipeline.tokens import buffers, tokenise


def letter(number: int) -> str:
    """What stands for a number: letters from FIRST_CODE on, without the backslash and the surrogates."""
    code = FIRST_CODE + number
    code += code >= BACKSLASH
    code += N_SURROGATES * (code >= SURROGATES)
    return chr(min(code, LAST_CODE))


@settings(deadline=None)
@given(st.integers(0, 1 << 40))
@example(BACKSLASH - FIRST_CODE - 1)
@example(BACKSLASH - FIRST_CODE)
@example(0x7F - FIRST_CODE)
@example(0x7FF - FIRST_CODE)
@example(SURROGATES - FIRST_CODE - 2)
@example(SURROGATES - FIRST_CODE - 1)
@example(0x10000 - N_SURROGATES - FIRST_CODE - 2)
@example(0x10000 - N_SURROGATES - FIRST_CODE - 1)
def test_a_number_is_one_letter(number):
    out = np.zeros(6, np.uint8)
    n = write_number(number, out, 1)
    assert out[1:n].tobytes().decode() == letter(number)
    assert not out[n:].any()


@settings(deadline=None)
@given(st.lists(st.sampled_from([0, 1, 16, 17, 33, 1 << 31, (1 << 32) - 1]), max_size=40))
def test_terms_are_numbered_in_order_of_appearance(terms):
    number, distinct = number_terms(np.array(terms, np.uint32))
    assert distinct.tolist() == list(dict.fromkeys(terms))
    assert [int(distinct[n]) for n in number] == terms


def naive_kind(flag: int, spelling: int, first_open: int) -> int:
    """`first_open`: flags of the term's first token in the article that is no number and no furniture."""
    if flag & DIGIT:
        kind = NUMBER_BIT
    elif spelling > 0 or (spelling == 0 and not flag & FURNITURE and first_open & CAPITAL):
        kind = NAME_BIT
    else:
        kind = 0
    return kind | (FURNITURE_BIT if flag & FURNITURE else 0)


@settings(deadline=None)
@given(collections, st.data(), st.sampled_from([2, 1000]))
def test_packed_tokens_equal_the_naive_twin(texts, data, most):
    if not texts:
        return
    titles, bodies = (strings(list(side)) for side in zip(*texts, strict=True))
    tokens = tokenise(titles, bodies)
    number, distinct = number_terms(tokens.terms)
    masked = data.draw(st.lists(st.booleans(), min_size=len(number), max_size=len(number)))
    flags = tokens.flags | np.where(masked, FURNITURE, 0).astype(np.uint8)
    spelling = np.array(
        data.draw(st.lists(st.integers(-1, 1), min_size=len(distinct), max_size=len(distinct))), np.int32
    )
    packed, ends = pack(tokens, buffers(titles), buffers(bodies), number, flags, spelling, most)
    for i, (begin, end) in enumerate(pairwise([0, *ends])):
        title, body = (side or "" for side in texts[i])
        own = range(int(tokens.indptr[i]), int(tokens.indptr[i + 1]))
        told, previous = "", 0
        for k in own[:most]:
            text, before = (title, "") if k < tokens.body[i] else (body, f"{title}\n")
            octets = text.encode()
            units = [len((before + octets[: side[k]].decode()).encode("utf-16-le")) // 2
                     for side in (tokens.begin, tokens.end)]  # fmt: skip
            same = (int(flags[j]) for j in own if number[j] == number[k])
            first = next((flag for flag in same if not flag & (DIGIT | FURNITURE)), 0)
            kind = naive_kind(int(flags[k]), int(spelling[number[k]]), first)
            length = (units[1] - units[0]) << 3 | kind
            told += "".join(map(letter, (units[0] - previous, length, int(number[k]))))
            previous = units[0]
        assert packed[begin:end].decode() == told


def test_no_letter_has_to_be_escaped_in_json():
    told = "".join(map(letter, range(1 << 17)))
    assert orjson.dumps(told) == b'"%s"' % told.encode()
    assert "<" not in told
