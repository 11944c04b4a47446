"""The order of the stages of a rebuild: those of a run, from the kept tokens on, over a whole index."""

from __future__ import annotations

import tempfile
from pathlib import Path

from pipeline import candidates, clusters, index_clusters, index_rebuild, index_recall, wording
from pipeline.config import Config
from pipeline.errors import InputError
from pipeline.executor import Executor, Listener, StageRunner
from pipeline.index_check import require_whole
from pipeline.index_rebuild import Rebuilt
from pipeline.index_run import held_index, make_live, require_index, shown, sweep_all, upkeep_name
from pipeline.index_segments import OpenIndex
from pipeline.index_store import Store
from pipeline.job import count_stages
from pipeline.shards import slices
from pipeline.stages import band_stage, confirm_stage, n_articles, screen_stage, sign_stage, wording_calls
from pipeline.tables import Ref, ref_rows


def rebuild_index(location: str, config: Config, execute: Executor, listen: Listener) -> Rebuilt:
    """Count furniture and terms of an index anew, and find all pairs again. Clusters keep their ids.

    Raises OutputError, ConfigError or InputError when it can't begin, RunError when a file of the index is
    not what was written. The index is what it was when it fails.
    """
    run = StageRunner(execute, listen)
    version = upkeep_name("rebuild")
    require_index(location)
    with tempfile.TemporaryDirectory(prefix="respun-") as folder:
        work = Path(folder)
        with held_index(location, version, config, work, listen.waiting_for) as held:
            if not held.catalog.n_articles:
                raise InputError(f"index {shown(location)}: must hold articles to be rebuilt, holds none")
            require_whole(Store(location), held.catalog.files)
            prepared, rebuilt = _rebuild_stages(
                held.index, held.catalog.n_articles, version, config, run, work
            )
            run.call("index-commit", make_live, held, prepared, rows=lambda c: c.n_articles)
            sweep_all(location)
    return rebuilt


def _rebuild_stages(
    index: OpenIndex, n_rows: int, version: str, config: Config, run: StageRunner, work: Path
) -> tuple[Ref, Rebuilt]:
    """The stages of a rebuild in their order: those of a run, from the kept tokens on."""
    unpacked = run.map(
        "unpack",
        index_rebuild.unpack,
        [(index, *span, number, work) for number, span in enumerate(slices(n_rows))],
        rows=lambda u: u.group.n_articles,
    )
    groups, tokens = [u.group for u in unpacked], [u.tokens for u in unpacked]
    counted = count_stages(groups, tokens, sum(u.text_bytes for u in unpacked), config, run, work)
    signed = tuple(run.together(sign_stage(counted, config, work))[0])
    shards = tuple(shard for group in groups for shard in group.shards)
    bands = band_stage(signed, config, run, work)
    window = config.candidates.match_window_days
    pairs = run.call("candidates-merge", candidates.merge, bands, work, shards, window, rows=ref_rows)
    screened = screen_stage(pairs, signed, config, run, work)
    calls = wording_calls(counted, screened, config, work)
    worded = run.map("wording", wording.write_group, calls, rows=n_articles)
    [judged] = run.together(confirm_stage(screened, signed, worded, config, work))
    membership = run.call("clusters", clusters.cluster, judged, shards, config, work, rows=ref_rows)
    positions = index_recall.everything(n_rows, work)
    started = None  # A rebuild forgets nothing: the next run does, and tells it.
    named = run.call(
        "name",
        index_clusters.name,
        index, positions, positions, membership, tuple(judged), shards, version,
        started, config, work,
        rows=lambda n: n.clusters.rows,
    )  # fmt: skip
    prepared = run.call(
        "index-segment",
        index_rebuild.replace_all,
        index, tuple(tokens), signed, tuple(judged), membership, named, counted.furniture,
        counted.statistics, version, config, work,
        rows=ref_rows,
    )  # fmt: skip
    return prepared, index_rebuild.rebuilt(version, n_rows, named)
