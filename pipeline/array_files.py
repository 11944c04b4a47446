"""Arrays of a group of articles, one raw file each, that later stages map into memory.

Rows of articles are told by an array of ends: row i is [ends[i - 1], ends[i]) of its arrays (from 0 for
i = 0). Writing goes batch by batch, the ends counted on.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from pipeline.shards import ShardGroup
from pipeline.tables import Ref, atomic_file

_HEADER = re.compile(rb"\{'descr': '([<|][a-z]\d+)', 'fortran_order': False, 'shape': \((\d+), (\d+)\)")


@dataclass(frozen=True)
class ArrayFiles:
    """The files of a group's arrays, by name, with numpy's name of the type.

    The group has the articles [first_row, first_row + n_articles).
    """

    first_row: int
    n_articles: int
    files: dict[str, tuple[str, Ref]]

    def load(self) -> dict[str, npt.NDArray[Any]]:
        """The arrays by name, mapped and read-only."""
        return {
            name: _map(ref.path, np.dtype(dtype), 0, (ref.bytes // np.dtype(dtype).itemsize,))
            for name, (dtype, ref) in self.files.items()
        }


def _map(
    path: str | os.PathLike[str], dtype: np.dtype[Any], begin: int, shape: tuple[int, ...]
) -> npt.NDArray[Any]:
    if 0 in shape:  # what is empty can't be mapped
        return np.zeros(shape, dtype)
    # A plain array over the mapping: numpy's own kind is slow to slice.
    return np.memmap(path, dtype, "r", begin, shape).view(np.ndarray)


def write_arrays(
    group: ShardGroup, types: Mapping[str, type], batches: Iterator[Mapping[str, npt.NDArray[Any]]],
    work: Path,
) -> ArrayFiles:  # fmt: skip
    """Writes the arrays of all batches, one after the other; those named `..._ends` are counted on."""
    rows = dict.fromkeys(types, 0)
    offsets = {name: 0 for name in types if name.endswith("_ends")}
    with ExitStack() as stack:
        files = {
            name: stack.enter_context(atomic_file(work / f"{name}-{group.number:03d}.bin")) for name in types
        }
        for batch in batches:
            for name, dtype in types.items():
                values: npt.NDArray[Any] = batch[name].astype(dtype, copy=False)
                if name in offsets and len(values):
                    values = values + offsets[name]
                    offsets[name] = int(values[-1])
                files[name].write(np.ascontiguousarray(values).data)
                rows[name] += values.size
    refs = {name: (np.dtype(types[name]).name, file.ref(rows[name])) for name, file in files.items()}
    return ArrayFiles(group.first_row, group.n_articles, refs)


class RowFile:
    """A .npy file of two dimensions that is read row by row: nothing of the others stays in memory."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = path
        with open(path, "rb") as file:
            (_, self._width), self._dtype = _header(file)
            self._begin = file.tell()

    def __getitem__(self, row: int) -> npt.NDArray[Any]:
        """One row, a copy."""
        at = self._begin + row * self._width * self._dtype.itemsize
        return np.fromfile(self._path, self._dtype, self._width, offset=at)


def read_stacked(paths: Sequence[str]) -> npt.NDArray[Any]:
    """.npy files of two dimensions, of equal width and type, one below the other.

    They are read straight into their place: mapped files and a copy of them would take twice the memory.
    """
    shapes = []
    for path in paths:
        with open(path, "rb") as file:
            shapes.append(_header(file))
    ends = np.cumsum([shape[0] for shape, _ in shapes]).tolist()
    out = np.empty((ends[-1], shapes[0][0][1]), shapes[0][1])
    for path, end, (shape, _) in zip(paths, ends, shapes, strict=True):
        with open(path, "rb") as file:
            _header(file)
            file.readinto(out[end - shape[0] : end].reshape(-1).view(np.uint8))  # type: ignore[arg-type]
    return out


def map_npy(path: str | os.PathLike[str]) -> npt.NDArray[Any]:
    """A .npy file of two dimensions in C order, mapped and read-only."""
    with open(path, "rb") as file:
        shape, dtype = _header(file)
        return _map(path, dtype, file.tell(), shape)


def _header(file: BinaryIO) -> tuple[tuple[int, int], np.dtype[Any]]:
    """Shape and type of a .npy file of two dimensions in C order, read up to where its values begin.

    Not by numpy, which has Python parse it: in threads that can fail ("AST constructor recursion depth
    mismatch"), as Python counts the depth for all of them together.
    """
    length = int.from_bytes(file.read(10)[8:], "little")
    header = file.read(length)
    found = _HEADER.match(header)
    if found is None:
        raise ValueError(f"{file.name}: must be a .npy file of two dimensions in C order, begins {header!r}")
    dtype, n_rows, n_columns = found.groups()
    return (int(n_rows), int(n_columns)), np.dtype(dtype.decode())
