"""Cuts a page into parts, each of which tells the whole story once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.section_terms import index_units, weigh_terms
from pipeline.section_units import cut_units
from pipeline.section_versions import LEAD, weigh_boundaries

# Logistic regression over the columns of `weigh_boundaries` (restated, lead, numbers, share, side, seam),
# fitted on the boundaries of the development pages, of pairs of its articles set one after the other and of
# 3,700 single articles; rounded. `python -m benchmarks.sections` measures it again.
COEFFICIENTS = np.array([1.6, 6.5, 1.0, 8.2, 1.9, 1.95], np.float32)
INTERCEPT = np.float32(-13.1)

# Common words are no evidence; names and numbers are what two stories of one kind don't share.
MIN_IDF, FACT_WEIGHT = np.float32(1.0), np.float32(2.0)

MIN_PART_TOKENS = 80  # two short paragraphs: the shortest teaser that goes before a whole version
# Within so many tokens of the best boundary the version begins where score + LEAD_BONUS * lead is highest: whether
# there is a second version is a matter of the whole page, where it begins of its opening. From 4 to 8 all headline-
# spun development pages and the page of two real versions are cut within 300 characters of the true place.
NEAR_TOKENS, LEAD_BONUS = 100, np.float32(5)
_RETOLD = 0.6  # share of the shorter side that paragraphs of the other tell again


@dataclass(frozen=True)
class Page:
    """One body, cut and weighed.

    `starts` int32 (n_units + 1,) and `unit_kinds` uint8 (n_units,) as by `cut_units`; `term_of` int32
    (n_tokens,), `weights` float32 and `kinds` uint8 (n_terms,) as by `weigh_terms`; `indptr`, `terms` and
    `counts` int32 as by `index_units`.
    """

    starts: npt.NDArray[np.int32]
    unit_kinds: npt.NDArray[np.uint8]
    term_of: npt.NDArray[np.int32]
    weights: npt.NDArray[np.float32]
    kinds: npt.NDArray[np.uint8]
    indptr: npt.NDArray[np.int32]
    terms: npt.NDArray[np.int32]
    counts: npt.NDArray[np.int32]

    @property
    def n_units(self) -> int:
        return len(self.unit_kinds)

    def cut(self, first: int, stop: int) -> Page:
        """Units first:stop as a page of their own."""
        at, to = self.starts[first], self.starts[stop]
        k, k_to = self.indptr[first], self.indptr[stop]
        return Page(
            self.starts[first : stop + 1] - at, self.unit_kinds[first:stop], self.term_of[at:to],
            self.weights, self.kinds, self.indptr[first : stop + 1] - k, self.terms[k:k_to],
            self.counts[k:k_to],
        )  # fmt: skip

    def merged(self, starts: npt.NDArray[np.int32]) -> Page:
        """The same tokens in larger units, which begin at `starts` int32, the last one n_tokens."""
        indptr, terms, counts = index_units(self.term_of, self.weights, starts)
        kinds = np.zeros(len(starts) - 1, np.uint8)
        return Page(starts, kinds, self.term_of, self.weights, self.kinds, indptr, terms, counts)


def weigh_page(
    data: npt.NDArray[np.uint8], origin: int, terms: npt.NDArray[np.uint32], flags: npt.NDArray[np.uint8],
    begin: npt.NDArray[np.int32], end: npt.NDArray[np.int32], line: npt.NDArray[np.int32],
    idf: npt.NDArray[np.float32],
) -> Page:  # fmt: skip
    """Cut and weigh one body: `terms` to `line` are its slices of `Tokens`, `data[origin:]` its bytes."""
    starts, unit_kinds = cut_units(data, origin, begin, end, line, flags)
    term_of, weights, kinds = weigh_terms(terms, flags, starts, idf, MIN_IDF, FACT_WEIGHT)
    return Page(starts, unit_kinds, term_of, weights, kinds, *index_units(term_of, weights, starts))


def find_parts(page: Page, left: npt.NDArray[np.int32], right: npt.NDArray[np.int32], min_score: float) -> list[int]:
    """First units of the parts, then n_units; two or more parts, or an empty list.

    `left` and `right` are units that agree. A page is cut at its best boundary, then each piece again as a
    page of its own. `min_score` is the log-odds from which a boundary counts.
    """
    edges = [0, page.n_units]
    todo = [(0, page.n_units)]
    while todo:
        first, stop = todo.pop()
        inside = (left >= first) & (right < stop)
        at = _best_cut(page.cut(first, stop), left[inside] - first, right[inside] - first, min_score)
        if at:
            edges.append(first + at)
            todo += [(first, first + at), (first + at, stop)]
    return sorted(edges) if len(edges) > 2 else []


def _best_cut(
    page: Page, left: npt.NDArray[np.int32], right: npt.NDArray[np.int32], min_score: float
) -> int:
    """The unit with which a second version begins, or 0."""
    if page.starts[-1] < 2 * MIN_PART_TOKENS:
        return 0
    score, lead = score_boundaries(page)
    best = int(np.argmax(score))
    if score[best] < min_score:
        return _retold(page, left, right)
    across = (left < best) & (right >= best)
    if len(set(left[across].tolist())) == 1 and not _holds_without(page, int(right[across][0]), best, min_score):
        return 0
    near = (np.abs(page.starts[:-1] - page.starts[best]) <= NEAR_TOKENS) & (score > -np.inf)
    return int(np.argmax(np.where(near, score + LEAD_BONUS * lead, -np.inf)))


def score_boundaries(page: Page) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Log-odds that a second version begins with each unit (-inf next to the ends), and its `lead` evidence."""
    evidence = weigh_boundaries(
        page.term_of, page.starts, page.unit_kinds, page.indptr, page.terms, page.weights, page.kinds,
        MIN_PART_TOKENS,
    )  # fmt: skip
    score = evidence @ COEFFICIENTS + INTERCEPT
    score[_sides(page) < MIN_PART_TOKENS] = -np.inf
    return score, evidence[:, LEAD]


def _holds_without(page: Page, unit: int, best: int, min_score: float) -> bool:
    """Whether a version still begins near `best` when `unit`, one paragraph told twice, is left out."""
    rest = np.flatnonzero(np.arange(page.n_units) != unit)
    sizes = np.diff(page.starts)[rest]
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
    term_of = np.delete(page.term_of, np.s_[page.starts[unit] : page.starts[unit + 1]])
    index = index_units(term_of, page.weights, starts)
    score, _ = score_boundaries(Page(starts, page.unit_kinds[rest], term_of, page.weights, page.kinds, *index))
    near = np.abs(starts[:-1] - page.starts[best]) <= NEAR_TOKENS
    return bool(np.any(score[near] >= min_score))


def _sides(page: Page) -> npt.NDArray[np.int32]:
    """Tokens of the shorter side of the boundary before each unit."""
    return np.minimum(page.starts[:-1], page.starts[-1] - page.starts[:-1])


def _retold(page: Page, left: npt.NDArray[np.int32], right: npt.NDArray[np.int32]) -> int:
    """The unit from which the shorter side tells the other's paragraphs again, the lead first; or 0.

    Finds a short teaser before a whole version, of which the boundary's own evidence is weak.
    """
    sizes, sides = np.diff(page.starts), _sides(page)
    for at in sorted(set(right.tolist())):
        across = (left < at) & (right >= at)
        pairs = left[across], right[across]
        if sides[at] < MIN_PART_TOKENS or len(set(pairs[0].tolist())) < 2 or len(set(pairs[1].tolist())) < 2:
            continue
        leads = [_first_paragraph(page, 0), _first_paragraph(page, at)]
        if not np.any((pairs[0] == leads[0]) & (pairs[1] == leads[1])):
            continue
        shorter = 0 if page.starts[at] <= page.starts[-1] - page.starts[at] else 1
        if sizes[np.unique(pairs[shorter])].sum() >= _RETOLD * sides[at]:
            return _back_to_seam(page, at)
    return 0


def _first_paragraph(page: Page, unit: int) -> int:
    while unit < page.n_units - 1 and page.unit_kinds[unit]:
        unit += 1
    return unit


def _back_to_seam(page: Page, unit: int) -> int:
    """The heading that goes before `unit`, or `unit`."""
    return unit - 1 if unit > 1 and page.unit_kinds[unit - 1] else unit
