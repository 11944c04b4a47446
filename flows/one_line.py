"""How a command ends when something is raised: one line for the user, and the exit code."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import click

from pipeline.errors import RespunError

FAILED = 1
INTERRUPTED = 130


@contextmanager
def errors_in_one_line(verbose: bool) -> Iterator[None]:
    """Whatever is raised, the user gets one line and the exit code."""
    try:
        yield
    except RespunError as error:
        _fail(error, error.exit_code, verbose)
    except KeyboardInterrupt as error:
        _fail(error, INTERRUPTED, verbose)
    except Exception as error:  # noqa: BLE001 - no error is left to be a traceback
        _fail(error, FAILED, verbose)


def _fail(error: BaseException, exit_code: int, verbose: bool) -> NoReturn:
    if verbose:
        traceback.print_exception(error)
    if isinstance(error, KeyboardInterrupt):
        message = "interrupted"
    elif isinstance(error, RespunError):
        message = str(error)
    else:
        message = " ".join(f"{type(error).__name__}: {error}".split())
    click.echo(f"respun: error: {message}", err=True)
    sys.exit(exit_code)
