"""Stages "recall-plan" and "recall": the few old articles that a night needs, as a group like the new ones.

Needed are old articles in candidate pairs or that came again, whatever confirmed pairs link them with, and
whatever is in one cluster with these, where a link was forgotten: a cluster changes as a whole, so all its
articles have to be there. From here on they are rows behind the new
ones, and the stages that follow don't tell them apart. What was judged of two old articles is not judged
again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline import terms, vectors
from pipeline.array_files import ArrayFiles
from pipeline.arrow_columns import Rows, microseconds, plain
from pipeline.candidates import PAIRS, BandPairs
from pipeline.clusters import components
from pipeline.config import Config
from pipeline.confirm import JUDGED
from pipeline.furniture import source_salts
from pipeline.index_screen import OldPairs
from pipeline.index_segments import (
    ARTICLES,
    JUDGED_PAIRS,
    NEW_AND_OLD,
    IndexReader,
    OpenIndex,
    batch_ends,
    kept_batches,
)
from pipeline.schema import ARTICLE_SHARD
from pipeline.screen import SCREENED
from pipeline.shards import ShardGroup
from pipeline.signatures import SIGNED_ARTICLES, SIGNED_LINES, Signed
from pipeline.tables import Ref, read_ipc, write_ipc
from pipeline.terms import TermStatistics
from pipeline.text import KEPT


@dataclass(frozen=True)
class Plan:
    """Which old articles are needed. `positions` IPC: ascending; article k of them is row n_new + k. `home`
    is one position for all articles of a cluster, where links in clusters may be forgotten.

    `pairs`: new and old articles, by rows (PAIRS), but for `n_dropped` that were screened before. `judged`
    IPC (JUDGED): what is known of two old ones, ascending.
    """

    n_new: int
    positions: Ref
    pairs: BandPairs
    n_dropped: int
    judged: Ref


@dataclass(frozen=True)
class Recalled:
    """A group of old articles, as the stages before "screen" leave new ones. Its texts are not known."""

    group: ShardGroup
    tokens: Ref
    signed: Signed


_POSITIONS = pa.schema([("position", pa.int64())])
_RECALLED = pa.schema([("position", pa.int64()), ("home", pa.int64())])


def plan(
    index: OpenIndex, found: Sequence[BandPairs], left_over: Sequence[OldPairs], known: Ref, n_new: int,
    work: Path,
) -> Plan:  # fmt: skip
    """Find the old articles that candidate pairs and the recognised ones (`known`) ask for.

    `left_over`: what the screen left of the pairs of `found`.
    """
    reader = index.read()
    tables = [read_ipc(part.pairs.path) for part in left_over]
    asked = [read_ipc(known.path)["position"].to_numpy(), *(t["right"].to_numpy() for t in tables)]
    left, right, confirmed = reader.links()
    homes = _homes(reader)
    positions = _with_linked(np.unique(np.concatenate(asked)), left, right, confirmed, homes)
    judged = _judged_among(reader, positions, left, right, n_new)
    pairs = _with_rows(pa.concat_tables([NEW_AND_OLD.empty_table(), *tables]), positions, n_new)
    return Plan(
        n_new,
        write_ipc(
            work / "recalled.arrow",
            _RECALLED,
            [pa.record_batch([positions, homes[positions]], schema=_RECALLED)],
        ),
        BandPairs(
            write_ipc(work / "old-pairs.arrow", PAIRS, [pairs]),
            sum(part.n_collisions for part in found),
            sum(part.n_passed_over for part in found),
            sum(part.n_oversized for part in found),
            max((part.largest_bucket for part in found), default=0),
            (),
        ),
        sum(part.n_dropped for part in left_over),
        write_ipc(work / "judged-old.arrow", JUDGED, judged.to_batches()),
    )


def _homes(reader: IndexReader) -> Rows:
    """The first position of each article's cluster, int64 (n,).

    While nothing was forgotten it is the own one: confirmed pairs link all of a cluster.
    """
    if reader.n_articles == reader.catalog.next_number:
        return np.arange(reader.n_articles)
    _, first, place = np.unique(reader.membership()[0], return_index=True, return_inverse=True)
    return first[place]


def _with_linked(asked: Rows, left: Rows, right: Rows, confirmed: npt.NDArray[np.bool_], homes: Rows) -> Rows:
    """The positions, and all that confirmed pairs and clusters link them with, ascending."""
    links = confirmed & (left >= 0) & (right >= 0)
    labels = _components(left[links], right[links], homes)
    is_asked = np.zeros(len(homes), np.bool_)
    is_asked[labels[asked]] = True
    return np.flatnonzero(is_asked[labels])


def _components(left: Rows, right: Rows, homes: Rows) -> Rows:
    """As `clusters.components` of the articles that have `homes`, each linked with its own too."""
    away = np.flatnonzero(homes != np.arange(len(homes)))
    return components(len(homes), np.concatenate((left, away)), np.concatenate((right, homes[away])))


def _judged_among(reader: IndexReader, positions: Rows, left: Rows, right: Rows, n_new: int) -> pa.Table:
    """The judged pairs of two of the articles at `positions`, by rows, ascending (JUDGED)."""
    inside = np.isin(left, positions) & np.isin(right, positions)
    pieces = [JUDGED_PAIRS.empty_table()]
    for row, table in reader.batches("pairs"):
        own = inside[row : row + len(table)]
        if own.any():
            pieces.append(table.filter(pa.array(own)))
    table = pa.concat_tables(pieces)
    rows = [n_new + np.searchsorted(positions, side[inside]) for side in (left, right)]
    for place, side in enumerate(("left", "right")):
        table = table.set_column(place, JUDGED.field(side), pa.array(rows[place].astype(np.int32)))
    order = np.argsort((rows[0] << 32) | rows[1], kind="stable")
    return table.take(pa.array(order)).combine_chunks()


def _with_rows(table: pa.Table, positions: Rows, n_new: int) -> pa.RecordBatch:
    """The pairs (NEW_AND_OLD) by rows, ascending."""
    table = table.take(pa.array(np.lexsort((table["right"].to_numpy(), table["left"].to_numpy()))))
    right = n_new + np.searchsorted(positions, table["right"].to_numpy())
    columns = [table["left"], pa.chunked_array([right.astype(np.int32)]), *table.columns[2:]]
    return pa.record_batch([c.combine_chunks() for c in columns], schema=PAIRS)


def recall(
    index: OpenIndex, planned: Plan, begin: int, end: int, number: int, furniture: Ref, statistics: Ref,
    config: Config, work: Path,
) -> Recalled:  # fmt: skip
    """Make the planned articles [begin, end) a group of that number. Terms are weighed with `statistics`."""
    reader = index.read()
    positions = read_ipc(planned.positions.path)["position"].to_numpy()[begin:end]
    columns = [*ARTICLE_SHARD.names, *(n for n in SIGNED_ARTICLES.names if n in ARTICLES.names)]
    known = reader.take(positions, columns)
    ends = batch_ends(known["n_tokens"].to_numpy())
    shard = write_ipc(work / f"recalled-{number:03d}.arrow", ARTICLE_SHARD, shard_batches(known, ends))
    group = ShardGroup(number, planned.n_new + begin, (shard,))
    tokens = write_ipc(work / f"tokens-{number:03d}.arrow", KEPT, kept_batches(reader, positions, ends))
    counts = TermStatistics.load(statistics)
    bags = terms.keep_bags(group, tokens, furniture, config, work)
    facts = known.append_column("published", microseconds(known["published_at"]))
    facts = facts.append_column("source_salt", pa.array(source_salts(plain(known["source"]))))
    facts = facts.select(SIGNED_ARTICLES.names).cast(SIGNED_ARTICLES)
    return Recalled(group, tokens, _signed(group, bags, facts, counts, work))


def shard_batches(known: pa.Table, ends: Sequence[int]) -> Iterator[pa.RecordBatch]:
    """Old articles (`index_segments.ARTICLES`) as in a shard, batches with those ends."""
    table = known.select(ARTICLE_SHARD.names).cast(ARTICLE_SHARD).combine_chunks()
    for begin, end in pairwise([0, *ends]):
        yield from table.slice(begin, end - begin).to_batches()


def _signed(
    group: ShardGroup, bags: ArrayFiles, facts: pa.Table, counts: TermStatistics, work: Path
) -> Signed:
    """What stage "signatures" leaves, but for keys and places."""
    name = f"{group.number:03d}"
    return Signed(
        group.first_row,
        bags,
        vectors.write_group(group, bags, counts, work),
        write_ipc(work / f"signed-{name}.arrow", SIGNED_ARTICLES, facts.to_batches()),
        write_ipc(work / f"furniture-{name}.arrow", SIGNED_LINES, []),
    )


def touched_pairs(planned: Plan, known: Ref, screened: Sequence[Ref], work: Path) -> Ref:
    """The judged pairs of old articles whose clusters this night may change: IPC (SCREENED), all passing.

    These are the components that a pair of `screened` or a recognised article (`known`) is in, clusters with
    forgotten links as a whole.
    """
    judged = read_ipc(planned.judged.path)
    recalled = read_ipc(planned.positions.path)
    positions, homes = (recalled[name].to_numpy() for name in _RECALLED.names)
    left, right = (judged[side].to_numpy() - planned.n_new for side in ("left", "right"))
    links = judged["is_confirmed"].to_numpy()
    labels = _components(left[links], right[links], np.searchsorted(positions, homes))
    is_touched = np.zeros(len(positions), np.bool_)
    met = [read_ipc(ref.path)["right"].to_numpy() for ref in screened]
    rows = np.concatenate([np.zeros(0, np.int64), *met]) - planned.n_new
    is_touched[labels[rows[rows >= 0]]] = True
    is_touched[labels[np.searchsorted(positions, read_ipc(known.path)["position"].to_numpy())]] = True
    table = judged.select(PAIRS.names).filter(pa.array(is_touched[labels[left]] | is_touched[labels[right]]))
    passes = pa.array(np.ones(len(table), np.bool_))
    marked = table.append_column(SCREENED.field("passes"), passes)
    return write_ipc(work / "touched.arrow", SCREENED, marked.combine_chunks().to_batches())


def shards_of(recalled: Sequence[Recalled]) -> tuple[Ref, ...]:
    """The shards of all groups, in their order."""
    return tuple(shard for one in recalled for shard in one.group.shards)


def everything(n_articles: int, work: Path) -> Ref:
    """All positions, as `Plan.positions`."""
    batch = pa.record_batch([pa.array(np.arange(n_articles))], schema=_POSITIONS)
    return write_ipc(work / "recalled.arrow", _POSITIONS, [batch])
