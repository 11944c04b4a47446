"""The stages of a run, one by one: the calls of each, from what the stages before it left.

Which follows which is written in `job`, and for an index in `index_stages`; the latter's own stages are there
too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline import (
    candidates,
    confirm,
    report_texts,
    reread,
    screen,
    sections,
    signatures,
    table_checks,
    text,
)
from pipeline.array_files import ArrayFiles
from pipeline.config import Config
from pipeline.executor import Call, Stage, StageRunner
from pipeline.index_segments import OpenIndex
from pipeline.index_stages import OLD_GROUPS
from pipeline.report_files import REPORT
from pipeline.reread import Reread
from pipeline.shards import MAX_GROUPS, ShardGroup, Shards, group_shards, slices, texts_of
from pipeline.staged import Counted, Staged, Weighed
from pipeline.tables import Ref, ref_rows

TABLES = "tables"  # folder of the tables before they are published
# Fewer candidate pairs take a call of "screen", and then one of "confirm", no longer than its beginning.
_PAIRS_A_CALL = 20_000


def own_groups(shards: Shards, index: OpenIndex | None = None) -> list[ShardGroup]:
    """The groups of a run's own articles."""
    return group_shards(shards.articles, MAX_GROUPS - OLD_GROUPS if index else MAX_GROUPS)


def text_stage(groups: Sequence[ShardGroup], shards: Shards, work: Path) -> Stage[Ref]:
    """The tokens of groups of these shards."""
    calls = [(group, own, work) for group, own in zip(groups, texts_of(groups, shards.texts), strict=True)]
    return Stage("text", text.tokenise_group, calls, ref_rows)


def sign_stage(counted: Counted, config: Config, work: Path) -> Stage[signatures.Signatures]:
    """The signatures and weights of counted groups."""
    calls = [
        (group, kept, bags, counted.furniture, counted.statistics, config, work)
        for group, kept, bags in zip(counted.groups, counted.tokens, counted.bags, strict=True)
    ]
    return Stage("signatures", signatures.sign, calls, lambda s: s.articles.rows, counted.tokens)


def band_stage(
    signed: tuple[signatures.Signatures, ...], config: Config, run: StageRunner, work: Path
) -> list[candidates.BandPairs]:
    """The candidate pairs of all bands."""
    calls = [(signed, part, MAX_GROUPS, config, work) for part in range(MAX_GROUPS) if signed]
    return run.map("candidates", candidates.find_in_bands, calls, rows=lambda b: b.pairs.rows)


def screen_stage(
    pairs: Ref, signed: tuple[signatures.Signed, ...], config: Config, run: StageRunner, work: Path
) -> list[Ref]:
    """The candidate pairs that the screen leaves."""
    n_calls = min(MAX_GROUPS, max(1, pairs.rows // _PAIRS_A_CALL))
    calls = [(pairs, begin, end, signed, config, work) for begin, end in slices(pairs.rows, n_calls)]
    return run.map("screen", screen.screen_slice, calls, rows=ref_rows)


def wording_calls(staged: Counted, screened: Sequence[Ref], config: Config, work: Path) -> list[Call]:
    """The arguments of `wording.write_group` for each group of shards."""
    return [
        (group, tokens, staged.furniture, staged.statistics, tuple(screened), config, work)
        for group, tokens in zip(staged.groups, staged.tokens, strict=True)
    ]


def reread_stage(staged: Staged, screened: Sequence[Ref], config: Config, work: Path) -> Stage[Reread]:
    """The texts of the articles that are looked at once more, and their wording."""
    calls = [
        (
            group, staged.texts, scanned, signed.lines, staged.furniture, staged.statistics, tuple(screened),
            config, work,
        )
        for group, scanned, signed in zip(staged.groups, staged.scanned, staged.signed, strict=True)
    ]  # fmt: skip
    return Stage("wording", reread.reread_group, calls, lambda r: r.worded.n_articles)


def confirm_stage(
    screened: Sequence[Ref], signed: tuple[signatures.Signed, ...], worded: Sequence[ArrayFiles],
    config: Config, work: Path,
) -> Stage[Ref]:  # fmt: skip
    """The pairs, judged."""
    calls = [(part, signed, tuple(worded), config, work) for part in screened]
    return Stage("confirm", confirm.confirm_part, calls, ref_rows)


def sections_stage(staged: Staged, chosen: Sequence[Ref], config: Config, work: Path) -> Stage[Ref]:
    """The repeated sections, of the texts that were read again."""
    calls = [
        (group.number, own, scanned, staged.statistics, config, work)
        for group, own, scanned in zip(staged.groups, chosen, staged.scanned, strict=True)
    ]
    return Stage("sections", sections.find_in_group, calls, ref_rows)


def report_stages(
    staged: Weighed, chosen: Sequence[Ref], runs: Path, config: Config, work: Path, with_index: bool
) -> list[Stage[Ref]]:
    """The stages that write the report's texts; without calls for a report without texts."""
    tables, n_texts = work / TABLES, config.report.max_texts
    how = (staged.furniture, staged.statistics, tables, runs, n_texts, config, tables / REPORT, work)
    has_texts = config.report.write and config.keep_texts and bool(n_texts)
    lots = report_texts.lots(chosen, n_texts) if has_texts else []
    own = Stage("report", report_texts.write_texts, [(lot, *how) for lot in lots], ref_rows)
    if not with_index:
        return [own]
    earlier = [(len(staged.groups), *how, report_texts.EARLIER_BYTES)] * has_texts
    return [own, Stage("report-earlier", report_texts.write_earlier_texts, earlier, ref_rows)]


def n_articles(files: ArrayFiles) -> int:
    """Articles whose arrays a call wrote."""
    return files.n_articles


def lot_rows(lot: Mapping[str, Ref]) -> int:
    """Rows of the tables that a call wrote."""
    return sum(ref.rows for ref in lot.values())


def checked_rows(checked: Mapping[str, table_checks.CheckedTable]) -> int:
    """Rows of the tables that a call checked."""
    return sum(table.ref.rows for table in checked.values())
