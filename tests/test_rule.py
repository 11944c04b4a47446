"""The rule against scikit-learn's own regression; its file, and what is wrong with other files."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pipeline import rule
from pipeline.config import Config
from pipeline.errors import ConfigError
from pipeline.measures import FEATURES, TERM_FEATURES
from pipeline.rule import Rule, load_rule


def sample(seed: int, n_features: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    features = rng.normal(rng.normal(0, 3, n_features), rng.uniform(0.1, 4, n_features), (120, n_features))
    is_same = features @ rng.normal(0, 1, n_features) + rng.normal(0, 1, 120) > 0
    return features, is_same, rng.uniform(0.1, 2, 120)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, len(FEATURES)))
def test_probability_is_scikit_learns(seed, n_features):
    features, is_same, weight = sample(seed, n_features)
    if len(set(is_same.tolist())) == 1:
        return
    fitted = rule.fit(FEATURES[:n_features], features, is_same, weight, 0.5)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000))
    model.fit(features, is_same, logisticregression__sample_weight=weight)
    expected = model.predict_proba(features)[:, 1]
    # The file's numbers are rounded to six digits.
    np.testing.assert_allclose(fitted.probability(features), expected, atol=1e-4)


def test_contributions_add_up_to_the_log_odds():
    features, is_same, weight = sample(4, 5)
    fitted = rule.fit(FEATURES[:5], features, is_same, weight, 0.5)
    log_odds = fitted.contributions(features).sum(axis=1) + fitted.intercept
    np.testing.assert_allclose(fitted.probability(features), 1 / (1 + np.exp(-log_odds)))


@pytest.fixture
def fitted() -> Rule:
    parts = [rule.fit(names, *sample(len(names), len(names)), 0.25) for names in (TERM_FEATURES, FEATURES)]
    return Rule("mine-2", *parts, {"corpus_sha256": "ab", "out_of_fold": {"pairs": {"precision": 0.99}}})


def test_a_file_gives_back_the_rule(fitted, tmp_path):
    fitted.save(tmp_path / "mine.json")
    assert load_rule(str(tmp_path / "mine.json")) == fitted


def test_the_shipped_rule_is_found_by_name_and_says_what_it_was_fitted_on():
    name = Config().calibration
    shipped = load_rule(name)
    assert load_rule(name.removesuffix(".json")) == shipped
    assert shipped.version == name.removesuffix(".json")
    assert {"corpus_sha256", "n_pairs", "out_of_fold"} <= shipped.fitted_on.keys()
    assert shipped.screen.threshold < shipped.confirm.threshold


def changed(fitted: Rule, part: str, **values) -> str:
    return json.dumps(asdict(replace(fitted, **{part: replace(getattr(fitted, part), **values)})))


BAD = {
    "no JSON": (lambda r: "{", "must be a calibration file"),
    "no object": (lambda r: "[1, 2]", "must have the keys"),
    "not UTF-8": (lambda r: b"\xff\xfe", "must be a calibration file"),
    "empty": (lambda r: "", "must be a calibration file"),
    "a key too few": (lambda r: json.dumps({"version": "x"}), "confirm, fitted_on, screen, version"),
    "a key too many": (lambda r: json.dumps(asdict(r) | {"extra": 1}), "must have the keys"),
    "other features": (lambda r: changed(r, "screen", features=("a", "b")), "screen must weigh cosine"),
    "features that are no list": (lambda r: changed(r, "screen", features=3), "must be a calibration file"),
    "a weight too few": (
        lambda r: changed(r, "confirm", weight=r.confirm.weight[1:]),
        "for each of 14 features",
    ),
    "text for a number": (lambda r: changed(r, "screen", intercept="high"), "must be a calibration file"),
    "not finite": (lambda r: changed(r, "screen", intercept=float("nan")), "finite numbers"),
    "a scale of 0": (lambda r: changed(r, "confirm", scale=(0.0, *r.confirm.scale[1:])), "scales above 0"),
    "a threshold of 2": (lambda r: changed(r, "confirm", threshold=2), "confirm.threshold must be 0..1"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_an_error_of_one_line_that_names_it(case, fitted, tmp_path):
    make, expected = BAD[case]
    content = make(fitted)
    path = tmp_path / "bad.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError) as error:
        load_rule(str(path))
    message = str(error.value)
    assert message.startswith(f"calibration {path}: ")
    assert expected in message
    assert "\n" not in message


def test_a_missing_file_is_an_error():
    with pytest.raises(ConfigError, match="not found: nowhere"):
        load_rule("nowhere")
