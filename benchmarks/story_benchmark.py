"""Makes a small labelled benchmark from the project's own stories, in the shape of the large one.

Each story has a source, a light spin, a heavy rewrite, two pieces spun from the headline alone, an excerpt, a
follow-up or two, another event of the same kind and, for some, an article on the same template and another
outlet's own report (`rival`): who wrote a variant knows what it is of another, so the labels follow from the
variants. `data/stories` is used where the large benchmark is absent; the rule is not fitted on
`data/held_out`, nor on `data/rewriters` and `data/forms`, whose stories are each told again by eight sorts of
rewriters, and in eight forms.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import combinations
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

REWRITERS = (
    "spinner", "roundtrip", "llm_fresh", "tabloid", "summary", "bullets", "localised", "expanded",
    "paragraph_by_paragraph", "reordered", "qa", "listicle", "newsletter", "radio", "brief", "translated",
)  # fmt: skip
# Pairs of variants of one story: label 1 must be found, 0 must not. Pairs with `same_topic` or
# `same_template` are 0 throughout; any other pair that isn't here is a matter of taste and not counted.
MUST_BE_FOUND = {
    ("light", "source"): "story.light",
    ("heavy", "source"): "story.heavy",
    ("heavy", "light"): "story.heavy",
    ("farm_a", "farm_b"): "story.headline_spun",
    ("excerpt", "source"): "story.excerpt",
    **{(min(name, "source"), max(name, "source")): f"rewriter.{name}" for name in REWRITERS},
}
OTHER_EVENT = ("same_topic", "same_template")
# What tells the source again; in the table `late` LATE_DAYS later than in `articles`, in `same_site` on the
# site of the source.
RETOLD = ("light", "heavy", "farm_a", "farm_b", "excerpt", *REWRITERS)
LATE_DAYS = 10
PAGE_GAP = "\n\n"
# Pages of several versions, all of them versions of one story; and pages without a repeat.
PAGES = {
    "doubled_verbatim": ("source", "source"),
    "two_versions_light": ("source", "light"),
    "three_versions": ("source", "light", "heavy"),
    "two_versions_headline_spun": ("farm_a", "farm_b"),
}
CLEAN_PAGES = {
    "clean.source": ("source",),
    "clean.heavy": ("heavy",),
    "clean.farm": ("farm_a",),
    "clean.two_stories_same_topic": ("source", "same_topic"),
}

Story = dict[str, dict[str, Any]]  # variant -> record


def make_story_benchmark(files: Sequence[Path], folder: Path) -> None:
    """Write articles, late, same_site, groups, pairs, pages and page_spans (Parquet) to `folder`."""
    stories: dict[str, Story] = {}
    for file in files:
        for line in file.read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            stories.setdefault(record["story"], {})[record["variant"]] = record
    ids = [(name, variant) for name, story in stories.items() for variant in story]
    pages, spans = _pages(stories)
    folder.mkdir(parents=True, exist_ok=True)
    tables = {
        "articles": [_article(name, variant, stories[name]) for name, variant in ids],
        "late": [_article(name, variant, stories[name], late=LATE_DAYS) for name, variant in ids],
        "same_site": [_article(name, variant, stories[name], same_site=True) for name, variant in ids],
        "groups": [{"id": article_id(*i), "set": "story", "group": i[0]} for i in ids],
        "pairs": [pair for name, story in stories.items() for pair in _pairs(name, story)],
        "pages": pages,
        "page_spans": spans,
    }
    for name, table in tables.items():
        pq.write_table(pa.Table.from_pylist(table), folder / f"{name}.parquet")


def article_id(story: str, variant: str) -> str:
    """The id of a story's variant."""
    return f"story/{story}/{variant}"


def _article(
    name: str, variant: str, story: Story, late: int = 0, same_site: bool = False
) -> dict[str, Any]:
    record = story[variant]
    published, site = datetime.fromisoformat(record["published_at"]), record["site"]
    if variant in RETOLD:
        published += timedelta(days=late)
        site = story["source"]["site"] if same_site else site
    return {
        "article_id": article_id(name, variant),
        "text": record["text"],
        "title": record["title"],
        "source": site,
        "published_at": published.isoformat(),
    }


def _pairs(name: str, story: Story) -> Iterator[dict[str, Any]]:
    for a, b in combinations(sorted(story), 2):
        if (a, b) in MUST_BE_FOUND:
            label, kind = 1, MUST_BE_FOUND[a, b]
        elif a in OTHER_EVENT or b in OTHER_EVENT:
            label, kind = 0, "neg.same_topic" if "same_topic" in (a, b) else "neg.same_template"
        else:
            is_next = any(variant.startswith("followup") for variant in (a, b))
            label, kind = -1, "neutral.followup" if is_next else "neutral.story"
        yield {"id_a": article_id(name, a), "id_b": article_id(name, b), "label": label, "kind": kind}


def _pages(stories: dict[str, Story]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    pages, spans = [], []
    for name, story in stories.items():
        for kind, variants in {**PAGES, **CLEAN_PAGES}.items():
            if not set(variants) <= story.keys():
                continue
            page = f"page/{name}/{kind}"
            texts = [story[variant]["text"] for variant in variants]
            pages.append({"article_id": page, "text": PAGE_GAP.join(texts), "kind": kind})
            begin = 0
            for occurrence, text in enumerate(texts if kind in PAGES else []):
                spans.append({"id": page, "occurrence": occurrence, "begin": begin, "end": begin + len(text)})
                begin += len(text) + len(PAGE_GAP)
    return pages, spans
