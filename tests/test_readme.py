"""What README.md shows is what a run over the sample gives, and its examples run."""

from __future__ import annotations

import json
import re
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
from command_line import ROOT, SAMPLE

from flows.cli import cli

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
SQL, PYTHON = ([body for language, body in BLOCKS if language == name] for name in ("sql", "python"))
EVENT, PAGE = "story/A01", "story/A03/page"
VARIANTS = ("source", "copy", "trimmed", "excerpt", "heavy", "followup")
SHOWN = tuple(f"{EVENT}/{variant}" for variant in VARIANTS)


def picture(run_dir: Path) -> str:
    """The picture at the head of README.md, of a run over the sample."""
    inputs, outputs = _read(SAMPLE), {name: _read(run_dir / f"{name}.parquet") for name in (
        "articles", "clusters", "confirmed_pairs", "repeated_sections", "texts")}  # fmt: skip
    by_id = {row["article_id"]: row for row in inputs}
    articles = [
        (i, by_id[i]["source"], f"{by_id[i]['published_at']:%Y-%m-%d %H:%M}", _cut(by_id[i]["title"], 47))
        for i in (*SHOWN, PAGE)
    ]
    own = {row["article_id"]: row["cluster_id"] for row in outputs["articles"]}[f"{EVENT}/source"]
    clusters = [
        (c["cluster_id"], c["n_articles"], c["n_sources"], c["representative_id"], ", ".join(c["relations"]))
        for c in outputs["clusters"] if c["cluster_id"] == own
    ]  # fmt: skip
    measured = ("probability", "cosine", "cosine_names", "jaccard")
    pairs = [
        (p["article_id_l"], p["article_id_r"], p["relation"], *(f"{p[name]:.2f}" for name in measured))
        for p in outputs["confirmed_pairs"]
        if {p["article_id_l"], p["article_id_r"]} <= set(SHOWN) and f"{EVENT}/source" in p.values()
    ]  # fmt: skip
    body = {row["article_id"]: row["text"] for row in outputs["texts"]}[PAGE]
    sections = [
        (s["article_id"], s["occurrence"], s["level"], s["begin"], s["end"], s["relation"] or "",
         _cut(body[s["begin"]:s["end"]], 41))
        for s in outputs["repeated_sections"] if s["article_id"] == PAGE
    ]  # fmt: skip
    counts = {name: len(rows) for name, rows in outputs.items()}
    return "\n".join([
        f"IN   articles.parquet, {len(inputs)} rows",
        *_columns("article_id source published_at title", articles), "",
        "     respun run data/sample/articles.parquet --output out/demo --config smoke", "",
        f"OUT  clusters.parquet, {counts['clusters']} rows",
        *_columns("cluster_id n_articles n_sources representative_id relations", clusters), "",
        f"     confirmed_pairs.parquet, {counts['confirmed_pairs']} rows",
        *_columns(f"article_id_l article_id_r relation {' '.join(measured)}", pairs), "",
        f"     repeated_sections.parquet, {counts['repeated_sections']} rows",
        *_columns("article_id occurrence level begin end relation text[begin:end]", sections),
    ]) + "\n"  # fmt: skip


def _read(path: Path) -> list[dict]:
    return pq.read_table(path).to_pylist()


def _cut(text: str, width: int) -> str:
    one_line = " ".join(text[: 2 * width].split())
    return one_line if len(one_line) <= width else f"{one_line[: width - 1].rstrip()}…"


def _columns(names: str, rows: list[tuple]) -> list[str]:
    table = [tuple(names.split()), *(tuple(map(str, row)) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    ]


def test_the_picture_is_of_the_sample(sample_run):
    found = picture(sample_run.run_dir)
    assert found in README, f"the picture is now:\n{found}"
    pairs = _read(sample_run.run_dir / "confirmed_pairs.parquet")
    assert not any(f"{EVENT}/followup" in pair.values() for pair in pairs)


def test_the_sql_runs_and_finds_something(demo):
    assert len(SQL) == 1
    connection = duckdb.connect()
    answers = [
        connection.execute(statement).fetchall()
        for statement in duckdb.extract_statements(SQL[0])
        if statement.type == duckdb.StatementType.SELECT or connection.execute(statement) is None
    ]
    assert len(answers) == 3
    assert all(answers)


def test_the_python_runs_and_finds_something(demo):
    assert len(PYTHON) == 1
    names: dict = {}
    exec(PYTHON[0], names)
    assert all(len(names[name]) for name in ("distinct", "first", "doubtful"))


def test_commands_name_what_there_is():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^make (\w+)", README, re.MULTILINE)
    assert [target for target in targets if not re.search(rf"^{target}:", makefile, re.MULTILINE)] == []
    options = {o for command in cli.commands.values() for parameter in command.params for o in parameter.opts}
    used = set(re.findall(r"(?<!\S)--[a-z]+", " ".join(b for language, b in BLOCKS if language == "sh")))
    assert used <= options


def test_what_is_said_of_the_sample_is_so(sample_run):
    """The follow-up is in no pair; the round-up is an excerpt of its three reports, and in no cluster."""
    pairs = _read(sample_run.run_dir / "confirmed_pairs.parquet")
    in_pairs = {p[side] for p in pairs for side in ("article_id_l", "article_id_r")}
    assert f"{EVENT}/followup" not in in_pairs
    round_up = "story/roundup/roundup"
    of_round_up = {p["article_id_l"]: p["relation"] for p in pairs if p["article_id_r"] == round_up}
    sources = {story: relation for story, relation in of_round_up.items() if story.endswith("/source")}
    assert list(sources.values()) == ["excerpt"] * 3
    members = _read(sample_run.run_dir / "cluster_members.parquet")
    assert [m["cluster_size"] for m in members if m["article_id"] == round_up] == [1]


def test_every_module_is_in_the_file_map():
    modules = [
        path.relative_to(ROOT).as_posix()
        for folder in ("pipeline", "flows")
        for path in sorted((ROOT / folder).rglob("*.py"))
        if path.name != "__init__.py"
    ]
    assert [module for module in modules if f"`{module}`" not in README] == []
    named = re.findall(r"`((?:pipeline|flows|benchmarks|data|tests|configs)/[\w/.-]+)`", README)
    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("level", ["pairs", "clusters"])
def test_the_quality_is_that_of_the_calibration(level):
    """The figures of respun are those that the shipped rule reached out of fold."""
    calibration = json.loads((ROOT / "configs" / "calibration-6.json").read_text(encoding="utf-8"))
    reached = calibration["fitted_on"]["out_of_fold"][level]
    figures = (reached["respun_recall_macro"], reached["precision"], reached["respun_f1"])
    assert f"| respun, {level} | {' | '.join(f'{figure:.3f}' for figure in figures)} |" in README
