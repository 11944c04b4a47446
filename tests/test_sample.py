"""data/sample is what data/build_sample.py makes of data/stories, and shows what its README promises."""

from __future__ import annotations

import importlib.util
import json
from collections import Counter
from pathlib import Path
from types import ModuleType

import pyarrow.parquet as pq
import pytest

DATA = Path(__file__).parents[1] / "data"
SAMPLE = DATA / "sample"
FILES = ("articles.parquet", "articles.jsonl", "pairs.parquet", "groups.parquet")


@pytest.fixture(scope="module")
def builder() -> ModuleType:
    import sys

    spec = importlib.util.spec_from_file_location("build_sample", DATA / "build_sample.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["build_sample"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_building_again_gives_the_same_bytes(builder, tmp_path):
    for folder in (tmp_path / "one", tmp_path / "two"):
        builder.build(folder)
    for name in FILES:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_the_sample_is_up_to_date(builder, tmp_path):
    builder.build(tmp_path)
    assert (tmp_path / "articles.jsonl").read_bytes() == (SAMPLE / "articles.jsonl").read_bytes()
    for name in (name for name in FILES if name.endswith(".parquet")):
        # Rows and types, not bytes: a file also names the version of Arrow that wrote it.
        made, stored = pq.read_table(tmp_path / name), pq.read_table(SAMPLE / name)
        assert made.equals(stored), f"{name} is not what the script makes: run `make sample`"


def test_jsonl_and_parquet_hold_the_same_articles():
    lines = (SAMPLE / "articles.jsonl").read_text(encoding="utf-8").splitlines()
    rows = pq.read_table(SAMPLE / "articles.parquet").to_pylist()
    for row in rows:
        row["published_at"] = f"{row['published_at']:%Y-%m-%dT%H:%M:%SZ}"
    assert [json.loads(line) for line in lines] == rows


def test_the_stories_are_in_it_as_written(builder):
    texts = {row["article_id"]: row["text"] for row in _rows("articles.parquet")}
    stories = builder.read_stories()
    assert len(stories) == 166
    assert all(texts[story.article_id].startswith(story.text) for story in stories)


def test_ids_are_unique_and_pairs_name_them_in_order():
    ids = [row["article_id"] for row in _rows("articles.parquet")]
    assert len(set(ids)) == len(ids) == len(_rows("groups.parquet"))
    pairs = _rows("pairs.parquet")
    assert len({(p["id_a"], p["id_b"]) for p in pairs}) == len(pairs)
    assert all(p["id_a"] < p["id_b"] and {p["id_a"], p["id_b"]} <= set(ids) for p in pairs)
    assert {p["label"] for p in pairs} == {-1, 0, 1}


def test_every_relation_has_its_pairs():
    found = Counter(p["kind"] for p in _rows("pairs.parquet") if p["label"] == 1)
    assert found["sample.exact"] == 4
    assert found["sample.reprint"] == 6
    assert found["sample.excerpt"] == 3
    assert found["story.excerpt"] == 24
    assert found["story.light"] == 24
    assert found["story.heavy"] == 44
    assert found["story.headline_spun"] == 20


def test_copies_are_equal_and_trimmed_reprints_are_prefixes(builder):
    written = {a.story: a.text for a in builder.read_stories() if a.variant == "source"}
    texts = {row["article_id"]: row["text"] for row in _rows("articles.parquet")}
    for article_id, text in texts.items():
        _, story, variant = article_id.split("/")
        if variant == "copy":
            assert text == texts[f"story/{story}/source"]
        if variant == "trimmed":
            kept = written[story].split("\n\n")[:-2]
            assert text.split("\n\n")[: len(kept)] == kept
            assert written[story] not in text


def test_the_page_holds_two_versions(builder):
    page = next(article for article in builder.make_articles() if article.variant == "page")
    versions = {a.variant: a.text for a in builder.read_stories() if a.story == page.story}
    assert page.text.startswith(versions["source"])
    assert page.text.endswith(versions["light"])


@pytest.mark.parametrize("site", ["clickpulse.example", "infostream24.example"])
def test_each_page_of_a_site_ends_with_its_fixed_lines(builder, site):
    texts = [row["text"] for row in _rows("articles.parquet") if row["source"] == site]
    assert len(texts) >= 10
    assert all(text.endswith("\n\n".join(builder.FIXED_LINES[site])) for text in texts)


def _rows(name: str) -> list[dict]:
    return pq.read_table(SAMPLE / name).to_pylist()
