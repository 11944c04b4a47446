"""The tables of confirmed pairs and of candidate pairs, by the ids of both sides, the smaller on the left."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.arrow_columns import Rows, parts_of, table_batch
from pipeline.cluster_tables import Clustering
from pipeline.confirm import RELATED, RELATION_NAMES
from pipeline.schema import OF_TERMS

# By the bits signatures.REPRINT and signatures.RESPUN.
_FOUND_BY = pa.array(["", "reprint", "respun", "both"])
_REASONS = pa.array(["screened", "below_threshold", "confirmed"])


def confirmed_pairs(clustering: Clustering, judged: pa.Table) -> Iterator[pa.RecordBatch]:
    """The confirmed ones among the judged pairs (confirm.JUDGED)."""
    confirmed = _shown(clustering, judged.filter(judged["is_confirmed"]))
    low, high, swapped = _sides(clustering, confirmed)
    for part in parts_of(_by_ids(clustering, low, high)):
        pairs = confirmed.take(pa.array(part))
        yield table_batch("confirmed_pairs", [
            clustering.ids.take(pa.array(low[part])), clustering.ids.take(pa.array(high[part])),
            RELATION_NAMES.take(pairs["relation"].combine_chunks()), pairs["probability"],
            *(pairs[c].cast(pa.float64()) for c in _NUMBERS),
            *_containments(pairs, swapped[part]),
            _FOUND_BY.take(pairs["found_by"].combine_chunks()),
        ])  # fmt: skip


_NUMBERS = ("cosine", "cosine_bigrams", "cosine_names", "cosine_numbers", "jaccard")


def candidate_pairs(clustering: Clustering, judged: pa.Table) -> Iterator[pa.RecordBatch]:
    """All judged pairs (confirm.JUDGED), and what became of them."""
    judged = _shown(clustering, judged)
    low, high, swapped = _sides(clustering, judged)
    for part in parts_of(_by_ids(clustering, low, high)):
        pairs = judged.take(pa.array(part))
        estimates = (pairs[f"estimate_{view}"].to_numpy() for view in ("reprint", "respun"))
        probability = pairs["probability"].to_numpy()
        relation = pairs["relation"].to_numpy()
        # The rule gives no pair that it sees a probability of 0.
        seen = probability > 0
        confirmed = pairs["is_confirmed"].to_numpy() & (relation != RELATED)
        unread = pa.array(~seen & (relation != RELATED))  # of these only the terms were compared
        measured = [
            *(pairs[c].cast(pa.float64()).combine_chunks() for c in _NUMBERS),
            *_containments(pairs, swapped[part]),
        ]
        names = (*_NUMBERS, "containment_l_in_r", "containment_r_in_l")
        yield table_batch("candidate_pairs", [
            clustering.ids.take(pa.array(low[part])), clustering.ids.take(pa.array(high[part])),
            _FOUND_BY.take(pairs["found_by"].combine_chunks()),
            pa.array(np.maximum(*estimates).astype(np.float64)), pa.array(probability, mask=~seen),
            _REASONS.take(pa.array(seen.astype(np.int8) + confirmed)),
            pc.if_else(unread, None, RELATION_NAMES.take(pairs["relation"].combine_chunks())),
            *(
                values if name in OF_TERMS else pc.if_else(unread, None, values)
                for name, values in zip(names, measured, strict=True)
            ),
        ])  # fmt: skip


def _shown(clustering: Clustering, pairs: pa.Table) -> pa.Table:
    """The pairs of articles that are in the tables."""
    left, right = (clustering.is_shown[pairs[side].to_numpy()] for side in ("left", "right"))
    return pairs if left.all() and right.all() else pairs.filter(pa.array(left & right))


def _containments(pairs: pa.Table, swapped: npt.NDArray[np.bool_]) -> tuple[pa.Array, pa.Array]:
    """Containments of l in r and of r in l, float64, by the ids' sides."""
    l_in_r, r_in_l = (
        pairs[f"containment_{side}"].to_numpy().astype(np.float64) for side in ("l_in_r", "r_in_l")
    )
    return pa.array(np.where(swapped, r_in_l, l_in_r)), pa.array(np.where(swapped, l_in_r, r_in_l))


def _sides(clustering: Clustering, pairs: pa.Table) -> tuple[Rows, Rows, npt.NDArray[np.bool_]]:
    """Rows of the smaller and of the larger id, and whether the pair's left article has the larger one."""
    left, right = (pairs[side].to_numpy().astype(np.int64) for side in ("left", "right"))
    swapped = clustering.id_rank[left] > clustering.id_rank[right]
    return np.where(swapped, right, left), np.where(swapped, left, right), swapped


def _by_ids(clustering: Clustering, low: Rows, high: Rows) -> Rows:
    """Order of the pairs by the ids of both sides."""
    return np.argsort((clustering.id_rank[low] << 32) | clustering.id_rank[high], kind="stable")
