"""Build data/sample from the stories: `python data/build_sample.py`. See data/sample/README.md.

The stories are used as written. Made here: copies, trimmed reprints, a page that holds two versions of its
story, a round-up that quotes three stories, the fixed lines of two sites, and the labels of all pairs.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa

from pipeline.tables import atomic_file, write_parquet

DATA = Path(__file__).resolve().parent
N_FOLDS = 5
ISO_UTC = "%Y-%m-%dT%H:%M:%SZ"

COPIED = {
    "A01": "westcountyreader.example",
    "A04": "morningfold.example",
    "B02": "westcountyreader.example",
    "B08": "morningfold.example",
}
TRIMMED = {
    "A01": "clickpulse.example",
    "A02": "infostream24.example",
    "A06": "clickpulse.example",
    "B03": "clickpulse.example",
    "B07": "infostream24.example",
}
TWO_VERSIONS = "A03"
ROUND_UP = ("A05", "B01", "B06")

# What the two sites put under each of their pages.
FIXED_LINES = {
    "clickpulse.example": (
        "YOU MAY ALSO LIKE", "12 kitchen drawers that will make you feel better about yours", "Leave a Reply",
        "Your email address will not be published. Required fields are marked *",
    ),
    "infostream24.example": (
        "Share this: Facebook X WhatsApp Telegram Email",
        "Subscribe to the InfoStream24 newsletter and never miss a headline again",
    ),
}  # fmt: skip

ARTICLES = pa.schema([
    ("article_id", pa.string()), ("source", pa.string()), ("url", pa.string()), ("title", pa.string()),
    ("published_at", pa.timestamp("us", tz="UTC")), ("text", pa.string()),
])  # fmt: skip
PAIRS = pa.schema([
    ("id_a", pa.string()), ("id_b", pa.string()), ("label", pa.int64()), ("kind", pa.string()),
    ("fold", pa.int64()),
])  # fmt: skip
GROUPS = pa.schema([("id", pa.string()), ("set", pa.string()), ("group", pa.string())])


@dataclass(frozen=True)
class Article:
    """One version of a story on one site, as in data/stories."""

    story: str
    variant: str
    site: str
    title: str
    published_at: str
    text: str

    @property
    def article_id(self) -> str:
        """The sample's identifier."""
        return f"story/{self.story}/{self.variant}"


def read_stories() -> list[Article]:
    """The hand-written articles, unchanged."""
    lines = [
        line
        for name in ("A", "B")
        for line in (DATA / "stories" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    return [Article(**json.loads(line)) for line in lines]


def make_articles() -> list[Article]:
    """The collection, by time of publication."""
    written = read_stories()
    found = {(article.story, article.variant): article for article in written}
    made = [
        replace(found[story, "source"], variant="copy", site=site, published_at=_later(found, story, 5))
        for story, site in COPIED.items()
    ]
    made += [_trimmed(found, story, site) for story, site in TRIMMED.items()]
    made += [_two_versions(found, TWO_VERSIONS), _round_up(found)]
    return sorted(
        (_with_fixed_lines(article) for article in written + made),
        key=lambda article: (article.published_at, article.article_id),
    )


def label_of(a: str, b: str) -> tuple[int, str]:
    """Label (1 must be found, 0 must not, -1 not counted) and kind of two versions of one story.

    The page counts as found with the versions it holds word for word; it doesn't with their rewrites.
    """
    pair = {"source" if variant == "copy" else variant for variant in (a, b)}
    for other_event, kind in (("same_topic", "neg.same_topic"), ("same_template", "neg.same_template")):
        if other_event in pair:
            return 0, kind
    if pair == {"source"}:
        return 1, "sample.exact"
    if pair == {"source", "trimmed"}:
        return 1, "sample.reprint"
    if "page" in pair:
        return (1, "sample.page") if pair <= {"page", "source", "light"} else (-1, "sample.page_other")
    if pair == {"source", "excerpt"}:
        return 1, "story.excerpt"
    if pair == {"farm_a", "farm_b"}:
        return 1, "story.headline_spun"
    if pair <= {"source", "light", "heavy"}:
        return 1, "story.heavy" if "heavy" in pair else "story.light"
    return -1, "neutral.followup" if "followup" in pair else "story.loose"


def make_pairs(articles: list[Article]) -> list[dict[str, object]]:
    """The labelled pairs, ids in order; pairs of different stories must not be found and are not listed."""
    stories = sorted({article.story for article in articles})
    rows = []
    for a, b in itertools.combinations(sorted(articles, key=lambda article: article.article_id), 2):
        if a.story == b.story:
            label, kind = label_of(a.variant, b.variant)
        elif b.variant == "roundup" and a.story in ROUND_UP:
            quoted = a.variant in {"source", "copy"}
            label, kind = (1, "sample.excerpt") if quoted else (-1, "sample.excerpt_other")
        else:
            continue
        rows.append(
            {
                "id_a": a.article_id,
                "id_b": b.article_id,
                "label": label,
                "kind": kind,
                "fold": stories.index(a.story) % N_FOLDS,
            }
        )
    return rows


def second_version(article: Article) -> int:
    """Where the second version begins in the page of two, in code points."""
    return article.text.index("BREAKING: ")


def build(folder: Path) -> None:
    """Write the sample's files to `folder`."""
    articles = make_articles()
    rows = [_row(article) for article in articles]
    table = pa.Table.from_pylist(rows, schema=ARTICLES)
    write_parquet(folder / "articles.parquet", ARTICLES, table)
    with atomic_file(folder / "articles.jsonl") as file:
        for row in rows:
            plain = row | {"published_at": f"{row['published_at']:{ISO_UTC}}"}
            file.write(f"{json.dumps(plain, ensure_ascii=False)}\n".encode())
    write_parquet(folder / "pairs.parquet", PAIRS, pa.Table.from_pylist(make_pairs(articles), schema=PAIRS))
    groups = [{"id": a.article_id, "set": "story", "group": a.story} for a in articles]
    write_parquet(folder / "groups.parquet", GROUPS, pa.Table.from_pylist(groups, schema=GROUPS))


def _row(article: Article) -> dict[str, object]:
    return {
        "article_id": article.article_id,
        "source": article.site,
        "url": f"https://{article.site}/{article.story.lower()}/{article.variant}",
        "title": article.title,
        "published_at": datetime.fromisoformat(article.published_at),
        "text": article.text,
    }


def _later(found: dict[tuple[str, str], Article], story: str, hours: int) -> str:
    began = datetime.fromisoformat(found[story, "source"].published_at)
    return f"{began + timedelta(hours=hours):{ISO_UTC}}"


def _with_fixed_lines(article: Article) -> Article:
    lines = FIXED_LINES.get(article.site, ())
    return replace(article, text="\n\n".join((article.text, *lines)))


def _trimmed(found: dict[tuple[str, str], Article], story: str, site: str) -> Article:
    """The source without its last two paragraphs, under another headline."""
    source = found[story, "source"]
    text = "\n\n".join(source.text.split("\n\n")[:-2])
    title = source.title.split(", ")[0].split(";")[0]
    return replace(
        source,
        variant="trimmed",
        site=site,
        title=f"{title} - full story",
        text=text,
        published_at=_later(found, story, 7),
    )


def _two_versions(found: dict[tuple[str, str], Article], story: str) -> Article:
    """One page with the source and, under the comment form, its light rewrite."""
    source, light = found[story, "source"], found[story, "light"]
    parts = (source.text, *FIXED_LINES["clickpulse.example"], f"BREAKING: {light.title}", light.text)
    return replace(
        source,
        variant="page",
        site="newsmill.example",
        text="\n\n".join(parts),
        published_at=_later(found, story, 9),
    )


def _round_up(found: dict[tuple[str, str], Article]) -> Article:
    """A page with the first two paragraphs of three stories: excerpts that must not tie these together."""
    sources = [found[story, "source"] for story in ROUND_UP]
    parts = ["\n\n".join((source.title, *source.text.split("\n\n")[:2])) for source in sources]
    return Article(
        "roundup",
        "roundup",
        "morningfold.example",
        "The morning fold: three to start with",
        "2026-08-07T05:00:00Z",
        "\n\n".join(parts),
    )


if __name__ == "__main__":
    build(DATA / "sample")
