"""Streaming a text file, plain or compressed, through a parser in blocks of whole rows.

Memory is bounded by the block and by the longest row allowed: a file of any size streams.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import pyarrow as pa

from pipeline.input_rows import BLOCK_BYTES, Reject, Rows, only_rejects, unreadable_file
from pipeline.inputs import InputFile

BOM = b"\xef\xbb\xbf"
_FLOOR_ROW_BYTES = 16 << 20


class BlockParser(Protocol):
    """Turns bytes into rows, keeping count of the rows of the file."""

    def parse(self, data: bytes, final: bool, stuck: bool) -> tuple[Rows | None, int]:
        """Read the whole rows at the head of `data`; returns them and the number of bytes they took.

        `final`: nothing follows, so all of `data` is to be taken. `stuck`: `data` is longer than a row may
        be, so what looks unfinished at its head is broken.
        """

    def next_row(self) -> int:
        """Give the number of a row that is skipped unread."""


def max_row_bytes(max_text_bytes: int) -> int:
    """Longest row taken, in bytes: a body of the longest text with every character escaped, and the rest."""
    return max(_FLOOR_ROW_BYTES, 6 * max_text_bytes)


def open_stream(file: InputFile) -> pa.NativeFile:
    """Open a file for reading, decompressing it."""
    return pa.input_stream(file.path, compression=file.compression)


def read_blocks(file: InputFile, parser: BlockParser, limit: int) -> Iterator[Rows]:
    """Yield a file's rows. What can't be read ends the file with a reject; what came before stays."""
    try:
        with open_stream(file) as stream:
            yield from _read_stream(stream, file, parser, limit)
    except (OSError, pa.ArrowException) as error:
        yield unreadable_file(file, error)


def _read_stream(stream: pa.NativeFile, file: InputFile, parser: BlockParser, limit: int) -> Iterator[Rows]:
    rest = stream.read(BLOCK_BYTES).removeprefix(BOM)
    final = not rest
    while True:
        stuck = len(rest) > limit
        rows, taken = parser.parse(rest, final, stuck)
        if rows is not None:
            yield rows
        rest = rest[taken:]
        if final:
            return
        if stuck and not taken:
            rest = _skip_line(stream)
            yield only_rejects(
                Reject(file.name, parser.next_row(), "text_too_large", f"a line of more than {limit} bytes")
            )
        # Doubling keeps a row of many blocks from being scanned again for each of them.
        chunk = stream.read(max(BLOCK_BYTES, len(rest)))
        final = not chunk
        rest += chunk


def _skip_line(stream: pa.NativeFile) -> bytes:
    """Drop bytes up to the next line's first; returns what of that line was read already."""
    while chunk := stream.read(BLOCK_BYTES):
        end = chunk.find(b"\n")
        if end >= 0:
            return bytes(chunk[end + 1 :])
    return b""
