"""Stage "furniture": the lines that a site repeats on many of its pages ("Leave a Reply").

A line is furniture of its source when at least `furniture.min_articles` of the source's articles carry it,
and `furniture.min_share` of all that it has, and those articles are otherwise different. Otherwise different:
most of them have different longest lines, the copies of one story have the same. The same is asked over the
whole collection, of four times as many articles. Nothing is deleted: the tokens of furniture are flagged and
left out of signatures and vectors.
"""

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import numba as nb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.arrays import I64, U8
from pipeline.config import Config
from pipeline.shards import ShardGroup, article_batches
from pipeline.tables import Ref, read_ipc, write_ipc
from pipeline.text import KeptTokens, hash_terms, read_kept
from pipeline.token_scan import FURNITURE
from pipeline.tokens import tokenise
from pipeline.words import run_starts

# Lines repeated over sources must be that much more frequent: sources share common phrases.
COLLECTION_FACTOR = 4
# Share of the articles that must have longest lines of their own.
DISTINCT_SHARE = 0.5

_LINES = pa.schema([("key", pa.uint64()), ("longest", pa.uint64()), ("source", pa.uint64())])
_FOUND = pa.schema([("key", pa.uint64())])


def line_keys(
    kept: KeptTokens, salts: npt.NDArray[np.uint64]
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    """Two keys uint64 (n_lines,): odd ones count within the source, even ones over the collection.

    `salts` uint64 (n_articles,) as `source_salts` gives them.
    """
    salted = kept.line_keys ^ np.repeat(salts, np.diff(kept.line_indptr))
    return salted | np.uint64(1), kept.line_keys & ~np.uint64(1)


def source_salts(sources: pa.Array) -> npt.NDArray[np.uint64]:
    """A hash uint64 (n_articles,) of each article's source; articles without one share theirs."""
    encoded = pc.dictionary_encode(sources.fill_null(""))
    names = tokenise(None, encoded.dictionary)
    salts = [hash_terms(names.terms, begin, end) for begin, end in itertools.pairwise(names.indptr)]
    place: npt.NDArray[np.int32] = encoded.indices.to_numpy(zero_copy_only=False)
    return np.array(salts, np.uint64)[place]


def count(group: ShardGroup, tokens: Ref, config: Config, work: Path) -> Ref:
    """The short lines of a group of shards, as they come: key, longest line of the article, and source.

    `source` is 0 for the keys that count over the collection. Every article has a row more, of key 0.
    """
    batches = (_short_lines(kept, salts, config) for kept, salts in kept_with_salts(group, tokens))
    return write_ipc(work / f"lines-{group.number:03d}.arrow", _LINES, batches)


def kept_with_salts(group: ShardGroup, tokens: Ref) -> Iterator[tuple[KeptTokens, npt.NDArray[np.uint64]]]:
    """The group's kept tokens, batch by batch, with the salts of the articles' sources."""
    for batch, kept in zip(article_batches(group), read_kept(tokens), strict=True):
        yield kept, source_salts(batch.column("source"))


def _short_lines(kept: KeptTokens, salts: npt.NDArray[np.uint64], config: Config) -> pa.RecordBatch:
    longest = np.repeat(kept.longest, np.diff(kept.line_indptr))
    short = (kept.line_ends - kept.line_starts <= config.furniture.max_tokens) & (kept.line_keys != longest)
    of_source, of_all = (keys[short] for keys in line_keys(kept, salts))
    of_article = np.zeros(len(salts), np.uint64)
    source = np.repeat(salts, np.diff(kept.line_indptr))[short]
    columns = (
        (of_source, of_all, of_article),
        (longest[short], longest[short], of_article),
        (source, np.zeros(len(source), np.uint64), salts),
    )
    return pa.record_batch([pa.array(np.concatenate(c)) for c in columns], schema=_LINES)


def merge(parts: Sequence[Ref], config: Config, work: Path) -> Ref:
    """The keys of the lines that are furniture, ascending."""
    columns = [read_ipc(part.path) for part in parts]
    keys = np.concatenate([c["key"].to_numpy() for c in columns])
    longest = np.concatenate([c["longest"].to_numpy() for c in columns])
    source = np.concatenate([c["source"].to_numpy() for c in columns])
    n_articles = _articles_by_source(source[keys == 0])
    is_line = keys != 0
    keys, longest, source = keys[is_line], longest[is_line], source[is_line]
    # Few lines are frequent: the plain sort, which is vectorised, leaves little for the one by two keys.
    ordered = np.sort(keys)
    starts = run_starts(ordered)
    frequent = ordered[starts[np.diff(np.append(starts, len(keys))) >= config.furniture.min_articles]]
    chosen = np.flatnonzero(_is_in(keys, frequent))
    chosen = chosen[np.lexsort((longest[chosen], keys[chosen]))]
    keys, longest, source = keys[chosen], longest[chosen], source[chosen]
    fresh = np.ones(len(keys), np.int64)
    fresh[1:] = (keys[1:] != keys[:-1]) | (longest[1:] != longest[:-1])
    starts = run_starts(keys)
    n_lines = np.diff(np.append(starts, len(keys)))
    n_distinct = np.add.reduceat(fresh, starts) if len(starts) else np.zeros(0, np.int64)
    least = np.where(frequent & np.uint64(1), 1, COLLECTION_FACTOR) * config.furniture.min_articles
    pages = np.array([n_articles[s] for s in source[starts].tolist()], np.int64)
    least = np.maximum(least, np.ceil(config.furniture.min_share * pages))
    kept = (n_distinct >= least) & (n_distinct >= DISTINCT_SHARE * n_lines)
    batch = pa.record_batch([pa.array(frequent[kept])], schema=_FOUND)
    return write_ipc(work / "furniture.arrow", _FOUND, [batch])


def _articles_by_source(sources: npt.NDArray[np.uint64]) -> dict[int, int]:
    """Articles of each source, and of all of them under 0."""
    ordered = np.sort(sources)
    starts = run_starts(ordered)
    counts = np.diff(np.append(starts, len(ordered)))
    return {0: len(sources), **dict(zip(ordered[starts].tolist(), counts.tolist(), strict=True))}


def _is_in(keys: npt.NDArray[np.uint64], known: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
    """Whether each key is among `known`, which is ascending; bool (n_keys,)."""
    if not len(known):
        return np.zeros(len(keys), np.bool_)
    return np.asarray(known[np.minimum(np.searchsorted(known, keys), len(known) - 1)] == keys)


class FurnitureMask:
    """Flags the tokens of furniture lines."""

    def __init__(self, found: Ref, config: Config) -> None:
        self._keys = read_ipc(found.path)["key"].to_numpy()
        self._max_tokens = config.furniture.max_tokens

    def apply(
        self, kept: KeptTokens, salts: npt.NDArray[np.uint64]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint64]]:
        """Sets FURNITURE in `kept.flags`. Returns the lines concerned (indices) and their keys."""
        begin, end = kept.line_starts, kept.line_ends
        short = np.flatnonzero(end - begin <= self._max_tokens) if len(self._keys) else np.zeros(0, np.int64)
        of_source, of_all = (keys[short] for keys in line_keys(kept, salts))
        in_source = _is_in(of_source, self._keys)
        hit = in_source | _is_in(of_all, self._keys)
        lines = short[hit]
        _flag(kept.flags, begin[lines], end[lines])
        return lines, np.where(in_source, of_source, of_all)[hit]


@nb.njit(nb.void(U8, I64, I64), cache=True, nogil=True)
def _flag(flags, begin, end):  # type: ignore[no-untyped-def]
    """Sets FURNITURE on the tokens of each [begin, end)."""
    for k in range(len(begin)):
        for j in range(begin[k], end[k]):
            flags[j] |= FURNITURE


def masked_batches(group: ShardGroup, tokens: Ref, found: Ref, config: Config) -> Iterator[KeptTokens]:
    """The group's kept tokens with furniture flagged."""
    mask = FurnitureMask(found, config)
    for kept, salts in kept_with_salts(group, tokens):
        mask.apply(kept, salts)
        yield kept
