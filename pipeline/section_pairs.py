"""Which units of one article tell the same: cosines between units, and runs of equal tokens."""

import numba as nb
import numpy as np

SHINGLE = 5

_I32, _U8, _U32, _F32 = nb.int32[::1], nb.uint8[::1], nb.uint32[::1], nb.float32[::1]
_PAIRS = nb.types.Tuple((_I32, _I32, _F32))
_RUNS = nb.types.Tuple((_I32, _I32, _I32))


@nb.njit(
    _PAIRS(_I32, _U8, _I32, _I32, _I32, _F32, nb.int64, nb.int64, nb.float32), cache=True, nogil=True
)  # fmt: skip
def pair_units(starts, kinds, indptr, terms, counts, weights, min_tokens, min_terms, min_agreement):  # type: ignore[no-untyped-def]
    """Pairs of units (left < right, int32) that agree, and by how much (float32), by right, then left.

    Agreement is the mean of the TF-IDF cosine (sublinear tf) and of the share of the distinct terms of the
    poorer unit that the other has. The cosine alone is ruled by one rare name said twice; the share alone
    by common words. Units of fewer than `min_tokens` tokens, and of a kind, take no part; nor do pairs
    that share fewer than `min_terms` distinct terms.
    """
    n_units = len(starts) - 1
    n_terms = len(weights)
    norms = np.zeros(n_units, np.float32)
    after = np.zeros(n_terms + 1, np.int32)
    for unit in range(n_units):
        if starts[unit + 1] - starts[unit] < min_tokens or kinds[unit]:
            continue
        squares = np.float32(0)
        for k in range(indptr[unit], indptr[unit + 1]):
            value = weights[terms[k]]
            if counts[k] > 1:
                value *= np.float32(1) + np.log(np.float32(counts[k]))
            squares += value * value
            after[terms[k] + 1] += 1
        norms[unit] = np.sqrt(squares)
    for term in range(n_terms):
        after[term + 1] += after[term]
    place = after[:n_terms].copy()
    unit_of = np.empty(after[n_terms], np.int32)
    value_of = np.empty(after[n_terms], np.float32)
    dots = np.zeros(n_units, np.float32)
    shared = np.zeros(n_units, np.int32)
    room = 16
    left = np.empty(room, np.int32)
    right = np.empty(room, np.int32)
    agreement = np.empty(room, np.float32)
    n = 0
    for unit in range(n_units):
        if norms[unit] <= 0:
            continue
        for k in range(indptr[unit], indptr[unit + 1]):
            term = terms[k]
            value = weights[term] / norms[unit]
            if counts[k] > 1:
                value *= np.float32(1) + np.log(np.float32(counts[k]))
            for p in range(after[term], place[term]):
                dots[unit_of[p]] += value * value_of[p]
                shared[unit_of[p]] += 1
            unit_of[place[term]] = unit
            value_of[place[term]] = value
            place[term] += 1
        size = indptr[unit + 1] - indptr[unit]
        for other in range(unit):
            if shared[other] >= min_terms:
                poorer = min(size, indptr[other + 1] - indptr[other])
                value = (min(dots[other], np.float32(1)) + np.float32(shared[other] / poorer)) / np.float32(2)
                if value >= min_agreement:
                    if n == room:
                        room *= 2
                        left = np.append(left, np.empty(n, np.int32))
                        right = np.append(right, np.empty(n, np.int32))
                        agreement = np.append(agreement, np.empty(n, np.float32))
                    left[n] = other
                    right[n] = unit
                    agreement[n] = value
                    n += 1
            dots[other] = 0
            shared[other] = 0
    return left[:n].copy(), right[:n].copy(), agreement[:n].copy()


@nb.njit(_RUNS(_U32, nb.int64), cache=True, nogil=True)
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
    room = 8
    left = np.empty(room, np.int32)
    right = np.empty(room, np.int32)
    length = np.empty(room, np.int32)
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
                if count == room:
                    room *= 2
                    left = np.append(left, np.empty(count, np.int32))
                    right = np.append(right, np.empty(count, np.int32))
                    length = np.append(length, np.empty(count, np.int32))
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
