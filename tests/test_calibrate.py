"""`respun calibrate`: measures as in the run, folds without leaks, intervals against scipy, its file."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from command_line import ROOT, SAMPLE
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from texts import EXAMPLES

from flows.cli import cli
from pipeline import calibrate as under_test
from pipeline.calibrate import Measured, out_of_fold, pick, reached, reliability, rescale, wilson
from pipeline.config import Config
from pipeline.errors import InputError
from pipeline.evaluate import curve
from pipeline.executor import Silence
from pipeline.labelled_pairs import open_run, read_labels
from pipeline.measures import FEATURES
from pipeline.publish import current_run
from pipeline.rule import Additive, load_rule

PAIRS = ROOT / "data" / "sample" / "pairs.parquet"


def respun(*args: object):
    return CliRunner().invoke(cli, [str(arg) for arg in args])


def measured(n_groups: int, n: int = 120) -> Measured:
    rng = np.random.default_rng(4)
    same = rng.random(n) < 0.5
    features = rng.normal(0, 1, (n, 3)) + same[:, None]
    flags = np.zeros(n, bool), np.ones(n, bool)
    return Measured(features, same, rng.integers(0, n_groups, n), *flags)


@pytest.fixture(scope="module")
def calibrated(sample_run, tmp_path_factory) -> tuple[Path, str]:
    """The calibration file of the sample's own labels, and what the command printed."""
    path = tmp_path_factory.mktemp("calibrated") / "calibration-mine.json"
    done = respun("calibrate", "--labels", PAIRS, sample_run.run_dir, "--precision", 0.95, "--output", path)
    assert done.exit_code == 0, done.output
    return path, done.stdout


def test_the_measures_are_those_of_the_run(sample_run, tmp_path):
    """So the rule in use gives each pair the probability that the run gave it."""
    run = open_run(sample_run.run_dir)
    labels = read_labels(PAIRS, set(run.read("articles", ["article_id"])["article_id"].to_pylist()))
    config, in_use = Config.model_validate(run.manifest["config"]), load_rule(Config().calibration)
    found = under_test.measure(run, config, in_use, labels, tmp_path, Silence())
    probability = found.judged(in_use.confirm, np.arange(len(labels.pairs)))
    rows = run.rows_of("candidate_pairs", {pair.ids for pair in labels.pairs})
    compared = [at for at, pair in enumerate(labels.pairs) if pair.ids in rows]
    kept = [rows[labels.pairs[at].ids]["probability"] or 0.0 for at in compared]
    assert len(compared) > 100
    assert probability[compared].tolist() == kept


def test_the_run_stays_as_it_was(sample_run, tmp_path):
    def state():
        return {(p, p.stat().st_mtime_ns) for p in sample_run.run_dir.parents[1].rglob("*")}

    before = state()
    respun("calibrate", "--labels", PAIRS, sample_run.run_dir, "--output", tmp_path / "c.json")
    assert state() == before


def test_the_file_says_what_was_reached(calibrated):
    path, printed = calibrated
    rule = load_rule(str(path))
    fitted_on = rule.fitted_on
    assert rule.screen == load_rule(Config().calibration).screen
    assert rule.version == f"calibration-mine-{fitted_on['labels_sha256'][:8]}"
    assert (fitted_on["n_same"], fitted_on["n_different"]) == (127, 202)
    out = fitted_on["out_of_fold"]
    assert out["reached"]["threshold"] == rule.confirm.threshold
    assert out["reached"]["precision"]["value"] >= out["wanted_precision"] == 0.95
    assert out["reached"]["precision"]["low"] < 0.95 < out["reached"]["precision"]["high"]
    assert out["interval"].startswith("Wilson, 95%")
    assert sum(one["n_pairs"] for one in out["reliability"]) <= 329
    assert min(out["log_loss"], key=out["log_loss"].get) == fitted_on["method"]
    assert fitted_on["before"]["calibration"] == "calibration-6"
    assert f"{out['reached']['recall']['value']:.3f}" in printed


def test_it_is_the_same_again(calibrated, sample_run, tmp_path):
    path, _ = calibrated
    again = tmp_path / "again" / path.name
    output = sample_run.run_dir.parents[1]
    done = respun("calibrate", "--labels", PAIRS, output, "--precision", "0.95", "--output", again)
    assert done.exit_code == 0
    assert again.read_bytes() == path.read_bytes()


def test_a_run_can_use_it(calibrated, tmp_path):
    path, _ = calibrated
    config = tmp_path / "mine.toml"
    config.write_text(f'calibration = "{path}"\n', encoding="utf-8")
    done = respun("run", SAMPLE, "--output", tmp_path / "out", "--config", config, "--direct")
    assert done.exit_code == 0, done.stderr
    manifest = json.loads((current_run(tmp_path / "out") / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["calibration"] == load_rule(str(path)).version
    assert manifest["threshold"] == load_rule(str(path)).confirm.threshold


@EXAMPLES
@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_is_that_of_scipy(counts):
    expected = binomtest(*counts).proportion_ci(0.95, "wilson")
    found = wilson(*counts)
    np.testing.assert_allclose((found.low, found.high), (expected.low, expected.high), atol=1e-12)
    assert found.low <= found.value <= found.high


def test_of_nothing_nothing_is_known():
    assert wilson(0, 0) == under_test.Share(None, 0.0, 1.0)
    assert reached(np.zeros(3), np.array([True, False, False]), 0.0).precision.value is None


def test_no_fold_sees_its_own_group():
    pairs = measured(n_groups=9)
    seen = []

    def fit(features, is_same):
        seen.append({tuple(row) for row in features})
        knots, values = ((0.0, 1.0),) * 3, ((0.0, 0.0),) * 3
        return Additive(("a", "b", "c"), knots, values, 0.1 * len(seen), 0.5)

    probability = out_of_fold(pairs, fit)
    assert len(seen) == 5
    folds = np.round(np.log(probability / (1 - probability)) / 0.1).astype(int)
    for fold, trained_on in enumerate(seen, start=1):
        assert (folds == fold).any()
        inside = set(pairs.group[folds == fold])
        in_training = [tuple(row) in trained_on for row in pairs.features]
        assert not any(np.array(in_training)[np.isin(pairs.group, list(inside))])


@EXAMPLES
@given(st.lists(st.tuples(st.floats(0.001, 1), st.booleans()), min_size=1), st.floats(0.05, 1))
def test_the_threshold_has_the_precision_and_the_most_recall(pairs, wanted):
    probability, same = np.array([p for p, _ in pairs]), np.array([s for _, s in pairs])
    points = curve(probability, same)
    if not (points.precision >= wanted).any():
        with pytest.raises(InputError, match="precision: must be one that the labels reach"):
            pick(points, wanted)
        return
    found = reached(probability, same, pick(points, wanted))
    assert found.precision.value >= wanted
    if same.any():
        assert found.recall.value == max(points.recall[points.precision >= wanted])


def test_without_a_wanted_precision_f1_decides():
    points = curve(np.array([0.2, 0.4, 0.8]), np.array([False, True, True]))
    assert pick(points, None) == pytest.approx(0.3)
    with pytest.raises(InputError, match="screen"):
        pick(curve(np.zeros(2), np.array([True, False])), 0.9)


def test_rescaling_keeps_the_order():
    in_use = load_rule(Config().calibration).confirm
    rng = np.random.default_rng(3)
    features = rng.random((200, len(FEATURES)))
    before = in_use.probability(features)
    for same in (before > np.median(before), before < np.median(before)):  # the second contradicts the rule
        after = rescale(in_use, features, same).probability(features)
        order = np.argsort(before)
        assert (np.diff(after[order]) > -1e-4).all()


def test_reliability_by_hand():
    found = reliability(np.array([0.0, 0.31, 0.39, 1.0]), np.array([True, True, False, True]))
    assert [(one.begin, one.n_pairs, one.share_same) for one in found] == [(0.3, 2, 0.5), (0.9, 1, 1.0)]
    assert found[0].mean_probability == 0.35


def test_labels_that_cannot_be_folded_are_named():
    with pytest.raises(InputError, match="form 1"):
        out_of_fold(measured(n_groups=1), under_test.refit)
    pairs = measured(n_groups=2)
    split = Measured(pairs.features, pairs.is_same, pairs.is_same.astype(int), pairs.is_certain, pairs.passes)
    with pytest.raises(InputError, match="pairs of both labels"):
        out_of_fold(split, under_test.refit)


@pytest.mark.parametrize(("precision", "words"), [
    ("1.5", "precision: must be above 0 and at most 1, not 1.5"), ("0", "not 0.0"), ("nan", "not nan"),
])  # fmt: skip
def test_a_precision_that_cannot_be_is_one_line(precision, words, sample_run, tmp_path):
    out = tmp_path / "c.json"
    done = respun(
        "calibrate", "--labels", PAIRS, sample_run.run_dir, "--precision", precision, "--output", out
    )
    assert done.exit_code == 2
    assert words in done.stderr.splitlines()[-1]
    assert not out.exists()


def test_too_few_labels_are_one_line(sample_run, tmp_path):
    rows = [row for row in pq.read_table(PAIRS).to_pylist() if row["label"] >= 0]
    few = [*(r for r in rows if r["label"] == 1), *[r for r in rows if r["label"] == 0][:19]]
    labels = tmp_path / "l.parquet"
    pq.write_table(pa.Table.from_pylist(few), labels)
    out = tmp_path / "c.json"
    done = respun("calibrate", "--labels", labels, sample_run.run_dir, "--output", out)
    assert done.exit_code == 2
    assert done.stderr.splitlines()[-1].endswith("at least 20 pairs must have label 0, 19 have")


def test_a_run_without_texts_is_one_line(sample_run, tmp_path):
    run_dir = shutil.copytree(sample_run.run_dir, tmp_path / "run")
    (run_dir / "texts.parquet").unlink()
    done = respun("calibrate", "--labels", PAIRS, run_dir, "--output", tmp_path / "c.json")
    assert done.exit_code == 2
    assert done.stderr.splitlines()[-1].endswith("has none, was made with keep_texts = false")


def test_a_run_with_other_keys_is_one_line(sample_run, tmp_path):
    run_dir = shutil.copytree(sample_run.run_dir, tmp_path / "run")
    manifest = json.loads((run_dir / "manifest.json").read_text(encoding="utf-8"))
    manifest["config"]["from_the_future"] = 1
    (run_dir / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    done = respun("calibrate", "--labels", PAIRS, run_dir, "--output", tmp_path / "c.json")
    assert done.exit_code == 2
    assert "must be of this version of respun" in done.stderr.splitlines()[-1]
