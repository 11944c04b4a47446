"""The fitted rule: a logistic regression over `measures.FEATURES`, kept as a versioned calibration file."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from pipeline.config import shipped_file
from pipeline.errors import ConfigError
from pipeline.measures import FEATURES


@dataclass(frozen=True)
class Rule:
    """probability = 1 / (1 + exp(-(intercept + sum of weight * (feature - mean) / scale))).

    `threshold` is the probability from which a pair is confirmed; `fitted_on` says on what the rule was
    fitted and what it reached there, out of fold.
    """

    version: str
    features: tuple[str, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    weight: tuple[float, ...]
    intercept: float
    threshold: float
    fitted_on: dict[str, Any]

    def contributions(self, features: np.ndarray) -> np.ndarray:
        """Each feature's share of the log-odds, float64 (n, n_features)."""
        return np.asarray((features - np.array(self.mean)) / np.array(self.scale) * np.array(self.weight))

    def probability(self, features: np.ndarray) -> np.ndarray:
        """float64 (n,) from features float64 (n, n_features)."""
        log_odds = self.contributions(features).sum(axis=1) + self.intercept
        return np.asarray(1 / (1 + np.exp(-log_odds)))

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")


def load_rule(name: str) -> Rule:
    """The calibration file of that path, or of that name among those shipped. Raises ConfigError."""
    path = shipped_file(name, ".json")
    if path is None:
        raise ConfigError(f"calibration: must be a calibration file, not found: {name}")
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        rule = Rule(**{key: tuple(value) if isinstance(value, list) else value for key, value in kept.items()})
    except (ValueError, TypeError, AttributeError) as error:
        raise ConfigError(f"calibration {path}: must be a calibration file: {error}") from None
    if rule.features != FEATURES:
        raise ConfigError(f"calibration {path}: must weigh {', '.join(FEATURES)}, weighs {', '.join(rule.features)}")
    return rule


def fit(features: np.ndarray, is_same: np.ndarray, weight: np.ndarray, c: float = 1.0) -> tuple[
    StandardScaler, LogisticRegression
]:
    """scikit-learn's scaler and regression, fitted; arrays (n, n_features), (n,) and (n,)."""
    scaler = StandardScaler().fit(features)
    model = LogisticRegression(C=c, max_iter=5000)
    return scaler, model.fit(scaler.transform(features), is_same, sample_weight=weight)
