"""Running the command line in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "data" / "sample" / "articles.parquet"


@dataclass(frozen=True)
class Command:
    """What a command printed and how it ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def run_dir(self) -> Path:
        return Path(self.stdout.splitlines()[-1])


def command(*args: object, module: str = "flows.cli", **environment: str) -> Command:
    """Run a module of the project in a process of its own, without any setting of Prefect from outside."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    done = subprocess.run(
        [sys.executable, "-m", module, *map(str, args)], cwd=ROOT, env=env | environment, text=True,
        capture_output=True, check=False,
    )  # fmt: skip
    return Command(done.returncode, done.stdout, done.stderr)
