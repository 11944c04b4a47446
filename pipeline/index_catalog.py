"""`index.json`: what of an index is live. It is the only file that changes, and it changes in one step.

A segment, or a version of the statistics, is live because the catalog names it. Files that it doesn't name
are what a dead run left, or what a reader may still be reading.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from typing import Any, ClassVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from pipeline.config import Config
from pipeline.config_load import flat
from pipeline.dates import FIRST, LAST
from pipeline.errors import ConfigError, OutputError, RunError
from pipeline.index_store import Store
from pipeline.rule import load_rule
from pipeline.shards import MAX_GROUPS
from pipeline.tables import Ref

CATALOG = "index.json"
SEGMENTS, STATISTICS, UNTOLD = "segments", "statistics", "untold"  # folders
# The tables of a segment; those that have a row for each article, in order.
TABLES = ("articles", "keys", "places", "tokens", "pairs", "membership", "sections")
BY_POSITION = ("articles", "keys", "places", "tokens")
FORMAT = 4
# Raise it when the same text gives other tokens: signatures and counts can't be compared then.
TOKENISER = 1
PERMUTATIONS = "affine32"
# What says how the input is read, not how articles are compared: another crawl may have other columns.
_OF_THE_INPUT = ("columns.", "max_text_bytes")


@dataclass(frozen=True)
class Statistics:
    """A frozen version: what later nights count with.

    Paths of the Refs are names in the index. `terms`: df and spelling of each bucket, `n_articles` of them.
    """

    version: str
    n_articles: int
    terms: Ref
    furniture: Ref


@dataclass(frozen=True)
class Segment:
    """Articles of one or more nights, numbered ascending, and what was found among them and older ones.

    `files` by table, their paths are names in the index. Times in microseconds since 1970, None without any.
    """

    segment_id: str
    run_ids: tuple[str, ...]
    n_articles: int
    first_published: int | None
    last_published: int | None
    files: dict[str, Ref]

    @property
    def n_bytes(self) -> int:
        """Bytes of all files."""
        return sum(ref.bytes for ref in self.files.values())


@dataclass(frozen=True)
class Catalog:
    """What is live; `begun` makes an empty one. `next_number`: of the next article, never given twice.

    `settings`: the configuration's keys that say how articles are compared, dotted, with the calibration's
    content. `generation` counts the changes. `statistics` is None before the first night. `untold`: events of
    clusters (schema.CLUSTER_EVENTS) outside of runs, which the next run tells; None without any.
    """

    # What a catalog holds is read by it, too.
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=True)

    settings: dict[str, Any]
    generation: int
    next_number: int
    statistics: Statistics | None
    segments: tuple[Segment, ...]
    format: int
    tokeniser: int
    permutations: str
    n_parts: int
    untold: Ref | None = None  # indexes of before don't have it

    @classmethod
    def begun(cls, settings: dict[str, Any]) -> Catalog:
        """That of an index without a night."""
        return cls(settings, 0, 0, None, (), FORMAT, TOKENISER, PERMUTATIONS, MAX_GROUPS)

    def has_run(self, run_id: str) -> bool:
        """Whether the articles of a run are in it."""
        return any(run_id in segment.run_ids for segment in self.segments)

    @property
    def n_articles(self) -> int:
        """Articles of all segments."""
        return sum(segment.n_articles for segment in self.segments)

    @property
    def files(self) -> Iterator[Ref]:
        """All that it names."""
        if self.statistics is not None:
            yield from (self.statistics.terms, self.statistics.furniture)
        for segment in self.segments:
            yield from segment.files.values()
        if self.untold is not None:
            yield self.untold

    def to_json(self) -> bytes:
        """The catalog's text."""
        return (json.dumps(asdict(self), indent=1) + "\n").encode()

    @classmethod
    def of(cls, text: bytes) -> Catalog:
        """From its text. Raises ValueError, which says what is wrong, when it is none.

        Of another format nothing is read but the format.
        """
        try:
            catalog = _reader().validate_json(text)
        except ValidationError as error:
            if (other := _format_of(text)) != FORMAT:
                return replace(cls.begun({}), format=other)
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"]))  # none of what is no JSON
            raise ValueError(f"{place}: {first['msg']}" if place else first["msg"]) from None
        for contradiction in _contradictions(catalog) if catalog.format == FORMAT else ():
            raise ValueError(contradiction)
        return catalog


@cache
def _reader() -> TypeAdapter[Catalog]:
    return TypeAdapter(Catalog)


@dataclass(frozen=True)
class _Format:
    format: int


def _format_of(text: bytes) -> int:
    """The format that a text says, of whatever else is in it; FORMAT where it says none."""
    try:
        return TypeAdapter(_Format).validate_json(text, strict=True).format
    except ValidationError:
        return FORMAT


def _contradictions(catalog: Catalog) -> Iterator[str]:
    """What can't be so, though each value has its type."""
    if not catalog.n_articles <= catalog.next_number < 1 << 63:
        yield f"next_number: must be at least the {catalog.n_articles} articles, is {catalog.next_number}"
    for at, segment in enumerate(catalog.segments):
        if segment.files.keys() != set(TABLES):
            yield f"segments.{at}.files: must be {', '.join(TABLES)}, are {', '.join(sorted(segment.files))}"
        for table in BY_POSITION:
            if segment.files[table].rows != segment.n_articles:
                yield (
                    f"segments.{at}.files.{table}.rows: must be the segment's {segment.n_articles} articles, "
                    f"are {segment.files[table].rows}"
                )
        if (segment.first_published is None) != (segment.last_published is None):
            yield f"segments.{at}: must have a first and a last time, or none"
        for time in (segment.first_published, segment.last_published):
            if time is not None and not FIRST <= time // 1_000_000 <= LAST:
                yield f"segments.{at}: times must be of the years 1 to 9999 in microseconds, one is {time}"
    if catalog.segments and catalog.statistics is None:
        yield "statistics: must be there where articles are"


def settings_of(config: Config) -> dict[str, Any]:
    """The keys, dotted, that say how articles are compared; of the calibration its version and digest."""
    kept = {key: value for key, value in flat(config.compared()).items() if not key.startswith(_OF_THE_INPUT)}
    return kept | {"calibration": f"{load_rule(config.calibration).version} {kept['calibration'][:12]}"}


def read_catalog(store: Store) -> Catalog | None:
    """What is live; None when there is no index yet. Raises OutputError when it can't be read."""
    try:
        text = store.read(CATALOG)
        catalog = Catalog.of(text) if text is not None else None
    except (OSError, ValueError) as error:
        raise OutputError(f"index {store.shown}: {CATALOG} must be readable: {error}") from None
    if catalog is not None and catalog.format != FORMAT:
        raise ConfigError(
            f"index {store.shown}: must have format {FORMAT}, has {catalog.format}: it was written by "
            "another version of respun"
        )
    return catalog


def require_catalog(store: Store) -> Catalog:
    """What is live. Raises OutputError when there is no index."""
    catalog = read_catalog(store)
    if catalog is None:
        raise OutputError(f"index {store.shown}: must hold an index, has no {CATALOG}")
    return catalog


def catalog_for(store: Store, config: Config) -> Catalog:
    """What is live, for a run of that configuration; an empty catalog where there is no index yet.

    Raises ConfigError when the configuration doesn't fit, OutputError when the catalog can't be read or is
    gone: segments without it are those of an index, as the catalog is written before them.
    """
    catalog = read_catalog(store)
    if catalog is None:
        if store.folders(SEGMENTS) or store.folders(STATISTICS):
            raise OutputError(
                f"index {store.shown}: must have {CATALOG} beside its segments, it is gone: put a copy of it "
                "back, or name another index"
            )
        return Catalog.begun(settings_of(config))
    # Begun by a run that left nothing to compare with.
    if catalog.statistics is None and not catalog.segments:
        return replace(catalog, settings=settings_of(config))
    check_fit(catalog, config, store.shown)
    return catalog


def check_fit(catalog: Catalog, config: Config, location: str) -> None:
    """Compare a run's configuration with the index. Raises ConfigError with each difference, old and new."""
    ours = Catalog.begun(settings_of(config))
    differences = [
        f"{name} {getattr(catalog, name)} (now {getattr(ours, name)})"
        for name in ("tokeniser", "permutations", "n_parts")
        if getattr(catalog, name) != getattr(ours, name)
    ]
    differences += [
        f"{key} {_shown(catalog.settings, key)} (now {_shown(ours.settings, key)})"
        for key in sorted(catalog.settings.keys() | ours.settings.keys())
        if _shown(catalog.settings, key) != _shown(ours.settings, key)
    ]
    if differences:
        raise ConfigError(
            f"index {location}: must be of the run's configuration, was made with {'; '.join(differences)}. "
            "Use the old values, or another index"
        )


def commit(store: Store, old: Catalog, new: Catalog) -> Catalog:
    """Make `new` live in place of `old`. Raises RunError when another run has changed the index meanwhile."""
    found = read_catalog(store)
    if found is None or found.generation != old.generation:
        raise RunError(
            f"index {store.shown}: must not change while a run uses it, another run has changed it"
        )
    live = replace(new, generation=old.generation + 1)
    store.replace(CATALOG, live.to_json())
    return live


def _shown(settings: Mapping[str, Any], key: str) -> str:
    return json.dumps(settings[key]) if key in settings else "absent"
