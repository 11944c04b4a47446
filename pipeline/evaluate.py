"""A published run against labelled pairs: precision and recall, clusters, the curve, the worst errors."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import adjusted_rand_score

from pipeline.confirm import RELATED, RELATIONS
from pipeline.labelled_pairs import IdPair, LabelledPair, Labels, components, open_run, read_labels

NEVER_COMPARED = "never_compared"
# Of a missed pair, when the file of labels doesn't name its relation.
UNKNOWN_RELATION = "unknown"


@dataclass(frozen=True)
class Score:
    """Labelled pairs by label and by whether they were found.

    Shares are None where nothing can be said: no pair found, no pair of that label.
    """

    n_same: int
    n_different: int
    n_same_found: int
    n_different_found: int

    @property
    def precision(self) -> float | None:
        """Same / found; None unless pairs of both labels were there to be found."""
        found = self.n_same_found + self.n_different_found
        return self.n_same_found / found if found and self.n_different else None

    @property
    def recall(self) -> float | None:
        """Found / same."""
        return self.n_same_found / self.n_same if self.n_same else None

    @property
    def f1(self) -> float | None:
        """Harmonic mean of precision and recall."""
        return harmonic(self.precision, self.recall)


@dataclass(frozen=True)
class RelationScore(Score):
    """The pairs of one relation. A pair that isn't found has one only when the file of labels names it.

    So precision needs no pairs that could have been found in error, and there may be no recall to tell.
    """

    knows_missed: bool

    @property
    def precision(self) -> float | None:
        """Same / found; None when none was found."""
        found = self.n_same_found + self.n_different_found
        return self.n_same_found / found if found else None

    @property
    def recall(self) -> float | None:
        """Found / same; None when the missed pairs' relations aren't known."""
        return super().recall if self.knows_missed else None


@dataclass(frozen=True)
class Curve:
    """Precision and recall at every threshold that changes them, ascending; arrays (n,).

    From `threshold` on there are `n_same` and `n_different` labelled pairs. Recall is of all labelled pairs,
    those without a probability among them.
    """

    threshold: np.ndarray
    n_same: np.ndarray
    n_different: np.ndarray
    precision: np.ndarray
    recall: np.ndarray

    @property
    def f1(self) -> np.ndarray:
        """Harmonic mean of precision and recall, 0 where both are."""
        both = self.precision + self.recall
        return np.asarray(2 * self.precision * self.recall / np.where(both > 0, both, 1))


@dataclass(frozen=True)
class ClusterScore:
    """Clusters over the labelled articles.

    `pairs` counts labelled pairs whose articles share a cluster. B-cubed and adjusted Rand index compare the
    clusters with the components of the pairs labelled as the same, excerpts apart: articles that no label
    joins count as different stories. `n_contradictions`: pairs labelled as not the same within a component.
    """

    n_articles: int
    n_stories: int
    n_contradictions: int
    pairs: Score
    b_cubed_precision: float
    b_cubed_recall: float
    adjusted_rand_index: float


@dataclass(frozen=True)
class LabelError:
    """A labelled pair that the run got wrong: `error` is "false" or "missed".

    `reason` says what became of the pair. `evidence` holds what the run's table of pairs says of it.
    """

    error: str
    pair: LabelledPair
    probability: float | None
    relation: str
    reason: str
    same_cluster: bool
    sources: tuple[str, str]
    titles: tuple[str, str]
    evidence: Mapping[str, Any]


@dataclass(frozen=True)
class Evaluation:
    """What the labels say of a run. `curve_from` names the table that the probabilities are from."""

    run_id: str
    threshold: float
    labels: Labels
    pairs: Score
    by_relation: dict[str, RelationScore]
    by_kind: dict[str, Score]
    by_source: dict[str, Score]
    clusters: ClusterScore
    curve: Curve
    curve_from: str
    errors: tuple[LabelError, ...]


@dataclass(frozen=True)
class _Judged:
    """What the run made of the labelled pairs, by ids."""

    confirmed: dict[IdPair, dict[str, Any]]
    compared: dict[IdPair, dict[str, Any]]
    is_complete: bool  # whether the run kept its candidates

    def probability(self, ids: IdPair) -> float:
        """0 where the run has none."""
        row = self.compared.get(ids) or self.confirmed.get(ids) or {}
        return float(row.get("probability") or 0)

    def reason(self, ids: IdPair) -> str:
        """What became of the pair."""
        if ids in self.confirmed:
            return "confirmed"
        if self.is_complete:
            return str(self.compared[ids]["reason"]) if ids in self.compared else NEVER_COMPARED
        return "not_confirmed"


@dataclass(frozen=True)
class _Articles:
    """Of each article of the run, by id."""

    cluster: dict[str, str]
    source: dict[str, str]
    title: dict[str, str]


def evaluate(labels_path: Path, run_path: Path) -> Evaluation:
    """Compare a run, or the current run of an output folder, with a file of labelled pairs.

    Raises InputError or OutputError when one of them can't be used.
    """
    run = open_run(run_path)
    columns = ("article_id", "cluster_id", "source", "title")
    ids, *of_articles = (column.to_pylist() for column in run.read("articles", columns).columns)
    articles = _Articles(*({i: v or "" for i, v in zip(ids, own, strict=True)} for own in of_articles))
    labels = read_labels(labels_path, set(ids))
    wanted = {pair.ids for pair in labels.pairs}
    complete = run.has("candidate_pairs")
    listed = run.rows_of("confirmed_pairs", wanted)
    judged = _Judged(
        # A neighbour is listed, but not as the same story.
        {pair: row for pair, row in listed.items() if row["relation"] != RELATIONS[RELATED]},
        run.rows_of("candidate_pairs", wanted) if complete else {},
        complete,
    )
    probability = np.array([judged.probability(pair.ids) for pair in labels.pairs])
    found = set(judged.confirmed)
    return Evaluation(
        run_id=str(run.manifest["run_id"]),
        threshold=run.threshold,
        labels=labels,
        pairs=score(labels.pairs, found),
        by_relation=_by_relation(labels, judged),
        by_kind=_grouped(((p.kind, p) for p in labels.pairs if p.kind), found),
        by_source=_grouped(_sources(labels, articles.source), found),
        clusters=score_clusters(labels.pairs, articles.cluster),
        curve=curve(probability, labels.is_same),
        curve_from="candidate_pairs" if complete else "confirmed_pairs",
        errors=tuple(_errors(labels.pairs, judged, articles)),
    )


def score(pairs: Iterable[LabelledPair], found: set[IdPair]) -> Score:
    """Counts of the labelled pairs, and of those among `found`."""
    counts = {True: [0, 0], False: [0, 0]}
    for pair in pairs:
        counts[pair.is_same][0] += 1
        counts[pair.is_same][1] += pair.ids in found
    (n_same, same_found), (n_different, different_found) = counts[True], counts[False]
    return Score(n_same, n_different, same_found, different_found)


def curve(probability: np.ndarray, is_same: np.ndarray) -> Curve:
    """Precision and recall at each probability above 0, both arrays (n,); there must be a pair.

    A pair with a probability of 0 is one that the run didn't judge: no threshold finds it.
    """
    order = np.argsort(-probability, kind="stable")
    ranked, same = probability[order], is_same[order]
    n_same, n_found = np.cumsum(same), np.arange(1, len(same) + 1)
    last = np.flatnonzero((np.diff(ranked, append=-1) != 0) & (ranked > 0))[::-1]
    return Curve(
        threshold=ranked[last],
        n_same=n_same[last],
        n_different=(n_found - n_same)[last],
        precision=n_same[last] / n_found[last],
        recall=n_same[last] / max(1, int(is_same.sum())),
    )


def b_cubed(cluster: Sequence[Any], story: Sequence[Any]) -> tuple[float, float]:
    """B-cubed precision and recall (Bagga & Baldwin 1998) of the clusters of n articles; n must be 1 or more.

    Precision is the mean over articles of: the share of its cluster that is of its story; recall the mean of:
    the share of its story that is in its cluster. The article itself counts.
    """
    _, own_cluster = np.unique(np.asarray(cluster), return_inverse=True)
    _, own_story = np.unique(np.asarray(story), return_inverse=True)
    joint = own_cluster.astype(np.int64) * (own_story.max() + 1) + own_story
    _, both, n_both = np.unique(joint, return_inverse=True, return_counts=True)
    together = n_both[both]
    precision = together / np.bincount(own_cluster)[own_cluster]
    recall = together / np.bincount(own_story)[own_story]
    return float(precision.mean()), float(recall.mean())


def score_clusters(pairs: Sequence[LabelledPair], cluster: Mapping[str, str]) -> ClusterScore:
    """The clusters of the labelled articles; `cluster` of each by id."""
    # Excerpts are found as pairs and never join clusters.
    counted = [pair for pair in pairs if not (pair.is_same and pair.is_excerpt)]
    articles = sorted({one for pair in pairs for one in pair.ids})
    story = components((pair.ids for pair in counted if pair.is_same), articles)
    own, true = [cluster[one] for one in articles], [story[one] for one in articles]
    precision, recall = b_cubed(own, true)
    return ClusterScore(
        n_articles=len(articles),
        n_stories=len(set(true)),
        n_contradictions=sum(story[p.id_a] == story[p.id_b] for p in counted if not p.is_same),
        pairs=score(counted, {p.ids for p in counted if cluster[p.id_a] == cluster[p.id_b]}),
        b_cubed_precision=precision,
        b_cubed_recall=recall,
        adjusted_rand_index=float(adjusted_rand_score(true, own)),
    )


def harmonic(precision: float | None, recall: float | None) -> float | None:
    """F1; None where one of the two is."""
    if precision is None or recall is None:
        return None
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _by_relation(labels: Labels, judged: _Judged) -> dict[str, RelationScore]:
    """By the relation in the file of labels, else by that of the run; missed pairs may have neither."""

    def relation(pair: LabelledPair) -> str:
        found = str(judged.confirmed.get(pair.ids, {}).get("relation", ""))
        return pair.relation or found or UNKNOWN_RELATION

    scores = _grouped(((relation(p), p) for p in labels.pairs), set(judged.confirmed))
    order = {name: at for at, name in enumerate(RELATIONS)}
    return {
        name: RelationScore(**asdict(scores[name]), knows_missed="relation" in labels.columns)
        for name in sorted(scores, key=lambda name: (order.get(name, len(order)), name))
    }


def _sources(labels: Labels, source: Mapping[str, str]) -> Iterable[tuple[str, LabelledPair]]:
    """The file's own sources, else those of both articles: such a pair counts for each of the two."""
    for pair in labels.pairs:
        names = {pair.source} if "source" in labels.columns else {source[one] for one in pair.ids}
        yield from ((name, pair) for name in sorted(names) if name)


def _grouped(named: Iterable[tuple[str, LabelledPair]], found: set[IdPair]) -> dict[str, Score]:
    groups: dict[str, list[LabelledPair]] = defaultdict(list)
    for name, pair in named:
        groups[name].append(pair)
    return {name: score(groups[name], found) for name in sorted(groups)}


def _errors(pairs: Sequence[LabelledPair], judged: _Judged, articles: _Articles) -> list[LabelError]:
    """All errors: false pairs by falling probability, then missed ones by rising probability."""
    wrong = [pair for pair in pairs if pair.is_same != (pair.ids in judged.confirmed)]

    def badness(pair: LabelledPair) -> tuple[bool, float, IdPair]:
        probability = judged.probability(pair.ids)
        return pair.is_same, probability if pair.is_same else -probability, pair.ids

    return [_error(pair, judged, articles) for pair in sorted(wrong, key=badness)]


def _error(pair: LabelledPair, judged: _Judged, articles: _Articles) -> LabelError:
    evidence = judged.confirmed.get(pair.ids) or judged.compared.get(pair.ids) or {}
    return LabelError(
        error="missed" if pair.is_same else "false",
        pair=pair,
        probability=judged.probability(pair.ids) or None,
        relation=str(evidence.get("relation", "")),
        reason=judged.reason(pair.ids),
        same_cluster=articles.cluster[pair.id_a] == articles.cluster[pair.id_b],
        sources=(articles.source[pair.id_a], articles.source[pair.id_b]),
        titles=(articles.title[pair.id_a], articles.title[pair.id_b]),
        evidence=evidence,
    )
