"""Stage "text": Unicode normalisation and tokens, in one pass over Arrow's own UTF-8 buffers.

A token is a maximal run of letters, digits and marks, compared by NFKC + casefold (see `unicode/build.py`).
Digits keep their inner points and lose their inner commas, so "1,200" equals "1200" and "3.5" stays one
token. Letters of scripts written without spaces (Han, Kana, Thai ...) become overlapping pairs, as in
Lucene's CJKAnalyzer. The title is a line of its own before the body.

A token is kept as a 32-bit hash of its folded code points, with its place in bytes and what its spelling
says (`CAPITAL`, `DIGIT` ...). No Python object is made per token.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipeline.token_scan import scan_batch
from pipeline.unicode.build import load


@dataclass(frozen=True)
class Tokens:
    """Tokens of a batch of articles, title first, then body.

    `terms` uint32, `flags` uint8, `begin` and `end` int32 (bytes in the article's own title or body,
    half-open), `line` int32 (in the body, from 0; -1 in the title), each (n_tokens,).
    `indptr` int64 (n_articles + 1,): article i owns tokens indptr[i]:indptr[i + 1].
    `body` int64 (n_articles,): its first token of the body.
    """

    terms: np.ndarray
    flags: np.ndarray
    begin: np.ndarray
    end: np.ndarray
    line: np.ndarray
    indptr: np.ndarray
    body: np.ndarray

    @property
    def n_articles(self) -> int:
        """Articles of the batch."""
        return len(self.body)


# Loaded now, not by the first thread that tokenises: see `array_files._header`.
TABLES = load()


def buffers(texts: pa.StringArray) -> tuple[np.ndarray, np.ndarray]:
    """UTF-8 bytes uint8 and offsets int32 (n + 1,) of an Arrow string array, without a copy.

    A null counts as an empty text.
    """
    if texts.type != pa.string():
        raise TypeError(f"texts must be pa.string(), not {texts.type}")
    if texts.null_count:
        texts = texts.fill_null("")
    _, offset_buffer, data_buffer = texts.buffers()
    offsets = np.frombuffer(offset_buffer, np.int32, len(texts) + 1, texts.offset * 4) if len(texts) \
        else np.zeros(1, np.int32)  # fmt: skip
    data = np.frombuffer(data_buffer, np.uint8) if data_buffer is not None and data_buffer.size \
        else np.zeros(1, np.uint8)  # fmt: skip
    return data, offsets


class Tokeniser:
    """Tokenises batch after batch into the same arrays: what a call returns holds until the next one.

    New arrays for each batch would cost a third more, in pages that the system has to clear.
    """

    def __init__(self) -> None:
        self._room: tuple[np.ndarray, ...] = ()

    def tokenise(self, titles: pa.StringArray | None, texts: pa.StringArray) -> Tokens:
        """Tokens of a batch of articles; `titles` may be absent or hold nulls."""
        data, offsets = buffers(texts)
        if titles is None:
            title_data, title_offsets = np.zeros(1, np.uint8), np.zeros(len(texts) + 1, np.int32)
        else:
            title_data, title_offsets = buffers(titles)
        # A token takes two bytes at least (a letter and what ends it) but for the last of a text.
        n_bytes = int(offsets[-1] - offsets[0] + title_offsets[-1] - title_offsets[0])
        room = n_bytes // 2 + 2 * len(texts) + 2
        if not self._room or len(self._room[0]) < room:
            types = (np.uint32, np.uint8, np.int32, np.int32, np.int32, np.int64)
            self._room = tuple(np.empty(room, dtype) for dtype in types)
        indptr, body = np.empty(len(texts) + 1, np.int64), np.empty(len(texts), np.int64)
        n = scan_batch(  # type: ignore[call-arg]
            title_data, title_offsets, data, offsets, *TABLES, *self._room, indptr, body
        )
        terms, flags, begin, end, line = (array[:n] for array in self._room[:5])
        return Tokens(terms, flags, begin, end, line, indptr, body)


def tokenise(titles: pa.StringArray | None, texts: pa.StringArray) -> Tokens:
    """Tokens of one batch of articles, in arrays of their own; `titles` may be absent or hold nulls."""
    return Tokeniser().tokenise(titles, texts)
