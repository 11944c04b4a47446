"""Where numba keeps the kernels that it has compiled: apart for each state of their sources.

numba knows a compiled kernel by the file that it stands in. What it calls from other files is compiled into
it too, and a kernel whose callee has changed would be taken from the cache as it was.
"""

import contextlib
import hashlib
import shutil
from pathlib import Path

from numba import config


def keep_kernels_apart(package: Path) -> None:
    """Have numba use a folder for the kernels of a package as its files stand now, and remove the one before.

    It lies in NUMBA_CACHE_DIR, or where Python keeps its bytecode. Where that can't be written numba looks
    for another place itself, and keeps kernels there by their own file alone.
    """
    sources = {file: file.read_bytes() for file in sorted(package.rglob("*.py"))}
    # Of the files without kernels those in folders, the Unicode tables, have numbers that kernels hold.
    state = _short(b"\0".join(s for file, s in sources.items() if b"njit" in s or file.parent != package))
    own = package / "__pycache__"
    root = Path(config.CACHE_DIR or own)  # type: ignore[attr-defined]
    prefix = f"respun-{_short(bytes(package))}-"
    folder = root / f"{prefix}{state}"
    if not folder.is_dir():
        # Another place may be shared, by images of two versions at one path, say.
        for old in own.glob(f"{prefix}*") if root == own else ():
            if old != folder:  # which another process may just have made
                shutil.rmtree(old, ignore_errors=True)
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True)
    config.CACHE_DIR = str(folder)  # type: ignore[attr-defined]


def _short(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]
