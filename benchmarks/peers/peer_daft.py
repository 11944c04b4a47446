"""Daft: Expression.minhash over normalised text, 128 hashes of word 5-grams.

Daft has no LSH of its own: bands, pairs and components are numpy and scipy, timed as `bands` and `cluster`.
"""

from __future__ import annotations

import os

os.environ.setdefault("DAFT_PROGRESS_BAR", "0")

import daft
import numpy as np
import numpy.typing as npt
from peer_run import Pair, Run, arguments, components, installed, read_table

N_PERM = 128


def pairs_of_bands(signatures: npt.NDArray[np.uint32], n_bands: int) -> set[Pair]:
    """Neighbours in each band's sorted order that share the band: enough for components."""
    rows = N_PERM // n_bands
    pairs: set[Pair] = set()
    for band in range(n_bands):
        part = np.ascontiguousarray(signatures[:, band * rows : (band + 1) * rows])
        keys = part.view(f"V{4 * rows}").ravel()
        order = np.argsort(keys)
        equal = np.flatnonzero(keys[order][1:] == keys[order][:-1])
        first, second = order[equal], order[equal + 1]
        pairs.update(zip(np.minimum(first, second).tolist(), np.maximum(first, second).tolist(), strict=True))
    return pairs


def main() -> None:
    """Run once."""
    args = arguments(bands=16, hash="xxhash3_64")
    daft.set_execution_config(default_morsel_size=1000)
    run = Run(installed("daft"), args)
    table = read_table(args)
    frame = daft.from_arrow(table.append_column("row", [np.arange(len(table))]))
    run.mark("read")
    words = daft.col("text").lower().regexp_replace(r"\W+", " ")
    signature = words.minhash(num_hashes=N_PERM, ngram_size=5, hash_function=args.hash)
    signed = frame.select("row", signature.alias("signature")).to_arrow()
    run.mark("signatures")
    flat = signed["signature"].combine_chunks().flatten().to_numpy().reshape(-1, N_PERM)
    # Daft may return the rows in another order.
    signatures = np.ascontiguousarray(flat[np.argsort(signed["row"].to_numpy())], np.uint32)
    pairs = pairs_of_bands(signatures, args.bands)
    run.mark("bands")
    labels = components(len(table), pairs)
    run.mark("cluster")
    run.finish(len(table), pairs, labels)


if __name__ == "__main__":
    main()
