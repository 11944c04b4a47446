"""Who published a story first, and who later: defined once, for the timeline, the sources and the page.

The queries of docs/reading-the-results.md say the same over the tables (tests/test_report.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.arrow_columns import Rows
from pipeline.confirm import RELATED, RESPUN
from pipeline.report_pairs import Pairs
from pipeline.report_tables import NEVER, Articles, Members
from pipeline.words import run_starts

REPRINTED, RESPUN_, THROUGH = range(3)  # how a later copy is linked with the first


@dataclass(frozen=True)
class Standing:
    """What is known of each member; bool (n_members,) each.

    `is_first`: no dated member of its cluster is earlier. Of several at one time each is; where one member
    alone is dated, nobody knows. `is_after`: a dated one of its cluster is earlier. `is_copy`: that, and its
    source, which is known, has none of the first articles, of which one has a known source.
    """

    is_first: npt.NDArray[np.bool_]
    is_after: npt.NDArray[np.bool_]
    is_copy: npt.NDArray[np.bool_]


def standing(members: Members) -> Standing:
    """What is known of each member."""
    is_dated = members.at != NEVER
    n_dated = np.bincount(members.cluster[is_dated], minlength=len(members.ends))
    earliest = members.at[members.starts][members.cluster]  # members are in the order of publishing
    is_first = is_dated & (members.at == earliest) & (n_dated[members.cluster] > 1)
    is_after = is_dated & (members.at > earliest)
    leaders = _with_source(members, np.flatnonzero(is_first))
    own = members.cluster << 32 | members.source
    is_led = np.isin(members.cluster, leaders >> 32)
    return Standing(is_first, is_after, is_after & (members.source >= 0) & is_led & ~np.isin(own, leaders))


def flows(members: Members, pairs: Pairs, told: Standing) -> dict[tuple[int, int], list[int]]:
    """Later copies by the source that was first and their own: reprinted, re-spun, linked through others.

    Reprinted or re-spun says the closest pair of the two. Where several sources were first, a copy counts for
    each of them.
    """
    leaders = _with_source(members, np.flatnonzero(told.is_first))
    copies = np.flatnonzero(told.is_copy)
    # All copies, by cluster and source, times the first sources of the cluster.
    both, n_copies = np.unique(members.cluster[copies] << 32 | members.source[copies], return_counts=True)
    low, high = (np.searchsorted(leaders >> 32, both >> 32, side) for side in ("left", "right"))
    times = high - low
    of = np.repeat(np.arange(len(both)), times)
    nth = np.arange(len(of)) - np.repeat(np.cumsum(times) - times, times)
    from_, to = (leaders[low[of] + nth] & _LOW), (both[of] & _LOW)
    found: dict[tuple[int, int], list[int]] = {}
    for ends, n in _summed(from_ << 32 | to, n_copies[of]):
        found[ends] = [0, 0, n]
    linked_from, linked_to, how = _linked(members, pairs, told)
    for kind in (REPRINTED, RESPUN_):
        own = how == kind
        for ends, n in _summed(linked_from[own] << 32 | linked_to[own], np.ones(np.count_nonzero(own), int)):
            found[ends][kind] += n
            found[ends][THROUGH] -= n
    return found


def by_source(articles: Articles, members: Members, told: Standing) -> dict[str, Any]:
    """For each source: stories that it was the first of, or among the first, and its later copies."""
    n = len(articles.names)
    leaders = _with_source(members, np.flatnonzero(told.is_first))
    return {
        "n_first": np.bincount(leaders & _LOW, minlength=n).tolist(),
        "n_later": np.bincount(members.source[told.is_copy], minlength=n).tolist(),
    }


_LOW = np.int64(0xFFFFFFFF)


def _with_source(members: Members, chosen: Rows) -> Rows:
    """Cluster << 32 | source of those of the members that have a source, each once, ascending."""
    chosen = chosen[members.source[chosen] >= 0]
    return np.unique(members.cluster[chosen] << 32 | members.source[chosen])


def _linked(members: Members, pairs: Pairs, told: Standing) -> tuple[Rows, Rows, Rows]:
    """Source of a first article, source of a copy, and how, once for each copy and first source."""
    links = []
    for first, copy in ((pairs.left, pairs.right), (pairs.right, pairs.left)):
        chosen = np.flatnonzero(
            told.is_first[first] & told.is_copy[copy] & (members.source[first] >= 0)
            & (pairs.relation != RELATED)
        )  # fmt: skip
        how = np.where(pairs.relation[chosen] == RESPUN, RESPUN_, REPRINTED)
        links.append(np.stack((copy[chosen], members.source[first[chosen]], how)))
    copy, source, how = np.concatenate(links, axis=1)
    order = np.lexsort((how, source, copy))
    best = order[run_starts((copy << 32 | source)[order])]
    return source[best], members.source[copy[best]], how[best]


def _summed(keys: Rows, counts: Rows) -> Iterator[tuple[tuple[int, int], int]]:
    """Both halves of each key, and the sum of its counts."""
    distinct, place = np.unique(keys, return_inverse=True)
    sums = np.zeros(len(distinct), np.int64)
    np.add.at(sums, place, counts)
    for key, n in zip(distinct.tolist(), sums.tolist(), strict=True):
        yield (key >> 32, key & int(_LOW)), n
