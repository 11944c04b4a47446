"""`respun label`: what is drawn, what is shown of it, and that the file comes back as labels."""

from __future__ import annotations

import csv
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from texts import EXAMPLES

from flows.cli import cli
from pipeline.errors import InputError
from pipeline.label import COLUMNS, LEAD_LENGTH, PASSAGE_LENGTH, cut, draw, passage, sample_pairs
from pipeline.labelled_pairs import read_labels

PROBABILITIES = st.lists(st.floats(0.001, 0.999), min_size=1, max_size=80)


def respun(*args: object):
    return CliRunner().invoke(cli, [str(arg) for arg in args])


def read(path) -> list[dict]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@EXAMPLES
@given(PROBABILITIES, st.floats(0.05, 0.95), st.integers(1, 60), st.integers(0, 5))
def test_bins_give_equally_many_or_all_they_have(probability, threshold, n, seed):
    values = np.array(probability)
    chosen = draw(values, threshold, n, np.random.default_rng(seed))
    assert len(set(chosen.tolist())) == len(chosen) == min(n, len(values))
    edges = [*np.linspace(0, threshold, 6), *np.linspace(threshold, 1, 6)[1:]]
    every, drawn = (np.histogram(own, edges)[0] for own in (values, values[chosen]))
    most = drawn.max()
    assert all(k == size or k >= most - 1 for k, size in zip(drawn, every, strict=True))


def test_the_draw_depends_on_the_seed_alone():
    values = np.random.default_rng(0).random(500)
    one, again, other = (draw(values, 0.4, 50, np.random.default_rng(seed)).tolist() for seed in (1, 1, 2))
    assert one == again != other


def test_the_passage_is_what_both_tell():
    text = "It rained all day. The Velm bridge closed on 12 May after a crack was seen. Fans sang."
    other = "Engineers found a crack. Velm's bridge has been shut since 12 May."
    assert passage(text, other) == "The Velm bridge closed on 12 May after a crack was seen."
    assert passage(text, "nothing of it") == ""
    long = " ".join(["Velm bridge"] * 400)
    assert len(passage(long, other)) == PASSAGE_LENGTH


def test_cut_is_one_line():
    assert cut("a\n\n b", 10) == "a b"
    assert cut("abcdef", 4) == "abc…"


def test_the_sample_end_to_end(sample_run, tmp_path):
    path, again = tmp_path / "to-label.csv", tmp_path / "again.csv"
    output = sample_run.run_dir.parents[1]
    done = respun("label", output, "--n", 40, "--output", path)
    assert done.exit_code == 0, done.output
    assert "40 pairs" in done.stdout
    assert respun("label", output, "--n", 40, "--output", again, "--seed", 1).exit_code == 0
    assert path.read_bytes() == again.read_bytes()
    rows = read(path)
    assert tuple(rows[0]) == COLUMNS
    assert {row["label"] for row in rows} == {""}
    known = {
        row["article_id"]: row for row in pq.read_table(sample_run.run_dir / "articles.parquet").to_pylist()
    }
    candidates = {
        (row["article_id_l"], row["article_id_r"]): row
        for row in pq.read_table(sample_run.run_dir / "candidate_pairs.parquet").to_pylist()
    }
    for row in rows:
        kept = candidates[row["id_a"], row["id_b"]]
        assert float(row["probability"]) == pytest.approx(kept["probability"], abs=1e-4)
        assert bool(row["relation"]) == (kept["reason"] == "confirmed")
        assert row["source_a"] == known[row["id_a"]]["source"]
        assert row["passage_a"]
        assert len(row["lead_b"]) <= LEAD_LENGTH
    assert {candidates[row["id_a"], row["id_b"]]["reason"] for row in rows} == {
        "confirmed",
        "below_threshold",
    }
    assert len({(row["id_a"], row["id_b"]) for row in rows}) == 40


def test_the_file_comes_back_as_labels(sample_run, tmp_path):
    path = tmp_path / "to-label.csv"
    respun("label", sample_run.run_dir, "--n", 30, "--output", path)
    known = set(pq.read_table(sample_run.run_dir / "articles.parquet")["article_id"].to_pylist())
    with pytest.raises(InputError, match="30 with another label"):
        read_labels(path, known)
    rows = read(path)
    for at, row in enumerate(rows[:20]):
        row["label"] = str(at % 2)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    found = read_labels(path, known)
    assert (len(found.pairs), found.n_uncounted, found.n_unknown) == (20, 10, 0)
    done = respun("evaluate", "--labels", path, sample_run.run_dir, "--output", tmp_path / "e")
    assert done.exit_code == 0, done.output


def test_without_candidates_only_confirmed_pairs_are_drawn(sample_run, tmp_path):
    run_dir = shutil.copytree(sample_run.run_dir, tmp_path / "run")
    (run_dir / "candidate_pairs.parquet").unlink()
    found = sample_pairs(run_dir, 25, 7)
    assert (found.drawn_from, found.n_below, len(found.pairs)) == ("confirmed_pairs", 0, 25)
    assert all(pair.relation and pair.probability < 1 for pair in found.pairs)


def test_labels_are_never_overwritten(sample_run, tmp_path):
    path = tmp_path / "to-label.csv"
    path.write_text("mine")
    done = respun("label", sample_run.run_dir, "--output", path)
    assert done.exit_code == 2
    assert "must be a new file" in done.stderr
    assert path.read_text() == "mine"


def test_what_cannot_be_used_is_one_line(sample_run, tmp_path):
    run_dir = shutil.copytree(sample_run.run_dir, tmp_path / "run")
    done = respun("label", run_dir, "--n", 0, "--output", tmp_path / "l.csv")
    assert (done.exit_code, done.stderr) == (2, "respun: error: n: must be at least 1, not 0\n")
    (run_dir / "texts.parquet").unlink()
    done = respun("label", run_dir, "--output", tmp_path / "l.csv")
    assert done.exit_code == 2
    assert "keep_texts = false" in done.stderr.splitlines()[-1]
