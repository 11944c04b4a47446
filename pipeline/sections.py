"""Stages "scan" and "sections": paragraphs, headed sections and whole versions that one article repeats.

A cheap kernel looks at every article (`section_scan`); the few that can hold a repeat are worked out later,
when their texts are at hand: units that agree are chained and grouped, and a page that tells its story again
is cut into parts. Inside a part only what the same part repeats is reported.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.config import Config, SectionsConfig
from pipeline.schema import TABLES
from pipeline.section_groups import Match, chain_units, group_matches, without_covered
from pipeline.section_measures import Likeness, compare
from pipeline.section_pairs import find_runs, pair_units
from pipeline.section_parts import (
    COEFFICIENTS,
    INTERCEPT,
    MIN_PART_TOKENS,
    Page,
    find_parts,
    weigh_page,
)
from pipeline.section_scan import SECTION_TOKENS, scan, span_kinds
from pipeline.section_terms import FACT_WEIGHT, MAX_IDF, MIN_IDF, Rarity
from pipeline.section_units import lead_sections
from pipeline.shards import ShardGroup
from pipeline.tables import Ref, read_batches, read_ipc, write_ipc
from pipeline.terms import TermStatistics
from pipeline.text import KeptTokens, KeptUnits, read_units
from pipeline.tokens import Tokens, buffers, tokenise

# Rows of the articles that `scan` lets through, ascending.
SCANNED = pa.schema([("row", pa.int64())])
# More than so many matches in one article are of a list or a log; the largest are kept.
MAX_MATCHES = 500
# Distinct terms, common words apart, that two paragraphs share before they can agree: half a sentence's.
MIN_TERMS = 11


@dataclass(frozen=True)
class Occurrence:
    """One telling of a repeated section: bytes [begin, end) of its body, and how it is like the first one.

    The first occurrence is compared with the second.
    """

    group: int
    occurrence: int
    level: str
    begin: int
    end: int
    n_tokens: int
    likeness: Likeness
    digest: bytes


def scan_group(group: ShardGroup, tokens: Ref, statistics: Ref, config: Config, work: Path) -> Ref:
    """Stage "scan": the articles of a group of shards that can hold a repeat, by row (SCANNED)."""
    rarity = Rarity.of(TermStatistics.load(statistics))

    def found() -> Iterator[pa.RecordBatch]:
        row = group.first_row
        for kept, units in read_units(tokens):
            rows = np.flatnonzero(scan_batch(kept, units, rarity, config.sections)) + row
            yield pa.record_batch([pa.array(rows)], schema=SCANNED)
            row += kept.n_articles

    return write_ipc(work / f"scanned-{group.number:03d}.arrow", SCANNED, found())


def find_in_group(number: int, texts: Ref, scanned: Ref, statistics: Ref, config: Config, work: Path) -> Ref:
    """Write the repeated sections of a group of shards, in the order of the articles.

    `texts` (`reread.CHOSEN`) hold all articles of `scanned` (SCANNED).
    """
    rarity = Rarity.of(TermStatistics.load(statistics))
    rows = read_ipc(scanned.path)["row"].to_numpy()
    batches = (
        find_in_batch(batch.filter(pa.array(np.isin(batch["row"].to_numpy(), rows))), rarity, config.sections)
        for batch in read_batches(texts.path)
    )
    return write_ipc(work / f"sections-{number:03d}.arrow", TABLES["repeated_sections"], batches)


def find_in_batch(batch: pa.RecordBatch, rarity: Rarity, config: SectionsConfig) -> pa.RecordBatch:
    """Rows of repeated_sections for a batch with the columns article_id and text."""
    texts = batch.column("text")
    tokens = tokenise(None, texts)
    columns: dict[str, list[object]] = {name: [] for name in TABLES["repeated_sections"].names}
    for i, article_id in enumerate(batch.column("article_id").to_pylist()):
        _append(columns, article_id, texts[i].as_py(), find_repeats(texts, tokens, i, rarity, config))
    return pa.record_batch(columns, schema=TABLES["repeated_sections"])


def scan_batch(
    kept: KeptTokens, units: KeptUnits, rarity: Rarity, config: SectionsConfig
) -> npt.NDArray[np.uint8]:
    """1 for each article that `find_repeats` should look at, uint8 (n_articles,)."""
    out = np.zeros(kept.n_articles, np.uint8)
    scan(
        kept.terms, kept.flags, kept.indptr, kept.n_title, units.starts, units.kinds, units.indptr,
        rarity.df, rarity.of_df, (MIN_IDF, MAX_IDF, FACT_WEIGHT), COEFFICIENTS,
        (config.min_tokens, MIN_TERMS, np.float32(config.min_agreement), MIN_PART_TOKENS,
         np.float32(_log_odds(config) - INTERCEPT)), out,
    )  # fmt: skip
    return out


def find_repeats(
    texts: pa.StringArray, tokens: Tokens, i: int, rarity: Rarity, config: SectionsConfig
) -> list[Occurrence]:
    """The repeated sections of article `i` of a batch, by group, then by place."""
    data, offsets = buffers(texts)
    own = slice(int(tokens.body[i]), int(tokens.indptr[i + 1]))
    if own.stop - own.start < 2 * config.min_tokens:
        return []
    begin, end, terms = tokens.begin[own], tokens.end[own], tokens.terms[own]
    body = data[offsets[i] : offsets[i + 1]]
    page = weigh_page(body, terms, tokens.flags[own], begin, end, tokens.line[own], rarity)
    found = []
    for level, spans in _groups(page, terms, config):
        likeness = [compare(page, terms, span, spans[0]) for span in spans[1:]]
        likeness.insert(0, likeness[0])
        for k, (first, stop) in enumerate(spans):
            at, to = _widen(body, begin, end, first, stop)
            digest = hashlib.sha256(terms[first:stop].tobytes()).digest()
            found.append((level, spans[0], k, at, to, stop - first, likeness[k], digest))
    numbers = {key: n for n, key in enumerate(dict.fromkeys((row[0], row[1]) for row in found))}
    return [Occurrence(numbers[row[0], row[1]], row[2], row[0], *row[3:]) for row in found]


def _groups(
    page: Page, terms: npt.NDArray[np.uint32], config: SectionsConfig
) -> list[tuple[str, list[tuple[int, int]]]]:
    """Levels and spans of tokens of the groups: the parts, then what repeats inside one part."""
    agreement = np.float32(config.min_agreement)
    left, right, _ = pair_units(
        page.starts, page.unit_kinds, page.indptr, page.terms, page.counts, page.weights,
        config.min_tokens, MIN_TERMS, agreement,
    )  # fmt: skip
    paragraphs = np.flatnonzero((np.diff(page.starts) >= config.min_tokens) & (page.unit_kinds == 0))
    matches = chain_units(page.starts, paragraphs.astype(np.int32), left, right)
    edges = find_parts(page, left, right, _log_odds(config))
    parts = page.starts[edges].tolist()
    matches += _headed_sections(page, parts, agreement) + _runs(page, terms, config.min_tokens)
    matches = sorted(matches, key=lambda m: m.order)[:MAX_MATCHES]
    matches = [m for m in without_covered(matches) if not _is_told(m, parts)]
    groups: list[tuple[str, list[tuple[int, int]]]] = []
    if parts:
        groups.append(("part", list(itertools.pairwise(parts))))
    for is_section, spans in group_matches(matches):
        groups.append(("section" if is_section else "paragraph", spans))
    return groups


def _is_told(match: Match, parts: list[int]) -> bool:
    """Whether it matches two parts with each other, which are reported already."""
    left, right = np.searchsorted(parts, [match.begin_l, match.begin_r], "right").tolist()
    return bool(left != right)


def _headed_sections(page: Page, parts: list[int], agreement: np.float32) -> list[Match]:
    starts = np.union1d(lead_sections(page.starts, page.unit_kinds), parts).astype(np.int32)
    if len(starts) <= 3:
        return []
    sections = page.merged(starts)
    left, right, _ = pair_units(
        sections.starts, sections.unit_kinds, sections.indptr, sections.terms, sections.counts,
        sections.weights, SECTION_TOKENS, MIN_TERMS, agreement,
    )  # fmt: skip
    return [
        Match(int(starts[a]), int(starts[a + 1]), int(starts[b]), int(starts[b + 1]), is_section=True)
        for b, a in sorted(zip(right.tolist(), left.tolist(), strict=True))
    ]


def _runs(page: Page, terms: npt.NDArray[np.uint32], min_tokens: int) -> list[Match]:
    left, right, length = find_runs(terms, min_tokens)
    told = span_kinds(page.starts, page.unit_kinds, right, right + length) == 0
    return [
        Match(int(a), int(a + n), int(b), int(b + n), is_section=False)
        for a, b, n in zip(left[told], right[told], length[told], strict=True)
    ]


def _log_odds(config: SectionsConfig) -> float:
    return float(np.log(config.min_part_probability / (1 - config.min_part_probability)))


def _widen(
    body: npt.NDArray[np.uint8], begin: npt.NDArray[np.int32], end: npt.NDArray[np.int32],
    first: int, stop: int,
) -> tuple[int, int]:  # fmt: skip
    """Bytes of tokens [first, stop) with the punctuation that touches them."""
    at, floor = int(begin[first]), int(end[first - 1]) if first else 0
    while at > floor and body[at - 1] > 0x20:
        at -= 1
    if at == floor and first:  # no space between: the punctuation is of the token before
        at = int(begin[first])
    to, ceiling = int(end[stop - 1]), int(begin[stop]) if stop < len(begin) else len(body)
    while to < ceiling and body[to] > 0x20:
        to += 1
    return at, to


def _append(columns: dict[str, list[object]], article_id: str, text: str, found: list[Occurrence]) -> None:
    """Add an article's rows, with code points for bytes and an id from content for each group."""
    data = np.frombuffer(text.encode(), np.uint8)
    code_points = np.concatenate([[0], np.cumsum((data & 0xC0) != 0x80)])
    digests: dict[int, bytes] = {}
    for row in found:
        digests[row.group] = digests.get(row.group, row.level.encode()) + row.digest
    # Two groups of equal content differ by their number.
    contents = list(digests.values())
    same = {group: contents[:k].count(digest) for k, (group, digest) in enumerate(digests.items())}
    for row in found:
        key = b"\0".join([article_id.encode(), digests[row.group], b"%d" % same[row.group]])
        values = (
            article_id, hashlib.sha256(key).hexdigest()[:16], row.occurrence, row.level,
            int(code_points[row.begin]), int(code_points[row.end]), row.n_tokens,
            row.likeness.relation, row.likeness.cosine, row.likeness.jaccard,
        )  # fmt: skip
        for column, value in zip(columns.values(), values, strict=True):
            column.append(value)
