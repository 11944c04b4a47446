"""Counts in what share of articles common words stand, for the lists that `pipeline/common_words.py` reads.

    python -m benchmarks.common_words stories data/stories/*.jsonl > pipeline/common_words.txt
    python -m benchmarks.common_words news ../shared/quality/dev > pipeline/news_words.txt

Of stories the words of four or more are kept, so that no story's own names are among them.

Of news a word's share is the mean of its shares of the sets' articles, so that large sets don't decide alone.
Kept are words of several sets. Names, which are mostly spelt with a capital in mid-sentence, are kept only
where they are in all sets but one, as days, months and countries are. Sets that were made up, or are about a
handful of questions, are left out.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.bags import bag
from pipeline.text import keep
from pipeline.tokens import Tokens, tokenise

LEAST_STORIES, LEAST_SHARE_OF_STORIES = 4, 0.03
LEFT_OUT = ("clough", "page", "planted", "story")
# A word must stand in so many articles of a set to count as one of its words.
LEAST_ARTICLES = 2
LEAST_SHARE, LEAST_SETS = 0.01, 3


def count_stories(files: Sequence[Path]) -> list[tuple[str, float]]:
    """Words and their shares of articles, most common first, of JSONL whose rows have `story` and `text`."""
    articles: Counter[str] = Counter()
    stories: dict[str, set[str]] = defaultdict(set)
    rows = [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    for row in rows:
        for word in set(filter(str.isalpha, _words(tokenise(None, pa.array([row["text"]])), row["text"]))):
            articles[word] += 1
            stories[word].add(row["story"])
    least = LEAST_SHARE_OF_STORIES * len(rows)
    return _most_first(
        (word, n / len(rows)) for word, n in articles.items()
        if len(stories[word]) >= LEAST_STORIES and n >= least
    )  # fmt: skip


def count_news(articles: Iterable[tuple[str, str]]) -> list[tuple[str, float]]:
    """Words and their shares, most common first, of articles (set, text)."""
    n_articles: Counter[str] = Counter()
    holding: dict[str, Counter[str]] = defaultdict(Counter)
    spelling: Counter[str] = Counter()
    for name, text in articles:
        n_articles[name] += 1
        tokens = tokenise(None, pa.array([text]))
        word_of = dict(zip(tokens.terms.tolist(), _words(tokens, text), strict=True))
        own, spelt = bag(keep(tokens))
        for term, capitals in zip(own.term_keys.tolist(), spelt.tolist(), strict=True):
            if word_of[term].isalpha():
                holding[word_of[term]][name] += 1
                spelling[word_of[term]] += capitals
    kept = []
    for word, n in holding.items():
        share = sum(n[name] / n_articles[name] for name in n_articles) / len(n_articles)
        n_sets = sum(times >= LEAST_ARTICLES for times in n.values())
        if share >= LEAST_SHARE and n_sets >= (len(n_articles) - 1 if spelling[word] > 0 else LEAST_SETS):
            kept.append((word, share))
    return _most_first(kept)


def _words(tokens: Tokens, text: str) -> list[str]:
    """The tokens as they stand in the text, case folded."""
    data = text.encode()
    return [data[begin:end].decode().casefold() for begin, end in zip(tokens.begin, tokens.end, strict=True)]


def _most_first(shares: Iterable[tuple[str, float]]) -> list[tuple[str, float]]:
    return sorted(shares, key=lambda item: (-item[1], item[0]))


def _read_news(truth_dir: Path) -> Iterable[tuple[str, str]]:
    table = pq.read_table(truth_dir / "articles.parquet", columns=["article_id", "text"])
    rows = zip(table["article_id"].to_pylist(), table["text"].to_pylist(), strict=True)
    named = ((article_id.split("/")[0], text) for article_id, text in rows)
    return ((name, text) for name, text in named if name not in LEFT_OUT)


def main() -> None:
    """Print a list."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("kind", choices=("stories", "news"))
    parser.add_argument("paths", type=Path, nargs="+", metavar="PATH")
    args = parser.parse_args()
    if args.kind == "stories":
        found, digits = count_stories(args.paths), 2
    else:
        [truth_dir] = args.paths
        found, digits = count_news(_read_news(truth_dir)), 4
    print("# Word and share of articles. Written by benchmarks/common_words.py.")
    for word, share in found:
        print(f"{word} {share:.{digits}f}")


if __name__ == "__main__":
    main()
