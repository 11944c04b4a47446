"""The files of a report: what is inside the page, and scripts beside it that hold nothing but data.

A page opened from disk may load a script, and nothing else, so data beside the page are calls
`respun("name", {...});`. Whatever a name or text holds, it stands in a JSON string without `<`: neither the
page's parser nor a script's can take it for anything else.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.tables import atomic_file

REPORT, PAGE = "report", "report.html"  # folder of the data beside the page, and the page


def as_json(data: object) -> str:
    """JSON in which no `<` stands; NaN is an error."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def write_data(folder: Path, name: str, data: Mapping[str, Any]) -> int:
    """Write data as the script `<name>.js` of a folder. Returns its bytes."""
    content = f'respun("{name}",{as_json(data)});\n'.encode()
    with atomic_file(folder / f"{name}.js") as file:
        file.write(content)
    return len(content)


def read_data(folder: Path, name: str) -> str:
    """The JSON that `write_data` wrote."""
    content = (folder / f"{name}.js").read_text(encoding="utf-8")
    return content[len(f'respun("{name}",') : -len(");\n")]
