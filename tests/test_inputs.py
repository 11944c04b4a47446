"""Finding the files of a run, and cutting them into units."""

from __future__ import annotations

import itertools
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import articles, inputs
from pipeline.config import Config
from pipeline.errors import InputError
from pipeline.inputs import InputFile, InputPart, expand, partition


def names(arguments) -> list[str]:
    return [file.name for file in expand([str(a) for a in arguments]).files]


@pytest.fixture
def tree(tmp_path):
    for name in (
        "b.jsonl",
        "a.csv",
        "sub/c.parquet",
        "sub/d.txt.gz",
        "sub/e.TXT",
        "sub/.hidden.txt",
        "notes.md",
        ".cache/x.txt",
        "out/.respun",
        "out/runs/1/articles.parquet",
        "past/index.json",
        "past/segments/1/articles.parquet",
        "f.ndjson.zst",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return tmp_path


def test_a_folder_means_all_supported_files_below_but_no_hidden_ones_and_no_results(tree):
    assert names([tree]) == ["a.csv", "b.jsonl", "f.ndjson.zst", "sub/c.parquet", "sub/d.txt.gz", "sub/e.TXT"]


def test_a_pipe_is_passed_over_and_none_that_is_named_is_read(tree):
    os.mkfifo(tree / "sub" / "pipe.jsonl")
    found = expand([str(tree / "sub")])
    assert [file.name for file in found.files] == ["c.parquet", "d.txt.gz", "e.TXT"]
    assert found.n_passed_over == 1
    with pytest.raises(InputError, match="must be a file, a folder or a glob, is none of them"):
        expand([str(tree / "sub" / "pipe.jsonl")])


@pytest.mark.parametrize("ending", [".jsonl", ".csv", ".txt", ".parquet"])
def test_a_file_whose_name_is_not_utf8_costs_that_file(tmp_path, ending):
    (tmp_path / "one.txt").write_text("One text that can be read.")
    (tmp_path / os.fsdecode(b"caf\xe9" + ending.encode())).write_bytes(b'{"text": "more"}\n')
    units = articles.plan_inputs([str(tmp_path)], Config())
    read = [articles.read_unit(unit, Config(), tmp_path / "work") for unit in units]
    assert sum(unit.n_rows_read for unit in read) == 1
    assert [name for unit in read for name in unit.unreadable] == [f"caf?{ending}"]


def test_names_are_relative_to_the_common_parent_and_globs_have_a_fixed_one(tree):
    assert names([tree / "sub" / "c.parquet"]) == ["c.parquet"]
    assert names([tree / "sub" / "c.parquet", tree / "a.csv"]) == ["a.csv", "sub/c.parquet"]
    assert names([tree / "s*" / "c.par*"]) == ["sub/c.parquet"]
    assert names([tree / "**" / "*.txt.gz"]) == ["sub/d.txt.gz"]
    assert names([tree / "s*"]) == ["sub/c.parquet", "sub/d.txt.gz", "sub/e.TXT"]


def test_files_that_are_passed_over_are_counted_once_and_not_the_hidden_ones(tree):
    (tree / "sub" / "page.html").write_bytes(b"")
    for arguments, n in (([tree], 2), ([tree, tree / "sub", tree / "*"], 2), ([tree / "*.csv"], 0)):
        found = expand([str(argument) for argument in arguments])
        assert found.n_passed_over == n
        parts = [InputPart(file, inputs.MIN_UNIT_BYTES) for file in found.files]
        assert [unit.n_passed_over for unit in partition(parts, n)] == [n] + [0] * (len(parts) - 1)


def test_order_and_repetition_of_the_arguments_do_not_matter(tree):
    (tree / "z.csv").symlink_to(tree / "a.csv")
    arguments = [tree / "sub", tree / "a.csv", tree / "*.csv", tree / "b.jsonl"]
    found = {tuple(names(order)) for order in itertools.permutations(arguments)}
    assert found == {("a.csv", "b.jsonl", "sub/c.parquet", "sub/d.txt.gz", "sub/e.TXT")}


def test_a_file_whose_name_looks_like_a_glob(tmp_path):
    (tmp_path / "a[1].csv").write_bytes(b"")
    assert names([tmp_path / "a[1].csv"]) == ["a[1].csv"]


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("nothere.csv", "must be a file, a folder or a glob, is not there"),
        ("notes.md", "must be .parquet, .jsonl"),
        (".cache2", "the folder must hold .parquet"),
        ("*.parquet", "the glob must hold .parquet"),
    ],
)
def test_arguments_that_mean_no_file(tree, argument, words):
    (tree / ".cache2").mkdir()
    with pytest.raises(InputError) as caught:
        expand([str(tree / argument)])
    assert argument in str(caught.value)
    assert words in str(caught.value)
    with pytest.raises(InputError, match="at least one"):
        expand([])


@given(st.lists(st.integers(0, 60 << 20), min_size=1, max_size=60))
def test_partition_keeps_order_and_balances(sizes):
    parts = [InputPart(InputFile(str(i), str(i), "csv", None, size), size) for i, size in enumerate(sizes)]
    units = partition(parts)
    assert [part for unit in units for part in unit.parts] == parts
    assert [unit.index for unit in units] == list(range(len(units)))
    assert len(units) <= inputs.MAX_UNITS
    share = sum(sizes) / max(1, min(inputs.MAX_UNITS, len(parts), sum(sizes) // inputs.MIN_UNIT_BYTES))
    assert all(sum(part.bytes for part in unit.parts) <= share + max(sizes) + 1 for unit in units)


@pytest.mark.parametrize("argument", ["", " "])
def test_an_empty_argument_is_not_the_folder_one_stands_in(argument, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_text("text")
    with pytest.raises(InputError, match="one argument is empty"):
        expand(["a.txt", argument])
