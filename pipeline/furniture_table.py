"""The table of furniture: the lines as they read, looked up in the articles that carry them."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.arrow_columns import Rows, plain, table_batch
from pipeline.furniture import line_keys, source_salts
from pipeline.reread import take_chosen
from pipeline.schema import FURNITURE
from pipeline.signatures import Signed
from pipeline.tables import Ref, read_ipc
from pipeline.text import keep
from pipeline.tokens import tokenise
from pipeline.words import distinct, run_starts

# Articles that are tokenised again at a time; bounds the memory.
_ARTICLES_AT_A_TIME = 1024


def furniture(signed: Sequence[Signed], chosen: Sequence[Ref]) -> pa.RecordBatch:
    """The lines by source and text, each as it stands in the first article that carries it.

    `chosen` (`reread.CHOSEN`) hold these articles.
    """
    lines = pa.concat_tables([read_ipc(group.lines.path) for group in signed])
    keys, rows = lines["key"].to_numpy(), lines["row"].to_numpy()
    order = np.lexsort((rows, keys))
    starts = run_starts(keys[order])
    n_articles = np.diff(np.append(starts, len(keys))).astype(np.int32)
    first = order[starts]
    by_row = np.argsort(rows[first], kind="stable")
    texts = _line_texts(chosen, keys[first[by_row]], rows[first[by_row]])
    table = pa.table([*texts, pa.array(n_articles[by_row])], schema=FURNITURE)
    return table_batch("furniture", table.sort_by([("source", "ascending"), ("line", "ascending")]).columns)


def _line_texts(
    chosen: Sequence[Ref], keys: npt.NDArray[np.uint64], rows: Rows
) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    """Source (null: counted in all) and text of each line, by its key and an article that carries it.

    `rows` ascending.
    """
    carriers = rows[run_starts(rows)]
    cuts = np.searchsorted(rows, carriers[::_ARTICLES_AT_A_TIME])
    sources, texts = [pa.array([], pa.string())], [pa.array([], pa.string())]
    for begin, end in pairwise(np.append(cuts, len(rows))):
        here = slice(begin, end)
        source, text = _lines_of(chosen, keys[here], rows[here])
        sources.append(source)
        texts.append(text)
    return pa.chunked_array(sources), pa.chunked_array(texts)


def _lines_of(chosen: Sequence[Ref], keys: npt.NDArray[np.uint64], rows: Rows) -> tuple[pa.Array, pa.Array]:
    carriers = rows[run_starts(rows)]
    articles = take_chosen(chosen, carriers, ("text", "source"))
    bodies, sources = plain(articles["text"]), plain(articles["source"])
    tokens = tokenise(None, bodies)
    kept = keep(tokens)
    owner = np.repeat(np.arange(len(carriers)), np.diff(kept.line_indptr))
    of_source, of_all = line_keys(kept, source_salts(sources))
    line = _first_line(
        np.tile(owner, 2), np.concatenate((of_source, of_all)), np.searchsorted(carriers, rows), keys
    ) % len(owner)
    begins, ends = tokens.begin[kept.line_starts[line]], tokens.end[kept.line_ends[line] - 1]
    texts = [
        bodies[article].as_buffer()[begin:end].to_pybytes().decode()
        for article, begin, end in zip(owner[line].tolist(), begins.tolist(), ends.tolist(), strict=True)
    ]
    within_source = pa.array((keys & np.uint64(1)) == 1)
    source = pc.if_else(within_source, sources.take(pa.array(owner[line])), pa.scalar(None, pa.string()))
    return source, pa.array(texts, pa.string())


def _first_line(
    owner: Rows, keys: npt.NDArray[np.uint64], wanted_owner: Rows, wanted: npt.NDArray[np.uint64]
) -> Rows:
    """Index of the first line that has the wanted key in the wanted article; there is one."""
    known = distinct(wanted)
    code = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    lines = np.flatnonzero(known[code] == keys)
    place = owner[lines] * len(known) + code[lines]
    order = np.argsort(place, kind="stable")
    at = np.searchsorted(place[order], wanted_owner * len(known) + np.searchsorted(known, wanted))
    return lines[order[at]]
