"""datasketch: MinHash(128, affine32) and MinHashLSH over word 5-shingles; --hash sha1 (default) or xxh."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from datasketch import MinHash, MinHashLSH
from peer_run import Run, arguments, components, installed, pairs_of_queries, read_texts, shingles

N_PERM = 128
CHUNK = 500


def prototype(hash_name: str, n_perm: int = N_PERM) -> MinHash:
    """An empty MinHash, to be copied: drawing the permutations is slow."""
    if hash_name == "sha1":
        return MinHash(num_perm=n_perm, scheme="affine32")
    import xxhash

    return MinHash(num_perm=n_perm, scheme="affine32", hashfunc=xxhash.xxh32_intdigest)


def sign_sets(sets: Iterable[Iterable[str]], empty: MinHash) -> npt.NDArray[np.uint32]:
    """Signatures uint32 (n, hashes of `empty`)."""
    signatures = []
    for elements in sets:
        minhash = empty.copy()
        minhash.update_batch([element.encode() for element in elements])
        signatures.append(minhash.hashvalues)
    return np.array(signatures, np.uint32)


def sign(texts: list[str], hash_name: str) -> npt.NDArray[np.uint32]:
    """Signatures uint32 (len(texts), N_PERM)."""
    return sign_sets(map(shingles, texts), prototype(hash_name))


def insert(signatures: npt.NDArray[np.uint32], empty: MinHash, index: MinHashLSH) -> list[MinHash]:
    """Put the signatures, as by `sign_sets`, into an index, by row; returns them for its queries."""
    minhashes = [
        MinHash(hashvalues=row, permutations=empty.permutations, scheme="affine32", hashfunc=empty.hashfunc)
        for row in signatures
    ]
    for i, minhash in enumerate(minhashes):
        index.insert(i, minhash, check_duplication=False)
    return minhashes


def main() -> None:
    """Run once."""
    args = arguments(hash="sha1", threshold=0.7)
    run = Run(installed("datasketch"), args)
    texts = read_texts(args)
    run.mark("read")
    chunks = [(texts[i : i + CHUNK], args.hash) for i in range(0, len(texts), CHUNK)]
    if args.procs > 1:
        with multiprocessing.Pool(args.procs) as pool:
            signatures = np.concatenate(pool.starmap(sign, chunks, 1))
    else:
        signatures = np.concatenate([sign(*chunk) for chunk in chunks])
    run.mark("signatures")
    index = MinHashLSH(threshold=args.threshold, num_perm=N_PERM)
    minhashes = insert(signatures, prototype(args.hash), index)
    run.mark("insert")
    pairs = pairs_of_queries(index.query(minhash) for minhash in minhashes)
    run.mark("query")
    labels = components(len(texts), pairs)
    run.mark("cluster")
    run.finish(len(texts), pairs, labels)


if __name__ == "__main__":
    main()
