"""Stage "report": texts for the report, each with its tokens, so that the page can align any two of them.

The page must not cut or fold words by itself: it is told where each token of the run stands, which are equal,
which are names or numbers to the collection, and which are furniture.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.aligned import MAX_TOKENS
from pipeline.arrow_columns import Rows, plain
from pipeline.config import Config
from pipeline.furniture import FurnitureMask, source_salts
from pipeline.report_files import write_data
from pipeline.report_pairs import between_pairs
from pipeline.shards import ShardGroup, take_articles
from pipeline.tables import Ref, write_ipc
from pipeline.terms import TermStatistics
from pipeline.text import keep
from pipeline.token_scan import CAPITAL, DIGIT, FURNITURE
from pipeline.tokens import Tokens, buffers, tokenise

# Texts of a file: the page loads two files to compare two articles, and a folder shouldn't hold too many.
TEXTS_A_FILE = 64
_TAKEN = 16 * TEXTS_A_FILE  # articles fetched at a time; bounds the memory
# Bits beside the length of a token.
NAME_BIT, NUMBER_BIT, FURNITURE_BIT, BITS = 1, 2, 4, 3
# Numbers are written as code points from here on, past `"` and `<`; `\` and the surrogates are stepped over.
FIRST_CODE, BACKSLASH, SURROGATES, N_SURROGATES = 61, 92, 0xD800, 0x800
LAST_CODE = 0x10FFFF
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
    ends = pa.chunked_array([*between["article_id_l"].chunks, *between["article_id_r"].chunks], pa.string())
    has_repeats, is_between = (
        pc.is_in(articles["article_id"], value_set=ids).to_numpy() for ids in (repeats, ends)
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
    writer = _Writer(FurnitureMask(furniture, config), TermStatistics.load(statistics))

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

    def encode(self, lot: pa.Table) -> dict[str, Any]:
        """A file's data: titles, texts, tokens of each article, and the distinct terms of the file.

        A token is three code points: from the beginning of the token before to its own, and its length, both
        in UTF-16 units of title, line feed, text, the length with bits; and the number of its term. `terms`
        are uint32, `rarity` uint8 in tenths, both in base64.
        """
        titles, texts = plain(lot["title"]).fill_null(""), plain(lot["text"])
        tokens = tokenise(titles, texts)
        kept = keep(tokens)
        self.mask.apply(kept, source_salts(plain(lot["source"])))
        n_tokens = np.diff(tokens.indptr)
        owner = np.repeat(np.arange(tokens.n_articles, dtype=np.int32), n_tokens)
        begin, end = _units(tokens, owner, titles, texts)
        # Where the first token of an article begins is counted from 0.
        step = np.diff(begin, prepend=np.int32(0))
        first = tokens.indptr[:-1][n_tokens > 0]
        step[first] = begin[first]
        encoded = pa.array(tokens.terms).dictionary_encode()
        number, terms = encoded.indices.to_numpy(), encoded.dictionary.to_numpy()
        counts = self.statistics.counts[self.statistics.buckets(terms)]
        length = (end - begin) << BITS | _bits(number, counts[:, 1], kept.flags, owner)
        values = np.stack((step, length, number), axis=1)
        if n_tokens.max(initial=0) > MAX_TOKENS:
            values = values[np.arange(len(owner)) - tokens.indptr[owner] < MAX_TOKENS]
        ends = np.cumsum(np.minimum(n_tokens, MAX_TOKENS)) * values.shape[1]
        told = _as_text(values.ravel())
        starts = np.concatenate(([0], ends[:-1]))
        rarity = self.statistics.idf(counts[:, 0]) - np.float32(1)
        tenths = np.clip(np.round(rarity * 10), 0, 255).astype(np.uint8)
        return {
            "titles": titles.to_pylist(),
            "texts": texts.to_pylist(),
            "tokens": [told[a:b] for a, b in zip(starts.tolist(), ends.tolist(), strict=True)],
            "n_tokens": n_tokens.tolist(),
            "terms": base64.b64encode(terms.astype("<u4").tobytes()).decode(),
            "rarity": base64.b64encode(tenths.tobytes()).decode(),
        }


def _bits(
    number: npt.NDArray[np.int32], spelling: npt.NDArray[np.int32], flags: npt.NDArray[np.uint8],
    owner: npt.NDArray[np.int32],
) -> npt.NDArray[np.int32]:  # fmt: skip
    """Kind of each token, as by `vectors.weigh`, and whether it is furniture.

    `number` int32 (n_tokens,) of the token's term, `spelling` int32 (n_terms,) as in `TermStatistics`.
    """
    is_number, masked = flags & DIGIT != 0, flags & FURNITURE != 0
    spelt = spelling[number]
    is_name = spelt > 0
    # Where the collection can't tell, the article's own first spelling does.
    open_ = np.flatnonzero((spelt == 0) & ~is_number & ~masked)
    key = owner[open_].astype(np.int64) << 32 | number[open_]
    _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
    is_name[open_] = (flags[open_[first]] & CAPITAL != 0)[inverse]
    parts = ((NUMBER_BIT, is_number), (NAME_BIT, is_name & ~is_number), (FURNITURE_BIT, masked))
    return np.asarray(sum(np.int32(bit) * part for bit, part in parts))


def _units(
    tokens: Tokens, owner: npt.NDArray[np.int32], titles: pa.StringArray, texts: pa.StringArray
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Begin and end of each token in UTF-16 units of its article's title, line feed, text; int32."""
    in_title = np.arange(len(owner)) < tokens.body[owner]
    found = np.empty((2, len(owner)), np.int32)
    shift = np.zeros(tokens.n_articles, np.int32)
    for own, strings in ((in_title, titles), (~in_title, texts)):
        data, offsets = buffers(strings)
        data, start = data[offsets[0] : offsets[-1]], offsets - offsets[0]
        # Bytes that go on with a code point count nothing; those of four bytes are two units.
        units = (data & 0xC0 != 0x80).view(np.int8) + (data >= 0xF0).view(np.int8)
        before = np.zeros(len(data) + 1, np.int32)
        np.cumsum(units, out=before[1:])
        base = start[:-1]
        moved = (shift - before[base])[owner[own]]
        for place, side in zip(found, (tokens.begin, tokens.end), strict=True):
            place[own] = before[base[owner[own]] + side[own]] + moved
        shift = before[start[1:]] - before[base] + np.int32(1)
    return found[0], found[1]


def _as_text(values: npt.NDArray[np.int32]) -> str:
    """A code point for each number; LAST_CODE for those that there is none for."""
    codes = values + np.int32(FIRST_CODE)
    codes += codes >= BACKSLASH
    codes += (codes >= SURROGATES) * np.int32(N_SURROGATES)
    octets: bytes = np.minimum(codes, np.int32(LAST_CODE)).astype("<u4").tobytes()
    return octets.decode("utf-32-le")
