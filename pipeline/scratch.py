"""The scratch folder of a run, `<output>/.work/<run_id>/`, and what dead runs left behind.

A run holds a lock on its folder for as long as it lives, so the next run can tell a dead one's folder, and
removes its data. Only the log of a failed run stays.
"""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from pipeline.errors import OutputError

WORK = ".work"
LOG = "run.log"
_LOCK = "lock"


def log_path(output: Path, run_id: str) -> Path:
    """Where the log of a run is while it lives, and after it has failed."""
    return output / WORK / run_id / LOG


@contextmanager
def scratch_folder(output: Path, run_id: str) -> Iterator[Path]:
    """A folder for the shards of one run, gone at the end; after a failure its log is kept.

    Raises OutputError when the folder can't be made.
    """
    folder = output / WORK / run_id
    try:
        folder.mkdir(parents=True)
        lock = (folder / _LOCK).open("w")
    except OSError as error:
        reason = error.strerror or error
        raise OutputError(f"output: must be a folder that can be written, {folder}: {reason}") from None
    with lock:
        _hold(lock)
        sweep(output)
        try:
            yield folder
        except BaseException:
            _remove_data(folder)
            raise
        shutil.rmtree(folder)
    _remove_if_empty(output / WORK)


def sweep(output: Path) -> None:
    """Remove the data of runs that ended without cleaning up: killed, or cut off by a power failure."""
    for folder in (entry for entry in (output / WORK).iterdir() if entry.is_dir()):
        with suppress(OSError), (folder / _LOCK).open("r+") as lock:
            if _hold(lock):
                _remove_data(folder)


def _hold(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _remove_data(folder: Path) -> None:
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        elif entry.name != LOG:
            entry.unlink(missing_ok=True)
    _remove_if_empty(folder)


def _remove_if_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()
