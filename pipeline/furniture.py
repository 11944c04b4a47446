"""Stage "furniture": the lines that a site repeats on many of its pages ("Leave a Reply").

A line is furniture of its source when at least `furniture.min_articles` of the source's articles carry it,
and `furniture.min_share` of all that it has, and those articles are otherwise different. Otherwise different:
most of them have different longest lines, the copies of one story have the same. The same is asked over the
whole collection, of four times as many articles. Nothing is deleted: the tokens of furniture are flagged and
left out of signatures and vectors.
"""

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numba as nb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.arrays import I64, READ_U64, U8
from pipeline.bags import n_slots
from pipeline.config import Config
from pipeline.shards import ShardGroup, article_batches
from pipeline.tables import Ref, read_batches, read_ipc, write_ipc
from pipeline.text import HASH_OF_NOTHING, KeptTokens, hash_terms, read_kept
from pipeline.token_scan import FURNITURE
from pipeline.tokens import tokenise
from pipeline.wide import AHEAD, prefetch

# Lines repeated over sources must be that much more frequent: sources share common phrases.
COLLECTION_FACTOR = 4
# Share of the articles that must have longest lines of their own.
DISTINCT_SHARE = 0.5
# Counts of rows in bytes go no further.
_MOST = 255

# What `source_salts` gives where a source is null or has no token.
NO_SOURCE = HASH_OF_NOTHING
_LINES = pa.schema([("key", pa.uint64()), ("longest", pa.uint64()), ("source", pa.uint64())])
FOUND = pa.schema([("key", pa.uint64())])


def line_keys(
    kept: KeptTokens, salts: npt.NDArray[np.uint64]
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    """Two keys uint64 (n_lines,): odd ones count within the source, even ones over the collection.

    `salts` uint64 (n_articles,) as `source_salts` gives them.
    """
    salted = kept.line_keys ^ np.repeat(salts, np.diff(kept.line_indptr))
    return salted | np.uint64(1), kept.line_keys & ~np.uint64(1)


def source_salts(sources: pa.Array) -> npt.NDArray[np.uint64]:
    """A hash uint64 (n_articles,) of each article's source; NO_SOURCE where there is none."""
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
    counts, n_articles = _counted(parts)
    fewest = min(n_articles.values())
    least_even, least_odd = (
        max(factor * config.furniture.min_articles, math.ceil(config.furniture.min_share * n))
        for factor, n in ((COLLECTION_FACTOR, n_articles[0]), (1, fewest))
    )
    lines = _frequent(parts, counts, least_even, least_odd)
    first, n_lines, n_distinct = _lines_of_each(lines["key"], lines["longest"])
    keys, source = lines["key"][first], lines["source"][first]
    least = np.where(keys & np.uint64(1), 1, COLLECTION_FACTOR) * config.furniture.min_articles
    pages = np.array([n_articles[s] for s in source.tolist()], np.int64)
    least = np.maximum(least, np.ceil(config.furniture.min_share * pages))
    kept = (n_distinct >= least) & (n_distinct >= DISTINCT_SHARE * n_lines)
    batch = pa.record_batch([pa.array(np.sort(keys[kept]))], schema=FOUND)
    return write_ipc(work / "furniture.arrow", FOUND, [batch])


def _columns(parts: Sequence[Ref]) -> Iterator[dict[str, npt.NDArray[np.uint64]]]:
    """The rows of _LINES batch by batch. None stays mapped: of millions of articles they are gigabytes."""
    for part in parts:
        for batch in read_batches(part.path):
            yield {name: batch.column(name).to_numpy() for name in _LINES.names}


def _counted(parts: Sequence[Ref]) -> tuple[npt.NDArray[np.uint8], dict[int, int]]:
    """Rows of each key (`tally`), and the articles of each source, of all of them under 0."""
    counts = room_for_counts(sum(part.rows for part in parts))
    n_articles: Counter[int] = Counter()
    for rows in _columns(parts):
        tally(rows["key"], counts)
        sources, n = np.unique(rows["source"][rows["key"] == 0], return_counts=True)
        n_articles.update(dict(zip(sources.tolist(), n.tolist(), strict=True)))
    return counts, {0: n_articles.total(), **n_articles}


def _frequent(
    parts: Sequence[Ref], counts: npt.NDArray[np.uint8], least_even: int, least_odd: int
) -> dict[str, npt.NDArray[np.uint64]]:
    """The rows whose keys may be furniture (`is_frequent`)."""
    found: dict[str, list[npt.NDArray[np.uint64]]] = {name: [np.zeros(0, np.uint64)] for name in _LINES.names}
    for rows in _columns(parts):
        chosen = is_frequent(rows["key"], counts, least_even, least_odd)
        for name, values in rows.items():
            found[name].append(values[chosen])
    return {name: np.concatenate(pieces) for name, pieces in found.items()}


def room_for_counts(n_rows: int) -> npt.NDArray[np.uint8]:
    """Counts of keys, which are hashes, in at least as many buckets as there are rows.

    Most lines stand in a few articles only; so they need not be sorted.
    """
    return np.zeros(1 << n_rows.bit_length(), np.uint8)


@nb.njit(nb.void(READ_U64, U8), cache=True, nogil=True)
def tally(keys, counts):  # type: ignore[no-untyped-def]
    """Counts keys by their low bits, up to _MOST."""
    last = np.uint64(len(counts) - 1)
    for i in range(len(keys)):
        # The counts of a large collection are in no cache.
        if i + AHEAD < len(keys):
            prefetch(counts, np.int64(keys[i + AHEAD] & last))
        bucket = np.int64(keys[i] & last)
        if counts[bucket] < _MOST:
            counts[bucket] += 1


def is_frequent(
    keys: npt.NDArray[np.uint64], counts: npt.NDArray[np.uint8], least_even: int, least_odd: int
) -> npt.NDArray[np.bool_]:
    """Which keys may have enough rows to be furniture, bool (n_keys,).

    All that have `least_even` or `least_odd` rows, as the key is, and a few others. Key 0 is no line.
    """
    return np.asarray(_reaches(keys, counts, min(least_even, _MOST), min(least_odd, _MOST)))


@nb.njit(nb.boolean[::1](READ_U64, U8, nb.int64, nb.int64), cache=True, nogil=True)
def _reaches(keys, counts, least_even, least_odd):  # type: ignore[no-untyped-def]
    """Whether each key's count is enough; never for 0."""
    last = np.uint64(len(counts) - 1)
    found = np.empty(len(keys), np.bool_)
    for i in range(len(keys)):
        if i + AHEAD < len(keys):
            prefetch(counts, np.int64(keys[i + AHEAD] & last))
        key = keys[i]
        least = least_odd if key & np.uint64(1) else least_even
        found[i] = key != 0 and counts[np.int64(key & last)] >= least
    return found


@nb.njit(cache=True, nogil=True, inline="always")
def _pair(key, longest):  # type: ignore[no-untyped-def]
    """A hash of both, which are hashes; never 0."""
    return max(key ^ (longest << np.uint64(23) | longest >> np.uint64(41)), np.uint64(1))


@nb.njit(
    nb.types.Tuple((I64, I64, I64))(READ_U64, READ_U64), cache=True, nogil=True  # type: ignore[no-untyped-call]
)
def _lines_of_each(keys, longest):  # type: ignore[no-untyped-def]
    """Of each key, as they appear: its first row, how many it has, and how many different `longest` in them.

    Two pairs of a key and a longest line count as one where their hashes of 64 bits are the same.
    """
    size = n_slots(len(keys))
    mask = np.uint64(size - 1)
    slots, seen = np.zeros(size, np.int32), np.zeros(size, np.uint64)
    first, n_rows = np.empty(len(keys), np.int64), np.empty(len(keys), np.int64)
    n_distinct = np.empty(len(keys), np.int64)
    n = 0
    for i in range(len(keys)):
        if i + AHEAD < len(keys):
            prefetch(seen, np.int64(_pair(keys[i + AHEAD], longest[i + AHEAD]) & mask))
        key, pair = keys[i], _pair(keys[i], longest[i])
        slot = (key >> np.uint64(1)) & mask
        while slots[slot] != 0 and keys[first[slots[slot] - 1]] != key:
            slot = (slot + np.uint64(1)) & mask
        if slots[slot] == 0:
            first[n], n_rows[n], n_distinct[n] = i, 0, 0
            n += 1
            slots[slot] = n
        own = slots[slot] - 1
        n_rows[own] += 1
        slot = pair & mask
        while seen[slot] != 0 and seen[slot] != pair:
            slot = (slot + np.uint64(1)) & mask
        n_distinct[own] += seen[slot] == 0
        seen[slot] = pair
    return first[:n].copy(), n_rows[:n].copy(), n_distinct[:n].copy()


class KeySet:
    """Keys uint64 (n,), ascending, which are hashes."""

    def __init__(self, keys: npt.NDArray[np.uint64]) -> None:
        self._keys = keys
        # Most keys that are asked about are not there: a look at a bit of theirs says so.
        self._may_hold = np.zeros(16 << len(keys).bit_length(), np.bool_)
        self._may_hold[self._place(keys)] = True

    def _place(self, keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
        return ((keys >> np.uint64(1)) & np.uint64(len(self._may_hold) - 1)).astype(np.int64)

    def __len__(self) -> int:
        return len(self._keys)

    def holds(self, keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
        """Whether each of `keys` is there, bool (n_keys,)."""
        found = self._may_hold[self._place(keys)]
        likely = np.flatnonzero(found)
        place = np.searchsorted(self._keys, keys[likely])
        found[likely] = self._keys[np.minimum(place, len(self) - 1)] == keys[likely] if len(self) else False
        return found


class FurnitureMask:
    """Flags the tokens of furniture lines."""

    def __init__(self, found: Ref, config: Config) -> None:
        self._keys = KeySet(read_ipc(found.path)["key"].to_numpy())
        self._max_tokens = config.furniture.max_tokens

    def apply(
        self, kept: KeptTokens, salts: npt.NDArray[np.uint64]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint64]]:
        """Sets FURNITURE in `kept.flags`. Returns the lines concerned (indices) and their keys."""
        begin, end = kept.line_starts, kept.line_ends
        short = np.flatnonzero(end - begin <= self._max_tokens) if len(self._keys) else np.zeros(0, np.int64)
        of_source, of_all = (keys[short] for keys in line_keys(kept, salts))
        in_source = self._keys.holds(of_source)
        hit = in_source | self._keys.holds(of_all)
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
