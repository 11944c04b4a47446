"""The tables of a run: names, columns, types, and what each column means.

`TABLES` is the interface that users build on. Each column's meaning is stored in the Parquet file itself,
as the field's metadata under b"description"; docs/tables.md is rendered from here:
`python -m pipeline.schema > docs/tables.md`.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

UTC_TIME = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True)
class TableInfo:
    """What a table holds: one row per what, and when it is written."""

    one_row_per: str
    written: str = "always"


def column(name: str, type_: pa.DataType, description: str, nullable: bool = False) -> pa.Field:
    """A field with its meaning in the metadata. Columns hold no nulls unless `nullable`."""
    return pa.field(name, type_, nullable=nullable, metadata={b"description": description.encode()})


def description(field: pa.Field) -> str:
    """What a column means; "" when nothing is stored."""
    return bytes((field.metadata or {}).get(b"description", b"")).decode()


# The scratch form of accepted articles: Arrow IPC shards of what is known of them, and of their texts.
ARTICLE_SHARD = pa.schema(
    [
        column("article_id", pa.string(), "identifier, unique in the run"),
        column("source", pa.string(), "who published it", True),
        column("url", pa.string(), "address of the page", True),
        column("title", pa.string(), "headline", True),
        column("published_at", UTC_TIME, "time of publication", True),
    ]
)
TEXT_SHARD = pa.schema([column("text", pa.string(), "body, as read")])
# An accepted article as readers give it: both.
ACCEPTED = pa.unify_schemas([ARTICLE_SHARD, TEXT_SHARD])

ARTICLES = pa.schema(
    [
        column("article_id", pa.string(), "identifier, unique in the run"),
        column("source", pa.string(), "who published it, as in the input", True),
        column("url", pa.string(), "address of the page, as in the input", True),
        column("title", pa.string(), "headline, as in the input", True),
        column("published_at", UTC_TIME, "time of publication; null when absent or unreadable", True),
        column(
            "text_hash", pa.string(), "hash of the normalised body, in hex; equal bodies have equal hashes"
        ),
        column("n_tokens", pa.int32(), "tokens of title and body, furniture included"),
        column("n_furniture_tokens", pa.int32(), "tokens in lines that the source repeats on many pages"),
        column("cluster_id", pa.string(), "the cluster it is in; every article has one, singletons too"),
        column("version_of", pa.string(), "article_id whose id it came with, with another text", True),
        column("earlier_run_id", pa.string(), "run that brought it; null: this one", True),
    ]
)

CLUSTERS = pa.schema(
    [
        column("cluster_id", pa.string(), "identifier of the cluster"),
        column("n_articles", pa.int32(), "articles in the cluster, 2 or more"),
        column("n_sources", pa.int32(), "distinct sources among them; articles without a source count none"),
        column("representative_id", pa.string(), "article_id of the representative: the cluster's medoid"),
        column("title", pa.string(), "title of the representative", True),
        column("first_published_at", UTC_TIME, "earliest time of publication", True),
        column("last_published_at", UTC_TIME, "latest time of publication", True),
        column(
            "min_probability",
            pa.float64(),
            "lowest probability among the pairs that link the cluster (confirmed, and no excerpts), 0..1",
        ),
        column("mean_cosine", pa.float64(), "mean cosine of the pairs that link the cluster, 0..1"),
        column("relations", pa.list_(pa.string()), "distinct relations of the pairs that link it, sorted"),
    ]
)

_TO_REPRESENTATIVE = "to the representative (itself: exact, 1); null for singletons"

CLUSTER_MEMBERS = pa.schema(
    [
        column("cluster_id", pa.string(), "identifier of the cluster"),
        column("article_id", pa.string(), "the member; every accepted article is in exactly one row"),
        column("is_representative", pa.bool_(), "whether it stands for the cluster; one per cluster"),
        column(
            "relation",
            pa.string(),
            f"exact, reprint, excerpt or respun, {_TO_REPRESENTATIVE}, measured also where that pair was no "
            "candidate, or screened, and so is not in confirmed_pairs; indirect: the rule does not confirm "
            "it, other members link the two",
            True,
        ),
        column("probability", pa.float64(), f"of being the same story, 0..1, {_TO_REPRESENTATIVE}", True),
        column("cosine", pa.float64(), f"TF-IDF cosine over all terms, 0..1, {_TO_REPRESENTATIVE}", True),
        column("jaccard", pa.float64(), f"resemblance of the shingles, 0..1, {_TO_REPRESENTATIVE}", True),
        column("cluster_size", pa.int32(), "articles in the cluster; 1 for singletons"),
    ]
)

# What is measured of a pair, and what it means.
_MEASURES = (
    ("cosine", "TF-IDF cosine over all terms, 0..1"),
    ("cosine_bigrams", "TF-IDF cosine over terms and pairs of neighbouring terms, 0..1"),
    ("cosine_names", "TF-IDF cosine over names and numbers, 0..1"),
    ("cosine_numbers", "TF-IDF cosine over numbers, 0..1"),
    ("jaccard", "resemblance: shared shingles / all shingles of both, 0..1"),
    ("containment_l_in_r", "share of l's shingles that are in r, 0..1"),
    ("containment_r_in_l", "share of r's shingles that are in l, 0..1"),
)
# Those of pairs that the screen dropped.
OF_TERMS = ("cosine", "cosine_names", "cosine_numbers")

CONFIRMED_PAIRS = pa.schema(
    [
        column("article_id_l", pa.string(), "the smaller article_id, by code points"),
        column("article_id_r", pa.string(), "the larger article_id"),
        column(
            "relation",
            pa.string(),
            (
                "exact, reprint, excerpt or respun: the first that holds; or related: not confirmed, "
                "a neighbour (`related_threshold`)"
            ),
        ),
        column("probability", pa.float64(), "of being the same story, by the fitted rule, 0..1"),
        *(column(name, pa.float64(), meaning) for name, meaning in _MEASURES),
        column("found_by", pa.string(), "view that made it a candidate: reprint, respun or both"),
    ]
)

REPEATED_SECTIONS = pa.schema(
    [
        column("article_id", pa.string(), "the article that holds the section"),
        column("group_id", pa.string(), "sections that repeat each other share it; unique in the run"),
        column("occurrence", pa.int32(), "0 for the group's first section in the text, then 1, 2 ..."),
        column(
            "level", pa.string(), "paragraph, section (led by a heading) or part (one telling of the story)"
        ),
        column("begin", pa.int32(), "first code point of the section in the body as stored"),
        column("end", pa.int32(), "code point after the last (half-open)"),
        column("n_tokens", pa.int32(), "tokens of the section"),
        column("relation", pa.string(), "exact, reprint or respun, to the first; its own to the second"),
        column("cosine", pa.float64(), "TF-IDF cosine to the first, 0..1; its own to the second"),
        column("jaccard", pa.float64(), "resemblance to the first, 0..1; its own to the second"),
    ]
)

REJECTED = pa.schema(
    [
        column("input_file", pa.string(), "path of the file, relative to the common parent of the inputs"),
        column(
            "row",
            pa.int64(),
            "row in the file, from 0, blank lines not counted; null for a file as a whole",
            nullable=True,
        ),
        column("article_id", pa.string(), "identifier, where one could be read", True),
        column(
            "reason",
            pa.string(),
            "missing_text, empty_text, no_token, duplicate_id, invalid_utf8, "
            "text_too_large, unreadable_file, unreadable_row_group or unreadable_row",
        ),
        column("detail", pa.string(), "what exactly, in words", True),
    ]
)

TEXTS = pa.schema(
    [
        column("article_id", pa.string(), "identifier, unique in the run"),
        column("title", pa.string(), "headline, as in the input", True),
        column(
            "text", pa.string(), "body, as in the input: what begin and end of repeated_sections count in"
        ),
    ]
)

CANDIDATE_PAIRS = pa.schema(
    [
        column("article_id_l", pa.string(), "the smaller article_id, by code points"),
        column("article_id_r", pa.string(), "the larger article_id"),
        column("found_by", pa.string(), "view that made it a candidate: reprint, respun or both"),
        column("jaccard_estimate", pa.float64(), "resemblance estimated from the signatures, 0..1"),
        column("probability", pa.float64(), "by the fitted rule, 0..1; null when dropped before it", True),
        column(
            "reason",
            pa.string(),
            "confirmed; screened: its terms alone, whose cosines follow, left no hope; below_threshold: the "
            "rule gave it the probability here",
        ),
        column(
            "relation",
            pa.string(),
            "that it has, or would have if it were confirmed; null when screened",
            True,
        ),
        *(
            column(
                name,
                pa.float64(),
                meaning + ("" if name in OF_TERMS else "; null when screened"),
                name not in OF_TERMS,
            )
            for name, meaning in _MEASURES
        ),
    ]
)

TEMPLATES = pa.schema(
    [
        column("template_id", pa.string(), "articles of one form share it"),
        column("article_id", pa.string(), "an article that fills in the form; in one template at most"),
        column("n_alike", pa.int32(), "others of the template with like wording and other facts, 3 or more"),
        column("n_articles", pa.int32(), "articles of the template"),
    ]
)

CLUSTER_EVENTS = pa.schema(
    [
        column("run_id", pa.string(), "the run that made it, or the `rebuild-...` or `forget-...` before it"),
        column("event", pa.string(), "created, grew, merged, split or expired"),
        column("cluster_id", pa.string(), "the cluster that the event happened to, and that goes on"),
        column("other_id", pa.string(), "cluster that was merged into it, or got a part of it", True),
        column("n_before", pa.int32(), "articles of cluster_id before; 0 when created"),
        column("n_after", pa.int32(), "articles of cluster_id after; 0 when expired"),
    ]
)

FURNITURE = pa.schema(
    [
        column("source", pa.string(), "who repeats the line; null when counted over the collection", True),
        column("line", pa.string(), "the line, as first seen"),
        column(
            "n_articles",
            pa.int32(),
            "articles in which it is masked by this row; with a null source those of sources that have no "
            "row of it",
        ),
    ]
)

TABLES: dict[str, pa.Schema] = {
    "articles": ARTICLES,
    "clusters": CLUSTERS,
    "cluster_members": CLUSTER_MEMBERS,
    "confirmed_pairs": CONFIRMED_PAIRS,
    "repeated_sections": REPEATED_SECTIONS,
    "rejected": REJECTED,
    "texts": TEXTS,
    "candidate_pairs": CANDIDATE_PAIRS,
    "templates": TEMPLATES,
    "cluster_events": CLUSTER_EVENTS,
    "furniture": FURNITURE,
}

TABLE_INFO: dict[str, TableInfo] = {
    "articles": TableInfo(
        "accepted article; with an index also per article of past nights in a cluster that the run touched"
    ),
    "clusters": TableInfo("cluster of two or more articles"),
    "cluster_members": TableInfo("row of `articles`, singletons included"),
    "confirmed_pairs": TableInfo("confirmed pair of two of `articles`, `article_id_l < article_id_r`"),
    "repeated_sections": TableInfo("occurrence of a repeated section"),
    "rejected": TableInfo("rejected input row"),
    "texts": TableInfo("accepted article", "unless `keep_texts = false`"),
    "candidate_pairs": TableInfo("candidate pair", "with `keep_rejected_candidates = true`"),
    "templates": TableInfo("article of a form that the collection fills in again and again"),
    "cluster_events": TableInfo("change of a cluster", "by runs with an index"),
    "furniture": TableInfo("line of furniture"),
}


# manifest.json beside the tables: keys, those of `counts` with a point, and what they mean.
MANIFEST_KEYS: dict[str, str] = {
    "run_id": "UTC time of the run and 8 hex digits",
    "night": "date whose nightly run this is, or null",
    "started_at": "when the run began, UTC; of a run that was resumed, when it was",
    "ended_at": "when its last stage, which publishes the tables, began",
    "seconds": "wall time between the two; stages that ran at the same time count once",
    "config": "every key of the configuration",
    "config_fingerprint": (
        "SHA-256 of the keys that affect what is found, with the calibration's content: runs of one "
        "fingerprint, one set of versions and the same input give the same tables"
    ),
    "versions": "of respun, Python and the packages that compute",
    "inputs": "name, path, bytes and SHA-256 of each file; of large files the time of change",
    "counts.n_files_passed_over": "files of input folders and globs whose ending is not one that is read",
    "counts.n_files": "input files",
    "counts.n_unreadable_files": "files that could not be read, or not to the end",
    "counts.n_input": "input rows: accepted, recognised and rejected",
    "counts.n_accepted": "articles that are new to the index, or all without one",
    "counts.n_recognised": "articles that the index has, by id and text",
    "counts.n_new_versions": "accepted articles whose id the index has with another text",
    "counts.n_rejected": "rows of `rejected`",
    "counts.n_rejected_by_reason": "the same by reason",
    "counts.n_unreadable_dates": "articles whose `published_at` could not be read",
    "counts.text_bytes": "UTF-8 bytes of all bodies",
    "counts.n_collisions": "pairs of articles with a band in common that were compared, once for each band",
    "counts.n_oversized_buckets": "buckets over `candidates.max_bucket`, where only neighbours were compared",
    "counts.n_passed_over": "pairs of those buckets that were not compared, once for each band",
    "counts.largest_bucket": "articles in the largest bucket",
    "counts.n_candidate_pairs": "pairs that the views found: screened, below the threshold or confirmed",
    "counts.candidate_pairs_per_article": "the same per article",
    "counts.n_screened_pairs": "those that the rule's screen dropped, by their terms alone",
    "counts.candidate_recall": (
        "estimated share, 0..1, of the pairs that the rule would confirm that were candidates, from the "
        "exact resemblance of a sample; pairs with next to nothing in common, and those passed over, are not "
        "counted; null when nothing was confirmed"
    ),
    "counts.n_recall_sample": "confirmed pairs that were compared exactly for it",
    "counts.n_confirmed_pairs": "confirmed pairs: rows of `confirmed_pairs` but the neighbours",
    "counts.n_neighbours": "its other rows, which are not confirmed: those of relation `related`",
    "counts.n_clusters": "rows of `clusters`",
    "counts.n_repeated_sections": "rows of `repeated_sections`",
    "oversized_buckets": (
        "the ten largest of them: articles, view, band, and the `article_id` of the first article"
    ),
    "tables": "rows, bytes and SHA-256 of each table's file",
    "stages": "calls, those that a resumed run did not have to make, rows, seconds from when it was "
    "called for (some overlap), rows per second and peak memory of each stage but the last",
    "peak_rss_bytes": "most memory that the process has held",
    "threshold": "probability from which a pair was confirmed",
    "calibration": "version of the fitted rule",
    "index": (
        "location, generation, articles before the run, those that `index.retention_days` left out after it "
        "(`n_forgotten`, and `n_forgotten_new` of them its own), version of the statistics, drift, and "
        "whether a rebuild is due; null without an index"
    ),
}


_INTRO = """# Tables

Written by `python -m pipeline.schema > docs/tables.md`. A run's tables are Parquet files in
`<output>/runs/<run_id>/`; `<output>/latest.json` names the current run. Each column's meaning is also in
the file, as metadata of the field.

`n_` counts, `is_` booleans, `_at` times in UTC, `_l` / `_r` the two sides of a pair, `begin` / `end`
half-open and in code points."""


def tables_markdown() -> str:
    """The text of docs/tables.md: every table with its columns, types and meaning, and the manifest."""
    parts = [_INTRO]
    for name, schema in TABLES.items():
        info = TABLE_INFO[name]
        parts += [
            "",
            f"## {name}.parquet",
            "",
            f"One row per {info.one_row_per}. Written {info.written}.",
            "",
            "| column | type | null | meaning |",
            "|---|---|---|---|",
        ]
        parts += [
            f"| `{f.name}` | {_type_name(f.type)} | {'yes' if f.nullable else ''} | {description(f)} |"
            for f in schema
        ]
    parts += ["", "## manifest.json", "", "How the run went; `counts.n_files` is `n_files` within `counts`."]
    parts += ["", "| key | meaning |", "|---|---|"]
    parts += [f"| `{key}` | {meaning} |" for key, meaning in MANIFEST_KEYS.items()]
    return "\n".join(parts) + "\n"


def _type_name(type_: pa.DataType) -> str:
    return str(type_).replace("<item: string>", " of string").replace("double", "float64")


if __name__ == "__main__":
    print(tables_markdown(), end="")
