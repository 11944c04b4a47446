"""Makes `tables.npz`: what the tokeniser needs to know of each code point.

    python -m pipeline.unicode.build

The tables are kept in the repository so that results do not move with the Unicode version of the
interpreter. Equality of tokens is that of NFKC + casefold: two strings have the same NFKC form exactly
when they have the same NFKD form, and NFKD can be spelled out one code point at a time but for the order of
combining marks (Unicode Standard Annex #15). Marks that may change places are flagged (`MOVES`) and hashed
without regard to their order, so the tokeniser never has to compose or to sort anything.
"""

import unicodedata
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

PATH = Path(__file__).with_name("tables.npz")

# Code points from LIMIT on are rare: planes 3 and up hold Han and special-purpose characters only.
LIMIT = 0x30000
# Marks an entry of `fold` as "offset into expansions" instead of a code point.
EXPANDS = 0x80000000
# Marks a code point of an expansion as a combining mark that canonical ordering may move.
MOVES = 0x80000000

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


@cache
def category_of(character: str) -> int:
    """Class of one character: OTHER ... STOP.

    A symbol that NFKC turns into one letter, digit or mark is classed as that one (circled letters, Kangxi
    radicals), half-width Katakana as Katakana; a symbol for several characters (™, №) stands between words.
    """
    own = _own_category(character)
    form = unicodedata.normalize("NFKC", character)
    if len(form) == 1 and own in (OTHER, LOWER, DIGIT):
        of_form = _own_category(form)
        if of_form == UNSPACED or (own == OTHER and LOWER <= of_form <= MARK):
            return of_form
    return own


def _own_category(character: str) -> int:
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


def folded(text: str) -> str:
    """NFKD of the casefolded NFKD form: equal for two strings that NFKC + casefold make equal."""
    decomposed = unicodedata.normalize("NFKD", text)
    return unicodedata.normalize("NFKD", decomposed.casefold()).casefold()


def unspaced_form(letter: str) -> str:
    """What a letter of an unspaced script is compared by: its NFKC form if that is one character, or itself.

    Such a letter stays whole (が is not か and a mark), so that a pair is two letters whatever they are.
    """
    form = unicodedata.normalize("NFKC", letter)
    return form if len(form) == 1 else letter


def build() -> dict[str, npt.NDArray[np.generic]]:
    """The kept arrays; an entry of `expansions` is a length and as many code points, some with MOVES."""
    category = np.zeros(LIMIT, np.uint8)
    fold = np.arange(LIMIT, dtype=np.uint32)
    expansions: list[int] = []
    for code in range(LIMIT):
        if 0xD800 <= code < 0xE000:
            continue
        character = chr(code)
        category[code] = category_of(character)
        if category[code] == UNSPACED:
            fold[code] = ord(unspaced_form(character))
        elif category[code] not in (OTHER, IGNORED, NEWLINE, STOP):
            form = [_with_moves(c) for c in folded(character) if category_of(c) not in (OTHER, IGNORED)]
            if len(form) == 1 and form[0] < MOVES:
                fold[code] = form[0]
            else:
                fold[code] = EXPANDS + len(expansions)
                expansions += [len(form), *form]
    # As differences the table is nearly all zeros and packs to a fifth.
    fold -= np.arange(LIMIT, dtype=np.uint32)
    return {
        "category": category,
        "fold_difference": fold,
        "expansions": np.array(expansions, np.uint32),
        "unidata_version": np.array(unicodedata.unidata_version),
    }


def _with_moves(character: str) -> int:
    return ord(character) | (MOVES if unicodedata.combining(character) else 0)


def load() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
    """The kept tables: `category` uint8 (LIMIT,), `fold` uint32 (LIMIT,), `expansions` uint32."""
    with np.load(PATH) as kept:
        fold = kept["fold_difference"] + np.arange(LIMIT, dtype=np.uint32)
        return kept["category"], fold, kept["expansions"]


def unidata_version() -> str:
    """Version of Unicode that the kept tables were made with."""
    with np.load(PATH) as kept:
        return str(kept["unidata_version"])


def main() -> None:
    """Writes the tables."""
    kept = build()
    with PATH.open("wb") as file:
        np.savez_compressed(file, **kept)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
