"""Cosines and containments of candidate pairs, from two articles' sorted rows."""

import numba as nb
import numpy as np

_U32, _U8, _I64, _F32 = nb.uint32[::1], nb.uint8[::1], nb.int64[::1], nb.float32[::1]


@nb.njit(nb.void(_U32, _F32, _U8, _I64, _I64, _I64, nb.float32[:, ::1]), cache=True, nogil=True)
def term_measures(keys, weights, kinds, indptr, left, right, out):  # type: ignore[no-untyped-def]
    """Per pair: sums of products and of squares over all terms, names and numbers.

    out float32 (n_pairs, 9): dot; dot, |l|^2, |r|^2 over names and numbers; the same over numbers;
    then the weight of the shorter's terms that the longer has: share of |l|^2, share of |r|^2.
    """
    for p in range(len(left)):
        i, i_stop = indptr[left[p]], indptr[left[p] + 1]
        j, j_stop = indptr[right[p]], indptr[right[p] + 1]
        dot = names = name_l = name_r = numbers = number_l = number_r = in_l = in_r = 0.0
        for k in range(i, i_stop):
            if kinds[k]:
                square = weights[k] * weights[k]
                name_l += square
                if kinds[k] == 2:
                    number_l += square
        for k in range(j, j_stop):
            if kinds[k]:
                square = weights[k] * weights[k]
                name_r += square
                if kinds[k] == 2:
                    number_r += square
        while i < i_stop and j < j_stop:
            if keys[i] < keys[j]:
                i += 1
            elif keys[i] > keys[j]:
                j += 1
            else:
                product = weights[i] * weights[j]
                dot += product
                in_l += weights[i] * weights[i]
                in_r += weights[j] * weights[j]
                if kinds[i] and kinds[j]:
                    names += product
                    if kinds[i] == 2:
                        numbers += product
                i += 1
                j += 1
        out[p, 0] = dot
        out[p, 1] = names
        out[p, 2] = name_l
        out[p, 3] = name_r
        out[p, 4] = numbers
        out[p, 5] = number_l
        out[p, 6] = number_r
        out[p, 7] = in_l
        out[p, 8] = in_r


@nb.njit(nb.void(_U32, _F32, _I64, _I64, _I64, _F32), cache=True, nogil=True)
def dots(keys, weights, indptr, left, right, out):  # type: ignore[no-untyped-def]
    """Dot product of each pair of rows, float32 (n_pairs,)."""
    for p in range(len(left)):
        i, i_stop = indptr[left[p]], indptr[left[p] + 1]
        j, j_stop = indptr[right[p]], indptr[right[p] + 1]
        dot = 0.0
        while i < i_stop and j < j_stop:
            if keys[i] < keys[j]:
                i += 1
            elif keys[i] > keys[j]:
                j += 1
            else:
                dot += weights[i] * weights[j]
                i += 1
                j += 1
        out[p] = dot


@nb.njit(nb.void(_U32, _I64, _I64, _I64, _I64), cache=True, nogil=True)
def overlaps(keys, indptr, left, right, out):  # type: ignore[no-untyped-def]
    """Number of keys that each pair of rows has in common, int64 (n_pairs,)."""
    for p in range(len(left)):
        i, i_stop = indptr[left[p]], indptr[left[p] + 1]
        j, j_stop = indptr[right[p]], indptr[right[p] + 1]
        n = 0
        while i < i_stop and j < j_stop:
            if keys[i] < keys[j]:
                i += 1
            elif keys[i] > keys[j]:
                j += 1
            else:
                n += 1
                i += 1
                j += 1
        out[p] = n


@nb.njit(nb.void(_U32, _I64, _U32, _I64, _I64, _I64, _I64), cache=True, nogil=True)
def longest_runs(sequence, sequence_indptr, keys, indptr, left, right, out):  # type: ignore[no-untyped-def]
    """Most shingles in a row of left (in order: `sequence`) that stand anywhere in right (sorted: `keys`)."""
    for p in range(len(left)):
        low, high = indptr[right[p]], indptr[right[p] + 1]
        best = 0
        run = 0
        for k in range(sequence_indptr[left[p]], sequence_indptr[left[p] + 1]):
            at = low + np.searchsorted(keys[low:high], sequence[k])
            run = run + 1 if at < high and keys[at] == sequence[k] else 0
            best = max(best, run)
        out[p] = best
