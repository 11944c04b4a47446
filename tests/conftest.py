"""One run over the sample, shared by the tests that look at a finished run."""

from __future__ import annotations

import gc
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# Before numpy is imported, and for all processes that tests start: beside other work on the same cores the
# threads of OpenBLAS wait for each other by spinning, in which the fits of a rule took five times as long.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import awkward_run
import pyarrow.parquet as pq
import pytest
from browser import ARGUMENTS, CHROMIUM
from command_line import SAMPLE, Command, command
from hypothesis import settings
from indexes import run_night
from prefect_server import ADHOC, Server, kill_all, prefect_server, wait_for

# How long an example takes says nothing on a machine that does other work as well.
settings.register_profile("respun", deadline=None)
settings.load_profile("respun")

# As the command does for itself (flows/cli.py): the collector walks through all that is imported.
gc.set_threshold(50_000, 20, 100)

NOBODY = 65534
# The files whose tests use the fixture `server`.
ON_SERVER = ("test_deployments.py", "test_flow_run_ends.py", "test_serve.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files on Prefect's server come first, as they take longest."""
    items.sort(key=lambda item: item.path.name not in ON_SERVER)
    using = {item.path.name for item in items if "server" in getattr(item, "fixturenames", ())}
    assert using <= set(ON_SERVER), f"{using} must be in ON_SERVER, to share one server"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log):
    """With xdist a file stays in one process and in its order, and so do all files of the server together."""
    from xdist.scheduler import LoadFileScheduling

    class ByFile(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            return "server" if Path(file).name in ON_SERVER else file

    return ByFile(config, log)


@pytest.fixture(scope="session")
def sample_run(tmp_path_factory) -> Command:
    """`respun run --direct` over the sample."""
    output = tmp_path_factory.mktemp("sample-run")
    done = command("run", SAMPLE, "--output", output, "--config", "smoke", "--direct")
    assert done.code == 0, done.stderr
    return done


@pytest.fixture(scope="session")
def awkward(tmp_path_factory) -> Path:
    """The folder of a run over the sample made awkward (awkward_run)."""
    return awkward_run.run(tmp_path_factory.mktemp("awkward"))


@pytest.fixture(scope="session")
def page_path(sample_run) -> Path:
    """The report of the run over the sample."""
    return sample_run.run_dir / "report.html"


@pytest.fixture(scope="session")
def tables(sample_run) -> dict[str, list[dict]]:
    """The rows of the tables of the run over the sample."""
    names = ("articles", "clusters", "cluster_members", "confirmed_pairs", "repeated_sections", "texts")
    return {name: pq.read_table(sample_run.run_dir / f"{name}.parquet").to_pylist() for name in names}


@pytest.fixture(scope="session")
def largest(tables) -> dict:
    """Its largest cluster."""
    return max(tables["clusters"], key=lambda cluster: cluster["n_articles"])


@pytest.fixture(scope="session")
def server(tmp_path_factory) -> Iterator[Server]:
    """Prefect's server; to set it up takes half a minute. Used by one file after the other."""
    with prefect_server(tmp_path_factory.mktemp("server")) as server:
        yield server


@dataclass(frozen=True)
class Killed:
    """Ad hoc runs: one that was killed together with its worker, one that a worker died over while it started
    it, and one that waits for the slot. And where they write.
    """

    running: str
    starting: str
    waiting: str
    output: Path


@pytest.fixture(scope="session")
def killed(server, tmp_path_factory) -> Killed:
    """Made before the other runs and looked at after them: the server takes two minutes to call them dead."""
    output = tmp_path_factory.mktemp("killed") / "out"
    parameters = {"inputs": [str(SAMPLE)], "output": str(output)}
    with server.running("prefect", "worker", "start", "--pool", "respun", "--type", "process") as worker:
        running = server.trigger(ADHOC, **parameters)
        wait_for(lambda: server.state(running) == "Running" or None)
        kill_all(worker)
    assert server.state(running) == "Running"
    starting = server.trigger(ADHOC, **parameters)
    for name in ("Pending", "Submitting"):
        state = {"state": {"type": "PENDING", "name": name}, "force": True}
        server.ask(f"/flow_runs/{starting}/set_state", state)
    return Killed(running, starting, server.trigger(ADHOC, **parameters), output)


@pytest.fixture(scope="session")
def worker(server, killed):
    """The worker that comes after the one that was killed. Not by module: it may be at work on `killed`."""
    with server.running("prefect", "worker", "start", "--pool", "respun", "--type", "process") as worker:
        yield worker


@pytest.fixture(scope="module")
def browser():
    """Debian's Chromium. By module: while Playwright lives, no test can start an event loop of its own."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no chromium on PATH: apt-get install chromium")
    with playwright.sync_playwright() as started:
        found = started.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield found
        found.close()


@pytest.fixture(scope="module")
def one_night(request, tmp_path_factory) -> Path:
    """An index of one night, of the articles FIRST of the test's module."""
    folder = tmp_path_factory.mktemp("one-night")
    run_night(request.module.FIRST, folder, folder / "index", request.module.SETTINGS)
    return folder / "index"


@pytest.fixture
def index(one_night, tmp_path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(one_night, tmp_path / "index"))


@pytest.fixture
def my_folder() -> Iterator[Path]:
    """A folder of a user who is not root, as whom the test goes on: root may write anywhere."""
    with tempfile.TemporaryDirectory(dir="/tmp", ignore_cleanup_errors=True) as name:
        if os.geteuid() != 0:
            yield Path(name)
            return
        os.chown(name, NOBODY, NOBODY)
        os.seteuid(NOBODY)
        try:
            yield Path(name)
        finally:
            os.seteuid(0)


@pytest.fixture
def demo(sample_run, tmp_path, monkeypatch) -> Path:
    """A folder in which out/demo holds a run over the sample, as after `make demo`."""
    shutil.copytree(sample_run.run_dir.parents[1], tmp_path / "out" / "demo")
    monkeypatch.chdir(tmp_path)
    return tmp_path
