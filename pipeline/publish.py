"""Stage "publish": make the run's checked tables the current ones in one atomic step.

The tables, read back by the stage before, wait in the run's scratch folder, on the same file system. They
become `<output>/runs/<run_id>` by one rename, and current by another one, of `latest.json`. A kill between
any two steps leaves the previous run current, with every file that it had.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.candidate_recall import Recall
from pipeline.config import Config
from pipeline.errors import OutputError
from pipeline.executor import StageReport
from pipeline.inputs import OUTPUT_MARKER, InputUnit
from pipeline.manifest import MANIFEST, Stages, make_manifest, read_manifest, write_manifest
from pipeline.report_files import PAGE, REPORT
from pipeline.report_pages import write_pages
from pipeline.scratch import WORK
from pipeline.table_checks import CheckedTable, check_counts
from pipeline.tables import Ref, atomic_file, sync

RUNS, LATEST = "runs", "latest.json"
_OURS = {RUNS, LATEST, WORK, OUTPUT_MARKER}
_MARKER_TEXT = "Written by respun: latest.json names the current run in runs/.\n"


def check_output(output: Path) -> None:
    """Make the output folder, and mark it as respun's. A marked folder may hold files of yours as well.

    Raises OutputError when it can't be written, or holds files of something else.
    """
    try:
        output.mkdir(parents=True, exist_ok=True)
        found = {entry.name for entry in output.iterdir()}
        if OUTPUT_MARKER not in found:
            # A first run may have been killed while it wrote one of these.
            begun = (f".{LATEST}.", f".{OUTPUT_MARKER}.")
            others = sorted(name for name in found - _OURS if not name.startswith(begun))
            if others:
                shown = ", ".join(others[:5]) + (" ..." if len(others) > 5 else "")
                raise OutputError(
                    f"output {output}: must be new, empty or respun's, holds other files: {shown}"
                )
        with atomic_file(output / OUTPUT_MARKER, durable=True) as file:
            file.write(_MARKER_TEXT.encode())
    except OSError as error:
        raise OutputError(
            f"output {output}: must be a folder that can be written: {error.strerror}"
        ) from None


def publish(
    output: Path,
    run_id: str,
    config: Config,
    units: Sequence[InputUnit],
    staged: Stages,
    judged: Sequence[Ref],
    recall: Recall,
    tables: Mapping[str, CheckedTable],
    reports: Sequence[StageReport],
    seconds: float,
    placed: Sequence[Ref] = (),
    night: str | None = None,
    index: Mapping[str, Any] | None = None,
) -> Path:
    """Write manifest and report beside the checked `tables`, make all current. Returns the run's folder.

    `seconds`: wall time of the stages before. `placed`: the texts that the report has
    (`report_texts.PLACES`). `night` is the date, ISO 8601, whose nightly run this is, `index` what the
    manifest says of an index.

    `tables` must lie in one folder of the output's file system, which is moved. May be called again after
    a failure, whatever it had done by then. Raises RunError when a table or a row of the input is missing.
    """
    final = output / RUNS / run_id
    if not final.exists():
        check_counts({name: table.ref for name, table in tables.items()}, staged.accepted)
        folder = Path(next(iter(tables.values())).ref.path).parent
        manifest = make_manifest(
            run_id, config, units, staged, judged, recall, tables, reports, seconds, night, index
        )
        write_manifest(folder, manifest)
        ours = {MANIFEST, PAGE, REPORT, *(Path(table.ref.path).name for table in tables.values())}
        _remove_others(folder, ours)
        if config.report.write and not (folder / PAGE).exists():
            write_pages(folder, placed, folder / REPORT, output / RUNS)
        _move(folder, final)
    _make_current(output, run_id)
    return final


def finish_publishing(output: Path, run_id: str) -> Path | None:
    """Make a run current that was cut off when all its files had their place; None when they had not."""
    final = output / RUNS / run_id
    if not (final / MANIFEST).is_file():
        return None
    _make_current(output, run_id)
    return final


def is_overtaken(output: Path, run_id: str, generation: int) -> bool:
    """Whether a run is published, and its index, of that `generation` now, or the output has gone on since.

    Of a run that hasn't joined its index. Then it has to be another run: what it has published is not what it
    would join now, or isn't the last that was published of this state of the index, and the last one counts.
    """
    file = output / RUNS / run_id / MANIFEST
    if not file.is_file():
        return False
    if read_manifest(file.parent)["index"]["generation"] != generation:
        return True
    if not (output / LATEST).exists():  # the run died over making itself the current one, the first of all
        return False
    current = current_run(output) / MANIFEST
    return current.stat().st_mtime_ns > file.stat().st_mtime_ns


def current_run(output: Path) -> Path:
    """The folder of the current run. Raises OutputError when there is none."""
    try:
        latest = json.loads((output / LATEST).read_text(encoding="utf-8"))
        folder = output / str(latest["path"])
    except (OSError, ValueError, KeyError, TypeError):
        raise OutputError(f"output {output}: must hold a published run, has no readable {LATEST}") from None
    if not (folder / MANIFEST).is_file():
        raise OutputError(f"output {output}: must hold the run that {LATEST} names, {latest['path']} is gone")
    return folder


def find_run(folder: Path) -> Path:
    """The folder itself where it is a run's, else the current run of that output folder.

    Raises OutputError when there is none.
    """
    return folder if (folder / MANIFEST).is_file() else current_run(folder)


def _remove_others(folder: Path, ours: set[str]) -> None:
    """Remove texts that aren't kept, and what an earlier attempt, with another configuration, left."""
    for entry in folder.iterdir():
        if entry.name not in ours:
            entry.unlink()


def _move(folder: Path, final: Path) -> None:
    """Rename the folder, with its entries and its new name on the disk."""
    final.parent.mkdir(exist_ok=True)
    sync(folder)
    folder.rename(final)
    sync(final.parent)
    sync(final.parent.parent)


def _make_current(output: Path, run_id: str) -> None:
    with atomic_file(output / LATEST, durable=True) as file:
        file.write((json.dumps({"run_id": run_id, "path": f"{RUNS}/{run_id}"}) + "\n").encode())
    sync(output)
