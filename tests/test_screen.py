"""The screen: which pairs pass by the rule, which are kept, and that cutting and order don't matter."""

from __future__ import annotations

import bisect
from dataclasses import dataclass
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from stages import Article, config, pair_table, sign

from pipeline import measures, screen
from pipeline.candidates import PAIRS
from pipeline.errors import ConfigError
from pipeline.rule import Rule, load_rule
from pipeline.screen import SCREENED, TermMeasurer, screen_slice
from pipeline.signatures import Signed
from pipeline.tables import Ref, read_ipc, write_ipc
from pipeline.vectors import TermVectors

# Three stories, each told three times in words of its own order, and a fourth without a token.
STORIES = (
    "The bridge over the Soar at Hinckley will close on 5 May for repairs that cost 1,200 coins",
    "Ministers met in Lisbon to discuss 88 new rules on the price of bread and of olive oil",
    "A storm brought down trees across the county of Rutland and cut off the power of 4,700 homes",
)
ARTICLES: list[Article] = [
    ("s", None, body)
    for story in STORIES
    for body in (story, " ".join(reversed(story.split())), f"{story}. Nobody else said a word about it")
] + [("s", None, "...")]
PAIRS_OF_ALL = list(combinations(range(len(ARTICLES)), 2))
WHOLE = (0, len(PAIRS_OF_ALL))
KEEP = "keep_rejected_candidates=true"


@dataclass(frozen=True)
class Staged:
    signed: list[Signed]
    pairs: Ref


def stage(folder: Path, n_groups: int) -> Staged:
    signed = sign(folder, ARTICLES, config(), n_groups).signed
    return Staged(signed, write_ipc(folder / "pairs.arrow", PAIRS, pair_table(PAIRS_OF_ALL).to_batches(7)))


@pytest.fixture(scope="module")
def staged(tmp_path_factory) -> Staged:
    return stage(tmp_path_factory.mktemp("screen"), 2)


def screened(staged: Staged, folder: Path, *overrides: str, edges: tuple[int, ...] = WHOLE) -> pa.Table:
    parts = [
        screen_slice(staged.pairs, begin, end, staged.signed, config(*overrides), folder)
        for begin, end in pairwise(edges)
    ]
    return pa.concat_tables([read_ipc(part.path) for part in parts]).combine_chunks()


def naive_passes(signed: list[Signed], rule: Rule) -> list[bool]:
    """Pair by pair, the curves written out."""
    vectors = {
        s.first_row + i: (TermVectors.load(s.bags, s.weights), i)
        for s in signed
        for i in range(s.articles.rows)
    }
    passes = []
    for left, right in PAIRS_OF_ALL:
        (of_l, i), (of_r, j) = vectors[left], vectors[right]
        terms = measures.measure_terms(of_l, [of_r], np.array([i]), np.array([0]), np.array([j]))
        [features] = measures.term_features(terms).tolist()
        log_odds = rule.screen.intercept
        for feature, knots, values in zip(features, rule.screen.knots, rule.screen.values, strict=True):
            x = min(max(feature, knots[0]), knots[-1])
            after = max(1, bisect.bisect_left(knots, x))
            part = (x - knots[after - 1]) / (knots[after] - knots[after - 1])
            log_odds += values[after - 1] * (1 - part) + values[after] * part
        passes.append(1 / (1 + np.exp(-log_odds)) >= rule.screen.threshold)
    return passes


def test_pairs_pass_by_the_rules_screen(staged, tmp_path):
    table = screened(staged, tmp_path, KEEP)
    assert table.schema.equals(SCREENED)
    expected = naive_passes(staged.signed, load_rule(config().calibration))
    assert table["passes"].to_pylist() == expected
    passing = {pair for pair, passes in zip(PAIRS_OF_ALL, expected, strict=True) if passes}
    assert passing >= {(at + i, at + j) for at in (0, 3, 6) for i, j in ((0, 1), (0, 2), (1, 2))}
    assert len(passing) < len(PAIRS_OF_ALL)


def test_pairs_that_do_not_pass_are_left_out_unless_candidates_are_kept(staged, tmp_path):
    """What is kept keeps the order and the columns of the candidates."""
    whole, left_out = (
        screened(staged, tmp_path, KEEP),
        screened(staged, tmp_path, "keep_rejected_candidates=false"),
    )
    assert whole.select(PAIRS.names).equals(read_ipc(staged.pairs.path).combine_chunks())
    assert 0 < len(left_out) < len(whole)
    assert left_out["passes"].to_pylist() == [True] * len(left_out)
    assert left_out.equals(whole.filter(whole["passes"]).combine_chunks())


@pytest.mark.parametrize("keep", ["true", "false"])
def test_slices_together_are_the_whole(keep, staged, tmp_path, monkeypatch):
    """However the pairs are cut into tasks, and these into lots."""
    override = f"keep_rejected_candidates={keep}"
    whole = screened(staged, tmp_path / "whole", override)
    monkeypatch.setattr(screen, "PAIRS_AT_A_TIME", 4)
    cut = screened(staged, tmp_path / "cut", override, edges=(0, 1, 9, 10, len(PAIRS_OF_ALL)))
    assert cut.equals(whole)
    names = sorted(path.name for path in (tmp_path / "cut").iterdir())
    assert names == [f"screened-{begin:010d}.arrow" for begin in (0, 1, 9, 10)]


@pytest.mark.parametrize("n_groups", [1, 3])
def test_the_groups_of_the_articles_do_not_matter(n_groups, staged, tmp_path):
    other = stage(tmp_path, n_groups)
    assert len(other.signed) == n_groups
    assert screened(other, tmp_path, KEEP).equals(screened(staged, tmp_path / "two", KEEP))


def test_terms_are_measured_in_the_order_of_the_pairs(staged):
    measurer = TermMeasurer(staged.signed)
    order = np.random.default_rng(4).permutation(len(PAIRS_OF_ALL))
    left, right = (np.array(side) for side in zip(*PAIRS_OF_ALL, strict=True))
    whole = measurer.measure_terms(left, right)
    mixed = measurer.measure_terms(left[order], right[order])
    for name, values in vars(whole).items():
        np.testing.assert_array_equal(getattr(mixed, name), values[order])


def test_articles_are_located_by_group_and_row(staged):
    rows = np.random.default_rng(5).permutation(sum(s.articles.rows for s in staged.signed))
    groups, within = TermMeasurer(staged.signed).locate(rows)
    for group, signed in enumerate(staged.signed):
        own = groups == group
        np.testing.assert_array_equal(within[own] + signed.first_row, rows[own])
        assert sorted(within[own].tolist()) == list(range(signed.articles.rows))


def test_the_calibration_is_the_configurations(staged, tmp_path):
    with pytest.raises(ConfigError, match="nowhere"):
        screened(staged, tmp_path, "calibration=nowhere.json")


@pytest.mark.parametrize("at_a_time", [1, 3, 4, 1000])
def test_blocks_of_articles_do_not_change_what_is_measured(staged, monkeypatch, at_a_time):
    rng = np.random.default_rng(2)
    left, right = np.array(PAIRS_OF_ALL)[rng.permutation(len(PAIRS_OF_ALL))].T
    measurer = TermMeasurer(staged.signed)
    whole = measures.term_features(measurer.measure_terms(left, right))
    monkeypatch.setattr(screen, "ARTICLES_AT_A_TIME", at_a_time)
    np.testing.assert_array_equal(measures.term_features(measurer.measure_terms(left, right)), whole)
