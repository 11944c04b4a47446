"""The page `report.html` and its data, out of a run's published tables and manifest.

A small run is one file that can be mailed. Of a larger one the page has the overview inside and loads the
rest, lists, details and texts, from scripts in the folder `report/` when it is looked at.
"""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from itertools import pairwise
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.earlier_texts import why_none
from pipeline.report_columns import between_rows, cluster_columns, detail_columns, repeats_of
from pipeline.report_files import PAGE, REPORT, as_json, key_of, read_data, write_json
from pipeline.report_first import standing
from pipeline.report_overview import overview, sources
from pipeline.report_pairs import between_pairs, pairs_of, relation_bits
from pipeline.report_tables import members_of, read_articles
from pipeline.report_texts import TEXTS_A_FILE
from pipeline.tables import Ref, atomic_file, read_ipc

# Data of so many bytes stay inside the page: the browser parses them in a blink, and one file can be mailed.
INLINE_BYTES = 4_000_000
LIST_CLUSTERS, DETAIL_MEMBERS = 10_000, 1_000  # of a file; a cluster's details are never cut
GONE = -2  # place of a text of an earlier night's article that is not there any more, as in compare.js
MAX_GONE_RUNS = 10  # earlier runs without texts that are named
_ASSETS = "report_page"
_SCRIPTS = ("text", "data", "align", "charts", "overview", "stages", "clusters", "cluster", "compare",
            "pair", "repeats", "sources", "main")  # fmt: skip


def write_pages(folder: Path, placed: Sequence[Ref], data: Path, runs: Path) -> None:
    """Write report.html beside the tables of a run, in `folder`, and its data into `report/`.

    `data` is a folder of the same file system which holds the texts already; it becomes `report/`, in place
    of one that is there, or goes. `placed` are the places of the texts (report_texts.PLACES), `runs` is the
    folder of the runs of earlier nights.
    """
    files, file_of = _text_files(placed)
    out = _Data(data, sum((data / f"{name}.js").stat().st_size for name in files))
    shape = _add_data(folder, out, file_of) | _gone(folder, runs, file_of)
    keys = {name: key_of(data, name) for name in files} if out.is_beside else {}
    shape |= {"text_files": files, "keys": keys | out.keys}
    overview_ = as_json(out.overview | {"shape": shape})
    texts = {} if out.is_beside else {name: read_data(data, name) for name in files}
    pieces = _page({"overview": overview_, **out.inside, **texts})
    final = folder / REPORT
    if data != final and data.exists():
        if final.exists():
            shutil.rmtree(final)
        data.rename(final)
    with atomic_file(folder / PAGE) as file:
        file.writelines(pieces)
    # Only now: until the page is there, it can be made again from the texts.
    if not out.is_beside and final.exists():
        shutil.rmtree(final)


@dataclass
class _Data:
    """Data of the report but the texts: inside the page where all of it fits there, else beside it.

    `n_bytes`: what there is by now, the texts included. `first` data are inside in any case.
    """

    folder: Path
    n_bytes: int
    inside: dict[str, bytes] = field(default_factory=dict)
    first: set[str] = field(default_factory=set)
    keys: dict[str, str] = field(default_factory=dict)
    overview: dict[str, Any] = field(default_factory=dict)

    @property
    def is_beside(self) -> bool:
        """Whether there is more than fits inside."""
        return self.n_bytes > INLINE_BYTES

    def add(self, name: str, content: Mapping[str, Any], *, is_first: bool = False) -> None:
        """Add data of a name."""
        self.inside[name] = as_json(content)
        self.n_bytes += len(self.inside[name])
        if is_first:
            self.first.add(name)
        if self.is_beside:
            for other in self.inside.keys() - self.first:
                self.keys[other] = write_json(self.folder, other, self.inside.pop(other))


def _add_data(
    folder: Path, out: _Data, file_of: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]
) -> dict[str, Any]:
    """Add all data but the texts. Returns how they are cut into files."""
    clusters = pq.read_table(folder / "clusters.parquet")
    between, n_between = between_pairs(folder)
    articles = read_articles(folder, clusters, between)
    members = members_of(folder, clusters, articles)
    pairs, told = pairs_of(folder, members), standing(members)
    relations = relation_bits(members, pairs)
    out.overview = overview(folder, clusters, members, told, relations) | {"n_between": n_between}
    n = len(clusters)
    lists = range(0, n, LIST_CLUSTERS)
    # With the list of clusters the page is whole but for details and texts.
    is_first = len(lists) < 2
    for number, begin in enumerate(lists):
        end = min(begin + LIST_CLUSTERS, n)
        out.add(
            f"list-{number}", cluster_columns(clusters, members, relations, begin, end), is_first=is_first
        )
    out.add("sources", sources(folder, articles, members, pairs, told), is_first=is_first)
    places = _places(articles.row, file_of)
    out.add("between", between_rows(articles, places, between), is_first=is_first)
    out.add("repeats", {"articles": list(repeats_of(folder, articles, places))})
    cuts = _detail_cuts(members.ends)
    places = _places(members.row, file_of)
    for number, (begin, end) in enumerate(pairwise(cuts)):
        out.add(f"clusters-{number}", detail_columns(members, pairs, places, begin, end))
    return {
        "n_lists": len(lists), "list_clusters": LIST_CLUSTERS, "cluster_cuts": cuts,
        "first_ids": [clusters["cluster_id"][begin].as_py() for begin in lists],
        "texts_a_file": TEXTS_A_FILE, "n_texts": int(np.count_nonzero(file_of[1] >= 0)),
        "n_shown": len(articles.row),
        "has_texts": (folder / "texts.parquet").is_file(),
    }  # fmt: skip


def _gone(
    folder: Path, runs: Path, file_of: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]
) -> dict[str, Any]:
    """Shown articles of earlier nights whose text is gone: how many, and of which runs, the latest first."""
    rows = file_of[0][file_of[1] == GONE]
    if not len(rows):
        return {"n_gone": 0, "gone": [], "n_gone_runs": 0}
    earlier = pq.read_table(folder / "articles.parquet", columns=["earlier_run_id"])["earlier_run_id"]
    counted = Counter(earlier.take(pa.array(rows)).to_pylist())
    told = sorted(counted, reverse=True)[:MAX_GONE_RUNS]
    return {
        "n_gone": len(rows), "n_gone_runs": len(counted),
        "gone": [{"run_id": name, "n": counted[name], "why": why_none(runs, name)} for name in told],
    }  # fmt: skip


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
    """Names of the files of texts; rows ascending, and place of their texts: number of the file, and slot.

    GONE for those whose text is gone.
    """
    tables = [read_ipc(ref.path) for ref in placed if ref.rows]
    if not tables:
        return [], (np.zeros(0, np.int64), np.zeros(0, np.int64))
    table = pa.concat_tables(tables)
    encoded = table["file"].combine_chunks().dictionary_encode()
    number = encoded.indices.fill_null(-1).to_numpy().astype(np.int64)
    place = np.where(number < 0, GONE, number * TEXTS_A_FILE + table["slot"].to_numpy())
    order = np.argsort(table["row"].to_numpy())
    return encoded.dictionary.to_pylist(), (table["row"].to_numpy()[order], place[order])


def _places(
    rows: npt.NDArray[np.int64], file_of: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]
) -> npt.NDArray[np.int64]:
    """Place of each article's text, -1 where it is not in the report, GONE where it can't be."""
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
