"""Where a run stands between its stages: all Refs and small numbers."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.array_files import ArrayFiles
from pipeline.articles import ArticlesResult
from pipeline.candidates import BandPairs
from pipeline.index_recall import Plan, Recalled
from pipeline.index_recognise import Recognised
from pipeline.shards import ShardGroup
from pipeline.signatures import Signatures, Signed
from pipeline.tables import Ref


@dataclass(frozen=True)
class Counted:
    """Where the run stands when the terms are counted; a bag, and tokens, for each group."""

    groups: tuple[ShardGroup, ...]
    tokens: tuple[Ref, ...]
    furniture: Ref
    bags: tuple[ArrayFiles, ...]
    statistics: Ref


@dataclass(frozen=True)
class Weighed(Counted):
    """Where the run stands when every article is signed and its terms are weighed.

    `texts` is the table of that name, `scanned` (`sections.SCANNED`) a file for each group. `recognised` with
    an index only, and `old_places`, of its articles, where there are any to compare with.
    """

    accepted: ArticlesResult
    texts: Ref
    scanned: tuple[Ref, ...]
    signed: tuple[Signatures, ...]
    recognised: Recognised | None
    old_places: tuple[Ref, ...]


@dataclass(frozen=True)
class Staged(Weighed):
    """Where the run stands when the candidate pairs are known.

    With an index, `planned` and `recalled` are the old articles that have one; without, None and none.
    """

    bands: tuple[BandPairs, ...]
    pairs: Ref
    planned: Plan | None
    recalled: tuple[Recalled, ...]

    @property
    def all_signed(self) -> tuple[Signed, ...]:
        """New articles, then the recalled ones."""
        return (*(one.signed for one in self.signed), *(one.signed for one in self.recalled))
