"""Pairs that a person has labelled, and the published run that they are compared with."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline import clusters
from pipeline.errors import InputError
from pipeline.manifest import MANIFEST, read_manifest
from pipeline.publish import find_run
from pipeline.tables import file_sha256

REQUIRED = ("id_a", "id_b", "label")
OPTIONAL = ("kind", "source", "relation")
IdPair = tuple[str, str]
# A cell of the file that `respun label` writes holds a few sentences; others keep whole articles in theirs.
_CELL_BYTES = 1 << 27


@dataclass(frozen=True)
class LabelledPair:
    """Two articles, `id_a < id_b`, and whether they are the same story. The rest as in the file, or ""."""

    id_a: str
    id_b: str
    is_same: bool
    kind: str = ""
    source: str = ""
    relation: str = ""

    @property
    def ids(self) -> IdPair:
        """Both ids, the smaller first."""
        return self.id_a, self.id_b

    @property
    def is_excerpt(self) -> bool:
        """Whether the file says so: by the relation, or by a kind such as "story.excerpt"."""
        return "excerpt" in (self.relation or self.kind).lower()


@dataclass(frozen=True)
class Labels:
    """The labelled pairs that count, each once, in the order of their ids.

    `n_uncounted` rows have another label than 1 or 0, or one article on both sides; of `n_unknown` rows an
    article isn't in the run. `columns` are those of OPTIONAL that the file has, `sha256` is of the file.
    """

    pairs: tuple[LabelledPair, ...]
    columns: tuple[str, ...]
    n_uncounted: int
    n_unknown: int
    sha256: str

    @property
    def is_same(self) -> np.ndarray:
        """Label of each pair, bool (n,)."""
        return np.array([pair.is_same for pair in self.pairs], dtype=bool)


@dataclass(frozen=True)
class Run:
    """A published run: its folder and its manifest."""

    folder: Path
    manifest: Mapping[str, Any]

    @property
    def threshold(self) -> float:
        """Probability from which a pair was confirmed."""
        return float(self.manifest["threshold"])

    def has(self, table: str) -> bool:
        """Whether the run wrote the table."""
        return (self.folder / f"{table}.parquet").is_file()

    def read(self, table: str, columns: Iterable[str]) -> pa.Table:
        """Columns of a table. Raises InputError when it isn't there."""
        self._require(table)
        return pq.read_table(self.folder / f"{table}.parquet", columns=list(columns))

    def rows_of(self, table: str, wanted: set[IdPair]) -> dict[IdPair, dict[str, Any]]:
        """The rows of a table of pairs that are about the wanted ones, read batch by batch."""
        self._require(table)
        ids = pa.array(sorted({one for pair in wanted for one in pair}), pa.string())
        found = {}
        with pq.ParquetFile(self.folder / f"{table}.parquet") as file:
            for batch in file.iter_batches():
                sides = (pc.is_in(batch[side], ids) for side in ("article_id_l", "article_id_r"))
                for row in batch.filter(pc.and_(*sides)).to_pylist():
                    pair = (row["article_id_l"], row["article_id_r"])
                    if pair in wanted:
                        found[pair] = row
        return found

    def _require(self, table: str) -> None:
        if not self.has(table):
            hint = ", was made with keep_texts = false" if table == "texts" else ""
            raise InputError(f"run {self.folder}: must hold {table}.parquet, has none{hint}")


def open_run(folder: Path) -> Run:
    """The run in that folder, or the current one of that output folder. Raises InputError or OutputError."""
    chosen = find_run(folder)
    run = Run(chosen, read_manifest(chosen))
    try:
        _ = run.threshold, run.manifest["config"]["seed"]
    except (ValueError, KeyError, TypeError):
        raise InputError(f"run {chosen}: must hold a whole {MANIFEST}, a part is missing") from None
    return run


def read_labels(path: Path, known: set[str]) -> Labels:
    """Read a Parquet or CSV file of labelled pairs; `known` are the ids of the run's articles.

    Raises InputError when it can't be read, a pair has both labels, or no pair counts.
    """
    columns, rows = _read(path)
    missing = [name for name in REQUIRED if name not in columns]
    if missing:
        raise InputError(f"labels {path}: must have the columns {', '.join(REQUIRED)}, lacks {missing[0]}")
    found: dict[IdPair, LabelledPair] = {}
    n_rows = n_uncounted = n_unknown = 0
    for row in rows:
        n_rows += 1
        pair = _labelled(row)
        if pair is None:
            n_uncounted += 1
        elif not known.issuperset(pair.ids):
            n_unknown += 1
        elif found.setdefault(pair.ids, pair).is_same != pair.is_same:
            raise InputError(
                f"labels {path}: a pair must have one label, {pair.id_a} and {pair.id_b} have 1 and 0"
            )
    if not found:
        raise InputError(
            f"labels {path}: at least one pair of the run's articles must have label 1 or 0, none of "
            f"{n_rows} has: {n_uncounted} with another label, {n_unknown} with an article not in the run"
        )
    pairs = tuple(found[ids] for ids in sorted(found))
    given = tuple(name for name in OPTIONAL if name in columns)
    return Labels(pairs, given, n_uncounted, n_unknown, file_sha256(path))


def components(pairs: Iterable[IdPair], articles: Iterable[str]) -> dict[str, int]:
    """Label of the connected component of each article; of those that no pair names, each its own."""
    edges = list(pairs)
    row = {one: at for at, one in enumerate(dict.fromkeys([*articles, *(i for ids in edges for i in ids)]))}
    left, right = ([row[ids[side]] for ids in edges] for side in (0, 1))
    label = clusters.components(len(row), np.array(left, np.int64), np.array(right, np.int64))
    return dict(zip(row, label.tolist(), strict=True))


def _read(path: Path) -> tuple[list[str], Iterator[dict[str, Any]]]:
    """Columns and rows of a file of labels."""
    if path.suffix.lower() not in (".parquet", ".csv"):
        raise InputError(f"labels {path}: must be a .parquet or .csv file")
    try:
        if path.suffix.lower() == ".csv":
            return _read_csv(path)
        names = list(pq.read_schema(path).names)
        wanted = [name for name in (*REQUIRED, *OPTIONAL) if name in names]
        return names, iter(pq.read_table(path, columns=wanted).to_pylist())
    except (OSError, ValueError, csv.Error, pa.ArrowException) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"labels {path}: must be a readable file: {reason}") from None


def _read_csv(path: Path) -> tuple[list[str], Iterator[dict[str, Any]]]:
    csv.field_size_limit(_CELL_BYTES)
    with path.open(encoding="utf-8-sig", newline="") as file:
        head = file.readline()
        file.seek(0)
        # Where a comma is the decimal sign, spreadsheets write semicolons.
        reader = csv.DictReader(file, delimiter=";" if head.count(";") > head.count(",") else ",")
        rows = list(reader)
        return list(reader.fieldnames or ()), iter(rows)


def _labelled(row: Mapping[str, Any]) -> LabelledPair | None:
    """The pair of a row; None where it doesn't count."""
    try:
        label = float(row["label"])
    except (TypeError, ValueError):
        return None
    if label not in (0, 1) or row["id_a"] is None or row["id_b"] is None:
        return None
    low, high = sorted((str(row["id_a"]), str(row["id_b"])))
    if low == high:
        return None
    return LabelledPair(low, high, label == 1, *(_text(row.get(name)) for name in OPTIONAL))


def _text(value: object) -> str:
    return "" if value is None else str(value).strip()
