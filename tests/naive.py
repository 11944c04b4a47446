"""Plain-Python twins of the kernels: the documented rules, spelled out without regard to speed.

What class a character has (`category_of`) is taken from the table builder, whose rules are tested by example;
everything else is written a second time. Whole words are folded here at once by `unicodedata`, where the
kernel goes by code points.
"""

from __future__ import annotations

import itertools
import math
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pipeline import token_scan, vectors
from pipeline.unicode.build import (
    DIGIT,
    IGNORED,
    LIMIT,
    LOWER,
    MARK,
    NEWLINE,
    OTHER,
    STOP,
    UNSPACED,
    UPPER,
    category_of,
    folded,
    unspaced_form,
)

LETTER_OF_CLASS = {
    OTHER: "O", LOWER: "L", UPPER: "U", DIGIT: "D", MARK: "M", IGNORED: "I", UNSPACED: "X", NEWLINE: "N",
    STOP: "S",
}  # fmt: skip
# Digits keep their inner points and commas when a plain digit follows; ignorable characters break no word.
WORD_OR_RUN = re.compile(r"(?=[LUD0])(?P<word>(?:[LUMI]|[D0](?:I*[,.](?=0))?)+)|(?P<run>X(?:I*X)*)")
M32, M64 = 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF
SEED, STEP = 0x2545F4914F6CDD1D, 0x9E3779B97F4A7C15
LINE_SEED = 0x9AE16A3B2F90404F
SPREAD = 0x9E3779B1


@dataclass
class Token:
    """One token; `begin` and `end` in bytes, `form` what it is compared by."""

    form: str
    flags: int
    begin: int
    end: int
    line: int

    @property
    def term(self) -> int:
        return term_hash(self.form, spaced=not self.flags & token_scan.PAIR)


def class_of(character: str) -> str:
    """Letter of a character's class; ASCII digits, comma and point stand for themselves ("0", ",", ".")."""
    if character in ",.":
        return character
    if character in "0123456789":
        return "0"
    code = ord(character)
    if code >= LIMIT:
        return "I" if 0xE0000 <= code < 0xE1000 else "X" if code < 0x40000 else "O"
    return LETTER_OF_CLASS[category_of(character)]


def tokenise(title: str, body: str) -> list[Token]:
    """Tokens of one article: title, then body."""
    return tokenise_text(title, in_title=True) + tokenise_text(body)


def tokenise_text(text: str, in_title: bool = False) -> list[Token]:
    classes = "".join(class_of(c) for c in text)
    places = [0]
    for c in text:
        places.append(places[-1] + len(c.encode()))
    found: list[Token] = []
    extra = token_scan.TITLE if in_title else 0
    after_word = 0  # where the last spaced word ended, which is what takes a capital away from a position
    for match in WORD_OR_RUN.finditer(classes):
        begin, end = match.span()
        line = -1 if in_title else text.count("\n", 0, begin)
        if match["word"]:
            last = max(i for i in range(begin, end) if classes[i] != "I")
            flags = extra
            flags |= token_scan.CAPITAL if classes[begin] == "U" else 0
            flags |= token_scan.DIGIT if re.search("[D0]", match["word"]) else 0
            between = classes[after_word:begin]
            flags |= token_scan.CASE_OWED if after_word == 0 or re.search("[NS.]", between) else 0
            found.append(Token(word_form(text[begin:end]), flags, places[begin], places[last + 1], line))
            after_word = end
        else:
            letters = [i for i in range(begin, end) if classes[i] == "X"]
            pairs = list(itertools.pairwise(letters)) or [(letters[0], letters[0])]
            for i, j in pairs:
                form = "".join(unspaced_form(text[k]) for k in ((i,) if i == j else (i, j)))
                found.append(Token(form, token_scan.PAIR | extra, places[i], places[j + 1], line))
    _mark_headlines(found, text, classes, places)
    return found


def _mark_headlines(found: list[Token], text: str, classes: str, places: list[int]) -> None:
    """Where most words of a line have a capital, the capitals are the line's: CASE_OWED for all of it."""
    of_line: dict[int, list[Token]] = defaultdict(list)
    for token in found:
        of_line[classes.count("N", 0, places.index(token.begin))].append(token)
    for line in of_line.values():
        spaced = [t for t in line if not t.flags & token_scan.PAIR]
        capitals = sum(bool(t.flags & token_scan.CAPITAL) for t in spaced)
        words = sum(not t.flags & token_scan.DIGIT for t in spaced)
        if words > 2 and capitals / words > 0.6:
            for token in line:
                token.flags |= token_scan.CASE_OWED


def word_form(word: str) -> str:
    """NFKD + casefold of the whole word, in canonical order, without commas and ignorable characters."""
    form = unicodedata.normalize("NFKD", folded(word))
    return "".join(c for c in form if class_of(c) not in "OI,")


def finish(state: int) -> int:
    state ^= state >> 33
    state = state * 0xFF51AFD7ED558CCD & M64
    return (state ^ state >> 29) & M32


def step(state: int, code: int) -> int:
    return ((state ^ state >> 32) ^ code) * STEP & M64


def term_hash(form: str, spaced: bool) -> int:
    """Hash of a token's form; marks of a non-zero combining class are added in whatever order."""
    if not spaced:
        state = SEED
        for c in form:
            state = step(state, ord(c))
        return finish(state)
    fed, marks = b"", 0
    for c in form:
        code = ord(c)
        if unicodedata.combining(c):
            marks += finish(step(len(fed), code | 1 << 31))
        else:
            fed += bytes([code] if code < 0x80 else [code >> shift & 0x7F | 0x80 for shift in (0, 7, 14)])
    state = SEED
    for at in range(0, len(fed), 8):
        state = step(state, int.from_bytes(fed[at : at + 8], "little"))
    return finish(state + marks & M64)


def fmix32(h: int) -> int:
    h ^= h >> 16
    h = h * 0x85EBCA6B & M32
    h ^= h >> 13
    h = h * 0xC2B2AE35 & M32
    return h ^ h >> 16


def sequence_hash(terms: Iterable[int]) -> int:
    """Hash of a line's or a body's terms."""
    state = LINE_SEED
    for term in terms:
        state = (state ^ term) * STEP & M64
        state ^= state >> 32
    return state


def lines_of(body: Sequence[Token]) -> list[list[Token]]:
    """The lines that have tokens."""
    of_line: dict[int, list[Token]] = defaultdict(list)
    for token in body:
        of_line[token.line].append(token)
    return list(of_line.values())


def shingle_elements(terms: Sequence[int], k: int) -> list[int]:
    """Hash of every run of k terms; of all terms and their number when there are fewer than k."""

    def hashed(run: Sequence[int]) -> int:
        return sum(fmix32(term) * pow(SPREAD, len(run) - 1 - i, 1 << 32) for i, term in enumerate(run)) & M32

    if len(terms) < k:
        return [fmix32(hashed(terms) + len(terms) & M32)] if terms else []
    return [hashed(terms[i : i + k]) for i in range(len(terms) - k + 1)]


def bag(found: Iterable[tuple[int, int]]) -> dict[int, list[int]]:
    """Of (term, flags): [count, flags of the first, capitals less small initials] by term, no furniture."""
    rows: dict[int, list[int]] = {}
    for term, flags in found:
        if not flags & token_scan.FURNITURE:
            row = rows.setdefault(term, [0, flags, 0])
            row[0] += 1
            if not flags & (token_scan.CASE_OWED | token_scan.TITLE | token_scan.DIGIT):
                row[2] += 1 if flags & token_scan.CAPITAL else -1
    return rows


def lead_size(found: Iterable[tuple[int, int]], most: int) -> int:
    """Distinct terms among the first `most` of (term, flags) that are no furniture."""
    told = [term for term, flags in found if not flags & token_scan.FURNITURE]
    return len(set(told[:most]))


@dataclass(frozen=True)
class Term:
    """A term of an article: weight, bits of its kind, times used, rarity, and whether it is in the lead."""

    weight: float
    kind: int
    count: int
    rarity: float
    in_lead: bool

    @property
    def is_telling(self) -> bool:
        return self.rarity >= vectors.TELLING

    @property
    def is_number(self) -> bool:
        return bool(self.kind & vectors.NUMBER)

    @property
    def is_name(self) -> bool:
        return bool(self.kind & vectors.NAME)

    @property
    def is_fact(self) -> bool:
        return self.is_name or self.is_number

    def above(self, least: float) -> float:
        return max(0.0, self.rarity - least)

    @property
    def told(self) -> float:
        return self.above(vectors.TELLING) ** 2

    @property
    def repeated(self) -> float:
        return self.told * math.log(self.count)


def totals(row: Iterable[Term]) -> list[float]:
    """What `TermVectors.totals` says of an article."""
    row = list(row)
    facts = [t for t in row if t.is_fact]
    return [
        sum(t.weight**2 for t in facts),
        sum(t.weight**2 for t in facts if t.is_number),
        sum(t.above(vectors.RARE) for t in facts if t.is_name),
        sum(t.above(vectors.TELLING) for t in facts if t.is_number),
        sum(t.rarity**2 for t in row if t.in_lead and t.is_telling),
        sum(t.rarity**2 for t in facts if t.in_lead and t.is_telling),
        sum(t.repeated for t in row),
        sum(t.repeated for t in facts),
        sum(t.told for t in facts if t.kind & vectors.TOLD_IN_TITLE),
    ]


def term_sums(left: dict[int, Term], right: dict[int, Term]) -> list[float]:
    """What `compare.term_sums` says of two articles, terms by key."""
    both = [(left[key], right[key]) for key in left.keys() & right.keys()]
    facts = [(a, b) for a, b in both if a.is_fact and b.is_fact]
    numbers = [(a, b) for a, b in both if a.is_number and b.is_number]
    sums = [
        sum(a.weight * b.weight for a, b in both),
        sum(a.weight * b.weight for a, b in facts),
        sum(a.weight * b.weight for a, b in numbers),
        sum(a.above(vectors.RARE) for a, _ in both),
        sum(a.above(vectors.VERY_RARE) for a, _ in both),
        sum(a.above(vectors.TELLING) for a, _ in numbers),
    ]
    sides = [_sums_of_side(both), _sums_of_side([(b, a) for a, b in both])]
    return [*sums, *(value for of_both in zip(*sides, strict=True) for value in of_both)]


def _sums_of_side(both: Sequence[tuple[Term, Term]]) -> list[float]:
    """Over the shared terms as the first of the two has them."""
    facts = [(a, b) for a, b in both if a.is_fact]
    return [
        sum(a.above(vectors.RARE) for a, _ in both if a.is_name),
        sum(a.weight**2 for a, _ in both),
        sum(a.rarity**2 for a, _ in both if a.in_lead and a.is_telling),
        sum(a.rarity**2 for a, _ in facts if a.in_lead and a.is_telling),
        sum(a.rarity**2 for a, b in facts if a.in_lead and b.in_lead and a.is_telling),
        sum(a.repeated for a, _ in both),
        sum(a.repeated for a, b in both if b.count > 1),
        sum(a.repeated for a, _ in facts),
        sum(a.told for a, _ in facts if a.kind & vectors.TOLD_IN_TITLE),
    ]


def rare_elements(
    found: Iterable[tuple[int, int]], df: Sequence[int], spelling: Sequence[int], most: int, name_weight: int,
    number_weight: int,
) -> list[int]:  # fmt: skip
    """As many elements of each term in at most `most` articles as it weighs.

    `found` are (term, flags) in order; `name_weight` and `number_weight` are added to a weight of 1.
    """
    elements = []
    for term, (_, flags, _) in bag(found).items():
        if df[term % len(df)] <= most:
            is_name = flags & token_scan.CAPITAL and spelling[term % len(df)] > 0
            weight = 1 + (number_weight if flags & token_scan.DIGIT else name_weight if is_name else 0)
            elements += [fmix32(term + r * SPREAD & M32) for r in range(weight)]
    return elements


def signature(elements: Iterable[int], a: Sequence[int], b: Sequence[int]) -> list[int]:
    """Least a * fmix32(h) + b mod 2**32 over the elements, 2**32 - 1 for none."""
    mixed = [fmix32(h) for h in elements]
    return [min((x * h + y & M32 for h in mixed), default=M32) for x, y in zip(a, b, strict=True)]


def band_keys(places: Sequence[int], n_bands: int, rows: int) -> list[int]:
    keys = []
    for band in range(n_bands):
        key = band
        for place in places[band * rows : (band + 1) * rows]:
            key = fmix32(key * SPREAD + place & M32)
        keys.append(key)
    return keys


def document_frequencies(
    articles: Iterable[Iterable[tuple[int, int]]], bits: int
) -> tuple[list[int], list[int]]:
    """Per bucket: distinct terms of all articles, and capitals less small initials; of (term, flags)."""
    df, spelling = [0] * (1 << bits), [0] * (1 << bits)
    for article in articles:
        for term, (_, _, spelt) in bag(article).items():
            df[term % (1 << bits)] += 1
            spelling[term % (1 << bits)] += spelt
    return df, spelling


def jaccard(left: Iterable[int], right: Iterable[int]) -> float:
    left, right = set(left), set(right)
    return len(left & right) / len(left | right) if left or right else math.nan


def furniture(
    articles: Sequence[tuple[str, Sequence[str]]], min_articles: int, min_share: float, max_tokens: int
) -> tuple[set[tuple[str, str]], set[str]]:
    """The lines that are furniture: (source, line) within a source, line over the collection.

    An article is its source and its lines of body, each a text of equal lines for equal tokens. A short line
    that isn't its article's longest counts each time it stands there; the articles' different longest lines
    must be enough, a share of the articles that could carry it, and half as many as the line's occurrences.
    """
    within: dict[tuple[str, str], list[str]] = defaultdict(list)
    over: dict[str, list[str]] = defaultdict(list)
    for source, lines in articles:
        longest = max(lines, key=lambda line: len(line.split()), default="")
        for line in lines:
            if len(line.split()) <= max_tokens and line != longest:
                within[source, line].append(longest)
                over[line].append(longest)

    pages = Counter(source for source, _ in articles)

    def is_furniture(longest: list[str], least: int, n_articles: int) -> bool:
        distinct = len(set(longest))
        return distinct >= max(least, min_share * n_articles, len(longest) / 2)

    return (
        {key for key, longest in within.items() if is_furniture(longest, min_articles, pages[key[0]])},
        {key for key, longest in over.items() if is_furniture(longest, 4 * min_articles, len(articles))},
    )
