"""Measures the speed of respun and its peers side by side, in one session, and prints Markdown tables.

The runs alternate: every contender once, then all again, so that a slow minute of the machine hits all. Each
peer runs in its own environment (benchmarks/peers/README.md), on one core and on all of them. Start-up is
stated apart: of a peer, the time until its runner's clock starts, after the imports; of respun's job, what it
takes on a collection of a few articles. Reading order of the tables: docs/benchmarks.md.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from benchmarks.contenders import JOB, SIGNER, Contender, choose, job_command, present
from benchmarks.measured_process import Measured, all_cores, measure
from benchmarks.planted_corpus import make_corpus
from benchmarks.planted_truth import Found, Pairs, Truth, evaluate, make_truth, pairs_of_clusters, read_truth
from benchmarks.side_by_side_tables import print_tables
from pipeline import __version__

ROOT = Path(__file__).resolve().parent.parent
N_TINY = 20
N_WARM_UP = 200


@dataclass(frozen=True)
class Record:
    """One run. Seconds of wall time; `seconds` is the whole process, `start_up_seconds` is part of it.

    `phases` of respun's job are not known to this benchmark: they are in the run's manifest.
    """

    name: str
    version: str
    confirms: str
    n_cores: int
    n_articles: int
    seconds: float
    start_up_seconds: float
    job_seconds: float
    cpu_seconds: float
    peak_bytes: int
    phases: dict[str, float]
    pairs: Found | None
    clusters: Found | None


class Session:
    """The collection, its truth, and where things are written."""

    def __init__(self, corpus: Path, environments: Path, scratch: Path) -> None:
        self.corpus = corpus
        self.truth: Truth = read_truth(corpus.parent)
        self._environments = environments.absolute()
        self._scratch = scratch
        self._row = {name: row for row, name in enumerate(pq.read_table(corpus)["id"].to_pylist())}
        scratch.mkdir(parents=True, exist_ok=True)
        self._tiny = scratch / "tiny.parquet"
        pq.write_table(pq.read_table(corpus).slice(0, N_TINY), self._tiny)

    def run(self, contender: Contender, n_cores: int, limit: int = 0) -> Record:
        """Run a peer, or respun's signing, once."""
        result = (self._scratch / "found.npz").absolute()
        result.unlink(missing_ok=True)
        own = contender.environment == ""
        python = sys.executable if own else str(self._environments / contender.environment / "bin" / "python")
        command = contender.command(python, self.corpus.absolute(), n_cores, result, limit)
        measured = measure(command, n_cores, self._scratch, _variables(n_cores, own))
        said = json.loads(measured.stdout.splitlines()[-1])
        found = np.load(result) if result.exists() else {}
        whole = not limit
        return _record(
            contender, n_cores, measured, said,
            evaluate(found["pairs"], self.truth) if whole and "pairs" in found else None,
            evaluate(pairs_of_clusters(found["labels"]), self.truth) if whole and "labels" in found else None,
        )  # fmt: skip

    def run_job(self, n_cores: int) -> Record:
        """Run respun's whole job once over a few articles, once over the collection."""
        tiny = self.run_tiny_job(n_cores)
        measured, run_dir = self._job(self.corpus, n_cores)
        members = pq.read_table(run_dir / "cluster_members.parquet", columns=["article_id", "cluster_id"])
        return Record(
            name=JOB,
            version=f"respun {__version__}",
            confirms="rule over cosines",
            n_cores=n_cores,
            n_articles=len(self._row),
            seconds=measured.seconds,
            start_up_seconds=tiny.seconds,
            job_seconds=measured.seconds - tiny.seconds,
            cpu_seconds=measured.cpu_seconds,
            peak_bytes=measured.peak_bytes,
            phases={},
            pairs=evaluate(self._confirmed(run_dir), self.truth),
            clusters=evaluate(pairs_of_clusters(self._labels(members.to_pylist())), self.truth),
        )

    def run_tiny_job(self, n_cores: int) -> Measured:
        """Run respun's whole job over a few articles: what it costs to start."""
        return self._job(self._tiny, n_cores)[0]

    def _job(self, corpus: Path, n_cores: int) -> tuple[Measured, Path]:
        output = (self._scratch / "respun").absolute()
        shutil.rmtree(output, ignore_errors=True)
        command = job_command(sys.executable, corpus.absolute(), n_cores, output)
        measured = measure(command, n_cores, ROOT, {})
        return measured, Path(measured.stdout.splitlines()[-1])

    def _confirmed(self, run_dir: Path) -> Pairs:
        pairs = pq.read_table(run_dir / "confirmed_pairs.parquet", columns=["article_id_l", "article_id_r"])
        rows = [[self._row[name] for name in column.to_pylist()] for column in pairs.columns]
        return np.asarray(rows, np.int64).T.reshape(-1, 2)

    def _labels(self, members: list[dict[str, str]]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        number: dict[str, int] = {}
        labels = np.empty(len(self._row), np.int64)
        for member in members:
            labels[self._row[member["article_id"]]] = number.setdefault(member["cluster_id"], len(number))
        return labels


def _record(
    contender: Contender,
    n_cores: int,
    measured: Measured,
    said: dict[str, Any],
    pairs: Found | None,
    clusters: Found | None,
) -> Record:
    """A runner's own record, joined with what was measured from outside."""
    return Record(
        name=contender.name,
        version=said["version"],
        confirms=contender.confirms,
        n_cores=n_cores,
        n_articles=said["n_articles"],
        seconds=measured.seconds,
        start_up_seconds=said["began_at"] - measured.spawned_at,
        job_seconds=said["job_seconds"],
        cpu_seconds=measured.cpu_seconds,
        peak_bytes=measured.peak_bytes,
        phases=said["phases"],
        pairs=pairs,
        clusters=clusters,
    )  # fmt: skip


def _variables(n_cores: int, own: bool) -> dict[str, str]:
    """Rust peers take their threads from RAYON_NUM_THREADS; no one gains from threads in BLAS here."""
    limits = {"RAYON_NUM_THREADS": str(n_cores), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return {"PYTHONPATH": str(ROOT)} if own else limits


def rounds(session: Session, peers: Sequence[Contender], repeats: int) -> Iterator[Record]:
    """All runs, alternating; slow contenders in the first round only."""
    n_all = len(all_cores())
    for repeat in range(repeats):
        for peer in peers:
            if repeat and peer.slow:
                continue
            for n_cores in sorted({1, n_all}):
                yield session.run(peer, n_cores)
        yield session.run(SIGNER, 1)
        for n_cores in sorted({1, n_all}):
            yield session.run_job(n_cores)


def warm_up(session: Session, peers: Sequence[Contender]) -> None:
    """Run everyone once over little, unmeasured: bytecode, compiled kernels and files get into caches."""
    for contender in chain(peers, [SIGNER]):
        session.run(contender, 1, N_WARM_UP)
    session.run_tiny_job(1)


def compare(work: Path, n_articles: int, articles: Path, environments: Path, names: str, repeats: int,
            json_file: Path | None) -> None:  # fmt: skip
    """Run all contenders over the planted collection, made where it isn't there, and print the tables."""
    corpus = work / f"planted-{n_articles}" / "corpus.parquet"
    if not corpus.exists():
        make_corpus(n_articles, corpus.parent, articles)
    if not (corpus.parent / "truth_pairs.parquet").exists():
        make_truth(corpus.parent)
    peers = present(environments, choose(names), say)
    session = Session(corpus, environments, work / "scratch")
    warm_up(session, peers)
    records: list[Record] = []
    for record in rounds(session, peers, repeats):
        records.append(record)
        say(f"{record.name}, {record.n_cores} cores: {record.job_seconds:.2f} s")
        if json_file:
            lines = (json.dumps(asdict(r)) for r in records)
            json_file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print_tables(records)


def say(message: str) -> None:
    """Tell how far it is, beside the tables."""
    print(message, file=sys.stderr, flush=True)
