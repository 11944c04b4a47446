"""gaoya: MinHashStringIndex, 32 bits, 16 bands of 8, word 5-grams, all in Rust; bulk insert and query.

It signs while it inserts, so its phase `signatures` holds the insertion too; its query signs once more.
"""

from __future__ import annotations

import gaoya
from peer_run import Run, arguments, components, installed, pairs_of_queries, read_texts


def main() -> None:
    """Run once."""
    args = arguments(threshold=0.7, bands=16, rows=8)
    run = Run(installed("gaoya"), args)
    texts = read_texts(args)
    run.mark("read")
    index = gaoya.minhash.MinHashStringIndex(
        hash_size=32,
        jaccard_threshold=args.threshold,
        num_bands=args.bands,
        band_size=args.rows,
        num_hashes=None,
        analyzer="word",
        lowercase=True,
        ngram_range=(5, 5),
        id_container="smallvec",
    )
    index.par_bulk_insert_docs(list(range(len(texts))), texts)
    run.mark("signatures")
    pairs = pairs_of_queries(index.par_bulk_query(texts))
    run.mark("query")
    labels = components(len(texts), pairs)
    run.mark("cluster")
    run.finish(len(texts), pairs, labels)


if __name__ == "__main__":
    main()
