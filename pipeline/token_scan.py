"""The tokeniser's kernels: one pass over UTF-8 bytes, eight at a time where a word is plain ASCII.

A token's term is a 32-bit hash of its folded form as bytes: a code point below 128 is one byte, any other
three with the high bit set (seven bits each, the lowest first). Bytes are hashed eight at a time. A letter
of an unspaced script is hashed by its code point, in pairs.
"""

import numba as nb
import numpy as np

from pipeline.arrays import BYTES, I32, I64, READ_I32, U8, U32
from pipeline.unicode.build import DIGIT as DIGIT_CLASS
from pipeline.unicode.build import EXPANDS, IGNORED, LIMIT, MARK, MOVES, NEWLINE, OTHER, STOP, UNSPACED
from pipeline.unicode.build import UPPER as UPPER_CLASS
from pipeline.wide import classes_of_64, count_bits, load_word, lowest_bit

# Bits of `Tokens.flags`.
CAPITAL = 1  # begins with a capital letter
DIGIT = 2  # holds a digit
CASE_OWED = 4  # first of a sentence or line, or in a line set in capitals: its case says nothing of the word
TITLE = 8  # stands in the title
PAIR = 16  # a pair of letters of an unspaced script
FURNITURE = 32  # stands on a line that the site repeats (set by `furniture.mask`)

_NEWLINE, _COMMA, _POINT = 0x0A, 0x2C, 0x2E
_SEED = np.uint64(0x2545F4914F6CDD1D)
_CASE = np.uint64(0x2020202020202020)  # the bit that tells a small letter from its capital, digits have it
_ONE = nb.types.Tuple((nb.int64, nb.int64))(  # type: ignore[no-untyped-call]
    BYTES, nb.int64, nb.int64, U8, U32, U32, nb.int64, nb.int64, nb.uint8, U32, U8, I32, I32, I32, I64
)


@nb.njit(cache=True, inline="always")
def _finish(state):  # type: ignore[no-untyped-def]
    """32-bit hash from the 64-bit state (the last rounds of MurmurHash3's 64-bit finaliser)."""
    state ^= state >> np.uint64(33)
    state = np.uint64(state * np.uint64(0xFF51AFD7ED558CCD))
    state ^= state >> np.uint64(29)
    return np.uint32(state & np.uint64(0xFFFFFFFF))


@nb.njit(cache=True, inline="always")
def _step(state, code):  # type: ignore[no-untyped-def]
    """Feeds eight bytes, or one code point, to the 64-bit state."""
    state ^= state >> np.uint64(32)
    return np.uint64((state ^ code) * np.uint64(0x9E3779B97F4A7C15))


@nb.njit(cache=True, inline="always")
def _lowest(word):  # type: ignore[no-untyped-def]
    """The lowest bit that is set, alone; 0 where there is none."""
    return word & np.uint64(~word + np.uint64(1))


@nb.njit(cache=True, inline="always")
def _lowest_bytes(n):  # type: ignore[no-untyped-def]
    """The n lowest bytes of a word, 1 to 8."""
    return ~np.uint64(0) >> np.uint64(64 - 8 * n)


@nb.njit(cache=True, nogil=True, inline="always")
def _end_line(flags, begin, end, capitals, words):  # type: ignore[no-untyped-def]
    """In a headline in capitals or Title Case the case of the tokens [begin, end) is the line's."""
    if capitals * 5 > words * 3 and words > 2:
        for k in range(begin, end):
            flags[k] |= CASE_OWED


@nb.njit(
    nb.types.Tuple((nb.int64, nb.int64, nb.int64, nb.boolean, nb.int64, nb.int64, nb.int64))(  # type: ignore[no-untyped-call]
        BYTES, nb.int64, nb.int64, nb.int64, nb.int64, nb.int64, nb.uint8, nb.boolean,
        nb.int64, nb.int64, nb.int64, U32, U8, I32, I32, I32, I64,
    ),
    cache=True, nogil=True,
)  # fmt: skip
def _scan_plain(  # type: ignore[no-untyped-def]
    data, at, stop, first, n, line, extra, owed, line_first, capitals, words,
    terms, flags, begin, end, lines, long_words,
):  # fmt: skip
    """The words of plain ASCII from `at` on, 64 bytes at a time, appended at n, as far as they go.

    Stops after a word that is followed by one with other letters, by one that may go on behind a point or
    comma, as numbers do, or by the text's last word. Returns where, and the state of the scan there. Within
    a block the words are told by bits, so that what can't be foretold, lines and long words, costs no branch
    for each.
    """
    i = np.uint64(n)  # unsigned, an index isn't asked whether it counts from the end
    n_long = np.uint64(0)
    while at + 72 <= len(data) and at < stop:
        in_word, digits, large, owing, newlines, feeds, points, others = classes_of_64(data, at)
        if stop - at < 64:
            others |= ~np.uint64(0) << np.uint64(stop - at)
        begins = in_word & ~(in_word << np.uint64(1))
        ends = ~in_word & (in_word << np.uint64(1))
        # A point or comma before a digit, or before what isn't seen any more.
        others |= ends & points & ((digits >> np.uint64(1)) | (np.uint64(1) << np.uint64(63)))
        ends &= _lowest(others) - np.uint64(1)
        if ends == 0:
            break
        if line < 0:  # a title is no line
            feeds = np.uint64(0)
        large &= begins
        before_block = np.int64(i)
        left = ends
        numbers = np.uint64(0)  # ends of words that hold a digit
        closes = 0
        closed_at = np.uint64(1)  # bit of the byte behind the word before
        while left:
            opens_at, closes_at = _lowest(begins), _lowest(left)
            opens, closes = lowest_bit(begins), lowest_bit(left)
            begins ^= opens_at
            left ^= closes_at
            owed |= (owing & (opens_at - closed_at)) != 0
            closed_at = closes_at
            has_digit = (digits & (closes_at - opens_at)) != 0
            numbers |= closes_at * np.uint64(has_digit)
            length = closes - opens
            word = load_word(data, at + opens) | _CASE
            terms[i] = _finish(_step(_SEED, word & _lowest_bytes(min(length, 8))))
            long_words[n_long] = np.int64(i)
            n_long += np.uint64(length > 8)
            capital = (large & opens_at) != 0
            flags[i] = extra | (CAPITAL * capital) | (DIGIT * has_digit) | (CASE_OWED * owed)
            begin[i] = at + opens - first
            end[i] = at + closes - first
            lines[i] = line + count_bits(feeds & (opens_at - np.uint64(1)))
            i += np.uint64(1)
            owed = False
        seen = closed_at - np.uint64(1)
        line += count_bits(feeds & seen)
        newlines &= seen
        of_line = ~np.uint64(0)  # not of a line that has ended
        while newlines:
            newline = _lowest(newlines)
            newlines ^= newline
            before = newline | (newline - np.uint64(1))
            capitals += count_bits(large & before & of_line)
            words += count_bits(ends & ~numbers & before & of_line)
            of_line = ~before
            line_end = before_block + count_bits(ends & before)
            _end_line(flags, line_first, line_end, capitals, words)
            capitals = words = np.int64(0)
            line_first = line_end
        capitals += count_bits(large & seen & of_line)
        words += count_bits(ends & ~numbers & of_line)
        at += closes
    for k in range(n_long):
        j = np.uint64(long_words[k])
        opens, closes = first + begin[j], first + end[j]
        state = _SEED
        while closes - opens > 8:
            state = _step(state, load_word(data, opens) | _CASE)
            opens += 8
        word = load_word(data, opens) | _CASE
        terms[j] = _finish(_step(state, word & _lowest_bytes(closes - opens)))
    return at, np.int64(i), line, owed, line_first, capitals, words


@nb.njit(_ONE, cache=True, nogil=True)
def scan(  # type: ignore[no-untyped-def]
    data, at, stop, category, fold, expansions, n, line, extra, terms, flags, begin, end, lines, long_words
):
    """Tokens of data[at:stop] appended at n; returns the new n and the next line's number."""
    first = at
    state = _SEED  # of the whole eights of bytes
    part = np.uint64(0)  # the bytes since
    filled = np.uint64(0)  # bits of `part`
    n_fed = np.uint64(0)  # bytes before `part`
    marks = np.uint64(0)  # sum over the marks that may change places
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
        if not inside and previous == 0:
            at, n, line, owed, line_first, capitals, words = _scan_plain(
                data, at, stop, first, n, line, extra, owed, line_first, capitals, words,
                terms, flags, begin, end, lines, long_words,
            )  # fmt: skip
        # --- one code point
        done = at >= stop
        kind = np.uint8(NEWLINE)
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
                kind = np.uint8(IGNORED)
            else:
                kind = np.uint8(UNSPACED if code < 0x40000 else OTHER)
        # --- most code points continue a word
        if 0 < kind < IGNORED:
            if not inside and kind != MARK:
                inside = True
                state = _SEED
                part = filled = n_fed = marks = np.uint64(0)
                has_digit = False
                capital = kind == UPPER_CLASS
                word_begin = at - first
            if inside:
                form = fold[code]
                place = np.int64(form) - np.int64(EXPANDS)
                count = np.int64(1) if place < 0 else np.int64(expansions[place])
                for k in range(count):
                    piece = form if place < 0 else expansions[place + 1 + k]
                    if piece >= MOVES:
                        # Marks that may change places are added, so that their order doesn't matter.
                        fed = np.uint64(n_fed + (filled >> np.uint64(3)))
                        marks = np.uint64(marks + np.uint64(_finish(_step(fed, np.uint64(piece)))))
                        continue
                    n_bytes = 1 if piece < 0x80 else 3
                    for b in range(n_bytes):
                        fed_byte = np.uint64(piece)
                        if n_bytes == 3:
                            fed_byte = ((fed_byte >> np.uint64(7 * b)) & np.uint64(0x7F)) | np.uint64(0x80)
                        part |= fed_byte << filled
                        filled += np.uint64(8)
                        if filled == 64:
                            state = _step(state, part)
                            n_fed += np.uint64(8)
                            part = filled = np.uint64(0)
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
                part |= np.uint64(_POINT) << filled
                filled += np.uint64(8)
                if filled == 64:
                    state = _step(state, part)
                    n_fed += np.uint64(8)
                    part = filled = np.uint64(0)
            at += 1
            continue
        # --- a lone unspaced letter ends with its run
        if kind != UNSPACED and previous != 0:
            if not paired:
                terms[n] = _finish(_step(_SEED, previous))
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
            if filled:
                state = _step(state, part)
            terms[n] = _finish(np.uint64(state + marks))
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
                terms[n] = _finish(_step(_step(_SEED, previous), letter))
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
            _end_line(flags, line_first, n, capitals, words)
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
        BYTES, READ_I32, BYTES, READ_I32, U8, U32, U32, U32, U8, I32, I32, I32, I64, I64, I64,
    ),
    cache=True, nogil=True,
)  # fmt: skip
def scan_batch(  # type: ignore[no-untyped-def]
    titles, title_offsets, data, offsets, category, fold, expansions,
    terms, flags, begin, end, lines, long_words, indptr, body,
):  # fmt: skip
    """Fills the arrays of `Tokens` for every article; returns the number of tokens."""
    n = 0
    indptr[0] = 0
    for i in range(len(offsets) - 1):
        n, _ = scan(
            titles, title_offsets[i], title_offsets[i + 1], category, fold, expansions, n, -1,
            np.uint8(TITLE), terms, flags, begin, end, lines, long_words,
        )  # fmt: skip
        body[i] = n
        n, _ = scan(
            data, offsets[i], offsets[i + 1], category, fold, expansions, n, 0, np.uint8(0),
            terms, flags, begin, end, lines, long_words,
        )  # fmt: skip
        indptr[i + 1] = n
    return n
