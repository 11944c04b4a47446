"""What a night costs on an index, beside a run over everything."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from benchmarks.collection import BATCH, MIXES, make_collection
from benchmarks.contenders import job_command
from benchmarks.measured_process import Measured, all_cores, folder_bytes, measure
from benchmarks.side_by_side import ROOT, say
from benchmarks.side_by_side_tables import print_table
from pipeline.index_catalog import CATALOG


@dataclass(frozen=True)
class Run:
    """One whole job: what was measured from outside, and its manifest."""

    name: str
    measured: Measured
    manifest: dict[str, Any]

    @property
    def stages(self) -> dict[str, float]:
        """Seconds by stage; those of stages that run side by side are the same stretch of time."""
        return {stage["stage"]: stage["seconds"] for stage in self.manifest["stages"]}


def cost_of_a_night(n_past: int, n_new: int, mix: str, work: Path, repeats: int) -> list[Run]:
    """Run a night of `n_new` articles on an index of `n_past`, and a job over all of them; print both.

    The collection and the index are made where they aren't there. The index is as it was before each night.
    """
    folder = (work / f"{mix}-night-{n_past}-{n_new}").absolute()
    past, new, index = folder / "past.parquet", folder / "new.parquet", folder / "index"
    output = (work / "scratch" / "night").absolute()
    if not new.exists():
        say(f"making {n_past + n_new:,} articles ({mix})")
        make_collection(n_past + n_new, folder, MIXES[mix])
        split(folder / "articles.parquet", n_past, past, new)
    if not (index / CATALOG).exists():
        say(f"making an index of {n_past:,} articles")
        _run("index", [past], output, index)
    before = (index / CATALOG).read_bytes()
    runs = []
    for _ in range(repeats):
        night = _run(f"a night of {n_new:,} on an index of {n_past:,}", [new], output, index)
        (index / CATALOG).write_bytes(before)  # the next run removes the segment
        runs += [night, _run(f"a run over all {n_past + n_new:,}", [folder / "articles.parquet"], output)]
        say(", ".join(f"{run.name}: {run.measured.seconds:.1f} s" for run in runs[-2:]))
    _print(runs, folder_bytes(index) / n_past)
    return runs


def split(articles: Path, n_first: int, first: Path, rest: Path) -> None:
    """Write the first rows of a collection to one file, the others to another."""
    with pq.ParquetFile(articles) as file:
        writers = [
            pq.ParquetWriter(path, file.schema_arrow, compression="zstd", compression_level=1)
            for path in (first, rest)
        ]
        row = 0
        for batch in file.iter_batches(BATCH):
            cut = min(max(n_first - row, 0), len(batch))
            for writer, part in zip(writers, (batch.slice(0, cut), batch.slice(cut)), strict=True):
                if len(part):
                    writer.write_batch(part, row_group_size=BATCH)
            row += len(batch)
        for writer in writers:
            writer.close()


def _run(name: str, inputs: list[Path], output: Path, index: Path | None = None) -> Run:
    shutil.rmtree(output, ignore_errors=True)
    n_cores = len(all_cores())
    command = job_command(sys.executable, inputs[0], n_cores, output)
    command += ["--set", "columns.article_id=article_id"]
    if index is not None:
        command += ["--index", str(index)]
    measured = measure(command, n_cores, ROOT, {}, output / ".work")
    manifest = json.loads((Path(measured.stdout.splitlines()[-1]) / "manifest.json").read_text())
    shutil.rmtree(output)
    return Run(name, measured, manifest)


def _print(runs: list[Run], bytes_an_article: float) -> None:
    """The tables; of several runs of a kind the fastest one counts."""
    night, whole = (min(kind, key=lambda run: run.measured.seconds) for kind in (runs[::2], runs[1::2]))
    print("\n### A night on an index\n")
    print_table(
        ("", "runs", "articles", "candidate pairs / article", "seconds", "CPU s", "peak MB", "disk MB"),
        [
            (
                run.name,
                str(len(runs) // 2),
                f"{run.manifest['counts']['n_accepted']:,}",
                f"{run.manifest['counts']['candidate_pairs_per_article']:.1f}",
                f"{run.measured.seconds:.1f}",
                f"{run.measured.cpu_seconds:.1f}",
                f"{run.measured.peak_bytes / 1e6:,.0f}",
                f"{run.measured.watched_bytes / 1e6:,.0f}",
            )
            for run in (night, whole)
        ],
    )
    share = night.measured.seconds / whole.measured.seconds
    print(f"\nThe night takes {share:.3f} of the seconds of the run over everything.")
    print(f"The index has {bytes_an_article:,.0f} bytes an article.")
    print("\n### Seconds by stage\n")
    print_table(
        ("stage", "night", "everything"),
        [
            (stage, *(f"{run.stages[stage]:.2f}" if stage in run.stages else "" for run in (night, whole)))
            for stage in dict.fromkeys((*night.stages, *whole.stages))
        ],
    )
