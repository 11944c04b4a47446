"""The sample, made awkward: hundreds of copies, ties, missing and bogus dates, blank titles, neighbours."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from command_line import SAMPLE

from pipeline.config import Config
from pipeline.executor import Silence, ThreadExecutor
from pipeline.job import run_job

N_COPIES = 300
BLANK = " \u200b\u2060\u3164"
LONG_URLS, LONG_NAME = "A06", "news " * 600
TIED, PARTLY_DATED, UNDATED, BOGUS = "B01", "B03", "B09", "bogus"


def rows() -> list[dict]:
    """The sample's rows, changed, and the copies."""
    found = pq.read_table(SAMPLE).to_pylist()
    for row in found:
        story = row["article_id"].split("/")[1]
        if story == TIED:
            row["published_at"] = datetime(2026, 3, 1, tzinfo=UTC)
        if story == UNDATED or (story == PARTLY_DATED and not row["article_id"].endswith("light")):
            row["published_at"] = None
        if story == "A04":
            row["title"] = BLANK
        if story == LONG_URLS:
            row["url"] = f"https://news.example/articles/{'abCdEfGh' * 40}?hl=en"
        if row["article_id"] == "story/A07/source":
            row["source"] = LONG_NAME
    by_id = {row["article_id"]: row for row in found}
    told = by_id["story/A05/source"]
    found.append(told | {"article_id": BOGUS, "published_at": datetime(1950, 1, 1, tzinfo=UTC)})
    base = [by_id[f"story/A01/{kind}"] for kind in ("source", "light", "heavy", "trimmed")]
    begin = datetime(2026, 2, 12, tzinfo=UTC)
    for i in range(N_COPIES):
        told = base[i % 4]
        paragraphs = told["text"].split("\n\n")
        found.append({
            "article_id": f"copy-{i:03d}", "source": f"site{i % 40}.example",
            "url": f"https://site{i % 40}.example/{i}", "title": f"{told['title']} ({i})",
            "published_at": None if i % 50 == 49 else begin + timedelta(hours=i // 2),
            "text": "\n\n".join(paragraphs[:-1] if i % 7 == 0 else paragraphs),
        })  # fmt: skip
    return found


def run(folder: Path) -> Path:
    """A run over them, with neighbours. Returns its folder."""
    source = folder / "in.parquet"
    pq.write_table(pa.Table.from_pylist(rows(), schema=pq.read_schema(SAMPLE)), source)
    config = Config(related_threshold=0.1)
    return run_job([str(source)], folder / "out", config, ThreadExecutor(2), Silence()).run_dir
