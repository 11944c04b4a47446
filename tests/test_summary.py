"""The summary's numbers are those of the published tables, counted again in plain Python and in DuckDB."""

from __future__ import annotations

import json
from collections import Counter

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.confirm import RELATED, RELATIONS
from pipeline.schema import TABLES
from pipeline.summary import Summary, loosest, read_summary

CLUSTER = {"first_published_at": None, "last_published_at": None, "min_probability": 0.9, "mean_cosine": 0.5}

ARTICLE = {"text_hash": "0", "n_tokens": 1, "n_furniture_tokens": 0, "cluster_id": "0"}


def write_run(folder, weigh_source=True, **rows):
    for name, schema in TABLES.items():
        pq.write_table(pa.Table.from_pylist(rows.get(name, []), schema=schema), folder / f"{name}.parquet")
    counts = {"n_recognised": 0, "n_new_versions": 0}
    manifest = {"run_id": "r", "index": None, "counts": counts, "threshold": 0.5}
    manifest["config"] = {"weigh_source": weigh_source}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return read_summary(folder)


def cluster(cluster_id, n_articles, n_sources, relations, title="t"):
    return CLUSTER | {
        "cluster_id": cluster_id,
        "n_articles": n_articles,
        "n_sources": n_sources,
        "representative_id": f"of-{cluster_id}",
        "title": title,
        "relations": relations,
    }


def test_a_run_that_found_nothing(tmp_path):
    summary = write_run(tmp_path)
    assert (summary.n_articles, summary.n_clustered, summary.n_clusters, summary.n_pairs) == (0, 0, 0, 0)
    assert (summary.n_rejected, summary.n_articles_with_repeats, summary.n_repeated_groups) == (0, 0, 0)
    assert summary.largest == ()
    assert summary.tables == tuple(sorted(TABLES))


def test_largest_clusters_first_then_sources_then_id(tmp_path):
    summary = write_run(tmp_path, clusters=[
        cluster("a", 2, 2, ["exact"]), cluster("b", 9, 1, ["respun"], title=None),
        cluster("c", 9, 3, ["reprint"]), *(cluster(i, 2, 2, ["exact"]) for i in "fed"),
    ])  # fmt: skip
    assert [c.cluster_id for c in summary.largest] == ["c", "b", "a", "d", "e"]
    assert summary.largest[1].title == "of-b"
    assert summary.n_clustered == 26


def test_a_cluster_counts_once_under_its_loosest_relation(tmp_path):
    relations = [["exact", "respun"], ["exact", "reprint"], ["exact"], ["excerpt", "reprint"]]
    summary = write_run(tmp_path, clusters=[cluster(str(i), 2, 1, r) for i, r in enumerate(relations)])
    assert summary.clusters_by_relation == {"exact": 1, "reprint": 1, "excerpt": 1, "respun": 1}
    assert sum(summary.clusters_by_relation.values()) == summary.n_clusters


@pytest.mark.parametrize("relation", RELATIONS)
def test_loosest_of_one(relation):
    assert loosest([relation]) == relation
    assert loosest(list(RELATIONS[:RELATED])) == "respun"


@pytest.mark.parametrize(
    ("sources", "weighed", "only"),
    [
        (["a", "a", "a"], True, "a"), (["a", "a", "a"], False, None), (["a", "a", "b"], True, None),
        (["a", "a", None], True, None), ([None, None], True, None), (["a"], True, None), ([], True, None),
    ],
)  # fmt: skip
def test_a_source_that_all_articles_have_is_told_where_it_counts(tmp_path, sources, weighed, only):
    rows = [ARTICLE | {"article_id": str(i), "source": source} for i, source in enumerate(sources)]
    assert write_run(tmp_path, weighed, articles=rows).only_source == only


def test_rejected_by_reason_most_first(tmp_path):
    reasons = ["empty_text", "no_token", "no_token", "duplicate_id"]
    rows = [{"input_file": "f", "row": i, "reason": reason} for i, reason in enumerate(reasons)]
    summary = write_run(tmp_path, rejected=rows)
    counts = [("no_token", 2), ("duplicate_id", 1), ("empty_text", 1)]
    assert list(summary.rejected_by_reason.items()) == counts


def test_the_summary_of_a_real_run_is_what_duckdb_counts(sample_run):
    summary = read_summary(sample_run.run_dir)
    con = duckdb.connect()

    def count(query: str) -> dict:
        return dict(con.execute(query.format(d=sample_run.run_dir)).fetchall())

    assert summary.n_articles == 177
    assert summary.pairs_by_relation == dict.fromkeys(RELATIONS[:RELATED], 0) | count(
        "select relation, count(*) from '{d}/confirmed_pairs.parquet' group by 1"
    )
    sizes = count(
        "select cluster_id, count(*) from '{d}/cluster_members.parquet' group by 1 having count(*) > 1"
    )
    assert summary.n_clusters == len(sizes)
    assert summary.n_clustered == sum(sizes.values())
    assert Counter(c.n_articles for c in summary.largest) == Counter(sorted(sizes.values())[-5:])
    assert_is_consistent(summary)


def assert_is_consistent(summary: Summary) -> None:
    assert sum(summary.clusters_by_relation.values()) == summary.n_clusters
    assert all(n > 0 for n in summary.pairs_by_relation.values()), "the sample shows all four relations"
    assert summary.n_repeated_groups >= 1


def test_the_newest_clusters_are_those_that_began_last(sample_run):
    began = (
        pq.read_table(sample_run.run_dir / "clusters.parquet")["first_published_at"].drop_null().to_pylist()
    )
    newest = read_summary(sample_run.run_dir).newest
    assert [cluster.first_published_at for cluster in newest] == sorted(began, reverse=True)[:5]
