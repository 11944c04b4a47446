"""The first stages run by hand over small collections, without inputs and without the job."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from texts import strings

from pipeline import furniture, signatures, terms, text, wording
from pipeline.array_files import ArrayFiles
from pipeline.bags import bag
from pipeline.candidates import PAIRS
from pipeline.config import Config, load_config
from pipeline.executor import ThreadExecutor
from pipeline.schema import ACCEPTED, ARTICLE_SHARD, TEXT_SHARD
from pipeline.screen import SCREENED
from pipeline.shards import ShardGroup, Shards, group_shards, texts_of
from pipeline.tables import Ref, write_ipc
from pipeline.terms import TermCounter, TermStatistics
from pipeline.text import KeptTokens, keep
from pipeline.tokens import tokenise

# (source, title, body)
Article = tuple[str | None, str | None, str]


@cache
def config(*overrides: str) -> Config:
    return load_config(None, list(overrides))


def kept(articles: Sequence[tuple[str | None, str]]) -> KeptTokens:
    """The kept tokens of (title, body)."""
    return keep(tokenise(strings([title for title, _ in articles]), strings([body for _, body in articles])))


def rows_in(values: np.ndarray, ends: np.ndarray) -> list[list]:
    """The rows of an array by their ends."""
    return [part.tolist() for part in np.split(values, ends[:-1])] if len(ends) else []


def counted(bits: int, *batches: KeptTokens) -> TermStatistics:
    """The statistics of some batches alone, without the prior."""
    counter = TermCounter(bits)
    for batch in batches:
        counter.add(*bag(batch))
    return counter.result()


def write_shards(
    folder: Path, articles: Sequence[Article], shard_rows: int = 3, batch_rows: int = 2,
    dates: Sequence[datetime | None] | None = None,
) -> Shards:  # fmt: skip
    """Shards of a few articles each, in batches of fewer; ids are a0, a1, ..."""
    sources, titles, bodies = zip(*articles, strict=True) if articles else ((), (), ())
    n = len(articles)
    columns = {
        "article_id": strings([f"a{i}" for i in range(n)]), "source": strings(list(sources)),
        "url": pa.nulls(n, pa.string()), "title": strings(list(titles)),
        "published_at": pa.array(dates or [None] * n, ARTICLE_SHARD.field("published_at").type),
        "text": strings(list(bodies)),
    }  # fmt: skip
    table = pa.table(columns, schema=ACCEPTED)
    written = [
        tuple(
            write_ipc(
                folder / f"{name}-{at:05d}.arrow",
                schema,
                table.select(schema.names).slice(at, shard_rows).to_batches(batch_rows),
            )
            for at in range(0, n, shard_rows)
        )
        for name, schema in (("shard", ARTICLE_SHARD), ("texts", TEXT_SHARD))
    ]
    return Shards(*written)


def tokenised(
    folder: Path, articles: Sequence[Article], n_groups: int = 2, **cut: Any
) -> tuple[list[ShardGroup], list[Ref]]:
    """Groups of shards of the articles (`write_shards`), and their kept tokens."""
    shards = write_shards(folder, articles, **cut)
    groups = group_shards(shards.articles, n_groups)
    texts = texts_of(groups, shards.texts)
    return groups, [text.tokenise_group(g, own, folder) for g, own in zip(groups, texts, strict=True)]


@dataclass(frozen=True)
class Signing:
    """What the stages up to the signatures left."""

    groups: list[ShardGroup]
    tokens: list[Ref]
    counted: list[terms.Counted]
    furniture: Ref
    statistics: Ref
    signed: list[signatures.Signatures]


def sign(
    folder: Path, articles: Sequence[Article], settings: Config, n_groups: int = 2, bits: int = 16,
    dates: Sequence[datetime | None] | None = None,
) -> Signing:  # fmt: skip
    groups, tokens = tokenised(folder, articles, n_groups, dates=dates)
    both = list(zip(groups, tokens, strict=True))
    lines = [furniture.count(group, ref, settings, folder) for group, ref in both]
    masked = furniture.merge(lines, settings, folder)
    counts = [terms.count(group, ref, masked, bits, settings, folder) for group, ref in both]
    statistics = terms.merge(counts, bits, folder)
    signed = [
        signatures.sign(group, ref, own.bags, masked, statistics, settings, folder)
        for (group, ref), own in zip(both, counts, strict=True)
    ]
    return Signing(groups, tokens, counts, masked, statistics, signed)


def pair_table(pairs: Sequence[tuple[int, int]]) -> pa.Table:
    """Candidate pairs (PAIRS) of rows."""
    rows = [
        {"left": i, "right": j, "found_by": 1, "estimate_reprint": 0.5, "estimate_respun": 0.1}
        for i, j in pairs
    ]
    return pa.Table.from_pylist(rows, schema=PAIRS)


def word(
    folder: Path, signing: Signing, settings: Config, passing: Sequence[tuple[int, int]]
) -> list[ArrayFiles]:
    """The wording of the articles of these pairs, as if they were all that passed the screen."""
    pairs = pair_table(passing)
    table = pairs.append_column(SCREENED.field("passes"), pa.array([True] * len(pairs), pa.bool_()))
    screened = write_ipc(folder / "screened-all.arrow", SCREENED, table.to_batches())
    return [
        wording.write_group(
            group, tokens, signing.furniture, signing.statistics, [screened], settings, folder
        )
        for group, tokens in zip(signing.groups, signing.tokens, strict=True)
    ]


class Dying:
    """Executes calls until the n-th, and dies there."""

    def __init__(self, n_calls: int, error: BaseException) -> None:
        self._threads = ThreadExecutor(1)
        self._left = n_calls
        self._error = error

    def submit(self, jobs, *, later=False):
        def one(function, *call):
            self._left -= 1
            if self._left < 0:
                raise self._error
            return function(*call)

        own = [replace(job, function=one, call=(job.function, *job.call)) for job in jobs]
        self._threads.submit(own, later=later)

    def next_done(self):
        return self._threads.next_done()

    def cancel(self):
        self._threads.cancel()
