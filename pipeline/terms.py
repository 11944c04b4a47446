"""Stage "terms": in how many articles each term stands, and how it is spelt in mid-sentence.

Terms are hashed into 2**bits buckets, so that counts are plain arrays which add up over shards; the table
grows with the collection (`bits_for`), and terms that share a bucket look a little less rare than they are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numba as nb
import numpy as np

from pipeline.config import Config
from pipeline.furniture import FurnitureMask, tokenise_masked
from pipeline.shards import ShardGroup, article_batches
from pipeline.tables import Ref, atomic_file, file_ref
from pipeline.tokens import CAPITAL, CASE_OWED, DIGIT, FURNITURE, TITLE, Tokens

_U32, _U8, _I64, _I32 = nb.uint32[::1], nb.uint8[::1], nb.int64[::1], nb.int32[::1]


@dataclass(frozen=True)
class TermStatistics:
    """`df` uint32 (2**bits,): articles that hold a term of the bucket.

    `spelling` int32 (2**bits,): occurrences with a capital minus those without, where case is free to say
    something (not after a full stop, not in a headline). Positive for names.
    """

    n_articles: int
    df: np.ndarray
    spelling: np.ndarray

    @classmethod
    def empty(cls, bits: int) -> "TermStatistics":
        return cls(0, np.zeros(1 << bits, np.uint32), np.zeros(1 << bits, np.int32))

    def __add__(self, other: "TermStatistics") -> "TermStatistics":
        return TermStatistics(
            self.n_articles + other.n_articles, self.df + other.df, self.spelling + other.spelling
        )

    def idf(self) -> np.ndarray:
        """ln((1 + n) / (1 + df)) + 1 per bucket, float32: scikit-learn's smooth idf (TfidfTransformer)."""
        return (np.log((1 + self.n_articles) / (1.0 + self.df)) + 1).astype(np.float32)

    def save(self, path: Path) -> Ref:
        with atomic_file(path) as file:
            np.savez(file, n_articles=np.int64(self.n_articles), df=self.df, spelling=self.spelling)
        return file_ref(path, self.n_articles)

    @classmethod
    def load(cls, path: str | Path) -> "TermStatistics":
        with np.load(path) as kept:
            return cls(int(kept["n_articles"]), kept["df"], kept["spelling"])


def bits_for(n_bytes: int) -> int:
    """Size of the table for a collection of `n_bytes` of text: about a bucket per 32 bytes, 2**16 to 2**24."""
    return min(24, max(16, (n_bytes // 32).bit_length()))


@nb.njit(nb.void(_U32, _U8, _I64, _U32, _I32, _U32, nb.uint32), cache=True, nogil=True)
def _count(terms, flags, indptr, df, spelling, seen, stamp):  # type: ignore[no-untyped-def]
    """Adds a batch to `df` and `spelling`; `seen` holds the stamp of the last article that had the term."""
    mask = np.uint32(len(df) - 1)
    for i in range(len(indptr) - 1):
        stamp = np.uint32(stamp + np.uint32(1))
        for j in range(indptr[i], indptr[i + 1]):
            if flags[j] & FURNITURE:
                continue
            bucket = terms[j] & mask
            if seen[bucket] != stamp:
                seen[bucket] = stamp
                df[bucket] += np.uint32(1)
            if not flags[j] & (CASE_OWED | TITLE | DIGIT):
                spelling[bucket] += 1 if flags[j] & CAPITAL else -1


class TermCounter:
    """Counts the terms of batches into one `TermStatistics`."""

    def __init__(self, bits: int) -> None:
        self._statistics = TermStatistics.empty(bits)
        self._seen = np.zeros(1 << bits, np.uint32)
        self._n = 0

    def add(self, tokens: Tokens) -> None:
        _count(
            tokens.terms, tokens.flags, tokens.indptr,
            self._statistics.df, self._statistics.spelling, self._seen, np.uint32(self._n),
        )  # fmt: skip
        self._n += tokens.n_articles

    def result(self) -> TermStatistics:
        return TermStatistics(self._n, self._statistics.df, self._statistics.spelling)


def count(group: ShardGroup, masked: Ref, bits: int, config: Config, work: Path) -> Ref:
    """Counts the terms of a group of shards, furniture left out."""
    mask = FurnitureMask(masked, config)
    counter = TermCounter(bits)
    for batch in article_batches(group):
        counter.add(tokenise_masked(batch, mask))
    return counter.result().save(work / f"terms-{group.number:03d}.npz")


def merge(parts: Sequence[Ref], work: Path) -> Ref:
    """Adds up the counts of all groups; rows of the result: articles."""
    total = TermStatistics.load(parts[0].path)
    for part in parts[1:]:
        total = total + TermStatistics.load(part.path)
    return total.save(work / "terms.npz")
