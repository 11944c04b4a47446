"""Shards of a collection, groups of them, the unit of work of a stage, and walking through their articles."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.schema import ACCEPTED
from pipeline.tables import Ref, read_batches

# Groups of shards at most, so that a run has about a hundred calls.
MAX_GROUPS = 8


@dataclass(frozen=True)
class Shards:
    """Files of articles (ARTICLE_SHARD), and of their texts (TEXT_SHARD): the same rows in the same batches.

    Apart, because texts are what takes room, and hardly a stage needs them.
    """

    articles: tuple[Ref, ...]
    texts: tuple[Ref, ...]


@dataclass(frozen=True)
class ShardGroup:
    """Neighbouring shards that one call works on; `first_row` is the global row of the first article."""

    number: int
    first_row: int
    shards: tuple[Ref, ...]

    @property
    def n_articles(self) -> int:
        """Articles in all shards of the group."""
        return sum(shard.rows for shard in self.shards)

    def among(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Which articles of the group have one of the global rows, in any order; bool (n_articles,)."""
        found = np.zeros(self.n_articles, np.bool_)
        own = rows - self.first_row
        found[own[(own >= 0) & (own < len(found))]] = True
        return found


def group_shards(shards: Sequence[Ref], n_groups: int) -> list[ShardGroup]:
    """Cut the shards into at most `n_groups` groups of neighbours of about the same number of articles.

    The cuts depend on the shards alone, not on the number of workers.
    """
    total = sum(shard.rows for shard in shards)
    members: dict[int, list[Ref]] = {}
    first_row: dict[int, int] = {}
    row = 0
    for shard in shards:
        part = min(n_groups - 1, (row + shard.rows // 2) * n_groups // max(total, 1))
        members.setdefault(part, []).append(shard)
        first_row.setdefault(part, row)
        row += shard.rows
    return [
        ShardGroup(number, first_row[part], tuple(members[part]))
        for number, part in enumerate(sorted(members))
    ]


def texts_of(groups: Sequence[ShardGroup], texts: Sequence[Ref]) -> list[tuple[Ref, ...]]:
    """The texts of each group, whose shards are those of the texts."""
    left = iter(texts)
    return [tuple(itertools.islice(left, len(group.shards))) for group in groups]


def article_batches(group: ShardGroup) -> Iterator[pa.RecordBatch]:
    """The group's articles in order, memory-mapped, a few thousand at a time."""
    for shard in group.shards:
        yield from read_batches(shard.path)


def take_articles(shards: Sequence[Ref], rows: npt.NDArray[np.int64], columns: Sequence[str]) -> pa.Table:
    """Columns of the articles of the given global rows, int64 ascending and within range, in that order.

    `shards` are files of articles or of texts, as the columns are.
    """
    pieces: list[pa.RecordBatch] = []
    first = 0
    at = 0
    for shard in shards:
        if at < len(rows) and rows[at] < first + shard.rows:
            for batch in read_batches(shard.path):
                stop = int(np.searchsorted(rows, first + batch.num_rows))
                if stop > at:
                    wanted = pa.array(rows[at:stop] - first)
                    pieces.append(batch.select(list(columns)).take(wanted))
                    at = stop
                first += batch.num_rows
        else:
            first += shard.rows
    wanted_columns = pa.schema([ACCEPTED.field(name) for name in columns])
    return pa.Table.from_batches(pieces, schema=wanted_columns).combine_chunks()


def slices(n_rows: int, n_slices: int = MAX_GROUPS) -> list[tuple[int, int]]:
    """Cut [0, n_rows) into at most `n_slices` half-open ranges of about the same length, none empty."""
    edges = [n_rows * i // n_slices for i in range(n_slices + 1)]
    return [(begin, end) for begin, end in itertools.pairwise(edges) if begin < end]
