"""What is measured of a candidate pair, exactly: cosines in four spaces, resemblance and containments."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TypeVar

import numpy as np

from pipeline import compare
from pipeline.shards import MAX_GROUPS
from pipeline.vectors import TermVectors
from pipeline.wording import Wording

# How much of the overall cosine is lent to a space in which an article has next to nothing: squared weight,
# of 1 in all. Texts without names are then judged by their wording, instead of by a cosine of nothing.
LENT = 0.25
# Shingles in a row from which both sides are asked. Far below what makes a passage (confirm.PASSAGE_TOKENS).
LONG_RUN = 16


@dataclass(frozen=True)
class TermMeasures:
    """What the terms alone say of each pair; one entry per pair in every array, float32.

    `cosine` over terms; `cosine_names` over names and numbers; `cosine_numbers`; `weight_l_in_r`,
    `weight_r_in_l`: the share of an article's squared TF-IDF weight on terms that the other has too;
    `names_l`, `names_r`, `numbers_l`, `numbers_r`: the share that is on names and numbers, and on numbers;
    `n_tokens_l`, `n_tokens_r`.
    """

    cosine: np.ndarray
    cosine_names: np.ndarray
    cosine_numbers: np.ndarray
    weight_l_in_r: np.ndarray
    weight_r_in_l: np.ndarray
    names_l: np.ndarray
    names_r: np.ndarray
    numbers_l: np.ndarray
    numbers_r: np.ndarray
    n_tokens_l: np.ndarray
    n_tokens_r: np.ndarray


@dataclass(frozen=True)
class Measures(TermMeasures):
    """All measures of each pair, float32 but for `longest_run` (int32, shingles).

    `cosine_bigrams` over terms and bigrams; `jaccard`, `containment_l_in_r`, `containment_r_in_l` of the
    shingles; `longest_run`: most shingles in a row that the other has too, on the side where they are fewer
    (runs under `LONG_RUN`: on the side of r).
    """

    cosine_bigrams: np.ndarray
    jaccard: np.ndarray
    containment_l_in_r: np.ndarray
    containment_r_in_l: np.ndarray
    longest_run: np.ndarray


Lot = TypeVar("Lot", bound=TermMeasures)


def take(lot: Lot, chosen: np.ndarray) -> Lot:
    """The measures of some pairs, by index or mask."""
    return type(lot)(**{f.name: getattr(lot, f.name)[chosen] for f in fields(lot)})


def concatenate(lots: Sequence[Lot]) -> Lot:
    """The measures of several lots of pairs, one after the other; there must be a lot."""
    kind = type(lots[0])
    return kind(**{f.name: np.concatenate([getattr(p, f.name) for p in lots]) for f in fields(kind)})


def measure_terms(
    of_l: TermVectors, of_r: Sequence[TermVectors], left: np.ndarray, group_r: np.ndarray, right: np.ndarray
) -> TermMeasures:
    """Term measures of pairs of rows int64 of `of_l` and of the vectors `of_r[group_r]`, ascending by left.

    At most MAX_GROUPS groups.
    """
    sums = np.empty((len(left), 5), np.float32)
    groups = [*of_r, *[of_r[0]] * (MAX_GROUPS - len(of_r))]
    compare.term_sums(
        of_l.term_keys, of_l.term_weights, of_l.term_kinds, of_l.term_ends,
        tuple(v.term_keys for v in groups), tuple(v.term_weights for v in groups),
        tuple(v.term_kinds for v in groups), tuple(v.term_ends for v in groups), left, group_r, right, sums,
    )  # fmt: skip
    squares_l = of_l.squares.reshape(-1, 2)[left]
    squares_r, n_tokens_r = np.empty_like(squares_l), np.empty(len(right), np.float32)
    for group, vectors in enumerate(of_r):
        own = group_r == group
        squares_r[own] = vectors.squares.reshape(-1, 2)[right[own]]
        n_tokens_r[own] = vectors.n_tokens[right[own]]
    return TermMeasures(
        cosine=sums[:, 0],
        cosine_names=_cosine(sums[:, 1], squares_l[:, 0], squares_r[:, 0]),
        cosine_numbers=_cosine(sums[:, 2], squares_l[:, 1], squares_r[:, 1]),
        weight_l_in_r=sums[:, 3],
        weight_r_in_l=sums[:, 4],
        names_l=squares_l[:, 0],
        names_r=squares_r[:, 0],
        numbers_l=squares_l[:, 1],
        numbers_r=squares_r[:, 1],
        n_tokens_l=of_l.n_tokens[left].astype(np.float32),
        n_tokens_r=n_tokens_r,
    )


def measure(
    of_l: Wording, of_r: Wording, left: np.ndarray, right: np.ndarray, terms: TermMeasures
) -> Measures:
    """All measures of the pairs whose term measures are `terms`."""
    bigrams = np.empty(len(left), np.float32)
    compare.dots(
        of_l.bigram_keys, of_l.bigram_weights, of_l.bigram_ends,
        of_r.bigram_keys, of_r.bigram_weights, of_r.bigram_ends, left, right, bigrams,
    )  # fmt: skip
    shared, runs = np.empty(len(left), np.int64), np.empty(len(left), np.int64)
    compare.overlaps(
        of_l.shingle_keys, of_l.shingle_ends, of_r.shingle_keys, of_r.shingle_ends, left, right, shared, runs
    )
    _ask_other_side(of_l, of_r, left, right, runs)
    n_l, n_r = (np.diff(v.shingle_ends, prepend=0)[rows] for v, rows in ((of_l, left), (of_r, right)))
    return Measures(
        **{f.name: getattr(terms, f.name) for f in fields(TermMeasures)},
        # Terms and bigrams side by side, each space normalised: the cosine of the joint rows is the mean.
        cosine_bigrams=(terms.cosine + bigrams) / 2,
        jaccard=_share(shared, n_l + n_r - shared),
        containment_l_in_r=_share(shared, n_l),
        containment_r_in_l=_share(shared, n_r),
        longest_run=runs.astype(np.int32),
    )


def _ask_other_side(
    of_l: Wording, of_r: Wording, left: np.ndarray, right: np.ndarray, runs: np.ndarray
) -> None:
    """Lowers long `runs` int64 to those of l that r has too: what r says in one go, l may say in pieces."""
    long = np.flatnonzero(runs >= LONG_RUN)
    long = long[np.argsort(right[long], kind="stable")]
    shared, found = np.empty(len(long), np.int64), np.empty(len(long), np.int64)
    compare.overlaps(
        of_r.shingle_keys, of_r.shingle_ends, of_l.shingle_keys, of_l.shingle_ends, right[long], left[long],
        shared, found,
    )  # fmt: skip
    runs[long] = np.minimum(runs[long], found)


def _cosine(dot: np.ndarray, square_l: np.ndarray, square_r: np.ndarray) -> np.ndarray:
    """Cosine within a subspace; 0 where a side has nothing in it."""
    norms = np.sqrt(square_l * square_r)
    return np.asarray(np.divide(dot, norms, out=np.zeros_like(dot), where=norms > 0))


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.asarray(part / np.maximum(whole, 1), np.float32)


TERM_FEATURES = (
    "cosine", "cosine_names", "cosine_numbers", "names_above_wording", "numbers_above_wording",
    "weight_shared_most", "weight_shared_least", "length_ratio", "log_length", "weight_of_names",
)  # fmt: skip
FEATURES = (
    *TERM_FEATURES, "cosine_bigrams", "root_jaccard", "root_containment_of_shorter",
    "root_containment_of_longer",
)  # fmt: skip


def term_features(m: TermMeasures) -> np.ndarray:
    """What the screen weighs, float64 (n, len(TERM_FEATURES)), the same for (l, r) as for (r, l).

    Names and numbers are lent the cosine of the space around them, in the measure that the articles have
    few of them (`LENT`).
    """
    wording = m.cosine.astype(np.float64)
    names = _lend(m.cosine_names, np.sqrt(m.names_l * m.names_r), wording)
    numbers = _lend(m.cosine_numbers, np.sqrt(m.numbers_l * m.numbers_r), names)
    weights = (m.weight_l_in_r, m.weight_r_in_l)
    shorter = np.minimum(m.n_tokens_l, m.n_tokens_r)
    longer = np.maximum(np.maximum(m.n_tokens_l, m.n_tokens_r), 1)
    columns = (
        wording, names, numbers, names - wording, numbers - wording, np.maximum(*weights),
        np.minimum(*weights), shorter / longer, np.log1p(shorter), np.sqrt(np.minimum(m.names_l, m.names_r)),
    )  # fmt: skip
    return np.column_stack([np.asarray(c, np.float64) for c in columns])


def features(m: Measures) -> np.ndarray:
    """What the rule weighs, float64 (n, len(FEATURES)): the term features and those of the word order.

    They are the same for (l, r) as for (r, l).
    """
    contained = np.maximum(m.containment_l_in_r, m.containment_r_in_l)
    contains = np.minimum(m.containment_l_in_r, m.containment_r_in_l)
    columns = (m.cosine_bigrams, np.sqrt(m.jaccard), np.sqrt(contained), np.sqrt(contains))
    return np.column_stack([term_features(m), *(np.asarray(c, np.float64) for c in columns)])


def _lend(cosine: np.ndarray, weight: np.ndarray, around: np.ndarray) -> np.ndarray:
    return np.asarray((cosine * weight + LENT * around) / (weight + LENT), np.float64)
