"""What a night does to an index and an index to a night: recognising, versions, settings, windows, deaths."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path

import made_up_news as news
import pyarrow.parquet as pq
import pytest
from indexes import clusters, dated, files_of, pairs, reader, run_night
from stages import config

from flows.index_report import forgotten_lines
from flows.report import count_lines
from pipeline import index_admin, index_clusters, index_run, job, publish
from pipeline.errors import ConfigError, OutputError, RespunError, RunError
from pipeline.executor import Silence, ThreadExecutor
from pipeline.index_catalog import CATALOG, Catalog, require_catalog, settings_of
from pipeline.index_job import rebuild_index
from pipeline.index_store import Store
from pipeline.lease import hold
from pipeline.summary import read_summary
from pipeline.tables import Ref

SETTINGS = config()
ROWS = news.stories(11, 24)
FIRST, SECOND = ROWS[::2], ROWS[1::2]


def test_the_first_night_finds_what_a_run_without_an_index_finds(one_night, tmp_path):
    alone = run_night(FIRST, tmp_path, None, SETTINGS)
    assert {frozenset(ids) for ids in clusters(one_night).values()} == {
        frozenset(
            m["article_id"] for m in alone.rows("cluster_members") if m["cluster_id"] == c["cluster_id"]
        )
        for c in alone.rows("cluster_members")
    }
    confirmed = {key for key, row in pairs(one_night).items() if row["is_confirmed"]}
    assert confirmed == {(p["article_id_l"], p["article_id_r"]) for p in alone.rows("confirmed_pairs")}
    ids = {f"{number:016x}" for number in clusters(one_night)}
    assert ids == {m["cluster_id"] for m in alone.rows("cluster_members")}


def test_a_night_shows_its_articles_and_the_clusters_they_touch(index, tmp_path):
    before = clusters(index)
    night = run_night(SECOND, tmp_path, index, SETTINGS)
    after = clusters(index)
    shown = {row["article_id"]: row for row in night.rows("articles")}
    assert {i for i, row in shown.items() if row["earlier_run_id"] is None} == {
        r["article_id"] for r in SECOND
    }
    own = {r["article_id"] for r in SECOND}
    changed = {ids for number, ids in after.items() if before.get(number) != ids}
    for ids in after.values():
        assert (ids <= shown.keys()) or not (ids & shown.keys()), "clusters are shown as a whole"
        assert ids not in changed or ids <= shown.keys()
    touched = {i for p in night.rows("confirmed_pairs") for i in (p["article_id_l"], p["article_id_r"])}
    expected = {i for ids in after.values() if ids & own or ids & touched for i in ids}
    assert shown.keys() == expected
    assert len(shown) > len(own)
    for row in night.rows("cluster_members"):
        assert row["cluster_size"] == len(after[int(row["cluster_id"], 16)])
    assert {row["article_id"] for row in night.rows("texts")} == own


def test_every_night_tells_what_became_of_each_cluster(index, tmp_path):
    before = clusters(index)
    night = run_night(SECOND, tmp_path, index, SETTINGS)
    after = clusters(index)
    gone = {int(other, 16) for event, _, other, _, _ in night.events() if event == "merged"}
    assert before.keys() - after.keys() == gone
    for event, cluster, _, n_before, n_after in night.events():
        number = int(cluster, 16)
        assert (n_before, n_after) == (len(before.get(number, ())), len(after[number])), event
    told = {int(cluster, 16) for _, cluster, _, _, _ in night.events()}
    new = {number for number, ids in after.items() if number not in before and len(ids) > 1}
    assert {n for n in after if n in before and after[n] != before[n]} | new <= told
    assert {row["run_id"] for row in night.rows("cluster_events")} == {night.folder.name}


def test_the_same_night_again_changes_nothing(index, tmp_path):
    night = run_night(SECOND, tmp_path, index, SETTINGS)
    before = files_of(index)
    again = run_night(SECOND, tmp_path, index, SETTINGS)
    assert files_of(index) == before
    counts = again.manifest()["counts"]
    assert (counts["n_accepted"], counts["n_recognised"]) == (0, len(SECOND))
    assert counts["n_input"] == counts["n_accepted"] + counts["n_recognised"] + counts["n_rejected"]
    assert again.events() == []
    assert len(require_catalog(Store(str(index))).segments) == 2
    own = {r["article_id"] for r in SECOND}
    members = {m["article_id"]: m for m in again.rows("cluster_members")}
    assert own <= members.keys()
    for row in night.rows("cluster_members"):
        if row["article_id"] in members:
            mine = members[row["article_id"]]
            same = ("cluster_id", "is_representative", "relation", "cluster_size")
            assert {c: mine[c] for c in same} == {c: row[c] for c in same}


def test_another_text_is_a_new_version(index, tmp_path):
    old = FIRST[0]
    rng = random.Random(5)
    changed = old | {"text": f"{old['text']}\n\n{news.sentence(rng)}", "title": "Another headline"}
    same = FIRST[1] | {"title": "Another headline", "text": FIRST[1]["text"].upper() + "\n"}
    night = run_night([changed, same], tmp_path, index, SETTINGS)
    counts = night.manifest()["counts"]
    assert (counts["n_accepted"], counts["n_new_versions"], counts["n_recognised"]) == (1, 1, 1)
    new_id = f"{old['article_id']}@2"
    articles = {row["article_id"]: row for row in night.rows("articles")}
    assert articles[new_id]["version_of"] == old["article_id"]
    assert articles[old["article_id"]]["version_of"] is None
    assert articles[new_id]["cluster_id"] == articles[old["article_id"]]["cluster_id"]
    assert (old["article_id"], new_id) in pairs(index)
    third = old | {"text": news.paragraph(rng)}
    assert run_night([changed], tmp_path, index, SETTINGS).manifest()["counts"]["n_recognised"] == 1
    night = run_night([third], tmp_path, index, SETTINGS)
    assert f"{old['article_id']}@3" in {row["article_id"] for row in night.rows("articles")}


def test_another_configuration_is_refused_with_what_differs(index, tmp_path):
    with pytest.raises(ConfigError) as refused:
        run_night(SECOND, tmp_path, index, config("seed=7", "reprint.shingle_size=4"))
    assert "reprint.shingle_size 5 (now 4)" in str(refused.value)
    assert "seed 1 (now 7)" in str(refused.value)
    assert not list((tmp_path / "out").glob("runs/*"))


def test_keys_that_compare_nothing_may_differ(index, tmp_path):
    other = config("n_workers=1", "keep_rejected_candidates=true", "index.max_drift=0.5", "columns.url=url")
    assert run_night(SECOND, tmp_path, index, other).rows("candidate_pairs")


@pytest.mark.parametrize("other", [{}, {"segments": 7, "later": 1}])
def test_an_index_of_another_format_is_refused(other, index, tmp_path):
    catalog = json.loads((index / CATALOG).read_text())
    (index / CATALOG).write_text(json.dumps(catalog | {"format": 99} | other))
    with pytest.raises(ConfigError, match="must have format 4, has 99"):
        run_night(SECOND, tmp_path, index, SETTINGS)


@pytest.mark.parametrize("content", [
    "", "{", "[]", "null", '{"format": 4}', '{"format": null}', "[" * 100_000, "\udcff"
])  # fmt: skip
def test_a_damaged_catalog_is_an_error_of_one_line(content, index, tmp_path):
    (index / CATALOG).write_text(content, errors="surrogateescape")
    with pytest.raises(OutputError, match=r"index .*: index.json must be readable: ") as refused:
        run_night(SECOND, tmp_path, index, SETTINGS)
    assert "\n" not in str(refused.value)


OTHERS = (None, "x", 7, 1.5, True, [], {}, [0], {"x": 0})


def places(value: object, *to: str | int) -> Iterator[tuple[tuple[str | int, ...], object]]:
    """The values of a JSON document and where they are, outermost first; of `settings` only the whole."""
    if isinstance(value, dict | list) and to != ("settings",):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield (*to, key), inner
            yield from places(inner, *to, key)


def is_wrong(place: tuple[str | int, ...], value: object, other: object) -> bool:
    """Whether another value at a place is wrong in any index."""
    if place == ("untold",) and other is None:
        return False
    if isinstance(value, dict):
        return place != ("settings",) or not isinstance(other, dict)
    return other != [] if isinstance(value, list) else type(other) is not type(value)


def changed(document: dict, place: tuple[str | int, ...], value: object) -> dict:
    """A copy with another value at a place, or without the key for `...`."""
    copy = json.loads(json.dumps(document))
    holder = copy
    for key in place[:-1]:
        holder = holder[key]
    if value is ...:
        del holder[place[-1]]
    else:
        holder[place[-1]] = value
    return copy


def test_whatever_is_wrong_in_a_catalog_is_said_in_one_line_with_its_place(index, tmp_path):
    """Each key left out, each value of another type, and the text cut off; with events that wait, too."""
    run_night(SECOND, tmp_path, index, SETTINGS)
    store = Store(str(index))
    waiting = Ref("untold/forget-1/cluster_events.parquet", 1, 2, "3")
    text = replace(require_catalog(store), untold=waiting).to_json()
    document, damaged = json.loads(text), []
    assert Catalog.of(text).untold == waiting
    for place, value in places(document):
        wrong = [other for other in OTHERS if is_wrong(place, value, other)]
        if isinstance(place[-1], str) and place != ("untold",):
            wrong.append(...)
        damaged += [(place, changed(document, place, other)) for other in wrong]
    assert len(damaged) > 500
    for place, content in damaged:
        (index / CATALOG).write_text(json.dumps(content))
        with pytest.raises((OutputError, ConfigError)) as refused:
            require_catalog(store)
        assert str(index) in str(refused.value)
        assert str(place[0]) in str(refused.value).split("must")[1]
        assert "\n" not in str(refused.value)
    for end in range(0, len(text) - 2, 101):
        (index / CATALOG).write_bytes(text[:end])
        with pytest.raises(OutputError, match=r"index.json must be readable"):
            require_catalog(store)


@pytest.mark.parametrize(("place", "value", "words"), [
    (("next_number",), 3, "next_number: must be at least"),
    (("segments", 0, "n_articles"), 3, "files.articles.rows: must be the segment's 3 articles"),
    (("segments", 0, "last_published"), None, "segments.0: must have a first and a last time, or none"),
    (("statistics",), None, "statistics: must be there where articles are"),
    (("later",), 1, "later: Unexpected"),
    (("segments", 0, "later"), 1, "segments.0.later: Unexpected"),
    (("segments", 0, "files", "keys", "later"), 1, "segments.0.files.keys.later: Unexpected"),
    (("format",), "2", "format: Input should be a valid integer"),
    (("segments", 0, "first_published"), -(10**18), "segments.0: times must be of the years 1 to 9999"),
    (("segments", 0, "last_published"), 10**18, "segments.0: times must be of the years 1 to 9999"),
])  # fmt: skip
def test_a_catalog_that_contradicts_itself_is_refused(place, value, words, index):
    document = json.loads((index / CATALOG).read_text())
    (index / CATALOG).write_text(json.dumps(changed(document, place, value)))
    with pytest.raises(OutputError, match=words):
        index_admin.info(str(index))


def test_drift_asks_for_a_rebuild(index, tmp_path):
    night = run_night(SECOND, tmp_path, index, config("index.max_drift=0.01"))
    found = night.manifest()["index"]
    assert found["is_rebuild_due"]
    assert 0.01 < found["drift"] < 1
    again = run_night(FIRST, tmp_path, index, SETTINGS).manifest()["index"]
    assert again["drift"] == 0


def test_a_rebuild_counts_anew_and_keeps_ids(index, tmp_path):
    run_night(SECOND, tmp_path, index, SETTINGS)
    known = clusters(index)
    rebuild_index(str(index), SETTINGS, ThreadExecutor(2), Silence())
    assert require_catalog(Store(str(index))).statistics.version.startswith("rebuild-")
    for number, ids in clusters(index).items():
        assert number not in known or known[number] & ids
    # As one run over everything, whose statistics are those of all.
    fresh = tmp_path / "fresh"
    run_night(ROWS, tmp_path, fresh, SETTINGS)
    assert set(clusters(index).values()) == set(clusters(fresh).values())
    assert pairs(index).keys() == pairs(fresh).keys()
    assert len(index_admin.info(str(index)).segments) == 1
    assert run_night(SECOND, tmp_path, index, SETTINGS).manifest()["counts"]["n_recognised"] == len(SECOND)


def test_compacting_changes_nothing_of_what_is_held(index, tmp_path):
    run_night(SECOND[::2], tmp_path, index, SETTINGS)
    other = Path(shutil.copytree(index, tmp_path / "other"))
    known, judged = clusters(index), pairs(index)
    found = index_admin.compact(str(index), SETTINGS, print)
    assert len(found.segments) == 1
    assert (clusters(index), pairs(index)) == (known, judged)
    assert len(list((index / "segments").iterdir())) == 1
    assert index_admin.compact(str(index), SETTINGS, print).generation == found.generation
    night, expected = (run_night(SECOND[1::2], tmp_path / i.name, i, SETTINGS) for i in (index, other))
    for table in ("cluster_members", "confirmed_pairs", "clusters"):
        assert night.rows(table) == expected.rows(table)


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


@pytest.mark.parametrize("first", [0, 12])
def test_a_window_compares_only_what_was_published_within_it(first, tmp_path):
    """In one run and over nights alike."""
    rng = random.Random(1)
    text = news.paragraph(rng)
    rows = [
        news.row(f"a{k}", text) | {"published_at": datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=20 * k)}
        for k in range(4)
    ]
    rows.append(news.row("undated", text))
    settings, index = config("candidates.match_window_days=1"), tmp_path / "index"
    run_night(rows[: 2 if first else 5], tmp_path, index, settings)
    if first:
        run_night(rows[2:], tmp_path, index, settings)
    expected = {("a0", "a1"), ("a1", "a2"), ("a2", "a3")} | {(f"a{k}", "undated") for k in range(4)}
    assert {key for key, row in pairs(index).items() if row["is_confirmed"]} == expected


class Waiting(Silence):
    """Lets another run's hold on an index go as soon as it hears that it is waited for."""

    def __init__(self, index: Path) -> None:
        self._other = ExitStack()
        self._other.enter_context(hold(Store(str(index)), "other", SETTINGS.index, print))
        self.said: list[str] = []

    def waiting_for(self, what: str) -> None:
        self.said.append(what)
        self._other.close()


@pytest.mark.parametrize("what", ["run", "rebuild", "compact", "forget"])
def test_who_waits_for_an_index_says_for_whom_and_how_long(what, index, tmp_path):
    listen, patient = Waiting(index), config("index.wait_seconds=60")
    if what == "run":
        run_night(SECOND, tmp_path, index, patient, listen=listen)
    elif what == "rebuild":
        rebuild_index(str(index), patient, ThreadExecutor(2), listen)
    elif what == "compact":
        index_admin.compact(str(index), patient, listen.waiting_for)
    else:
        index_admin.forget(str(index), datetime(2026, 1, 2, tzinfo=UTC), patient, listen.waiting_for)
    waits, _ = listen.said
    assert waits.startswith(f"index {index}: held by run other on ")
    assert waits.endswith(", waiting up to 60 s")


class KilledError(BaseException):
    """Stands for the end of the process: nothing handles it."""


@pytest.mark.parametrize("step", ["prepare", "publish", "make_live", "replace"])
def test_a_run_that_dies_leaves_a_whole_index_and_the_next_one_makes_up_for_it(
    step, index, tmp_path, monkeypatch
):
    before = clusters(index)

    def die(*_args: object, **_kwargs: object) -> None:
        raise KilledError

    if step == "replace":
        real = Store.replace

        def replace(self: Store, name: str, content: bytes) -> None:
            if name == CATALOG:
                raise KilledError
            real(self, name, content)

        monkeypatch.setattr(Store, "replace", replace)
    else:
        owner = {"prepare": index_run, "publish": publish, "make_live": index_run}[step]
        monkeypatch.setattr(owner, step, die)
    with pytest.raises(KilledError):
        run_night(SECOND, tmp_path, index, SETTINGS)
    monkeypatch.undo()
    assert clusters(index) == before
    night = run_night(SECOND, tmp_path, index, SETTINGS)
    assert night.manifest()["counts"]["n_accepted"] == len(SECOND)
    fresh = tmp_path / "fresh"
    run_night(FIRST, tmp_path / "other", fresh, SETTINGS)
    run_night(SECOND, tmp_path / "other", fresh, SETTINGS)
    assert clusters(index) == clusters(fresh)
    named = {s.segment_id for s in require_catalog(Store(str(index))).segments}
    assert {p.name for p in (index / "segments").iterdir()} == named


def test_a_lost_index_is_not_written(index, tmp_path, monkeypatch):
    real = index_run.prepare

    def lose(*args: object, **kwargs: object) -> object:
        for lease in (index / "leases").iterdir():
            lease.unlink()
        return real(*args, **kwargs)

    monkeypatch.setattr(index_run, "prepare", lose)
    before = (index / CATALOG).read_bytes()
    with pytest.raises(RunError, match="was silent for more than"):
        run_night(SECOND, tmp_path, index, SETTINGS)
    assert (index / CATALOG).read_bytes() == before


def test_a_lost_index_is_not_compacted(index, tmp_path, monkeypatch):
    """Whoever took it over has removed what no live catalog names, the new segments among it."""
    run_night(SECOND, tmp_path, index, SETTINGS)
    before = clusters(index)
    real = index_admin.compacted

    def lose(*args: object, **kwargs: object) -> object:
        made = real(*args, **kwargs)
        for lease in (index / "leases").iterdir():
            lease.unlink()
        index_run.sweep_all(str(index))
        return made

    monkeypatch.setattr(index_admin, "compacted", lose)
    with pytest.raises(RunError, match="lost it"):
        index_admin.compact(str(index), SETTINGS, print)
    assert clusters(index) == before


def test_a_run_is_refused_where_segments_have_lost_their_catalog(index, tmp_path):
    kept = (index / CATALOG).read_bytes()
    (index / CATALOG).unlink()
    before = files_of(index)
    with pytest.raises(OutputError, match=r"must have index.json beside its segments, it is gone"):
        run_night(SECOND, tmp_path / "refused", index, SETTINGS)
    assert files_of(index) == before
    (index / CATALOG).write_bytes(kept)
    run_night(SECOND, tmp_path / "again", index, SETTINGS)


def test_an_index_that_was_begun_by_a_run_that_failed_takes_any_configuration(tmp_path):
    index = tmp_path / "index"
    empty = Catalog.begun({"seed": 7})
    index.mkdir()
    (index / CATALOG).write_bytes(empty.to_json())
    dead = index / "segments" / "dead" / "tokens.parquet"
    dead.parent.mkdir(parents=True)
    dead.write_bytes(b"half of it")
    run_night(FIRST, tmp_path, index, SETTINGS)
    assert not dead.exists()
    assert require_catalog(Store(str(index))).settings == settings_of(SETTINGS)


@pytest.mark.parametrize("table", ["keys", "places", "articles", "tokens", "pairs", "membership"])
def test_a_missing_file_fails_the_run_with_its_name(table, index, tmp_path):
    (path,) = (index / "segments").glob(f"*/{table}.parquet")
    path.unlink()
    with pytest.raises(RespunError, match=rf"{table}\.parquet can't be read"):
        run_night(SECOND, tmp_path, index, SETTINGS)


@pytest.mark.parametrize(("folder", "table"), [
    ("segments", "keys"), ("segments", "places"), ("segments", "tokens"), ("statistics", "terms"),
    ("statistics", "furniture"),
])  # fmt: skip
def test_a_damaged_file_fails_the_run_with_its_name(folder, table, index, tmp_path):
    (path,) = (index / folder).glob(f"*/{table}.parquet")
    before = files_of(index)
    # Its pages, from behind the magic number up to the footer.
    footer = int.from_bytes(before[path][-8:-4], "little")
    end = len(before[path]) - 8 - footer
    path.write_bytes(before[path][:4] + b"\xff" * (end - 4) + before[path][end:])
    with pytest.raises(RespunError) as caught:
        run_night(SECOND, tmp_path, index, SETTINGS)
    assert f"{table}.parquet can't be read" in str(caught.value)
    assert "stage :" not in str(caught.value)
    assert {file: file.read_bytes() for file in before if file != path} == {
        file: data for file, data in before.items() if file != path
    }


def test_the_files_are_parquet_and_say_what_they_hold(one_night):
    catalog = require_catalog(Store(str(one_night)))
    assert catalog == Catalog.of(catalog.to_json())
    for segment in catalog.segments:
        for ref in segment.files.values():
            assert pq.read_metadata(one_night / ref.path).num_rows == ref.rows
    found = index_admin.info(str(one_night))
    assert found.n_bytes == sum(file.stat().st_size for file in one_night.rglob("*.parquet"))
    assert found.n_articles == len(FIRST) == reader(one_night).n_articles
