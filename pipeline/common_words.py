"""How common words are in news at large, for collections too small to tell by themselves.

`common_words.txt` holds English words and the share of articles they stand in, counted over the stories
that were written for this project (`data/sample`): words of four stories or more, so that no story's own
names are among them. It counts as much as PRIOR_ARTICLES articles of a collection, nothing in a large one.

    python -m pipeline.common_words STORIES.jsonl ... > pipeline/common_words.txt
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from functools import cache
from importlib import resources

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.terms import TermStatistics
from pipeline.tokens import tokenise

# From 100 to 1,000 the pages found differ by one of 20, on the 220 pages of the development benchmark as on one
# page alone; without it a page alone has no idf at all.
PRIOR_ARTICLES = 300.0
_MIN_STORIES, _MIN_SHARE = 4, 0.03


@cache
def _hashes() -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.float64]]:
    """Term hashes of the kept words and their shares of articles."""
    lines = resources.files("pipeline").joinpath("common_words.txt").read_text(encoding="utf-8").splitlines()
    rows = [line.split() for line in lines if line and not line.startswith("#")]
    terms = tokenise(None, pa.array(["\n".join(word for word, _ in rows)])).terms
    return terms, np.array([float(share) for _, share in rows])


def rarity(statistics: TermStatistics) -> npt.NDArray[np.float32]:
    """ln((1 + n) / (1 + df)) per bucket, float32 like `statistics.df`, with PRIOR_ARTICLES of news added."""
    df = 1.0 + statistics.df
    terms, shares = _hashes()
    buckets = terms & np.uint32(len(df) - 1)
    df[buckets] = np.maximum(df[buckets], 1.0 + statistics.df[buckets] + PRIOR_ARTICLES * shares)
    return np.log((1.0 + statistics.n_articles + PRIOR_ARTICLES) / df).astype(np.float32)


def count(paths: list[str]) -> list[tuple[str, float]]:
    """Words and their shares of articles, most common first. Rows need `story` and `text`."""
    articles: dict[str, int] = defaultdict(int)
    stories: dict[str, set[str]] = defaultdict(set)
    n = 0
    for path in paths:
        with open(path, encoding="utf-8") as file:
            for row in map(json.loads, file):
                n += 1
                for word in _words(row["text"]):
                    articles[word] += 1
                    stories[word].add(row["story"])
    kept = [(word, times / n) for word, times in articles.items()
            if len(stories[word]) >= _MIN_STORIES and times >= _MIN_SHARE * n]  # fmt: skip
    return sorted(kept, key=lambda item: (-item[1], item[0]))


def _words(text: str) -> set[str]:
    tokens = tokenise(None, pa.array([text]))
    data = text.encode()
    words = {data[b:e].decode().casefold() for b, e in zip(tokens.begin, tokens.end, strict=True)}
    return {word for word in words if word.isalpha()}


if __name__ == "__main__":
    print("# Word and share of articles. See common_words.py, which writes and reads this file.")
    for word, share in count(sys.argv[1:]):
        print(f"{word} {share:.2f}")
