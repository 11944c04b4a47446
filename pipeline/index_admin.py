"""Looking after an index: what is in it, putting segments together, forgetting, counting anew.

Each of these holds the index as a run does, and makes its result live in one step.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from pipeline.config import Config
from pipeline.index_catalog import Catalog, Statistics, require_catalog
from pipeline.index_clusters import events_batch, expired, expired_clusters
from pipeline.index_rewrite import compacted, without
from pipeline.index_run import held_catalog, replace_live, require_index, sweep_all, upkeep_name
from pipeline.index_segments import IndexReader
from pipeline.index_store import Store
from pipeline.index_write import leave_untold
from pipeline.lease import Lease


@dataclass(frozen=True)
class IndexInfo:
    """What an index holds. Times are None when no article has one.

    `n_bytes`: of all its files. `segments`: id, articles and bytes of each. `n_untold`: events of
    clusters that the next run tells.
    """

    location: str
    generation: int
    n_articles: int
    n_clusters: int
    n_pairs: int
    n_bytes: int
    segments: tuple[tuple[str, int, int], ...]
    first_published: datetime | None
    last_published: datetime | None
    statistics: Statistics | None
    run_ids: tuple[str, ...]
    n_untold: int

    @property
    def bytes_per_article(self) -> float:
        """Bytes of all segments for each article; 0 without any."""
        return sum(n for _, _, n in self.segments) / self.n_articles if self.n_articles else 0.0


def info(location: str) -> IndexInfo:
    """What an index holds. Raises OutputError when there is none."""
    store = Store(location)
    catalog = require_catalog(store)
    reader = IndexReader(store, catalog)
    cluster, _ = reader.membership()
    _, size = np.unique(cluster, return_counts=True)
    first = [s.first_published for s in catalog.segments if s.first_published is not None]
    last = [s.last_published for s in catalog.segments if s.last_published is not None]
    return IndexInfo(
        store.shown,
        catalog.generation,
        catalog.n_articles,
        int(np.count_nonzero(size > 1)),
        sum(s.files["pairs"].rows for s in catalog.segments),
        sum(ref.bytes for ref in catalog.files),
        tuple((s.segment_id, s.n_articles, s.n_bytes) for s in catalog.segments),
        _time(min(first)) if first else None,
        _time(max(last)) if last else None,
        catalog.statistics,
        tuple(run_id for s in catalog.segments for run_id in s.run_ids),
        catalog.untold.rows if catalog.untold else 0,
    )


def compact(location: str, config: Config, tell: Callable[[str], None]) -> IndexInfo:
    """Put neighbouring segments together. Changes nothing of what an index holds.

    `tell` is told when a run is waited for.
    """
    with _held(location, config, "compact", tell) as held:
        held.make_live(compacted(held.reader, held.name, config, held.work))
    return info(location)


@dataclass(frozen=True)
class Forgotten:
    """How many articles were left out, and how many clusters expired with them.

    `n_single` of the clusters were a single article by then.
    """

    n_articles: int
    n_clusters: int
    n_single: int


def forget(location: str, before: datetime, config: Config, tell: Callable[[str], None]) -> Forgotten:
    """Leave out the articles published before a time. Articles without a time stay.

    Clusters keep their ids for as long as they have an article. The next run tells which expired. `tell` is
    told when a run is waited for.
    """
    with _held(location, config, "forget", tell) as held:
        reader = held.reader
        gone = expired(reader.published, int(before.timestamp() * 1_000_000))
        if not gone.any():
            return Forgotten(0, 0, 0)
        events = expired_clusters(reader.membership()[0], gone)
        told = [*reader.untold(), events_batch(held.name, events)]
        left = leave_untold(reader.store, held.name, told, held.work)
        held.make_live(replace(without(reader, ~gone, held.name, config, held.work), untold=left))
        n_single = sum(event.n_before == 1 for event in events)
        return Forgotten(int(np.count_nonzero(gone)), len(events), n_single)


@dataclass(frozen=True)
class _Held:
    """An index that is held: a reader of it, a name for new segments, and a work folder."""

    location: str
    lease: Lease
    reader: IndexReader
    name: str
    work: Path

    def make_live(self, catalog: Catalog) -> None:
        replace_live(self.location, self.lease, self.reader.catalog, catalog)


@contextmanager
def _held(location: str, config: Config, what: str, tell: Callable[[str], None]) -> Iterator[_Held]:
    """Hold the index, and clear it up afterwards. Raises OutputError when there is none."""
    require_index(location)
    name = upkeep_name(what)
    with (
        held_catalog(location, name, config, tell) as (lease, catalog),
        tempfile.TemporaryDirectory(prefix="respun-") as folder,
    ):
        yield _Held(location, lease, IndexReader(Store(location), catalog), name, Path(folder))
        sweep_all(location)


def _time(microseconds: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
