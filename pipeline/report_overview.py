"""The report's overview and its sources: what is counted over the whole run."""

from __future__ import annotations

import json
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.confirm import RELATIONS, RESPUN
from pipeline.manifest import MANIFEST
from pipeline.report_tables import NEVER, Articles, Members, Pairs, relation_numbers
from pipeline.summary import read_summary

N_REJECTED, N_INPUTS, N_FLOWS, N_LINES = 100, 50, 5_000, 20  # rows of each that the page gets
# Upper ends of the bins of cluster sizes.
SIZES = (2, 3, 4, 5, 7, 10, 20, 50, 100, 1_000)
N_PROBABILITIES = 20  # bins of equal width over 0..1
# The finest unit in which the timeline has at most so many bins.
MAX_BINS, UNITS = 130, ("h", "D", "M", "Y")


def overview(folder: Path, clusters: pa.Table, members: Members, pairs: Pairs) -> dict[str, Any]:
    """The numbers of the summary and the manifest as they are, and the distributions."""
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    # Where files lie is not the report's to tell: it may be mailed, or moved.
    inputs = [{"name": file["name"]} for file in manifest["inputs"]]
    summary = {k: v for k, v in asdict(read_summary(folder)).items() if k not in ("run_dir", "page")}
    rejected = pq.read_table(folder / "rejected.parquet").slice(0, N_REJECTED)
    return {
        "summary": summary,
        "manifest": manifest | {"inputs": inputs[:N_INPUTS], "n_inputs": len(inputs)},
        "rejected": rejected.to_pylist(),
        "sizes": _sizes(clusters["n_articles"].to_numpy()),
        "probabilities": _probabilities(folder),
        "timeline": timeline(members),
        "n_between": pairs.n_between,
        "between": pairs.between.to_pylist(),
    }


def _sizes(n_articles: npt.NDArray[np.int32]) -> list[dict[str, Any]]:
    edges = (2, *(end + 1 for end in SIZES), np.iinfo(np.int32).max)
    counts, _ = np.histogram(n_articles, edges)
    labels = [str(a) if b == a + 1 else f"{a:,}–{b - 1:,}" for a, b in pairwise(edges[:-1])]
    labels.append(f"over {SIZES[-1]:,}")
    return [{"label": label, "n": n} for label, n in zip(labels, counts.tolist(), strict=True)]


def _probabilities(folder: Path) -> list[list[int]]:
    """Confirmed pairs in each bin of the probability, for each of RELATIONS."""
    table = pq.read_table(folder / "confirmed_pairs.parquet", columns=["relation", "probability"])
    place = (table["probability"].to_numpy() * N_PROBABILITIES).astype(np.int64)
    bins = np.minimum(place, N_PROBABILITIES - 1)
    relation = np.array(relation_numbers(table["relation"]), np.int64)
    counts = np.bincount(relation * N_PROBABILITIES + bins, minlength=len(RELATIONS) * N_PROBABILITIES)
    rows: list[list[int]] = counts.reshape(len(RELATIONS), N_PROBABILITIES).tolist()
    return rows


def timeline(members: Members) -> dict[str, Any] | None:
    """First and later articles of the clusters over time; None when no time is known.

    Bins are hours, days, months or years. The first is the earliest of its cluster.
    """
    is_dated = members.at != NEVER
    if not is_dated.any():
        return None
    at = members.at.astype("datetime64[s]")[is_dated]
    for unit in UNITS:
        bins = at.astype(f"datetime64[{unit}]").astype(np.int64)
        low, high = int(bins.min()), int(bins.max())
        if high - low < MAX_BINS:
            break
    low = max(low, high - MAX_BINS + 1)  # of very long times the last
    first = is_first(members)[is_dated]
    shown = bins >= low
    counts = [np.bincount(bins[some & shown] - low, minlength=high - low + 1) for some in (first, ~first)]
    starts = np.arange(low, high + 1).astype(f"datetime64[{unit}]").astype("datetime64[s]").astype(np.int64)
    return {
        "unit": {"h": "hour", "D": "day", "M": "month", "Y": "year"}[unit],
        "starts": starts.tolist(), "first": counts[0].tolist(), "later": counts[1].tolist(),
        "n_earlier": int(np.count_nonzero(bins < low)), "n_undated": int(np.count_nonzero(~is_dated)),
    }  # fmt: skip


def is_first(members: Members) -> npt.NDArray[np.bool_]:
    """Whether each member is the first of its cluster to be published, by a known time."""
    found = np.zeros(len(members.at), np.bool_)
    starts = np.concatenate((np.zeros(1, np.int64), members.ends))[:-1]
    found[starts] = members.at[starts] != NEVER
    return found


def sources(folder: Path, articles: Articles, members: Members, pairs: Pairs) -> dict[str, Any]:
    """Who prints first and who later, whom each takes from, and the furniture of each source.

    A later copy is an article published after the first of its cluster, by another source. It is reprinted or
    re-spun by the confirmed pair of the two; with none, it is linked through others.
    """
    n = len(articles.names)
    first = np.flatnonzero(is_first(members))
    leader = np.full(len(members.ends), -1)
    leader[members.cluster[first]] = first
    origin = leader[members.cluster]
    others = np.flatnonzero(
        (origin >= 0) & (members.at > members.at[origin]) & (members.source != members.source[origin])
        & (members.source >= 0) & (members.source[origin] >= 0)
    )  # fmt: skip
    kind = _kinds(pairs, origin[others], others)
    flows, counts = np.unique(
        np.stack((members.source[origin[others]], members.source[others], kind)), axis=1, return_counts=True
    )
    table: dict[tuple[int, int], list[int]] = {}
    for from_, to, how, count in zip(*flows.tolist(), counts.tolist(), strict=True):
        table.setdefault((from_, to), [0, 0, 0])[how] = count
    furniture = articles.n_furniture_tokens / np.maximum(articles.n_tokens, 1)
    largest = sorted(table.items(), key=lambda item: (-sum(item[1]), item[0]))
    return {
        "names": articles.names,
        "n_articles": articles.n_articles.tolist(),
        "n_clustered": _count(members.source, n),
        "n_first": _count(members.source[first], n),
        "n_later": _count(members.source[others], n),
        "furniture_share": np.round(furniture, 4).tolist(),
        "flows": [[*ends, *how] for ends, how in largest[:N_FLOWS]],
        "n_flows": len(largest),
        **_furniture(folder, articles.names),
    }


def _kinds(
    pairs: Pairs, origin: npt.NDArray[np.int64], later: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """0 reprinted, 1 re-spun, 2 no confirmed pair of the two; int64 (n,)."""
    relation = np.array(relation_numbers(pairs.table["relation"]), np.int64)
    known = np.minimum(pairs.left, pairs.right) << 32 | np.maximum(pairs.left, pairs.right)
    order = np.argsort(known)
    wanted = np.minimum(origin, later) << 32 | np.maximum(origin, later)
    at = np.minimum(np.searchsorted(known[order], wanted), max(len(known) - 1, 0))
    if not len(known):
        return np.full(len(wanted), 2)
    found = order[at]
    return np.where(known[found] == wanted, (relation[found] == RESPUN).astype(np.int64), 2)


def _furniture(folder: Path, names: list[str]) -> dict[str, Any]:
    """Lines of furniture of each source, those of most articles first; under "" those of the collection."""
    file = folder / "furniture.parquet"
    if not file.is_file():  # a run of before there was that table
        return {"furniture": {}, "n_furniture": {}}
    table = pq.read_table(file).sort_by([("n_articles", "descending")])
    place = {name: str(i) for i, name in enumerate(names)}
    lines: dict[str, list[list[Any]]] = {}
    n_lines: dict[str, int] = {}
    for row in table.to_pylist():
        key = "" if row["source"] is None else place.get(row["source"])
        if key is None:
            continue
        n_lines[key] = n_lines.get(key, 0) + 1
        if n_lines[key] <= N_LINES:
            lines.setdefault(key, []).append([row["line"], row["n_articles"]])
    return {"furniture": lines, "n_furniture": n_lines}


def _count(places: npt.NDArray[np.int64], n: int) -> list[int]:
    counts: list[int] = np.bincount(places[places >= 0], minlength=n).tolist()
    return counts
