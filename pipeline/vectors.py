"""Bags, shingle sets and TF-IDF vectors of a batch of articles, in memory, as sorted CSR arrays.

Everything is built by sorting packed 64-bit words (article, hash, detail): numpy sorts those vectorised.
Rows are articles; within a row the keys ascend, so that two rows meet in one merge.
"""

from dataclasses import dataclass

import numba as nb
import numpy as np
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.preprocessing import normalize

from pipeline.elements import shingle_elements
from pipeline.minhash import fmix32
from pipeline.terms import TermStatistics
from pipeline.tokens import CAPITAL, DIGIT, FURNITURE, Tokens
from pipeline.words import distinct, run_starts

NAME, NUMBER = 1, 2
_U64, _U32, _U8, _I64 = nb.uint64[::1], nb.uint32[::1], nb.uint8[::1], nb.int64[::1]
_ARTICLE_BITS = 20
MAX_ARTICLES = 1 << _ARTICLE_BITS  # of one batch
_IDF_STEPS = 128.0  # a bigram's idf travels in 12 bits of the sorted word


@dataclass(frozen=True)
class Space:
    """Rows of L2-normalised TF-IDF weights in one vocabulary.

    `keys` uint32 (hashes, ascending within a row), `weights` float32, `kinds` uint8 (NAME, NUMBER bits),
    `indptr` int64 (n_articles + 1,).
    """

    keys: np.ndarray
    weights: np.ndarray
    kinds: np.ndarray
    indptr: np.ndarray


@dataclass(frozen=True)
class Vectors:
    """What confirmation compares: `terms` and `bigrams` spaces, and the shingles.

    `shingles` uint32: each article's distinct ones, ascending; `sequence`: all of them in the order of the
    text; each with its indptr int64. `n_tokens` int64 (n_articles,).
    """

    terms: Space
    bigrams: Space
    shingles: np.ndarray
    shingle_indptr: np.ndarray
    sequence: np.ndarray
    sequence_indptr: np.ndarray
    n_tokens: np.ndarray


@nb.njit(nb.int64(_U32, _U8, _I64, _U64), cache=True, nogil=True)
def _pack_terms(terms, flags, indptr, out):  # type: ignore[no-untyped-def]
    """Words (article, term, capital, digit) of the tokens that are no furniture; returns how many."""
    n = 0
    for i in range(len(indptr) - 1):
        for j in range(indptr[i], indptr[i + 1]):
            if not flags[j] & FURNITURE:
                detail = (2 if flags[j] & DIGIT else 0) | (1 if flags[j] & CAPITAL else 0)
                out[n] = (np.uint64(i) << np.uint64(44)) | (np.uint64(terms[j]) << np.uint64(12)) | np.uint64(detail)
                n += 1
    return n


@nb.njit(nb.int64(_U32, _U8, _I64, nb.float32[::1], _U64), cache=True, nogil=True)
def _pack_bigrams(terms, flags, indptr, idf, out):  # type: ignore[no-untyped-def]
    """Words (article, bigram, idf) of neighbouring tokens; a bigram's idf is the sum of its terms' idf."""
    n = 0
    mask = np.uint32(len(idf) - 1)
    for i in range(len(indptr) - 1):
        previous = np.uint32(0)
        rarity = np.float32(-1)
        for j in range(indptr[i], indptr[i + 1]):
            if flags[j] & FURNITURE:
                continue
            now = idf[terms[j] & mask]
            if rarity >= 0:
                key = fmix32(np.uint32(np.uint32(previous * np.uint32(0x9E3779B1)) + terms[j]))
                step = np.uint64(min(4095.0, (rarity + now) * _IDF_STEPS))
                out[n] = (np.uint64(i) << np.uint64(44)) | (np.uint64(key) << np.uint64(12)) | step
                n += 1
            previous = terms[j]
            rarity = now
    return n


def _runs(words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First index and length of each run of equal (article, key) in sorted words."""
    starts = run_starts(words >> np.uint64(12))
    return starts, np.diff(np.append(starts, len(words)))


def _indptr(articles: np.ndarray, n: int) -> np.ndarray:
    return np.searchsorted(articles, np.arange(n + 1)).astype(np.int64)


def tfidf(counts: np.ndarray, idf: np.ndarray, indptr: np.ndarray) -> np.ndarray:
    """Weights float32 of scikit-learn's TfidfTransformer(sublinear_tf=True), rows L2-normalised.

    `counts` of each entry and its `idf`, both (n_entries,): the idf is the collection's, not the batch's.
    Columns don't matter to the weights, so none are numbered: every entry stands in column 0.
    """
    matrix = csr_matrix(
        (counts.astype(np.float32), np.zeros(len(counts), np.int32), indptr), shape=(len(indptr) - 1, 1)
    )
    matrix = TfidfTransformer(use_idf=False, sublinear_tf=True, norm=None).fit(matrix).transform(matrix)
    matrix.data *= idf
    return np.asarray(normalize(matrix, norm="l2", copy=False).data, np.float32)


def term_space(tokens: Tokens, statistics: TermStatistics, idf: np.ndarray) -> Space:
    """The bag of terms; a term is a name when the collection spells it so, or here if it can't tell."""
    words = np.empty(len(tokens.terms), np.uint64)
    words = np.sort(words[: _pack_terms(tokens.terms, tokens.flags, tokens.indptr, words)])
    starts, counts = _runs(words)
    detail = np.bitwise_or.reduceat(words, starts).astype(np.uint8) if len(starts) else np.zeros(0, np.uint8)
    heads = words[starts] >> np.uint64(12)
    keys = heads.astype(np.uint32)
    buckets = keys & np.uint32(len(idf) - 1)
    spelling = statistics.spelling[buckets]
    number = (detail & 2) > 0
    name = ~number & ((spelling > 0) | ((spelling == 0) & ((detail & 1) > 0)))
    indptr = _indptr((heads >> np.uint64(32)).astype(np.int64), tokens.n_articles)
    kinds = (NAME * name + NUMBER * number).astype(np.uint8)
    return Space(keys, tfidf(counts, idf[buckets], indptr), kinds, indptr)


def bigram_space(tokens: Tokens, idf: np.ndarray) -> Space:
    """Neighbouring tokens; idf is that of the two terms added, as if they met by chance."""
    words = np.empty(len(tokens.terms), np.uint64)
    words = np.sort(words[: _pack_bigrams(tokens.terms, tokens.flags, tokens.indptr, idf, words)])
    starts, counts = _runs(words)
    heads = words[starts] >> np.uint64(12)
    rarity = ((words[starts] & np.uint64(4095)) / _IDF_STEPS).astype(np.float32)
    indptr = _indptr((heads >> np.uint64(32)).astype(np.int64), tokens.n_articles)
    keys = heads.astype(np.uint32)
    return Space(keys, tfidf(counts, rarity, indptr), np.zeros(len(keys), np.uint8), indptr)


def build(tokens: Tokens, statistics: TermStatistics, shingle_size: int) -> Vectors:
    """Vectors of a batch of at most `MAX_ARTICLES` articles."""
    if tokens.n_articles > MAX_ARTICLES:
        raise ValueError(f"a batch holds at most {MAX_ARTICLES} articles, not {tokens.n_articles}")
    idf = statistics.idf()
    elements, indptr = np.empty(len(tokens.terms), np.uint32), np.empty(tokens.n_articles + 1, np.int64)
    n = shingle_elements(tokens.terms, tokens.flags, tokens.indptr, shingle_size, elements, indptr)
    rows = np.repeat(np.arange(tokens.n_articles, dtype=np.uint64), np.diff(indptr))
    words = distinct((rows << np.uint64(32)) | elements[:n])
    return Vectors(
        terms=term_space(tokens, statistics, idf),
        bigrams=bigram_space(tokens, idf),
        shingles=words.astype(np.uint32),
        shingle_indptr=_indptr((words >> np.uint64(32)).astype(np.int64), tokens.n_articles),
        sequence=elements[:n],
        sequence_indptr=indptr,
        n_tokens=np.diff(tokens.indptr),
    )
