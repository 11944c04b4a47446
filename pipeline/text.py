"""Stage "text": every article tokenised once; what later stages need of it is kept by shard group.

A kept article is its terms, the flags of its tokens, its lines, and the units that the stage "sections"
cuts it into. Places in the text are not kept: the few articles whose lines or sections are shown are
tokenised again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.arrays import I32, I64, READ_I32, READ_U32, U64
from pipeline.section_units import cut_bodies
from pipeline.shards import ShardGroup, article_batches
from pipeline.tables import Ref, read_batches, write_ipc
from pipeline.tokens import Tokeniser, Tokens, buffers

KEPT = pa.schema([
    ("terms", pa.list_(pa.uint32())), ("flags", pa.list_(pa.uint8())), ("n_title", pa.int32()),
    ("line_keys", pa.list_(pa.uint64())), ("line_stops", pa.list_(pa.int32())), ("longest", pa.uint64()),
    ("unit_starts", pa.list_(pa.int32())), ("unit_kinds", pa.list_(pa.uint8())),
])  # fmt: skip


@dataclass(frozen=True)
class KeptTokens:
    """Tokens of a batch of articles as kept.

    `terms` uint32 and `flags` uint8 (n_tokens,), `indptr` int64 (n_articles + 1,), `n_title` int32: tokens
    of each title, which come first. `line_keys` uint64 and `line_stops` int32 (n_lines,): hash of each line
    of the bodies and the token after its last, counted from the article's first token; `line_indptr` int64.
    `longest` uint64 (n_articles,): key of the body's longest line, the first of equal ones; 0 without any.
    """

    terms: npt.NDArray[np.uint32]
    flags: npt.NDArray[np.uint8]
    indptr: npt.NDArray[np.int64]
    n_title: npt.NDArray[np.int32]
    line_keys: npt.NDArray[np.uint64]
    line_stops: npt.NDArray[np.int32]
    line_indptr: npt.NDArray[np.int64]
    longest: npt.NDArray[np.uint64]

    @property
    def n_articles(self) -> int:
        """Articles of the batch."""
        return len(self.n_title)

    @property
    def line_starts(self) -> npt.NDArray[np.int64]:
        """The first token of each line, int64 (n_lines,), counted from the batch's first token."""
        n_lines = np.diff(self.line_indptr)
        starts = np.zeros(len(self.line_stops), np.int64)
        starts[1:] = self.line_stops[:-1]
        starts[self.line_indptr[:-1][n_lines > 0]] = self.n_title[n_lines > 0]
        return starts + np.repeat(self.indptr[:-1], n_lines)

    @property
    def line_ends(self) -> npt.NDArray[np.int64]:
        """The token after each line, int64 (n_lines,), counted from the batch's first token."""
        first = np.repeat(self.indptr[:-1], np.diff(self.line_indptr))
        return first + self.line_stops


@dataclass(frozen=True)
class KeptUnits:
    """Units of a batch of bodies, as by `section_units.cut_bodies`.

    `starts` int32 and `kinds` uint8 (n_units,): first token of each, counted from the body's first, and what
    it looks like. `indptr` int64 (n_articles + 1,).
    """

    starts: npt.NDArray[np.int32]
    kinds: npt.NDArray[np.uint8]
    indptr: npt.NDArray[np.int64]


# What `hash_terms` gives no term at all.
HASH_OF_NOTHING = 0x9AE16A3B2F90404F


@nb.njit(nb.uint64(READ_U32, nb.int64, nb.int64), cache=True, nogil=True)
def hash_terms(terms, begin, end):  # type: ignore[no-untyped-def]
    """64-bit hash of the sequence terms[begin:end]."""
    state = np.uint64(HASH_OF_NOTHING)
    for j in range(begin, end):
        state = np.uint64((state ^ np.uint64(terms[j])) * np.uint64(0x9E3779B97F4A7C15))
        state ^= state >> np.uint64(32)
    return state


@nb.njit(nb.int64(READ_U32, READ_I32, I64, I64, U64, I32, I64, U64), cache=True, nogil=True)
def _find_lines(terms, line, body, indptr, keys, stops, line_indptr, longest):  # type: ignore[no-untyped-def]
    """Hash and end of every line of the bodies that has tokens; returns how many lines there are."""
    n = 0
    line_indptr[0] = 0
    for i in range(len(body)):
        j = body[i]
        most = 0
        longest[i] = 0
        while j < indptr[i + 1]:
            number = line[j]
            start = j
            while j < indptr[i + 1] and line[j] == number:
                j += 1
            keys[n] = hash_terms(terms, start, j)
            stops[n] = j - indptr[i]
            if j - start > most:
                most = j - start
                longest[i] = keys[n]
            n += 1
        line_indptr[i + 1] = n
    return n


def keep(tokens: Tokens) -> KeptTokens:
    """The kept form of a batch of tokens; shares their `terms`, `flags` and `indptr`."""
    room = len(tokens.terms)
    keys, stops = np.empty(room, np.uint64), np.empty(room, np.int32)
    line_indptr, longest = np.empty(tokens.n_articles + 1, np.int64), np.empty(tokens.n_articles, np.uint64)
    n = _find_lines(tokens.terms, tokens.line, tokens.body, tokens.indptr, keys, stops, line_indptr, longest)
    n_title = (tokens.body - tokens.indptr[:-1]).astype(np.int32)
    return KeptTokens(
        tokens.terms, tokens.flags, tokens.indptr, n_title, keys[:n], stops[:n], line_indptr, longest
    )


def keep_units(tokens: Tokens, texts: pa.StringArray) -> KeptUnits:
    """The units of a batch of bodies; `tokens` are those of `texts`, with or without titles."""
    room = len(tokens.terms)
    starts, kinds = np.empty(room, np.int32), np.empty(room, np.uint8)
    indptr = np.empty(tokens.n_articles + 1, np.int64)
    n = cut_bodies(
        *buffers(texts), tokens.begin, tokens.end, tokens.line, tokens.flags, tokens.body, tokens.indptr,
        starts, kinds, indptr,
    )  # fmt: skip
    return KeptUnits(starts[:n], kinds[:n], indptr)


def tokenise_group(group: ShardGroup, texts: Sequence[Ref], work: Path) -> Ref:
    """Tokenises the articles of a group of shards, whose `texts` these are; rows of the Ref: articles."""
    tokeniser = Tokeniser()
    bodies = (batch.column("text") for ref in texts for batch in read_batches(ref.path))
    batches = (
        _tokenise_batch(tokeniser, articles.column("title"), body)
        for articles, body in zip(article_batches(group), bodies, strict=True)
    )
    return write_ipc(work / f"tokens-{group.number:03d}.arrow", KEPT, batches)


def _tokenise_batch(tokeniser: Tokeniser, titles: pa.StringArray, texts: pa.StringArray) -> pa.RecordBatch:
    tokens = tokeniser.tokenise(titles, texts)
    return _to_arrow(keep(tokens), keep_units(tokens, texts))


def read_kept(ref: Ref) -> Iterator[KeptTokens]:
    """The kept batches in order; flags are a copy that may be altered, the rest is mapped and must not be."""
    return map(kept_of, read_batches(ref.path))


def kept_of(batch: pa.RecordBatch) -> KeptTokens:
    """A kept batch (KEPT); flags are a copy that may be altered, the rest is the batch's and must not be."""
    kept = _kept(batch)
    return replace(kept, flags=kept.flags.copy())


def read_units(ref: Ref) -> Iterator[tuple[KeptTokens, KeptUnits]]:
    """The kept batches in order, with their units; all is mapped and must not be altered."""
    for batch in read_batches(ref.path):
        starts, indptr = list_values(batch.column("unit_starts"))
        kinds, _ = list_values(batch.column("unit_kinds"))
        yield _kept(batch), KeptUnits(starts, kinds, indptr)


def _kept(batch: pa.RecordBatch) -> KeptTokens:
    terms, indptr = list_values(batch.column("terms"))
    flags, _ = list_values(batch.column("flags"))
    keys, line_indptr = list_values(batch.column("line_keys"))
    stops, _ = list_values(batch.column("line_stops"))
    return KeptTokens(
        terms, flags, indptr, batch.column("n_title").to_numpy(), keys, stops, line_indptr,
        batch.column("longest").to_numpy(),
    )  # fmt: skip


def _to_arrow(kept: KeptTokens, units: KeptUnits) -> pa.RecordBatch:
    return pa.record_batch([
        list_array(kept.terms, kept.indptr), list_array(kept.flags, kept.indptr), pa.array(kept.n_title),
        list_array(kept.line_keys, kept.line_indptr), list_array(kept.line_stops, kept.line_indptr),
        pa.array(kept.longest), list_array(units.starts, units.indptr), list_array(units.kinds, units.indptr),
    ], schema=KEPT)  # fmt: skip


def list_values(column: pa.ListArray) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
    """Values and indptr int64 of a list column."""
    return column.values.to_numpy(), column.offsets.to_numpy().astype(np.int64)


def list_array(values: npt.NDArray[Any], indptr: npt.NDArray[np.int64]) -> pa.ListArray:
    """The opposite: a list column of values and indptr."""
    return pa.ListArray.from_arrays(pa.array(indptr.astype(np.int32)), pa.array(values))
