"""Stage "signatures": two views of every article, and the weights of its terms.

The reprint view signs word shingles, the re-spin view signs rare terms (see `elements.py`). What later
stages need of a signature is kept by column: a band's key per article for the buckets, and the low byte of
every place for the estimate of the resemblance (b-bit minwise hashing, Li & König 2010, with b = 8).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numba as nb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.array_files import ArrayFiles, write_arrays
from pipeline.arrays import BYTES, I32, I64, READ_I32, READ_U32, U64
from pipeline.arrow_columns import times_of
from pipeline.bags import Bags
from pipeline.common_words import PRIOR_ARTICLES
from pipeline.config import Config, RespunConfig
from pipeline.elements import rare_elements, shingle_elements
from pipeline.furniture import FurnitureMask, kept_with_salts
from pipeline.minhash import fmix32, permutations, sign_sets
from pipeline.shards import ShardGroup
from pipeline.tables import Ref, write_ipc, write_npy
from pipeline.terms import TermStatistics
from pipeline.text import KeptTokens, hash_terms
from pipeline.token_scan import FURNITURE
from pipeline.tokens import Tokeniser, Tokens
from pipeline.vectors import WEIGHT_TYPES, Told, tell, weigh

REPRINT, RESPUN = 1, 2  # bits of `found_by`
# Articles whose tokens stay in the processor's cache between the kernels.
SIGNED_AT_A_TIME = 96
# In a collection of more than LARGE articles a rare term has fewer articles, not more: else every article
# would meet the others of its topic, whose number grows with the collection. With the default `min_idf` 915
# articles at LARGE, 204 in a million, never under 54 (docs/decisions/0060).
LARGE, LEAST_COUNTED = 50_000, 3_000

SIGNED_ARTICLES = pa.schema([
    ("text_hash", pa.uint64()), ("n_tokens", pa.int32()), ("n_furniture_tokens", pa.int32()),
    ("is_signed", pa.uint8()), ("published", pa.int64()), ("source_salt", pa.uint64()),
])  # fmt: skip
SIGNED_LINES = pa.schema([("key", pa.uint64()), ("row", pa.int64())])


@dataclass(frozen=True)
class Signed:
    """What one group of shards left: all Refs, rows in the order of the articles.

    `articles` IPC: text_hash, n_tokens, n_furniture_tokens, is_signed (bits REPRINT, RESPUN: the view's set
    is not empty), published (`arrow_columns.microseconds`), source_salt (`furniture.source_salts`). `lines`
    IPC: key of each furniture line and the article (row) that carries it, distinct. `bags` and `weights` hold
    the articles' terms (`vectors.TermVectors`).
    """

    first_row: int
    bags: ArrayFiles
    weights: ArrayFiles
    articles: Ref
    lines: Ref


@dataclass(frozen=True)
class Signatures(Signed):
    """The same with what the views made of it, which is asked for until the candidates are known.

    `keys` .npy uint32 (n_bands of both views, n). `places` .npy uint8 (n, n_perm of both).
    """

    keys: Ref
    places: Ref

    @property
    def signed(self) -> Signed:
        """Without keys and places."""
        return Signed(self.first_row, self.bags, self.weights, self.articles, self.lines)


@dataclass(frozen=True)
class Bands:
    """Bands of the two views: `reprint` first, then `respun`."""

    n_reprint: int
    rows_reprint: int
    n_respun: int
    rows_respun: int

    @property
    def n(self) -> int:
        """Bands of both views."""
        return self.n_reprint + self.n_respun


def bands(config: Config) -> Bands:
    """The reprint view takes datasketch's optimal bands and rows for its threshold, the other its own."""
    n, rows = _optimal_bands(config.reprint.threshold, config.reprint.n_perm)
    return Bands(n, rows, config.respun.n_bands, config.respun.rows_per_band)


@cache
def _optimal_bands(threshold: float, n_perm: int) -> tuple[int, int]:
    from datasketch.lsh import _optimal_param

    n, rows = _optimal_param(threshold, n_perm, 0.5, 0.5)
    return n, rows


def sign_reprint(texts: pa.StringArray, config: Config) -> npt.NDArray[np.uint32]:
    """Reprint-view signatures of texts, uint32 (n, n_perm), tokenising included."""
    out = np.empty((len(texts), config.reprint.n_perm), np.uint32)
    tokeniser = Tokeniser()
    for at in range(0, len(texts), SIGNED_AT_A_TIME):
        some = tokeniser.tokenise(None, texts.slice(at, SIGNED_AT_A_TIME))
        out[at : at + SIGNED_AT_A_TIME], _ = _sign_shingles(some, config)
    return out


def _sign_shingles(
    tokens: Tokens | KeptTokens, config: Config
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.bool_]]:
    """Reprint-view signatures, and which articles have any shingle: the others' must not be compared."""
    elements = np.empty(len(tokens.terms), np.uint32)
    indptr = np.empty(tokens.n_articles + 1, np.int64)
    k = config.reprint.shingle_size
    n = shingle_elements(tokens.terms, tokens.flags, tokens.indptr, k, elements, indptr)
    return _sign(elements[:n], indptr, config.reprint.n_perm, config.seed), np.diff(indptr) > 0


def _sign(
    elements: npt.NDArray[np.uint32], indptr: npt.NDArray[np.int64], n_perm: int, seed: int
) -> npt.NDArray[np.uint32]:
    a, b = permutations(n_perm, seed)
    out = np.empty((len(indptr) - 1, n_perm), np.uint32)
    sign_sets(elements, indptr, a, b, out)
    return out


def most_articles(n_counted: int, min_idf: float) -> int:
    """In how many articles a term may stand to be rare, at least 2; `n_counted` includes the prior's.

    ln(n / df) must be at least `min_idf`, n being the collection's size with what it lacked
    (`terms.with_prior`), or the prior's. From LARGE articles on n falls with the root of the size, to
    LEAST_COUNTED.
    """
    n = float(max(n_counted - PRIOR_ARTICLES, PRIOR_ARTICLES))
    if n > LARGE:
        n = max(LARGE * np.sqrt(LARGE / n), LEAST_COUNTED)
    return max(2, int(n / np.exp(min_idf)))


class RareTerms:
    """Draws the re-spin view's elements: which terms are rare in this collection, and what they weigh."""

    def __init__(self, statistics: TermStatistics, config: RespunConfig) -> None:
        self._statistics = statistics
        self._config = config
        self._most = most_articles(statistics.n_articles, config.min_idf)

    def elements(
        self, bags: Bags, told: Told | None = None
    ) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
        """Elements uint32 (n_elements,) and indptr int64 (n_articles + 1,). `told` of the terms, if known."""
        told = told or tell(bags.term_keys, bags.term_flags, self._statistics)
        heaviest = max(self._config.name_weight, self._config.number_weight)
        out = np.empty(len(bags.term_keys) * heaviest, np.uint32)
        indptr = np.empty(bags.n_articles + 1, np.int64)
        n = rare_elements(
            bags.term_keys, bags.term_flags, bags.term_ends, told.df, told.spelt_large, self._most,
            self._config.name_weight - 1, self._config.number_weight - 1, out, indptr,
        )  # fmt: skip
        return out[:n], indptr


@nb.njit(
    nb.void(nb.uint32[:, ::1], nb.int64, nb.int64, nb.uint32[:, ::1], nb.int64, nb.int64),
    cache=True, nogil=True,
)  # fmt: skip
def _band_keys(signatures, n_bands, rows, out, first_band, first_row):  # type: ignore[no-untyped-def]
    """Hashes the rows of each band into out[first_band + band, first_row + article]."""
    for i in range(len(signatures)):
        for band in range(n_bands):
            key = np.uint32(band)
            for r in range(rows):
                place = signatures[i, band * rows + r]
                key = fmix32(np.uint32(np.uint32(key * np.uint32(0x9E3779B1)) + place))
            out[first_band + band, first_row + i] = key


@nb.njit(nb.void(READ_U32, BYTES, READ_I32, I64, U64, I32), cache=True, nogil=True)
def _describe(terms, flags, n_title, indptr, text_hash, n_furniture):  # type: ignore[no-untyped-def]
    """Hash of each body's token sequence, and the number of its furniture tokens."""
    for i in range(len(n_title)):
        begin, end = indptr[i] + n_title[i], indptr[i + 1]
        text_hash[i] = hash_terms(terms, begin, end)
        n = 0
        for j in range(begin, end):
            n += (flags[j] & FURNITURE) != 0
        n_furniture[i] = n


def sign(
    group: ShardGroup, kept: Ref, bags: ArrayFiles, masked: Ref, statistics: Ref, config: Config, work: Path
) -> Signatures:
    """Signs a group of shards in both views."""
    mask = FurnitureMask(masked, config)
    counts = TermStatistics.load(statistics)
    rare = RareTerms(counts, config.respun)
    plan = bands(config)
    n_places = config.reprint.n_perm + config.respun.n_perm
    keys = np.empty((plan.n, group.n_articles), np.uint32)
    places = np.empty((group.n_articles, n_places), np.uint8)
    times = times_of(group.shards)
    described: list[pa.RecordBatch] = []
    lines: list[pa.RecordBatch] = []

    def weighed() -> Iterator[dict[str, npt.NDArray[np.generic]]]:
        row = 0
        for tokens, salts in kept_with_salts(group, kept):
            here = slice(row, row + tokens.n_articles)
            lines.append(_furniture_lines(tokens, *mask.apply(tokens, salts), group.first_row + row))
            reprint, has_shingle = _sign_shingles(tokens, config)
            # Mapped anew for each batch: what was touched counts as memory for as long as it is mapped.
            own = Bags.of(bags.load()).some(here.start, here.stop)
            told = tell(own.term_keys, own.term_flags, counts)
            elements, indptr = rare.elements(own, told)
            respun = _sign(elements, indptr, config.respun.n_perm, config.seed)
            _band_keys(reprint, plan.n_reprint, plan.rows_reprint, keys, 0, row)
            _band_keys(respun, plan.n_respun, plan.rows_respun, keys, plan.n_reprint, row)
            places[here, : reprint.shape[1]] = reprint.astype(np.uint8)
            places[here, reprint.shape[1] :] = respun.astype(np.uint8)
            views = REPRINT * has_shingle + RESPUN * (np.diff(indptr) > 0)
            described.append(_describe_batch(tokens, views, times[here], salts))
            row = here.stop
            yield weigh(own, counts, told)

    weights = write_arrays(group, WEIGHT_TYPES, weighed(), work)
    name = f"{group.number:03d}"
    return Signatures(
        group.first_row,
        bags,
        weights,
        write_ipc(work / f"signed-{name}.arrow", SIGNED_ARTICLES, described),
        write_ipc(work / f"furniture-{name}.arrow", SIGNED_LINES, lines),
        write_npy(work / f"keys-{name}.npy", keys, group.n_articles),
        write_npy(work / f"places-{name}.npy", places, group.n_articles),
    )


def _describe_batch(
    tokens: KeptTokens, signed: npt.NDArray[np.int64], times: npt.NDArray[np.int64],
    salts: npt.NDArray[np.uint64],
) -> pa.RecordBatch:  # fmt: skip
    text_hash, n_furniture = np.empty(tokens.n_articles, np.uint64), np.empty(tokens.n_articles, np.int32)
    _describe(tokens.terms, tokens.flags, tokens.n_title, tokens.indptr, text_hash, n_furniture)
    n_tokens = np.diff(tokens.indptr).astype(np.int32)
    columns = (text_hash, n_tokens, n_furniture, signed.astype(np.uint8), times, salts)
    return pa.record_batch([pa.array(c) for c in columns], schema=SIGNED_ARTICLES)


def _furniture_lines(
    tokens: KeptTokens, lines: npt.NDArray[np.int64], keys: npt.NDArray[np.uint64], first_row: int
) -> pa.RecordBatch:
    """Distinct (key, row) of furniture lines given by index, as `FurnitureMask.apply` returns them."""
    article = np.searchsorted(tokens.line_indptr, lines, side="right") - 1
    order = np.lexsort((article, keys))
    keys, article = keys[order], article[order]
    fresh = np.ones(len(keys), bool)
    fresh[1:] = (keys[1:] != keys[:-1]) | (article[1:] != article[:-1])
    return pa.record_batch([pa.array(keys[fresh]), pa.array(article[fresh] + first_row)], schema=SIGNED_LINES)
