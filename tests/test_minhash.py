"""MinHash: bit-identical to datasketch and to the plain twin, an unbiased estimate of the resemblance."""

from __future__ import annotations

import math

import naive
import numpy as np
import pytest
from datasketch import LeanMinHash, MinHash
from hypothesis import example, given
from hypothesis import strategies as st
from texts import EXAMPLES, JIT_OFF

from pipeline.minhash import EMPTY, fmix32, lean_minhash, permutations, sign_sets

U32 = st.integers(0, 2**32 - 1)
SETS = st.lists(st.lists(st.one_of(U32, st.integers(0, 3)), max_size=11), max_size=4)


def sign(sets, n_perm: int, seed: int) -> np.ndarray:
    """Signatures of sets of element hashes."""
    elements = np.array([h for one in sets for h in one], np.uint32)
    indptr = np.cumsum([0, *(len(one) for one in sets)]).astype(np.int64)
    out = np.zeros((len(sets), n_perm), np.uint32)
    sign_sets(elements, indptr, *permutations(n_perm, seed), out)
    return out


def by_datasketch(hashes, n_perm: int, seed: int) -> MinHash:
    """datasketch's own, told that our element hashes are the hashes of the elements."""
    minhash = MinHash(num_perm=n_perm, seed=seed, scheme="affine32", hashfunc=lambda h: h)
    for h in hashes:
        minhash.update(h)
    return minhash


@EXAMPLES
@given(U32)
@example(0)
@example(2**32 - 1)
def test_fmix32_is_the_naive_twin(h):
    assert int(fmix32(np.uint32(h))) == naive.fmix32(h)


def test_fmix32_is_murmurhash3_s_finaliser():
    # From the reference implementation: fmix32 of 1 and of 0xDEADBEEF.
    assert [naive.fmix32(h) for h in (0, 1, 0xDEADBEEF)] == [0, 0x514E28B7, 0x0DE5C6A9]


@EXAMPLES
@given(SETS, st.sampled_from([1, 5, 16, 64]), st.integers(0, 2**31))
def test_signatures_are_the_naive_twins(sets, n_perm, seed):
    a, b = (p.tolist() for p in permutations(n_perm, seed))
    assert sign(sets, n_perm, seed).tolist() == [naive.signature(one, a, b) for one in sets]


@EXAMPLES
@given(SETS, st.sampled_from([2, 16, 128]), st.integers(0, 2**31))
@example([[], [0], [2**32 - 1], [1, 1, 1, 1, 1]], 128, 1)
def test_signatures_are_bit_identical_to_datasketch(sets, n_perm, seed):
    for one, signature in zip(sets, sign(sets, n_perm, seed), strict=True):
        theirs = by_datasketch(one, n_perm, seed).hashvalues
        assert theirs.dtype == signature.dtype == np.uint32
        np.testing.assert_array_equal(signature, theirs)


@pytest.mark.skipif(JIT_OFF, reason="a hundred thousand products take long without the JIT")
def test_a_long_article_is_bit_identical_to_datasketch():
    hashes = np.random.default_rng(7).integers(0, 2**32, 5_003, np.uint32)
    theirs = MinHash(num_perm=256, seed=3, scheme="affine32", hashfunc=lambda h: h)
    theirs.update_batch(hashes.tolist())
    np.testing.assert_array_equal(sign([hashes.tolist()], 256, 3)[0], theirs.hashvalues)


def test_signatures_convert_to_lean_minhash_and_back():
    mine = sign([[1, 2, 3, 4], [3, 4, 5]], 128, 1)
    lean = [lean_minhash(signature, 1) for signature in mine]
    for one, signature in zip(lean, mine, strict=True):
        np.testing.assert_array_equal(one.hashvalues, signature)
        packed = bytearray(one.bytesize())
        one.serialize(packed)
        back = LeanMinHash.deserialize(packed)
        assert back == one
        np.testing.assert_array_equal(back.hashvalues, signature)
    theirs = by_datasketch([1, 2, 3, 4], 128, 1)
    assert lean[0] == LeanMinHash(theirs)
    assert lean[1].jaccard(theirs) == np.mean(mine[0] == mine[1])


@EXAMPLES
@given(st.lists(U32, min_size=1, max_size=9), st.randoms(use_true_random=False))
def test_neither_order_nor_repetition_of_elements_matters(hashes, random):
    again = hashes + hashes[:3]
    random.shuffle(again)
    one, other = sign([hashes, again], 16, 1)
    np.testing.assert_array_equal(one, other)


@EXAMPLES
@given(st.lists(U32, max_size=6), st.lists(U32, max_size=6))
def test_the_signature_of_a_union_is_the_lesser_of_both(left, right):
    one, other, both = sign([left, right, left + right], 16, 1)
    np.testing.assert_array_equal(np.minimum(one, other), both)


def test_an_empty_set_has_the_empty_signature():
    assert (sign([[], [1]], 32, 1)[0] == EMPTY).all()
    assert not (sign([[], [1]], 32, 1)[1] == EMPTY).any()


@pytest.mark.skipif(JIT_OFF, reason="millions of products take minutes without the JIT")
@pytest.mark.parametrize("shared", [0, 20, 100, 180, 200])
def test_the_share_of_equal_places_estimates_the_resemblance(shared):
    random, n_perm, n_pairs = np.random.default_rng(shared), 512, 40
    deviations = []
    for _ in range(n_pairs):
        pool = random.permutation(2**20)[: 400 - shared].astype(np.uint32)
        left, right = pool[:200].tolist(), pool[200 - shared :].tolist()
        jaccard = naive.jaccard(left, right)
        assert jaccard == shared / (400 - shared)
        one, other = sign([left, right], n_perm, 1)
        deviations.append(float(np.mean(one == other)) - jaccard)
    # The standard deviation of a share of n_perm trials.
    sigma = math.sqrt(jaccard * (1 - jaccard) / n_perm)
    assert max(map(abs, deviations)) <= 5 * sigma
    assert abs(np.mean(deviations)) <= 5 * sigma / math.sqrt(n_pairs)
