"""What is left out of an index, by itself or when asked for, and what becomes of its clusters."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta, tzinfo

import made_up_news as news
import pytest
from indexes import clusters, dated, reader, run_night
from stages import config

from flows.index_report import forgotten_lines
from flows.report import count_lines
from pipeline import index_admin, index_clusters, job
from pipeline.index_catalog import require_catalog
from pipeline.index_store import Store
from pipeline.summary import read_summary

SETTINGS = config()
ROWS = news.stories(11, 24)
FIRST, SECOND = ROWS[::2], ROWS[1::2]


def test_forgetting_leaves_out_what_is_older(tmp_path):
    index = tmp_path / "index"
    run_night(dated(FIRST, 1), tmp_path, index, SETTINGS)
    run_night(
        [*dated(SECOND[2:], 3), *(r | {"published_at": None} for r in SECOND[:2])], tmp_path, index, SETTINGS
    )
    before = clusters(index)
    forgotten = index_admin.forget(str(index), datetime(2026, 1, 2, tzinfo=UTC), SETTINGS, print)
    assert forgotten.n_articles == len(FIRST)
    kept = {r["article_id"] for r in SECOND}
    after = clusters(index)
    assert after == {n: ids & kept for n, ids in before.items() if ids & kept}
    assert forgotten.n_clusters == len(before) - len(after) > 0
    single = [number for number in before.keys() - after.keys() if len(before[number]) == 1]
    assert 0 < forgotten.n_single == len(single) < forgotten.n_clusters
    assert forgotten_lines(forgotten) == [
        f"forgotten: {len(FIRST)} articles; {forgotten.n_clusters} clusters expired, "
        f"{len(single)} of them single articles"
    ]
    night = run_night(dated(FIRST, 4), tmp_path, index, SETTINGS)
    assert night.manifest()["counts"]["n_recognised"] == 0
    assert {m["cluster_size"] for m in night.rows("cluster_members")} == {
        len(ids)
        for ids in clusters(index).values()
        if ids & {m["article_id"] for m in night.rows("cluster_members")}
    }


def day(article_id: str, paragraphs: list[str], number: int) -> list[dict]:
    return dated([news.row(article_id, "\n\n".join(paragraphs))], number)


@pytest.mark.parametrize("again", [True, False])
def test_a_cluster_whose_link_was_forgotten_is_cut_as_a_whole(again, tmp_path):
    """By an article that comes again, or by a new one. What is told and shown is what the index has."""
    rng, index = random.Random(3), tmp_path / "index"
    p = [news.paragraph(rng) for _ in range(8)]
    rows = [*day("a", p[:4], 3), *day("link", p, 1), *day("c", p[4:], 3), *day("e", [*p[4:], p[5]], 3)]
    run_night([*rows, *dated(news.stories(5, 6), 3)], tmp_path, index, SETTINGS)
    (cluster,) = (number for number, ids in clusters(index).items() if "link" in ids)
    index_admin.forget(str(index), datetime(2026, 1, 2, tzinfo=UTC), SETTINGS, print)
    assert clusters(index)[cluster] == {"a", "c", "e"}
    night = run_night(rows[:1] if again else day("d", p[:3], 4), tmp_path, index, SETTINGS)
    after = {ids: number for number, ids in clusters(index).items() if ids & {"a", "c", "d", "e"}}
    near, far = frozenset({"a"} if again else {"a", "d"}), frozenset({"c", "e"})
    assert after.keys() == {near, far}
    shown = {(m["cluster_id"], m["cluster_size"]) for m in night.rows("cluster_members")}
    assert shown == {(f"{number:016x}", len(ids)) for ids, number in after.items()}
    (split,) = (event for event in night.events() if event[0] == "split")
    assert {int(split[1], 16), int(split[2], 16)} == set(after.values())
    assert split[3:] == (3, len(near if after[near] == cluster else far))
    assert cluster in after.values()
    # It is cut once.
    assert run_night(rows[:1], tmp_path, index, SETTINGS).events() == []
    assert len(index_admin.compact(str(index), SETTINGS, print).segments) == 1
    assert {ids: n for n, ids in clusters(index).items() if n in after.values()} == after


def test_retention_forgets_by_itself_and_tells_which_clusters_expired(tmp_path):
    index, settings = tmp_path / "index", config("index.retention_days=5")
    run_night(dated(FIRST, 1), tmp_path, index, settings)
    before = clusters(index)
    night = run_night(dated(SECOND, 20), tmp_path, index, settings)
    after = clusters(index)
    assert {i for ids in after.values() for i in ids} == {r["article_id"] for r in SECOND}
    expired = {int(e[1], 16): e[3:] for e in night.events() if e[0] == "expired"}
    merged = {int(e[2], 16) for e in night.events() if e[0] == "merged"}
    assert before.keys() - after.keys() == expired.keys() | merged
    assert all(n_after == 0 and n_before == len(before[n]) for n, (n_before, n_after) in expired.items())


def test_retention_forgets_after_a_night_that_is_known_altogether(tmp_path):
    index = tmp_path / "index"
    run_night(dated(FIRST, 1), tmp_path, index, SETTINGS)
    run_night(dated(SECOND, 20), tmp_path, index, SETTINGS)
    night = run_night(dated(SECOND[:3], 20), tmp_path, index, config("index.retention_days=5"))
    assert night.manifest()["counts"]["n_recognised"] == 3
    assert {i for ids in clusters(index).values() for i in ids} == {r["article_id"] for r in SECOND}
    assert "expired" in {event[0] for event in night.events()}
    assert all(segment.n_articles for segment in require_catalog(Store(str(index))).segments)


def test_a_run_tells_how_many_articles_retention_forgot_and_how_many_of_its_own(tmp_path):
    index, settings = tmp_path / "index", config("index.retention_days=5")
    nights = [
        run_night(dated(FIRST, 20), tmp_path, index, settings),
        run_night([*dated(SECOND[:3], 1), *dated(SECOND[3:], 20)], tmp_path, index, settings),
        run_night(dated(news.stories(5, 1), 28), tmp_path, index, settings),
    ]
    told = [night.manifest()["index"] for night in nights]
    assert [(of["n_forgotten"], of["n_forgotten_new"]) for of in told] == [(0, 0), (3, 3), (len(ROWS) - 3, 0)]
    assert reader(index).n_articles == len(news.stories(5, 1))
    lines = [list(count_lines(read_summary(night.folder))) for night in nights]
    assert not any("forgotten" in line for line in lines[0])
    assert "3 articles forgotten by index.retention_days, 3 of them of this run" in lines[1]
    assert f"{len(ROWS) - 3} articles forgotten by index.retention_days" in lines[2]


@pytest.mark.parametrize("is_own", [True, False])
def test_a_wrong_date_in_the_future_forgets_nothing(is_own, tmp_path):
    """An article of the night itself, or one that the index has."""
    index, settings = tmp_path / "index", config("index.retention_days=5")
    wrong = SECOND[0] | {"published_at": datetime(2999, 1, 1, tzinfo=UTC)}
    run_night([*dated(FIRST, 1), *[wrong] * (not is_own)], tmp_path, index, settings)
    night = run_night([*dated(SECOND[1:], 4), *[wrong] * is_own], tmp_path, index, settings)
    assert {i for ids in clusters(index).values() for i in ids} == {r["article_id"] for r in ROWS}
    assert "expired" not in {event[0] for event in night.events()}
    # What is old beside the right dates is forgotten all the same.
    run_night(dated(news.stories(5, 1), 8), tmp_path, index, settings)
    kept = {i for ids in clusters(index).values() for i in ids}
    assert kept == {r["article_id"] for r in [*SECOND, *news.stories(5, 1)]}


class NextYear(datetime):
    """A clock that is a year ahead."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:
        return datetime.now(tz) + timedelta(days=365)


@pytest.mark.parametrize("resume", [True, False])
def test_a_run_that_goes_on_forgets_what_it_would_have_when_it_began(resume, tmp_path, monkeypatch):
    """An article of the days between is dated wrongly for it; for a run that begins anew it is the newest."""
    index, settings = tmp_path / "index", config("index.retention_days=5")
    run_night(dated(FIRST, 1), tmp_path, index, settings)
    between = SECOND[0] | {"published_at": datetime.now(UTC) + timedelta(days=100)}
    rows = [*dated(SECOND[1:], 4), between]

    def die(*_args: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(index_clusters, "name", die)
        with pytest.raises(KeyboardInterrupt):
            run_night(rows, tmp_path, index, settings)
    monkeypatch.setattr(job, "datetime", NextYear)
    night = run_night(rows, tmp_path, index, settings, resume=resume)
    assert night.manifest()["index"]["n_forgotten"] == (0 if resume else len(ROWS) - 1)
