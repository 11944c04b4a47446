"""Stage "tables": from rows and labels to the Parquet tables of the run.

Until here an article is its row number; here it gets its id back. Clusters and their members come by
cluster id, pairs by their two ids, articles and texts in the order of the input.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import furniture, schema
from pipeline.clusters import read_judged
from pipeline.config import Config
from pipeline.confirm import EXCERPT, RELATIONS, Judge, Measurer
from pipeline.shards import take_articles
from pipeline.signatures import Signed
from pipeline.tables import Ref, read_batches, read_ipc, write_parquet
from pipeline.text import keep
from pipeline.tokens import tokenise
from pipeline.vectors import VectorFiles
from pipeline.words import distinct, run_starts

_RELATIONS = pa.array(RELATIONS)
# By the bits signatures.REPRINT and signatures.RESPUN.
_FOUND_BY = pa.array(["", "reprint", "respun", "both"])


@dataclass(frozen=True)
class Found:
    """What the stages before left for the tables."""

    shards: tuple[Ref, ...]
    rejected: Ref
    signed: tuple[Signed, ...]
    vectors: tuple[VectorFiles, ...]
    judged: tuple[Ref, ...]
    membership: Ref
    sections: tuple[Ref, ...]


def write_tables(found: Found, config: Config, folder: Path) -> dict[str, Ref]:
    """Writes every table of the run into `folder`; the Refs by table name."""
    ids = _column(found.shards, "article_id")
    judged = read_judged(found.judged)
    members = read_ipc(found.membership.path)
    label = members["label"].to_numpy()
    cluster_ids = _cluster_ids(ids, label)
    confirmed = judged.filter(judged["is_confirmed"])
    written = {
        "articles": _write(folder, "articles", _articles(found, cluster_ids)),
        "clusters": _write(folder, "clusters", [_clusters(found, ids, members, confirmed, cluster_ids)]),
        "cluster_members": _write(folder, "cluster_members", [_members(found, ids, members, judged, cluster_ids, config)]),
        "confirmed_pairs": _write(folder, "confirmed_pairs", [_pairs(ids, confirmed)]),
        "repeated_sections": _write(folder, "repeated_sections", _sections(found)),
        "rejected": _write(folder, "rejected", read_batches(found.rejected.path)),
        "furniture": _write(folder, "furniture", [_furniture(found)]),
    }
    if config.keep_texts:
        texts = (b.select(schema.TEXTS.names) for s in found.shards for b in read_batches(s.path))
        written["texts"] = _write(folder, "texts", texts)
    if config.keep_candidates:
        written["candidate_pairs"] = _write(folder, "candidate_pairs", [_candidates(ids, judged)])
    return written


def _write(folder: Path, name: str, batches: Iterator[pa.RecordBatch] | list[pa.RecordBatch]) -> Ref:
    return write_parquet(folder / f"{name}.parquet", schema.TABLES[name], batches)


def _column(shards: Sequence[Ref], name: str) -> pa.ChunkedArray:
    return pa.chunked_array([c for s in shards for c in read_ipc(s.path)[name].chunks])


def _batch(name: str, columns: Sequence[pa.Array | pa.ChunkedArray]) -> pa.RecordBatch:
    plain = [_plain(c) if isinstance(c, pa.ChunkedArray) else c for c in columns]
    return pa.record_batch(plain, schema=schema.TABLES[name])


def _cluster_ids(ids: pa.ChunkedArray, label: np.ndarray) -> pa.Array:
    """Cluster id of each article: 16 hex digits of the SHA-256 of the cluster's smallest article_id."""
    rank = np.empty(len(ids), np.int64)
    rank[pc.sort_indices(ids).to_numpy()] = np.arange(len(ids))
    order = np.lexsort((rank, label))
    first = order[run_starts(label[order])]
    names = [hashlib.sha256(i.encode()).hexdigest()[:16] for i in ids.take(pa.array(first)).to_pylist()]
    place = np.searchsorted(label[first], label)
    return pa.array(names, pa.string()).take(pa.array(place))


def _articles(found: Found, cluster_ids: pa.Array) -> Iterator[pa.RecordBatch]:
    row = 0
    described = pa.concat_tables([read_ipc(s.articles.path) for s in found.signed]).combine_chunks()
    for shard in found.shards:
        for batch in read_batches(shard.path):
            n = batch.num_rows
            part = described.slice(row, n).combine_chunks()
            hexed = pa.array([f"{h:016x}" for h in part["text_hash"].to_pylist()], pa.string())
            kept = [batch.column(c) for c in ("article_id", "source", "url", "title", "published_at")]
            counts = [part[c] for c in ("n_tokens", "n_furniture_tokens")]
            yield _batch("articles", [*kept, hexed, *counts, cluster_ids.slice(row, n)])
            row += n


def _clusters(
    found: Found, ids: pa.ChunkedArray, members: pa.Table, confirmed: pa.Table, cluster_ids: pa.Array
) -> pa.RecordBatch:
    label, size = members["label"].to_numpy(), members["size"].to_numpy()
    rows = np.flatnonzero(size > 1)
    detail = take_articles(found.shards, rows, ("source", "title", "published_at"))
    members_of = pa.table({
        "cluster_id": cluster_ids.take(pa.array(rows)), "source": detail["source"], "at": detail["published_at"],
        "medoid": members["representative"].take(pa.array(rows)), "row": rows,
    })  # fmt: skip
    by_cluster = members_of.group_by("cluster_id").aggregate([
        ("row", "count"), ("source", "count_distinct"), ("medoid", "min"), ("at", "min"), ("at", "max"),
    ]).sort_by("cluster_id")  # fmt: skip
    left, right = (confirmed[c].to_numpy() for c in ("left", "right"))
    inside = np.flatnonzero((label[left] == label[right]) & (confirmed["relation"].to_numpy() != EXCERPT))
    inner = confirmed.take(pa.array(inside))
    by_pair = pa.table({
        "cluster_id": cluster_ids.take(pa.array(left[inside])), "probability": inner["probability"],
        "cosine": inner["cosine"].cast(pa.float64()), "relation": _RELATIONS.take(inner["relation"].combine_chunks()),
    }).group_by("cluster_id").aggregate([
        ("probability", "min"), ("cosine", "mean"), ("relation", "distinct"),
    ]).sort_by("cluster_id")  # fmt: skip
    medoid = by_cluster["medoid_min"].combine_chunks()
    order = pc.sort_indices(medoid)
    titles = take_articles(found.shards, medoid.take(order).to_numpy(), ("title",))["title"] if len(medoid) else detail["title"]
    titles = titles.take(pc.sort_indices(order))
    relations = pa.array([sorted(r) for r in by_pair["relation_distinct"].to_pylist()], pa.list_(pa.string()))
    return _batch("clusters", [
        by_cluster["cluster_id"], by_cluster["row_count"].cast(pa.int32()),
        by_cluster["source_count_distinct"].cast(pa.int32()), ids.take(medoid), titles, by_cluster["at_min"],
        by_cluster["at_max"], by_pair["probability_min"], by_pair["cosine_mean"], relations,
    ])  # fmt: skip


def _members(
    found: Found, ids: pa.ChunkedArray, members: pa.Table, judged: pa.Table, cluster_ids: pa.Array, config: Config
) -> pa.RecordBatch:
    """Every article with what is measured between it and its cluster's representative."""
    n = len(ids)
    size, medoid = members["size"].to_numpy(), members["representative"].to_numpy()
    rows = np.arange(n)
    others = np.flatnonzero((size > 1) & (medoid != rows))
    pairs = _judged_pairs(found, np.minimum(others, medoid[others]), np.maximum(others, medoid[others]), judged, config)
    place = np.full(n, -1, np.int64)
    place[others] = np.arange(len(others))
    at = pa.array(place, mask=place < 0)
    # A representative is to itself what an exact copy is; a singleton has no representative.
    alone, itself = pa.array(size == 1), pa.array((size > 1) & (medoid == rows))
    relation = pc.if_else(itself, "exact", _RELATIONS.take(pairs["relation"].combine_chunks()).take(at))
    numbers = [
        pc.if_else(itself, 1.0, pairs[c].combine_chunks().cast(pa.float64()).take(at))
        for c in ("probability", "cosine", "jaccard")
    ]
    relation, *numbers = (pc.if_else(alone, pa.scalar(None, c.type), c) for c in (relation, *numbers))
    table = pa.table([
        cluster_ids, ids.combine_chunks(), pa.array(medoid == rows), relation, *numbers, pa.array(size),
    ], schema=schema.CLUSTER_MEMBERS)  # fmt: skip
    ordered = table.sort_by([("cluster_id", "ascending"), ("article_id", "ascending")])
    return _batch("cluster_members", ordered.columns)


def _judged_pairs(
    found: Found, left: np.ndarray, right: np.ndarray, judged: pa.Table, config: Config
) -> pa.Table:
    """The judged pairs (left, right), in that order; those that were no candidates are judged now."""
    known = (judged["left"].to_numpy().astype(np.int64) << 32) | judged["right"].to_numpy()
    wanted = (left << 32) | right
    place = np.minimum(np.searchsorted(known, wanted), max(0, len(known) - 1))
    missing = np.flatnonzero(known[place] != wanted) if len(known) else np.arange(len(wanted))
    fresh = judged.schema.empty_table()
    if len(missing):
        judge = Judge(Measurer(found.signed, found.vectors, config))
        bare = {"left": left[missing].astype(np.int32), "right": right[missing].astype(np.int32)}
        blank = np.zeros(len(missing))
        columns = {**bare, "found_by": blank.astype(np.uint8), "estimate_reprint": blank.astype(np.float32),
                   "estimate_respun": blank.astype(np.float32)}  # fmt: skip
        fresh = judge.judge(pa.table(columns))
    place[missing] = len(judged) + np.arange(len(missing))
    return pa.concat_tables([judged, fresh.cast(judged.schema)]).take(pa.array(place))


def _sides(ids: pa.ChunkedArray, pairs: pa.Table) -> tuple[pa.Array, pa.Array, pa.Array]:
    """Smaller id, larger id, and whether the pair's left article is the one with the larger id."""
    left, right = (_plain(ids.take(pairs[c])) for c in ("left", "right"))
    swap = pc.greater(left, right)
    return pc.if_else(swap, right, left), pc.if_else(swap, left, right), swap


def _pairs(ids: pa.ChunkedArray, confirmed: pa.Table) -> pa.RecordBatch:
    low, high, swap = _sides(ids, confirmed)
    of_left, of_right = (confirmed[f"containment_{c}"].combine_chunks() for c in ("l_in_r", "r_in_l"))
    numbers = [confirmed[c] for c in ("cosine", "cosine_bigrams", "cosine_names", "cosine_numbers", "jaccard")]
    contained = [pc.if_else(swap, of_right, of_left), pc.if_else(swap, of_left, of_right)]
    table = pa.table([
        low, high, _RELATIONS.take(confirmed["relation"].combine_chunks()), confirmed["probability"],
        *(c.cast(pa.float64()) for c in (*numbers, *contained)), _FOUND_BY.take(confirmed["found_by"].combine_chunks()),
    ], schema=schema.CONFIRMED_PAIRS)  # fmt: skip
    return _batch("confirmed_pairs", table.sort_by([(c, "ascending") for c in table.schema.names[:2]]).columns)


def _candidates(ids: pa.ChunkedArray, judged: pa.Table) -> pa.RecordBatch:
    low, high, _ = _sides(ids, judged)
    estimate = pc.max_element_wise(judged["estimate_reprint"], judged["estimate_respun"]).cast(pa.float64())
    measured = pc.greater(judged["probability"], 0.0)
    reason = pc.if_else(judged["is_confirmed"], "confirmed", pc.if_else(measured, "below_threshold", "below_min_cosine"))
    table = pa.table([
        low, high, _FOUND_BY.take(judged["found_by"].combine_chunks()), estimate,
        pc.if_else(measured, judged["probability"], pa.scalar(None, pa.float64())), reason,
    ], schema=schema.CANDIDATE_PAIRS)  # fmt: skip
    return _batch("candidate_pairs", table.sort_by([(c, "ascending") for c in table.schema.names[:2]]).columns)


def _sections(found: Found) -> Iterator[pa.RecordBatch]:
    return (batch for part in found.sections for batch in read_batches(part.path) if batch.num_rows)


def _furniture(found: Found) -> pa.RecordBatch:
    """Furniture lines with the articles that carry them, each as it stands in the first of these."""
    lines = pa.concat_tables([read_ipc(s.lines.path) for s in found.signed])
    keys, rows = lines["key"].to_numpy(), lines["row"].to_numpy()
    order = np.lexsort((rows, keys))
    keys, rows = keys[order], rows[order]
    starts = run_starts(keys)
    n_articles = np.diff(np.append(starts, len(keys))).astype(np.int32)
    texts, sources = _line_texts(found.shards, keys[starts], rows[starts])
    table = pa.table([sources, texts, pa.array(n_articles)], schema=schema.FURNITURE)
    return _batch("furniture", table.sort_by([("source", "ascending"), ("line", "ascending")]).columns)


def _line_texts(shards: Sequence[Ref], keys: np.ndarray, rows: np.ndarray) -> tuple[pa.Array, pa.Array]:
    """Text of each furniture line in the article of that row, and the source it counts in (null: in all)."""
    if not len(keys):
        return pa.array([], pa.string()), pa.array([], pa.string())
    wanted = distinct(rows.astype(np.uint64)).astype(np.int64)
    articles = take_articles(shards, wanted, ("text", "source"))
    tokens = tokenise(None, _plain(articles["text"]))
    kept = keep(tokens)
    owner = np.repeat(np.arange(len(wanted)), np.diff(kept.line_indptr))
    of_source, of_all = furniture.line_keys(kept, furniture.source_salts(_plain(articles["source"])))
    place = {}
    for line_key in (of_all, of_source):
        place.update(zip(zip(owner.tolist(), line_key.tolist(), strict=True), range(len(owner)), strict=True))
    at = np.array([place[r, k] for r, k in zip(np.searchsorted(wanted, rows).tolist(), keys.tolist(), strict=True)])
    begin, end = tokens.begin[kept.line_starts[at]], tokens.end[kept.line_ends[at] - 1]
    bodies = articles["text"].to_pylist()
    texts = [bodies[o].encode()[b:e].decode() for o, b, e in zip(owner[at].tolist(), begin, end, strict=True)]
    sources = _plain(articles["source"].take(pa.array(owner[at])))
    return pa.array(texts, pa.string()), pc.if_else(pa.array((keys & np.uint64(1)) == 1), sources, pa.scalar(None, pa.string()))


def _plain(column: pa.ChunkedArray) -> pa.Array:
    joined = column.combine_chunks()
    return pa.concat_arrays(joined.chunks) if isinstance(joined, pa.ChunkedArray) else joined
