"""What an index says of itself: other configurations and formats, damage, contradictions, a lost catalog."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import made_up_news as news
import pytest
from indexes import files_of, run_night
from stages import config

from pipeline import index_admin
from pipeline.errors import ConfigError, OutputError
from pipeline.index_catalog import CATALOG, Catalog, require_catalog, settings_of
from pipeline.index_store import Store
from pipeline.tables import Ref

SETTINGS = config()
ROWS = news.stories(11, 24)
FIRST, SECOND = ROWS[::2], ROWS[1::2]


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
