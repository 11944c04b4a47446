"""The run as a table of contents: which stage follows which, written once, whoever executes the calls.

Stages exchange Refs (path, rows, bytes, digest) and small numbers, never texts or arrays. Each works on at
most MAX_GROUPS groups of shards, so that a run has under a hundred calls.
"""

from __future__ import annotations

import itertools
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path

from pipeline import (
    articles,
    assemble,
    candidate_recall,
    candidates,
    clusters,
    confirm,
    explain,
    furniture,
    manifest,
    publish,
    published,
    screen,
    sections,
    signatures,
    table_checks,
    terms,
    text,
    wording,
)
from pipeline.array_files import ArrayFiles
from pipeline.config import Config
from pipeline.errors import RespunError, RunError
from pipeline.executor import Call, Executor, Listener, Stage, StageReport, StageRunner
from pipeline.explained import Explanation
from pipeline.rule import load_rule
from pipeline.scratch import LOG, scratch_folder
from pipeline.shards import MAX_GROUPS, ShardGroup, group_shards
from pipeline.tables import Ref, read_batches, write_ipc

TABLES = "tables"  # folder of the tables before they are published


@dataclass(frozen=True)
class Outcome:
    """A published run: its id, its folder under `<output>/runs/`, and how each stage went."""

    run_id: str
    run_dir: Path
    stages: tuple[StageReport, ...]


def run_job(
    inputs: Sequence[str], output: Path, config: Config, execute: Executor, listen: Listener
) -> Outcome:
    """Cluster the articles of `inputs` and publish the tables under `output`.

    Raises ConfigError, InputError or OutputError when the run can't begin, RunError when it can't be
    finished; what was published before stays valid in any case.
    """
    units = check_run(inputs, output, config)
    run_id = manifest.run_id(datetime.now(UTC), config, units)
    stages = StageRunner(execute, listen)
    with scratch_folder(output, run_id) as work:
        try:
            run_dir = _run_stages(units, output, run_id, config, stages, work)
        except RespunError as error:
            if error.exit_code != RunError.exit_code:
                raise
            raise _failure(error, stages.current, work) from error
        except Exception as error:
            raise _failure(error, stages.current, work) from error
    return Outcome(run_id, run_dir, tuple(stages.reports))


def check_run(inputs: Sequence[str], output: Path, config: Config) -> list[articles.InputUnit]:
    """Find out whether a run can begin, without reading a text. Returns what there is to read.

    Raises ConfigError, InputError or OutputError.
    """
    load_rule(config.calibration)
    units = articles.plan_inputs(inputs, config)
    publish.check_output(output)
    return units


@dataclass(frozen=True)
class Weighed:
    """Where the run stands when every article is signed and its terms are weighed."""

    accepted: articles.ArticlesResult
    groups: tuple[ShardGroup, ...]
    tokens: tuple[Ref, ...]
    furniture: Ref
    statistics: Ref
    signed: tuple[signatures.Signed, ...]


@dataclass(frozen=True)
class Staged(Weighed):
    """Where the run stands when the candidate pairs are known."""

    bands: tuple[candidates.BandPairs, ...]
    pairs: Ref


@dataclass(frozen=True)
class Counted:
    """Where the run stands when the terms are counted; a bag, and tokens, for each group."""

    groups: tuple[ShardGroup, ...]
    tokens: tuple[Ref, ...]
    furniture: Ref
    bags: tuple[terms.Counted, ...]
    statistics: Ref


def weighing_stages(
    units: Sequence[articles.InputUnit], config: Config, run: StageRunner, work: Path
) -> Weighed:
    """The stages from the input files to the weights of the terms."""
    read = run.map(
        "read", articles.read_unit, [(unit, config, work) for unit in units], rows=lambda r: r.n_input_rows
    )
    accepted = run.call("number", articles.number, read, config, work, rows=lambda r: r.n_accepted)
    counted = term_stages(accepted.shards, accepted.text_bytes, config, run, work)
    signed = run.map(
        "signatures",
        signatures.sign,
        [
            (group, kept, bags.bags, counted.furniture, counted.statistics, config, work)
            for group, kept, bags in zip(counted.groups, counted.tokens, counted.bags, strict=True)
        ],
        rows=lambda s: s.articles.rows,
    )
    return Weighed(
        accepted, counted.groups, counted.tokens, counted.furniture, counted.statistics, tuple(signed)
    )


def candidate_stages(
    units: Sequence[articles.InputUnit], config: Config, run: StageRunner, work: Path
) -> Staged:
    """The stages from the input files to the candidate pairs."""
    weighed = weighing_stages(units, config, run, work)
    bands = run.map(
        "candidates",
        candidates.find_in_bands,
        [(weighed.signed, part, MAX_GROUPS, config, work) for part in range(MAX_GROUPS)],
        rows=lambda b: b.pairs.rows,
    )
    pairs = run.call("candidates-merge", candidates.merge, bands, work, rows=ref_rows)
    before = {field.name: getattr(weighed, field.name) for field in fields(Weighed)}
    return Staged(**before, bands=tuple(bands), pairs=pairs)


def term_stages(
    shards: Sequence[Ref], text_bytes: int, config: Config, run: StageRunner, work: Path
) -> Counted:
    """The stages from the accepted articles to the counts of their terms."""
    groups = group_shards(shards, MAX_GROUPS)
    kept = run.map("text", text.tokenise_group, [(g, work) for g in groups], rows=ref_rows)
    both = list(zip(groups, kept, strict=True))
    lines = run.map("furniture", furniture.count, [(*b, config, work) for b in both], rows=ref_rows)
    masked = run.call("furniture-merge", furniture.merge, lines, config, work, rows=ref_rows)
    bits = terms.bits_for(text_bytes)
    counts = run.map(
        "terms",
        terms.count,
        [(*b, masked, bits, config, work) for b in both],
        rows=lambda c: c.statistics.rows,
    )
    statistics = run.call("terms-merge", terms.merge, counts, work, rows=ref_rows)
    return Counted(tuple(groups), tuple(kept), masked, tuple(counts), statistics)


def explain_articles(run_dir: Path, id_a: str, id_b: str, execute: Executor, listen: Listener) -> Explanation:
    """Why two articles of a published run are, or are not, in one cluster.

    `run_dir` is the run's folder, or an output folder, whose current run it is then. The terms of the run's
    texts are counted again. Raises InputError, OutputError or ConfigError when the run can't be asked.
    """
    run = published.open_run(publish.find_run(run_dir))
    asked = run.find(id_a, id_b)
    with tempfile.TemporaryDirectory(prefix="respun-") as folder:
        work = Path(folder)
        shards = articles.write_shards(run.articles(), work / "articles", "explained")
        return _explain(asked, shards, run.config, execute, listen, work)


def explain_files(path_a: Path, path_b: Path, execute: Executor, listen: Listener) -> Explanation:
    """What `explain_articles` says, of two text files, as if these were the whole collection.

    Raises InputError when a file can't be read or holds no text.
    """
    config = Config()
    asked = published.read_two(path_a, path_b, config)
    with tempfile.TemporaryDirectory(prefix="respun-") as folder:
        work = Path(folder)
        shard = write_ipc(work / "articles" / "explained.arrow", asked.pair.schema, [asked.pair])
        return _explain(asked, [shard], config, execute, listen, work)


def _explain(
    asked: explain.Asked, shards: Sequence[Ref], config: Config, execute: Executor, listen: Listener,
    work: Path,
) -> Explanation:  # fmt: skip
    text_bytes = sum(articles.text_bytes(batch) for ref in shards for batch in read_batches(ref.path))
    counted = term_stages(shards, text_bytes, config, StageRunner(execute, listen), work)
    return explain.explain(asked, counted.furniture, counted.statistics, config, work / "pair")


def _run_stages(
    units: Sequence[articles.InputUnit], output: Path, run_id: str, config: Config, run: StageRunner,
    work: Path,
) -> Path:  # fmt: skip
    """The stages in their order. Returns the folder of the published run."""
    staged = candidate_stages(units, config, run, work)
    screened = run.map(
        "screen",
        screen.screen_slice,
        [(staged.pairs, begin, end, staged.signed, config, work) for begin, end in slices(staged.pairs.rows)],
        rows=ref_rows,
    )
    worded = run.map(
        "wording", wording.write_group, wording_calls(staged, screened, config, work), rows=n_articles
    )
    judged = run.map(
        "confirm",
        confirm.confirm_part,
        [(part, staged.signed, tuple(worded), config, work) for part in screened],
        rows=ref_rows,
    )
    shards = staged.accepted.shards
    texts, repeated, grouped, recall = run.together(
        Stage("keep-texts", assemble.write_texts, [(shards, work / TABLES)] * config.keep_texts, lot_rows),
        Stage(
            "sections",
            sections.find_in_shards,
            [
                (group, kept, staged.statistics, config, work)
                for group, kept in zip(staged.groups, staged.tokens, strict=True)
            ],
            ref_rows,
        ),
        Stage("clusters", clusters.cluster, [(judged, shards, config, work)], ref_rows),
        Stage(
            "candidate-recall",
            candidate_recall.estimate,
            [(tuple(judged), staged.signed, staged.statistics, config)],
            lambda found: found.n_sampled,
        ),
    )
    found = assemble.Found(
        shards, staged.accepted.rejected, staged.signed, tuple(worded), tuple(judged), grouped[0],
        tuple(repeated),
    )  # fmt: skip
    written = run.map(
        "tables",
        assemble.write_tables,
        [(found, names, config, work / TABLES) for names in assemble.lots(config)],
        rows=lot_rows,
    )
    tables = {name: ref for lot in (*texts, *written) for name, ref in lot.items()}
    checked = run.map(
        "check",
        table_checks.check,
        [(tables, names) for names in table_checks.lots(tables)],
        rows=lambda found: sum(table.ref.rows for table in found.values()),
    )
    whole = {name: table for lot in checked for name, table in lot.items()}
    return run.call(
        "publish",
        publish.publish,
        output, run_id, config, units, staged, tuple(judged), recall[0], whole, tuple(run.reports),
        rows=lambda _: staged.accepted.n_accepted,
    )  # fmt: skip


def wording_calls(staged: Weighed, screened: Sequence[Ref], config: Config, work: Path) -> list[Call]:
    """The arguments of `wording.write_group` for each group of shards."""
    return [
        (group, tokens, staged.furniture, staged.statistics, tuple(screened), config, work)
        for group, tokens in zip(staged.groups, staged.tokens, strict=True)
    ]


def n_articles(files: ArrayFiles) -> int:
    """Articles whose arrays a call wrote."""
    return files.n_articles


def slices(n_rows: int, n_slices: int = MAX_GROUPS) -> list[tuple[int, int]]:
    """Cut [0, n_rows) into at most `n_slices` half-open ranges of about the same length, none empty."""
    edges = [n_rows * i // n_slices for i in range(n_slices + 1)]
    return [(begin, end) for begin, end in itertools.pairwise(edges) if begin < end]


def ref_rows(ref: Ref) -> int:
    """Rows of the file that a call wrote."""
    return ref.rows


def lot_rows(lot: Mapping[str, Ref]) -> int:
    """Rows of the tables that a call wrote."""
    return sum(ref.rows for ref in lot.values())


def _failure(error: Exception, stage: str, work: Path) -> RunError:
    """Write the traceback to the run's log; the error names the stage, the cause and the log."""
    log = work / LOG
    cause = str(error) if isinstance(error, RespunError) else f"{type(error).__name__}: {error}"
    try:
        with log.open("a", encoding="utf-8") as file:
            file.write(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} stage {stage} failed\n")
            file.writelines(traceback.format_exception(error))
    except OSError as unwritable:  # a full disk may be why the stage failed
        return RunError(f"stage {stage}: {cause} (log can't be written: {unwritable.strerror})")
    return RunError(f"stage {stage}: {cause} (log: {log})")
