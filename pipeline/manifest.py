"""The manifest of a run: what went in, by which configuration and versions, and how each stage went."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline import __version__
from pipeline.arrow_columns import read_column
from pipeline.articles import ArticlesResult
from pipeline.candidate_recall import Recall
from pipeline.candidates import N_TOLD, BandPairs
from pipeline.clusters import read_judged
from pipeline.config import Config
from pipeline.confirm import RELATED, RELATIONS
from pipeline.errors import OutputError
from pipeline.executor import StageReport, peak_rss_bytes
from pipeline.index_recall import Plan
from pipeline.inputs import InputFile, InputUnit
from pipeline.rule import load_rule
from pipeline.table_checks import CheckedTable
from pipeline.tables import Ref, atomic_file, file_sha256

MANIFEST = "manifest.json"
# Hashing reads the file once more: larger ones are named by size and time of change.
MAX_HASHED_BYTES = 64 << 20
_RUN_TIME = "%Y%m%dT%H%M%SZ"
_PACKAGES = ("datasketch", "numba", "numpy", "prefect", "pyarrow", "pydantic", "scikit-learn", "scipy")


class Stages(Protocol):
    """What the stages before left: here only what is counted of it."""

    @property
    def accepted(self) -> ArticlesResult:
        """The accepted articles."""

    @property
    def bands(self) -> tuple[BandPairs, ...]:
        """What was seen in the bands."""

    @property
    def pairs(self) -> Ref:
        """The candidate pairs."""

    @property
    def planned(self) -> Plan | None:
        """What an index was asked for; None without one."""


def run_id(now: datetime, config: Config, units: Sequence[InputUnit]) -> str:
    """UTC time to the second, and 8 hex digits that tell runs of the same second apart.

    `now` must be in UTC. The digits are of a hash over the exact time, the configuration and the input.
    """
    known = [
        now.isoformat(),
        config.fingerprint(),
        *(f"{file.path} {file.bytes}" for file in files_of(units)),
    ]
    digits = hashlib.sha256("\n".join(known).encode(errors="surrogateescape")).hexdigest()[:8]
    return f"{now:{_RUN_TIME}}-{digits}"


def started_at(run_id: str) -> datetime:
    """When a run began, UTC, to the second. The same for a run that goes on."""
    return datetime.strptime(run_id.partition("-")[0], _RUN_TIME).replace(tzinfo=UTC)


def files_of(units: Iterable[InputUnit]) -> list[InputFile]:
    """The input files, each once, in input order."""
    return list(dict.fromkeys(part.file for unit in units for part in unit.parts))


def make_manifest(
    run_id: str,
    config: Config,
    units: Sequence[InputUnit],
    staged: Stages,
    judged: Sequence[Ref],
    recall: Recall,
    tables: Mapping[str, CheckedTable],
    reports: Sequence[StageReport],
    seconds: float,
    night: str | None,
    index: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """The manifest as a JSON object. Times in seconds, sizes in bytes."""
    rule = load_rule(config.calibration)
    ended = datetime.now(UTC)
    return {
        "run_id": run_id,
        "night": night,
        "started_at": (ended - timedelta(seconds=seconds)).isoformat(timespec="seconds"),
        "ended_at": ended.isoformat(timespec="seconds"),
        "seconds": round(seconds, 4),
        "config": config.model_dump(),
        "config_fingerprint": config.fingerprint(),
        "versions": versions(),
        "inputs": [describe(file) for file in files_of(units)],
        "counts": ({"n_files_passed_over": sum(unit.n_passed_over for unit in units)}
                   | _article_counts(staged.accepted) | _pair_counts(staged, judged)
                   | {"candidate_recall": recall.share, "n_recall_sample": recall.n_sampled}
                   | _table_counts(tables)),
        "oversized_buckets": _oversized(staged),
        "tables": {name: {"rows": table.ref.rows, "bytes": table.ref.bytes, "sha256": table.sha256}
                   for name, table in sorted(tables.items())},
        "stages": [_stage(report) for report in reports],
        "peak_rss_bytes": max([peak_rss_bytes(), *(report.peak_rss_bytes for report in reports)]),
        "threshold": config.threshold or rule.confirm.threshold,
        "calibration": rule.version,
        "index": dict(index) if index is not None else None,
    }  # fmt: skip


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Write manifest.json into the folder of the run's tables."""
    with atomic_file(folder / MANIFEST, durable=True) as file:
        file.write((json.dumps(manifest, indent=2, ensure_ascii=False) + "\n").encode(errors="replace"))


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest in the folder of a run. Raises OutputError when it can't be read, or isn't whole."""
    found = read_object(folder / MANIFEST)
    if missing := {"config", "counts", "threshold"} - found.keys():
        raise OutputError(f"{folder / MANIFEST}: must be whole, lacks {', '.join(sorted(missing))}")
    return found


def read_object(file: Path) -> dict[str, Any]:
    """A file of one JSON object. Raises OutputError when it is none."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ValueError("not an object")
    except (OSError, ValueError) as error:
        raise OutputError(f"{file}: must be a JSON object: {error}") from None
    return found


@cache
def versions() -> dict[str, str]:
    """Versions of respun, Python, and the packages that compute; those not installed are left out."""
    found = {"respun": __version__, "python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def describe(file: InputFile) -> dict[str, Any]:
    """One input file: its name in the tables, path, size, and SHA-256, or for large files time of change."""
    found: dict[str, Any] = {"name": file.name, "path": file.path, "bytes": file.bytes}
    path = Path(file.path)
    try:
        if file.bytes <= MAX_HASHED_BYTES:
            found["sha256"] = file_sha256(path)
        else:
            found["modified_at"] = datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat()
    except OSError as error:
        found["error"] = error.strerror
    return found


def _article_counts(accepted: ArticlesResult) -> dict[str, Any]:
    return {
        "n_files": accepted.n_files,
        "n_unreadable_files": accepted.n_unreadable_files,
        "n_input": accepted.n_input_rows,
        "n_accepted": accepted.n_accepted,
        "n_recognised": accepted.n_recognised,
        "n_new_versions": accepted.n_new_versions,
        "n_rejected": accepted.n_rejected,
        "n_rejected_by_reason": accepted.n_rejected_by_reason,
        "n_unreadable_dates": accepted.n_bad_dates,
        "text_bytes": accepted.text_bytes,
    }


def _pair_counts(staged: Stages, judged: Sequence[Ref]) -> dict[str, Any]:
    """What became of the pairs; one with a probability of 0 the rule never saw, unless it is a neighbour."""
    known = None if staged.planned is None else staged.planned.judged  # by nights before
    pairs = read_judged(tuple(ref for ref in judged if ref != known))
    is_left = (pairs["probability"].to_numpy() > 0) | (pairs["relation"].to_numpy() == RELATED)
    n_candidates = staged.pairs.rows + (staged.planned.n_dropped if staged.planned else 0)
    return {
        "n_collisions": sum(part.n_collisions for part in staged.bands),
        "n_oversized_buckets": sum(part.n_oversized for part in staged.bands),
        "n_passed_over": sum(part.n_passed_over for part in staged.bands),
        "largest_bucket": max((part.largest_bucket for part in staged.bands), default=0),
        "n_candidate_pairs": n_candidates,
        "candidate_pairs_per_article": round(n_candidates / max(staged.accepted.n_accepted, 1), 3),
        "n_screened_pairs": n_candidates - int(np.count_nonzero(is_left)),
    }


def _oversized(staged: Stages) -> list[dict[str, Any]]:
    """The largest of the buckets that were not expanded, each by its view, band and first article."""
    told = sorted((bucket for part in staged.bands for bucket in part.oversized), reverse=True)[:N_TOLD]
    if not told:
        return []
    ids = read_column(staged.accepted.shards.articles, "article_id")
    return [
        {"n_articles": bucket.n_articles, "view": bucket.view, "band": bucket.band,
         "article_id": ids[bucket.first_row].as_py()}
        for bucket in told
    ]  # fmt: skip


def _table_counts(tables: Mapping[str, CheckedTable]) -> dict[str, int]:
    counted = {f"n_{name}": tables[name].ref.rows for name in ("clusters", "repeated_sections")}
    pairs = tables["confirmed_pairs"].ref
    relations = pq.read_table(pairs.path, columns=["relation"], read_dictionary=["relation"])["relation"]
    n_neighbours = pc.sum(pc.equal(relations, RELATIONS[RELATED]), min_count=0).as_py()
    return {"n_confirmed_pairs": pairs.rows - n_neighbours, "n_neighbours": n_neighbours} | counted


def _stage(report: StageReport) -> dict[str, Any]:
    return {
        "stage": report.stage,
        "n_calls": report.n_calls,
        "n_reused": report.n_reused,
        "n_rows": report.n_rows,
        "seconds": round(report.seconds, 4),
        "rows_per_second": round(report.rows_per_second, 1),
        "peak_rss_bytes": report.peak_rss_bytes,
    }
