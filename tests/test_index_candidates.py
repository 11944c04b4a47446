"""Old and new articles that share a bucket: what a plain search through all pairs finds."""

from __future__ import annotations

from pathlib import Path

import made_up_news as news
import numpy as np
import pytest
from indexes import reader, run_night
from stages import config, sign

from pipeline import index_candidates
from pipeline.candidates import NEIGHBOURS
from pipeline.config import Config
from pipeline.index_segments import N_PARTS, OpenIndex
from pipeline.index_write import open_index
from pipeline.signatures import bands
from pipeline.tables import read_ipc

ROWS = news.stories(31, 30)


@pytest.fixture(scope="module")
def opened(tmp_path_factory) -> OpenIndex:
    folder = tmp_path_factory.mktemp("opened")
    index = folder / "index"
    run_night(ROWS[:15], folder, index, config())
    run_night(ROWS[15:40], folder, index, config())
    return open_index(str(index), reader(index).catalog, folder / "open")


def found_pairs(opened: OpenIndex, settings: Config, folder: Path) -> tuple[set, dict]:
    """Pairs (row, position) as the stage finds them, and by going through all."""
    rows = ROWS[40:] + ROWS[3:9]
    signing = sign(folder, [(r["source"], r["title"], r["text"]) for r in rows], settings)
    shards = [shard for group in signing.groups for shard in group.shards]
    parts = [
        index_candidates.find_in_index(opened, signing.signed, shards, (), part, settings, folder)
        for part in range(N_PARTS)
    ]
    found = {
        (row["left"], row["right"]): row for part in parts for row in read_ipc(part.pairs.path).to_pylist()
    }
    return set(found), naive(opened, signing.signed, settings)


def naive(opened: OpenIndex, signed: list, settings: Config) -> dict[tuple[int, int], set[int]]:
    """The bands in which each pair of a new and an old article shares a key and is alike enough."""
    known = opened.read()
    plan = bands(settings)
    old_keys = np.zeros((known.n_articles, plan.n), np.uint32)
    for first, table in known.batches("keys"):
        for part in range(N_PARTS):
            for i, octets in enumerate(table[f"part_{part}"].to_pylist()):
                old_keys[first + i, part::N_PARTS] = np.frombuffer(octets, "<u4")
    old_places = np.array(
        [list(p) for _, table in known.batches("places") for p in table["places"].to_pylist()], np.uint8
    )
    new_keys = np.concatenate([np.load(s.keys.path) for s in signed], axis=1).T
    new_places = np.concatenate([np.load(s.places.path) for s in signed])
    n = settings.reprint.n_perm
    pairs: dict[tuple[int, int], set[int]] = {}
    for row in range(len(new_keys)):
        for position in range(len(old_keys)):
            for band in np.flatnonzero(new_keys[row] == old_keys[position]).tolist():
                view = slice(0, n) if band < plan.n_reprint else slice(n, None)
                share = float(np.mean(new_places[row, view] == old_places[position, view]))
                limits = settings.candidates
                least = limits.min_jaccard_reprint if band < plan.n_reprint else limits.min_jaccard_respun
                if (share - 1 / 256) / (1 - 1 / 256) >= least - 1e-9:
                    pairs.setdefault((row, position), set()).add(band)
    return pairs


@pytest.mark.parametrize("at_a_time", [1, 10, 1 << 20])
def test_all_pairs_that_share_a_band_are_found_and_no_others(opened, tmp_path, monkeypatch, at_a_time):
    monkeypatch.setattr(index_candidates, "_PAIRS", at_a_time)
    found, expected = found_pairs(opened, config(), tmp_path)
    assert found == set(expected)
    assert len(found) > 5


def test_of_a_bucket_that_is_cut_neighbours_are_found(opened, tmp_path):
    """With buckets of two at most, everything that is found is a pair still, and copies are found."""
    settings = config("candidates.max_bucket=2")
    found, expected = found_pairs(opened, settings, tmp_path)
    assert found <= set(expected)
    n_new = len(ROWS[40:])
    assert {(n_new + k, 3 + k) for k in range(6)} <= found
    assert NEIGHBOURS >= 1
