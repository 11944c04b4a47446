"""What works in other languages than English: copies, light rewrites, and another story that stays alone."""

from __future__ import annotations

import re

import made_up_news as news
import pytest
from other_languages import STORIES
from test_properties_end_to_end import Run, run_over


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> Run:
    """All languages in one collection: the report, a copy, a trimmed copy, the edited one, another event."""
    rows = []
    for language, (report, edited, other) in STORIES.items():
        sentences = re.split(r"(?<=[.。])\s*", report)
        rows += [
            news.row(f"{language}/report", report),
            news.row(f"{language}/copy", report.upper() if report.upper() != report else report + " "),
            news.row(f"{language}/trimmed", " ".join(sentences[:3])),
            news.row(f"{language}/edited", edited),
            news.row(f"{language}/other", other),
        ]
    return run_over(rows, tmp_path_factory.mktemp("languages"))


def relation(found: Run, language: str, one: str, two: str) -> str | None:
    pair = found.pairs().get(tuple(sorted((f"{language}/{one}", f"{language}/{two}"))))
    return pair and pair["relation"]


@pytest.mark.parametrize("language", STORIES)
def test_copies_are_found_whatever_the_case(language, found):
    assert relation(found, language, "copy", "report") == "exact"


@pytest.mark.parametrize("language", STORIES)
def test_trimmed_copies_are_found(language, found):
    assert relation(found, language, "report", "trimmed") in ("reprint", "excerpt")


@pytest.mark.parametrize("language", STORIES)
def test_light_rewrites_are_found(language, found):
    assert relation(found, language, "edited", "report") in ("respun", "reprint")


@pytest.mark.parametrize("language", STORIES)
def test_another_event_stays_alone(language, found):
    assert not [pair for pair in found.pairs() if f"{language}/other" in pair]


def test_no_pair_crosses_languages(found):
    assert all(one.split("/")[0] == two.split("/")[0] for one, two in found.pairs())
