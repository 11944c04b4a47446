"""Nights on an index whose disk is full, or that may not be written."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import made_up_news as news
import pytest
import small_disks
from indexes import clusters, pairs, reader, run_night
from stages import config

from pipeline.errors import OutputError, RunError
from pipeline.index_catalog import CATALOG, require_catalog
from pipeline.index_store import Store
from pipeline.publish import current_run

SETTINGS = config()
ROWS = news.stories(11, 24)
FIRST, SECOND = ROWS[::2], ROWS[1::2]
PAGE = 4096


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A folder on a file system of its own, which can be made larger."""
    with small_disks.small_disk(tmp_path / "small", "64k") as folder:
        yield folder


def resize(folder: Path, size: int | str) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", str(folder)], check=True)


def used(folder: Path) -> int:
    return shutil.disk_usage(folder).used


def expected(folder: Path) -> Path:
    """An index after two nights that nothing happened to."""
    run_night(FIRST, folder, folder / "calm", SETTINGS)
    run_night(SECOND, folder, folder / "calm", SETTINGS)
    return folder / "calm"


def test_a_full_disk_fails_the_first_night_and_the_next_one_makes_up_for_it(small_disk, tmp_path):
    index = small_disk / "index"
    with pytest.raises(RunError, match="No space left on device") as failed:
        run_night(FIRST, tmp_path, index, SETTINGS)
    assert "\n" not in str(failed.value)
    assert require_catalog(Store(str(index))).segments == ()
    assert not (tmp_path / "out" / "latest.json").exists()
    resize(small_disk, "16m")
    night = run_night(FIRST, tmp_path, index, SETTINGS)
    assert night.manifest()["counts"]["n_accepted"] == reader(index).n_articles == len(FIRST)
    assert len(list((index / "segments").iterdir())) == 1


def test_a_disk_that_is_full_at_any_time_leaves_the_past_nights(small_disk, tmp_path):
    """The second night gets a page more each time, until it fits."""
    index = small_disk / "index"
    resize(small_disk, "16m")
    first = run_night(FIRST, tmp_path, index, SETTINGS)
    before = (index / CATALOG).read_bytes()
    n_failed = 0
    # The lease takes a page too: without it the index can't even be held.
    for pages in range(400):
        resize(small_disk, used(small_disk) + pages * PAGE)
        try:
            run_night(SECOND, tmp_path, index, SETTINGS, resume=True)
            break
        except (RunError, OutputError):
            n_failed += 1
        assert (index / CATALOG).read_bytes() == before
        assert clusters(index)
    assert n_failed > 5
    assert current_run(tmp_path / "out") != first.folder
    calm = expected(tmp_path / "calm")
    assert clusters(index) == clusters(calm)
    assert pairs(index) == pairs(calm)
    assert len(list((index / "segments").iterdir())) == 2


def test_what_someone_died_over_while_writing_is_removed_after_a_day(tmp_path):
    index = tmp_path / "index"
    run_night(FIRST, tmp_path, index, SETTINGS)
    places = ((index, "index.json"), (index / "leases", "x.json"))
    old = [folder / f".{name}.7.00000001.tmp" for folder, name in places]
    young = [folder / f".{name}.7.00000002.tmp" for folder, name in places]
    then = time.time() - 90_000
    for path in (*old, *young):
        path.write_bytes(b"{")
    for path in old:
        os.utime(path, (then, then))
    run_night(SECOND, tmp_path, index, SETTINGS)
    assert [path.exists() for path in (*old, *young)] == [False, False, True, True]


def test_an_index_that_may_not_be_written_is_said_in_one_line(my_folder):
    (my_folder / "denied").mkdir(mode=0o500)
    with pytest.raises(OutputError, match="must be a place that can be written") as refused:
        run_night(FIRST, my_folder, my_folder / "denied" / "index", SETTINGS)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("denied", ["segments", "."])
def test_a_night_that_may_not_join_the_index_leaves_it_and_can_be_made_up_for(denied, my_folder):
    index = my_folder / "index"
    first = run_night(FIRST, my_folder, index, SETTINGS)
    before = (index / CATALOG).read_bytes()
    (index / denied).chmod(0o500)
    try:
        with pytest.raises(RunError, match="Permission denied"):
            run_night(SECOND, my_folder, index, SETTINGS)
    finally:
        (index / denied).chmod(0o700)
    assert (index / CATALOG).read_bytes() == before
    current = json.loads((my_folder / "out" / "latest.json").read_text())["run_id"]
    # Tables are published before the index changes.
    assert (current == first.folder.name) == (denied == "segments")
    run_night(SECOND, my_folder, index, SETTINGS, resume=True)
    calm = expected(my_folder / "calm")
    assert clusters(index) == clusters(calm)
    assert pairs(index) == pairs(calm)
    assert len(list((index / "segments").iterdir())) == 2
