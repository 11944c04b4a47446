"""Texts of articles of earlier nights: each lies in the tables of the run that brought it.

A night publishes the texts of its own articles alone. Those of articles that it recalls are in
`<output>/runs/<run_id>/texts.parquet`, if that run kept them and is still there. Runs may be removed at any
time, so whatever can't be read is left out and never an error.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.arrow_columns import Rows
from pipeline.schema import TEXTS

_FILE = "texts.parquet"


def has_texts(runs: Path, run_id: str) -> bool:
    """Whether a run is among those in the folder `runs`, and kept its texts."""
    return (runs / run_id / _FILE).is_file()


@dataclass
class Budget:
    """What may still be decoded, bytes; None is without end. `is_spent` once it was too little."""

    left: int | None
    is_spent: bool = False

    def take(self, n_bytes: int) -> bool:
        """Whether there is as much left, which then is less."""
        if self.left is None:
            return True
        self.is_spent |= n_bytes > self.left
        self.left -= 0 if self.is_spent else n_bytes
        return not self.is_spent


def earlier_texts(
    runs: Path, run_id: str, ids: pa.ChunkedArray, budget: Budget
) -> Iterator[tuple[Rows, pa.Table]]:
    """The rows of the run's table `texts` with these ids, and their places in `ids`, int64 (n,).

    They come in the table's order, a row group at a time; groups that hold none are not decoded. Nothing, or
    less, comes of a run that is gone, or damaged, or when the budget is spent.
    """
    n_left = len(ids)
    try:
        with pq.ParquetFile(runs / run_id / _FILE) as file:
            if not file.schema_arrow.equals(TEXTS, check_metadata=False):
                return
            for number in range(file.num_row_groups):
                if not n_left:
                    return
                own = file.read_row_group(number, ["article_id"])["article_id"]
                place = pc.index_in(own, value_set=ids).fill_null(-1).to_numpy().astype(np.int64)
                rows = np.flatnonzero(place >= 0)
                if not len(rows):
                    continue
                if not budget.take(file.metadata.row_group(number).total_byte_size):
                    return
                found = file.read_row_group(number).take(pa.array(rows))
                found.validate(full=True)  # damage may decode to what is no UTF-8
                n_left -= len(rows)
                yield place[rows], found
    except (OSError, pa.ArrowException):
        return


def why_none(runs: Path, run_id: str) -> str:
    """Why `earlier_texts` has not found a text of a run: what to say of the run, without a path."""
    if not (runs / run_id).is_dir():
        return "is not in this output folder: removed, or published elsewhere"
    if not has_texts(runs, run_id):
        return "has no texts.parquet: run with keep_texts = false, or the file was removed"
    return "has a texts.parquet that can't be read, or lacks the article"
