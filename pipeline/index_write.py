"""Stage "index-segment": from the stages to an index; and from an index to what they use, when it is opened.

A segment is written beside the live ones; `index_catalog.commit` makes it live after the run is published. A
run that dies in between leaves files that nobody names: the next run on the index removes them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.array_files import ArrayFiles, map_npy
from pipeline.arrow_columns import NO_TIME, Rows, fixed_array, plain, times_of
from pipeline.bags import Bags
from pipeline.clusters import read_judged
from pipeline.config import Config
from pipeline.furniture import FOUND
from pipeline.index_catalog import SEGMENTS, STATISTICS, UNTOLD, Catalog, Segment, Statistics
from pipeline.index_clusters import Named
from pipeline.index_segments import (
    ARTICLES,
    JUDGED_PAIRS,
    MEMBERSHIP,
    N_PARTS,
    IndexReader,
    OpenIndex,
    keys_schema,
    layout_of,
    places_schema,
    schema_of,
)
from pipeline.index_store import Store
from pipeline.index_tokens import packed
from pipeline.schema import CLUSTER_EVENTS
from pipeline.signatures import SIGNED_ARTICLES, Signatures, Signed
from pipeline.tables import Ref, atomic_file, read_batches, read_ipc, write_ipc
from pipeline.terms import TermStatistics
from pipeline.vectors import N_TOTALS

TERMS = pa.schema([("df", pa.int32()), ("spelling", pa.int32())])
_FROM_INPUT = ("source", "url", "title", "published_at")
# Rows turned into bytes at a time.
_ROWS = 16_384


@dataclass(frozen=True)
class Night:
    """What a run leaves to the index: rows of the new articles first, then those of the recalled ones."""

    shards: tuple[Ref, ...]
    versions: Ref
    tokens: tuple[Ref, ...]
    signed: tuple[Signatures, ...]
    judged: tuple[Ref, ...]
    positions: Ref
    membership: Ref
    named: Named
    sections: tuple[Ref, ...]
    furniture: Ref
    statistics: Ref

    @property
    def n_new(self) -> int:
        """New articles."""
        return sum(shard.rows for shard in self.shards)

    @property
    def is_known(self) -> bool:
        """Whether all of it came again, and no cluster is another one: nothing is to be recorded."""
        return not self.n_new and not self.named.n_changed


def open_index(location: str, catalog: Catalog, work: Path) -> OpenIndex:
    """Copy the catalog and the frozen statistics to where the stages of a run find them."""
    store = Store(location)
    work.mkdir(parents=True, exist_ok=True)
    known = _write_catalog(work / "index.json", catalog)
    state = store.state(catalog.files)
    frozen = catalog.statistics
    if frozen is None:
        return OpenIndex(location, known, state, None, None)
    with store.open_parquet(frozen.terms) as file:
        table = file.read()
    counts = np.column_stack([table[name].to_numpy() for name in TERMS.names]).astype(np.int32)
    # Whoever asks for a term has it: a term that nobody had when the counts were frozen is one article's.
    np.maximum(counts[:, 0], 1, out=counts[:, 0])
    statistics = TermStatistics(frozen.n_articles, counts).save(work / "terms.npy")
    with store.open_parquet(frozen.furniture) as file:
        lines = file.read().combine_chunks().to_batches()
    furniture = write_ipc(work / "furniture.arrow", FOUND, lines)
    return OpenIndex(location, known, state, furniture, statistics)


def freeze(store: Store, version: str, furniture: Ref, statistics: Ref, work: Path) -> Statistics:
    """Write a version of the statistics, which is live once a catalog names it."""
    counts = TermStatistics.load(statistics)
    folder = f"{STATISTICS}/{version}"
    table = pa.table([np.ascontiguousarray(counts.df), np.ascontiguousarray(counts.spelling)], schema=TERMS)
    return Statistics(
        version,
        counts.n_articles,
        store.write(f"{folder}/terms.parquet", TERMS, table, work),
        store.write(f"{folder}/furniture.parquet", FOUND, read_batches(furniture.path), work),
    )


def leave_untold(store: Store, name: str, events: Sequence[pa.RecordBatch], work: Path) -> Ref | None:
    """Write rows of cluster_events for the next run to tell, once a catalog names them; None without any."""
    if not any(batch.num_rows for batch in events):
        return None
    return store.write(f"{UNTOLD}/{name}/cluster_events.parquet", CLUSTER_EVENTS, events, work)


def drift(index: OpenIndex, bags: Sequence[ArrayFiles]) -> float:
    """Share of the night's terms, each once an article, that nobody had when the statistics were frozen.

    0 for no terms, and without frozen statistics. A new term may fall into a bucket that is not empty: what
    is seen is divided by the share of the empty ones.
    """
    if index.statistics is None:
        return 0.0
    catalog = index.live()
    assert catalog.statistics is not None
    with Store(index.location).open_parquet(catalog.statistics.terms) as file:
        unknown = file.read(columns=["df"])["df"].to_numpy() == 0
    n = n_unknown = 0
    for files in bags:
        keys = Bags.of(files.load()).term_keys
        n += len(keys)
        n_unknown += int(np.count_nonzero(unknown[keys & np.uint32(len(unknown) - 1)]))
    return min(1.0, n_unknown / max(n * float(unknown.mean()), 1.0))


# Tables of a segment that are written at the same time, the longest first.
LOTS = (("tokens",), ("keys", "places"), ("articles", "pairs", "membership", "sections"))


def write_files(
    index: OpenIndex, night: Night, names: tuple[str, ...], run_id: str, config: Config, work: Path
) -> dict[str, Ref]:
    """Write some tables of the night's segment."""
    numbers = _numbers(index.read(), night)
    tables: dict[str, Callable[[], Iterable[pa.RecordBatch]]] = {
        "articles": lambda: _articles(night, numbers, run_id),
        "keys": lambda: keys_rows(night.signed, config),
        "places": lambda: places_rows(night.signed, config),
        "tokens": lambda: tokens_rows(night.tokens, night.signed),
        "pairs": lambda: [pairs_rows(night.judged, numbers, night.n_new)],
        "membership": lambda: [membership_rows(night.named, night.membership, numbers)],
        "sections": lambda: (b for ref in night.sections for b in read_batches(ref.path)),
    }
    return write_tables(Store(index.location), run_id, {name: tables[name] for name in names}, config, work)


def write_tables(
    store: Store, segment_id: str, tables: Mapping[str, Callable[[], Iterable[pa.RecordBatch]]],
    config: Config, work: Path,
) -> dict[str, Ref]:  # fmt: skip
    """Write tables of a segment; their Refs by name, with paths as names in the index."""
    return {
        name: store.write(
            f"{SEGMENTS}/{segment_id}/{name}.parquet",
            schema_of(name, config),
            rows(),
            work,
            layout_of(name),
        )
        for name, rows in tables.items()
    }


def _numbers(reader: IndexReader, night: Night) -> Rows:
    """The number of each row of the night."""
    at = read_ipc(night.positions.path)["position"].to_numpy()
    first = reader.catalog.next_number
    return np.concatenate((np.arange(first, first + night.n_new), reader.numbers[at]))


def with_night(index: OpenIndex, night: Night, files: Mapping[str, Ref], run_id: str, work: Path) -> Catalog:
    """The catalog with the night's segment of those files, without any as it was.

    The first night's statistics are frozen.
    """
    reader = index.read()
    catalog = reader.catalog
    if not files:
        return catalog
    # Without a new article it says which clusters fell apart when what had linked them was forgotten.
    span = time_span(times_of(night.shards)) if night.n_new else (None, None)
    segment = Segment(run_id, (run_id,), night.n_new, *span, dict(files))
    if catalog.statistics is None:
        statistics = freeze(reader.store, run_id, night.furniture, night.statistics, work)
        catalog = replace(catalog, statistics=statistics)
    n = catalog.next_number + night.n_new
    return replace(catalog, segments=(*catalog.segments, segment), next_number=n)


def save_catalog(catalog: Catalog, work: Path) -> Ref:
    """The catalog that is to be live next, in a file under `work`; rows of the Ref: articles."""
    return _write_catalog(work / "next-index.json", catalog)


def _write_catalog(path: Path, catalog: Catalog) -> Ref:
    with atomic_file(path) as file:
        file.write(catalog.to_json())
    return file.ref(catalog.n_articles)


def time_span(times: Rows) -> tuple[int | None, int | None]:
    """The first and the last time, None without any."""
    known = times[times != NO_TIME]
    return (int(known.min()), int(known.max())) if len(known) else (None, None)


def _articles(night: Night, numbers: Rows, run_id: str) -> Iterator[pa.RecordBatch]:
    versions = read_ipc(night.versions.path)
    facts = pa.concat_tables(
        [SIGNED_ARTICLES.empty_table(), *(read_ipc(s.articles.path) for s in night.signed)]
    )
    row = 0
    for shard in night.shards:
        for batch in read_batches(shard.path):
            n = batch.num_rows
            version_of = version_column(versions, row, n)
            mine = facts.slice(row, n)
            yield pa.record_batch([
                pa.array(numbers[row : row + n]), batch["article_id"], version_of,
                pa.array([run_id] * n, pa.string()), *(batch[c] for c in _FROM_INPUT),
                *(plain(mine[c]) for c in ("text_hash", "n_tokens", "n_furniture_tokens", "is_signed")),
            ], schema=ARTICLES)  # fmt: skip
            row += n


def version_column(versions: pa.Table, row: int, n: int) -> pa.Array:
    """`version_of` of the rows [row, row + n): null but for new versions."""
    at = pc.index_in(pa.array(np.arange(row, row + n)), value_set=versions["row"])
    return plain(versions["version_of"]).take(at)


def tokens_rows(tokens: Sequence[Ref], signed: Sequence[Signed]) -> Iterator[pa.RecordBatch]:
    """Kept tokens of groups (text.KEPT), the bags and the totals of the same groups, as TOKENS."""
    for ref, one in zip(tokens, signed, strict=True):
        row = 0
        for batch in read_batches(ref.path):
            # Mapped anew for each batch: what was touched counts as memory for as long as it is mapped.
            end = row + len(batch)
            totals = one.weights.load()["totals"].reshape(-1, N_TOTALS)[row:end]
            yield packed(batch, Bags.of(one.bags.load()).some(row, end), totals)
            row = end


def keys_rows(signed: Sequence[Signatures], config: Config) -> Iterator[pa.RecordBatch]:
    """Band keys of signed groups, as `index_segments.keys_schema` has them."""
    schema = keys_schema(config)
    for one in signed:
        keys = map_npy(one.keys.path)
        for at in range(0, keys.shape[1], _ROWS):
            block = keys[:, at : at + _ROWS]
            columns = [fixed_array(block[part::N_PARTS].T) for part in range(N_PARTS)]
            yield pa.record_batch(columns, schema=schema)


def places_rows(signed: Sequence[Signatures], config: Config) -> Iterator[pa.RecordBatch]:
    """Low bytes of the signatures of signed groups."""
    schema = places_schema(config)
    for one in signed:
        places = map_npy(one.places.path)
        for at in range(0, len(places), _ROWS):
            yield pa.record_batch([fixed_array(places[at : at + _ROWS])], schema=schema)


def pairs_rows(judged: Sequence[Ref], numbers: Rows, n_new: int) -> pa.RecordBatch:
    """Judged pairs with a new article, row below `n_new`, that passed the screen; numbers, left < right."""
    table = read_judged(judged)
    new = pc.and_(pc.greater(table["probability"], 0), pc.less(table["left"], n_new))
    table = table.filter(new)
    left, right = (numbers[table[side].to_numpy()] for side in ("left", "right"))
    turned = left > right
    columns = {name: plain(table[name]) for name in table.schema.names}
    columns["left"], columns["right"] = pa.array(np.minimum(left, right)), pa.array(np.maximum(left, right))
    contained = [columns[f"containment_{side}"] for side in ("l_in_r", "r_in_l")]
    columns["containment_l_in_r"] = pc.if_else(pa.array(turned), contained[1], contained[0])
    columns["containment_r_in_l"] = pc.if_else(pa.array(turned), contained[0], contained[1])
    return pa.record_batch([columns[name] for name in JUDGED_PAIRS.names], schema=JUDGED_PAIRS)


def membership_rows(named: Named, membership: Ref, numbers: Rows, everything: bool = False) -> pa.RecordBatch:
    """The clusters that changed, or all. Their articles are new ones and old ones."""
    table = read_ipc(named.clusters.path)
    representative = read_ipc(membership.path)["representative"].to_numpy()
    changed = np.flatnonzero(table["is_changed"].to_numpy() | everything)
    columns = [numbers[changed], table["cluster"].to_numpy()[changed], numbers[representative[changed]]]
    return pa.record_batch([pa.array(c) for c in columns], schema=MEMBERSHIP)


def earlier(index: OpenIndex, positions: Ref, versions: Ref, n_new: int) -> pa.Table:
    """`version_of` and `earlier_run_id` of all rows: of new articles the latter is null."""
    at = read_ipc(positions.path)["position"].to_numpy()
    old = index.read().take(at, ["version_of", "run_id"])
    new = version_column(read_ipc(versions.path), 0, n_new)
    return pa.table({
        "version_of": pa.concat_arrays([new, plain(old["version_of"])]),
        "earlier_run_id": pa.concat_arrays([pa.nulls(n_new, pa.string()), plain(old["run_id"])]),
    })  # fmt: skip
