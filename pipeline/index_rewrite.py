"""Segments written anew: several as one, or without the articles that are to be forgotten."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.config import Config
from pipeline.index_catalog import BY_POSITION, TABLES, Catalog, Segment
from pipeline.index_check import require_whole
from pipeline.index_segments import IndexReader
from pipeline.index_write import time_span, write_tables

# Articles of a compacted segment: enough that a night opens few files, few enough to write in one go.
COMPACT_ARTICLES = 1_000_000
# The columns by which rows of other tables than BY_POSITION are told to belong to an article.
_BY_NUMBER = {"pairs": ("left", "right"), "membership": ("number",)}


def without(
    reader: IndexReader, keep: npt.NDArray[np.bool_], name: str, config: Config, work: Path
) -> Catalog:
    """The catalog without the articles that `keep`, bool (n,), leaves out. Only their segments are rewritten.

    Pairs and memberships of forgotten articles go too, where their segment is written anew; what other
    segments still hold of them is passed over by readers.
    """
    segments = []
    for at, segment in enumerate(reader.segments):
        first = int(reader.firsts[at])
        own = keep[first : first + segment.n_articles]
        if own.all():
            segments.append(segment)
        else:
            segments.append(_write(reader, [at], keep, f"{name}-{at}", config, work))
    return replace(reader.catalog, segments=tuple(s for s in segments if s.n_articles or _holds_more(s)))


def _holds_more(segment: Segment) -> bool:
    """Whether a segment without articles says something of those of others: their clusters, say."""
    return any(segment.files[table].rows for table in _BY_NUMBER)


def compacted(reader: IndexReader, name: str, config: Config, work: Path) -> Catalog:
    """The catalog with neighbouring segments put together, up to COMPACT_ARTICLES each."""
    lots: list[list[int]] = []
    n = COMPACT_ARTICLES
    for at, segment in enumerate(reader.segments):
        if n + segment.n_articles > COMPACT_ARTICLES:
            lots.append([])
            n = 0
        lots[-1].append(at)
        n += segment.n_articles
    everything = np.ones(reader.n_articles, np.bool_)
    segments = tuple(
        reader.segments[lot[0]]
        if len(lot) == 1
        else _write(reader, lot, everything, f"{name}-{k}", config, work)
        for k, lot in enumerate(lots)
    )
    return replace(reader.catalog, segments=segments)


def _write(
    reader: IndexReader,
    lot: Sequence[int],
    keep: npt.NDArray[np.bool_],
    name: str,
    config: Config,
    work: Path,
) -> Segment:
    """The articles to keep of some neighbouring segments, as one segment of that name.

    Raises RunError when a file of theirs is not what was written.
    """
    segments = tuple(reader.segments[at] for at in lot)
    require_whole(reader.store, (ref for segment in segments for ref in segment.files.values()))
    part = IndexReader(reader.store, replace(reader.catalog, segments=segments))
    first = int(reader.firsts[lot[0]])
    own = keep[first : first + part.n_articles]
    tables = {table: partial(_rows, part, reader, table, own, keep) for table in TABLES}
    files = write_tables(part.store, name, tables, config, work)
    times = part.published[own]
    run_ids = tuple(run_id for segment in segments for run_id in segment.run_ids)
    return Segment(name, run_ids, int(own.sum()), *time_span(times), files)


def _rows(
    part: IndexReader, whole: IndexReader, table: str, own: npt.NDArray[np.bool_], keep: npt.NDArray[np.bool_]
) -> Iterator[pa.RecordBatch]:
    kept_ids = None
    if table == "sections":
        ids = part.column("articles", "article_id")
        kept_ids = ids.filter(pa.array(own))
    for row, read in part.batches(table):
        if table in BY_POSITION:
            chosen = own[row : row + len(read)]
        elif table in _BY_NUMBER:
            at = [whole.positions(read[c].to_numpy()) for c in _BY_NUMBER[table]]
            chosen = np.logical_and.reduce([(a >= 0) & keep[a] for a in at])
        else:
            chosen = pc.is_in(read["article_id"], value_set=kept_ids).to_numpy()
        yield from (read if chosen.all() else read.filter(pa.array(chosen))).combine_chunks().to_batches()
