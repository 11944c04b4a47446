"""The distinct terms of every article, counted once for statistics, signatures and weights."""

from dataclasses import dataclass
from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt

from pipeline.arrays import BYTES, I32, I64, READ_I64, READ_U32, U8, U32
from pipeline.minhash import fmix32
from pipeline.text import KeptTokens
from pipeline.token_scan import CAPITAL, CASE_OWED, DIGIT, FURNITURE, TITLE

# Tokens of the title and the body's beginning that say what an article is about: a headline and a paragraph
# or two. Furniture is not counted.
LEAD_TOKENS = 60
# How often an article uses a term counts by its logarithm: more than this is as good as this.
MOST_COUNTED = 255


@dataclass(frozen=True)
class Bags:
    """Distinct terms of n articles in the order of first appearance, furniture left out.

    Article i has [term_ends[i - 1], term_ends[i]), from 0 for i = 0, of `term_keys` uint32, `term_counts`
    uint8 (MOST_COUNTED for more) and `term_flags` uint8 (those of the first token). `term_ends` int64 (n,).
    `lead_sizes` int32 (n,): how many of an article's terms, the first ones, stand in its lead.
    """

    term_keys: npt.NDArray[np.uint32]
    term_counts: npt.NDArray[np.uint8]
    term_flags: npt.NDArray[np.uint8]
    term_ends: npt.NDArray[np.int64]
    lead_sizes: npt.NDArray[np.int32]

    @property
    def n_articles(self) -> int:
        """Articles of the bags."""
        return len(self.term_ends)

    def some(self, begin: int, end: int) -> "Bags":
        """The bags of the articles [begin, end), which share these arrays but for their ends."""
        first = int(self.term_ends[begin - 1]) if begin else 0
        own = slice(first, int(self.term_ends[end - 1]) if end else 0)
        ends = self.term_ends[begin:end] - first
        lead_sizes = self.lead_sizes[begin:end]
        return Bags(self.term_keys[own], self.term_counts[own], self.term_flags[own], ends, lead_sizes)

    @classmethod
    def of(cls, arrays: dict[str, npt.NDArray[Any]]) -> "Bags":
        """From arrays by name, as the files hold them."""
        return cls(**{name: arrays[name] for name in BAG_TYPES})


BAG_TYPES = {
    "term_keys": np.uint32, "term_counts": np.uint8, "term_flags": np.uint8, "term_ends": np.int64,
    "lead_sizes": np.int32,
}  # fmt: skip


@nb.njit(nb.int64(nb.int64), cache=True, nogil=True)
def n_slots(n):  # type: ignore[no-untyped-def]
    """Slots for n keys: a power of two, at most half full."""
    room = 4
    while room < 2 * n:
        room *= 2
    return room


@nb.njit(I32(READ_I64), cache=True, nogil=True)
def empty_slots(indptr):  # type: ignore[no-untyped-def]
    """Slots int32 that are enough for each of the rows."""
    longest = 0
    for i in range(len(indptr) - 1):
        longest = max(longest, indptr[i + 1] - indptr[i])
    return np.zeros(n_slots(longest), np.int32)


@nb.njit(nb.int64(READ_U32, BYTES, I64, U32, U8, U8, I32, I64, I32), cache=True, nogil=True)
def _bag(terms, flags, indptr, keys, counts, first_flags, spelt, ends, lead_sizes):  # type: ignore[no-untyped-def]
    """Fills the arrays of `Bags`, and `spelt`: tokens with a capital less those without, where case is free.

    Returns how many terms there are.
    """
    slots = empty_slots(indptr)
    n = np.uint64(0)  # unsigned, an index isn't asked whether it counts from the end
    for i in range(len(indptr) - 1):
        start = n
        room = n_slots(indptr[i + 1] - indptr[i])
        slots[:room] = 0
        mask = np.uint32(room - 1)
        place = lead = 0
        for j in range(np.uint64(indptr[i]), np.uint64(indptr[i + 1])):
            flag = flags[j]
            if flag & FURNITURE:
                continue
            key = terms[j]
            # Hashes already, but their lowest bits choose the buckets of the statistics.
            slot = np.uint32(np.uint32(key >> np.uint32(7)) & mask)
            while slots[slot] != 0 and keys[start + np.uint64(slots[slot] - 1)] != key:
                slot = np.uint32(np.uint32(slot + np.uint32(1)) & mask)
            # No branches: whether a term is new can't be foretold.
            is_new = slots[slot] == 0
            at = n if is_new else start + np.uint64(slots[slot] - 1)
            n += np.uint64(is_new)
            slots[slot] = np.int32(at - start) + 1
            keys[at] = key
            counts[at] = min((0 if is_new else np.int64(counts[at])) + 1, MOST_COUNTED)
            first_flags[at] = flag if is_new else first_flags[at]
            says = (flag & (CASE_OWED | TITLE | DIGIT)) == 0
            spelt[at] = (0 if is_new else spelt[at]) + says * (1 if flag & CAPITAL else -1)
            lead += is_new & (place < LEAD_TOKENS)
            place += 1
        lead_sizes[i] = lead
        ends[i] = n
    return np.int64(n)


def bag(tokens: KeptTokens) -> tuple[Bags, npt.NDArray[np.int32]]:
    """The bags of a batch, and how each term is spelt, int32 (n_terms,).

    That is its tokens with a capital less those without, where case is free to say something: not after a
    full stop, not in a headline.
    """
    room = len(tokens.terms)
    keys, counts, flags = np.empty(room, np.uint32), np.empty(room, np.uint8), np.empty(room, np.uint8)
    spelt, ends = np.empty(room, np.int32), np.empty(tokens.n_articles, np.int64)
    lead_sizes = np.empty(tokens.n_articles, np.int32)
    n = _bag(tokens.terms, tokens.flags, tokens.indptr, keys, counts, flags, spelt, ends, lead_sizes)
    return Bags(keys[:n], counts[:n], flags[:n], ends, lead_sizes), spelt[:n]


@nb.njit(nb.int64(READ_U32, READ_I64, U32, I32, I64, I64), cache=True, nogil=True)
def distinct_rows(keys, indptr, out_keys, counts, first, ends):  # type: ignore[no-untyped-def]
    """The distinct keys of each row in order of appearance, their counts, and where each stands first.

    `ends` int64 (n_rows,): where each row ends in the output. Returns how many there are.
    """
    slots = empty_slots(indptr)
    n = 0
    for i in range(len(indptr) - 1):
        start = n
        room = n_slots(indptr[i + 1] - indptr[i])
        slots[:room] = 0
        mask = np.uint32(room - 1)
        for j in range(indptr[i], indptr[i + 1]):
            key = keys[j]
            slot = np.uint32(fmix32(key) & mask)
            while slots[slot] != 0 and out_keys[start + slots[slot] - 1] != key:
                slot = np.uint32(np.uint32(slot + np.uint32(1)) & mask)
            if slots[slot] == 0:
                out_keys[n] = key
                counts[n] = 1
                first[n] = j
                n += 1
                slots[slot] = np.int32(n - start)
            else:
                counts[start + slots[slot] - 1] += 1
        ends[i] = n
    return n
