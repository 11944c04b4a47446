"""Who is measured: each peer with its environment and arguments, and respun."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

PEERS = Path(__file__).resolve().parent / "peers"
OWN = ""  # the environment that this process runs in
BASELINE = "datasketch-xxhash"
SIGNING = "respun signing"
JOB = "respun run --direct"


@dataclass(frozen=True)
class Contender:
    """A runner and how to start it.

    `environment` is the folder's name under `--environments`. `slow` ones run once, whatever `--repeats`.
    `confirms` says what is done with a candidate pair before it counts.
    """

    name: str
    environment: str
    runner: str
    arguments: tuple[str, ...] = ()
    slow: bool = False
    confirms: str = "no"

    def command(self, python: str, corpus: Path, n_cores: int, result: Path, limit: int) -> list[str]:
        """The command line of one run, for the environment's Python."""
        return [
            python, str(PEERS / self.runner),
            "--corpus", str(corpus), "--procs", str(n_cores), "--result", str(result), "--limit", str(limit),
            *self.arguments,
        ]  # fmt: skip


CONTENDERS = (
    Contender(BASELINE, "peers", "peer_datasketch.py", ("--hash", "xxh")),
    Contender("datasketch", "peers", "peer_datasketch.py"),
    Contender("rensa", "peers", "peer_rensa.py"),
    Contender("gaoya", "peers", "peer_gaoya.py"),
    Contender("daft", "peers", "peer_daft.py"),
    Contender("text-dedup", "text-dedup", "peer_textdedup.py", slow=True, confirms="shingles"),
    Contender("scikit-learn, all pairs", "peers", "peer_sklearn.py", slow=True, confirms="cosine"),
    Contender("datasketch + scikit-learn", "peers", "peer_both.py", slow=True, confirms="cosines"),
    Contender("datatrove", "datatrove", "peer_datatrove.py", slow=True),
)
SIGNER = Contender(SIGNING, OWN, "respun_signing.py")


def choose(names: str) -> list[Contender]:
    """The contenders of a comma-separated list of names; all for an empty one. Raises ValueError."""
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    known = {contender.name: contender for contender in CONTENDERS}
    for name in wanted:
        if name not in known:
            raise ValueError(f"--peers: must be among {', '.join(known)}, not {name!r}")
    return [known[name] for name in wanted] or list(CONTENDERS)


def job_command(python: str, corpus: Path, n_cores: int, output: Path) -> list[str]:
    """The command line of respun's whole job."""
    return [
        python, "-m", "flows.cli", "run", str(corpus), "--output", str(output), "--direct",
        "--set", "columns.article_id=id", "--set", f"n_workers={n_cores}",
    ]  # fmt: skip


def present(environments: Path, chosen: list[Contender], warn: Callable[[str], None]) -> list[Contender]:
    """Those whose environment has been made; the others are named and left out."""
    found = []
    for contender in chosen:
        if (environments / contender.environment / "bin" / "python").exists():
            found.append(contender)
        else:
            warn(f"{contender.name}: left out, no environment {environments / contender.environment}")
    return found
