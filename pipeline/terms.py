"""Stage "terms": in how many articles each term stands, and how it is spelt in mid-sentence.

Terms are hashed into 2**bits buckets, so that counts are plain arrays which add up over shards; the table
grows with the collection (`bits_for`), and terms that share a bucket look a little less rare than they are.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numba as nb
import numpy as np
import numpy.typing as npt

from pipeline import common_words
from pipeline.array_files import ArrayFiles, map_npy, write_arrays
from pipeline.arrays import I32, READ_COUNTS, U32
from pipeline.bags import BAG_TYPES, Bags, bag
from pipeline.config import Config
from pipeline.furniture import masked_batches
from pipeline.shards import ShardGroup
from pipeline.tables import Ref, write_npy
from pipeline.wide import AHEAD, prefetch

# In a collection larger than the one that the rule was fitted on (30,000 articles and the prior's) terms of
# one story would get ever rarer, and what each article has alone count ever more (docs/decisions/0090).
MOST_RARITY = 10.0


@dataclass(frozen=True)
class TermStatistics:
    """`counts` int32 (2**bits, 2): what is known of the terms of each bucket, side by side.

    Column 0, `df`: articles that hold one of them. Column 1, `spelling`: occurrences with a capital minus
    those without, where case is free to say something (not after a full stop, not in a headline). Positive
    for names.
    """

    n_articles: int
    counts: npt.NDArray[np.int32]

    @classmethod
    def empty(cls, bits: int) -> "TermStatistics":
        """Nothing counted yet, in 2**bits buckets."""
        return cls(0, np.zeros((1 << bits, 2), np.int32))

    @property
    def df(self) -> npt.NDArray[np.int32]:
        """Articles that hold a term of the bucket, int32 (2**bits,)."""
        return self.counts[:, 0]

    @property
    def spelling(self) -> npt.NDArray[np.int32]:
        """Occurrences with a capital minus those without, int32 (2**bits,)."""
        return self.counts[:, 1]

    def buckets(self, terms: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
        """The bucket of each term, uint32."""
        return terms & np.uint32(len(self.counts) - 1)

    def idf(self, df: npt.NDArray[np.int32] | None = None) -> npt.NDArray[np.float32]:
        """ln((1 + n) / (1 + df)) + 1, float32: scikit-learn's smooth idf (TfidfTransformer), at most 11.

        Of the given counts of articles, or of every bucket.
        """
        df = self.df if df is None else df
        # In float32, which numpy vectorises.
        share = np.float32(1 + self.n_articles) / (np.float32(1) + df.astype(np.float32))
        idf: npt.NDArray[np.float32] = np.minimum(np.log(share), np.float32(MOST_RARITY)) + np.float32(1)
        return idf

    def rarity(self) -> npt.NDArray[np.float32]:
        """ln((1 + n) / (1 + df)) per bucket, float32: 0 for a term of every article, at most MOST_RARITY."""
        return self.idf() - np.float32(1)

    def save(self, path: Path) -> Ref:
        """Writes the counts as .npy; rows of the Ref: articles."""
        return write_npy(path, self.counts, self.n_articles)

    @classmethod
    def load(cls, ref: Ref) -> "TermStatistics":
        """What `save` wrote, mapped and read-only."""
        return cls(ref.rows, map_npy(ref.path))


@dataclass(frozen=True)
class Counted:
    """What one group of shards left: its counts, and the bags of its articles with `n_tokens` int64 (n,).

    `statistics` .npy int32 (n_buckets, 3): the buckets that articles hold a term of, ascending, with their
    two counts; rows of the Ref: articles. `n_tokens` counts furniture too.
    """

    statistics: Ref
    bags: ArrayFiles


def bits_for(n_bytes: int) -> int:
    """Bits of the table for `n_bytes` of text: a bucket per 32 to 64 bytes, 2**20 to 2**24 of them.

    Fewer than 2**20 save nothing, and terms of one bucket blur the cosines of a small collection.
    """
    return min(24, max(20, (n_bytes // 64).bit_length()))


@nb.njit(nb.void(U32, I32, nb.int32[:, ::1]), cache=True, nogil=True)
def _count(keys, spelt, counts):  # type: ignore[no-untyped-def]
    """Adds the distinct terms of articles to `counts`."""
    mask = np.uint32(len(counts) - 1)
    for j in range(len(keys)):
        # The table of a large collection is in no cache.
        if j + AHEAD < len(keys):
            prefetch(counts, np.int64(2 * (keys[j + AHEAD] & mask)))
        bucket = keys[j] & mask
        counts[bucket, 0] += 1
        counts[bucket, 1] += spelt[j]


class TermCounter:
    """Counts the terms of batches into one `TermStatistics`."""

    def __init__(self, bits: int) -> None:
        self._counts = TermStatistics.empty(bits).counts
        self._n = 0

    def add(self, bags: Bags, spelt: npt.NDArray[np.int32]) -> None:
        """Counts the articles of a batch, as `bag` gives them."""
        _count(bags.term_keys, spelt, self._counts)
        self._n += bags.n_articles

    def result(self) -> TermStatistics:
        """What was counted so far; shares its array with the counter."""
        return TermStatistics(self._n, self._counts)


def count(group: ShardGroup, tokens: Ref, masked: Ref, bits: int, config: Config, work: Path) -> Counted:
    """Counts the terms of a group of shards, furniture left out, and keeps their bags."""
    counter = TermCounter(bits)
    files = keep_bags(group, tokens, masked, config, work, counter)
    return Counted(save_held(work / f"terms-{group.number:03d}.npy", counter.result()), files)


@nb.njit(nb.int32[:, ::1](nb.int32[:, ::1]), cache=True, nogil=True)
def _held(counts):  # type: ignore[no-untyped-def]
    """The buckets whose first count isn't 0, ascending, int32 (n, 3): bucket and counts."""
    n = 0
    for bucket in range(len(counts)):
        n += counts[bucket, 0] != 0
    rows = np.empty((n + 1, 3), np.int32)  # no branches: what is not kept is overwritten
    n = 0
    for bucket in range(len(counts)):
        rows[n, 0], rows[n, 1], rows[n, 2] = bucket, counts[bucket, 0], counts[bucket, 1]
        n += counts[bucket, 0] != 0
    return rows[:n]


@nb.njit(nb.void(READ_COUNTS, nb.int32[:, ::1]), cache=True, nogil=True)
def _add_held(rows, counts):  # type: ignore[no-untyped-def]
    """Adds to `counts` what `_held` kept of others."""
    for k in range(len(rows)):
        counts[rows[k, 0], 0] += rows[k, 1]
        counts[rows[k, 0], 1] += rows[k, 2]


def save_held(path: Path, statistics: TermStatistics) -> Ref:
    """Writes the counts that aren't 0, as `Counted` has them: most buckets of a group are empty."""
    return write_npy(path, _held(statistics.counts), statistics.n_articles)


def keep_bags(
    group: ShardGroup,
    tokens: Ref,
    masked: Ref,
    config: Config,
    work: Path,
    counter: TermCounter | None = None,
) -> ArrayFiles:
    """The bags of a group of shards, furniture left out, which `counter` counts."""

    def bags() -> Iterator[dict[str, npt.NDArray[np.generic]]]:
        for kept in masked_batches(group, tokens, masked, config):
            own, spelt = bag(kept)
            if counter is not None:
                counter.add(own, spelt)
            yield {**vars(own), "n_tokens": np.diff(kept.indptr)}

    return write_arrays(group, {**BAG_TYPES, "n_tokens": np.int64}, bags(), work)


def with_prior(statistics: TermStatistics) -> TermStatistics:
    """The statistics with articles of news at large added: the prior's, and what a small collection lacks.

    A collection of a few articles can't tell common words from rare ones by itself; in a large one the
    prior counts nothing.
    """
    lists = [(common_words.words_of("common_words"), common_words.PRIOR_ARTICLES)]
    n_lacking = common_words.FITTED_ARTICLES - statistics.n_articles
    if n_lacking > 0:
        news = common_words.words_of("news_words")
        known = statistics.df[np.unique(statistics.buckets(news.terms))].sum()
        if known >= common_words.LEAST_KNOWN * statistics.df.sum():
            lists.append((news, n_lacking))
    counts = statistics.counts.copy()
    for words, n in lists:
        np.add.at(counts[:, 0], statistics.buckets(words.terms), np.round(n * words.shares).astype(np.int32))
    return TermStatistics(statistics.n_articles + sum(n for _, n in lists), counts)


def merge(parts: Sequence[Counted], bits: int, work: Path) -> Ref:
    """Adds up the counts of all groups in 2**bits buckets, and of the prior; rows of the result: articles."""
    counts = TermStatistics.empty(bits).counts
    for part in parts:
        _add_held(map_npy(part.statistics.path), counts)
    total = with_prior(TermStatistics(sum(part.statistics.rows for part in parts), counts))
    # An article that holds two terms of a bucket has counted twice.
    np.minimum(total.df, total.n_articles, out=total.df)
    return total.save(work / "terms.npy")
