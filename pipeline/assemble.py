"""Stage "tables": from rows and labels to the Parquet tables of the run.

Until here an article is its row number; here it gets its id back. Clusters and their members come by
cluster id, pairs by their two ids, articles and texts in the order of the input.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from pipeline import schema
from pipeline.array_files import ArrayFiles
from pipeline.arrow_columns import hexadecimal, read_column, table_batch
from pipeline.candidates import load_articles
from pipeline.cluster_tables import Clustering, clustering_of, clusters, members
from pipeline.clusters import read_judged
from pipeline.config import Config
from pipeline.confirm import Judge, Measurer
from pipeline.furniture_table import furniture
from pipeline.index_clusters import Named
from pipeline.index_segments import OpenIndex
from pipeline.index_write import earlier
from pipeline.pair_tables import candidate_pairs, confirmed_pairs
from pipeline.shards import Shards
from pipeline.signatures import Signed
from pipeline.tables import Ref, read_batches, read_ipc, write_parquet
from pipeline.templates import templates


@dataclass(frozen=True)
class Past:
    """What a run with an index knows besides: its recalled articles, whose rows come last, and the names.

    `positions` and `versions` as of `index_recall.Plan` and `index_recognise.Recognised`.
    """

    index: OpenIndex
    shards: tuple[Ref, ...]
    positions: Ref
    versions: Ref
    named: Named


@dataclass(frozen=True)
class Found:
    """What the stages before left for the tables; `shards` hold the new articles."""

    shards: tuple[Ref, ...]
    signed: tuple[Signed, ...]
    worded: tuple[ArrayFiles, ...]
    pairs: Ref
    judged: tuple[Ref, ...]
    membership: Ref
    past: Past | None = None

    @property
    def all_shards(self) -> tuple[Ref, ...]:
        """Shards of all rows."""
        return self.shards + (self.past.shards if self.past else ())


def clustered_tables(config: Config, with_index: bool = False) -> tuple[str, ...]:
    """The names of the tables that tell of clusters, whose ids take a SHA-256 each, or of pairs."""
    names: tuple[str, ...] = ("articles", "clusters", "cluster_members", "confirmed_pairs", "templates")
    names += ("cluster_events",) * with_index
    return (*names, "candidate_pairs") if config.keep_rejected_candidates else names


def write_texts(shards: Shards, folder: Path) -> Ref:
    """Writes the table `texts` into `folder`."""
    batches = (
        pa.record_batch([known["article_id"], known["title"], bodies["text"]], schema=schema.TEXTS)
        for pair in zip(shards.articles, shards.texts, strict=True)
        for known, bodies in zip(*(read_batches(ref.path) for ref in pair), strict=True)
    )
    return _write(folder, "texts", batches)


def write_tables(found: Found, names: tuple[str, ...], config: Config, folder: Path) -> dict[str, Ref]:
    """Writes the named tables (`clustered_tables`) into `folder`; their Refs by name."""
    judged = read_judged(found.judged)
    membership = read_ipc(found.membership.path)
    named = read_ipc(found.past.named.clusters.path) if found.past else None
    clustering = clustering_of(read_column(found.all_shards, "article_id"), membership, named)
    tables: dict[str, Callable[[], Iterable[pa.RecordBatch]]] = {
        "articles": lambda: _articles(found, clustering),
        "clusters": lambda: [clusters(clustering, found.all_shards, judged)],
        "cluster_members": lambda: members(
            clustering, judged, Judge(Measurer(found.signed, found.worded, config))
        ),
        "confirmed_pairs": lambda: confirmed_pairs(clustering, judged),
        "candidate_pairs": lambda: candidate_pairs(clustering, judged),
        "cluster_events": lambda: read_batches(found.past.named.events.path) if found.past else (),
        "templates": lambda: templates(clustering, read_ipc(found.pairs.path), judged),
    }
    return {name: _write(folder, name, tables[name]()) for name in names}


def write_section_tables(
    sections: Sequence[Ref], rejected: Ref, signed: Sequence[Signed], chosen: Sequence[Ref], folder: Path
) -> dict[str, Ref]:
    """Writes the tables that need no cluster into `folder`; their Refs by name.

    `sections` IPC in the order of the groups; `chosen`: the texts that were read again (`reread.CHOSEN`).
    """
    return {
        "repeated_sections": _write(
            folder, "repeated_sections", (batch for part in sections for batch in read_batches(part.path))
        ),
        "rejected": _write(folder, "rejected", read_batches(rejected.path)),
        "furniture": _write(folder, "furniture", [furniture(signed, chosen)]),
    }


def _write(folder: Path, name: str, batches: Iterable[pa.RecordBatch]) -> Ref:
    # To be flushed when it is checked: by then most of it has been written.
    return write_parquet(folder / f"{name}.parquet", schema.TABLES[name], batches, durable=False)


def _articles(found: Found, clustering: Clustering) -> Iterator[pa.RecordBatch]:
    text_hash, n_tokens, n_furniture = (
        load_articles(found.signed, column) for column in ("text_hash", "n_tokens", "n_furniture_tokens")
    )
    row = 0
    past = (
        earlier(
            found.past.index, found.past.positions, found.past.versions, sum(s.rows for s in found.shards)
        )
        if found.past
        else None
    )
    for shard in found.all_shards:
        for batch in read_batches(shard.path):
            here = slice(row, row + batch.num_rows)
            read = [batch[column] for column in ("article_id", "source", "url", "title", "published_at")]
            counted = [pa.array(n_tokens[here]), pa.array(n_furniture[here])]
            cluster_id = hexadecimal(clustering.number[here])
            nothing = pa.nulls(batch.num_rows, pa.string())
            known = past.slice(row, batch.num_rows).columns if past else [nothing, nothing]
            rows = table_batch(
                "articles", [*read, hexadecimal(text_hash[here]), *counted, cluster_id, *known]
            )
            yield rows.filter(pa.array(clustering.is_shown[here])) if past else rows
            row += batch.num_rows
