"""File systems of a few kilobytes, which a test can fill."""

from __future__ import annotations

import gc
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """Mount a file system of that size on a new folder; skip the test where that is not permitted."""
    folder.mkdir()
    if shutil.which("mount") is None:
        pytest.skip("there is no mount on PATH")
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)]
    done = subprocess.run(mount, check=False, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"mounting is not permitted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        gc.collect()  # what a traceback held of mapped files
        subprocess.run(["umount", str(folder)], check=True)
