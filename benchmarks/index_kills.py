"""Kills a run on an index at random moments, and looks whether anything is lost or doubled.

Each night is begun again and again and killed (SIGKILL) up to a tenth of a second after a stage, the stages
drawn by chance; then it is let through. After every kill `latest.json` must name a whole run or not be there,
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


def run_to_end(path: Path, output: Path, index: Path) -> int:
    """An undisturbed run; how many lines it tells on its way."""
    done = subprocess.run(command(path, output, index), check=True, capture_output=True)
    return len(done.stderr.splitlines())


def kill_after(n_lines: int, seconds: float, path: Path, output: Path, index: Path) -> str:
    """Begin a night and kill it some time after it told its n-th line; the last one, or "finished"."""
    process = subprocess.Popen(
        command(path, output, index), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    assert process.stderr is not None
    last = "nothing"
    for _ in range(n_lines):
        line = process.stderr.readline().decode()
        last = line.split(" ", 1)[1].split(":")[0] if line.startswith("20") else last
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    process.stderr.close()
    return f"after {last}" if process.wait() else "finished"


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
        n_lines = run_to_end(path, calm / "out", calm / "index")
        for _ in range(given.kills // len(paths)):
            n, seconds = rng.randrange(n_lines), rng.uniform(0, 0.1)
            moments[kill_after(n, seconds, path, harried / "out", harried / "index")] += 1
            check(harried / "out", harried / "index")
        run_to_end(path, harried / "out", harried / "index")
        check(harried / "out", harried / "index")
    for moment, n in moments.most_common():
        print(f"{n:3} {moment}")
    same = membership(calm / "index") == membership(harried / "index")
    print(f"articles and cluster ids as without kills: {'yes' if same else 'no'}")
    raise SystemExit(not same)


if __name__ == "__main__":
    main()
