"""Scores a run against a labelled pool. Needs pyarrow only.

    python -m benchmarks.score TRUTH --pairs confirmed_pairs.parquet --members cluster_members.parquet
    python -m benchmarks.score TRUTH --candidates candidate_pairs.parquet
    python -m benchmarks.score TRUTH --repeats repeated_sections.parquet
    ... [--json OUT]

The first two are of a run over TRUTH/articles.parquet, the last of one over TRUTH/pages.parquet.

Pairs and clusters. `pairs.parquet` has label 1 (must be found), 0 (must not be found), -1 (not counted).
Besides the label-0 pairs, a found pair is known to be false when its two articles come from different sets
(the id up to its first '/'), or from different groups of the set 'story'. precision = true / (true + known
false), on found pairs. Kinds `story.excerpt*` and `extraction.*` count for pairs only: an excerpt need not
share a cluster.

Reprints must be found at pair level. `followups` counts follow-up stories that a cluster joins with the story
they follow (few is better; not part of precision). `fold` in pairs.parquet (0-4, by story or text family) is
for fitting: report figures of a fitted rule out of fold. An unknown article id is an error.

Repeats. A page is found when one reported group has an occurrence over each of its two true spans, and the
reported occurrences of such groups cover at least half of both. A clean page is a false alarm when anything
is reported that covers over 5 % of it.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from benchmarks.story_benchmark import REWRITERS

RESPUN = (
    "story.light", "story.heavy", "l2r.rewrite", "hppt.polish", "clough.light", "clough.heavy",
    "l2rnews.rewrite", "politifact.restyle", "adj.respun", "story.headline_spun",
    *(f"rewriter.{name}" for name in REWRITERS),
)  # fmt: skip
PAIR_ONLY = ("story.excerpt", "extraction.")
FOLLOW_UPS = ("neutral.followup", "neutral.adj_follow_up")
HUGE = 3000  # a cluster so large that its pairs aren't listed: precision counts as 0

Row = dict[str, Any]
IdPair = tuple[str, str]
Span = tuple[int, int]  # half-open, code points


class UnknownArticleError(Exception):
    """The run's tables name articles that are not in the pool: it was a run over something else."""


def rows(path: Path) -> list[Row]:
    """All rows of a Parquet file."""
    table: list[Row] = pq.read_table(path).to_pylist()
    return table


def known_false(a: str, b: str, group: dict[str, str]) -> bool:
    """Whether two articles can't be one story, by their sets and groups."""
    set_a, set_b = a.split("/")[0], b.split("/")[0]
    return set_a != set_b or (set_a == "story" and group.get(a) != group.get(b))


def summary(
    found: set[IdPair], truth: Sequence[Row], group: dict[str, str], cluster_level: bool
) -> dict[str, Any]:
    """Recall per kind, false finds per kind and precision of `found`, pairs of ids in order."""
    by_kind: dict[tuple[str, int], list[int]] = defaultdict(lambda: [0, 0])
    label: dict[IdPair, int] = {}
    for pair in truth:
        ids = (pair["id_a"], pair["id_b"])
        label[ids] = max(label.get(ids, -1), pair["label"])
        if pair["label"] in (0, 1):
            counts = by_kind[pair["kind"], pair["label"]]
            counts[0] += ids in found
            counts[1] += 1
    n_true = sum(1 for ids in found if label.get(ids) == 1)
    n_false = sum(
        1 for ids in found if label.get(ids) == 0 or (ids not in label and known_false(*ids, group))
    )
    recall = {
        kind: round(n_found / n, 4)
        for (kind, wanted), (n_found, n) in sorted(by_kind.items())
        if wanted == 1 and not (cluster_level and kind.startswith(PAIR_ONLY))
    }
    false = {kind: f"{n[0]}/{n[1]}" for (kind, wanted), n in sorted(by_kind.items()) if wanted == 0}
    respun = [recall[kind] for kind in RESPUN if kind in recall]
    r = sum(respun) / len(respun) if respun else 0.0
    p = n_true / (n_true + n_false) if n_true + n_false else 0.0
    return {
        "found": len(found),
        "true": n_true,
        "known_false": n_false,
        "precision": round(p, 4),
        "respun_recall_macro": round(r, 4),
        "respun_f1": round(2 * p * r / (p + r), 4) if p + r else 0.0,
        "recall": recall,
        "false": false,
    }


def score_pairs(truth_dir: Path, pairs: Path | None, members: Path | None) -> dict[str, Any]:
    """Score confirmed pairs, cluster members or both. Raises UnknownArticleError."""
    truth = rows(truth_dir / "pairs.parquet")
    group = {row["id"]: row["group"] for row in rows(truth_dir / "groups.parquet")}
    out = {}
    if pairs:
        found = _found_pairs(pairs)
        _check_known({article for pair in found for article in pair}, group)
        out["pairs"] = summary(found, truth, group, cluster_level=False)
    if members:
        out["clusters"] = _score_clusters(members, truth, group)
    return out


def _score_clusters(members: Path, truth: Sequence[Row], group: dict[str, str]) -> dict[str, Any]:
    clusters: dict[str, list[str]] = defaultdict(list)
    for member in rows(members):
        clusters[member["cluster_id"]].append(member["article_id"])
    _check_known({article for cluster in clusters.values() for article in cluster}, group)
    sizes = Counter(len(cluster) for cluster in clusters.values())
    n_huge = sum(n for size, n in sizes.items() if size > HUGE)
    together = {
        (min(a, b), max(a, b))
        for cluster in clusters.values()
        if len(cluster) <= HUGE
        for i, a in enumerate(cluster)
        for b in cluster[i + 1 :]
    }
    out = summary(together, truth, group, cluster_level=True)
    if n_huge:
        out.update(precision=0.0, respun_f1=0.0, huge_clusters=n_huge)
    follow = [pair for pair in truth if pair["kind"] in FOLLOW_UPS]
    n_joined = sum((pair["id_a"], pair["id_b"]) in together for pair in follow)
    out.update(
        followups=f"{n_joined}/{len(follow)}",
        clusters=sum(n for size, n in sizes.items() if size > 1),
        largest=max(sizes, default=0),
        mixed_sets=sum(1 for c in clusters.values() if len({article.split("/")[0] for article in c}) > 1),
    )
    return out


def _found_pairs(path: Path) -> set[IdPair]:
    return {
        (min(row["article_id_l"], row["article_id_r"]), max(row["article_id_l"], row["article_id_r"]))
        for row in rows(path)
    }


def _check_known(ids: set[str], group: dict[str, str]) -> None:
    unknown = sorted(ids - group.keys())
    if unknown:
        raise UnknownArticleError(
            f"{len(unknown)} article ids are not in the pool, {unknown[0]!r} among them"
        )


def score_candidates(truth_dir: Path, candidates: Path) -> dict[str, Any]:
    """Recall of candidate generation per kind, and its cost in pairs per article."""
    n_articles = len(rows(truth_dir / "groups.parquet"))
    found = _found_pairs(candidates)
    by_kind: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for pair in rows(truth_dir / "pairs.parquet"):
        if pair["label"] == 1:
            by_kind[pair["kind"]][0] += (pair["id_a"], pair["id_b"]) in found
            by_kind[pair["kind"]][1] += 1
    return {
        "pairs_per_article": round(len(found) / n_articles, 2),
        "recall": {kind: round(n_found / n, 4) for kind, (n_found, n) in sorted(by_kind.items())},
    }


def score_repeats(truth_dir: Path, repeats: Path) -> dict[str, Any]:
    """Pages found per kind, and false alarms per kind of clean page."""
    spans: dict[str, list[Span]] = defaultdict(list)
    for span in rows(truth_dir / "page_spans.parquet"):
        spans[span["id"]].append((span["begin"], span["end"]))
    reported: dict[str, dict[Any, list[Span]]] = defaultdict(lambda: defaultdict(list))
    for row in rows(repeats):
        group = (row.get("level"), row["group_id"])
        reported[row["article_id"]][group].append((row["begin"], row["end"]))
    hits: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for page in rows(truth_dir / "pages.parquet"):
        groups = reported.get(page["article_id"], {}).values()
        true_spans = spans.get(page["article_id"])
        if true_spans:
            hit = _versions_found(true_spans[0], true_spans[1], groups)
        else:
            hit = _cover((0, len(page["text"])), [span for group in groups for span in group]) > 0.05
        hits[page["kind"]][0] += hit
        hits[page["kind"]][1] += 1
    figures = {kind: f"{n_hits}/{n}" for kind, (n_hits, n) in sorted(hits.items())}
    return {
        "pages_found": {kind: v for kind, v in figures.items() if not kind.startswith("clean")},
        "false_alarms": {kind: v for kind, v in figures.items() if kind.startswith("clean")},
    }


def _versions_found(a: Span, b: Span, groups: Iterable[list[Span]]) -> bool:
    over_a: list[Span] = []
    over_b: list[Span] = []
    for group in groups:
        in_a = [span for span in group if _overlap(span, a) > 0.5 * (span[1] - span[0])]
        in_b = [span for span in group if _overlap(span, b) > 0.5 * (span[1] - span[0])]
        if in_a and in_b:
            over_a += in_a
            over_b += in_b
    return _cover(a, over_a) >= 0.5 and _cover(b, over_b) >= 0.5


def _overlap(a: Span, b: Span) -> int:
    return max(0, min(a[1], b[1]) - max(a[0], b[0]))


def _cover(span: Span, occurrences: Sequence[Span]) -> float:
    """Share of `span` that the occurrences cover, 0..1."""
    clipped = sorted((max(o[0], span[0]), min(o[1], span[1])) for o in occurrences if _overlap(o, span))
    covered = 0
    at = span[0]
    for begin, end in clipped:
        covered += max(0, end - max(begin, at))
        at = max(at, end)
    return covered / (span[1] - span[0])


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("truth", type=Path)
    for name in ("--pairs", "--members", "--repeats", "--candidates", "--json"):
        parser.add_argument(name, type=Path)
    options = parser.parse_args()
    out: dict[str, Any] = {}
    try:
        if options.pairs or options.members:
            out.update(score_pairs(options.truth, options.pairs, options.members))
    except UnknownArticleError as error:
        raise SystemExit(str(error)) from None
    if options.candidates:
        out["candidates"] = score_candidates(options.truth, options.candidates)
    if options.repeats:
        out["repeats"] = score_repeats(options.truth, options.repeats)
    text = json.dumps(out, indent=1)
    print(text)
    if options.json:
        options.json.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
