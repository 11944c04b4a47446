"""Furniture: the rule against its plain twin, and a site's fixed lines by example."""

from __future__ import annotations

import tempfile
from pathlib import Path

import naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stages import config, tokenised
from texts import FEW_EXAMPLES, JIT_OFF, strings

from pipeline import furniture
from pipeline.furniture import masked_batches, source_salts
from pipeline.tables import Ref, read_ipc
from pipeline.text import read_kept
from pipeline.token_scan import FURNITURE

WORDS = ("share", "reply", "more", "a", "b", "c", "d")


def masked_lines(folder: Path, articles, settings, n_groups: int = 2) -> tuple[list[set[str]], Ref]:
    """The lines of each article whose tokens are flagged; all of a line's tokens are or none."""
    groups, tokens = tokenised(folder, articles, n_groups)
    both = list(zip(groups, tokens, strict=True))
    found = furniture.merge([furniture.count(*b, settings, folder) for b in both], settings, folder)
    batches = [batch for b in both for batch in masked_batches(*b, found, settings)]
    flagged: list[set[str]] = []
    bodies = iter(body for _, _, body in articles)
    for batch in batches:
        starts, ends = batch.line_starts, batch.line_ends
        for i in range(batch.n_articles):
            lines = [line for line in next(bodies).split("\n") if line]
            own = range(batch.line_indptr[i], batch.line_indptr[i + 1])
            assert len(lines) == len(own)
            marks = [set((batch.flags[starts[k] : ends[k]] & FURNITURE).tolist()) for k in own]
            assert all(len(mark) == 1 for mark in marks)
            flagged.append({line for line, mark in zip(lines, marks, strict=True) if mark == {FURNITURE}})
            title = batch.flags[batch.indptr[i] : batch.indptr[i] + batch.n_title[i]]
            assert not (title & FURNITURE).any()
    return flagged, found


LINES = st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=5).map(" ".join), max_size=5)
COLLECTIONS = st.lists(
    st.tuples(st.sampled_from([None, "a.com", "b.com"]), st.sampled_from([None, "Share"]), LINES),
    min_size=1, max_size=16,
)  # fmt: skip


@FEW_EXAMPLES
@given(COLLECTIONS, st.integers(2, 3), st.sampled_from([0.0, 0.3, 0.6]), st.integers(1, 4))
def test_the_rule_is_the_naive_twin(collection, min_articles, min_share, max_tokens):
    settings = config(
        f"furniture.min_articles={min_articles}",
        f"furniture.min_share={min_share}",
        f"furniture.max_tokens={max_tokens}",
    )
    articles = [(source or "", lines) for source, _, lines in collection]
    within, over = naive.furniture(articles, min_articles, min_share, max_tokens)
    expected = [
        {line for line in lines if ((source or "", line) in within or line in over)
         and len(line.split()) <= max_tokens}
        for source, _, lines in collection
    ]  # fmt: skip
    articles = [(source, title, "\n".join(lines)) for source, title, lines in collection]
    with tempfile.TemporaryDirectory() as folder:
        flagged, found = masked_lines(Path(folder), articles, settings)
        assert flagged == expected
        keys = read_ipc(found.path)["key"].to_numpy()
        assert found.rows == len(keys) == len(within) + len(over)
        assert (np.diff(keys) > 0).all()


def often(keys: list[np.ndarray], least_even: int, least_odd: int) -> list[np.ndarray]:
    """What the stage says of some batches of keys."""
    counts = furniture.room_for_counts(sum(map(len, keys)))
    for part in keys:
        furniture.tally(part, counts)
    return [furniture.is_frequent(part, counts, least_even, least_odd) for part in keys]


@given(
    st.lists(st.lists(st.integers(0, 9) | st.integers(0, 2**64 - 1), max_size=40), max_size=4),
    st.integers(2, 4) | st.just(1000),
)
def test_no_key_of_enough_rows_is_missed(parts, min_articles):
    keys = [np.array(part, np.uint64) for part in parts]
    found = often(keys, 4 * min_articles, min_articles)
    rows = [key for part in parts for key in part]
    kept = [key for part, mask in zip(parts, found, strict=True)
            for key, is_kept in zip(part, mask.tolist(), strict=True) if is_kept]  # fmt: skip
    needed = {key for key in rows if rows.count(key) >= min_articles * (1 if key % 2 else 4)} - {0}
    assert needed <= set(kept)
    assert 0 not in kept
    assert all(kept.count(key) == rows.count(key) for key in set(kept))


def test_few_rare_keys_are_kept_and_counts_stop_at_a_byte():
    rare = np.random.default_rng(1).integers(1, 2**64, 20_000, np.uint64, endpoint=False)
    frequent = np.repeat(np.array([5, 6], np.uint64), 300)
    [of_rare, of_frequent] = often([rare, frequent], 800, 200)
    assert of_rare.sum() < 10  # those that share a bucket with a frequent one
    assert of_frequent.tolist() == [True] * 600
    [of_rare] = often([rare], 20, 5)
    assert of_rare.mean() < 0.01


HASHES = np.random.default_rng(2).integers(1, 2**64, 8, np.uint64, endpoint=False)
# Two of a sort begin their search at the same slot.
KEYS = np.concatenate((HASHES[:4], HASHES[:4] ^ np.uint64(2**63)))


@given(st.lists(st.tuples(st.integers(0, len(KEYS) - 1), st.integers(0, len(HASHES) - 1)), max_size=60))
def test_rows_and_different_longest_lines_of_each_key_are_counted(rows):
    keys, longest = (of[np.array([row[k] for row in rows], np.int64)] for k, of in enumerate((KEYS, HASHES)))
    first, n_rows, n_distinct = furniture._lines_of_each(keys, longest)
    assert [rows[i][0] for i in first] == list(dict.fromkeys(key for key, _ in rows))
    lines = [[line for key, line in rows if key == rows[i][0]] for i in first]
    assert n_rows.tolist() == list(map(len, lines))
    assert n_distinct.tolist() == [len(set(own)) for own in lines]


def story(i: int) -> str:
    return f"story number {i} tells at length what happened in town {i} on day {i}"


def test_a_site_s_fixed_lines_are_furniture(tmp_path):
    pages = [("site.com", None, f"{story(i)}\nLeave a Reply\nYOU MAY ALSO LIKE") for i in range(5)]
    others = [("other.com", None, f"{story(i)}\nleave a reply") for i in range(5, 8)]
    flagged, _ = masked_lines(tmp_path, pages + others, config())
    assert flagged == [{"Leave a Reply", "YOU MAY ALSO LIKE"}] * 5 + [set()] * 3


def test_keys_come_in_ascending_order(tmp_path):
    lines = "\n".join(f"Line {i}" for i in range(20))
    pages = [("site.com", None, f"{story(i)}\n{lines}") for i in range(5)]
    _, found = masked_lines(tmp_path, pages, config())
    keys = read_ipc(found.path)["key"].to_numpy()
    assert len(keys) == 20
    assert (np.diff(keys.astype(object)) > 0).all()


def test_the_least_share_is_of_the_pages_of_the_source(tmp_path):
    """Five pages are half of a small site and a twentieth of a large one, whose lines come first."""
    large, small = (
        [(name, None, story(i) + f"\nTop of the {name}" * (i - first < 5)) for i in range(first, end)]
        for name, first, end in (("large", 0, 100), ("small", 200, 210))
    )
    flagged, _ = masked_lines(tmp_path, large + small, config("furniture.min_share=0.3"))
    assert flagged == [set()] * 100 + [{"Top of the small"}] * 5 + [set()] * 5


def test_lines_of_a_story_that_many_print_are_not_furniture(tmp_path):
    copies = [("site.com", None, f"{story(1)}\nThe mayor declined to comment") for _ in range(9)]
    flagged, _ = masked_lines(tmp_path, copies, config())
    assert flagged == [set()] * 9


@pytest.mark.parametrize(("n", "is_furniture"), [(19, False), (20, True)])
def test_lines_repeated_over_sources_need_four_times_as_many_articles(n, is_furniture, tmp_path):
    pages = [(f"site{i}.com", None, f"{story(i)}\nAll rights reserved") for i in range(n)]
    flagged, _ = masked_lines(tmp_path, pages, config())
    assert flagged == [{"All rights reserved"} if is_furniture else set()] * n


def test_long_lines_are_never_furniture(tmp_path):
    disclaimer = " ".join(["legal"] * 5)
    pages = [("site.com", None, f"{story(i)}\n{disclaimer}") for i in range(6)]
    assert masked_lines(tmp_path / "5", pages, config("furniture.max_tokens=5"))[0] == [{disclaimer}] * 6
    assert masked_lines(tmp_path / "4", pages, config("furniture.max_tokens=4"))[0] == [set()] * 6


def test_a_collection_without_lines_has_no_furniture(tmp_path):
    flagged, found = masked_lines(tmp_path, [("s", "Title only", ""), (None, None, "one line")], config())
    assert flagged == [set(), set()]
    assert found.rows == 0


def test_the_same_lines_are_found_however_the_shards_are_grouped(tmp_path):
    pages = [(f"s{i % 2}", None, f"{story(i)}\nLeave a Reply\nline {i % 2}") for i in range(14)]
    found = [masked_lines(tmp_path / str(n), pages, config(), n) for n in (1, 2, 4)]
    assert found[0][0] == found[1][0] == found[2][0]
    assert len({ref.digest for _, ref in found}) == 1


def test_apply_returns_the_lines_and_their_keys(tmp_path):
    pages = [("site.com", None, f"Leave a Reply\n{story(i)}\nAll rights reserved") for i in range(5)]
    others = [(f"site{i}.com", None, f"{story(i)}\nall rights reserved") for i in range(5, 20)]
    [group], [tokens] = tokenised(tmp_path, pages + others, 1, shard_rows=20, batch_rows=20)
    found = furniture.merge([furniture.count(group, tokens, config(), tmp_path)], config(), tmp_path)
    mask = furniture.FurnitureMask(found, config())
    [(kept, salts)] = furniture.kept_with_salts(group, tokens)
    lines, keys = mask.apply(kept, salts)
    of_source, of_all = furniture.line_keys(kept, salts)
    expected = {0 + 3 * i: of_source for i in range(5)} | {2 + 3 * i: of_source for i in range(5)}
    expected |= {16 + 2 * i: of_all for i in range(15)}
    assert dict(zip(lines.tolist(), keys.tolist(), strict=True)) == {k: v[k] for k, v in expected.items()}
    assert set((of_source & np.uint64(1)).tolist()) == {1}
    assert set((of_all & np.uint64(1)).tolist()) == {0}
    # The file's own tokens are as they were.
    assert not (next(read_kept(tokens)).flags & FURNITURE).any()


@pytest.mark.skipif(JIT_OFF, reason="holds no kernel but the tokeniser")
def test_sources_are_told_apart_by_their_words():
    salts = source_salts(strings(["a.com", None, "b.com", "A.COM", "", "日本", "com.a"])).tolist()
    assert salts[0] == salts[3]
    assert salts[1] == salts[4]
    assert len(set(salts)) == 5
    assert source_salts(strings([])).tolist() == []
