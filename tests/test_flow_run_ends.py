"""How flow runs end that don't complete, on a real Prefect server, and what goes on from them.

The run is held before stage "confirm", half way, and killed, cancelled or left to its timeout there.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import made_up_news as news
import pytest
from prefect_server import NIGHTLY, manifests, wait_for

from benchmarks.kill_nights import Place
from pipeline.config import load_config
from pipeline.executor import Silence, ThreadExecutor
from pipeline.job import run_job
from pipeline.journal import READS, READS_OF_AN_INDEX
from pipeline.publish import current_run

HELD = "cluster-nights/held"
NIGHTS = ("2026-11-20", "2026-11-21", "2026-11-22")
# The stages before the one that a held run waits for.
BEFORE = {*list(READS)[: list(READS).index("confirm")], *READS_OF_AN_INDEX} - {"name", "drift"}
# What the held deployment has of the nightly one. Not the tag, by which the automation knows what to end: a
# run that stands is silent.
KEPT = ("flow_id", "work_pool_name", "pull_steps", "job_variables", "parameter_openapi_schema")


def parameters(place: Place, night: str) -> dict[str, object]:
    paths = {"input": f"{place.crawl}/{{date}}", "output": str(place.output)}
    return paths | {"night": night, "index": str(place.index)}


def is_free(place: Place) -> bool:
    return not list((place.folder / "index" / "leases").iterdir())


def copy_of(place: Place, folder: Path) -> Place:
    return replace(place, folder=Path(shutil.copytree(place.folder, folder)))


def nights_of(place: Place) -> list[str]:
    return [manifest["night"] for manifest in place.manifests()]


def run_direct(place: Place, night: str) -> None:
    run_job(
        [str(place.crawl / night)], place.output, load_config("nightly"), ThreadExecutor(2), Silence(),
        str(place.index), night=night,
    )  # fmt: skip


@pytest.fixture(scope="module")
def crawl(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("crawl")
    rows = news.stories(7, 30)
    for number, night in enumerate(NIGHTS):
        news.write(folder / night / "articles.parquet", rows[number::3])
    return folder


@pytest.fixture(scope="module")
def first_night(crawl, tmp_path_factory) -> Place:
    """The first night, on an index."""
    first = Place(crawl, tmp_path_factory.mktemp("first"), with_index=True)
    run_direct(first, NIGHTS[0])
    return first


@pytest.fixture(scope="module")
def undisturbed(first_night, tmp_path_factory) -> dict[str, dict[str, object]]:
    """What there is after the second and the third night."""
    place = copy_of(first_night, tmp_path_factory.mktemp("undisturbed") / "copy")
    expected = {}
    for night in NIGHTS[1:]:
        run_direct(place, night)
        expected[night] = place.tables()
    return expected


@pytest.fixture
def place(first_night, tmp_path) -> Place:
    """A copy of the first night."""
    return copy_of(first_night, tmp_path / "copy")


@pytest.fixture(scope="module", autouse=True)
def held_deployment(server) -> None:
    nightly = server.ask(f"/deployments/name/{NIGHTLY}")
    held = {"name": "held", "entrypoint": "tests/probes/held_nights.py:cluster_nights"}
    held["parameters"] = {"config": "nightly"}
    server.ask("/deployments/", {key: nightly[key] for key in KEPT} | held)


@pytest.fixture
def hand(tmp_path) -> Path:
    """The folder by which a run is held and let go."""
    (tmp_path / "hand").mkdir()
    return tmp_path / "hand"


def begin(server, place: Place, hand: Path, night: str, **variables: str) -> str:
    """A run of the nights up to one, which waits half way to be let go. Returns its id."""
    (hand / "held").unlink(missing_ok=True)
    return server.trigger(HELD, {"RESPUN_HELD": str(hand)} | variables, **parameters(place, night))


def held(place: Place, hand: Path) -> int:
    """Waits until a run stands half way. Returns its process."""
    wait_for(lambda: (hand / "held").exists() or None)
    assert not is_free(place)
    return int((hand / "held").read_text())


def told(server, run: str, how: str) -> None:
    """The hook has been called."""
    wait_for(lambda: f"ended {how}: " in server.logs(run) or None)
    assert "What was published before is still current" in server.logs(run)


def last_words(server) -> int:
    """How often the worker has told the end of a killed process: the last that it does about it."""
    log = (server.home / "prefect-worker.log").read_text()
    return log.count("flow_runs.worker - Check whether")


def test_a_killed_run_that_is_retried_goes_on_from_its_finished_stages(
    server, worker, place, hand, undisturbed
):
    """On an index; `test_kill_nights.py` has nights without one."""
    run = begin(server, place, hand, NIGHTS[1])
    before = last_words(server)
    os.kill(held(place, hand), signal.SIGKILL)
    assert server.finish(run) == "Crashed"
    told(server, run, "Crashed")
    assert nights_of(place) == [NIGHTS[0]]
    # Until then the worker would mark the new attempt as crashed.
    wait_for(lambda: last_words(server) > before or None)
    (hand / "go").touch()
    server.command("prefect", "flow-run", "retry", run)
    wait_for(lambda: server.state(run) != "Crashed" or None)
    assert server.finish(run) == "Completed", server.logs(run)
    assert nights_of(place) == list(NIGHTS[:2])
    assert place.tables() == undisturbed[NIGHTS[1]]
    assert is_free(place)
    stages = {stage["stage"]: stage for stage in place.manifests()[-1]["stages"]}
    for stage in (stages[name] for name in sorted(BEFORE & stages.keys())):
        assert stage["n_reused"] == stage["n_calls"], stage


def test_runs_that_are_ended_half_way_let_go_and_the_next_night_makes_up_for_them(
    server, worker, place, hand, undisturbed
):
    """The second night takes too long, is then caught up with by the third's run, and that is cancelled."""
    timed_out = begin(server, place, hand, NIGHTS[1], RESPUN_TIMEOUT_SECONDS="5")
    assert server.finish(timed_out) == "TimedOut"
    cancelled = begin(server, place, hand, NIGHTS[2])
    held(place, hand)
    server.ask(f"/flow_runs/{cancelled}/set_state", {"state": {"type": "CANCELLING", "name": "Cancelling"}})
    assert server.finish(cancelled) == "Cancelled"
    for run, how in ((timed_out, "TimedOut"), (cancelled, "Cancelled")):
        told(server, run, how)
    wait_for(lambda: is_free(place) or None)
    assert current_run(place.output).name == place.manifests()[0]["run_id"]
    assert nights_of(place) == [NIGHTS[0]]
    next_night = server.trigger(NIGHTLY, **parameters(place, NIGHTS[2]))
    assert server.finish(next_night) == "Completed", server.logs(next_night)
    assert nights_of(place) == list(NIGHTS)
    assert place.tables() == undisturbed[NIGHTS[2]]
    assert current_run(place.output).name == place.manifests()[-1]["run_id"]
    progress = [a["data"] for a in server.artifacts(next_night) if a["key"] == "respun-progress"]
    assert [json.loads(json.dumps(share)) for share in progress] == [100.0, 100.0]


def test_a_run_that_died_with_its_worker_ends_and_frees_its_slot(server, killed, worker):
    """The last test, as the server waits for two minutes before it takes a run for dead."""
    assert server.finish(killed.running) == "Crashed"
    assert server.finish(killed.starting) == "Crashed"
    # This one is well, and was left in peace.
    assert server.finish(killed.waiting) == "Completed"
    [run] = manifests(killed.output)
    assert list((killed.output / "runs" / run["run_id"]).glob("*.parquet"))
    assert server.state(killed.running) == "Crashed"
