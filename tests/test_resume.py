"""A run that died goes on from its finished calls, and ends as if nothing had happened."""

from __future__ import annotations

import errno
import json
import shutil
from itertools import cycle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import small_disks
from command_line import SAMPLE
from stages import Dying

from pipeline import articles, assemble, journal, publish
from pipeline.config import load_config
from pipeline.errors import RunError
from pipeline.executor import Silence, StageRunner, ThreadExecutor
from pipeline.job import STAGES, Outcome, run_job
from pipeline.journal import READS
from pipeline.publish import current_run
from pipeline.tables import Ref, write_npy

SMOKE = load_config("smoke")
# Published tables have gone from the work folder, so these are written again in any case.
WRITTEN = {"keep-texts", "section-tables", "tables", "report", "publish"}
# Stages that a run with another threshold has to make again; the others don't see it.
LATE = WRITTEN | {"confirm", "clusters", "candidate-recall", "check"}


def run(output: Path, config=SMOKE, execute=None, source=SAMPLE, **options) -> Outcome:
    return run_job([str(source)], output, config, execute or ThreadExecutor(2), Silence(), **options)


def tables(run_dir: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in run_dir.glob("*.parquet")}


def reused(outcome: Outcome) -> dict[str, tuple[int, int]]:
    return {report.stage: (report.n_reused, report.n_calls) for report in outcome.stages}


def again(outcome: Outcome) -> set[str]:
    """Stages of which a call was made."""
    return {stage for stage, (known, calls) in reused(outcome).items() if known < calls}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Outcome:
    return run(tmp_path_factory.mktemp("undisturbed"))


@pytest.fixture(scope="module")
def stricter(tmp_path_factory) -> Outcome:
    return run(tmp_path_factory.mktemp("stricter"), SMOKE.model_copy(update={"threshold": 0.9}))


@pytest.fixture
def kept(tmp_path) -> Path:
    """An output folder with the files of a finished run."""
    run(tmp_path / "out", keep_work=True)
    return tmp_path / "out"


def work_of(output: Path) -> Path:
    [folder] = (path for path in (output / ".work").iterdir() if path.is_dir())
    return folder


def test_every_stage_but_publishing_is_journalled(undisturbed):
    assert tuple(report.stage for report in undisturbed.stages) == STAGES
    assert all(report.n_reused == 0 for report in undisturbed.stages)
    assert not (undisturbed.run_dir.parents[1] / ".work").exists()


def test_a_run_goes_on_from_any_call_and_ends_the_same(tmp_path, undisturbed):
    calls = [report.stage for report in undisturbed.stages for _ in range(report.n_calls)]
    errors = cycle([OSError(errno.EIO, "input/output error"), KeyboardInterrupt()])
    for n, error in zip(range(0, len(calls), 3), errors, strict=False):
        output = tmp_path / str(n)
        with pytest.raises((RunError, KeyboardInterrupt)):
            run(output, execute=Dying(n, error))
        work = work_of(output)
        resumed = run(output, resume=True)
        assert sum(report.n_reused for report in resumed.stages) == sum(c in READS for c in calls[:n])
        assert resumed.run_id == work.name
        assert tables(resumed.run_dir) == tables(undisturbed.run_dir)
        assert [path.name for path in (output / "runs").iterdir()] == [resumed.run_id]
        assert not (output / ".work").exists()
        shutil.rmtree(output)


def test_a_run_may_die_again_and_again(tmp_path, undisturbed):
    for _ in range(100):
        try:
            outcome = run(tmp_path, execute=Dying(4, OSError(errno.EIO, "input/output error")), resume=True)
            break
        except RunError:
            continue
    assert tables(outcome.run_dir) == tables(undisturbed.run_dir)


def test_without_resume_the_run_starts_afresh_and_what_was_left_goes(tmp_path, undisturbed):
    with pytest.raises(RunError):
        run(tmp_path, execute=Dying(20, RunError("no")))
    left = work_of(tmp_path)
    outcome = run(tmp_path)
    assert sum(report.n_reused for report in outcome.stages) == 0
    assert [path.name for path in left.iterdir()] == ["run.log"]
    assert tables(outcome.run_dir) == tables(undisturbed.run_dir)


def test_another_threshold_makes_late_stages_again(kept, undisturbed, stricter):
    first = work_of(kept).name
    outcome = run(kept, SMOKE.model_copy(update={"threshold": 0.9}), resume=True)
    assert again(outcome) == LATE
    assert outcome.run_id != first
    assert tables(outcome.run_dir) == tables(stricter.run_dir)
    assert tables(kept / "runs" / first) == tables(undisturbed.run_dir)


class Watching(Silence):
    """Which kinds of files that are written for a few stages are there when a stage ends, and not freed.

    Those that nobody else reads are freed right after it.
    """

    def __init__(self, output: Path) -> None:
        self.left: dict[str, set[str]] = {}
        self._output = output

    def stage_finished(self, report):
        work = work_of(self._output)
        said = map(json.loads, (work / journal.JOURNAL).read_text().splitlines())
        freed = {work / path for line in said for path in line.get("freed", ())}
        names = [path.name for path in work.rglob("*") if path not in freed]
        kinds = {"unit-0-texts-", "tokens-", "lines-", "terms-", "term_keys-", "keys-", "places-", "bands-"}
        self.left[report.stage] = {k for k in kinds if any(name.startswith(k) for name in names)}


def test_scratch_goes_when_nobody_will_ask_for_it(tmp_path):
    for keep_work in (False, True):
        output = tmp_path / str(keep_work)
        watching = Watching(output)
        run_job([str(SAMPLE)], output, SMOKE, ThreadExecutor(2), watching, keep_work=keep_work)
        left = watching.left
        assert left["number"] == {"unit-0-texts-"}
        assert left["furniture"] - left["text"] == {"lines-"}
        if keep_work:
            assert len(left["check"]) == 8
            continue
        assert left["terms-merge"] - {"terms-"} == left["scan"] == {"tokens-", "term_keys-"}
        assert left["candidates"] == {"keys-", "places-", "bands-", "term_keys-"}
        assert left["screen"] == left["tables"] == {"term_keys-"}
        assert left["check"] == set()


def freed_files(work: Path) -> list[Path]:
    """Those that lie there in spite of it."""
    said = map(json.loads, (work / journal.JOURNAL).read_text().splitlines())
    paths = [work / path for line in said for path in line.get("freed", ())]
    assert len(paths) > 10
    return [path for path in paths if path.exists()]


def test_what_was_freed_is_gone_when_the_run_ends(tmp_path, undisturbed):
    died_late(tmp_path, undisturbed)
    assert freed_files(work_of(tmp_path)) == []


def died_late(output: Path, undisturbed: Outcome) -> None:
    """Leaves what a run leaves that dies over its last call."""
    n_calls = sum(report.n_calls for report in undisturbed.stages)
    with pytest.raises(RunError):
        run(output, execute=Dying(n_calls - 1, RunError("no")))


def test_settings_of_late_stages_do_not_ask_for_what_has_gone(tmp_path, stricter, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(assemble, "write_tables", lambda *_: 1 / 0)
        with pytest.raises(RunError, match="ZeroDivisionError"):
            run(tmp_path)
    outcome = run(tmp_path, SMOKE.model_copy(update={"threshold": 0.9}), resume=True)
    beside = {"sections", "section-tables", "check-texts"}
    assert again(outcome) - beside == LATE - {"keep-texts", "section-tables"}
    assert tables(outcome.run_dir) == tables(stricter.run_dir)


def test_once_the_tables_are_written_other_settings_of_late_stages_begin_anew(
    tmp_path, undisturbed, stricter
):
    died_late(tmp_path, undisturbed)
    outcome = run(tmp_path, SMOKE.model_copy(update={"threshold": 0.9}), resume=True)
    assert [report.stage for report in outcome.stages] == list(STAGES)
    assert again(outcome) == set(STAGES)
    assert tables(outcome.run_dir) == tables(stricter.run_dir)


def test_settings_of_early_stages_have_the_run_begin_anew(tmp_path, undisturbed):
    """As often as it dies over that."""
    settings = load_config("smoke", ["reprint.shingle_size=4"])
    expected = tables(run(tmp_path / "fresh", settings).run_dir)
    for n_calls in (1, 3, 5, 9):
        output = tmp_path / str(n_calls)
        died_late(output, undisturbed)
        with pytest.raises(RunError, match="no more"):
            run(output, settings, Dying(n_calls, RunError("no more")), resume=True)
        outcome = run(output, settings, resume=True)
        assert sum(report.n_reused for report in outcome.stages) == n_calls
        assert [report.stage for report in outcome.stages] == list(STAGES)
        assert tables(outcome.run_dir) == expected


def test_texts_that_are_not_kept_go_and_are_not_asked_for(tmp_path, undisturbed, monkeypatch):
    settings = load_config("smoke", ["keep_texts=false"])
    with monkeypatch.context() as patch:
        patch.setattr(publish, "write_pages", lambda *_: 1 / 0)
        with pytest.raises(RunError, match="ZeroDivisionError"):
            run(tmp_path, settings)
    assert list(work_of(tmp_path).rglob("texts.parquet")) == []
    assert again(run(tmp_path, settings, resume=True)) == {"publish"}
    # Nobody asks for them, until they are to be kept after all.
    output = tmp_path / "wanted"
    died_late(output, undisturbed)
    with monkeypatch.context() as patch:
        patch.setattr(publish, "write_pages", lambda *_: 1 / 0)
        with pytest.raises(RunError, match="ZeroDivisionError"):
            run(output, settings, resume=True)
    assert tables(run(output, resume=True).run_dir) == tables(undisturbed.run_dir)
    died_late(tmp_path / "more", undisturbed)
    assert again(run(tmp_path / "more", settings, resume=True)) == {"check-texts", "publish"}


def test_a_shard_that_was_written_again_goes_too(tmp_path, monkeypatch):
    """One with a repeated id."""
    rows = pq.read_table(SAMPLE)
    pq.write_table(pa.concat_tables([rows, rows.slice(0, 1)]), tmp_path / "twice.parquet")
    with monkeypatch.context() as patch:
        patch.setattr(publish, "publish", lambda *_: 1 / 0)
        with pytest.raises(RunError, match="ZeroDivisionError"):
            run(tmp_path / "out", source=tmp_path / "twice.parquet")
    names = [path.name for path in (work_of(tmp_path / "out") / "articles").iterdir()]
    assert "unit-0-shard-0000-distinct.arrow" in names
    assert [name for name in names if "texts" in name] == []


def test_groups_that_were_signed_are_not_asked_for_their_tokens(tmp_path, monkeypatch):
    monkeypatch.setattr(articles, "SHARD_BYTES", 60_000)
    monkeypatch.setattr(articles, "BATCH_BYTES", 20_000)
    whole = run(tmp_path / "whole")
    calls = [report.stage for report in whole.stages for _ in range(report.n_calls)]
    first, n_calls = calls.index("signatures"), calls.count("signatures")
    assert n_calls > 4
    for n_signed in (0, 3, n_calls):
        output = tmp_path / str(n_signed)
        with pytest.raises(RunError):
            run(output, execute=Dying(first + n_signed, RunError("no")))
        left = list(work_of(output).glob("tokens-*.arrow"))
        assert len(left) == n_calls - n_signed
        resumed = run(output, resume=True)
        assert sum(report.n_reused for report in resumed.stages) == first + n_signed
        assert tables(resumed.run_dir) == tables(whole.run_dir)


def test_a_death_before_files_go(tmp_path, undisturbed, monkeypatch):
    """Between the journal's line and the removal: they go when the run goes on."""
    with monkeypatch.context() as patch:
        patch.setattr(journal, "_remove", lambda _: None)
        died_late(tmp_path, undisturbed)
    assert freed_files(work_of(tmp_path))
    with monkeypatch.context() as patch:
        patch.setattr(publish, "publish", lambda *_: 1 / 0)
        with pytest.raises(RunError, match="ZeroDivisionError"):
            run(tmp_path, resume=True)
    assert freed_files(work_of(tmp_path)) == []
    outcome = run(tmp_path, resume=True)
    assert again(outcome) == {"report", "publish"}
    assert tables(outcome.run_dir) == tables(undisturbed.run_dir)


def test_an_early_key_makes_everything_again_that_it_reaches(kept):
    outcome = run(kept, load_config("smoke", ["reprint.shingle_size=4"]), resume=True)
    assert {"read", "number", "text", "furniture", "terms", "sections"} & again(outcome) == set()
    assert {"signatures", "candidates", "wording", "confirm"} <= again(outcome)


def test_a_change_that_makes_no_difference_ends_there(kept):
    # No article is so large: what is written stays the same. Tables have gone where they were published.
    outcome = run(kept, load_config("smoke", ["max_text_bytes=3999999"]), resume=True)
    assert again(outcome) == WRITTEN | {"read"}


def test_a_key_of_no_consequence_reuses_all_but_the_published_tables(kept, undisturbed):
    outcome = run(kept, load_config("smoke", ["keep_texts=false"]), resume=True)
    assert again(outcome) <= WRITTEN | {"check-texts"}
    expected = {name: data for name, data in tables(undisturbed.run_dir).items() if name != "texts.parquet"}
    assert tables(outcome.run_dir) == expected


def test_tables_of_an_attempt_with_other_keys_are_not_published(tmp_path, undisturbed):
    n_calls = sum(report.n_calls for report in undisturbed.stages)
    with pytest.raises(RunError):
        run(tmp_path, execute=Dying(n_calls - 1, RunError("no")))
    outcome = run(tmp_path, load_config("smoke", ["keep_rejected_candidates=false"]), resume=True)
    assert "candidate_pairs.parquet" not in tables(outcome.run_dir)


def damage(path: Path, how: str) -> None:
    if how == "gone":
        path.unlink()
    elif how == "short":
        path.write_bytes(path.read_bytes()[:-1])
    else:
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)


@pytest.mark.parametrize("how", ["gone", "short", "altered"])
def test_a_file_that_is_missing_or_damaged_is_made_again(kept, stricter, how):
    files = [path for path in work_of(kept).rglob("*") if path.suffix in {".arrow", ".bin", ".npy"}]
    for path in files[::3]:
        if path.stat().st_size:
            damage(path, how)
    outcome = run(kept, SMOKE.model_copy(update={"threshold": 0.9}), resume=True)
    assert again(outcome) > LATE
    assert tables(outcome.run_dir) == tables(stricter.run_dir)


def test_a_damaged_journal_costs_only_time(kept, stricter):
    path = work_of(kept) / journal.JOURNAL
    lines = path.read_bytes().splitlines(keepends=True)
    lines[3] = b"\xff{]\n"
    lines[5] = b'{"key": 1}\n'
    path.write_bytes(b"".join(lines)[:-40])
    outcome = run(kept, SMOKE.model_copy(update={"threshold": 0.9}), resume=True)
    assert tables(outcome.run_dir) == tables(stricter.run_dir)


def test_other_code_reuses_nothing(kept, monkeypatch):
    monkeypatch.setattr(journal, "code_version", lambda: "another")
    outcome = run(kept, SMOKE.model_copy(update={"threshold": 0.9}), resume=True)
    assert sum(report.n_reused for report in outcome.stages) == 0


def test_the_code_version_is_of_all_sources_and_data():
    assert len(journal.code_version()) == 64


def test_what_was_compiled_is_no_source(tmp_path):
    for name in ("a.py", "unicode/b.py", "__pycache__/a.pyc", "__pycache__/kernels/pipeline/a.nbi"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert journal.source_files(tmp_path) == ["a.py", "unicode/b.py"]


def test_input_counts_by_content_and_not_by_place(tmp_path):
    copy = shutil.copytree(SAMPLE.parent, tmp_path / "elsewhere") / SAMPLE.name
    with pytest.raises(RunError):
        run(tmp_path / "out", execute=Dying(10, RunError("no")))
    assert sum(report.n_reused for report in run(tmp_path / "out", source=copy, resume=True).stages) == 10


def test_changed_input_starts_afresh(tmp_path):
    copy = tmp_path / SAMPLE.name
    shutil.copy(SAMPLE, copy)
    with pytest.raises(RunError):
        run(tmp_path / "out", source=copy, execute=Dying(10, RunError("no")))
    pq.write_table(pq.read_table(copy).slice(1), copy)
    assert sum(report.n_reused for report in run(tmp_path / "out", source=copy, resume=True).stages) == 0


def test_output_may_be_named_otherwise(tmp_path, monkeypatch):
    with pytest.raises(RunError):
        run(tmp_path / "out", execute=Dying(10, RunError("no")))
    monkeypatch.chdir(tmp_path)
    assert sum(report.n_reused for report in run(Path("out"), resume=True).stages) == 10


def test_a_run_that_lives_is_not_taken_over(tmp_path):
    class Nosy(Silence):
        def stage_finished(self, report):
            if report.stage == "text":
                other = run(tmp_path, resume=True)
                assert sum(one.n_reused for one in other.stages) == 0

    outcome = run_job([str(SAMPLE)], tmp_path, SMOKE, ThreadExecutor(2), Nosy())
    assert current_run(tmp_path) == outcome.run_dir
    assert len(list((tmp_path / "runs").iterdir())) == 2


def test_a_run_cut_off_while_publishing_is_made_current(tmp_path):
    first = run(tmp_path, keep_work=True)
    (tmp_path / "latest.json").unlink()
    resumed = run(tmp_path, resume=True)
    assert (resumed.run_dir, resumed.stages) == (first.run_dir, ())
    assert current_run(tmp_path) == first.run_dir
    assert [path.name for path in (tmp_path / "runs").iterdir()] == [first.run_id]


def test_a_stage_gets_the_keys_that_it_declares_and_no_others(tmp_path):
    stages = StageRunner(ThreadExecutor(1), Silence(), journal.Journal(tmp_path, {}))
    [min_linkage] = stages.map("clusters", lambda c: c.clusters.min_linkage, [(SMOKE,)], lambda _: 0)
    assert min_linkage == SMOKE.clusters.min_linkage
    with pytest.raises(AttributeError, match="threshold"):
        stages.map("clusters", lambda c: c.threshold, [(SMOKE,)], lambda _: 0)


def test_a_result_is_known_without_the_files_that_were_freed(tmp_path):
    def two_files(n: int) -> list[Ref]:
        return [write_npy(tmp_path / f"{name}-{n}.npy", np.zeros((1, n)), n) for name in ("a", "b")]

    def rows(refs: list[Ref]) -> int:
        return sum(ref.rows for ref in refs)

    def stages(**options) -> tuple[StageRunner, journal.Journal]:
        noted = journal.Journal(tmp_path, {}, **options)
        return StageRunner(ThreadExecutor(1), Silence(), noted), noted

    run_of_all, _ = stages()
    found = run_of_all.map("number", two_files, [(1,), (2,)], rows)
    run_of_all.map("text", rows, [(refs,) for refs in found], int)
    folder = tmp_path / "not a file"
    folder.mkdir()
    run_of_all.free([Ref(str(folder), 0, 0, ""), found[0][0]])
    run_of_all.close()
    folder.rmdir()  # what can't be removed is left alone
    assert [path.name for path in sorted(tmp_path.glob("*.npy"))] == ["a-2.npy", "b-1.npy", "b-2.npy"]
    later, noted = stages()
    assert later.map("number", two_files, [(1,), (2,)], rows) == found
    assert later.map("text", rows, [(refs,) for refs in found], int) == [2, 4]
    assert [report.n_reused for report in later.reports] == [2, 2]
    assert later.map("scan", rows, [(found[1],)], int) == [4]
    with pytest.raises(journal.FreedError):
        later.map("scan", rows, [(found[1],), (found[0],)], int)
    noted.start_over()
    assert list(tmp_path.iterdir()) == []
    assert later.map("number", two_files, [(1,)], rows) == found[:1]
    keeping, _ = stages(frees=False)
    keeping.free(found[0])
    keeping.close()
    assert len(list(tmp_path.glob("*.npy"))) == 2


def test_what_has_no_fixed_form_is_no_argument(tmp_path):
    stages = StageRunner(ThreadExecutor(1), Silence(), journal.Journal(tmp_path, {}))
    with pytest.raises(TypeError, match="no fixed form"):
        stages.map("clusters", lambda _: 1, [({1, 2},)], lambda _: 0)


# Faults of the machine


@pytest.fixture
def small_disk(tmp_path):
    """Mounts a file system of a few megabytes."""
    with small_disks.small_disk(tmp_path / "small", "24m") as folder:
        yield folder


def test_a_full_disk_fails_the_run_and_leaves_what_was_there(small_disk):
    output = small_disk / "out"
    first = run(output)
    before = tables(first.run_dir)
    (small_disk / "others").write_bytes(bytes(18 << 20))
    with pytest.raises(RunError, match="No space left on device"):
        run(output)
    assert current_run(output) == first.run_dir
    assert tables(first.run_dir) == before
    # The space is needed by others: nothing is kept of such a run but its log.
    assert {path.name for path in (output / ".work").rglob("*") if path.is_file()} <= {"run.log"}
    (small_disk / "others").unlink()
    assert tables(run(output, resume=True).run_dir) == before


def test_a_folder_that_may_not_be_written(my_folder):
    first = run(my_folder)
    (my_folder / "runs").chmod(0o500)
    try:
        with pytest.raises(RunError, match="Permission denied"):
            run(my_folder)
    finally:
        (my_folder / "runs").chmod(0o700)
    assert current_run(my_folder) == first.run_dir
    # Nothing is lost: only the publishing is made up for, and the report, which no journal knows.
    assert again(run(my_folder, resume=True)) == {"report", "publish"}


def test_the_manifest_says_what_was_not_made_again(kept):
    outcome = run(kept, SMOKE.model_copy(update={"threshold": 0.9}), resume=True)
    found = json.loads((outcome.run_dir / "manifest.json").read_text())
    assert {s["stage"]: (s["n_reused"], s["n_calls"]) for s in found["stages"]} | {
        "publish": (0, 1)
    } == reused(outcome)
