"""Stage "confirm": candidate pairs measured exactly, judged by the fitted rule, and given a relation."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline import measures
from pipeline.array_files import ArrayFiles
from pipeline.arrow_columns import DAY, NO_TIME
from pipeline.candidates import PAIRS, load_articles
from pipeline.config import Config
from pipeline.furniture import NO_SOURCE
from pipeline.measures import Measures
from pipeline.rule import Rule, load_rule
from pipeline.schema import OF_TERMS
from pipeline.screen import TermMeasurer, are_related, blocks, passes
from pipeline.signatures import Signed
from pipeline.tables import Ref, read_ipc, write_ipc
from pipeline.wording import Wording

# Pairs that are judged at a time; bounds the memory of a task.
PAIRS_AT_A_TIME = 250_000
# Limits of the relations: shares of shingles; tokens of one passage; shingles of several, of compare.QUOTE or
# more each (two paragraphs of 34 tokens, or three of 28, with shingles of 5). Several must have more in all:
# two reports of one speech share a sentence or two.
REPRINT_OF_SHORTER = 0.6
REPRINT_OF_LONGER = 0.3
PASSAGE_TOKENS = 50
QUOTED_SHINGLES = 60
# No shorter article that is reworded was in what the rule was fitted on (docs/decisions/0091).
LEAST_REWORDED = 30
# What the rule's probability becomes where it must not count; 0 is that of pairs that it never saw.
DISBELIEVED = 1e-6
# An excerpt is mostly other text: at most this share of the article's weight is in the other as well.
OTHER_TEXT = 0.65

RELATIONS = ("exact", "reprint", "excerpt", "respun", "related")
RELATION_NAMES = pa.array(RELATIONS)
EXACT, REPRINT, EXCERPT, RESPUN, RELATED = range(5)
JOIN_NO_CLUSTER = (EXCERPT, RELATED)

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
        self._published = load_articles(signed, "published")
        self._source = load_articles(signed, "source_salt")
        self._worded = worded

    def measure(self, left: np.ndarray, right: np.ndarray) -> Measures:
        """All measures of the pairs of rows int64 (n,), in their order; there must be one."""
        parts = blocks(left, right)
        return measures.in_order(parts, [self._measure(left[part], right[part]) for part in parts])

    def _measure(self, left: np.ndarray, right: np.ndarray) -> Measures:
        terms = self.measure_terms(left, right)
        wording = [Wording.load(files) for files in self._worded]
        (group_l, rows_l), (group_r, rows_r) = self.locate(left), self.locate(right)
        groups = group_l * len(wording) + group_r
        days_apart, same_source = self._days_apart(left, right), self._same_source(left, right)
        order, lots = [], []
        for both in np.unique(groups).tolist():
            i, j = divmod(both, len(wording))
            chosen = np.flatnonzero(groups == both)
            chosen = chosen[np.argsort(rows_l[chosen], kind="stable")]
            order.append(chosen)
            own = measures.take(terms, chosen)
            lots.append(
                measures.measure(
                    wording[i], wording[j], rows_l[chosen], rows_r[chosen], own,
                    days_apart[chosen], same_source[chosen],
                )
            )
        return measures.in_order(order, lots)

    def _days_apart(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Days between the publication of each pair, float64 (n,); NaN where one has no date."""
        own, other = self._published[left], self._published[right]
        known = (own != NO_TIME) & (other != NO_TIME)
        return np.where(known, np.abs(own / DAY - other / DAY), np.nan)

    def _same_source(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Whether each pair is of one source, float64 (n,): 1 or 0; NaN: unknown, or not to be weighed."""
        if not self.config.weigh_source:
            return np.full(len(left), np.nan)
        own, other = self._source[left], self._source[right]
        return np.where((own != NO_SOURCE) & (other != NO_SOURCE), own == other, np.nan)


class Judge:
    """Measures pairs, gives them a probability by the rule and a relation."""

    def __init__(self, measurer: Measurer) -> None:
        self.rule: Rule = load_rule(measurer.config.calibration)
        self.threshold = measurer.config.threshold or self.rule.confirm.threshold
        self._measurer = measurer

    def judge(self, pairs: pa.Table, passing: np.ndarray | None = None) -> pa.Table:
        """The pairs (PAIRS) with probability, relation and measures (JUDGED).

        Those that don't pass (a mask, bool; all do by default) come with probability 0 and, of the measures,
        with the cosines over terms alone. Neighbours (RELATED) are told where the screen had to pass them.
        """
        left, right = (pairs[side].to_numpy().astype(np.int64) for side in ("left", "right"))
        kept = np.arange(len(left)) if passing is None else np.flatnonzero(passing)
        probability = np.zeros(len(left))
        relation = np.full(len(left), RESPUN, np.int8)
        config = self._measurer.config
        values = {name: np.zeros(len(left), np.float32) for name in _MEASURED}
        if len(kept):
            measured = self._measurer.measure(left[kept], right[kept])
            same_text = self._measurer.text_hash[left[kept]] == self._measurer.text_hash[right[kept]]
            judged = self.rule.confirm.probability(measures.features(measured))
            judged = np.where(beyond_doubt(measured, same_text), 1.0, judged)
            told = relate(measured, same_text, config.reprint.shingle_size)
            judged = np.where(too_short(measured, told), DISBELIEVED, judged)
            related = np.zeros(len(kept), np.bool_)
            if passing is not None and config.related_threshold > 0:
                # What passed as a neighbour only is no more than that, whatever the rule says of it.
                judged = np.where(passes(measured, self.rule) | same_text, judged, 0.0)
                related = (judged < self.threshold) & are_related(measured, config)
            probability[kept] = judged
            relation[kept] = np.where(related, RELATED, told)
            for name, column in values.items():
                column[kept] = getattr(measured, name)
        if len(kept) < len(left):
            dropped = np.flatnonzero(~np.asarray(passing))
            terms = self._measurer.measure_terms(left[dropped], right[dropped])
            for name in OF_TERMS:
                values[name][dropped] = getattr(terms, name)
        listed = (probability >= self.threshold) | (relation == RELATED)
        columns = [probability, relation, listed, *values.values()]
        sides = [pairs[name] for name in PAIRS.names]
        return pa.table([*sides, *map(pa.array, columns)], schema=JUDGED)


def links(pairs: pa.Table) -> np.ndarray:
    """The judged pairs (JUDGED) that hold clusters together, bool (n,): confirmed, and no excerpt."""
    confirmed = pairs["is_confirmed"].to_numpy(zero_copy_only=False)
    return np.asarray(confirmed & ~np.isin(pairs["relation"].to_numpy(), JOIN_NO_CLUSTER))


def beyond_doubt(m: Measures, same_text: np.ndarray) -> np.ndarray:
    """Pairs that are the same whatever the rule says, bool (n,): of equal titles and bodies, or long bodies.

    The rule trusts few words less than many, and common words less than rare ones: those of a story with
    hundreds of copies are common. `same_text` as for `relate`.
    """
    n_tokens = np.minimum(m.n_tokens_l, m.n_tokens_r)
    return np.asarray(same_text & ((m.jaccard == 1) | (n_tokens >= PASSAGE_TOKENS)))


def too_short(m: Measures, relation: np.ndarray) -> np.ndarray:
    """Pairs RESPUN by `relate` of which one has few tokens, bool (n,): what they share may be chance."""
    n_tokens = np.minimum(m.n_tokens_l, m.n_tokens_r)
    return np.asarray((relation == RESPUN) & (n_tokens < LEAST_REWORDED))


def relate(m: Measures, same_text: np.ndarray, shingle_size: int) -> np.ndarray:
    """Relation int8 of each pair: the first that holds of EXACT, REPRINT, EXCERPT, RESPUN.

    `same_text` (a mask, bool): pairs whose bodies are equal after normalising.
    """
    of_shorter = np.maximum(m.containment_l_in_r, m.containment_r_in_l)
    of_longer = np.minimum(m.containment_l_in_r, m.containment_r_in_l)
    reprint = (of_shorter >= REPRINT_OF_SHORTER) & (of_longer >= REPRINT_OF_LONGER)
    passage = (m.longest_run + shingle_size - 1 >= PASSAGE_TOKENS) | (m.quoted >= QUOTED_SHINGLES)
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
