"""A night on an index that died goes on from its finished calls, and ends as if nothing had happened."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

import made_up_news as news
import pytest
from indexes import clusters, pairs, reader, run_night
from stages import Dying, config

from pipeline import publish
from pipeline.errors import RunError
from pipeline.journal import READS, READS_OF_AN_INDEX

SETTINGS = config()
ROWS = news.stories(11, 24)
FIRST, SECOND, THIRD = ROWS[::3], ROWS[1::3], ROWS[2::3]
JOURNALLED = READS | READS_OF_AN_INDEX
# Stages of a night on an index that lies in a folder: nothing has to be fetched there.
OF_A_FOLDER = READS_OF_AN_INDEX.keys() - {"index-places"}


def test_a_night_goes_on_from_any_call_and_ends_the_same(one_night, tmp_path):
    calm = Path(shutil.copytree(one_night, tmp_path / "calm"))
    undisturbed = run_night(SECOND, tmp_path / "calm-night", calm, SETTINGS)
    stages = undisturbed.stages()
    calls = [stage["stage"] for stage in stages for _ in range(stage["n_calls"])]
    assert set(calls) >= OF_A_FOLDER
    for n in range(1, len(calls) + 1, 4):
        folder, index = tmp_path / str(n), Path(shutil.copytree(one_night, tmp_path / f"index-{n}"))
        with pytest.raises(RunError):
            run_night(SECOND, folder, index, SETTINGS, execute=Dying(n, OSError(errno.EIO, "no")))
        assert clusters(index) == clusters(one_night)
        night = run_night(SECOND, folder, index, SETTINGS, resume=True)
        assert sum(s["n_reused"] for s in night.stages()) == sum(c in JOURNALLED for c in calls[:n])
        assert (clusters(index), pairs(index)) == (clusters(calm), pairs(calm))
        for table in ("cluster_members", "clusters", "confirmed_pairs", "repeated_sections"):
            assert night.rows(table) == undisturbed.rows(table)
        assert night.events() == undisturbed.events()
        assert len(list((folder / "out" / "runs").iterdir())) == 1
        assert len(list((index / "segments").iterdir())) == 2


def test_what_was_found_in_an_index_that_has_changed_is_found_again(index, tmp_path):
    """Another night has joined it before the one that died goes on."""
    fresh = Path(shutil.copytree(index, tmp_path / "fresh"))
    n_calls = sum(s["n_calls"] for s in run_night(SECOND, tmp_path / "a", fresh, SETTINGS).stages())
    fresh = Path(shutil.copytree(index, tmp_path / "in-order"))
    with pytest.raises(RunError):
        run_night(
            SECOND, tmp_path / "b", index, SETTINGS, execute=Dying(n_calls - 3, OSError(errno.EIO, "no"))
        )
    for at in (index, fresh):
        run_night(THIRD, tmp_path / at.name, at, SETTINGS)
    resumed = run_night(SECOND, tmp_path / "b", index, SETTINGS, resume=True)
    expected = run_night(SECOND, tmp_path / "c", fresh, SETTINGS)
    again = {s["stage"] for s in resumed.stages() if s["n_reused"] < s["n_calls"]}
    assert again >= OF_A_FOLDER
    assert {"read", "text", "signatures", "candidates"} & again == set()
    assert (clusters(index), pairs(index)) == (clusters(fresh), pairs(fresh))
    for table in ("cluster_members", "clusters", "confirmed_pairs"):
        assert resumed.rows(table) == expected.rows(table)


def test_what_was_found_in_damaged_files_is_found_again(one_night, index, tmp_path):
    """They are put back before the night goes on. What the files of the night say is taken over."""
    calm = Path(shutil.copytree(one_night, tmp_path / "copy"))
    expected = run_night(SECOND, tmp_path / "calm", calm, SETTINGS)
    (path,) = (index / "segments").glob("*/places.parquet")
    good = path.read_bytes()
    # All values of the one page, behind its header.
    path.write_bytes(good[:60] + bytes(640 * len(FIRST) - 60) + good[640 * len(FIRST) :])
    calls = [s["stage"] for s in expected.stages() for _ in range(s["n_calls"])]
    with pytest.raises(RunError):
        n_calls = calls.index("recall-plan") + 1
        run_night(SECOND, tmp_path, index, SETTINGS, execute=Dying(n_calls, OSError(errno.EIO, "no")))
    path.write_bytes(good)
    night = run_night(SECOND, tmp_path, index, SETTINGS, resume=True)
    again = {s["stage"] for s in night.stages() if s["n_reused"] < s["n_calls"]}
    assert again >= {"index-candidates", "index-screen", "recall-plan"}
    assert {"read", "text", "signatures", "candidates"} & again == set()
    assert pairs(index) == pairs(calm)
    for table in ("cluster_members", "clusters", "confirmed_pairs"):
        assert night.rows(table) == expected.rows(table)


class Killed(BaseException):
    """The process ends, and nothing that would have followed happens."""


def killed(*_: object) -> None:
    raise Killed


def test_the_first_night_goes_on_from_the_middle_of_publishing(tmp_path, monkeypatch):
    """Its tables have their place, and nothing says yet that they are current."""
    index = tmp_path / "index"
    with monkeypatch.context() as patch:
        patch.setattr(publish, "_make_current", killed)
        with pytest.raises(Killed):
            run_night(FIRST, tmp_path / "first", index, SETTINGS)
    assert not (tmp_path / "first" / "out" / "latest.json").exists()
    run_night(FIRST, tmp_path / "first", index, SETTINGS, resume=True)
    assert len(list((tmp_path / "first" / "out" / "runs").iterdir())) == 1
    assert reader(index).n_articles == len(FIRST)
