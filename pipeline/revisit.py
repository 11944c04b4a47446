"""A finished run looked at again: why two articles are, or are not, in one cluster; its report."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pyarrow as pa

from pipeline import articles, explain, index_run, publish, published, report_texts
from pipeline.config import Config
from pipeline.executor import Executor, Listener, StageRunner
from pipeline.explained import Explanation
from pipeline.job import term_stages
from pipeline.report_files import PAGE, REPORT
from pipeline.report_pages import write_pages
from pipeline.reread import choose
from pipeline.shards import MAX_GROUPS, Shards, group_shards
from pipeline.tables import Ref, ref_rows


def explain_articles(run_dir: Path, id_a: str, id_b: str, execute: Executor, listen: Listener) -> Explanation:
    """Why two articles of a published run are, or are not, in one cluster.

    `run_dir` is the run's folder, or an output folder, whose current run it is then. The terms of the run's
    texts are counted again. Raises InputError, OutputError or ConfigError when the run can't be asked.
    """
    run = published.open_run(publish.find_run(run_dir))
    asked = run.find(id_a, id_b)
    with tempfile.TemporaryDirectory(prefix="respun-") as folder:
        work = Path(folder)
        frozen = index_run.frozen_of(run.manifest["index"], work)
        if frozen is not None:
            return explain.explain(asked, *frozen, run.config, work / "pair")
        shards = articles.write_shards(run.articles(), work / "articles", "explained")
        counted = _counted(shards, run.config, StageRunner(execute, listen), work)
        return explain.explain(asked, *counted, run.config, work / "pair")


def explain_files(path_a: Path, path_b: Path, execute: Executor, listen: Listener) -> Explanation:
    """What `explain_articles` says, of two text files, as if these were the whole collection.

    Raises InputError when a file can't be read or holds no text.
    """
    config = Config()
    asked = published.read_two(path_a, path_b, config)
    with tempfile.TemporaryDirectory(prefix="respun-") as folder:
        work = Path(folder)
        pair = iter([pa.Table.from_batches([asked.pair])])
        shards = articles.write_shards(pair, work / "articles", "explained")
        counted = _counted(shards, config, StageRunner(execute, listen), work)
        return explain.explain(asked, *counted, config, work / "pair")


def report_run(run_dir: Path, max_texts: int | None, execute: Executor, listen: Listener) -> Path:
    """Write report.html of a published run again, with the texts of all articles that it shows.

    `run_dir` as in `explain_articles`; `max_texts` limits the texts. The page is replaced last. The terms of
    the run's texts are counted again. Returns the page's path. Raises OutputError or ConfigError when the run
    can't be used, RunError when its texts can't be decoded.
    """
    run = published.read_run(publish.find_run(run_dir))
    with (
        tempfile.TemporaryDirectory(prefix="respun-") as folder,
        tempfile.TemporaryDirectory(prefix=".report-", dir=run.folder) as beside,
    ):
        work, data = Path(folder), Path(beside) / REPORT
        placed: list[Ref] = []
        if run.has_texts and max_texts != 0:
            stages = StageRunner(execute, listen)
            shards = articles.write_shards(run.articles(), work / "articles", "reported")
            masked, statistics = index_run.frozen_of(run.manifest["index"], work) or _counted(
                shards, run.config, stages, work
            )
            rows = report_texts.chosen_rows(run.folder, run.runs, max_texts).rows
            groups = group_shards(shards.articles, MAX_GROUPS)
            chosen = [choose(group, run.texts, rows, work) for group in groups]
            how = (masked, statistics, run.folder, run.runs, max_texts, run.config, data, work)
            placed = stages.map(
                "report",
                report_texts.write_texts,
                [(lot, *how) for lot in report_texts.lots(chosen, max_texts)],
                rows=ref_rows,
            )
            if run.manifest["index"] is not None:
                placed += stages.map(
                    "report-earlier",
                    report_texts.write_earlier_texts,
                    [(len(chosen), *how)],
                    rows=ref_rows,
                )
        write_pages(run.folder, placed, data, run.runs)
    return run.folder / PAGE


def _counted(shards: Shards, config: Config, run: StageRunner, work: Path) -> tuple[Ref, Ref]:
    """Furniture and counts of terms of some articles."""
    counted = term_stages(shards, config, run, work)
    return counted.furniture, counted.statistics
