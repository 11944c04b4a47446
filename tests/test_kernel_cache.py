"""Compiled kernels are those of the sources as they stand, whichever file has changed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import ROOT
from texts import JIT_OFF

pytestmark = pytest.mark.skipif(JIT_OFF, reason="there is nothing to compile")

CALLEE = """
from pipeline import arrays
import numba as nb

@nb.njit(nb.int64(nb.int64), cache=True)
def more(value):
    return value + {added}
"""
CALLER = """
from pipeline import arrays
import numba as nb
from pipeline.callee import more

@nb.njit(nb.int64(nb.int64), cache=True)
def twice(value):
    return more(more(value))

print(twice(0), sum(twice.stats.cache_hits.values()))
"""


@pytest.fixture
def package(tmp_path):
    folder = tmp_path / "pipeline"
    folder.mkdir()
    (folder / "__init__.py").touch()
    for name in ("arrays", "kernel_cache"):
        shutil.copy(ROOT / "pipeline" / f"{name}.py", folder)
    (folder / "callee.py").write_text(CALLEE.format(added=1))
    (folder / "caller.py").write_text(CALLER)
    return folder


def run(package: Path, **environment: str) -> list[int]:
    """What the kernel says, and how many kernels of its file were in the cache."""
    kept = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    command = [sys.executable, "-m", "pipeline.caller"]
    environment = kept | {"PYTHONPATH": str(package.parent)} | environment
    said = subprocess.check_output(command, text=True, cwd=package.parent, env=environment)
    return [int(word) for word in said.split()]


def folders(root: Path) -> list[Path]:
    return sorted(root.glob("respun-*"))


def test_a_kernel_is_compiled_anew_when_what_it_calls_has_changed(package):
    assert run(package) == [2, 0]
    assert run(package) == [2, 1]
    before = folders(package / "__pycache__")
    (package / "callee.py").write_text(CALLEE.format(added=5))
    assert run(package) == [10, 0]
    after = folders(package / "__pycache__")
    assert len(before) == len(after) == 1
    assert before != after


def test_a_file_without_kernels_leaves_them_as_they_are(package):
    assert run(package) == [2, 0]
    (package / "other.py").write_text("VALUE = 1\n")
    assert run(package) == [2, 1]


def test_every_module_with_a_kernel_takes_its_types_from_the_one_that_sets_the_cache():
    modules = {file.stem: file.read_text() for file in (ROOT / "pipeline").glob("*.py")}
    kernels = [name for name, source in modules.items() if "@nb.njit" in source]
    assert len(kernels) > 20
    assert [name for name in kernels if "from pipeline.arrays import" not in modules[name]] == []


def test_kernels_of_another_place_stay_in_a_cache_that_both_use(package, tmp_path):
    cache = tmp_path / "cache"
    assert run(package, NUMBA_CACHE_DIR=str(cache)) == [2, 0]
    elsewhere = tmp_path / "elsewhere" / "pipeline"
    shutil.copytree(package, elsewhere, ignore=shutil.ignore_patterns("__pycache__"))
    (elsewhere / "callee.py").write_text(CALLEE.format(added=3))
    assert run(elsewhere, NUMBA_CACHE_DIR=str(cache)) == [6, 0]
    assert run(package, NUMBA_CACHE_DIR=str(cache)) == [2, 1]
    assert len(folders(cache)) == 2


def test_another_place_takes_nothing_from_the_usual_one(package, tmp_path):
    assert run(package) == [2, 0]
    assert run(package, NUMBA_CACHE_DIR=str(tmp_path / "cache")) == [2, 0]
    assert run(package) == [2, 1]


def test_without_a_place_that_can_be_written_numba_finds_one(package, tmp_path):
    (tmp_path / "file").touch()
    home = {"HOME": str(tmp_path / "home"), "XDG_CACHE_HOME": str(tmp_path / "home")}
    assert run(package, NUMBA_CACHE_DIR=str(tmp_path / "file"), **home) == [2, 0]
    assert run(package, NUMBA_CACHE_DIR=str(tmp_path / "file"), **home) == [2, 1]
