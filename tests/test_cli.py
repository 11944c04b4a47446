"""`respun run`: what it prints where, and which code it exits with."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from command_line import ROOT, SAMPLE

from flows import LIBRARY_DEFAULTS, LOOPBACK, PREFECT_DEFAULTS, set_prefect_defaults
from flows.cli import cli
from pipeline import __version__

TRACEBACK = "Traceback (most recent call last)"


def respun(*args: object):
    return CliRunner().invoke(cli, [str(arg) for arg in args])


def test_help_says_what_the_options_mean():
    done = respun("run", "--help")
    assert done.exit_code == 0
    for option in ("INPUT...", "--output", "--config", "--set", "--direct", "--verbose", "Exit codes"):
        assert option in done.output


def test_help_says_what_each_command_does():
    for group in ((), ("index",)):
        listed = respun(*group, "--help").output.split("Commands:")[1].splitlines()
        assert len(listed) > 3
        assert [line for line in listed if line.endswith("...")] == []


@pytest.mark.parametrize("name", sorted(set(cli.commands) - {"index", "serve"}))
def test_help_says_the_exit_codes(name):
    words = " ".join(respun(name, "--help").output.split())
    assert "Exit codes: 0 done, 2 " in words
    assert words.endswith("130 interrupted (Ctrl-C), 143 terminated (kill).")


@pytest.mark.parametrize("name", ["check", "compact", "forget", "info", "rebuild"])
def test_help_of_the_index_says_the_exit_codes(name):
    assert "Exit codes: 0 done, 2 " in " ".join(respun("index", name, "--help").output.split())


def test_a_typo_is_told_before_anything_slow_is_imported():
    slow = {"prefect", "pyarrow", "numpy", "numba", "sklearn", "scipy"}
    script = (
        "import sys; from click.testing import CliRunner; from flows.cli import cli; "
        "done = CliRunner().invoke(cli, ['run', 'x', '--output', 'y', '--set', 'nonsense=1']); "
        "print(done.exit_code, *sys.modules)"
    )
    out = subprocess.check_output([sys.executable, "-c", script], text=True, cwd=ROOT).split()
    assert out[0] == "2"
    assert not slow & set(out)


def test_help_needs_nothing_that_is_slow_to_import():
    slow = {"prefect", "pyarrow", "numpy", "numba", "sklearn", "scipy", "rich", "pydantic"}
    script = "import sys; from flows.cli import cli; cli(['-h'], standalone_mode=False); print(*sys.modules)"
    out = subprocess.check_output([sys.executable, "-c", script], text=True, cwd=ROOT)
    assert "Find the news articles" in out
    assert not slow & set(out.splitlines()[-1].split())


def test_version():
    assert respun("--version").output == f"respun, version {__version__}\n"


def test_main_exits_with_the_code():
    # As a process: in this one it would change when Python's collector runs.
    done = subprocess.run(
        [sys.executable, "-m", "flows.cli", "run", "nothing.jsonl"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 2


def test_a_run_prints_its_folder_alone_on_stdout(sample_run):
    assert sample_run.stdout == f"{sample_run.run_dir}\n"
    assert sample_run.run_dir.is_absolute()
    assert (sample_run.run_dir / "clusters.parquet").is_file()
    latest = json.loads((sample_run.run_dir.parents[1] / "latest.json").read_text())
    assert latest["run_id"] == sample_run.run_dir.name


def test_a_run_tells_stages_and_summary_on_stderr(sample_run):
    lines = sample_run.stderr.splitlines()
    stages = [line for line in lines if re.match(r"[-\d]{10}T[:\d]{8}Z [a-z-]+: [\d,]+ rows in ", line)]
    assert [line.split()[1] for line in (stages[0], stages[-1])] == ["read:", "publish:"]
    assert "177 articles, " in sample_run.stderr
    assert "largest clusters:" in lines
    assert lines[-2] == f"report: {sample_run.run_dir / 'report.html'}"
    assert lines[-1].startswith(f"tables in {sample_run.run_dir}: articles, ")


def test_nothing_is_left_in_scratch(sample_run):
    assert not (sample_run.run_dir.parents[1] / ".work").exists()


@pytest.mark.parametrize(("args", "words"), [
    ((SAMPLE,), "--output"),
    (("--output", "out"), "INPUT"),
    ((SAMPLE, "--output", "out", "--nonsense"), "--nonsense"),
    ((SAMPLE, "--output", "out", "--config", "nonsense"), "config file"),
    ((SAMPLE, "--output", "out", "--set", "nonsense=1"), "nonsense: unknown key"),
    ((SAMPLE, "--output", "out", "--set", "reprint.threshold=7"), "reprint.threshold"),
    ((SAMPLE, "--output", "out", "--set", "columns.text=body"), "columns.text"),
    (("nothing-here.jsonl", "--output", "out"), "nothing-here.jsonl"),
])  # fmt: skip
def test_what_cannot_be_used_is_named_in_one_line(args, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = respun("run", *args)
    assert done.exit_code == 2
    line = done.stderr.splitlines()[-1]
    assert line.startswith("respun: error: ")
    assert words in line
    assert done.stdout == ""
    assert TRACEBACK not in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("args", "words", "end"), [
    (("--nonsense",), "--nonsense", "Try 'respun --help'."),
    (("nonsense",), "nonsense", "Try 'respun --help'."),
    (("index", "forget", "x"), "--before", "Try 'respun index forget --help'."),
    (("nightly", "x", "--output", "y", "--date", "\x1b[31m"), r"\x1b[31m", "Try 'respun nightly --help'."),
    (("run", "x", "--direct=1"), "--direct", "Try 'respun run --help'."),
    (("run", "x", "--output"), "--output", "Try 'respun run --help'."),
    (("run", "x", "--output", "y", "--index", ""), "--index", "Try 'respun run --help'."),
    (("nightly", "x", "--output", "y", "--index", " "), "--index", "Try 'respun nightly --help'."),
    (("index", "rebuild", "x", "--set"), "--set", "Try 'respun index rebuild --help'."),
])  # fmt: skip
def test_a_usage_error_looks_like_any_other(args, words, end):
    done = CliRunner().invoke(cli, args, prog_name="respun")
    assert (done.exit_code, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    assert line.startswith("respun: error: ")
    assert words in line
    assert line.endswith(end)


@pytest.mark.parametrize("args", [(), ("index",)])
def test_a_group_without_a_command_shows_its_help(args):
    done = respun(*args)
    assert done.exit_code == 2
    assert done.stderr == respun(*args, "--help").stdout


def test_an_output_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    done = respun("run", SAMPLE, "--output", tmp_path / "file" / "out", "--direct")
    assert done.exit_code == 2
    assert "output" in done.stderr.splitlines()[-1]


def test_no_article_at_all_is_an_unusable_input(tmp_path):
    (tmp_path / "in.jsonl").write_text('{"article_id": "a", "text": "  "}\n')
    done = respun("run", tmp_path / "in.jsonl", "--output", tmp_path / "out", "--direct")
    assert done.exit_code == 2
    assert TRACEBACK not in done.stderr
    assert not (tmp_path / "out" / "latest.json").exists()


def test_an_error_cannot_tell_the_terminal_what_to_do(tmp_path):
    done = respun("run", tmp_path / "\x1b[31mred\x07\udcff", "--output", tmp_path / "out", "--direct")
    assert done.exit_code == 2
    assert r"\x1b[31mred\x07\udcff" in done.stderr.splitlines()[-1]


@pytest.fixture
def failing_stage(monkeypatch):
    import pipeline.job

    def fail(*_args):
        raise ValueError("the disk\nis tired")

    monkeypatch.setattr(pipeline.job.clusters, "cluster", fail)


@pytest.mark.usefixtures("failing_stage")
def test_a_failed_run_names_stage_cause_and_log(tmp_path):
    done = respun("run", SAMPLE, "--output", tmp_path, "--direct")
    assert done.exit_code == 1
    assert done.stdout == ""
    assert TRACEBACK not in done.stderr
    line = done.stderr.splitlines()[-1]
    found = re.fullmatch(r"respun: error: stage clusters: ValueError: the disk is tired \(log: (.*)\)", line)
    with open(found[1], encoding="utf-8") as log:
        assert TRACEBACK in log.read()
    assert not (tmp_path / "latest.json").exists()


@pytest.mark.usefixtures("failing_stage")
def test_verbose_shows_the_traceback(tmp_path):
    done = respun("run", SAMPLE, "--output", tmp_path, "--direct", "--verbose")
    assert done.exit_code == 1
    assert TRACEBACK in done.stderr


def test_an_interrupted_run_says_so_and_can_be_resumed(tmp_path, monkeypatch, sample_run):
    import pipeline.job

    def interrupt(*_args):
        raise KeyboardInterrupt

    args = ("run", SAMPLE, "--output", tmp_path, "--config", "smoke", "--direct")
    with monkeypatch.context() as patch:
        patch.setattr(pipeline.job.clusters, "cluster", interrupt)
        done = respun(*args)
    assert done.exit_code == 130
    line = "respun: error: interrupted; the same command with --resume goes on from what was finished"
    assert done.stderr.splitlines()[-1] == line
    done = respun(*args, "--resume")
    assert done.exit_code == 0
    run_dir = Path(done.stdout.splitlines()[-1])
    stages = json.loads((run_dir / "manifest.json").read_text())["stages"]
    again = {s["stage"] for s in stages if s["n_reused"] < s["n_calls"]}
    assert {"clusters"} <= again <= {
        "clusters", "sections", "candidate-recall", "section-tables", "tables", "check-texts", "check",
        "report",
    }  # fmt: skip
    assert [
        p.name
        for p in sample_run.run_dir.glob("*.parquet")
        if p.read_bytes() != (run_dir / p.name).read_bytes()
    ] == []


def test_files_are_kept_when_asked_for(tmp_path):
    args = ("run", SAMPLE, "--output", tmp_path, "--config", "smoke", "--direct")
    assert respun(*args, "--keep-work").exit_code == 0
    assert list(tmp_path.glob(".work/*/journal.jsonl"))
    assert respun(*args, "--resume", "--set", "threshold=0.9").exit_code == 0
    assert not (tmp_path / ".work").exists()


def nights(tmp_path: Path) -> Path:
    """A crawl with a folder for each of three nights, the second without a file."""
    crawl = tmp_path / "crawl"
    table = pq.read_table(SAMPLE)
    for number, name in enumerate(("2026/11/20", "2026/11/22")):
        (crawl / name).mkdir(parents=True)
        pq.write_table(table.slice(number * 60, 60), crawl / name / "articles.parquet")
    (crawl / "2026/11/21").mkdir()
    return crawl


def test_nights(tmp_path):
    crawl = nights(tmp_path)
    args = ("nightly", crawl / "{date:%Y/%m/%d}", "--output", tmp_path / "out", "--config", "smoke")
    done = respun(*args, "--date", "2026-11-20")
    assert done.exit_code == 0, done.stderr
    [first] = done.stdout.splitlines()
    assert json.loads((Path(first) / "manifest.json").read_text())["night"] == "2026-11-20"
    done = respun(*args, "--date", "2026-11-22")
    assert done.exit_code == 1
    assert "1 of 2 nights failed: 2026-11-21: input" in done.stderr.splitlines()[-1]
    [third] = done.stdout.splitlines()
    assert json.loads((Path(third) / "manifest.json").read_text())["night"] == "2026-11-22"
    shutil.copy(SAMPLE, crawl / "2026/11/21")
    done = respun(*args, "--date", "2026-11-22", "--catch-up-days", "1")
    assert (done.exit_code, len(done.stdout.splitlines())) == (0, 1)
    done = respun(*args, "--date", "2026-11-22")
    assert (done.exit_code, done.stdout) == (0, "")
    done = respun(*args, "--date", "2026-11-22", "--again")
    assert (done.exit_code, len(done.stdout.splitlines())) == (0, 1)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("crawl",), "input: must have a {date}"),
        (("{date}", "--timezone", "Nowhere"), "timezone: must be an IANA name"),
        (("{date}", "--set", "nothing=1"), "nothing: unknown key"),
        (("{date}",), "input"),
        (("{date}", "--date", "2999-01-01"), "--date: must be a night that has come"),
    ],
)
def test_what_cannot_be_a_night(tmp_path, monkeypatch, args, words):
    monkeypatch.chdir(tmp_path)
    done = respun("nightly", *args, "--output", "out")
    assert done.exit_code == 2
    assert words in done.stderr.splitlines()[-1]
    assert done.stdout == ""


# Both in one process that imports Prefect.
NEED_A_SERVER = """
from flows.cli import cli
for name in ("serve", "automations"):
    try:
        cli([name])
    except SystemExit as ended:
        print(name, ended.code)
"""


def test_commands_that_need_a_server_say_so(tmp_path):
    env = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    done = subprocess.run(
        [sys.executable, "-c", NEED_A_SERVER], cwd=ROOT, env=env | {"PREFECT_HOME": str(tmp_path)}, text=True,
        capture_output=True, check=True,
    )  # fmt: skip
    assert done.stdout == "serve 2\nautomations 2\n"
    said = "respun: error: PREFECT_API_URL: must name the server, is not set"
    assert done.stderr.splitlines() == [said, said]


def test_a_failed_run_leaves_the_last_one_current(sample_run, tmp_path, failing_stage):
    output = tmp_path / "out"
    shutil.copytree(sample_run.run_dir.parents[1], output)
    before = (output / "latest.json").read_bytes()
    assert respun("run", SAMPLE, "--output", output, "--direct").exit_code == 1
    assert (output / "latest.json").read_bytes() == before


def test_prefect_defaults_change_nothing_that_is_set():
    mine = dict.fromkeys(PREFECT_DEFAULTS, "mine")
    environ = dict(mine)
    set_prefect_defaults(environ)
    assert environ == mine
    environ = {}
    set_prefect_defaults(environ)
    assert environ == PREFECT_DEFAULTS


@pytest.mark.parametrize(("before", "after"), [
    ({"HTTPS_PROXY": "p"}, ",".join(LOOPBACK)),
    ({"http_proxy": "p", "NO_PROXY": "a.example, localhost"}, "a.example,localhost,127.0.0.1"),
    ({"ALL_PROXY": "p", "NO_PROXY": "*"}, "*"),
])  # fmt: skip
def test_a_proxy_is_not_asked_for_this_machine(before, after):
    environ = dict(before)
    set_prefect_defaults(environ)
    assert environ["NO_PROXY"] == after


def test_importing_the_flows_sets_them():
    assert os.environ["DO_NOT_TRACK"]


@pytest.mark.skipif(pa.default_memory_pool().backend_name != "mimalloc", reason="pyarrow without mimalloc")
@pytest.mark.parametrize(("module", "given", "held"), [
    ("cli", {}, "-1"), ("cli", {"MIMALLOC_PURGE_DELAY": "7"}, "7"), ("nightly", {}, "-1"),
])  # fmt: skip
def test_arrow_keeps_freed_memory_unless_the_user_says_otherwise(module, given, held):
    bare = {name: value for name, value in os.environ.items() if name not in LIBRARY_DEFAULTS}
    done = subprocess.run(
        [sys.executable, "-c", f"import flows.{module}, pyarrow"], cwd=ROOT, text=True, capture_output=True,
        check=True, env=bare | given | {"MIMALLOC_VERBOSE": "1"},
    )  # fmt: skip
    assert re.findall(r"'purge_delay': (\S+)", done.stderr) == [held]
