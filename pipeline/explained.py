"""What `explain` and `compare` found out about two articles: results only, of plain Python values.

The two are `a` and `b`, in the order in which they were asked for. `dataclasses.asdict` gives the JSON.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Article:
    """One of the two: its article_id or path, and what was counted. Tokens of furniture are left out of all
    comparisons. `cluster_id` is None outside of a run.
    """

    name: str
    title: str | None
    source: str | None
    n_tokens: int
    n_furniture_tokens: int
    cluster_id: str | None


@dataclass(frozen=True)
class View:
    """How one view sees the pair. `estimate` of the resemblance, 0..1, `minimum` below which it is dropped.

    `shared_bands` of `bands` are equal. `finds`: a band is equal and the estimate reaches the minimum.
    """

    name: str
    estimate: float
    minimum: float
    shared_bands: int
    bands: int
    finds: bool


@dataclass(frozen=True)
class Term:
    """A term of one or both articles, as first spelt. `kind`: name, number or word.

    `rarity` is ln((1 + articles) / (1 + articles that hold it)). `share` 0..1: of a shared term, of the
    cosine over all terms; of a term that one article has alone, of that article's squared weight.
    """

    text: str
    kind: str
    rarity: float
    share: float


@dataclass(frozen=True)
class Fact:
    """A name or number in a passage: code points [begin, end) of the passage's text.

    `in_other`: the other article has it, wherever.
    """

    begin: int
    end: int
    kind: str
    in_other: bool


@dataclass(frozen=True)
class Passage:
    """Neighbouring pieces of the two articles: `same`, word for word, or else what stands between.

    A text is "" where that side says nothing in between; " (...) " stands for furniture that was left out.
    """

    same: bool
    n_tokens_a: int
    n_tokens_b: int
    text_a: str
    text_b: str
    facts_a: tuple[Fact, ...]
    facts_b: tuple[Fact, ...]


@dataclass(frozen=True)
class Alignment:
    """The two articles side by side, title first. `n_tokens_left_out` of the ends of very long ones.

    `is_coarse`: more may be the same, the two repeat themselves too much to look for all of it.
    """

    passages: tuple[Passage, ...]
    n_tokens_same: int
    n_tokens_left_out: int
    is_coarse: bool


@dataclass(frozen=True)
class Contribution:
    """What one feature of the rule adds to the log-odds, and the feature's value."""

    feature: str
    value: float
    log_odds: float


@dataclass(frozen=True)
class Waterfall:
    """From the intercept to the total. by_rule = 1 / (1 + exp(-total)), total = intercept + contributions.

    `contributions` come largest first, by their amount. `probability` is what counts: `by_rule`, or 1 where
    the bodies are equal and long enough to leave no doubt, or next to 0 where an article is too short to be
    called reworded.
    """

    intercept: float
    contributions: tuple[Contribution, ...]
    total: float
    by_rule: float
    probability: float
    threshold: float


@dataclass(frozen=True)
class Screen:
    """What the screen said, by the terms alone. Equal bodies pass in any case."""

    probability: float
    threshold: float
    passes: bool


@dataclass(frozen=True)
class Link:
    """A confirmed pair on the way from a to b."""

    article_id_from: str
    article_id_to: str
    relation: str
    probability: float


@dataclass(frozen=True)
class Explanation:
    """Why two articles are, or are not, in one cluster.

    `verdict`: confirmed; below_threshold; screened; not_found, when no view found the pair; not_compared,
    when only the size of its buckets kept a run from it. `found_by`: reprint, respun, both, or "".
    `measures` as in confirmed_pairs, the containments by a and b; `longest_run` and `quoted` count shingles.
    `relation` is what a confirmed pair like this has, `relation_rule` the rule that gave it. `is_one_cluster`
    and `path` are None outside of a run, `path` is empty when the two are in different clusters.
    `shared_terms` come by their share, largest first, as do the names and numbers that each has alone.
    """

    run_id: str | None
    a: Article
    b: Article
    verdict: str
    is_one_cluster: bool | None
    path: tuple[Link, ...] | None
    found_by: str
    views: tuple[View, ...]
    screen: Screen
    measures: dict[str, float]
    longest_run: int
    quoted: int
    relation: str
    relation_rule: str
    waterfall: Waterfall
    shared_terms: tuple[Term, ...]
    alone_a: tuple[Term, ...]
    alone_b: tuple[Term, ...]
    alignment: Alignment
    notes: tuple[str, ...]
