"""Sorted 64-bit words: what stands in for dictionaries and argsort.

numpy sorts uint64 vectorised; `np.unique` may hash instead and `np.argsort` is scalar, both many times slower.
"""

import numpy as np


def run_starts(sorted_keys: np.ndarray) -> np.ndarray:
    """First index of each run of equal keys, int64."""
    if not len(sorted_keys):
        return np.zeros(0, np.int64)
    return np.flatnonzero(np.concatenate(([True], sorted_keys[1:] != sorted_keys[:-1])))


def distinct(words: np.ndarray) -> np.ndarray:
    """The distinct words, ascending."""
    ordered = np.sort(words)
    return ordered[run_starts(ordered)]
