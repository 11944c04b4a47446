"""The rule against scikit-learn's own regression; its file, and what is wrong with other files."""

from __future__ import annotations

import bisect
import json
import math
from dataclasses import asdict, replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from texts import EXAMPLES

from pipeline import rule
from pipeline.config import Config
from pipeline.errors import ConfigError
from pipeline.measures import FEATURES, MOST_FALLS, TERM_FEATURES, directions
from pipeline.rule import N_KNOTS, PENALTY, Additive, Rule, load_rule


def sample(seed: int, n_features: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    features = rng.normal(rng.normal(0, 3, n_features), rng.uniform(0.1, 4, n_features), (120, n_features))
    is_same = features @ rng.normal(0, 1, n_features) + rng.normal(0, 1, 120) > 0
    return features, is_same, rng.uniform(0.1, 2, 120)


BY_HAND = Additive(
    features=("a", "b"),
    knots=((0.0, 1.0, 3.0), (-1.0, 1.0)),
    values=((-1.0, 2.0, 0.0), (0.5, -0.5)),
    intercept=0.25,
    threshold=0.5,
)


def test_contributions_by_hand():
    """On the knots, between them, and level beyond the outermost."""
    features = np.array([[0, -1], [1, 1], [0.5, 0], [2, 0.5], [-7, -7], [1e9, 1e9]])
    expected = [[-1, 0.5], [2, -0.5], [0.5, 0], [1, -0.25], [-1, 0.5], [0, -0.5]]
    found = BY_HAND.contributions(features)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected)
    log_odds = [sum(row) + 0.25 for row in expected]
    np.testing.assert_allclose(BY_HAND.probability(features), [1 / (1 + math.exp(-x)) for x in log_odds])


def test_of_no_pairs_there_are_no_contributions():
    assert BY_HAND.contributions(np.zeros((0, 2))).shape == (0, 2)
    assert BY_HAND.probability(np.zeros((0, 2))).shape == (0,)


@EXAMPLES
@given(st.data())
def test_a_curve_is_the_line_between_the_knots_around(data):
    numbers = st.floats(-50, 50, width=32)
    knots = sorted(data.draw(st.lists(numbers, min_size=2, max_size=6, unique=True)))
    values = data.draw(st.lists(numbers, min_size=len(knots), max_size=len(knots)))
    curve = Additive(("x",), (tuple(knots),), (tuple(values),), 0.0, 0.5)
    x = data.draw(st.lists(st.floats(-60, 60), min_size=1, max_size=8))
    for at, found in zip(x, curve.contributions(np.array(x)[:, None])[:, 0].tolist(), strict=True):
        after = bisect.bisect_right(knots, at)
        if after in (0, len(knots)):
            expected = values[0] if after == 0 else values[-1]
        else:
            part = (at - knots[after - 1]) / (knots[after] - knots[after - 1])
            expected = values[after - 1] + part * (values[after] - values[after - 1])
        assert found == pytest.approx(expected, rel=1e-6, abs=1e-6)


def steps_of(features: np.ndarray, knots: np.ndarray) -> np.ndarray:
    """How far a feature has come from each knot to the next, one by one."""
    rows = []
    for pair in features.tolist():
        row = []
        for x, own in zip(pair, knots.T.tolist(), strict=True):
            row += [min(max((x - low) / (high - low), 0), 1) for low, high in pairwise(own)]
        rows.append(row)
    return np.array(rows)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 8))
def test_without_directions_the_probability_is_scikit_learns(seed, n_features):
    features, is_same, weight = sample(seed, n_features)
    if len(set(is_same.tolist())) == 1:
        return
    names = FEATURES[:n_features]
    fitted = rule.fit(names, (0,) * n_features, features, is_same, weight, 0.5)
    # Evenly over what each feature reaches, rounded as in the file.
    knots = np.array([np.linspace(x.min(), x.max(), N_KNOTS) for x in features.T]).T.round(6)
    np.testing.assert_array_equal(np.array(fitted.knots).T, knots)
    model = LogisticRegression(C=1 / PENALTY, max_iter=5000, tol=1e-8)
    model.fit(steps_of(features, knots), is_same, sample_weight=weight)
    # What the rule has not seen, beyond its knots too, as well as what it has.
    unseen = features.mean(axis=0) + 3 * (features - features.mean(axis=0))
    for pairs in (features, unseen):
        # The file's numbers are rounded to six digits.
        expected = model.predict_proba(steps_of(pairs, knots))[:, 1]
        np.testing.assert_allclose(fitted.probability(pairs), expected, atol=1e-4)


@pytest.mark.parametrize(("name", "odds"), [("days_late", 20), ("same_source", 3)])
def test_a_bounded_curve_falls_no_further_and_nothing_else_makes_up_for_it(name, odds):
    rng = np.random.default_rng(5)
    is_same, weight = rng.random(600) < 0.5, np.full(600, 10.0)
    against = np.where(is_same, 0, rng.random(600))  # none of the same has any of it
    features = np.column_stack((rng.normal(is_same, 1), rng.normal(size=600), against))
    free = rule.fit(("cosine", "names_of_own", "numbers_of_own"), (0, 0, -1), features, is_same, weight, 0.5)
    bound = rule.fit(("cosine", "names_of_own", name), (0, 0, -1), features, is_same, weight, 0.5)

    def from_their_beginnings(fitted: Additive) -> np.ndarray:
        curves = np.array(fitted.values)
        return np.append(curves - curves[:, :1], fitted.intercept + curves[:, 0].sum())

    expected = from_their_beginnings(free)
    curve = expected[2 * N_KNOTS : 3 * N_KNOTS]
    assert curve[-1] < -np.log(odds)
    curve[:] = np.maximum(curve, -np.log(odds))
    np.testing.assert_allclose(from_their_beginnings(bound), expected, atol=1e-5)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31), st.lists(st.sampled_from((-1, 0, 1)), min_size=1, max_size=6))
def test_curves_keep_their_directions_and_nothing_within_them_fits_better(seed, directions):
    features, is_same, weight = sample(seed, len(directions))
    if len(set(is_same.tolist())) == 1:
        return
    names = FEATURES[: len(directions)]
    fitted = rule.fit(names, directions, features, is_same, weight, 0.5)
    rises = np.diff(np.array(fitted.values), axis=1)
    for way, own in zip(directions, rises, strict=True):
        assert (own * way >= 0).all()
    steps = steps_of(features, np.array(fitted.knots).T)
    start = fitted.intercept + sum(own[0] for own in fitted.values)

    def loss(rises: np.ndarray, start: float) -> float:
        log_odds = steps @ rises.ravel() + start
        own = np.logaddexp(0, -np.where(is_same, 1, -1) * log_odds)
        return float(weight @ own + PENALTY / 2 * (rises**2).sum())

    least = loss(rises, start)
    rng = np.random.default_rng(seed)
    for size in (1e-2, 1e-1, 1):
        moved = rises + size * rng.normal(0, 1, rises.shape)
        for k, way in enumerate(directions):
            moved[k] = np.clip(moved[k], 0 if way > 0 else None, 0 if way < 0 else None)
        assert loss(moved, start + size * rng.normal()) > least - 1e-3


def test_contributions_add_up_to_the_log_odds():
    features, is_same, weight = sample(4, 5)
    fitted = rule.fit(FEATURES[:5], (0,) * 5, features, is_same, weight, 0.5)
    contributions = fitted.contributions(features)
    log_odds = contributions.sum(axis=1) + fitted.intercept
    np.testing.assert_allclose(fitted.probability(features), 1 / (1 + np.exp(-log_odds)))
    # A feature adds nothing on the mean: what all pairs have in common is the intercept.
    np.testing.assert_allclose(np.average(contributions, axis=0, weights=weight), 0, atol=1e-5)


def test_what_can_be_told_apart_is_told_apart():
    """By a line, and by a band in the middle, which no line could."""
    rng = np.random.default_rng(6)
    features = rng.uniform(0, 1, (400, 2))
    ones = np.ones(400)
    for is_same in (features[:, 0] > 0.5, np.abs(features[:, 1] - 0.5) < 0.2):
        fitted = rule.fit(("a", "b"), (0, 0), features, is_same, ones, 0.5)
        assert ((fitted.probability(features) > 0.5) == is_same).mean() > 0.95


def test_weight_counts_as_pairs():
    """A pair of weight 3 is three pairs, one of weight 0 none."""
    features, is_same, _ = sample(8, 3)
    features[0], features[-1] = features.min(axis=0), features.max(axis=0)  # the same knots without the rest
    times = np.random.default_rng(8).integers(0, 4, len(features))
    times[[0, -1]] = 1
    weighed = rule.fit(FEATURES[:3], (0,) * 3, features, is_same, times.astype(float), 0.5)
    rows = np.repeat(np.arange(len(features)), times)
    repeated = rule.fit(FEATURES[:3], (0,) * 3, features[rows], is_same[rows], np.ones(len(rows)), 0.5)
    assert weighed.knots == repeated.knots
    np.testing.assert_allclose(weighed.probability(features), repeated.probability(features), atol=1e-3)


@pytest.mark.parametrize("spread", [0.0, 1e-12, 1e-6, 2e-5])
def test_a_feature_that_hardly_varies_says_nothing_and_breaks_nothing(spread):
    """Its knots rise all the same, and every other feature is judged as before."""
    features, is_same, weight = sample(4, 2)
    flat = 0.75 + spread * np.linspace(0, 1, len(features))
    fitted = rule.fit(("a", "b", "c"), (0, 0, 0), np.column_stack((features, flat)), is_same, weight, 0.5)
    assert all((np.diff(own) > 0).all() for own in fitted.knots)
    without = rule.fit(("a", "b"), (0, 0), features, is_same, weight, 0.5)
    found = fitted.probability(np.column_stack((features, flat)))
    assert np.isfinite(found).all()
    if spread < 1e-5:
        np.testing.assert_allclose(found, without.probability(features), atol=1e-3)
        np.testing.assert_allclose(
            fitted.contributions(np.column_stack((features, flat)))[:, 2], 0, atol=1e-3
        )


@pytest.fixture(scope="module")
def fitted() -> Rule:
    parts = [
        rule.fit(names, directions(names), *sample(len(names), len(names)), 0.25)
        for names in (TERM_FEATURES, FEATURES)
    ]
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
    assert 0 < shipped.screen.threshold < 1
    assert 0 < shipped.confirm.threshold < 1
    for name, most in MOST_FALLS.items():
        curve = shipped.confirm.values[shipped.confirm.features.index(name)]
        assert 0 < curve[0] - min(curve) < most + 1e-5


def changed(fitted: Rule, part: str, **values) -> str:
    return json.dumps(asdict(replace(fitted, **{part: replace(getattr(fitted, part), **values)})))


def without(fitted: Rule, part: str, key: str | None) -> str:
    """A part that lacks a key; or, for None, has one more."""
    kept = asdict(fitted)
    kept[part] = {k: v for k, v in kept[part].items() if k != key} | ({} if key else {"mean": 1})
    return json.dumps(kept)


def of_first(fitted: Rule, **values) -> str:
    """Other knots or values for the screen's first feature."""
    return changed(fitted, "screen", **{k: (v, *getattr(fitted.screen, k)[1:]) for k, v in values.items()})


BAD = {
    "no JSON": (lambda r: "{", "must be a calibration file"),
    "no object": (lambda r: "[1, 2]", "must have the keys"),
    "not UTF-8": (lambda r: b"\xff\xfe", "must be a calibration file"),
    "empty": (lambda r: "", "must be a calibration file"),
    "a key too few": (lambda r: json.dumps({"version": "x"}), "confirm, fitted_on, screen, version"),
    "a key too many": (lambda r: json.dumps(asdict(r) | {"extra": 1}), "must have the keys"),
    "other features": (lambda r: changed(r, "screen", features=("a", "b")), "screen must weigh cosine"),
    "features that are no list": (lambda r: changed(r, "screen", features=3), "must be a calibration file"),
    "features in another order": (
        lambda r: changed(r, "confirm", features=(*r.confirm.features[1:], r.confirm.features[0])),
        "confirm must weigh cosine",
    ),
    "a part with a key too few": (lambda r: without(r, "screen", "knots"), "screen must have the keys"),
    "a part with a key too many": (lambda r: without(r, "confirm", None), "confirm must have the keys"),
    "a part that is no object": (
        lambda r: json.dumps(asdict(r) | {"screen": [1]}),
        "screen must have the keys",
    ),
    "a curve too few": (
        lambda r: changed(r, "confirm", values=r.confirm.values[1:]),
        f"for {len(FEATURES)} features",
    ),
    "knots for a curve too few": (
        lambda r: changed(r, "screen", knots=r.screen.knots[1:]),
        f"for {len(TERM_FEATURES)} features",
    ),
    "curves and knots for a feature too few": (
        lambda r: changed(r, "screen", knots=r.screen.knots[1:], values=r.screen.values[1:]),
        f"for {len(TERM_FEATURES)} features",
    ),
    "a value too few": (lambda r: of_first(r, values=r.screen.values[0][1:]), "as many values"),
    "a knot too few": (lambda r: of_first(r, knots=r.screen.knots[0][1:]), "as many values"),
    "one knot alone": (lambda r: of_first(r, knots=(0.5,), values=(1.0,)), "two knots or more"),
    "no knot": (lambda r: of_first(r, knots=(), values=()), "two knots or more"),
    "a number for a curve": (lambda r: of_first(r, values=3.0), "must be a calibration file"),
    "text for a value": (
        lambda r: of_first(r, knots=(0, 1), values=("low", "high")),
        "must be a calibration file",
    ),
    "a knot twice": (lambda r: of_first(r, knots=(0, 1, 1), values=(0, 1, 2)), "knots that rise"),
    "knots that fall": (lambda r: of_first(r, knots=(1, 0), values=(0, 1)), "knots that rise"),
    "a value that is not finite": (
        lambda r: of_first(r, knots=(0, 1), values=(0, math.inf)),
        "finite numbers",
    ),
    "a knot that is not finite": (
        lambda r: of_first(r, knots=(0, math.nan), values=(0, 1)),
        "finite numbers",
    ),
    "an infinite intercept": (lambda r: changed(r, "confirm", intercept=-math.inf), "finite numbers"),
    "text for a number": (lambda r: changed(r, "screen", intercept="high"), "must be a calibration file"),
    "not finite": (lambda r: changed(r, "screen", intercept=float("nan")), "finite numbers"),
    "a threshold below 0": (lambda r: changed(r, "screen", threshold=-0.1), "screen.threshold must be 0..1"),
    "no threshold": (lambda r: changed(r, "screen", threshold=math.nan), "screen.threshold must be 0..1"),
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
