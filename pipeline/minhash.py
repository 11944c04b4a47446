"""MinHash kernels, bit-identical to `datasketch.MinHash(scheme="affine32")` for the same element hashes.

A signature keeps, per permutation k, the least of a[k] * fmix32(h) + b[k] mod 2**32 over the hashes h of a
set's elements; the share of equal places of two signatures estimates the resemblance of the two sets
(Broder 1997). An empty set keeps the largest value, 2**32 - 1, everywhere: callers must never compare it.
"""

from functools import cache

import numba as nb
import numpy as np
import numpy.typing as npt
from datasketch import LeanMinHash, MinHash

from pipeline.arrays import I64, U32

EMPTY = np.uint32(0xFFFFFFFF)


@nb.njit(cache=True, inline="always")
def fmix32(h):  # type: ignore[no-untyped-def]
    """MurmurHash3's 32-bit finaliser, a bijection of [0, 2**32)."""
    # numba widens uint32 op uint32 to 64 bits: each product is cut back, or it is neither exact nor fast.
    h = np.uint32(h ^ (h >> np.uint32(16)))
    h = np.uint32(h * np.uint32(0x85EBCA6B))
    h = np.uint32(h ^ (h >> np.uint32(13)))
    h = np.uint32(h * np.uint32(0xC2B2AE35))
    return np.uint32(h ^ (h >> np.uint32(16)))


@nb.njit(nb.void(U32, U32, U32, U32), cache=True, nogil=True)
def sign_set(mixed, a, b, out):  # type: ignore[no-untyped-def]
    """Minima over `mixed` (elements after fmix32) into `out`, each uint32; four elements per sweep.

    Taking four at a time keeps the sweep in registers: a load and a store of `out` per four products.
    """
    n = len(mixed)
    for k in range(len(out)):
        out[k] = EMPTY
    i = 0
    while i + 4 <= n:
        h0, h1, h2, h3 = mixed[i], mixed[i + 1], mixed[i + 2], mixed[i + 3]
        for k in range(len(out)):
            v0 = np.uint32(np.uint32(a[k] * h0) + b[k])
            v1 = np.uint32(np.uint32(a[k] * h1) + b[k])
            v2 = np.uint32(np.uint32(a[k] * h2) + b[k])
            v3 = np.uint32(np.uint32(a[k] * h3) + b[k])
            out[k] = min(out[k], min(min(v0, v1), min(v2, v3)))
        i += 4
    while i < n:
        h = mixed[i]
        for k in range(len(out)):
            out[k] = min(out[k], np.uint32(np.uint32(a[k] * h) + b[k]))
        i += 1


@nb.njit(nb.void(U32, I64, U32, U32, nb.uint32[:, ::1]), cache=True, nogil=True)
def sign_sets(elements, indptr, a, b, out):  # type: ignore[no-untyped-def]
    """Signatures uint32 (n, n_perm) of many sets into `out`.

    Set i is elements[indptr[i]:indptr[i + 1]], hashes before fmix32; repeated elements change nothing.
    """
    longest = 0
    for i in range(len(out)):
        longest = max(longest, indptr[i + 1] - indptr[i])
    mixed = np.empty(longest, np.uint32)
    for i in range(len(out)):
        own = elements[indptr[i] : indptr[i + 1]]  # a slice, as in `elements.shingle_elements`
        for j in range(len(own)):
            mixed[j] = fmix32(own[j])
        sign_set(mixed[: len(own)], a, b, out[i])


@cache
def permutations(n_perm: int, seed: int) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
    """datasketch's own multipliers and offsets, each uint32 (n_perm,)."""
    a, b = MinHash(num_perm=n_perm, seed=seed, scheme="affine32").permutations
    return np.ascontiguousarray(a, np.uint32), np.ascontiguousarray(b, np.uint32)


def lean_minhash(signature: npt.NDArray[np.uint32], seed: int) -> LeanMinHash:
    """The signature uint32 (n_perm,) as datasketch's own object; `.hashvalues` gives it back."""
    return LeanMinHash(seed=seed, hashvalues=signature, scheme="affine32")
