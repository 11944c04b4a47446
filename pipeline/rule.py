"""The fitted rule: two logistic regressions over `measures`, kept as a versioned calibration file."""

import json
import math
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from pipeline.config import shipped_file
from pipeline.errors import ConfigError
from pipeline.measures import FEATURES, TERM_FEATURES


@dataclass(frozen=True)
class Logistic:
    """probability = 1 / (1 + exp(-(intercept + sum of weight * (feature - mean) / scale))).

    One entry per feature in `features`, `mean`, `scale` and `weight`; `threshold` 0..1.
    """

    features: tuple[str, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    weight: tuple[float, ...]
    intercept: float
    threshold: float

    def contributions(self, features: np.ndarray) -> np.ndarray:
        """Each feature's share of the log-odds, float64 (n, n_features)."""
        return np.asarray((features - np.array(self.mean)) / np.array(self.scale) * np.array(self.weight))

    def probability(self, features: np.ndarray) -> np.ndarray:
        """float64 (n,) from features float64 (n, n_features)."""
        log_odds = self.contributions(features).sum(axis=1) + self.intercept
        return np.asarray(1 / (1 + np.exp(-log_odds)))


@dataclass(frozen=True)
class Rule:
    """A calibration: `confirm` gives a pair its probability, from its threshold on the pair is confirmed.

    `screen` sees the terms alone; pairs under its threshold are not measured further. `fitted_on` says on
    what the rule was fitted and what it reached there, out of fold.
    """

    version: str
    screen: Logistic
    confirm: Logistic
    fitted_on: dict[str, Any]

    def save(self, path: Path) -> None:
        """Write the calibration file."""
        path.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")


def load_rule(name: str) -> Rule:
    """The calibration file of that path, or of that name among those shipped. Raises ConfigError."""
    path = shipped_file(name, ".json")
    if path is None:
        raise ConfigError(f"calibration: must be a calibration file, not found: {name}")
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        _require_keys(kept, Rule, "file")
        screen, confirm = _logistic(kept, "screen", TERM_FEATURES), _logistic(kept, "confirm", FEATURES)
        return Rule(kept["version"], screen, confirm, kept["fitted_on"])
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(f"calibration {path}: must be a calibration file: {error}") from None


def _logistic(kept: dict[str, Any], part: str, names: tuple[str, ...]) -> Logistic:
    """Raises ValueError or TypeError where the part is not a regression over `names`."""
    values = kept[part]
    _require_keys(values, Logistic, part)
    if tuple(values["features"]) != names:
        weighed = ", ".join(map(str, values["features"]))
        raise ValueError(f"{part} must weigh {', '.join(names)}, weighs {weighed}")
    mean, scale, weight = (tuple(map(float, values[key])) for key in ("mean", "scale", "weight"))
    found = Logistic(names, mean, scale, weight, float(values["intercept"]), float(values["threshold"]))
    if {len(mean), len(scale), len(weight)} != {len(names)}:
        raise ValueError(f"{part} must have a mean, scale and weight for each of {len(names)} features")
    finite = all(map(math.isfinite, (*mean, *weight, found.intercept)))
    if not finite or not all(0 < value < math.inf for value in scale):
        raise ValueError(f"{part} must hold finite numbers, and scales above 0")
    if not 0 <= found.threshold <= 1:
        raise ValueError(f"{part}.threshold must be 0..1, not {found.threshold}")
    return found


def _require_keys(kept: object, model: type[Rule] | type[Logistic], where: str) -> None:
    names = {field.name for field in fields(model)}
    if not isinstance(kept, dict) or kept.keys() != names:
        raise ValueError(f"{where} must have the keys {', '.join(sorted(names))}")


def fit(
    names: tuple[str, ...], features: np.ndarray, is_same: np.ndarray, weight: np.ndarray, threshold: float
) -> Logistic:
    """scikit-learn's logistic regression over standardised features (n, n_features), rounded to 6 digits."""
    scaler = StandardScaler().fit(features)
    model = LogisticRegression(max_iter=5000).fit(scaler.transform(features), is_same, sample_weight=weight)
    mean, scale, weights = (
        tuple(round(float(v), 6) for v in values) for values in (scaler.mean_, scaler.scale_, model.coef_[0])
    )
    return Logistic(names, mean, scale, weights, round(float(model.intercept_[0]), 6), threshold)
