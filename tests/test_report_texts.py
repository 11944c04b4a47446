"""The texts of the report: which they are, in which files, and with the run's own tokens."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from stages import counted, kept
from texts import collections, strings

from pipeline import report_texts
from pipeline.config import Config
from pipeline.furniture import FOUND, FurnitureMask
from pipeline.published import read_run
from pipeline.report_files import as_json, read_data, write_data
from pipeline.report_texts import MAX_PACKED, chosen_rows
from pipeline.report_tokens import BACKSLASH, FIRST_CODE, N_SURROGATES, SURROGATES
from pipeline.reread import CHOSEN
from pipeline.tables import Ref, read_ipc, write_ipc
from pipeline.terms import TermStatistics
from pipeline.tokens import Tokeniser, tokenise


def decoded(packed: str) -> list[int]:
    """The numbers of a string of tokens, as the page reads them."""
    codes = [ord(letter) for letter in packed]
    codes = [code - N_SURROGATES * (code >= SURROGATES + N_SURROGATES) for code in codes]
    return [code - (code > BACKSLASH) - FIRST_CODE for code in codes]


def writer(tmp_path: Path, texts: list[tuple[str | None, str]]) -> report_texts._Writer:
    none = write_ipc(tmp_path / "furniture.arrow", pa.schema([("key", pa.uint64())]), [])
    return report_texts._Writer(FurnitureMask(none, Config()), counted(16, kept(texts)), Tokeniser())


def encoded(tmp_path: Path, texts: list[tuple[str | None, str]], lot: pa.Table) -> dict[str, Any]:
    return json.loads(as_json(writer(tmp_path, texts).encode(lot)))


@settings(deadline=None, max_examples=60)
@given(collections)
def test_tokens_lie_where_the_tokeniser_finds_them(tmp_path_factory, texts):
    if not texts:
        return
    titles, bodies = (strings(list(side)) for side in zip(*texts, strict=True))
    lot = pa.table({"source": pa.nulls(len(texts), pa.string()), "title": titles, "text": bodies})
    told = encoded(tmp_path_factory.mktemp("w"), texts, lot)
    tokens = tokenise(titles, bodies)
    for i, (title, body) in enumerate(texts):
        whole = (f"{title or ''}\n{body}").encode("utf-16-le")
        numbers = np.array(decoded(told["tokens"][i]), np.int64).reshape(-1, 3)
        begin = np.cumsum(numbers[:, 0])
        words = [whole[2 * b : 2 * (b + n)].decode("utf-16-le")
                 for b, n in zip(begin.tolist(), (numbers[:, 1] >> 3).tolist(), strict=True)]  # fmt: skip
        own = range(int(tokens.indptr[i]), int(tokens.indptr[i + 1]))
        expected = []
        for k in own:
            data = ((title or "") if k < tokens.body[i] else body).encode()
            expected.append(data[tokens.begin[k] : tokens.end[k]].decode())
        assert words == expected
        assert told["n_tokens"][i] == len(own)


def test_very_long_texts_are_cut_in_tokens_not_in_text(tmp_path):
    body = " ".join(f"w{i}" for i in range(MAX_PACKED + 7))
    lot = pa.table({"source": strings([None]), "title": strings([None]), "text": strings([body])})
    told = encoded(tmp_path, [(None, body)], lot)
    assert told["texts"] == [body]
    assert len(told["tokens"][0]) == 3 * MAX_PACKED
    assert told["n_tokens"] == [MAX_PACKED + 7]


def test_no_tag_can_stand_in_data(tmp_path):
    hostile = {"text": "</script><!--<script>", "line": "\u2028"}
    write_data(tmp_path, "x", hostile)
    content = (tmp_path / "x.js").read_text(encoding="utf-8")
    assert "<" not in content
    assert json.loads(read_data(tmp_path, "x")) == hostile


def test_texts_are_chosen_by_repeats_and_size(sample_run):
    folder = sample_run.run_dir
    rows = pq.read_table(folder / "articles.parquet").to_pylist()
    sizes = {c["cluster_id"]: c["n_articles"] for c in pq.read_table(folder / "clusters.parquet").to_pylist()}
    repeats = set(pq.read_table(folder / "repeated_sections.parquet")["article_id"].to_pylist())
    own = {a["article_id"]: a["cluster_id"] for a in rows}
    between = {
        article_id
        for p in pq.read_table(folder / "confirmed_pairs.parquet").to_pylist()
        if own[p["article_id_l"]] != own[p["article_id_r"]]
        for article_id in (p["article_id_l"], p["article_id_r"])
    }
    first = {i for i, a in enumerate(rows) if a["article_id"] in repeats | between}
    runs = folder.parent
    shown = [i for i, a in enumerate(rows) if i in first or a["cluster_id"] in sizes]
    assert any(sizes.get(rows[i]["cluster_id"]) is None for i in first)
    assert chosen_rows(folder, runs, None).rows.tolist() == shown
    assert chosen_rows(folder, runs, 10_000).rows.tolist() == shown
    few = chosen_rows(folder, runs, len(first) + 3).rows.tolist()
    assert few == sorted(few)
    assert len(few) == len(first) + 3
    assert first <= set(few)
    largest = sorted((sizes[rows[i]["cluster_id"]] for i in shown if i not in first), reverse=True)
    assert sorted((sizes[rows[i]["cluster_id"]] for i in set(few) - first), reverse=True) == largest[:3]
    assert chosen_rows(folder, runs, 0).rows.tolist() == []


@pytest.mark.parametrize(
    ("max_texts", "lots"),
    [(0, []), (1, [8]), (2_500, [8]), (2_501, [4, 4]), (7_500, [2, 3, 3]), (None, 8 * [1])],
)
def test_few_texts_are_one_calls_work(max_texts, lots):
    texts = [Ref(f"chosen-{number}", number, 0, "") for number in range(8)]
    found = report_texts.lots(texts, max_texts)
    assert [len(lot) for lot in found] == lots
    assert [group for lot in found for group in lot] == list(enumerate(texts)) * bool(lots)


def test_groups_in_one_call_leave_what_a_call_for_each_leaves(sample_run, tmp_path):
    """The same files with the same texts, and the same places of them."""
    run = read_run(sample_run.run_dir)
    rows = pa.concat_tables(run.articles())
    rows = rows.add_column(0, "row", [pa.array(range(len(rows)))]).select(CHOSEN.names).cast(CHOSEN)
    texts = [
        write_ipc(tmp_path / f"chosen-{at}.arrow", CHOSEN, rows.slice(at, 50).to_batches())
        for at in range(0, len(rows), 50)
    ]
    groups = list(enumerate(texts))
    assert len(groups) == 4
    furniture = write_ipc(tmp_path / "furniture.arrow", FOUND, [])
    statistics = TermStatistics.empty(16).save(tmp_path / "terms.npy")
    left = []
    for name, lots in (("together", [tuple(groups)]), ("apart", [(group,) for group in groups])):
        folder, work = tmp_path / name, tmp_path / f"{name}-work"
        work.mkdir()
        how = (furniture, statistics, run.folder, run.runs, 1_000, run.config, folder, work)
        refs = [report_texts.write_texts(lot, *how) for lot in lots]
        places = [row for ref in refs for row in read_ipc(ref.path).to_pylist()]
        left.append((places, {path.name: path.read_bytes() for path in folder.iterdir()}))
    assert left[0] == left[1]
    assert len(left[0][1]) == 4
