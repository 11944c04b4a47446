"""Stages "check-texts" and "check": every table is read back, once, and compared with the others.

Before that nobody may see it. The texts are decoded by the stage "wording" (`reread`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.arrow_columns import ends_of, read_column
from pipeline.articles import ArticlesResult
from pipeline.errors import RunError
from pipeline.schema import TABLES
from pipeline.tables import Ref, check_footer, file_sha256, read_back, read_batches, sync

REQUIRED = ("articles", "clusters", "cluster_members", "confirmed_pairs", "repeated_sections", "rejected")


# The columns that are compared; what else a table has is decoded and let go.
_COMPARED = {
    "articles": ("article_id", "cluster_id", "earlier_run_id"),
    "clusters": ("cluster_id", "n_articles", "representative_id"),
    "cluster_members": ("article_id", "cluster_id", "is_representative", "cluster_size"),
    "confirmed_pairs": ("article_id_l", "article_id_r"),
    "candidate_pairs": ("article_id_l", "article_id_r"),
    "cluster_events": ("run_id", "event", "cluster_id", "other_id"),
    "templates": ("article_id",),
    "repeated_sections": ("article_id", "begin", "end"),
}


@dataclass(frozen=True)
class CheckedTable:
    """A table that was read back after writing, agrees, and is on the disk; `sha256` of its file, in hex."""

    ref: Ref
    sha256: str


def check(tables: Mapping[str, Ref], shards: Sequence[Ref], run_id: str | None) -> dict[str, CheckedTable]:
    """Read the tables that tell of clusters and pairs back and compare them with each other.

    Their articles are compared with those of the `shards`. `run_id`, with an index: whose events must be of
    the clusters that the tables show.

    Raises RunError naming table, rule and value.
    """
    read = {name: _read(name, table) for name, table in tables.items()}
    check_ids("articles", _of_this_run(read["articles"]), read_column(shards, "article_id"))
    _check_members(read["cluster_members"], read["articles"])
    _check_clusters(read["clusters"], read["cluster_members"])
    if "cluster_events" in read:
        events = read["cluster_events"]
        own = events.filter(pc.equal(events["run_id"], run_id))
        _check_events(own, read["cluster_members"])
    # Articles of past nights among them.
    known = read["articles"]["article_id"]
    for name in ("confirmed_pairs", "candidate_pairs"):
        if name in read:
            _check_pairs(read[name], name, known)
    if "templates" in read:
        at = _places("templates", read["templates"]["article_id"], known)
        n_distinct = _n_distinct(at, known)
        _require(
            n_distinct == len(at),
            "templates",
            "must have each article once",
            f"{len(at)} rows of {n_distinct}",
        )
    return _checked(tables)


def check_texts(
    tables: Mapping[str, Ref], shards: Sequence[Ref], chosen: Sequence[Ref]
) -> dict[str, CheckedTable]:
    """The same of the tables that tell of no cluster; `texts` among them or not.

    The texts were decoded, all of them, when some were read again (`reread`); those that may repeat
    themselves are among `chosen` (`reread.CHOSEN`). Here their file has to be still the one that was written.
    """
    read = {name: _read(name, table) for name, table in tables.items() if name != "texts"}
    spans, ids = read["repeated_sections"], read_column(shards, "article_id")
    if "texts" in tables:
        texts = tables["texts"]
        _require(texts.rows == len(ids), "texts", f"must have {len(ids)} rows, one an article", texts.rows)
        texts.verify()
        check_footer(texts, TABLES["texts"])
    _check_sections(spans, ids)
    _check_ends(spans, chosen)
    return _checked(tables)


def _checked(tables: Mapping[str, Ref]) -> dict[str, CheckedTable]:
    for table in tables.values():
        sync(table.path)
    return {name: CheckedTable(table, file_sha256(table.path)) for name, table in tables.items()}


def check_counts(tables: Mapping[str, Ref], accepted: ArticlesResult) -> None:
    """Compare the numbers of rows with those of the input. Raises RunError, also for a missing table."""
    missing = [name for name in REQUIRED if name not in tables]
    if missing:
        raise RunError(f"tables: must hold {', '.join(REQUIRED)}, {', '.join(missing)} missing")
    column = "earlier_run_id"
    n_accepted = pq.read_table(tables["articles"].path, columns=[column])[column].null_count
    _require(
        n_accepted == accepted.n_accepted,
        "articles",
        f"must have a row for each of {accepted.n_accepted} accepted articles",
        n_accepted,
    )
    _require(
        tables["rejected"].rows == accepted.n_rejected,
        "rejected",
        f"must have a row for each of {accepted.n_rejected} rejected rows",
        tables["rejected"].rows,
    )
    total = accepted.n_accepted + accepted.n_rejected + accepted.n_recognised
    _require(
        total == accepted.n_input_rows,
        "rejected",
        f"accepted, recognised and rejected must add up to {accepted.n_input_rows} input rows",
        total,
    )


def _check_members(members: pa.Table, articles: pa.Table) -> None:
    at = _each_once("cluster_members", members["article_id"], articles["article_id"], "articles")
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


def _check_clusters(clusters: pa.Table, members: pa.Table) -> None:
    heads = members.filter(pc.and_(members["is_representative"], pc.greater(members["cluster_size"], 1)))
    at = _each_once("clusters", clusters["cluster_id"], heads["cluster_id"], "clusters of two or more")
    for column, other in (("n_articles", "cluster_size"), ("representative_id", "article_id")):
        same = pc.equal(clusters[column], heads[other].take(pa.array(at)))
        _require(
            pc.all(same, min_count=0).as_py(),
            "clusters",
            f"{column} must agree with cluster_members",
            f"otherwise in {pc.sum(pc.invert(same)).as_py()} rows",
        )


def _check_events(events: pa.Table, members: pa.Table) -> None:
    live = pc.not_equal(events["event"], "expired")
    _places("cluster_events", events["cluster_id"].filter(live), members["cluster_id"])
    gone = events["other_id"].filter(pc.equal(events["event"], "merged"))
    n_alive = pc.sum(pc.is_in(gone, value_set=members["cluster_id"]), min_count=0).as_py()
    _require(n_alive == 0, "cluster_events", "what was merged must be gone", f"{n_alive} that are not")


def _of_this_run(articles: pa.Table) -> pa.ChunkedArray:
    """Articles of past nights have neither text nor sections here."""
    return articles["article_id"].filter(articles["earlier_run_id"].is_null())


def check_ids(name: str, found: pa.ChunkedArray, ids: pa.ChunkedArray) -> None:
    """Compare the articles of a table with those that it must have. Raises RunError."""
    n_equal = pc.sum(pc.equal(found, ids), min_count=0).as_py() if len(found) == len(ids) else 0
    _require(
        n_equal == len(ids),
        name,
        f"must have the {len(ids)} accepted articles in their order",
        f"{len(found)} rows, {n_equal} of them in their place",
    )


def _check_pairs(pairs: pa.Table, name: str, ids: pa.ChunkedArray) -> None:
    # Both sides at once: what costs is to number the ids.
    left, right = np.split(_places(name, ends_of(pairs), ids), 2)
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


def _check_sections(spans: pa.Table, ids: pa.ChunkedArray) -> None:
    _places("repeated_sections", spans["article_id"], ids)
    begin, end = (np.asarray(spans[column]) for column in ("begin", "end"))
    _require(
        bool(((begin >= 0) & (begin < end)).all()),
        "repeated_sections",
        "must have 0 <= begin < end",
        "otherwise in some rows",
    )


def _check_ends(spans: pa.Table, chosen: Sequence[Ref]) -> None:
    """Compare the ends of sections with how many code points their articles' texts have."""
    asked, ids, lengths = pc.unique(spans["article_id"]), [], []
    for batch in chain.from_iterable(read_batches(ref.path) for ref in chosen):
        is_asked = pc.is_in(batch["article_id"], value_set=asked)
        ids.append(batch["article_id"].filter(is_asked))
        lengths.append(pc.utf8_length(batch["text"].filter(is_asked)))
    at = _places("repeated_sections", spans["article_id"], pa.chunked_array(ids, pa.string()))
    room = np.asarray(pa.chunked_array(lengths, pa.int32()))[at]
    end = np.asarray(spans["end"])
    _require(
        bool((end <= room).all()),
        "repeated_sections",
        "end must lie within the text",
        f"beyond it in {np.count_nonzero(end > room)} rows",
    )


def _each_once(name: str, values: pa.ChunkedArray, known: pa.ChunkedArray, what: str) -> np.ndarray:
    """As `_places`, of values that must be those of `known`, all of them and each once."""
    at = _places(name, values, known)
    n_distinct = _n_distinct(at, known)
    _require(
        n_distinct == len(at) == len(known),
        name,
        f"must have each of {len(known)} {what} once",
        f"{len(at)} rows of {n_distinct}",
    )
    return at


def _places(name: str, values: pa.ChunkedArray, known: pa.ChunkedArray) -> np.ndarray:
    """Where each value is in `known`. Raises RunError for values that aren't there."""
    at = pc.index_in(values, value_set=known)
    unknown = at.null_count
    if unknown:
        first = values.filter(pc.is_null(at))[0].as_py()
        raise RunError(f"{name}: every id must be known, {unknown} are not, such as {first!r}")
    return np.asarray(at).astype(np.int64)


def _n_distinct(at: np.ndarray, known: pa.ChunkedArray) -> int:
    """How many different places among `known` there are."""
    is_there = np.zeros(len(known), np.bool_)
    is_there[at] = True
    return int(np.count_nonzero(is_there))


def _read(name: str, table: Ref) -> pa.Table:
    """The compared columns of a table, all of which is decoded."""
    columns = list(_COMPARED.get(name, ()))
    nothing = pa.RecordBatch.from_pylist([], TABLES[name]).select(columns)
    batches = [batch.select(columns) for batch in read_back(table, TABLES[name])]
    return pa.Table.from_batches(batches, nothing.schema)


def _require(holds: bool, name: str, rule: str, found: object) -> None:
    if not holds:
        raise RunError(f"{name}: {rule}, found {found}")
