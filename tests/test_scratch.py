"""Scratch folders go with their run; what dead runs left is swept, what living ones hold is not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.errors import OutputError
from pipeline.scratch import log_path, scratch_folder, sweep

ROOT = Path(__file__).parents[1]


def test_nothing_is_left_of_a_run_that_succeeds(tmp_path):
    with scratch_folder(tmp_path, "one") as folder:
        (folder / "shards").mkdir()
        (folder / "shards" / "0.arrow").write_text("data")
        assert folder == tmp_path / ".work" / "one"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_run_that_fails_leaves_its_log_only(tmp_path, error):
    with pytest.raises(error), scratch_folder(tmp_path, "one") as folder:
        (folder / "shards").mkdir()
        (folder / "shards" / "0.arrow").write_text("data")
        (folder / "pairs.arrow").write_text("data")
        (folder / "run.log").write_text("why")
        raise error
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [log_path(tmp_path, "one")]


def test_a_run_that_fails_without_a_log_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match="no"), scratch_folder(tmp_path, "one") as folder:
        (folder / "shards").mkdir()
        raise ValueError("no")
    assert not (tmp_path / ".work" / "one").exists()


def test_a_link_in_scratch_is_not_followed(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("mine")
    with pytest.raises(ValueError, match="no"), scratch_folder(tmp_path, "one") as folder:
        (folder / "link").symlink_to(outside)
        raise ValueError("no")
    assert (outside / "kept").read_text() == "mine"


def test_two_runs_do_not_disturb_each_other(tmp_path):
    with scratch_folder(tmp_path, "one") as first:
        (first / "data").write_text("mine")
        with scratch_folder(tmp_path, "two"):
            assert (first / "data").read_text() == "mine"
        assert (first / "data").read_text() == "mine"


def test_what_a_killed_run_left_is_swept_by_the_next(tmp_path):
    script = (
        "import os, sys; from pathlib import Path; from pipeline.scratch import scratch_folder\n"
        "with scratch_folder(Path(sys.argv[1]), 'dead') as folder:\n"
        "    (folder / 'data').write_text('x' * 1000); (folder / 'run.log').write_text('why'); os._exit(9)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], cwd=ROOT, check=False)
    assert (tmp_path / ".work" / "dead" / "data").exists()
    with scratch_folder(tmp_path, "next"):
        assert [path.name for path in (tmp_path / ".work" / "dead").iterdir()] == ["run.log"]


def test_sweeping_spares_folders_that_are_not_of_a_run(tmp_path):
    other = tmp_path / ".work" / "mine"
    other.mkdir(parents=True)
    (other / "data").write_text("mine")
    sweep(tmp_path)
    assert (other / "data").read_text() == "mine"


def test_an_output_that_is_a_file_is_refused_by_name(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"output: must be a folder that can be written.*file"):
        scratch_folder(tmp_path / "file", "one").__enter__()
