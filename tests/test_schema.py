"""The tables' schemas are the design's, each column is described, and docs/tables.md says the same."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.schema import TABLE_INFO, TABLES, description, tables_markdown
from pipeline.tables import write_parquet

# Written out on purpose: users build on these names and their order.
COLUMNS = {
    "articles": "article_id source url title published_at text_hash n_tokens n_furniture_tokens cluster_id "
    "version_of earlier_run_id",
    "clusters": "cluster_id n_articles n_sources representative_id title first_published_at "
    "last_published_at min_probability mean_cosine relations",
    "cluster_members": "cluster_id article_id is_representative relation probability cosine jaccard "
    "cluster_size",
    "confirmed_pairs": "article_id_l article_id_r relation probability cosine cosine_bigrams cosine_names "
    "cosine_numbers jaccard containment_l_in_r containment_r_in_l found_by",
    "repeated_sections": "article_id group_id occurrence level begin end n_tokens relation cosine jaccard",
    "rejected": "input_file row article_id reason detail",
    "texts": "article_id title text",
    "candidate_pairs": "article_id_l article_id_r found_by jaccard_estimate probability reason relation "
    "cosine cosine_bigrams cosine_names cosine_numbers jaccard containment_l_in_r containment_r_in_l",
    "templates": "template_id article_id n_alike n_articles",
    "cluster_events": "run_id event cluster_id other_id n_before n_after",
    "furniture": "source line n_articles",
}


def test_columns_are_the_published_ones():
    assert {name: " ".join(schema.names) for name, schema in TABLES.items()} == COLUMNS
    assert TABLE_INFO.keys() == TABLES.keys()


@pytest.mark.parametrize("name", TABLES)
def test_conventions_of_names_and_types(name):
    for field in TABLES[name]:
        assert description(field), f"{name}.{field.name}"
        if field.name.endswith("_at"):
            assert field.type == pa.timestamp("us", tz="UTC")
        if field.name.startswith("n_") or field.name in {"begin", "end"}:
            assert field.type == pa.int32()
        if field.name.startswith("is_"):
            assert field.type == pa.bool_()


@pytest.mark.parametrize("name", TABLES)
def test_descriptions_are_in_the_file(tmp_path, name):
    write_parquet(tmp_path / "t.parquet", TABLES[name], TABLES[name].empty_table())
    found = pq.read_schema(tmp_path / "t.parquet")
    assert [description(field) for field in found] == [description(field) for field in TABLES[name]]
    assert found.equals(TABLES[name], check_metadata=False)


def test_docs_are_up_to_date():
    docs = Path(__file__).parent.parent / "docs" / "tables.md"
    assert docs.read_text(encoding="utf-8") == tables_markdown(), (
        "run: python -m pipeline.schema > docs/tables.md"
    )
