"""The commands `respun index ...`."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from flows.one_line import FAILED, Commands, errors_in_one_line
from flows.options import SET, VERBOSE, config_option, exit_codes


@click.group(cls=Commands, short_help="Look after an index of past nights.")
def index() -> None:
    """Look after an index of past nights, which `respun run --index` matches against.

    --config and --set give the configuration that the index is used with.
    """


INDEX = click.argument("location", metavar="INDEX")
CONFIG = config_option()
CODES = exit_codes("arguments, configuration or index")


@index.command(epilog=CODES)
@INDEX
@VERBOSE
def info(location: str, verbose: bool) -> None:
    """Say what INDEX holds."""
    with errors_in_one_line(verbose):
        from flows.index_report import info_lines
        from pipeline.index_admin import info as look

        _print(info_lines(look(location)))


@index.command(
    short_help="Compare the files of INDEX with what it says of them.",
    epilog=exit_codes("arguments or index", "a file is missing or differs"),
)
@INDEX
@VERBOSE
@click.pass_context
def check(context: click.Context, location: str, verbose: bool) -> None:
    """Read every file that INDEX names, and compare it with what was written.

    Prints a line for each that is missing or differs, and one that sums up. Changes nothing.
    """
    with errors_in_one_line(verbose):
        from flows.index_report import checked_lines
        from pipeline.index_check import check as look

        found = look(location)
        _print(checked_lines(found))
    if found.found:
        context.exit(FAILED)


@index.command(short_help="Put the segments of INDEX together.", epilog=CODES)
@INDEX
@CONFIG
@SET
@VERBOSE
def compact(location: str, config: str | None, overrides: tuple[str, ...], verbose: bool) -> None:
    """Put the segments of INDEX together, so that a night opens fewer files."""
    with errors_in_one_line(verbose):
        from flows.index_report import info_lines
        from flows.progress import write_line
        from pipeline.config import load_config
        from pipeline.index_admin import compact as put_together

        _print(info_lines(put_together(location, load_config(config, overrides), write_line)))


@index.command(epilog=CODES)
@INDEX
@click.option(
    "--before",
    required=True,
    metavar="DATE",
    type=click.DateTime(["%Y-%m-%d"]),
    help="Articles published before this day, UTC, are forgotten; those without a time stay.",
)
@CONFIG
@SET
@VERBOSE
def forget(
    location: str, before: datetime, config: str | None, overrides: tuple[str, ...], verbose: bool
) -> None:
    """Leave old articles out of INDEX. Clusters keep their ids for as long as they have an article."""
    with errors_in_one_line(verbose):
        from flows.index_report import forgotten_lines
        from flows.progress import write_line
        from pipeline.config import load_config
        from pipeline.index_admin import forget as leave_out

        found = leave_out(location, before.replace(tzinfo=UTC), load_config(config, overrides), write_line)
        _print(forgotten_lines(found))


@index.command(short_help="Count terms and furniture of INDEX anew, and find all pairs again.", epilog=CODES)
@INDEX
@CONFIG
@SET
@VERBOSE
def rebuild(location: str, config: str | None, overrides: tuple[str, ...], verbose: bool) -> None:
    """Count the terms and furniture of INDEX anew, and find all pairs again by these counts."""
    with errors_in_one_line(verbose):
        from flows.index_report import rebuilt_lines
        from flows.progress import progress_display
        from pipeline.config import load_config
        from pipeline.executor import ThreadExecutor
        from pipeline.index_job import rebuild_index

        settings = load_config(config, overrides)
        with progress_display("starting") as listen:
            found = rebuild_index(location, settings, ThreadExecutor(settings.n_workers), listen)
        _print(rebuilt_lines(found))


def _print(lines: list[str]) -> None:
    for line in lines:
        click.echo(line)
