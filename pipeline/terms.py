"""Stage "terms": in how many articles each term stands, and how it is spelt in mid-sentence.

Terms are hashed into 2**bits buckets, so that counts are plain arrays which add up over shards; the table
grows with the collection (`bits_for`), and terms that share a bucket look a little less rare than they are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numba as nb
import numpy as np
import numpy.typing as npt

from pipeline import common_words
from pipeline.arrays import I32, I64, READ_U32, U8, U32
from pipeline.config import Config
from pipeline.furniture import masked_batches
from pipeline.shards import ShardGroup
from pipeline.tables import Ref, atomic_file, file_ref
from pipeline.text import KeptTokens
from pipeline.token_scan import CAPITAL, CASE_OWED, DIGIT, FURNITURE, TITLE


@dataclass(frozen=True)
class TermStatistics:
    """`df` uint32 (2**bits,): articles that hold a term of the bucket.

    `spelling` int32 (2**bits,): occurrences with a capital minus those without, where case is free to say
    something (not after a full stop, not in a headline). Positive for names.
    """

    n_articles: int
    df: npt.NDArray[np.uint32]
    spelling: npt.NDArray[np.int32]

    @classmethod
    def empty(cls, bits: int) -> "TermStatistics":
        """Nothing counted yet, in 2**bits buckets."""
        return cls(0, np.zeros(1 << bits, np.uint32), np.zeros(1 << bits, np.int32))

    def __add__(self, other: "TermStatistics") -> "TermStatistics":
        return TermStatistics(
            self.n_articles + other.n_articles, self.df + other.df, self.spelling + other.spelling
        )

    def idf(self) -> npt.NDArray[np.float32]:
        """ln((1 + n) / (1 + df)) + 1 per bucket, float32: scikit-learn's smooth idf (TfidfTransformer)."""
        return (np.log((1 + self.n_articles) / (1.0 + self.df)) + 1).astype(np.float32)

    def rarity(self) -> npt.NDArray[np.float32]:
        """ln((1 + n) / (1 + df)) per bucket, float32: 0 for a term of every article."""
        return self.idf() - np.float32(1)

    def save(self, path: Path) -> Ref:
        """Writes the counts as .npz; rows of the Ref: articles."""
        with atomic_file(path) as file:
            np.savez(file, n_articles=np.int64(self.n_articles), df=self.df, spelling=self.spelling)
        return file_ref(path, self.n_articles)

    @classmethod
    def load(cls, path: str | Path) -> "TermStatistics":
        """Reads what `save` wrote."""
        with np.load(path) as kept:
            return cls(int(kept["n_articles"]), kept["df"], kept["spelling"])


def bits_for(n_bytes: int) -> int:
    """Bits of the table for `n_bytes` of text: a bucket per 32 to 64 bytes, 2**16 to 2**24 of them."""
    return min(24, max(16, (n_bytes // 64).bit_length()))


@nb.njit(nb.void(READ_U32, U8, I64, U32, I32, U32, nb.uint32), cache=True, nogil=True)
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

    def add(self, tokens: KeptTokens) -> None:
        """Counts a batch, furniture left out."""
        _count(
            tokens.terms, tokens.flags, tokens.indptr,
            self._statistics.df, self._statistics.spelling, self._seen, np.uint32(self._n),
        )  # fmt: skip
        self._n += tokens.n_articles

    def result(self) -> TermStatistics:
        """What was counted so far; shares its arrays with the counter."""
        return TermStatistics(self._n, self._statistics.df, self._statistics.spelling)


def count(group: ShardGroup, tokens: Ref, masked: Ref, bits: int, config: Config, work: Path) -> Ref:
    """Counts the terms of a group of shards, furniture left out."""
    counter = TermCounter(bits)
    for kept in masked_batches(group, tokens, masked, config):
        counter.add(kept)
    return counter.result().save(work / f"terms-{group.number:03d}.npz")


def with_prior(statistics: TermStatistics) -> TermStatistics:
    """The statistics with `common_words.PRIOR_ARTICLES` articles of news at large added.

    A collection of a few articles can't tell common words from rare ones by itself; in a large one the
    prior counts nothing.
    """
    terms, counts = common_words.prior()
    df = statistics.df.copy()
    np.add.at(df, terms & np.uint32(len(df) - 1), counts)
    return TermStatistics(statistics.n_articles + common_words.PRIOR_ARTICLES, df, statistics.spelling)


def merge(parts: Sequence[Ref], work: Path) -> Ref:
    """Adds up the counts of all groups, and of the prior; rows of the result: articles."""
    total = TermStatistics.load(parts[0].path)
    for part in parts[1:]:
        total = total + TermStatistics.load(part.path)
    total = with_prior(total)
    return total.save(work / "terms.npz")
