"""What is measured of a candidate pair, exactly, and the features that the rule weighs.

Cosines in four spaces; what the two share and what each has alone, by how rare it is; how much of an
article's lead, title and repeated terms the other has; resemblance and containments of the shingles.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TypeVar

import numpy as np

from pipeline import compare, vectors
from pipeline.shards import MAX_GROUPS
from pipeline.vectors import TermVectors
from pipeline.wording import Wording

# How much of the overall cosine is lent to a space in which an article has next to nothing: squared weight,
# of 1 in all. Texts without names are then judged by their wording, instead of by a cosine of nothing.
LENT = 0.25
# What shares of the lead, and of repeats and titles, are doubted by: so much is added, half of it shared.
LEAD_DOUBT, DOUBT = 1.0, 10.0
# A story is told again within a day or so; further days count, up to MOST_DAYS. Not where so many shingles
# are quoted (50 tokens in one passage): who quotes so much has copied it, whenever that was.
FRESH_DAYS, MOST_DAYS, MUCH_QUOTED = 1.0, 14.0, 46
# Shingles in a row from which both sides are asked, and a run counts. Far below what is a quotation
# (compare.QUOTE).
LONG_RUN = 8
# Places that say something else are doubted by so much of what facts there tell.
PLACE_DOUBT = 5.0


@dataclass(frozen=True)
class TermMeasures:
    """What the terms alone say of each pair; one entry per pair in every array, float32.

    `cosine` over terms; `cosine_names` over names and numbers; `cosine_numbers`. `rarity_shared`,
    `high_rarity_shared`, `rarity_of_numbers_shared`: how much shared terms exceed a rarity, summed;
    `rarity_of_names_shared`: over what l or what r has as a name, the more of the two. `names_of_own_l`,
    `numbers_of_own_l` and of r: the same over names and numbers that the other lacks.
    The rest are shares, 0..1, of what an article (`_l`, `_r`) has that the other has too: `weight`: squared
    TF-IDF weight; `lead`, `lead_facts`: of its first LEAD_TOKENS tokens, and the names and numbers there;
    `lead_facts_in_lead`: that the other has in its lead; `repeats`, `repeated_facts`: of terms that it uses
    twice or more, `repeats_of_both`: that the other does too; `title_facts`. `names_l`, `numbers_l` and of r:
    the share of squared weight that is on names and numbers, and on numbers. `n_tokens_l`, `n_tokens_r`.
    """

    cosine: np.ndarray
    cosine_names: np.ndarray
    cosine_numbers: np.ndarray
    rarity_shared: np.ndarray
    high_rarity_shared: np.ndarray
    rarity_of_numbers_shared: np.ndarray
    rarity_of_names_shared: np.ndarray
    names_of_own_l: np.ndarray
    names_of_own_r: np.ndarray
    numbers_of_own_l: np.ndarray
    numbers_of_own_r: np.ndarray
    weight_l_in_r: np.ndarray
    weight_r_in_l: np.ndarray
    lead_l: np.ndarray
    lead_r: np.ndarray
    lead_facts_l: np.ndarray
    lead_facts_r: np.ndarray
    lead_facts_in_lead_l: np.ndarray
    lead_facts_in_lead_r: np.ndarray
    repeats_l: np.ndarray
    repeats_r: np.ndarray
    repeats_of_both_l: np.ndarray
    repeats_of_both_r: np.ndarray
    repeated_facts_l: np.ndarray
    repeated_facts_r: np.ndarray
    title_facts_l: np.ndarray
    title_facts_r: np.ndarray
    names_l: np.ndarray
    names_r: np.ndarray
    numbers_l: np.ndarray
    numbers_r: np.ndarray
    n_tokens_l: np.ndarray
    n_tokens_r: np.ndarray


@dataclass(frozen=True)
class Measures(TermMeasures):
    """All measures of each pair, float32 but for `longest_run` and `quoted` (int32, shingles).

    `cosine_bigrams` over terms and bigrams; `jaccard`, `containment_l_in_r`, `containment_r_in_l` of the
    shingles; `longest_run`: most shingles in a row that the other has too, on the side where they are fewer
    (runs under `LONG_RUN`: on the side of r); `quoted`: those in rows of compare.QUOTE or more, on the side
    where they are fewer. `places_replaced`: how often they say something else at the same place,
    `facts_replaced`: what names and numbers there tell (`compare.bigram_sums`). `days_apart` of their
    publication, NaN where a date is unknown. `same_source`: 1 or 0, NaN where a source is unknown.
    """

    cosine_bigrams: np.ndarray
    jaccard: np.ndarray
    containment_l_in_r: np.ndarray
    containment_r_in_l: np.ndarray
    longest_run: np.ndarray
    quoted: np.ndarray
    facts_replaced: np.ndarray
    places_replaced: np.ndarray
    days_apart: np.ndarray
    same_source: np.ndarray


Lot = TypeVar("Lot", bound=TermMeasures)


def take(lot: Lot, chosen: np.ndarray) -> Lot:
    """The measures of some pairs, by index or mask."""
    return type(lot)(**{f.name: getattr(lot, f.name)[chosen] for f in fields(lot)})


def concatenate(lots: Sequence[Lot]) -> Lot:
    """The measures of several lots of pairs, one after the other; there must be a lot."""
    kind = type(lots[0])
    return kind(**{f.name: np.concatenate([getattr(p, f.name) for p in lots]) for f in fields(kind)})


def in_order(chosen: Sequence[np.ndarray], lots: Sequence[Lot]) -> Lot:
    """The measures of several lots of pairs in the order of the pairs, given the indices of each lot's."""
    return take(concatenate(lots), np.argsort(np.concatenate(chosen)))


def measure_terms(
    of_l: TermVectors, of_r: Sequence[TermVectors], left: np.ndarray, group_r: np.ndarray, right: np.ndarray
) -> TermMeasures:
    """Term measures of pairs of rows int64 of `of_l` and of the vectors `of_r[group_r]`, ascending by left.

    At most MAX_GROUPS groups.
    """
    sums = np.empty((len(left), compare.N_SUMS), np.float32)
    groups = [*of_r, *[of_r[0]] * (MAX_GROUPS - len(of_r))]
    compare.term_sums(  # type: ignore[call-arg]
        of_l.term_keys, of_l.term_kinds, of_l.term_counts, of_l.term_rarity, of_l.term_ends, of_l.lead_sizes,
        *(
            tuple(getattr(v, name) for v in groups)
            for name in ("term_keys", "term_kinds", "term_counts", "term_ends", "lead_sizes")
        ),
        left, group_r, right, sums,
    )  # fmt: skip
    total_l = of_l.totals[left]
    total_r, n_tokens_r = np.empty_like(total_l), np.empty(len(right), np.float32)
    for group, own_vectors in enumerate(of_r):
        own = group_r == group
        total_r[own] = own_vectors.totals[right[own]]
        n_tokens_r[own] = own_vectors.n_tokens[right[own]]
    totals = (total_l, total_r)
    # An article without terms shares none.
    norms = [np.where(total[:, vectors.NORM] > 0, total[:, vectors.NORM], np.float32(1)) for total in totals]
    for column in (compare.DOT, compare.DOT_NAMES, compare.DOT_NUMBERS):
        # float32: what is equal may come out as 1.0000001.
        np.minimum(sums[:, column] / (norms[0] * norms[1]), np.float32(1), out=sums[:, column])
    for side, norm in enumerate(norms):
        sums[:, compare.SHARED + side] /= norm * norm

    def shares(column: int, of: int, doubt: float) -> tuple[np.ndarray, np.ndarray]:
        """Shares of l and of r; an article that has little of it is judged the less by it (`doubt`)."""
        share_l, share_r = (
            (sums[:, column + side] + np.float32(doubt / 2)) / (totals[side][:, of] + np.float32(doubt))
            for side in (0, 1)
        )
        return share_l, share_r

    names = [total[:, vectors.RARE_NAMES] - sums[:, compare.RARE_NAMES_SHARED + k]
             for k, total in enumerate(totals)]  # fmt: skip
    numbers = [total[:, vectors.RARE_NUMBERS] - sums[:, compare.RARE_NUMBERS_SHARED] for total in totals]
    names, numbers = ([np.maximum(side, np.float32(0)) for side in both] for both in (names, numbers))
    lead = shares(compare.LEAD, vectors.LEAD, LEAD_DOUBT)
    lead_facts = shares(compare.LEAD_FACTS, vectors.LEAD_FACTS, LEAD_DOUBT)
    lead_facts_in_lead = shares(compare.LEAD_FACTS_IN_LEAD, vectors.LEAD_FACTS, LEAD_DOUBT)
    repeats = shares(compare.REPEATS, vectors.REPEATS, DOUBT)
    repeats_of_both = shares(compare.REPEATED_BY_BOTH, vectors.REPEATS, DOUBT)
    repeated_facts = shares(compare.REPEATED_FACTS, vectors.REPEATED_FACTS, DOUBT)
    title_facts = shares(compare.TITLE_FACTS, vectors.TITLE_FACTS, DOUBT)
    return TermMeasures(
        cosine=sums[:, compare.DOT],
        cosine_names=_cosine(
            sums[:, compare.DOT_NAMES], total_l[:, vectors.NAMES], total_r[:, vectors.NAMES]
        ),
        cosine_numbers=_cosine(
            sums[:, compare.DOT_NUMBERS], total_l[:, vectors.NUMBERS], total_r[:, vectors.NUMBERS]
        ),
        rarity_shared=sums[:, compare.RARE_SHARED],
        high_rarity_shared=sums[:, compare.VERY_RARE_SHARED],
        rarity_of_numbers_shared=sums[:, compare.RARE_NUMBERS_SHARED],
        rarity_of_names_shared=np.maximum(
            sums[:, compare.RARE_NAMES_SHARED], sums[:, compare.RARE_NAMES_SHARED + 1]
        ),
        names_of_own_l=names[0],
        names_of_own_r=names[1],
        numbers_of_own_l=numbers[0],
        numbers_of_own_r=numbers[1],
        weight_l_in_r=sums[:, compare.SHARED],
        weight_r_in_l=sums[:, compare.SHARED + 1],
        lead_l=lead[0],
        lead_r=lead[1],
        lead_facts_l=lead_facts[0],
        lead_facts_r=lead_facts[1],
        lead_facts_in_lead_l=lead_facts_in_lead[0],
        lead_facts_in_lead_r=lead_facts_in_lead[1],
        repeats_l=repeats[0],
        repeats_r=repeats[1],
        repeats_of_both_l=repeats_of_both[0],
        repeats_of_both_r=repeats_of_both[1],
        repeated_facts_l=repeated_facts[0],
        repeated_facts_r=repeated_facts[1],
        title_facts_l=title_facts[0],
        title_facts_r=title_facts[1],
        names_l=total_l[:, vectors.NAMES],
        names_r=total_r[:, vectors.NAMES],
        numbers_l=total_l[:, vectors.NUMBERS],
        numbers_r=total_r[:, vectors.NUMBERS],
        n_tokens_l=of_l.n_tokens[left].astype(np.float32),
        n_tokens_r=n_tokens_r,
    )


def measure(
    of_l: Wording, of_r: Wording, left: np.ndarray, right: np.ndarray, terms: TermMeasures,
    days_apart: np.ndarray, same_source: np.ndarray,
) -> Measures:  # fmt: skip
    """All measures of the pairs whose term measures are `terms`; the last two arguments as in `Measures`."""
    overlaps = _overlaps(of_l, of_r, left, right)
    shared = overlaps[:, compare.SHARED_KEYS]
    # What r says in one go, l may say in pieces.
    long = np.flatnonzero(overlaps[:, compare.LONGEST_RUN] >= LONG_RUN)
    long = long[np.argsort(right[long], kind="stable")]
    overlaps[long] = np.minimum(overlaps[long], _overlaps(of_r, of_l, right[long], left[long]))
    bigrams = np.empty((len(left), compare.N_BIGRAM_SUMS), np.float32)
    compare.bigram_sums(
        of_l.bigram_keys, of_l.bigram_weights, of_l.bigram_terms, of_l.bigram_tells, of_l.bigram_ends,
        of_r.bigram_keys, of_r.bigram_weights, of_r.bigram_terms, of_r.bigram_tells, of_r.bigram_ends,
        left, right, bigrams,
    )  # fmt: skip
    n_l, n_r = (np.diff(v.shingle_ends, prepend=0)[rows] for v, rows in ((of_l, left), (of_r, right)))
    return Measures(
        **{f.name: getattr(terms, f.name) for f in fields(TermMeasures)},
        # Terms and bigrams side by side, each space normalised: the cosine of the joint rows is the mean.
        cosine_bigrams=np.minimum((terms.cosine + bigrams[:, compare.DOT_BIGRAMS]) / 2, np.float32(1)),
        jaccard=_share(shared, n_l + n_r - shared),
        containment_l_in_r=_share(shared, n_l),
        containment_r_in_l=_share(shared, n_r),
        longest_run=overlaps[:, compare.LONGEST_RUN].astype(np.int32),
        quoted=overlaps[:, compare.QUOTED].astype(np.int32),
        facts_replaced=bigrams[:, compare.FACTS],
        places_replaced=bigrams[:, compare.PLACES],
        days_apart=days_apart.astype(np.float32),
        same_source=same_source.astype(np.float32),
    )


def _overlaps(of_l: Wording, of_r: Wording, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """int64 (n_pairs, 3), as by `compare.overlaps`; pairs ascending by left."""
    out = np.empty((len(left), 3), np.int64)
    compare.overlaps(
        of_l.shingle_keys, of_l.shingle_ends, of_r.shingle_keys, of_r.shingle_ends, left, right, out
    )
    return out


def _cosine(dot: np.ndarray, square_l: np.ndarray, square_r: np.ndarray) -> np.ndarray:
    """Cosine within a subspace; 0 where a side has nothing in it."""
    norms = np.sqrt(square_l * square_r)
    found = np.divide(dot, norms, out=np.zeros_like(dot), where=norms > 0)
    return np.asarray(np.minimum(found, np.float32(1)))


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.asarray(part / np.maximum(whole, 1), np.float32)


TERM_FEATURES = (
    "cosine", "cosine_names", "cosine_numbers", "names_above_wording", "numbers_above_wording",
    "weight_shared_most", "weight_shared_least", "length_ratio", "log_length", "weight_of_names",
    "rarity_shared", "high_rarity_shared", "rarity_of_names_shared", "rarity_of_numbers_shared",
    "names_of_own", "numbers_of_own", "lead_least", "lead_most", "lead_facts_least", "lead_facts_most",
    "lead_facts_in_lead_least", "lead_facts_in_lead_most", "repeats_least", "repeats_most",
    "repeats_of_both_least", "repeats_of_both_most", "repeated_facts_least", "repeated_facts_most",
    "title_facts_least", "title_facts_most",
)  # fmt: skip
# Shares that are told of both sides: the feature is the least and the most of them.
_BOTH_SIDES = (
    "lead", "lead_facts", "lead_facts_in_lead", "repeats", "repeats_of_both", "repeated_facts", "title_facts"
)  # fmt: skip
FEATURES = (
    *TERM_FEATURES, "cosine_bigrams", "root_jaccard", "root_containment_of_shorter",
    "root_containment_of_longer", "longest_run", "facts_replaced", "days_late", "same_source",
)  # fmt: skip
# What speaks against a pair the more there is of it, and what may do either; all else speaks for it.
_AGAINST = ("names_of_own", "numbers_of_own", "facts_replaced", "days_late", "same_source")
_EITHER = ("weight_of_names",)
# How far a curve may fall, in log-odds. All dated pairs that the rule is fitted on as the same lie within two
# days, and next to none of the rewrites are of one source: that is how they were collected. Days change the
# odds by 20 to 1 at most (docs/decisions/0104), one source by 3 to 1 (0105).
MOST_FALLS = {"days_late": math.log(20), "same_source": math.log(3)}


def directions(names: Sequence[str]) -> tuple[int, ...]:
    """Of each feature: 1 where more of it speaks for a pair, -1 where it speaks against it, 0 for neither."""
    return tuple(-1 if name in _AGAINST else 0 if name in _EITHER else 1 for name in names)


def term_features(m: TermMeasures) -> np.ndarray:
    """What the screen weighs, float64 (n, len(TERM_FEATURES)), the same for (l, r) as for (r, l).

    Names and numbers are lent the cosine of the space around them, in the measure that the articles have
    few of them (`LENT`).
    """
    wording = m.cosine.astype(np.float64)
    names = _lend(m.cosine_names, np.sqrt(m.names_l * m.names_r), wording)
    numbers = _lend(m.cosine_numbers, np.sqrt(m.numbers_l * m.numbers_r), names)
    weights = (m.weight_l_in_r, m.weight_r_in_l)
    shorter = np.minimum(m.n_tokens_l, m.n_tokens_r)
    longer = np.maximum(np.maximum(m.n_tokens_l, m.n_tokens_r), 1)
    columns = (
        wording, names, numbers, names - wording, numbers - wording, np.maximum(*weights),
        np.minimum(*weights), shorter / longer, np.log1p(shorter), np.sqrt(np.minimum(m.names_l, m.names_r)),
        np.log1p(m.rarity_shared), np.log1p(m.high_rarity_shared), np.log1p(m.rarity_of_names_shared),
        np.log1p(m.rarity_of_numbers_shared), np.log1p(np.minimum(m.names_of_own_l, m.names_of_own_r)),
        np.log1p(np.minimum(m.numbers_of_own_l, m.numbers_of_own_r)),
        *(
            choose(getattr(m, f"{name}_l"), getattr(m, f"{name}_r"))
            for name in _BOTH_SIDES for choose in (np.minimum, np.maximum)
        ),
    )  # fmt: skip
    return np.column_stack([np.asarray(c, np.float64) for c in columns])


def features(m: Measures) -> np.ndarray:
    """What the rule weighs, float64 (n, len(FEATURES)): the term features, the wording's, date and source.

    They are the same for (l, r) as for (r, l).
    """
    contained = np.maximum(m.containment_l_in_r, m.containment_r_in_l)
    contains = np.minimum(m.containment_l_in_r, m.containment_r_in_l)
    is_unquoted = m.quoted < MUCH_QUOTED
    late = np.clip(np.nan_to_num(m.days_apart) - FRESH_DAYS, 0, MOST_DAYS) * is_unquoted
    run = np.log(np.maximum(m.longest_run, LONG_RUN))
    replaced = m.facts_replaced / (m.facts_replaced + m.places_replaced + PLACE_DOUBT)
    columns = (
        m.cosine_bigrams, np.sqrt(m.jaccard), np.sqrt(contained), np.sqrt(contains), run, replaced,
        np.log1p(late), np.nan_to_num(m.same_source) * is_unquoted,
    )  # fmt: skip
    return np.column_stack([term_features(m), *(np.asarray(c, np.float64) for c in columns)])


def _lend(cosine: np.ndarray, weight: np.ndarray, around: np.ndarray) -> np.ndarray:
    return np.asarray((cosine * weight + LENT * around) / (weight + LENT), np.float64)
