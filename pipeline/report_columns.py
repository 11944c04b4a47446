"""Columns of what the report shows, as the page reads them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.arrow_columns import Rows, ends_of
from pipeline.report_pairs import PAIR_NUMBERS, Pairs
from pipeline.report_tables import Articles, Members, dates, relation_numbers, rounded, seconds
from pipeline.report_words import heading
from pipeline.words import run_starts


def cluster_columns(
    clusters: pa.Table, members: Members, relations: Rows, begin: int, end: int
) -> dict[str, Any]:
    """The list's columns of the clusters [begin, end); `relations` as by `report_pairs.relation_bits`."""
    some = clusters.slice(begin, end - begin)
    first, last = (seconds(some[name]) for name in ("first_published_at", "last_published_at"))
    start = int(members.ends[begin - 1]) if begin else 0
    stop = int(members.ends[end - 1]) if end else 0
    # Distinct sources of each cluster: the list can be searched for them.
    both = np.unique((members.cluster[start:stop] << 32) | (members.source[start:stop] & 0xFFFFFFFF))
    both = both[(both & 0xFFFFFFFF) != 0xFFFFFFFF]
    edges = np.searchsorted(both >> 32, np.arange(begin, end), side="right")
    return {
        "cluster_id": some["cluster_id"].to_pylist(),
        "title": headings(some["title"], some["representative_id"]),
        "n_articles": some["n_articles"].to_pylist(),
        "n_sources": some["n_sources"].to_pylist(),
        "first": dates(first), "last": dates(last),
        "min_probability": rounded(some["min_probability"]),
        "mean_cosine": rounded(some["mean_cosine"]),
        "relations": relations[begin:end].tolist(),
        "sources": (both & 0xFFFFFFFF).tolist(), "source_ends": edges.tolist(),
    }  # fmt: skip


def detail_columns(
    members: Members, pairs: Pairs, places: npt.NDArray[np.int64], begin: int, end: int
) -> dict[str, Any]:
    """Members and pairs of the clusters [begin, end); ends are counted from the first of them.

    `places` int64 (n_members,): where each member's text is, -1 for those whose text is not in the report.
    A member's `closest` is the earlier one that it is closest to, counted in its cluster, or -1.
    """
    start, stop = (int(members.ends[at - 1]) if at else 0 for at in (begin, end))
    own = slice(start, stop)
    some = members.table.slice(start, stop - start)
    from_, to = (int(pairs.ends[at - 1]) if at else 0 for at in (begin, end))
    shown = from_ + np.flatnonzero(pairs.is_shown[from_:to])
    n_before = int(np.count_nonzero(pairs.is_shown[:from_]))
    chosen = pairs.table.slice(n_before, len(shown))
    ends, starts = pairs.ends[begin:end], members.starts
    base = starts[members.cluster[pairs.left[shown]]]
    earlier = pairs.closest[own]
    other = pairs.left[earlier] + pairs.right[earlier] - np.arange(start, stop)
    closest = np.where(earlier >= 0, other - starts[members.cluster[own]], -1)
    return {
        "members": {
            "ends": (members.ends[begin:end] - start).tolist(),
            "title": headings(some["title"], some["article_id"]),
            **{name: some[name].to_pylist() for name in ("article_id", "url", "n_tokens")},
            "source": members.source[own].tolist(),
            "at": dates(members.at[own]),
            "place": places[own].tolist(),
            "is_representative": some["is_representative"].cast(pa.int8()).to_pylist(),
            "closest": closest.tolist(),
            "relation": relation_numbers(some["relation"]).tolist(),
            **{name: rounded(some[name]) for name in ("probability", "cosine", "jaccard")},
        },
        "pairs": {
            "ends": np.searchsorted(shown, ends).tolist(),
            "n_all": np.diff(ends, prepend=from_).tolist(),
            "l": (pairs.left[shown] - base).tolist(),
            "r": (pairs.right[shown] - base).tolist(),
            "relation": pairs.relation[shown].tolist(),
            "holds": pairs.holds[shown].tolist(),
            **{name: rounded(chosen[name]) for name in PAIR_NUMBERS},
            "found_by": chosen["found_by"].to_pylist(),
        },
    }


def repeats_of(folder: Path, articles: Articles, places: npt.NDArray[np.int64]) -> Iterator[dict[str, Any]]:
    """Each article with repeated sections, in the order of the input, with its sections by place."""
    sections = pq.read_table(folder / "repeated_sections.parquet")
    if not sections.num_rows:
        return
    at = pc.index_in(sections["article_id"], value_set=articles.table["article_id"]).to_numpy()
    order = np.lexsort((sections["begin"].to_numpy(), at))
    rows = sections.take(pa.array(order)).drop_columns(["article_id"]).to_pylist()
    starts = run_starts(at[order].astype(np.int64)).tolist()
    shown = at[order[starts]].astype(np.int64)
    for head, start, stop in zip(
        article_heads(articles, shown, places), starts, [*starts[1:], len(rows)], strict=True
    ):
        yield head | {"sections": rows[start:stop]}


def between_rows(articles: Articles, places: npt.NDArray[np.int64], between: pa.Table) -> dict[str, Any]:
    """The pairs between clusters, and the articles that they are of; a pair names the places of these."""
    ids = pc.unique(ends_of(between))
    at = pc.index_in(ids, value_set=articles.table["article_id"]).to_numpy().astype(np.int64)
    known = articles.table["article_id"].take(pa.array(at))
    sides = (pc.index_in(between[f"article_id_{side}"], value_set=known).to_pylist() for side in "lr")
    return {
        "articles": article_heads(articles, at, places),
        "pairs": [
            {"l": left, "r": right, "relation": relation} | numbers
            for left, right, relation, numbers in zip(
                *sides, relation_numbers(between["relation"]).tolist(),
                between.select([*PAIR_NUMBERS, "found_by"]).to_pylist(), strict=True,
            )
        ],
    }  # fmt: skip


def article_heads(articles: Articles, shown: Rows, places: npt.NDArray[np.int64]) -> list[dict[str, Any]]:
    """What the page says of single articles, by their places in `articles`."""
    own = articles.table.take(pa.array(shown))
    columns = {
        "article_id": own["article_id"].to_pylist(),
        "title": headings(own["title"], own["article_id"]),
        "url": own["url"].to_pylist(),
        "at": dates(seconds(own["published_at"])),
        "source": articles.source[shown].tolist(),
        "place": places[shown].tolist(),
        "cluster_id": own["cluster_id"].to_pylist(),
    }
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def headings(titles: pa.ChunkedArray, ids: pa.ChunkedArray) -> list[str]:
    """What each article is called."""
    return [heading(*both) for both in zip(titles.to_pylist(), ids.to_pylist(), strict=True)]
