"""The rule fitted anew on labelled pairs of a run, and the threshold that reaches a wanted precision.

The measures of the pairs are computed again over the run's texts, by the run's own stages and configuration:
they are exactly those that the run had. All figures are out of fold.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import ValidationError
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedGroupKFold

from pipeline import articles, measures, rule, wording
from pipeline.arrow_columns import read_column
from pipeline.config import ColumnsConfig, Config
from pipeline.confirm import Measurer, beyond_doubt, relate, too_short
from pipeline.errors import InputError
from pipeline.evaluate import Curve, curve
from pipeline.executor import Listener, StageRunner, ThreadExecutor
from pipeline.job import read_stages, term_stages
from pipeline.labelled_pairs import Labels, Run, components, open_run, read_labels
from pipeline.rule import Additive, Rule, load_rule
from pipeline.screen import SCREENED
from pipeline.stages import n_articles, sign_stage, wording_calls
from pipeline.tables import write_ipc

# Labelled pairs of either kind below which nothing can be said.
MIN_LABELS = 20
N_FOLDS, N_BINS = 5, 10
CONFIDENCE = 0.95
# Where labels say the opposite of the rule in use, it keeps at least this share of its log-odds.
MIN_SLOPE = 0.05

Fit = Callable[[np.ndarray, np.ndarray], Additive]


@dataclass(frozen=True)
class Share:
    """A share of counted pairs with its Wilson interval (1927) of 95 %; `value` is None of no pairs."""

    value: float | None
    low: float
    high: float


@dataclass(frozen=True)
class Reached:
    """Precision and recall of the labelled pairs from a threshold on."""

    threshold: float
    precision: Share
    recall: Share


@dataclass(frozen=True)
class Bin:
    """Pairs whose probability is in [begin, end), the last bin with its end: what it was, what came true."""

    begin: float
    end: float
    n_pairs: int
    mean_probability: float
    share_same: float


@dataclass(frozen=True)
class Calibration:
    """A rule fitted on labelled pairs. `method` is "refit" or "rescale" (`refit`, `rescale`).

    `log_loss` is that of both methods, out of fold. `reached` is out of fold too, `before` is the rule in use
    at the run's threshold on the same pairs. `n_screened_same`: pairs labelled as the same that the screen
    drops, so that no threshold finds them.
    """

    rule: Rule
    method: str
    log_loss: dict[str, float]
    reached: Reached
    before: Reached
    reliability: tuple[Bin, ...]
    labels: Labels
    n_groups: int
    n_screened_same: int
    wanted_precision: float | None


@dataclass(frozen=True)
class Measured:
    """The labelled pairs: features (n, len(FEATURES)), label, connected group, what no rule can change.

    `is_certain` pairs have probability 1 by any rule; those that the screen drops, or that are too short to
    be called reworded (not `passes`), have 0.
    """

    features: np.ndarray
    is_same: np.ndarray
    group: np.ndarray
    is_certain: np.ndarray
    passes: np.ndarray

    def judged(self, fitted: Additive, chosen: np.ndarray) -> np.ndarray:
        """Probability of the pairs `chosen` (rows or mask), as a run with this rule would give."""
        probability = fitted.probability(self.features[chosen])
        sure = np.where(self.is_certain[chosen], 1.0, probability)
        return np.where(self.passes[chosen], sure, 0.0)


def calibrate(
    labels_path: Path, run_path: Path, name: str, wanted_precision: float | None, listen: Listener
) -> Calibration:
    """Fit the rule on labelled pairs of a run; `name` is the beginning of its version.

    Without a wanted precision the threshold is that of the highest F1. Raises InputError, OutputError or
    ConfigError when something can't be used, there are too few labels, or the precision isn't reached.
    """
    if wanted_precision is not None and not 0 < wanted_precision <= 1:
        raise InputError(f"precision: must be above 0 and at most 1, not {wanted_precision}")
    run = open_run(run_path)
    config = _config(run)
    in_use = load_rule(config.calibration)
    labels = read_labels(labels_path, set(run.read("articles", ["article_id"])["article_id"].to_pylist()))
    _require_enough(labels, labels_path)
    with tempfile.TemporaryDirectory(prefix="respun-") as work:
        measured = measure(run, config, in_use, labels, Path(work), listen)
    fits: dict[str, Fit] = {"refit": refit, "rescale": lambda x, y: rescale(in_use.confirm, x, y)}
    probabilities = {method: out_of_fold(measured, fit) for method, fit in fits.items()}
    losses = {method: _loss(measured, own) for method, own in probabilities.items()}
    method = min(losses, key=lambda name: (losses[name], name))
    probability, everything = probabilities[method], np.arange(len(measured.is_same))
    threshold = pick(curve(probability, measured.is_same), wanted_precision)
    confirm = replace(fits[method](measured.features, measured.is_same), threshold=threshold)
    found = Calibration(
        rule=Rule(f"{name}-{labels.sha256[:8]}", in_use.screen, confirm, {}),
        method=method,
        log_loss={name: round(loss, 6) for name, loss in losses.items()},
        reached=reached(probability, measured.is_same, threshold),
        before=reached(measured.judged(in_use.confirm, everything), measured.is_same, run.threshold),
        reliability=reliability(probability, measured.is_same),
        labels=labels,
        n_groups=len(np.unique(measured.group)),
        n_screened_same=int((measured.is_same & ~measured.passes).sum()),
        wanted_precision=wanted_precision,
    )
    return replace(found, rule=replace(found.rule, fitted_on=_fitted_on(found, in_use)))


def measure(run: Run, config: Config, in_use: Rule, labels: Labels, work: Path, listen: Listener) -> Measured:
    """Measure the labelled pairs over the texts of the run; scratch files go to `work`."""
    collection = work / "collection.parquet"
    _write_collection(run, collection)
    stages = StageRunner(ThreadExecutor(config.n_workers), listen)
    accepted = read_stages(articles.plan_inputs([str(collection)], config), config, stages, work)
    counted = term_stages(accepted.shards, config, stages, work)
    [signed] = stages.together(sign_stage(counted, config, work))
    ids = read_column(accepted.shards.articles, "article_id").to_pylist()
    row = {one: at for at, one in enumerate(ids)}
    sides = np.array([[row[one] for one in pair.ids] for pair in labels.pairs], np.int64)
    left, right = sides.min(axis=1), sides.max(axis=1)  # as in a run: float32 sums depend on the side
    n = len(left)
    every = pa.table([
        left.astype(np.int32), right.astype(np.int32), np.zeros(n, np.uint8), np.zeros(n, np.float32),
        np.zeros(n, np.float32), np.ones(n, bool),
    ], schema=SCREENED)  # fmt: skip
    screened = write_ipc(work / "screened-labelled.arrow", SCREENED, every.to_batches())
    calls = wording_calls(counted, [screened], config, work)
    worded = stages.map("wording", wording.write_group, calls, rows=n_articles)
    measurer = Measurer(signed, worded, config)
    found = measurer.measure(left, right)
    same_text = measurer.text_hash[left] == measurer.text_hash[right]
    screen = in_use.screen.probability(measures.term_features(found)) >= in_use.screen.threshold
    short = too_short(found, relate(found, same_text, config.reprint.shingle_size))
    group = components((pair.ids for pair in labels.pairs), ())
    return Measured(
        features=measures.features(found),
        is_same=labels.is_same,
        group=np.array([group[pair.id_a] for pair in labels.pairs]),
        is_certain=beyond_doubt(found, same_text),
        passes=np.asarray((screen | same_text) & ~short),
    )


def refit(features: np.ndarray, is_same: np.ndarray) -> Additive:
    """All curves fitted anew, by the labels alone. Needs many of all sorts."""
    return rule.fit(
        measures.FEATURES, measures.directions(measures.FEATURES), features, is_same,
        np.ones(len(is_same)), 0,
    )  # fmt: skip


def rescale(in_use: Additive, features: np.ndarray, is_same: np.ndarray) -> Additive:
    """The rule in use with its log-odds stretched and moved to fit the labels (Platt 1999).

    The order of the pairs stays, so that a few labels can't spoil it.
    """
    log_odds = in_use.intercept + in_use.contributions(features).sum(axis=1)
    model = LogisticRegression(C=100.0).fit(log_odds[:, None], is_same)
    slope = max(float(model.coef_[0, 0]), MIN_SLOPE)
    values = tuple(tuple(round(slope * value, 6) for value in own) for own in in_use.values)
    intercept = round(slope * in_use.intercept + float(model.intercept_[0]), 6)
    return replace(in_use, values=values, intercept=intercept)


def out_of_fold(measured: Measured, fit: Fit) -> np.ndarray:
    """Probability of each pair by the rule fitted without its fold. Connected articles share a fold."""
    n_groups = len(np.unique(measured.group))
    if n_groups < 2:
        raise InputError("labels: must form 2 or more groups of articles that no pair connects, form 1")
    folds = StratifiedGroupKFold(min(N_FOLDS, n_groups), shuffle=True, random_state=0)
    probability = np.zeros(len(measured.is_same))
    for train, test in folds.split(measured.features, measured.is_same, measured.group):
        if len(np.unique(measured.is_same[train])) < 2:
            raise InputError(
                "labels: pairs of both labels must be in 2 or more groups of articles that no pair connects, "
                f"one label is in 1 of {n_groups} groups only"
            )
        if len(test):
            probability[test] = measured.judged(fit(measured.features[train], measured.is_same[train]), test)
    return probability


def pick(points: Curve, wanted_precision: float | None) -> float:
    """The lowest threshold with the wanted precision, or that of the highest F1; six digits.

    It lies half-way to the next lower probability. Raises InputError when the precision isn't reached.
    """
    if not len(points.threshold):
        raise InputError("labels: the screen must pass at least one of the pairs, it drops all")
    if wanted_precision is None:
        at = int(np.argmax(points.f1))
    else:
        enough = np.flatnonzero(points.precision >= wanted_precision)
        if not len(enough):
            most = points.precision.max()
            raise InputError(
                f"precision: must be one that the labels reach out of fold, {most:.4f} is the highest, "
                f"not {wanted_precision}"
            )
        at = int(enough[0])
    highest, below = float(points.threshold[at]), float(points.threshold[at - 1]) if at else 0.0
    threshold = round((highest + below) / 2, 6)
    return threshold if below < threshold <= highest else highest


def reached(probability: np.ndarray, is_same: np.ndarray, threshold: float) -> Reached:
    """Precision and recall from a threshold on; a pair without a probability is not found."""
    found = (probability >= threshold) & (probability > 0)
    n_true = int((found & is_same).sum())
    return Reached(threshold, wilson(n_true, int(found.sum())), wilson(n_true, int(is_same.sum())))


def wilson(n_true: int, n: int) -> Share:
    """The share n_true / n with its Wilson score interval; [0, 1] when n is 0."""
    if not n:
        return Share(None, 0.0, 1.0)
    z, share = float(norm.ppf((1 + CONFIDENCE) / 2)), n_true / n
    middle = share + z * z / (2 * n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    low, high = ((middle + sign * half) / (1 + z * z / n) for sign in (-1, 1))
    # At 0 and 1 an end of the interval is the share itself, but for rounding.
    return Share(share, low if n_true else 0.0, high if n_true < n else 1.0)


def reliability(probability: np.ndarray, is_same: np.ndarray) -> tuple[Bin, ...]:
    """The bins that hold a pair, of N_BINS equal ones; pairs that the screen drops (0) are left out."""
    own = np.minimum((probability * N_BINS).astype(int), N_BINS - 1)
    masks = ((at, (own == at) & (probability > 0)) for at in range(N_BINS))
    return tuple(
        Bin(at / N_BINS, (at + 1) / N_BINS, int(mask.sum()), round(float(probability[mask].mean()), 6),
            round(float(is_same[mask].mean()), 6))
        for at, mask in masks if mask.any()
    )  # fmt: skip


def _config(run: Run) -> Config:
    """The run's configuration, for a collection whose columns have the names of the tables."""
    try:
        config = Config.model_validate(run.manifest["config"])
    except ValidationError:
        raise InputError(f"run {run.folder}: must be of this version of respun, has another's keys") from None
    if run.manifest.get("index") is not None:
        raise InputError(
            f"run {run.folder}: must be a run without an index, whose texts and counts of terms it has itself"
        )
    return config.model_copy(update={"columns": ColumnsConfig()})


def _require_enough(labels: Labels, path: Path) -> None:
    n_same = int(labels.is_same.sum())
    for label, n in ((1, n_same), (0, len(labels.pairs) - n_same)):
        if n < MIN_LABELS:
            raise InputError(f"labels {path}: at least {MIN_LABELS} pairs must have label {label}, {n} have")


def _write_collection(run: Run, path: Path) -> None:
    """The articles that the run accepted, in its order, with their texts: an input as it was."""
    columns = ("article_id", "source", "url", "title", "published_at")
    known = run.read("articles", columns)
    with pq.ParquetWriter(
        path, known.schema.append(pa.field("text", pa.string())), compression="zstd"
    ) as out:
        for texts in _texts(run):
            at = pc.index_in(texts["article_id"], known["article_id"].combine_chunks())
            if at.null_count:
                raise InputError(
                    f"run {run.folder}: texts.parquet must be of the articles of articles.parquet"
                )
            out.write_table(known.take(at).append_column("text", texts["text"]).cast(out.schema))


def _texts(run: Run) -> Iterator[pa.RecordBatch]:
    run.read("texts", ["article_id"])
    with pq.ParquetFile(run.folder / "texts.parquet") as file:
        yield from file.iter_batches(2_048, columns=["article_id", "text"])


def _loss(measured: Measured, probability: np.ndarray) -> float:
    """Log loss over the pairs that the rule decides."""
    decided = measured.passes & ~measured.is_certain
    if not decided.any():
        return 0.0
    return float(log_loss(measured.is_same[decided], probability[decided], labels=[False, True]))


def _fitted_on(found: Calibration, in_use: Rule) -> dict[str, Any]:
    """What the calibration file says of its origin."""
    n_same = int(found.labels.is_same.sum())
    return {
        "labels_sha256": found.labels.sha256,
        "n_same": n_same,
        "n_different": len(found.labels.pairs) - n_same,
        "n_groups": found.n_groups,
        "n_screened_same": found.n_screened_same,
        "method": found.method,
        "out_of_fold": {
            "log_loss": found.log_loss,
            "wanted_precision": found.wanted_precision,
            "reached": asdict(found.reached),
            "interval": f"Wilson, {CONFIDENCE:.0%}, pairs as if independent",
            "reliability": [asdict(one) for one in found.reliability],
        },
        "before": {"calibration": in_use.version, **asdict(found.before)},
    }
