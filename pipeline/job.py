"""The run as a table of contents: which stage follows which, written once, whoever executes the calls.

Stages exchange Refs (path, rows, bytes, digest) and small numbers, never texts or arrays. Each works on at
most MAX_GROUPS groups of shards, so that a run has about a hundred calls.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from pathlib import Path

from pipeline import (
    articles,
    assemble,
    candidate_recall,
    candidates,
    clusters,
    furniture,
    index_recall,
    index_recognise,
    index_run,
    journal,
    manifest,
    publish,
    sections,
    table_checks,
    terms,
)
from pipeline.config import Config
from pipeline.errors import RespunError, RunError
from pipeline.executor import Executor, Listener, Stage, StageReport, StageRunner
from pipeline.index_run import IndexRun, check_index, held_index
from pipeline.index_segments import OpenIndex
from pipeline.index_stages import (
    name_stage,
    places_stages,
    recall_stages,
    recalled_wording,
    segment_stages,
)
from pipeline.inputs import InputFile
from pipeline.report_files import remove_report
from pipeline.rule import load_rule
from pipeline.scratch import LOG, JobKey, Keeping, scratch_folder
from pipeline.shards import ShardGroup, Shards
from pipeline.staged import Counted, Staged, Weighed
from pipeline.stages import (
    TABLES,
    band_stage,
    checked_rows,
    confirm_stage,
    lot_rows,
    n_articles,
    own_groups,
    report_stages,
    reread_stage,
    screen_stage,
    sections_stage,
    sign_stage,
    text_stage,
)
from pipeline.tables import Ref, atomic_file, ref_rows

# The stages of a run, in their order; those that are there for an index.
STAGES = (*journal.READS, "report", "publish")
INDEX_STAGES = (
    *journal.READS_OF_AN_INDEX,
    "report-earlier",
    "index-segment",
    "index-catalog",
    "index-commit",
)
_OWN_ID = "run-id"  # file of the run's id, where it isn't the one of its scratch folder


@dataclass(frozen=True)
class Outcome:
    """A published run: its id, its folder under `<output>/runs/`, and how each stage went."""

    run_id: str
    run_dir: Path
    stages: tuple[StageReport, ...]


def run_job(
    inputs: Sequence[str],
    output: Path,
    config: Config,
    execute: Executor,
    listen: Listener,
    index: str | None = None,
    *,
    resume: bool = False,
    keep_work: bool = False,
    night: str | None = None,
) -> Outcome:
    """Cluster the articles of `inputs` and publish the tables under `output`.

    `index`: a folder or address of past nights, which the articles are matched against and then join.
    `resume` goes on from what an earlier run over the same input left, where it left something; `keep_work`
    leaves the scratch files for that after a success too. `night` is kept in the manifest: the date, ISO
    8601, of a nightly run.

    Raises ConfigError, InputError or OutputError when the run can't begin, RunError when it can't be
    finished; what was published before stays valid in any case.
    """
    units = check_run(inputs, output, config, index)
    contents = journal.input_contents(manifest.files_of(units))
    keeping = Keeping(resume, keep_work, config.keep_scratch_days)
    run_id = manifest.run_id(datetime.now(UTC), config, units)
    with scratch_folder(output, run_id, _job_key(contents, config, index, night), keeping) as work:
        own_id = work / _OWN_ID
        run_id = own_id.read_text() if own_id.exists() else work.name
        # A run on an index may find another index when it goes on, and then asks for all that it has read.
        noted = journal.Journal(work, contents, frees=not keep_work and index is None)
        stages = StageRunner(execute, listen, noted)
        try:
            holding = held_index(index, run_id, config, work, listen.waiting_for) if index else nullcontext()
            # What runs is let go before the index is.
            with holding as held, closing(stages):
                joins = held is not None and not held.catalog.has_run(run_id)
                if held and joins and publish.is_overtaken(output, run_id, held.catalog.generation):
                    run_id = manifest.run_id(datetime.now(UTC), config, units)
                    with atomic_file(own_id) as file:
                        file.write(run_id.encode())
                published_dir = publish.finish_publishing(output, run_id)
                # A run that died between its tables and its index makes the index' part anew.
                if published_dir is None or joins:
                    run = partial(_run_stages, units, output, run_id, config, stages, work, held, night)
                    run_dir = _run_or_begin_anew(run, noted, stages, listen)
                else:
                    run_dir = published_dir
        except Exception as error:
            if isinstance(error, RespunError) and error.exit_code != RunError.exit_code:
                raise
            raise _failure(error, stages.current, work) from error
    return Outcome(run_id, run_dir, tuple(stages.reports))


def _job_key(
    contents: Mapping[InputFile, str], config: Config, index: str | None, night: str | None
) -> JobKey:
    """What tells this job from others: only the number of workers doesn't."""
    files = [[file.name, content] for file, content in contents.items()]
    kept = [config.fingerprint(), config.keep_texts, config.keep_rejected_candidates, index, night]
    return JobKey(journal.digest(files), journal.digest(kept))


def check_run(
    inputs: Sequence[str], output: Path, config: Config, index: str | None
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


def weighing_stages(
    units: Sequence[articles.InputUnit], config: Config, run: StageRunner, work: Path,
    index: OpenIndex | None = None,
) -> Weighed:  # fmt: skip
    """The stages from the input files to the weights of the terms."""
    accepted = read_stages(units, config, run, work)
    recognised = None
    if index is not None:
        recognised = run.call(
            "recognise",
            index_recognise.recognise,
            accepted.shards,
            index,
            work,
            rows=lambda r: r.n_recognised,
        )
        accepted = recognised.of(accepted)
    groups = own_groups(accepted.shards, index)
    [texts], kept = run.together(
        Stage("keep-texts", assemble.write_texts, [(accepted.shards, work / TABLES)], ref_rows),
        text_stage(groups, accepted.shards, work),
    )
    if config.keep_texts:  # a run before may not have kept them
        run.ask_for(texts)
    run.free(accepted.shards.texts)
    counted = count_stages(groups, kept, accepted.text_bytes, config, run, work, index)
    scanned = run.map(
        "scan",
        sections.scan_group,
        [
            (group, tokens, counted.statistics, config, work)
            for group, tokens in zip(groups, kept, strict=True)
        ],
        ref_rows,
    )
    past = places_stages(index, groups, work) if index else []
    signed, *places = run.together(sign_stage(counted, config, work), *past)
    return Weighed(
        **vars(counted), accepted=accepted, texts=texts, scanned=tuple(scanned), signed=tuple(signed),
        recognised=recognised, old_places=tuple(chain.from_iterable(places)),
    )  # fmt: skip


def read_stages(
    units: Sequence[articles.InputUnit], config: Config, run: StageRunner, work: Path
) -> articles.ArticlesResult:
    """The stages from the input files to the accepted articles."""
    read = run.map(
        "read", articles.read_unit, [(unit, config, work) for unit in units], rows=lambda r: r.n_rows_read
    )
    accepted = run.call("number", articles.number, read, config, work, rows=lambda r: r.n_accepted)
    run.free({ref for unit in read for ref in unit.shards.texts} - {*accepted.shards.texts})
    return accepted


def candidate_stages(
    units: Sequence[articles.InputUnit], config: Config, run: StageRunner, work: Path,
    index: OpenIndex | None = None,
) -> Staged:  # fmt: skip
    """The stages from the input files to the candidate pairs."""
    weighed = weighing_stages(units, config, run, work, index)
    own = band_stage(weighed.signed, config, run, work)
    planned, recalled = recall_stages(weighed, config, run, work, index) if index else (None, ())
    bands = own if planned is None else [*own, planned.pairs]
    shards = weighed.accepted.shards.articles + index_recall.shards_of(recalled)
    window = config.candidates.match_window_days
    pairs = run.call("candidates-merge", candidates.merge, bands, work, shards, window, rows=ref_rows)
    run.free(ref for one in weighed.signed for ref in (one.keys, one.places))
    run.free(band.pairs for band in own)
    return Staged(**vars(weighed), bands=tuple(bands), pairs=pairs, planned=planned, recalled=recalled)


def term_stages(shards: Shards, config: Config, run: StageRunner, work: Path) -> Counted:
    """The stages from articles to the counts of their terms."""
    groups = own_groups(shards)
    [kept] = run.together(text_stage(groups, shards, work))
    return count_stages(groups, kept, articles.text_bytes(shards.texts), config, run, work)


def count_stages(
    groups: Sequence[ShardGroup], kept: Sequence[Ref], text_bytes: int, config: Config, run: StageRunner,
    work: Path, index: OpenIndex | None = None,
) -> Counted:  # fmt: skip
    """The stages from the kept tokens of groups to the counts of their terms: the index's, if it has them."""
    both = list(zip(groups, kept, strict=True))
    frozen = index.statistics if index else None
    if index is not None and index.furniture is not None:
        masked = index.furniture
    else:
        lines = run.map("furniture", furniture.count, [(*b, config, work) for b in both], rows=ref_rows)
        masked = run.call("furniture-merge", furniture.merge, lines, config, work, rows=ref_rows)
        run.free(lines)
    if frozen is not None:
        calls = [(*b, masked, config, work) for b in both]
        bags = run.map("terms", terms.keep_bags, calls, rows=n_articles)
        return Counted(tuple(groups), tuple(kept), masked, tuple(bags), frozen)
    bits = terms.bits_for(text_bytes)
    counts = run.map(
        "terms",
        terms.count,
        [(*b, masked, bits, config, work) for b in both],
        rows=lambda c: c.statistics.rows,
    )
    statistics = run.call("terms-merge", terms.merge, counts, bits, work, rows=ref_rows)
    run.free(c.statistics for c in counts)
    return Counted(tuple(groups), tuple(kept), masked, tuple(c.bags for c in counts), statistics)


def _run_or_begin_anew(
    run: Callable[[], Path], noted: journal.Journal, stages: StageRunner, listen: Listener
) -> Path:
    """What `run` returns; it is called again, with nothing known, when it asks for files that have gone."""
    try:
        return run()
    except journal.FreedError:
        stages.close()
        listen.waiting_for("beginning anew: what has changed needs files that have gone")
        noted.start_over()
        stages.reports.clear()
        return run()


def _run_stages(
    units: Sequence[articles.InputUnit], output: Path, run_id: str, config: Config, run: StageRunner,
    work: Path, held: IndexRun | None, night: str | None,
) -> Path:  # fmt: skip
    """The stages in their order. Returns the folder of the published run."""
    index = held.index if held else None
    staged = candidate_stages(units, config, run, work, index)
    signed = staged.all_signed
    screened = screen_stage(staged.pairs, signed, config, run, work)
    again, *recalled = run.together(
        reread_stage(staged, screened, config, work), *recalled_wording(staged, screened, config, work)
    )
    if not config.keep_texts:
        run.free([staged.texts])
    worded = [r.worded for r in again] + list(chain.from_iterable(recalled))
    chosen = tuple(r.texts for r in again)
    confirming = run.begin(confirm_stage(screened, signed, worded, config, work))
    # Mostly Python, of which one thread runs at a time: beside the kernels of the others it costs little.
    sectioning = run.begin(sections_stage(staged, chosen, config, work), later=True)
    judged = run.finish(confirming)
    if staged.planned is not None:  # after the new ones: rows of two old articles are the highest
        judged.append(staged.planned.judged)
    shards = staged.accepted.shards.articles
    everyone = shards + index_recall.shards_of(staged.recalled)
    grouped, recall = run.together(
        Stage("clusters", clusters.cluster, [(judged, everyone, config, work)], ref_rows),
        Stage(
            "candidate-recall",
            candidate_recall.estimate,
            [(tuple(judged), signed, staged.statistics, config)],
            lambda found: found.n_sampled,
        ),
    )
    past = name_stage(staged, grouped[0], judged, index, run_id, config, run, work) if index else None
    found = assemble.Found(shards, signed, tuple(worded), staged.pairs, tuple(judged), grouped[0], past)
    names = assemble.clustered_tables(config, past is not None)
    tabling = run.begin(
        Stage("tables", assemble.write_tables, [(found, names, config, work / TABLES)], lot_rows)
    )
    repeated = tuple(run.finish(sectioning))
    others = run.call(
        "section-tables",
        assemble.write_section_tables,
        repeated, staged.accepted.rejected, signed, chosen, work / TABLES,
        rows=lot_rows,
    )  # fmt: skip
    others = others | ({"texts": staged.texts} if config.keep_texts else {})
    checking_texts = run.begin(
        Stage("check-texts", table_checks.check_texts, [(others, shards, chosen)], checked_rows)
    )
    [tables] = run.finish(tabling)
    # The largest part of what is left: what goes after publishing is waited for.
    run.free(journal.refs_in((signed, worded)))
    remove_report(work / TABLES)  # of an attempt before: it may have shown others
    # A run without an index has no events: whose they are is no part of what is checked.
    checking = run.begin(
        Stage("check", table_checks.check, [(tables, shards, run_id if index else None)], checked_rows)
    )
    reporting = [
        run.begin(stage)
        for stage in report_stages(staged, chosen, output / publish.RUNS, config, work, index is not None)
    ]
    whole = run.finish(checking_texts)[0] | run.finish(checking)[0]
    placed = [run.finish(stage) for stage in reporting]
    following, described = segment_stages(held, staged, found, repeated, run_id, config, run, work)
    run_dir = run.call(
        "publish",
        publish.publish,
        output, run_id, config, units, staged, tuple(judged), recall[0], whole, tuple(run.reports),
        run.seconds, tuple(chain.from_iterable(placed)), night, described,
        rows=lambda _: staged.accepted.n_accepted,
    )  # fmt: skip
    # Last: of a run that dies in between, the next one finds the articles new, unless it goes on from it.
    if held is not None and following is not None:
        run.call("index-commit", index_run.make_live, held, following, rows=lambda c: c.n_articles)
    return run_dir


def _failure(error: Exception, stage: str, work: Path) -> RunError:
    """Write the traceback to the run's log; the error names the stage, the cause and the log."""
    log = work / LOG
    cause = str(error) if isinstance(error, RespunError) else f"{type(error).__name__}: {error}"
    where = f"stage {stage}: " if stage else ""  # an index is opened before the first stage
    try:
        with log.open("a", encoding="utf-8") as file:
            file.write(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {where}failed\n")
            file.writelines(traceback.format_exception(error))
    except OSError as unwritable:  # a full disk may be why the stage failed
        return RunError(f"{where}{cause} (log can't be written: {unwritable.strerror})")
    return RunError(f"{where}{cause} (log: {log})")
