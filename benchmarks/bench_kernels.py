"""The kernels that a run spends its time in, each alone, over 2,048 made-up articles.

    python -m pytest benchmarks/bench_kernels.py --benchmark-columns=min,median,rounds

Not part of the test suite. `--benchmark-autosave` and `--benchmark-compare` tell two states of the code
apart.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from benchmarks.collection import BATCH, MIXES, Plan, Writer
from pipeline import candidates
from pipeline.bags import Bags, bag
from pipeline.config import load_config
from pipeline.elements import shingle_elements
from pipeline.minhash import permutations, sign_sets
from pipeline.signatures import RareTerms, sign_reprint
from pipeline.terms import TermCounter, with_prior
from pipeline.text import KeptTokens, keep
from pipeline.tokens import tokenise
from pipeline.vectors import weigh
from pipeline.words import sort_words

CONFIG = load_config()


@pytest.fixture(scope="module")
def articles() -> pa.RecordBatch:
    return Writer(Plan(1_000_000, MIXES["news"], 1)).batch(0, BATCH)[0]


@pytest.fixture(scope="module")
def kept(articles) -> KeptTokens:
    return keep(tokenise(articles["title"], articles["text"]))


@pytest.fixture(scope="module")
def counted(kept):
    bags, spelt = bag(kept)
    counter = TermCounter(20)
    counter.add(bags, spelt)
    return bags, with_prior(counter.result())


def test_tokenise(benchmark, articles):
    benchmark(tokenise, articles["title"], articles["text"])


def test_bags(benchmark, kept):
    benchmark(bag, kept)


def test_weights(benchmark, counted):
    bags: Bags = counted[0]
    benchmark(weigh, bags, counted[1])


def test_shingles(benchmark, kept):
    out, indptr = np.empty(len(kept.terms), np.uint32), np.empty(kept.n_articles + 1, np.int64)
    benchmark(shingle_elements, kept.terms, kept.flags, kept.indptr, 5, out, indptr)


def test_rare_terms(benchmark, counted):
    rare = RareTerms(counted[1], CONFIG.respun)
    benchmark(rare.elements, counted[0])


def test_permutations(benchmark, kept):
    out, indptr = np.empty(len(kept.terms), np.uint32), np.empty(kept.n_articles + 1, np.int64)
    n = shingle_elements(kept.terms, kept.flags, kept.indptr, 5, out, indptr)
    signatures = np.empty((kept.n_articles, CONFIG.reprint.n_perm), np.uint32)
    benchmark(sign_sets, out[:n], indptr, *permutations(CONFIG.reprint.n_perm, 1), signatures)


def test_signing_from_texts(benchmark, articles):
    benchmark(sign_reprint, articles["text"], CONFIG)


def test_sorted_words(benchmark):
    words = np.random.default_rng(1).integers(0, 1 << 63, 1_000_000, np.uint64)
    benchmark(sort_words, words, 0)


def test_pairs_of_buckets(benchmark):
    rng = np.random.default_rng(1)
    places = rng.integers(0, 256, (50_000, 640), np.uint8)
    keys = rng.integers(0, 5_000, len(places)).astype(np.uint64)
    words = np.sort((keys << np.uint64(32)) | np.arange(len(places), dtype=np.uint64))
    out = np.empty(1 << 20, np.uint64)
    benchmark(candidates._expand, words, places, 128, 640, 44, 200, 8, out)
