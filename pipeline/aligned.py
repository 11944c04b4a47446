"""Two articles side by side: what both say word for word, and what stands in between.

The standard library's SequenceMatcher (Ratcliff & Obershelp 1988) over runs of `MIN_RUN` terms: single words
that happen to be equal would cut reworded text to shreds, and common ones make the matcher slow. It keeps the
order of both texts; a passage that was moved counts as left out here and put in there.

Texts come from anyone, and must not hold up who looks at them: runs that stand at very many places are found
only beside others, and the whole is cut short after a number of steps. What is left open then is coarser, and
is said to be. pipeline/report_page/align.js does the same, step by step.

The matcher takes the first of equally long matches, and counts places in one of the two only: the other way
round it may find other runs. So the texts alone say which of them it takes first, and to swap them changes
nothing but the sides.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from difflib import SequenceMatcher

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.explained import Alignment, Fact, Passage
from pipeline.text import KeptTokens
from pipeline.token_scan import FURNITURE
from pipeline.tokens import Tokens

MIN_RUN = 3
# Tokens of an article that are aligned, from the beginning. Two texts of so many, the one with every seventh
# word of the other replaced, take 0.9 s on one core (tests/test_aligned.py).
MAX_TOKENS = 5_000
# A run at more places of one text is not looked for: in MAX_TOKENS of the sample none has over 6.
MAX_PLACES = 100
# Steps of an alignment, a run of the one text met with a place in the other: every fourth word of MAX_TOKENS
# replaced takes half of them.
MAX_STEPS = 8_000_000
LEFT_OUT = " (...) "
_Run = tuple[int, ...]


@dataclass(frozen=True)
class Telling:
    """The own tokens of one article, furniture left out, title first.

    `terms` uint32; `places` int64 (n,), numbers of the tokens before furniture was left out; `begin`, `end`
    int64, bytes of `data`: title, line feed, body.
    """

    data: bytes
    terms: npt.NDArray[np.uint32]
    places: npt.NDArray[np.int64]
    begin: npt.NDArray[np.int64]
    end: npt.NDArray[np.int64]

    @classmethod
    def of(cls, batch: pa.RecordBatch, tokens: Tokens, masked: KeptTokens, i: int) -> Telling:
        """Article `i` of a batch with title and text; `masked` are its kept tokens, furniture flagged."""
        own = slice(int(tokens.indptr[i]), int(tokens.indptr[i + 1]))
        title = (batch.column("title")[i].as_py() or "").encode()
        data = title + b"\n" + batch.column("text")[i].as_py().encode()
        in_body = np.arange(own.start, own.stop) >= tokens.body[i]
        shift = in_body * (len(title) + 1)
        places = np.flatnonzero(masked.flags[own] & FURNITURE == 0)
        begin, end = (side[own].astype(np.int64) + shift for side in (tokens.begin, tokens.end))
        return cls(data, tokens.terms[own][places], places, begin[places], end[places])

    def spelling(self, term: int) -> str:
        """A term of it as it is first spelt."""
        at = int(np.argmax(self.terms == np.uint32(term)))
        return self.data[self.begin[at] : self.end[at]].decode()

    def first(self, n: int) -> Telling:
        """Its first `n` tokens."""
        sides = ("terms", "places", "begin", "end")
        return replace(self, **{name: getattr(self, name)[:n] for name in sides})


def align(a: Telling, b: Telling, facts_a: dict[int, str], facts_b: dict[int, str]) -> Alignment:
    """Passages of both, in order; `facts_a` and `facts_b` are the kinds of the names and numbers, by term."""
    n_left_out = sum(max(0, len(side.terms) - MAX_TOKENS) for side in (a, b))
    terms_a, terms_b = set(a.terms.tolist()), set(b.terms.tolist())
    a, b = a.first(MAX_TOKENS), b.first(MAX_TOKENS)
    is_turned = a.terms.tolist() > b.terms.tolist()
    passages = []
    done_a = done_b = n_same = 0
    runs, is_coarse = _matches(b, a) if is_turned else _matches(a, b)
    if is_turned:
        runs = [(at_a, at_b, size) for at_b, at_a, size in runs]
    for at_a, at_b, size in [*runs, (len(a.terms), len(b.terms), 0)]:
        for same, to_a, to_b in ((False, at_a, at_b), (True, at_a + size, at_b + size)):
            n_a, n_b = to_a - done_a, to_b - done_b
            if n_a or n_b:
                text_a, marks_a = _passage(a, done_a, to_a, facts_a, terms_b)
                text_b, marks_b = _passage(b, done_b, to_b, facts_b, terms_a)
                passages.append(Passage(same, n_a, n_b, text_a, text_b, marks_a, marks_b))
            done_a, done_b = to_a, to_b
        n_same += size
    return Alignment(tuple(passages), n_same, n_left_out, is_coarse)


def _matches(a: Telling, b: Telling) -> tuple[list[tuple[int, int, int]], bool]:
    """(token of a, token of b, tokens) of the runs of equal terms, ascending, apart from each other.

    Also whether there may be more that was not looked for.
    """
    found: list[tuple[int, int, int]] = []
    done_a = done_b = 0
    blocks, is_coarse = _blocks(_runs(a), _runs(b))
    for at_a, at_b, length in blocks:
        # Runs overlap: what the match before has taken is gone, on either side.
        taken = max(done_a - at_a, done_b - at_b, 0)
        size = length + MIN_RUN - 1 - taken
        if size > 0:
            found.append((at_a + taken, at_b + taken, size))
            done_a, done_b = at_a + taken + size, at_b + taken + size
    return found, is_coarse


def _blocks(a: list[_Run], b: list[_Run]) -> tuple[list[tuple[int, int, int]], bool]:
    """What `SequenceMatcher.get_matching_blocks` finds, within MAX_PLACES and MAX_STEPS.

    Where nothing is found between two blocks, the runs that are equal from either end on are one.
    """
    matcher = SequenceMatcher(None, a, b, autojunk=False)
    # Documented, and missing in the types.
    places: dict[_Run, list[int]] = matcher.b2j  # type: ignore[attr-defined]
    at_too_many = {run for run, own in places.items() if len(own) > MAX_PLACES}
    for run in at_too_many:
        del places[run]
    # Before each run of a: steps that those up to it take, and those at too many places.
    steps = [0, *itertools.accumulate(1 + len(places.get(run, ())) for run in a)]
    unseen = [0, *itertools.accumulate(run in at_too_many for run in a)]
    found: list[tuple[int, int, int]] = []
    is_coarse, left = False, MAX_STEPS
    open_ = [(0, len(a), 0, len(b))]
    while open_:
        from_a, to_a, from_b, to_b = open_.pop()
        if from_a == to_a or from_b == to_b:
            continue
        cost = steps[to_a] - steps[from_a]
        is_affordable = cost <= left
        if is_affordable:
            left -= cost
            at_a, at_b, size = matcher.find_longest_match(from_a, to_a, from_b, to_b)
            if size:
                found.append((at_a, at_b, size))
                open_ += [(from_a, at_a, from_b, at_b), (at_a + size, to_a, at_b + size, to_b)]
                continue
        while from_a < to_a and from_b < to_b and a[from_a] == b[from_b]:
            found.append((from_a, from_b, 1))
            from_a, from_b = from_a + 1, from_b + 1
        while from_a < to_a and from_b < to_b and a[to_a - 1] == b[to_b - 1]:
            to_a, to_b = to_a - 1, to_b - 1
            found.append((to_a, to_b, 1))
        if from_a < to_a and from_b < to_b:
            is_coarse |= not is_affordable or unseen[to_a] > unseen[from_a]
    joined: list[tuple[int, int, int]] = []
    for at_a, at_b, size in sorted(found):
        if joined and joined[-1][0] + joined[-1][2] == at_a and joined[-1][1] + joined[-1][2] == at_b:
            joined[-1] = (*joined[-1][:2], joined[-1][2] + size)
        else:
            joined.append((at_a, at_b, size))
    return joined, is_coarse


def _runs(own: Telling) -> list[_Run]:
    """MIN_RUN terms from each token on."""
    return list(zip(*(own.terms[k:].tolist() for k in range(MIN_RUN)), strict=False))


def _passage(
    own: Telling, begin: int, end: int, facts: dict[int, str], others: set[int]
) -> tuple[str, tuple[Fact, ...]]:
    """Text of the tokens [begin, end) and its names and numbers."""
    if begin == end:
        return "", ()
    text, marks = "", []
    cuts = np.flatnonzero(np.diff(own.places[begin:end]) > 1) + begin + 1
    edges = [begin, *cuts.tolist(), end]
    for first, stop in itertools.pairwise(edges):
        text += LEFT_OUT if text else ""
        floor = int(own.begin[first])
        # A token may be folded out of another one's bytes (pairs of letters): ends need not ascend.
        piece = own.data[floor : int(own.end[first:stop].max())]
        # Code points before each byte: all but the bytes that go on with one.
        points = np.cumsum((np.frombuffer(piece, np.uint8) & 0xC0) != 0x80)
        for k in range(first, stop):
            term = int(own.terms[k])
            if term in facts:
                at, to = int(points[own.begin[k] - floor]) - 1, int(points[own.end[k] - floor - 1])
                marks.append(Fact(len(text) + at, len(text) + to, facts[term], term in others))
        text += piece.decode()
    return text, tuple(marks)
