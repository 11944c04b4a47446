"""Stage "report": texts for the report, each with its tokens, so that the page can align any two of them.

The page must not cut or fold words by itself: it is told where each token of the run stands, which are equal,
which are names or numbers to the collection, and which are furniture.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise, starmap
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.aligned import MAX_TOKENS
from pipeline.arrow_columns import Rows, ends_of, plain
from pipeline.config import Config
from pipeline.earlier_texts import Budget, earlier_texts, has_texts
from pipeline.furniture import FurnitureMask, source_salts
from pipeline.report_files import write_data
from pipeline.report_pairs import between_pairs
from pipeline.report_tokens import number_terms, pack
from pipeline.reread import take_chosen
from pipeline.shards import MAX_GROUPS, slices
from pipeline.tables import Ref, read_ipc, regroup, write_ipc
from pipeline.terms import TermStatistics
from pipeline.text import keep
from pipeline.tokens import Tokeniser, buffers

# Texts of a file: the page loads two files to compare two articles, and a folder shouldn't hold too many.
TEXTS_A_FILE = 64
# Tokens of a text, from its beginning: the page aligns the first aligned.MAX_TOKENS, but of a page that
# tells a story twice any two parts, and what the one lacks it looks for in all of the other.
MAX_PACKED = 4 * MAX_TOKENS
_TAKEN = 16 * TEXTS_A_FILE  # articles fetched at a time; bounds the memory
# Texts of earlier nights that a run decodes for its report: three nights of 20,000 articles. What is older
# lies everywhere in a large run's texts, and would cost more than the night.
EARLIER_BYTES = 256 << 20
_FEW_BYTES = 4 << 20  # of texts of earlier nights in a file, which come from many places
# Takes a few tenths of a second; finding out which are shown takes half a second of a million.
TEXTS_A_CALL = 2_500
# The file is null for articles of earlier nights whose text is gone.
PLACES = pa.schema([("row", pa.int64()), ("file", pa.string()), ("slot", pa.int32())])


@dataclass(frozen=True)
class Chosen:
    """Rows of the table of articles, int64 ascending: `rows` whose texts are in the report, and `gone`, which
    would be, but are of earlier nights whose runs have no texts."""  # fmt: skip

    rows: Rows
    gone: Rows


def chosen_rows(tables: Path, runs: Path, max_texts: int | None) -> Chosen:
    """The articles whose texts are in the report; `runs` is the folder of the earlier nights' runs.

    Those with repeats, those of pairs between clusters, those in clusters; where that is more than
    `max_texts`, in this order, and those of the largest clusters first.
    """
    columns = ["article_id", "cluster_id", "earlier_run_id"]
    articles = pq.read_table(tables / "articles.parquet", columns=columns)
    clusters = pq.read_table(tables / "clusters.parquet", columns=["cluster_id", "n_articles"])
    repeats = pq.read_table(tables / "repeated_sections.parquet", columns=["article_id"])["article_id"]
    at = pc.index_in(articles["cluster_id"], value_set=clusters["cluster_id"])
    place = at.fill_null(-1).to_numpy().astype(np.int64)
    between, _ = between_pairs(tables)
    has_repeats, is_between = (
        pc.is_in(articles["article_id"], value_set=ids).to_numpy() for ids in (repeats, ends_of(between))
    )
    is_shown = (place >= 0) | has_repeats | is_between
    earlier = articles["earlier_run_id"]
    without = [run_id for run_id in pc.unique(earlier).drop_null().to_pylist() if not has_texts(runs, run_id)]
    is_gone = pc.is_in(earlier, value_set=pa.array(without, pa.string())).to_numpy()
    rows, gone = np.flatnonzero(is_shown & ~is_gone), np.flatnonzero(is_shown & is_gone)
    if max_texts is None or len(rows) <= max_texts:
        return Chosen(rows, gone)
    n_articles = np.append(clusters["n_articles"].to_numpy(), 1)
    order = np.lexsort((rows, place[rows], -n_articles[place[rows]], ~is_between[rows], ~has_repeats[rows]))
    return Chosen(np.sort(rows[order[:max_texts]]), gone)


Lot = tuple[tuple[int, Ref], ...]  # numbers of groups, and their texts (`reread.CHOSEN`)


def lots(texts: Sequence[Ref], max_texts: int | None) -> list[Lot]:
    """The texts of groups in lots for `write_texts`: each call finds out anew which articles are shown."""
    n_calls = MAX_GROUPS if max_texts is None else min(MAX_GROUPS, -(-max_texts // TEXTS_A_CALL))
    numbered = list(enumerate(texts))
    return [tuple(numbered[begin:end]) for begin, end in slices(len(texts), n_calls)] if n_calls else []


def write_texts(
    lot: Lot, furniture: Ref, statistics: Ref, tables: Path, runs: Path, max_texts: int | None,
    config: Config, folder: Path, work: Path,
) -> Ref:  # fmt: skip
    """Write those texts of a lot that are chosen for the report into `folder`.

    Returns their places (PLACES).
    """
    chosen = chosen_rows(tables, runs, max_texts).rows
    writer = _Writer(FurnitureMask(furniture, config), TermStatistics.load(statistics), Tokeniser())

    def places(number: int, texts: Ref) -> Iterator[pa.RecordBatch]:
        own = np.intersect1d(chosen, read_ipc(texts.path)["row"].to_numpy(), assume_unique=True)
        for at in range(0, len(own), _TAKEN):
            rows = own[at : at + _TAKEN]
            taken = take_chosen([texts], rows, ("source", "title", "text"))
            for first in range(0, len(rows), TEXTS_A_FILE):
                name = f"texts-{number}-{(at + first) // TEXTS_A_FILE}"
                write_data(folder, name, writer.encode(taken.slice(first, TEXTS_A_FILE)))
                yield _placed(rows[first : first + TEXTS_A_FILE], name)

    file = work / f"report-{lot[0][0]:03d}.arrow"
    return write_ipc(file, PLACES, chain.from_iterable(starmap(places, lot)))


def write_earlier_texts(
    number: int, furniture: Ref, statistics: Ref, tables: Path, runs: Path, max_texts: int | None,
    config: Config, folder: Path, work: Path, most_bytes: int | None = None,
) -> Ref:  # fmt: skip
    """Write the chosen texts of articles of earlier nights, as `write_texts` does, as the group `number`.

    Stage "report-earlier". At most `most_bytes` of the earlier runs' texts are decoded, those of the latest
    runs first. The places (PLACES) name the articles too whose text is gone.
    """
    chosen = chosen_rows(tables, runs, max_texts)
    columns = ["article_id", "source", "earlier_run_id"]
    articles = pq.read_table(tables / "articles.parquet", columns=columns).take(pa.array(chosen.rows))
    is_earlier = articles["earlier_run_id"].is_valid().to_numpy()
    articles, rows = articles.filter(pa.array(is_earlier)), chosen.rows[is_earlier]
    writer = _Writer(FurnitureMask(furniture, config), TermStatistics.load(statistics), Tokeniser())

    def places() -> Iterator[pa.RecordBatch]:
        gone = [chosen.gone]
        batches = _earlier(articles, rows, runs, Budget(most_bytes), gone)
        for at, lot in enumerate(regroup(batches, TEXTS_A_FILE, _FEW_BYTES, "text")):
            name = f"texts-{number}-{at}"
            write_data(folder, name, writer.encode(lot.combine_chunks()))
            yield _placed(lot["row"].to_numpy(), name)
        yield _placed(np.sort(np.concatenate(gone)), None)

    return write_ipc(work / f"report-{number:03d}.arrow", PLACES, places())


def _earlier(
    articles: pa.Table, rows: Rows, runs: Path, budget: Budget, gone: list[Rows]
) -> Iterator[pa.RecordBatch]:
    """`row`, `source`, `title` and `text` of the articles that are found, the latest run first.

    `gone` gets the rows of those that their run doesn't have.
    """
    run_ids = articles["earlier_run_id"]
    for run_id in sorted(pc.unique(run_ids).to_pylist(), reverse=True):
        own = np.flatnonzero(pc.equal(run_ids, run_id).to_numpy())
        is_found = np.zeros(len(own), np.bool_)
        for place, texts in earlier_texts(runs, run_id, articles["article_id"].take(pa.array(own)), budget):
            is_found[place] = True
            at = own[place]
            sources = articles["source"].take(pa.array(at))
            columns = [pa.array(rows[at]), *map(plain, (sources, texts["title"], texts["text"]))]
            yield pa.record_batch(columns, names=["row", "source", "title", "text"])
        if budget.is_spent:
            return
        gone.append(rows[own[~is_found]])


def _placed(rows: Rows, name: str | None) -> pa.RecordBatch:
    """The places of the articles of a file (PLACES), in their order in it."""
    names = pa.repeat(pa.scalar(name, pa.string()), len(rows))
    return pa.record_batch([pa.array(rows), names, pa.array(np.arange(len(rows), dtype=np.int32))], PLACES)


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
