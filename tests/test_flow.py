"""The Prefect flow: real runs on a bare machine, with nothing configured and no way out to a network."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from command_line import ROOT, SAMPLE, Command, command

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
            jobs = [Job("stage", number, call, (number, error)) for number, error in enumerate(errors)]
            module.PrefectExecutor(runner).map(jobs, lambda job, result: done.append([job.number, result()]))
        return {"done": sorted(done), "tries": [tries[n] for n in sorted(tries)]}
    except Exception as error:
        return {"error": type(error).__name__, "tries": max(tries.values())}

@flow
def probe():
    return {
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


def test_an_unreachable_server_is_a_failed_run(tmp_path, bare_machine):
    api = {"PREFECT_API_URL": "http://127.0.0.1:9/api"}
    done = command("run", SAMPLE, "--output", tmp_path, **bare_machine, **api)
    assert done.code == 1
    assert "Traceback" not in done.stderr
    assert "127.0.0.1:9" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("given", ["soon", "-1", "inf"])
def test_a_timeout_is_a_number_of_seconds(tmp_path, bare_machine, given):
    done = command("run", SAMPLE, "--output", tmp_path, RESPUN_TIMEOUT_SECONDS=given, **bare_machine)
    assert done.code == 2
    assert done.stderr.splitlines()[-1].endswith(
        f"RESPUN_TIMEOUT_SECONDS: must be a number of seconds, 0 for no limit, not '{given}'"
    )


def test_what_cannot_be_used_is_said_before_prefect_starts(tmp_path, bare_machine):
    done = command("run", "nothing.jsonl", "--output", tmp_path, **bare_machine)
    assert done.code == 2
    assert len(done.stderr.splitlines()) == 1
