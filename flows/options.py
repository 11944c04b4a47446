"""Arguments and options that several commands have."""

from __future__ import annotations

from pathlib import Path

import click

INPUTS = click.argument("inputs", metavar="INPUT...", nargs=-1, required=True)
RUN = click.argument("run_path", metavar="RUN", type=click.Path(path_type=Path))
OUTPUT = click.option(
    "--output",
    required=True,
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for the runs' tables; made when it is missing.",
)
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON, for machines; the same numbers.")
VERBOSE = click.option("--verbose", is_flag=True, help="Show the traceback of an error.")
