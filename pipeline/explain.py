"""Why two articles are, or are not, in one cluster: the stages run over these two alone, and put into words.

The furniture and the counts of terms are the whole collection's, so that the numbers are those of the run.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline import confirm, measures, screen, signatures, terms, text, wording
from pipeline.aligned import Telling, align
from pipeline.array_files import map_npy
from pipeline.articles import write_shards
from pipeline.candidates import describe, load_places
from pipeline.compare import QUOTE
from pipeline.config import Config
from pipeline.confirm import (
    OTHER_TEXT,
    PASSAGE_TOKENS,
    QUOTED_SHINGLES,
    REPRINT_OF_LONGER,
    REPRINT_OF_SHORTER,
)
from pipeline.explained import (
    Article,
    Contribution,
    Explanation,
    Link,
    Screen,
    Term,
    View,
    Waterfall,
)
from pipeline.furniture import masked_batches
from pipeline.measures import Measures
from pipeline.rule import Additive
from pipeline.screen import SCREENED
from pipeline.shards import ShardGroup
from pipeline.tables import Ref, read_ipc, write_ipc
from pipeline.token_scan import FURNITURE
from pipeline.tokens import tokenise
from pipeline.vectors import NAME, NUMBER, RARITY_STEPS, TermVectors

# Terms that are told: more would bury those that matter.
N_TERMS, N_ALONE = 20, 10
# Versions that agree give probabilities that differ by less; processors may differ in the last digits.
SAME = 1e-4
FOUND_BY = ("", "reprint", "respun", "both")
MEASURED = ("cosine", "cosine_bigrams", "cosine_names", "cosine_numbers", "jaccard")
_KINDS = {0: "word", NAME: "name", NUMBER: "number"}
_LEFT, _RIGHT = np.zeros(1, np.int64), np.ones(1, np.int64)
_PAIR = np.array([1], np.uint64)  # left << 32 | right


@dataclass(frozen=True)
class InRun:
    """What a run published of the two: their clusters, in the order of the rows, and the path from a to b.

    `path` is empty when the clusters differ. `probability` of the confirmed pair, None when it is none.
    `n_oversized`: buckets in which only neighbours were compared.
    """

    run_id: str
    cluster_ids: tuple[str, str]
    path: tuple[Link, ...]
    probability: float | None
    n_oversized: int


@dataclass(frozen=True)
class Asked:
    """Two articles (ACCEPTED, two rows) in the order of the input; `is_turned`: a is the second."""

    pair: pa.RecordBatch
    is_turned: bool
    run: InRun | None


@dataclass(frozen=True)
class _Two:
    """What the stages left of the two; row 0 is the left side."""

    group: ShardGroup
    tokens: Ref
    signed: signatures.Signatures
    measured: Measures
    judge: confirm.Judge
    judged: dict[str, float]

    @property
    def same_text(self) -> bool:
        """Whether the bodies are equal after normalising."""
        return self.judged["relation"] == confirm.EXACT


def explain(asked: Asked, furniture: Ref, statistics: Ref, config: Config, work: Path) -> Explanation:
    """Explain two articles of a collection with these lines of furniture and counts of terms."""
    two = _run_stages(asked, furniture, statistics, config, work)
    views = _views(two.signed, config)
    vectors = TermVectors.load(two.signed.bags, two.signed.weights)
    tellings, sides = _articles(asked, two, furniture, config)
    alone = [_alone(vectors, i, tellings[i]) for i in (0, 1)]
    facts = [_facts(vectors, i) for i in (0, 1)]
    a, b = (1, 0) if asked.is_turned else (0, 1)
    contained = [two.judged["containment_l_in_r"], two.judged["containment_r_in_l"]]
    values = {name: two.judged[name] for name in MEASURED}
    values |= {"containment_a_in_b": contained[a], "containment_b_in_a": contained[b]}
    waterfall, screened = _waterfall(two), _screen(two)
    is_found = any(view.finds for view in views)
    verdict = _verdict(asked.run, is_found, screened, waterfall)
    return Explanation(
        run_id=asked.run.run_id if asked.run else None,
        a=sides[a],
        b=sides[b],
        verdict=verdict,
        is_one_cluster=len(set(asked.run.cluster_ids)) == 1 if asked.run else None,
        path=asked.run.path if asked.run else None,
        found_by=FOUND_BY[int(two.judged["found_by"])] if is_found else "",
        views=views,
        screen=screened,
        measures=values,
        longest_run=int(two.measured.longest_run[0]),
        quoted=int(two.measured.quoted[0]),
        relation=confirm.RELATIONS[int(two.judged["relation"])],
        relation_rule=_relation_rule(two, config),
        waterfall=waterfall,
        shared_terms=_shared(vectors, tellings[0]),
        alone_a=alone[a],
        alone_b=alone[b],
        alignment=align(tellings[a], tellings[b], facts[a], facts[b]),
        notes=_notes(asked.run, verdict, waterfall),
    )


def _run_stages(asked: Asked, furniture: Ref, statistics: Ref, config: Config, work: Path) -> _Two:
    pieces = iter([pa.Table.from_batches([asked.pair])])
    shards = write_shards(pieces, work, "pair")
    group = ShardGroup(0, 0, shards.articles)
    tokens = text.tokenise_group(group, shards.texts, work)
    # The two articles' own counts are not looked at, so the smallest table does.
    bags = terms.count(group, tokens, furniture, 1, config, work).bags
    signed = signatures.sign(group, tokens, bags, furniture, statistics, config, work)
    pair = pa.Table.from_batches([describe(_PAIR, load_places([signed]), config)])
    passing = pair.append_column(SCREENED.field("passes"), pa.array([True]))
    screened = write_ipc(work / "screened.arrow", SCREENED, passing.to_batches())
    worded = wording.write_group(group, tokens, furniture, statistics, [screened], config, work)
    measurer = confirm.Measurer([signed], [worded], config)
    judge = confirm.Judge(measurer)
    judged = judge.judge(pair).to_pylist()[0]
    return _Two(group, tokens, signed, measurer.measure(_LEFT, _RIGHT), judge, judged)


def _articles(asked: Asked, two: _Two, furniture: Ref, config: Config) -> tuple[list[Telling], list[Article]]:
    tokens = tokenise(asked.pair.column("title"), asked.pair.column("text"))
    masked = next(masked_batches(two.group, two.tokens, furniture, config))
    tellings, sides = [], []
    for i, row in enumerate(asked.pair.to_pylist()):
        own = slice(int(tokens.indptr[i]), int(tokens.indptr[i + 1]))
        n_furniture = int(np.count_nonzero(masked.flags[own] & FURNITURE))
        cluster_id = asked.run.cluster_ids[i] if asked.run else None
        sides.append(
            Article(
                row["article_id"], row["title"], row["source"], own.stop - own.start, n_furniture, cluster_id
            )
        )
        tellings.append(Telling.of(asked.pair, tokens, masked, i))
    return tellings, sides


def _views(signed: signatures.Signatures, config: Config) -> tuple[View, ...]:
    plan = signatures.bands(config)
    keys = map_npy(signed.keys.path)
    equal = keys[:, 0] == keys[:, 1]
    found = describe(_PAIR, load_places([signed]), config).to_pylist()[0]
    is_signed = int(np.bitwise_and.reduce(read_ipc(signed.articles.path)["is_signed"].to_numpy()))
    limits = config.candidates
    views = []
    for name, bit, own, minimum in (
        ("reprint", signatures.REPRINT, slice(0, plan.n_reprint), limits.min_jaccard_reprint),
        ("respun", signatures.RESPUN, slice(plan.n_reprint, plan.n), limits.min_jaccard_respun),
    ):
        # An article without shingles, or without rare terms, is in no bucket of that view.
        shared = int(equal[own].sum()) if is_signed & bit else 0
        estimate = float(found[f"estimate_{name}"]) if is_signed & bit else 0.0
        finds = shared > 0 and bool(found["found_by"] & bit)
        views.append(View(name, estimate, minimum, shared, own.stop - own.start, finds))
    return tuple(views)


def _row(vectors: TermVectors, i: int) -> slice:
    return slice(int(vectors.term_ends[i - 1]) if i else 0, int(vectors.term_ends[i]))


def _fact_kinds(vectors: TermVectors, i: int) -> npt.NDArray[np.uint8]:
    return np.asarray(vectors.term_kinds[_row(vectors, i)] & (NAME | NUMBER))


def _facts(vectors: TermVectors, i: int) -> dict[int, str]:
    """The names and numbers of an article, and their kinds."""
    kinds = _fact_kinds(vectors, i)
    keys = vectors.term_keys[_row(vectors, i)]
    return {int(key): _KINDS[kind] for key, kind in zip(keys, kinds.tolist(), strict=True) if kind}


def _shared(vectors: TermVectors, spelt: Telling) -> tuple[Term, ...]:
    """The shared terms that add most to the cosine, as the article `spelt` spells them."""
    rows = [_row(vectors, i) for i in (0, 1)]
    own = (vectors.term_keys[rows[0]], vectors.term_keys[rows[1]])
    keys, left, right = np.intersect1d(own[0], own[1], return_indices=True)
    weights = vectors.weights()
    products = weights[rows[0]][left] * weights[rows[1]][right]
    kinds_l, kinds_r = _fact_kinds(vectors, 0)[left], _fact_kinds(vectors, 1)[right]
    kinds = np.where(kinds_r > 0, kinds_l, 0)  # a fact where both have it as one, as in the cosine of names
    rarity = vectors.term_rarity[rows[0]][left]
    return _terms(keys, kinds, rarity, products / max(float(products.sum()), 1e-9), N_TERMS, spelt)


def _alone(vectors: TermVectors, i: int, spelt: Telling) -> tuple[Term, ...]:
    """The names and numbers of an article that the other lacks, those of most weight."""
    own, other = _row(vectors, i), _row(vectors, 1 - i)
    kinds = _fact_kinds(vectors, i)
    chosen = np.flatnonzero((kinds > 0) & ~np.isin(vectors.term_keys[own], vectors.term_keys[other]))
    squares = vectors.weights()[own][chosen] ** 2
    keys, rarity = vectors.term_keys[own][chosen], vectors.term_rarity[own][chosen]
    return _terms(keys, kinds[chosen], rarity, squares, N_ALONE, spelt)


def _terms(
    keys: npt.NDArray[np.uint32], kinds: npt.NDArray[np.uint8], rarity: npt.NDArray[np.uint16],
    share: npt.NDArray[np.float32], most: int, spelt: Telling,
) -> tuple[Term, ...]:  # fmt: skip
    order = np.lexsort((keys, -share))[:most].tolist()
    return tuple(
        Term(spelt.spelling(int(keys[k])), _KINDS[int(kinds[k])], float(rarity[k]) / RARITY_STEPS,
             float(share[k]))
        for k in order
    )  # fmt: skip


def _waterfall(two: _Two) -> Waterfall:
    weighed = measures.features(two.measured)
    rule: Additive = two.judge.rule.confirm
    rows = zip(rule.features, weighed[0].tolist(), rule.contributions(weighed)[0].tolist(), strict=True)
    parts = sorted((Contribution(*row) for row in rows), key=lambda part: -abs(part.log_odds))
    return Waterfall(
        intercept=rule.intercept,
        contributions=tuple(parts),
        total=rule.intercept + sum(part.log_odds for part in parts),
        by_rule=float(rule.probability(weighed)[0]),
        probability=two.judged["probability"],
        threshold=two.judge.threshold,
    )


def _screen(two: _Two) -> Screen:
    rule = two.judge.rule
    probability = float(rule.screen.probability(measures.term_features(two.measured))[0])
    passes = bool(screen.passes(two.measured, rule)[0]) or two.same_text
    return Screen(probability, rule.screen.threshold, passes)


def _relation_rule(two: _Two, config: Config) -> str:
    """The rule of `confirm.relate` that gave the relation, with this pair's numbers."""
    shares = (two.judged["containment_l_in_r"], two.judged["containment_r_in_l"])
    most, least = max(shares), min(shares)
    run = int(two.measured.longest_run[0]) + config.reprint.shingle_size - 1  # in tokens
    quoted = int(two.measured.quoted[0])
    weight = float(min(two.measured.weight_l_in_r[0], two.measured.weight_r_in_l[0]))
    relation = int(two.judged["relation"])
    if relation == confirm.EXACT:
        return "the bodies are equal after normalising"
    held = f"{most:.2f} of one's shingles are in the other (at least {REPRINT_OF_SHORTER})"
    if relation == confirm.REPRINT:
        return f"{held}, {least:.2f} the other way (at least {REPRINT_OF_LONGER})"
    if relation == confirm.EXCERPT and most >= REPRINT_OF_SHORTER:
        return f"{held}, but only {least:.2f} the other way (under {REPRINT_OF_LONGER})"
    other = f"{weight:.2f} of its weight is in the other"
    in_a_row = f"about {run} tokens in a row are the same"
    passages = f"{quoted} shingles are in passages of {QUOTE} or more"
    if run >= PASSAGE_TOKENS:
        passage = f"{in_a_row} (at least {PASSAGE_TOKENS})"
    else:
        passage = f"{passages} (at least {QUOTED_SHINGLES})"
    if relation == confirm.EXCERPT:
        return f"{passage}, and one is mostly other text: {other} (at most {OTHER_TEXT})"
    few = (
        f"none of the others holds: {most:.2f} of one's shingles are in the other (under "
        f"{REPRINT_OF_SHORTER})"
    )
    if not two.measured.longest_run[0]:
        return f"{few}, no {config.reprint.shingle_size} tokens in a row are the same"
    if run < PASSAGE_TOKENS and quoted < QUOTED_SHINGLES:
        return (
            f"{few}, at most {in_a_row} (under {PASSAGE_TOKENS}), and {passages} (under {QUOTED_SHINGLES})"
        )
    return f"{few}, {passage}, but neither is mostly other text"


def _verdict(run: InRun | None, is_found: bool, screened: Screen, waterfall: Waterfall) -> str:
    if run and run.probability is not None:
        return "confirmed"
    if not is_found:
        return "not_found"
    if not screened.passes:
        return "screened"
    if waterfall.probability < waterfall.threshold:
        return "below_threshold"
    return "not_compared" if run else "confirmed"


def _notes(run: InRun | None, verdict: str, waterfall: Waterfall) -> tuple[str, ...]:
    notes: list[str] = []
    if run is None:
        notes.append(
            "No collection: lists of common words and these two texts alone say what is rare, and lines "
            "that a site repeats are not known."
        )
    elif run.n_oversized and verdict not in ("confirmed", "not_found"):
        notes.append(
            f"{run.n_oversized} buckets of this run were too large to compare all their articles "
            "(candidates.max_bucket): the pair may not have been looked at."
        )
    if run and run.probability is not None and abs(run.probability - waterfall.probability) > SAME:
        notes.append(
            f"The run's own table has a probability of {run.probability:.4f}: other versions of respun or of "
            "its packages made it, see the manifest."
        )
    if verdict in ("not_found", "screened"):
        notes.append(
            "A run doesn't measure such a pair any further; probability and relation are what it would get."
        )
    return tuple(notes)
