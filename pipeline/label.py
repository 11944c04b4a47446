"""Pairs of a run for a person to label: doubtful ones, spread over the probabilities around the threshold."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.errors import InputError
from pipeline.evaluation_files import one_line
from pipeline.labelled_pairs import IdPair, Run, open_run

COLUMNS = (
    "label", "probability", "relation", "title_a", "title_b", "passage_a", "passage_b", "lead_a", "lead_b",
    "source_a", "source_b", "id_a", "id_b",
)  # fmt: skip
# Bins of equal width on either side of the threshold.
N_BINS = 5
# Code points of the lead, and of the sentences that a passage is made of.
LEAD_LENGTH, PASSAGE_LENGTH = 300, 500
_SENTENCE = re.compile(r"(?<=[.!?…。！？])\s+|\n+")
_WORD = re.compile(r"\w+")
_SHORT_WORD = 4  # shorter ones tell little, unless they are numbers or names


@dataclass(frozen=True)
class PairToLabel:
    """A pair, `ids[0] < ids[1]`, with what a person needs to see of both articles.

    `relation` is "" for pairs that weren't confirmed. A passage is the sentences that share most with the
    other article, in the order of the text.
    """

    ids: IdPair
    probability: float
    relation: str
    titles: tuple[str, str]
    sources: tuple[str, str]
    leads: tuple[str, str]
    passages: tuple[str, str]


@dataclass(frozen=True)
class Sample:
    """Pairs to label, in an order that tells nothing. `drawn_from` names the run's table of pairs."""

    run_id: str
    pairs: tuple[PairToLabel, ...]
    drawn_from: str
    n_below: int  # pairs under the run's threshold


def sample_pairs(run_path: Path, n: int, seed: int) -> Sample:
    """Draw at most `n` pairs of a run; the same run, `n` and `seed` give the same pairs.

    Raises InputError or OutputError when the run can't be used, has no texts or no doubtful pair.
    """
    if n < 1:
        raise InputError(f"n: must be at least 1, not {n}")
    run = open_run(run_path)
    run.read("texts", ["article_id"])
    table = "candidate_pairs" if run.has("candidate_pairs") else "confirmed_pairs"
    columns = ("article_id_l", "article_id_r", "probability")
    pairs = run.read(table, columns)
    # Null: dropped before the rule. 1: equal texts, of which nobody doubts.
    judged = pc.fill_null(pc.less(pairs["probability"], 1.0), False)
    pairs = pairs.filter(judged)
    if not pairs.num_rows:
        raise InputError(f"run {run.folder}: {table}.parquet must hold a pair whose probability is below 1")
    probability = pairs["probability"].to_numpy()
    chosen = draw(probability, run.threshold, n, np.random.default_rng(seed))
    rows = pairs.take(chosen).to_pylist()
    found = _with_texts(run, rows)
    return Sample(str(run.manifest["run_id"]), found, table, int((probability[chosen] < run.threshold).sum()))


def draw(probability: np.ndarray, threshold: float, n: int, random: np.random.Generator) -> np.ndarray:
    """Rows of at most `n` pairs int64, as many of each bin as there are, in random order.

    There are N_BINS bins of equal width from 0 to the threshold and from there to 1. What a bin lacks, the
    others give.
    """
    edges = np.unique([*np.linspace(0, threshold, N_BINS + 1), *np.linspace(threshold, 1, N_BINS + 1)])
    own = np.searchsorted(edges, probability, side="right")
    shuffled = random.permutation(len(probability))
    shuffled = shuffled[np.argsort(own[shuffled], kind="stable")]
    _, first, size = np.unique(own[shuffled], return_index=True, return_counts=True)
    # A pair's place in its bin: the pairs with the lowest places are taken.
    place = np.arange(len(shuffled)) - np.repeat(first, size)
    last = random.permutation(len(shuffled))  # of the bins that share the last place
    taken = shuffled[np.lexsort((last, place))[:n]]
    return np.asarray(random.permutation(taken))


def passage(text: str, other: str) -> str:
    """The sentences of a text that share most words with the other, names and numbers above all."""
    sentences = [one for one in _SENTENCE.split(text) if one.strip()]
    there = set(_telling(other))
    shared = [len(set(_telling(sentence)) & there) for sentence in sentences]
    kept: list[int] = []
    length = 0
    for at in sorted(range(len(sentences)), key=lambda at: (-shared[at], at)):
        if not shared[at] or (kept and length + len(sentences[at]) > PASSAGE_LENGTH):
            break
        kept.append(at)
        length += len(sentences[at])
    return " … ".join(cut(sentences[at], PASSAGE_LENGTH) for at in sorted(kept))


def cut(text: str, length: int) -> str:
    """One line of at most `length` code points."""
    line = " ".join(text[: 4 * length].split())
    return line if len(line) <= length else f"{line[: length - 1].rstrip()}…"


def sample_csv(sample: Sample) -> str:
    """The file to label: the column `label` is empty."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for pair in sample.pairs:
        shown = (*pair.titles, *pair.passages, *pair.leads, *pair.sources)
        writer.writerow(["", f"{pair.probability:.4f}", pair.relation, *map(one_line, shown), *pair.ids])
    return out.getvalue()


def _telling(text: str) -> list[str]:
    """Words that can tell a story: long ones, names, numbers; folded."""
    words = (match[0] for match in _WORD.finditer(text))
    return [word.casefold() for word in words if len(word) >= _SHORT_WORD or not word.islower()]


def _with_texts(run: Run, rows: Sequence[dict[str, Any]]) -> tuple[PairToLabel, ...]:
    both = [(row["article_id_l"], row["article_id_r"]) for row in rows]
    wanted = {one for ids in both for one in ids}
    texts = _rows_of(run, "texts", ("article_id", "text"), wanted)
    articles = _rows_of(run, "articles", ("article_id", "title", "source"), wanted)
    relations = run.rows_of("confirmed_pairs", set(both))

    def sides(table: dict[str, dict[str, Any]], column: str, ids: IdPair) -> tuple[str, str]:
        left, right = (str(table.get(one, {}).get(column) or "") for one in ids)
        return left, right

    found = []
    for ids, row in zip(both, rows, strict=True):
        left, right = sides(texts, "text", ids)
        found.append(PairToLabel(
            ids, row["probability"], relations.get(ids, {}).get("relation", ""),
            sides(articles, "title", ids), sides(articles, "source", ids),
            (cut(left, LEAD_LENGTH), cut(right, LEAD_LENGTH)), (passage(left, right), passage(right, left)),
        ))  # fmt: skip
    return tuple(found)


def _rows_of(run: Run, table: str, columns: Sequence[str], wanted: set[str]) -> dict[str, dict[str, Any]]:
    """Rows of the wanted articles, read batch by batch."""
    found: dict[str, dict[str, Any]] = {}
    with pq.ParquetFile(run.folder / f"{table}.parquet") as file:
        for batch in file.iter_batches(2_048, columns=list(columns)):
            ids = batch["article_id"].to_pylist()
            at = [k for k, one in enumerate(ids) if one in wanted]
            found |= {row["article_id"]: row for row in batch.take(at).to_pylist()}
    return found
