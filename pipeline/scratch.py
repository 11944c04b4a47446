"""The scratch folder of a run, `<output>/.work/<run_id>/`, and what dead runs left behind.

A run holds a lock on its folder for as long as it lives, so another run can tell a dead one's folder. A run
that succeeds removes its folder. What another left stays for a while, so that the same run can go on from it,
and is then removed by any run with the same output folder, but for the log.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from pipeline.errors import OutputError, RespunError, RunError
from pipeline.tables import atomic_file, remove_left_over

WORK = ".work"
LOG = "run.log"
_LOCK, _JOB = "lock", "job.json"
_DAY_SECONDS = 86_400
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT}


@dataclass(frozen=True)
class JobKey:
    """What a run is to do: digests of its input, and of all that it is to find and to keep."""

    inputs: str
    settings: str


@dataclass(frozen=True)
class Keeping:
    """Whether a run goes on from what another left, whether it leaves its own files, and for how long."""

    resume: bool = False
    keep: bool = False
    days: int = 0


@contextmanager
def scratch_folder(output: Path, run_id: str, job: JobKey, keeping: Keeping) -> Iterator[Path]:
    """The folder for the files of one run, named after it.

    With `keeping.resume` it is the folder that the same job left, under its old name; or one of another job
    over the same input, which is renamed. Raises OutputError when the folder can't be made.
    """
    folder = output / WORK / run_id
    try:
        (output / WORK).mkdir(parents=True, exist_ok=True)
        taken = _take_over(output, folder, job) if keeping.resume else None
        folder, lock = taken or _new_folder(folder)
        with atomic_file(folder / _JOB) as file:  # what is left is known by it: never half a file
            file.write(json.dumps(asdict(job)).encode())
        _remove_partial(folder)
        sweep(output, keeping.days, None if keeping.resume else job.inputs)
    except OSError as error:
        reason = error.strerror or error
        raise OutputError(f"output: must be a folder that can be written, {folder}: {reason}") from None
    with lock:
        try:
            yield folder
        except BaseException as error:
            if not keeping.days or not _worth_keeping(error, taken is not None):
                _remove_data(folder)
            raise
        if not keeping.keep:
            (folder / _JOB).unlink()  # from here on the run is finished, however much is left of the folder
            shutil.rmtree(folder)
    _remove_if_empty(output / WORK)


def is_unfinished(output: Path, run_id: str) -> bool:
    """Whether a run left its scratch folder, so that it can go on, if only from its very last step."""
    return _job_of(output / WORK / run_id) is not None


def sweep(output: Path, days: int, inputs: str | None) -> None:
    """Remove the data that dead runs left `days` ago or earlier, or that were of the given input."""
    remove_left_over(output)
    for folder in (entry for entry in (output / WORK).iterdir() if entry.is_dir()):
        with suppress(OSError), (folder / _LOCK).open("r+") as lock:
            began = os.stat(lock.fileno()).st_mtime
            if _hold(lock):
                old = time.time() - began >= days * _DAY_SECONDS
                left = _job_of(folder)
                if old or left is None or left.inputs == inputs:
                    _remove_data(folder)


def _new_folder(folder: Path) -> tuple[Path, IO[str]]:
    folder.mkdir()
    lock = (folder / _LOCK).open("w")
    _hold(lock)
    return folder, lock


def _take_over(output: Path, new: Path, job: JobKey) -> tuple[Path, IO[str]] | None:
    """The folder to go on from, locked: the same job's before another's, the newest first."""
    left = {entry: _job_of(entry) for entry in (output / WORK).iterdir()}
    fitting = [entry for entry, of in left.items() if of is not None and of.inputs == job.inputs]
    for folder in sorted(fitting, key=lambda entry: (left[entry] == job, entry.name), reverse=True):
        with suppress(OSError):
            lock = (folder / _LOCK).open("r+")
            # Whoever held the lock before may have moved or removed the folder meanwhile.
            if _hold(lock) and os.path.samestat(os.stat(folder / _LOCK), os.fstat(lock.fileno())):
                os.utime(folder / _LOCK)
                return (folder if left[folder] == job else folder.rename(new)), lock
            lock.close()
    return None


def _job_of(folder: Path) -> JobKey | None:
    try:
        return JobKey(**json.loads((folder / _JOB).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _hold(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _worth_keeping(error: BaseException, goes_on: bool) -> bool:
    """Whether the run may go on later. On a full disk others need the space more.

    A run that couldn't begin has nothing to go on from, but for what one that `goes_on` had before.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in _NO_SPACE:
            return False
        cause = cause.__cause__
    return goes_on or not isinstance(error, RespunError) or error.exit_code == RunError.exit_code


def _remove_partial(folder: Path) -> None:
    """Remove files that were being written when the run was killed; they have temporary names."""
    for path in folder.rglob(".*.tmp"):
        path.unlink(missing_ok=True)


def _remove_data(folder: Path) -> None:
    (folder / _JOB).unlink(missing_ok=True)
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        elif entry.name != LOG:
            entry.unlink(missing_ok=True)
    _remove_if_empty(folder)


def _remove_if_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()
