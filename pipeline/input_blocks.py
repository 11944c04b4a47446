"""Streaming a text file, plain or compressed, through a parser in blocks of whole rows.

Memory is bounded by the block and by the longest row allowed: a file of any size streams.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

import pyarrow as pa

from pipeline.input_rows import BLOCK_BYTES, Reject, Rows, only_rejects, unreadable_file
from pipeline.inputs import InputFile, readable_path

BOM = b"\xef\xbb\xbf"
UTF16 = "looks like UTF-16, must be UTF-8"
_FLOOR_ROW_BYTES = 16 << 20
_PIECE_BYTES = 4_096


class BlockParser(ABC):
    """Turns bytes into rows, keeping count of the rows of the file."""

    def __init__(self) -> None:
        self._row = 0

    @abstractmethod
    def parse(self, data: bytes, final: bool, stuck: bool) -> tuple[Rows | None, int]:
        """Read the whole rows at the head of `data`; returns them and the number of bytes they took.

        `final`: nothing follows, so all of `data` is to be taken. `stuck`: `data` is longer than a row may
        be, so what looks unfinished at its head is broken.
        """

    def next_row(self) -> int:
        """Give the number of a row that is skipped unread, and count it."""
        self._row += 1
        return self._row - 1

    @property
    def n_rows(self) -> int:
        """Rows so far, rejected ones too."""
        return self._row


def max_row_bytes(max_text_bytes: int) -> int:
    """Longest row taken, in bytes: a body of the longest text with every character escaped, and the rest."""
    return max(_FLOOR_ROW_BYTES, 6 * max_text_bytes)


def open_stream(file: InputFile) -> pa.NativeFile:
    """Open a file for reading, decompressing it."""
    return pa.input_stream(readable_path(file), compression=file.compression)


def read_head(file: InputFile, n_bytes: int = BLOCK_BYTES) -> bytes | None:
    """The first bytes of a file, at most; None when it can't be read."""
    try:
        with open_stream(file) as stream:
            head = Readable(stream, file)
            return head.read(n_bytes) or (None if head.damage else b"")
    except (OSError, pa.ArrowException):
        return None


def looks_like_utf16(head: bytes) -> bool:
    """Whether a text begins with UTF-16's mark, or every other of its first bytes is 0."""
    first = head[:64]
    return first.startswith((b"\xff\xfe", b"\xfe\xff")) or (
        len(first) >= 4 and any(first[0::2]) != any(first[1::2])
    )


class Readable:
    """A stream up to its end or to where it is damaged, which `damage` tells; without a byte order mark."""

    def __init__(self, stream: pa.NativeFile, file: InputFile) -> None:
        self._stream = stream
        self._file = file
        self._n_bytes = 0
        self.damage = ""

    def read(self, n_bytes: int) -> bytes:
        """At most as many bytes; none when there are no more that can be read."""
        if self.damage:
            return b""
        try:
            data: bytes = self._stream.read(n_bytes)
        except (OSError, pa.ArrowException) as error:
            self.damage = str(error)
            data = _before_damage(self._file, self._n_bytes, n_bytes)
        is_first = not self._n_bytes
        self._n_bytes += len(data)
        if not is_first:
            return data
        if looks_like_utf16(data):
            self.damage = UTF16
            return b""
        return data.removeprefix(BOM)


def _before_damage(file: InputFile, begin: int, n_bytes: int) -> bytes:
    """What can be decoded of an archive from byte `begin` on, where reading `n_bytes` failed as a whole.

    What a read had decoded when it failed is lost, so it is read again: in small pieces, the last of which
    byte by byte.
    """
    found = bytearray()
    for size in (_PIECE_BYTES, 1) if file.compression else ():
        try:
            with open_stream(file) as stream:
                left = begin + len(found)
                while left and (skipped := stream.read(min(left, BLOCK_BYTES))):
                    left -= len(skipped)
                while len(found) < n_bytes and (piece := stream.read(size)):
                    found += piece
        except (OSError, pa.ArrowException):
            continue
    return bytes(found)


def read_blocks(file: InputFile, parser: BlockParser, limit: int) -> Iterator[Rows]:
    """Yield a file's rows. What can't be read ends the file with a reject; what came before stays."""
    try:
        with open_stream(file) as stream:
            yield from _read_stream(Readable(stream, file), file, parser, limit)
    except (OSError, pa.ArrowException) as error:
        yield unreadable_file(file, error)


def _read_stream(stream: Readable, file: InputFile, parser: BlockParser, limit: int) -> Iterator[Rows]:
    rest = stream.read(BLOCK_BYTES)
    final = not rest
    while True:
        if final and stream.damage:  # the row that it cuts is none
            yield unreadable_file(file, f"after {parser.n_rows:,} rows: {stream.damage}")
            return
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


def _skip_line(stream: Readable) -> bytes:
    """Drop bytes up to the next line's first; returns what of that line was read already."""
    while chunk := stream.read(BLOCK_BYTES):
        end = chunk.find(b"\n")
        if end >= 0:
            return chunk[end + 1 :]
    return b""
