"""The quality gate: its logic on a tiny made-up benchmark, then the real benchmarks against their floors."""

import hashlib
import json
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks import quality, seed_page
from benchmarks.floors import FloorsError, read_floors
from benchmarks.score import UnknownArticleError, score_pairs, score_repeats
from benchmarks.story_benchmark import make_story_benchmark

PAGE = "Ant. " * 20
WHEN, LATER = "2026-03-28T00:10:00Z", "2026-04-07T00:10:00+00:00"
FILES = ("articles", "groups", "pairs", "pages", "page_spans")


def write(folder: Path, name: str, rows: list[dict]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def write_pairs(folder: Path, pairs: Sequence[tuple[str, str]]) -> Path:
    schema = pa.schema([(name, pa.string()) for name in ("article_id_l", "article_id_r", "relation")])
    rows = [{"article_id_l": a, "article_id_r": b, "relation": "respun"} for a, b in pairs]
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, schema), folder / "confirmed_pairs.parquet")
    return folder / "confirmed_pairs.parquet"


@pytest.fixture
def tiny(tmp_path):
    """Two stories in two versions each, a follow-up of the first, and one page that repeats itself."""
    folder = tmp_path / "tiny"
    ids = ["story/a/source", "story/a/light", "story/a/followup", "story/b/source", "story/b/light"]
    write(folder, "articles", [{"article_id": i, "text": f"Text of {i}."} for i in ids])
    write(folder, "groups", [{"id": i, "set": "story", "group": i.split("/")[1]} for i in ids])
    write(folder, "pairs", [
        {"id_a": "story/a/light", "id_b": "story/a/source", "label": 1, "kind": "story.light"},
        {"id_a": "story/b/light", "id_b": "story/b/source", "label": 1, "kind": "story.light"},
        {"id_a": "story/a/followup", "id_b": "story/a/source", "label": -1, "kind": "neutral.followup"},
    ])  # fmt: skip
    write(folder, "pages", [
        {"article_id": "page/a", "text": PAGE + PAGE, "kind": "doubled"},
        {"article_id": "page/b", "text": PAGE, "kind": "clean.source"},
    ])  # fmt: skip
    write(folder, "page_spans", [
        {"id": "page/a", "occurrence": 0, "begin": 0, "end": 100},
        {"id": "page/a", "occurrence": 1, "begin": 100, "end": 200},
    ])  # fmt: skip
    return folder


class FakeJob:
    """A job that finds what it was told to find; `n_runs` counts how often it was asked."""

    def __init__(self, *pairs: tuple[str, str], repeats: Sequence[dict] = ()) -> None:
        self.pairs, self.repeats, self.n_runs = pairs, list(repeats), 0

    def __call__(self, inputs: Sequence[Path], output: Path) -> Path:
        self.n_runs += 1
        ids = [i for path in inputs for i in pq.read_table(path)["article_id"].to_pylist()]
        cluster = {i: i for i in ids}
        for a, b in self.pairs:
            if a in cluster and b in cluster:
                cluster[b] = cluster[a]
        write_pairs(output, [p for p in self.pairs if p[0] in cluster and p[1] in cluster])
        write(output, "cluster_members", [{"article_id": i, "cluster_id": c} for i, c in cluster.items()])
        nothing = {"article_id": "none", "group_id": 0, "level": "part", "begin": 0, "end": 1}
        write(output, "repeated_sections", self.repeats or [nothing])
        return output


A = ("story/a/light", "story/a/source")
B = ("story/b/light", "story/b/source")
DOUBLED = [
    {"article_id": "page/a", "group_id": 1, "level": "part", "begin": begin, "end": begin + 90}
    for begin in (0, 100)
]


def write_floors(path: Path, folder: Path, at_least: str = "", at_most: str = "") -> Path:
    lines = [f"[{folder.name}.corpus]"]
    for name in FILES:
        digest = hashlib.sha256((folder / f"{name}.parquet").read_bytes()).hexdigest()
        lines.append(f'"{name}.parquet" = "{digest}"')
    lines += [f"[{folder.name}.at_least]", at_least, f"[{folder.name}.at_most]", at_most]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def gate(folder: Path, floors: Path, job: FakeJob, *more: str) -> int:
    return quality.main(["--benchmark", str(folder), "--gate", str(floors), *more], job)


def test_floors_met(tiny, tmp_path, capsys):
    floors = write_floors(
        tmp_path / "floors.toml", tiny,
        at_least='"pairs.respun_f1" = 1.0\n"repeats.pages_found.doubled" = 1',
        at_most='"clusters.largest" = 2\n"repeats.false_alarms.clean.source" = 0',
    )  # fmt: skip
    assert gate(tiny, floors, FakeJob(A, B, repeats=DOUBLED)) == 0
    out = capsys.readouterr()
    assert "| pairs.respun_f1 | 1 | >= 1 met |" in out.out
    assert out.err == ""


def test_a_figure_below_its_floor(tiny, tmp_path, capsys):
    floors = write_floors(tmp_path / "floors.toml", tiny, at_least='"pairs.recall.story.light" = 0.9')
    assert gate(tiny, floors, FakeJob(A)) == 1
    out = capsys.readouterr()
    assert "tiny: pairs.recall.story.light: must be >= 0.9, is 0.5" in out.err
    assert "| pairs.recall.story.light | 0.5 | >= 0.9 MISSED |" in out.out


def test_a_figure_above_its_ceiling(tiny, tmp_path, capsys):
    floors = write_floors(tmp_path / "floors.toml", tiny, at_most='"pairs.known_false" = 0')
    assert gate(tiny, floors, FakeJob(A, ("story/a/source", "story/b/source"))) == 1
    assert "pairs.known_false: must be <= 0, is 1" in capsys.readouterr().err


def test_a_limit_itself_is_allowed(tiny, tmp_path):
    floors = write_floors(
        tmp_path / "floors.toml", tiny, '"pairs.recall.story.light" = 0.5', '"clusters.largest" = 2'
    )
    assert gate(tiny, floors, FakeJob(A)) == 0


def test_a_figure_that_is_not_measured(tiny, tmp_path, capsys):
    floors = write_floors(tmp_path / "floors.toml", tiny, at_most='"clusters.smallest" = 9')
    assert gate(tiny, floors, FakeJob(A, B)) == 1
    assert "clusters.smallest: must be <= 9, is not measured" in capsys.readouterr().err


@pytest.mark.parametrize("name", FILES)
def test_a_changed_file_fails_before_the_job_runs(tiny, tmp_path, capsys, name):
    floors = write_floors(tmp_path / "floors.toml", tiny, at_least='"pairs.respun_f1" = 0.1')
    path = tiny / f"{name}.parquet"
    table = pq.read_table(path)
    pq.write_table(pa.concat_tables([table, table.slice(0, 1)]), path)
    job = FakeJob(A, B)
    assert gate(tiny, floors, job) == 1
    assert f"tiny: {name}.parquet has SHA-256" in capsys.readouterr().err
    assert job.n_runs == 0


def test_a_missing_file_fails(tiny, tmp_path, capsys):
    floors = write_floors(tmp_path / "floors.toml", tiny)
    (tiny / "page_spans.parquet").unlink()
    assert gate(tiny, floors, FakeJob(A, B)) == 1
    assert "page_spans.parquet is missing" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("[other.corpus]\n", r"must have a section \[tiny\], has other"),
        ("[tiny.at_least]\n", r"\[tiny.corpus\] must pin"),
        ('[tiny.corpus]\nx = "0"\n[tiny.floor]\n', "not 'floor'"),
        ("tiny = [", "must be a TOML file"),
    ],
)
def test_an_unusable_floors_file(tiny, tmp_path, capsys, text, rule):
    path = tmp_path / "floors.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(FloorsError, match=rule):
        read_floors(path, "tiny")
    assert gate(tiny, path, FakeJob(A)) == 1
    assert capsys.readouterr().err.startswith(f"quality: error: {path}: ")


def test_no_gate_prints_and_writes_figures(tiny, tmp_path):
    out = tmp_path / "figures.json"
    assert quality.main(["--benchmark", str(tiny), "--json", str(out)], FakeJob(A)) == 0
    figures = json.loads(out.read_text(encoding="utf-8"))["tiny"]
    assert figures["pairs.precision"] == 1
    assert figures["clusters.followups"] == 0
    assert figures["repeats.pages_found.doubled"] == 0


def test_an_unknown_article_is_refused(tiny, tmp_path):
    pairs = write_pairs(tmp_path, [("story/z/light", "story/z/source")])
    with pytest.raises(UnknownArticleError, match="'story/z/light'"):
        score_pairs(tiny, pairs, None)


@pytest.mark.parametrize(("begin", "found"), [(0, "1/1"), (60, "0/1")])
def test_a_page_is_found_when_half_of_both_versions_is_covered(tiny, tmp_path, begin, found):
    rows = [{**row, "begin": row["begin"] + begin, "end": (row["begin"] // 100 + 1) * 100} for row in DOUBLED]
    repeats = write(tmp_path, "repeated_sections", rows)
    assert score_repeats(tiny, repeats)["pages_found"] == {"doubled": found}


def test_story_pages_hold_their_versions_where_the_spans_say(tmp_path):
    variants = ("source", "light", "heavy", "farm_a", "farm_b", "same_topic", "tabloid")
    stories = {variant: f"The {variant} version of it." for variant in variants}
    lines = [
        json.dumps({"story": "S", "variant": v, "site": "x", "title": v, "published_at": WHEN, "text": text})
        for v, text in stories.items()
    ]
    (tmp_path / "S.jsonl").write_text("\n".join(lines), encoding="utf-8")
    out = tmp_path / "out"
    make_story_benchmark([tmp_path / "S.jsonl"], out)
    pages = {page["article_id"]: page["text"] for page in pq.read_table(out / "pages.parquet").to_pylist()}
    spans = pq.read_table(out / "page_spans.parquet").to_pylist()
    assert {pages[s["id"]][s["begin"] : s["end"]] for s in spans} == set(stories.values()) - {
        stories["same_topic"], stories["tabloid"],
    }  # fmt: skip


def test_who_wrote_what_says_which_pairs_must_be_found_and_who_is_late_or_elsewhere(tmp_path):
    variants = ("source", "heavy", "tabloid", "farm_a", "farm_b", "followup", "same_topic")
    record = {"story": "S", "title": "", "published_at": WHEN, "text": "x"}
    lines = [json.dumps(record | {"variant": variant, "site": f"{variant}.example"}) for variant in variants]
    (tmp_path / "S.jsonl").write_text("\n".join(lines), encoding="utf-8")
    make_story_benchmark([tmp_path / "S.jsonl"], tmp_path)
    pairs = pq.read_table(tmp_path / "pairs.parquet").to_pylist()
    label = {frozenset(pair[side].split("/")[2] for side in ("id_a", "id_b")): pair for pair in pairs}
    found = {pair["kind"]: sides for sides, pair in label.items() if pair["label"] == 1}
    assert found == {
        "story.heavy": {"heavy", "source"}, "rewriter.tabloid": {"tabloid", "source"},
        "story.headline_spun": {"farm_a", "farm_b"},
    }  # fmt: skip
    for sides, pair in label.items():
        assert (pair["label"] == 0) == (pair["kind"] == "neg.same_topic") == ("same_topic" in sides)
        assert (pair["kind"] == "neutral.followup") == ("followup" in sides and "same_topic" not in sides)
    late = pq.read_table(tmp_path / "late.parquet").to_pylist()
    assert {row["article_id"].split("/")[2] for row in late if row["published_at"] == LATER} == {
        "heavy", "tabloid", "farm_a", "farm_b",
    }  # fmt: skip
    sites = {row["source"] for row in late}
    assert sites == {f"{variant}.example" for variant in variants}
    same_site = pq.read_table(tmp_path / "same_site.parquet").to_pylist()
    others = {row["source"] for row in same_site} - {"source.example"}
    assert others == {"followup.example", "same_topic.example"}
    assert {row["published_at"] for row in same_site} == {WHEN.replace("Z", "+00:00")}
    on_time = pq.read_table(tmp_path / "articles.parquet").to_pylist()
    assert {row["published_at"] for row in on_time} == {WHEN.replace("Z", "+00:00")}


def test_seed_page_figures(tmp_path):
    first, second = "BREAKING: one.\nLeave a Reply\n", "BREAKING: two, at last.\n"
    page = first + second
    parts = [(0, 14), (len(first) + 3, len(page))]
    rows = [
        {"article_id": seed_page.WHOLE, "group_id": 1, "level": "part", "begin": begin, "end": end}
        for begin, end in parts
    ]
    rows.append({"article_id": seed_page.WHOLE, "group_id": 2, "level": "paragraph", "begin": 20, "end": 25})
    write(tmp_path, "repeated_sections", rows)
    assert seed_page.score_whole(page, tmp_path) == {"part_boundary_distance": 3, "furniture_repeats": 1}
    seed_page.write_halves(page, tmp_path / "halves.parquet")
    assert pq.read_table(tmp_path / "halves.parquet")["text"].to_pylist() == [first, second]
    run_dir = FakeJob(seed_page.HALVES)([tmp_path / "halves.parquet"], tmp_path / "run")
    assert seed_page.score_halves(run_dir) == {
        "halves_clustered": 1, "halves_respun": 1, "halves_cluster_size": 2,
    }  # fmt: skip


def test_every_pinned_benchmark_has_limits():
    sections = tomllib.loads(quality.FLOORS.read_text(encoding="utf-8"))
    for name in sections:
        floors = read_floors(quality.FLOORS, name)
        assert floors.at_least, name
        assert floors.at_most, name
        assert all(len(digest) == 64 for digest in floors.corpus.values()), name


@pytest.mark.slow
@pytest.mark.parametrize("folder", [quality.STORIES, *quality.OTHER_STORIES], ids=lambda folder: folder.name)
def test_the_projects_own_stories_keep_their_floors(folder, capsys):
    code = quality.main(["--benchmark", str(folder), "--gate", str(quality.FLOORS)])
    assert code == 0, capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.skipif(not quality.LARGE.is_dir(), reason="the large benchmark is not beside the project")
@pytest.mark.skipif(not quality.SEED.is_dir(), reason="the seed page is not beside the project")
def test_the_large_benchmark_keeps_its_floors(capsys):
    code = quality.main(
        ["--benchmark", str(quality.LARGE), "--seed", str(quality.SEED), "--gate", str(quality.FLOORS)]
    )
    assert code == 0, capsys.readouterr().err
