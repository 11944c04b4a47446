"""A few kills at random moments; `python -m benchmarks.kill_nights` does more."""

from __future__ import annotations

from benchmarks.kill_nights import kill_nights


def test_nothing_is_lost_and_nothing_doubled(tmp_path):
    found = kill_nights(tmp_path, n_kills=12, seed=5)
    assert found.faults == []
    assert found.n_kills >= 12
