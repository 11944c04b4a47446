"""What every runner shares: arguments, the collection, shingles, phases, and the record of a run.

Each runner is executed in its peer's own environment, so nothing but numpy, pyarrow and scipy is imported
here. A runner prints one JSON line and writes what it found to `--result` (npz: pairs int64 (n, 2) of row
numbers, labels int64 (n_articles,)); benchmarks/side_by_side.py measures memory and start-up from outside.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

WORD = re.compile(r"\w+")
Pair = tuple[int, int]


def arguments(**defaults: str | int | float) -> argparse.Namespace:
    """Parse the common arguments, and one more for each default, of the default's type."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--corpus", type=Path, required=True, help="Parquet with id, text")
    parser.add_argument("--procs", type=int, default=1, help="cores to use")
    parser.add_argument("--limit", type=int, default=0, help="first articles only; 0 takes all")
    parser.add_argument("--result", type=Path, help="where to write what was found")
    parser.add_argument("--scratch", type=Path, default=Path("scratch"), help="folder for what a peer writes")
    for name, default in defaults.items():
        parser.add_argument(f"--{name}", type=type(default), default=default)
    return parser.parse_args()


def read_table(args: argparse.Namespace) -> pa.Table:
    """The collection: id, text."""
    table = pq.read_table(args.corpus, columns=["id", "text"])
    return table.slice(0, args.limit) if args.limit else table


def read_texts(args: argparse.Namespace) -> list[str]:
    """The collection's texts as Python strings, in order."""
    texts: list[str] = read_table(args)["text"].to_pylist()
    return texts


def shingles(text: str, size: int = 5) -> list[str]:
    """The distinct word shingles of a text; a shorter text is one shingle."""
    words = WORD.findall(text.lower())
    if len(words) <= size:
        return [" ".join(words)]
    return list({" ".join(words[i : i + size]) for i in range(len(words) - size + 1)})


def components(n_articles: int, pairs: Iterable[Pair]) -> npt.NDArray[np.int64]:
    """Label each article by its connected component."""
    edges = np.asarray(list(pairs), np.int64).reshape(-1, 2)
    ones = np.ones(len(edges), np.int8)
    graph = coo_matrix((ones, (edges[:, 0], edges[:, 1])), shape=(n_articles, n_articles))
    return np.asarray(connected_components(graph, directed=False)[1], np.int64)


def pairs_of_queries(answers: Iterable[Iterable[int]]) -> set[Pair]:
    """Pairs from an index's answers to each of its own articles."""
    return {
        (min(article, other), max(article, other))
        for article, answer in enumerate(answers)
        for other in answer
        if other != article
    }


def installed(distribution: str) -> str:
    """Name and version of an installed distribution."""
    return f"{distribution} {version(distribution)}"


class Run:
    """Times the phases of one run; the clock starts here, after the imports."""

    def __init__(self, name_and_version: str, args: argparse.Namespace) -> None:
        self.phases: dict[str, float] = {}
        self._version = name_and_version
        self._args = args
        self._began_at = time.time()
        self._start = self._last = time.perf_counter()

    def mark(self, phase: str) -> None:
        """End a phase. The phase `signatures` holds tokenising, and ends with the signatures in memory."""
        now = time.perf_counter()
        self.phases[phase] = now - self._last
        self._last = now

    def finish(
        self,
        n_articles: int,
        pairs: Iterable[Pair] | None = None,
        labels: npt.NDArray[np.int64] | None = None,
    ) -> None:
        """Stop the clock, then print the record and write what was found."""
        job_seconds = time.perf_counter() - self._start
        record = {
            "version": self._version,
            "n_articles": n_articles,
            "began_at": self._began_at,
            "job_seconds": job_seconds,
            "phases": self.phases,
        }
        print("\n" + json.dumps(record), flush=True)
        if self._args.result is None:
            return
        found = {}
        if pairs is not None:
            found["pairs"] = np.asarray(list(pairs), np.int64).reshape(-1, 2)
        if labels is not None:
            found["labels"] = labels
        np.savez(self._args.result, **found)
