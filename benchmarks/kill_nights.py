"""kill -9 at random moments over two nights: is anything lost, or there twice?

    python -m benchmarks.kill_nights --kills 50 --seed 1

Runs `respun nightly` for two nights of the sample, again and again, in a process of its own that is killed
after a random time until the given number of kills is reached; then lets it end. After every kill latest.json
must name a whole run. At the end each night must have one run, with the tables of an undisturbed one. Then
the next two nights follow in a new output folder, until there were kills enough.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pyarrow.parquet as pq

from pipeline.journal import JOURNAL
from pipeline.publish import LATEST, current_run

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "data" / "sample" / "articles.parquet"
NIGHTS = ("2026-11-20", "2026-11-21")
# Attempts at a pair of nights, which may well be over before.
KILLS_A_ROUND = 10
# Processes begin with everything imported, so that kills hit the work and not the start of Python.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(
    ["flows.cli", "flows.progress", "flows.report", "pipeline.job", "pipeline.nights"]
)


@dataclass
class Found:
    """What was seen: kills by the stage that was reached, faults as sentences."""

    n_kills: int = 0
    n_rounds: int = 0
    n_reused: int = 0
    reached: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


def main() -> int:
    """Kill, look, and say what was found. Exit code 1 when something was wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="respun-kill-") as folder:
        found = kill_nights(Path(folder), options.kills, options.seed)
    for stage, n in sorted(found.reached.items()):
        print(f"killed after {stage}: {n}")
    print(f"{found.n_kills} kills in {found.n_rounds} rounds of two nights, {found.n_reused} calls kept")
    for fault in found.faults:
        print(f"FAULT: {fault}")
    print("nothing lost, nothing doubled" if not found.faults else f"{len(found.faults)} faults")
    return 1 if found.faults else 0


def kill_nights(folder: Path, n_kills: int, seed: int) -> Found:
    """Kill `n_kills` nightly runs under `folder`, over as many pairs of nights as that takes."""
    chance = random.Random(seed)
    crawl = _crawl(folder / "crawl")
    expected = _tables(_undisturbed(crawl, folder / "expected"))
    seconds = _seconds(crawl, folder / "timed")
    found = Found()
    while found.n_kills < n_kills:
        output = folder / f"round-{found.n_rounds}"
        for _ in range(KILLS_A_ROUND):
            if not _killed(crawl, output, chance.uniform(0, seconds), found):
                break
            _look(output, found)
        _finish(crawl, output)
        found.faults += _differences(output, expected)
        found.n_reused += sum(s["n_reused"] for m in _manifests(output) for s in m["stages"])
        found.n_rounds += 1
        shutil.rmtree(output)
    return found


def _crawl(folder: Path) -> Path:
    table = pq.read_table(SAMPLE)
    for number, night in enumerate(NIGHTS):
        (folder / night).mkdir(parents=True)
        pq.write_table(table.slice(number * 89, 89), folder / night / "articles.parquet")
    return folder


def _nightly(crawl: Path, output: Path, night: str) -> None:
    """`respun nightly`, in a process of its own."""
    from flows.cli import main

    sys.stdout = sys.stderr = open(f"{output}.log", "w", encoding="utf-8")  # noqa: SIM115 - for good
    args = ["nightly", crawl / "{date}", "--output", output, "--config", "smoke", "--date", night]
    main([str(arg) for arg in args])


def _start(crawl: Path, output: Path, night: str) -> ForkServerProcess:
    process = PROCESSES.Process(target=_nightly, args=(crawl, output, night))
    process.start()
    return process


def _finish(crawl: Path, output: Path) -> None:
    for night in NIGHTS:
        process = _start(crawl, output, night)
        process.join()
        if process.exitcode:
            raise RuntimeError(f"night {night} failed: {Path(f'{output}.log').read_text(encoding='utf-8')}")


def _undisturbed(crawl: Path, output: Path) -> Path:
    _finish(crawl, output)
    return output


def _seconds(crawl: Path, output: Path) -> float:
    """How long a night takes, from the start of its process to its end."""
    took = []
    for night in NIGHTS:
        began = time.monotonic()
        process = _start(crawl, output, night)
        process.join()
        took.append(time.monotonic() - began)
    return min(took)


def _killed(crawl: Path, output: Path, seconds: float, found: Found) -> bool:
    """Run the first night that has no run, and kill it after `seconds`. False when both nights have one."""
    n_before = len(_manifests(output))
    if n_before == len(NIGHTS):
        return False
    process = _start(crawl, output, NIGHTS[n_before])
    process.join(seconds)
    process.kill()
    process.join()
    if process.exitcode == -signal.SIGKILL:
        found.n_kills += 1
        found.reached[_last_stage(output, n_before)] += 1
    return True


def _last_stage(output: Path, n_before: int) -> str:
    """The last stage of which a call was finished when the process was killed."""
    if len(_manifests(output)) > n_before:
        return "publish"
    lines = [line for path in output.glob(f".work/*/{JOURNAL}") for line in path.read_text().splitlines()]
    for line in reversed(lines):
        try:
            return str(json.loads(line)["stage"])
        except ValueError:
            continue
    return "nothing"


def _look(output: Path, found: Found) -> None:
    """Whatever moment it was: what is current is whole."""
    if not (output / LATEST).exists():
        return
    run_dir = current_run(output)
    manifest = json.loads((run_dir / "manifest.json").read_text())
    for name, table in manifest["tables"].items():
        if pq.read_table(run_dir / f"{name}.parquet").num_rows != table["rows"]:
            found.faults.append(f"{run_dir.name}: {name} is not whole")


def _manifests(output: Path) -> list[dict]:
    return [json.loads(path.read_text()) for path in sorted(output.glob("runs/*/manifest.json"))]


def _tables(output: Path) -> dict[str, dict[str, bytes]]:
    return {
        manifest["night"]: {
            path.name: path.read_bytes() for path in (output / "runs" / manifest["run_id"]).iterdir()
            if path.suffix == ".parquet"
        }
        for manifest in _manifests(output)
    }  # fmt: skip


def _differences(output: Path, expected: dict[str, dict[str, bytes]]) -> list[str]:
    nights = [manifest["night"] for manifest in _manifests(output)]
    faults = [] if sorted(nights) == sorted(NIGHTS) else [f"runs of the nights {nights}"]
    found = _tables(output)
    faults += [f"night {night} differs" for night in NIGHTS if found.get(night) != expected[night]]
    current = json.loads((current_run(output) / "manifest.json").read_text())
    if current["night"] != NIGHTS[-1]:
        faults.append(f"current is the night {current['night']}")
    # Beside them, in the output folder itself, a later run removes what is over a day old.
    if left := [
        path.name
        for path in (output / "runs").rglob("*")
        if path.suffix not in {"", ".parquet", ".json", ".html"}
    ]:
        faults.append(f"left behind: {left}")
    return faults


if __name__ == "__main__":
    sys.exit(main())
