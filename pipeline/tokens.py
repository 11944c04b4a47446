"""Stage "text": Unicode normalisation and tokens, in one pass over Arrow's own UTF-8 buffers.

A token is a maximal run of letters, digits and marks, compared by NFKC + casefold (see `unicode/build.py`).
Digits keep their inner points and lose their inner commas, so "1,200" equals "1200" and "3.5" stays one
token. Letters of scripts written without spaces (Han, Kana, Thai ...) become overlapping pairs, as in
Lucene's CJKAnalyzer. The title is a line of its own before the body.

A token is kept as a 32-bit hash of its folded code points, with its place in bytes and what its spelling
says (`CAPITAL`, `DIGIT` ...). No Python object is made per token.
"""

from dataclasses import dataclass
from functools import cache

import numba as nb
import numpy as np
import pyarrow as pa

from pipeline.unicode.build import DIGIT as DIGIT_CLASS
from pipeline.unicode.build import (
    EXPANDS,
    IGNORED,
    LIMIT,
    MARK,
    MOVES,
    NEWLINE,
    OTHER,
    STOP,
    UNSPACED,
    load,
)
from pipeline.unicode.build import UPPER as UPPER_CLASS

# Bits of `Tokens.flags`.
CAPITAL = 1  # begins with a capital letter
DIGIT = 2  # holds a digit
CASE_OWED = 4  # first of a sentence or line, or in a line set in capitals: its case says nothing of the word
TITLE = 8  # stands in the title
PAIR = 16  # a pair of letters of an unspaced script
FURNITURE = 32  # stands on a line that the site repeats (set by `furniture.mask`)

_COMMA, _POINT = 0x2C, 0x2E
# Arrow's buffers are read-only, and numba takes that into the type.
_BYTES = nb.types.Array(nb.uint8, 1, "C", readonly=True)
_OFFSETS = nb.types.Array(nb.int32, 1, "C", readonly=True)
_ONE = (
    nb.types.Tuple((nb.int64, nb.int64))(  # type: ignore[no-untyped-call]
        _BYTES, nb.int64, nb.int64, nb.uint8[::1], nb.uint32[::1], nb.uint32[::1],
        nb.int64, nb.int64, nb.uint8,
        nb.uint32[::1], nb.uint8[::1], nb.int32[::1], nb.int32[::1], nb.int32[::1],
    )
)  # fmt: skip


@dataclass(frozen=True)
class Tokens:
    """Tokens of a batch of articles, title first, then body.

    `terms` uint32, `flags` uint8, `begin` and `end` int32 (bytes in the article's own title or body,
    half-open), `line` int32 (in the body, from 0; -1 in the title), each (n_tokens,).
    `indptr` int64 (n_articles + 1,): article i owns tokens indptr[i]:indptr[i + 1].
    `body` int64 (n_articles,): its first token of the body.
    """

    terms: np.ndarray
    flags: np.ndarray
    begin: np.ndarray
    end: np.ndarray
    line: np.ndarray
    indptr: np.ndarray
    body: np.ndarray

    @property
    def n_articles(self) -> int:
        """Articles of the batch."""
        return len(self.body)

    @property
    def n_body(self) -> np.ndarray:
        """Tokens of each body, int64 (n_articles,)."""
        return np.asarray(self.indptr[1:] - self.body)


@nb.njit(nb.uint32(nb.uint64), cache=True, inline="always")
def _finish(state):  # type: ignore[no-untyped-def]
    """32-bit hash from the 64-bit state (the last rounds of MurmurHash3's 64-bit finaliser)."""
    state ^= state >> np.uint64(33)
    state = np.uint64(state * np.uint64(0xFF51AFD7ED558CCD))
    state ^= state >> np.uint64(29)
    return np.uint32(state & np.uint64(0xFFFFFFFF))


@nb.njit(nb.uint64(nb.uint64, nb.uint64), cache=True, inline="always")
def _step(state, code):  # type: ignore[no-untyped-def]
    """Feeds one code point to the 64-bit state."""
    return np.uint64((state ^ code) * np.uint64(0x9E3779B97F4A7C15))


@nb.njit(_ONE, cache=True, nogil=True)
def _scan(  # type: ignore[no-untyped-def]
    data, at, stop, category, fold, expansions, n, line, extra, terms, flags, begin, end, lines
):
    """Tokens of data[at:stop] appended at n; returns the new n and the next line's number."""
    first = at
    seed = np.uint64(0x2545F4914F6CDD1D)
    state = seed
    inside = False  # within a spaced token
    has_digit = False
    last_digit = False
    capital = False
    owed = True
    word_begin = 0
    word_end = 0
    previous = np.uint64(0)  # folded code point of the unspaced letter before, 0 where there is none
    previous_begin = 0
    paired = False
    line_first = n
    capitals = 0
    words = 0
    while True:
        # --- the fast path: plain ASCII words and what stands between them
        if previous == 0:
            while at < stop and data[at] < 0x80:
                kind = category[data[at]]
                if OTHER < kind <= DIGIT_CLASS:
                    if not inside:
                        inside = True
                        state = seed
                        has_digit = False
                        capital = kind == UPPER_CLASS
                        word_begin = at - first
                    state = _step(state, np.uint64(fold[data[at]]))
                    last_digit = kind == DIGIT_CLASS
                    has_digit |= last_digit
                    at += 1
                    word_end = at - first
                elif kind != OTHER or last_digit:
                    break
                else:
                    if inside:
                        inside = False
                        terms[n] = _finish(state)
                        flags[n] = extra | (CAPITAL * capital) | (DIGIT * has_digit) | (CASE_OWED * owed)
                        begin[n] = word_begin
                        end[n] = word_end
                        lines[n] = line
                        n += 1
                        capitals += capital
                        words += not has_digit
                        owed = False
                    at += 1
        # --- one code point
        done = at >= stop
        kind = NEWLINE
        code = np.uint32(10)
        width = 1
        if not done:
            byte = data[at]
            if byte < 0x80:
                code = np.uint32(byte)
            elif byte < 0xE0:
                code = np.uint32((np.uint32(byte & 0x1F) << 6) | np.uint32(data[at + 1] & 0x3F))
                width = 2
            elif byte < 0xF0:
                code = np.uint32(
                    (np.uint32(byte & 0x0F) << 12)
                    | (np.uint32(data[at + 1] & 0x3F) << 6)
                    | np.uint32(data[at + 2] & 0x3F)
                )
                width = 3
            else:
                code = np.uint32(
                    (np.uint32(byte & 0x07) << 18)
                    | (np.uint32(data[at + 1] & 0x3F) << 12)
                    | (np.uint32(data[at + 2] & 0x3F) << 6)
                    | np.uint32(data[at + 3] & 0x3F)
                )
                width = 4
            if code < LIMIT:
                kind = category[code]
            elif 0xE0000 <= code < 0xE1000:  # tags and variation selectors, as U+FE00 to U+FE0F
                kind = IGNORED
            else:
                kind = UNSPACED if code < 0x40000 else OTHER
        # --- most code points continue a word
        if 0 < kind < IGNORED:
            if not inside and kind != MARK:
                inside = True
                state = seed
                has_digit = False
                capital = kind == UPPER_CLASS
                word_begin = at - first
            if inside:
                form = fold[code]
                if form < EXPANDS:
                    state = _step(state, np.uint64(form))
                else:
                    place = np.int64(form) - np.int64(EXPANDS)
                    for k in range(expansions[place]):
                        part = np.uint64(expansions[place + 1 + k])
                        # Marks that may change places are added, so that their order doesn't matter.
                        if part >= MOVES:
                            state = np.uint64(state + np.uint64(_finish(_step(seed, part))))
                        else:
                            state = _step(state, part)
                last_digit = kind == DIGIT_CLASS
                has_digit = has_digit or last_digit
                word_end = at - first + width
            at += width
            if not paired and previous == 0:
                continue
        elif kind == IGNORED:
            at += width
            continue
        elif inside and last_digit and code in (_COMMA, _POINT) and at + 1 < stop \
                and 0x30 <= data[at + 1] <= 0x39:  # fmt: skip
            if code == _POINT:
                state = _step(state, np.uint64(_POINT))
            at += 1
            continue
        # --- a lone unspaced letter ends with its run
        if kind != UNSPACED and previous != 0:
            if not paired:
                terms[n] = _finish(_step(seed, previous))
                flags[n] = PAIR | extra
                begin[n] = previous_begin
                end[n] = previous_begin + (4 if data[first + previous_begin] >= 0xF0 else 3)
                lines[n] = line
                n += 1
            previous = np.uint64(0)
            paired = False
        if 0 < kind < IGNORED:
            continue
        # --- the word before ends here
        if inside:
            inside = False
            last_digit = False
            terms[n] = _finish(state)
            flags[n] = extra | (CAPITAL * capital) | (DIGIT * has_digit) | (CASE_OWED * owed)
            begin[n] = word_begin
            end[n] = word_end
            lines[n] = line
            n += 1
            capitals += capital
            words += not has_digit
            owed = False
        if kind == UNSPACED:
            form = fold[code] if code < LIMIT else code
            letter = np.uint64(form)
            if previous != 0:
                terms[n] = _finish(_step(_step(seed, previous), letter))
                flags[n] = PAIR | extra
                begin[n] = previous_begin
                end[n] = at - first + width
                lines[n] = line
                n += 1
                paired = True
            previous = letter
            previous_begin = at - first
        elif kind == STOP:
            owed = True
        elif kind == NEWLINE:
            owed = True
            # A headline in capitals or Title Case: case is the line's, not the words'.
            if capitals * 5 > words * 3 and words > 2:
                for k in range(line_first, n):
                    flags[k] |= CASE_OWED
            capitals = 0
            words = 0
            line_first = n
            if code == 10 and line >= 0:
                line += 1
        if done:
            break
        at += width
    return n, line


@nb.njit(
    nb.int64(
        _BYTES, _OFFSETS, _BYTES, _OFFSETS, nb.uint8[::1], nb.uint32[::1], nb.uint32[::1],
        nb.uint32[::1], nb.uint8[::1], nb.int32[::1], nb.int32[::1], nb.int32[::1],
        nb.int64[::1], nb.int64[::1],
    ),
    cache=True, nogil=True,
)  # fmt: skip
def _scan_batch(  # type: ignore[no-untyped-def]
    titles, title_offsets, data, offsets, category, fold, expansions,
    terms, flags, begin, end, lines, indptr, body,
):  # fmt: skip
    """Fills the arrays of `Tokens` for every article; returns the number of tokens."""
    n = 0
    indptr[0] = 0
    for i in range(len(offsets) - 1):
        n, _ = _scan(
            titles, title_offsets[i], title_offsets[i + 1], category, fold, expansions, n, -1,
            np.uint8(TITLE), terms, flags, begin, end, lines,
        )  # fmt: skip
        body[i] = n
        n, _ = _scan(
            data, offsets[i], offsets[i + 1], category, fold, expansions, n, 0, np.uint8(0),
            terms, flags, begin, end, lines,
        )  # fmt: skip
        indptr[i + 1] = n
    return n


@cache
def _tables() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return load()


def buffers(texts: pa.StringArray) -> tuple[np.ndarray, np.ndarray]:
    """UTF-8 bytes uint8 and offsets int32 (n + 1,) of an Arrow string array, without a copy.

    A null counts as an empty text.
    """
    if texts.type != pa.string():
        raise TypeError(f"texts must be pa.string(), not {texts.type}")
    if texts.null_count:
        texts = texts.fill_null("")
    _, offset_buffer, data_buffer = texts.buffers()
    offsets = np.frombuffer(offset_buffer, np.int32, len(texts) + 1, texts.offset * 4) if len(texts) \
        else np.zeros(1, np.int32)  # fmt: skip
    data = np.frombuffer(data_buffer, np.uint8) if data_buffer is not None and data_buffer.size \
        else np.zeros(1, np.uint8)  # fmt: skip
    return data, offsets


def tokenise(titles: pa.StringArray | None, texts: pa.StringArray) -> Tokens:
    """Tokens of a batch of articles; `titles` may be absent or hold nulls."""
    data, offsets = buffers(texts)
    if titles is None:
        title_data, title_offsets = np.zeros(1, np.uint8), np.zeros(len(texts) + 1, np.int32)
    else:
        title_data, title_offsets = buffers(titles)
    # A token takes two bytes at least (a letter and what ends it) but for the last of a text.
    room = int(offsets[-1] - offsets[0] + title_offsets[-1] - title_offsets[0]) // 2 + 2 * len(texts) + 2
    terms, flags = np.empty(room, np.uint32), np.empty(room, np.uint8)
    begin, end, line = (np.empty(room, np.int32) for _ in range(3))
    indptr, body = np.empty(len(texts) + 1, np.int64), np.empty(len(texts), np.int64)
    n = _scan_batch(
        title_data, title_offsets, data, offsets, *_tables(), terms, flags, begin, end, line, indptr, body
    )
    return Tokens(terms[:n], flags[:n], begin[:n], end[:n], line[:n], indptr, body)


def has_token(texts: pa.StringArray) -> np.ndarray:
    """Whether each text holds any token, bool (n,)."""
    return tokenise(None, texts).n_body > 0
