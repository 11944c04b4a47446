"""Copies of one story, pages of one template, near-empty articles: linear cost, nothing lost in silence."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from stages import config
from texts import JIT_OFF

from benchmarks.collection import Mix, make_collection
from pipeline.executor import Silence, ThreadExecutor
from pipeline.job import run_job

pytestmark = pytest.mark.skipif(JIT_OFF, reason="runs the job over thousands of articles")

HOT = Mix(
    planted=0.05, wire=0.3, most_wire=10**6, template=0.2, most_template=10**6, near_empty=0.2, enormous=0
)
SETTINGS = config("candidates.max_bucket=20")
SIZES = (1_200, 4_800)


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[int, tuple[Path, Path]]:
    """For each size the folder of the run, and the truth."""
    found = {}
    for n in SIZES:
        folder = tmp_path_factory.mktemp(f"hot{n}")
        make_collection(n, folder, HOT)
        job = run_job(
            [str(folder / "articles.parquet")], folder / "out", SETTINGS, ThreadExecutor(2), Silence()
        )
        found[n] = (job.run_dir, folder / "truth.parquet")
    return found


def manifest(run_dir: Path) -> dict:
    return json.loads((run_dir / "manifest.json").read_text())


def test_what_is_compared_grows_no_faster_than_the_collection(runs):
    for count in ("n_collisions", "n_candidate_pairs"):
        small, large = (manifest(runs[n][0])["counts"][count] / n for n in SIZES)
        assert large <= 1.3 * small


def test_what_was_passed_over_is_told(runs):
    small, large = (manifest(runs[n][0]) for n in SIZES)
    assert 0 < small["counts"]["n_passed_over"] < large["counts"]["n_passed_over"]
    for n, found in zip(SIZES, (small, large), strict=True):
        told = [bucket["n_articles"] for bucket in found["oversized_buckets"]]
        assert told == sorted(told, reverse=True)
        assert told[0] == found["counts"]["largest_bucket"] > 0.1 * n
        assert len(told) == min(10, found["counts"]["n_oversized_buckets"])


@pytest.mark.parametrize("n", SIZES)
def test_the_copies_of_a_story_are_one_cluster_and_the_pages_of_a_template_are_not(runs, n):
    run_dir, truth = runs[n]
    cluster = dict(zip(*pq.read_table(run_dir / "articles.parquet", columns=["article_id", "cluster_id"])
                       .to_pydict().values(), strict=True))  # fmt: skip
    largest = {}
    for kind in ("wire", "template"):
        rows = [row for row in pq.read_table(truth).to_pylist() if row["kind"] == kind]
        [(story, size)] = Counter(row["story"] for row in rows).most_common(1)
        members = Counter(cluster[row["article_id"]] for row in rows if row["story"] == story)
        largest[kind] = members.most_common(1)[0][1] / size
    # A copy all of whose buckets are cut may have no like among its neighbours; of 720, four had none.
    assert largest["wire"] >= 0.99
    assert largest["template"] < 0.2
