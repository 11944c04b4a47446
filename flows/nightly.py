"""The Prefect flow `cluster-nights`: the nights that are not finished yet, up to the one before today."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated

from prefect import flow, get_run_logger
from prefect.variables import Variable
from pydantic import Field

from flows.cluster_articles import FLOW_OPTIONS, job_in_prefect, location
from pipeline.config import load_config
from pipeline.job import Outcome
from pipeline.nights import Plan, inputs_of, night_before, run_nights


@flow(name="cluster-nights", **FLOW_OPTIONS)
def cluster_nights(
    input: str | None = None,  # noqa: A002 - it is what the form shows
    output: str | None = None,
    index: str | None = None,
    config: str = "nightly",
    overrides: list[str] = [],  # noqa: B006 - Prefect makes a schema of it, nothing changes it
    night: date | None = None,
    timezone: str | None = None,
    catch_up_days: Annotated[int, Field(ge=0, le=365)] = 7,
    again: bool = False,
) -> list[str]:
    """Run the nights that are missing, one after the other. Returns the folders of their runs.

    Args:
        input: What a night reads, with {date} or {date:%Y/%m/%d} in it. Without it, the Prefect variable
            respun_input.
        output: Folder for the runs' tables. Without it, that of the Prefect variable respun_output.
        index: Folder or address of past nights, which each night is matched against and then joins. Without
            it, that of the Prefect variable respun_index; without either a night is matched with itself only.
        config: A TOML file, or the name of a preset.
        overrides: Single keys, as "key=value".
        night: The last night to run. Without it, the day before today in the timezone.
        timezone: Where midnight is, such as Europe/Berlin. Without it, where this machine is.
        catch_up_days: How many days before that night a missed or failed night is still run.
        again: Run that night even if it is finished.
    """
    settings = load_config(config, overrides)
    template, folder = location(input, "input"), Path(location(output, "output"))
    known = index or Variable.get("respun_index")
    past = None if known is None else str(known)

    def run(which: date) -> tuple[str, Outcome]:
        inputs = inputs_of([template], which)
        outcome = job_in_prefect(inputs, folder, settings, past, resume=True, night=str(which))
        return outcome.run_id, outcome

    target = night or night_before(datetime.now(UTC), timezone)
    outcomes = run_nights(folder, Plan(target, catch_up_days, run, again, past), get_run_logger().info)
    return [str(outcome.run_dir) for outcome in outcomes]
