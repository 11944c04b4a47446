"""Stage "recognise": articles of the night that the index has, by id and text, and new versions of them.

An article with the id and the body of one that is known is left out of the night: it keeps its old row. With
the id and another body it is a new version: it stays an article of its own, `<id>@2`, `<id>@3` ..., so that
old versions keep their ids.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.arrow_columns import Rows, plain, read_column
from pipeline.articles import ArticlesResult, filtered
from pipeline.index_segments import IndexReader, OpenIndex
from pipeline.schema import ARTICLE_SHARD, TEXT_SHARD
from pipeline.shards import Shards, take_articles
from pipeline.tables import Ref, read_batches, write_ipc
from pipeline.text import hash_terms
from pipeline.tokens import tokenise

# Articles tokenised at a time to compare their bodies; bounds the memory.
_AT_A_TIME = 1_024
_POSITIONS = pa.schema([("position", pa.int64())])
_VERSIONS = pa.schema([("row", pa.int64()), ("version_of", pa.string())])


@dataclass(frozen=True)
class Recognised:
    """The night's own articles in `shards`.

    `known` IPC: positions of the old articles that came again, ascending and distinct. `versions` IPC: rows
    of the new versions, ascending, and the id of which they are.
    """

    shards: Shards
    known: Ref
    versions: Ref
    n_recognised: int
    n_accepted: int

    def of(self, accepted: ArticlesResult) -> ArticlesResult:
        """The collection without what was recognised."""
        return replace(
            accepted, shards=self.shards, n_accepted=self.n_accepted, n_recognised=self.n_recognised,
            n_new_versions=self.versions.rows,
        )  # fmt: skip


def recognise(shards: Shards, index: OpenIndex, work: Path) -> Recognised:
    """Leave out the articles that are known, and give new versions an id of their own."""
    reader = index.read()
    ids = plain(read_column(shards.articles, "article_id"))
    rows, old = _same_id(ids, reader)
    again = _same_text(shards.texts, rows, old, reader)
    # An id may be there in several versions: it is known when one of them has the text.
    is_known = np.zeros(len(ids), np.bool_)
    is_known[rows[again]] = True
    is_version = np.zeros(len(ids), np.bool_)
    is_version[rows] = True
    is_version &= ~is_known
    versions = np.flatnonzero(is_version)
    renamed = _free_ids(ids.take(pa.array(versions)).to_pylist(), ids, reader)
    kept = _rewritten(shards.articles, ~is_known, dict(zip(versions.tolist(), renamed, strict=True)), work)
    new_row = np.cumsum(~is_known) - 1
    positions = np.unique(old[again])
    return Recognised(
        Shards(tuple(kept), filtered(shards.texts, ~is_known, TEXT_SHARD, work / "articles", "new")),
        write_ipc(work / "known.arrow", _POSITIONS, [pa.record_batch([positions], schema=_POSITIONS)]),
        write_ipc(work / "versions.arrow", _VERSIONS, [
            pa.record_batch([pa.array(new_row[versions]), ids.take(pa.array(versions))], schema=_VERSIONS)
        ]),
        int(np.count_nonzero(is_known)),
        int(np.count_nonzero(~is_known)),
    )  # fmt: skip


def _same_id(ids: pa.StringArray, reader: IndexReader) -> tuple[Rows, Rows]:
    """Rows of the night and positions of the index that have the same id, one entry per pair.

    A version has two: the one that it was given, and its own, by which a run's tables name it.
    """
    rows, positions = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for first, table in reader.batches("articles", ["article_id", "version_of"]):
        given = pc.coalesce(table["version_of"], table["article_id"])
        own = pc.if_else(table["version_of"].is_valid(), table["article_id"], None)
        for names in (given, own):
            row = pc.index_in(plain(names), value_set=ids, skip_nulls=True)
            at = np.flatnonzero(row.is_valid().to_numpy(zero_copy_only=False))
            rows.append(row.take(pa.array(at)).to_numpy().astype(np.int64))
            positions.append(at + first)
    return np.concatenate(rows), np.concatenate(positions)


def _same_text(texts: Sequence[Ref], rows: Rows, old: Rows, reader: IndexReader) -> npt.NDArray[np.bool_]:
    """Whether the bodies of each pair are the same after normalising."""
    distinct_rows = np.unique(rows)
    hashes = np.zeros(len(distinct_rows), np.uint64)
    for at in range(0, len(distinct_rows), _AT_A_TIME):
        bodies = take_articles(texts, distinct_rows[at : at + _AT_A_TIME], ("text",))["text"]
        tokens = tokenise(None, plain(bodies))
        hashes[at : at + len(bodies)] = [
            hash_terms(tokens.terms, begin, end) for begin, end in itertools.pairwise(tokens.indptr)
        ]
    positions = np.unique(old)
    known = reader.take(positions, ["text_hash"])["text_hash"].to_numpy()
    mine = hashes[np.searchsorted(distinct_rows, rows)]
    return np.asarray(mine == known[np.searchsorted(positions, old)])


def _free_ids(given: list[str], night: pa.StringArray, reader: IndexReader) -> list[str]:
    """An id for each new version that neither the night nor the index has."""
    if not given:
        return []
    wanted = pa.array(given)
    taken = set(pc.filter(night, pc.match_substring(night, "@")).to_pylist())
    for _, table in reader.batches("articles", ["article_id", "version_of"]):
        own = pc.is_in(table["version_of"], value_set=wanted)
        taken |= set(
            table["article_id"].filter(pc.or_(own, pc.match_substring(table["article_id"], "@"))).to_pylist()
        )
    found = []
    for name in given:
        new = next(f"{name}@{n}" for n in itertools.count(2) if f"{name}@{n}" not in taken)
        taken.add(new)
        found.append(new)
    return found


def _rewritten(
    shards: Sequence[Ref], keep: npt.NDArray[np.bool_], renamed: dict[int, str], work: Path
) -> Iterator[Ref]:
    """The shards with the rows to keep, some under another id; those without any change stay as they are."""
    first = 0
    changed = np.array(sorted(renamed), np.int64)
    for shard in shards:
        own = slice(first, first + shard.rows)
        touched = changed[slice(*np.searchsorted(changed, [own.start, own.stop]))]
        if keep[own].all() and not len(touched):
            yield shard
        elif keep[own].any():
            path = work / "articles" / f"{Path(shard.path).stem}-new.arrow"
            yield write_ipc(path, ARTICLE_SHARD, _changed_batches(shard, first, keep, renamed))
        first += shard.rows


def _changed_batches(
    shard: Ref, first: int, keep: npt.NDArray[np.bool_], renamed: dict[int, str]
) -> Iterator[pa.RecordBatch]:
    row = first
    for batch in read_batches(shard.path):
        ids = batch.column("article_id").to_pylist()
        ids = [renamed.get(row + i, name) for i, name in enumerate(ids)]
        columns = [pa.array(ids, pa.string()), *batch.columns[1:]]
        kept = pa.record_batch(columns, schema=ARTICLE_SHARD).filter(
            pa.array(keep[row : row + batch.num_rows])
        )
        if kept.num_rows:
            yield kept
        row += batch.num_rows
