"""Buckets of equal band keys: all their pairs against a plain twin, oversized ones at linear cost."""

from __future__ import annotations

import gc
import itertools
import random
import tempfile
from collections import defaultdict
from pathlib import Path

import networkx as nx
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stages import config, sign
from texts import EXAMPLES, JIT_OFF

from pipeline import candidates
from pipeline.array_files import ArrayFiles
from pipeline.config import Config
from pipeline.signatures import REPRINT, RESPUN, Signatures, bands
from pipeline.tables import read_ipc, write_ipc, write_npy

SMALL = ("reprint.n_perm=16", "respun.n_bands=4", "respun.rows_per_band=2")
DESCRIBED = pa.schema([("text_hash", pa.uint64()), ("is_signed", pa.uint8())])


def signed_of(
    folder: Path, keys: np.ndarray, places: np.ndarray, is_signed: np.ndarray, cut: int = 0
) -> list[Signatures]:
    """Signed articles with these band keys (n_bands, n), places (n, n_perm) and views, in two groups."""
    groups = []
    for number, rows in enumerate((slice(0, cut), slice(cut, None))):
        n = len(places[rows])
        batch = pa.record_batch([np.arange(n, dtype=np.uint64), is_signed[rows]], schema=DESCRIBED)
        articles = write_ipc(folder / f"articles-{number}.arrow", DESCRIBED, [batch])
        own = np.ascontiguousarray(keys[:, rows]), np.ascontiguousarray(places[rows])
        saved = [write_npy(folder / f"{i}-{number}.npy", values, n) for i, values in enumerate(own)]
        first_row = 0 if number == 0 else cut
        no_terms = ArrayFiles(first_row, n, {})
        groups.append(Signatures(first_row, no_terms, no_terms, articles, articles, *saved))
    return groups


def find(signed: list[Signatures], settings: Config, folder: Path, n_parts: int = 3):
    """Rows of the merged pairs as dicts, and the parts that they come from."""
    parts = [candidates.find_in_bands(signed, part, n_parts, settings, folder) for part in range(n_parts)]
    return read_ipc(candidates.merge(parts, folder).path).to_pylist(), parts


def estimate(places: np.ndarray, i: int, j: int) -> float:
    """Share of equal bytes, less those that are equal by chance."""
    equal = sum(a == b for a, b in zip(places[i].tolist(), places[j].tolist(), strict=True))
    return max(0.0, (equal / places.shape[1] - 1 / 256) / (1 - 1 / 256))


def naive_pairs(keys, places, is_signed, settings: Config) -> dict[tuple[int, int], tuple[float, float]]:
    """Every pair that shares a key in a band of a view that signed both, if the view's estimate is enough."""
    n_reprint = settings.reprint.n_perm
    plan, least = bands(settings), settings.candidates
    views = (
        (REPRINT, range(plan.n_reprint), places[:, :n_reprint], least.min_jaccard_reprint),
        (RESPUN, range(plan.n_reprint, plan.n), places[:, n_reprint:], least.min_jaccard_respun),
    )
    found = {}
    for i, j in itertools.combinations(range(len(places)), 2):
        estimates = tuple(estimate(view[2], i, j) for view in views)
        for (bit, own, _, minimum), reached in zip(views, estimates, strict=True):
            both = is_signed[i] & is_signed[j] & bit
            if both and reached >= minimum - 1e-9 and any(keys[band, i] == keys[band, j] for band in own):
                found[i, j] = estimates
    return found


@st.composite
def signings(draw):
    n = draw(st.integers(0, 9))
    settings = config(*SMALL)
    keys = draw(st.lists(st.integers(0, 3), min_size=n * bands(settings).n, max_size=n * bands(settings).n))
    # Articles resemble one of three, so that estimates lie on both sides of the minima.
    models = [[draw(st.integers(0, 255)) for _ in range(4)] * 6 for _ in range(3)]
    places = []
    for _ in range(n):
        model = list(draw(st.sampled_from(models)))
        for at in draw(st.lists(st.integers(0, 23), max_size=20)):
            model[at] = draw(st.integers(0, 255))
        places.append(model)
    is_signed = draw(st.lists(st.integers(0, 3), min_size=n, max_size=n))
    return (
        np.array(keys, np.uint32).reshape(bands(settings).n, n),
        np.array(places, np.uint8).reshape(n, 24),
        np.array(is_signed, np.uint8),
        draw(st.integers(0, n)),
    )


@EXAMPLES
@given(signings(), st.integers(1, 4))
def test_pairs_of_all_buckets_are_the_naive_twins(signing, n_parts):
    settings = config(*SMALL)
    keys, places, is_signed, cut = signing
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found, parts = find(signed_of(folder, keys, places, is_signed, cut), settings, folder, n_parts)
    expected = naive_pairs(keys, places, is_signed, settings)
    assert [(p["left"], p["right"]) for p in found] == sorted(expected)
    for pair in found:
        estimates = expected[pair["left"], pair["right"]]
        assert (pair["estimate_reprint"], pair["estimate_respun"]) == pytest.approx(estimates, abs=1e-6)
        minima = settings.candidates.min_jaccard_reprint, settings.candidates.min_jaccard_respun
        reached = [e >= least for e, least in zip(estimates, minima, strict=True)]
        assert pair["found_by"] == REPRINT * reached[0] + RESPUN * reached[1]
    assert sum(part.n_oversized for part in parts) == 0


def test_articles_that_a_view_did_not_sign_never_meet_in_it(tmp_path):
    settings = config(*SMALL)
    n = 6
    keys, places = np.zeros((bands(settings).n, n), np.uint32), np.zeros((n, 24), np.uint8)
    is_signed = np.array([0, 0, REPRINT, REPRINT, RESPUN, REPRINT | RESPUN], np.uint8)
    found, _ = find(signed_of(tmp_path, keys, places, is_signed), settings, tmp_path)
    assert [(p["left"], p["right"]) for p in found] == [(2, 3), (2, 5), (3, 5), (4, 5)]


@pytest.mark.parametrize("n", [0, 1])
def test_nothing_to_pair(tmp_path, n):
    settings = config(*SMALL)
    keys, places = np.zeros((bands(settings).n, n), np.uint32), np.zeros((n, 24), np.uint8)
    found, parts = find(signed_of(tmp_path, keys, places, np.full(n, 3, np.uint8)), settings, tmp_path)
    assert found == []
    assert [part.largest_bucket for part in parts] == [n] * 3


def test_a_bucket_of_just_the_limit_is_whole_and_a_larger_one_is_not(tmp_path):
    settings = config(*SMALL, "candidates.max_bucket=20")
    for n, oversized in ((20, False), (21, True)):
        keys = np.arange(bands(settings).n * n, dtype=np.uint32).reshape(-1, n)
        keys[0] = 7
        signing = signed_of(tmp_path, keys, np.zeros((n, 24), np.uint8), np.full(n, 3, np.uint8))
        found, parts = find(signing, settings, tmp_path)
        assert sum(part.n_oversized for part in parts) == oversized
        assert max(part.largest_bucket for part in parts) == n
        assert (len(found) == n * (n - 1) / 2) is not oversized


@pytest.mark.parametrize("n", [200, 800])
def test_an_oversized_bucket_costs_in_line_with_its_size_and_keeps_copies_linked(tmp_path, n):
    settings = config(*SMALL, "candidates.max_bucket=20", "candidates.min_jaccard_reprint=0.6")
    rng = np.random.default_rng(5)
    family = rng.permutation(np.arange(n) % (n // 40))  # families of 40 copies each, in any order
    places = rng.integers(0, 256, (n // 40, 24), np.uint8)[family]
    keys = np.arange(bands(settings).n * n, dtype=np.uint32).reshape(-1, n)
    keys[0] = 7  # one bucket of everything in one band, buckets of one article in the others
    found, parts = find(signed_of(tmp_path, keys, places, np.full(n, 3, np.uint8)), settings, tmp_path)
    assert sum(part.n_collisions for part in parts) <= n * candidates.NEIGHBOURS
    assert (sum(part.n_oversized for part in parts), max(part.largest_bucket for part in parts)) == (1, n)
    graph = nx.Graph((p["left"], p["right"]) for p in found)
    graph.add_nodes_from(range(n))
    linked = {frozenset(nodes) for nodes in nx.connected_components(graph)}
    assert linked == {frozenset(np.flatnonzero(family == f).tolist()) for f in range(n // 40)}


def test_oversized_buckets_of_signatures_shorter_than_eight_places(tmp_path):
    settings = config(*SMALL[:1], "respun.n_bands=2", "respun.rows_per_band=1", "candidates.max_bucket=5")
    n = 12
    keys, places = np.zeros((bands(settings).n, n), np.uint32), np.zeros((n, 18), np.uint8)
    found, _ = find(signed_of(tmp_path, keys, places, np.full(n, RESPUN, np.uint8)), settings, tmp_path)
    assert nx.is_connected(nx.Graph((p["left"], p["right"]) for p in found))


@pytest.mark.skipif(JIT_OFF, reason="too many bytes for plain Python; the twins ask the same")
@pytest.mark.parametrize("n_places", [16, 24, 128, 150, 256, 400])
def test_the_estimate_is_unbiased_by_bytes_that_are_equal_by_chance(n_places):
    rng = np.random.default_rng(n_places)
    for true in (0.0, 0.3, 1.0):
        first = rng.integers(0, 256, (4000, n_places), np.uint8)
        second = np.where(rng.random(first.shape) < true, first, rng.integers(0, 256, first.shape, np.uint8))
        places = np.concatenate((first, second))
        words = (np.arange(4000, dtype=np.uint64) << np.uint64(32)) | np.arange(4000, 8000, dtype=np.uint64)
        out = np.empty(4000, np.float32)
        candidates._estimate(words, places, 0, n_places, out)
        # Cut off at 0, estimates of unrelated articles are a little high.
        assert out.mean() == pytest.approx(true, abs=0.004 + 0.02 * (true == 0))


@pytest.mark.skipif(JIT_OFF, reason="signs with the shipped number of permutations")
def test_copies_and_rewrites_meet_and_strangers_do_not(tmp_path):
    rng = random.Random(3)
    words = [f"word{i}" for i in range(3000)]
    bodies = [" ".join(rng.choices(words, k=200)) for _ in range(30)]
    shuffled = bodies[0].split()
    rng.shuffle(shuffled)  # the same rare terms, no shingle in common
    articles = [("a", None, body) for body in (*bodies, bodies[1], " ".join(shuffled))]
    settings = config()
    found, _ = find(sign(tmp_path, articles, settings).signed, settings, tmp_path)
    views = defaultdict(int, {(p["left"], p["right"]): p["found_by"] for p in found})
    assert views[1, 30] == REPRINT | RESPUN
    assert views[0, 31] == RESPUN
    assert all(p["estimate_respun"] < 0.3 for p in found if (p["left"], p["right"]) not in {(1, 30), (0, 31)})


def test_the_largest_oversized_buckets_are_told_with_what_was_passed_over(tmp_path):
    settings = config(*SMALL, "candidates.max_bucket=5")
    n, plan = 30, bands(settings)
    keys = np.arange(plan.n * n, dtype=np.uint32).reshape(-1, n)
    keys[0, 10:] = 1_000
    keys[plan.n_reprint, :12] = 1_000
    signing = signed_of(tmp_path, keys, np.zeros((n, 24), np.uint8), np.full(n, 3, np.uint8))
    _, parts = find(signing, settings, tmp_path)
    told = sorted((bucket for part in parts for bucket in part.oversized), reverse=True)
    assert [(b.n_articles, b.view, b.first_row) for b in told] == [(20, "reprint", 10), (12, "respun", 0)]
    # Nothing is dropped in silence: of these buckets, each pair was compared or counted as passed over.
    assert sum(p.n_collisions + p.n_passed_over for p in parts) == 20 * 19 // 2 + 12 * 11 // 2


@pytest.mark.parametrize("at_a_time", [1, 7, 1000])
def test_pairs_are_merged_in_order_however_many_at_a_time(tmp_path, monkeypatch, at_a_time):
    monkeypatch.setattr(candidates, "MERGED_AT_A_TIME", at_a_time)
    rng = np.random.default_rng(at_a_time)
    parts, everything = [], set()
    for number, n in enumerate((40, 0, 25)):
        pairs = sorted({(int(i), int(i + d)) for i, d in rng.integers(1, 9, (n, 2))})
        everything |= set(pairs)
        rows = [{"left": i, "right": j, "found_by": 1, "estimate_reprint": 0.5, "estimate_respun": 0.1}
                for i, j in pairs]  # fmt: skip
        table = pa.Table.from_pylist(rows, schema=candidates.PAIRS)
        ref = write_ipc(tmp_path / f"bands-{number}.arrow", candidates.PAIRS, table.to_batches())
        parts.append(candidates.BandPairs(ref, 0, 0, 0, 0, ()))
    merged = read_ipc(candidates.merge(parts, tmp_path).path)
    assert list(zip(merged["left"].to_pylist(), merged["right"].to_pylist(), strict=True)) == sorted(
        everything
    )


def test_calls_under_way_share_the_places_and_nothing_stays(tmp_path):
    settings = config(*SMALL)
    places = np.random.default_rng(1).integers(0, 256, (9, 24), np.uint8)
    keys = np.zeros((bands(settings).n, 9), np.uint32)
    signing = signed_of(tmp_path, keys, places, np.full(9, 3, np.uint8), cut=4)
    first, second = candidates.load_places(signing), candidates.load_places(signing)
    assert first is second
    np.testing.assert_array_equal(first, places)
    del first, second
    gc.collect()
    assert not candidates._loaded
