"""`respun evaluate`: figures against scikit-learn and a naive twin, and a whole evaluation of the sample."""

from __future__ import annotations

import csv
import json
import shutil
import xml.etree.ElementTree as ET

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from command_line import ROOT
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score, precision_recall_curve
from texts import EXAMPLES

from flows.cli import cli
from pipeline.errors import InputError
from pipeline.evaluate import b_cubed, curve, evaluate, score, score_clusters
from pipeline.evaluation_files import curve_svg, metrics_of, one_line
from pipeline.labelled_pairs import LabelledPair, components, read_labels

PAIRS = ROOT / "data" / "sample" / "pairs.parquet"
CLUSTERINGS = st.integers(1, 25).flatmap(
    lambda n: st.tuples(*(st.lists(st.integers(0, 5), min_size=n, max_size=n) for _ in range(2)))
)


def respun(*args: object):
    return CliRunner().invoke(cli, [str(arg) for arg in args])


def write_labels(path, rows, columns=("id_a", "id_b", "label")):
    pq.write_table(pa.Table.from_pylist([dict(zip(columns, row, strict=True)) for row in rows]), path)
    return path


def table(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def naive_b_cubed(cluster, story):
    """Article by article, as in the paper."""
    precision = recall = 0.0
    for i in range(len(cluster)):
        same_cluster = [j for j in range(len(cluster)) if cluster[j] == cluster[i]]
        same_story = [j for j in range(len(cluster)) if story[j] == story[i]]
        both = len(set(same_cluster) & set(same_story))
        precision += both / len(same_cluster) / len(cluster)
        recall += both / len(same_story) / len(cluster)
    return precision, recall


@EXAMPLES
@given(CLUSTERINGS)
def test_b_cubed_is_that_of_the_naive_twin(both):
    cluster, story = both
    np.testing.assert_allclose(b_cubed(cluster, story), naive_b_cubed(cluster, story))


def test_b_cubed_by_hand():
    """One cluster of two stories, three articles and one: (3 * 3/4 + 1/4) / 4."""
    assert b_cubed(list("aaaa"), list("xxxy")) == (0.625, 1.0)
    assert b_cubed(list("abcd"), list("xxxx")) == (1.0, 0.25)


@EXAMPLES
@given(st.lists(st.tuples(st.sampled_from([0.1, 0.2, 0.25, 0.5, 0.9, 1.0]), st.booleans()), min_size=1))
def test_the_curve_is_that_of_scikit_learn(pairs):
    probability, same = np.array([p for p, _ in pairs]), np.array([s for _, s in pairs])
    if not same.any():
        assert curve(probability, same).recall.max() == 0
        return
    precision, recall, threshold = precision_recall_curve(same, probability)
    found = curve(probability, same)
    np.testing.assert_array_equal(found.threshold, threshold)
    np.testing.assert_allclose(found.precision, precision[:-1])
    np.testing.assert_allclose(found.recall, recall[:-1])
    assert (found.n_same + found.n_different == [(probability >= t).sum() for t in threshold]).all()


def test_pairs_without_a_probability_are_never_found():
    found = curve(np.array([0.0, 0.0, 0.6]), np.array([True, False, True]))
    assert found.threshold.tolist() == [0.6]
    assert found.recall.tolist() == [0.5]
    nothing = curve(np.zeros(2), np.array([True, False]))
    assert len(nothing.threshold) == 0
    ET.fromstring(curve_svg(nothing, 0.4))


def test_shares_of_nothing_are_unknown():
    nothing = score([], set())
    assert (nothing.precision, nothing.recall, nothing.f1) == (None, None, None)
    one_kind = score([LabelledPair("a", "b", True)], {("a", "b")})
    assert (one_kind.precision, one_kind.recall) == (None, 1.0)
    missed = score([LabelledPair("a", "b", True), LabelledPair("a", "c", False)], {("a", "c")})
    assert (missed.precision, missed.recall, missed.f1) == (0.0, 0.0, 0.0)


def test_components_are_those_of_the_graph():
    found = components([("a", "b"), ("c", "b")], ["d", "a"])
    assert found["a"] == found["b"] == found["c"] != found["d"]
    assert components([], ["x", "y"])["x"] != components([], ["x", "y"])["y"]


def test_excerpts_join_no_story():
    pairs = [LabelledPair("a", "b", True), LabelledPair("b", "c", True, kind="story.excerpt")]
    found = score_clusters(pairs, {"a": "1", "b": "1", "c": "2"})
    assert (found.n_stories, found.b_cubed_recall, found.adjusted_rand_index) == (2, 1.0, 1.0)
    contradicted = [*pairs[:1], LabelledPair("b", "c", True), LabelledPair("a", "c", False)]
    assert score_clusters(contradicted, dict.fromkeys("abc", "1")).n_contradictions == 1


@EXAMPLES
@given(st.lists(st.tuples(*[st.sampled_from("abcdefgh")] * 2, st.booleans()), min_size=1))
def test_the_rand_index_is_over_the_labelled_articles(rows):
    pairs = [LabelledPair(*sorted((a, b)), same) for a, b, same in rows if a != b]
    if not pairs:
        return
    cluster = {name: str(ord(name) % 3) for name in "abcdefgh"}
    articles = sorted({i for pair in pairs for i in pair.ids})
    story = components([p.ids for p in pairs if p.is_same], articles)
    expected = adjusted_rand_score([story[i] for i in articles], [cluster[i] for i in articles])
    assert score_clusters(pairs, cluster).adjusted_rand_index == pytest.approx(expected)


def test_labels_are_read_from_both_kinds_of_file(tmp_path):
    rows = [("b", "a", "1"), ("a", "c", "0.0"), ("a", "d", ""), ("a", "a", "1"), ("a", "zz", "1")]
    parquet = write_labels(tmp_path / "l.parquet", rows)
    semicolons = tmp_path / "l.csv"
    lines = ["\ufeffid_a;id_b;label", *(";".join(row) for row in rows)]
    semicolons.write_text("\n".join(lines), encoding="utf-8")
    for path in (parquet, semicolons):
        found = read_labels(path, set("abcd"))
        assert [(p.ids, p.is_same) for p in found.pairs] == [(("a", "b"), True), (("a", "c"), False)]
        assert (found.n_uncounted, found.n_unknown) == (2, 1)


@pytest.mark.parametrize(("rows", "columns", "words"), [
    ([("x", "y", 1)], ("id_a", "id_b", "label"), "1 with an article not in the run"),
    ([("a", "b", -1)], ("id_a", "id_b", "label"), "1 with another label"),
    ([("a", "b", 1)], ("id_a", "id_b", "same"), "lacks label"),
    ([("a", "b", 1), ("b", "a", 0)], ("id_a", "id_b", "label"), "a and b have 1 and 0"),
])  # fmt: skip
def test_labels_that_cannot_be_used_are_named(rows, columns, words, tmp_path):
    with pytest.raises(InputError, match=words):
        read_labels(write_labels(tmp_path / "l.parquet", rows, columns), {"a", "b"})


def test_files_that_cannot_be_read_are_named(tmp_path):
    (tmp_path / "broken.parquet").write_text("no")
    (tmp_path / "broken.csv").write_bytes(b"id_a,id_b,label\n\xff\xfe,b,1\n")
    (tmp_path / "empty.csv").write_text("")
    expected = {
        "broken.parquet": "readable", "broken.csv": "readable", "empty.csv": "lacks id_a",
        "absent.csv": "No such file", "labels.xlsx": ".csv file",
    }  # fmt: skip
    for name, words in expected.items():
        with pytest.raises(InputError, match=words):
            read_labels(tmp_path / name, {"a"})


def test_empty_labels_are_named(tmp_path):
    (tmp_path / "l.csv").write_text("id_a,id_b,label\n", encoding="utf-8")
    with pytest.raises(InputError, match="none of 0 has"):
        read_labels(tmp_path / "l.csv", {"a", "b"})


def test_the_sample_end_to_end(sample_run, tmp_path):
    output = sample_run.run_dir.parents[1]
    done = respun("evaluate", "--labels", PAIRS, output, "--output", tmp_path / "e", "--worst", "4")
    assert done.exit_code == 0, done.output
    assert "127 same, 202 not the same" in done.output
    metrics = json.loads((tmp_path / "e" / "metrics.json").read_text(encoding="utf-8"))
    run_dir = output / "runs" / metrics["run_id"]
    confirmed = pq.read_table(run_dir / "confirmed_pairs.parquet").to_pylist()
    found = {(row["article_id_l"], row["article_id_r"]) for row in confirmed}
    labels = {tuple(sorted((r["id_a"], r["id_b"]))): r["label"] for r in pq.read_table(PAIRS).to_pylist()}
    n_true, n_false = (sum(labels.get(pair) == label for pair in found) for label in (1, 0))
    assert metrics["pairs"]["n_same_found"] == n_true
    assert metrics["pairs"]["precision"] == round(n_true / (n_true + n_false), 4)
    assert sum(s["n_same_found"] for s in metrics["by_relation"].values()) == n_true
    assert sum(s["n_same"] for s in metrics["by_kind"].values()) == metrics["labels"]["n_same"] == 127
    assert metrics["curve"]["probabilities_from"] == "candidate_pairs"
    rows = table(tmp_path / "e" / "curve.csv")
    thresholds = [float(row["threshold"]) for row in rows]
    assert thresholds == sorted(set(thresholds))
    assert thresholds[0] < metrics["threshold"]
    at = next(row for row in rows if float(row["threshold"]) >= metrics["threshold"])
    assert (int(at["n_same"]), int(at["n_different"])) == (n_true, n_false)
    errors = table(tmp_path / "e" / "errors.csv")
    assert [e["error"] for e in errors] == ["false"] * min(n_false, 4) + ["missed"] * min(127 - n_true, 4)
    assert all(e["reason"] in {"screened", "below_threshold", "never_compared", "confirmed"} for e in errors)
    ET.fromstring((tmp_path / "e" / "curve.svg").read_text(encoding="utf-8"))


def test_missed_pairs_are_among_the_worst_errors(sample_run, tmp_path):
    """Pairs of two events, said to be the same."""
    others = pq.read_table(PAIRS).filter(pa.compute.field("label") == 0).slice(0, 6).to_pylist()
    rows = [(r["id_a"], r["id_b"], 1, "pos.none") for r in others]
    labels = write_labels(tmp_path / "l.parquet", rows, ("id_a", "id_b", "label", "kind"))
    command = ("evaluate", sample_run.run_dir, "--labels", labels, "--output", tmp_path / "e", "--worst", "4")
    done = respun(*command)
    assert done.exit_code == 0, done.output
    assert [e["error"] for e in table(tmp_path / "e" / "errors.csv")] == ["missed"] * 4


def test_what_is_no_failure_is_not_printed_like_one(sample_run, tmp_path):
    ids = pq.read_table(PAIRS).filter(pa.compute.field("label") == 0).slice(0, 3).to_pylist()
    same = pq.read_table(PAIRS).filter(pa.compute.field("label") == 1).slice(0, 1).to_pylist()
    rows = [(r["id_a"], r["id_b"], 0, "neg.other") for r in ids]
    rows += [(r["id_a"], r["id_b"], 1, "pos.copy") for r in same]
    labels = write_labels(tmp_path / "l.parquet", rows, ("id_a", "id_b", "label", "kind"))
    done = respun("evaluate", sample_run.run_dir, "--labels", labels, "--output", tmp_path / "e")
    lines = {line[:32].strip(): line[32:].split() for line in done.stdout.splitlines()}
    assert lines["kind neg.other"] == ["found", "0", "of", "3", "0", "0", "3", "0"]
    assert lines["not found, so of no relation"][:4] == ["found", "0", "of", "3"]
    assert "relation unknown" not in done.stdout


def test_without_candidates_the_curve_begins_at_the_threshold(sample_run, tmp_path):
    run_dir = shutil.copytree(sample_run.run_dir, tmp_path / "run")
    (run_dir / "candidate_pairs.parquet").unlink()
    found = evaluate(PAIRS, run_dir)
    assert found.curve_from == "confirmed_pairs"
    assert found.curve.threshold.min() >= found.threshold
    assert {error.reason for error in found.errors} <= {"confirmed", "not_confirmed"}
    json.dumps(metrics_of(found))


def test_relations_and_sources_of_the_file_count(sample_run, tmp_path):
    ids = pq.read_table(PAIRS).filter(pa.compute.field("label") == 1).slice(0, 2).to_pylist()
    columns = ("id_a", "id_b", "label", "source", "relation")
    rows = [(r["id_a"], r["id_b"], 1, "mine", "reprint") for r in ids]
    found = evaluate(write_labels(tmp_path / "l.parquet", rows, columns), sample_run.run_dir)
    assert [*found.by_relation] == ["reprint"]
    assert [*found.by_source] == ["mine"]
    assert found.by_relation["reprint"].recall is not None


@pytest.mark.parametrize(("args", "words"), [
    (("--labels", "absent.parquet"), "labels absent.parquet"),
    (("--labels", PAIRS, "--output", PAIRS / "e"), "output"),
])  # fmt: skip
def test_what_cannot_be_used_is_one_line(args, words, sample_run):
    done = respun("evaluate", *args, sample_run.run_dir)
    assert done.exit_code == 2
    [line] = done.stderr.splitlines()
    assert words in line


def test_labels_are_not_written_over(tmp_path):
    labels = tmp_path / "errors.csv"
    labels.write_text("id_a,id_b,label\n")
    for words in (("evaluate", "--output", tmp_path), ("calibrate", "--output", labels)):
        done = respun(*words, "--labels", labels, tmp_path)
        assert done.exit_code == 2
        assert "must not be the file of the labels" in done.stderr
        assert labels.read_text() == "id_a,id_b,label\n"


def test_a_run_that_is_none_is_one_line(tmp_path):
    done = respun("evaluate", "--labels", PAIRS, tmp_path)
    assert done.exit_code == 2
    assert "latest.json" in done.stderr
    (tmp_path / "manifest.json").write_text("{}")
    assert "manifest.json" in respun("evaluate", "--labels", PAIRS, tmp_path).stderr


@pytest.mark.parametrize(
    "command", [("evaluate", "--labels", PAIRS), ("explain",), ("report",)], ids=lambda command: command[0]
)
@pytest.mark.parametrize(("text", "rule"), [
    ("{", "must be a JSON object: "), ("[]", "must be a JSON object: "),
    ("\udcff", "must be a JSON object: "), ('{"config": {}}', "must be whole, lacks counts, threshold"),
])  # fmt: skip
def test_a_damaged_manifest_is_told_alike_by_all_who_read_it(command, text, rule, tmp_path):
    (tmp_path / "manifest.json").write_bytes(text.encode(errors="surrogateescape"))
    done = respun(*command, tmp_path, *["a", "b"] * ("explain" in command))
    assert done.exit_code == 2
    line = done.stderr.splitlines()[-1]
    assert line.startswith(f"respun: error: {tmp_path}/manifest.json: {rule}")


def test_a_title_is_no_formula():
    assert one_line("=SUM(A1)\n now") == "'=SUM(A1) now"
    assert one_line("  Rates\tcut ") == "Rates cut"
