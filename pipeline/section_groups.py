"""Puts agreeing spans of one article together: chains of paragraphs, then groups of occurrences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Match:
    """Tokens [begin_l, end_l) tell the same as [begin_r, end_r), further on."""

    begin_l: int
    end_l: int
    begin_r: int
    end_r: int
    is_section: bool

    @property
    def n_tokens(self) -> int:
        """Tokens of the shorter side."""
        return min(self.end_l - self.begin_l, self.end_r - self.begin_r)

    @property
    def order(self) -> tuple[int, int, int, int]:
        """Larger ones first; of equals those whose longer side holds less besides."""
        longer = max(self.end_l - self.begin_l, self.end_r - self.begin_r)
        return -self.n_tokens, longer, self.begin_l, self.begin_r


def chain_units(
    starts: npt.NDArray[np.int32], paragraphs: npt.NDArray[np.int32],
    left: npt.NDArray[np.int32], right: npt.NDArray[np.int32],
) -> list[Match]:  # fmt: skip
    """Matches of runs of paragraphs that agree one after the other; two or more are a section.

    `starts` int32 (n_units + 1,); `paragraphs` are the units that took part, ascending; `left` and `right`
    the units that agree. What stands between two paragraphs of a run (a heading) belongs to it.
    """
    rank = {int(unit): k for k, unit in enumerate(paragraphs)}
    pairs = {(rank[int(a)], rank[int(b)]) for a, b in zip(left, right, strict=True)}
    matches = []
    for a, b in sorted(pairs):
        if (a - 1, b - 1) in pairs and b - 1 > a - 1:
            continue
        n = 1
        while (a + n, b + n) in pairs and a + n < b:
            n += 1
        units = paragraphs[[a, a + n - 1, b, b + n - 1]]
        matches.append(_match(starts, units, is_section=n > 1))
        # The rest of a chain that ran into its own copy is a chain of its own.
        while (a + n, b + n) in pairs:
            units = paragraphs[[a + n, a + n, b + n, b + n]]
            matches.append(_match(starts, units, is_section=False))
            n += 1
    return matches


def _match(
    starts: npt.NDArray[np.int32], units: npt.NDArray[np.int32], *, is_section: bool
) -> Match:  # fmt: skip
    """Match of first and last unit on the left, first and last unit on the right."""
    begin_l, end_l, begin_r, end_r = starts[units + np.array([0, 1, 0, 1])].tolist()
    return Match(begin_l, end_l, begin_r, end_r, is_section)


def without_covered(matches: Sequence[Match]) -> list[Match]:
    """Matches of which not half of both sides is told by a larger one, largest first."""
    kept: list[Match] = []
    for match in sorted(matches, key=lambda m: m.order):
        if not any(
            _half_within(match.begin_l, match.end_l, other.begin_l, other.end_l)
            and _half_within(match.begin_r, match.end_r, other.begin_r, other.end_r)
            for other in kept
        ):
            kept.append(match)
    return kept


def group_matches(matches: Sequence[Match]) -> list[tuple[bool, list[tuple[int, int]]]]:
    """Whether it is of sections, and the spans of tokens of each group, by place; spans are disjoint.

    Matches with spans that are half of each other are of one group; overlapping spans of a group are one
    occurrence. What is left with a single occurrence is no repeat.
    """
    groups: list[tuple[bool, list[tuple[int, int]]]] = []
    for match in sorted(matches, key=lambda m: m.order):
        spans = [(match.begin_l, match.end_l), (match.begin_r, match.end_r)]
        is_section = match.is_section
        apart = []
        for group in groups:
            if any(_half_within(*a, *b) and _half_within(*b, *a) for a in spans for b in group[1]):
                is_section, spans = is_section or group[0], spans + group[1]
            else:
                apart.append(group)
        groups = [*apart, (is_section, spans)]
    merged = [(is_section, _merge(spans)) for is_section, spans in groups]
    return sorted((g for g in merged if len(g[1]) > 1), key=lambda g: g[1])


def _half_within(begin: int, end: int, outer_begin: int, outer_end: int) -> bool:
    return 2 * (min(end, outer_end) - max(begin, outer_begin)) >= end - begin


def _merge(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for begin, end in sorted(spans):
        if merged and begin < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((begin, end))
    return merged
