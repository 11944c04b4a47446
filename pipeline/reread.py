"""Stage "wording": texts that later stages ask for, read again from their table, and the articles' wording.

By then the shards of texts and the tokens of a run are gone, so that a large collection doesn't lie on the
disk three times. Asked for are articles that have a pair left after the screen (`wording`; all clusters are
of these), those that may repeat themselves (`sections`), and of each line of furniture the first of the group
that carries it (`furniture_table`).

All of the table is decoded for it, and its articles compared: so it is read back, once (`table_checks`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.array_files import ArrayFiles
from pipeline.arrow_columns import Rows, plain, read_column
from pipeline.config import Config
from pipeline.furniture import FurnitureMask, source_salts
from pipeline.schema import ACCEPTED
from pipeline.shards import ShardGroup, article_batches
from pipeline.table_checks import check_ids
from pipeline.tables import Ref, decoded, read_batches, read_ipc, write_ipc
from pipeline.text import KeptTokens, keep
from pipeline.tokens import Tokeniser
from pipeline.wording import passing_rows, write_batches
from pipeline.words import run_starts

# Rows that are decoded at a time.
_DECODED = 2_048
# An article by its row in the run.
CHOSEN = pa.schema([
    pa.field("row", pa.int64()), *(ACCEPTED.field(n) for n in ("article_id", "source", "title", "text"))
])  # fmt: skip


@dataclass(frozen=True)
class Reread:
    """What one group of shards left: `texts` IPC (CHOSEN), rows ascending; `worded` (`wording.Wording`)."""

    texts: Ref
    worded: ArrayFiles


def reread_group(
    group: ShardGroup, texts: Ref, scanned: Ref, lines: Ref, masked: Ref, statistics: Ref,
    screened: Sequence[Ref], config: Config, work: Path,
) -> Reread:  # fmt: skip
    """Takes what is asked for of a group from `texts`, the table of the texts of all articles.

    `scanned` as `sections.scan_group` leaves it, `lines` as in `signatures.Signed`. Raises RunError where the
    group's part of the table is not what was to be written.
    """
    passing = passing_rows(screened)
    asked = (passing, read_ipc(scanned.path)["row"].to_numpy(), _first_carriers(lines))
    chosen = choose(group, Path(texts.path), np.concatenate(asked), work)
    tokens = _masked_tokens(group, chosen, FurnitureMask(masked, config))
    return Reread(chosen, write_batches(group, tokens, passing, statistics, config, work))


def choose(group: ShardGroup, texts: Path, rows: Rows, work: Path) -> Ref:
    """Takes those of a group that have one of the rows, in any order, from the table of texts (CHOSEN)."""
    batches = _chosen(group, texts, group.among(rows))
    return write_ipc(work / f"chosen-{group.number:03d}.arrow", CHOSEN, batches)


def take_chosen(texts: Sequence[Ref], rows: Rows, columns: Sequence[str]) -> pa.Table:
    """Columns of the articles of the given rows, ascending and among `texts` (CHOSEN, rows ascending)."""
    pieces: list[pa.RecordBatch] = []
    for ref in texts:
        for batch in read_batches(ref.path):
            known = batch["row"].to_numpy()
            begin, end = np.searchsorted(rows, [known[0], known[-1] + 1])
            if begin < end:
                wanted = pa.array(np.searchsorted(known, rows[begin:end]))
                pieces.append(batch.select(list(columns)).take(wanted))
    schema = pa.schema([CHOSEN.field(name) for name in columns])
    return pa.Table.from_batches(pieces, schema=schema).combine_chunks()


def _first_carriers(lines: Ref) -> Rows:
    """The first article of each line."""
    table = read_ipc(lines.path)
    keys, rows = table["key"].to_numpy(), table["row"].to_numpy()
    order = np.lexsort((rows, keys))
    return np.asarray(rows[order[run_starts(keys[order])]], np.int64)


def _chosen(group: ShardGroup, texts: Path, is_asked: npt.NDArray[np.bool_]) -> Iterator[pa.RecordBatch]:
    """The articles that are asked for (CHOSEN); no batch is empty. All of the group's are decoded.

    Raises RunError where the table can't be decoded, or doesn't have the group's articles in its place.
    """
    first = group.first_row
    known, sources = (read_column(group.shards, name) for name in ("article_id", "source"))
    sources = plain(sources)
    ids = []
    for row, batch in decoded(texts, (first, first + group.n_articles), _DECODED):
        ids.append(batch["article_id"])
        place = row - first
        chosen = np.flatnonzero(is_asked[place : place + len(batch)])
        if len(chosen):
            taken = batch.take(pa.array(chosen))
            columns = [pa.array(chosen + row), taken["article_id"], sources.take(pa.array(chosen + place))]
            yield pa.record_batch([*columns, taken["title"], taken["text"]], schema=CHOSEN)
    check_ids("texts", pa.chunked_array(ids, pa.string()), known)


def _masked_tokens(group: ShardGroup, chosen: Ref, mask: FurnitureMask) -> Iterator[KeptTokens]:
    """The tokens of the articles among `chosen` with furniture flagged, the others' rows empty."""
    tokeniser = Tokeniser()
    table = read_ipc(chosen.path)
    rows = table["row"].to_numpy()
    row = group.first_row
    for batch in article_batches(group):
        begin, end = np.searchsorted(rows, [row, row + len(batch)]).tolist()
        place = np.full(len(batch), -1)
        place[rows[begin:end] - row] = np.arange(end - begin)
        at = pa.array(place, mask=place < 0)
        title, text = (plain(table[name].slice(begin, end - begin)).take(at) for name in ("title", "text"))
        kept = keep(tokeniser.tokenise(title, text.fill_null("")))
        mask.apply(kept, source_salts(batch.column("source")))
        yield kept
        row += len(batch)
