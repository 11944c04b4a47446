"""Old articles are screened before they are recalled: fewer are, and nothing that is found changes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import made_up_news as news
import numpy as np
import pytest
from indexes import Night, clusters, pairs, reader, run_night
from stages import config

from pipeline import index_admin, index_segments
from pipeline.executor import Silence, ThreadExecutor
from pipeline.index_job import rebuild_index
from pipeline.index_tokens import bags_of, totals_of
from pipeline.index_write import open_index
from pipeline.terms import TermStatistics
from pipeline.vectors import NORM, weigh

BULLETIN = (
    "The weekly bulletin of the grain exchange lists wheat at {} and barley at {} a ton. Trading was calm in "
    "all halls of the exchange and most of the contracts were closed before noon on the day of the bulletin. "
    "The next bulletin of the grain exchange appears in a week, and covers maize and rape as it did before. "
    "Prices are without duty, in the currency of the exchange, and hold for deliveries in {} only."
)
# Any two articles that share a bucket are candidates.
LOW = ("candidates.min_jaccard_respun=0", "candidates.min_jaccard_reprint=0")
WINDOWED = ("candidates.match_window_days=1",)


def rows() -> list[dict]:
    """Stories, some of them told again, and bulletins of one form."""
    found = [dict(row) for row in news.stories(3, 60)]
    for n in range(12):
        text = BULLETIN.format(200 + 7 * n, 130 + 11 * n, ("Ostend", "Varna", "Riga", "Turku")[n % 4])
        found.append(news.row(f"b{n:03d}", text, f"Bulletin {n}"))
    start = datetime(2026, 1, 1, tzinfo=UTC)
    for n, row in enumerate(found):
        row["published_at"] = start + timedelta(hours=n)
    return found


ROWS = rows()
FIRST, SECOND = ROWS[::2], ROWS[1::2]


def second_night(tmp_path, name: str, *overrides: str) -> Night:
    """The second night, on an index of the first one."""
    index = tmp_path / name / "index"
    run_night(FIRST, tmp_path / name / "1", index, config(*LOW, *overrides))
    return run_night(SECOND, tmp_path / name / "2", index, config(*LOW, *overrides))


def recalled(night: Night) -> int:
    [stage] = (stage for stage in night.stages() if stage["stage"] == "recall")
    return stage["n_rows"]


def own_pairs(night: Night, table: str) -> list[dict]:
    """The pairs with an article of the second night."""
    own = {row["article_id"] for row in SECOND}
    return [pair for pair in night.rows(table) if own & {pair["article_id_l"], pair["article_id_r"]}]


@pytest.mark.parametrize("overrides", [(), WINDOWED], ids=["all", "within a day"])
def test_nothing_that_is_found_depends_on_what_is_dropped_before(tmp_path, overrides):
    few = second_night(tmp_path, "few", *overrides)
    all_of_them = second_night(tmp_path, "all", *overrides, "keep_rejected_candidates=true")
    assert recalled(few) < recalled(all_of_them)
    # With its rejected pairs a night shows more clusters of past nights.
    assert own_pairs(few, "confirmed_pairs") == own_pairs(all_of_them, "confirmed_pairs") != []
    counts = [night.manifest()["counts"] for night in (few, all_of_them)]
    for name in ("n_candidate_pairs", "n_screened_pairs", "n_collisions"):
        assert counts[0][name] == counts[1][name] > 0, name
    assert counts[0]["n_candidate_pairs"] == len(own_pairs(all_of_them, "candidate_pairs"))


def test_old_articles_of_a_template_are_recalled_although_no_pair_of_theirs_passes(tmp_path):
    few = second_night(tmp_path, "few")
    all_of_them = second_night(tmp_path, "all", "keep_rejected_candidates=true")
    bulletins = {row["article_id"] for row in SECOND if row["article_id"].startswith("b")}
    degrees = [
        {
            row["article_id"]: row["n_alike"]
            for row in night.rows("templates")
            if row["article_id"] in bulletins
        }
        for night in (few, all_of_them)
    ]
    assert degrees[0] == degrees[1]
    assert degrees[0].keys() == bulletins


def test_old_articles_of_any_number_of_tokens_are_a_batch(tmp_path, monkeypatch):
    """Long articles come a few at a time; what is found is the same."""
    rows = news.stories(5, 24)
    found = []
    for most in (1, 500, 1 << 20):
        monkeypatch.setattr(index_segments, "_BATCH_TOKENS", most)
        index = tmp_path / str(most) / "index"
        for night in (rows[::2], rows[1::2]):
            run_night(night, tmp_path / str(most), index, config())
        rebuild_index(str(index), config(), ThreadExecutor(1), Silence())
        known = reader(index)
        batches = list(index_segments.kept_batches(known, np.arange(len(rows)), index_segments.batch_ends(
            known.take(np.arange(len(rows)), ["n_tokens"])["n_tokens"].to_numpy())))  # fmt: skip
        found.append((len(batches), clusters(index), pairs(index)))
    assert found[0][0] == len(rows) > found[1][0] > found[2][0] == 1
    assert found[0][1:] == found[1][1:] == found[2][1:]


def test_the_index_has_the_totals_of_its_bags_by_its_statistics(tmp_path):
    """Whatever was done to it."""
    index, settings = tmp_path / "index", config()
    for n, some in enumerate((FIRST, SECOND[::2], SECOND[1::2])):
        run_night(some, tmp_path / str(n), index, settings)
    steps = (
        lambda: None,
        lambda: index_admin.compact(str(index), settings, print),
        lambda: index_admin.forget(str(index), datetime(2026, 1, 2, tzinfo=UTC), settings, print),
        lambda: rebuild_index(str(index), settings, ThreadExecutor(2), Silence()),
    )
    for n, step in enumerate(steps):
        step()
        opened = open_index(str(index), reader(index).catalog, tmp_path / f"open-{n}")
        known = opened.read()
        counts = TermStatistics.load(opened.statistics)
        for stored in known.tokens(np.arange(known.n_articles), ["bag"]):
            expected = weigh(bags_of(stored), counts)["totals"]
            np.testing.assert_allclose(totals_of(stored), expected, rtol=1e-6)
            assert expected[:, NORM].min() > 0
            assert len(np.unique(expected, axis=0)) > len(expected) / 2


def test_pairs_published_too_far_apart_are_no_candidates(tmp_path):
    far = second_night(tmp_path, "far").manifest()["counts"]["n_candidate_pairs"]
    near = second_night(tmp_path, "near", *WINDOWED).manifest()["counts"]["n_candidate_pairs"]
    assert near < far
