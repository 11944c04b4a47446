"""The configuration: one frozen model, read from TOML, overridden key by key.

The model below is the only place where keys, defaults, bounds and their meaning are written.
`configs/default.toml` is rendered from it: `python -m pipeline.config > configs/default.toml`.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from pipeline.config_load import load_into, render, shipped_file

# Keys that change how a run is executed or what it keeps, not what it finds.
NOT_IN_FINGERPRINT = (
    "n_workers",
    "keep_texts",
    "keep_rejected_candidates",
    "keep_scratch_days",
    "index",
    "report",
)


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class ColumnsConfig(_Section):
    """Names of the input's columns. Only the text must be there; "" means: don't read this one."""

    article_id: str = Field(
        default="article_id",
        description=(
            "Identifier, unique in the collection. Where it is absent, null or empty, the url serves; "
            "without a url, `<file>#<row>`."
        ),
    )
    text: str = Field(
        default="text",
        min_length=1,
        description=("Body of the article, plain text. The only column that must exist."),
    )
    title: str = Field(
        default="title", description=("Headline. It counts as a line of its own before the body.")
    )
    source: str = Field(
        default="source",
        description=(
            "Who published it: a site, domain or outlet. Furniture is counted per source, and two articles "
            "of one source are less likely to be one story (`weigh_source`)."
        ),
    )
    url: str = Field(default="url", description=("Address of the page."))
    published_at: str = Field(
        default="published_at",
        description=(
            "Time of publication: timestamp, date, epoch number, ISO 8601, RFC 2822. Times without a zone "
            "are UTC. Unreadable ones become null. Days between two articles speak against their being one "
            'story: set it to "" where it is the time of a crawl.'
        ),
    )


class FurnitureConfig(_Section):
    """Lines that a site repeats on many of its pages, masked before anything is compared."""

    min_articles: int = Field(
        default=5,
        ge=2,
        le=1_000_000,
        description=("Articles that must carry a line before it is furniture (articles). Higher masks less."),
    )
    min_share: float = Field(
        default=0.01,
        ge=0.0,
        le=1.0,
        description=(
            "Share of its source's articles that must carry a line before it is furniture (0..1). Higher "
            "masks less."
        ),
    )
    max_tokens: int = Field(
        default=40,
        ge=1,
        le=10_000,
        description=("Longest line that can be furniture (tokens). Higher masks more."),
    )


class ReprintConfig(_Section):
    """The reprint view: MinHash over word shingles."""

    shingle_size: int = Field(
        default=5,
        ge=1,
        le=32,
        description=(
            "Tokens in a shingle (tokens). Higher asks for longer runs of equal words, finds fewer pairs."
        ),
    )
    n_perm: int = Field(
        default=128,
        ge=16,
        le=1024,
        description=(
            "Permutations of a signature (count). Higher is more precise, slower and larger (4 bytes each "
            "an article)."
        ),
    )
    threshold: float = Field(
        default=0.5,
        gt=0.0,
        lt=1.0,
        description=(
            "Resemblance at which a pair becomes a candidate (0..1); bands and rows are chosen for it. "
            "Lower finds more and compares more."
        ),
    )


class RespunConfig(_Section):
    """The re-spin view: MinHash over rare terms, names and numbers."""

    n_bands: int = Field(
        default=256,
        ge=1,
        le=1024,
        description=("Bands of the signature (count). Higher finds more and compares more."),
    )
    rows_per_band: int = Field(
        default=2,
        ge=1,
        le=16,
        description=("Rows of the signature in a band (count). Higher finds less and compares less."),
    )
    min_idf: float = Field(
        default=4.0,
        ge=0.0,
        le=30.0,
        description=(
            "Rarity below which a term is left out (inverse document frequency, natural logarithm). "
            "Higher keeps only rarer terms. From 50,000 articles on the limit rises with the collection."
        ),
    )
    name_weight: int = Field(
        default=2,
        ge=1,
        le=16,
        description=("Weight of a name, where any other term has 1 (count). Higher lets names decide more."),
    )
    number_weight: int = Field(
        default=2,
        ge=1,
        le=16,
        description=(
            "Weight of a number, where any other term has 1 (count). Higher lets numbers decide more."
        ),
    )

    @property
    def n_perm(self) -> int:
        """Permutations of a signature: bands x rows."""
        return self.n_bands * self.rows_per_band


class CandidatesConfig(_Section):
    """Which pairs are compared in full."""

    match_window_days: int = Field(
        default=0,
        ge=0,
        le=100_000,
        description=(
            "Articles published further apart are not compared (days); an article without a time always is. "
            "0 compares all."
        ),
    )
    max_bucket: int = Field(
        default=200,
        ge=2,
        le=100_000,
        description=(
            "Articles of one bucket that are paired with each other (articles); a larger bucket is split. "
            "Higher compares more."
        ),
    )
    min_jaccard_reprint: float = Field(
        default=0.2,
        ge=0.0,
        le=1.0,
        description=(
            "Estimated resemblance below which a pair of the reprint view is dropped (0..1). Higher "
            "compares less."
        ),
    )
    min_jaccard_respun: float = Field(
        default=0.082,
        ge=0.0,
        le=1.0,
        description=(
            "Estimated weighted resemblance below which a pair of the re-spin view is dropped (0..1). "
            "Higher compares less."
        ),
    )


class ClustersConfig(_Section):
    """How confirmed pairs become clusters."""

    min_linkage: float = Field(
        default=0.27,
        gt=0.0,
        lt=1.0,
        description=(
            "Mean probability between two groups of articles from which they are one cluster (0..1). Higher "
            "breaks more chains and splits more clusters."
        ),
    )


class SectionsConfig(_Section):
    """Sections repeated inside one article."""

    min_tokens: int = Field(
        default=25,
        ge=10,
        le=1_000,
        description=(
            "Shortest paragraph, or passage repeated word for word, that is reported (tokens). Lower reports "
            "more, refrains and pull quotes among it."
        ),
    )
    min_agreement: float = Field(
        default=0.6,
        gt=0.0,
        le=1.0,
        description=(
            "Mean of TF-IDF cosine and Dice coefficient of the terms from which two paragraphs tell the same "
            "(0..1). Higher finds fewer reworded ones."
        ),
    )
    min_part_probability: float = Field(
        default=0.5,
        gt=0.0,
        lt=1.0,
        description=(
            "Probability from which a place counts as the beginning of a second version of the page's story "
            "(0..1). Higher finds fewer versions spun from the headline."
        ),
    )


class IndexConfig(_Section):
    """The index of past nights, for runs with `--index`. No key here changes how articles are compared."""

    max_drift: float = Field(
        default=0.05,
        gt=0.0,
        le=1.0,
        description=(
            "Share of a night's terms, each once an article, that nobody had when the statistics were "
            "frozen (0..1). Above it a rebuild is due, and the run says so."
        ),
    )
    retention_days: int = Field(
        default=0,
        ge=0,
        le=100_000,
        description=(
            "Articles published longer before the newest one are forgotten after a run (days); those without "
            "a time stay. What is dated after the run's start doesn't count as newest. 0 keeps all."
        ),
    )
    lease_seconds: int = Field(
        default=120,
        ge=2,
        le=86_400,
        description=(
            "A run that has not renewed its hold on the index for so long counts as dead (seconds); it "
            "renews four times as often."
        ),
    )
    wait_seconds: int = Field(
        default=0,
        ge=0,
        le=86_400,
        description=("How long a run waits for another one on the same index (seconds). 0 refuses at once."),
    )


class ReportConfig(_Section):
    """The page report.html beside the tables."""

    write: bool = Field(
        default=True,
        description=("Write report.html. `respun report` writes it later, with all texts."),
    )
    max_texts: int = Field(
        default=5_000,
        ge=0,
        le=10_000_000,
        description=(
            "Texts that the report holds, those with repeated sections and of the largest clusters first "
            "(articles). Higher takes longer and more space, about 8 KB for each article of 4 KB. Without "
            "keep_texts it holds none."
        ),
    )


class Config(_Section):
    """All of respun's configuration; frozen, unknown keys are errors."""

    max_text_bytes: int = Field(
        default=4_000_000,
        ge=1_000,
        le=1_000_000_000,
        description=(
            "Longest body taken (bytes of UTF-8); longer articles are rejected as text_too_large. Higher "
            "needs more memory."
        ),
    )
    threshold: float = Field(
        default=0.0,
        ge=0.0,
        le=1.0,
        description=(
            "Probability from which a pair is confirmed (0..1). Higher is more precise and finds less. 0 "
            "takes the calibration's own threshold."
        ),
    )
    related_threshold: float = Field(
        default=0.0,
        ge=0.0,
        le=1_000.0,
        description=(
            "Names that two articles share, by how much their rarity ln(articles / articles with the name) "
            "exceeds 4, summed (0..1000): from this on a pair that is not confirmed is listed in "
            "confirmed_pairs.parquet as `related`, a neighbour such as a follow-up, which joins no cluster. "
            "Lower lists more; 15 is a beginning. 0 lists none."
        ),
    )
    calibration: str = Field(
        default="calibration-6.json",
        min_length=1,
        description=("File of the fitted rule: a path, or the name of a file of this folder."),
    )
    weigh_source: bool = Field(
        default=True,
        description=(
            "Whether one source of two articles speaks against their being one story, by three to one at "
            "most: an outlet tells the next story in its own words more often than the same one again. false "
            "finds more: for sources that are feeds or data sets, or where outlets reword their own articles."
        ),
    )
    seed: int = Field(
        default=1,
        ge=0,
        le=2**32 - 1,
        description=("Seed of the permutations. Signatures of different seeds can't be compared."),
    )
    n_workers: int = Field(
        default=0,
        ge=0,
        le=1_024,
        description=("Threads (count); 0 means one for each core. Doesn't change the result."),
    )
    keep_texts: bool = Field(
        default=True,
        description=(
            "Write texts.parquet, in which the spans of repeated_sections.parquet count. false saves "
            "space, but looking at evidence then needs the input."
        ),
    )
    keep_rejected_candidates: bool = Field(
        default=False,
        description=(
            "Write candidate_pairs.parquet: each pair compared, what was measured of it, and why it was "
            "confirmed or not. true needs more space."
        ),
    )
    keep_scratch_days: int = Field(
        default=3,
        ge=0,
        le=365,
        description=(
            "How long the scratch files of a run that failed or was killed stay, for `--resume` to go on "
            "from (days); later runs with the same output folder remove them. 0 removes them at once."
        ),
    )
    columns: ColumnsConfig = ColumnsConfig()
    furniture: FurnitureConfig = FurnitureConfig()
    reprint: ReprintConfig = ReprintConfig()
    respun: RespunConfig = RespunConfig()
    candidates: CandidatesConfig = CandidatesConfig()
    clusters: ClustersConfig = ClustersConfig()
    sections: SectionsConfig = SectionsConfig()
    index: IndexConfig = IndexConfig()
    report: ReportConfig = ReportConfig()

    def compared(self) -> dict[str, Any]:
        """The keys that affect what a run finds; in place of the calibration the SHA-256 of its content."""
        kept = self.model_dump(exclude=set(NOT_IN_FINGERPRINT))
        file = shipped_file(self.calibration, ".json")
        if file is not None:
            kept["calibration"] = hashlib.sha256(file.read_bytes()).hexdigest()
        return kept

    def fingerprint(self) -> str:
        """SHA-256, in hex, of the keys that affect what a run finds; a calibration counts by its content."""
        return hashlib.sha256(json.dumps(self.compared(), sort_keys=True).encode()).hexdigest()


def load_config(path: str | Path | None = None, overrides: tuple[str, ...] | list[str] = ()) -> Config:
    """Read a configuration: defaults, then the file's values, then `overrides` of the form "a.b=value".

    `path` is a TOML file, or the name of a preset ("nightly"). A value is a TOML literal where it parses
    as one, else a string. Raises ConfigError, naming key, rule and value.
    """
    return load_into(Config, path, overrides)


def default_toml() -> str:
    """The text of configs/default.toml: each key with its default, under a comment that explains it."""
    return render(
        Config,
        "Every key of respun with its default. Presets and your own files hold only what differs. "
        "Written by `python -m pipeline.config > configs/default.toml`.",
    )


__all__ = ["Config", "default_toml", "load_config", "shipped_file"]

if __name__ == "__main__":
    print(default_toml(), end="")
