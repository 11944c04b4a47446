"""What is measured of a candidate pair, exactly: cosines in four spaces, resemblance and containments."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from pipeline import compare
from pipeline.vectors import Vectors

# How much of the overall cosine is lent to a space in which an article has next to nothing: squared weight,
# of 1 in all. Texts without names are then judged by their wording, instead of by a cosine of nothing.
LENT = 0.05


@dataclass(frozen=True)
class Measures:
    """One entry per pair in every array, float32 but for `longest_run` (int32, shingles).

    `cosine` terms; `cosine_bigrams` terms and bigrams; `cosine_names` names and numbers; `cosine_numbers`;
    `jaccard`, `containment_l_in_r`, `containment_r_in_l` of the shingles; `weight_l_in_r`, `weight_r_in_l`:
    the share of an article's squared TF-IDF weight on terms that the other has too; `names_l`, `names_r`,
    `numbers_l`, `numbers_r`: the share that is on names and numbers, and on numbers; `n_tokens_l`,
    `n_tokens_r`; `longest_run`: most shingles in a row of r that l has too.
    """

    cosine: np.ndarray
    cosine_bigrams: np.ndarray
    cosine_names: np.ndarray
    cosine_numbers: np.ndarray
    jaccard: np.ndarray
    containment_l_in_r: np.ndarray
    containment_r_in_l: np.ndarray
    weight_l_in_r: np.ndarray
    weight_r_in_l: np.ndarray
    names_l: np.ndarray
    names_r: np.ndarray
    numbers_l: np.ndarray
    numbers_r: np.ndarray
    n_tokens_l: np.ndarray
    n_tokens_r: np.ndarray
    longest_run: np.ndarray

    def take(self, chosen: np.ndarray) -> "Measures":
        """The measures of some pairs, by index or mask."""
        return Measures(**{f.name: getattr(self, f.name)[chosen] for f in fields(self)})


def concatenate(parts: Sequence[Measures]) -> Measures:
    """The measures of several lots of pairs, one after the other."""
    return Measures(**{f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Measures)})


def term_sums(l: Vectors, r: Vectors, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """`compare.term_sums` of pairs of rows int64, ascending by left: float32 (n, 9)."""
    sums = np.empty((len(left), 9), np.float32)
    compare.term_sums(
        l.term_keys, l.term_weights, l.term_kinds, l.term_ends, r.term_keys, r.term_weights, r.term_kinds,
        r.term_ends, left, right, sums,
    )  # fmt: skip
    return sums


def measure(l: Vectors, r: Vectors, left: np.ndarray, right: np.ndarray, sums: np.ndarray) -> Measures:
    """Measures of pairs of rows int64 of `l` and `r`, ascending by left; `sums` are their `term_sums`."""
    bigrams = np.empty(len(left), np.float32)
    compare.dots(
        l.bigram_keys, l.bigram_weights, l.bigram_ends, r.bigram_keys, r.bigram_weights, r.bigram_ends,
        left, right, bigrams,
    )  # fmt: skip
    shared, runs = np.empty(len(left), np.int64), np.empty(len(left), np.int64)
    compare.overlaps(l.shingle_keys, l.shingle_ends, r.shingle_keys, r.shingle_ends, left, right, shared, runs)
    n_l, n_r = (np.diff(v.shingle_ends, prepend=0)[rows] for v, rows in ((l, left), (r, right)))
    return Measures(
        cosine=sums[:, 0],
        # Terms and bigrams side by side, each space normalised: the cosine of the joint rows is the mean.
        cosine_bigrams=(sums[:, 0] + bigrams) / 2,
        cosine_names=_cosine(sums[:, 1], sums[:, 2], sums[:, 3]),
        cosine_numbers=_cosine(sums[:, 4], sums[:, 5], sums[:, 6]),
        jaccard=_share(shared, n_l + n_r - shared),
        containment_l_in_r=_share(shared, n_l),
        containment_r_in_l=_share(shared, n_r),
        weight_l_in_r=sums[:, 7],
        weight_r_in_l=sums[:, 8],
        names_l=sums[:, 2],
        names_r=sums[:, 3],
        numbers_l=sums[:, 5],
        numbers_r=sums[:, 6],
        n_tokens_l=l.n_tokens[left].astype(np.float32),
        n_tokens_r=r.n_tokens[right].astype(np.float32),
        longest_run=runs.astype(np.int32),
    )


def _cosine(dot: np.ndarray, square_l: np.ndarray, square_r: np.ndarray) -> np.ndarray:
    """Cosine within a subspace; 0 where a side has nothing in it."""
    norms = np.sqrt(square_l * square_r)
    return np.divide(dot, norms, out=np.zeros_like(dot), where=norms > 0)


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.asarray(part / np.maximum(whole, 1), np.float32)


FEATURES = (
    "cosine", "cosine_bigrams", "cosine_names", "cosine_numbers", "root_jaccard", "root_containment_of_shorter",
    "root_containment_of_longer", "weight_shared_most", "weight_shared_least", "length_ratio", "log_length",
    "weight_of_names", "names_above_wording", "numbers_above_names",
)  # fmt: skip


def features(m: Measures) -> np.ndarray:
    """What the rule weighs, float64 (n, len(FEATURES)), the same for (l, r) as for (r, l).

    Names and numbers are lent the cosine of the space around them, in the measure that the articles have
    few of them (`LENT`).
    """
    wording = m.cosine.astype(np.float64)
    names = _lend(m.cosine_names, np.sqrt(m.names_l * m.names_r), wording)
    numbers = _lend(m.cosine_numbers, np.sqrt(m.numbers_l * m.numbers_r), names)
    contained = (m.containment_l_in_r, m.containment_r_in_l)
    weights = (m.weight_l_in_r, m.weight_r_in_l)
    shorter = np.minimum(m.n_tokens_l, m.n_tokens_r)
    longer = np.maximum(np.maximum(m.n_tokens_l, m.n_tokens_r), 1)
    columns = (
        wording, m.cosine_bigrams, names, numbers, np.sqrt(m.jaccard), np.sqrt(np.maximum(*contained)),
        np.sqrt(np.minimum(*contained)), np.maximum(*weights), np.minimum(*weights), shorter / longer,
        np.log1p(shorter), np.sqrt(np.minimum(m.names_l, m.names_r)), names - wording, numbers - wording,
    )  # fmt: skip
    return np.column_stack([np.asarray(c, np.float64) for c in columns])


def _lend(cosine: np.ndarray, weight: np.ndarray, around: np.ndarray) -> np.ndarray:
    return np.asarray((cosine * weight + LENT * around) / (weight + LENT), np.float64)
