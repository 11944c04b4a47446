"""Stage "candidate-recall": how many of the pairs that the rule would confirm do bands and floors find?

A pair is a candidate by chance, and the chance follows from how much its two sets resemble each other (Indyk
& Motwani 1998). Of a sample of the confirmed pairs the sets are compared exactly. A pair that had the chance
p stands for 1 / p such pairs, of which 1 / p - 1 were missed (Horvitz & Thompson 1952).

What no pair stands for is not counted: pairs with next to nothing in common in either view, and those of
oversized buckets that were not compared (`n_passed_over`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.bags import BAG_TYPES, Bags
from pipeline.candidates import load_articles
from pipeline.clusters import read_judged
from pipeline.config import Config
from pipeline.confirm import EXACT
from pipeline.signatures import RareTerms, Signed, bands
from pipeline.tables import Ref
from pipeline.terms import TermStatistics

# Pairs that are compared exactly: the stage takes 0.05 s on one core (time `estimate` on 10,000 articles).
N_SAMPLED = 400
# A pair stands for at most so many: one lucky find must not outweigh all others.
MOST_STOOD_FOR = 20.0


@dataclass(frozen=True)
class Recall:
    """Estimated share, 0..1, of what the rule would confirm that was a candidate; None without such a pair.

    `n_sampled`: pairs that were compared exactly.
    """

    share: float | None
    n_sampled: int


def chance(
    jaccard: npt.NDArray[np.float64], n_perm: int, n_bands: int, rows: int, floor: float
) -> npt.NDArray[np.float64]:
    """Chance, 0..1, that sets of these resemblances (n,) become a candidate pair of a view.

    They must agree in all `rows` places of one of `n_bands` bands, and in the share `floor` of all `n_perm`
    places. Each place agrees with the chance j of the resemblance, whatever the others do: of

        (1 - j + j x) ** n_perm  and  ((1 - j + j x) ** rows - (j x) ** rows) ** n_bands (1 - j + j x) ** rest

    the coefficients of x ** m are the chances that m places agree, and that they do without a whole band.
    """
    j = np.clip(jaccard, 0, 1)[:, None]
    # Half of the roots of unity are enough for real coefficients.
    x = np.exp(-2j * np.pi * np.arange((n_perm + 1) // 2 + 1) / (n_perm + 1))
    place = 1 - j + j * x
    without = _power(place, rows) - _power(j * x, rows)
    no_band = _power(without, n_bands) * _power(place, n_perm - n_bands * rows)
    in_a_band = np.fft.irfft(_power(place, n_perm) - no_band, n_perm + 1)
    return np.asarray(np.clip(in_a_band[:, math.ceil(floor * n_perm - 1e-9) :].sum(axis=1), 0, 1))


def _power(values: npt.NDArray[np.complex128], n: int) -> npt.NDArray[np.complex128]:
    """values ** n, n >= 0, by squaring: numpy takes a logarithm of each complex number."""
    found = np.ones_like(values)
    while n:
        if n & 1:
            found = found * values
        values, n = values * values, n >> 1
    return found


def estimate(judged: Sequence[Ref], signed: Sequence[Signed], statistics: Ref, config: Config) -> Recall:
    """Estimates the recall of the run's candidates from its judged pairs (JUDGED)."""
    pairs = read_judged(judged)
    confirmed = np.flatnonzero(pairs["is_confirmed"].to_numpy())
    if not len(confirmed):
        return Recall(None, 0)
    # Equal bodies agree in every place: none of them is missed.
    uncertain = confirmed[pairs["relation"].to_numpy()[confirmed] != EXACT]
    if not len(uncertain):
        return Recall(1.0, 0)
    left, right = (pairs[side].to_numpy()[uncertain] for side in ("left", "right"))
    chosen = _sample(left, right, load_articles(signed, "text_hash"))
    shingles = pairs["jaccard"].to_numpy()[uncertain[chosen]].astype(np.float64)
    terms = _resemblance_of_rare_terms(left[chosen], right[chosen], signed, statistics, config)
    plan, least = bands(config), config.candidates
    missed = 1 - chance(
        shingles, config.reprint.n_perm, plan.n_reprint, plan.rows_reprint, least.min_jaccard_reprint
    )
    missed *= 1 - chance(
        terms, config.respun.n_perm, plan.n_respun, plan.rows_respun, least.min_jaccard_respun
    )
    stands_for = 1 / np.maximum(1 - missed, 1 / MOST_STOOD_FOR)
    all_there_are = len(confirmed) + len(uncertain) * float(np.mean(stands_for - 1))
    return Recall(round(len(confirmed) / all_there_are, 4), len(chosen))


def _sample(
    left: npt.NDArray[np.int32], right: npt.NDArray[np.int32], text_hash: npt.NDArray[np.uint64]
) -> npt.NDArray[np.int64]:
    """N_SAMPLED of the pairs, by index: which ones follows from their texts."""
    mixed = (text_hash[left] ^ text_hash[right]) * np.uint64(0x9E3779B97F4A7C15)
    return np.argsort(mixed, kind="stable")[:N_SAMPLED]


def _resemblance_of_rare_terms(
    left: npt.NDArray[np.int32], right: npt.NDArray[np.int32], signed: Sequence[Signed], statistics: Ref,
    config: Config,
) -> npt.NDArray[np.float64]:  # fmt: skip
    """Resemblance of what the re-spin view signs of each pair, exactly; float64 (n_pairs,)."""
    rows, place = np.unique(np.stack((left, right)), return_inverse=True)
    bags = _bags_of(rows, signed)
    values, indptr = RareTerms(TermStatistics.load(statistics), config.respun).elements(bags)
    found = np.zeros(len(left))
    for k, (i, j) in enumerate(place.reshape(2, -1).T.tolist()):
        of_l, of_r = (values[indptr[one] : indptr[one + 1]] for one in (i, j))
        n_shared = len(np.intersect1d(of_l, of_r, assume_unique=True))
        found[k] = n_shared / max(len(of_l) + len(of_r) - n_shared, 1)
    return found


def _bags_of(rows: npt.NDArray[np.int32], signed: Sequence[Signed]) -> Bags:
    """The bags of the articles of these rows, ascending."""
    parts: dict[str, list[npt.NDArray[Any]]] = {name: [np.zeros(0, t)] for name, t in BAG_TYPES.items()}
    for group in signed:
        arrays = group.bags.load()
        ends = arrays["term_ends"]
        begin, stop = np.searchsorted(rows, (group.first_row, group.first_row + len(ends)))
        for row in (rows[begin:stop] - group.first_row).tolist():
            own = slice(int(ends[row - 1]) if row else 0, int(ends[row]))
            for name in ("term_keys", "term_counts", "term_flags"):
                parts[name].append(arrays[name][own])
            parts["term_ends"].append(np.array([own.stop - own.start]))
            parts["lead_sizes"].append(arrays["lead_sizes"][row : row + 1])
    whole = {name: np.concatenate(arrays) for name, arrays in parts.items()}
    return Bags.of(whole | {"term_ends": np.cumsum(whole["term_ends"])})
