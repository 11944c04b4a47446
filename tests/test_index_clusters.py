"""Cluster ids: who keeps one, and what is told of it."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.arrow_columns import DAY, NO_TIME
from pipeline.index_clusters import Before, Event, cutoff, name_clusters


def before(clusters: list[int], representatives: list[int]) -> Before:
    n = len(clusters)
    mask = np.zeros(n, bool)
    mask[representatives] = True
    return Before(np.array(clusters, np.uint64), mask, np.arange(n))


def named(
    label: list[int], known: Before, taken: frozenset[int] = frozenset()
) -> tuple[list[int], list[Event]]:
    smallest = {part: f"article-{part}" for part in label}
    ids, events = name_clusters(np.array(label, np.int64), known, smallest, taken)
    return ids.tolist(), events


def test_a_new_cluster_is_created_and_a_new_singleton_is_not_told():
    ids, events = named([0, 0, 2], before([], []))
    assert ids[0] == ids[1] != ids[2]
    assert events == [Event("created", ids[0], None, 0, 2)]


def test_a_cluster_that_grows_keeps_its_id():
    ids, events = named([0, 0, 0], before([7, 7], [1]))
    assert ids == [7, 7, 7]
    assert events == [Event("grew", 7, None, 2, 3)]


def test_an_old_singleton_that_grows_keeps_its_id():
    assert named([0, 0], before([7], [0])) == ([7, 7], [Event("grew", 7, None, 1, 2)])


def test_a_merger_has_the_id_of_the_larger():
    ids, events = named([0, 0, 0, 0], before([7, 9, 9], [0, 1]))
    assert set(ids) == {9}
    assert events == [Event("merged", 9, 7, 2, 4)]


def test_of_two_of_one_size_the_older_one_gives_the_id():
    ids, events = named([0] * 5, before([9, 7, 7, 9], [0, 1]))
    assert set(ids) == {9}
    assert events == [Event("merged", 9, 7, 2, 5)]


@pytest.mark.parametrize(("representative", "kept"), [(0, 0), (3, 3)])
def test_a_split_leaves_the_id_with_the_representative(representative, kept):
    ids, events = named([0, 0, 0, 3], before([7] * 4, [representative]))
    assert ids[kept] == 7
    other = ids[3 - kept]
    assert other != 7
    sizes = {0: 3, 3: 1}
    assert events[0] == Event("split", 7, other, 4, sizes[kept])


def test_a_part_of_two_or_more_that_splits_off_is_told_with_its_size():
    ids, events = named([0, 0, 0, 3, 3], before([7] * 5, [0]))
    assert events == [Event("split", 7, ids[3], 5, 3), Event("created", ids[3], None, 0, 2)]


def test_a_part_that_splits_off_into_another_cluster_is_told_by_what_that_became():
    """Its own size is in the row of the one that it went into; of two parts that meet once."""
    assert named([0, 1, 1], before([7, 7, 9], [0, 2]))[1] == [
        Event("grew", 9, None, 1, 2), Event("split", 7, 9, 2, 1)
    ]  # fmt: skip
    ids, events = named([0, 1, 1, 3], before([7, 7, 9, 9], [0, 3]))
    assert events == [
        Event("split", 7, ids[1], 2, 1), Event("split", 9, ids[1], 2, 1), Event("created", ids[1], None, 0, 2)
    ]  # fmt: skip


def test_without_its_representative_the_largest_part_goes_on():
    ids, _ = named([0, 1, 1], before([7] * 3, []))
    assert ids[1] == ids[2] == 7 != ids[0]


def test_an_id_that_is_taken_is_not_given_again():
    (fresh,), _ = named([0], before([], []))
    (other,), _ = named([0], before([], []), frozenset({fresh}))
    assert other != fresh


@pytest.mark.parametrize(("published", "newest"), [
    ([3 * DAY, NO_TIME, 8 * DAY], 8 * DAY), ([3 * DAY, 9 * DAY], 9 * DAY), ([3 * DAY, 9 * DAY + 1], 3 * DAY)
])  # fmt: skip
def test_days_are_counted_from_the_newest_article_up_to_the_runs_start(published, newest):
    assert cutoff(np.array(published), 9 * DAY, 2) == newest - 2 * DAY


@pytest.mark.parametrize("published", [[], [NO_TIME], [9 * DAY + 1]])
def test_without_a_time_up_to_the_runs_start_nothing_is_forgotten(published):
    assert cutoff(np.array(published, np.int64), 9 * DAY, 2) is None


@given(st.data())
def test_no_id_is_lost_or_given_twice(data):
    """Every old id lives on or is told merged; sizes are those of the clusters."""
    n_old, n_new = data.draw(st.integers(0, 12)), data.draw(st.integers(0, 6))
    olds = [5 + c for c in data.draw(st.lists(st.integers(0, 4), min_size=n_old, max_size=n_old))]
    heads = [data.draw(st.sampled_from([i for i in range(n_old) if olds[i] == c])) for c in sorted(set(olds))]
    parts = data.draw(st.lists(st.integers(0, 5), min_size=n_old + n_new, max_size=n_old + n_new))
    label = [parts.index(part) for part in parts]
    ids, events = named(label, before(olds, heads))
    assert len(set(ids)) == len(set(label))
    assert [ids[label.index(part)] for part in label] == ids
    merged = [e.other for e in events if e.event == "merged"]
    assert len(merged) == len(set(merged))
    assert set(olds) - set(ids) == set(merged)
    for e in events:
        assert e.n_after == ids.count(e.cluster)
        assert e.n_before == olds.count(e.cluster)
        assert e.event != "split" or e.other in ids
    # Who knew the sizes before and reads the events knows them after.
    sizes = dict(Counter(olds))
    for e in events:
        sizes.pop(e.other if e.event == "merged" else None, None)
        sizes[e.cluster] = e.n_after
    assert {c: n for c, n in sizes.items() if n > 1} == {c: n for c, n in Counter(ids).items() if n > 1}
    changed = {e.cluster for e in events} | {e.other for e in events}
    for cluster in set(ids) - changed:
        assert ids.count(cluster) == max(olds.count(cluster), 1)
