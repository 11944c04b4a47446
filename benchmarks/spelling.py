"""How the codes of made-up words are spelt, in UTF-8.

A code is a class in its four high bits and a number below. It always has the same spelling, and two codes
never share one.
"""

# ruff: noqa: SIM905
import numba as nb
import numpy as np

from pipeline.arrays import BYTES, I64, U8, U32

FUNCTION, COMMON, SPECIAL, NAME, NUMBER, TYPO, MARK = range(7)
CLASS_SHIFT = 28
VALUE = np.uint32((1 << CLASS_SHIFT) - 1)  # the bits below the class
END, PARAGRAPH, COMMA, OPEN_QUOTE, CLOSE_QUOTE = range(5)  # values of MARK

_FUNCTION_WORDS = (
    "the of and to in a that it is was for on he with as at by from his be were are had this which but have "
    "not they an has been its or who will their one she would when there all we said more if about after up "
    "her out over than so no into also could last other under some two while them only new can may what him "
    "these any because between before most during where against through such now then since both should did "
    "many being still those very how just own each first your until our"
).split()
N_FUNCTION = len(_FUNCTION_WORDS)
_CONSONANTS = "b c d f g h l m n p r s t v w br cl dr fl gr pr st tr".split()
_SYLLABLES = [c + v for c in _CONSONANTS for v in "aeiou"]
_ENDINGS = "s ed ing er n t m nt ly st d l nce rd ck ble".split()
_NAME_ENDINGS = "k ff sky vic zzo berg x quez hov ji thy wyck kko zel yev qvist".split()
N_SYLLABLES, N_ENDINGS = len(_SYLLABLES), len(_ENDINGS)


def _packed(words: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Bytes uint8 of all words, and where each begins and the last ends, int64."""
    ends = np.cumsum([0, *map(len, words)]).astype(np.int64)
    return np.frombuffer("".join(words).encode(), np.uint8), ends


_FUNCTION_BYTES, _FUNCTION_ENDS = _packed(_FUNCTION_WORDS)
_PARTS, _PART_ENDS = _packed([*_SYLLABLES, *_ENDINGS, *_NAME_ENDINGS])


@nb.njit(nb.int64(U8, nb.int64, BYTES, I64, nb.int64), cache=True, nogil=True, inline="always")
def _copy(out, n, parts, ends, which):  # type: ignore[no-untyped-def]
    for j in range(ends[which], ends[which + 1]):
        out[n] = parts[j]
        n += 1
    return n


@nb.njit(nb.int64(U8, nb.int64, nb.uint32), cache=True, nogil=True)
def _spell(out, n, code):  # type: ignore[no-untyped-def]
    """Appends the spelling of a word; returns the new length."""
    kind, value = code >> np.uint32(CLASS_SHIFT), np.int64(code & VALUE)
    if kind == FUNCTION:
        return _copy(out, n, _FUNCTION_BYTES, _FUNCTION_ENDS, value)
    if kind == NUMBER:
        digits = 1
        while 10**digits <= value:
            digits += 1
        comma = digits > 4
        for place in range(digits - 1, -1, -1):
            out[n] = np.uint8(48 + value // 10**place % 10)
            n += 1
            if comma and place == 3:
                out[n] = np.uint8(44)
                n += 1
        return n
    # Numbers in syllables, the last one an ending. Names differ in their endings, words
    # of the language in having two syllables to three, no function word is so long.
    first = n
    ending = value % N_ENDINGS
    rest = value // N_ENDINGS
    if kind == COMMON:
        rest += N_SYLLABLES
    if kind == SPECIAL:
        rest += N_SYLLABLES * 40
    if kind == TYPO:
        rest += N_SYLLABLES * N_SYLLABLES * 40
        out[n] = np.uint8(122)
        n += 1
    while True:
        n = _copy(out, n, _PARTS, _PART_ENDS, rest % N_SYLLABLES)
        rest //= N_SYLLABLES
        if rest == 0:
            break
    if kind == NAME:
        n = _copy(out, n, _PARTS, _PART_ENDS, N_SYLLABLES + N_ENDINGS + ending)
        out[first] -= np.uint8(32)
    else:
        n = _copy(out, n, _PARTS, _PART_ENDS, N_SYLLABLES + ending)
    return n


@nb.njit(nb.int64(U32, nb.int64, U8, nb.int64), cache=True, nogil=True)
def spell_out(codes, n_codes, out, n):  # type: ignore[no-untyped-def]
    """Appends codes as sentences and paragraphs, UTF-8; returns the new length.

    `out` needs room for 32 bytes a code.
    """
    first_byte = n
    begins, glued = True, True
    for i in range(n_codes):
        code = codes[i]
        if code >> np.uint32(CLASS_SHIFT) == MARK:
            mark = code & VALUE
            if mark == END:
                out[n] = np.uint8(46)
                begins = True
            elif mark == COMMA:
                out[n] = np.uint8(44)
            elif mark == PARAGRAPH:
                if not glued:
                    out[n] = np.uint8(10)
                    out[n + 1] = np.uint8(10)
                    n += 2
                begins, glued = True, True
                continue
            elif mark == OPEN_QUOTE:
                if not glued:
                    out[n] = np.uint8(32)
                    n += 1
                out[n] = np.uint8(34)
                glued = True
                n += 1
                continue
            else:
                for letter in (44, 34, 32, 115, 97, 105, 100):  # `," said`
                    out[n] = np.uint8(letter)
                    n += 1
                continue
            n += 1
            continue
        if not glued:
            out[n] = np.uint8(32)
            n += 1
        glued = False
        first = n
        n = _spell(out, n, code)
        if begins and 97 <= out[first] <= 122:
            out[first] -= np.uint8(32)
        begins = False
    while n > first_byte and out[n - 1] == 10:
        n -= 1
    return n
