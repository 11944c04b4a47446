"""The commands for every night: `respun nightly`, `respun serve`, `respun automations`."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flows.one_line import errors_in_one_line
from flows.options import INDEX, INPUTS, OUTPUT, SET, VERBOSE, config_option, exit_codes

if TYPE_CHECKING:
    from pipeline.job import Outcome


@click.command(
    short_help="Run the nights that are missing, for cron, without Prefect.",
    epilog=exit_codes("arguments, configuration, input or output", "a night failed"),
)
@INPUTS
@OUTPUT
@INDEX
@config_option("nightly")
@SET
@click.option(
    "--date",
    "night",
    metavar="DATE",
    type=click.DateTime(["%Y-%m-%d"]),
    help="The last night to run; without it, the day before today.",
)
@click.option("--timezone", metavar="TZ", help="Where midnight is, such as Europe/Berlin.")
@click.option(
    "--catch-up-days",
    default=7,
    show_default=True,
    metavar="N",
    type=click.IntRange(0, 365),
    help="How many days before that night a missed or failed night is still run.",
)
@click.option("--again", is_flag=True, help="Run that night even if it is finished.")
@VERBOSE
def nightly(
    inputs: tuple[str, ...],
    output: Path,
    index: str | None,
    config: str,
    overrides: tuple[str, ...],
    night: datetime | None,
    timezone: str | None,
    catch_up_days: int,
    again: bool,
    verbose: bool,
) -> None:
    """Run the nights that are missing, for cron: without Prefect, otherwise what its deployment does.

    INPUT has a {date} in it, or {date:%Y/%m/%d}. stdout gets one line for each night, the folder of its run.
    """
    with errors_in_one_line(verbose, "; the same command goes on from what was finished"):
        from flows.progress import progress_display, write_line
        from flows.report import print_summary
        from pipeline.config import load_config
        from pipeline.errors import ConfigError
        from pipeline.executor import ThreadExecutor
        from pipeline.job import run_job
        from pipeline.nights import Plan, inputs_of, night_before, run_nights

        settings = load_config(config, overrides)
        inputs_of(inputs, datetime.now(UTC).date())

        def run(which: date) -> tuple[str, Outcome]:
            threads = ThreadExecutor(settings.n_workers)
            with progress_display(f"night {which}") as listen:
                outcome = run_job(
                    inputs_of(inputs, which), output, settings, threads, listen, index, resume=True,
                    night=str(which),
                )  # fmt: skip
            print_summary(outcome.run_dir)
            click.echo(outcome.run_dir.absolute())
            return outcome.run_id, outcome

        now = datetime.now(UTC)
        target = night.date() if night else night_before(now, timezone)
        if target > (now + timedelta(days=1)).date():  # all nights up to it would be given up
            raise ConfigError(f"--date: must be a night that has come, {target} has not")
        run_nights(output, Plan(target, catch_up_days, run, again, index), write_line)


@click.command(short_help="Serve the deployments of prefect.yaml from this process.")
@VERBOSE
def serve(verbose: bool) -> None:
    """Serve the deployments of prefect.yaml from this process, without a work pool.

    Runs until it is interrupted. PREFECT_API_URL must name a server; the automations are installed there.
    """
    with errors_in_one_line(verbose):
        from flows.deployments import serve_deployments

        serve_deployments()


@click.command(
    short_help="Install on the server what ends runs whose process has died.",
    epilog=exit_codes("the server"),
)
@VERBOSE
def automations(verbose: bool) -> None:
    """Install on the server that PREFECT_API_URL names what ends runs whose process has died.

    Can be called again: there is one of it.
    """
    with errors_in_one_line(verbose):
        from flows.deployments import install_automations

        for line in install_automations():
            click.echo(line)


COMMANDS = (nightly, serve, automations)
