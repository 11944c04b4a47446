"""The kernels as plain Python: the same tests with numba's compiler switched off, on fewer examples.

Where a kernel relies on an integer width that only numba has, or on what only compiled code does, this run
differs; and coverage tools see the kernels' lines.
"""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from texts import JIT_OFF

TESTS = Path(__file__).parent
KERNEL_TESTS = (
    "wide", "tokens", "text", "article_checks", "furniture", "bags", "terms", "minhash", "elements",
    "signatures", "candidates", "vectors", "wording", "compare", "report_tokens",
)  # fmt: skip
KERNEL = re.compile(r"^\s*@(nb\.njit|intrinsic)\b", re.MULTILINE)


def kernel_modules() -> dict[str, ModuleType]:
    """Every module of pipeline that has a kernel."""
    files = sorted((TESTS.parent / "pipeline").glob("*.py"))
    names = [path.stem for path in files if KERNEL.search(path.read_text(encoding="utf-8"))]
    return {name: importlib.import_module(f"pipeline.{name}") for name in names}


@pytest.mark.skipif(JIT_OFF, reason="is that run")
def test_kernels_work_without_the_jit():
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    files = [str(TESTS / f"test_{name}.py") for name in (*KERNEL_TESTS, "jit_off")]
    # numpy's scalars say so when they wrap, as the hashes do on purpose; numba's don't.
    options = ["-q", "-p", "no:cacheprovider", "-W", "ignore:overflow encountered:RuntimeWarning"]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *files],
        env=environment, cwd=TESTS.parent, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-2000:]
    passed = re.search(r"(\d+) passed", run.stdout)
    assert passed is not None
    assert int(passed[1]) > 100


@pytest.mark.skipif(not JIT_OFF, reason="asks about the run that the test above starts")
def test_the_kernels_are_plain_functions_in_that_run():
    modules = kernel_modules()
    assert modules.keys() >= {"bags", "token_scan", "wide", "wording"}
    for module in modules.values():
        assert not any(hasattr(value, "py_func") for value in vars(module).values())
