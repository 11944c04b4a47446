"""The run as a table of contents: which stage follows which, written once, whoever executes the calls.

Stages exchange Refs (path, rows, bytes, digest) and small numbers, never texts or arrays. Each works on at
most MAX_GROUPS groups of shards, so that a run has under a hundred calls.
"""

from __future__ import annotations

import itertools
import tempfile
import traceback
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipeline import (
    articles,
    assemble,
    candidates,
    clusters,
    confirm,
    explain,
    furniture,
    index_candidates,
    index_clusters,
    index_recall,
    index_recognise,
    index_run,
    index_write,
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
from pipeline.executor import Call, Executor, Listener, StageReport, StageRunner
from pipeline.explained import Explanation
from pipeline.index_run import IndexRun, check_index, held_index
from pipeline.index_segments import N_PARTS, OpenIndex
from pipeline.rule import load_rule
from pipeline.scratch import LOG, scratch_folder
from pipeline.shards import MAX_GROUPS, ShardGroup, group_shards
from pipeline.tables import Ref, read_batches, write_ipc

# Groups of recalled articles; the new ones have the rest of MAX_GROUPS.
OLD_GROUPS = 2
TABLES = "tables"  # folder of the tables before they are published


@dataclass(frozen=True)
class Outcome:
    """A published run: its id, its folder under `<output>/runs/`, and how each stage went."""

    run_id: str
    run_dir: Path
    stages: tuple[StageReport, ...]


def run_job(
    inputs: Sequence[str], output: Path, config: Config, execute: Executor, listen: Listener,
    index: str | None = None,
) -> Outcome:  # fmt: skip
    """Cluster the articles of `inputs` and publish the tables under `output`.

    `index`: a folder or address of past nights, which the articles are matched against and then join. Raises ConfigError, InputError or OutputError when the run can't begin, RunError when it can't be
    finished; what was published before stays valid in any case.
    """
    units = check_run(inputs, output, config, index)
    run_id = manifest.run_id(datetime.now(UTC), config, units)
    stages = StageRunner(execute, listen)
    with scratch_folder(output, run_id) as work:
        try:
            with held_index(index, run_id, config, work) if index else nullcontext() as held:
                run_dir = _run_stages(units, output, run_id, config, stages, work, held)
        except RespunError as error:
            if error.exit_code != RunError.exit_code:
                raise
            raise _failure(error, stages.current, work) from error
        except Exception as error:
            raise _failure(error, stages.current, work) from error
    return Outcome(run_id, run_dir, tuple(stages.reports))


def check_run(
    inputs: Sequence[str], output: Path, config: Config, index: str | None = None
) -> list[articles.InputUnit]:
    """Find out whether a run can begin, without reading a text. Returns what there is to read.

    Raises ConfigError, InputError or OutputError.
    """
    load_rule(config.calibration)
    units = articles.plan_inputs(inputs, config)
    publish.check_output(output)
    if index is not None:
        check_index(index, config)
    return units


@dataclass(frozen=True)
class Weighed:
    """Where the run stands when every article is signed and its terms are weighed.

    `recognised` with an index only.
    """

    accepted: articles.ArticlesResult
    groups: tuple[ShardGroup, ...]
    tokens: tuple[Ref, ...]
    furniture: Ref
    bags: tuple[ArrayFiles, ...]
    statistics: Ref
    signed: tuple[signatures.Signed, ...]
    recognised: index_recognise.Recognised | None


@dataclass(frozen=True)
class Staged(Weighed):
    """Where the run stands when the candidate pairs are known.

    With an index, `planned` and `recalled` are the old articles that have one; without, None and none.
    """

    bands: tuple[candidates.BandPairs, ...]
    pairs: Ref
    planned: index_recall.Plan | None
    recalled: tuple[index_recall.Recalled, ...]

    @property
    def all_signed(self) -> tuple[signatures.Signed, ...]:
        """New articles, then the recalled ones."""
        return self.signed + tuple(one.signed for one in self.recalled)


@dataclass(frozen=True)
class Counted:
    """Where the run stands when the terms are counted; a bag, and tokens, for each group."""

    groups: tuple[ShardGroup, ...]
    tokens: tuple[Ref, ...]
    furniture: Ref
    bags: tuple[terms.Counted, ...]
    statistics: Ref


def weighing_stages(
    units: Sequence[articles.InputUnit], config: Config, run: StageRunner, work: Path,
    index: OpenIndex | None = None,
) -> Weighed:  # fmt: skip
    """The stages from the input files to the weights of the terms."""
    read = run.map(
        "read", articles.read_unit, [(unit, config, work) for unit in units], rows=lambda r: r.n_input_rows
    )
    accepted = run.call("number", articles.number, read, config, work, rows=lambda r: r.n_accepted)
    recognised = None
    if index is not None:
        recognised = run.call(
            "recognise", index_recognise.recognise, accepted.shards, index, work, rows=lambda r: r.n_recognised
        )
        accepted = recognised.of(accepted)
    counted = term_stages(accepted.shards, accepted.text_bytes, config, run, work, index)
    signed = run.map(
        "signatures",
        signatures.sign,
        [
            (group, kept, bags.bags, counted.furniture, counted.statistics, config, work)
            for group, kept, bags in zip(counted.groups, counted.tokens, counted.bags, strict=True)
        ],
        rows=lambda s: s.articles.rows,
    )
    bags = tuple(one.bags for one in counted.bags)
    return Weighed(
        accepted, counted.groups, counted.tokens, counted.furniture, bags, counted.statistics, tuple(signed),
        recognised,
    )  # fmt: skip


def candidate_stages(
    units: Sequence[articles.InputUnit], config: Config, run: StageRunner, work: Path,
    index: OpenIndex | None = None,
) -> Staged:  # fmt: skip
    """The stages from the input files to the candidate pairs."""
    weighed = weighing_stages(units, config, run, work, index)
    parts = range(MAX_GROUPS) if weighed.signed else ()
    bands = run.map(
        "candidates",
        candidates.find_in_bands,
        [(weighed.signed, part, MAX_GROUPS, config, work) for part in parts],
        rows=lambda b: b.pairs.rows,
    )
    planned, recalled = recall_stages(weighed, config, run, work, index) if index else (None, ())
    if planned is not None:
        bands.append(planned.pairs)
    shards = weighed.accepted.shards + index_recall.shards_of(recalled)
    window = config.candidates.match_window_days
    pairs = run.call("candidates-merge", candidates.merge, bands, work, shards, window, rows=ref_rows)
    before = {field.name: getattr(weighed, field.name) for field in fields(Weighed)}
    return Staged(**before, bands=tuple(bands), pairs=pairs, planned=planned, recalled=recalled)


def recall_stages(
    weighed: Weighed, config: Config, run: StageRunner, work: Path, index: OpenIndex
) -> tuple[index_recall.Plan, tuple[index_recall.Recalled, ...]]:
    """The stages that find old articles to compare with, and make them groups like the new ones."""
    assert weighed.recognised is not None
    shards = weighed.accepted.shards
    found: list[candidates.BandPairs] = []
    if weighed.signed and index.statistics is not None:
        places = run.call("index-places", index_candidates.fetch_places, index, work, rows=ref_rows)
        found = run.map(
            "index-candidates",
            index_candidates.find_in_index,
            [(index, weighed.signed, shards, places, part, config, work) for part in range(N_PARTS)],
            rows=lambda b: b.pairs.rows,
        )
    known, n_new = weighed.recognised.known, weighed.accepted.n_accepted
    planned = run.call(
        "recall-plan", index_recall.plan, index, found, known, n_new, work, rows=lambda p: p.positions.rows
    )
    recalled = run.map(
        "recall",
        index_recall.recall,
        [
            (index, planned, begin, end, len(weighed.groups) + k, weighed.furniture, weighed.statistics, config, work)
            for k, (begin, end) in enumerate(slices(planned.positions.rows, OLD_GROUPS))
        ],
        rows=lambda r: r.group.n_articles,
    )
    return planned, tuple(recalled)


def term_stages(
    shards: Sequence[Ref], text_bytes: int, config: Config, run: StageRunner, work: Path,
    index: OpenIndex | None = None,
) -> Counted:  # fmt: skip
    """The stages from the accepted articles to the counts of their terms: the index's, where it has them."""
    groups = group_shards(shards, MAX_GROUPS - OLD_GROUPS if index else MAX_GROUPS)
    kept = run.map("text", text.tokenise_group, [(g, work) for g in groups], rows=ref_rows)
    both = list(zip(groups, kept, strict=True))
    frozen = index.statistics if index else None
    if index is not None and index.furniture is not None:
        masked = index.furniture
    else:
        lines = run.map("furniture", furniture.count, [(*b, config, work) for b in both], rows=ref_rows)
        masked = run.call("furniture-merge", furniture.merge, lines, config, work, rows=ref_rows)
    bits = terms.bits_of(frozen) if frozen else terms.bits_for(text_bytes)
    counts = run.map(
        "terms",
        terms.count,
        [(*b, masked, bits, config, work) for b in both],
        rows=lambda c: c.statistics.rows,
    )
    statistics = frozen or run.call("terms-merge", terms.merge, counts, work, rows=ref_rows)
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
    work: Path, held: IndexRun | None,
) -> Path:  # fmt: skip
    """The stages in their order. Returns the folder of the published run."""
    index = held.index if held else None
    staged = candidate_stages(units, config, run, work, index)
    signed = staged.all_signed
    screened = run.map(
        "screen",
        screen.screen_slice,
        [(staged.pairs, begin, end, signed, config, work) for begin, end in slices(staged.pairs.rows)],
        rows=ref_rows,
    )
    calls = wording_calls(staged, screened, config, work) + recalled_wording(staged, screened, config, work)
    worded = run.map("wording", wording.write_group, calls, rows=n_articles)
    judged = run.map(
        "confirm",
        confirm.confirm_part,
        [(part, signed, tuple(worded), config, work) for part in screened],
        rows=ref_rows,
    )
    if staged.planned is not None:  # after the new ones: rows of two old articles are the highest
        judged.append(staged.planned.judged)
    shards = staged.accepted.shards
    everyone = shards + index_recall.shards_of(staged.recalled)
    membership = run.call("clusters", clusters.cluster, judged, everyone, config, work, rows=ref_rows)
    repeated = run.map(
        "sections",
        sections.find_in_shards,
        [
            (group, kept, staged.statistics, config, work)
            for group, kept in zip(staged.groups, staged.tokens, strict=True)
        ],
        rows=ref_rows,
    )
    past = _past(staged, membership, judged, index, run_id, config, run, work) if index else None
    found = assemble.Found(
        shards, staged.accepted.rejected, signed, tuple(worded), tuple(judged), membership, tuple(repeated),
        past,
    )  # fmt: skip
    written = run.map(
        "tables",
        assemble.write_tables,
        [(found, names, config, work / TABLES) for names in assemble.lots(config, past is not None)],
        rows=lambda refs: sum(ref.rows for ref in refs.values()),
    )
    tables = {name: ref for lot in written for name, ref in lot.items()}
    checked = run.map(
        "check",
        table_checks.check,
        [(tables, names) for names in table_checks.lots(tables)],
        rows=lambda found: sum(table.ref.rows for table in found.values()),
    )
    whole = {name: table for lot in checked for name, table in lot.items()}
    following, described = _index_stages(held, staged, found, run_id, config, run, work)
    run_dir = run.call(
        "publish",
        publish.publish,
        output, run_id, config, units, staged, tuple(judged), whole, tuple(run.reports), described,
        rows=lambda _: staged.accepted.n_accepted,
    )  # fmt: skip
    # Last: a run that dies in between is published, and the next one finds its articles new once more.
    if held is not None and following is not None:
        run.call("index-commit", index_run.make_live, held, following, rows=lambda c: c.n_articles)
    return run_dir


def _past(
    staged: Staged, membership: Ref, judged: Sequence[Ref], index: OpenIndex, run_id: str, config: Config,
    run: StageRunner, work: Path,
) -> assemble.Past:  # fmt: skip
    """Names the clusters, by those of past nights."""
    assert staged.planned is not None
    assert staged.recognised is not None
    positions, known = staged.planned.positions, staged.recognised.known
    old = index_recall.shards_of(staged.recalled)
    named = run.call(
        "name",
        index_clusters.name,
        index, positions, known, membership, tuple(judged), staged.accepted.shards + old, run_id, config, work,
        rows=lambda n: n.clusters.rows,
    )  # fmt: skip
    return assemble.Past(index, old, positions, staged.recognised.versions, named)


def _index_stages(
    held: IndexRun | None, staged: Staged, found: assemble.Found, run_id: str, config: Config,
    run: StageRunner, work: Path,
) -> tuple[Ref | None, dict[str, Any] | None]:  # fmt: skip
    """Writes the night's segment; the catalog that makes it live, and what the manifest says of the index."""
    if held is None or found.past is None:
        return None, None
    past = found.past
    night = index_write.Night(
        found.shards, past.versions, staged.tokens, staged.signed, found.judged, past.positions,
        found.membership, past.named, found.sections, staged.furniture, staged.statistics,
    )  # fmt: skip
    drift = run.call("drift", index_write.drift, held.index, staged.bags, rows=lambda _: len(staged.bags))
    following = run.call(
        "index-segment", index_run.prepare, held.index, night, run_id, config, work, rows=ref_rows
    )
    return following, index_run.described(held, drift, config)


def wording_calls(staged: Weighed, screened: Sequence[Ref], config: Config, work: Path) -> list[Call]:
    """The arguments of `wording.write_group` for each group of shards."""
    return [
        (group, tokens, staged.furniture, staged.statistics, tuple(screened), config, work)
        for group, tokens in zip(staged.groups, staged.tokens, strict=True)
    ]


def recalled_wording(staged: Staged, screened: Sequence[Ref], config: Config, work: Path) -> list[Call]:
    """The same for the recalled groups: their clusters' pairs, judged on past nights, ask for it too."""
    if staged.planned is None:
        return []
    passed = (*screened, staged.planned.linked)
    return [
        (one.group, one.tokens, staged.furniture, staged.statistics, passed, config, work)
        for one in staged.recalled
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
