"""Fits the rule that confirms pairs on a labelled pool, and reports what it reaches out of fold.

    python -m benchmarks.fit_rule ../shared/quality/dev --out configs/calibration-6.json

Runs the stages up to the candidate pairs over TRUTH_DIR/articles.parquet, measures every candidate, and fits
the rule (`pipeline/rule.py`) five times, each time without one fold of story families; the pairs of that fold
are judged by the rule that never saw them. The rule that is written is fitted on all folds.

What counts as "not the same", besides the pairs labelled 0: pairs from two sets or two stories (score.py's
own rule), pairs of rewrites of different source texts (sets "l2r" and "hppt", by group), and follow-up
stories.

A pair that its dates or sources say something of is fitted twice, with them and without, half its weight
each: most sets have neither, and the rule must not lean on what a user may not have.

`--by set` leaves out one set after the other instead of a fold: how the rule does on articles, rewriters and
newspapers that it has never seen.
"""

import argparse
import hashlib
import itertools
import json
import tempfile
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks import score
from pipeline import articles, clusters, confirm, measures, rule, wording
from pipeline.config import Config, load_config
from pipeline.executor import Silence, StageRunner, ThreadExecutor
from pipeline.job import candidate_stages
from pipeline.screen import SCREENED
from pipeline.stages import n_articles, wording_calls
from pipeline.tables import Ref, read_ipc, write_ipc

N_FOLDS = 5
# Pairs of a labelled kind count as at least and at most this many: the 7,550 rewrites of one set must not
# decide alone, nor must the few dozen that another outlet wrote be drowned.
LEAST_PER_KIND, MOST_PER_KIND = 300, 400
# Sets of texts and their rewrites: those of two source texts are not the same, however close the subject.
REWRITTEN_SETS = ("l2r", "hppt")
# What the unlabelled negatives count as, all together (of each set of rewrites), and a follow-up each.
CROSS_WEIGHT, REWRITE_WEIGHT, FOLLOW_UP_WEIGHT = 3_000, 1_000, 4.5
# Probability from which pairs are confirmed: the out-of-fold precision of pairs on dev is 0.998 there.
THRESHOLD = 0.24
# The screen is to pass what the rule gives this probability, but for the share LOST of it.
LIKED, LOST = 0.1, 0.002


@dataclass(frozen=True)
class Pool:
    """Measured candidate pairs of a labelled pool; arrays (n_pairs,) but for `ids` (n_articles,)."""

    ids: np.ndarray
    left: np.ndarray
    right: np.ndarray
    measured: measures.Measures
    relation: np.ndarray
    label: np.ndarray
    kind: np.ndarray
    fold: np.ndarray
    group: dict[str, str]
    truth: list[score.Row]


def load_pool(truth_dir: Path, config: Config, work: Path) -> Pool:
    """Runs the stages up to candidates over the pool and measures all pairs."""
    units = articles.plan_inputs([str(truth_dir / "articles.parquet")], config)
    runner = StageRunner(ThreadExecutor(config.n_workers), Silence())
    staged = candidate_stages(units, config, runner, work)
    shards = staged.accepted.shards.articles
    ids = np.array([i for s in shards for i in read_ipc(s.path)["article_id"].to_pylist()], dtype=object)
    pairs = read_ipc(staged.pairs.path)
    left, right = (pairs[c].to_numpy().astype(np.int64) for c in ("left", "right"))
    calls = wording_calls(staged, [_all_pass(pairs, work)], config, work)
    worded = runner.map("wording", wording.write_group, calls, rows=n_articles)
    measurer = confirm.Measurer(staged.signed, worded, config)
    spans = [slice(at, at + confirm.PAIRS_AT_A_TIME) for at in range(0, len(left), confirm.PAIRS_AT_A_TIME)]
    measured = measures.concatenate([measurer.measure(left[span], right[span]) for span in spans])
    same_text = measurer.text_hash[left] == measurer.text_hash[right]
    relation = confirm.relate(measured, same_text, config.reprint.shingle_size)
    truth = score.rows(truth_dir / "pairs.parquet")
    group = {g["id"]: g["group"] for g in score.rows(truth_dir / "groups.parquet")}
    label, kind, fold = labels(ids, left, right, truth)
    return Pool(ids, left, right, measured, relation, label, kind, fold, group, truth)


def _all_pass(pairs: pa.Table, work: Path) -> Ref:
    """The pairs as if the screen had let all of them through: the fit is to see those that it would drop."""
    table = pairs.append_column(SCREENED.field("passes"), pa.array(np.ones(len(pairs), bool)))
    return write_ipc(work / "screened-all.arrow", SCREENED, table.to_batches())


def labels(
    ids: np.ndarray, left: np.ndarray, right: np.ndarray, truth: list[score.Row]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Label (-2 where there is none), kind and fold of each pair; without a fold it takes its family's."""
    row = {article: i for i, article in enumerate(ids)}
    known: dict[tuple[int, int], tuple[int, str, int]] = {}
    family: dict[int, int] = {}
    for t in truth:
        a, b = sorted((row[t["id_a"]], row[t["id_b"]]))
        known[a, b] = max(known.get((a, b), (-1, "", 0)), (t["label"], t["kind"], t["fold"]))
        family[a] = family[b] = t["fold"]
    none = (-2, "", -1)
    found = [known.get(pair, none) for pair in zip(left.tolist(), right.tolist(), strict=True)]
    fold = [
        f[2] if f[2] >= 0 else family.get(a, family.get(b, (a + b) % N_FOLDS))
        for f, a, b in zip(found, left.tolist(), right.tolist(), strict=True)
    ]
    return np.array([f[0] for f in found]), np.array([f[1] for f in found], dtype=object), np.array(fold)


def training_weights(pool: Pool) -> np.ndarray:
    """Weight of each pair in the fit; 0 for pairs whose truth nobody knows."""
    sets = np.array([i.split("/")[0] for i in pool.ids], dtype=object)
    groups = np.array([pool.group[i] for i in pool.ids], dtype=object)
    other_group = groups[pool.left] != groups[pool.right]
    unlabelled = pool.label == -2
    other_set = sets[pool.left] != sets[pool.right]
    cross = unlabelled & (other_set | ((sets[pool.left] == "story") & other_group))
    rewrites = [unlabelled & ~cross & (sets[pool.left] == name) & other_group for name in REWRITTEN_SETS]
    weight = np.zeros(len(pool.label))
    labelled = pool.label >= 0
    for kind, label in set(zip(pool.kind[labelled], pool.label[labelled], strict=True)):
        chosen = (pool.label == label) & (pool.kind == kind)
        weight[chosen] = np.clip(chosen.sum(), LEAST_PER_KIND, MOST_PER_KIND) / chosen.sum()
    weight[cross] = CROSS_WEIGHT / max(1, cross.sum())
    for chosen in rewrites:
        weight[chosen] = REWRITE_WEIGHT / max(1, chosen.sum())
    weight[np.isin(pool.kind, score.FOLLOW_UPS) & ~_excerpts(pool)] = FOLLOW_UP_WEIGHT
    return weight


def _excerpts(pool: Pool) -> np.ndarray:
    """Pairs of an excerpt and a rewrite of one story: they are listed among the follow-ups, but are none."""
    parts = np.array([i.rsplit("/", 1)[-1] for i in pool.ids], dtype=object)
    sides = np.stack((parts[pool.left], parts[pool.right]))
    return np.asarray((sides == "excerpt").any(axis=0) & (sides == "heavy").any(axis=0))


def fit_rule(pool: Pool, weight: np.ndarray, train: np.ndarray, name: str) -> rule.Rule:
    """The rule fitted on the pairs `train` (mask, bool), and its screen on what that rule likes."""
    features = measures.features(pool.measured)
    unknown = np.full(len(train), np.nan)
    untold = measures.features(replace(pool.measured, days_apart=unknown, same_source=unknown))
    told = train & (features != untold).any(axis=1)
    rows, same = np.vstack((features[train], untold[told])), pool.label == 1
    halved = np.where(told, weight / 2, weight)
    judge = _fit(
        measures.FEATURES, rows, np.concatenate((same[train], same[told])),
        np.concatenate((halved[train], halved[told])), THRESHOLD,
    )  # fmt: skip
    liked = judge.probability(features) >= LIKED
    terms = measures.term_features(pool.measured)
    balance = np.where(liked, (~liked).sum() / liked.sum(), 1.0)
    screen = _fit(measures.TERM_FEATURES, terms, liked, balance, 0)
    floor = round(float(np.quantile(screen.probability(terms[liked]), LOST)), 6)
    return rule.Rule(name, replace(screen, threshold=floor), judge, {})


def _fit(
    names: tuple[str, ...], features: np.ndarray, is_same: np.ndarray, weight: np.ndarray, threshold: float
) -> rule.Additive:
    return rule.fit(names, measures.directions(names), features, is_same, weight, threshold)


def judged_by(pool: Pool, fitted: rule.Rule, chosen: np.ndarray) -> np.ndarray:
    """Probability of the pairs `chosen` (mask, bool); 0 for those that a run gives next to nothing."""
    features, terms = measures.features(pool.measured)[chosen], measures.term_features(pool.measured)[chosen]
    short = confirm.too_short(measures.take(pool.measured, chosen), pool.relation[chosen])
    passes = (fitted.screen.probability(terms) >= fitted.screen.threshold) & ~short
    return np.where(passes, fitted.confirm.probability(features), 0.0)


def folds_by_set(pool: Pool) -> np.ndarray:
    """The set of each pair as its fold; pairs of two sets are spread over N_FOLDS more."""
    names = np.array([i.split("/")[0] for i in pool.ids])
    number = np.unique(names, return_inverse=True)[1]
    left, right = number[pool.left], number[pool.right]
    return np.where(left == right, left, number.max() + 1 + (pool.left + pool.right) % N_FOLDS)


def out_of_fold(pool: Pool, weight: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """Probability of each pair by the rule fitted without its fold."""
    probability = np.zeros(len(pool.label))
    for fold in np.unique(folds):
        inside = folds == fold
        fitted = fit_rule(pool, weight, ~inside & (weight > 0), "")
        probability[inside] = judged_by(pool, fitted, inside)
    return probability


def evaluate(pool: Pool, probability: np.ndarray, config: Config) -> dict[str, dict[str, Any]]:
    """score.py's figures for pairs and clusters of these probabilities."""
    confirmed = probability >= THRESHOLD
    ids = pool.ids.tolist()
    found = {
        (min(ids[a], ids[b]), max(ids[a], ids[b]))
        for a, b in zip(pool.left[confirmed].tolist(), pool.right[confirmed].tolist(), strict=True)
    }
    judged = pa.table({
        "left": pool.left, "right": pool.right, "probability": probability, "relation": pool.relation,
        "is_confirmed": confirmed, "jaccard": pool.measured.jaccard,
    })  # fmt: skip
    labels = clusters.partition(clusters.graph_of(judged, len(ids)), config.clusters.min_linkage)
    members: dict[int, list[str]] = defaultdict(list)
    for article, label in zip(ids, labels.tolist(), strict=True):
        members[label].append(article)
    together = {pair for m in members.values() for pair in itertools.combinations(sorted(m), 2)}
    follow = [t for t in pool.truth if t["kind"] in score.FOLLOW_UPS]
    clustered = score.summary(together, pool.truth, pool.group, True) | {
        "largest": max(len(m) for m in members.values()),
        "mixed_sets": sum(len({i.split("/")[0] for i in m}) > 1 for m in members.values()),
        "followups": f"{sum((t['id_a'], t['id_b']) in together for t in follow)}/{len(follow)}",
    }
    return {"pairs": score.summary(found, pool.truth, pool.group, False), "clusters": clustered}


def passed_screen(pool: Pool, fitted: rule.Rule) -> float:
    """Share of the pairs that the screen lets through."""
    screened = fitted.screen.probability(measures.term_features(pool.measured))
    return round(float((screened >= fitted.screen.threshold).mean()), 4)


def fitted_on(truth_dir: Path, weight: np.ndarray, figures: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """What a calibration file says of its origin."""
    reached = {
        level: {k: figures[level][k] for k in ("respun_f1", "precision", "respun_recall_macro")}
        for level in ("pairs", "clusters")
    }
    data = hashlib.sha256((truth_dir / "articles.parquet").read_bytes()).hexdigest()
    return {"corpus_sha256": data, "n_pairs": int((weight > 0).sum()), "out_of_fold": reached}


def main() -> None:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("truth_dir", type=Path)
    parser.add_argument("--out", type=Path, help="calibration file to write")
    parser.add_argument("--json", type=Path, help="also write the out-of-fold figures here")
    parser.add_argument("--by", choices=("fold", "set"), default="fold", help="what is left out, in turn")
    args = parser.parse_args()
    if args.out and args.by != "fold":
        parser.error("--out: a calibration file reports figures by fold")
    config = load_config()
    with tempfile.TemporaryDirectory() as work:
        pool = load_pool(args.truth_dir, config, Path(work))
    weight = training_weights(pool)
    folds = pool.fold if args.by == "fold" else folds_by_set(pool)
    figures = evaluate(pool, out_of_fold(pool, weight, folds), config)
    fitted = fit_rule(pool, weight, weight > 0, args.out.stem if args.out else "")
    figures["screen"] = {"share_of_candidates_passed": passed_screen(pool, fitted)}
    print(json.dumps(figures, indent=1))
    if args.json:
        args.json.write_text(json.dumps(figures, indent=1))
    if args.out:
        replace(fitted, fitted_on=fitted_on(args.truth_dir, weight, figures)).save(args.out)


if __name__ == "__main__":
    main()
