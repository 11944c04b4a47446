"""kill -9 at random moments over two nights: is anything lost, or there twice?

    python -m benchmarks.kill_nights [--index] --kills 50 --seed 1

Runs `respun nightly` for two nights of the sample, again and again, in a process of its own that is killed
after a random time until the given number of kills is reached; then lets it end. Each start goes on from what
the last one left. After every kill latest.json must name a whole run, and the index must open. At the end
each night must have one run, with the tables of an undisturbed one, and the index must hold what undisturbed
nights leave. Then the next two nights follow in a new output folder, until there were kills enough.
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

from pipeline.index_catalog import CATALOG, TABLES, require_catalog
from pipeline.index_segments import IndexReader
from pipeline.index_store import Store
from pipeline.index_write import SEGMENTS
from pipeline.journal import JOURNAL
from pipeline.lease import LEASES
from pipeline.manifest import MANIFEST, read_manifest
from pipeline.publish import LATEST, current_run

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "data" / "sample" / "articles.parquet"
NIGHTS = ("2026-11-20", "2026-11-21")
# Columns that name runs, which begin with the time: another one has others.
RUNS = ["run_id", "earlier_run_id"]
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
    parser.add_argument("--index", action="store_true", help="nights on an index")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="respun-kill-") as folder:
        found = kill_nights(Path(folder), options.kills, options.seed, options.index)
    for stage, n in sorted(found.reached.items()):
        print(f"killed after {stage}: {n}")
    print(f"{found.n_kills} kills in {found.n_rounds} rounds of two nights, {found.n_reused} calls kept")
    for fault in found.faults:
        print(f"FAULT: {fault}")
    print("nothing lost, nothing doubled" if not found.faults else f"{len(found.faults)} faults")
    return 1 if found.faults else 0


def kill_nights(folder: Path, n_kills: int, seed: int, with_index: bool = False) -> Found:
    """Kill `n_kills` nightly runs under `folder`, over as many pairs of nights as that takes."""
    chance = random.Random(seed)
    crawl = _crawl(folder / "crawl")
    calm = Place(crawl, folder / "calm", with_index)
    _finish(calm)
    expected = calm.tables()
    seconds = _seconds(Place(crawl, folder / "timed", with_index))
    found = Found()
    while found.n_kills < n_kills:
        place = Place(crawl, folder / f"round-{found.n_rounds}", with_index)
        for _ in range(KILLS_A_ROUND):
            if not _killed(place, chance.uniform(0, seconds), found):
                break
            _look(place, found)
        _finish(place)
        _look(place, found)
        found.faults += _differences(place, expected)
        found.n_reused += sum(s["n_reused"] for m in place.manifests() for s in m["stages"])
        found.n_rounds += 1
        shutil.rmtree(place.folder)
    return found


@dataclass(frozen=True)
class Place:
    """Where nights read, and where they leave tables and, or not, an index."""

    crawl: Path
    folder: Path
    with_index: bool

    @property
    def output(self) -> Path:
        return self.folder / "out"

    @property
    def index(self) -> Path | None:
        return self.folder / "index" if self.with_index else None

    def manifests(self) -> list[dict]:
        return [read_manifest(path.parent) for path in sorted(self.output.glob(f"runs/*/{MANIFEST}"))]

    def tables(self) -> dict[str, object]:
        """What the nights have published, and the index holds: bytes, or what Arrow makes of them."""
        found: dict[str, object] = {}
        for manifest in self.manifests():
            for path in (self.output / "runs" / manifest["run_id"]).glob("*.parquet"):
                found[f"{manifest['night']} {path.name}"] = _content(path)
        if self.index is not None and (self.index / CATALOG).exists():
            for number, segment in enumerate(require_catalog(Store(str(self.index))).segments):
                for name in TABLES:
                    found[f"segment {number} {name}"] = _content(self.index / segment.files[name].path)
        return found


def _content(path: Path) -> object:
    """The file, or the table where it names runs."""
    if not set(RUNS) & set(pq.read_schema(path).names):
        return path.read_bytes()
    table = pq.read_table(path)
    return table.drop_columns([name for name in RUNS if name in table.column_names])


def _crawl(folder: Path) -> Path:
    """Two nights of the sample, of which every second article is in the other one."""
    table = pq.read_table(SAMPLE)
    for number, night in enumerate(NIGHTS):
        (folder / night).mkdir(parents=True)
        pq.write_table(table.take(list(range(number, len(table), 2))), folder / night / "articles.parquet")
    return folder


def _nightly(place: Place, night: str) -> None:
    """`respun nightly`, in a process of its own."""
    from flows.cli import main

    sys.stdout = sys.stderr = open(f"{place.folder}.log", "w", encoding="utf-8")  # noqa: SIM115 - for good
    args = ["nightly", place.crawl / "{date}", "--output", place.output, "--config", "smoke", "--date", night]
    args += ["--index", place.index] if place.index else []
    main([str(arg) for arg in args])


def _start(place: Place, night: str) -> ForkServerProcess:
    process = PROCESSES.Process(target=_nightly, args=(place, night))
    process.start()
    return process


def _finish(place: Place) -> None:
    for night in NIGHTS:
        process = _start(place, night)
        process.join()
        if process.exitcode:
            raise RuntimeError(
                f"night {night} failed: {Path(f'{place.folder}.log').read_text(encoding='utf-8')}"
            )


def _seconds(place: Place) -> float:
    """How long a night takes, from the start of its process to its end."""
    took = []
    for night in NIGHTS:
        began = time.monotonic()
        process = _start(place, night)
        process.join()
        took.append(time.monotonic() - began)
    return min(took)


def _killed(place: Place, seconds: float, found: Found) -> bool:
    """Run the first night that has no run, and kill it after `seconds`. False when both nights have one."""
    n_before = len(place.manifests())
    if n_before == len(NIGHTS):
        return False
    process = _start(place, NIGHTS[n_before])
    process.join(seconds)
    process.kill()
    process.join()
    if process.exitcode == -signal.SIGKILL:
        found.n_kills += 1
        found.reached[_last_stage(place, n_before)] += 1
    elif process.exitcode:
        found.faults.append(f"failed: {Path(f'{place.folder}.log').read_text(encoding='utf-8')[-500:]}")
    return True


def _last_stage(place: Place, n_before: int) -> str:
    """The last stage of which a call was finished when the process was killed."""
    if len(place.manifests()) > n_before:
        return "publish"
    journals = place.output.glob(f".work/*/{JOURNAL}")
    lines = [line for path in journals for line in path.read_text().splitlines()]
    for line in reversed(lines):
        try:
            return str(json.loads(line)["stage"])
        except (ValueError, KeyError):  # cut off, or about files that went
            continue
    return "nothing"


def _look(place: Place, found: Found) -> None:
    """Whatever moment it was: what is current is whole, and the index opens."""
    if place.index is not None and (place.index / CATALOG).exists():
        store = Store(str(place.index))
        reader = IndexReader(store, require_catalog(store))
        ids = reader.column("articles", "article_id").to_pylist()
        if len(set(ids)) < len(ids):
            found.faults.append("articles are twice in the index")
        reader.membership()
    if not (place.output / LATEST).exists():
        return
    run_dir = current_run(place.output)
    manifest = read_manifest(run_dir)
    for name, table in manifest["tables"].items():
        if pq.read_table(run_dir / f"{name}.parquet").num_rows != table["rows"]:
            found.faults.append(f"{run_dir.name}: {name} is not whole")


def _differences(place: Place, expected: dict[str, object]) -> list[str]:
    nights = [manifest["night"] for manifest in place.manifests()]
    faults = [] if sorted(nights) == sorted(NIGHTS) else [f"runs of the nights {nights}"]
    found = place.tables()
    faults += [f"{key} differs" for key in sorted(expected.keys() | found.keys())
               if key not in found or key not in expected or found[key] != expected[key]]  # fmt: skip
    current = read_manifest(current_run(place.output))
    if current["night"] != NIGHTS[-1]:
        faults.append(f"current is the night {current['night']}")
    # Beside them, in the output folder itself, a later run removes what is over a day old.
    left = [
        path.name
        for path in (place.output / "runs").rglob("*")
        if path.suffix not in {"", ".parquet", ".json", ".html"}
    ]
    if place.index is not None:
        named = {segment.segment_id for segment in require_catalog(Store(str(place.index))).segments}
        left += [path.name for path in (place.index / SEGMENTS).iterdir() if path.name not in named]
        left += [path.name for path in (place.index / LEASES).iterdir() if path.suffix == ".json"]
    return faults + ([f"left behind: {left}"] if left else [])


if __name__ == "__main__":
    sys.exit(main())
