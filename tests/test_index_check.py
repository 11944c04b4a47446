"""`respun index check`: what is missing or damaged is named, and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import made_up_news as news
import pytest
from click.testing import CliRunner, Result
from command_line import ROOT
from indexes import files_of, run_night
from stages import config

from flows.cli import cli
from pipeline import index_admin, index_check
from pipeline.errors import RunError
from pipeline.executor import Silence, ThreadExecutor
from pipeline.index_catalog import CATALOG, require_catalog
from pipeline.index_job import rebuild_index
from pipeline.index_store import Store

SETTINGS = config()
ROWS = [
    r | {"published_at": datetime(2026, 1, 1 + i % 2, tzinfo=UTC)} for i, r in enumerate(news.stories(11, 24))
]
FIRST, SECOND = ROWS[:40], ROWS[40:]


def check(index: Path) -> Result:
    return CliRunner().invoke(cli, ["index", "check", str(index)])


def test_a_whole_index_is_a_line_and_stays_as_it_is(index, tmp_path):
    run_night(SECOND, tmp_path, index, SETTINGS)
    assert index_admin.forget(str(index), datetime(2026, 1, 2, tzinfo=UTC), SETTINGS, print).n_clusters
    files = files_of(index)
    done = check(index)
    n_bytes = sum(len(data) for file, data in files.items() if file.suffix == ".parquet")
    assert done.stdout == f"index {index}: {len(files) - 1} files, {n_bytes} bytes: as index.json says\n"
    assert (done.exit_code, done.stderr) == (0, "")
    assert files_of(index) == files


def test_every_file_that_is_missing_or_differs_is_a_line(index, tmp_path):
    run_night(SECOND, tmp_path, index, SETTINGS)
    index_admin.forget(str(index), datetime(2026, 1, 2, tzinfo=UTC), SETTINGS, print)
    refs = list(require_catalog(Store(str(index))).files)
    assert len(refs) == 2 + 2 * 7 + 1
    words = []
    for n, ref in enumerate(refs):
        path = index / ref.path
        data = path.read_bytes()
        if n % 3 == 0:
            path.unlink()
            words.append("is missing")
        elif n % 3 == 1:
            middle = len(data) // 2
            path.write_bytes(data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :])
            words.append(f"must have {ref.bytes} bytes, XXH3 {ref.digest[:12]}, has {ref.bytes} bytes, XXH3 ")
        else:
            path.write_bytes(data[:-1])
            words.append(f"must have {ref.bytes} bytes, XXH3 {ref.digest[:12]}, has {ref.bytes - 1} bytes")
    done = check(index)
    *lines, last = done.stdout.splitlines()
    assert len(lines) == len(refs)
    for line, ref, said in zip(lines, refs, words, strict=True):
        assert line.startswith(f"{ref.path}: {said}")
    assert last.endswith(f": {len(refs)} of {len(refs)} files are missing or differ")
    assert done.exit_code == 1


def test_rows_are_compared_too(index):
    document = json.loads((index / CATALOG).read_text())
    ref = document["segments"][0]["files"]["pairs"]
    ref["rows"] += 1
    (index / CATALOG).write_text(json.dumps(document))
    done = check(index)
    assert (
        done.stdout.splitlines()[0] == f"{ref['path']}: must have {ref['rows']} rows, has {ref['rows'] - 1}"
    )
    assert done.exit_code == 1


@pytest.mark.parametrize("state", ["gone", "damaged"])
def test_what_has_no_readable_catalog_can_not_be_checked(state, index):
    (index / CATALOG).unlink() if state == "gone" else (index / CATALOG).write_text("{")
    done = check(index)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith(f"respun: error: index {index}: ")


def test_what_is_put_together_meanwhile_is_not_missing(index, tmp_path, monkeypatch):
    run_night(SECOND, tmp_path, index, SETTINGS)
    real = Store.digest

    def digest(self: Store, name: str) -> tuple[int, str] | None:
        monkeypatch.setattr(Store, "digest", real)
        index_admin.compact(str(index), SETTINGS, print)
        return self.digest(name)

    monkeypatch.setattr(Store, "digest", digest)
    found = index_check.check(str(index))
    assert found.found == ()
    assert found.n_files == 2 + 7


@pytest.mark.parametrize("what", ["compact", "forget", "rebuild"])
def test_damage_is_not_written_anew(index, tmp_path, what):
    run_night(SECOND, tmp_path, index, SETTINGS)
    ref = require_catalog(Store(str(index))).segments[0].files["keys"]
    path, catalog = index / ref.path, (index / CATALOG).read_bytes()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(RunError, match=rf"^index {index}: {ref.path}: must have .* put it back from a copy"):
        if what == "compact":
            index_admin.compact(str(index), SETTINGS, print)
        elif what == "forget":
            index_admin.forget(str(index), datetime(2026, 1, 2, tzinfo=UTC), SETTINGS, print)
        else:
            rebuild_index(str(index), SETTINGS, ThreadExecutor(1), Silence())
    assert (index / CATALOG).read_bytes() == catalog
    assert path.read_bytes() == data


def test_a_reader_that_goes_away_is_no_error_to_tell(index):
    end, writer = os.pipe()
    os.close(end)
    done = subprocess.run(
        [sys.executable, "-m", "flows.cli", "index", "check", str(index)],
        stdout=writer, stderr=subprocess.PIPE, cwd=ROOT, check=False,
    )  # fmt: skip
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"")
