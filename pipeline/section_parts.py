"""Cuts a page into parts, each of which tells the whole story once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.section_scan import span_kinds
from pipeline.section_terms import FACT_WEIGHT, MAX_IDF, MIN_IDF, Rarity, index_units, weigh_terms
from pipeline.section_units import cut_units
from pipeline.section_versions import LEAD, SEAM, weigh_boundaries

# Logistic regression over the columns of `weigh_boundaries` (restated, lead, numbers, share, side, seam),
# fitted on the boundaries of the development pages, of pairs of its articles set one after the other, and of
# 3,700 single articles, web pages with their menus among them; rounded. `python -m benchmarks.sections`
# measures it, and fits it again without the web pages.
COEFFICIENTS = np.array([1.6, 6.3, 0.9, 7.7, 1.9, 2.0], np.float32)
INTERCEPT = np.float32(-13.15)

MIN_PART_TOKENS = 80  # two short paragraphs: the shortest teaser that goes before a whole version
# Whether there is a second version is a matter of the whole page, where it begins of its opening: within
# so many tokens of the best boundary what opening and seam weigh is shifted by this. Cuts nearly all
# headline-spun development pages, and a real page of two versions, within 300 characters.
NEAR_TOKENS, LEAD_BONUS, SEAM_MALUS = 100, np.float32(5.0), np.float32(1.0)
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
        """Units of the page."""
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
        kinds = span_kinds(self.starts, self.unit_kinds, starts[:-1], starts[1:])
        return Page(starts, kinds, self.term_of, self.weights, self.kinds, indptr, terms, counts)


def weigh_page(
    data: npt.NDArray[np.uint8], terms: npt.NDArray[np.uint32], flags: npt.NDArray[np.uint8],
    begin: npt.NDArray[np.int32], end: npt.NDArray[np.int32], line: npt.NDArray[np.int32],
    rarity: Rarity,
) -> Page:  # fmt: skip
    """Cut and weigh one body: `terms` to `line` are its slices of `Tokens`, `data` its bytes."""
    starts, unit_kinds = cut_units(data, begin, end, line, flags)
    term_of, weights, kinds = weigh_terms(
        terms, flags, starts, unit_kinds, rarity.df, rarity.of_df, MIN_IDF, MAX_IDF, FACT_WEIGHT
    )
    return Page(starts, unit_kinds, term_of, weights, kinds, *index_units(term_of, weights, starts))


def find_parts(
    page: Page, left: npt.NDArray[np.int32], right: npt.NDArray[np.int32], min_score: float
) -> list[int]:
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


def _best_cut(page: Page, left: npt.NDArray[np.int32], right: npt.NDArray[np.int32], min_score: float) -> int:
    """The unit with which a second version begins, or 0."""
    if page.starts[-1] < 2 * MIN_PART_TOKENS:
        return 0
    score, evidence = score_boundaries(page)
    best = int(np.argmax(score))
    if score[best] < min_score:
        return _retold(page, left, right)
    across = (left < best) & (right >= best)
    told = np.unique(right[across])
    # A passage told twice is no second version of the page: is there one besides?
    is_passage = len(told) and not _tells_lead(page, left[across], told, best)
    if is_passage and not _holds_without(page, told, best, min_score):
        return 0
    near = (np.abs(page.starts[:-1] - page.starts[best]) <= NEAR_TOKENS) & (score > -np.inf)
    shift = LEAD_BONUS * evidence[:, LEAD] - SEAM_MALUS * evidence[:, SEAM]
    return int(np.argmax(np.where(near, score + shift, -np.inf)))


def score_boundaries(page: Page) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Log-odds that a second version begins with each unit, -inf near the ends; and the evidence."""
    evidence = weigh_boundaries(
        page.term_of, page.starts, page.unit_kinds, page.indptr, page.terms, page.weights, page.kinds,
        MIN_PART_TOKENS, COEFFICIENTS, np.float32(-np.inf),
    )  # fmt: skip
    score = evidence @ COEFFICIENTS + INTERCEPT
    score[_sides(page) < MIN_PART_TOKENS] = -np.inf
    return score, evidence


def _tells_lead(page: Page, left: npt.NDArray[np.int32], told: npt.NDArray[np.int32], best: int) -> bool:
    """Whether two paragraphs or more are told again, the page's first among them and at the beginning."""
    if len(np.unique(left)) < 2:
        return False
    return int(left.min()) == _first_paragraph(page, 0) and int(told[0]) <= _first_paragraph(page, best) + 1


def _holds_without(page: Page, told: npt.NDArray[np.int32], best: int, min_score: float) -> bool:
    """Whether a version still begins near `best` when the units `told`, which repeat others, are left out."""
    rest = np.setdiff1d(np.arange(page.n_units), told)
    sizes = np.diff(page.starts)[rest]
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
    term_of = np.concatenate([page.term_of[page.starts[u] : page.starts[u + 1]] for u in rest])
    index = index_units(term_of, page.weights, starts)
    shorter = Page(starts, page.unit_kinds[rest], term_of, page.weights, page.kinds, *index)
    score, _ = score_boundaries(shorter)
    near = np.abs(starts[:-1] - page.starts[best]) <= NEAR_TOKENS
    return bool(np.any(score[near] >= min_score))


def _sides(page: Page) -> npt.NDArray[np.int32]:
    """Tokens of the shorter side of the boundary before each unit."""
    sides: npt.NDArray[np.int32] = np.minimum(page.starts[:-1], page.starts[-1] - page.starts[:-1])
    return sides


def _retold(page: Page, left: npt.NDArray[np.int32], right: npt.NDArray[np.int32]) -> int:
    """The unit from which the shorter side tells the other's paragraphs again, the lead first; or 0.

    Finds a short teaser before a whole version, of which the boundary's own evidence is weak.
    """
    sizes, sides = np.diff(page.starts), _sides(page)
    for lead in np.unique(right[left == _first_paragraph(page, 0)]).tolist():
        across = (left < lead) & (right >= lead)
        told_l, told_r = np.unique(left[across]), np.unique(right[across])
        if sides[lead] < MIN_PART_TOKENS or len(told_l) < 2 or len(told_r) < 2:
            continue
        is_first_shorter = page.starts[lead] <= page.starts[-1] - page.starts[lead]
        if sizes[told_l if is_first_shorter else told_r].sum() >= _RETOLD * sides[lead]:
            return _back_to_seam(page, lead)
    return 0


def _first_paragraph(page: Page, unit: int) -> int:
    while unit < page.n_units - 1 and page.unit_kinds[unit]:
        unit += 1
    return unit


def _back_to_seam(page: Page, unit: int) -> int:
    """The heading that goes before `unit`, or `unit`."""
    return unit - 1 if unit > 1 and page.unit_kinds[unit - 1] else unit
