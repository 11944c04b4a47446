"""Stages "read" and "number": every input row becomes an article in a shard, or a row of `rejected`.

`plan_inputs` cuts the collection into units, `read_unit` reads one into shards, `number` puts the units
together: it takes out repeated ids and merges the rejects. An article's row number in the run is its place
in the shards, in the order of the input; it depends on nothing but the input.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.article_checks import Checked, check_rows
from pipeline.config import Config
from pipeline.errors import InputError
from pipeline.input_csv import csv_header, read_csv
from pipeline.input_jsonl import read_jsonl, sniff_keys
from pipeline.input_parquet import check_types, parquet_columns, parquet_parts, read_parquet
from pipeline.input_rows import BATCH_BYTES, BATCH_ROWS, Rows, check_names, mapped
from pipeline.input_text import read_texts
from pipeline.inputs import InputFile, InputPart, InputUnit, expand, partition
from pipeline.schema import ARTICLE_SHARD, REJECTED, TEXT_SHARD
from pipeline.shards import Shards
from pipeline.tables import Ref, atomic_file, read_batches, read_ipc, regroup, write_ipc

__all__ = ["ArticlesResult", "InputUnit", "UnitResult", "number", "plan_inputs", "read_unit", "write_shards"]

SHARD_BYTES = 64 << 20
# Where each accepted article of a unit came from, in the order of its shards.
ORIGINS = pa.schema([pa.field("input_file", pa.string()), pa.field("row", pa.int64())])


@dataclass(frozen=True)
class UnitResult:
    """What one unit became. `files` are the names of its files, `unreadable` those that can't be read."""

    shards: Shards
    origins: Ref
    rejected: Ref
    files: tuple[str, ...]
    unreadable: tuple[str, ...]
    n_input_rows: int
    n_bad_dates: int

    @property
    def n_rows_read(self) -> int:
        """Input rows without those that stand for a file that can't be read."""
        return self.n_input_rows - len(self.unreadable)


@dataclass(frozen=True)
class ArticlesResult:
    """The collection, ready for the other stages. n_input_rows = n_accepted + n_rejected + n_recognised.

    `n_recognised` articles are in the index already, by id and text; `n_new_versions` of the accepted ones
    are there by their id alone.
    """

    shards: Shards
    rejected: Ref
    n_input_rows: int
    n_accepted: int
    n_rejected_by_reason: dict[str, int]
    n_files: int
    n_unreadable_files: int
    n_bad_dates: int
    text_bytes: int
    n_recognised: int = 0
    n_new_versions: int = 0

    @property
    def n_rejected(self) -> int:
        """Rows of `rejected`."""
        return self.rejected.rows


def plan_inputs(inputs: Sequence[str], config: Config) -> list[InputUnit]:
    """Find the files, check that they have the mapped columns, and cut them into units of work.

    Raises InputError when an argument means no file, or a file lacks the text column.
    """
    found = expand(inputs)
    check_columns(found.files, config)
    parts = [
        part
        for file in found.files
        for part in (parquet_parts(file) if file.kind == "parquet" else [InputPart(file, file.bytes)])
    ]
    return partition(parts, found.n_passed_over)


def check_columns(files: Sequence[InputFile], config: Config) -> None:
    """Refuse a collection in which a mapped column is missing. Raises InputError, naming what is there.

    The text must be in every file with columns; another column only has to be in one of them, and only
    when the configuration names it otherwise than by default. Of none may a file have two.
    """
    columns = mapped(config.columns)
    seen: dict[str, None] = {}
    tables = [file for file in files if file.kind != "text"]
    for file in tables:
        found = _columns_of(file, columns)
        if found is None:  # reading it will say why
            continue
        if found:
            check_names(file.name, found, columns)
        seen |= dict.fromkeys(found)
    defaults = mapped(Config().columns)
    for field, name in columns.items():
        if tables and seen and name not in seen and name != defaults[field]:
            raise InputError(
                f"columns.{field}: must name a column of the input, {name!r} is none of {', '.join(seen)}"
            )


def read_unit(unit: InputUnit, config: Config, work: Path) -> UnitResult:
    """Read a unit's files into shards of accepted articles and a table of rejected rows, under `work`."""
    folder = Path(work) / "articles"
    reading = _Reading(config)
    checked = reading.run(_read_parts(unit.parts, config))
    pieces = regroup(checked, BATCH_ROWS, BATCH_BYTES, "text")
    shards = write_shards(pieces, folder, f"unit-{unit.index}")
    origins = write_ipc(folder / f"unit-{unit.index}-origins.arrow", ORIGINS, reading.origins)
    rejected = write_ipc(folder / f"unit-{unit.index}-rejected.arrow", REJECTED, reading.rejected)
    files = tuple(dict.fromkeys(part.file.name for part in unit.parts))
    return UnitResult(
        shards, origins, rejected, files, tuple(reading.unreadable), reading.n_input_rows, reading.n_bad_dates
    )


def number(units: Sequence[UnitResult], config: Config, work: Path) -> ArticlesResult:
    """Put the units together: of equal ids the first article stays, the others are rejected.

    Only the shards that hold a repeated id are written again. Raises InputError when nothing is accepted.
    """
    folder = Path(work) / "articles"
    shards = Shards(
        tuple(ref for unit in units for ref in unit.shards.articles),
        tuple(ref for unit in units for ref in unit.shards.texts),
    )
    rejected = [read_ipc(unit.rejected.path) for unit in units]
    repeated = _repeated([read_ipc(shard.path, ["article_id"]).column(0) for shard in shards.articles])
    if len(repeated.rows):
        rejected.append(_repeated_rejects(units, shards.articles, repeated))
        shards = _without(shards, repeated.rows, folder)
    table = pa.concat_tables([REJECTED.empty_table(), *rejected])
    table = table.take(pc.sort_indices(table, [("input_file", "ascending"), ("row", "ascending")]))
    counts = {item["values"]: item["counts"] for item in pc.value_counts(table["reason"]).to_pylist()}
    n_accepted = sum(shard.rows for shard in shards.articles)
    if not n_accepted:
        raise InputError(f"input: at least one article must be accepted, none was: {_why(table, counts)}")
    return ArticlesResult(
        shards=shards,
        rejected=write_ipc(folder / "rejected.arrow", REJECTED, table.combine_chunks().to_batches()),
        n_input_rows=sum(unit.n_input_rows for unit in units),
        n_accepted=n_accepted,
        n_rejected_by_reason=dict(sorted(counts.items())),
        n_files=len({name for unit in units for name in unit.files}),
        n_unreadable_files=len({name for unit in units for name in unit.unreadable}),
        n_bad_dates=sum(unit.n_bad_dates for unit in units),
        text_bytes=text_bytes(shards.texts),
    )


class _Reading:
    """Checks rows as they stream by, keeping what the unit's result needs besides the articles."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self.origins: list[pa.RecordBatch] = []
        self.rejected: list[pa.RecordBatch] = []
        self.unreadable: list[str] = []
        self.n_input_rows = 0
        self.n_bad_dates = 0

    def run(self, stream: Iterable[Rows]) -> Iterator[pa.RecordBatch]:
        """Yield the accepted articles."""
        for rows in stream:
            checked: Checked = check_rows(rows, self._config)
            self.n_input_rows += rows.n_input_rows
            self.n_bad_dates += checked.n_bad_dates
            self.unreadable += [r.input_file for r in rows.rejects if r.reason == "unreadable_file"]
            if checked.rejected.num_rows:
                self.rejected.append(checked.rejected)
            if checked.articles.num_rows:
                origins = [checked.input_file, pa.array(checked.row)]
                self.origins.append(pa.record_batch(origins, schema=ORIGINS))
                yield checked.articles


def _read_parts(parts: Sequence[InputPart], config: Config) -> Iterator[Rows]:
    texts: list[InputFile] = []
    for part in parts:
        if part.file.kind == "text":
            texts.append(part.file)
            continue
        yield from read_texts(texts, config)
        texts = []
        if part.file.kind == "parquet":
            yield from read_parquet(part, config)
        elif part.file.kind == "csv":
            yield from read_csv(part.file, config)
        else:
            yield from read_jsonl(part.file, config)
    yield from read_texts(texts, config)


def _columns_of(file: InputFile, columns: dict[str, str]) -> list[str] | None:
    """A file's columns in order; None when they can't be told."""
    if file.kind == "csv":
        return csv_header(file)
    if file.kind == "jsonl":
        return sniff_keys(file)
    schema = parquet_columns(file)
    if schema is None:
        return None
    check_types(file, schema, columns)
    return list(schema.names)


def _why(rejected: pa.Table, counts: dict[str, int]) -> str:
    """How many rows were rejected for which reason, and what is known of the first."""
    if not counts:
        return "there are no rows"
    reasons = ", ".join(f"{reason} {n}" for reason, n in sorted(counts.items()))
    first = rejected.slice(0, 1).to_pylist()[0]
    return f"{reasons} (first: {first['input_file']}{': ' + first['detail'] if first['detail'] else ''})"


def write_shards(pieces: Iterator[pa.Table], folder: Path, name: str) -> Shards:
    """Write pieces of articles (ACCEPTED, none empty) into shards of about SHARD_BYTES of text."""
    shards: list[tuple[Ref, Ref]] = []
    pending = [next(pieces, None)]

    def one_shard() -> Iterator[pa.RecordBatch]:
        size = 0
        while (piece := pending[0]) is not None:
            batch = piece.combine_chunks().to_batches()[0]
            more = _text_bytes(batch)
            if size and size + more > SHARD_BYTES:
                return
            yield batch
            size += more
            pending[0] = next(pieces, None)

    while pending[0] is not None:
        shards.append(_write_shard(folder, name, len(shards), one_shard()))
    return Shards(tuple(articles for articles, _ in shards), tuple(texts for _, texts in shards))


def _write_shard(folder: Path, name: str, number: int, batches: Iterator[pa.RecordBatch]) -> tuple[Ref, Ref]:
    """Write the articles and the texts of batches (ACCEPTED), one batch after the other."""
    rows = 0
    with (
        atomic_file(folder / f"{name}-shard-{number:04d}.arrow") as articles,
        atomic_file(folder / f"{name}-texts-{number:04d}.arrow") as texts,
        pa.ipc.new_file(articles, ARTICLE_SHARD) as into_articles,
        pa.ipc.new_file(texts, TEXT_SHARD) as into_texts,
    ):
        for batch in batches:
            into_articles.write_batch(batch.select(ARTICLE_SHARD.names))
            into_texts.write_batch(batch.select(TEXT_SHARD.names))
            rows += batch.num_rows
    return articles.ref(rows), texts.ref(rows)


def text_bytes(texts: Sequence[Ref]) -> int:
    """UTF-8 bytes of the bodies in shards of texts."""
    return sum(_text_bytes(batch) for ref in texts for batch in read_batches(ref.path))


def _text_bytes(batch: pa.RecordBatch) -> int:
    return int(pc.sum(pc.binary_length(batch.column("text")), min_count=0).as_py())


@dataclass(frozen=True)
class _Repeated:
    """Rows whose id came before, and the rows where it came first; numbers over all shards."""

    rows: npt.NDArray[np.int64]
    first: npt.NDArray[np.int64]


def _repeated(ids: Sequence[pa.ChunkedArray]) -> _Repeated:
    chunks = [chunk for column in ids for chunk in column.chunks]
    codes = pa.chunked_array(chunks, pa.string()).combine_chunks().dictionary_encode().indices
    order = np.asarray(codes).astype(np.int64)
    # Codes count up in the order of first appearance: an id is new when its code tops all before it.
    before = np.concatenate([[-1], np.maximum.accumulate(order)[:-1]]) if len(order) else order
    new = order > before
    return _Repeated(np.flatnonzero(~new), np.flatnonzero(new)[order[~new]])


def _repeated_rejects(units: Sequence[UnitResult], shards: Sequence[Ref], repeated: _Repeated) -> pa.Table:
    origins = pa.concat_tables([read_ipc(unit.origins.path) for unit in units])
    ids = pa.concat_tables([read_ipc(shard.path, ["article_id"]) for shard in shards])
    at, first = pa.array(repeated.rows), origins.take(pa.array(repeated.first))
    detail = pc.binary_join_element_wise(
        "first in ", first["input_file"], " row ", first["row"].cast(pa.string()), ""
    )
    mine = origins.take(at)
    n = len(repeated.rows)
    return pa.Table.from_arrays(
        [
            mine["input_file"],
            mine["row"],
            ids["article_id"].take(at),
            pa.repeat(pa.scalar("duplicate_id"), n),
            detail,
        ],
        schema=REJECTED,
    )


def _without(shards: Shards, rows: npt.NDArray[np.int64], folder: Path) -> Shards:
    """The shards without the given rows; those that hold none of them stay as they are."""
    keep = np.ones(sum(ref.rows for ref in shards.articles), np.bool_)
    keep[rows] = False
    return Shards(
        filtered(shards.articles, keep, ARTICLE_SHARD, folder, "distinct"),
        filtered(shards.texts, keep, TEXT_SHARD, folder, "distinct"),
    )


def filtered(
    refs: Sequence[Ref], keep: npt.NDArray[np.bool_], schema: pa.Schema, folder: Path, word: str
) -> tuple[Ref, ...]:
    """Shards with the rows to keep, bool (n_articles,) over all; those that lose none stay as they are.

    One that loses all is left out. The others are written into `folder`, with `word` behind their name.
    """
    kept: list[Ref] = []
    first = 0
    for ref in refs:
        own = keep[first : first + ref.rows]
        first += ref.rows
        if own.all():
            kept.append(ref)
        elif own.any():
            path = folder / f"{Path(ref.path).stem}-{word}.arrow"
            kept.append(write_ipc(path, schema, _kept_batches(ref, own)))
    return tuple(kept)


def _kept_batches(ref: Ref, keep: npt.NDArray[np.bool_]) -> Iterator[pa.RecordBatch]:
    at = 0
    for batch in read_batches(ref.path):
        part = keep[at : at + batch.num_rows]
        at += batch.num_rows
        if part.any():
            yield batch if part.all() else batch.filter(pa.array(part))
