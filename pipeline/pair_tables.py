"""The tables of confirmed pairs and of candidate pairs, by the ids of both sides, the smaller on the left."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.arrow_columns import Rows, parts_of, table_batch
from pipeline.cluster_tables import Clustering
from pipeline.confirm import RELATION_NAMES

# By the bits signatures.REPRINT and signatures.RESPUN.
_FOUND_BY = pa.array(["", "reprint", "respun", "both"])
_REASONS = pa.array(["screened", "below_threshold", "confirmed"])


def confirmed_pairs(clustering: Clustering, judged: pa.Table) -> Iterator[pa.RecordBatch]:
    """The confirmed ones among the judged pairs (confirm.JUDGED)."""
    confirmed = _shown(clustering, judged.filter(judged["is_confirmed"]))
    low, high, swapped = _sides(clustering, confirmed)
    for part in parts_of(_by_ids(clustering, low, high)):
        pairs = confirmed.take(pa.array(part))
        l_in_r, r_in_l = (pairs[f"containment_{side}"].to_numpy() for side in ("l_in_r", "r_in_l"))
        swap = swapped[part]
        yield table_batch("confirmed_pairs", [
            clustering.ids.take(pa.array(low[part])), clustering.ids.take(pa.array(high[part])),
            RELATION_NAMES.take(pairs["relation"].combine_chunks()), pairs["probability"],
            *(pairs[c].cast(pa.float64()) for c in _NUMBERS),
            pa.array(np.where(swap, r_in_l, l_in_r).astype(np.float64)),
            pa.array(np.where(swap, l_in_r, r_in_l).astype(np.float64)),
            _FOUND_BY.take(pairs["found_by"].combine_chunks()),
        ])  # fmt: skip


_NUMBERS = ("cosine", "cosine_bigrams", "cosine_names", "cosine_numbers", "jaccard")


def candidate_pairs(clustering: Clustering, judged: pa.Table) -> Iterator[pa.RecordBatch]:
    """All judged pairs (confirm.JUDGED), and what became of them."""
    judged = _shown(clustering, judged)
    low, high, _ = _sides(clustering, judged)
    for part in parts_of(_by_ids(clustering, low, high)):
        pairs = judged.take(pa.array(part))
        estimates = (pairs[f"estimate_{view}"].to_numpy() for view in ("reprint", "respun"))
        probability = pairs["probability"].to_numpy()
        # The rule gives no pair that it sees a probability of 0.
        seen = probability > 0
        yield table_batch("candidate_pairs", [
            clustering.ids.take(pa.array(low[part])), clustering.ids.take(pa.array(high[part])),
            _FOUND_BY.take(pairs["found_by"].combine_chunks()),
            pa.array(np.maximum(*estimates).astype(np.float64)), pa.array(probability, mask=~seen),
            _REASONS.take(pa.array(seen.astype(np.int8) + pairs["is_confirmed"].to_numpy())),
        ])  # fmt: skip


def _shown(clustering: Clustering, pairs: pa.Table) -> pa.Table:
    """The pairs of articles that are in the tables."""
    left, right = (clustering.is_shown[pairs[side].to_numpy()] for side in ("left", "right"))
    return pairs if left.all() and right.all() else pairs.filter(pa.array(left & right))


def _sides(clustering: Clustering, pairs: pa.Table) -> tuple[Rows, Rows, npt.NDArray[np.bool_]]:
    """Rows of the smaller and of the larger id, and whether the pair's left article has the larger one."""
    left, right = (pairs[side].to_numpy().astype(np.int64) for side in ("left", "right"))
    swapped = clustering.id_rank[left] > clustering.id_rank[right]
    return np.where(swapped, right, left), np.where(swapped, left, right), swapped


def _by_ids(clustering: Clustering, low: Rows, high: Rows) -> Rows:
    """Order of the pairs by the ids of both sides."""
    return np.argsort((clustering.id_rank[low] << 32) | clustering.id_rank[high], kind="stable")
