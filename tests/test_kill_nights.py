"""A few kills at random moments; `python -m benchmarks.kill_nights` does more."""

from __future__ import annotations

import pytest

from benchmarks.kill_nights import kill_nights


@pytest.mark.parametrize("with_index", [False, True], ids=["alone", "on an index"])
def test_nothing_is_lost_and_nothing_doubled(tmp_path, with_index):
    found = kill_nights(tmp_path, n_kills=10, seed=5, with_index=with_index)
    assert found.faults == []
    assert found.n_kills >= 10
