"""One run over the sample, shared by the tests that look at a finished run."""

from __future__ import annotations

import pytest
from command_line import SAMPLE, Command, command


@pytest.fixture(scope="session")
def sample_run(tmp_path_factory) -> Command:
    """`respun run --direct` over the sample."""
    output = tmp_path_factory.mktemp("sample-run")
    done = command("run", SAMPLE, "--output", output, "--config", "smoke", "--direct")
    assert done.code == 0, done.stderr
    return done
