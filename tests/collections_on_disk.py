"""Small collections written in every input format, for the tests of reading."""

from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

FORMATS = ("parquet", "jsonl", "jsonl.gz", "jsonl.zst", "ndjson", "csv", "csv.gz", "csv.zst")
FIELDS = ("article_id", "title", "text")


def write_rows(path: Path, rows: list[dict]) -> Path:
    """Write rows of FIELDS; the format follows the path's ending."""
    path.parent.mkdir(parents=True, exist_ok=True)
    name = path.name
    if name.endswith(".parquet"):
        columns = {f: pa.array([row.get(f) for row in rows], pa.string()) for f in FIELDS}
        pq.write_table(pa.table(columns), path, row_group_size=3)
    elif ".csv" in name:
        path.write_bytes(pack(name, as_csv(rows)))
    else:
        path.write_bytes(pack(name, b"".join(json.dumps(row).encode() + b"\n" for row in rows)))
    return path


def as_csv(rows: list[dict]) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(FIELDS)
    writer.writerows([row.get(field) or "" for field in FIELDS] for row in rows)
    return out.getvalue().encode()


def pack(name: str, data: bytes) -> bytes:
    if name.endswith(".gz"):
        return gzip.compress(data, mtime=0)
    return zstandard.compress(data) if name.endswith(".zst") else data
