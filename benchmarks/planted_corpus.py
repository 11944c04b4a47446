"""Makes a large collection with planted near-duplicates, the same for everyone who is measured on it.

Articles of about 4 KB are put together from real newswire paragraphs; a tenth are variants of another one.
Deterministic: the same source articles and the same N give the same collection.

    python -m benchmarks.planted_corpus N FOLDER [--articles PARQUET]
"""

from __future__ import annotations

import argparse
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

ARTICLES = Path("../shared/quality/dev/articles.parquet")
SOURCE_SET = "reuters/"  # the one set with thousands of articles of even quality
SEED = 20261123
MAX_HALF_SHARED = 500

# How often each kind of variant is drawn.
KINDS = (
    ["exact"] * 2 + ["light"] * 4 + ["boiler"] * 4 + ["reorder"] * 2 + ["medium"] * 3 + ["truncate"] * 2
    + ["respin"] * 3
)  # fmt: skip
EDITED_WORDS = {"light": (0.003, 0.012), "medium": (0.02, 0.05), "respin": (0.10, 0.18)}
ONE_WIRE_STORY = 40  # one story is printed this many times more


@dataclass
class Planted:
    """Articles as lists of paragraphs; `cluster` is -1 for those that are nobody's variant."""

    articles: list[list[str]] = field(default_factory=list)
    cluster: list[int] = field(default_factory=list)
    kind: list[str] = field(default_factory=list)

    def add(self, paragraphs: list[str], cluster: int, kind: str) -> None:
        """Append one article."""
        self.articles.append(paragraphs)
        self.cluster.append(cluster)
        self.kind.append(kind)


class Writer:
    """Draws paragraphs and edits them; all randomness comes from one generator, in one order."""

    def __init__(self, stories: list[list[str]]) -> None:
        self.random = random.Random(SEED)
        self.stories = stories
        self._places = [(s, p) for s, story in enumerate(stories) for p in range(len(story))]
        self._words = sorted(
            {w.lower() for story in stories for p in story for w in re.findall(r"[A-Za-z]{4,}", p)}
        )

    def base(self) -> list[str]:
        """An article of 3,000 to 5,000 characters, of runs of one to three paragraphs."""
        target = self.random.uniform(3000, 5000)
        paragraphs: list[str] = []
        length = 0
        while length < target:
            story, place = self._places[self.random.randrange(len(self._places))]
            run = self.random.choice((1, 1, 2, 2, 3))
            for paragraph in self.stories[story][place : place + run]:
                paragraphs.append(paragraph)
                length += len(paragraph)
        return paragraphs

    def edit_words(self, paragraphs: list[str], share: float) -> list[str]:
        """Replace (60 %), drop (20 %) or follow (20 %) `share` of the words by random ones."""
        edited = []
        for paragraph in paragraphs:
            kept: list[str] = []
            for word in paragraph.split(" "):
                if self.random.random() >= share:
                    kept.append(word)
                    continue
                dice = self.random.random()
                if dice < 0.6:
                    kept.append(self.random.choice(self._words))
                elif dice >= 0.8:
                    kept += [word, self.random.choice(self._words)]
            edited.append(" ".join(kept))
        return edited

    def variant(self, paragraphs: list[str], kind: str) -> list[str]:
        """One of KINDS of an article."""
        if kind in EDITED_WORDS:
            return self.edit_words(list(paragraphs), self.random.uniform(*EDITED_WORDS[kind]))
        if kind == "reorder":
            shuffled = list(paragraphs)
            self.random.shuffle(shuffled)
            return shuffled
        if kind == "truncate":
            return paragraphs[: max(3, int(len(paragraphs) * self.random.uniform(0.55, 0.75)))]
        if kind == "boiler":
            site = random.Random(self.random.randrange(20))
            lines = [self.stories[site.randrange(len(self.stories))][0] for _ in range(3)]
            return [lines[0], *paragraphs, *lines[1:]]
        return list(paragraphs)

    def repeat_inside(self, paragraphs: list[str]) -> list[str]:
        """Append two of the article's own paragraphs, half of the time lightly edited."""
        start = self.random.randrange(0, max(1, len(paragraphs) - 3))
        section = paragraphs[start : start + 2]
        verbatim = self.random.random() < 0.5
        return paragraphs + (section if verbatim else self.edit_words(section, 0.03))


def make_corpus(n_articles: int, folder: Path, articles: Path = ARTICLES) -> None:
    """Write corpus.parquet (id, text) and planted.parquet (id, planted_cluster, kind) to `folder`."""
    writer = Writer(list(_stories(articles)))
    planted = _plant(writer, n_articles)
    order = list(range(len(planted.articles)))
    writer.random.shuffle(order)
    ids = [f"a{number:06d}" for number in range(len(order))]
    texts = ["\n\n".join(planted.articles[place]) for place in order]
    labels = {
        "id": ids,
        "planted_cluster": [planted.cluster[place] for place in order],
        "kind": [planted.kind[place] for place in order],
    }
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(labels), folder / "planted.parquet")
    pq.write_table(pa.table({"id": ids, "text": texts}), folder / "corpus.parquet", row_group_size=5000)


def _plant(writer: Writer, n_articles: int) -> Planted:
    planted = Planted()
    draw = writer.random
    n_variants = n_articles // 10
    sizes = [ONE_WIRE_STORY] if n_variants >= 100 else []
    while sum(sizes) < n_variants:
        sizes.append(min(draw.choice((1, 1, 1, 1, 2, 2, 3, 5)), n_variants - sum(sizes)))
    for cluster, size in enumerate(sizes):
        source = writer.base()
        planted.add(source, cluster, "source")
        for _ in range(size):
            kind = draw.choice(KINDS)
            planted.add(writer.variant(source, kind), cluster, kind)
    # Hard negatives: pairs that share half their text.
    for _ in range(min(MAX_HALF_SHARED, n_articles // 40)):
        first, second = writer.base(), writer.base()
        half = len(first) // 2
        planted.add(first, -1, "halfneg")
        planted.add(first[:half] + second[half:], -1, "halfneg")
    n_repeating = n_articles // 100
    while len(planted.articles) < n_articles:
        paragraphs = writer.base()
        if n_repeating:
            paragraphs = writer.repeat_inside(paragraphs)
            n_repeating -= 1
        planted.add(paragraphs, -1, "bg")
    return planted


def _stories(articles: Path) -> Iterator[list[str]]:
    """The paragraphs of each source article: prose, each once in the whole pool."""
    seen: set[str] = set()
    table = pq.read_table(articles, columns=["article_id", "text"]).sort_by("article_id")
    for article_id, body in zip(*(column.to_pylist() for column in table.columns), strict=True):
        if not article_id.startswith(SOURCE_SET):
            continue
        paragraphs = []
        for paragraph in _clean(body).split("\n\n"):
            prose = paragraph.strip()
            n_digits = sum(c.isdigit() for c in prose)
            if len(prose) < 60 or n_digits > 0.25 * len(prose) or prose.lower() in seen:
                continue
            seen.add(prose.lower())
            paragraphs.append(prose)
        if paragraphs:
            yield paragraphs


def _clean(body: str) -> str:
    """Undo the newswire's line breaks and indents, and drop its signature."""
    text = re.sub(r"\n\s{2,}", "\n\n", body)
    text = re.sub(r"(?<!\n)\n(?!\n)", " ", text)
    text = re.sub(r"[ \t]+", " ", text)
    return re.sub(r"\s*\bReuter\b\s*$", "", text.strip(), flags=re.IGNORECASE)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("n_articles", type=int)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--articles", type=Path, default=ARTICLES)
    arguments = parser.parse_args()
    make_corpus(arguments.n_articles, arguments.folder, arguments.articles)


if __name__ == "__main__":
    main()
