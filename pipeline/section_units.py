"""Cuts a body into units: what a reader takes for one paragraph, heading, list item or row of a table.

A paragraph is a run of lines up to a blank one where lines are wrapped, or a line of its own where they are
not. Unbroken text is cut at sentences, so that a page without line breaks has units too.
"""

import numba as nb
import numpy as np

from pipeline.arrays import BYTES, I32, I64, READ_I32, U8
from pipeline.token_scan import CASE_OWED, DIGIT, PAIR

# Bits of a unit's kind; 0 is a paragraph.
SHORT = 1  # at most SHORT_TOKENS and no sentence end: a heading, a menu, a line of furniture
FIGURES = 2  # a third of the tokens or more hold digits: a row of a table, a score, a date line
CAPTION = 4  # fewer than CAPTION_TOKENS and no sentence end: a caption, a credit, a list of names

SHORT_TOKENS, CAPTION_TOKENS = 16, 40
# A line break joins two lines only inside wrapped text: news wires wrap at 60 to 80 columns.
WRAPPED_MIN, WRAPPED_MAX = 38, 100  # bytes of a wrapped line
UNBROKEN_TOKENS = 100  # a longer line is cut at the next sentence; news paragraphs have 50 tokens on average

_UNITS = nb.types.Tuple((I32, U8))  # type: ignore[no-untyped-call]
_NEWLINE, _RETURN = 0x0A, 0x0D


@nb.njit(cache=True, nogil=True, inline="always")
def ends_sentence(data, at, stop):  # type: ignore[no-untyped-def]
    """Whether a full stop, of any script, comes before the next line break in data[at:stop]."""
    for k in range(at, stop):
        byte = data[k]
        if byte == _NEWLINE:
            return False
        if byte < 0x80:
            if byte in (0x2E, 0x21, 0x3F, 0x3A, 0x3B):  # . ! ? : ;
                return True
        elif k + 1 < stop and byte in (0xD8, 0xDB):
            if data[k + 1] in (0x9F, 0x94):  # Arabic question mark and full stop
                return True
        elif k + 2 < stop:
            second, third = data[k + 1], data[k + 2]
            if (
                (byte == 0xE3 and second == 0x80 and third == 0x82)  # ideographic full stop
                or (byte == 0xEF and second == 0xBC and third in (0x81, 0x9F))  # full-width ! and ?
                or (byte == 0xE2 and second == 0x80 and third == 0xA6)  # ellipsis
                or (byte == 0xE0 and second == 0xA5 and third == 0xA4)  # danda
            ):
                return True
    return False


@nb.njit(cache=True, nogil=True, inline="always")
def continues(data, line_begin, at, stop):  # type: ignore[no-untyped-def]
    """Whether the line that ends at `at` and the one that begins at `stop` are of one wrapped paragraph.

    `line_begin` is where the first line has its first token, `at` the end of its last one, `stop` the first
    token of the next line, all in bytes of `data`.
    """
    if not WRAPPED_MIN <= at - line_begin <= WRAPPED_MAX:
        return False
    breaks = 0
    for k in range(at, stop):
        byte = data[k]
        if byte == _NEWLINE:
            breaks += 1
        # An indent, a bullet, a quotation mark or a bracket opens something new.
        elif breaks and byte != _RETURN:
            return False
    return breaks == 1


@nb.njit(cache=True, nogil=True, inline="always")
def numbers_item(data, begin, end):  # type: ignore[no-untyped-def]
    """Whether the first token of a line, data[begin:end], numbers an item: one or two digits, then . or )."""
    if end - begin > 2 or end >= len(data) or data[end] not in (0x2E, 0x29):
        return False
    return 0x30 <= data[begin] <= 0x39 and 0x30 <= data[end - 1] <= 0x39


@nb.njit(nb.int64(BYTES, I32, I32, I32, U8, I32, U8), cache=True, nogil=True)
def _cut(data, begin, end, line, flags, starts, kinds):  # type: ignore[no-untyped-def]
    """Fills `starts` and `kinds` with the units of one body, as by `cut_units`; returns their number."""
    n = len(begin)
    count = 0
    line_begin = 0
    figures = 0
    for i in range(n + 1):
        new = i == 0 or i == n
        if not new:
            if line[i] != line[i - 1]:
                new = numbers_item(data, begin[i], end[i]) or not continues(
                    data, line_begin, end[i - 1], begin[i]
                )
                line_begin = begin[i]
            elif i - starts[count - 1] >= UNBROKEN_TOKENS and flags[i] & CASE_OWED:
                new = True
        if new:
            if count:
                size = i - starts[count - 1]
                stop = np.int64(begin[i]) if i < n else np.int64(len(data))
                kind = 0
                if (
                    size < CAPTION_TOKENS
                    and not flags[i - 1] & PAIR
                    and not ends_sentence(data, end[i - 1], stop)
                ):
                    kind = CAPTION | SHORT if size <= SHORT_TOKENS else CAPTION
                if figures * 3 >= size:
                    kind |= FIGURES
                kinds[count - 1] = kind
            if i < n:
                starts[count] = i
                count += 1
                line_begin = begin[i]
            figures = 0
        if i < n and flags[i] & DIGIT:
            figures += 1
    return count


@nb.njit(_UNITS(BYTES, I32, I32, I32, U8), cache=True, nogil=True)
def cut_units(data, begin, end, line, flags):  # type: ignore[no-untyped-def]
    """First tokens int32 (n_units + 1,), the last one n_tokens, and kinds uint8 (n_units,) of one body.

    `data` is the body; `begin` to `flags` are those of `Tokens`.
    """
    starts = np.empty(len(begin) + 1, np.int32)
    kinds = np.empty(len(begin), np.uint8)
    n_units = _cut(data, begin, end, line, flags, starts, kinds)
    starts[n_units] = len(begin)
    return starts[: n_units + 1].copy(), kinds[:n_units].copy()


@nb.njit(nb.int64(BYTES, READ_I32, I32, I32, I32, U8, I64, I64, I32, U8, I64), cache=True, nogil=True)
def cut_bodies(data, offsets, begin, end, line, flags, body, indptr, starts, kinds, unit_indptr):  # type: ignore[no-untyped-def]
    """Fills the last three with the units of every body of a batch; returns how many there are.

    `data` and `offsets` are the bodies' Arrow buffers, the next six arrays those of `Tokens`. The units of
    body i are unit_indptr[i]:unit_indptr[i + 1], without a last start. As many as there are tokens may come.
    """
    n = 0
    unit_indptr[0] = 0
    for i in range(len(body)):
        own = slice(body[i], indptr[i + 1])
        n += _cut(
            data[offsets[i] : offsets[i + 1]], begin[own], end[own], line[own], flags[own],
            starts[n:], kinds[n:],
        )  # fmt: skip
        unit_indptr[i + 1] = n
    return n


@nb.njit(I32(I32, U8), cache=True, nogil=True)
def lead_sections(starts, kinds):  # type: ignore[no-untyped-def]
    """First tokens of the sections led by a heading, int32, then n_tokens; the text before the first is one.

    A heading is a SHORT unit before one that is not.
    """
    n_units = len(kinds)
    out = np.empty(n_units + 1, np.int32)
    out[0] = 0
    n = 1
    for unit in range(1, n_units - 1):
        if kinds[unit] & SHORT and not kinds[unit + 1] & SHORT:
            out[n] = starts[unit]
            n += 1
    out[n] = starts[n_units]
    return out[: n + 1].copy()
