"""Stage "name": clusters keep their ids from night to night, and what became of each is told.

A new cluster takes the id of an old one when it holds the old one's representative; of several the largest,
then the oldest. So a cluster that grows keeps its id, a merger has the id of the larger one, and of a cluster
that falls apart the part with the representative goes on. A cluster that takes no id gets one by its smallest
article_id, as in a run without an index.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.arrow_columns import DAY, NO_TIME, Rows, digest, hexadecimal, ranks, read_column, times_of
from pipeline.clusters import read_judged
from pipeline.config import Config
from pipeline.index_segments import OpenIndex
from pipeline.schema import CLUSTER_EVENTS
from pipeline.tables import Ref, read_ipc, write_ipc
from pipeline.words import run_starts

Ids = npt.NDArray[np.uint64]

NAMED = pa.schema([("cluster", pa.uint64()), ("is_shown", pa.bool_()), ("is_changed", pa.bool_())])


@dataclass(frozen=True)
class Forgets:
    """What `index.retention_days` leaves out after a run: `n_articles`, `n_new` of them its own.

    They were published before `cutoff`, microseconds; None leaves out nothing.
    """

    cutoff: int | None = None
    n_articles: int = 0
    n_new: int = 0


@dataclass(frozen=True)
class Named:
    """`clusters` IPC (NAMED), a row for each article; `n_changed` of them are changed.

    `events` IPC (schema.CLUSTER_EVENTS): those that nobody has told yet, then this run's own.
    """

    clusters: Ref
    events: Ref
    n_changed: int
    forgets: Forgets


@dataclass(frozen=True)
class Before:
    """What was known of the recalled articles: arrays (n_old,), row n_new + k of the night is entry k.

    `cluster` uint64. `is_representative` bool. `number` int64, which tells the older of two.
    """

    cluster: Ids
    is_representative: npt.NDArray[np.bool_]
    number: Rows

    def take(self, rows: Rows) -> Before:
        """Some of them."""
        return Before(self.cluster[rows], self.is_representative[rows], self.number[rows])


@dataclass(frozen=True)
class Event:
    """What happened to a cluster; `other` is the one merged into it or split off from it."""

    event: str
    cluster: int
    other: int | None
    n_before: int
    n_after: int


def name(
    index: OpenIndex, positions: Ref, known: Ref, membership: Ref, judged: Sequence[Ref],
    shards: Sequence[Ref], run_id: str, started: int | None, config: Config, work: Path,
) -> Named:  # fmt: skip
    """Name the clusters of `membership` (clusters.MEMBERSHIP) over new articles and recalled ones.

    `positions`: of the recalled articles. `known`: of those that came again, which are shown. `started`: time
    of the run's start, microseconds, which `index.retention_days` needs; None forgets nothing.
    """
    reader = index.read()
    at = read_ipc(positions.path)["position"].to_numpy()
    cluster, representative = reader.membership()
    before = Before(cluster[at], representative[at] == at, reader.numbers[at] if len(at) else at)
    label = read_ipc(membership.path)["label"].to_numpy()
    n_new = len(label) - len(at)
    # Most recalled clusters are as they were.
    open_rows = np.flatnonzero(~np.concatenate((np.zeros(n_new, np.bool_), _as_it_was(label, before, n_new))))
    own = label[open_rows]
    fresh = _smallest_ids(own, read_column(shards, "article_id").take(pa.array(open_rows)))
    wanted = np.array([_id_of(article_id) for article_id in fresh.values()], np.uint64)
    taken = frozenset(cluster[np.isin(cluster, wanted)].tolist())
    some, events = name_clusters(own, before.take(open_rows[n_new:] - n_new), fresh, taken)
    named = np.concatenate((np.zeros(n_new, np.uint64), before.cluster))
    named[open_rows] = some
    forgets = Forgets()
    if started is not None and config.index.retention_days:
        everywhere = np.concatenate((cluster, named[:n_new]))
        everywhere[at] = named[n_new:]
        times = np.concatenate((reader.published, times_of(shards)[:n_new]))
        forgets, gone_with_them = _forgetting(everywhere, times, n_new, started, config.index.retention_days)
        events += gone_with_them
    changed = _changed(label, named, before, n_new)
    shown = _shown(label, changed, n_new, at, read_ipc(known.path)["position"].to_numpy(), judged, config)
    columns = [pa.array(named), pa.array(shown), pa.array(changed)]
    return Named(
        write_ipc(work / "named.arrow", NAMED, [pa.record_batch(columns, schema=NAMED)]),
        write_ipc(work / "events.arrow", CLUSTER_EVENTS, [*reader.untold(), events_batch(run_id, events)]),
        int(np.count_nonzero(changed)),
        forgets,
    )


def _as_it_was(label: Rows, before: Before, n_new: int) -> npt.NDArray[np.bool_]:
    """Which old articles are in a cluster of the very articles that it had, bool (n_old,)."""
    _, part, size = np.unique(label, return_inverse=True, return_counts=True)
    clusters, old, old_size = np.unique(before.cluster, return_inverse=True, return_counts=True)
    part = part[n_new:]
    # Of as many pairs (part, old cluster) as articles: both have no other.
    both, place, together = np.unique(part * len(clusters) + old, return_inverse=True, return_counts=True)
    return np.asarray((together[place] == size[part]) & (together[place] == old_size[old]) & (len(both) > 0))


def _smallest_ids(label: Rows, ids: pa.ChunkedArray) -> dict[int, str]:
    """The smallest article_id of each cluster, by label."""
    order = np.lexsort((ranks(ids), label))
    first = order[run_starts(label[order])]
    return dict(zip(label[first].tolist(), ids.take(pa.array(first)).to_pylist(), strict=True))


def name_clusters(
    label: Rows, before: Before, smallest: dict[int, str], taken: frozenset[int]
) -> tuple[Ids, list[Event]]:
    """The id of each article's cluster, uint64 (n,), and the events, in the order of _ORDER, then by cluster.

    `label` int64 (n,): new articles, then those of `before`; all of an old cluster's articles are there.
    `smallest`: article_id by label. `taken`: ids, of those by the smallest article_id, that clusters of the
    index have.
    """
    n_new = len(label) - len(before.cluster)
    old_label = label[n_new:]
    old_size, oldest, home = _old_clusters(before, old_label)
    size = dict(zip(*(a.tolist() for a in np.unique(label, return_counts=True)), strict=True))
    claims: dict[int, list[int]] = {}
    for old, part in home.items():
        claims.setdefault(part, []).append(old)
    found: dict[int, int] = {}
    for part, olds in claims.items():
        found[part] = min(olds, key=lambda old: (-old_size[old], oldest[old], old))
    used = set(taken) | set(old_size)
    for part in sorted(set(size) - set(found), key=smallest.__getitem__):
        found[part] = _free_id(smallest[part], used)
        used.add(found[part])
    events = list(_events(found, claims, home, old_size, size, old_label, before))
    events.sort(key=lambda e: (_ORDER.index(e.event), e.cluster, e.other or 0))
    heads, place = np.unique(label, return_inverse=True)
    return np.array([found[part] for part in heads.tolist()], np.uint64)[place], events


# What split off has its size by the row "created", which comes behind.
_ORDER = ("grew", "merged", "split", "created")


def _old_clusters(before: Before, old_label: Rows) -> tuple[dict[int, int], dict[int, int], dict[int, int]]:
    """Size, least number, and the label of the part that goes on, of each old cluster."""
    size: dict[int, int] = {}
    oldest: dict[int, int] = {}
    home: dict[int, int] = {}
    parts: dict[int, dict[int, int]] = {}
    rows = zip(
        before.cluster.tolist(), before.is_representative.tolist(), before.number.tolist(),
        old_label.tolist(), strict=True,
    )  # fmt: skip
    for cluster, is_representative, number, label in rows:
        size[cluster] = size.get(cluster, 0) + 1
        oldest[cluster] = min(oldest.get(cluster, number), number)
        parts.setdefault(cluster, {}).setdefault(label, 0)
        parts[cluster][label] += 1
        if is_representative:
            home[cluster] = label
    # One whose representative was forgotten goes on in its largest part.
    for cluster, shares in parts.items():
        home.setdefault(cluster, min(shares, key=lambda part: (-shares[part], part)))
    return size, oldest, home


def _events(
    found: dict[int, int], claims: dict[int, list[int]], home: dict[int, int], old_size: dict[int, int],
    size: dict[int, int], old_label: Rows, before: Before,
) -> Iterator[Event]:  # fmt: skip
    for part, cluster in found.items():
        olds = claims.get(part, [])
        n_before = old_size[cluster] if olds else 0
        merged = [old for old in olds if old != cluster]
        for old in merged:
            yield Event("merged", cluster, old, n_before, size[part])
        if olds and not merged and size[part] > n_before:
            yield Event("grew", cluster, None, n_before, size[part])
    apart = {(old, part) for old, part in zip(before.cluster.tolist(), old_label.tolist(), strict=True)}
    for old, part in apart:
        if part != home[old]:
            here = found[home[old]]
            yield Event("split", here, found[part], old_size[here], size[home[old]])
    for part, cluster in found.items():
        if part not in claims and size[part] > 1:
            yield Event("created", cluster, None, 0, size[part])


def _free_id(article_id: str, used: set[int]) -> int:
    """The first 64 bits of the SHA-256 of the id, or of the id with a number behind where that is taken."""
    again = 0
    while (found := _id_of(f"{article_id}\n{again}" if again else article_id)) in used:
        again += 1
    return found


def _id_of(text: str) -> int:
    return int.from_bytes(digest(text), "big")


def _changed(label: Rows, named: Ids, before: Before, n_new: int) -> npt.NDArray[np.bool_]:
    """Articles of clusters that have a new article, or other articles than before."""
    heads, place, size = np.unique(label, return_inverse=True, return_counts=True)
    same = np.zeros(len(heads), np.int64)
    np.add.at(same, place[n_new:], before.cluster == named[n_new:])
    _, was, counts = np.unique(before.cluster, return_inverse=True, return_counts=True)
    old_size = np.zeros(len(heads), np.int64)
    np.maximum.at(old_size, place[n_new:], counts[was])
    return np.asarray(((same != size) | (old_size != size))[place])


def _shown(
    label: Rows, changed: npt.NDArray[np.bool_], n_new: int, at: Rows, known: Rows, judged: Sequence[Ref],
    config: Config,
) -> npt.NDArray[np.bool_]:  # fmt: skip
    """Articles of clusters that changed, hold an article that came again, or have a pair with a new one."""
    shown = changed.copy()
    shown[:n_new] = True
    shown[n_new + np.searchsorted(at, known)] = True
    pairs = read_judged(judged)
    left, right = (pairs[side].to_numpy() for side in ("left", "right"))
    told = (left < n_new) & (pairs["is_confirmed"].to_numpy() | config.keep_rejected_candidates)
    shown[right[told]] = True
    # A cluster is shown as a whole.
    _, place = np.unique(label, return_inverse=True)
    whole = np.zeros(place.max(initial=-1) + 1, np.bool_)
    whole[place[shown]] = True
    return np.asarray(whole[place])


def _forgetting(
    cluster: Ids, published: Rows, n_new: int, started: int, retention_days: int
) -> tuple[Forgets, list[Event]]:
    """What a run leaves out of the index, and the clusters that expire; the last `n_new` are its own."""
    before = cutoff(published, started, retention_days)
    if before is None:
        return Forgets(), []
    gone = expired(published, before)
    n_own = int(np.count_nonzero(gone[len(gone) - n_new :]))
    return Forgets(before, int(np.count_nonzero(gone)), n_own), expired_clusters(cluster, gone)


def expired_clusters(cluster: Ids, is_gone: npt.NDArray[np.bool_]) -> list[Event]:
    """What is told when some articles are forgotten: the clusters of which nothing is left, by id.

    Single articles among them: one may be what an earlier forgetting left of a cluster that was told.
    `cluster` of each article, uint64 (n,), and whether it `is_gone`, (n,).
    """
    ids, place, size = np.unique(cluster, return_inverse=True, return_counts=True)
    gone = np.bincount(place, is_gone, len(ids)).astype(np.int64)
    all_gone = np.flatnonzero(gone == size)
    return [Event("expired", int(ids[k]), None, int(size[k]), 0) for k in all_gone.tolist()]


def expired(published: Rows, before: int) -> npt.NDArray[np.bool_]:
    """Which articles were published before a time, microseconds; those without a time never."""
    return np.asarray((published < before) & (published != NO_TIME))


def cutoff(published: Rows, started: int, retention_days: int) -> int | None:
    """Time, microseconds, before which a run that `started` then forgets articles; None without times.

    It is so many days before the newest one. What is dated after the run's start is dated wrongly: it is the
    newest of nothing, or one wrong year would empty the index.
    """
    dated = published[(published != NO_TIME) & (published <= started)]
    return int(dated.max()) - retention_days * DAY if len(dated) else None


def events_batch(run_id: str, events: Sequence[Event]) -> pa.RecordBatch:
    """The rows of cluster_events."""
    others = [
        hexadecimal(np.array([e.other], np.uint64))[0].as_py() if e.other is not None else None
        for e in events
    ]
    return pa.record_batch([
        pa.array([run_id] * len(events), pa.string()), pa.array([e.event for e in events], pa.string()),
        hexadecimal(np.array([e.cluster for e in events], np.uint64)), pa.array(others, pa.string()),
        pa.array([e.n_before for e in events], pa.int32()), pa.array([e.n_after for e in events], pa.int32()),
    ], schema=CLUSTER_EVENTS)  # fmt: skip
