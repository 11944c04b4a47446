"""The report's overview and its sources: what is counted over the whole run."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.arrow_columns import Rows
from pipeline.confirm import RELATIONS
from pipeline.manifest import read_manifest
from pipeline.report_first import Standing, by_source, flows
from pipeline.report_pairs import Pairs
from pipeline.report_tables import NEVER, Articles, Members, relation_numbers
from pipeline.report_words import MEASURE_MEANINGS, relations
from pipeline.summary import read_summary

N_REJECTED, N_INPUTS, N_FLOWS, N_LINES = 100, 50, 5_000, 20  # rows of each that the page gets
# Upper ends of the bins of cluster sizes.
SIZES = (2, 3, 4, 5, 7, 10, 20, 50, 100, 1_000)
N_PROBABILITIES = 20  # bins of equal width over 0..1
# The finest unit in which the timeline has at most so many bins.
MAX_BINS, UNITS = 130, ("h", "D", "M", "Y")
_YEAR = 366 * 86_400
# Of the manifest; the rest is not shown, and holds paths.
_TOLD = ("counts", "stages", "started_at", "seconds", "peak_rss_bytes", "threshold", "calibration",
         "config_fingerprint", "versions")  # fmt: skip

# Of the summary, beside its fields.
_ADDED_UP = ("n_pairs", "n_neighbours", "n_rejected")


def overview(
    folder: Path, clusters: pa.Table, members: Members, told: Standing, bits: Rows
) -> dict[str, Any]:
    """The numbers of the summary and the manifest as they are, and the distributions.

    `bits` are the relations inside the clusters (`report_pairs.relation_bits`).
    """
    manifest = read_manifest(folder)
    known = read_summary(folder)
    summary = asdict(known) | {name: getattr(known, name) for name in _ADDED_UP}
    # Where files lie is not the report's to tell: it may be mailed, or moved.
    for place in ("run_dir", "page"):
        del summary[place]
    if summary["index"] is not None:
        del summary["index"]["location"]
    inputs = [{"name": file["name"]} for file in manifest["inputs"]]
    rejected = pq.read_table(folder / "rejected.parquet").slice(0, N_REJECTED)
    return {
        "summary": summary,
        "manifest": {name: manifest[name] for name in _TOLD if name in manifest}
        | {"inputs": inputs[:N_INPUTS], "n_inputs": len(inputs)},
        "rejected": rejected.to_pylist(),
        "sizes": _sizes(clusters["n_articles"].to_numpy()),
        "probabilities": _probabilities(folder),
        "timeline": timeline(members, told),
        "events": _events(folder, manifest["run_id"]),
        "relations": relations(),
        "in_clusters": [name for i, name in enumerate(RELATIONS) if np.any(bits >> i & 1)],
        "measures": MEASURE_MEANINGS,
    }


def _events(folder: Path, run_id: str) -> dict[str, int]:
    """What the run made of the clusters of an index, how often each; empty for a run without one."""
    file = folder / "cluster_events.parquet"
    if not file.is_file():
        return {}
    own = pq.read_table(file, columns=["event"], filters=[("run_id", "=", run_id)])
    return dict(sorted(Counter(own["event"].to_pylist()).items()))


def _sizes(n_articles: npt.NDArray[np.int32]) -> list[dict[str, Any]]:
    edges = (2, *(end + 1 for end in SIZES), np.iinfo(np.int32).max)
    counts, _ = np.histogram(n_articles, edges)
    labels = [str(a) if b == a + 1 else f"{a:,}–{b - 1:,}" for a, b in pairwise(edges[:-1])]
    labels.append(f"over {SIZES[-1]:,}")
    return [{"label": label, "n": n} for label, n in zip(labels, counts.tolist(), strict=True)]


def _probabilities(folder: Path) -> list[list[int]]:
    """Listed pairs in each bin of the probability, for each of RELATIONS."""
    table = pq.read_table(folder / "confirmed_pairs.parquet", columns=["relation", "probability"])
    place = (table["probability"].to_numpy() * N_PROBABILITIES).astype(np.int64)
    bins = np.minimum(place, N_PROBABILITIES - 1)
    relation = relation_numbers(table["relation"])
    counts = np.bincount(relation * N_PROBABILITIES + bins, minlength=len(RELATIONS) * N_PROBABILITIES)
    rows: list[list[int]] = counts.reshape(len(RELATIONS), N_PROBABILITIES).tolist()
    return rows


def timeline(members: Members, told: Standing) -> dict[str, Any] | None:
    """First and later articles of the clusters over time; None when no time is known.

    Bins are hours, days, months or years, in UTC. Times that lie far from all others are left out.
    """
    is_dated = members.at != NEVER
    if not is_dated.any():
        return None
    at = members.at[is_dated]
    low, high = usual_times(at)
    is_usual = (at >= low) & (at <= high)
    shown = at[is_usual].astype("datetime64[s]")
    for unit in UNITS:
        bins = shown.astype(f"datetime64[{unit}]").astype(np.int64)
        first_bin, last_bin = int(bins.min()), int(bins.max())
        if last_bin - first_bin < MAX_BINS:
            break
    first_bin = max(first_bin, last_bin - MAX_BINS + 1)  # of very long times the last
    drawn = bins >= first_bin
    counts = [
        np.bincount(bins[some[is_dated][is_usual] & drawn] - first_bin, minlength=last_bin - first_bin + 1)
        for some in (told.is_first, told.is_after)
    ]
    starts = np.arange(first_bin, last_bin + 1).astype(f"datetime64[{unit}]").astype("datetime64[s]")
    known = (told.is_first | told.is_after)[is_dated]
    return {
        "unit": {"h": "hour", "D": "day", "M": "month", "Y": "year"}[unit],
        "starts": starts.astype(np.int64).tolist(), "first": counts[0].tolist(), "later": counts[1].tolist(),
        "n_left_out": int(np.count_nonzero(known) - sum(map(np.sum, counts))),
        "n_undated": int(np.count_nonzero(~is_dated)), "n_alone": int(np.count_nonzero(~known)),
        "usual": [low, high],
    }  # fmt: skip


def usual_times(at: Rows) -> tuple[int, int]:
    """First and last of the times, seconds, that don't lie far from all others: a date of 1970, say.

    At either end at most a tenth of the times are far, or one, and only behind a gap that is wider than all
    that lies on its other side, and than a year: of what is spread over the years, however thinly, none is.
    """
    ordered = np.sort(at)
    n_outer = min(max(len(at) // 10, 1), max((len(at) - 2) // 2, 0))
    first, last = n_outer, len(at) - 1 - n_outer
    while True:
        low, high = int(ordered[first]), int(ordered[last])
        reach = max(high - low, _YEAR)
        # What is within reach widens the reach; after a few steps nothing more is.
        wider = (
            int(np.searchsorted(ordered, low - reach)),
            int(np.searchsorted(ordered, high + reach, side="right")) - 1,
        )
        if wider == (first, last):
            return low, high
        first, last = wider


def sources(
    folder: Path, articles: Articles, members: Members, pairs: Pairs, told: Standing
) -> dict[str, Any]:
    """Who prints first and who later, whom each takes from, and the furniture of each source."""
    n = len(articles.names)
    table = flows(members, pairs, told)
    furniture = articles.n_furniture_tokens / np.maximum(articles.n_tokens, 1)
    largest = sorted(table.items(), key=lambda item: (-sum(item[1]), item[0]))
    return {
        "names": articles.names,
        "n_articles": articles.n_articles.tolist(),
        "n_dated": articles.n_dated.tolist(),
        "n_clustered": np.bincount(members.source[members.source >= 0], minlength=n).tolist(),
        **by_source(articles, members, told),
        "furniture_share": np.round(furniture, 4).tolist(),
        "flows": [[*ends, *how] for ends, how in largest[:N_FLOWS]],
        "n_flows": len(largest),
        **_furniture(folder, articles.names),
    }


def _furniture(folder: Path, names: list[str]) -> dict[str, Any]:
    """Lines of furniture of each source, those of most articles first; under "" those of the collection.

    Each with the articles that this row of the table masks it in. Those of the collection are of sources
    that don't repeat the line themselves, and have the articles of those that do besides.
    """
    file = folder / "furniture.parquet"
    if not file.is_file():  # a run of before there was that table
        return {"furniture": {}, "n_furniture": {}}
    table = pq.read_table(file).sort_by([("n_articles", "descending")])
    place = {name: str(i) for i, name in enumerate(names)}
    by_sources: Counter[str] = Counter()
    for row in table.filter(pc.is_valid(table["source"])).to_pylist():
        by_sources[row["line"].casefold()] += row["n_articles"]
    lines: dict[str, list[list[Any]]] = {}
    n_lines: dict[str, int] = {}
    for row in table.to_pylist():
        key = "" if row["source"] is None else place.get(row["source"])
        if key is None:
            continue
        n_lines[key] = n_lines.get(key, 0) + 1
        if n_lines[key] <= N_LINES:
            others = [] if key else [by_sources[row["line"].casefold()]]
            lines.setdefault(key, []).append([row["line"], row["n_articles"], *others])
    return {"furniture": lines, "n_furniture": n_lines}
