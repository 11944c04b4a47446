"""Stage "confirm": candidate pairs measured exactly, judged by the fitted rule, and given a relation."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline import measures
from pipeline.array_files import ArrayFiles
from pipeline.candidates import PAIRS, load_articles
from pipeline.config import Config
from pipeline.measures import Measures
from pipeline.rule import Rule, load_rule
from pipeline.screen import PAIRS_AT_A_TIME, TermMeasurer, by_blocks
from pipeline.signatures import Signed
from pipeline.tables import Ref, read_ipc, write_ipc
from pipeline.wording import Wording

# Limits of the relations (shares of shingles; tokens of a passage).
REPRINT_OF_SHORTER = 0.6
REPRINT_OF_LONGER = 0.3
PASSAGE_TOKENS = 50
# An excerpt is mostly other text: at most this share of the article's weight is in the other as well.
OTHER_TEXT = 0.65

RELATIONS = ("exact", "reprint", "excerpt", "respun")
RELATION_NAMES = pa.array(RELATIONS)
EXACT, REPRINT, EXCERPT, RESPUN = range(4)

_MEASURED = (
    "cosine", "cosine_bigrams", "cosine_names", "cosine_numbers", "jaccard", "containment_l_in_r",
    "containment_r_in_l",
)  # fmt: skip
JUDGED = pa.schema([
    *PAIRS, ("probability", pa.float64()), ("relation", pa.int8()), ("is_confirmed", pa.bool_()),
    *((name, pa.float32()) for name in _MEASURED),
])  # fmt: skip


class Measurer(TermMeasurer):
    """Measures pairs of articles, given as global rows."""

    def __init__(self, signed: Sequence[Signed], worded: Sequence[ArrayFiles], config: Config) -> None:
        super().__init__(signed)
        self.config = config
        self.text_hash = load_articles(signed, "text_hash")
        self._worded = worded

    def measure(self, left: np.ndarray, right: np.ndarray) -> Measures:
        """All measures of the pairs of rows int64 (n,), in their order; there must be one."""
        return by_blocks(left, right, self._measure)

    def _measure(self, left: np.ndarray, right: np.ndarray) -> Measures:
        terms = self.measure_terms(left, right)
        wording = [Wording.load(files) for files in self._worded]
        (group_l, rows_l), (group_r, rows_r) = self.locate(left), self.locate(right)
        groups = group_l * len(wording) + group_r
        order, lots = [], []
        for both in np.unique(groups).tolist():
            i, j = divmod(both, len(wording))
            chosen = np.flatnonzero(groups == both)
            chosen = chosen[np.argsort(rows_l[chosen], kind="stable")]
            order.append(chosen)
            lots.append(
                measures.measure(
                    wording[i], wording[j], rows_l[chosen], rows_r[chosen], measures.take(terms, chosen)
                )
            )
        return measures.take(measures.concatenate(lots), np.argsort(np.concatenate(order)))


class Judge:
    """Measures pairs, gives them a probability by the rule and a relation."""

    def __init__(self, measurer: Measurer) -> None:
        self.rule: Rule = load_rule(measurer.config.calibration)
        self.threshold = measurer.config.threshold or self.rule.confirm.threshold
        self._measurer = measurer

    def judge(self, pairs: pa.Table, passes: np.ndarray | None = None) -> pa.Table:
        """The pairs (PAIRS) with probability, relation and measures (JUDGED).

        Those that don't pass (a mask, bool; all do by default) come with probability and measures 0.
        """
        left, right = (pairs[side].to_numpy().astype(np.int64) for side in ("left", "right"))
        kept = np.arange(len(left)) if passes is None else np.flatnonzero(passes)
        probability = np.zeros(len(left))
        relation = np.full(len(left), RESPUN, np.int8)
        values = {name: np.zeros(len(left), np.float32) for name in _MEASURED}
        if len(kept):
            measured = self._measurer.measure(left[kept], right[kept])
            same_text = self._measurer.text_hash[left[kept]] == self._measurer.text_hash[right[kept]]
            judged = self.rule.confirm.probability(measures.features(measured))
            probability[kept] = np.where(beyond_doubt(measured, same_text), 1.0, judged)
            relation[kept] = relate(measured, same_text, self._measurer.config.reprint.shingle_size)
            for name, column in values.items():
                column[kept] = getattr(measured, name)
        columns = [probability, relation, probability >= self.threshold, *values.values()]
        sides = [pairs[name] for name in PAIRS.names]
        return pa.table([*sides, *map(pa.array, columns)], schema=JUDGED)


def beyond_doubt(m: Measures, same_text: np.ndarray) -> np.ndarray:
    """Pairs that are the same whatever the rule says, bool (n,): of equal titles and bodies, or long bodies.

    The rule trusts few words less than many, and common words less than rare ones: those of a story with
    hundreds of copies are common. `same_text` as for `relate`.
    """
    n_tokens = np.minimum(m.n_tokens_l, m.n_tokens_r)
    return np.asarray(same_text & ((m.jaccard == 1) | (n_tokens >= PASSAGE_TOKENS)))


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


def confirm_part(
    screened: Ref, signed: Sequence[Signed], worded: Sequence[ArrayFiles], config: Config, work: Path
) -> Ref:
    """Judges the screened pairs of one call; IPC (JUDGED)."""
    judge = Judge(Measurer(signed, worded, config))
    table = read_ipc(screened.path)
    batches = (
        batch
        for at in range(0, len(table), PAIRS_AT_A_TIME)
        for lot in [table.slice(at, PAIRS_AT_A_TIME).combine_chunks()]
        for batch in judge.judge(lot, lot["passes"].to_numpy(zero_copy_only=False)).to_batches()
    )
    name = Path(screened.path).name.replace("screened", "judged")
    return write_ipc(work / name, JUDGED, batches)
