"""The fitted rule: two additive logistic regressions over `measures`, kept as a versioned calibration file.

Each feature has a curve: what it adds to the log-odds, linear between knots and level beyond the outermost
(a generalised additive model, Hastie & Tibshirani 1986, with linear splines). So what a pair owes to each
feature can be told one by one. A curve may only rise, or only fall, where the feature's meaning says so
(shape constraints, Pya & Wood 2015): what two articles share never counts against them.
"""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import lsq_linear

from pipeline.config import shipped_file
from pipeline.errors import ConfigError
from pipeline.measures import FEATURES, MOST_FALLS, TERM_FEATURES

# Knots of a curve, and the penalty on the squares of its steps from knot to knot: 5 and 6 knots, and
# penalties of 0.3 and 1, differed by 0.005 in F1 or less on the development benchmark
# (`benchmarks/fit_rule.py`).
N_KNOTS, PENALTY = 6, 1.0
# The fit has come close enough when a step gains less than this share of the loss; that takes some 15 steps.
CLOSE, MAX_STEPS, LEAST_SCALE, TRIFLE = 1e-9, 100, 1e-6, 1e-9


@dataclass(frozen=True)
class Additive:
    """probability = 1 / (1 + exp(-(intercept + sum of the features' curves))).

    One entry per feature in `features`, `knots` and `values`: the curve goes through (knot, value), is linear
    between two knots and level outside. `threshold` 0..1.
    """

    features: tuple[str, ...]
    knots: tuple[tuple[float, ...], ...]
    values: tuple[tuple[float, ...], ...]
    intercept: float
    threshold: float

    def contributions(self, features: np.ndarray) -> np.ndarray:
        """What each feature adds to the log-odds, float64 (n, n_features)."""
        return np.column_stack(list(self._curves(features)))

    def probability(self, features: np.ndarray) -> np.ndarray:
        """float64 (n,) from features float64 (n, n_features)."""
        # Added up one by one: a lot of pairs has as many megabytes of contributions as it has features.
        log_odds = np.full(len(features), self.intercept)
        for curve in self._curves(features):
            log_odds += curve
        return np.asarray(1 / (1 + np.exp(-log_odds)))

    def _curves(self, features: np.ndarray) -> Iterator[np.ndarray]:
        for column, knots, values in zip(features.T, self.knots, self.values, strict=True):
            yield np.interp(column, knots, values)


@dataclass(frozen=True)
class Rule:
    """A calibration: `confirm` gives a pair its probability, from its threshold on the pair is confirmed.

    `screen` sees the terms alone; pairs under its threshold are not measured further. `fitted_on` says on
    what the rule was fitted and what it reached there, out of fold.
    """

    version: str
    screen: Additive
    confirm: Additive
    fitted_on: dict[str, Any]

    def save(self, path: Path) -> None:
        """Write the calibration file."""
        path.write_text(self.to_json(), encoding="utf-8")

    def to_json(self) -> str:
        """The content of the calibration file."""
        return json.dumps(asdict(self), indent=1) + "\n"


def load_rule(name: str) -> Rule:
    """The calibration file of that path, or of that name among those shipped. Raises ConfigError."""
    path = shipped_file(name, ".json")
    if path is None:
        raise ConfigError(f"calibration: must be a calibration file, not found: {name}")
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        _require_keys(kept, Rule, "file")
        screen, confirm = _additive(kept, "screen", TERM_FEATURES), _additive(kept, "confirm", FEATURES)
        return Rule(kept["version"], screen, confirm, kept["fitted_on"])
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(f"calibration {path}: must be a calibration file: {error}") from None


def _additive(kept: dict[str, Any], part: str, names: tuple[str, ...]) -> Additive:
    """Raises ValueError or TypeError where the part is not a regression over `names`."""
    values = kept[part]
    _require_keys(values, Additive, part)
    if tuple(values["features"]) != names:
        weighed = ", ".join(map(str, values["features"]))
        raise ValueError(f"{part} must weigh {', '.join(names)}, weighs {weighed}")
    knots, curves = (tuple(tuple(map(float, one)) for one in values[key]) for key in ("knots", "values"))
    found = Additive(names, knots, curves, float(values["intercept"]), float(values["threshold"]))
    if {len(knots), len(curves)} != {len(names)} or any(
        len(own) != len(curve) or len(own) < 2 for own, curve in zip(knots, curves, strict=True)
    ):
        raise ValueError(f"{part} must have two knots or more, and as many values, for {len(names)} features")
    finite = all(math.isfinite(v) for own in (*knots, *curves) for v in own)
    if not (finite and math.isfinite(found.intercept)) or any((np.diff(own) <= 0).any() for own in knots):
        raise ValueError(f"{part} must hold finite numbers, and knots that rise")
    if not 0 <= found.threshold <= 1:
        raise ValueError(f"{part}.threshold must be 0..1, not {found.threshold}")
    return found


def _require_keys(kept: object, model: type[Rule] | type[Additive], where: str) -> None:
    names = {field.name for field in fields(model)}
    if not isinstance(kept, dict) or kept.keys() != names:
        raise ValueError(f"{where} must have the keys {', '.join(sorted(names))}")


def fit(
    names: tuple[str, ...], directions: Sequence[int], features: np.ndarray, is_same: np.ndarray,
    weight: np.ndarray, threshold: float,
) -> Additive:  # fmt: skip
    """Penalised logistic regression over linear splines of the features (n, n_features).

    `directions` of each feature: 1 where its curve may not fall, -1 where it may not rise, 0 where it may
    do both. `is_same` (bool) and `weight` are of each pair. Curves are cut off where they have fallen by
    their MOST_FALLS. Numbers are rounded to 6 digits; a curve's mean over the pairs, by weight, is in the
    intercept.
    """
    lowest, highest = features.min(axis=0), features.max(axis=0)
    # A feature that is the same everywhere says nothing, but its knots must rise.
    knots = np.linspace(lowest, np.where(highest > lowest + 1e-5, highest, lowest + 1), N_KNOTS).round(6)
    ways = np.repeat(np.array(directions), N_KNOTS - 1)
    lowest_steps = np.append(-np.inf, np.where(ways > 0, 0, -np.inf))
    highest_steps = np.append(np.inf, np.where(ways < 0, 0, np.inf))
    steps = _steps(features, knots)
    found = _least_loss(steps, is_same.astype(np.float64), weight, lowest_steps, highest_steps)
    rises = found[1:].reshape(len(names), N_KNOTS - 1)
    values = np.concatenate((np.zeros((len(names), 1)), np.cumsum(rises, axis=1)), axis=1)
    # After the fit: within it, other curves would make up for what this one may not say.
    values = np.maximum(values, [[-MOST_FALLS.get(name, math.inf)] for name in names])
    curves = zip(features.T, knots.T, values, strict=True)
    means = np.array([np.average(np.interp(x, own, curve), weights=weight) for x, own, curve in curves])
    return Additive(
        names,
        tuple(tuple(own) for own in knots.T.tolist()),
        tuple(tuple(curve) for curve in (values - means[:, None]).round(6).tolist()),
        round(float(found[0] + means.sum()), 6),
        threshold,
    )


def _steps(features: np.ndarray, knots: np.ndarray) -> np.ndarray:
    """How much of each step from knot to knot lies under a feature, 0..1, (n, n_features * (n_knots - 1))."""
    widths = np.diff(knots, axis=0)
    parts = (features[:, None, :] - knots[None, :-1, :]) / widths
    return np.ascontiguousarray(np.clip(parts, 0, 1).transpose(0, 2, 1).reshape(len(features), -1))


def _least_loss(
    steps: np.ndarray, is_same: np.ndarray, weight: np.ndarray, lowest: np.ndarray, highest: np.ndarray
) -> np.ndarray:
    """Intercept and the height of each step: the least weighted log loss and penalty within the bounds.

    By Newton's method with bounds (Bertsekas 1982): each time the quadratic that fits the loss best is solved
    within the bounds, and the way there is halved until the loss falls.
    """
    penalty = np.append(0.0, np.full(steps.shape[1], PENALTY))

    def loss(at: np.ndarray) -> float:
        log_odds = steps @ at[1:] + at[0]
        return float(weight @ (np.logaddexp(0, log_odds) - is_same * log_odds) + penalty @ at**2 / 2)

    heights = np.zeros(steps.shape[1] + 1)
    value = loss(heights)
    for _ in range(MAX_STEPS):
        probability = 1 / (1 + np.exp(-(steps @ heights[1:] + heights[0])))
        pull = weight * (probability - is_same)
        slope = np.append(pull.sum(), steps.T @ pull) + penalty * heights
        root = np.linalg.cholesky(_curvature(steps, weight * probability * (1 - probability), penalty)).T
        goal = root @ heights - np.linalg.solve(root.T, slope)
        way = lsq_linear(root, goal, (lowest, highest), method="bvls").x - heights
        reached, scale = loss(heights + way), 1.0
        while reached > value and scale > LEAST_SCALE:
            scale /= 2
            reached = loss(heights + scale * way)
        if reached > value:
            break
        heights, gained, value = heights + scale * way, value - reached, reached
        if gained <= CLOSE * value:
            break
    return heights


def _curvature(steps: np.ndarray, bend: np.ndarray, penalty: np.ndarray) -> np.ndarray:
    """Second derivatives of the loss, (n_steps + 1,) squared; `bend` is each pair's."""
    pulled = steps.T @ bend
    around = np.empty((len(penalty), len(penalty)))
    around[0, 0] = bend.sum()
    around[0, 1:] = around[1:, 0] = pulled
    around[1:, 1:] = (steps.T * bend) @ steps
    # A trifle more, so that it can be inverted where all pairs are beyond doubt.
    return around + np.diag(penalty + TRIFLE)
