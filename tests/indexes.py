"""Nights on an index, and what an index holds after them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import made_up_news as news
import pyarrow.parquet as pq

from pipeline.config import Config
from pipeline.executor import Executor, Listener, Silence, ThreadExecutor
from pipeline.index_catalog import require_catalog
from pipeline.index_segments import IndexReader
from pipeline.index_store import Store
from pipeline.job import run_job


@dataclass(frozen=True)
class Night:
    """The tables of a run on an index."""

    folder: Path

    def rows(self, table: str) -> list[dict]:
        return pq.read_table(self.folder / f"{table}.parquet").to_pylist()

    def manifest(self) -> dict:
        return json.loads((self.folder / "manifest.json").read_text())

    def stages(self) -> list[dict]:
        return self.manifest()["stages"]

    def events(self) -> list[tuple]:
        return [
            (e["event"], e["cluster_id"], e["other_id"], e["n_before"], e["n_after"])
            for e in self.rows("cluster_events")
        ]


def dated(rows: Sequence[dict], day: int) -> list[dict]:
    return [r | {"published_at": datetime(2026, 1, day, tzinfo=UTC)} for r in rows]


def files_of(index: Path) -> dict[Path, bytes]:
    return {file: file.read_bytes() for file in index.rglob("*") if file.is_file()}


def run_night(
    rows: Sequence[dict], folder: Path, index: Path | str | None, settings: Config, name: str = "night",
    resume: bool = False, execute: Executor | None = None, listen: Listener | None = None,
) -> Night:  # fmt: skip
    path = news.write(folder / name / "articles.parquet", list(rows))
    outcome = run_job(
        [str(path)],
        folder / "out",
        settings,
        execute or ThreadExecutor(2),
        listen or Silence(),
        index=None if index is None else str(index),
        resume=resume,
    )
    return Night(outcome.run_dir)


def reader(index: Path | str) -> IndexReader:
    store = Store(str(index))
    return IndexReader(store, require_catalog(store))


def clusters(index: Path | str) -> dict[int, frozenset[str]]:
    """The ids of each cluster of an index."""
    known = reader(index)
    numbers, _ = known.membership()
    found: dict[int, set[str]] = {}
    for article_id, number in zip(
        known.column("articles", "article_id").to_pylist(), numbers.tolist(), strict=True
    ):
        found.setdefault(number, set()).add(article_id)
    return {number: frozenset(ids) for number, ids in found.items()}


def pairs(index: Path | str) -> dict[tuple[str, str], dict]:
    """The judged pairs of an index, by ids, the smaller on the left."""
    known = reader(index)
    ids = known.column("articles", "article_id").to_pylist()
    found = {}
    for _, table in known.batches("pairs"):
        for row in table.to_pylist():
            left, right = (known.positions([row.pop(side)])[0] for side in ("left", "right"))
            if left < 0 or right < 0:
                continue
            l_in_r, r_in_l = row.pop("containment_l_in_r"), row.pop("containment_r_in_l")
            swapped = ids[left] > ids[right]
            row["contained"] = (r_in_l, l_in_r) if swapped else (l_in_r, r_in_l)
            found[tuple(sorted((ids[left], ids[right])))] = row
    return found
