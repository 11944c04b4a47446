"""What `cluster_events` tells, read run after run: clusters, and their sizes but for what was forgotten."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import made_up_news as news
import pytest
from indexes import Night, clusters, dated, run_night
from stages import config

from pipeline import index_admin, index_job, index_run
from pipeline.executor import Silence, ThreadExecutor
from pipeline.index_catalog import CATALOG, require_catalog
from pipeline.index_rebuild import Rebuilt
from pipeline.index_store import Store
from pipeline.publish import current_run
from pipeline.report_overview import _events

SETTINGS = config()
ROWS = news.stories(2, 24)


# By the statistics of the first night alone two articles are one story that are none by those of all.
FIRST = dated(ROWS[::4], 1)
SECOND = dated([r for i, r in enumerate(ROWS) if i % 4 and i % 7], 3)
THIRD = dated(ROWS[::7], 5)
BETWEEN = datetime(2026, 1, 2, tzinfo=UTC)


def rebuild(index: Path, *settings: str) -> Rebuilt:
    return index_job.rebuild_index(str(index), config(*settings), ThreadExecutor(2), Silence())


def rows(night: Night, *of: str) -> list[dict]:
    """The events that a night's table has of some runs, rebuilds and forgettings."""
    return [row for row in night.rows("cluster_events") if row["run_id"].startswith(of)]


def followed(nights: Sequence[Night]) -> dict[int, int]:
    """The clusters that someone who has only read the events takes to be there, and their sizes."""
    sizes: dict[int, int] = {}
    for row in (row for night in nights for row in night.rows("cluster_events")):
        if row["event"] == "merged":
            sizes.pop(int(row["other_id"], 16), None)
        elif row["event"] == "split":
            sizes.setdefault(int(row["other_id"], 16), 1)
        sizes[int(row["cluster_id"], 16)] = row["n_after"]
    return {cluster: size for cluster, size in sizes.items() if size}


def test_who_reads_the_events_alone_knows_the_size_of_every_cluster(index, tmp_path):
    """Over nights and a rebuild that splits a cluster."""
    first = run_night(FIRST, tmp_path, tmp_path / "other", SETTINGS)
    nights = [first, run_night(SECOND, tmp_path, index, SETTINGS)]
    rebuild(index)
    nights.append(run_night(THIRD, tmp_path, index, SETTINGS))
    assert rows(nights[-1], "rebuild")
    told = followed(nights)
    known = {number: len(ids) for number, ids in clusters(index).items()}
    assert {n: size for n, size in known.items() if size > 1 or n in told} == told


def test_who_reads_the_events_alone_knows_every_cluster(index, tmp_path):
    """Over nights, a rebuild that splits a cluster, and forgetting."""
    first = run_night(FIRST, tmp_path, tmp_path / "other", SETTINGS)
    nights = [first, run_night(SECOND, tmp_path, index, SETTINGS)]
    assert rebuild(index).n_events == {"split": 1}
    assert index_admin.forget(str(index), BETWEEN, SETTINGS, print).n_clusters > 0
    nights.append(run_night(THIRD, tmp_path, index, SETTINGS))
    known = clusters(index)
    told = followed(nights)
    assert {number for number, ids in known.items() if len(ids) > 1} <= told.keys() <= known.keys()


def test_what_happens_between_two_runs_is_told_once_in_its_order_before_the_next_ones_own(index, tmp_path):
    run_night(SECOND, tmp_path, index, SETTINGS)
    rebuild(index)
    assert index_admin.info(str(index)).n_untold == 1
    assert rebuild(index).n_events == {}
    forgotten = index_admin.forget(str(index), BETWEEN, SETTINGS, print)
    index_admin.compact(str(index), SETTINGS, print)
    found = index_admin.info(str(index))
    assert found.n_untold == 1 + forgotten.n_clusters
    assert found.n_bytes == sum(file.stat().st_size for file in index.rglob("*.parquet"))
    night = run_night(THIRD, tmp_path, index, SETTINGS)
    told = [row["run_id"].split("-")[0] for row in night.rows("cluster_events")]
    n_own = len(rows(night, night.folder.name))
    own = night.folder.name.split("-")[0]
    assert told == ["rebuild"] + ["forget"] * forgotten.n_clusters + [own] * n_own
    assert n_own > 0
    assert {(row["event"], row["n_after"]) for row in rows(night, "forget")} == {("expired", 0)}
    assert sum(_events(night.folder, night.folder.name).values()) == n_own
    following = run_night(SECOND[:1], tmp_path, index, SETTINGS)
    assert rows(following, "rebuild", "forget") == []
    assert not list((index / "untold").iterdir())


def dying_night(articles, tmp_path, index, monkeypatch, **kwargs):
    """A night that dies after it was published and before it joins the index."""

    def die(*_args: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(index_run, "make_live", die)
        with pytest.raises(KeyboardInterrupt):
            run_night(articles, tmp_path, index, SETTINGS, **kwargs)
    return Night(current_run(tmp_path / "out"))


def test_a_run_that_dies_before_its_index_changes_tells_again_under_the_same_name(
    index, tmp_path, monkeypatch
):
    run_night(SECOND, tmp_path, index, SETTINGS)
    rebuild(index)

    died = dying_night(THIRD, tmp_path, index, monkeypatch)
    assert died.folder.name not in index_admin.info(str(index)).run_ids
    again = run_night(THIRD, tmp_path, index, SETTINGS)
    assert again.folder != died.folder
    assert rows(again, "rebuild") == rows(died, "rebuild") != []
    # By this a reader tells that of two runs the first has changed nothing.
    assert again.manifest()["index"]["generation"] == died.manifest()["index"]["generation"]


def test_a_run_that_goes_on_after_its_index_has_moved_on_is_published_anew(index, tmp_path, monkeypatch):
    """What it had published tells neither what has become of the index meanwhile nor what it then does."""
    run_night(SECOND, tmp_path, index, SETTINGS)

    died = dying_night(THIRD, tmp_path, index, monkeypatch)
    rebuild(index)
    night = run_night(THIRD, tmp_path, index, SETTINGS, resume=True)
    assert night.folder != died.folder
    assert current_run(tmp_path / "out") == night.folder
    assert [row["event"] for row in rows(night, "rebuild")] == ["split"]
    assert rows(night, night.folder.name)
    known = clusters(index)
    for row in night.rows("cluster_members"):
        assert row["cluster_size"] == len(known[int(row["cluster_id"], 16)])
    assert not (tmp_path / "out" / ".work").exists()


def test_of_runs_on_one_state_of_an_index_the_last_one_joins_it(index, tmp_path, monkeypatch):
    second = dying_night(SECOND, tmp_path, index, monkeypatch)
    third = dying_night(THIRD, tmp_path, index, monkeypatch)
    # Another one since has been published: to be the last it has to be another run, and the same one again.
    again = dying_night(SECOND, tmp_path, index, monkeypatch, resume=True)
    assert len({night.folder for night in (second, third, again)}) == 3
    joined = run_night(SECOND, tmp_path, index, SETTINGS, resume=True)
    assert joined.folder == again.folder == current_run(tmp_path / "out")
    assert index_admin.info(str(index)).run_ids[-1] == joined.folder.name
    states = {night.manifest()["index"]["generation"] for night in (second, third, joined)}
    assert len(states) == 1


def test_a_night_that_is_known_altogether_tells_what_waits(index, tmp_path):
    run_night(SECOND, tmp_path, index, SETTINGS)
    rebuild(index)
    night = run_night(SECOND, tmp_path, index, SETTINGS)
    assert [row["event"] for row in night.rows("cluster_events")] == ["split"]
    assert run_night(SECOND, tmp_path, index, SETTINGS).events() == []


def test_forgetting_nothing_tells_nothing(index, tmp_path):
    before = (index / CATALOG).read_bytes()
    found = index_admin.forget(str(index), datetime(2025, 1, 1, tzinfo=UTC), SETTINGS, print)
    assert (found.n_articles, found.n_clusters) == (0, 0)
    assert (index / CATALOG).read_bytes() == before


def test_what_is_left_of_a_cluster_is_told_when_it_goes(tmp_path):
    """The cluster was told as created: a single article that it has shrunk to is the last of it."""
    index = tmp_path / "index"
    text = news.paragraph(random.Random(1))
    story = [r for day in (1, 2, 3) for r in dated([news.row(f"a{day}", text)], day)]
    night = run_night([*story, *dated(ROWS, 20)], tmp_path, index, SETTINGS)
    (cluster,) = (
        int(row["cluster_id"], 16) for row in night.rows("cluster_members") if row["article_id"] == "a1"
    )
    index_admin.forget(str(index), datetime(2026, 1, 3, tzinfo=UTC), SETTINGS, print)
    assert clusters(index)[cluster] == {"a3"}
    assert index_admin.forget(str(index), datetime(2026, 1, 4, tzinfo=UTC), SETTINGS, print).n_single == 1
    told = run_night(dated(ROWS[:1], 20), tmp_path, index, SETTINGS).events()
    assert ("expired", f"{cluster:016x}", None, 1, 0) in told


def test_a_rebuild_does_not_tell_what_retention_would_do(index, tmp_path):
    run_night(SECOND, tmp_path, index, SETTINGS)
    known = clusters(index)
    assert rebuild(index, "index.retention_days=1").n_events == {"split": 1}
    assert known.keys() <= clusters(index).keys()
    night = run_night(THIRD, tmp_path, index, config("index.retention_days=1"))
    assert [row["event"] for row in rows(night, "rebuild")] == ["split"]
    assert "expired" in {row["event"] for row in rows(night, night.folder.name)}


def test_an_index_from_before_there_were_such_events_opens(index, tmp_path):
    catalog = json.loads((index / CATALOG).read_text())
    assert catalog.pop("untold") is None
    (index / CATALOG).write_text(json.dumps(catalog))
    assert require_catalog(Store(str(index))).untold is None
    assert run_night(SECOND, tmp_path, index, SETTINGS).events()
