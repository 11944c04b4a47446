"""The Prefect flow `cluster-articles`: the stages of `pipeline.job`, each call a Prefect task.

`python -m flows.cluster_articles ARGS` is `respun run ARGS`.
"""

import signal
import sys

if __name__ == "__main__":  # before Prefect is imported: the command line decides whether it is needed
    from flows.cli import main

    main(["run", *sys.argv[1:]])

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TypeVar

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.futures import PrefectFuture, as_completed
from prefect.runtime import task_run
from prefect.task_runners import ThreadPoolTaskRunner
from prefect.tasks import Task, exponential_backoff

from flows.progress import LogLines
from pipeline.config import load_config
from pipeline.executor import Call, Listener, n_threads
from pipeline.job import Outcome, run_job

T = TypeVar("T")

INTERRUPT = {signal.SIGINT}
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

    def map(
        self, stage: str, function: Callable[..., T], calls: Sequence[Call], done: Callable[[T], None]
    ) -> list[T]:
        """Return `function(*call)` for each call, in the order of `calls`; the first error stops the rest."""

        # A retry repeats the whole call. That is safe: a stage writes under a temporary name, then renames.
        @task(
            name=stage,
            task_run_name=call_name,
            retries=RETRIES,
            retry_delay_seconds=exponential_backoff(backoff_factor=2),
            retry_jitter_factor=0.3,
            retry_condition_fn=may_pass,
            cache_policy=NO_CACHE,
            persist_result=False,
        )
        def execute(number: int, call: Call) -> T:
            return function(*call)

        futures: list[PrefectFuture[T]] = [
            self._runner.submit(execute, {"number": number, "call": call})
            for number, call in enumerate(calls)
        ]
        try:
            for future in as_completed(futures):
                done(future.result())
        except BaseException:
            self._runner.cancel_all()
            raise
        return [future.result() for future in futures]


# Who listens to the run. Not a parameter of the flow: those go to the server, and have to be JSON.
LISTENER: ContextVar[Listener | None] = ContextVar("listener", default=None)


@flow(name="cluster-articles", retries=0, persist_result=False)
def cluster_articles(
    inputs: list[str],
    output: str,
    config: str | None = None,
    overrides: list[str] | None = None,
    index: str | None = None,
) -> Outcome:
    """Cluster the articles of `inputs` and publish the tables under `output`.

    `config` is a TOML file or a preset's name, `overrides` are "key=value", `index` is a folder or address of
    past nights. Raises RespunError.
    """
    signal.pthread_sigmask(signal.SIG_UNBLOCK, INTERRUPT)
    settings = load_config(config, overrides or [])
    listen = LISTENER.get() or LogLines(get_run_logger().info)
    runner: ThreadPoolTaskRunner[Any] = ThreadPoolTaskRunner(max_workers=n_threads(settings.n_workers))
    with runner:
        return run_job(inputs, Path(output), settings, PrefectExecutor(runner), listen, index)


def run_flow(
    inputs: Sequence[str],
    output: Path,
    config: str | None,
    overrides: Sequence[str],
    listen: Listener,
    index: str | None = None,
) -> Outcome:
    """Run the flow in this process, with Prefect's temporary server where no server is configured.

    Ctrl-C on a terminal goes to all processes of the command. The temporary server inherits that it is
    blocked, and lives to be told that the run was interrupted; without it Prefect would ask it in vain for
    over a minute.
    """
    LISTENER.set(listen)
    signal.pthread_sigmask(signal.SIG_BLOCK, INTERRUPT)
    try:
        return cluster_articles(list(inputs), str(output), config, list(overrides), index)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, INTERRUPT)
