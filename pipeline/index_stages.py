"""The stages of a run that are there for its index, in their order."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline import (
    assemble,
    index_candidates,
    index_clusters,
    index_places,
    index_recall,
    index_run,
    index_screen,
    index_write,
    wording,
)
from pipeline.array_files import ArrayFiles
from pipeline.candidates import BandPairs
from pipeline.config import Config
from pipeline.executor import Stage, StageRunner
from pipeline.index_run import IndexRun
from pipeline.index_segments import N_PARTS, OpenIndex
from pipeline.manifest import started_at
from pipeline.shards import ShardGroup, slices
from pipeline.staged import Staged, Weighed
from pipeline.tables import Ref, ref_rows

# Groups of recalled articles; the new ones have the rest of MAX_GROUPS.
OLD_GROUPS = 2


def places_stages(index: OpenIndex, groups: Sequence[ShardGroup], work: Path) -> list[Stage[Ref]]:
    """Fetching the places of the index's articles; nothing where they can be mapped, or nothing is new."""
    calls = [(index, file, work) for file in index_places.places_elsewhere(index)] if groups else []
    return [Stage("index-places", index_places.fetch_places, calls, ref_rows)] if calls else []


def recall_stages(
    weighed: Weighed, config: Config, run: StageRunner, work: Path, index: OpenIndex
) -> tuple[index_recall.Plan, tuple[index_recall.Recalled, ...]]:
    """The stages that find old articles to compare with, and make them groups like the new ones."""
    assert weighed.recognised is not None
    shards = weighed.accepted.shards.articles
    found: list[BandPairs] = []
    left_over: list[index_screen.OldPairs] = []
    if index.statistics is not None and weighed.groups:
        found = run.map(
            "index-candidates",
            index_candidates.find_in_index,
            [
                (index, weighed.signed, shards, weighed.old_places, part, config, work)
                for part in range(N_PARTS)
            ],
            rows=lambda b: b.pairs.rows,
        )
        left_over = run.map(
            "index-screen",
            index_screen.screen_old,
            [
                (index, tuple(found), weighed.signed, shards, begin, end, weighed.statistics, config, work)
                for begin, end in slices(index.live().n_articles)
            ],
            rows=lambda p: p.pairs.rows,
        )
    known, n_new = weighed.recognised.known, weighed.accepted.n_accepted
    planned = run.call(
        "recall-plan",
        index_recall.plan,
        index, tuple(found), tuple(left_over), known, n_new, work,
        rows=lambda p: p.positions.rows,
    )  # fmt: skip
    recalled = run.map(
        "recall",
        index_recall.recall,
        [
            (
                index,
                planned,
                begin,
                end,
                len(weighed.groups) + k,
                weighed.furniture,
                weighed.statistics,
                config,
                work,
            )
            for k, (begin, end) in enumerate(slices(planned.positions.rows, OLD_GROUPS))
        ],
        rows=lambda r: r.group.n_articles,
    )
    return planned, tuple(recalled)


def recalled_wording(
    staged: Staged, screened: Sequence[Ref], config: Config, work: Path
) -> list[Stage[ArrayFiles]]:
    """The wording of the recalled groups: their clusters' pairs, judged on past nights, ask for it too."""
    if staged.planned is None or staged.recognised is None:
        return []
    touched = index_recall.touched_pairs(staged.planned, staged.recognised.known, screened, work)
    passed = (*screened, touched)
    calls = [
        (one.group, one.tokens, staged.furniture, staged.statistics, passed, config, work)
        for one in staged.recalled
    ]
    return [Stage("recalled-wording", wording.write_group, calls, lambda files: files.n_articles)]


def name_stage(
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
        index, positions, known, membership, tuple(judged), staged.accepted.shards.articles + old, run_id,
        int(started_at(run_id).timestamp() * 1_000_000), config, work,
        rows=lambda n: n.clusters.rows,
    )  # fmt: skip
    return assemble.Past(index, old, positions, staged.recognised.versions, named)


def segment_stages(
    held: IndexRun | None, staged: Staged, found: assemble.Found, repeated: tuple[Ref, ...], run_id: str,
    config: Config, run: StageRunner, work: Path,
) -> tuple[Ref | None, dict[str, Any] | None]:  # fmt: skip
    """Writes the night's segment; the catalog that makes it live, and what the manifest says of the index.

    There is no segment of a night that is known altogether.
    """
    if held is None or found.past is None:
        return None, None
    past = found.past
    night = index_write.Night(
        found.shards, past.versions, staged.tokens, staged.signed, found.judged, past.positions,
        found.membership, past.named, repeated, staged.furniture, staged.statistics,
    )  # fmt: skip
    written, drift = run.together(
        Stage(
            "index-segment",
            index_write.write_files,
            [
                (held.index, night, names, run_id, config, work)
                for names in index_write.LOTS
                if not night.is_known
            ],
            lambda refs: sum(ref.rows for ref in refs.values()),
        ),
        Stage("drift", index_write.drift, [(held.index, staged.bags)], lambda _: len(staged.bags)),
    )
    files = {name: ref for lot in written for name, ref in lot.items()}
    following = run.call(
        "index-catalog", index_run.prepare, held.index, night, files, run_id, config, work, rows=ref_rows
    )
    return following, index_run.described(held, drift[0], past.named.forgets, config)
