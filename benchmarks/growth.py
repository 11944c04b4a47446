"""How the whole job grows with the collection: time by stage, memory, scratch, candidate pairs, recall."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.collection import MIXES, make_collection
from benchmarks.contenders import job_command
from benchmarks.measured_process import Measured, all_cores, measure
from benchmarks.side_by_side import ROOT, say
from benchmarks.side_by_side_tables import print_table

Rows = npt.NDArray[np.int64]

# Kinds of planted articles that are pairs with their story's source, and those that share its cluster only.
PLANTED = ("copy", "edited", "trimmed", "excerpt", "light", "heavy", "spun")


@dataclass(frozen=True)
class Run:
    """One whole job: what was measured from outside, its manifest, recall of planted pairs by kind."""

    n_articles: int
    measured: Measured
    manifest: dict[str, Any]
    recall: dict[str, float]

    @property
    def counts(self) -> dict[str, Any]:
        """The manifest's counts."""
        counts: dict[str, Any] = self.manifest["counts"]
        return counts

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds by stage; those of stages that run side by side are the same stretch of time."""
        return {stage["stage"]: stage["seconds"] for stage in self.manifest["stages"]}


def grow(sizes: Sequence[int], mix: str, work: Path, candidates: bool) -> list[Run]:
    """Make the collections where they aren't there, run the job over each, and print the tables.

    `candidates`: the recall is that of the candidate pairs, which are written for it; else of confirmed ones.
    """
    runs = []
    for n_articles in sizes:
        folder = work / f"{mix}-{n_articles}"
        if not (folder / "truth.parquet").exists():
            say(f"making {n_articles:,} articles ({mix})")
            make_collection(n_articles, folder, MIXES[mix])
        run = run_job(folder, n_articles, work / "scratch" / "growth", candidates)
        say(f"{n_articles:,} articles: {run.measured.seconds:.1f} s")
        runs.append(run)
    print_runs(runs, "candidate" if candidates else "confirmed")
    return runs


def run_job(collection: Path, n_articles: int, output: Path, candidates: bool) -> Run:
    """Run respun's whole job once, on all cores, over the collection's articles."""
    shutil.rmtree(output, ignore_errors=True)
    output = output.absolute()
    n_cores = len(all_cores())
    command = job_command(sys.executable, (collection / "articles.parquet").absolute(), n_cores, output)
    command += [
        "--set",
        "columns.article_id=article_id",
        "--set",
        f"keep_rejected_candidates={str(candidates).lower()}",
    ]
    measured = measure(command, n_cores, ROOT, {}, output / ".work")
    run_dir = Path(measured.stdout.splitlines()[-1])
    manifest = json.loads((run_dir / "manifest.json").read_text(encoding="utf-8"))
    table = "candidate_pairs" if candidates else "confirmed_pairs"
    recall = planted_recall(collection / "truth.parquet", run_dir / f"{table}.parquet")
    shutil.rmtree(output)
    return Run(n_articles, measured, manifest, recall)


def planted_recall(truth: Path, pairs: Path) -> dict[str, float]:
    """Share of the planted variants, by kind, that are paired with their source; ids are `a` and digits."""
    planted = pq.read_table(truth)
    row, story, kind = _rows(planted["article_id"]), planted["story"].to_numpy(), planted["kind"].to_numpy()
    source = np.full(int(story.max(initial=0)) + 1, -1)
    source[story[kind == "source"]] = row[kind == "source"]
    found = pq.read_table(pairs, columns=["article_id_l", "article_id_r"])
    words = np.sort(_words(*(_rows(found[c]) for c in found.column_names)))
    recall = {}
    for name in PLANTED:
        own, other = row[kind == name], source[story[kind == name]]
        wanted = _words(np.minimum(own, other), np.maximum(own, other))
        at = np.minimum(np.searchsorted(words, wanted), max(len(words) - 1, 0))
        recall[name] = float(np.mean(words[at] == wanted)) if len(words) and len(wanted) else 0.0
    return recall


def _words(low: Rows, high: Rows) -> npt.NDArray[np.uint64]:
    return (low.astype(np.uint64) << np.uint64(32)) | high.astype(np.uint64)


def _rows(ids: pa.ChunkedArray) -> Rows:
    return np.asarray(pc.utf8_slice_codeunits(ids, 1).cast(pa.int64()).to_numpy())


def exponent(sizes: Sequence[int], values: Sequence[float]) -> float:
    """The slope of log value over log size, by least squares."""
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def print_runs(runs: Sequence[Run], pairs: str) -> None:
    """Print the tables of some runs, smallest first."""
    print("\n### Growth\n")
    print_table(
        ("articles", "text MB", "seconds", "articles/s", "MB/s", "peak MB", "scratch / text",
         "with tables / text", "candidate pairs / article", "collisions / article", "oversized buckets",
         "candidate recall, estimated"),
        [_growth(run) for run in runs],
    )  # fmt: skip
    if len(runs) > 1:
        sizes, seconds = [r.n_articles for r in runs], [r.measured.seconds for r in runs]
        print(f"\nExponent of the time over the sizes: {exponent(sizes, seconds):.3f}")
        print(f"Of the last step: {exponent(sizes[-2:], seconds[-2:]):.3f}")
    print("\n### Seconds by stage\n")
    stages = list(runs[-1].seconds)
    print_table(
        ("stage", *(f"{run.n_articles:,}" for run in runs), "articles/s at the largest"),
        [
            (
                stage,
                *(f"{run.seconds.get(stage, 0):.2f}" for run in runs),
                f"{runs[-1].n_articles / max(runs[-1].seconds[stage], 1e-9):,.0f}",
            )
            for stage in stages
        ],
    )
    print(f"\n### Planted variants paired with their source, among {pairs} pairs\n")
    print_table(
        ("articles", *PLANTED),
        [(f"{run.n_articles:,}", *(f"{run.recall[kind]:.3f}" for kind in PLANTED)) for run in runs],
    )


def _growth(run: Run) -> tuple[str, ...]:
    counts, measured = run.counts, run.measured
    return (
        f"{run.n_articles:,}",
        f"{counts['text_bytes'] / 1e6:,.0f}",
        f"{measured.seconds:.1f}",
        f"{run.n_articles / measured.seconds:,.0f}",
        f"{counts['text_bytes'] / 1e6 / measured.seconds:.1f}",
        f"{measured.peak_bytes / 1e6:,.0f}",
        f"{measured.scratch_bytes / counts['text_bytes']:.2f}",
        f"{measured.watched_bytes / counts['text_bytes']:.2f}",
        f"{counts['candidate_pairs_per_article']:.2f}",
        f"{counts['n_collisions'] / counts['n_accepted']:.0f}",
        f"{counts['n_oversized_buckets']:,}",
        "-" if counts["candidate_recall"] is None else f"{counts['candidate_recall']:.3f}",
    )
