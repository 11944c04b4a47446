"""The command line, `respun`. Whatever is slow to import is imported by the command that needs it."""

from __future__ import annotations

import atexit
import gc
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from flows.index_commands import index
from flows.one_line import Commands, errors_in_one_line
from flows.options import (
    AS_JSON,
    INDEX,
    INPUTS,
    OUTPUT,
    RUN,
    SET,
    VERBOSE,
    RunOptions,
    config_option,
    exit_codes,
)
from flows.scheduling import COMMANDS
from pipeline import __version__

if TYPE_CHECKING:
    from pipeline.config import Config
    from pipeline.executor import Listener
    from pipeline.job import Outcome


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="respun")
def cli() -> None:
    """Find the news articles that are the same story told again."""


@cli.command(
    short_help="Cluster the articles of INPUT... and write the tables to DIR.",
    epilog=exit_codes("arguments, configuration, input or output", "the run failed"),
)
@INPUTS
@OUTPUT
@INDEX
@config_option()
@SET
@click.option("--resume", is_flag=True, help="Go on from what a run over this INPUT left in DIR, if one did.")
@click.option("--keep-work", is_flag=True, help="Leave the scratch files in DIR, for --resume.")
@click.option("--direct", is_flag=True, help="Execute the stages in threads, without Prefect.")
@click.option("--verbose", is_flag=True, help="Show Prefect's log, and the traceback of an error.")
def run(**given: Any) -> None:
    """Cluster the articles of INPUT... and write the tables to DIR.

    INPUT is a Parquet, JSONL or CSV file (.gz and .zst too), a folder of .txt files, or a glob of these;
    several are one collection. The last line on stdout is the folder of the run.
    """
    asked = RunOptions(**given)
    with errors_in_one_line(asked.verbose, "; the same command with --resume goes on from what was finished"):
        outcome = _execute(asked)
        from flows.report import print_summary

        print_summary(outcome.run_dir)
    click.echo(outcome.run_dir.absolute())


@cli.command(
    short_help="Say why two articles of a run are, or are not, in one cluster.",
    epilog=exit_codes("arguments or run"),
)
@RUN
@click.argument("id_a", metavar="ID_A")
@click.argument("id_b", metavar="ID_B")
@AS_JSON
@VERBOSE
def explain(run_path: Path, id_a: str, id_b: str, as_json: bool, verbose: bool) -> None:
    """Say why two articles of a run are, or are not, in one cluster.

    RUN is the folder of a run that kept its texts, or an output folder: then its current run.
    """
    with errors_in_one_line(verbose):
        from flows.compiling import compiling_together
        from flows.explain_report import print_explanation
        from flows.progress import write_line

        with compiling_together(write_line):
            from pipeline.executor import Silence, ThreadExecutor
            from pipeline.revisit import explain_articles

            found = explain_articles(run_path, id_a, id_b, ThreadExecutor(0), Silence())
    print_explanation(found, as_json)


@cli.command(epilog=exit_codes("a file"))
@click.argument("file_a", metavar="FILE_A", type=click.Path(path_type=Path))
@click.argument("file_b", metavar="FILE_B", type=click.Path(path_type=Path))
@AS_JSON
@VERBOSE
def compare(file_a: Path, file_b: Path, as_json: bool, verbose: bool) -> None:
    """Say how two text files are alike, without a run.

    FILE_A and FILE_B are UTF-8 (.gz and .zst too). Without a collection lists of common words say what is
    rare, so the numbers are not those of a run.
    """
    with errors_in_one_line(verbose):
        from flows.compiling import compiling_together
        from flows.explain_report import print_explanation
        from flows.progress import write_line

        with compiling_together(write_line):
            from pipeline.executor import Silence, ThreadExecutor
            from pipeline.revisit import explain_files

            found = explain_files(file_a, file_b, ThreadExecutor(0), Silence())
    print_explanation(found, as_json)


def _execute(asked: RunOptions) -> Outcome:
    from flows.progress import progress_display
    from pipeline.config import load_config

    # What can't work is said before what is slow to import, and Prefect takes seconds to start.
    settings = load_config(asked.config, asked.overrides)
    with progress_display() as show:
        from pipeline.executor import ThreadExecutor
        from pipeline.job import check_run, run_job

        check_run(asked.inputs, asked.output, settings, asked.index)
        if not asked.direct:
            from flows.timeout import timeout_seconds

            timeout_seconds(os.environ)
            show.waiting_for("starting Prefect")
            return _run_in_prefect(asked, settings, show)
        show.waiting_for("starting")
        threads = ThreadExecutor(settings.n_workers)
        return run_job(
            asked.inputs, asked.output, settings, threads, show, asked.index,
            resume=asked.resume, keep_work=asked.keep_work,
        )  # fmt: skip


def _run_in_prefect(asked: RunOptions, settings: Config, show: Listener) -> Outcome:
    if not asked.verbose:  # the server, where there is one, gets the log all the same
        os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    from flows.cluster_articles import run_flow

    return run_flow(asked, settings, show)


@cli.command(
    short_help="Compare a run with pairs that you have labelled.",
    epilog=exit_codes("arguments, labels, run or output"),
)
@RUN
@click.option(
    "--labels",
    required=True,
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Labelled pairs, Parquet or CSV: id_a, id_b, label (1 same, 0 not the same, else not counted).",
)
@click.option(
    "--output",
    default="evaluation",
    show_default=True,
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for metrics.json, curve.csv, curve.svg and errors.csv; made when it is missing.",
)
@click.option(
    "--worst",
    default=200,
    show_default=True,
    metavar="N",
    type=click.IntRange(0),
    help="Errors of each kind to write, the worst first.",
)
@VERBOSE
def evaluate(run_path: Path, labels: Path, output: Path, worst: int, verbose: bool) -> None:
    """Compare RUN, a run's folder or an output folder, with pairs that you have labelled."""
    with errors_in_one_line(verbose):
        from flows.labels_report import evaluation_lines
        from pipeline.evaluate import evaluate as compare_with_labels
        from pipeline.evaluation_files import EVALUATION, keep_labels, write_evaluation

        keep_labels(labels, *(output / name for name in EVALUATION))
        found = compare_with_labels(labels, run_path)
        written = write_evaluation(found, output, worst)
        for line in evaluation_lines(found):
            click.echo(line)
        click.echo(f"written: {', '.join(map(str, written))}")


@cli.command(
    short_help="Fit the rule on labelled pairs of a run.",
    epilog=exit_codes("arguments, labels, run or output"),
)
@RUN
@click.option(
    "--labels",
    required=True,
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Labelled pairs, Parquet or CSV, 20 or more of either label.",
)
@click.option(
    "--output",
    required=True,
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Calibration file to write, for the key `calibration` of a configuration.",
)
@click.option(
    "--precision",
    metavar="P",
    type=float,
    help="Precision that the threshold is to reach, such as 0.99. Without it: the highest F1.",
)
@VERBOSE
def calibrate(run_path: Path, labels: Path, output: Path, precision: float | None, verbose: bool) -> None:
    """Fit the rule on your labelled pairs of RUN, a run's folder or an output folder, with texts.parquet."""
    with errors_in_one_line(verbose):
        from flows.labels_report import calibration_lines
        from flows.progress import progress_display
        from pipeline.calibrate import calibrate as fit
        from pipeline.evaluation_files import keep_labels, write_text

        keep_labels(labels, output)
        with progress_display("starting") as listen:
            found = fit(labels, run_path, output.stem, precision, listen)
        write_text(output, found.rule.to_json())
        for line in calibration_lines(found):
            click.echo(line)
        click.echo(f"written: {output}, version {found.rule.version}")


@cli.command(
    short_help="Draw doubtful pairs of a run for you to label.",
    epilog=exit_codes("arguments, run or output"),
)
@RUN
@click.option(
    "--output",
    default="to-label.csv",
    show_default=True,
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="CSV file to write; one that is there already is not overwritten.",
)
@click.option("--n", default=200, show_default=True, metavar="N", type=int, help="Pairs to draw.")
@click.option(
    "--seed", default=1, show_default=True, metavar="SEED", type=click.IntRange(0), help="Seed of the draw."
)
@VERBOSE
def label(run_path: Path, output: Path, n: int, seed: int, verbose: bool) -> None:
    """Draw doubtful pairs of RUN, a run's folder or an output folder with texts.parquet, for you to label."""
    with errors_in_one_line(verbose):
        from flows.labels_report import sample_lines
        from pipeline.errors import OutputError
        from pipeline.evaluation_files import write_text
        from pipeline.label import sample_csv, sample_pairs

        if output.exists():  # hours of someone's work may be in it
            raise OutputError(f"output {output}: must be a new file, is there already")
        found = sample_pairs(run_path, n, seed)
        write_text(output, sample_csv(found))
        for line in sample_lines(found):
            click.echo(line)
        click.echo(f"written: {output}")


@cli.command(
    short_help="Write report.html of a run again, with all its texts.",
    epilog=exit_codes("arguments or run"),
)
@RUN
@click.option(
    "--max-texts",
    metavar="N",
    type=click.IntRange(0),
    help="Articles with their text, those with repeats and of the largest clusters first. Without it: all.",
)
@VERBOSE
def report(run_path: Path, max_texts: int | None, verbose: bool) -> None:
    """Write report.html of RUN, a run's folder or an output folder, again, with all texts.

    The last line on stdout is the page's path.
    """
    with errors_in_one_line(verbose):
        from flows.progress import progress_display
        from pipeline.executor import ThreadExecutor
        from pipeline.revisit import report_run

        with progress_display("starting") as listen:
            page = report_run(run_path, max_texts, ThreadExecutor(0), listen)
    click.echo(page.absolute())


for command in (index, *COMMANDS):
    cli.add_command(command)


def main(args: list[str] | None = None) -> NoReturn:
    """Entry point of the console script; exits with the command's code."""
    # What is imported stays. With Python's own threshold (700) the collector walks through it again and again
    # while it grows: a tenth of a start.
    gc.set_threshold(50_000, 20, 100)
    # At the end it would walk through it several times more, over half a second, to free what the system
    # frees in a moment.
    atexit.register(gc.freeze)
    cli.main(args=args, prog_name="respun")
    sys.exit(0)


if __name__ == "__main__":
    main()
