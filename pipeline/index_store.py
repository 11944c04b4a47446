"""Where an index lies: a local folder, or a prefix of an object store, by pyarrow's file systems.

A file is whole or not there: locally it is written under a temporary name and renamed, an object store shows
an object when it has all of it.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import xxhash
from pyarrow import fs

from pipeline.errors import OutputError, RunError
from pipeline.tables import (
    BY_TEXT,
    Layout,
    Ref,
    atomic_file,
    remove_left_over,
    stream_digest,
    sync,
    write_parquet,
)

# Of a longer piece the system would read the beginning only.
_FETCHED_BYTES = 1 << 20


class Store:
    """Files by their name below one place. `location` is a path, or an address such as s3://bucket/prefix.

    `shown` is the location without credentials.
    """

    def __init__(self, location: str) -> None:
        # Credentials may stand in an address; it goes into messages and manifests.
        self.location = location
        self.shown = re.sub(r"(?<=://)[^/@]*@", "", location)
        self._fs: Any
        try:
            if "://" in location:
                self._fs, self._root = fs.FileSystem.from_uri(location)
            else:
                self._fs, self._root = fs.LocalFileSystem(), str(Path(location).expanduser().absolute())
        except (pa.ArrowException, OSError) as error:
            raise OutputError(f"index {self.shown}: must be a folder or an address: {error}") from None
        self.is_local = isinstance(self._fs, fs.LocalFileSystem)

    def _path(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}"

    def read(self, name: str) -> bytes | None:
        """A small file's content; None when it is not there."""
        try:
            with self._fs.open_input_stream(self._path(name)) as file:
                return bytes(file.read())
        except FileNotFoundError:
            return None

    def digest(self, name: str) -> tuple[int, str] | None:
        """Length and digest of a file, as a Ref has them; read a piece at a time. None when it is not there.

        Raises OSError when it can't be read.
        """
        try:
            with self._fs.open_input_stream(self._path(name)) as file:
                return stream_digest(file)
        except FileNotFoundError:
            return None

    def replace(self, name: str, content: bytes) -> None:
        """Write a small file in one step, flushed to the disk."""
        if not self.is_local:
            with self._fs.open_output_stream(self._path(name)) as file:
                file.write(content)
            return
        path = Path(self._path(name))
        with atomic_file(path, durable=True) as file:
            file.write(content)
        sync(path.parent)

    def put(self, source: str, name: str) -> None:
        """Copy a local file into an object store."""
        with open(source, "rb") as file, self._fs.open_output_stream(self._path(name)) as copy:
            shutil.copyfileobj(file, copy, 8 << 20)

    def times(self, folder: str) -> dict[str, int]:
        """Names of the files right below a folder, and when the store wrote each: nanoseconds, its clock."""
        selector = fs.FileSelector(self._path(folder), allow_not_found=True)
        found = self._fs.get_file_info(selector)
        return {entry.base_name: entry.mtime_ns for entry in found if entry.type == fs.FileType.File}

    def folders(self, folder: str) -> list[str]:
        """Names of the folders right below a folder."""
        selector = fs.FileSelector(self._path(folder), allow_not_found=True)
        found = self._fs.get_file_info(selector)
        return sorted(entry.base_name for entry in found if entry.type == fs.FileType.Directory)

    def delete(self, name: str) -> None:
        """Remove a file; it may be gone already."""
        try:
            self._fs.delete_file(self._path(name))
        except FileNotFoundError:
            return

    def delete_folder(self, name: str) -> None:
        """Remove a folder and all in it; it may be gone already."""
        try:
            self._fs.delete_dir(self._path(name))
        except FileNotFoundError:
            return

    def remove_left_over(self, folder: str) -> None:
        """Remove files right below a folder that someone died over while writing them, over a day ago."""
        if self.is_local:
            remove_left_over(Path(self._path(folder)))

    @contextmanager
    def open_parquet(self, ref: Ref) -> Iterator[pq.ParquetFile]:
        """A Parquet file, opened. Raises RunError as `open_file` does, and where `ref` has other rows."""
        with (
            self._opened(ref, self._fs.open_input_file) as opened,
            pq.ParquetFile(opened, pre_buffer=not self.is_local) as file,
        ):
            if file.metadata.num_rows != ref.rows:
                raise pa.ArrowInvalid(f"it must have {ref.rows} rows, has {file.metadata.num_rows}")
            yield file

    @contextmanager
    def open_file(self, ref: Ref) -> Iterator[pa.NativeFile]:
        """Any file, opened; a local one is mapped, and so is what is read of it.

        Raises RunError when it is gone, damaged or has not the length of `ref`, also where it is read from.
        """
        with self._opened(ref, pa.memory_map if self.is_local else self._fs.open_input_file) as opened:
            yield opened

    @contextmanager
    def _opened(self, ref: Ref, how: Callable[[str], pa.NativeFile]) -> Iterator[pa.NativeFile]:
        try:
            with how(self._path(ref.path)) as opened:
                if opened.size() != ref.bytes:
                    raise pa.ArrowInvalid(f"it must have {ref.bytes} bytes, has {opened.size()}")
                yield opened
        # A ValueError is what a damaged footer may end in, too.
        except (pa.ArrowException, OSError, ValueError) as error:
            raise RunError(f"index {self.shown}: {ref.path} can't be read: {error}") from None

    def state(self, refs: Iterable[Ref]) -> str:
        """A digest of when files were written or put back and how long they are, as the store tells it."""
        if self.is_local:
            told = [self._told(ref) for ref in refs]
        else:
            found = self._fs.get_file_info(fs.FileSelector(self._root, recursive=True, allow_not_found=True))
            known = {entry.path: (entry.size, entry.mtime_ns) for entry in found}
            told = [(ref.path, *known.get(self._path(ref.path), ())) for ref in refs]
        return xxhash.xxh3_128_hexdigest(repr(told).encode())

    def _told(self, ref: Ref) -> tuple[Any, ...]:
        try:
            found = os.stat(self._path(ref.path))
        except OSError:
            return (ref.path,)
        # The time of change, too: who puts a copy back may keep the time of writing.
        return ref.path, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino

    def fetch_ahead(self, name: str, parts: Iterable[tuple[int, int]]) -> None:
        """Have the system read parts of a local file, (first byte, bytes), that are asked for soon.

        Elsewhere nothing happens.
        """
        if not self.is_local or not hasattr(os, "posix_fadvise"):
            return
        file = os.open(self._path(name), os.O_RDONLY)
        try:
            size = os.fstat(file).st_size
            for begin, n_bytes in parts:
                end = min(begin + n_bytes, size)
                for at in range(begin, end, _FETCHED_BYTES):
                    os.posix_fadvise(file, at, min(_FETCHED_BYTES, end - at), os.POSIX_FADV_WILLNEED)
        finally:
            os.close(file)

    def write(
        self, name: str, schema: pa.Schema, data: pa.Table | Iterable[pa.RecordBatch], work: Path,
        layout: Layout = BY_TEXT,
    ) -> Ref:  # fmt: skip
        """Write a table, elsewhere by way of a local file under `work`; the Ref's path is `name`."""
        if self.is_local:
            ref = write_parquet(self._path(name), schema, data, layout)
            sync(Path(ref.path).parent)
        else:
            ref = write_parquet(work / name, schema, data, layout)
            self.put(ref.path, name)
            Path(ref.path).unlink()
        return Ref(name, ref.rows, ref.bytes, ref.digest)
