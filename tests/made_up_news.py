"""Small collections of made-up articles that hold everything a run may meet."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

FIELDS = {"article_id": pa.string(), "source": pa.string(), "title": pa.string(),
          "published_at": pa.timestamp("us", "UTC"), "text": pa.string()}  # fmt: skip
FOOTER = ("Leave a reply", "You may also like", "All rights reserved")
HAN = (
    "天地玄黄宇宙洪荒日月盈昃辰宿列张寒来暑往秋收冬藏闰余成岁律吕调阳云腾致雨"
    "露结为霜金生丽水玉出昆冈剑号巨阙珠称夜光果珍李柰菜重芥姜"
)


def word(rng: random.Random) -> str:
    return "".join(rng.choice("bdfgklmnprst") + rng.choice("aeiou") for _ in range(3))


def sentence(rng: random.Random) -> str:
    w = [word(rng) for _ in range(7)]
    name = f"{rng.choice(('Ada', 'Bo', 'Cy'))} {word(rng).title()}"
    beginning = f"On the {w[0]} of the {w[1]}, {name} said that {rng.randrange(10_000)} {w[2]} had been"
    return f"{beginning} {w[3]} by a {w[4]} in the {w[5]} and would not {w[6]} this year."


def paragraph(rng: random.Random) -> str:
    return " ".join(sentence(rng) for _ in range(3))


def retold(rng: random.Random, text: str) -> str:
    """The same words and names in another order, a fifth of them others."""
    words = [w if rng.random() < 0.8 else word(rng) for w in text.split()]
    rng.shuffle(words)
    return " ".join(words)


def stories(seed: int, n: int) -> list[dict]:
    """Rows about n events: reports, and by chance copies, trims, retellings, excerpts and repeats."""
    rng = random.Random(seed)
    rows: list[dict] = []

    def add(text: str) -> None:
        source = rng.choice((None, "", "one.example", "two.example", "three.example"))
        at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=rng.randrange(100))
        lines = FOOTER if source == "one.example" else ()
        rows.append({
            "article_id": f"a{rng.randrange(10**9):09d}", "source": source,
            "title": rng.choice((None, "", sentence(rng))),
            "published_at": rng.choice((None, at)), "text": "\n\n".join((text, *lines)),
        })  # fmt: skip

    for _ in range(n):
        report = [paragraph(rng) for _ in range(rng.randrange(2, 8))]
        add("\n\n".join(report))
        for _ in range(rng.randrange(3)):
            kind = rng.randrange(5)
            if kind == 0:
                add("\n\n".join(report))
            elif kind == 1:
                add("\n\n".join(report[:-1]))
            elif kind == 2:
                add("\n\n".join(retold(rng, p) for p in report))
            elif kind == 3:
                add("\n\n".join((*(paragraph(rng) for _ in range(4)), *report[:2])))
            else:
                add("\n\n".join((*report, paragraph(rng), report[0])))
    return rows


def cjk(seed: int, n: int) -> list[dict]:
    """Articles in an unspaced script; every third tells the one before it again, less its end."""
    rng = random.Random(seed)
    rows: list[dict] = []
    for i in range(n):
        text = (
            rows[-1]["text"][:-30]
            if i % 3 == 2
            else "。".join("".join(rng.choices(HAN, k=20)) for _ in range(10))
        )
        rows.append(
            {"article_id": f"c{i:03d}", "source": None, "title": "標題", "published_at": None, "text": text}
        )
    return rows


def row(article_id: str, text: str | None, title: str | None = None) -> dict:
    return {"article_id": article_id, "source": None, "title": title, "published_at": None, "text": text}


def write(path: Path, rows: list[dict]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=pa.schema(FIELDS)), path)
    return path
