"""Measures the sections stage on the development benchmark, and fits the rule for parts anew.

    python -m benchmarks.sections QUALITY/dev

Prints where each kind of page is found with a probability of a half or more, out of fold (folds by story),
on how many single articles the rule sees a second version, and the coefficients that were fitted on all.
"""

from __future__ import annotations

import random
import sys
import zlib
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.linear_model import LogisticRegression

from pipeline.bags import bag
from pipeline.section_parts import COEFFICIENTS, INTERCEPT, MIN_PART_TOKENS, score_boundaries, weigh_page
from pipeline.section_terms import Rarity
from pipeline.terms import TermCounter, TermStatistics, bits_for, with_prior
from pipeline.text import keep
from pipeline.tokens import buffers, tokenise

FOLDS = 5
ORDINARY, PER_SET, PER_KIND = ("bbc", "fnc", "wikinews", "reuters", "l2r"), 700, 60
VERSIONS = ("two_versions_headline_spun", "two_versions_light", "three_versions", "doubled_verbatim")
TOLD_TWICE, TOLD_APART = (
    ("l2r.rewrite", "adj.respun", "story.heavy"),
    ("neg.same_topic", "neg.adj_same_topic"),
)

Example = tuple[str, str, int, str]  # kind, story, where the second version begins (-1: nowhere), text


def rarity_of(texts: list[str]) -> Rarity:
    counter = TermCounter(bits_for(sum(map(len, texts))))
    for k in range(0, len(texts), 2000):
        counter.add(*bag(keep(tokenise(None, pa.array(texts[k : k + 2000])))))
    return Rarity.of(with_prior(counter.result()))


def examples(dev: Path) -> list[Example]:
    """Pages, pairs of articles set one after the other, and single articles."""
    second = {row["id"]: row["begin"] for row in pq.read_table(dev / "page_spans.parquet").to_pylist()
              if row["occurrence"] == 1}  # fmt: skip
    found = [(p["kind"], p["article_id"].split("/")[1], second.get(p["article_id"], -1), p["text"])
             for p in pq.read_table(dev / "pages.parquet").to_pylist()]  # fmt: skip
    articles = pq.read_table(dev / "articles.parquet", columns=["article_id", "text"]).to_pylist()
    text_of = {a["article_id"]: a["text"] for a in articles}
    draw = random.Random(5)
    for name in ORDINARY:
        ids = sorted(i for i in text_of if i.startswith(f"{name}/") and 1000 < len(text_of[i]) < 40_000)
        found += [(f"single.{name}", i, -1, text_of[i]) for i in draw.sample(ids, min(PER_SET, len(ids)))]
    taken: Counter[str] = Counter()
    for pair in pq.read_table(dev / "pairs.parquet").to_pylist():
        left, right, kind = text_of[pair["id_a"]], text_of[pair["id_b"]], pair["kind"]
        is_taken = (kind in TOLD_TWICE and pair["label"] == 1) or kind in TOLD_APART
        if is_taken and min(len(left), len(right)) > 700 and taken[kind] < PER_KIND:
            taken[kind] += 1
            at = len(left) + 2 if kind in TOLD_TWICE else -1
            story = pair["id_a"].split("/")[1] if pair["id_a"].startswith("story/") else pair["id_a"]
            found.append((f"pair.{kind}", story, at, f"{left}\n\n{right}"))
    return found


def boundaries(text: str, rarity: Rarity) -> tuple[np.ndarray, np.ndarray]:
    """Evidence of each boundary that can be one, and its place in code points."""
    texts = pa.array([text])
    tokens = tokenise(None, texts)
    data, offsets = buffers(texts)
    page = weigh_page(data[offsets[0] : offsets[1]], tokens.terms, tokens.flags, tokens.begin, tokens.end,
                      tokens.line, rarity)  # fmt: skip
    score, evidence = score_boundaries(page)
    units = np.flatnonzero(np.isfinite(score))
    body = text.encode()
    places = [len(body[: tokens.begin[page.starts[u]]].decode()) for u in units]
    return evidence[units], np.array(places, np.int64)


def fit(rows: list[tuple[Example, np.ndarray, np.ndarray]]) -> np.ndarray:
    """Coefficients, then the intercept; the second versions weigh three times a boundary within a story."""
    evidence, labels = [], []
    for (kind, _, second, _), found, places in rows:
        if second >= 0 and kind.split(".")[0] not in (*VERSIONS, "pair"):
            continue
        if kind.startswith("single") and len(found) and found[:, 0].max() > 6:
            continue  # does repeat itself
        chosen = np.abs(places - second) < 60 if second >= 0 else np.ones(len(places), bool)
        evidence.append(found[chosen])
        labels += [second >= 0] * int(chosen.sum())
    x, y = np.concatenate(evidence).astype(np.float64), np.array(labels)
    mean, spread = x.mean(axis=0), x.std(axis=0)
    model = LogisticRegression().fit((x - mean) / spread, y, np.where(y, 3.0, 1.0))
    coefficients = model.coef_[0] / spread
    return np.append(coefficients, model.intercept_[0] - coefficients @ mean)


def main(dev: Path) -> None:
    """Print the table and the coefficients."""
    every = examples(dev)
    articles = pq.read_table(dev / "articles.parquet", columns=["text"]).column(0).to_pylist()
    pages = [text for kind, _, _, text in every if not kind.startswith(("single", "pair"))]
    rarities = {"all articles": rarity_of(articles), "pages": rarity_of(pages),
            "alone": Rarity.of(with_prior(TermStatistics.empty(16)))}  # fmt: skip
    rows = [(example, name, *boundaries(example[3], rarity))
            for name, rarity in rarities.items() for example in every
            if len(tokenise(None, pa.array([example[3]])).terms) >= 2 * MIN_PART_TOKENS]  # fmt: skip
    fold = [zlib.crc32(example[1].encode()) % FOLDS for example, *_ in rows]
    rules = [
        fit([(r[0], r[2], r[3]) for r, f in zip(rows, fold, strict=True) if f != k]) for k in range(FOLDS)
    ]
    counts: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    for (example, name, evidence, _), k in zip(rows, fold, strict=True):
        best = (evidence @ rules[k][:-1] + rules[k][-1]).max() if len(evidence) else -np.inf
        counts[name, example[0]][0] += bool(best >= 0)
        counts[name, example[0]][1] += 1
    for (name, kind), (seen, n) in sorted(counts.items()):
        print(f"{name:14} {kind:32} second version seen in {seen}/{n}")
    print("fitted  ", np.round(fit([(r[0], r[2], r[3]) for r in rows]), 2))
    print("in force", np.round(np.append(COEFFICIENTS, INTERCEPT), 2))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
