"""The Prefect flow: real runs on a bare machine, with nothing configured and no way out to a network."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from command_line import ROOT, SAMPLE, Command, command
from prefect_server import PATIENCE_SECONDS, descendants, wait_for

from flows.cli import cli
from flows.timeout import TIMEOUT, timeout_seconds
from pipeline.errors import ConfigError

# Whoever asks a proxy for anything outside this machine fails.
OFFLINE = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), "http://127.0.0.1:9")


@pytest.fixture(scope="module")
def bare_machine(tmp_path_factory) -> dict[str, str]:
    return OFFLINE | {"PREFECT_HOME": str(tmp_path_factory.mktemp("prefect-home"))}


@pytest.fixture(scope="module")
def flow_run(tmp_path_factory, bare_machine) -> Command:
    """`python -m flows.cluster_articles` over the sample."""
    output = tmp_path_factory.mktemp("flow-run")
    args = (SAMPLE, "--output", output, "--config", "smoke")
    return command(*args, module="flows.cluster_articles", **bare_machine)


def test_the_flow_publishes_a_run(flow_run):
    assert flow_run.code == 0, flow_run.stderr
    assert flow_run.stdout == f"{flow_run.run_dir}\n"
    latest = json.loads((flow_run.run_dir.parents[1] / "latest.json").read_text())
    assert latest["run_id"] == flow_run.run_dir.name


def test_prefect_is_quiet(flow_run):
    assert "prefect.io" not in flow_run.stderr
    assert "Flow run" not in flow_run.stderr
    assert "Task run" not in flow_run.stderr


def test_the_flow_writes_the_same_tables_as_direct(flow_run, sample_run):
    direct = {path.name: path.read_bytes() for path in sample_run.run_dir.glob("*.parquet")}
    through_prefect = {path.name: path.read_bytes() for path in flow_run.run_dir.glob("*.parquet")}
    assert direct.keys() == through_prefect.keys()
    assert [name for name in direct if direct[name] != through_prefect[name]] == []


def test_a_run_has_at_most_a_hundred_tasks(flow_run):
    manifest = json.loads((flow_run.run_dir / "manifest.json").read_text())
    assert 12 <= sum(stage["n_calls"] for stage in manifest["stages"]) <= 100


PROBE = """
import json, sys
from pathlib import Path
import flows.cluster_articles as module
from pipeline.errors import RunError
from pipeline.executor import Job
from prefect import flow
from prefect.task_runners import ThreadPoolTaskRunner

tries = {}

def call(number, error):
    tries[number] = tries.get(number, 0) + 1
    if error is not None and tries[number] < 2:
        raise error
    return number

def outcome(*errors):
    tries.clear()
    done = []
    try:
        with ThreadPoolTaskRunner(max_workers=2) as runner:
            executor = module.PrefectExecutor(runner)
            jobs = [Job("stage", number, call, (number, error)) for number, error in enumerate(errors)]
            executor.submit(jobs[1:])
            executor.submit(jobs[:1], later=True)
            for _ in jobs:
                job, result = executor.next_done()
                done.append([job.number, result()])
        return {"done": sorted(done), "tries": [tries[n] for n in sorted(tries)]}
    except Exception as error:
        return {"error": type(error).__name__, "tries": max(tries.values())}

def after_cancel():
    with ThreadPoolTaskRunner(max_workers=1) as runner:
        executor = module.PrefectExecutor(runner)
        executor.submit([Job("stage", number, call, (number, None)) for number in range(5)])
        executor.cancel()
        executor.submit([Job("stage", 9, call, (9, None))])
        job, result = executor.next_done()
        return [job.number, result()]

@flow
def probe():
    return {
        "cancelled": after_cancel(),
        "plain": outcome(*[None] * 20),
        "flaky": outcome(None, OSError(5, "input/output error"), None),
        "missing": outcome(FileNotFoundError(2, "gone")),
        "wrong": outcome(ValueError("bad")),
        "refused": outcome(RunError("not today")),
    }

module.exponential_backoff = lambda backoff_factor: lambda retries: [0.0] * retries
print(json.dumps(probe()))
"""


@pytest.fixture(scope="module")
def probe(bare_machine) -> dict[str, dict]:

    env = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    env |= bare_machine | {"PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL"}
    out = subprocess.check_output([sys.executable, "-c", PROBE], cwd=ROOT, env=env, text=True)
    return json.loads(out.splitlines()[-1])


def test_results_come_in_the_order_of_the_calls(probe):
    assert probe["plain"] == {"done": [[n, n] for n in range(20)], "tries": [1] * 20}


def test_input_and_output_that_may_recover_is_tried_again(probe):
    assert probe["flaky"] == {"done": [[0, 0], [1, 1], [2, 2]], "tries": [1, 2, 1]}


@pytest.mark.parametrize(("case", "error"), [
    ("missing", "FileNotFoundError"), ("wrong", "ValueError"), ("refused", "RunError"),
])  # fmt: skip
def test_other_errors_come_out_unchanged_and_at_once(probe, case, error):
    assert probe[case]["error"] == error
    assert probe[case]["tries"] == 1


def test_a_server_that_does_not_answer_is_named(tmp_path, bare_machine):
    api = {"PREFECT_API_URL": "http://127.0.0.1:9/api"}
    done = command("run", SAMPLE, "--output", tmp_path, **bare_machine, **api)
    assert done.code == 2
    assert "Traceback" not in done.stderr
    last = done.stderr.splitlines()[-1]
    assert "PREFECT_API_URL: must name a server that answers, http://127.0.0.1:9/api doesn't" in last
    assert "--direct" in last


@pytest.mark.parametrize("given", ["soon", "-1", "inf", "nan", ""])
def test_a_timeout_is_a_number_of_seconds(given):
    words = f"^RESPUN_TIMEOUT_SECONDS: must be a number of seconds, 0 for no limit, not '{given}'$"
    with pytest.raises(ConfigError, match=words):
        timeout_seconds({TIMEOUT: given})


def test_without_the_variable_a_timeout_is_half_a_day():
    assert timeout_seconds({}) == 12 * 3600
    assert timeout_seconds({TIMEOUT: "0"}) == 0
    assert timeout_seconds({TIMEOUT: "2.5"}) == 2.5


def test_a_timeout_that_is_none_is_said_before_prefect_starts(tmp_path, monkeypatch):
    monkeypatch.setenv(TIMEOUT, "soon")
    done = CliRunner().invoke(cli, ["run", str(SAMPLE), "--output", str(tmp_path)])
    assert done.exit_code == 2
    assert done.stderr.splitlines()[-1].endswith(
        "RESPUN_TIMEOUT_SECONDS: must be a number of seconds, 0 for no limit, not 'soon'"
    )
    assert "starting Prefect" not in done.stderr


def test_what_cannot_be_used_is_said_before_prefect_starts(tmp_path):
    done = CliRunner().invoke(cli, ["run", "nothing.jsonl", "--output", str(tmp_path)])
    assert done.exit_code == 2
    assert "nothing.jsonl" in done.stderr.splitlines()[-1]
    assert "starting Prefect" not in done.stderr


# A run whose stage "clusters" says so and waits until its stdin is closed.
BLOCKED = """
import sys
import pipeline.job
from flows.cli import main

def wait(*_args):
    print("blocked", file=sys.stderr, flush=True)
    sys.stdin.read()

pipeline.job.clusters.cluster = wait
main(sys.argv[1:])
"""


@pytest.mark.parametrize(("number", "direct"), [
    (signal.SIGTERM, False), (signal.SIGKILL, False), (signal.SIGTERM, True),
])  # fmt: skip
def test_a_run_that_is_killed_leaves_no_process(number, direct, tmp_path, bare_machine):
    env = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    args = [
        "run",
        str(SAMPLE),
        "--output",
        str(tmp_path),
        "--config",
        "smoke",
        "--direct" if direct else "--verbose",
    ]
    run = subprocess.Popen(
        [sys.executable, "-c", BLOCKED, *args], cwd=ROOT, env=env | bare_machine, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert run.stderr is not None
    while "blocked" not in (line := run.stderr.readline()):
        assert line, "the run has ended"
    servers = [] if direct else descendants(run.pid)
    assert direct or any(b"create_app" in arguments(pid) for pid in servers)
    run.send_signal(number)
    stdout, stderr = run.communicate(timeout=PATIENCE_SECONDS)  # a server with our stdout would block it
    assert stdout == ""
    if number == signal.SIGKILL:
        assert run.returncode == -signal.SIGKILL
    else:
        assert run.returncode == 143
        # Not the last line: with --verbose the server's log may follow.
        assert any(line.startswith("respun: error: terminated; ") for line in stderr.splitlines())
        assert "Traceback" not in stderr if direct else "the next run with --resume over the same" in stderr
    for pid in servers:
        wait_for(lambda pid=pid: True if not arguments(pid) else None)


def arguments(pid: int) -> bytes:
    """The command line of a process; empty when it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        return b""
