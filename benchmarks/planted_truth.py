"""What should be found in the planted collection, and how much of it was.

The truth is exact: the resemblance (Jaccard of word 5-shingles) of every pair of articles from 0.2 up, by a
sparse product, and whether the pair was planted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import scipy.sparse as sp

SHINGLE = 5
MIN_JACCARD = 0.2
NEAR = 0.7  # what MinHash at its usual threshold promises to find
WORD = re.compile(r"\w+")

Pair = tuple[int, int]
Pairs = npt.NDArray[np.int64]  # (n, 2), row numbers of the collection, first < second


@dataclass(frozen=True)
class Truth:
    """Jaccard and origin of each true pair, and the kind of each article."""

    jaccard: dict[Pair, float]
    planted: frozenset[Pair]
    kind: tuple[str, ...]


@dataclass(frozen=True)
class Found:
    """Shares of the true pairs that were found, 0..1; `precision` counts planted pairs among the found."""

    n_pairs: int
    recall_near: float
    recall_planted: float
    recall_respin: float
    precision: float


def make_truth(folder: Path) -> None:
    """Write truth_pairs.parquet (a, b, jaccard, planted) beside the folder's corpus.parquet."""
    texts = pq.read_table(folder / "corpus.parquet", columns=["text"])["text"].to_pylist()
    cluster = pq.read_table(folder / "planted.parquet")["planted_cluster"].to_numpy()
    shingles = _shingle_matrix(texts)
    jaccard = _resembling(shingles)
    planted = set(_planted_pairs(cluster))
    for first, second in planted - jaccard.keys():
        shared = shingles[first].multiply(shingles[second]).sum()
        jaccard[first, second] = float(shared / (shingles[first].nnz + shingles[second].nnz - shared))
    pairs = sorted(jaccard)
    table = {
        "a": [a for a, _ in pairs],
        "b": [b for _, b in pairs],
        "jaccard": [jaccard[pair] for pair in pairs],
        "planted": [pair in planted for pair in pairs],
    }
    pq.write_table(pa.table(table), folder / "truth_pairs.parquet")


def read_truth(folder: Path) -> Truth:
    """Read what make_truth wrote."""
    rows = pq.read_table(folder / "truth_pairs.parquet").to_pylist()
    return Truth(
        jaccard={(row["a"], row["b"]): row["jaccard"] for row in rows},
        planted=frozenset((row["a"], row["b"]) for row in rows if row["planted"]),
        kind=tuple(pq.read_table(folder / "planted.parquet")["kind"].to_pylist()),
    )


def evaluate(pairs: Pairs, truth: Truth) -> Found:
    """Compare found pairs, in any order and direction, with the truth."""
    found = {(min(a, b), max(a, b)) for a, b in pairs.tolist()}
    near = {pair for pair, jaccard in truth.jaccard.items() if jaccard >= NEAR}
    respin = {
        pair for pair in truth.planted if {truth.kind[pair[0]], truth.kind[pair[1]]} == {"source", "respin"}
    }
    return Found(
        n_pairs=len(found),
        recall_near=_share(near & found, near),
        recall_planted=_share(truth.planted & found, truth.planted),
        recall_respin=_share(respin & found, respin),
        precision=_share(truth.planted & found, found),
    )


def pairs_of_clusters(labels: npt.NDArray[np.int64]) -> Pairs:
    """All pairs of articles that carry the same label; `labels` int64 (n_articles,)."""
    members: dict[int, list[int]] = {}
    for article, label in enumerate(labels.tolist()):
        members.setdefault(label, []).append(article)
    pairs = [pair for group in members.values() for pair in combinations(group, 2)]
    return np.asarray(pairs, np.int64).reshape(-1, 2)


def _share(part: set[Pair] | frozenset[Pair], whole: set[Pair] | frozenset[Pair]) -> float:
    return len(part) / len(whole) if whole else 0.0


def _shingle_matrix(texts: list[str]) -> sp.csr_matrix:
    """One row an article, one column a distinct shingle, 1 where the article has it."""
    column: dict[str, int] = {}
    indices: list[npt.NDArray[np.int64]] = []
    starts = [0]
    for text in texts:
        words = WORD.findall(text.lower())
        shingles = (" ".join(words[i : i + SHINGLE]) for i in range(max(1, len(words) - SHINGLE + 1)))
        columns = {column.setdefault(shingle, len(column)) for shingle in shingles}
        indices.append(np.fromiter(columns, np.int64))
        starts.append(starts[-1] + len(columns))
    ones = np.ones(starts[-1], np.float32)
    return sp.csr_matrix((ones, np.concatenate(indices), np.array(starts)), (len(texts), len(column)))


def _resembling(shingles: sp.csr_matrix, block: int = 500) -> dict[Pair, float]:
    """Jaccard of each pair of rows that reaches MIN_JACCARD."""
    size = np.diff(shingles.indptr)
    transposed = shingles.T.tocsr()
    found: dict[Pair, float] = {}
    for start in range(0, shingles.shape[0], block):
        shared = (shingles[start : start + block] @ transposed).tocoo()
        rows, columns, counts = shared.row + start, shared.col, shared.data
        jaccard = counts / (size[rows] + size[columns] - counts)
        keep = (rows < columns) & (jaccard >= MIN_JACCARD)
        kept = zip(rows[keep].tolist(), columns[keep].tolist(), jaccard[keep].tolist(), strict=True)
        found.update({(a, b): value for a, b, value in kept})
    return found


def _planted_pairs(cluster: npt.NDArray[np.int64]) -> list[Pair]:
    pairs = pairs_of_clusters(np.where(cluster < 0, -1 - np.arange(len(cluster)), cluster))
    return [(a, b) for a, b in pairs.tolist()]
