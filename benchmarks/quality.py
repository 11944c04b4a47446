"""Runs the whole job over a labelled benchmark and prints what it found; with --gate, against pinned floors.

    python -m benchmarks.quality [--benchmark FOLDER] [--seed FOLDER] [--gate benchmarks/floors.toml]

FOLDER holds articles, groups, pairs, pages and page_spans (Parquet), or the project's own stories (JSONL),
from which they are made. The default is the large benchmark beside the project where it exists, else
data/stories. Exit codes: 0 done, every limit met; 1 a limit isn't met, a pinned file has changed, or the job
failed; 2 arguments can't be used.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import seed_page
from benchmarks.floors import Check, FloorsError, changed_files, check, failures, read_floors
from benchmarks.score import UnknownArticleError, score_pairs, score_repeats
from benchmarks.story_benchmark import make_story_benchmark

ROOT = Path(__file__).resolve().parent.parent
LARGE = ROOT.parent / "shared" / "quality" / "dev"
SEED = ROOT.parent / "shared" / "seed"
STORIES = ROOT / "data" / "stories"
OTHER_STORIES = tuple(ROOT / "data" / name for name in ("held_out", "rewriters", "forms"))
FLOORS = ROOT / "benchmarks" / "floors.toml"

Job = Callable[[Sequence[Path], Path], Path]  # inputs, output folder -> folder of the run


class JobFailedError(Exception):
    """The job's exit code was not 0; the message holds its last words."""


def direct_job(settings: Sequence[str] = ()) -> Job:
    """The job as `respun run --direct` with these `--set` arguments, in a process of its own."""

    def run(inputs: Sequence[Path], output: Path) -> Path:
        command = [sys.executable, "-m", "flows.cli", "run", *map(str, inputs), "--output", str(output)]
        command += ["--direct", *(word for setting in settings for word in ("--set", setting))]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            raise JobFailedError(f"exit code {done.returncode}: {done.stderr[-2000:]}")
        return Path(done.stdout.splitlines()[-1])

    return run


def measure_benchmark(folder: Path, job: Job, work: Path) -> dict[str, float]:
    """Run the job over a benchmark's articles, then over its pages. Returns figures by name.

    Of stories it is run twice more, over the same articles with those that tell a story again days later, and
    on the site of their story.
    """
    truth = folder.absolute()
    if not (truth / "pairs.parquet").exists():
        truth = work / "truth"
        make_story_benchmark(sorted(folder.glob("*.jsonl")), truth)

    def scored_run(name: str) -> dict[str, Any]:
        run_dir = job([truth / f"{name}.parquet"], work / name)
        return score_pairs(truth, run_dir / "confirmed_pairs.parquet", run_dir / "cluster_members.parquet")

    scored = scored_run("articles")
    for name in ("late", "same_site"):
        if (truth / f"{name}.parquet").exists():
            scored[name] = scored_run(name)
    run_dir = job([truth / "pages.parquet"], work / "pages")
    scored["repeats"] = score_repeats(truth, run_dir / "repeated_sections.parquet")
    return flatten(scored)


def measure_seed(folder: Path, among: Path, job: Job, work: Path) -> dict[str, float]:
    """Run the job over the seed page cut in two, together with the articles of `among`, and over it alone."""
    page = seed_page.read_page(folder)
    halves, whole = work / "halves.parquet", work / "whole.parquet"
    seed_page.write_halves(page, halves)
    seed_page.write_whole(page, whole)
    run_dir = job([halves, among.absolute() / "articles.parquet"], work / "halves")
    figures = seed_page.score_halves(run_dir)
    run_dir = job([whole], work / "whole")
    return figures | seed_page.score_whole(page, run_dir)


def flatten(scored: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """Nested scores as figures with dotted names; of a text such as "18/20" the first number."""
    figures: dict[str, float] = {}
    for key, value in scored.items():
        if isinstance(value, Mapping):
            figures |= flatten(value, f"{prefix}{key}.")
        else:
            figures[f"{prefix}{key}"] = float(str(value).partition("/")[0])
    return figures


def measure_all(
    folders: Mapping[str, Path], gate: Path | None, job: Job
) -> tuple[dict[str, dict[str, float]], dict[str, list[Check]], list[str]]:
    """Measure each benchmark. Returns its figures, its checks, and one line for each thing wrong.

    A benchmark whose pinned files have changed is not run. Raises FloorsError, JobFailedError,
    UnknownArticleError.
    """
    figures: dict[str, dict[str, float]] = {}
    checks: dict[str, list[Check]] = {}
    wrong: list[str] = []
    among = next(iter(folders.values()))
    for name, folder in folders.items():
        floors = read_floors(gate, name) if gate else None
        changed = changed_files(floors, folder) if floors else []
        wrong += changed
        if changed:
            continue
        with tempfile.TemporaryDirectory(prefix="respun-quality-") as work:
            if folder == among:
                figures[name] = measure_benchmark(folder, job, Path(work))
            else:
                figures[name] = measure_seed(folder, among, job, Path(work))
        if floors:
            checks[name] = check(floors, figures[name])
            wrong += [f"{name}: {line}" for line in failures(checks[name])]
    return figures, checks, wrong


def print_figures(name: str, figures: Mapping[str, float], checks: Sequence[Check]) -> None:
    """A Markdown table of the figures, with their limits where there are any."""
    rules = {c.figure: f"{c.rule} {'met' if c.met else 'MISSED'}" for c in checks}
    print(f"\n### {name}\n\n| figure | measured | limit |\n| --- | --- | --- |")
    for figure in [*figures, *(f for f in rules if f not in figures)]:
        measured = f"{figures[figure]:g}" if figure in figures else "not measured"
        print(f"| {figure} | {measured} | {rules.get(figure, '')} |")


def main(arguments: Sequence[str] | None = None, job: Job | None = None) -> int:
    """Command line. `job` replaces the real job in tests. Returns the exit code."""
    options = _options(arguments)
    folders = {options.benchmark.resolve().name: options.benchmark}
    if options.seed:
        folders["seed"] = options.seed
    try:
        figures, checks, wrong = measure_all(folders, options.gate, job or direct_job(options.settings))
    except (FloorsError, JobFailedError, UnknownArticleError) as error:
        print(f"quality: error: {error}", file=sys.stderr)
        return 1
    for name, measured in figures.items():
        print_figures(name, measured, checks.get(name, []))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    for line in wrong:
        print(f"quality: {line}", file=sys.stderr)
    return 1 if wrong else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--benchmark", type=Path, default=LARGE if LARGE.is_dir() else STORIES)
    parser.add_argument("--seed", type=Path, help="folder of the seed page; needs a benchmark in Parquet")
    parser.add_argument("--gate", type=Path, metavar="FILE", help="floors to compare with")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures")
    parser.add_argument("--set", action="append", default=[], dest="settings", metavar="KEY=VALUE")
    options = parser.parse_args(arguments)
    if not options.benchmark.is_dir():
        parser.error(f"--benchmark: must be a folder, not {options.benchmark}")
    if options.seed and not (options.benchmark / "articles.parquet").exists():
        parser.error("--seed: needs a benchmark with articles.parquet")
    return options


if __name__ == "__main__":
    sys.exit(main())
