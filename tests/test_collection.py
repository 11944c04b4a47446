"""The generator of large collections: the same from the same seed, planted as it says, made in any pieces."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from texts import JIT_OFF

from benchmarks import spelling
from benchmarks.collection import KINDS, MIXES, PLAIN, SOURCE, Mix, Plan, Writer, batches
from pipeline.tokens import tokenise

pytestmark = pytest.mark.skipif(JIT_OFF, reason="writes hundreds of articles")


def made(n: int, mix: Mix = MIXES["news"], seed: int = 1) -> tuple[pa.Table, pa.Table]:
    articles, truth = zip(*batches(Plan(n, mix, seed)), strict=True)
    return pa.Table.from_batches(articles), pa.Table.from_batches(truth)


def test_a_collection_follows_from_its_size_and_seed():
    articles, truth = made(600)
    again, same = made(600)
    assert articles.equals(again)
    assert truth.equals(same)
    assert not articles.equals(made(600, seed=2)[0])
    assert articles["article_id"].to_pylist() == [f"a{row:08d}" for row in range(600)]


def test_an_article_is_the_same_in_whatever_batch():
    writer = Writer(Plan(300, MIXES["news"], 1))
    whole = pa.Table.from_batches([writer.batch(0, 300)[0]])
    pieces = [writer.batch(begin, end)[0] for begin, end in ((0, 1), (1, 140), (140, 300))]
    assert pa.Table.from_batches(pieces).combine_chunks().equals(whole.combine_chunks())


@pytest.mark.parametrize("name", MIXES)
def test_the_kinds_have_their_shares(name):
    mix, n = MIXES[name], 40_000
    known = Plan(n, mix, 3).rows(0, n)
    counts = Counter(KINDS[k] for k in known["kind"])
    assert counts["near_empty"] == int(mix.near_empty * n)
    assert counts["wire"] == pytest.approx(mix.wire * n, abs=21)
    assert counts["template"] == pytest.approx(mix.template * n, abs=21)
    assert counts["enormous"] == 1
    planted = sum(
        counts[k] for k in ("source", "copy", "edited", "trimmed", "excerpt", "light", "heavy", "spun")
    )
    assert planted == pytest.approx(mix.planted * n, rel=0.01)
    # Each story has one source, and at least one variant.
    story = known["story"][(known["kind"] >= SOURCE) & (known["kind"] <= KINDS.index("spun"))]
    sources = known["story"][known["kind"] == SOURCE]
    assert sorted(sources) == sorted(set(story.tolist()))
    assert min(Counter(story.tolist()).values()) >= 2
    assert (known["story"][known["kind"] == PLAIN] == -1).all()


def test_copies_are_copies_and_two_tellings_of_a_story_share_its_names_only():
    articles, truth = made(2_000)
    text = dict(zip(articles["article_id"].to_pylist(), articles["text"].to_pylist(), strict=True))
    rows = truth.to_pylist()
    source = {row["story"]: text[row["article_id"]] for row in rows if row["kind"] == "source"}

    def shared(kind: str) -> float:
        found = [
            (set(source[row["story"]].split()), set(text[row["article_id"]].split()))
            for row in rows
            if row["kind"] == kind
        ]
        assert len(found) > 5
        return float(np.mean([len(a & b) / len(a | b) for a, b in found]))

    shares = [shared(kind) for kind in ("copy", "edited", "light", "heavy", "spun")]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > 0.85  # but for the site's furniture
    assert 0.05 < shares[-1] < 0.35


def test_two_codes_never_share_a_spelling():
    rng = np.random.default_rng(4)
    sizes = (spelling.N_FUNCTION, 40_000, 250_000, 1 << 27, 10**6, 1 << 27)
    codes = [
        (kind << spelling.CLASS_SHIFT) | int(value)
        for kind, size in enumerate(sizes)
        for value in rng.integers(0, size, 2_000)
    ]
    codes = sorted(set(codes))
    out = np.empty(64, np.uint8)
    spelt = [
        out[: spelling.spell_out(np.array([code], np.uint32), 1, out, 0)].tobytes().decode().lower()
        for code in codes
    ]
    assert len(set(spelt)) == len(codes)
    assert len(tokenise(None, pa.array(spelt)).terms) == len(codes)
