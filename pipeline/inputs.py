"""Which files a run reads: expanding INPUT arguments, and cutting the collection into units of work.

A file's name in tables and ids is its path relative to the common parent of the inputs, with forward
slashes; files are read in the order of these names. The order of the arguments doesn't matter, and a file
named twice is read once.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import InputError

KINDS = {".parquet": "parquet", ".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".txt": "text"}
COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}
# Written into every output folder; such a folder below an input is a result, not input.
OUTPUT_MARKER = ".respun"
# By these an index is known, whose tables are no input either.
_CATALOG, _SEGMENTS = "index.json", "segments"

MAX_UNITS = 8
# Below this a second unit costs more than it saves: 20,000 articles of 4 KB are read in 0.2 s.
MIN_UNIT_BYTES = 8 << 20


@dataclass(frozen=True)
class InputFile:
    """One file: where it is, what it is called in tables, how it is read, and its size in bytes."""

    path: str
    name: str
    kind: str
    compression: str | None
    bytes: int


@dataclass(frozen=True)
class FoundFiles:
    """The files to read, in the order of their names, and how many others stand beside them in folders."""

    files: list[InputFile]
    n_passed_over: int


@dataclass(frozen=True)
class InputPart:
    """A file, or one row group of a Parquet file, whose first row is row `first_row` of the file."""

    file: InputFile
    bytes: int
    row_group: int | None = None
    first_row: int = 0


@dataclass(frozen=True)
class InputUnit:
    """What one task reads: neighbouring parts in input order. `index` counts units from 0.

    The first unit says how many files of the input are not read, `n_passed_over`.
    """

    index: int
    parts: tuple[InputPart, ...]
    n_passed_over: int = 0


def expand(inputs: Sequence[str]) -> FoundFiles:
    """Find the files that INPUT arguments mean: files, folders (all supported files below), globs.

    Files whose ending isn't one that is read are passed over and counted; hidden ones, and folders that
    respun wrote, are not even counted. Raises InputError when an argument means no readable file.
    """
    if not inputs:
        raise InputError("input: at least one file, folder or glob must be given, none was")
    found: dict[str, list[str]] = {}
    others: set[str] = set()
    roots = []
    for argument in inputs:
        if not argument.strip():
            # An unset variable in a script must not mean the folder it happens to stand in.
            raise InputError("input: must be a file, folder or glob, one argument is empty")
        paths, root = _expand_one(argument)
        roots.append(root)
        read = [path for path in paths if kind_of(path) and not _is_special(path)]
        others |= {*paths} - {*read}
        for path in read:
            found.setdefault(str(Path(path).resolve()), []).append(path)
    root = os.path.commonpath(roots)
    # A file reached by two paths keeps the first name, whatever the order of the arguments.
    files = [_input_file(min(paths), root) for paths in found.values()]
    return FoundFiles(sorted(files, key=lambda file: file.name), len(others))


def partition(parts: Sequence[InputPart], n_passed_over: int = 0) -> list[InputUnit]:
    """Cut parts into at most MAX_UNITS runs of neighbours of about equal bytes.

    The cut depends on the input alone, never on the number of workers.
    """
    total = sum(part.bytes for part in parts)
    n_units = max(1, min(MAX_UNITS, len(parts), total // MIN_UNIT_BYTES))
    groups: list[list[InputPart]] = [[] for _ in range(n_units)]
    done = 0
    for part in parts:
        middle = done + part.bytes / 2
        groups[min(n_units - 1, int(middle * n_units / max(total, 1)))].append(part)
        done += part.bytes
    return [
        InputUnit(i, tuple(group), 0 if i else n_passed_over)
        for i, group in enumerate(g for g in groups if g)
    ]


def kind_of(path: str) -> tuple[str, str | None] | None:
    """Kind and compression by the name's ending; None when it isn't a file that respun reads."""
    stem, ending = os.path.splitext(path.lower())
    compression = COMPRESSIONS.get(ending)
    if compression is not None:
        ending = os.path.splitext(stem)[1]
    kind = KINDS.get(ending)
    if kind is None or (kind == "parquet" and compression):
        return None
    return kind, compression


def _expand_one(argument: str) -> tuple[list[str], str]:
    """Files that one argument means, passed over or not, and the folder that names are relative to."""
    path = os.path.abspath(os.path.expanduser(argument))
    if os.path.isdir(path):
        return _not_empty(argument, list(_walk(path)), "folder"), path
    if os.path.isfile(path):
        if kind_of(path) is None:
            raise InputError(f"input {argument}: must be {_supported()}")
        return [path], os.path.dirname(path)
    if not glob.has_magic(argument):
        why = "is none of them" if os.path.exists(path) else "is not there"
        raise InputError(f"input {argument}: must be a file, a folder or a glob, {why}")
    matches = sorted(glob.glob(path, recursive=True))
    files = [file for match in matches for file in (_walk(match) if os.path.isdir(match) else [match])]
    return _not_empty(argument, files, "glob"), _fixed_prefix(path)


def _fixed_prefix(pattern: str) -> str:
    parts = Path(pattern).parts
    fixed = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    return str(Path(*parts[:fixed]))


def _walk(folder: str) -> Iterator[str]:
    for here, folders, files in os.walk(folder):
        if OUTPUT_MARKER in files or (_CATALOG in files and _SEGMENTS in folders):
            folders.clear()
            continue
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith("."):
                yield os.path.join(here, name)


def _is_special(path: str) -> bool:
    """Whether it is a pipe, a socket or a device: who opens one may wait for ever."""
    return os.path.exists(path) and not os.path.isfile(path)


def readable_path(file: InputFile) -> str:
    """The path, for Arrow, which knows names in UTF-8 only. Raises OSError for another one."""
    try:
        file.path.encode()
    except UnicodeEncodeError:
        raise OSError("its path is not UTF-8") from None
    return file.path


def _not_empty(argument: str, files: list[str], what: str) -> list[str]:
    if not any(map(kind_of, files)):
        raise InputError(f"input {argument}: the {what} must hold {_supported()}, holds none")
    return files


def _supported() -> str:
    return f"{', '.join(KINDS)} (all but .parquet also with {' or '.join(COMPRESSIONS)})"


def _input_file(path: str, root: str) -> InputFile:
    kind = kind_of(path)
    if kind is None:
        raise InputError(f"input {path}: must be {_supported()}")
    try:
        size = os.stat(path).st_size
    except OSError:
        size = 0  # reading it will say what is wrong
    name = Path(os.path.relpath(path, root)).as_posix()
    # A name that isn't UTF-8 must still fit into a table.
    return InputFile(path, name.encode("utf-8", "replace").decode(), kind[0], kind[1], size)
