"""The terms of old articles that a pair asks for: those that a new article may have as well.

A new article has a few of an old one's terms, and only these are weighed: of the others the screen needs what
the index keeps, their totals.
"""

from collections.abc import Sequence

import numba as nb
import numpy as np

from pipeline.arrays import BYTES, I32, I64, READ_I32, READ_I64, READ_U32, U8, U32
from pipeline.arrow_columns import Rows
from pipeline.bags import Bags
from pipeline.compare import in_groups
from pipeline.index_tokens import Stored
from pipeline.shards import MAX_GROUPS
from pipeline.vectors import TermVectors
from pipeline.wide import fetch_bytes, load_key

FILTER_WORDS = 64  # 4,096 bits: of articles of 350 terms one miss in twelve gets past it
FILTER_MASK = np.uint32(FILTER_WORDS - 1)
_TERM_BYTES = 6  # of a term: key, count, flags


@nb.njit(
    nb.int64(
        BYTES, READ_I64, READ_I64, READ_I32, in_groups(READ_U32), in_groups(READ_I64), I64, I64, I64,
        U32, U8, U8, I64, I32,
    ),
    cache=True, nogil=True,
)  # fmt: skip
def _keep(  # type: ignore[no-untyped-def]
    octets, starts, sizes, lead_sizes, all_keys, all_ends, left, group_r, right,
    kept_keys, kept_counts, kept_flags, kept_ends, kept_leads,
):  # fmt: skip
    """Fills the arrays of a bag for each old article; returns how many terms they have.

    Each has `sizes` terms, whose keys, counts and flags start where `starts` says (index_tokens.PARTS).

    A bit for each key of the right rows lets some through that they don't have: one in twelve.
    """
    may_hold = np.empty(FILTER_WORDS, np.uint64)
    n = np.uint64(0)
    p = 0
    for i in range(len(sizes)):
        may_hold[:] = 0
        while p < len(left) and left[p] == i:
            of, row = all_keys[group_r[p]], right[p]
            first = all_ends[group_r[p]][row - 1] if row > 0 else 0
            last = all_ends[group_r[p]][row]
            p += 1
            for j in range(first, last):
                key = of[j]
                may_hold[(key >> np.uint32(6)) & FILTER_MASK] |= np.uint64(1) << np.uint64(
                    key & np.uint32(63)
                )
        if i + 1 < len(sizes):  # the next row lies elsewhere in a file of gigabytes
            fetch_bytes(octets, starts[i + 1], starts[i + 1] + _TERM_BYTES * sizes[i + 1])
        # Unsigned, an index isn't asked whether it counts from the end.
        count_at = np.uint64(starts[i] + 4 * sizes[i])
        flag_at = count_at + np.uint64(sizes[i])
        leads = np.int64(0)
        for j in range(np.uint64(sizes[i])):
            key = load_key(octets, starts[i] + 4 * np.int64(j))
            word = may_hold[(key >> np.uint32(6)) & FILTER_MASK]
            # Written always and counted where it may be asked for: a branch could not be predicted.
            kept_keys[n], kept_counts[n], kept_flags[n] = key, octets[count_at + j], octets[flag_at + j]
            is_asked = np.int64((word >> np.uint64(key & np.uint32(63))) & np.uint64(1))
            n += np.uint64(is_asked)
            leads += is_asked & np.int64(j < np.uint64(lead_sizes[i]))
        kept_ends[i], kept_leads[i] = n, leads
    return np.int64(n)


def asked(old: Stored, new: Sequence[TermVectors], left: Rows, group_r: Rows, right: Rows) -> Bags:
    """The bags of the old articles with the terms that pairs may share, and a few more.

    Pairs are of rows `left`, ascending, of `old` and rows `right` of `new[group_r]`, int64 (n_pairs,). There
    are 1 to MAX_GROUPS groups of new ones.
    """
    groups = [*new, *[new[0]] * (MAX_GROUPS - len(new))]
    octets, starts = old.octets["bag"]
    n_terms = old.facts["n_terms"].astype(np.int64)
    room = int(n_terms.sum())
    keys, counts, flags = np.empty(room, np.uint32), np.empty(room, np.uint8), np.empty(room, np.uint8)
    ends, leads = np.empty(len(n_terms), np.int64), np.empty(len(n_terms), np.int32)
    n = _keep(
        octets, starts, n_terms, np.ascontiguousarray(old.facts["lead_size"]),
        tuple(v.term_keys for v in groups), tuple(v.term_ends for v in groups), left, group_r, right,
        keys, counts, flags, ends, leads,
    )  # fmt: skip
    return Bags(keys[:n], counts[:n], flags[:n], ends, leads)
