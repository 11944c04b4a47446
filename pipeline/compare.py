"""Kernels that compare pairs of rows of two `Vectors`: cosines, overlaps and runs.

Pairs come ascending by left row. The keys of a left row go into a small hash table once, and every right
row of its pairs is probed against it: a few nanoseconds a key, with nothing sorted.
"""

from typing import Any

import numba as nb
import numpy as np

from pipeline.arrays import BYTES, F32, I32, I64, READ_F32, READ_I32, READ_I64, READ_U16, READ_U32, U64
from pipeline.shards import MAX_GROUPS
from pipeline.vectors import (
    NAME,
    NUMBER,
    RARE,
    RARITY_STEPS,
    TELLING,
    TOLD_IN_TITLE,
    VERY_RARE,
    log_count,
    told_weight,
)
from pipeline.wide import prefetch

# Columns of `term_sums`. Over all shared terms: products of weights, of names and numbers, of numbers; rarity
# beyond RARE and beyond VERY_RARE, and of numbers beyond TELLING.
DOT, DOT_NAMES, DOT_NUMBERS, RARE_SHARED, VERY_RARE_SHARED, RARE_NUMBERS_SHARED = range(6)
# Two columns each, for l and for r, over the shared terms as that side has them: rarity of names beyond RARE;
# squared weights; squared rarity in its lead, of names and numbers there, of those that are in the other's
# lead as well; weight of the terms that it repeats, that both repeat, that it repeats and are names and
# numbers; of the names and numbers in its title.
(
    RARE_NAMES_SHARED, SHARED, LEAD, LEAD_FACTS, LEAD_FACTS_IN_LEAD, REPEATS, REPEATED_BY_BOTH,
    REPEATED_FACTS, TITLE_FACTS,
) = range(6, 24, 2)  # fmt: skip
N_SUMS = 24
LINE_VALUES = 16  # of four bytes in a line of the cache
FILTER_WORDS = 64  # 4,096 bits: of articles of 350 terms one miss in twelve gets past it
FILTER_MASK = np.uint32(FILTER_WORDS - 1)


def _groups(array: Any) -> Any:
    """The type of a tuple of an array for each group."""
    return nb.types.UniTuple(array, MAX_GROUPS)  # type: ignore[no-untyped-call]


@nb.njit(cache=True, nogil=True, inline="always")
def _begin(ends, row):  # type: ignore[no-untyped-def]
    return ends[row - 1] if row > 0 else 0


@nb.njit(nb.int64(READ_I64, I64), cache=True, nogil=True)
def _longest(ends, rows):  # type: ignore[no-untyped-def]
    """Keys of the longest of some rows."""
    longest = 1
    for p in range(len(rows)):
        longest = max(longest, ends[rows[p]] - _begin(ends, rows[p]))
    return longest


@nb.njit(nb.int64(READ_I64, I64), cache=True, nogil=True)
def _room(ends, left):  # type: ignore[no-untyped-def]
    """Slots that the longest of the left rows needs: a power of two, at most half full."""
    size = 4
    while size < 2 * _longest(ends, left):
        size *= 2
    return size


@nb.njit(nb.uint32(nb.uint32, nb.uint32), cache=True, nogil=True, inline="always")
def _slot(key, mask):  # type: ignore[no-untyped-def]
    """First slot to look at; keys are hashes already, so folding their halves is enough."""
    return np.uint32(np.uint32(key ^ (key >> np.uint32(16))) & mask)


@nb.njit(nb.uint32(READ_U32, nb.int64, nb.int64, I32, U64), cache=True, nogil=True)
def _fill(keys, begin, end, slots, may_hold):  # type: ignore[no-untyped-def]
    """Puts keys[begin:end] (distinct) into slots, as index - begin + 1; returns the mask.

    `may_hold` uint64 (FILTER_WORDS,) gets a bit for each key: most keys of the other side miss it, which
    costs less than looking into the slots.
    """
    room = 4
    while room < 2 * (end - begin):
        room *= 2
    slots[:room] = 0
    may_hold[:] = 0
    mask = np.uint32(room - 1)
    for j in range(begin, end):
        key = keys[j]
        may_hold[(key >> np.uint32(6)) & FILTER_MASK] |= np.uint64(1) << np.uint64(key & np.uint32(63))
        slot = _slot(key, mask)
        while slots[slot] != 0:
            slot = np.uint32(np.uint32(slot + np.uint32(1)) & mask)
        slots[slot] = np.int32(j - begin + 1)
    return mask


@nb.njit(nb.int64(READ_U32, nb.int64, nb.int64, U64, I64), cache=True, nogil=True)
def _likely(keys, begin, end, may_hold, hits):  # type: ignore[no-untyped-def]
    """Indices of the keys[begin:end] that pass the filter, into `hits`; returns how many.

    Without a branch that could be mispredicted.
    """
    n = np.int64(0)
    for j in range(begin, end):
        key = keys[j]
        hits[n] = j
        word = may_hold[(key >> np.uint32(6)) & FILTER_MASK]
        n += np.int64((word >> np.uint64(key & np.uint32(63))) & np.uint64(1))
    return n


@nb.njit(nb.int64(READ_U32, nb.int64, I32, nb.uint32, nb.uint32), cache=True, nogil=True, inline="always")
def _probe(keys, begin, slots, mask, key):  # type: ignore[no-untyped-def]
    """Index of `key` among the filled keys, -1 where it is not."""
    slot = _slot(key, mask)
    while slots[slot] != 0:
        at = begin + slots[slot] - 1
        if keys[at] == key:
            return at
        slot = np.uint32(np.uint32(slot + np.uint32(1)) & mask)
    return -1


@nb.njit(cache=True, nogil=True, inline="always")
def _add_side(out, side, rarity, repeated, both_repeat, kind, in_lead, in_other_lead):  # type: ignore[no-untyped-def]
    """Adds a shared term to the sums of one side, 0 for l and 1 for r.

    Conditions are factors of 0 or 1: as branches they would be mispredicted.
    """
    is_fact = np.float32((kind & (NAME | NUMBER)) != 0)
    lead = in_lead * rarity * rarity
    out[REPEATS + side] += repeated
    out[REPEATED_BY_BOTH + side] += both_repeat * repeated
    out[REPEATED_FACTS + side] += is_fact * repeated
    out[LEAD + side] += lead
    out[LEAD_FACTS + side] += is_fact * lead
    out[LEAD_FACTS_IN_LEAD + side] += is_fact * lead * in_other_lead
    out[TITLE_FACTS + side] += is_fact * np.float32((kind & TOLD_IN_TITLE) != 0) * told_weight(rarity)


@nb.njit(nb.float32(nb.float32, nb.float32), cache=True, nogil=True, inline="always")
def _beyond(rarity, limit):  # type: ignore[no-untyped-def]
    return max(np.float32(0), np.float32(rarity - limit))


@nb.njit(
    nb.void(
        READ_U32, READ_F32, BYTES, READ_I32, READ_U16, READ_I64, READ_I32,
        _groups(READ_U32), _groups(READ_F32), _groups(BYTES), _groups(READ_I32), _groups(READ_I64),
        _groups(READ_I32), I64, I64, I64, nb.float32[:, ::1],
    ),
    cache=True, nogil=True,
)  # fmt: skip
def term_sums(  # type: ignore[no-untyped-def]
    keys_l, weights_l, kinds_l, counts_l, rarity_l, ends_l, lead_l,
    all_keys, all_weights, all_kinds, all_counts, all_ends, all_leads, left, group_r, right, out,
):  # fmt: skip
    """Sums over the terms that both articles of a pair have, out float32 (n_pairs, N_SUMS).

    The right rows are of MAX_GROUPS groups of articles, a tuple of arrays each: so all pairs of a left row
    come one after the other, and its table is filled once. A term's rarity is the collection's, the same on
    both sides.
    """
    slots = np.zeros(_room(ends_l, left), np.int32)
    may_hold = np.zeros(FILTER_WORDS, np.uint64)
    longest = 1
    for p in range(len(right)):
        ends_r = all_ends[group_r[p]]
        longest = max(longest, ends_r[right[p]] - _begin(ends_r, right[p]))
    hits = np.empty(longest + 1, np.int64)
    mask = np.uint32(0)
    previous = -1
    for p in range(len(left)):
        begin = _begin(ends_l, left[p])
        if left[p] != previous:
            previous = left[p]
            mask = _fill(keys_l, begin, ends_l[left[p]], slots, may_hold)
        group = group_r[p]
        keys_r, weights_r, kinds_r, counts_r = (
            all_keys[group], all_weights[group], all_kinds[group], all_counts[group]
        )  # fmt: skip
        begin_r, end_r = _begin(all_ends[group], right[p]), all_ends[group][right[p]]
        stop_lead_l, stop_lead_r = begin + lead_l[left[p]], begin_r + all_leads[group][right[p]]
        if p + 1 < len(left):
            group, row = group_r[p + 1], right[p + 1]
            first, last = _begin(all_ends[group], row), all_ends[group][row]
            # The next row lies anywhere in files of gigabytes: fetched now, it is there when its turn comes.
            for j in range(first, last, LINE_VALUES):
                prefetch(all_keys[group], j)
                prefetch(all_weights[group], j)
                prefetch(all_counts[group], j)
            for j in range(first, last, 4 * LINE_VALUES):
                prefetch(all_kinds[group], j)
        sums = out[p]
        sums[:] = 0
        dot = names = numbers = in_l = in_r = 0.0
        n_hits = _likely(keys_r, begin_r, end_r, may_hold, hits)
        for h in range(n_hits):
            j = hits[h]
            i = _probe(keys_l, begin, slots, mask, keys_r[j])
            if i < 0:
                continue
            product = weights_l[i] * weights_r[j]
            dot += product
            in_l += weights_l[i] * weights_l[i]
            in_r += weights_r[j] * weights_r[j]
            kind_l, kind_r = kinds_l[i], kinds_r[j]
            fact_l, fact_r = kind_l & (NAME | NUMBER), kind_r & (NAME | NUMBER)
            both_facts = np.float32(fact_l != 0 and fact_r != 0)
            # Of equal terms one may be written with a digit and the other without: Ⅳ and iv.
            both_numbers = np.float32(fact_l == NUMBER and fact_r == NUMBER)
            names += both_facts * product
            numbers += both_numbers * product
            if rarity_l[i] < TELLING * RARITY_STEPS:
                continue
            rarity = np.float32(rarity_l[i] / np.float32(RARITY_STEPS))
            rare = _beyond(rarity, np.float32(RARE))
            sums[RARE_SHARED] += rare
            sums[VERY_RARE_SHARED] += _beyond(rarity, np.float32(VERY_RARE))
            sums[RARE_NUMBERS_SHARED] += both_numbers * _beyond(rarity, np.float32(TELLING))
            sums[RARE_NAMES_SHARED] += np.float32(fact_l == NAME) * rare
            sums[RARE_NAMES_SHARED + 1] += np.float32(fact_r == NAME) * rare
            count_l, count_r = counts_l[i], counts_r[j]
            both_repeat = np.float32(count_l > 1 and count_r > 1)
            in_lead_l, in_lead_r = np.float32(i < stop_lead_l), np.float32(j < stop_lead_r)
            told = told_weight(rarity)
            repeated_l, repeated_r = told * log_count(count_l), told * log_count(count_r)
            _add_side(sums, 0, rarity, repeated_l, both_repeat, kind_l, in_lead_l, in_lead_r)
            _add_side(sums, 1, rarity, repeated_r, both_repeat, kind_r, in_lead_r, in_lead_l)
        sums[DOT], sums[DOT_NAMES], sums[DOT_NUMBERS] = dot, names, numbers
        sums[SHARED], sums[SHARED + 1] = in_l, in_r


@nb.njit(
    nb.void(READ_U32, READ_F32, READ_I64, READ_U32, READ_F32, READ_I64, I64, I64, F32), cache=True, nogil=True
)
def dots(keys_l, weights_l, ends_l, keys_r, weights_r, ends_r, left, right, out):  # type: ignore[no-untyped-def]
    """Dot product of each pair of rows, float32 (n_pairs,)."""
    slots = np.zeros(_room(ends_l, left), np.int32)
    may_hold = np.zeros(FILTER_WORDS, np.uint64)
    hits = np.empty(_longest(ends_r, right) + 1, np.int64)
    mask = np.uint32(0)
    previous = -1
    for p in range(len(left)):
        begin = _begin(ends_l, left[p])
        if left[p] != previous:
            previous = left[p]
            mask = _fill(keys_l, begin, ends_l[left[p]], slots, may_hold)
        dot = 0.0
        n_hits = _likely(keys_r, _begin(ends_r, right[p]), ends_r[right[p]], may_hold, hits)
        for h in range(n_hits):
            i = _probe(keys_l, begin, slots, mask, keys_r[hits[h]])
            if i >= 0:
                dot += weights_l[i] * weights_r[hits[h]]
        out[p] = dot


@nb.njit(nb.void(READ_U32, READ_I64, READ_U32, READ_I64, I64, I64, I64, I64), cache=True, nogil=True)
def overlaps(keys_l, ends_l, keys_r, ends_r, left, right, shared, longest):  # type: ignore[no-untyped-def]
    """Keys that each pair of rows has in common, and the most of them in a row on the right side."""
    slots = np.zeros(_room(ends_l, left), np.int32)
    may_hold = np.zeros(FILTER_WORDS, np.uint64)
    hits = np.empty(_longest(ends_r, right) + 1, np.int64)
    mask = np.uint32(0)
    previous = -1
    for p in range(len(left)):
        begin = _begin(ends_l, left[p])
        if left[p] != previous:
            previous = left[p]
            mask = _fill(keys_l, begin, ends_l[left[p]], slots, may_hold)
        n = run = best = 0
        last = -2
        n_hits = _likely(keys_r, _begin(ends_r, right[p]), ends_r[right[p]], may_hold, hits)
        for h in range(n_hits):
            if _probe(keys_l, begin, slots, mask, keys_r[hits[h]]) >= 0:
                n += 1
                run = run + 1 if hits[h] == last + 1 else 1
                last = hits[h]
                best = max(best, run)
        shared[p] = n
        longest[p] = best
