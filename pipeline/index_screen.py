"""Stage "index-screen": pairs of new and old articles whose terms leave no hope go before more is recalled.

A night's candidates are a good part of an index, and the screen drops nearly all of them. So old articles are
weighed here a few at a time and nothing of them is kept. What is left passes stage "screen" with the pairs of
new articles: here no pair is judged that it would let through.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.arrow_columns import DAY, Rows, microseconds, times_of
from pipeline.candidates import BandPairs, load_articles, within
from pipeline.config import Config
from pipeline.index_asked import asked
from pipeline.index_segments import NEW_AND_OLD, OpenIndex
from pipeline.index_tokens import Stored, totals_of
from pipeline.measures import measure_terms
from pipeline.rule import load_rule
from pipeline.screen import TermMeasurer, are_related, passes
from pipeline.signatures import Signed
from pipeline.tables import Ref, read_ipc, write_ipc
from pipeline.templates import ALIKE
from pipeline.terms import TermStatistics
from pipeline.vectors import TermVectors, weigh_some
from pipeline.words import run_starts

# Batches of old articles for which the new ones' arrays stay mapped: what they touch counts as memory.
_BATCHES = 32


@dataclass(frozen=True)
class OldPairs:
    """Pairs of new and old articles: `pairs` IPC (NEW_AND_OLD, distinct), and how many went."""

    pairs: Ref
    n_dropped: int


def screen_old(
    index: OpenIndex, found: Sequence[BandPairs], signed: Sequence[Signed], shards: Sequence[Ref],
    begin: int, end: int, statistics: Ref, config: Config, work: Path,
) -> OldPairs:  # fmt: skip
    """Screen the pairs of `found` (NEW_AND_OLD) with the old articles at the positions [begin, end).

    Pairs of equal bodies, neighbours if they are asked for, and what may be of a template stay. Pairs that
    were published too far apart are no candidates, and not counted.
    """
    pairs = _between(found, begin, end)
    left, right = (pairs[side].to_numpy().astype(np.int64) for side in ("left", "right"))
    positions, place = np.unique(right, return_inverse=True)
    reader = index.read()
    known = reader.take(positions, ["text_hash", "published_at", "n_tokens"])
    n_tokens = known["n_tokens"].to_numpy().astype(np.int64)
    old = reader.tokens(positions, ["bag"])
    stays = _passing(old, n_tokens, signed, left, place, statistics, config)
    stays |= load_articles(signed, "text_hash")[left] == known["text_hash"].to_numpy()[place]
    stays |= (pairs["estimate_reprint"].to_numpy() >= ALIKE) | config.keep_rejected_candidates
    in_time = np.ones(len(left), np.bool_)
    if span := config.candidates.match_window_days * DAY:
        published = microseconds(known["published_at"]).to_numpy()
        in_time = within(times_of(shards)[left], published[place], span)
    kept = pairs.filter(pa.array(stays & in_time)).combine_chunks()
    ref = write_ipc(work / f"old-screened-{begin:010d}.arrow", NEW_AND_OLD, kept.to_batches())
    return OldPairs(ref, int(np.count_nonzero(in_time)) - len(kept))


def _between(found: Sequence[BandPairs], begin: int, end: int) -> pa.Table:
    """The pairs with the positions [begin, end), each once, ascending by position and row."""
    pieces = [NEW_AND_OLD.empty_table()]
    for part in found:
        table = read_ipc(part.pairs.path)
        right = table["right"].to_numpy()
        pieces.append(table.filter(pa.array((right >= begin) & (right < end))))
    table = pa.concat_tables(pieces)
    words = (table["right"].to_numpy() << 32) | table["left"].to_numpy()
    order = np.argsort(words, kind="stable")
    return table.take(pa.array(order[run_starts(words[order])])).combine_chunks()


def _passing(
    old: Iterable[Stored], n_tokens: Rows, signed: Sequence[Signed], left: Rows, place: Rows,
    statistics: Ref, config: Config,
) -> npt.NDArray[np.bool_]:  # fmt: skip
    """Which pairs of the new articles `left` and the old ones `place`, ascending, pass; bool (n_pairs,).

    `old`: the bags of the old ones, some at a time, which have so many tokens.
    """
    rule, counts = load_rule(config.calibration), TermStatistics.load(statistics)
    group, row = TermMeasurer(signed).locate(left)
    found = np.zeros(len(left), np.bool_)
    new: list[TermVectors] = []
    at = 0
    for number, stored in enumerate(old):
        if number % _BATCHES == 0:
            new = [TermVectors.load(s.bags, s.weights) for s in signed]
        stop = at + len(stored.facts)
        own = slice(*np.searchsorted(place, (at, stop)).tolist())
        # What the screen weighs of a pair is the same both ways; so each old article is filled in once.
        pairs = (place[own] - at, group[own], row[own])
        bags = asked(stored, new, *pairs)
        vectors = TermVectors.of(bags, n_tokens[at:stop], weigh_some(bags, totals_of(stored), counts))
        terms = measure_terms(vectors, new, *pairs)
        found[own] = passes(terms, rule) | are_related(terms, config)
        at = stop
    return found
