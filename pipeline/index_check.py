"""Comparing the files of an index with what its catalog says of them: `respun index check`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow.parquet as pq

from pipeline.errors import RunError
from pipeline.index_catalog import Catalog, require_catalog
from pipeline.index_store import Store
from pipeline.tables import Ref


@dataclass(frozen=True)
class Checked:
    """How many files an index names, their bytes by the catalog, and what was found wrong, a line a file."""

    location: str
    n_files: int
    n_bytes: int
    found: tuple[str, ...]


def check(location: str) -> Checked:
    """Read every file that the catalog names, and compare length, digest and rows. Changes nothing.

    The index isn't held, so that a copy that can't be written can be checked. When it changes meanwhile, what
    it names then counts. Raises OutputError when there is no index, or its catalog can't be read.
    """
    store = Store(location)
    whole: set[Ref] = set()  # files that are named never change
    catalog = require_catalog(store)
    while True:
        found = _wrong(store, catalog, whole)
        before, catalog = catalog, require_catalog(store)
        if not found or catalog.generation == before.generation:
            break
    files = tuple(before.files)
    return Checked(store.shown, len(files), sum(ref.bytes for ref in files), tuple(found))


def require_whole(store: Store, refs: Iterable[Ref]) -> None:
    """Compare files before they are written anew, which would make their damage the new state.

    Raises RunError that names the first one that is missing or differs.
    """
    for ref in refs:
        wrong = _difference(store, ref)
        if wrong is not None:
            raise RunError(f"index {store.shown}: {ref.path}: {wrong}; put it back from a copy of the index")


def _wrong(store: Store, catalog: Catalog, whole: set[Ref]) -> list[str]:
    """What is wrong with the files that are not known to be `whole`; adds those that are."""
    found = []
    for ref in catalog.files:
        if ref in whole:
            continue
        wrong = _difference(store, ref)
        if wrong is None:
            whole.add(ref)
        else:
            found.append(f"{ref.path}: {wrong}")
    return found


def _difference(store: Store, ref: Ref) -> str | None:
    try:
        known = store.digest(ref.path)
        if known is None:
            return "is missing"
        if known != (ref.bytes, ref.digest):
            return (
                f"must have {ref.bytes} bytes, XXH3 {ref.digest[:12]}, has {known[0]} bytes, XXH3 "
                f"{known[1][:12]}"
            )
        with store.open_file(ref) as opened:
            n_rows = pq.read_metadata(opened).num_rows
    except (OSError, RunError) as error:
        return f"can't be read: {' '.join(str(error).split())}"
    return None if n_rows == ref.rows else f"must have {ref.rows} rows, has {n_rows}"
