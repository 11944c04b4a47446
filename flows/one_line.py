"""How a command ends when something is raised: one line for the user, and the exit code."""

from __future__ import annotations

import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import click

from pipeline.errors import RespunError

FAILED = 1
INTERRUPTED = 130
TERMINATED = 143
# A name or a value from outside must not be able to tell the terminal what to do.
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))}


class Terminated(KeyboardInterrupt):
    """SIGTERM, as `kill` sends it: ends a command the way that Ctrl-C does."""


@contextmanager
def errors_in_one_line(verbose: bool, afterwards: str = "") -> Iterator[None]:
    """Whatever is raised, the user gets one line and the exit code.

    `afterwards` says how a command goes on that was interrupted.
    """
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    except RespunError as error:
        _fail(error, str(error), error.exit_code, verbose)
    except Terminated as error:
        _fail(error, f"terminated{afterwards}", TERMINATED, verbose)
    except KeyboardInterrupt as error:
        _fail(error, f"interrupted{afterwards}", INTERRUPTED, verbose)
    except BrokenPipeError:  # whoever read the output has gone: click ends in silence
        raise
    except Exception as error:  # noqa: BLE001 - no error is left to be a traceback
        _fail(error, f"{type(error).__name__}: {error}", FAILED, verbose)
    finally:
        signal.signal(signal.SIGTERM, before)


class Commands(click.Group):
    """Commands whose usage errors, such as an unknown option, look like all other errors."""

    def make_context(self, *args: Any, **options: Any) -> click.Context:
        """Read the group's own options."""
        with _usage_in_one_line(None):
            return super().make_context(*args, **options)

    def invoke(self, ctx: click.Context) -> Any:
        """Read the options of the command that is called, and call it."""
        with _usage_in_one_line(ctx):
            return super().invoke(ctx)


@contextmanager
def _usage_in_one_line(group: click.Context | None) -> Iterator[None]:
    """`group`: whose command is being read; click's parser names none where an option lacks its value."""
    try:
        yield
    except click.exceptions.NoArgsIsHelpError:  # shows the help
        raise
    except click.UsageError as error:
        read = error.ctx.command_path if error.ctx else ""
        if group and not error.ctx:
            read = f"{group.command_path} {group.invoked_subcommand}"
        hint = f" Try '{read} --help'." if read else ""
        _fail(error, error.format_message() + hint, error.exit_code, verbose=False)


def _terminate(_number: int, _frame: object) -> NoReturn:
    raise Terminated


def _fail(error: BaseException, message: str, exit_code: int, verbose: bool) -> NoReturn:
    if verbose:
        traceback.print_exception(error)
    one_line = " ".join(message.split()).translate(_CONTROLS)
    click.echo(f"respun: error: {one_line.encode(errors='backslashreplace').decode()}", err=True)
    sys.exit(exit_code)
