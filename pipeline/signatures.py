"""Stage "signatures": two views of every article, their band keys, and one byte of each signature place.

The reprint view signs word shingles, the re-spin view signs rare terms (see `elements.py`). What later
stages need of a signature is kept by column: a band's key per article for the buckets, and the low byte of
every place for the estimate of the resemblance (b-bit minwise hashing, Li & König 2010, with b = 8).
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numba as nb
import numpy as np
import pyarrow as pa

from pipeline.config import Config, RespunConfig
from pipeline.elements import rare_elements, shingle_elements
from pipeline.furniture import FurnitureMask
from pipeline.minhash import fmix32, permutations, sign_sets
from pipeline.shards import ShardGroup, article_batches
from pipeline.tables import Ref, atomic_file, file_ref, write_ipc
from pipeline.terms import TermStatistics
from pipeline.tokens import FURNITURE, Tokens, tokenise

REPRINT, RESPUN = 1, 2  # bits of `found_by`

_ARTICLES = pa.schema([("text_hash", pa.uint64()), ("n_tokens", pa.int32()), ("n_furniture_tokens", pa.int32()),
                       ("is_signed", pa.uint8())])  # fmt: skip
_LINES = pa.schema([("key", pa.uint64()), ("n_articles", pa.int32()), ("source", pa.string()),
                    ("line", pa.string())])  # fmt: skip
_U32, _U8, _I64, _U64 = nb.uint32[::1], nb.uint8[::1], nb.int64[::1], nb.uint64[::1]


@dataclass(frozen=True)
class Signed:
    """What one group of shards left: all Refs, rows in the order of the articles.

    `articles` IPC: text_hash, n_tokens, n_furniture_tokens, is_signed (bits REPRINT, RESPUN: the view's set
    is not empty). `keys` .npy uint32 (n_bands of both views, n). `places` .npy uint8 (n, n_perm of both).
    `lines` IPC: the furniture lines seen.
    """

    first_row: int
    articles: Ref
    keys: Ref
    places: Ref
    lines: Ref


@dataclass(frozen=True)
class Bands:
    """Bands of the two views: `reprint` first, then `respun`."""

    n_reprint: int
    rows_reprint: int
    n_respun: int
    rows_respun: int

    @property
    def n(self) -> int:
        return self.n_reprint + self.n_respun


@cache
def bands(config: Config) -> Bands:
    """The reprint view takes datasketch's optimal bands and rows for its threshold, the other its own."""
    from datasketch.lsh import _optimal_param

    n, rows = _optimal_param(config.reprint.threshold, config.reprint.n_perm, 0.5, 0.5)
    return Bands(n, rows, config.respun.n_bands, config.respun.rows_per_band)


def sign_reprint(texts: pa.StringArray, config: Config) -> np.ndarray:
    """Reprint-view signatures of texts, uint32 (n, n_perm), tokenising included."""
    return _sign_shingles(tokenise(None, texts), config)[0]


def _sign_shingles(tokens: Tokens, config: Config) -> tuple[np.ndarray, np.ndarray]:
    elements = np.empty(len(tokens.terms), np.uint32)
    indptr = np.empty(tokens.n_articles + 1, np.int64)
    n = shingle_elements(tokens.terms, tokens.flags, tokens.indptr, config.reprint.shingle_size, elements, indptr)
    return _sign(elements[:n], indptr, config.reprint.n_perm, config.seed), np.diff(indptr) > 0


def _sign(elements: np.ndarray, indptr: np.ndarray, n_perm: int, seed: int) -> np.ndarray:
    a, b = permutations(n_perm, seed)
    out = np.empty((len(indptr) - 1, n_perm), np.uint32)
    sign_sets(elements, indptr, a, b, out)
    return out


class RareTerms:
    """Draws the re-spin view's elements: which terms are rare in this collection, and what they weigh."""

    def __init__(self, statistics: TermStatistics, config: RespunConfig) -> None:
        self._statistics = statistics
        self._config = config
        # A term is rare when idf = ln(n / df) is at least min_idf; two articles must have it to be of use.
        most = max(2, int(statistics.n_articles / np.exp(config.min_idf)))
        self._weight = np.ones(most + 1, np.uint8)
        self._seen = np.full(len(statistics.df), -1, np.int32)

    def elements(self, tokens: Tokens) -> tuple[np.ndarray, np.ndarray]:
        """Elements uint32 and indptr int64 (n_articles + 1,)."""
        heaviest = 1 + max(self._config.name_weight, self._config.number_weight)
        out = np.empty(len(tokens.terms) * heaviest, np.uint32)
        indptr = np.empty(tokens.n_articles + 1, np.int64)
        n = rare_elements(
            tokens.terms, tokens.flags, tokens.indptr, self._statistics.df, self._statistics.spelling,
            self._weight, self._seen, self._config.name_weight - 1, self._config.number_weight - 1, out, indptr,
        )  # fmt: skip
        return out[:n], indptr


@nb.njit(nb.void(nb.uint32[:, ::1], nb.int64, nb.int64, nb.uint32[:, ::1], nb.int64, nb.int64), cache=True, nogil=True)
def _band_keys(signatures, n_bands, rows, out, first_band, first_row):  # type: ignore[no-untyped-def]
    """Hashes the rows of each band into out[first_band + band, first_row + article]."""
    for i in range(len(signatures)):
        for band in range(n_bands):
            key = np.uint32(band)
            for r in range(rows):
                key = fmix32(np.uint32(np.uint32(key * np.uint32(0x9E3779B1)) + signatures[i, band * rows + r]))
            out[first_band + band, first_row + i] = key


@nb.njit(nb.void(_U32, _U8, _I64, _I64, _U64, nb.int32[::1]), cache=True, nogil=True)
def _describe(terms, flags, body, indptr, text_hash, n_furniture):  # type: ignore[no-untyped-def]
    """Hash of each body's token sequence, and the number of its furniture tokens."""
    for i in range(len(body)):
        state = np.uint64(0x9AE16A3B2F90404F)
        n = 0
        for j in range(body[i], indptr[i + 1]):
            state = np.uint64((state ^ np.uint64(terms[j])) * np.uint64(0x9E3779B97F4A7C15))
            state ^= state >> np.uint64(32)
            n += (flags[j] & FURNITURE) != 0
        text_hash[i] = state
        n_furniture[i] = n


def sign(group: ShardGroup, masked: Ref, statistics: Ref, config: Config, work: Path) -> Signed:
    """Signs a group of shards in both views."""
    mask = FurnitureMask(masked, config)
    rare = RareTerms(TermStatistics.load(statistics.path), config.respun)
    plan = bands(config)
    n_places = config.reprint.n_perm + config.respun.n_perm
    keys = np.empty((plan.n, group.n_articles), np.uint32)
    places = np.empty((group.n_articles, n_places), np.uint8)
    described: list[pa.RecordBatch] = []
    lines = LineCollector()
    row = 0
    for batch in article_batches(group):
        tokens = tokenise(batch.column("title"), batch.column("text"))
        lines.add(batch, tokens, *mask.apply(tokens, batch.column("source")))
        reprint, has_shingle = _sign_shingles(tokens, config)
        elements, indptr = rare.elements(tokens)
        respun = _sign(elements, indptr, config.respun.n_perm, config.seed)
        _band_keys(reprint, plan.n_reprint, plan.rows_reprint, keys, 0, row)
        _band_keys(respun, plan.n_respun, plan.rows_respun, keys, plan.n_reprint, row)
        places[row : row + len(reprint), : reprint.shape[1]] = reprint.astype(np.uint8)
        places[row : row + len(reprint), reprint.shape[1] :] = respun.astype(np.uint8)
        described.append(_describe_batch(tokens, REPRINT * has_shingle + RESPUN * (np.diff(indptr) > 0)))
        row += len(reprint)
    name = f"{group.number:03d}"
    return Signed(
        group.first_row,
        write_ipc(work / f"signed-{name}.arrow", _ARTICLES, described),
        _save(work / f"keys-{name}.npy", keys, group.n_articles),
        _save(work / f"places-{name}.npy", places, group.n_articles),
        write_ipc(work / f"furniture-{name}.arrow", _LINES, [lines.result()]),
    )


def _describe_batch(tokens: Tokens, signed: np.ndarray) -> pa.RecordBatch:
    text_hash, n_furniture = np.empty(tokens.n_articles, np.uint64), np.empty(tokens.n_articles, np.int32)
    _describe(tokens.terms, tokens.flags, tokens.body, tokens.indptr, text_hash, n_furniture)
    n_tokens = np.diff(tokens.indptr).astype(np.int32)
    columns = [pa.array(c) for c in (text_hash, n_tokens, n_furniture, signed.astype(np.uint8))]
    return pa.record_batch(columns, schema=_ARTICLES)


def _save(path: Path, values: np.ndarray, rows: int) -> Ref:
    with atomic_file(path) as file:
        np.save(file, values)
    return file_ref(path, rows)


class LineCollector:
    """Collects the furniture lines of a group: their text as first seen and the articles that carry them."""

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}
        self._texts: dict[int, tuple[str | None, str]] = {}

    def add(
        self, batch: pa.RecordBatch, tokens: Tokens, begin: np.ndarray, end: np.ndarray, keys: np.ndarray
    ) -> None:
        """Takes lines as tokens [begin, end) with their keys, as `FurnitureMask.apply` returns them."""
        article = np.searchsorted(tokens.indptr, begin, side="right") - 1
        order = np.lexsort((article, keys))
        keys, article, begin, end = keys[order], article[order], begin[order], end[order]
        fresh = np.ones(len(keys), bool)
        fresh[1:] = (keys[1:] != keys[:-1]) | (article[1:] != article[:-1])
        for key, n in zip(*np.unique(keys[fresh], return_counts=True), strict=True):
            self._counts[int(key)] = self._counts.get(int(key), 0) + int(n)
        heads, first = np.unique(keys, return_index=True)
        for key, at in zip(heads.tolist(), first.tolist(), strict=True):
            if key not in self._texts:
                row = int(article[at])
                raw = batch.column("text")[row].as_py().encode()
                line = raw[tokens.begin[begin[at]] : tokens.end[end[at] - 1]].decode()
                # Odd keys count within a source, even ones over the collection.
                source = batch.column("source")[row].as_py() if key & 1 else None
                self._texts[key] = (source, line)

    def result(self) -> pa.RecordBatch:
        keys = sorted(self._counts)
        texts = [self._texts[key] for key in keys]
        return pa.record_batch(
            [pa.array(keys, pa.uint64()), pa.array([self._counts[k] for k in keys], pa.int32()),
             pa.array([t[0] for t in texts], pa.string()), pa.array([t[1] for t in texts], pa.string())],
            schema=_LINES,
        )  # fmt: skip
