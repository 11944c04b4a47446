"""The files of a report: what is inside the page, and scripts beside it that hold nothing but data.

A page opened from disk may load a script, and nothing else, so data beside the page are calls
`respun("name","key",{...});`. Whatever a name or text holds, it stands in a JSON string without `<`:
neither the page's parser nor a script's can take it for anything else.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import xxhash

from pipeline.tables import atomic_file

REPORT, PAGE = "report", "report.html"  # folder of the data beside the page, and the page


def remove_report(folder: Path) -> None:
    """Remove the page and its data, where they are."""
    shutil.rmtree(folder / REPORT, ignore_errors=True)
    (folder / PAGE).unlink(missing_ok=True)


def as_json(data: object) -> bytes:
    """JSON in which no `<` stands; NaN is null."""
    return orjson.dumps(data).replace(b"<", b"\\u003c")


def write_data(folder: Path, name: str, data: Mapping[str, Any]) -> None:
    """Write data as the script `<name>.js` of a folder."""
    write_json(folder, name, as_json(data))


def write_json(folder: Path, name: str, content: bytes) -> str:
    """Write what `as_json` made as the script `<name>.js` of a folder. Returns its key.

    The key is a hash of the content. The page knows the keys of its own data and takes no others.
    """
    key = xxhash.xxh3_64_hexdigest(content)
    with atomic_file(folder / f"{name}.js") as file:
        file.write(_head(name, key))
        file.write(content)
        file.write(_TAIL)
    return key


def read_data(folder: Path, name: str) -> bytes:
    """The JSON of a script."""
    content = (folder / f"{name}.js").read_bytes()
    return content[len(_head(name, _NO_KEY)) : -len(_TAIL)]


def key_of(folder: Path, name: str) -> str:
    """The key of a script."""
    head = _head(name, _NO_KEY)
    with (folder / f"{name}.js").open("rb") as file:
        return file.read(len(head))[-len(_NO_KEY) - 2 : -2].decode()


_NO_KEY, _TAIL = "0" * 16, b");\n"


def _head(name: str, key: str) -> bytes:
    return f'respun("{name}","{key}",'.encode()
