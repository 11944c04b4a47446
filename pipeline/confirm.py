"""Stage "confirm": candidate pairs measured exactly, judged by the fitted rule, and given a relation."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline import measures
from pipeline.candidates import PAIRS, load_articles
from pipeline.config import Config
from pipeline.measures import Measures, TermMeasures
from pipeline.rule import Rule, load_rule
from pipeline.signatures import Signed
from pipeline.tables import Ref, read_ipc, write_ipc
from pipeline.vectors import VectorFiles

# Candidate pairs that are measured at a time; bounds the memory of a task.
PAIRS_AT_A_TIME = 250_000

# Limits of the relations (shares of shingles; tokens of a passage).
REPRINT_OF_SHORTER = 0.6
REPRINT_OF_LONGER = 0.3
PASSAGE_TOKENS = 50
# An excerpt is mostly other text: at most this share of the article's weight is in the other as well.
OTHER_TEXT = 0.65

RELATIONS = ("exact", "reprint", "excerpt", "respun")
RELATION_NAMES = pa.array(RELATIONS)
EXACT, REPRINT, EXCERPT, RESPUN = range(4)

JUDGED = pa.schema([
    *PAIRS, ("probability", pa.float64()), ("relation", pa.int8()), ("is_confirmed", pa.bool_()),
    ("cosine", pa.float32()), ("cosine_bigrams", pa.float32()), ("cosine_names", pa.float32()),
    ("cosine_numbers", pa.float32()), ("jaccard", pa.float32()), ("containment_l_in_r", pa.float32()),
    ("containment_r_in_l", pa.float32()),
])  # fmt: skip


class Measurer:
    """Measures pairs of articles, given as global rows."""

    def __init__(self, signed: Sequence[Signed], vectors: Sequence[VectorFiles], config: Config) -> None:
        self.config = config
        self.text_hash = load_articles(signed, "text_hash")
        self._files = vectors
        self._firsts = np.array([v.first_row for v in vectors])

    def measure(
        self, left: np.ndarray, right: np.ndarray, keep: Callable[[TermMeasures], np.ndarray]
    ) -> tuple[np.ndarray, Measures]:
        """The pairs of rows int64 (n,) that `keep` (a mask, bool) takes: their indices, and their measures.

        Pairs are measured by the groups of their articles; there must be a pair.
        """
        group_l, group_r = (np.searchsorted(self._firsts, side, side="right") - 1 for side in (left, right))
        groups = group_l * len(self._files) + group_r
        kept, lots = [], []
        for both in np.unique(groups).tolist():
            i, j = divmod(both, len(self._files))
            chosen = np.flatnonzero(groups == both)
            chosen = chosen[np.argsort(left[chosen], kind="stable")]
            of_l, of_r = self._files[i].load(), self._files[j].load()
            rows_l, rows_r = left[chosen] - self._firsts[i], right[chosen] - self._firsts[j]
            terms = measures.measure_terms(of_l, of_r, rows_l, rows_r)
            enough = np.flatnonzero(keep(terms))
            kept.append(chosen[enough])
            lots.append(
                measures.measure(of_l, of_r, rows_l[enough], rows_r[enough], measures.take(terms, enough))
            )
        return np.concatenate(kept), measures.concatenate(lots)


class Judge:
    """Measures pairs, gives them a probability by the rule and a relation."""

    def __init__(self, measurer: Measurer) -> None:
        self.rule: Rule = load_rule(measurer.config.calibration)
        self.threshold = measurer.config.threshold or self.rule.confirm.threshold
        self._measurer = measurer

    def judge(self, pairs: pa.Table, screened: bool = True) -> pa.Table:
        """The pairs (PAIRS) with probability, relation and measures (JUDGED).

        Pairs that the rule's screen drops come with probability and measures 0; without it none is dropped.
        """
        left, right = (pairs[side].to_numpy().astype(np.int64) for side in ("left", "right"))
        kept, measured = self._measurer.measure(left, right, self._passes if screened else _every)
        same_text = self._measurer.text_hash[left[kept]] == self._measurer.text_hash[right[kept]]
        probability = np.zeros(len(left))
        # The rule trusts few words less than many; where title and body are equal there is nothing to doubt.
        judged = self.rule.confirm.probability(measures.features(measured))
        probability[kept] = np.where(same_text & (measured.jaccard == 1), 1.0, judged)
        relation = np.full(len(left), RESPUN, np.int8)
        relation[kept] = relate(measured, same_text, self._measurer.config.reprint.shingle_size)
        columns = [probability, relation, probability >= self.threshold]
        for name in JUDGED.names[len(PAIRS.names) + len(columns) :]:
            values = np.zeros(len(left), np.float32)
            values[kept] = getattr(measured, name)
            columns.append(values)
        return pa.table([*pairs.columns, *map(pa.array, columns)], schema=JUDGED)

    def _passes(self, terms: TermMeasures) -> np.ndarray:
        return self.rule.screen.probability(measures.term_features(terms)) >= self.rule.screen.threshold


def _every(terms: TermMeasures) -> np.ndarray:
    return np.ones(len(terms.cosine), bool)


def relate(m: Measures, same_text: np.ndarray, shingle_size: int) -> np.ndarray:
    """Relation int8 of each pair: the first that holds of EXACT, REPRINT, EXCERPT, RESPUN.

    `same_text` (a mask, bool): pairs whose bodies are equal after normalising.
    """
    of_shorter = np.maximum(m.containment_l_in_r, m.containment_r_in_l)
    of_longer = np.minimum(m.containment_l_in_r, m.containment_r_in_l)
    reprint = (of_shorter >= REPRINT_OF_SHORTER) & (of_longer >= REPRINT_OF_LONGER)
    passage = m.longest_run + shingle_size - 1 >= PASSAGE_TOKENS
    other_text = np.minimum(m.weight_l_in_r, m.weight_r_in_l) <= OTHER_TEXT
    excerpt = (of_shorter >= REPRINT_OF_SHORTER) | (passage & other_text)
    return np.select([same_text, reprint, excerpt], [EXACT, REPRINT, EXCERPT], RESPUN).astype(np.int8)


def confirm_slice(
    pairs: Ref, begin: int, end: int, signed: Sequence[Signed], vectors: Sequence[VectorFiles],
    config: Config, work: Path,
) -> Ref:  # fmt: skip
    """Judges the candidate pairs [begin, end), rows of `pairs` (PAIRS); IPC (JUDGED)."""
    judge = Judge(Measurer(signed, vectors, config))
    table = read_ipc(pairs.path)
    lots = (
        table.slice(at, min(PAIRS_AT_A_TIME, end - at)).combine_chunks()
        for at in range(begin, end, PAIRS_AT_A_TIME)
    )
    batches = (batch for lot in lots for batch in judge.judge(lot).to_batches())
    return write_ipc(work / f"judged-{begin:010d}.arrow", JUDGED, batches)
