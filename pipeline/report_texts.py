"""Stage "report": texts for the report, each with its tokens, so that the page can align any two of them.

The page must not cut or fold words by itself: it is told where each token of the run stands, which are equal,
which are names or numbers to the collection, and which are furniture.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.aligned import MAX_TOKENS
from pipeline.arrow_columns import Rows, plain
from pipeline.config import Config
from pipeline.furniture import FurnitureMask, source_salts
from pipeline.report_files import write_data
from pipeline.report_pairs import between_pairs
from pipeline.report_tables import ends_of
from pipeline.report_tokens import number_terms, pack
from pipeline.shards import ShardGroup, take_articles
from pipeline.tables import Ref, write_ipc
from pipeline.terms import TermStatistics
from pipeline.text import keep
from pipeline.tokens import Tokeniser, buffers

# Texts of a file: the page loads two files to compare two articles, and a folder shouldn't hold too many.
TEXTS_A_FILE = 64
# Tokens of a text, from its beginning: the page aligns the first aligned.MAX_TOKENS, but of a page that
# tells a story twice any two parts, and what the one lacks it looks for in all of the other.
MAX_PACKED = 4 * MAX_TOKENS
_TAKEN = 16 * TEXTS_A_FILE  # articles fetched at a time; bounds the memory
PLACES = pa.schema([("row", pa.int64()), ("file", pa.string()), ("slot", pa.int32())])


def chosen_rows(tables: Path, max_texts: int | None) -> Rows:
    """The articles whose texts are in the report, rows ascending.

    Those with repeats, those of pairs between clusters, those in clusters; where that is more than
    `max_texts`, in this order, and those of the largest clusters first.
    """
    articles = pq.read_table(tables / "articles.parquet", columns=["article_id", "cluster_id"])
    clusters = pq.read_table(tables / "clusters.parquet", columns=["cluster_id", "n_articles"])
    repeats = pq.read_table(tables / "repeated_sections.parquet", columns=["article_id"])["article_id"]
    at = pc.index_in(articles["cluster_id"], value_set=clusters["cluster_id"])
    place = at.fill_null(-1).to_numpy().astype(np.int64)
    between, _ = between_pairs(tables)
    has_repeats, is_between = (
        pc.is_in(articles["article_id"], value_set=ids).to_numpy() for ids in (repeats, ends_of(between))
    )
    rows = np.flatnonzero((place >= 0) | has_repeats | is_between)
    if max_texts is None or len(rows) <= max_texts:
        return rows
    n_articles = np.append(clusters["n_articles"].to_numpy(), 1)
    order = np.lexsort((rows, place[rows], -n_articles[place[rows]], ~is_between[rows], ~has_repeats[rows]))
    return np.sort(rows[order[:max_texts]])


def write_texts(
    group: ShardGroup, furniture: Ref, statistics: Ref, tables: Path, max_texts: int | None, config: Config,
    folder: Path, work: Path,
) -> Ref:  # fmt: skip
    """Write the chosen texts of a group of shards into `folder`. Returns their places (PLACES)."""
    chosen = chosen_rows(tables, max_texts)
    end = group.first_row + group.n_articles
    chosen = chosen[(chosen >= group.first_row) & (chosen < end)]
    writer = _Writer(FurnitureMask(furniture, config), TermStatistics.load(statistics), Tokeniser())

    def places() -> Iterator[pa.RecordBatch]:
        for at in range(0, len(chosen), _TAKEN):
            rows = chosen[at : at + _TAKEN]
            taken = take_articles(group.shards, rows - group.first_row, ("source", "title", "text"))
            for begin in range(0, len(rows), TEXTS_A_FILE):
                name = f"texts-{group.number}-{(at + begin) // TEXTS_A_FILE}"
                lot = taken.slice(begin, TEXTS_A_FILE)
                write_data(folder, name, writer.encode(lot))
                own = pa.array(rows[begin : begin + TEXTS_A_FILE])
                slots = pa.array(np.arange(len(own), dtype=np.int32))
                yield pa.record_batch([own, pa.repeat(pa.scalar(name), len(own)), slots], schema=PLACES)

    return write_ipc(work / f"report-{group.number:03d}.arrow", PLACES, places())


@dataclass(frozen=True)
class _Writer:
    mask: FurnitureMask
    statistics: TermStatistics
    tokeniser: Tokeniser

    def encode(self, lot: pa.Table) -> dict[str, Any]:
        """A file's data: titles, texts, tokens of each article, and the distinct terms of the file.

        Tokens are as by `pack`; `terms` are uint32, `rarity` uint8 in tenths, both in base64.
        """
        titles, texts = plain(lot["title"]).fill_null(""), plain(lot["text"])
        tokens = self.tokeniser.tokenise(titles, texts)
        kept = keep(tokens)
        self.mask.apply(kept, source_salts(plain(lot["source"])))
        number, terms = number_terms(tokens.terms)
        # `take` goes through places of memory far apart six times as fast as an index does.
        counts = self.statistics.counts.take(self.statistics.buckets(terms), axis=0)
        packed, ends = pack(
            tokens, buffers(titles), buffers(texts), number, kept.flags,
            np.ascontiguousarray(counts[:, 1]), MAX_PACKED,
        )  # fmt: skip
        rarity = self.statistics.idf(counts[:, 0]) - np.float32(1)
        tenths = np.clip(np.round(rarity * 10), 0, 255).astype(np.uint8)
        return {
            "titles": titles.to_pylist(),
            "texts": texts.to_pylist(),
            # No letter of it has to be escaped.
            "tokens": [orjson.Fragment(b'"%s"' % packed[a:b]) for a, b in pairwise([0, *ends])],
            "n_tokens": np.diff(tokens.indptr).tolist(),
            "terms": base64.b64encode(terms.astype("<u4").tobytes()).decode(),
            "rarity": base64.b64encode(tenths.tobytes()).decode(),
        }
