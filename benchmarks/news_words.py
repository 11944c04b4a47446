"""Counts in what share of articles common words stand, for `pipeline/news_words.txt`.

    python -m benchmarks.news_words ../shared/quality/dev > pipeline/news_words.txt

A word's share is the mean of its shares of the sets' articles, so that large sets don't decide alone. Kept
are words of several sets. Names, which are mostly spelt with a capital in mid-sentence, are kept only where
they are in all sets but one, as days, months and countries are. Sets that were made up, or are about a
handful of questions, are left out.
"""

from __future__ import annotations

import argparse
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.bags import bag
from pipeline.text import keep
from pipeline.tokens import tokenise

LEFT_OUT = ("clough", "page", "planted", "story")
# A word must stand in so many articles of a set to count as one of its words.
LEAST_ARTICLES = 2
LEAST_SHARE, LEAST_SETS = 0.01, 3


def count(articles: Iterable[tuple[str, str]]) -> list[tuple[str, float]]:
    """Words and their shares, most common first, of articles (set, text)."""
    n_articles: Counter[str] = Counter()
    holding: dict[str, Counter[str]] = defaultdict(Counter)
    spelling: Counter[str] = Counter()
    for name, text in articles:
        n_articles[name] += 1
        tokens = tokenise(None, pa.array([text]))
        data = text.encode()
        words = [
            data[begin:end].decode().casefold() for begin, end in zip(tokens.begin, tokens.end, strict=True)
        ]
        word_of = dict(zip(tokens.terms.tolist(), words, strict=True))
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
    return sorted(kept, key=lambda item: (-item[1], item[0]))


def main() -> None:
    """Print the list."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("truth_dir", type=Path)
    table = pq.read_table(parser.parse_args().truth_dir / "articles.parquet", columns=["article_id", "text"])
    rows = zip(table["article_id"].to_pylist(), table["text"].to_pylist(), strict=True)
    named = ((article_id.split("/")[0], text) for article_id, text in rows)
    print("# Word and share of articles. Written by benchmarks/news_words.py, read by common_words.py.")
    for word, share in count((name, text) for name, text in named if name not in LEFT_OUT):
        print(f"{word} {share:.4f}")


if __name__ == "__main__":
    main()
