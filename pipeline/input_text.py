"""Plain text files: one article a file, many files a batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from pipeline.config import Config
from pipeline.input_blocks import BOM, UTF16, looks_like_utf16, open_stream
from pipeline.input_rows import BATCH_BYTES, BATCH_ROWS, Reject, Rows, one_line
from pipeline.inputs import InputFile


def read_texts(files: Sequence[InputFile], config: Config) -> Iterator[Rows]:
    """Yield the bodies of text files; an article's row is 0, its other fields are absent."""
    names: list[str] = []
    texts: list[str] = []
    rejects: list[Reject] = []
    size = 0
    for file in files:
        text = _read(file, config.max_text_bytes)
        if isinstance(text, Reject):
            rejects.append(text)
        else:
            names.append(file.name)
            texts.append(text)
            size += len(text)
        if size >= BATCH_BYTES or len(names) + len(rejects) >= BATCH_ROWS:
            yield _rows(names, texts, rejects)
            names, texts, rejects, size = [], [], [], 0
    if names or rejects:
        yield _rows(names, texts, rejects)


def _read(file: InputFile, max_text_bytes: int) -> str | Reject:
    try:
        with open_stream(file) as stream:
            # No more than tells that it is too long: a file may be larger than the memory.
            data = stream.read(max_text_bytes + len(BOM) + 1).removeprefix(BOM)
    except (OSError, pa.ArrowException) as error:
        return Reject(file.name, None, "unreadable_file", one_line(error))
    if len(data) > max_text_bytes:
        return Reject(file.name, 0, "text_too_large", f"more than {max_text_bytes} bytes")
    try:
        return str(data.decode())
    except UnicodeDecodeError as error:
        detail = UTF16 if looks_like_utf16(data) else one_line(error)
        return Reject(file.name, 0, "invalid_utf8", detail)


def _rows(names: list[str], texts: list[str], rejects: list[Reject]) -> Rows:
    return Rows(
        pa.array(names, pa.string()),
        np.zeros(len(names), dtype=np.int64),
        {"text": pa.array(texts, pa.string())},
        tuple(rejects),
    )
