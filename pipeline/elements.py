"""The sets that the two views sign.

*Reprint view*: word shingles of k tokens (Broder 1997). *Re-spin view*: an article's rare terms, names and
numbers weighing more; an integer weight w becomes w elements, so that plain MinHash over the elements
estimates the weighted resemblance.
"""

import numba as nb
import numpy as np

from pipeline.arrays import BYTES, I32, I64, READ_I64, READ_U32, U32
from pipeline.minhash import fmix32
from pipeline.token_scan import CAPITAL, DIGIT, FURNITURE


@nb.njit(nb.int64(READ_U32, BYTES, I64, nb.int64, U32, I64), cache=True, nogil=True)
def shingle_elements(terms, flags, indptr, k, out, out_indptr):  # type: ignore[no-untyped-def]
    """Hashes uint32 of every run of k tokens, furniture left out; returns how many.

    h = sum of fmix32(terms[j + i]) * C**(k - 1 - i) mod 2**32, C odd; a vectorised sweep for each i. An
    article of fewer than k tokens has one element, of all its tokens and their number.
    """
    longest = 0
    for i in range(len(indptr) - 1):
        longest = max(longest, indptr[i + 1] - indptr[i])
    mixed = np.empty(longest + 1, np.uint32)
    n = 0
    out_indptr[0] = 0
    for i in range(len(indptr) - 1):
        # Slices of one length: numba then asks no index whether it counts from the end.
        own_terms, own_flags = terms[indptr[i] : indptr[i + 1]], flags[indptr[i] : indptr[i + 1]]
        length = len(own_terms)
        all_flags = np.uint8(0)
        for j in range(length):
            all_flags |= own_flags[j]
        if all_flags & FURNITURE:
            length = 0
            for j in range(len(own_terms)):
                mixed[length] = fmix32(own_terms[j])
                length += (own_flags[j] & FURNITURE) == 0
        else:  # most articles: a sweep that can be vectorised
            for j in range(length):
                mixed[j] = fmix32(own_terms[j])
        width = min(k, length)
        n_shingles = min(length, length - width + 1)
        own = out[n : n + n_shingles]
        own[:] = 0
        power = np.uint32(1)
        for place in range(width - 1, -1, -1):
            placed = mixed[place : place + n_shingles]
            for r in range(n_shingles):
                own[r] = np.uint32(own[r] + np.uint32(placed[r] * power))
            power = np.uint32(power * np.uint32(0x9E3779B1))
        if 0 < length < k:
            own[0] = fmix32(np.uint32(own[0] + np.uint32(length)))
        n += n_shingles
        out_indptr[i + 1] = n
    return n


@nb.njit(
    nb.int64(READ_U32, BYTES, READ_I64, I32, nb.boolean[::1], nb.int64, nb.int64, nb.int64, U32, I64),
    cache=True, nogil=True,
)  # fmt: skip
def rare_elements(  # type: ignore[no-untyped-def]
    keys, flags, ends, df, spelt_large, most, name_weight, number_weight, out, out_indptr
):  # fmt: skip
    """Elements uint32 of the rare terms of each bag (`keys`, `flags`, `ends`); returns how many.

    A term is rare when at most `most` articles have it (`df`). It has one element, a name `name_weight` more,
    a number `number_weight` more. A name is what the collection (`spelt_large`) and the article write large.
    """
    n = 0
    begin = 0
    out_indptr[0] = 0
    rare = np.empty(len(keys) + 1, np.int64)
    for i in range(len(ends)):
        n_rare = 0
        for j in range(begin, ends[i]):  # without a branch, which could not be predicted
            rare[n_rare] = j
            n_rare += df[j] <= most
        begin = ends[i]
        for k in range(n_rare):
            j = rare[k]
            w = 1
            if flags[j] & DIGIT:
                w += number_weight
            elif flags[j] & CAPITAL and spelt_large[j]:
                w += name_weight
            for r in range(w):
                out[n] = fmix32(np.uint32(keys[j] + np.uint32(np.uint32(r) * np.uint32(0x9E3779B1))))
                n += 1
        out_indptr[i + 1] = n
    return n
