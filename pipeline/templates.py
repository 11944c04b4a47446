"""Templates: forms that a collection fills in again and again, as weekly bulletins and dividend notices.

Two articles of one form are alike in wording and unlike in facts: the reprint view finds the pair, the rule
does not confirm it. One such pair may be anything. Where every article of a group is so with several others
of it, it is a form and no story (a k-core of the graph of these pairs, Seidman 1983). Nothing else depends on
this: the pairs and clusters are what the rule made of them.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from pipeline.arrow_columns import Rows, hexadecimal, table_batch
from pipeline.cluster_tables import Clustering, numbers
from pipeline.clusters import components
from pipeline.words import run_starts

# Estimated resemblance from which two articles are alike in wording, and others that an article of a template
# must be alike to. On the development benchmark these two tell 220 articles of 22 forms, all of the newswire;
# 0.1 and 3 tell 443, 11 of them of planted noise, 0.2 and 3 tell 112 (decision 0054).
ALIKE, OTHERS = 0.15, 3


def find(pairs: pa.Table, judged: pa.Table, n: int) -> tuple[Rows, Rows]:
    """Template int64 (n,) of each article, its least row, and how many others there it is alike to.

    -1 and 0 for articles of none. `pairs` are all candidate pairs (PAIRS), `judged` those of them that the
    screen passed (JUDGED).
    """
    alike = np.flatnonzero(pairs["estimate_reprint"].to_numpy() >= ALIKE)
    left, right = (pairs[side].to_numpy()[alike].astype(np.int64) for side in ("left", "right"))
    confirmed = judged.filter(judged["is_confirmed"])
    same = (confirmed["left"].to_numpy().astype(np.int64) << 32) | confirmed["right"].to_numpy()
    other = ~np.isin((left << 32) | right, same)
    left, right = left[other], right[other]
    while True:
        degree = np.bincount(left, minlength=n) + np.bincount(right, minlength=n)
        stays = (degree[left] >= OTHERS) & (degree[right] >= OTHERS)
        if stays.all():
            return np.where(degree > 0, components(n, left, right), -1), degree
        left, right = left[stays], right[stays]


def templates(clustering: Clustering, pairs: pa.Table, judged: pa.Table) -> Iterator[pa.RecordBatch]:
    """The articles of the templates, by template and id; with an index, those among tonight's candidates."""
    label, degree = find(pairs, judged, len(clustering.ids))
    rows = np.flatnonzero((label >= 0) & clustering.is_shown)
    number = numbers(clustering.ids, clustering.id_rank, rows, label[rows], "template ")
    order = np.lexsort((clustering.id_rank[rows], number))
    rows, number = rows[order], number[order]
    starts = run_starts(number)
    size = np.diff(np.append(starts, len(rows)))
    yield table_batch("templates", [
        hexadecimal(number), clustering.ids.take(pa.array(rows)), pa.array(degree[rows].astype(np.int32)),
        pa.array(np.repeat(size, size).astype(np.int32)),
    ])  # fmt: skip
