"""Arguments and options that several commands have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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


def _not_empty(_context: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    """An unset variable in a script must not mean that there is no index."""
    if value is not None and not value.strip():
        raise click.BadParameter("must be a folder or an address, is empty.")
    return value


INDEX = click.option(
    "--index",
    metavar="INDEX",
    callback=_not_empty,
    help="Folder, or address such as s3://bucket/prefix, of past nights to match against and to join.",
)
SET = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Override one key, such as columns.text=body. May be given several times.",
)


def exit_codes(unusable: str, failed: str = "it failed") -> str:
    """The last paragraph of a command's help."""
    return (
        f"Exit codes: 0 done, 2 {unusable} can't be used, 1 {failed}, 130 interrupted (Ctrl-C), "
        "143 terminated (kill)."
    )


def config_option(default: str | None = None) -> Callable[[Any], Any]:
    """`--config`, with the preset that a command has without it."""
    return click.option(
        "--config",
        default=default,
        show_default=default is not None,
        metavar="FILE",
        help="TOML file, or the name of a preset: nightly, adhoc, smoke.",
    )


@dataclass(frozen=True)
class RunOptions:
    """What `respun run` was asked for."""

    inputs: tuple[str, ...]
    output: Path
    index: str | None
    config: str | None
    overrides: tuple[str, ...]
    resume: bool
    keep_work: bool
    direct: bool
    verbose: bool
