"""One real web page that holds two re-spun versions of one story, furniture between and around them.

Cut where the second version begins it is two articles, which must find each other; uncut it is one article
with a repeated part.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

MARK = "BREAKING:"  # each version begins with it
FURNITURE = ("Leave a Reply", "YOU MAY ALSO LIKE")
HALVES = ("seed/first", "seed/second")
WHOLE = "seed/page"


def read_page(folder: Path) -> str:
    """The text of the only .txt file of `folder`."""
    (file,) = sorted(folder.glob("*.txt"))
    return file.read_text(encoding="utf-8")


def second_version(page: str) -> int:
    """Where the second version begins (code points)."""
    return page.index(MARK, page.index(MARK) + 1)


def write_halves(page: str, path: Path) -> None:
    """Write the two versions as articles (Parquet: article_id, text)."""
    cut = second_version(page)
    pq.write_table(pa.table({"article_id": list(HALVES), "text": [page[:cut], page[cut:]]}), path)


def write_whole(page: str, path: Path) -> None:
    """Write the page as one article (Parquet: article_id, text)."""
    pq.write_table(pa.table({"article_id": [WHOLE], "text": [page]}), path)


def score_halves(run_dir: Path) -> dict[str, float]:
    """Figures of a run that had the halves among its articles; 1 is yes.

    `halves_clustered`: one cluster holds them. `halves_respun`: that is their pair's relation.
    `halves_cluster_size`: articles of the first half's cluster.
    """
    members = _rows(run_dir / "cluster_members.parquet")
    cluster_of = {row["article_id"]: row["cluster_id"] for row in members}
    cluster = cluster_of[HALVES[0]]
    pairs = _rows(run_dir / "confirmed_pairs.parquet")
    relations = [row["relation"] for row in pairs if (row["article_id_l"], row["article_id_r"]) == HALVES]
    return {
        "halves_clustered": float(cluster == cluster_of[HALVES[1]]),
        "halves_respun": float(relations == ["respun"]),
        "halves_cluster_size": float(sum(c == cluster for c in cluster_of.values())),
    }


def score_whole(page: str, run_dir: Path) -> dict[str, float]:
    """Figures of a run over the uncut page.

    `part_boundary_distance`: code points between the true beginning of the second version and that of the
    nearest part of a group of two; the page's length when there is none. `furniture_repeats`: repeated
    paragraphs and sections that touch a line of furniture.
    """
    cut = second_version(page)
    table = pq.read_table(run_dir / "repeated_sections.parquet")
    occurrences = table.filter(pc.equal(table["article_id"], WHOLE)).to_pylist()
    groups: dict[object, list[int]] = {}
    for row in occurrences:
        if row["level"] == "part":
            groups.setdefault(row["group_id"], []).append(row["begin"])
    distances = [abs(max(begins) - cut) for begins in groups.values() if len(begins) == 2]
    furniture = _furniture_spans(page)
    n_touching = sum(
        any(row["begin"] < end and row["end"] > begin for begin, end in furniture)
        for row in occurrences
        if row["level"] != "part"
    )
    return {
        "part_boundary_distance": float(min(distances, default=len(page))),
        "furniture_repeats": float(n_touching),
    }


def _furniture_spans(page: str) -> list[tuple[int, int]]:
    spans = []
    at = 0
    for line in page.splitlines(keepends=True):
        if any(mark in line for mark in FURNITURE):
            spans.append((at, at + len(line)))
        at += len(line)
    return spans


def _rows(path: Path) -> list[dict[str, str]]:
    rows: list[dict[str, str]] = pq.read_table(path).to_pylist()
    return rows
