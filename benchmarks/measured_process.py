"""Runs a command on some of the machine's cores and measures it from outside: time, memory, start."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SAMPLE_SECONDS = 0.1
PROC = Path("/proc")


@dataclass(frozen=True)
class Measured:
    """One finished command.

    `peak_bytes` is the largest `session_bytes`, sampled ten times a second; where there is no /proc, the
    largest resident set of one process. `watched_bytes` is the largest sum of the files under the watched
    folder, `scratch_bytes` of those that aren't tables, which wait there to be published.
    """

    spawned_at: float
    seconds: float
    cpu_seconds: float
    peak_bytes: int
    watched_bytes: int
    scratch_bytes: int
    stdout: str


class CommandFailedError(Exception):
    """The command's exit code was not 0; the message ends with its last output."""


def all_cores() -> list[int]:
    """Numbers of the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def measure(
    command: Sequence[str],
    n_cores: int,
    folder: Path,
    variables: Mapping[str, str],
    watched: Path | None = None,
) -> Measured:
    """Run `command` in `folder` on the first `n_cores` cores. Raises CommandFailedError."""
    cores = all_cores()[:n_cores]

    def pin() -> None:
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, cores)

    with tempfile.TemporaryFile("w+") as stdout, tempfile.TemporaryFile("w+") as stderr:
        spawned_at, began = time.time(), time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **variables},
            stdout=stdout,
            stderr=stderr,
            preexec_fn=pin,
            start_new_session=True,
        )
        peak = files = scratch = 0
        try:
            while True:
                pid, status, usage = os.wait4(process.pid, os.WNOHANG)
                if pid:
                    break
                peak = max(peak, session_bytes(process.pid))
                if watched:
                    files = max(files, folder_bytes(watched))
                    scratch = max(scratch, folder_bytes(watched, but="tables"))
                time.sleep(SAMPLE_SECONDS)
        except BaseException:  # interrupted: what the command started would live on
            os.killpg(process.pid, signal.SIGTERM)
            raise
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        stdout.seek(0)
        stderr.seek(0)
        if process.returncode:
            raise CommandFailedError(
                f"{' '.join(command)}: exit code {process.returncode}\n{stderr.read()[-2000:]}"
            )
        resident = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        return Measured(
            spawned_at=spawned_at,
            seconds=seconds,
            cpu_seconds=usage.ru_utime + usage.ru_stime,
            peak_bytes=peak or resident,
            watched_bytes=files,
            scratch_bytes=scratch,
            stdout=stdout.read(),
        )


def folder_bytes(folder: Path, but: str = "") -> int:
    """Bytes of all files under a folder, which may come and go meanwhile; none in folders named `but`."""
    total = 0
    for parent, folders, names in os.walk(folder):  # unlike rglob it takes no notice of folders that go
        folders[:] = [inner for inner in folders if inner != but]
        for name in names:
            with contextlib.suppress(OSError):
                total += os.stat(os.path.join(parent, name)).st_size
    return total


def session_bytes(session: int) -> int:
    """Resident memory of all processes of a session, pages that several of them share counted once.

    For a process alone that is its resident set, which costs nothing to ask for. To find shared pages the
    system walks through all of them: ten times a second that takes a sixth of a core from what is measured.
    """
    pids = [pid for pid in _pids() if _session_of(pid) == session]
    return _resident_bytes(pids[0]) if len(pids) == 1 else sum(map(_proportional_bytes, pids))


def _pids() -> list[int]:
    return [int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit()] if PROC.is_dir() else []


def _session_of(pid: int) -> int:
    try:
        # The command's name, in brackets, may hold anything: the fields are counted after it.
        fields = (PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:  # it has ended since
        return -1
    return int(fields[3])


def _resident_bytes(pid: int) -> int:
    try:
        return int((PROC / str(pid) / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:  # it has ended since
        return 0


def _proportional_bytes(pid: int) -> int:
    try:
        for line in (PROC / str(pid) / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:  # it has ended since
        pass
    return 0
