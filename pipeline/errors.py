"""Every error that respun raises on purpose.

RespunError                 base; `exit_code` is what the command line exits with
    ConfigError             2   a key is unknown, or its value breaks a rule
    InputError              2   the input can't be used at all (single bad rows are rejected, not raised)
    OutputError             2   the output folder can't be written, or isn't ours
    RunError                1   a run that began could not be finished

Messages are one line and name the parameter, the rule and the value that broke it.
"""

from __future__ import annotations


class RespunError(Exception):
    """Base of all errors of respun."""

    exit_code: int = 1

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


class ConfigError(RespunError):
    """A configuration key is unknown, or its value breaks a rule."""

    exit_code = 2


class InputError(RespunError):
    """The input as a whole can't be used."""

    exit_code = 2


class OutputError(RespunError):
    """The output folder can't be written, or holds files that aren't ours."""

    exit_code = 2


class RunError(RespunError):
    """A run that began could not be finished, or what it wrote failed a check."""

    exit_code = 1
