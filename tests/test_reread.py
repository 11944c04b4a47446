"""What is read again of the table of texts: which articles, their texts and their wording."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stages import config, pair_table, sign, write_shards
from texts import EXAMPLES, FEW_EXAMPLES

from pipeline import assemble, reread, tables, wording
from pipeline.errors import RunError
from pipeline.reread import CHOSEN, Reread, choose, reread_group, take_chosen
from pipeline.schema import TEXTS
from pipeline.screen import SCREENED
from pipeline.sections import SCANNED
from pipeline.shards import ShardGroup
from pipeline.signatures import SIGNED_LINES
from pipeline.tables import Ref, read_batches, read_ipc, write_ipc, write_parquet

N = 17
SETTINGS = config("furniture.min_articles=3", "reprint.shingle_size=2")
ARTICLES = [
    (
        f"s{i % 3}",
        f"Title {i}" if i % 2 else None,
        f"Leave a Reply\nBody {i} of Ann who met\nand Bob, {i} words of {i % 4}." if i % 5 else "日",
    )
    for i in range(N)
]


class Collection:
    """ARTICLES in groups with their kept tokens, and the table of their texts in row groups of a few."""

    def __init__(self, folder: Path) -> None:
        self.work = folder
        self.signing = sign(folder, ARTICLES, SETTINGS, n_groups=3)
        shards = write_shards(folder, ARTICLES)
        self.texts = assemble.write_texts(shards, folder)

    def screened(self, pairs: Sequence[tuple[int, int]], passes: bool = True) -> Ref:
        table = pair_table(pairs)
        said = pa.array([passes] * len(pairs), pa.bool_())
        return write_ipc(
            self.work / "screened.arrow",
            SCREENED,
            table.append_column(SCREENED.field("passes"), said).to_batches(),
        )

    def read(self, group: ShardGroup, screened: Ref, scanned=(), lines=()) -> Reread:
        """`lines` are keys and rows of lines of furniture."""
        scan = pa.record_batch({"row": list(scanned)}, SCANNED)
        keys, rows = ([line[k] for line in lines] for k in (0, 1))
        return reread_group(
            group,
            self.texts,
            write_ipc(self.work / "scanned.arrow", SCANNED, [scan]),
            write_ipc(
                self.work / "carried.arrow",
                SIGNED_LINES,
                [pa.record_batch({"key": keys, "row": rows}, SIGNED_LINES)],
            ),
            self.signing.furniture,
            self.signing.statistics,
            [screened],
            SETTINGS,
            self.work / "again",
        )


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "ROW_GROUP_BYTES", 100)
        patch.setattr(reread, "_DECODED", 2)
        yield Collection(tmp_path_factory.mktemp("reread"))


def articles(ref: Ref) -> list[dict]:
    return read_ipc(ref.path).to_pylist()


def expected(rows: list[int]) -> list[dict]:
    return [
        {
            "row": i,
            "article_id": f"a{i}",
            "source": ARTICLES[i][0],
            "title": ARTICLES[i][1],
            "text": ARTICLES[i][2],
        }
        for i in rows
    ]


def test_the_table_has_row_groups_that_groups_share(collection):
    assert pq.read_metadata(collection.texts.path).num_row_groups > 3
    assert len(collection.signing.groups) == 3


@FEW_EXAMPLES
@given(rows=st.sets(st.integers(0, N - 1)))
def test_each_group_gets_the_texts_that_are_asked_for(collection, rows):
    nothing = collection.screened([])
    for group in collection.signing.groups:
        found = collection.read(group, nothing, scanned=sorted(rows))
        own = [i for i in sorted(rows) if group.first_row <= i < group.first_row + group.n_articles]
        assert articles(found.texts) == expected(own)
        assert all(batch.num_rows for batch in read_batches(found.texts.path))


@FEW_EXAMPLES
@given(pairs=st.sets(st.tuples(st.integers(0, N - 1), st.integers(0, N - 1)), max_size=4))
def test_wording_is_as_of_the_tokens_that_have_gone(collection, pairs):
    """Furniture is left out, and those that were read for another reason have none."""
    signing, screened = collection.signing, collection.screened(sorted(pairs))
    for group, tokens in zip(signing.groups, signing.tokens, strict=True):
        first = wording.write_group(
            group, tokens, signing.furniture, signing.statistics, [screened], SETTINGS, collection.work
        )
        again = collection.read(group, screened, scanned=range(0, N, 2)).worded
        assert {name: ref.digest for name, (_, ref) in again.files.items()} == {
            name: ref.digest for name, (_, ref) in first.files.items()
        }


def test_a_group_is_refused_where_the_table_has_other_articles_in_its_place(collection, tmp_path):
    """Wherever in the group two articles have changed places; what lies outside of it is no matter."""
    nothing = np.zeros(0, np.int64)
    table = pq.read_table(collection.texts.path)
    for i in range(N - 1):
        order = [*range(i), i + 1, i, *range(i + 2, N)]
        ids = table["article_id"].take(pa.array(order))
        path = tmp_path / f"{i}.parquet"
        write_parquet(path, TEXTS, table.set_column(0, TEXTS.field("article_id"), ids))
        for group in collection.signing.groups:
            own = range(group.first_row, group.first_row + group.n_articles)
            if i in own or i + 1 in own:
                with pytest.raises(RunError, match=r"texts: must have the .* articles in their order"):
                    choose(group, path, nothing, tmp_path)
            else:
                choose(group, path, nothing, tmp_path)


def test_pairs_repeats_and_first_carriers_ask(collection):
    lines = [(8, 3), (8, 1), (8, 16), (9, 16), (9, 15)]
    screened = collection.screened([(0, 12)])
    found = [
        row["row"]
        for group in collection.signing.groups
        for row in articles(collection.read(group, screened, [5], lines).texts)
    ]
    assert found == [0, 1, 5, 12, 15]


def test_a_pair_that_does_not_pass_asks_for_nothing(collection):
    group = collection.signing.groups[0]
    assert articles(collection.read(group, collection.screened([(0, 1)], passes=False)).texts) == []


@EXAMPLES
@given(rows=st.sets(st.integers(0, N - 1)), cut=st.integers(1, N))
def test_chosen_articles_are_taken_by_row(tmp_path_factory, rows, cut):
    folder = tmp_path_factory.mktemp("chosen")
    table = pa.Table.from_pylist(expected(list(range(0, N, 2))), schema=CHOSEN)
    texts = [
        write_ipc(folder / f"{at}.arrow", CHOSEN, table.slice(at, cut).to_batches(2))
        for at in range(0, len(table), cut)
    ]
    wanted = np.array(sorted(row for row in rows if row % 2 == 0), np.int64)
    found = take_chosen(texts, wanted, ("text", "source"))
    assert found.column_names == ["text", "source"]
    assert found.to_pylist() == [
        {"text": r["text"], "source": r["source"]} for r in expected(wanted.tolist())
    ]
