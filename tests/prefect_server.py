"""A real Prefect server on loopback, with its worker, set up as docs/operations.md says."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from command_line import ROOT

T = TypeVar("T")

PATIENCE_SECONDS = 300
# SQLite waits 60 s for a lock before it gives up, and in that time the server may answer nobody.
ANSWER_SECONDS = 150
BIN = Path(sys.executable).parent
ADHOC, NIGHTLY = "cluster-articles/adhoc", "cluster-nights/nightly"
IN_TURN = ROOT / "tests" / "probes" / "in_turn.py"


class RefusedError(Exception):
    """The server said no: code and reason."""


class Server:
    """A server that has been started, and what is asked of it.

    `crawl` and `output` are the folders of its variables respun_input and respun_output.
    """

    def __init__(self, home: Path) -> None:
        self.home, self.crawl, self.output = home, home / "crawl", home / "nights" / "out"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.port = port
        self.api = f"http://127.0.0.1:{port}/api"
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
        hosts = "127.0.0.1,localhost"
        self.env = kept | {
            "PREFECT_HOME": str(home), "PREFECT_API_URL": self.api, "DO_NOT_TRACK": "1",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "NO_PROXY": hosts, "no_proxy": hosts,
            "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false", "PREFECT_CLI_COLORS": "false",
            # Nothing here is about how often they ask, which is every 10 s.
            "PREFECT_WORKER_QUERY_SECONDS": "1", "PREFECT_RUNNER_POLL_FREQUENCY": "1",
            "PREFECT_API_REQUEST_TIMEOUT": str(ANSWER_SECONDS),
            "PYTHONPATH": str(ROOT), "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        }  # fmt: skip

    def command(self, *words: object) -> str:
        """Run a command of prefect or respun to its end. Returns its stdout."""
        return self.commands(words)

    def commands(self, *lines: Sequence[object]) -> str:
        """Run one after the other in one process. Returns their stdout."""
        asked = json.dumps([[str(word) for word in line] for line in lines])
        line = [sys.executable, IN_TURN, asked]
        done = subprocess.run(line, cwd=ROOT, env=self.env, text=True, capture_output=True, check=False)
        assert done.returncode == 0, f"{lines}: {done.stdout}{done.stderr}"
        return done.stdout

    @contextmanager
    def running(self, *args: str) -> Iterator[subprocess.Popen[bytes]]:
        """A command of the virtual environment, ended with all its children when the block ends."""
        line = (
            [sys.executable, "-m", "flows.cli", *args[1:]]
            if args[0] == "respun"
            else [str(BIN / args[0]), *args[1:]]
        )
        with (self.home / f"{args[0]}-{args[1]}.log").open("ab") as log:
            process = subprocess.Popen(
                line, cwd=ROOT, env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                try:
                    process.wait(60)
                except subprocess.TimeoutExpired:
                    kill_all(process)

    def ask(self, path: str, body: object = None, method: str | None = None) -> Any:
        """GET, POST when there is a body, or `method`; again while the database is busy, as its client."""

        def answer() -> tuple[Any] | None:
            try:
                return (self._ask(path, body, method),)
            except RefusedError as error:
                if not str(error).startswith("503"):
                    raise
                return None

        return wait_for(answer)[0]

    def _ask(self, path: str, body: object = None, method: str | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.api + path, data, headers, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=ANSWER_SECONDS) as answer:
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            with error:
                raise RefusedError(f"{error.code}: {error.read().decode()}") from None

    def is_up(self) -> bool:
        try:
            return bool(self._ask("/health"))
        except (OSError, RefusedError):
            return False

    def trigger(self, deployment: str, variables: Mapping[str, str] = {}, **parameters: object) -> str:
        """Create a run of "flow/deployment", with environment variables of its own. Returns its id."""
        found = self.ask(f"/deployments/name/{deployment}")
        # The key, so that one that is asked for again makes no second run.
        body = {"parameters": parameters, "idempotency_key": str(uuid.uuid4())}
        body |= {"job_variables": {"env": dict(variables)}} if variables else {}
        return self.ask(f"/deployments/{found['id']}/create_flow_run", body)["id"]

    def state(self, run: str) -> str:
        return self.ask(f"/flow_runs/{run}")["state"]["name"]

    def finish(self, run: str) -> str:
        """Wait until a run has ended. Returns the name of its last state."""
        return wait_for(
            lambda: self.state(run) if self.ask(f"/flow_runs/{run}")["state"]["type"] in FINAL else None
        )

    def artifacts(self, run: str) -> list[dict[str, Any]]:
        return self.ask(
            "/artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [run]}}, "sort": "CREATED_DESC"}
        )

    def events(self, run: str) -> list[str]:
        """Names of the events of a run."""
        resource = {"id": [f"prefect.flow-run.{run}"]}
        found = self.ask("/events/filter", {"filter": {"any_resource": resource}, "limit": 50})
        return [event["event"] for event in found["events"]]

    def logs(self, run: str) -> str:
        found = self.ask("/logs/filter", {"logs": {"flow_run_id": {"any_": [run]}}, "limit": 200})
        return "\n".join(line["message"] for line in found)


FINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


def wait_for(find: Callable[[], T | None], seconds: float = PATIENCE_SECONDS) -> T:
    """Ask until there is an answer."""
    end = time.monotonic() + seconds
    while (found := find()) is None:
        assert time.monotonic() < end, "no answer in time"
        time.sleep(0.1)
    return found


def manifests(output: Path) -> list[dict[str, Any]]:
    """Those of all runs in an output folder, in their order."""
    return [json.loads(path.read_text()) for path in sorted(output.glob("runs/*/manifest.json"))]


def kill_all(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL to a process and all that it has started, at once."""
    tree = [process.pid, *descendants(process.pid)]
    for pid in tree:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    process.wait(60)


def descendants(pid: int) -> list[int]:
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found[1:]


@contextmanager
def prefect_server(home: Path) -> Iterator[Server]:
    """A server with the work pool, the automation, the deployments and their variables."""
    server = Server(home)
    with server.running("prefect", "server", "start", "--host", "127.0.0.1", "--port", str(server.port)):
        wait_for(lambda: server.is_up() or None)
        server.commands(
            ("prefect", "work-pool", "create", "respun", "--type", "process"),
            ("prefect", "variable", "set", "respun_input", server.crawl / "{date}"),
            ("prefect", "variable", "set", "respun_output", server.output),
            ("respun", "automations"),
            ("prefect", "--no-prompt", "deploy", "--all"),
        )
        yield server
