"""`respun explain` and `respun compare`: the numbers of the run, and what is said of pairs and files."""

from __future__ import annotations

import itertools
import json
import math
import re
import shutil
import sys
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from command_line import SAMPLE

from flows.cli import cli
from flows.explain_report import explanation_lines
from pipeline.executor import Silence, ThreadExecutor
from pipeline.explained import Explanation
from pipeline.measures import FEATURES
from pipeline.revisit import explain_articles

EVENT = "story/A01"
SOURCE, TRIMMED, HEAVY, FOLLOWUP, EXCERPT, COPY = (
    f"{EVENT}/{name}" for name in ("source", "trimmed", "heavy", "followup", "excerpt", "copy")
)
FAR = "story/A03/page"
EXPLAINED = ("cosine", "cosine_bigrams", "cosine_names", "cosine_numbers", "jaccard")


def respun(*args: object):
    return CliRunner().invoke(cli, [str(arg) for arg in args])


def explained(run_dir: Path, id_a: str, id_b: str) -> Explanation:
    return explain_articles(run_dir, id_a, id_b, ThreadExecutor(1), Silence())


def text_of(found: Explanation) -> str:
    return "\n".join("".join(text for text, _ in line) for line in explanation_lines(found))


@pytest.fixture(scope="module")
def run_dir(sample_run) -> Path:
    return sample_run.run_dir


@pytest.fixture(scope="module")
def pairs(run_dir) -> list[dict]:
    return pq.read_table(run_dir / "confirmed_pairs.parquet").to_pylist()


def pick(pairs: list[dict]) -> list[dict]:
    """Three pairs of each relation, and those with an article that has furniture."""
    chosen = [
        pair for relation in ("exact", "reprint", "excerpt", "respun")
        for pair in [p for p in pairs if p["relation"] == relation][:3]
    ]  # fmt: skip
    return chosen + [p for p in pairs if {p["article_id_l"], p["article_id_r"]} == {SOURCE, HEAVY}]


def test_the_numbers_are_those_of_the_run(run_dir, pairs):
    for pair in pick(pairs):
        found = explained(run_dir, pair["article_id_l"], pair["article_id_r"])
        assert found.verdict == "confirmed"
        assert (found.relation, found.found_by) == (pair["relation"], pair["found_by"])
        assert found.waterfall.probability == pytest.approx(pair["probability"], abs=1e-5)
        assert {name: found.measures[name] for name in EXPLAINED} == pytest.approx(
            {name: pair[name] for name in EXPLAINED}, abs=1e-5
        )
        assert found.measures["containment_a_in_b"] == pytest.approx(pair["containment_l_in_r"], abs=1e-5)
        assert found.measures["containment_b_in_a"] == pytest.approx(pair["containment_r_in_l"], abs=1e-5)
        assert found.path or pair["relation"] == "excerpt"


def test_contributions_and_intercept_give_the_probability(run_dir):
    for other in (TRIMMED, HEAVY, FOLLOWUP, FAR):
        fall = explained(run_dir, SOURCE, other).waterfall
        total = fall.intercept + sum(part.log_odds for part in fall.contributions)
        assert fall.total == pytest.approx(total)
        assert fall.by_rule == pytest.approx(1 / (1 + math.exp(-total)), rel=1e-9, abs=1e-12)
        sizes = [abs(part.log_odds) for part in fall.contributions]
        assert sizes == sorted(sizes, reverse=True)
        assert {part.feature for part in fall.contributions} == set(FEATURES)


def turned(found: dict) -> dict:
    """An explanation with its sides changed."""
    found = _swapped(found, "", "alone_")
    names = {"containment_a_in_b": "containment_b_in_a", "containment_b_in_a": "containment_a_in_b"}
    found["measures"] = {names.get(name, name): value for name, value in found["measures"].items()}
    found["path"] = tuple(
        link | {"article_id_from": link["article_id_to"], "article_id_to": link["article_id_from"]}
        for link in reversed(found["path"])
    )
    passages = [_swapped(p, "n_tokens_", "text_", "facts_") for p in found["alignment"]["passages"]]
    found["alignment"] = found["alignment"] | {"passages": tuple(passages)}
    return found


def _swapped(values: dict, *names: str) -> dict:
    return values | {f"{name}{x}": values[f"{name}{y}"] for name in names for x, y in ("ab", "ba")}


@pytest.mark.parametrize("other", [TRIMMED, HEAVY, FOLLOWUP, FAR])
def test_the_other_way_round_only_the_sides_change(run_dir, other):
    one, two = asdict(explained(run_dir, SOURCE, other)), asdict(explained(run_dir, other, SOURCE))
    assert turned(one) == two


def test_a_confirmed_pair_by_the_command(run_dir):
    done = respun("explain", run_dir, SOURCE, HEAVY)
    assert done.exit_code == 0, done.stderr
    for words in ("One cluster; the pair is confirmed.", "found by respun", "Tolombe", "intercept", "  A  "):
        assert words in done.stdout
    assert "\x1b" not in done.stdout
    assert done.stderr == ""


def test_json_has_the_same_numbers(run_dir):
    done = respun("explain", run_dir.parents[1], SOURCE, HEAVY, "--json")  # the output folder's current run
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout) == json.loads(json.dumps(asdict(explained(run_dir, SOURCE, HEAVY))))


def test_a_follow_up_is_not_confirmed(run_dir):
    found = explained(run_dir, SOURCE, FOLLOWUP)
    assert found.verdict in ("below_threshold", "screened", "not_found")
    assert found.waterfall.probability < found.waterfall.threshold
    assert found.is_one_cluster is False
    assert found.path == ()
    assert "Different clusters; not confirmed" in text_of(found)
    assert found.alone_b


def test_a_pair_that_never_was_a_candidate(run_dir):
    found = explained(run_dir, SOURCE, FAR)
    assert (found.verdict, found.found_by) == ("not_found", "")
    assert not any(view.finds for view in found.views)
    assert any("doesn't measure such a pair" in note for note in found.notes)
    assert "no view found the pair" in text_of(found)


def test_verdicts_are_those_of_the_candidates(tmp_path):
    """A run that keeps its candidates says the same of them, in its own words."""
    done = respun("run", SAMPLE, "--output", tmp_path, "--direct", "--set", "keep_rejected_candidates=true")
    run_dir = Path(done.stdout.strip())
    rows = pq.read_table(run_dir / "candidate_pairs.parquet").to_pylist()
    for reason in ("screened", "below_threshold", "confirmed"):
        for row in [row for row in rows if row["reason"] == reason][::40]:
            found = explained(run_dir, row["article_id_l"], row["article_id_r"])
            assert (found.verdict, found.found_by) == (reason, row["found_by"])
            estimate = max(view.estimate for view in found.views)
            assert estimate == pytest.approx(row["jaccard_estimate"], abs=1e-6)


def test_equal_texts_and_excerpts(run_dir):
    same = explained(run_dir, SOURCE, COPY)
    assert same.relation == "exact"
    assert same.waterfall.probability == 1
    assert "leaves no doubt" in text_of(same)
    excerpt = explained(run_dir, SOURCE, EXCERPT)
    assert excerpt.relation == "excerpt"
    assert "Side by side" in text_of(excerpt)


def test_passages_cover_both_texts(run_dir):
    for other in (TRIMMED, HEAVY):
        found = explained(run_dir, SOURCE, other)
        passages = found.alignment.passages
        assert sum(p.n_tokens_a for p in passages) == found.a.n_tokens - found.a.n_furniture_tokens
        assert sum(p.n_tokens_b for p in passages) == found.b.n_tokens - found.b.n_furniture_tokens
        assert sum(p.n_tokens_a for p in passages if p.same) == found.alignment.n_tokens_same
        for passage in passages:
            for text, facts in ((passage.text_a, passage.facts_a), (passage.text_b, passage.facts_b)):
                told = [text[fact.begin : fact.end] for fact in facts]
                assert all(word and word.strip() == word for word in told)


@pytest.mark.parametrize(("id_a", "id_b", "words"), [
    ("nobody", SOURCE, "ID_A: must be an article of run"),
    (SOURCE, "nobody", "nobody"),
    (SOURCE, SOURCE, "must be two articles"),
])  # fmt: skip
def test_unknown_ids_are_named_in_one_line(run_dir, id_a, id_b, words):
    done = respun("explain", run_dir, id_a, id_b)
    assert (done.exit_code, done.stdout) == (2, "")
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_run_without_texts_says_so(run_dir, tmp_path):
    shutil.copytree(run_dir, tmp_path / "run")
    (tmp_path / "run" / "texts.parquet").unlink()
    done = respun("explain", tmp_path / "run", SOURCE, HEAVY)
    assert done.exit_code == 2
    assert "keep_texts=false" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_changed_calibration_is_refused(run_dir, tmp_path):
    shutil.copytree(run_dir, tmp_path / "run")
    path = tmp_path / "run" / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"config_fingerprint": "0"}))
    done = respun("explain", tmp_path / "run", SOURCE, HEAVY)
    assert done.exit_code == 2
    assert "must be as they were for the run" in done.stderr


def test_another_version_of_respun_shows(run_dir, tmp_path):
    shutil.copytree(run_dir, tmp_path / "run")
    path = tmp_path / "run" / "confirmed_pairs.parquet"
    pairs = pq.read_table(path)
    at = pairs.schema.get_field_index("probability")
    pq.write_table(pairs.set_column(at, "probability", pa.array([0.5] * len(pairs))), path)
    found = explained(tmp_path / "run", SOURCE, HEAVY)
    assert "a probability of 0.5000" in found.notes[0]
    assert explained(run_dir, SOURCE, HEAVY).notes == ()


def test_members_that_are_no_pair_are_linked_by_others(run_dir, pairs):
    members = pq.read_table(run_dir / "cluster_members.parquet").to_pylist()
    clusters = {row["article_id"]: row["cluster_id"] for row in members}
    by_ids = {(p["article_id_l"], p["article_id_r"]): p for p in pairs}
    apart = [
        pair for pair in itertools.combinations(sorted(clusters), 2)
        if clusters[pair[0]] == clusters[pair[1]] and pair not in by_ids
    ]  # fmt: skip
    assert apart
    for id_a, id_b in apart[:4]:
        found = explained(run_dir, id_b, id_a)
        assert found.is_one_cluster
        assert found.verdict != "confirmed"
        assert [found.path[0].article_id_from, found.path[-1].article_id_to] == [id_b, id_a]
        assert len(found.path) > 1
        for link in found.path:
            pair = by_ids[tuple(sorted((link.article_id_from, link.article_id_to)))]
            assert (link.relation, link.probability) == (pair["relation"], pair["probability"])
            assert link.relation != "excerpt"
        assert "One cluster; not confirmed" in text_of(found)


def test_a_text_cannot_command_the_terminal(files, tmp_path):
    (tmp_path / "evil.txt").write_text("\x1b]0;owned\x07Gwarkum traders \x9b31m shut the market. " * 3)
    done = respun("compare", files / "source.txt", tmp_path / "evil.txt")
    assert done.exit_code == 0
    assert not set(done.stdout) & set("\x1b\x07\x9b")


@pytest.mark.parametrize("run", ["", "nothing"])
def test_what_is_no_run_is_refused(tmp_path, run):
    done = respun("explain", tmp_path / run, SOURCE, HEAVY)
    assert done.exit_code == 2
    assert "must hold a published run" in done.stderr


@pytest.fixture(scope="module")
def files(run_dir, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    texts = {row["article_id"]: row["text"] for row in pq.read_table(run_dir / "texts.parquet").to_pylist()}
    for name in (SOURCE, TRIMMED, HEAVY, FAR):
        (folder / f"{Path(name).name}.txt").write_text(texts[name], encoding="utf-8")
    (folder / "empty.txt").write_text(" \n")
    (folder / "latin.txt").write_bytes(b"caf\xe9")
    return folder


def numbered(first: int, n: int) -> list[str]:
    """Words of their own."""
    return [f"word{chr(97 + i % 26)}{i}x" for i in range(first, first + n)]


OWN = numbered(0, 300)
SHUFFLED = OWN[::2] + OWN[1::2]
OTHERS = [numbered(at, 100) for at in (1_000, 2_000, 3_000)]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (OTHERS[0], "no 5 tokens in a row are the same"),
        (
            [*OTHERS[0], *OWN[:33], *OTHERS[1], *OWN[100:133], *OTHERS[2]],
            "at most about 33 tokens in a row are the same (under 50), and 58 shingles are in passages of 24 "
            "or more (under 60)",
        ),
        (
            [*OTHERS[0], *OWN[:34], *OTHERS[1], *OWN[100:134], *OTHERS[2]],
            "60 shingles are in passages of 24 or more (at least 60), and one is mostly other text",
        ),
        (
            [*SHUFFLED, *OWN[:34], *OTHERS[1][:9], *OWN[100:134]],
            "60 shingles are in passages of 24 or more (at least 60), but neither is mostly other text",
        ),
        (
            [*OTHERS[0], *OWN[:50], *OTHERS[1], *OTHERS[2]],
            "about 50 tokens in a row are the same (at least 50), and one is mostly other text",
        ),
        (
            [*SHUFFLED, *OWN[:50]],
            "about 50 tokens in a row are the same (at least 50), but neither is mostly other text",
        ),
    ],
    ids=["none", "short ones", "several", "several in a rewrite", "one", "one in a rewrite"],
)
def test_what_is_quoted_is_told(tmp_path, words, told):
    for name, text in (("a.txt", OWN), ("b.txt", words)):
        (tmp_path / name).write_text(" ".join(text), encoding="utf-8")
    done = respun("compare", tmp_path / "a.txt", tmp_path / "b.txt", "--json")
    assert told in json.loads(done.stdout)["relation_rule"]


@pytest.mark.parametrize(("other", "verdict"), [
    ("trimmed", "confirmed"), ("heavy", "confirmed"), ("page", "not_found"),
])  # fmt: skip
def test_two_files(files, other, verdict):
    done = respun("compare", files / "source.txt", files / f"{other}.txt", "--json")
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["verdict"], found["run_id"], found["path"]) == (verdict, None, None)
    assert found["a"]["name"] == str(files / "source.txt")
    back = json.loads(respun("compare", files / f"{other}.txt", files / "source.txt", "--json").stdout)
    assert back["waterfall"] == found["waterfall"]
    assert back["measures"]["containment_a_in_b"] == found["measures"]["containment_b_in_a"]


def test_two_files_are_judged_as_a_run_over_them_alone(files, tmp_path):
    for name in ("source.txt", "heavy.txt"):
        shutil.copy(files / name, tmp_path)
    run = respun("run", tmp_path, "--output", tmp_path / "out", "--direct")
    [pair] = pq.read_table(Path(run.stdout.strip()) / "confirmed_pairs.parquet").to_pylist()
    found = json.loads(respun("compare", files / "source.txt", files / "heavy.txt", "--json").stdout)
    assert found["waterfall"]["probability"] == pytest.approx(pair["probability"], abs=1e-5)
    assert found["measures"]["cosine_names"] == pytest.approx(pair["cosine_names"], abs=1e-5)


def test_a_file_and_itself(files):
    done = respun("compare", files / "source.txt", files / "source.txt")
    assert done.exit_code == 0
    assert "Confirmed" in done.stdout or "The pair is confirmed." in done.stdout
    assert "the bodies are equal" in done.stdout


@pytest.mark.parametrize(("name", "words"), [
    ("none.txt", "none.txt"), ("empty.txt", "empty_text"), ("latin.txt", "invalid_utf8"), (".", "FILE_B"),
])  # fmt: skip
def test_files_that_cannot_be_used_are_named(files, name, words):
    done = respun("compare", files / "source.txt", files / name)
    assert (done.exit_code, done.stdout) == (2, "")
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_terminal_gets_colours_and_the_same_words(run_dir, monkeypatch, capsys):
    from flows.explain_report import print_explanation

    found = explained(run_dir, SOURCE, HEAVY)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "400")
    print_explanation(found, as_json=False)
    out = capsys.readouterr().out
    assert "\x1b[" in out
    plain = re.sub(r"\x1b\[[0-9;]*m", "", out)
    assert [line.rstrip() for line in plain.splitlines()] == [
        line.rstrip() for line in text_of(found).splitlines()
    ]


def test_the_rule_is_told_for_every_relation(run_dir, pairs):
    words = {
        "exact": "bodies are equal",
        "reprint": "the other way (at least 0.3)",
        "excerpt": "(at least ",
        "respun": "none of the others holds",
    }
    for pair in pick(pairs):
        rule = explained(run_dir, pair["article_id_l"], pair["article_id_r"]).relation_rule
        assert words[pair["relation"]] in rule or (pair["relation"] == "excerpt" and "but only" in rule)


def test_an_excerpt_of_several_paragraphs_is_told(run_dir):
    rule = explained(run_dir, "story/B03/excerpt", "story/B03/source").relation_rule
    assert "85 shingles are in passages of 24 or more (at least 60), and one is mostly other text" in rule
