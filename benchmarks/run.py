"""Measures speed and prints Markdown tables: against the bound, as the collection grows, beside the peers.

    python -m benchmarks.run [--parts bound,growth,peers] [--sizes 10000,100000] [--mix hot] [--candidates]
    python -m benchmarks.run --parts night --past 1000000 --new 20000

`bound`: signing against what it can cost at least. `growth`: the whole job over made-up collections of the
given sizes. `night`: a night on an index, and a run over everything. `peers`: all contenders over 20,000
articles made of newswire paragraphs, each in its own environment (benchmarks/peers/README.md). How to read
the tables: docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import os
import platform
from pathlib import Path

from benchmarks.bound import measure_bound, print_bound
from benchmarks.collection import MIXES, make_collection
from benchmarks.growth import grow
from benchmarks.measured_process import all_cores
from benchmarks.night import cost_of_a_night
from benchmarks.planted_corpus import ARTICLES
from benchmarks.side_by_side import compare

PARTS = ("bound", "growth", "night", "peers")


def main() -> None:
    """Command line."""
    options = _options()
    parts = options.parts.split(",")
    if not set(parts) <= set(PARTS):
        raise SystemExit(f"--parts: must be among {', '.join(PARTS)}, not {options.parts!r}")
    sizes = sorted(int(size) for size in options.sizes.split(","))
    print(f"{len(all_cores())} cores ({platform.machine()}), Python {platform.python_version()}")
    print(f"Load before: {os.getloadavg()[0]:.2f}")
    if "bound" in parts:
        folder = options.work / "news-10000"
        if not (folder / "truth.parquet").exists():
            make_collection(10_000, folder)
        print_bound(measure_bound(folder / "articles.parquet"))
    if "growth" in parts:
        grow(sizes, options.mix, options.work, options.candidates)
    if "night" in parts:
        cost_of_a_night(options.past, options.new, options.mix, options.work, options.repeats)
    if "peers" in parts:
        compare(
            options.work, options.n_articles, options.articles, options.environments, options.peers,
            options.repeats, options.json,
        )  # fmt: skip
    print(f"\nLoad after: {os.getloadavg()[0]:.2f}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--parts", default=",".join(PARTS), help="what to measure")
    parser.add_argument("--work", type=Path, default=Path(".cache/benchmarks"))
    growth = parser.add_argument_group("growth")
    growth.add_argument("--sizes", default="10000,100000,1000000", help="articles, separated by commas")
    growth.add_argument("--mix", choices=sorted(MIXES), default="news", help="what is in the collections")
    growth.add_argument(
        "--candidates", action="store_true", help="recall of candidate pairs, which takes longer to write"
    )
    night = parser.add_argument_group("night")
    night.add_argument("--past", type=int, default=100_000, help="articles of the index")
    night.add_argument("--new", type=int, default=2_000, help="articles of the night")
    peers = parser.add_argument_group("peers")
    peers.add_argument("--environments", type=Path, default=Path(".cache/environments"), help="of the peers")
    peers.add_argument("--peers", default="", help="names, separated by commas; all by default")
    peers.add_argument("--repeats", type=int, default=3)
    peers.add_argument("--n-articles", type=int, default=20_000)
    peers.add_argument("--articles", type=Path, default=ARTICLES, help="what the collection is made from")
    peers.add_argument("--json", type=Path, help="write each run's record, one a line")
    return parser.parse_args()


if __name__ == "__main__":
    main()
