"""The output folder: what it may be, and which run in it is the current one."""

from __future__ import annotations

import os

import pytest

from pipeline import publish
from pipeline.errors import OutputError


def test_output_folder_is_made_marked_and_taken_again(tmp_path):
    output = tmp_path / "deep" / "out"
    publish.check_output(output)
    assert [path.name for path in output.iterdir()] == [".respun"]
    (output / "notes.txt").write_text("mine")
    publish.check_output(output)


def test_output_folder_from_before_the_marker(tmp_path):
    for name in ("runs", ".work"):
        (tmp_path / name).mkdir()
    (tmp_path / "latest.json").write_text("{}")
    (tmp_path / ".latest.json.1.abc.tmp").write_text("")
    (tmp_path / "..respun.1.abc.tmp").write_text("")
    publish.check_output(tmp_path)


def test_output_folder_of_something_else(tmp_path):
    for name in "gfedcba":
        (tmp_path / name).mkdir()
    with pytest.raises(OutputError, match=r"holds other files: a, b, c, d, e \.\.\."):
        publish.check_output(tmp_path)
    assert not (tmp_path / ".respun").exists()


def test_output_that_cannot_be_a_folder(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OutputError, match="must be a folder that can be written"):
            publish.check_output(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_output_folder_that_may_not_be_written(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="Permission denied"):
        publish.check_output(tmp_path)


def test_current_run_of_a_folder_without_one(tmp_path):
    with pytest.raises(OutputError, match=r"has no readable latest\.json"):
        publish.current_run(tmp_path)
    (tmp_path / "latest.json").write_text('{"run_id": "x", "path": "runs/x"}')
    with pytest.raises(OutputError, match="runs/x is gone"):
        publish.current_run(tmp_path)
