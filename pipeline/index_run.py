"""A run on an index: taking hold of it, and making the night part of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipeline.config import Config
from pipeline.errors import InputError
from pipeline.index_catalog import (
    CATALOG,
    SEGMENTS,
    STATISTICS,
    UNTOLD,
    Catalog,
    catalog_for,
    commit,
    require_catalog,
)
from pipeline.index_clusters import Forgets, expired
from pipeline.index_rewrite import without
from pipeline.index_segments import IndexReader, OpenIndex
from pipeline.index_store import Store
from pipeline.index_write import Night, open_index, save_catalog, with_night
from pipeline.lease import LEASES, Lease, hold
from pipeline.tables import Ref


@dataclass(frozen=True)
class IndexRun:
    """An index that a run holds. `before` is what was live when it began."""

    index: OpenIndex
    lease: Lease
    before: Catalog

    @property
    def catalog(self) -> Catalog:
        """The catalog that the stages see."""
        return self.index.live()


def check_index(location: str, config: Config) -> None:
    """Find out whether a run fits the index. Raises ConfigError or OutputError."""
    catalog_for(Store(location), config)


def shown(location: str) -> str:
    """The location without credentials."""
    return Store(location).shown


def upkeep_name(what: str) -> str:
    """What upkeep of an index is called, as a run is by its id: two in one second are two."""
    return f"{what}-{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}"


def require_index(location: str) -> Catalog:
    """What is live in an index. Raises OutputError when there is none."""
    return require_catalog(Store(location))


@contextmanager
def held_catalog(
    location: str, run_id: str, config: Config, tell: Callable[[str], None]
) -> Iterator[tuple[Lease, Catalog]]:
    """Hold the index for the length of the block: the lease, and what is live. A new index is begun.

    What dead runs left is removed. `tell` is told when another run is waited for. Raises OutputError when it
    holds the index for longer, ConfigError when the configuration doesn't fit.
    """
    store = Store(location)
    with hold(store, run_id, config.index, tell) as lease:
        live = catalog_for(store, config)
        if live.generation == 0:
            store.replace(CATALOG, live.to_json())
        sweep(store, live)
        yield lease, live


@contextmanager
def held_index(
    location: str, run_id: str, config: Config, work: Path, tell: Callable[[str], None]
) -> Iterator[IndexRun]:
    """Hold the index as `held_catalog` does, and open it as it is now."""
    with held_catalog(location, run_id, config, tell) as (lease, live):
        yield IndexRun(open_index(location, live, work / "index"), lease, live)


def sweep(store: Store, catalog: Catalog) -> None:
    """Remove what the catalog doesn't name, and files that are half written.

    That is what dead runs left, what was rewritten, and events that have been told.
    """
    named = {f"{SEGMENTS}/{s.segment_id}" for s in catalog.segments}
    named |= {ref.path.rpartition("/")[0] for ref in catalog.files}
    for folder in (SEGMENTS, STATISTICS, UNTOLD):
        for name in store.folders(folder):
            if f"{folder}/{name}" not in named:
                store.delete_folder(f"{folder}/{name}")
    store.remove_left_over(LEASES)
    store.remove_left_over("")


def sweep_all(location: str) -> None:
    """Remove what the live catalog no longer names. Only who holds the index may call it."""
    store = Store(location)
    sweep(store, require_catalog(store))


def prepare(
    index: OpenIndex, night: Night, files: Mapping[str, Ref], run_id: str, config: Config, work: Path
) -> Ref:
    """Stage "index-catalog": the catalog with the night's segment, without what the night has outlived.

    Events that were untold are in the run's own table.
    """
    catalog = replace(with_night(index, night, files, run_id, work), untold=None)
    before = night.named.forgets.cutoff
    if before is not None:
        reader = IndexReader(Store(index.location), catalog)
        gone = expired(reader.published, before)
        if gone.any():
            catalog = without(reader, ~gone, f"{run_id}-kept", config, work)
    return save_catalog(catalog, work)


def make_live(held: IndexRun, prepared: Ref) -> Catalog:
    """Stage "index-commit": the prepared catalog becomes `index.json`, as by `replace_live`."""
    catalog = Catalog.of(Path(prepared.path).read_bytes())
    return replace_live(held.index.location, held.lease, held.before, catalog)


def replace_live(location: str, lease: Lease, before: Catalog, catalog: Catalog) -> Catalog:
    """Make a catalog live in place of `before`, unless it says the same; what is live then.

    Raises RunError when the index is no longer held.
    """
    lease.check()
    return before if catalog == before else commit(Store(location), before, catalog)


def frozen_of(described: Mapping[str, Any] | None, work: Path) -> tuple[Ref, Ref] | None:
    """Furniture and statistics that a run on an index counted with, of what its manifest says of the index.

    None for a run that counted itself: without an index, or the first on one. Raises InputError when the
    index has been rebuilt since.
    """
    if described is None or described["statistics"] is None:
        return None
    catalog = require_index(described["location"])
    found = catalog.statistics.version if catalog.statistics else None
    if found != described["statistics"]:
        raise InputError(
            f"index {described['location']}: must have the statistics {described['statistics']} that the run "
            f"counted with, has {found}"
        )
    index = open_index(described["location"], catalog, work / "index")
    assert index.furniture is not None
    assert index.statistics is not None
    return index.furniture, index.statistics


def described(held: IndexRun, drift: float, forgets: Forgets, config: Config) -> dict[str, Any]:
    """What the manifest says of the index."""
    catalog = held.catalog
    return {
        "location": Store(held.index.location).shown,
        "generation": catalog.generation,
        "n_articles_before": catalog.n_articles,
        "n_forgotten": forgets.n_articles,
        "n_forgotten_new": forgets.n_new,
        "statistics": catalog.statistics.version if catalog.statistics else None,
        "drift": round(drift, 6),
        "is_rebuild_due": drift > config.index.max_drift,
    }
