"""The first stages run by hand over small collections, without inputs and without the job."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pyarrow as pa
from texts import strings

from pipeline import furniture, signatures, terms, text
from pipeline.config import Config, load_config
from pipeline.schema import ARTICLE_SHARD
from pipeline.shards import ShardGroup, group_shards
from pipeline.tables import Ref, write_ipc
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


def write_shards(
    folder: Path, articles: Sequence[Article], shard_rows: int = 3, batch_rows: int = 2
) -> list[Ref]:
    """Article shards of a few rows each, in batches of fewer; ids are a0, a1, ..."""
    sources, titles, bodies = zip(*articles, strict=True) if articles else ((), (), ())
    n = len(articles)
    columns = {
        "article_id": strings([f"a{i}" for i in range(n)]), "source": strings(list(sources)),
        "url": pa.nulls(n, pa.string()), "title": strings(list(titles)),
        "published_at": pa.nulls(n, ARTICLE_SHARD.field("published_at").type), "text": strings(list(bodies)),
    }  # fmt: skip
    table = pa.table(columns, schema=ARTICLE_SHARD)
    return [
        write_ipc(
            folder / f"shard-{at:05d}.arrow",
            ARTICLE_SHARD,
            table.slice(at, shard_rows).to_batches(batch_rows),
        )
        for at in range(0, n, shard_rows)
    ]


@dataclass(frozen=True)
class Signing:
    """What the stages up to the signatures left."""

    groups: list[ShardGroup]
    tokens: list[Ref]
    furniture: Ref
    statistics: Ref
    signed: list[signatures.Signed]


def sign(
    folder: Path, articles: Sequence[Article], settings: Config, n_groups: int = 2, bits: int = 16
) -> Signing:
    groups = group_shards(write_shards(folder, articles), n_groups)
    tokens = [text.tokenise_group(group, folder) for group in groups]
    both = list(zip(groups, tokens, strict=True))
    lines = [furniture.count(group, ref, settings, folder) for group, ref in both]
    masked = furniture.merge(lines, settings, folder)
    counts = [terms.count(group, ref, masked, bits, settings, folder) for group, ref in both]
    statistics = terms.merge(counts, folder)
    signed = [signatures.sign(group, ref, masked, statistics, settings, folder) for group, ref in both]
    return Signing(groups, tokens, masked, statistics, signed)
