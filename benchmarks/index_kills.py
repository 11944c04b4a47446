"""Kills a run on an index at random moments, and looks whether anything is lost or doubled.

Each night is begun again and again and killed (SIGKILL) at a random moment, spread over the length of an
undisturbed run; then it is let through. After every kill `latest.json` must name a whole run or not be there,
and the index must open. At the end the index must hold what undisturbed nights leave.

    python -m benchmarks.index_kills FOLDER [--kills 50] [--stories 40] [--seed 1]
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq

from benchmarks.index_month import membership, month, news
from pipeline.publish import LATEST, current_run

# A dead run's lease must not be waited for longer than it takes to kill the next one.
OPTIONS = ("--direct", "--set", "index.lease_seconds=2", "--set", "index.wait_seconds=60")


def command(path: Path, output: Path, index: Path) -> list[str]:
    """A night as the command line runs it."""
    run = [
        sys.executable,
        "-m",
        "flows.cli",
        "run",
        str(path),
        "--output",
        str(output),
        "--index",
        str(index),
    ]
    return [*run, *OPTIONS]


def run_to_end(path: Path, output: Path, index: Path) -> float:
    """Seconds of an undisturbed run."""
    began = time.monotonic()
    subprocess.run(command(path, output, index), check=True, capture_output=True)
    return time.monotonic() - began


def kill_after(seconds: float, path: Path, output: Path, index: Path) -> str:
    """Begin a night and kill it; where it stood: the last stage that it told, or "finished"."""
    process = subprocess.Popen(
        command(path, output, index), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    try:
        _, told = process.communicate(timeout=seconds)
        if process.returncode:
            raise SystemExit(f"a run that was not killed failed: {told.decode()}")
        return "finished"
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        _, told = process.communicate()
    lines = told.decode().splitlines()
    return f"after {lines[-1].split()[1].rstrip(':')}" if lines else "before the first stage"


def check(output: Path, index: Path) -> None:
    """Raises an error when what is published, or the index, can't be read."""
    if (output / LATEST).exists():
        folder = current_run(output)
        for table in folder.glob("*.parquet"):
            pq.read_table(table)
    if (index / "index.json").exists():
        membership(index)


def main() -> None:
    """Run two nights with kills, and compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--stories", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    rng = random.Random(given.seed)
    nights = month(2, given.stories, given.seed)
    paths = [news.write(given.folder / f"night-{k}" / "a.parquet", rows) for k, rows in enumerate(nights)]
    calm, harried = given.folder / "calm", given.folder / "harried"
    moments: Counter[str] = Counter()
    for path in paths:
        seconds = run_to_end(path, calm / "out", calm / "index")
        for _ in range(given.kills // len(paths)):
            moments[
                kill_after(rng.uniform(0.2, 1.1) * seconds, path, harried / "out", harried / "index")
            ] += 1
            check(harried / "out", harried / "index")
        run_to_end(path, harried / "out", harried / "index")
        check(harried / "out", harried / "index")
    for moment, n in moments.most_common():
        print(f"{n:3} killed {moment}" if moment != "finished" else f"{n:3} had finished")
    same = membership(calm / "index") == membership(harried / "index")
    print(f"articles and cluster ids as without kills: {'yes' if same else 'no'}")
    raise SystemExit(not same)


if __name__ == "__main__":
    main()
