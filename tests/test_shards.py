"""Groups of shards, and articles taken by row."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stages import write_shards
from texts import EXAMPLES

from pipeline.shards import article_batches, group_shards, take_articles, texts_of
from pipeline.tables import Ref

N = 11


def refs(rows: list[int]) -> list[Ref]:
    return [Ref(f"shard-{i}", n, 0, "") for i, n in enumerate(rows)]


@EXAMPLES
@given(st.lists(st.integers(1, 50), max_size=30), st.integers(1, 8))
def test_groups_are_neighbours_in_order_and_hold_every_shard_once(rows, n_groups):
    shards = refs(rows)
    groups = group_shards(shards, n_groups)
    assert [shard for group in groups for shard in group.shards] == shards
    assert len(groups) <= n_groups
    assert [group.number for group in groups] == list(range(len(groups)))
    first = 0
    for group in groups:
        assert group.shards
        assert group.first_row == first
        first += group.n_articles
    # No group is larger than its share by more than its last shard and half of the one at its beginning.
    assert all(group.n_articles <= sum(rows) / n_groups + 1.5 * max(rows) for group in groups)


def test_equal_shards_make_equal_groups():
    assert [group.n_articles for group in group_shards(refs([10] * 16), 8)] == [20] * 8
    assert [group.n_articles for group in group_shards(refs([10] * 3), 8)] == [10] * 3
    assert group_shards([], 8) == []


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    articles = [(f"s{i % 3}", f"title {i}" if i % 2 else None, f"body {i}") for i in range(N)]
    return write_shards(tmp_path_factory.mktemp("shards"), articles)


def test_article_batches_walk_through_the_group_in_order(shards):
    for n_groups in (1, 2, 5):
        groups = group_shards(shards.articles, n_groups)
        batches = [batch for group in groups for batch in article_batches(group)]
        assert [name for b in batches for name in b["article_id"].to_pylist()] == [f"a{i}" for i in range(N)]


def test_each_group_gets_the_texts_of_its_shards(shards):
    groups = group_shards(shards.articles, 3)
    texts = texts_of(groups, shards.texts)
    assert sum(texts, ()) == shards.texts
    assert [[ref.rows for ref in own] for own in texts] == [[ref.rows for ref in g.shards] for g in groups]


@EXAMPLES
@given(rows=st.sets(st.integers(0, N - 1)))
def test_articles_are_taken_by_row(shards, rows):
    wanted = np.array(sorted(rows), np.int64)
    found = take_articles(shards.articles, wanted, ("title", "article_id"))
    assert found.column_names == ["title", "article_id"]
    assert found["article_id"].to_pylist() == [f"a{i}" for i in sorted(rows)]
    bodies = take_articles(shards.texts, wanted, ("text",))["text"]
    assert bodies.to_pylist() == [f"body {i}" for i in sorted(rows)]
    assert found["title"].to_pylist() == [f"title {i}" if i % 2 else None for i in sorted(rows)]


@EXAMPLES
@given(rows=st.lists(st.integers(0, N - 1)))
def test_each_group_knows_its_own_rows(shards, rows):
    groups = group_shards(shards.articles, 3)
    found = np.concatenate([group.among(np.array(rows, np.int64)) for group in groups])
    assert found.tolist() == [row in rows for row in range(N)]
