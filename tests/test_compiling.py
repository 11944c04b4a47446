"""Kernels that are not in numba's cache: two processes compile them, and leave what one would leave."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from command_line import ROOT, SAMPLE, command
from texts import JIT_OFF

from flows.compiling import COMPILING, JOB

# `last` calls `total` with other types than those of its signature.
KERNELS = """
import numba as nb
READ = nb.types.Array(nb.int64, 1, "C", readonly=True)

@nb.njit(nb.int64(READ), cache=True)
def total(values):
    return len(values) + values[0]

@nb.njit(cache=True, inline="always")
def twice(value):
    return 2 * value

@nb.njit([nb.int64(nb.int64), nb.float64(nb.float64)], cache=True)
def half(value):
    return value / 2

@nb.njit(nb.int64(nb.int64[::1]), cache=True)
def last(values):
    return twice(total(values)) + half(values[1])
"""
# Prints which kernels are compiled, in their order, and where they are called from.
TOLD = """
from numba.core import event
class Tell(event.Listener):
    depth = 0
    def on_start(self, event):
        function = event.data["dispatcher"].py_func
        if not function.__module__.startswith("numba"):
            print(self.depth * " " + function.__name__)
        self.depth += 1
    def on_end(self, event):
        self.depth -= 1
event.register("numba:compile", Tell())
"""

pytestmark = pytest.mark.skipif(JIT_OFF, reason="there is nothing to compile")


def python(script: str, cache: Path | None = None, **environment: str) -> str:
    place = {} if cache is None else {"NUMBA_CACHE_DIR": str(cache)}
    return subprocess.check_output(
        [sys.executable, "-c", script], text=True, cwd=ROOT, env=os.environ | place | environment
    )


def cached(cache: Path) -> list[str]:
    return sorted(str(path.relative_to(cache)) for path in cache.rglob("*.nb?"))


def test_compiling_backwards_leaves_what_compiling_leaves(tmp_path):
    (tmp_path / "some_kernels.py").write_text(KERNELS)
    there = {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    backwards = "from flows.compiling import compile_backwards; compile_backwards('some_kernels')"
    # What is called first, and never in the midst of another, which is by the types of the call.
    assert python(TOLD + backwards, tmp_path / "b", **there) == "total\nhalf\nhalf\nlast\n"
    assert python(TOLD + "import some_kernels", tmp_path / "b", **there) == ""
    assert python(TOLD + "import some_kernels", tmp_path / "a", **there) == "total\nhalf\nhalf\nlast\n"
    assert cached(tmp_path / "b") == cached(tmp_path / "a") != []


TWO_KERNELS = """
import os
import numba as nb
from flows import compiling
started = []
start = compiling.start_helper
compiling.start_helper = lambda: started.append(start()) or started[-1]
with compiling.compiling_together(print):
    kernel = nb.njit(nb.int64(nb.int64))(lambda x: x + 1)
    nb.njit(nb.int64(nb.int64))(lambda x: x + 2)
    print(kernel(1), [helper.poll() for helper in started])
print([helper.poll() for helper in started])
"""


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one core: no second process")
def test_it_is_said_once_and_the_one_helper_is_gone_afterwards(tmp_path):
    assert python(TWO_KERNELS, tmp_path).splitlines() == [COMPILING, "2 [None]", "[-9]"]


def test_without_the_compiler_there_is_no_helper(tmp_path):
    assert python(TWO_KERNELS, tmp_path, NUMBA_DISABLE_JIT="1").splitlines() == ["2 []", "[]"]


def test_a_helper_that_cannot_be_started_is_done_without(tmp_path):
    broken = "import sys; sys.executable = '/nowhere/python'\n"
    told = python(broken + TWO_KERNELS.replace("helper.poll()", "helper"), tmp_path)
    assert told.splitlines() == [COMPILING, "2 [None]", "[None]"]


def test_the_helper_ends_with_the_process_that_started_it(tmp_path):
    (tmp_path / "endless.py").write_text("import threading; threading.Event().wait()")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    helper = subprocess.Popen(
        [sys.executable, "-m", "flows.compiling", "endless"], cwd=ROOT, env=environment, stdin=subprocess.PIPE
    )
    helper.stdin.close()
    assert helper.wait(timeout=60) == 0


# Kernels that are taken out of a full cache: one that a run imports early, and some late ones.
TAKEN_OUT = ("bags.distinct_rows", "report_tokens.")
COUNT = f"""
import sys, {JOB}
from numba.core.dispatcher import Dispatcher
found = {{v for name, m in list(sys.modules.items()) if name.startswith("pipeline.")
         for v in vars(m).values() if isinstance(v, Dispatcher)}}
print(sum(len(kernel.signatures) for kernel in found))
"""


def test_backwards_every_kernel_of_a_run_is_the_one_of_forwards(sample_run):
    # The run has left them in the cache: whatever else were asked for would be compiled, and told.
    backwards = f"from flows.compiling import compile_backwards; compile_backwards({JOB!r})\n"
    assert python(TOLD + backwards + COUNT) == python(TOLD + COUNT)


def test_a_first_run_finds_the_same_and_leaves_every_kernel_in_the_cache(tmp_path, sample_run):
    # Of a full cache but for some kernels: all of them take most of a minute of both cores.
    place = "from pipeline.minhash import sign_sets; print(sign_sets.stats.cache_path)"
    full, cache = Path(python(place).strip()), Path(python(place, tmp_path).strip())
    lent = list(full.glob("*.nb?"))  # of kernels that were, too
    for path in lent:
        if not path.name.startswith(TAKEN_OUT):
            shutil.copy(path, cache)
    first = command(
        "run", SAMPLE, "--output", tmp_path / "out", "--config", "smoke", "--direct",
        NUMBA_CACHE_DIR=str(tmp_path),
    )  # fmt: skip
    assert first.code == 0, first.stderr
    assert first.stderr.count(f"{COMPILING}\n") == 1
    assert "rror" not in first.stderr
    for path in sorted(sample_run.run_dir.glob("*.parquet")):
        assert pq.read_table(first.run_dir / path.name).equals(pq.read_table(path)), path.name
    assert int(python(TOLD + COUNT, tmp_path)) > 50  # and nothing is compiled
    assert set(cached(cache)) <= {path.name for path in lent}  # no other version of a kernel
