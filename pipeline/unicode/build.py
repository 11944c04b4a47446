"""Makes `tables.npz`: what the tokeniser needs to know of each code point.

    python -m pipeline.unicode.build

The tables are kept in the repository so that results do not move with the Unicode version of the
interpreter. Equality of tokens is that of NFKC + casefold: two strings have the same NFKC form exactly
when they have the same NFKD form, and NFKD can be spelled out one code point at a time (Unicode Standard
Annex #15), so the tokeniser never has to compose anything.
"""

import unicodedata
from pathlib import Path

import numpy as np

PATH = Path(__file__).with_name("tables.npz")

# Code points from LIMIT on are rare: planes 3 and up hold Han and special-purpose characters only.
LIMIT = 0x30000
# Marks an entry of `fold` as "offset into expansions" instead of a code point.
EXPANDS = 0x80000000

OTHER, LOWER, UPPER, DIGIT, MARK, IGNORED, UNSPACED, NEWLINE, STOP = range(9)

# Scripts written without spaces between words: their letters become overlapping pairs.
UNSPACED_RANGES = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x3005, 0x3007),  # ideographic iteration mark, closing mark, zero
    (0x3040, 0x30FF),  # Hiragana, Katakana
    (0x31F0, 0x31FF),
    (0x3400, 0x4DBF),  # Han
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x1B000, 0x1B16F),
    (0x20000, LIMIT - 1),
)
NEWLINES = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"
# After these, a capital letter is owed to the position and says nothing of the word.
STOPS = '.!?:;…"“”„«»•·()[]<>|*‘。！？：；「」『』؟۔।'
IGNORABLE = "\u00ad\u034f\u061c\u180e\ufeff"


def category_of(character: str) -> int:
    """Class of one character: OTHER ... STOP."""
    code = ord(character)
    kind = unicodedata.category(character)
    if character in NEWLINES:
        return NEWLINE
    if character in STOPS:
        return STOP
    if character in IGNORABLE or 0x200B <= code <= 0x200F or 0x202A <= code <= 0x202E:
        return IGNORED
    if 0x2060 <= code <= 0x206F or 0xFE00 <= code <= 0xFE0F:
        return IGNORED
    if kind[0] in "LMN" and any(low <= code <= high for low, high in UNSPACED_RANGES) and kind != "Nd":
        return UNSPACED
    if kind in ("Lu", "Lt"):
        return UPPER
    if kind[0] == "L":
        return LOWER
    if kind[0] == "N":
        return DIGIT
    return MARK if kind[0] == "M" else OTHER


def folded(character: str) -> str:
    """NFKD of the casefolded NFKD form: equal for two characters that NFKC + casefold make equal."""
    decomposed = unicodedata.normalize("NFKD", character)
    return unicodedata.normalize("NFKD", decomposed.casefold()).casefold()


def build() -> dict[str, np.ndarray]:
    """The kept arrays; an entry of `expansions` is a length and as many code points."""
    category = np.zeros(LIMIT, np.uint8)
    fold = np.arange(LIMIT, dtype=np.uint32)
    expansions: list[int] = []
    for code in range(LIMIT):
        if 0xD800 <= code < 0xE000:
            continue
        character = chr(code)
        category[code] = category_of(character)
        if category[code] in (OTHER, IGNORED, NEWLINE, STOP):
            continue
        form = [ord(c) for c in folded(character) if category_of(c) not in (OTHER, IGNORED)] or [code]
        if len(form) == 1:
            fold[code] = form[0]
        else:
            fold[code] = EXPANDS + len(expansions)
            expansions += [len(form), *form]
    # As differences the table is nearly all zeros and packs to a fifth.
    fold -= np.arange(LIMIT, dtype=np.uint32)
    return {"category": category, "fold_difference": fold, "expansions": np.array(expansions, np.uint32)}


def load() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The kept tables: `category` uint8 (LIMIT,), `fold` uint32 (LIMIT,), `expansions` uint32."""
    with np.load(PATH) as kept:
        fold = kept["fold_difference"] + np.arange(LIMIT, dtype=np.uint32)
        return kept["category"], fold, kept["expansions"]


if __name__ == "__main__":
    np.savez_compressed(PATH, **build())
