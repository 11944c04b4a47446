"""Kernels that are not in numba's cache: said on the first run, and compiled by two processes.

numba compiles a kernel where its module is imported, unless it finds it in its cache: half a minute after an
installation. When the first is missing, a second process begins with the kernels that this one would come to
last. Each process looks into the cache before it compiles, so they meet in the middle. Threads wouldn't do:
numba holds one lock for all of a process.

`python -m flows.compiling MODULE` is that second process.
"""

from __future__ import annotations

import gc
import importlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

COMPILING = "compiling the kernels, once after installing or updating"
EVENT = "numba:compile"  # of a kernel that is in the cache numba tells nothing
JOB = "pipeline.job"  # imports every kernel of a run


@contextmanager
def compiling_together(tell: Callable[[str], None]) -> Iterator[None]:
    """When a kernel has to be compiled, say so once, and have a second process compile as well.

    That process says nothing, and its failing changes nothing. It ends with the body, or with this process.
    """
    from numba.core import event

    from pipeline.executor import n_threads

    class FirstTime(event.Listener):
        is_told = False
        helper: subprocess.Popen[bytes] | None = None

        def on_start(self, event: Any) -> None:
            if not self.is_told:
                self.is_told = True
                tell(COMPILING)
                if n_threads(0) > 1:
                    self.helper = start_helper()

        def on_end(self, event: Any) -> None:
            """Nothing."""

    first_time = FirstTime()
    try:
        with event.install_listener(EVENT, first_time):
            yield
    finally:
        if first_time.helper is not None:
            first_time.helper.kill()
            first_time.helper.communicate()


def start_helper() -> subprocess.Popen[bytes] | None:
    """The second process, or None where the system refuses it. It ends when its stdin does."""
    # What this process imports, whatever lies in the current folder.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    try:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "flows.compiling", JOB], env=environment,
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
    except OSError:
        return None


def compile_backwards(module: str) -> None:
    """Import `module` without compiling, then compile the kernels that were defined, the last one first.

    Only those that are cached and have a signature. What a kernel calls comes before it: numba would compile
    that for the very types of the call, which is something else.
    """
    import numba as nb
    from numba.core.dispatcher import Dispatcher

    njit = nb.njit
    signatures: dict[Any, list[Any]] = {}
    seen: set[Any] = set()

    def put_off(*given: Any, **options: Any) -> Any:
        if not (given and options.get("cache")):
            return njit(*given, **options)

        def decorate(function: Callable[..., Any]) -> Any:
            kernel = njit(**options)(function)
            signatures[kernel] = given[0] if isinstance(given[0], list) else [given[0]]
            return kernel

        return decorate

    def compile_kernel(kernel: Any) -> None:
        if kernel in seen:
            return
        seen.add(kernel)
        function = kernel.py_func
        for name in function.__code__.co_names:
            if isinstance(called := function.__globals__.get(name), Dispatcher):
                compile_kernel(called)
        if kernel in signatures:
            for signature in signatures[kernel]:
                kernel.compile(signature)
            kernel.disable_compile()

    nb.njit = put_off
    importlib.import_module(module)
    for kernel in reversed(signatures):
        compile_kernel(kernel)


def _end_with_stdin() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    gc.set_threshold(50_000, 20, 100)  # as in flows.cli: a quarter of the time
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    compile_backwards(sys.argv[1])
