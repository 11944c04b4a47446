"""Makes a large collection of made-up news, dated and from many sources, with planted near-duplicates.

    python -m benchmarks.collection N_ARTICLES FOLDER [--mix hot] [--seed 1]

Writes `articles.parquet` and `truth.parquet`: what each planted article is of which story. Everything about
an article follows from the seed, N_ARTICLES and its row, so that articles stream: 10 million take no more
memory than 10 thousand, but for eight bytes a planted story. Words and sentences:
benchmarks/made_words.py; how they are spelt: benchmarks/spelling.py.
"""

from __future__ import annotations

import argparse
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import gcd
from pathlib import Path
from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.made_words import N_TOPICS, compose, headline, mix, reword, share
from benchmarks.spelling import CLASS_SHIFT, MARK, PARAGRAPH, SPECIAL, spell_out
from pipeline.arrays import I64, U8

U64s = npt.NDArray[np.uint64]

BATCH = 2_048
N_SOURCES = 300
# The most frequent topic has an article in 110. How alike the stories of a topic are (`made_words`) was set
# by trial; 30,000 articles have 3.2 candidate pairs each, the development benchmark of that size 7.9.
TOPIC_HEAD = 20.0
SPAN_DAYS = 400
FIRST_DAY = np.datetime64("2025-10-01", "us")
# Articles of one story, the source included.
MOST_VARIANTS = 8
ENORMOUS_WORDS = 150_000

KINDS = (
    "plain", "source", "copy", "edited", "trimmed", "excerpt", "light", "heavy", "spun", "wire", "template",
    "near_empty", "enormous",
)  # fmt: skip
(
    PLAIN, SOURCE, COPY, EDITED, TRIMMED, EXCERPT, LIGHT, HEAVY, SPUN, WIRE, TEMPLATE, NEAR_EMPTY, ENORMOUS
) = range(len(KINDS))  # fmt: skip
# How often each kind of variant is planted, of 100.
VARIANTS = np.repeat(
    np.array([COPY, EDITED, TRIMMED, EXCERPT, LIGHT, HEAVY, SPUN], np.int8), (22, 18, 14, 10, 16, 12, 8)
)


@dataclass(frozen=True)
class Mix:
    """Shares of the collection, 0..1, and the most articles that one hot story or template ever has."""

    planted: float = 0.12
    wire: float = 0.005
    most_wire: int = 5_000
    template: float = 0.005
    most_template: int = 2_000
    near_empty: float = 0.01
    enormous: float = 2e-6


# Of a million articles: 50,000 copies of one wire story, 20,000 pages of one template, 100,000 near-empty.
MIXES = {"news": Mix(), "hot": Mix(0.12, 0.05, 50_000, 0.02, 20_000, 0.1)}


class Plan:
    """Which article is what. Rows are scattered over the slots of the plan by a fixed stride."""

    def __init__(self, n_articles: int, mix_: Mix, seed: int) -> None:
        self.n = n_articles
        self.seed = np.uint64(seed)
        rng = np.random.default_rng(seed)
        stride = int(n_articles * 0.6180339887) | 1
        while gcd(stride, n_articles) > 1:
            stride += 1
        self._stride, self._offset = stride, n_articles // 3
        self._wires = _hot_sizes(int(mix_.wire * n_articles), mix_.most_wire)
        self._templates = _hot_sizes(int(mix_.template * n_articles), mix_.most_template)
        sizes = 1 + np.minimum(rng.geometric(0.55, int(mix_.planted * n_articles) // 2 + 1), MOST_VARIANTS)
        ends = np.cumsum(sizes)
        self._story_ends = ends[: np.searchsorted(ends, int(mix_.planted * n_articles), "right")]
        n_planted = int(self._story_ends[-1]) if len(self._story_ends) else 0
        counts = [
            int(self._wires.sum()), int(self._templates.sum()), int(mix_.near_empty * n_articles),
            int(np.ceil(mix_.enormous * n_articles)), n_planted,
        ]  # fmt: skip
        self._part_ends = np.cumsum(counts)

    def rows(self, begin: int, end: int) -> dict[str, npt.NDArray[Any]]:
        """`kind` int8, `story` int64 (-1 for plain ones) and `own`, a hash uint64, of rows [begin, end)."""
        row = np.arange(begin, end, dtype=np.int64)
        slot = (row * self._stride + self._offset) % self.n
        own = mix_all(slot.astype(np.uint64), self.seed)
        part = np.searchsorted(self._part_ends, slot, "right")
        inside = slot - np.concatenate(([0], self._part_ends))[part]
        kind = np.array([WIRE, TEMPLATE, NEAR_EMPTY, ENORMOUS, SOURCE, PLAIN], np.int8)[part]
        story = np.full(len(row), -1, np.int64)
        # Numbers of stories: planted ones first, then wires, then templates.
        n_stories = len(self._story_ends)
        planted = part == 4
        story[planted] = np.searchsorted(self._story_ends, inside[planted], "right")
        first = np.concatenate(([0], self._story_ends))[story[planted]]
        variant = VARIANTS[(own[planted] % np.uint64(len(VARIANTS))).astype(np.int64)]
        kind[planted] = np.where(inside[planted] == first, SOURCE, variant)
        for hot, sizes, before in ((0, self._wires, 0), (1, self._templates, len(self._wires))):
            chosen = part == hot
            number = np.searchsorted(np.cumsum(sizes), inside[chosen], "right")
            story[chosen] = n_stories + before + number
        return {"kind": kind, "story": story, "own": own}


def _hot_sizes(n: int, most: int) -> npt.NDArray[np.int64]:
    """Sizes of hot stories, n in all: the largest takes half of them, but not more than `most`, and so on."""
    sizes = []
    while n > 20:
        sizes.append(min(most, (n + 1) // 2))
        n -= sizes[-1]
    return np.array(sizes, np.int64)


def mix_all(values: U64s, seed: np.uint64) -> U64s:
    """`made_words.mix` of each value."""
    out = np.empty_like(values)
    _mix_all(values, seed, out)
    return out


@nb.njit(nb.void(nb.uint64[::1], nb.uint64, nb.uint64[::1]), cache=True, nogil=True)
def _mix_all(values, seed, out):  # type: ignore[no-untyped-def]
    for i in range(len(values)):
        out[i] = mix(values[i], seed)


@nb.njit(nb.int64(nb.uint32[::1], nb.int64, nb.float64), cache=True, nogil=True)
def _cut(codes, n, part):  # type: ignore[no-untyped-def]
    """The length of the first paragraphs that make up `part` (0..1) of codes[:n]."""
    for i in range(np.int64(n * part), n):
        if codes[i] == np.uint32((MARK << CLASS_SHIFT) | PARAGRAPH):
            return i + 1
    return n


@nb.njit(nb.int64(nb.int64, nb.int64, U8, nb.int64), cache=True, nogil=True)
def _furniture(source, place, text, n):  # type: ignore[no-untyped-def]
    """Appends a source's lines: up to two above the text (`place` 0), four below; returns the length."""
    site = mix(np.uint64(source), np.uint64(21 + place))
    codes = np.empty(200, np.uint32)
    for line in range(np.int64(site % np.uint64(3 + 2 * place))):
        seed = mix(site, np.uint64(line))
        length = headline(seed, seed, np.int64(seed % np.uint64(N_TOPICS)), codes)
        n = spell_out(codes, length, text, n)
        text[n], text[n + 1] = np.uint8(10), np.uint8(10)
        n += 2
    return n


@nb.njit(
    nb.void(nb.int8[::1], nb.uint64[::1], nb.uint64[::1], I64, I64, U8, I64, U8, I64), cache=True, nogil=True
)
def _write(kinds, stories, own, topics, sources, text, text_ends, title, title_ends):  # type: ignore[no-untyped-def]
    """Titles and texts of a batch as UTF-8. `stories`: a seed each, the article's own where it has none."""
    room = 0
    for i in range(len(kinds)):
        room = max(room, ENORMOUS_WORDS if kinds[i] == ENORMOUS else 1_500)
    codes, edited = np.empty(2 * room + 2_000, np.uint32), np.empty(4 * room + 4_000, np.uint32)
    n_text = n_title = 0
    none = np.uint64(0)
    for i in range(len(kinds)):
        kind, story, topic, telling = kinds[i], stories[i], topics[i], own[i]
        # Most articles have 500 to 1,100 words, about 4 KB; a variant is as long as its source.
        length = 470 + np.int64(700 * share(mix(story, np.uint64(11))) ** 1.5)
        n_text = _furniture(sources[i], 0, text, n_text)
        first = n_text
        if kind == NEAR_EMPTY:
            n = compose(
                telling, telling, topic, np.int64(mix(telling, np.uint64(12)) % np.uint64(3)), codes, 0
            )
        elif kind == ENORMOUS:
            n = compose(story, telling, topic, ENORMOUS_WORDS, codes, 0)
        elif kind in (PLAIN, SPUN):
            n = compose(story, telling, topic, length, codes, 0)
        elif kind == EXCERPT:
            n = compose(telling, telling, topic, length, codes, 0)
        elif kind == TEMPLATE:
            n = compose(story, story, topic, 160 + length // 4, codes, 0)
        else:
            n = compose(story, story, topic, length, codes, 0)
        final = codes
        if kind == EDITED:
            n = reword(codes, n, telling, topic, 0.02, 0.01, 0.0, 0.0, edited)
            final = edited
        elif kind == TEMPLATE:
            n = reword(codes, n, telling, topic, 0.0, 1.0, 0.0, 0.0, edited)
            final = edited
        elif kind == LIGHT:
            n = reword(codes, n, telling, topic, 0.3, 0.04, 0.03, 0.1, edited)
            final = edited
        elif kind == HEAVY:
            n = reword(codes, n, telling, topic, 0.75, 0.25, 0.25, 0.9, edited)
            n = compose(story, telling, topic, length // 3, edited, n)
            final = edited
        elif kind == TRIMMED:
            n = _cut(codes, n, 0.55 + 0.35 * share(mix(telling, np.uint64(13))))
        elif kind == EXCERPT:
            whole = compose(story, story, topic, length, edited, 0)
            quoted = _cut(edited, whole, 0.2)
            codes[n : n + quoted] = edited[:quoted]
            n += quoted
        n_text = spell_out(final, n, text, n_text)
        if n_text > first:
            text[n_text], text[n_text + 1] = np.uint8(10), np.uint8(10)
            n_text += 2
        text_ends[i] = n_text = _furniture(sources[i], 1, text, n_text)
        told_by = story if kind in (COPY, EDITED, WIRE) and mix(telling, none) % np.uint64(4) else telling
        n = headline(story, told_by, topic, codes)
        # Headlines come without the full stop.
        n_title = spell_out(codes, n - 1, title, n_title)
        title_ends[i] = n_title


class Writer:
    """Writes the rows of a plan as Arrow batches."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._names = pa.array([f"{_site(i)}.example" for i in range(N_SOURCES)])

    def batch(self, begin: int, end: int) -> tuple[pa.RecordBatch, pa.RecordBatch]:
        """Articles and truth of the rows [begin, end)."""
        known = self._plan.rows(begin, end)
        kind, story, own = known["kind"], known["story"], known["own"]
        seed = np.where(
            story < 0, own, mix_all((story + 1).astype(np.uint64), self._plan.seed + np.uint64(1))
        )
        topics = _zipf(_shares(seed, 31), N_TOPICS, TOPIC_HEAD)
        sources = _zipf(_shares(own, 32), N_SOURCES, 1.0)
        n = end - begin
        room = int(np.where(kind == ENORMOUS, 12 * ENORMOUS_WORDS, 0).sum()) + n * 24_000
        text, title = np.empty(room, np.uint8), np.empty(n * 400, np.uint8)
        text_ends, title_ends = np.empty(n, np.int64), np.empty(n, np.int64)
        _write(kind, seed, own, topics, sources, text, text_ends, title, title_ends)
        names = self._names.take(pa.array(sources))
        day = (SPAN_DAYS * _shares(seed, 33) * 86_400).astype(np.int64)
        lag = np.where(story < 0, 0, np.exp(12 * _shares(own, 34)).astype(np.int64))
        when = FIRST_DAY + (day + lag) * np.timedelta64(1_000_000, "us")
        ids = pa.array([f"a{row:08d}" for row in range(begin, end)])
        urls = pa.compute.binary_join_element_wise("https:/", names, ids, "/")
        columns = [ids, names, urls, _strings(title, title_ends), pa.array(when), _strings(text, text_ends)]
        is_planted = pa.array(kind != PLAIN)
        truth = [ids.filter(is_planted), pa.array(story[kind != PLAIN]),
                 pa.array(KINDS).take(pa.array(kind[kind != PLAIN]))]  # fmt: skip
        return (
            pa.record_batch(columns, names=["article_id", "source", "url", "title", "published_at", "text"]),
            pa.record_batch(truth, names=["article_id", "story", "kind"]),
        )


def _shares(seeds: U64s, salt: int) -> npt.NDArray[np.float64]:
    """A number, 0 <= x < 1, of each seed."""
    return (mix_all(seeds, np.uint64(salt)) >> np.uint64(11)).astype(np.float64) / 2.0**53


def _zipf(shares: npt.NDArray[np.float64], n: int, head: float) -> npt.NDArray[np.int64]:
    """`made_words.zipf` of numbers 0..1."""
    return (head * ((n + head) / head) ** shares - head).astype(np.int64)


def _strings(data: npt.NDArray[np.uint8], ends: npt.NDArray[np.int64]) -> pa.StringArray:
    offsets = np.concatenate((np.zeros(1, np.int32), ends.astype(np.int32)))
    return pa.StringArray.from_buffers(
        len(ends), pa.py_buffer(offsets), pa.py_buffer(data[: ends[-1]].copy())
    )


def _site(number: int) -> str:
    codes = np.array([(SPECIAL << CLASS_SHIFT) + 977 * number], np.uint32)
    out = np.empty(64, np.uint8)
    return out[: spell_out(codes, 1, out, 0)].tobytes().decode().lower()


def batches(plan: Plan) -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch]]:
    """All articles of a plan with their truth, in order, made by two threads."""
    writer = Writer(plan)
    with ThreadPoolExecutor(2) as pool:
        waiting: deque[Any] = deque()
        for begin in range(0, plan.n, BATCH):
            waiting.append(pool.submit(writer.batch, begin, min(begin + BATCH, plan.n)))
            if len(waiting) > 3:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def make_collection(n_articles: int, folder: Path, mix_: Mix = MIXES["news"], seed: int = 1) -> None:
    """Write articles.parquet and truth.parquet (article_id, story, kind) to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    plan = Plan(n_articles, mix_, seed)
    articles = truth = None
    try:
        for some, known in batches(plan):
            if articles is None:
                articles = pq.ParquetWriter(
                    folder / "articles.parquet", some.schema, compression="zstd", compression_level=1,
                    use_dictionary=["source"],
                )  # fmt: skip
                truth = pq.ParquetWriter(folder / "truth.parquet", known.schema, compression="zstd")
            articles.write_batch(some, row_group_size=BATCH)
            truth.write_batch(known)
    finally:
        for writer in (articles, truth):
            if writer is not None:
                writer.close()


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("n_articles", type=int)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--mix", choices=sorted(MIXES), default="news")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    make_collection(options.n_articles, options.folder, MIXES[options.mix], options.seed)


if __name__ == "__main__":
    main()
