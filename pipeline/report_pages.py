"""The page `report.html` and its data, out of a run's published tables and manifest.

A small run is one file that can be mailed. Of a larger one the page has the overview inside and loads the
rest, lists, details and texts, from scripts in the folder `report/` when it is looked at.
"""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
from collections.abc import Mapping, Sequence
from importlib import resources
from itertools import pairwise
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.report_files import PAGE, REPORT, read_data, write_data
from pipeline.report_overview import overview, sources
from pipeline.report_tables import (
    MAX_PAIRS,
    cluster_columns,
    detail_columns,
    members_of,
    pairs_of,
    read_articles,
    repeats_of,
)
from pipeline.report_texts import TEXTS_A_FILE
from pipeline.tables import Ref, atomic_file, read_ipc

# Data of so many bytes stay inside the page: the browser parses them in a blink, and one file can be mailed.
INLINE_BYTES = 4_000_000
LIST_CLUSTERS, DETAIL_MEMBERS = 10_000, 1_000  # of a file; a cluster's details are never cut
_ASSETS = "report_page"
_SCRIPTS = ("text", "data", "align", "charts", "overview", "clusters", "cluster", "compare", "repeats",
            "sources", "main")  # fmt: skip


def write_pages(folder: Path, placed: Sequence[Ref], data: Path) -> None:
    """Write report.html beside the tables of a run, in `folder`, and its data into `report/`.

    `data` is a folder of the same file system which holds the texts already; it becomes `report/`, in place
    of one that is there, or goes. `placed` are the places of the texts (report_texts.PLACES).
    """
    files, file_of = _text_files(placed)
    names = _write_data(folder, data, files, file_of)
    everything = [*names, *files]
    if sum((data / f"{name}.js").stat().st_size for name in everything) <= INLINE_BYTES:
        inline = everything
    elif "list-1" not in names:  # with the list of clusters the page is whole but for details and texts
        inline = [name for name in ("overview", "sources", "list-0") if name in names]
    else:
        inline = ["overview"]
    pieces = _page({name: read_data(data, name) for name in inline})
    final = folder / REPORT
    if data != final:
        if final.exists():
            shutil.rmtree(final)
        data.rename(final)
    with atomic_file(folder / PAGE) as file:
        file.writelines(pieces)
    # Only now: until the page is there, it can be made again from these files.
    for name in inline:
        (final / f"{name}.js").unlink()
    if len(inline) == len(everything):
        shutil.rmtree(final)


def _write_data(
    folder: Path, data: Path, files: list[str], file_of: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]
) -> list[str]:
    """Write all data but the texts. Returns the names."""
    clusters = pq.read_table(folder / "clusters.parquet")
    articles = read_articles(folder, clusters)
    members = members_of(folder, clusters, articles)
    pairs = pairs_of(folder, members)
    written: list[str] = []

    def write(name: str, content: Mapping[str, Any]) -> None:
        write_data(data, name, content)
        written.append(name)

    n = len(clusters)
    lists = range(0, n, LIST_CLUSTERS)
    for number, begin in enumerate(lists):
        write(f"list-{number}", cluster_columns(clusters, members, begin, min(begin + LIST_CLUSTERS, n)))
    cuts = _detail_cuts(members.ends)
    places = _places(members.row, file_of)
    for number, (begin, end) in enumerate(pairwise(cuts)):
        write(f"clusters-{number}", detail_columns(members, pairs, places, begin, end))
    repeats = list(repeats_of(folder, articles, _places(articles.row, file_of)))
    write("repeats", {"articles": repeats})
    write("sources", sources(folder, articles, members, pairs))
    shape = {
        "n_lists": len(lists), "list_clusters": LIST_CLUSTERS, "cluster_cuts": cuts, "max_pairs": MAX_PAIRS,
        "first_ids": [clusters["cluster_id"][begin].as_py() for begin in lists],
        "text_files": files, "texts_a_file": TEXTS_A_FILE, "n_texts": len(file_of[0]),
        "n_shown": len(articles.row),
        "has_texts": (folder / "texts.parquet").is_file(),
    }  # fmt: skip
    write("overview", overview(folder, clusters, members, pairs) | {"shape": shape})
    return written


def _detail_cuts(ends: npt.NDArray[np.int64]) -> list[int]:
    """First cluster of each file of details, and the number of clusters."""
    cuts, last = [0], 0
    for i, end in enumerate(ends.tolist()):
        if end - last >= DETAIL_MEMBERS:
            cuts.append(i + 1)
            last = end
    return cuts if cuts[-1] == len(ends) and len(cuts) > 1 else [*cuts, len(ends)]


def _text_files(
    placed: Sequence[Ref],
) -> tuple[list[str], tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Names of the files of texts; rows ascending with a text, and place: number of the file, and slot."""
    tables = [read_ipc(ref.path) for ref in placed if ref.rows]
    if not tables:
        return [], (np.zeros(0, np.int64), np.zeros(0, np.int64))
    table = pa.concat_tables(tables)
    encoded = table["file"].combine_chunks().dictionary_encode()
    place = encoded.indices.to_numpy().astype(np.int64) * TEXTS_A_FILE + table["slot"].to_numpy()
    return encoded.dictionary.to_pylist(), (table["row"].to_numpy(), place)


def _places(
    rows: npt.NDArray[np.int64], file_of: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]
) -> npt.NDArray[np.int64]:
    """Place of each article's text, -1 where it is not in the report."""
    known, place = file_of
    if not len(known):
        return np.full(len(rows), -1)
    at = np.minimum(np.searchsorted(known, rows), len(known) - 1)
    return np.where(known[at] == rows, place[at], -1)


def _page(inline: Mapping[str, bytes]) -> list[bytes]:
    """The page in pieces: policy, style, script, and the data inside."""
    assets = resources.files("pipeline") / _ASSETS
    style = (assets / "page.css").read_text(encoding="utf-8")
    parts = [(assets / f"{name}.js").read_text(encoding="utf-8") for name in _SCRIPTS]
    script = "\n".join(['"use strict";', "(() => {", *parts, "})();"])
    # An inline script must hold nothing that ends it.
    if re.search(r"</(script|style)|<!--", script + style, re.IGNORECASE):
        raise ValueError("the page's script and style must not hold an end tag or a comment")
    page = Template((assets / "page.html").read_text(encoding="utf-8"))
    head, tail = page.substitute(
        style=style, style_hash=_hash(style), script=script, script_hash=_hash(script), data="\0"
    ).split("\0")
    blocks = [
        b'<script type="application/json" id="data-%s">%s</script>\n' % (name.encode(), content)
        for name, content in inline.items()
    ]
    return [head.encode(), *blocks, tail.encode()]


def _hash(content: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"
