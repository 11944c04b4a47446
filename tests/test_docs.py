"""Commands, options, keys and columns are in the docs, and what the docs link to is there."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import click
import pytest

from flows import LIBRARY_DEFAULTS, PREFECT_DEFAULTS
from flows.cli import cli
from flows.timeout import TIMEOUT
from pipeline.config import Config
from pipeline.config_load import keys
from pipeline.measures import FEATURES
from pipeline.schema import TABLES

ROOT = Path(__file__).parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "data").rglob("*.md")),
]
DOCS = "\n".join(page.read_text(encoding="utf-8") for page in PAGES if page.is_file())
COMMANDS = {
    **cli.commands,
    **{
        f"{name} {inner}": command
        for name, group in cli.commands.items()
        if isinstance(group, click.Group)
        for inner, command in group.commands.items()
    },
}
OPTIONS = [
    (name, option)
    for name, command in COMMANDS.items()
    for parameter in command.params
    if isinstance(parameter, click.Option)
    for option in parameter.opts
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target, place in re.findall(r"\]\(([^)#\s]*)#?([^)\s]*)\)", page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        file = page.parent / target if target else page
        assert file.exists(), f"{page.name}: {target}"
        if place:
            assert place in places(file), f"{page.name}: {target}#{place}"


def places(page: Path) -> set[str]:
    """What links may name on a page: its headings in lower case, without punctuation, joined by hyphens."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_documented(name):
    assert f"respun {name}" in DOCS


@pytest.mark.parametrize(("name", "option"), OPTIONS)
def test_every_option_is_documented(name, option):
    assert f"respun {name}" in DOCS
    assert f"`{option}" in DOCS


@pytest.mark.parametrize("key", [*keys(Config)])
def test_every_key_is_documented(key):
    """configs/default.toml is the reference of keys; the docs point to it."""
    reference = (ROOT / "configs" / "default.toml").read_text(encoding="utf-8")
    *sections, name = key.split(".")
    values = tomllib.loads(reference)
    for section in sections:
        values = values[section]
    assert name in values
    assert "configs/default.toml" in DOCS


@pytest.mark.parametrize(("table", "column"), [(t, c) for t, schema in TABLES.items() for c in schema.names])
def test_every_column_is_documented(table, column):
    section = re.search(rf"^## {table}\.parquet$(.*?)(?=^## |\Z)", DOCS, re.MULTILINE | re.DOTALL)
    assert section, f"docs/tables.md has no section on {table}"
    assert f"| `{column}` |" in section[1]


@pytest.mark.parametrize(
    "name", [*PREFECT_DEFAULTS, *LIBRARY_DEFAULTS, TIMEOUT, "PREFECT_API_URL", "PREFECT_HOME", "NO_PROXY"]
)
def test_environment_variables_are_documented(name):
    assert f"`{name}" in (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", FEATURES)
def test_features_are_documented(name):
    assert f"`{name}`" in (ROOT / "docs" / "telling-why.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("code", [0, 1, 2, 130, 143])
def test_exit_codes_are_documented(code):
    assert f"| {code} |" in (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")


def test_make_targets_are_documented():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[1].split()
    words = " ".join(DOCS.split())
    assert [target for target in targets if f"make {target}" not in words] == []
