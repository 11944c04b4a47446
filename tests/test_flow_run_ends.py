"""How flow runs end that don't complete, on a real Prefect server, and what goes on from them.

The run is held before stage "confirm", half way, and killed, cancelled or left to its timeout there.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import made_up_news as news
import pytest
from command_line import SAMPLE
from prefect_server import kill_all, manifests, wait_for

from benchmarks.kill_nights import Place
from pipeline.config import load_config
from pipeline.executor import Silence, ThreadExecutor
from pipeline.job import run_job
from pipeline.journal import READS, READS_OF_AN_INDEX
from pipeline.publish import current_run

ADHOC, NIGHTLY, HELD = "cluster-articles/adhoc", "cluster-nights/nightly", "cluster-nights/held"
NIGHTS = ("2026-11-20", "2026-11-21", "2026-11-22")
# The stages before the one that a held run waits for.
BEFORE = {*list(READS)[: list(READS).index("confirm")], *READS_OF_AN_INDEX} - {"name", "drift"}
# What the held deployment has of the nightly one. Not the tag, by which the automation knows what to end: a
# run that stands is silent.
KEPT = ("flow_id", "work_pool_name", "pull_steps", "job_variables", "parameter_openapi_schema")


def parameters(place: Place, night: str) -> dict[str, object]:
    paths = {"input": f"{place.crawl}/{{date}}", "output": str(place.output)}
    return paths | {"night": night} | ({"index": str(place.index)} if place.index else {})


def is_free(place: Place) -> bool:
    return place.index is None or not list((place.index / "leases").iterdir())


def nights_of(place: Place) -> list[str]:
    return [manifest["night"] for manifest in place.manifests()]


def run_direct(place: Place, night: str) -> None:
    index = str(place.index) if place.index else None
    run_job(
        [str(place.crawl / night)], place.output, load_config("nightly"), ThreadExecutor(2), Silence(), index,
        night=night,
    )  # fmt: skip


@pytest.fixture(scope="module")
def crawl(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("crawl")
    rows = news.stories(7, 30)
    for number, night in enumerate(NIGHTS):
        news.write(folder / night / "articles.parquet", rows[number::3])
    return folder


@pytest.fixture(scope="module")
def first_night(crawl, tmp_path_factory) -> dict[bool, Place]:
    """The first night, with and without an index."""
    places = {}
    for with_index in (False, True):
        places[with_index] = Place(crawl, tmp_path_factory.mktemp("first"), with_index)
        run_direct(places[with_index], NIGHTS[0])
    return places


@pytest.fixture(scope="module")
def undisturbed(first_night, tmp_path_factory) -> dict[tuple[bool, int], dict[str, object]]:
    """What there is after the second and the third night."""
    expected = {}
    for with_index, first in first_night.items():
        folder = shutil.copytree(first.folder, tmp_path_factory.mktemp("undisturbed") / "copy")
        place = Place(first.crawl, folder, with_index)
        for number in (1, 2):
            run_direct(place, NIGHTS[number])
            expected[with_index, number] = place.tables()
    return expected


@pytest.fixture
def place(request, first_night, tmp_path) -> Place:
    """A copy of the first night; by the parameter with an index."""
    first = first_night[request.param]
    return Place(first.crawl, Path(shutil.copytree(first.folder, tmp_path / "copy")), request.param)


@pytest.fixture(scope="module", autouse=True)
def held_deployment(server) -> None:
    nightly = server.ask(f"/deployments/name/{NIGHTLY}")
    held = {"name": "held", "entrypoint": "tests/probes/held_nights.py:cluster_nights"}
    held["parameters"] = {"config": "nightly"}
    server.ask("/deployments/", {key: nightly[key] for key in KEPT} | held)


@pytest.fixture(scope="module")
def killed(server, tmp_path_factory) -> tuple[str, str, str, Path]:
    """An ad hoc run that was killed together with its worker, one that a worker died over while it started
    it, and one that waits for the slot.
    """
    output = tmp_path_factory.mktemp("killed") / "out"
    parameters = {"inputs": [str(SAMPLE)], "output": str(output)}
    with server.running("prefect", "worker", "start", "--pool", "respun", "--type", "process") as worker:
        first = server.trigger(ADHOC, **parameters)
        wait_for(lambda: server.state(first) == "Running" or None)
        kill_all(worker)
    assert server.state(first) == "Running"
    starting = server.trigger(ADHOC, **parameters)
    for name in ("Pending", "Submitting"):
        state = {"state": {"type": "PENDING", "name": name}, "force": True}
        server.ask(f"/flow_runs/{starting}/set_state", state)
    return first, starting, server.trigger(ADHOC, **parameters), output


@pytest.fixture(scope="module")
def worker(killed, worker):
    """The worker that comes after the one that was killed."""
    return worker


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
    assert place.index is None or not is_free(place)
    return int((hand / "held").read_text())


def told(server, run: str, how: str) -> None:
    """The hook has been called."""
    wait_for(lambda: f"ended {how}: " in server.logs(run) or None)
    assert "What was published before is still current" in server.logs(run)


def last_words(server) -> int:
    """How often the worker has told the end of a killed process: the last that it does about it."""
    log = (server.home / "prefect-worker.log").read_text()
    return log.count("flow_runs.worker - Check whether")


@pytest.mark.parametrize("place", [False, True], ids=["alone", "on an index"], indirect=True)
def test_a_killed_run_that_is_retried_goes_on_from_its_finished_stages(
    server, worker, place, hand, undisturbed
):
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
    assert place.tables() == undisturbed[place.with_index, 1]
    assert is_free(place)
    stages = {stage["stage"]: stage for stage in place.manifests()[-1]["stages"]}
    for stage in (stages[name] for name in sorted(BEFORE & stages.keys())):
        assert stage["n_reused"] == stage["n_calls"], stage


@pytest.mark.parametrize("place", [True], ids=["on an index"], indirect=True)
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
    assert place.tables() == undisturbed[True, 2]
    assert current_run(place.output).name == place.manifests()[-1]["run_id"]
    progress = [a["data"] for a in server.artifacts(next_night) if a["key"] == "respun-progress"]
    assert [json.loads(json.dumps(share)) for share in progress] == [100.0, 100.0]


def test_a_run_that_died_with_its_worker_ends_and_frees_its_slot(server, killed, worker):
    """The last test, as the server waits for two minutes before it takes a run for dead."""
    first, starting, second, output = killed
    assert server.finish(first) == "Crashed"
    assert server.finish(starting) == "Crashed"
    assert server.finish(second) == "Completed"
    [run] = manifests(output)
    # The next one went on from it, and found the same.
    tables = {path.name: path.read_bytes() for path in (output / "runs" / run["run_id"]).glob("*.parquet")}
    assert tables
    # Those that are well were left in peace.
    assert server.state(first) == "Crashed"
