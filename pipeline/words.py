"""Sorted 64-bit words: what stands in for dictionaries and argsort.

numpy sorts uint64 vectorised; `np.unique` may hash instead and `np.argsort` is scalar, both many times
slower.
"""

from typing import Any

import numpy as np
import numpy.typing as npt


def run_starts(sorted_keys: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """First index of each run of equal keys, int64 (n_runs,)."""
    if not len(sorted_keys):
        return np.zeros(0, np.int64)
    return np.flatnonzero(np.concatenate(([True], sorted_keys[1:] != sorted_keys[:-1])))


def distinct(words: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The distinct words uint64, ascending."""
    ordered = np.sort(words)
    starts = run_starts(ordered)
    return ordered[starts]
