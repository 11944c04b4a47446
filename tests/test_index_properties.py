"""Nights one after the other find what one run over all of them finds, whatever their order."""

from __future__ import annotations

import random
from pathlib import Path

import made_up_news as news
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from indexes import clusters, pairs, run_night
from stages import config

from benchmarks import index_month

SETTINGS = config()


@pytest.fixture(scope="module")
def frozen(tmp_path_factory) -> Path:
    """An index whose statistics are of another collection."""
    folder = tmp_path_factory.mktemp("frozen")
    run_night(news.stories(100, 30), folder, folder / "index", SETTINGS)
    return folder / "index"


def after(nights: list[list[dict]], folder: Path, frozen: Path) -> Path:
    index = index_month.emptied(frozen, folder / "index")
    for k, rows in enumerate(nights):
        run_night(rows, folder, index, SETTINGS, f"night-{k}")
    return index


def assert_same(found: Path, expected: Path) -> None:
    assert set(clusters(found).values()) == set(clusters(expected).values())
    known = pairs(expected)
    mine = pairs(found)
    assert {k for k, row in mine.items() if row["is_confirmed"]} == {
        k for k, row in known.items() if row["is_confirmed"]
    }
    assert mine.keys() == known.keys()
    for key, row in mine.items():
        expected_row = {
            name: pytest.approx(value, abs=1e-5) if isinstance(value, float | tuple) else value
            for name, value in known[key].items()
        }
        assert row == expected_row


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10_000), n_nights=st.integers(2, 5), n_stories=st.integers(4, 25))
def test_nights_find_what_one_run_finds(seed, n_nights, n_stories, frozen, tmp_path_factory):
    folder = tmp_path_factory.mktemp("nights")
    rows = news.stories(seed, n_stories)
    rng = random.Random(seed)
    rng.shuffle(rows)
    nights = [rows[k::n_nights] for k in range(n_nights)]
    nights = [night for night in nights if night]
    whole = after([rows], folder / "whole", frozen)
    assert_same(after(nights, folder / "nights", frozen), whole)
    rng.shuffle(nights)
    assert_same(after(nights, folder / "mixed", frozen), whole)


def test_a_month_loses_no_id_and_ends_where_one_run_does(tmp_path):
    """`benchmarks/index_month.py` does the same for larger months."""
    nights = index_month.month(30, 60, seed=4)
    costs = list(index_month.run_nights(nights, tmp_path, tmp_path / "index"))
    assert sum(cost.n_lost for cost in costs) == 0
    assert sum(cost.events["grew"] for cost in costs) > 10
    assert max(cost.churn for cost in costs) < 0.1
    whole = index_month.emptied(tmp_path / "index", tmp_path / "whole")
    everything = [row for night in nights for row in night]
    list(index_month.run_nights([everything], tmp_path / "one-run", whole))
    assert index_month.partition(tmp_path / "index") == index_month.partition(whole)
