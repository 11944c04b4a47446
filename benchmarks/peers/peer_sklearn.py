"""scikit-learn: no LSH at all. TfidfVectorizer and every pair's cosine: exact, and quadratic."""

from __future__ import annotations

import numpy as np
from peer_run import Pair, Run, arguments, components, installed, read_texts
from sklearn.feature_extraction.text import TfidfVectorizer

BLOCK = 500


def main() -> None:
    """Run once."""
    args = arguments(threshold=0.7)
    run = Run(installed("scikit-learn"), args)
    texts = read_texts(args)
    run.mark("read")
    vectors = TfidfVectorizer(sublinear_tf=True, min_df=2, dtype=np.float32).fit_transform(texts)
    run.mark("vectorise")
    transposed = vectors.T.tocsr()
    pairs: list[Pair] = []
    for start in range(0, len(texts), BLOCK):
        cosines = (vectors[start : start + BLOCK] @ transposed).tocoo()
        keep = (cosines.data >= args.threshold) & (cosines.row + start < cosines.col)
        pairs += zip((cosines.row[keep] + start).tolist(), cosines.col[keep].tolist(), strict=True)
    run.mark("all pairs")
    labels = components(len(texts), pairs)
    run.mark("cluster")
    run.finish(len(texts), pairs, labels)


if __name__ == "__main__":
    main()
