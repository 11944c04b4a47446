"""The Prefect flow `cluster-articles`: the stages of `pipeline.job`, each call a Prefect task.

`python -m flows.cluster_articles ARGS` is `respun run ARGS`.
"""

import os
import sys

if __name__ == "__main__":  # before Prefect is imported: the command line decides whether it is needed
    from flows.cli import main

    main(["run", *sys.argv[1:]])

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from prefect import flow, get_run_logger, tags, task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun, State, TaskRun
from prefect.flows import Flow
from prefect.futures import PrefectFuture, as_completed
from prefect.logging.loggers import flow_run_logger
from prefect.runtime import task_run
from prefect.settings import get_current_settings
from prefect.task_runners import ThreadPoolTaskRunner
from prefect.tasks import Task, exponential_backoff
from prefect.variables import Variable
from pydantic import Field

from flows.artifacts import ProgressArtifact, leave_artifacts, server_is_kept
from flows.options import RunOptions
from flows.progress import LogLines
from flows.temporary_server import take_over
from flows.timeout import timeout_seconds
from pipeline.config import Config
from pipeline.errors import ConfigError
from pipeline.executor import Job, Listener, n_threads
from pipeline.job import Outcome, run_job

DEFAULTS = Config()
TAG = "respun"  # by it the automation of flows/deployments.py knows our runs
RETRIES = 2


def may_pass(_task: Task[Any, Any], _run: TaskRun, state: State[Any]) -> bool:
    """Whether a failed call is worth another try: only for input and output that may recover."""
    error = state.result(raise_on_failure=False)
    lasting = (FileNotFoundError, FileExistsError, PermissionError, IsADirectoryError, NotADirectoryError)
    return isinstance(error, OSError) and not isinstance(error, lasting)


def call_name() -> str:
    """Name of a task run: the stage, and the number of the call where there are several."""
    return f"{task_run.task_name}-{task_run.parameters['number']}"


class PrefectExecutor:
    """Runs each call as a task in the runner's threads; calls and results are Refs and small numbers."""

    def __init__(self, runner: ThreadPoolTaskRunner[Any]) -> None:
        self._runner = runner
        self._jobs: dict[PrefectFuture[Any], Job] = {}

        # A retry repeats the whole call. That is safe: a stage writes under a temporary name, then renames.
        @task(
            task_run_name=call_name,
            retries=RETRIES,
            retry_delay_seconds=exponential_backoff(backoff_factor=2),
            retry_jitter_factor=0.3,
            retry_condition_fn=may_pass,
            cache_policy=NO_CACHE,
            persist_result=False,
        )
        def execute(number: int, call: Callable[[], Any]) -> Any:
            return call()

        self._execute = execute

    def submit(self, jobs: Sequence[Job], *, later: bool = False) -> None:
        """Run jobs as tasks named after their stages. Prefect has one line for all: `later` ones join it."""
        tasks = {job.stage: self._execute.with_options(name=job.stage) for job in jobs}
        for job in jobs:
            # Prefect looks into a task's arguments one by one, but not into a function that holds them.
            call = {"number": job.number, "call": partial(job.function, *job.call)}
            self._jobs[self._runner.submit(tasks[job.stage], call)] = job

    def next_done(self) -> tuple[Job, Callable[[], Any]]:
        """Wait for one of the tasks to end."""
        future = next(as_completed(list(self._jobs)))
        return self._jobs.pop(future), future.result

    def cancel(self) -> None:
        """Forget the tasks that have not begun, and wait for those that have."""
        # A runner whose tasks were cancelled takes none any more until it is started again.
        self._runner.__exit__(None, None, None)
        self._runner.__enter__()
        self._jobs.clear()


# Who listens to the run. Not a parameter of the flow: those go to the server, and have to be JSON.
LISTENER: ContextVar[Listener | None] = ContextVar("listener", default=None)


def tell_end(flow: Flow[Any, Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Hook of a flow that did not complete: the end of its log says how, and what will happen.

    A worker calls it by the names of its parameters, in a process of its own.
    """
    how = "Cancelled" if state.is_cancelling() else state.name
    # On the command line a run goes on only when it is told to; nights and the deployments always do.
    which = "run" if flow_run.parameters.get("resume", True) else "run with --resume"
    flow_run_logger(flow_run, flow).error(
        "%s ended %s: %s. What was published before is still current; the next %s over the same input goes "
        "on from the calls that were finished.", flow_run.name, how, (state.message or "").rstrip("."), which,
    )  # fmt: skip


# What every flow has. No retries: a run that fails goes on when it is started again, by the next night or by
# `prefect flow-run retry`.
FLOW_OPTIONS: dict[str, Any] = {
    "retries": 0,
    "persist_result": False,
    "timeout_seconds": timeout_seconds(os.environ),
    "on_failure": [tell_end],
    "on_crashed": [tell_end],
    "on_cancellation": [tell_end],
}


def location(given: str | None, name: str) -> str:
    """A parameter of a flow, or where it isn't given the Prefect variable `respun_<name>`.

    Raises ConfigError when there is neither.
    """
    found = given or Variable.get(f"respun_{name}")
    if not found:
        raise ConfigError(f"{name}: must be given, or set as the Prefect variable respun_{name}; is neither")
    return str(found)


def job_in_prefect(
    inputs: Sequence[str], output: Path, config: Config, index: str | None, *, resume: bool,
    keep_work: bool = False, night: str | None = None,
) -> Outcome:  # fmt: skip
    """Run the job inside a flow, each call a task; leaves artifacts on a server that is kept."""
    listen = LISTENER.get() or LogLines(get_run_logger().info)
    progress = ProgressArtifact(listen, night, index is not None) if server_is_kept() else None
    runner: ThreadPoolTaskRunner[Any] = ThreadPoolTaskRunner(max_workers=n_threads(config.n_workers))
    with runner:
        outcome = run_job(
            inputs, output, config, PrefectExecutor(runner), progress or listen, index, resume=resume,
            keep_work=keep_work, night=night,
        )  # fmt: skip
    if progress is not None:
        progress.published()
        leave_artifacts(outcome, night)
    return outcome


@flow(name="cluster-articles", **FLOW_OPTIONS)
def cluster_articles(
    inputs: Annotated[list[str], Field(min_length=1)],
    output: str | None = None,
    config: Config = DEFAULTS,
    index: str | None = None,
    resume: bool = True,
    keep_work: bool = False,
) -> Outcome:
    """Cluster the articles of some files and publish the tables.

    Args:
        inputs: Parquet, JSONL or CSV files, folders of .txt files, or globs of these; one collection.
        output: Folder for the runs' tables. Without it, that of the Prefect variable respun_output.
        config: What differs from the defaults.
        index: Folder or address of past nights, which the articles are matched against and then join. Without
            it the articles are matched with each other only.
        resume: Go on from what an earlier run over the same input left, if one did.
        keep_work: Leave the scratch files, so that a run with other thresholds can go on from them.
    """
    folder = Path(location(output, "output"))
    return job_in_prefect(inputs, folder, config, index, resume=resume, keep_work=keep_work)


def run_flow(asked: RunOptions, config: Config, show: Listener) -> Outcome:
    """Run the flow in this process, with Prefect's temporary server where no server is configured.

    Raises ConfigError when a server is configured and doesn't answer.
    """
    LISTENER.set(show)
    take_over(show.waiting_for)
    check_server(show)
    with tags(TAG):
        return cluster_articles(
            list(asked.inputs), str(asked.output), config, asked.index, asked.resume, asked.keep_work
        )


def check_server(show: Listener) -> None:
    """Ask a configured server for an answer: Prefect would ask for long, and then not say for which.

    Raises ConfigError.
    """
    url = get_current_settings().api.url
    if url is None:
        return
    show.waiting_for(f"waiting for Prefect's server, {url}")
    with get_client(sync_client=True) as client:
        error = client.api_healthcheck()
    if error is not None:
        raise ConfigError(
            f"PREFECT_API_URL: must name a server that answers, {url} doesn't: {error}; unset it for a "
            "temporary server, or leave Prefect out with --direct"
        )
