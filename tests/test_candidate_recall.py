"""The estimated recall of candidates: its chances against real signatures, its sum against planted pairs."""

from __future__ import annotations

import random

import numpy as np
import pyarrow as pa
import pytest
from stages import Article, config, sign
from texts import JIT_OFF

from pipeline import candidate_recall, candidates
from pipeline.confirm import EXACT, JUDGED, RESPUN
from pipeline.minhash import permutations, sign_sets
from pipeline.tables import Ref, read_ipc, write_ipc


def naive_share(jaccard: float, n_perm: int, n_bands: int, rows: int, floor: float, n_pairs: int) -> float:
    """Share of pairs of sets of this resemblance that meet, by signing them."""
    rng = np.random.default_rng(5)
    n_shared, n_own = round(200 * jaccard), round(200 * (1 - jaccard) / 2)
    elements, ends = [], [0]
    for _ in range(n_pairs):
        drawn = rng.integers(0, 1 << 32, n_shared + 2 * n_own, np.uint32)
        for own in (drawn[n_shared : n_shared + n_own], drawn[n_shared + n_own :]):
            elements += [drawn[:n_shared], own]
            ends.append(ends[-1] + n_shared + n_own)
    out = np.empty((2 * n_pairs, n_perm), np.uint32)
    sign_sets(np.concatenate(elements), np.array(ends), *permutations(n_perm, 1), out)
    equal = out[::2] == out[1::2]
    meets = equal[:, : n_bands * rows].reshape(n_pairs, n_bands, rows).all(axis=2).any(axis=1)
    return float(np.mean(meets & (equal.mean(axis=1) >= floor)))


@pytest.mark.skipif(JIT_OFF, reason="signs with the shipped number of permutations")
@pytest.mark.parametrize(
    ("n_perm", "n_bands", "rows", "floor"), [(128, 25, 5, 0.2), (512, 256, 2, 0.082), (64, 64, 1, 0.0)]
)
@pytest.mark.parametrize("jaccard", [0.0, 0.02, 0.08, 0.15, 0.3, 0.5, 1.0])
def test_the_chance_is_the_share_of_signed_pairs_that_meet(n_perm, n_bands, rows, floor, jaccard):
    found = candidate_recall.chance(np.array([jaccard]), n_perm, n_bands, rows, floor)[0]
    # Five standard deviations of the share of 600 pairs, and the resemblance that 200 elements can have.
    assert found == pytest.approx(naive_share(jaccard, n_perm, n_bands, rows, floor, 600), abs=0.1)


def judge(tmp_path, pairs, relation: int = RESPUN, jaccard: float = 0.0) -> Ref:
    columns = {f.name: pa.array([0] * len(pairs)).cast(f.type) for f in JUDGED}
    columns |= {
        "left": pa.array([i for i, _ in pairs], pa.int32()),
        "right": pa.array([j for _, j in pairs], pa.int32()),
        "is_confirmed": pa.array([True] * len(pairs), pa.bool_()),
        "relation": pa.array([relation] * len(pairs), pa.int8()),
        "jaccard": pa.array([jaccard] * len(pairs), pa.float32()),
    }
    return write_ipc(tmp_path / "judged.arrow", JUDGED, [pa.record_batch(columns, schema=JUDGED)])


def retold(n: int, kept: float) -> list[Article]:
    """Pairs of articles whose words are the same but for a share, in any order."""
    rng = random.Random(11)
    found: list[Article] = []
    for k in range(n):
        words = [f"term{k}x{i}" for i in range(60)]
        found.append((None, None, " ".join(words)))
        again = [word if rng.random() < kept else f"other{k}x{i}" for i, word in enumerate(words)]
        rng.shuffle(again)
        found.append((None, None, " ".join(again)))
    return found


@pytest.mark.skipif(JIT_OFF, reason="signs hundreds of articles")
@pytest.mark.parametrize("kept", [0.3, 0.4, 0.5, 0.9])
def test_the_estimate_is_the_share_of_planted_pairs_that_were_candidates(tmp_path, kept):
    settings = config("respun.n_bands=16", "candidates.min_jaccard_respun=0.0")
    n = 150
    signing = sign(tmp_path, retold(n, kept), settings)
    part = candidates.find_in_bands(signing.signed, 0, 1, settings, tmp_path)
    found = read_ipc(part.pairs.path)
    met = set(zip(found["left"].to_pylist(), found["right"].to_pylist(), strict=True))
    planted = [pair for pair in ((2 * k, 2 * k + 1) for k in range(n)) if pair in met]
    recall = candidate_recall.estimate(
        [judge(tmp_path, planted)], signing.signed, signing.statistics, settings
    )
    assert recall.n_sampled == len(planted)
    assert recall.share == pytest.approx(len(planted) / n, abs=0.12)
    assert len(planted) / n < 0.9 or kept == 0.9


def test_nothing_confirmed_has_no_recall_and_copies_are_never_missed(tmp_path):
    settings = config()
    signing = sign(tmp_path, [(None, None, "one two three")] * 3, settings)
    none = candidate_recall.estimate([judge(tmp_path, [])], signing.signed, signing.statistics, settings)
    assert (none.share, none.n_sampled) == (None, 0)
    copies = judge(tmp_path, [(0, 1), (0, 2), (1, 2)], EXACT, 1.0)
    recall = candidate_recall.estimate([copies], signing.signed, signing.statistics, settings)
    assert (recall.share, recall.n_sampled) == (1.0, 0)


def test_the_sample_is_bounded_and_follows_from_the_texts():
    rng = np.random.default_rng(3)
    text_hash = rng.integers(0, 1 << 64, 3_000, np.uint64)
    left, right = (rng.integers(0, 3_000, 5_000).astype(np.int32) for _ in range(2))
    chosen = candidate_recall._sample(left, right, text_hash)
    assert len(chosen) == candidate_recall.N_SAMPLED
    # In another order of pairs, the sides changed, the same pairs of texts are drawn.
    order = rng.permutation(len(left))
    again = order[candidate_recall._sample(right[order], left[order], text_hash)]
    assert {frozenset((left[k], right[k])) for k in chosen} == {frozenset((left[k], right[k])) for k in again}
