"""Kernels that compare pairs of rows of `TermVectors` or `Wording`: cosines, overlaps and runs.

Pairs come ascending by left row. The keys of a left row go into a small hash table once, and every right
row of its pairs is probed against it: a few nanoseconds a key, with nothing sorted.
"""

from typing import Any

import numba as nb
import numpy as np

from pipeline.arrays import BYTES, F32, I32, I64, READ_F32, READ_I32, READ_I64, READ_U16, READ_U32, U32
from pipeline.shards import MAX_GROUPS
from pipeline.vectors import (
    NAME,
    NUMBER,
    RARE,
    TELLING,
    TOLD_IN_TITLE,
    VERY_RARE,
    log_count,
    rarity_of,
    tf_idf_of,
    told_weight,
)
from pipeline.wide import prefetch
from pipeline.wording import TOLD_STEPS

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
IN_LEAD = 8  # joins the bits of a term's kind
LINE_VALUES = 16  # of four bytes in a line of the cache
LEAST_SLOTS = 1 << 14  # of rows of 380 keys one miss in forty meets a key
# Columns of `overlaps`. QUOTE: keys in a row from which on they are quoted. Of shingles of 5 tokens that is a
# short paragraph of news, 28 tokens; two reporters of one speech share a sentence.
SHARED_KEYS, LONGEST_RUN, QUOTED = range(3)
QUOTE = 24
# Columns of `bigram_sums`. A stretch of more bigrams than LONGEST_STRETCH is no place: there the two just go
# on differently.
DOT_BIGRAMS, FACTS, PLACES = range(3)
N_BIGRAM_SUMS = 3
LONGEST_STRETCH = 9
# What lets a loop add up in as many places as a register has; the same machine gives the same sum.
SUMS_IN_ANY_ORDER = {"reassoc", "nsz"}


def in_groups(array: Any) -> Any:
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


@nb.njit(I32(nb.int64), cache=True, nogil=True)
def _slots(n_keys):  # type: ignore[no-untyped-def]
    """Empty slots for so many keys: a power of two, and so many that most keys of another row meet none.

    LEAST_SLOTS fill the first cache or two; a search past other keys would be mispredicted.
    """
    size = LEAST_SLOTS
    while size < 4 * n_keys:
        size *= 2
    return np.zeros(size, np.int32)


@nb.njit(cache=True, nogil=True, inline="always")
def _slot(key, mask):  # type: ignore[no-untyped-def]
    """First slot to look at; keys are hashes already, so folding their halves is enough."""
    return np.uint32(np.uint32(key ^ (key >> np.uint32(16))) & mask)


@nb.njit(nb.void(READ_U32, nb.int64, nb.int64, I32, U32, nb.int64), cache=True, nogil=True)
def _fill(keys, begin, end, slots, used, n_used):  # type: ignore[no-untyped-def]
    """Puts keys[begin:end] (distinct) into slots, as index - begin + 1, in the stead of those before.

    `used` uint32 has the `n_used` slots that are taken, and gets those of these keys.
    """
    for k in range(n_used):
        slots[used[k]] = 0
    mask = np.uint32(len(slots) - 1)
    for j in range(begin, end):
        slot = _slot(keys[j], mask)
        while slots[slot] != 0:
            slot = np.uint32(np.uint32(slot + np.uint32(1)) & mask)
        slots[slot] = np.int32(j - begin + 1)
        used[j - begin] = slot


@nb.njit(nb.int64(READ_U32, nb.int64, I32, READ_U32, nb.int64, nb.int64, I64, I64), cache=True, nogil=True)
def _matches(keys_l, begin, slots, keys_r, begin_r, end_r, at_l, at_r):  # type: ignore[no-untyped-def]
    """Finds the keys_r[begin_r:end_r] among the filled keys; returns how many there are.

    `at_l` and `at_r` get where they stand in `keys_l` and `keys_r`, in the order of the latter. Nothing
    branches on whether a key is there, which could not be predicted.
    """
    mask = np.uint32(len(slots) - 1)
    n_likely = np.uint64(0)  # unsigned, an index isn't asked whether it counts from the end
    for j in range(np.uint64(begin_r), np.uint64(end_r)):
        at_r[n_likely] = j
        n_likely += np.uint64(slots[_slot(keys_r[j], mask)] != 0)
    n = np.uint64(0)
    for h in range(n_likely):
        k = np.uint64(at_r[h])
        key = keys_r[k]
        slot = _slot(key, mask)
        i = begin + slots[slot] - 1
        while slots[slot] != 0 and keys_l[i] != key:
            slot = np.uint32(np.uint32(slot + np.uint32(1)) & mask)
            i = begin + slots[slot] - 1
        at_l[n], at_r[n] = i, k
        n += np.uint64(i >= begin)
    return np.int64(n)


@nb.njit(cache=True, nogil=True, inline="always")
def _beyond(rarity, limit):  # type: ignore[no-untyped-def]
    return max(np.float32(0), np.float32(rarity - limit))


@nb.njit(nb.void(nb.int64, F32, F32, I32, I32, F32, F32), cache=True, nogil=True, fastmath=SUMS_IN_ANY_ORDER)
def _sum_both(n, tf_idf_l, tf_idf_r, kinds_l, kinds_r, rarities, sums):  # type: ignore[no-untyped-def]
    """The columns of `term_sums` that the two sides share, of n terms that both have."""
    fact, number, none = np.int32(NAME | NUMBER), np.int32(NUMBER), np.float32(0)
    dot = names = numbers = in_l = in_r = none
    rare = very_rare = rare_numbers = rare_names_l = rare_names_r = none
    for h in range(n):
        weight_l, weight_r = tf_idf_l[h], tf_idf_r[h]
        product = weight_l * weight_r
        kind_l, kind_r = kinds_l[h] & fact, kinds_r[h] & fact
        # Of equal terms one may be written with a digit and the other without: Ⅳ and iv.
        both_numbers = (kind_l == number) & (kind_r == number)
        dot += product
        names += product if (kind_l != 0) & (kind_r != 0) else none
        numbers += product if both_numbers else none
        in_l += weight_l * weight_l
        in_r += weight_r * weight_r
        rarity = rarities[h]
        beyond = _beyond(rarity, np.float32(RARE))
        rare += beyond
        very_rare += _beyond(rarity, np.float32(VERY_RARE))
        rare_numbers += _beyond(rarity, np.float32(TELLING)) if both_numbers else none
        rare_names_l += beyond if kind_l == NAME else none
        rare_names_r += beyond if kind_r == NAME else none
    sums[DOT], sums[DOT_NAMES], sums[DOT_NUMBERS] = dot, names, numbers
    sums[SHARED], sums[SHARED + 1] = in_l, in_r
    sums[RARE_SHARED], sums[VERY_RARE_SHARED], sums[RARE_NUMBERS_SHARED] = rare, very_rare, rare_numbers
    sums[RARE_NAMES_SHARED], sums[RARE_NAMES_SHARED + 1] = rare_names_l, rare_names_r


@nb.njit(
    nb.void(nb.int64, I32, I32, F32, F32, F32, nb.int64, F32),
    cache=True, nogil=True, fastmath=SUMS_IN_ANY_ORDER,
)  # fmt: skip
def _sum_side(n, kinds, kinds_other, logs, logs_other, rarities, side, sums):  # type: ignore[no-untyped-def]
    """The columns of `term_sums` of one side, 0 for l and 1 for r, of n terms that both have.

    `logs` are the `log_count` of each: 0 of what is said once.
    """
    none, lead_bit = np.float32(0), np.int32(IN_LEAD)
    repeats = by_both = repeated_facts = lead = lead_facts = in_both_leads = title_facts = none
    for h in range(n):
        rarity = rarities[h]
        told = told_weight(rarity)
        is_fact = (kinds[h] & np.int32(NAME | NUMBER)) != 0
        repeated = told * logs[h]
        repeats += repeated
        by_both += repeated if logs_other[h] > none else none
        repeated_facts += repeated if is_fact else none
        leads = ((kinds[h] & lead_bit) != 0) & (rarity >= np.float32(TELLING))
        in_lead = rarity * rarity if leads else none
        lead += in_lead
        fact_in_lead = in_lead if is_fact else none
        lead_facts += fact_in_lead
        in_both_leads += fact_in_lead if (kinds_other[h] & lead_bit) != 0 else none
        title_facts += told if is_fact & ((kinds[h] & np.int32(TOLD_IN_TITLE)) != 0) else none
    sums[REPEATS + side], sums[REPEATED_BY_BOTH + side] = repeats, by_both
    sums[REPEATED_FACTS + side], sums[LEAD + side] = repeated_facts, lead
    sums[LEAD_FACTS + side], sums[LEAD_FACTS_IN_LEAD + side] = lead_facts, in_both_leads
    sums[TITLE_FACTS + side] = title_facts


@nb.njit(
    nb.void(
        READ_U32, BYTES, BYTES, READ_U16, READ_I64, READ_I32,
        in_groups(READ_U32), in_groups(BYTES), in_groups(BYTES), in_groups(READ_I64), in_groups(READ_I32),
        I64, I64, I64, nb.float32[:, ::1],
    ),
    cache=True, nogil=True,
)  # fmt: skip
def term_sums(  # type: ignore[no-untyped-def]
    keys_l, kinds_l, counts_l, rarity_l, ends_l, leads_l,
    all_keys, all_kinds, all_counts, all_ends, all_leads, left, group_r, right, out,
):  # fmt: skip
    """Sums over the terms that both articles of a pair have, out float32 (n_pairs, N_SUMS).

    The right rows are of MAX_GROUPS groups of articles, a tuple of arrays each: so all pairs of a left row
    come one after the other, and its table is filled once. A term's rarity is the collection's, the same on
    both sides. Weights are not normalised.
    """
    longest_l = _longest(ends_l, left)
    slots, used, n_used = _slots(longest_l), np.empty(longest_l, np.uint32), np.int64(0)
    longest = 1
    for p in range(len(right)):
        ends_r = all_ends[group_r[p]]
        longest = max(longest, ends_r[right[p]] - _begin(ends_r, right[p]))
    at_l, at_r = np.empty(longest + 1, np.int64), np.empty(longest + 1, np.int64)
    tf_idf_l, tf_idf_r = np.empty(longest, np.float32), np.empty(longest, np.float32)
    logs_l, logs_r = np.empty(longest, np.float32), np.empty(longest, np.float32)
    shared_kinds_l, shared_kinds_r = np.empty(longest, np.int32), np.empty(longest, np.int32)
    rarities = np.empty(longest, np.float32)
    begin = np.int64(0)
    stop_lead_l = np.uint64(0)
    previous = -1
    for p in range(len(left)):
        if left[p] != previous:
            previous = left[p]
            begin = _begin(ends_l, previous)
            _fill(keys_l, begin, ends_l[previous], slots, used, n_used)
            n_used = ends_l[previous] - begin
            stop_lead_l = np.uint64(begin + leads_l[previous])
        group = group_r[p]
        keys_r, kinds_r, counts_r = all_keys[group], all_kinds[group], all_counts[group]
        begin_r, end_r = _begin(all_ends[group], right[p]), all_ends[group][right[p]]
        stop_lead_r = np.uint64(begin_r + all_leads[group][right[p]])
        if p + 1 < len(left):
            group, row = group_r[p + 1], right[p + 1]
            first, last = _begin(all_ends[group], row), all_ends[group][row]
            # The next row lies anywhere in files of gigabytes: fetched now, it is there when its turn comes.
            for j in range(first, last, LINE_VALUES):
                prefetch(all_keys[group], j)
            for j in range(first, last, 4 * LINE_VALUES):
                prefetch(all_counts[group], j)
                prefetch(all_kinds[group], j)
        n = _matches(keys_l, begin, slots, keys_r, begin_r, end_r, at_l, at_r)
        for h in range(n):
            i, k = np.uint64(at_l[h]), np.uint64(at_r[h])
            rarity, log_l, log_r = rarity_of(rarity_l[i]), log_count(counts_l[i]), log_count(counts_r[k])
            rarities[h] = rarity
            logs_l[h], logs_r[h] = log_l, log_r
            tf_idf_l[h], tf_idf_r[h] = tf_idf_of(log_l, rarity), tf_idf_of(log_r, rarity)
            shared_kinds_l[h] = np.int32(kinds_l[i]) | (np.int32(IN_LEAD) * np.int32(i < stop_lead_l))
            shared_kinds_r[h] = np.int32(kinds_r[k]) | (np.int32(IN_LEAD) * np.int32(k < stop_lead_r))
        _sum_both(n, tf_idf_l, tf_idf_r, shared_kinds_l, shared_kinds_r, rarities, out[p])
        _sum_side(n, shared_kinds_l, shared_kinds_r, logs_l, logs_r, rarities, 0, out[p])
        _sum_side(n, shared_kinds_r, shared_kinds_l, logs_r, logs_l, rarities, 1, out[p])


@nb.njit(nb.void(READ_U32, READ_I64, READ_U32, READ_I64, I64, I64, nb.int64[:, ::1]), cache=True, nogil=True)
def overlaps(keys_l, ends_l, keys_r, ends_r, left, right, out):  # type: ignore[no-untyped-def]
    """Keys that each pair of rows has in common, out int64 (n_pairs, 3).

    How many they are (SHARED_KEYS), the most of them in a row on the right side (LONGEST_RUN), and those
    that stand there in rows of QUOTE or more (QUOTED).
    """
    longest_l, most = _longest(ends_l, left), _longest(ends_r, right)
    slots, used, n_used = _slots(longest_l), np.empty(longest_l, np.uint32), np.int64(0)
    at_l, at_r = np.empty(most + 1, np.int64), np.empty(most + 1, np.int64)
    previous = -1
    for p in range(len(left)):
        begin = _begin(ends_l, left[p])
        if left[p] != previous:
            previous = left[p]
            _fill(keys_l, begin, ends_l[left[p]], slots, used, n_used)
            n_used = ends_l[left[p]] - begin
        begin_r, end_r = _begin(ends_r, right[p]), ends_r[right[p]]
        n = _matches(keys_l, begin, slots, keys_r, begin_r, end_r, at_l, at_r)
        run = best = quoted = 0
        for h in range(n):
            run = run + 1 if h > 0 and at_r[h] == at_r[h - 1] + 1 else 1
            best = max(best, run)
            if run >= QUOTE:
                quoted += QUOTE if run == QUOTE else 1
        out[p, SHARED_KEYS] = n
        out[p, LONGEST_RUN] = best
        out[p, QUOTED] = quoted


@nb.njit(
    nb.float32(
        READ_U32, BYTES, nb.int64, nb.int64, READ_U32, nb.int64, nb.int64, nb.int64, nb.int64
    ),
    cache=True, nogil=True,
)  # fmt: skip
def _told_instead(terms, tells, begin, end, others, begin_place, end_place, begin_other, end_other):  # type: ignore[no-untyped-def]
    """What the names and numbers among terms[begin:end] tell that others[begin_place:end_place] lacks.

    Half of it for those that stand elsewhere in the other article, others[begin_other:end_other].
    """
    told = np.float32(0)
    for i in range(begin, end):
        if tells[i] == 0:
            continue
        term, lacks, has = terms[i], True, False
        for j in range(begin_place, end_place):
            lacks &= others[j] != term
        for j in range(begin_other, end_other):
            has |= others[j] == term
        if lacks:
            told += np.float32(np.float32(tells[i]) * np.float32((0.5 if has else 1.0) / TOLD_STEPS))
    return told


@nb.njit(
    nb.void(
        READ_U32, READ_F32, READ_U32, BYTES, READ_I64,
        READ_U32, READ_F32, READ_U32, BYTES, READ_I64, I64, I64, nb.float32[:, ::1],
    ),
    cache=True, nogil=True,
)  # fmt: skip
def bigram_sums(  # type: ignore[no-untyped-def]
    keys_l, weights_l, terms_l, tells_l, ends_l, keys_r, weights_r, terms_r, tells_r, ends_r, left, right, out
):  # fmt: skip
    """What the bigrams of each pair add up to, out float32 (n_pairs, N_BIGRAM_SUMS).

    Rows are of bigrams (`keys`) in order of appearance, with their weight, their first term and what it
    tells. A place is a stretch of bigrams that only l has, between two that both have, where r has nothing
    between the same two but a stretch of its own: there the two say something else. Columns: DOT_BIGRAMS, the
    dot product; PLACES, how many; FACTS, what the names and numbers there tell that the
    other lacks there, half of it if it has them elsewhere: the less of both sides, summed over the places.
    The same for (l, r) as for (r, l).
    """
    longest_l, most = _longest(ends_l, left), _longest(ends_r, right)
    slots, used, n_used = _slots(longest_l), np.empty(longest_l, np.uint32), np.int64(0)
    at_l, at_r = np.empty(most + 1, np.int64), np.empty(most + 1, np.int64)
    shared = np.zeros(longest_l, np.uint8)
    previous = -1
    for p in range(len(left)):
        begin, end = _begin(ends_l, left[p]), ends_l[left[p]]
        if left[p] != previous:
            previous = left[p]
            _fill(keys_l, begin, end, slots, used, n_used)
            n_used = end - begin
        begin_r, end_r = _begin(ends_r, right[p]), ends_r[right[p]]
        n = _matches(keys_l, begin, slots, keys_r, begin_r, end_r, at_l, at_r)
        dot = 0.0
        for h in range(n):
            dot += weights_l[at_l[h]] * weights_r[at_r[h]]
            shared[at_l[h] - begin] = 1
        out[p, DOT_BIGRAMS], out[p, FACTS], out[p, PLACES] = dot, 0, 0
        for h in range(1, n):
            length_l, length_r = at_l[h] - at_l[h - 1] - 1, at_r[h] - at_r[h - 1] - 1
            if not (0 < length_l <= LONGEST_STRETCH and 0 < length_r <= LONGEST_STRETCH):
                continue
            if shared[at_l[h - 1] + 1 - begin : at_l[h] - begin].any():
                continue
            out[p, PLACES] += np.float32(1)
            from_l, to_l, from_r, to_r = at_l[h - 1] + 1, at_l[h], at_r[h - 1] + 1, at_r[h]
            told = _told_instead(terms_l, tells_l, from_l, to_l, terms_r, from_r, to_r, begin_r, end_r)
            if told > np.float32(0):
                told_r = _told_instead(terms_r, tells_r, from_r, to_r, terms_l, from_l, to_l, begin, end)
                out[p, FACTS] += min(told, told_r)
        for h in range(n):
            shared[at_l[h] - begin] = 0
