"""Prefect's temporary server, as a child that ends when this process does, however that ends.

Prefect ends the server that it starts when Python exits in good order. After `kill -9`, or when the kernel
wants our memory, it would stay for ever, and hold our stdout. So ours reads from a pipe whose other end only
this process holds: the pipe ends when we do.

As a script, in the child: ends with its stdin, and is `python -m uvicorn` apart from that.
"""

import os
import sys

if __name__ == "__main__":
    import runpy
    import threading

    def end_with_stdin() -> None:
        """Wait for the other end of stdin to close, which is never written to."""
        os.read(0, 1)
        os._exit(1)

    threading.Thread(target=end_with_stdin, daemon=True).start()
    runpy.run_module("uvicorn", run_name="__main__", alter_sys=True)
    sys.exit()

import subprocess
from collections.abc import Callable
from typing import Any

import prefect
from prefect.server.api.server import SubprocessASGIServer
from prefect.settings import get_current_settings

# What Prefect itself starts its temporary server with, version 3.8.8.
_ARGUMENTS = (
    "--factory", "prefect.server.api.server:create_app", "--host", "127.0.0.1", "--log-level", "error",
    "--lifespan", "on",
)  # fmt: skip
_ENVIRONMENT = {"PREFECT_UI_ENABLED": "0", "PREFECT__SERVER_EPHEMERAL": "1", "PREFECT__SERVER_FINAL": "1"}


class TemporaryServer(SubprocessASGIServer):
    """The server that Prefect takes when it needs one: all there are, are the one that was made first."""

    waiting_for: Callable[[str], None]

    def start(self, timeout: int | None = None) -> None:
        """Start it and wait until it answers; nothing when it is up."""
        if not self.running:
            self.waiting_for("waiting for Prefect's temporary server")
        super().start(timeout)

    def _run_uvicorn_command(self) -> "subprocess.Popen[Any]":
        ours, self._theirs = os.pipe()  # the second is closed by nobody but the end of this process
        app = str(prefect.__module_path__.parent)
        settings = get_current_settings().to_environment_variables(exclude_unset=True)
        try:
            return subprocess.Popen(
                [sys.executable, "-P", __file__, "--app-dir", app, *_ARGUMENTS, "--port", str(self.port)],
                env={**os.environ, **_ENVIRONMENT, **settings},
                stdin=ours,
                stdout=subprocess.DEVNULL,
                # Ctrl-C goes to a terminal's whole process group. The server has to live on to be told that
                # the run was interrupted; without it Prefect would ask it in vain for over a minute.
                process_group=0,
            )
        finally:
            os.close(ours)


def take_over(waiting_for: Callable[[str], None]) -> None:
    """From now on Prefect's temporary server is ours; `waiting_for` is told when it is started."""
    TemporaryServer().waiting_for = waiting_for
