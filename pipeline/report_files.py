"""The files of a report: what is inside the page, and scripts beside it that hold nothing but data.

A page opened from disk may load a script, and nothing else, so data beside the page are calls
`respun("name", {...});`. Whatever a name or text holds, it stands in a JSON string without `<`: neither the
page's parser nor a script's can take it for anything else.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

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
    with atomic_file(folder / f"{name}.js") as file:
        file.write(b'respun("%s",' % name.encode())
        file.write(as_json(data))
        file.write(b");\n")


def read_data(folder: Path, name: str) -> bytes:
    """The JSON that `write_data` wrote."""
    content = (folder / f"{name}.js").read_bytes()
    return content[len(b'respun("%s",' % name.encode()) : -len(b");\n")]
