"""Confirmation of candidate pairs: relations of hand-made texts, the threshold, and what must not matter."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from stages import Article, config, pair_table, sign, word

from pipeline import confirm, measures, screen
from pipeline.array_files import ArrayFiles
from pipeline.config import Config
from pipeline.confirm import (
    EXACT,
    EXCERPT,
    JUDGED,
    RELATED,
    RELATIONS,
    REPRINT,
    RESPUN,
    Judge,
    Measurer,
    confirm_part,
)
from pipeline.errors import ConfigError
from pipeline.schema import OF_TERMS
from pipeline.screen import SCREENED
from pipeline.signatures import Signed
from pipeline.tables import read_ipc, write_ipc


def prose(seed: int, n: int) -> list[str]:
    """Words of no text in particular, each rare; every tenth a name."""
    rng = random.Random(seed)
    words = ["".join(rng.choices("abcdefghij", k=9)) for _ in range(n)]
    return [word.title() if i % 10 == 9 else word for i, word in enumerate(words)]


REPORT = prose(1, 300)
OTHER = prose(2, 300)


def respun() -> list[str]:
    """The report's words in another order."""
    words = list(REPORT)
    random.Random(7).shuffle(words)
    return words


def quoting(n: int, n_passages: int = 2) -> list[str]:
    """Another text with passages of the report, of so many words each."""
    parts = [(OTHER[at : at + 80], REPORT[at : at + n]) for at in range(0, 80 * n_passages, 80)]
    return [word for own, quoted in parts for word in (*own, *quoted)] + OTHER[80 * n_passages :]


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
    "a passage of two paragraphs": (REPORT, quoting(34), EXCERPT),
    "a passage of two short ones": (REPORT, quoting(33), RESPUN),
    "a passage of three short ones": (REPORT, quoting(28, 3), EXCERPT),
    "a passage of three sentences": (REPORT, quoting(27, 3), RESPUN),
    "a passage within a rewrite": (REPORT, REPORT[:60] + respun(), RESPUN),
    "other words in order": (REPORT, respun(), RESPUN),
    "nothing in common": (REPORT, OTHER, RESPUN),
}


@dataclass(frozen=True)
class Staged:
    """What confirmation is given, and its folder."""

    signed: list[Signed]
    worded: list[ArrayFiles]

    def judge(self, settings: Config) -> Judge:
        return Judge(Measurer(self.signed, self.worded, settings))


def stage(folder: Path, articles: list[Article], n_groups: int = 2) -> Staged:
    """Every article has its wording."""
    settings = config()
    signing = sign(folder, articles, settings, n_groups)
    worded = word(folder, signing, settings, [(i, i) for i in range(len(articles))])
    return Staged(signing.signed, worded)


@pytest.fixture(scope="module")
def staged(tmp_path_factory) -> Staged:
    """Each case's two bodies, one after the other, under titles of their own."""
    bodies = [body for first, second, _ in CASES.values() for body in (first, second)]
    articles = [("s", f"Title {i} of t{i}", " ".join(body)) for i, body in enumerate(bodies)]
    return stage(tmp_path_factory.mktemp("confirm"), articles)


@pytest.mark.parametrize("sides", [(0, 1), (1, 0)], ids=["as given", "sides changed"])
@pytest.mark.parametrize("case", CASES)
def test_relations(case, sides, staged):
    at = 2 * list(CASES).index(case)
    left, right = np.array([at + sides[0]]), np.array([at + sides[1]])
    measurer = Measurer(staged.signed, staged.worded, config())
    measured = measurer.measure(left, right)
    same_text = measurer.text_hash[left] == measurer.text_hash[right]
    found = confirm.relate(measured, same_text, config().reprint.shingle_size)
    assert RELATIONS[found[0]] == RELATIONS[CASES[case][2]]


def test_copies_and_rewrites_are_confirmed_and_strangers_are_not(staged):
    cases = list(CASES)
    judged = (
        staged.judge(config()).judge(pair_table([(2 * i, 2 * i + 1) for i in range(len(cases))])).to_pylist()
    )
    confirmed = {case for case, row in zip(cases, judged, strict=True) if row["is_confirmed"]}
    passages = {case for case in CASES if case.startswith("a passage") and "rewrite" not in case}
    # A piece of 60 tokens and nothing else is enough, one of 80 among 300 others is not.
    assert confirmed == CASES.keys() - passages - {"nothing in common"}


def test_of_pairs_that_do_not_pass_the_terms_alone_are_measured(staged):
    at = 2 * list(CASES).index("nothing in common")
    pairs = pair_table([(0, 1), (at, at + 1), (2, 3)])
    judge = staged.judge(config())
    first, row, third = judge.judge(pairs, np.array([True, False, True])).to_pylist()
    measured = {name: row[name] for name in JUDGED.names[JUDGED.names.index("cosine") :]}
    assert {name for name, value in measured.items() if value} <= set(OF_TERMS)
    assert (row["probability"], row["is_confirmed"]) == (0, False)
    assert (row["found_by"], row["estimate_reprint"]) == (1, 0.5)
    # The others are measured as they would be without it, and by default all are.
    every = judge.judge(pairs).to_pylist()
    assert [first, third] == [every[0], every[2]]
    assert 0 < every[1]["probability"] < 0.1
    assert every[1]["cosine"] > 0
    assert [row[name] for name in OF_TERMS] == [every[1][name] for name in OF_TERMS]


def test_where_no_pair_passes_none_is_judged(staged):
    rows = staged.judge(config()).judge(pair_table([(0, 1), (2, 3)]), np.zeros(2, bool)).to_pylist()
    assert [(row["probability"], row["jaccard"], row["relation"]) for row in rows] == [(0, 0, RESPUN)] * 2
    assert all(row["cosine"] > 0 for row in rows)


def test_neighbours_are_listed_on_demand_and_link_nothing(staged):
    """Those that share names enough, and are not confirmed; the others stay as they are."""
    cases = list(CASES)
    pairs = pair_table([(2 * i, 2 * i + 1) for i in range(len(cases))])
    passes = np.ones(len(cases), bool)
    without = staged.judge(config("threshold=0.95")).judge(pairs, passes)
    for limit in (0, 15):
        found = staged.judge(config("threshold=0.95", f"related_threshold={limit}")).judge(pairs, passes)
        assert found["probability"].equals(without["probability"]) or limit
        assert confirm.links(found).tolist() == confirm.links(without).tolist()
        related = [
            case for case, row in zip(cases, found.to_pylist(), strict=True) if row["relation"] == RELATED
        ]
        if limit:
            assert "a passage in another text" in related
            assert "nothing in common" not in related
            listed = {c for c, row in zip(cases, found.to_pylist(), strict=True) if row["is_confirmed"]}
            assert listed >= set(related)
        else:
            assert found["relation"].equals(without["relation"])
            assert found["is_confirmed"].equals(without["is_confirmed"])


@pytest.mark.parametrize(("n_tokens", "is_believed"), [(29, False), (30, True)])
def test_few_words_are_never_called_reworded(tmp_path, n_tokens, is_believed):
    """The same words in another order: the rule alone has no doubt."""
    words = REPORT[:n_tokens]
    reworded = random.Random(3).sample(words, n_tokens)
    found = sign(tmp_path, [(None, None, " ".join(w)) for w in (words, reworded)], config())
    worded = word(tmp_path, found, config(), [(0, 1)])
    judge = Judge(Measurer(found.signed, worded, config()))
    pair = judge.judge(pair_table([(0, 1)])).to_pylist()[0]
    assert RELATIONS[pair["relation"]] == "respun"
    assert pair["is_confirmed"] == is_believed
    assert pair["probability"] > 0.9 if is_believed else 0 < pair["probability"] < 1e-3


def test_days_between_publication_count(tmp_path):
    """A rewrite of weeks later is less likely than one of the same day; without a date nothing is known."""
    day = datetime(2026, 3, 1, tzinfo=UTC)
    dates = [day, day + timedelta(hours=20), day + timedelta(days=30), None]
    articles = [("s", None, " ".join(REPORT)), *(("s", None, " ".join(respun())) for _ in range(3))]
    settings = config()
    signing = sign(tmp_path, articles, settings, dates=dates)
    worded = word(tmp_path, signing, settings, [(0, i) for i in range(1, 4)])
    measurer = Measurer(signing.signed, worded, settings)
    measured = measurer.measure(np.zeros(3, np.int64), np.arange(1, 4))
    np.testing.assert_allclose(measured.days_apart, [20 / 24, 30, np.nan], rtol=1e-6)
    judged = Judge(measurer).judge(pair_table([(0, 1), (0, 2), (0, 3)]))["probability"].to_pylist()
    assert judged[0] == judged[2] > judged[1] > 0


def test_one_source_is_a_reason_for_doubt(tmp_path):
    """An outlet tells its own story again less often than others do; unknown sources say nothing."""
    articles = [("one.example", None, " ".join(REPORT))]
    articles += [(source, None, " ".join(respun())) for source in ("One.example", "two.example", None, "--")]
    articles.append((None, None, " ".join(REPORT)))
    settings, pairs = config(), [(0, 1), (0, 2), (0, 3), (0, 4), (3, 5)]
    signing = sign(tmp_path, articles, settings)
    worded = word(tmp_path, signing, settings, pairs)
    measurer = Measurer(signing.signed, worded, settings)
    left, right = np.array(pairs, np.int64).T
    measured = measurer.measure(left, right)
    np.testing.assert_array_equal(measured.same_source, [1, 0, np.nan, np.nan, np.nan])
    judged = Judge(measurer).judge(pair_table(pairs))["probability"].to_pylist()
    # One of the pairs has its articles the other way round, and so its sums.
    assert judged[1:] == pytest.approx([judged[1]] * 4, abs=1e-6)
    assert judged[1] - 1e-3 > judged[0] > 0
    unweighed = Measurer(signing.signed, worded, config("weigh_source=false"))
    judged = Judge(unweighed).judge(pair_table(pairs))["probability"].to_pylist()
    assert judged == pytest.approx([judged[0]] * 5, abs=1e-6)


@pytest.mark.parametrize("threshold", [0.0, 1e-9, 0.3, 0.9, 1.0])
def test_the_threshold_of_the_configuration_goes_before_the_calibrations(threshold, staged):
    judge = staged.judge(config(f"threshold={threshold}"))
    expected = threshold or judge.rule.confirm.threshold
    passes = np.array([case != "nothing in common" for case in CASES])
    rows = judge.judge(pair_table([(2 * i, 2 * i + 1) for i in range(len(CASES))]), passes).to_pylist()
    assert [row["is_confirmed"] for row in rows] == [row["probability"] >= expected for row in rows]
    confirmed = {RELATIONS[row["relation"]] for row in rows if row["is_confirmed"]}
    # Of long equal bodies there is no doubt whatever the threshold.
    assert confirmed == {"exact"} if threshold == 1 else "exact" in confirmed
    assert not all(row["is_confirmed"] for row in rows)


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


@pytest.mark.parametrize("keep", ["true", "false"])
def test_parts_together_are_the_whole(keep, staged, monkeypatch, tmp_path):
    """However the pairs are cut into tasks, and these into lots, and whether or not all are kept."""
    pairs = pair_table(everything(2 * len(CASES)))
    rng = random.Random(5)
    passes = np.array([rng.random() < 0.7 for _ in range(len(pairs))])
    screened = pairs.append_column(SCREENED.field("passes"), pa.array(passes))
    if keep == "false":
        screened = screened.filter(pa.array(passes))
    monkeypatch.setattr(confirm, "PAIRS_AT_A_TIME", 40)
    edges = [0, 1, 100, 101, 101, len(screened)]
    refs = [
        write_ipc(tmp_path / f"screened-{k}.arrow", SCREENED, screened.slice(a, b - a).to_batches(50))
        for k, (a, b) in enumerate(pairwise(edges))
    ]
    parts = [confirm_part(ref, staged.signed, staged.worded, config(), tmp_path) for ref in refs]
    assert [Path(part.path).name for part in parts] == [f"judged-{k}.arrow" for k in range(len(refs))]
    whole = staged.judge(config()).judge(pairs, passes)
    if keep == "false":
        whole = whole.filter(pa.array(passes))
    found = pa.concat_tables([read_ipc(part.path) for part in parts])
    assert found.combine_chunks().equals(whole.combine_chunks())


def test_the_measures_come_in_the_order_of_the_pairs(staged):
    pairs = random.Random(3).sample(everything(2 * len(CASES)), 60)
    left, right = (np.array(side) for side in zip(*pairs, strict=True))
    measurer = Measurer(staged.signed, staged.worded, config())
    whole = measurer.measure(left, right)
    terms = screen.TermMeasurer(staged.signed).measure_terms(left, right)
    for p in range(0, len(pairs), 7):
        one = measurer.measure(left[p : p + 1], right[p : p + 1])
        for name, values in vars(one).items():
            np.testing.assert_array_equal(values[0], getattr(whole, name)[p])
    for name in measures.TermMeasures.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(terms, name), getattr(whole, name))
