"""Pinned floors of quality: what a benchmark's figures must not fall below, and on which files exactly.

A floor means nothing when the files under it have changed, so their SHA-256 is pinned with it.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Floors:
    """One benchmark's section of the floors file.

    `corpus` maps file names in the benchmark's folder to SHA-256 (hex). `at_least` and `at_most` map names of
    figures to their limits, which are allowed themselves.
    """

    benchmark: str
    corpus: Mapping[str, str]
    at_least: Mapping[str, float]
    at_most: Mapping[str, float]


@dataclass(frozen=True)
class Check:
    """One figure beside its limit; `measured` is None when the run gave no such figure."""

    figure: str
    measured: float | None
    rule: str
    met: bool


class FloorsError(Exception):
    """The floors file can't be used; the message names the file and the rule."""


def read_floors(path: Path, benchmark: str) -> Floors:
    """Read one benchmark's floors. Raises FloorsError."""
    try:
        sections = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise FloorsError(f"{path}: must be a TOML file of floors: {error}") from None
    if benchmark not in sections:
        raise FloorsError(f"{path}: must have a section [{benchmark}], has {', '.join(sections)}")
    keys = ("corpus", "at_least", "at_most")
    section: dict[str, Any] = sections[benchmark]
    unknown = sorted(section.keys() - set(keys))
    if unknown:
        raise FloorsError(f"{path}: [{benchmark}] may hold {', '.join(keys)}, not {unknown[0]!r}")
    if not section.get("corpus"):
        raise FloorsError(f"{path}: [{benchmark}.corpus] must pin the SHA-256 of at least one file")
    return Floors(benchmark, *(section.get(key, {}) for key in keys))


def changed_files(floors: Floors, folder: Path) -> list[str]:
    """One line for each pinned file that is missing in `folder` or has another hash."""
    lines = []
    for name, pinned in floors.corpus.items():
        file = folder / name
        if not file.is_file():
            lines.append(f"{floors.benchmark}: {name} is missing in {folder}")
            continue
        found = hashlib.sha256(file.read_bytes()).hexdigest()
        if found != pinned:
            lines.append(f"{floors.benchmark}: {name} has SHA-256 {found}, floors were pinned on {pinned}")
    return lines


def check(floors: Floors, figures: Mapping[str, float]) -> list[Check]:
    """Compare every limit with its figure; a figure that wasn't measured isn't met."""
    checks = []
    for name, limit in floors.at_least.items():
        measured = figures.get(name)
        checks.append(Check(name, measured, f">= {limit:g}", measured is not None and measured >= limit))
    for name, limit in floors.at_most.items():
        measured = figures.get(name)
        checks.append(Check(name, measured, f"<= {limit:g}", measured is not None and measured <= limit))
    return checks


def failures(checks: Sequence[Check]) -> list[str]:
    """One line for each limit that isn't met."""
    return [
        f"{c.figure}: must be {c.rule}, is {'not measured' if c.measured is None else f'{c.measured:g}'}"
        for c in checks
        if not c.met
    ]
