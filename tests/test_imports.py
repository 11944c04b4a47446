"""Imports go one way, and every package that is imported is declared."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# What everything rests on: each module may import those before it, and nothing else of pipeline.
FOUNDATION = (
    "pipeline",
    "pipeline.errors",
    "pipeline.config_load",
    "pipeline.config",
    "pipeline.schema",
    "pipeline.tables",
)
# What runs the stages and publishes what they found: no stage may import it.
TOP = {
    f"pipeline.{name}"
    for name in (
        "job",
        "stages",
        "revisit",
        "executor",
        "journal",
        "nights",
        "scratch",
        "summary",
        "manifest",
        "publish",
        "published",
        "index_stages",
        "index_job",
        "index_admin",
        "report_overview",
        "report_pages",
    )
}
# What looks at finished runs. It may use all of the pipeline, and nothing of the pipeline uses it.
AFTERWARDS = {
    f"pipeline.{name}" for name in ("labelled_pairs", "evaluate", "evaluation_files", "label", "calibrate")
}
# The flows hold no algorithm: this is all they may know of the pipeline.
FLOWS_MAY_USE = {
    "pipeline",
    "pipeline.config",
    "pipeline.errors",
    "pipeline.executor",
    "pipeline.explained",
    "pipeline.index_admin",
    "pipeline.index_check",
    "pipeline.index_job",
    "pipeline.index_rebuild",
    "pipeline.job",
    "pipeline.revisit",
    "pipeline.nights",
    "pipeline.summary",
    "pipeline.evaluate",
    "pipeline.evaluation_files",
    "pipeline.label",
    "pipeline.calibrate",
}
# Name of a package where it isn't that of its module.
DISTRIBUTIONS = {"sklearn": "scikit-learn", "xdist": "pytest-xdist", "yaml": "pyyaml"}


def modules(package: str) -> dict[str, Path]:
    """Dotted name and file of every module of a package."""
    found = {}
    for path in sorted((ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports_of(path: Path, known: set[str]) -> set[str]:
    """Modules that a file imports, inside functions too; `from a import b` is a.b where that is a module."""
    found = set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    # Under `if __name__ == "__main__":` a module is a command, not a module that others import.
    tree.body = [node for node in tree.body if not _is_main_guard(node)]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: relative import"
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= inner & known
            if inner - known:
                found.add(node.module)
    return found


def _is_main_guard(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and "__main__" in ast.unparse(node.test)


PIPELINE = modules("pipeline")
FLOWS = modules("flows")
KNOWN = set(PIPELINE) | set(FLOWS)
IMPORTS = {name: imports_of(path, KNOWN) for name, path in (PIPELINE | FLOWS).items()}


@pytest.mark.parametrize("name", PIPELINE)
def test_pipeline_imports_neither_prefect_nor_flows(name):
    packages = {module.split(".")[0] for module in IMPORTS[name]}
    assert not packages & {"prefect", "flows", "rich", "click"}


@pytest.mark.parametrize("name", FOUNDATION)
def test_the_foundation_is_in_order(name):
    allowed = set(FOUNDATION[: FOUNDATION.index(name)])
    assert IMPORTS[name] & KNOWN <= allowed


@pytest.mark.parametrize("name", sorted(set(PIPELINE) - TOP - AFTERWARDS))
def test_stages_do_not_import_what_runs_them(name):
    assert not IMPORTS[name] & TOP


@pytest.mark.parametrize("name", sorted(set(PIPELINE) - AFTERWARDS))
def test_no_part_of_a_run_imports_what_looks_at_finished_ones(name):
    assert not IMPORTS[name] & AFTERWARDS


def test_nobody_imports_the_job_in_pipeline_but_what_runs_its_stages_again():
    assert {name for name in PIPELINE if "pipeline.job" in IMPORTS[name]} <= {
        "pipeline.calibrate",
        "pipeline.index_job",
        "pipeline.revisit",
    }


@pytest.mark.parametrize("name", FLOWS)
def test_flows_use_the_job_and_no_stage(name):
    assert {module for module in IMPORTS[name] if module.split(".")[0] == "pipeline"} <= FLOWS_MAY_USE


def test_there_is_no_circle():
    graph = {name: found & KNOWN - {name} for name, found in IMPORTS.items()}
    assert set(TopologicalSorter(graph).static_order()) >= set(PIPELINE)  # raises CycleError


def test_the_command_line_starts_without_what_is_slow():
    top = set()
    for name in ("flows.cli", "flows.index_commands", "flows.one_line", "flows.options", "flows.scheduling"):
        tree = ast.parse(FLOWS[name].read_text(encoding="utf-8"))
        top |= {alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names}
        top |= {node.module for node in tree.body if isinstance(node, ast.ImportFrom)}
    third_party = {name for name in top if name.split(".")[0] not in sys.stdlib_module_names}
    assert third_party == {
        "click", "flows.index_commands", "flows.one_line", "flows.options", "flows.scheduling", "pipeline",
        "pipeline.errors",
    }  # fmt: skip


@pytest.mark.parametrize("folders", [("pipeline", "flows"), ("tests", "data")], ids="-".join)
def test_every_imported_package_is_declared(folders):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = list(project["dependencies"])
    if folders != ("pipeline", "flows"):
        declared += [line for lines in project["optional-dependencies"].values() for line in lines]
    names = {re.match(r"[\w-]+", line)[0].lower() for line in declared}
    ours = {path.stem for folder in folders for path in (ROOT / folder).glob("*.py")}
    ours |= {"pipeline", "flows", "benchmarks"}
    used = set()
    for folder in folders:
        for path in (ROOT / folder).rglob("*.py"):
            used |= {name.split(".")[0] for name in imports_of(path, KNOWN)}
    third_party = used - ours - set(sys.stdlib_module_names)
    assert {DISTRIBUTIONS.get(name, name) for name in third_party} <= names


def test_the_lock_holds_names_and_versions_only():
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    pinned = re.compile(r"^[a-z0-9-]+==[^\s;]+( ; [^/]+)?$")
    assert [line for line in lines if not pinned.match(line)] == []
    locked = {line.split("==")[0] for line in lines}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = project["dependencies"] + project["optional-dependencies"]["dev"]
    assert {re.match(r"[\w-]+", line)[0].lower() for line in declared} <= locked
