"""How like two spans of one article are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.section_pairs import SHINGLE
from pipeline.section_parts import Page

# As for pairs of articles: a reprint keeps most of the shorter's wording and a good part of the longer's.
REPRINT_SHORTER, REPRINT_LONGER = 0.6, 0.3


@dataclass(frozen=True)
class Likeness:
    """Relation (exact, reprint or respun), TF-IDF cosine 0..1, resemblance of the shingles 0..1."""

    relation: str
    cosine: float
    jaccard: float


def compare(
    page: Page, terms: npt.NDArray[np.uint32], own: tuple[int, int], other: tuple[int, int]
) -> Likeness:
    """Likeness of the tokens [own[0], own[1]) to those of `other`; `terms` are the page's."""
    left, right = _shingles(terms[slice(*own)]), _shingles(terms[slice(*other)])
    shared = len(left & right)
    shorter, longer = sorted((len(left), len(right)))
    if np.array_equal(terms[slice(*own)], terms[slice(*other)]):
        relation = "exact"
    elif shared >= REPRINT_SHORTER * shorter and shared >= REPRINT_LONGER * longer:
        relation = "reprint"
    else:
        relation = "respun"
    return Likeness(relation, _cosine(page, own, other), shared / max(1, len(left | right)))


def _shingles(terms: npt.NDArray[np.uint32]) -> set[bytes]:
    """Shingles of SHINGLE tokens; a shorter span is one shingle."""
    width = min(SHINGLE, len(terms)) * terms.itemsize
    data = terms.tobytes()
    return {data[k : k + width] for k in range(0, len(data) - width + 1, terms.itemsize)}


def _cosine(page: Page, own: tuple[int, int], other: tuple[int, int]) -> float:
    """Cosine with sublinear tf, over the terms of weight."""
    n = len(page.weights)
    rows = np.stack([np.bincount(page.term_of[slice(*span)], minlength=n) for span in (own, other)])
    values = np.where(rows > 0, 1 + np.log(np.maximum(rows, 1)), 0) * page.weights
    norm = float(np.sqrt((values[0] ** 2).sum() * (values[1] ** 2).sum()))
    return min(1.0, float(values[0] @ values[1]) / norm) if norm > 0 else 0.0
