"""A month of nights on an index: what each costs, how many clusters change, and that no id is lost.

Stories are made up; a story goes on for some days, told again by others. After the last night one run over
everything, with the same statistics, must find the same clusters.

    python -m benchmarks.index_month FOLDER [--nights 30] [--stories 400] [--seed 1]

prints a line a night: articles, seconds, clusters created, grown, merged and split, and the share of old
articles whose cluster got another id.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import made_up_news as news

from pipeline.config import load_config
from pipeline.executor import Silence, ThreadExecutor
from pipeline.index_catalog import CATALOG, require_catalog
from pipeline.index_segments import IndexReader
from pipeline.index_store import Store
from pipeline.job import run_job

# Days for which a story is told again.
LONGEST = 6


@dataclass(frozen=True)
class NightCost:
    """One night: articles, seconds, events by kind, ids lost, share of old articles under another id."""

    n_articles: int
    seconds: float
    events: Counter[str]
    n_lost: int
    churn: float


def month(n_nights: int, n_stories: int, seed: int) -> list[list[dict]]:
    """The articles of each night; those of a story come over some days."""
    rng = random.Random(seed)
    nights: list[list[dict]] = [[] for _ in range(n_nights)]
    for story in range(n_stories):
        first = rng.randrange(n_nights)
        for row in news.stories(seed * 1_000_003 + story, 1):
            nights[min(n_nights - 1, first + rng.randrange(LONGEST))].append(row)
    return [night for night in nights if night]


def membership(index: Path) -> dict[str, int]:
    """The cluster of each article of an index."""
    store = Store(str(index))
    reader = IndexReader(store, require_catalog(store))
    ids = reader.column("articles", "article_id").to_pylist()
    return dict(zip(ids, reader.membership()[0].tolist(), strict=True))


def run_nights(nights: list[list[dict]], folder: Path, index: Path) -> Iterator[NightCost]:
    """Run the nights one after the other."""
    config = load_config(None, ["index.max_drift=1.0"])
    before = membership(index) if (index / CATALOG).is_file() else {}
    for k, rows in enumerate(nights):
        path = news.write(folder / f"night-{k:02d}" / "articles.parquet", rows)
        began = time.perf_counter()
        outcome = run_job([str(path)], folder / "out", config, ThreadExecutor(0), Silence(), index=str(index))
        seconds = time.perf_counter() - began
        after = membership(index)
        events = pq.read_table(outcome.run_dir / "cluster_events.parquet").to_pylist()
        told = {int(e["other_id"], 16) for e in events if e["event"] == "merged"}
        gone = set(before.values()) - set(after.values())
        moved = sum(after[i] != cluster for i, cluster in before.items())
        yield NightCost(
            len(rows),
            seconds,
            Counter(e["event"] for e in events),
            len(gone - told),
            moved / max(len(before), 1),
        )
        before = after


def partition(index: Path) -> set[frozenset[str]]:
    """The clusters of an index as sets of ids."""
    found: dict[int, set[str]] = {}
    for article_id, cluster in membership(index).items():
        found.setdefault(cluster, set()).add(article_id)
    return set(map(frozenset, found.values()))


def emptied(index: Path, new: Path) -> Path:
    """An index with the same statistics that holds nothing."""
    store, known = Store(str(new)), require_catalog(Store(str(index)))
    if known.statistics is None:
        raise SystemExit(f"{index}: has no statistics")
    for ref in (known.statistics.terms, known.statistics.furniture):
        (new / ref.path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(index / ref.path, new / ref.path)
    store.replace(CATALOG, replace(known, segments=(), next_number=0).to_json())
    return new


def main() -> None:
    """Run a month and print it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--nights", type=int, default=30)
    parser.add_argument("--stories", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    nights = month(given.nights, given.stories, given.seed)
    index = given.folder / "index"
    n_lost = 0
    for k, cost in enumerate(run_nights(nights, given.folder, index)):
        n_lost += cost.n_lost
        changes = ", ".join(f"{n} {event}" for event, n in sorted(cost.events.items()))
        numbers = f"{cost.n_articles} articles, {cost.seconds:.1f} s, churn {cost.churn:.4f}"
        print(f"night {k:2}: {numbers}, {changes}")
    everything = [row for night in nights for row in night]
    list(run_nights([everything], given.folder / "whole", emptied(index, given.folder / "whole-index")))
    same = partition(index) == partition(given.folder / "whole-index")
    print(f"ids lost: {n_lost}; one run over everything finds the same clusters: {'yes' if same else 'no'}")


if __name__ == "__main__":
    main()
