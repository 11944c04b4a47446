"""What a published run still knows of its articles, and what it has to be asked again for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.article_checks import check_rows
from pipeline.config import Config
from pipeline.config_load import load_values
from pipeline.confirm import EXCERPT, RELATED, RELATIONS
from pipeline.earlier_texts import Budget, earlier_texts, why_none
from pipeline.errors import ConfigError, InputError
from pipeline.explain import Asked, InRun
from pipeline.explained import Link
from pipeline.input_rows import BATCH_BYTES, BATCH_ROWS
from pipeline.input_text import read_texts
from pipeline.inputs import COMPRESSIONS, InputFile
from pipeline.links import shortest_path
from pipeline.manifest import read_manifest
from pipeline.schema import ACCEPTED, TEXTS, UTC_TIME
from pipeline.tables import regroup


@dataclass(frozen=True)
class PublishedRun:
    """A run's folder, its manifest and the configuration that it ran with."""

    folder: Path
    manifest: dict[str, Any]
    config: Config

    @property
    def runs(self) -> Path:
        """The folder in which runs of earlier nights lie, if they are still there."""
        return self.folder.absolute().parent

    @property
    def texts(self) -> Path:
        """The table of texts, where the run kept it."""
        return self.folder / "texts.parquet"

    @property
    def has_texts(self) -> bool:
        """Whether the run kept its texts."""
        return self.texts.is_file()

    def articles(self) -> Iterator[pa.Table]:
        """The articles as they were read (ACCEPTED), in order, in pieces; the url is null."""
        known = self._read("articles", ["source", "published_at"])

        def batches() -> Iterator[pa.RecordBatch]:
            row = 0
            with pq.ParquetFile(self.texts) as file:
                for batch in file.iter_batches(BATCH_ROWS):
                    yield _as_articles(batch, known.slice(row, batch.num_rows))
                    row += batch.num_rows

        return regroup(batches(), BATCH_ROWS, BATCH_BYTES, "text")

    def find(self, id_a: str, id_b: str) -> Asked:
        """Two articles of the run. Raises InputError when an id is unknown, or both are the same."""
        if id_a == id_b:
            raise InputError(f"ID_A, ID_B: must be two articles, are both {id_a}")
        either = pc.field("article_id").isin([id_a, id_b])
        columns = ["article_id", "source", "published_at", "cluster_id", "earlier_run_id"]
        known = self._read("articles", columns, either)
        rows = {row["article_id"]: row for row in known.to_pylist()}
        for name, article_id in (("ID_A", id_a), ("ID_B", id_b)):
            if article_id not in rows:
                raise InputError(
                    f"{name}: must be an article of run {self.folder.name}, it has none with the "
                    f"article_id {article_id}"
                )
        found = [self._read("texts", TEXTS.names, either)]
        for article_id, row in rows.items():
            run_id = row["earlier_run_id"]
            if run_id is None:
                continue
            ids = pa.chunked_array([[article_id]])
            earlier = [texts for _, texts in earlier_texts(self.runs, run_id, ids, Budget(None))]
            if not earlier:
                raise InputError(
                    f"{'ID_A' if article_id == id_a else 'ID_B'}: must have its text in the run that brought "
                    f"it, {article_id} came with {run_id}, which {why_none(self.runs, run_id)} "
                    f"({self.runs / run_id}); respun compare asks about two text files"
                )
            found += earlier
        # In the order of the table of articles: those of earlier nights are the last there.
        texts = pa.concat_tables(found)
        texts = texts.take(pc.index_in(known["article_id"], value_set=texts["article_id"]))
        pair = _as_articles(texts.combine_chunks().to_batches()[0], known)
        first, second = pair.column("article_id").to_pylist()
        cluster_ids = (rows[first]["cluster_id"], rows[second]["cluster_id"])
        n_oversized = int(self.manifest["counts"]["n_oversized_buckets"])
        links = self._links(set(cluster_ids))
        path = shortest_path([link for link in links if link.relation != RELATIONS[EXCERPT]], id_a, id_b)
        own = [link for link in links if {link.article_id_from, link.article_id_to} == {id_a, id_b}]
        in_run = InRun(
            str(self.manifest["run_id"]), cluster_ids, path if len(set(cluster_ids)) == 1 else (),
            own[0].probability if own else None, n_oversized,
        )  # fmt: skip
        return Asked(pair, id_a == second, in_run)

    def _links(self, cluster_ids: set[str]) -> list[Link]:
        """The confirmed pairs within the clusters."""
        members = self._read(
            "cluster_members", ["article_id"], pc.field("cluster_id").isin(sorted(cluster_ids))
        )["article_id"]
        both = pc.field("article_id_l").isin(members) & pc.field("article_id_r").isin(members)
        columns = ["article_id_l", "article_id_r", "relation", "probability"]
        confirmed = both & (pc.field("relation") != RELATIONS[RELATED])
        return [Link(*row.values()) for row in self._read("confirmed_pairs", columns, confirmed).to_pylist()]

    def _read(self, name: str, columns: list[str], chosen: pc.Expression | None = None) -> pa.Table:
        return pq.read_table(self.folder / f"{name}.parquet", columns=columns, filters=chosen)


def open_run(folder: Path) -> PublishedRun:
    """The run published in a folder.

    Raises InputError when it kept no texts, OutputError as `read_run`; ConfigError when this version of
    respun, or the calibration as it is now, would judge otherwise than the run did.
    """
    run = read_run(folder)
    config = run.config
    if not run.has_texts:
        raise InputError(
            f"run {folder.name}: must have texts.parquet, has none: it was run with keep_texts=false"
        )
    if config.fingerprint() != run.manifest["config_fingerprint"]:
        raise ConfigError(
            f"run {folder.name}: configuration and calibration must be as they were for the run, this "
            f"version of respun and {config.calibration} as it is now give another fingerprint"
        )
    return run


def read_run(folder: Path) -> PublishedRun:
    """The run published in a folder, whatever version judged it.

    Raises OutputError when its manifest can't be read, ConfigError for unknown keys.
    """
    manifest = read_manifest(folder)
    return PublishedRun(folder, manifest, load_values(Config, manifest["config"]))


def read_two(path_a: Path, path_b: Path, config: Config) -> Asked:
    """Two text files as two articles without a title. Raises InputError when one can't be used."""
    batches = [_read_text(name, path, config) for name, path in (("FILE_A", path_a), ("FILE_B", path_b))]
    # Sums depend on the order in the last digit: the same two files have the same order.
    is_turned = batches[0].column("text")[0].as_py() > batches[1].column("text")[0].as_py()
    ordered = reversed(batches) if is_turned else batches
    return Asked(pa.Table.from_batches(ordered).combine_chunks().to_batches()[0], is_turned, None)


def _read_text(name: str, path: Path, config: Config) -> pa.RecordBatch:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise InputError(f"{name}: must be a text file, {path}: {error.strerror}") from None
    file = InputFile(str(path), str(path), "text", COMPRESSIONS.get(path.suffix.lower()), size)
    rows = next(read_texts([file], config))
    checked = check_rows(rows, config)
    for row in checked.rejected.to_pylist():
        raise InputError(f"{name}: must be a text file, {path}: {row['reason']}, {row['detail']}")
    text = checked.articles.select(["article_id", "title", "text"])
    named = text.set_column(0, "article_id", pa.array([str(path)]))
    unknown = {"source": pa.nulls(1, pa.string()), "published_at": pa.nulls(1, UTC_TIME)}
    return _as_articles(named, pa.table(unknown))


def _as_articles(texts: pa.RecordBatch, known: pa.Table) -> pa.RecordBatch:
    """The texts with `source` and `published_at` of `known`, row by row."""
    columns = {name: texts.column(name) for name in texts.schema.names}
    columns |= {name: known[name].combine_chunks() for name in ("source", "published_at")}
    columns["url"] = pa.nulls(texts.num_rows, pa.string())
    return pa.record_batch([columns[name] for name in ACCEPTED.names], schema=ACCEPTED)
