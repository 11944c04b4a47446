"""What a night does to an index and an index to a night: recognising, versions, upkeep, windows, deaths."""

from __future__ import annotations

import random
import shutil
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import made_up_news as news
import pyarrow.parquet as pq
import pytest
from indexes import clusters, files_of, pairs, reader, run_night
from stages import config

from pipeline import index_admin, index_run, publish
from pipeline.errors import RespunError, RunError
from pipeline.executor import Silence, ThreadExecutor
from pipeline.index_catalog import CATALOG, Catalog, require_catalog
from pipeline.index_job import rebuild_index
from pipeline.index_store import Store
from pipeline.lease import hold

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


def test_the_id_of_a_version_is_taken(index, tmp_path):
    """A run's own tables name it so, and they may be somebody's input."""
    old, another = FIRST[0], SECOND[0]
    run_night([old | {"text": another["text"]}], tmp_path, index, SETTINGS, "version")
    version = old | {"article_id": f"{old['article_id']}@2", "text": another["text"]}
    again = run_night([version], tmp_path, index, SETTINGS, "again").manifest()["counts"]
    assert (again["n_recognised"], again["n_accepted"]) == (1, 0)
    night = run_night([version | {"text": SECOND[1]["text"]}], tmp_path, index, SETTINGS, "other")
    assert night.manifest()["counts"]["n_new_versions"] == 1
    assert {row["version_of"] for row in night.rows("articles")} >= {version["article_id"]}
    ids = reader(index).column("articles", "article_id").to_pylist()
    assert len(ids) == len(set(ids))


def test_one_source_speaks_against_a_pair_of_an_old_and_a_new_article(tmp_path):
    """Of an old article the index remembers the source."""
    judged = []
    for source in ("one.example", "two.example"):
        index = tmp_path / source / "index"
        run_night([row | {"source": "one.example"} for row in FIRST], tmp_path / source, index, SETTINGS)
        run_night([row | {"source": source} for row in SECOND], tmp_path / source, index, SETTINGS)
        judged.append({key: row["probability"] for key, row in pairs(index).items()})
    of_one, of_two = judged
    assert of_one.keys() == of_two.keys()
    old = {row["article_id"] for row in FIRST}
    between = [key for key in of_one if len(old & set(key)) == 1]
    assert all(of_one[key] <= of_two[key] for key in between)
    assert any(0 < of_one[key] < of_two[key] for key in between)


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
