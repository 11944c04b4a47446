"""rensa: RMinHash and RMinHashLSH; word 5-shingles made in Python, as its documentation shows."""

from __future__ import annotations

import time

from peer_run import Run, arguments, components, installed, pairs_of_queries, read_texts, shingles
from rensa import RMinHash, RMinHashLSH

N_PERM = 128
CHUNK = 1000


def main() -> None:
    """Run once."""
    args = arguments(bands=16, threshold=0.7)
    run = Run(installed("rensa"), args)
    texts = read_texts(args)
    run.mark("read")
    minhashes = []
    in_python = 0.0
    for i in range(0, len(texts), CHUNK):
        began = time.perf_counter()
        sets = [shingles(text) for text in texts[i : i + CHUNK]]
        in_python += time.perf_counter() - began
        minhashes += RMinHash.from_token_sets(sets, num_perm=N_PERM, seed=42)
    run.mark("signatures")
    run.phases["of which shingles in Python"] = in_python
    index = RMinHashLSH(threshold=args.threshold, num_perm=N_PERM, num_bands=args.bands)
    index.insert_pairs(enumerate(minhashes))
    run.mark("insert")
    pairs = pairs_of_queries(index.query_all(minhashes))
    run.mark("query")
    labels = components(len(texts), pairs)
    run.mark("cluster")
    run.finish(len(texts), pairs, labels)


if __name__ == "__main__":
    main()
