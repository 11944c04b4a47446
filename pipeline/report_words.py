"""The words that the report uses, and what each means: one place for its labels, tooltips and glossary."""

from __future__ import annotations

import unicodedata
from typing import Any

from pipeline.cluster_tables import MEMBERS_RELATIONS
from pipeline.confirm import JOIN_NO_CLUSTER, RELATED

# The table in README.md says the same (tests/test_report.py).
RELATION_MEANINGS = {
    "exact": "the same body after normalising",
    "reprint": (
        "small edits, cuts or additions: most of the shorter one's wording is in the longer one"
    ),
    "excerpt": (
        "one contains a passage of the other, or several, and is otherwise other text; such a pair joins no "
        "cluster, but the article may be in it by another pair"
    ),
    "respun": "the same story in other words",
    "related": (
        "a neighbour, such as a follow-up: names in common, another story. Joins no cluster; listed only "
        "with related_threshold"
    ),
    "indirect": (
        "of members only: the rule does not confirm the pair with the representative, other members link the "
        "two"
    ),
}  # fmt: skip
MEASURE_MEANINGS = {
    "probability": "that the two tell the same story, by the fitted rule, from all the measures; 0 to 1",
    "cosine": "how much the two say with the same words, rare words counting most: TF-IDF cosine, 0 to 1",
    "cosine of names": "the same over names and numbers alone",
    "cosine of numbers": "the same over numbers alone",
    "jaccard": "runs of words that both have, of all runs that one of them has: wording, 0 to 1",
    "left in right": "share of the left article's runs of words that the right one has, 0 to 1",
    "right in left": "share of the right article's runs of words that the left one has, 0 to 1",
    "found by": (
        "the view that made the two candidates: reprint, runs of words in common; respun, rare words, names "
        "and numbers in common"
    ),
    "weak": "a confirmed pair in the lower half of the probabilities that are confirmed",
    "only link": "a confirmed pair without which the cluster would fall into two parts",
    "representative": "the member that is most alike to all others; it stands for the cluster",
    "first": "no dated article of its cluster is earlier, and another one has a date as well",
    "later": "published after the first of its cluster, by whichever source",
    "later copy": "published after the first of its cluster, by a source that was not among the first",
    "original": "share of a source's dated articles that are no later copies",
}  # fmt: skip
# Letters of a kind that shows nothing, beside what is no letter at all.
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")


def relations() -> list[dict[str, Any]]:
    """All relations by their number, what each means, whether it joins a cluster, whether it is confirmed."""
    return [
        {"name": name, "meaning": RELATION_MEANINGS[name], "joins": number not in JOIN_NO_CLUSTER,
         "is_confirmed": number != RELATED}
        for number, name in enumerate(MEMBERS_RELATIONS)
    ]  # fmt: skip


def is_blank(text: str) -> bool:
    """Whether nothing of it can be seen: spaces, controls, characters without width."""
    return all(letter in _BLANK or unicodedata.category(letter)[0] in "ZC" for letter in text)


def heading(title: str | None, article_id: str) -> str:
    """What an article is called: its title, or its id where there is nothing to be seen of a title."""
    return article_id if title is None or is_blank(title) else title
