"""Scratch folders go with their run; what a dead one left is taken over or swept."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.errors import InputError, OutputError, RunError
from pipeline.scratch import LOG, WORK, JobKey, Keeping, scratch_folder

ROOT = Path(__file__).parents[1]
JOB, OTHER = JobKey("some input", "some settings"), JobKey("other input", "some settings")
KEEP = Keeping(days=3)


def fill(folder: Path) -> None:
    (folder / "shards").mkdir()
    (folder / "shards" / "0.arrow").write_text("data")
    (folder / "pairs.arrow").write_text("data")
    (folder / "run.log").write_text("why")


def leave(output: Path, run_id: str, job: JobKey = JOB, keeping: Keeping = KEEP) -> Path:
    """The folder of a run that failed."""
    with pytest.raises(RunError), scratch_folder(output, run_id, job, keeping) as folder:
        fill(folder)
        raise RunError("no")
    return folder


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file()}


def test_nothing_is_left_of_a_run_that_succeeds(tmp_path):
    with scratch_folder(tmp_path, "one", JOB, KEEP) as folder:
        fill(folder)
        assert folder == tmp_path / ".work" / "one"
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_is_told_to_leaves_its_files(tmp_path):
    with scratch_folder(tmp_path, "one", JOB, Keeping(keep=True, days=3)) as folder:
        fill(folder)
    assert {"0.arrow", "pairs.arrow"} <= files(folder)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, RunError])
def test_a_run_that_fails_leaves_its_files(tmp_path, error):
    with pytest.raises(error), scratch_folder(tmp_path, "one", JOB, KEEP) as folder:
        fill(folder)
        raise error("no")
    assert {"0.arrow", "pairs.arrow", "run.log"} <= files(folder)


@pytest.mark.parametrize(
    ("error", "days"),
    [(ValueError("no"), 0), (InputError("nothing accepted"), 3), (OSError(28, "No space left on device"), 3)],
)
def test_with_nothing_to_go_on_from_only_the_log_stays(tmp_path, error, days):
    with (
        pytest.raises(type(error)),
        scratch_folder(tmp_path, "one", JOB, Keeping(days=days)) as folder,
    ):
        fill(folder)
        raise error
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / WORK / "one" / LOG]


def test_what_was_left_outlasts_a_run_that_could_not_begin(tmp_path):
    """Say, since another run holds the index."""
    left = leave(tmp_path, "one")
    for other in (JOB, JobKey(JOB.inputs, "other settings")):
        with (
            pytest.raises(OutputError),
            scratch_folder(tmp_path, "two", other, Keeping(resume=True, days=3)) as folder,
        ):
            raise OutputError("must be free")
        assert {"0.arrow", "pairs.arrow", "job.json"} <= files(folder)
    assert not left.exists()
    with pytest.raises(OSError, match="full"), scratch_folder(tmp_path, "three", JOB, KEEP) as folder:
        raise OSError(28, "full")
    assert files(folder) == set()


def test_a_kill_leaves_no_half_of_what_a_folder_is_known_by(tmp_path):
    """Another job takes the place of the old one in one step."""
    left = leave(tmp_path, "one")
    with (left / "job.json").open() as file:
        with (
            pytest.raises(RunError),
            scratch_folder(tmp_path, "two", JobKey(JOB.inputs, "other"), Keeping(resume=True, days=3)),
        ):
            raise RunError("no")
        assert '"some settings"' in file.read()
    with (tmp_path / ".work" / "two" / "job.json").open() as file:
        assert '"other"' in file.read()


def test_a_full_disk_is_told_by_the_cause(tmp_path):
    with pytest.raises(RunError), scratch_folder(tmp_path, "one", JOB, KEEP) as folder:
        fill(folder)
        raise RunError("stage x") from OSError(28, "No space left on device")
    assert files(folder) == {"run.log"}


def test_a_link_in_scratch_is_not_followed(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("mine")
    with pytest.raises(ValueError, match="no"), scratch_folder(tmp_path, "one", JOB, Keeping()) as folder:
        (folder / "link").symlink_to(outside)
        raise ValueError("no")
    assert (outside / "kept").read_text() == "mine"


def test_two_runs_do_not_disturb_each_other(tmp_path):
    with scratch_folder(tmp_path, "one", JOB, KEEP) as first:
        fill(first)
        with scratch_folder(tmp_path, "two", JOB, Keeping(resume=True)) as second:
            assert second.name == "two"
        assert {"0.arrow", "pairs.arrow"} <= files(first)


def test_resuming_takes_the_folder_of_the_same_job(tmp_path):
    leave(tmp_path, "one")
    leave(tmp_path, "two", JobKey(JOB.inputs, "others"), Keeping(resume=False, days=3))
    # The second run is over the same input, and was not resumed: what the first left is of no use.
    assert files(tmp_path / ".work" / "one") == {"run.log"}
    leave(tmp_path, "three", OTHER)
    with scratch_folder(tmp_path, "four", OTHER, Keeping(resume=True, days=3)) as folder:
        assert folder.name == "three"
        assert "pairs.arrow" in files(folder)


def test_resuming_renames_the_folder_of_another_job_over_the_same_input(tmp_path):
    left = leave(tmp_path, "one")
    with scratch_folder(
        tmp_path, "two", JobKey(JOB.inputs, "others"), Keeping(resume=True, days=3)
    ) as folder:
        assert folder.name == "two"
        assert "pairs.arrow" in files(folder)
        assert not left.exists()


def test_resuming_prefers_the_same_job_then_the_newest(tmp_path):
    leave(tmp_path, "1")
    for name, settings in (("2", "a"), ("3", "b")):
        job = JobKey(JOB.inputs, settings)
        with scratch_folder(tmp_path, name, job, Keeping(keep=True, days=3)):
            (tmp_path / ".work" / "1").mkdir(exist_ok=True)
    for name in "123":
        folder = tmp_path / ".work" / name
        folder.mkdir(exist_ok=True)
        (folder / "lock").write_text("")
        settings = {"1": "some settings", "2": "a", "3": "b"}[name]
        (folder / "job.json").write_text(f'{{"inputs": "some input", "settings": "{settings}"}}')
    again = Keeping(resume=True, keep=True, days=3)
    with scratch_folder(tmp_path, "4", JOB, again) as folder:
        assert folder.name == "1"
        with scratch_folder(tmp_path, "5", JOB, again):
            assert {path.name for path in (tmp_path / ".work").iterdir()} == {"1", "2", "5"}


def test_half_written_files_are_not_taken_over(tmp_path):
    left = leave(tmp_path, "one")
    (left / "shards" / ".1.arrow.123.abc.tmp").write_text("ha")
    with scratch_folder(tmp_path, "two", JOB, Keeping(resume=True)) as folder:
        assert ".1.arrow.123.abc.tmp" not in files(folder)


def test_what_is_left_goes_after_some_days(tmp_path):
    left = leave(tmp_path, "one")
    with scratch_folder(tmp_path, "two", OTHER, KEEP):
        assert "pairs.arrow" in files(left)
    two_days = time.time() - 2 * 86_400
    os.utime(left / "lock", (two_days, two_days))
    with scratch_folder(tmp_path, "two", OTHER, KEEP):
        assert "pairs.arrow" in files(left)
    with scratch_folder(tmp_path, "three", OTHER, Keeping(days=2)):
        assert files(left) == {"run.log"}


def test_what_a_killed_run_left_is_taken_over(tmp_path):
    script = (
        "import os, sys; from pathlib import Path\n"
        "from pipeline.scratch import JobKey, Keeping, scratch_folder\n"
        "with scratch_folder(Path(sys.argv[1]), 'dead', JobKey('a', 'b'), Keeping(days=3)) as folder:\n"
        "    (folder / 'data').write_text('x' * 1000); (folder / 'run.log').write_text('why'); os._exit(9)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], cwd=ROOT, check=False)
    with scratch_folder(tmp_path, "next", OTHER, KEEP):
        assert (tmp_path / ".work" / "dead" / "data").exists()
    with scratch_folder(tmp_path, "next", JobKey("a", "b"), Keeping(resume=True)) as folder:
        assert (folder.name, "data" in files(folder)) == ("dead", True)


def test_temporary_files_of_dead_runs_go_after_a_day(tmp_path):
    day_ago = time.time() - 86_401
    for name in (".latest.json.12.0a1b2c3d.tmp", ".latest.json.13.0a1b2c3d.tmp", ".mine.tmp", "notes.tmp"):
        (tmp_path / name).write_text("x")
        if "13" not in name:
            os.utime(tmp_path / name, (day_ago, day_ago))
    with scratch_folder(tmp_path, "one", JOB, KEEP):
        pass
    assert {path.name for path in tmp_path.iterdir()} == {
        ".latest.json.13.0a1b2c3d.tmp", ".mine.tmp", "notes.tmp"
    }  # fmt: skip


def test_sweeping_spares_folders_that_are_not_of_a_run(tmp_path):
    other = tmp_path / ".work" / "mine"
    other.mkdir(parents=True)
    (other / "data").write_text("mine")
    with scratch_folder(tmp_path, "one", JOB, Keeping()):
        assert (other / "data").read_text() == "mine"


def test_an_output_that_is_a_file_is_refused_by_name(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"output: must be a folder that can be written.*file"):
        scratch_folder(tmp_path / "file", "one", JOB, KEEP).__enter__()
