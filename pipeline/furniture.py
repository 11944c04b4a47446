"""Stage "furniture": the lines that a site repeats on many of its pages ("Leave a Reply").

A line is furniture of its source when at least `furniture.min_articles` of the source's articles carry it
and those articles are otherwise different. Otherwise different: most of them have different longest lines,
the copies of one story have the same. The same is asked over the whole collection, of four times as many
articles. Nothing is deleted: the tokens of furniture are flagged and left out of signatures and vectors.
"""

from collections.abc import Sequence
from pathlib import Path

import numba as nb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.config import Config
from pipeline.shards import ShardGroup, article_batches
from pipeline.tables import Ref, read_ipc, write_ipc
from pipeline.tokens import FURNITURE, Tokens, tokenise
from pipeline.words import run_starts

# Lines repeated over sources must be that much more frequent: sources share common phrases.
COLLECTION_FACTOR = 4
# Share of the articles that must have longest lines of their own.
DISTINCT_SHARE = 0.5

_COUNTS = pa.schema([("key", pa.uint64()), ("anchor", pa.uint64())])
_FOUND = pa.schema([("key", pa.uint64())])
_U32, _U8, _I64, _I32, _U64 = nb.uint32[::1], nb.uint8[::1], nb.int64[::1], nb.int32[::1], nb.uint64[::1]


@nb.njit(nb.int64(_U32, _I32, _I64, _I64, _I64, _I64, _I64, _U64), cache=True, nogil=True)
def _find_lines(terms, line, body, indptr, article, begin, end, keys):  # type: ignore[no-untyped-def]
    """Article, tokens [begin, end) and hash of every line that has tokens; returns how many."""
    n = 0
    for i in range(len(body)):
        j = body[i]
        while j < indptr[i + 1]:
            number = line[j]
            start = j
            state = np.uint64(0x9AE16A3B2F90404F)
            while j < indptr[i + 1] and line[j] == number:
                state = np.uint64((state ^ np.uint64(terms[j])) * np.uint64(0x9E3779B97F4A7C15))
                state ^= state >> np.uint64(32)
                j += 1
            article[n] = i
            begin[n] = start
            end[n] = j
            keys[n] = state
            n += 1
    return n


def _lines(tokens: Tokens) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Article, first token, token after the last, and key of each line of the bodies."""
    room = len(tokens.terms)
    article, begin, end = (np.empty(room, np.int64) for _ in range(3))
    keys = np.empty(room, np.uint64)
    n = _find_lines(tokens.terms, tokens.line, tokens.body, tokens.indptr, article, begin, end, keys)
    return article[:n], begin[:n], end[:n], keys[:n]


def _source_salts(sources: pa.Array) -> np.ndarray:
    """A hash uint64 of each article's source; articles without one share theirs."""
    encoded = pc.dictionary_encode(sources.fill_null(""))
    bodies = tokenise(None, encoded.dictionary)
    salts = np.zeros(len(encoded.dictionary), np.uint64)
    for i in range(len(salts)):
        for term in bodies.terms[bodies.indptr[i] : bodies.indptr[i + 1]]:
            salts[i] = (int(salts[i]) * 0x9E3779B97F4A7C15 + int(term) + 1) & 0xFFFFFFFFFFFFFFFF
    return salts[encoded.indices.to_numpy(zero_copy_only=False)]


def _longest(article: np.ndarray, length: np.ndarray, keys: np.ndarray, n: int) -> np.ndarray:
    """Key of the longest line of each article (the first of equals), uint64 (n,)."""
    order = np.lexsort((-length, article))
    first = np.concatenate(([True], article[order][1:] != article[order][:-1])) if len(order) else order
    anchors = np.zeros(n, np.uint64)
    anchors[article[order][first]] = keys[order][first]
    return anchors


def count(group: ShardGroup, config: Config, work: Path) -> Ref:
    """The short lines of a group of shards: (line, longest line of its article), as they come."""
    found: list[np.ndarray] = []
    for batch in article_batches(group):
        tokens = tokenise(None, batch.column("text"))
        article, begin, end, keys = _lines(tokens)
        anchors = _longest(article, end - begin, keys, tokens.n_articles)[article]
        short = (end - begin <= config.furniture.max_tokens) & (keys != anchors)
        salted = keys[short] ^ _source_salts(batch.column("source"))[article[short]]
        # An odd key counts in its source, an even one over the collection.
        pairs = np.stack((np.concatenate((salted | np.uint64(1), keys[short] & ~np.uint64(1))),
                          np.concatenate((anchors[short], anchors[short]))))  # fmt: skip
        found.append(pairs)
    both = np.concatenate(found, axis=1) if found else np.zeros((2, 0), np.uint64)
    batch = pa.record_batch([pa.array(both[0]), pa.array(both[1])], schema=_COUNTS)
    return write_ipc(work / f"lines-{group.number:03d}.arrow", _COUNTS, [batch])


def merge(parts: Sequence[Ref], config: Config, work: Path) -> Ref:
    """The keys of the lines that are furniture, ascending."""
    columns = [read_ipc(part.path) for part in parts]
    keys = np.concatenate([c["key"].to_numpy() for c in columns])
    anchors = np.concatenate([c["anchor"].to_numpy() for c in columns])
    # Few lines are frequent: the plain sort, which is vectorised, leaves little for the one by two keys.
    ordered = np.sort(keys)
    starts = run_starts(ordered)
    frequent = ordered[starts[np.diff(np.append(starts, len(keys))) >= config.furniture.min_articles]]
    place = np.minimum(np.searchsorted(frequent, keys), max(0, len(frequent) - 1))
    chosen = frequent[place] == keys if len(frequent) else np.zeros(len(keys), bool)
    order = np.lexsort((anchors[chosen], keys[chosen]))
    keys, anchors = keys[chosen][order], anchors[chosen][order]
    fresh = np.ones(len(keys), np.int64)
    fresh[1:] = (keys[1:] != keys[:-1]) | (anchors[1:] != anchors[:-1])
    starts = np.searchsorted(keys, frequent)
    n_lines = np.diff(np.append(starts, len(keys)))
    n_distinct = np.add.reduceat(fresh, starts) if len(starts) else np.zeros(0, np.int64)
    per_source = (frequent & np.uint64(1)) == 1
    least = np.where(per_source, 1, COLLECTION_FACTOR) * config.furniture.min_articles
    kept = (n_distinct >= least) & (n_distinct >= DISTINCT_SHARE * n_lines)
    batch = pa.record_batch([pa.array(frequent[kept])], schema=_FOUND)
    return write_ipc(work / "furniture.arrow", _FOUND, [batch])


class FurnitureMask:
    """Flags the tokens of furniture lines."""

    def __init__(self, found: Ref, config: Config) -> None:
        self._keys = read_ipc(found.path)["key"].to_numpy()
        self._max_tokens = config.furniture.max_tokens

    def apply(self, tokens: Tokens, sources: pa.Array) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Sets FURNITURE in `tokens.flags`. Returns first token, token after the last, and key of each line."""
        none = np.zeros(0, np.int64)
        if not len(self._keys):
            return none, none, none.astype(np.uint64)
        article, begin, end, keys = _lines(tokens)
        short = np.flatnonzero(end - begin <= self._max_tokens)
        salted = (keys[short] ^ _source_salts(sources)[article[short]]) | np.uint64(1)
        plain = keys[short] & ~np.uint64(1)
        in_source = self._known(salted)
        hit = in_source | self._known(plain)
        chosen = short[hit]
        _flag(tokens.flags, begin[chosen], end[chosen])
        return begin[chosen], end[chosen], np.where(in_source, salted, plain)[hit]

    def _known(self, keys: np.ndarray) -> np.ndarray:
        place = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        return np.asarray(self._keys[place] == keys)


@nb.njit(nb.void(_U8, _I64, _I64), cache=True, nogil=True)
def _flag(flags, begin, end):  # type: ignore[no-untyped-def]
    """Sets FURNITURE on the tokens of each [begin, end)."""
    for k in range(len(begin)):
        for j in range(begin[k], end[k]):
            flags[j] |= FURNITURE


def tokenise_masked(batch: pa.RecordBatch | pa.Table, mask: FurnitureMask) -> Tokens:
    """Tokens of the articles (columns title, text, source) with furniture flagged."""
    title, text, source = (_plain(batch.column(name)) for name in ("title", "text", "source"))
    tokens = tokenise(title, text)
    mask.apply(tokens, source)
    return tokens


def _plain(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
