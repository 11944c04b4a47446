"""What the commands that work with labelled pairs print."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pipeline.calibrate import Calibration, Reached, Share
from pipeline.evaluate import UNKNOWN_RELATION, Evaluation, Score, harmonic
from pipeline.label import Sample

N_SHOWN = 10


def evaluation_lines(found: Evaluation) -> Iterator[str]:
    """The evaluation in a few lines; groups are listed from the one with the most labels."""
    labels, pairs, clusters = found.labels, found.pairs, found.clusters
    yield (
        f"{pairs.n_same + pairs.n_different:,} labelled pairs: {pairs.n_same:,} same, "
        f"{pairs.n_different:,} not the same; not counted: {labels.n_uncounted:,} with another label, "
        f"{labels.n_unknown:,} with an article that is not in the run"
    )
    yield f"{'':32}{'precision':>10}{'recall':>10}{'F1':>10}{'same':>8}{'found':>8}{'other':>8}{'found':>8}"
    yield _row(f"pairs (threshold {found.threshold:g})", pairs)
    yield from _rows("relation", found.by_relation)
    yield from _rows("kind", found.by_kind)
    yield from _rows("source", found.by_source)
    yield _row("pairs in one cluster", clusters.pairs)
    b_cubed = (clusters.b_cubed_precision, clusters.b_cubed_recall)
    yield f"{'B-cubed of clusters':32}{_shares(*b_cubed, harmonic(*b_cubed))}"
    yield (
        f"adjusted Rand index of clusters: {clusters.adjusted_rand_index:.3f}; "
        f"{clusters.n_articles:,} labelled articles, {clusters.n_stories:,} stories"
    )
    if clusters.n_contradictions:
        yield f"{clusters.n_contradictions:,} pairs are labelled not the same within one story"
    if found.curve_from == "confirmed_pairs":
        yield "the curve begins at the run's threshold: candidate_pairs.parquet was not kept"


def calibration_lines(found: Calibration) -> Iterator[str]:
    """What a fit reached, out of fold, beside the rule that was in use."""
    n_same = int(found.labels.is_same.sum())
    yield (
        f"{len(found.labels.pairs):,} labelled pairs: {n_same:,} same, {len(found.labels.pairs) - n_same:,} "
        f"not the same, in {found.n_groups:,} groups of connected articles"
    )
    losses = ", ".join(f"{method} {loss:.4f}" for method, loss in found.log_loss.items())
    yield f"method: {found.method} (log loss out of fold: {losses})"
    if found.n_screened_same:
        yield f"{found.n_screened_same:,} same pairs are dropped by the screen, at any threshold"
    yield f"{'':32}{'threshold':>10}   precision [95 %]       recall [95 %]"
    yield _reached("rule in use", found.before)
    yield _reached("new rule, out of fold", found.reached)
    yield "intervals: Wilson, pairs as if independent"


def sample_lines(found: Sample) -> Iterator[str]:
    """What was drawn, and what to do with it."""
    n = len(found.pairs)
    yield (
        f"{n:,} pairs of run {found.run_id} to label, from {found.drawn_from}.parquet: "
        f"{found.n_below:,} under the threshold, {n - found.n_below:,} from it on"
    )
    if found.drawn_from == "confirmed_pairs":
        yield "candidate_pairs.parquet was not kept: pairs under the threshold could not be drawn"
    yield "fill in the column label: 1 the same story, 0 not the same, nothing where you can't tell"


def _reached(name: str, reached: Reached) -> str:
    shares = "".join(f"   {_share(share):20}" for share in (reached.precision, reached.recall))
    return f"{name:32}{reached.threshold:10.4f}{shares}".rstrip()


def _share(share: Share) -> str:
    value = "-" if share.value is None else f"{share.value:.3f}"
    return f"{value} [{share.low:.3f}, {share.high:.3f}]"


def _rows(what: str, scores: Mapping[str, Score]) -> Iterator[str]:
    ranked = sorted(scores.items(), key=lambda item: -(item[1].n_same + item[1].n_different))
    for name, score in ranked[:N_SHOWN]:
        is_unknown = what == "relation" and name == UNKNOWN_RELATION
        yield _row("  not found, so of no relation" if is_unknown else f"  {what} {name}", score)
    if len(ranked) > N_SHOWN:
        yield f"  ... {len(ranked) - N_SHOWN:,} more in metrics.json"


def _row(name: str, score: Score) -> str:
    counts = (score.n_same, score.n_same_found, score.n_different, score.n_different_found)
    shown = name if len(name) <= 31 else f"{name[:30]}…"
    if score.n_same:
        shares = _shares(score.precision, score.recall, score.f1)
    else:  # a precision of 0 would read like a failure
        shares = f"{f'found {score.n_different_found:,} of {score.n_different:,}':>30}"
    return f"{shown:32}{shares}{''.join(f'{count:8,}' for count in counts)}"


def _shares(*shares: float | None) -> str:
    return "".join(f"{'-' if share is None else f'{share:.3f}':>10}" for share in shares)
