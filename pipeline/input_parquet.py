"""Parquet: one row group at a time, in small batches, with the few columns that are mapped."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.config import Config
from pipeline.errors import InputError
from pipeline.input_rows import (
    BATCH_BYTES,
    BATCH_ROWS,
    Reject,
    Rows,
    mapped,
    one_line,
    only_rejects,
    rows_of,
    unreadable_file,
)
from pipeline.inputs import InputFile, InputPart, readable_path

_MIN_BATCH_ROWS = 16
_PAGE_BUFFER = 1 << 20


def parquet_parts(file: InputFile) -> list[InputPart]:
    """The file's row groups; the file as a whole when its footer can't be read, or it has no rows."""
    try:
        with pq.ParquetFile(readable_path(file)) as parquet:
            groups = [parquet.metadata.row_group(i) for i in range(parquet.num_row_groups)]
            sizes = [(group.num_rows, group.total_byte_size) for group in groups]
    except (OSError, pa.ArrowException):
        return [InputPart(file, file.bytes)]
    parts, first = [], 0
    for index, (rows, size) in enumerate(sizes):
        parts.append(InputPart(file, size, index, first))
        first += rows
    return parts or [InputPart(file, 0)]


def parquet_columns(file: InputFile) -> pa.Schema | None:
    """The file's columns; None when it can't be read."""
    try:
        return pq.read_schema(readable_path(file))
    except (OSError, pa.ArrowException):
        return None


def check_types(file: InputFile, schema: pa.Schema, columns: dict[str, str]) -> None:
    """Refuse columns that can't be what they are mapped to. Raises InputError."""
    for field, name in columns.items():
        if schema.names.count(name) != 1:  # of two `input_rows.check_names` tells
            continue
        kind = _value_type(schema.field(name).type)
        textual = pa.types.is_null(kind) or _is_text(kind) or _is_bytes(kind)
        if (field == "text" and not textual) or (field != "published_at" and pa.types.is_nested(kind)):
            raise InputError(
                f"columns.{field}: must name a column of text, {name!r} of {file.name} is {kind}"
            )


def read_parquet(part: InputPart, config: Config) -> Iterator[Rows]:
    """Yield the rows of one row group; rows that can't be decoded are rejected one by one."""
    file = part.file
    try:
        parquet = pq.ParquetFile(readable_path(file), pre_buffer=False, buffer_size=_PAGE_BUFFER)
    except (OSError, pa.ArrowException) as error:
        yield unreadable_file(file, error)
        return
    with parquet:
        if part.row_group is None or part.row_group >= parquet.num_row_groups:
            return
        yield from _read_group(parquet, part, part.row_group, mapped(config.columns))


def _read_group(
    parquet: pq.ParquetFile, part: InputPart, group: int, columns: dict[str, str]
) -> Iterator[Rows]:
    names = parquet.schema_arrow.names
    present = {field: name for field, name in columns.items() if name in names}
    row, end = part.first_row, part.first_row + parquet.metadata.row_group(group).num_rows
    batches = parquet.iter_batches(
        _batch_rows(parquet, group, columns["text"]),
        row_groups=[group],
        use_threads=False,
        columns=list(dict.fromkeys(present.values())),
    )
    try:
        for batch in batches:
            yield _rows(part.file.name, row, {f: batch.column(name) for f, name in present.items()})
            row += batch.num_rows
    except (OSError, pa.ArrowException) as error:
        detail = f"row group {group}: {one_line(error)}"
        for begin in range(row, end, BATCH_ROWS):
            yield only_rejects(
                *(
                    Reject(part.file.name, lost, "unreadable_row_group", detail)
                    for lost in range(begin, min(begin + BATCH_ROWS, end))
                )
            )


def _batch_rows(parquet: pq.ParquetFile, group: int, text: str) -> int:
    """Rows in a batch, so that its texts take about BATCH_BYTES."""
    metadata = parquet.metadata.row_group(group)
    sizes = [
        metadata.column(i).total_uncompressed_size
        for i in range(metadata.num_columns)
        if metadata.column(i).path_in_schema == text
    ]
    average = sum(sizes) / max(metadata.num_rows, 1)
    return int(np.clip(BATCH_BYTES / max(average, 1.0), _MIN_BATCH_ROWS, BATCH_ROWS))


def _rows(name: str, first: int, read: dict[str, pa.Array]) -> Rows:
    n_rows = len(next(iter(read.values())))
    row = np.arange(first, first + n_rows)
    columns = {
        field: values
        if field == "published_at" and not _is_bytes(_value_type(values.type))
        else _as_text(values)
        for field, values in read.items()
    }
    bad = np.zeros(n_rows, dtype=np.bool_)
    for values in columns.values():
        if pa.types.is_string(values.type):
            bad |= _invalid(values)
    if not bad.any():
        return rows_of(name, row, columns)
    rejects = tuple(_reject(name, first + int(i), int(i), columns) for i in np.flatnonzero(bad))
    good = pa.array(~bad)
    return rows_of(name, row[~bad], {f: v.filter(good) for f, v in columns.items()}, rejects)


def _as_text(values: pa.Array) -> pa.Array:
    """Any column as strings; their bytes are not checked yet."""
    kind = _value_type(values.type)
    if kind != values.type:
        values = values.cast(kind)
    if _is_bytes(kind):
        values = values.cast(pa.binary())
        return pa.Array.from_buffers(pa.string(), len(values), values.buffers(), offset=values.offset)
    if _is_text(kind) and not pa.types.is_string(kind):
        # A cast would raise at the first bad byte of the batch.
        binary = values.cast(pa.large_binary() if pa.types.is_large_string(kind) else pa.binary())
        return _as_text(binary)
    if pa.types.is_floating(kind):  # pandas keeps a missing number as NaN
        values = pc.if_else(pc.is_nan(values), pa.scalar(None, kind), values)
    return values if pa.types.is_string(kind) else values.cast(pa.string())


def _invalid(values: pa.StringArray) -> np.ndarray:
    """Which values aren't UTF-8."""
    bad = np.zeros(len(values), dtype=np.bool_)
    try:
        values.validate(full=True)
    except pa.ArrowInvalid:
        for index, data in enumerate(values.cast(pa.binary()).to_pylist()):
            try:
                (data or b"").decode()
            except UnicodeDecodeError:
                bad[index] = True
    return bad


def _reject(name: str, row: int, index: int, columns: dict[str, pa.Array]) -> Reject:
    article_id, details = None, []
    for field, values in columns.items():
        if not pa.types.is_string(values.type):
            continue
        data = values[index : index + 1].cast(pa.binary())[0].as_py() or b""
        if field == "article_id" and data:
            article_id = data.decode(errors="replace")
        try:
            data.decode()
        except UnicodeDecodeError as error:
            details.append(f"{field}: {one_line(error)}")
    return Reject(name, row, "invalid_utf8", "; ".join(details), article_id)


def _value_type(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_binary_view(kind)
        or pa.types.is_fixed_size_binary(kind)
    )
