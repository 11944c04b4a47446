"""Stage "screen": candidate pairs whose terms leave no hope are dropped before word order is compared."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline import measures
from pipeline.candidates import PAIRS, load_articles
from pipeline.config import Config
from pipeline.measures import TermMeasures
from pipeline.rule import Rule, load_rule
from pipeline.signatures import Signed
from pipeline.tables import Ref, read_ipc, write_ipc
from pipeline.vectors import TermVectors
from pipeline.words import run_starts

# Candidate pairs that are screened at a time; bounds the memory of a task. Of more pairs more have the left
# article and the block of the right one in common.
PAIRS_AT_A_TIME = 1_000_000
# Articles whose arrays are mapped at a time, on each side of the pairs. What is touched of a mapped file
# counts as memory until it is unmapped, and in a large collection pairs touch all of it.
ARTICLES_AT_A_TIME = 100_000
# Pairs whose measures are in memory together: a column of them fits the processor's cache.
MEASURED_AT_A_TIME = 8_192

SCREENED = pa.schema([*PAIRS, ("passes", pa.bool_())])


Rows = npt.NDArray[np.int64]


def blocks(left: Rows, right: Rows) -> list[Rows]:
    """Pairs of rows (n,), by index, a lot for each two blocks of articles that they are of, in order."""
    both = (left // ARTICLES_AT_A_TIME << 32) | right // ARTICLES_AT_A_TIME
    order = np.argsort(both, kind="stable")
    return np.split(order, run_starts(both[order])[1:])


class TermMeasurer:
    """Measures the terms of pairs of articles, given as global rows."""

    def __init__(self, signed: Sequence[Signed]) -> None:
        self._signed = signed
        self._firsts = np.array([s.first_row for s in signed])

    def locate(self, rows: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Group of each article, and its row within the group, both int64."""
        group = np.searchsorted(self._firsts, rows, side="right") - 1
        return group, rows - self._firsts[group]

    def measure_terms(self, left: Rows, right: Rows) -> TermMeasures:
        """Term measures of the pairs of rows int64 (n,), in their order; there must be one."""
        lots = list(self._lots(left, right))
        return measures.in_order([chosen for chosen, _ in lots], [lot for _, lot in lots])

    def judge(
        self, left: Rows, right: Rows, judge: Callable[[TermMeasures], npt.NDArray[np.bool_]]
    ) -> npt.NDArray[np.bool_]:
        """What `judge` says of the term measures of each pair of rows int64 (n,), bool (n,).

        It is asked for some pairs at a time, in any order, and their measures are gone then.
        """
        said = np.empty(len(left), np.bool_)
        for chosen, lot in self._lots(left, right):
            said[chosen] = judge(lot)
        return said

    def _lots(self, left: Rows, right: Rows) -> Iterator[tuple[Rows, TermMeasures]]:
        """Measures of some pairs at a time, by index."""
        for block in blocks(left, right):
            vectors = [TermVectors.load(s.bags, s.weights) for s in self._signed]
            (group_l, rows_l), (group_r, rows_r) = self.locate(left[block]), self.locate(right[block])
            for group in np.unique(group_l).tolist():
                own = np.flatnonzero(group_l == group)
                own = own[np.argsort(rows_l[own], kind="stable")]
                for at in range(0, len(own), MEASURED_AT_A_TIME):
                    some = own[at : at + MEASURED_AT_A_TIME]
                    yield (
                        block[some],
                        measures.measure_terms(
                            vectors[group], vectors, rows_l[some], group_r[some], rows_r[some]
                        ),
                    )


def passes(terms: TermMeasures, rule: Rule) -> npt.NDArray[np.bool_]:
    """Which pairs the rule's screen lets through, bool (n,)."""
    return np.asarray(rule.screen.probability(measures.term_features(terms)) >= rule.screen.threshold)


def are_related(terms: TermMeasures, config: Config) -> npt.NDArray[np.bool_]:
    """Which pairs share enough names to be neighbours, if `related_threshold` asks for them, bool (n,)."""
    is_on = config.related_threshold > 0
    return np.asarray(is_on & (terms.rarity_of_names_shared >= config.related_threshold))


def screen_slice(
    pairs: Ref, begin: int, end: int, signed: Sequence[Signed], config: Config, work: Path
) -> Ref:
    """Screens the candidate pairs [begin, end), rows of `pairs` (PAIRS); IPC (SCREENED).

    Pairs of equal bodies, and neighbours if they are asked for, pass. Pairs that don't pass are left out,
    unless `keep_rejected_candidates` asks for them.
    """
    measurer, rule = TermMeasurer(signed), load_rule(config.calibration)
    text_hash = load_articles(signed, "text_hash")
    table = read_ipc(pairs.path)

    def stays(terms: TermMeasures) -> npt.NDArray[np.bool_]:
        return passes(terms, rule) | are_related(terms, config)

    def lots() -> Iterator[pa.RecordBatch]:
        for at in range(begin, end, PAIRS_AT_A_TIME):
            lot = table.slice(at, min(PAIRS_AT_A_TIME, end - at)).combine_chunks()
            left, right = (lot[side].to_numpy().astype(np.int64) for side in ("left", "right"))
            same_text = text_hash[left] == text_hash[right]
            passing = pa.array(same_text | measurer.judge(left, right, stays))
            screened = lot.append_column(SCREENED.field("passes"), passing)
            yield from (
                screened if config.keep_rejected_candidates else screened.filter(passing)
            ).to_batches()

    return write_ipc(work / f"screened-{begin:010d}.arrow", SCREENED, lots())
