"""The tokens of a lot of texts as the report's page reads them: three code points each."""

import numba as nb
import numpy as np
import numpy.typing as npt

from pipeline.arrays import BYTES, I32, I64, READ_I32, READ_U32, U8, U32
from pipeline.token_scan import CAPITAL, DIGIT, FURNITURE
from pipeline.tokens import Tokens

# Bits beside the length of a token.
NAME_BIT, NUMBER_BIT, FURNITURE_BIT, BITS = 1, 2, 4, 3
# Numbers are written as code points from here on, past `"` and `<`; `\` and the surrogates are stepped over.
FIRST_CODE, BACKSLASH, SURROGATES, N_SURROGATES = 61, 92, 0xD800, 0x800
LAST_CODE = 0x10FFFF
_BYTES_A_TOKEN = 12  # of UTF-8, at most

_NUMBERED = nb.types.Tuple((I32, U32))  # type: ignore[no-untyped-call]


@nb.njit(_NUMBERED(READ_U32), cache=True, nogil=True)
def number_terms(terms):  # type: ignore[no-untyped-def]
    """Number int32 (n_tokens,) of each token's term, in order of appearance, and the terms uint32."""
    size = 16
    while size < 2 * len(terms):
        size *= 2
    table = np.zeros(size, np.int32)  # a number from 1, or 0
    mask = np.uint32(size - 1)
    number, distinct = np.empty(len(terms), np.int32), np.empty(len(terms), np.uint32)
    n = 0
    for k in range(len(terms)):
        slot = terms[k] & mask
        while table[slot] and distinct[table[slot] - 1] != terms[k]:
            slot = (slot + np.uint32(1)) & mask
        if not table[slot]:
            distinct[n] = terms[k]
            n += 1
            table[slot] = n
        number[k] = table[slot] - 1
    return number, distinct[:n].copy()


@nb.njit(nb.int64(nb.int64, U8, nb.int64), cache=True, nogil=True)
def write_number(number, out, at):  # type: ignore[no-untyped-def]
    """Writes the code point of a number, LAST_CODE where there is none, as UTF-8; returns where it ends."""
    code = number + FIRST_CODE
    code += code >= BACKSLASH
    if code < 0x80:
        out[at] = code
        return at + 1
    if code < 0x800:
        out[at], out[at + 1] = 0xC0 | code >> 6, 0x80 | code & 0x3F
        return at + 2
    code = min(code + N_SURROGATES * (code >= SURROGATES), LAST_CODE)
    if code < 0x10000:
        out[at], out[at + 1], out[at + 2] = 0xE0 | code >> 12, 0x80 | code >> 6 & 0x3F, 0x80 | code & 0x3F
        return at + 3
    out[at], out[at + 1] = 0xF0 | code >> 18, 0x80 | code >> 12 & 0x3F
    out[at + 2], out[at + 3] = 0x80 | code >> 6 & 0x3F, 0x80 | code & 0x3F
    return at + 4


@nb.njit(nb.int32(BYTES, nb.int32, I32, I32), cache=True, nogil=True)
def count_units(data, shift, begin, end):  # type: ignore[no-untyped-def]
    """Makes of places in the bytes `data` places in UTF-16 units, counted from `shift`; returns its end."""
    seen = np.uint8(0)
    for byte in data:
        seen |= byte
    if seen < 0x80:
        for k in range(len(begin)):
            begin[k] += shift
            end[k] += shift
        return np.int32(shift + len(data))
    before = np.empty(len(data) + 1, np.int32)
    before[0] = shift
    for k in range(len(data)):
        # Bytes that go on with a code point count nothing; those of four bytes are two units.
        before[k + 1] = before[k] + np.int32((data[k] & 0xC0) != 0x80) + np.int32(data[k] >= 0xF0)
    for k in range(len(begin)):
        begin[k], end[k] = before[begin[k]], before[end[k]]
    return before[-1]


@nb.njit(nb.void(BYTES, READ_I32, BYTES, READ_I32, I64, I64, I32, I32), cache=True, nogil=True)
def _count_units(title_data, title_offsets, data, offsets, body, indptr, begin, end):  # type: ignore[no-untyped-def]
    """`count_units` for the tokens of each article's title, line feed, text."""
    for i in range(len(body)):
        own = slice(indptr[i], body[i])
        title = title_data[title_offsets[i] : title_offsets[i + 1]]
        shift = count_units(title, np.int32(0), begin[own], end[own])
        own = slice(body[i], indptr[i + 1])
        count_units(data[offsets[i] : offsets[i + 1]], np.int32(shift + 1), begin[own], end[own])


@nb.njit(nb.void(I32, U8, I32, I32, I64, I32, nb.int64, U8, I64), cache=True, nogil=True)
def _pack(number, flags, begin, end, indptr, spelling, most, out, ends):  # type: ignore[no-untyped-def]
    """Fills `out` with the tokens of each article, at most `most` of them, and `ends`; see `pack`."""
    told_in = np.full(len(spelling), np.int32(-1), np.int32)  # article that told last how a term is spelt
    is_capital = np.zeros(len(spelling), np.bool_)
    at = 0
    for i in range(len(ends)):
        previous = np.int64(0)
        for k in range(indptr[i], min(indptr[i + 1], indptr[i] + most)):
            term, flag = number[k], flags[k]
            masked, is_number = flag & FURNITURE != 0, flag & DIGIT != 0
            is_name = spelling[term] > 0
            # Where the collection can't tell, the article's own first spelling does.
            if spelling[term] == 0 and not masked and not is_number:
                if told_in[term] != i:
                    told_in[term] = i
                    is_capital[term] = flag & CAPITAL != 0
                is_name = is_capital[term]
            bits = FURNITURE_BIT * masked | NUMBER_BIT * is_number | NAME_BIT * (is_name and not is_number)
            at = write_number(np.int64(begin[k]) - previous, out, at)
            at = write_number(np.int64(end[k] - begin[k]) << BITS | bits, out, at)
            at = write_number(np.int64(term), out, at)
            previous = np.int64(begin[k])
        ends[i] = at


def pack(
    tokens: Tokens,
    title_buffers: tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32]],
    text_buffers: tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32]],
    number: npt.NDArray[np.int32],
    flags: npt.NDArray[np.uint8],
    spelling: npt.NDArray[np.int32],
    most: int,
) -> tuple[bytes, list[int]]:
    """The first `most` tokens of each article as UTF-8, and where those of each article end in it.

    A token is three code points: from the beginning of the token before to its own, and its length, both in
    UTF-16 units of title, line feed, text, the length with bits; and the number of its term. `number` int32
    (n_tokens,) of the terms, `flags` uint8 (n_tokens,) with furniture, `spelling` int32 (n_terms,) as in
    `TermStatistics`; the buffers as by `tokens.buffers`. A token's kind is as by `vectors.weigh`.
    """
    begin, end = tokens.begin.copy(), tokens.end.copy()
    _count_units(*title_buffers, *text_buffers, tokens.body, tokens.indptr, begin, end)
    out = np.empty(_BYTES_A_TOKEN * len(number), np.uint8)
    ends = np.empty(tokens.n_articles, np.int64)
    _pack(number, flags, begin, end, tokens.indptr, spelling, most, out, ends)
    return out[: int(ends[-1])].tobytes(), ends.tolist()
