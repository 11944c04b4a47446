"""Sorted 64-bit words: what stands in for dictionaries and argsort.

A radix sort (Knuth, The Art of Computer Programming, vol. 3, 5.2.5) takes a few nanoseconds a word where
numpy's vectorised sort takes tens on some processors; `np.unique` and `np.argsort` are slower still.
"""

from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt

from pipeline.arrays import READ_U64, U64

DIGIT_BITS = 11  # a pass puts the words in order by so many bits: its counters fit the first cache


@nb.njit(U64(READ_U64, nb.int64), cache=True, nogil=True)
def sort_words(words, first_bit):  # type: ignore[no-untyped-def]
    """A sorted copy of `words` uint64 (n,), compared by the bits from `first_bit` on; stable.

    So words that are in the order of their low bits already need no passes over those.
    """
    n = len(words)
    ordered, other = words.copy(), np.empty_like(words)
    starts = np.empty(1 << DIGIT_BITS, np.int64)
    digit = np.uint64((1 << DIGIT_BITS) - 1)
    for bit in range(first_bit, 64, DIGIT_BITS):
        shift = np.uint64(bit)
        starts[:] = 0
        for i in range(n):
            starts[(ordered[i] >> shift) & digit] += 1
        if n == 0 or starts[(ordered[0] >> shift) & digit] == n:
            continue  # all alike
        total = 0
        for value in range(len(starts)):
            count = starts[value]
            starts[value] = total
            total += count
        for i in range(n):
            value = (ordered[i] >> shift) & digit
            other[starts[value]] = ordered[i]
            starts[value] += 1
        ordered, other = other, ordered
    return ordered


def run_starts(sorted_keys: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """First index of each run of equal keys, int64 (n_runs,)."""
    if not len(sorted_keys):
        return np.zeros(0, np.int64)
    return np.flatnonzero(np.concatenate(([True], sorted_keys[1:] != sorted_keys[:-1])))


def distinct(words: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The distinct words uint64, ascending."""
    ordered = sort_words(words, 0)
    return np.asarray(ordered[run_starts(ordered)])
