"""Which units of one article tell the same: cosines between units, and runs of equal tokens."""

import numba as nb
import numpy as np

from pipeline.arrays import F32, I32, READ_U32, U8

SHINGLE = 5
MAX_UNITS = 50  # a term of more units is a word of the page, not of a paragraph; keeps the work linear

_PAIRS = nb.types.Tuple((I32, I32, F32))  # type: ignore[no-untyped-call]
_RUNS = nb.types.Tuple((I32, I32, I32))  # type: ignore[no-untyped-call]


@nb.njit([I32(I32), F32(F32)], cache=True, nogil=True)
def grown(values):  # type: ignore[no-untyped-def]
    """The values, and as much room again. (numpy's `append` or a slice assigned takes seconds to compile.)"""
    out = np.empty(2 * len(values), values.dtype)
    for i in range(len(values)):
        out[i] = values[i]
    return out


@nb.njit(
    _PAIRS(I32, U8, I32, I32, I32, F32, nb.int64, nb.int64, nb.float32), cache=True, nogil=True
)  # fmt: skip
def pair_units(starts, kinds, indptr, terms, counts, weights, min_tokens, min_terms, min_agreement):  # type: ignore[no-untyped-def]
    """Pairs of units (left < right, int32) that agree, and by how much (float32), by right.

    Agreement is the mean of the TF-IDF cosine (sublinear tf) and of the Dice coefficient of the distinct
    terms (shared / mean number). The cosine alone is ruled by one rare name said twice; Dice alone by common
    words; and what a short paragraph shares with a long one is not the same told again. Units of fewer than
    `min_tokens` tokens, and of a kind, take no part; terms of more than MAX_UNITS of the others count for
    nothing; nor do pairs that share fewer than `min_terms` terms.
    """
    n_units = len(starts) - 1
    n_terms = len(weights)
    within = np.zeros(n_terms + 1, np.int32)  # units of each term, then where its postings begin
    for unit in range(n_units):
        if starts[unit + 1] - starts[unit] >= min_tokens and not kinds[unit]:
            for k in range(indptr[unit], indptr[unit + 1]):
                within[terms[k] + 1] += 1
    for term in range(n_terms):
        if within[term + 1] > MAX_UNITS:
            within[term + 1] = 0
        within[term + 1] += within[term]
    place = within[:n_terms].copy()
    unit_of = np.empty(within[n_terms], np.int32)
    value_of = np.empty(within[n_terms], np.float32)
    dots = np.zeros(n_units, np.float32)
    shared = np.zeros(n_units, np.int32)
    sizes = np.zeros(n_units, np.int32)
    touched = np.empty(n_units, np.int32)
    left, right = np.empty(16, np.int32), np.empty(16, np.int32)
    agreement = np.empty(16, np.float32)
    n = 0
    for unit in range(n_units):
        if starts[unit + 1] - starts[unit] < min_tokens or kinds[unit]:
            continue
        squares = np.float32(0)
        for k in range(indptr[unit], indptr[unit + 1]):
            if within[terms[k]] < within[terms[k] + 1]:
                value = weights[terms[k]]
                if counts[k] > 1:
                    value *= np.float32(1) + np.log(np.float32(counts[k]))
                squares += value * value
                sizes[unit] += 1
        norm = np.sqrt(squares)
        n_touched = 0
        for k in range(indptr[unit], indptr[unit + 1]):
            term = terms[k]
            if within[term] == within[term + 1]:
                continue
            value = weights[term] / norm
            if counts[k] > 1:
                value *= np.float32(1) + np.log(np.float32(counts[k]))
            for p in range(within[term], place[term]):
                other = unit_of[p]
                if shared[other] == 0:
                    touched[n_touched] = other
                    n_touched += 1
                dots[other] += value * value_of[p]
                shared[other] += 1
            unit_of[place[term]] = unit
            value_of[place[term]] = value
            place[term] += 1
        for t in range(n_touched):
            other = touched[t]
            if shared[other] >= min_terms:
                dice = np.float32(2 * shared[other]) / np.float32(sizes[unit] + sizes[other])
                value = (min(dots[other], np.float32(1)) + dice) / np.float32(2)
                if value >= min_agreement:
                    if n == len(left):
                        left, right, agreement = grown(left), grown(right), grown(agreement)
                    left[n] = other
                    right[n] = unit
                    agreement[n] = value
                    n += 1
            dots[other] = 0
            shared[other] = 0
    return left[:n].copy(), right[:n].copy(), agreement[:n].copy()


@nb.njit(_RUNS(READ_U32, nb.int64), cache=True, nogil=True)
def find_runs(terms, min_tokens):  # type: ignore[no-untyped-def]
    """Runs of `min_tokens` (>= SHINGLE) or more tokens that stood before: left, right, length, int32 each.

    A run is found through its shingles of SHINGLE tokens and extended token by token; it is paired with the
    latest earlier place of its first shingle, and does not overlap it. Runs come by `right`, disjoint.
    """
    n = len(terms)
    size = 16
    while size < 2 * n:
        size *= 2
    last = np.full(size, np.int32(-1), np.int32)
    left, right, length = np.empty(8, np.int32), np.empty(8, np.int32), np.empty(8, np.int32)
    count = 0
    source = -1  # where the run at hand began to stand before, -1 outside a run
    begin = 0
    for i in range(n - SHINGLE + 2):
        seen = -1
        if i + SHINGLE <= n:
            state = np.uint64(0)
            for k in range(i, i + SHINGLE):
                state = np.uint64((state ^ np.uint64(terms[k])) * np.uint64(0x9E3779B97F4A7C15))
                state ^= state >> np.uint64(29)
            slot = np.int64(state >> np.uint64(24)) & (size - 1)
            while last[slot] >= 0:
                equal = True
                for k in range(SHINGLE):
                    if terms[last[slot] + k] != terms[i + k]:
                        equal = False
                        break
                if equal:
                    break
                slot = (slot + 1) & (size - 1)
            seen = last[slot]
            last[slot] = i
        if source >= 0:
            at = source + i - begin
            if seen >= 0 and at + SHINGLE <= begin and terms[at + SHINGLE - 1] == terms[i + SHINGLE - 1]:
                continue
            tokens = i - 1 - begin + SHINGLE
            if tokens >= min_tokens:
                if count == len(left):
                    left, right, length = grown(left), grown(right), grown(length)
                left[count] = source
                right[count] = begin
                length[count] = tokens
                count += 1
            source = -1
        # What the run before holds already doesn't open another.
        if seen >= 0 and seen + SHINGLE <= i and (count == 0 or i >= right[count - 1] + length[count - 1]):
            source = seen
            begin = i
    return left[:count].copy(), right[:count].copy(), length[:count].copy()


@nb.njit(nb.boolean(READ_U32, nb.int64), cache=True, nogil=True)
def may_hold_run(terms, min_tokens):  # type: ignore[no-untyped-def]
    """Whether `find_runs` can find anything: False only where it can't.

    A run of `min_tokens` begins min_tokens - SHINGLE + 1 shingles, so one of them stands at a multiple of
    that number on its left side: only these are kept, and every shingle is looked up.
    """
    n = len(terms) - SHINGLE + 1
    stride = min_tokens - SHINGLE + 1
    size = 16
    while size * stride < 4 * n:
        size *= 2
    kept = np.full(size, np.int32(-1), np.int32)
    factor = np.uint64(0x9E3779B97F4A7C15)
    oldest = np.uint64(1)
    for _ in range(SHINGLE):
        oldest = np.uint64(oldest * factor)
    state = np.uint64(0)
    for i in range(min(SHINGLE - 1, len(terms))):
        state = np.uint64((state + np.uint64(terms[i])) * factor)
    for i in range(n):
        state = np.uint64((state + np.uint64(terms[i + SHINGLE - 1])) * factor)
        slot = np.int64(state >> np.uint64(40)) & (size - 1)
        while kept[slot] >= 0:
            equal = True
            for k in range(SHINGLE):
                if terms[kept[slot] + k] != terms[i + k]:
                    equal = False
                    break
            if equal:
                return True
            slot = (slot + 1) & (size - 1)
        if i % stride == 0:
            kept[slot] = i
        state = np.uint64(state - np.uint64(np.uint64(terms[i]) * oldest))
    return False
