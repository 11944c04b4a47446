"""What signing can cost at least: tokenise once, and permute at the width of the vector registers.

The first is measured: the tokeniser over the same texts. The second is the signing kernel over one set that
stays in the first cache, so that nothing is waited for; its rate, times the elements of all the texts.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.side_by_side_tables import print_table
from pipeline.config import load_config
from pipeline.elements import shingle_elements
from pipeline.minhash import permutations, sign_sets
from pipeline.signatures import SIGNED_AT_A_TIME, sign_reprint
from pipeline.tokens import Tokeniser

N_ARTICLES = 10_000
REPEATS = 5
CACHED_ELEMENTS = 2_048


@dataclass(frozen=True)
class Bound:
    """Seconds on one core over the same texts; `permuting` at the rate of the cached set."""

    n_articles: int
    tokenising: float
    permuting: float
    signing: float

    @property
    def share(self) -> float:
        """The bound as a share of what signing takes: 1 is the bound itself."""
        return (self.tokenising + self.permuting) / self.signing


def measure_bound(articles: Path, column: str = "text") -> Bound:
    """Measure over the first texts of a collection; each time is the least of a few."""
    with pq.ParquetFile(articles) as file:
        n_batches = -(-N_ARTICLES // SIGNED_AT_A_TIME)
        some = list(itertools.islice(file.iter_batches(SIGNED_AT_A_TIME, columns=[column]), n_batches))
    texts = pa.concat_arrays([batch[column] for batch in some])[:N_ARTICLES]
    config = load_config()
    tokeniser = Tokeniser()
    pieces = [texts.slice(at, SIGNED_AT_A_TIME) for at in range(0, len(texts), SIGNED_AT_A_TIME)]
    n_elements = sum(_n_elements(tokeniser, piece, config.reprint.shingle_size) for piece in pieces)
    a, b = permutations(config.reprint.n_perm, config.seed)
    cached = np.random.default_rng(1).integers(0, 1 << 32, CACHED_ELEMENTS, np.uint32)
    ends, out = np.array([0, CACHED_ELEMENTS]), np.empty((1, config.reprint.n_perm), np.uint32)
    rounds = 200

    def permute() -> None:
        for _ in range(rounds):
            sign_sets(cached, ends, a, b, out)

    def tokenise() -> None:
        for piece in pieces:
            tokeniser.tokenise(None, piece)

    return Bound(
        len(texts),
        _least(tokenise),
        _least(permute) / (rounds * CACHED_ELEMENTS) * n_elements,
        _least(lambda: sign_reprint(texts, config)),
    )


def print_bound(bound: Bound) -> None:
    """Print the table."""
    print("\n### Signing and its bound, one thread\n")
    print_table(
        ("articles", "tokenise s", "permute s", "bound s", "signing s", "times the bound", "articles/s"),
        [
            (
                f"{bound.n_articles:,}", f"{bound.tokenising:.3f}", f"{bound.permuting:.3f}",
                f"{bound.tokenising + bound.permuting:.3f}", f"{bound.signing:.3f}",
                f"{1 / bound.share:.2f}", f"{bound.n_articles / bound.signing:,.0f}",
            )
        ],
    )  # fmt: skip


def _n_elements(tokeniser: Tokeniser, texts: pa.StringArray, k: int) -> int:
    tokens = tokeniser.tokenise(None, texts)
    out, indptr = np.empty(len(tokens.terms), np.uint32), np.empty(tokens.n_articles + 1, np.int64)
    return int(shingle_elements(tokens.terms, tokens.flags, tokens.indptr, k, out, indptr))


def _least(task: Callable[[], object]) -> float:
    task()
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        task()
        times.append(time.perf_counter() - began)
    return min(times)
