"""Confirmation of candidate pairs: relations of hand-made texts, the threshold, and what must not matter."""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from stages import Article, config, sign

from pipeline import confirm, measures, vectors
from pipeline.candidates import PAIRS
from pipeline.config import Config
from pipeline.confirm import (
    EXACT,
    EXCERPT,
    JUDGED,
    RELATIONS,
    REPRINT,
    RESPUN,
    Judge,
    Measurer,
    confirm_slice,
)
from pipeline.errors import ConfigError
from pipeline.signatures import Signed
from pipeline.tables import read_ipc, write_ipc
from pipeline.vectors import VectorFiles


def prose(seed: int, n: int) -> list[str]:
    """Tokens of no text in particular, each rare; every tenth a name."""
    rng = random.Random(seed)
    return [f"{'N' if i % 10 == 9 else 'w'}{rng.randrange(10**9)}" for i in range(n)]


REPORT = prose(1, 300)
OTHER = prose(2, 300)


def respun() -> list[str]:
    """The report's words in another order."""
    words = list(REPORT)
    random.Random(7).shuffle(words)
    return words


# Body of the one, body of the other, relation.
CASES = {
    "the same body": (REPORT, REPORT, EXACT),
    "the same but for case and signs": (REPORT, [f"“{w.upper()}”," for w in REPORT], EXACT),
    "trimmed": (REPORT, REPORT[:200], REPRINT),
    "a few words exchanged": (
        REPORT,
        [("x" + w if i % 40 == 0 else w) for i, w in enumerate(REPORT)],
        REPRINT,
    ),
    "with a paragraph more": (REPORT, REPORT + OTHER[:100], REPRINT),
    "a short piece of it": (REPORT, REPORT[:60], EXCERPT),
    "a passage in another text": (REPORT, OTHER[:150] + REPORT[100:180] + OTHER[150:], EXCERPT),
    "a passage of 50 tokens": (REPORT, OTHER[:150] + REPORT[100:150] + OTHER[150:], EXCERPT),
    "a passage of 49 tokens": (REPORT, OTHER[:150] + REPORT[100:149] + OTHER[150:], RESPUN),
    "a passage within a rewrite": (REPORT, REPORT[:60] + respun(), RESPUN),
    "other words in order": (REPORT, respun(), RESPUN),
    "nothing in common": (REPORT, OTHER, RESPUN),
}


@dataclass(frozen=True)
class Staged:
    """What confirmation is given, and its folder."""

    signed: list[Signed]
    vectors: list[VectorFiles]
    folder: Path

    def judge(self, settings: Config) -> Judge:
        return Judge(Measurer(self.signed, self.vectors, settings))


def stage(folder: Path, articles: list[Article], n_groups: int = 2) -> Staged:
    settings = config()
    signing = sign(folder, articles, settings, n_groups)
    files = [
        vectors.write_group(group, tokens, signing.furniture, signing.statistics, settings, folder)
        for group, tokens in zip(signing.groups, signing.tokens, strict=True)
    ]
    return Staged(signing.signed, files, folder)


def pair_table(pairs: list[tuple[int, int]]) -> pa.Table:
    rows = [
        {"left": i, "right": j, "found_by": 1, "estimate_reprint": 0.5, "estimate_respun": 0.1}
        for i, j in pairs
    ]
    return pa.Table.from_pylist(rows, schema=PAIRS)


@pytest.fixture(scope="module")
def staged(tmp_path_factory) -> Staged:
    """Each case's two bodies, one after the other, under titles of their own."""
    bodies = [body for first, second, _ in CASES.values() for body in (first, second)]
    articles = [("s", f"Title {i} of t{i}", " ".join(body)) for i, body in enumerate(bodies)]
    return stage(tmp_path_factory.mktemp("confirm"), articles)


def all_of(lot: measures.TermMeasures) -> np.ndarray:
    return np.ones(len(lot.cosine), bool)


@pytest.mark.parametrize("sides", [(0, 1), (1, 0)], ids=["as given", "sides changed"])
@pytest.mark.parametrize("case", CASES)
def test_relations(case, sides, staged):
    at = 2 * list(CASES).index(case)
    left, right = np.array([at + sides[0]]), np.array([at + sides[1]])
    measurer = Measurer(staged.signed, staged.vectors, config())
    _, measured = measurer.measure(left, right, all_of)
    same_text = measurer.text_hash[left] == measurer.text_hash[right]
    found = confirm.relate(measured, same_text, config().reprint.shingle_size)
    assert RELATIONS[found[0]] == RELATIONS[CASES[case][2]]


def test_copies_and_rewrites_are_confirmed_and_strangers_are_not(staged):
    cases = list(CASES)
    judged = (
        staged.judge(config()).judge(pair_table([(2 * i, 2 * i + 1) for i in range(len(cases))])).to_pylist()
    )
    confirmed = {case for case, row in zip(cases, judged, strict=True) if row["is_confirmed"]}
    assert confirmed >= {"the same body", "trimmed", "a few words exchanged", "other words in order"}
    assert "nothing in common" not in confirmed


def test_pairs_that_the_screen_drops_are_not_measured(staged):
    at = 2 * list(CASES).index("nothing in common")
    row = staged.judge(config()).judge(pair_table([(at, at + 1)])).to_pylist()[0]
    measured = {name: row[name] for name in JUDGED.names[JUDGED.names.index("cosine") :]}
    assert set(measured.values()) == {0}
    assert (row["probability"], row["is_confirmed"]) == (0, False)
    assert (row["found_by"], row["estimate_reprint"]) == (1, 0.5)
    unscreened = staged.judge(config()).judge(pair_table([(at, at + 1)]), screened=False).to_pylist()[0]
    assert 0 < unscreened["probability"] < 0.1
    assert unscreened["cosine"] > 0


@pytest.mark.parametrize("threshold", [0.0, 1e-9, 0.3, 0.9, 1.0])
def test_the_threshold_of_the_configuration_goes_before_the_calibrations(threshold, staged):
    judge = staged.judge(config(f"threshold={threshold}"))
    expected = threshold or judge.rule.confirm.threshold
    n = len(CASES)
    rows = judge.judge(pair_table([(2 * i, 2 * i + 1) for i in range(n)])).to_pylist()
    assert [row["is_confirmed"] for row in rows] == [row["probability"] >= expected for row in rows]
    assert {row["probability"] >= expected for row in rows} == ({False} if threshold == 1 else {True, False})


def test_the_calibration_is_the_configurations(staged):
    with pytest.raises(ConfigError, match="nowhere"):
        staged.judge(config("calibration=nowhere.json"))


def everything(n: int) -> list[tuple[int, int]]:
    return [(i, j) for i in range(n) for j in range(i + 1, n)]


def test_neither_order_nor_company_of_the_pairs_matters(staged):
    pairs = everything(2 * len(CASES))
    judge = staged.judge(config())
    whole = {(row["left"], row["right"]): row for row in judge.judge(pair_table(pairs)).to_pylist()}
    assert len(whole) == len(pairs)
    mixed = random.Random(2).sample(pairs, len(pairs))
    assert [(r["left"], r["right"]) for r in judge.judge(pair_table(mixed)).to_pylist()] == mixed
    for part in (mixed, mixed[:7], mixed[:1]):
        for row in judge.judge(pair_table(part)).to_pylist():
            assert row == whole[row["left"], row["right"]]


@pytest.mark.parametrize("n_groups", [1, 3])
def test_the_groups_of_the_articles_do_not_matter(n_groups, staged, tmp_path):
    bodies = [body for first, second, _ in CASES.values() for body in (first, second)]
    articles = [("s", f"Title {i} of t{i}", " ".join(body)) for i, body in enumerate(bodies)]
    pairs = pair_table(everything(len(bodies)))
    again = stage(tmp_path, articles, n_groups).judge(config()).judge(pairs)
    assert again.equals(staged.judge(config()).judge(pairs))


def test_slices_together_are_the_whole(staged, monkeypatch, tmp_path):
    """However the pairs are cut into tasks, and these into lots."""
    pairs = pair_table(everything(2 * len(CASES)))
    ref = write_ipc(tmp_path / "pairs.arrow", PAIRS, pairs.to_batches(50))
    monkeypatch.setattr(confirm, "PAIRS_AT_A_TIME", 40)
    edges = [0, 1, 100, 101, len(pairs)]
    parts = [
        read_ipc(confirm_slice(ref, begin, end, staged.signed, staged.vectors, config(), tmp_path).path)
        for begin, end in pairwise(edges)
    ]
    assert (
        pa.concat_tables(parts).combine_chunks().equals(staged.judge(config()).judge(pairs).combine_chunks())
    )
