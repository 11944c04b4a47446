"""The deployments of prefect.yaml without a work pool, and the automation that ends runs that died."""

from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import yaml
from prefect import serve
from prefect.automations import Automation
from prefect.client.schemas.objects import ConcurrencyLimitConfig, StateType
from prefect.deployments.runner import RunnerDeployment
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification
from prefect.flows import Flow
from prefect.schedules import Cron
from prefect.settings import get_current_settings

from flows.cluster_articles import TAG
from pipeline.config import shipped_file
from pipeline.errors import ConfigError

DEPLOYMENTS = "prefect.yaml"
# A run that has not been heard of for so long is dead. Four heartbeats of 30 s, Prefect's shortest: with its
# default of 180 s healthy runs would be ended.
SILENCE = timedelta(seconds=120)
# Events of a run that something else has to follow.
SIGNS_OF_LIFE = ("Pending", "Submitting", "pull-step.executed", "Running", "heartbeat")
DEAD_RUNS = "respun: end runs whose process died"


def read_deployments() -> dict[str, Any]:
    """prefect.yaml of this folder, else the one that came with respun. Raises ConfigError."""
    here = Path(DEPLOYMENTS)
    file = here if here.is_file() else shipped_file(DEPLOYMENTS) or Path(__file__).parents[1] / DEPLOYMENTS
    try:
        found: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(f"{DEPLOYMENTS}: must be a YAML file that can be read: {error}") from None
    return found


def served_deployments() -> list[RunnerDeployment]:
    """The deployments as `respun serve` offers them: the same but for the work pool."""
    return [_served(entry) for entry in read_deployments()["deployments"]]


def serve_deployments() -> None:
    """Install the automations, then start the runs of the deployments as they come, until interrupted."""
    install_automations()
    # Not paused when this ends: a schedule that stays paused after a restart is a night that nobody runs.
    serve(*served_deployments(), pause_on_shutdown=False)


def install_automations() -> list[str]:
    """Make or renew the automation on the server. Returns a line for each. Raises ConfigError without one."""
    if get_current_settings().api.url is None:
        raise ConfigError("PREFECT_API_URL: must name the server, is not set")
    wanted = dead_runs()
    try:
        wanted.id = cast(Automation, Automation.read(name=wanted.name)).id
    except ValueError:
        wanted.create()
        return [f"created: {wanted.name}"]
    wanted.update()
    return [f"renewed: {wanted.name}"]


def dead_runs(silence: timedelta = SILENCE) -> Automation:
    """Marks a run of respun Crashed when its heartbeats stop.

    Worker and flow died, and nobody else can tell.
    """
    return Automation(
        name=DEAD_RUNS,
        description="A run whose worker died with it would stay Running, and keep the next night waiting.",
        trigger=EventTrigger(
            match=ResourceSpecification({"prefect.resource.id": ["prefect.flow-run.*"]}),
            match_related=ResourceSpecification(
                {"prefect.resource.role": ["tag"], "prefect.resource.id": [f"prefect.tag.{TAG}"]}
            ),
            for_each={"prefect.resource.id"},
            # Whatever is heard of a run that is at work. Heartbeats come by way of its process, which may die
            # before its first is on the way.
            after={f"prefect.flow-run.{event}" for event in SIGNS_OF_LIFE},
            expect={"prefect.flow-run.*"},
            posture=Posture.Proactive,
            threshold=1,
            within=silence,
        ),
        actions=[
            ChangeFlowRunState(
                name=None,
                state=StateType.CRASHED,
                message=f"not heard of for {silence.seconds} s",
                force=False,
            )
        ],
    )


def _served(entry: dict[str, Any]) -> RunnerDeployment:
    path, name = entry["entrypoint"].split(":")
    flow: Flow[Any, Any] = getattr(import_module(path.removesuffix(".py").replace("/", ".")), name)
    limit = entry["concurrency_limit"]
    deployment = flow.to_deployment(
        name=entry["name"],
        description=entry["description"],
        tags=entry["tags"],
        parameters=entry["parameters"],
        schedules=[
            Cron(one["cron"], timezone=one["timezone"], slug=one["slug"]) for one in entry["schedules"]
        ],
        concurrency_limit=ConcurrencyLimitConfig(**limit),
        paused=False,
    )
    return cast(RunnerDeployment, deployment)
