"""Checks of a run's tables before anyone may see them: whole, and agreeing with each other."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.articles import ArticlesResult
from pipeline.errors import RunError
from pipeline.schema import TABLES
from pipeline.tables import Ref, read_back

REQUIRED = ("articles", "clusters", "cluster_members", "confirmed_pairs", "repeated_sections", "rejected")


def check_tables(tables: Mapping[str, Ref], accepted: ArticlesResult) -> None:
    """Read every table back and compare it with the others. Raises RunError naming table, rule and value."""
    missing = [name for name in REQUIRED if name not in tables]
    if missing:
        raise RunError(f"tables: must hold {', '.join(REQUIRED)}, {', '.join(missing)} missing")
    for name, ref in tables.items():
        ref.verify()
        read_back(ref.path, TABLES[name], ref.rows)
    _check_counts(tables, accepted)
    ids = _read(tables, "articles", "article_id", "cluster_id")
    _check_members(tables, ids)
    _check_clusters(tables)
    for name in ("confirmed_pairs", "candidate_pairs"):
        if name in tables:
            _check_pairs(tables, name, ids["article_id"])
    _check_sections(tables, ids["article_id"])


def _check_counts(tables: Mapping[str, Ref], accepted: ArticlesResult) -> None:
    _require(
        tables["articles"].rows == accepted.n_accepted,
        "articles",
        f"must have a row for each of {accepted.n_accepted} accepted articles",
        tables["articles"].rows,
    )
    _require(
        tables["rejected"].rows == accepted.n_rejected,
        "rejected",
        f"must have a row for each of {accepted.n_rejected} rejected rows",
        tables["rejected"].rows,
    )
    total = accepted.n_accepted + accepted.n_rejected
    _require(
        total == accepted.n_input_rows,
        "rejected",
        f"accepted and rejected must add up to {accepted.n_input_rows} input rows",
        total,
    )


def _check_members(tables: Mapping[str, Ref], articles: pa.Table) -> None:
    members = _read(
        tables, "cluster_members", "article_id", "cluster_id", "is_representative", "cluster_size"
    )
    at = _places("cluster_members", members["article_id"], articles["article_id"])
    n_distinct = len(np.unique(at))
    _require(
        n_distinct == len(at) == articles.num_rows,
        "cluster_members",
        f"must have each of {articles.num_rows} articles once",
        f"{len(at)} rows of {n_distinct} articles",
    )
    same = pc.equal(members["cluster_id"], articles["cluster_id"].take(pa.array(at)))
    _require(
        pc.all(same, min_count=0).as_py(),
        "cluster_members",
        "cluster_id must be that of articles",
        f"otherwise in {pc.sum(pc.invert(same)).as_py()} rows",
    )
    sizes = members.group_by("cluster_id").aggregate(
        [
            ("article_id", "count"),
            ("cluster_size", "min"),
            ("cluster_size", "max"),
            ("is_representative", "sum"),
        ]
    )
    counted = sizes["article_id_count"]
    for column in ("cluster_size_min", "cluster_size_max"):
        _require(
            pc.all(pc.equal(sizes[column], counted), min_count=0).as_py(),
            "cluster_members",
            "cluster_size must be the cluster's number of members",
            "otherwise in some clusters",
        )
    _require(
        pc.all(pc.equal(sizes["is_representative_sum"], 1), min_count=0).as_py(),
        "cluster_members",
        "each cluster must have one representative",
        "none or more in some",
    )


def _check_clusters(tables: Mapping[str, Ref]) -> None:
    clusters = _read(tables, "clusters", "cluster_id", "n_articles", "representative_id")
    members = _read(
        tables, "cluster_members", "article_id", "cluster_id", "is_representative", "cluster_size"
    )
    heads = members.filter(pc.and_(members["is_representative"], pc.greater(members["cluster_size"], 1)))
    at = _places("clusters", clusters["cluster_id"], heads["cluster_id"])
    n_distinct = len(np.unique(at))
    _require(
        n_distinct == len(at) == heads.num_rows,
        "clusters",
        f"must have each of {heads.num_rows} clusters of two or more once",
        f"{len(at)} rows of {n_distinct}",
    )
    for column, other in (("n_articles", "cluster_size"), ("representative_id", "article_id")):
        same = pc.equal(clusters[column], heads[other].take(pa.array(at)))
        _require(
            pc.all(same, min_count=0).as_py(),
            "clusters",
            f"{column} must agree with cluster_members",
            f"otherwise in {pc.sum(pc.invert(same)).as_py()} rows",
        )


def _check_pairs(tables: Mapping[str, Ref], name: str, ids: pa.ChunkedArray) -> None:
    pairs = _read(tables, name, "article_id_l", "article_id_r")
    left, right = (_places(name, pairs[side], ids) for side in ("article_id_l", "article_id_r"))
    ordered = pc.less(pairs["article_id_l"], pairs["article_id_r"])
    _require(
        pc.all(ordered, min_count=0).as_py(),
        name,
        "article_id_l must be less than article_id_r",
        f"otherwise in {pc.sum(pc.invert(ordered)).as_py()} rows",
    )
    n_distinct = len(np.unique(left * len(ids) + right))
    _require(
        n_distinct == pairs.num_rows,
        name,
        "each pair must be there once",
        f"{pairs.num_rows - n_distinct} repeated",
    )


def _check_sections(tables: Mapping[str, Ref], ids: pa.ChunkedArray) -> None:
    spans = _read(tables, "repeated_sections", "article_id", "begin", "end")
    _places("repeated_sections", spans["article_id"], ids)
    begin, end = (np.asarray(spans[column]) for column in ("begin", "end"))
    _require(
        bool(((begin >= 0) & (begin < end)).all()),
        "repeated_sections",
        "must have 0 <= begin < end",
        "otherwise in some rows",
    )
    if "texts" not in tables:
        return
    texts = pq.ParquetFile(tables["texts"].path)
    with texts:
        lengths, names = [], []
        for batch in texts.iter_batches(columns=["article_id", "text"]):
            names.append(batch.column(0))
            lengths.append(pc.utf8_length(batch.column(1)))
    known = pa.chunked_array(names, pa.string())
    at = _places("texts", ids, known)
    _require(len(known) == len(ids) == len(np.unique(at)), "texts", "must have each article once", len(known))
    room = np.asarray(pa.chunked_array(lengths, pa.int32()))[_places("texts", spans["article_id"], known)]
    _require(
        bool((end <= room).all()),
        "repeated_sections",
        "end must lie within the text",
        f"beyond it in {np.count_nonzero(end > room)} rows",
    )


def _places(name: str, values: pa.ChunkedArray, known: pa.ChunkedArray) -> np.ndarray:
    """Where each value is in `known`. Raises RunError for values that aren't there."""
    at = pc.index_in(values, value_set=known)
    unknown = at.null_count
    if unknown:
        first = values.filter(pc.is_null(at))[0].as_py()
        raise RunError(f"{name}: every id must be known, {unknown} are not, such as {first!r}")
    return np.asarray(at).astype(np.int64)


def _read(tables: Mapping[str, Ref], name: str, *columns: str) -> pa.Table:
    return pq.read_table(Path(tables[name].path), columns=list(columns))


def _require(holds: bool, name: str, rule: str, found: object) -> None:
    if not holds:
        raise RunError(f"{name}: {rule}, found {found}")
