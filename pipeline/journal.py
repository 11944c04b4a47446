"""The journal of a run's finished calls, from which a run that died goes on.

A call is known by its key: a hash over the code, the stage, and its arguments, where a file counts by its
content and the configuration by the keys that the stage may read. The journal keeps each call's result under
its key, small as it is: Refs and numbers. A known result is used again when all its files are still what
was written; else the call is made again. Keys are over what the calls before wrote, not over how it came
about: a change that leaves a stage's output as it was ends there.

Files that no call would ask for any more are removed on the way. A result of which such files are gone is
still known, as long as nobody asks for them: a run that is resumed with other settings may, and then starts
over.

The journal lies in the scratch folder and names files relative to it, so that the folder may be moved.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from pydantic import BaseModel, TypeAdapter

from pipeline.config import Config, shipped_file
from pipeline.errors import RunError
from pipeline.executor import Call
from pipeline.inputs import InputFile
from pipeline.manifest import MAX_HASHED_BYTES, versions
from pipeline.tables import Ref, file_digest, file_sha256

T = TypeVar("T")

JOURNAL = "journal.jsonl"
# The stages whose calls are journalled, and the keys of the configuration that each may read: it gets no
# others. A stage that isn't named here is always executed, and gets all.
READS: dict[str, tuple[str, ...]] = {
    "read": ("columns", "max_text_bytes"),
    "number": (),
    "keep-texts": (),
    "text": (),
    "furniture": ("furniture",),
    "furniture-merge": ("furniture",),
    "terms": ("furniture",),
    "terms-merge": (),
    "scan": ("sections",),
    "signatures": ("furniture", "reprint", "respun", "seed"),
    "candidates": ("reprint", "respun", "candidates"),
    "candidates-merge": (),
    "screen": ("calibration", "related_threshold", "keep_rejected_candidates"),
    "wording": ("furniture", "reprint"),
    "confirm": ("calibration", "weigh_source", "threshold", "related_threshold", "reprint"),
    "clusters": ("clusters",),
    "candidate-recall": ("reprint", "respun", "candidates"),
    "sections": ("sections",),
    "section-tables": (),
    "tables": ("calibration", "weigh_source", "threshold", "related_threshold", "reprint"),
    "check-texts": (),
    "check": (),
}
# Those that a run on an index has besides. What they read of the index counts by its catalog.
READS_OF_AN_INDEX: dict[str, tuple[str, ...]] = {
    "recognise": (),
    "index-places": (),
    "index-candidates": ("reprint", "respun", "candidates"),
    "index-screen": ("candidates", "calibration", "related_threshold", "keep_rejected_candidates"),
    "recall-plan": (),
    "recall": ("furniture",),
    "recalled-wording": ("furniture", "reprint"),
    "name": ("index", "keep_rejected_candidates"),
    "drift": (),
}
_READS = READS | READS_OF_AN_INDEX
_REF = {field.name for field in fields(Ref)}


class FreedError(Exception):
    """A call of a run that was resumed asks for a file that was removed when nobody was to ask for it."""


class Journal:
    """The journal in the scratch folder `work`; `contents` names the input files' contents.

    Without `frees` files stay that no call will ask for.
    """

    def __init__(self, work: Path, contents: dict[InputFile, str], frees: bool = True) -> None:
        self._work = work
        self._path = work / JOURNAL
        self._contents = contents
        self._frees = frees
        self._kept, freed = _read_lines(self._path)
        self._freed = {str(work / path) for path in freed}  # by the run before
        self._remover: ThreadPoolExecutor | None = None  # as long as there may be something to remove
        self._whole: set[Ref] = set()  # files that were verified
        self._keys: dict[str, list[str]] = {}

    def recall(
        self, stage: str, function: Callable[..., T], calls: Sequence[Call]
    ) -> tuple[dict[int, T], list[Call]]:
        """The results that are known, by the number of the call, and all calls as they are to be made.

        Raises FreedError when a call is to be made with a file that the run before has freed.
        """
        if stage not in _READS:
            return {}, list(calls)
        narrow = _Narrow(_READS[stage])
        calls = [tuple(map(narrow, call)) for call in calls]
        self._keys[stage] = list(self._keys_of(stage, function, calls))
        known = {}
        for number, key in enumerate(self._keys[stage]):
            if key in self._kept and (result := self._load(self._kept[key], function)) is not None:
                known[number] = result
            elif self._freed and any(self._is_freed(ref) for ref in refs_in(calls[number])):
                raise FreedError(stage)
        return known, calls

    def note(self, stage: str, number: int, result: object) -> None:
        """Keep the result of a call that has been made. Must be called by one thread at a time."""
        if stage in _READS:
            line = json.dumps(
                {"key": self._keys[stage][number], "stage": stage, "result": self._plain(result)}
            )
            with self._path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")

    def free(self, files: Iterable[Ref]) -> None:
        """Have files removed that no call will ask for any more, while the run goes on (`settle`)."""
        paths = sorted(ref.path for ref in files) if self._frees else []
        if paths:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"freed": [self._within(path) for path in paths]}) + "\n")
            if self._remover is None:
                self._remover = ThreadPoolExecutor(1, thread_name_prefix="respun-free")
            self._remover.submit(_remove, paths)

    def settle(self) -> None:
        """Wait until what was freed is gone."""
        if self._remover is not None:
            self._remover.shutdown()
            self._remover = None

    def ask_for(self, file: Ref) -> None:
        """Raises FreedError when a file that is to be there at the end was freed by the run before."""
        if self._is_freed(file):
            raise FreedError(file.path)

    def start_over(self) -> None:
        """Forget everything, and remove the files of what was known."""
        for line in _read_lines(self._path)[0].values():
            json.loads(line, object_hook=self._unlinked)
        self._path.unlink(missing_ok=True)
        for known in (self._kept, self._freed, self._whole):
            known.clear()

    def _unlinked(self, values: dict[str, Any]) -> dict[str, Any]:
        if values.keys() == _REF:
            (self._work / values["path"]).unlink(missing_ok=True)
        return values

    def _is_freed(self, ref: Ref) -> bool:
        return ref.path in self._freed and not Path(ref.path).exists()

    def _keys_of(self, stage: str, function: Callable[..., Any], calls: Sequence[Call]) -> Iterable[str]:
        hashed: dict[int, str] = {}  # of arguments that several calls share
        begin = [code_version(), stage, f"{function.__module__}.{function.__qualname__}"]
        for call in calls:
            for argument in call:
                if id(argument) not in hashed:
                    hashed[id(argument)] = digest(self._plain(argument))
            yield digest([*begin, *(hashed[id(argument)] for argument in call)])

    def _load(self, kept: str, function: Callable[..., T]) -> T | None:
        """A kept result; None when one of its files is damaged, or gone and not freed."""
        found: list[Ref] = []

        def rooted(values: dict[str, Any]) -> dict[str, Any]:
            if values.keys() == _REF:
                values["path"] = str(self._work / values["path"])
                found.append(Ref(**values))
            return values

        plain = json.loads(kept, object_hook=rooted)["result"]
        try:
            for ref in found:
                if ref not in self._whole and not self._is_freed(ref):
                    ref.verify()
                    self._whole.add(ref)
        except (RunError, OSError):
            return None
        result: T = _adapter(function).validate_python(plain)
        return result

    def _plain(self, value: Any) -> Any:
        """An argument or a result as JSON can hold it. Raises TypeError for what has no fixed form."""
        if isinstance(value, Ref):
            return {field: getattr(value, field) for field in _REF} | {"path": self._within(value.path)}
        if isinstance(value, InputFile):
            return [value.name, value.kind, value.compression, self._contents[value]]
        if is_dataclass(value):
            return {field.name: self._plain(getattr(value, field.name)) for field in fields(value)}
        if isinstance(value, BaseModel):
            return _plain_config(value)
        if isinstance(value, Path):
            return self._within(str(value))
        if isinstance(value, dict):
            return {key: self._plain(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self._plain(item) for item in value]
        if value is None or isinstance(value, str | int | float):
            return value
        raise TypeError(f"{type(value).__name__} has no fixed form: {value!r}")

    def _within(self, path: str) -> str:
        return path.removeprefix(f"{self._work}/") if path != str(self._work) else "."


def input_contents(files: Iterable[InputFile]) -> dict[InputFile, str]:
    """What is in the input files: a digest of the content, or for large files size and time of change."""
    return {file: _content(file) for file in files}


def digest(plain: Any) -> str:
    """SHA-256, in hex, of a value that JSON can hold."""
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode(errors="surrogateescape")).hexdigest()


@cache
def code_version() -> str:
    """SHA-256, in hex, of the sources and data of `pipeline`, and of the versions of what computes."""
    package = Path(__file__).parent
    kept = [[name, file_sha256(package / name)] for name in source_files(package)]
    return digest([kept, versions()])


def source_files(package: Path) -> list[str]:
    """The files of a package, relative to it; not what Python and numba have compiled, however deep."""
    names = (file.relative_to(package) for file in package.rglob("*") if file.is_file())
    return sorted(name.as_posix() for name in names if "__pycache__" not in name.parts)


class _Narrow:
    """Replaces a configuration by one with some of its keys only; reading another is an AttributeError."""

    def __init__(self, keys: tuple[str, ...]) -> None:
        self._keys = keys
        self._done: dict[int, Config] = {}

    def __call__(self, argument: Any) -> Any:
        if not isinstance(argument, Config):
            return argument
        if id(argument) not in self._done:
            narrow = argument.model_copy()
            for key in type(argument).model_fields.keys() - set(self._keys):
                del narrow.__dict__[key]
            self._done[id(argument)] = narrow
        return self._done[id(argument)]


def _plain_config(config: BaseModel) -> dict[str, Any]:
    kept: dict[str, Any] = {
        key: value.model_dump() if isinstance(value, BaseModel) else value
        for key, value in vars(config).items()
    }
    file = shipped_file(kept["calibration"], ".json") if "calibration" in kept else None
    if file is not None:
        kept["calibration"] = file_sha256(file)
    return kept


@cache
def _adapter(function: Callable[..., T]) -> TypeAdapter[T]:
    return TypeAdapter(get_type_hints(function)["return"])


def _content(file: InputFile) -> str:
    try:
        if file.bytes <= MAX_HASHED_BYTES:
            return " ".join(map(str, file_digest(file.path)))
        return f"{file.bytes} {Path(file.path).stat().st_mtime_ns}"
    except OSError as error:  # reading it will say so, too
        return f"{file.bytes} {error.strerror}"


def _remove(paths: Sequence[str]) -> None:
    """A disk may take a second for a gigabyte, which the processor spends waiting."""
    for path in paths:
        with suppress(OSError):  # it goes with the folder, or is the reason why that can't go
            Path(path).unlink(missing_ok=True)


def refs_in(value: Any) -> Iterator[Ref]:
    """The files that an argument names."""
    if isinstance(value, Ref):
        yield value
    elif is_dataclass(value):
        for field in fields(value):
            yield from refs_in(getattr(value, field.name))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from refs_in(item)
    elif isinstance(value, dict):
        yield from refs_in(list(value.values()))


def _read_lines(path: Path) -> tuple[dict[str, str], set[str]]:
    """The journal's results by key, of several the last, and the files that were freed.

    A line that was cut off is left out.
    """
    if not path.is_file():
        return {}, set()
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
    kept = {}
    freed: set[str] = set()
    for line in lines:
        try:
            said = json.loads(line)
            if "freed" in said:
                freed.update(said["freed"])
            else:
                kept[said["key"]] = line
        except (ValueError, KeyError, TypeError):
            continue
    if lines and not lines[-1].endswith("\n"):
        with path.open("a", encoding="utf-8") as file:
            file.write("\n")
    return kept, freed
