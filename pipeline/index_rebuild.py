"""An index counted anew: furniture and term statistics of all its articles, and all pairs by these."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.arrow_columns import plain
from pipeline.config import Config
from pipeline.index_catalog import Segment
from pipeline.index_clusters import Named
from pipeline.index_recall import shard_batches
from pipeline.index_segments import ARTICLES, IndexReader, OpenIndex, batch_ends, kept_batches
from pipeline.index_write import (
    freeze,
    keys_rows,
    leave_untold,
    membership_rows,
    pairs_rows,
    places_rows,
    save_catalog,
    time_span,
    tokens_rows,
    write_tables,
)
from pipeline.schema import ARTICLE_SHARD
from pipeline.shards import ShardGroup
from pipeline.signatures import SIGNED_ARTICLES, Signatures, Signed
from pipeline.tables import Ref, read_ipc, write_ipc
from pipeline.text import KEPT

# Bytes of text that a token stands for: what the size of the table of counts goes by.
_BYTES_A_TOKEN = 6


@dataclass(frozen=True)
class Unpacked:
    """A group of the index's articles, their kept tokens, and about how many bytes of text they had."""

    group: ShardGroup
    tokens: Ref
    text_bytes: int


@dataclass(frozen=True)
class Rebuilt:
    """A new version of the statistics, over how many articles, and how many clusters changed how."""

    version: str
    n_articles: int
    n_events: dict[str, int]


def unpack(index: OpenIndex, begin: int, end: int, number: int, work: Path) -> Unpacked:
    """The articles at the positions [begin, end) as a group of that number."""
    reader = index.read()
    positions = pa.array(range(begin, end), pa.int64()).to_numpy()
    known = reader.take(positions, [*ARTICLE_SHARD.names, "n_tokens"])
    ends = batch_ends(known["n_tokens"].to_numpy())
    shard = write_ipc(work / f"unpacked-{number:03d}.arrow", ARTICLE_SHARD, shard_batches(known, ends))
    tokens = write_ipc(work / f"tokens-{number:03d}.arrow", KEPT, kept_batches(reader, positions, ends))
    n_bytes = _BYTES_A_TOKEN * int(known["n_tokens"].to_numpy().sum())
    return Unpacked(ShardGroup(number, begin, (shard,)), tokens, n_bytes)


def replace_all(
    index: OpenIndex, tokens: Sequence[Ref], signed: Sequence[Signatures], judged: Sequence[Ref],
    membership: Ref, named: Named, furniture: Ref, statistics: Ref, version: str, config: Config, work: Path,
) -> Ref:  # fmt: skip
    """Write all articles as one segment with new signatures and pairs, and the statistics behind them.

    What became of the clusters is left for the next run to tell.
    """
    reader = index.read()
    tables: dict[str, Callable[[], Iterable[pa.RecordBatch]]] = {
        "articles": lambda: _articles(reader, signed),
        "keys": lambda: keys_rows(signed, config),
        "places": lambda: places_rows(signed, config),
        "tokens": lambda: tokens_rows(tokens, signed),
        "pairs": lambda: [pairs_rows(judged, reader.numbers, reader.n_articles)],
        "membership": lambda: [membership_rows(named, membership, reader.numbers, everything=True)],
        "sections": lambda: (
            batch for _, rows in reader.batches("sections") for batch in rows.combine_chunks().to_batches()
        ),
    }
    files = write_tables(reader.store, version, tables, config, work)
    run_ids = tuple(run_id for segment in reader.segments for run_id in segment.run_ids)
    segment = Segment(version, run_ids, reader.n_articles, *time_span(reader.published), files)
    frozen = freeze(reader.store, version, furniture, statistics, work)
    untold = leave_untold(reader.store, version, read_ipc(named.events.path).to_batches(), work)
    new = replace(reader.catalog, segments=(segment,), statistics=frozen, untold=untold)
    return save_catalog(new, work)


def _articles(reader: IndexReader, signed: Sequence[Signed]) -> Iterator[pa.RecordBatch]:
    """The articles with what the new signatures say of them."""
    facts = pa.concat_tables([read_ipc(one.articles.path) for one in signed])
    for row, table in reader.batches("articles"):
        mine = facts.slice(row, len(table))
        columns = [plain(mine[n] if n in SIGNED_ARTICLES.names else table[n]) for n in ARTICLES.names]
        yield pa.record_batch(columns, schema=ARTICLES)


def rebuilt(version: str, n_articles: int, named: Named) -> Rebuilt:
    """What is told of a rebuild."""
    table = read_ipc(named.events.path)
    events = Counter(table["event"].filter(pc.equal(table["run_id"], version)).to_pylist())
    return Rebuilt(version, n_articles, dict(sorted(events.items())))
