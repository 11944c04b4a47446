"""Nights and ad hoc runs on a real Prefect server, with a real worker that is really killed."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from command_line import ROOT, SAMPLE
from indexes import clusters, reader
from prefect.cli.deploy._models import DeploymentConfig, PrefectYamlModel, RawScheduleConfig, WorkPoolConfig
from prefect.client.schemas.objects import ConcurrencyLimitConfig
from prefect.client.schemas.schedules import CronSchedule
from prefect_server import ADHOC, NIGHTLY, RefusedError, manifests, wait_for

from flows.deployments import read_deployments
from pipeline.config import load_config

RAW = yaml.safe_load((ROOT / "prefect.yaml").read_text(encoding="utf-8"))
NIGHTS = ("2026-11-20", "2026-11-21", "2026-11-22")

# prefect.yaml, without a server: Prefect ignores keys that it doesn't know, in silence.


def test_the_file_has_only_keys_that_prefect_knows():
    PrefectYamlModel.model_validate(RAW)
    known = {field.alias or name for name, field in PrefectYamlModel.model_fields.items()}
    assert set(RAW) <= known | {"definitions"}
    assert read_deployments() == RAW


@pytest.mark.parametrize("entry", RAW["deployments"], ids=lambda entry: entry["name"])
def test_deployments_are_what_prefect_takes_them_for(entry):
    assert set(entry) <= set(DeploymentConfig.model_fields)
    assert set(entry["work_pool"]) <= set(WorkPoolConfig.model_fields)
    assert set(entry["concurrency_limit"]) <= set(ConcurrencyLimitConfig.model_fields)
    ConcurrencyLimitConfig.model_validate(entry["concurrency_limit"])
    for schedule in entry["schedules"]:
        RawScheduleConfig.model_validate(schedule)
        CronSchedule(cron=schedule["cron"], timezone=schedule["timezone"])
    module, name = entry["entrypoint"].split(":")
    flow = getattr(importlib.import_module(module.removesuffix(".py").replace("/", ".")), name)
    required = {"inputs": ["x"]} if name == "cluster_articles" else {}
    flow.validate_parameters(entry["parameters"] | required)
    assert set(entry["parameters"]) <= set(flow.parameters.properties)


def test_ad_hoc_runs_have_the_preset():
    [adhoc] = (entry for entry in RAW["deployments"] if entry["name"] == "adhoc")
    preset = load_config("adhoc").model_dump()
    assert load_config().model_validate(adhoc["parameters"]["config"]).model_dump() == preset


def test_night_and_schedule_agree_on_midnight():
    [nightly] = (entry for entry in RAW["deployments"] if entry["name"] == "nightly")
    assert [s["timezone"] for s in nightly["schedules"]] == [nightly["parameters"]["timezone"]]


# On a server. Its tests build on each other, in their order.


@pytest.fixture(scope="module")
def output(server) -> Path:
    """Where the nights are published, of a crawl of three."""
    table = pq.read_table(SAMPLE)
    for number, night in enumerate(NIGHTS):
        (server.crawl / night).mkdir(parents=True)
        # Every third article, so that clusters grow from night to night.
        pq.write_table(
            table.take(list(range(number, len(table), 3))), server.crawl / night / "articles.parquet"
        )
    return server.output


@pytest.fixture(scope="module")
def index(server, tmp_path_factory) -> Iterator[Path]:
    """The index that the nights join, by its variable."""
    folder = tmp_path_factory.mktemp("past") / "index"
    server.ask("/variables/", {"name": "respun_index", "value": str(folder)})
    yield folder
    server.ask("/variables/name/respun_index", method="DELETE")


def test_the_schedule_makes_runs(server):
    found = server.ask(f"/deployments/name/{NIGHTLY}")
    assert [s["schedule"]["cron"] for s in found["schedules"]] == [RAW["definitions"]["cron"]]
    scheduled = {
        "deployments": {"id": {"any_": [found["id"]]}},
        "flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}},
    }
    wait_for(lambda: server.ask("/flow_runs/filter", scheduled) or None)


def test_the_form_has_the_keys_of_the_configuration(server):
    schema = server.ask(f"/deployments/name/{ADHOC}")["parameter_openapi_schema"]
    assert {"inputs", "output", "config", "index", "resume", "keep_work"} == set(schema["properties"])
    threshold = schema["definitions"]["Config"]["properties"]["threshold"]
    assert (threshold["minimum"], threshold["maximum"]) == (0.0, 1.0)
    assert threshold["description"]


@pytest.mark.parametrize("parameters", [
    {"inputs": []}, {"inputs": ["x"], "config": {"threshold": 2}},
    {"inputs": ["x"], "config": {"nothing": 1}},
])  # fmt: skip
def test_what_breaks_a_rule_makes_no_run(server, parameters):
    with pytest.raises(RefusedError, match=r"^4(09|22): "):
        server.trigger(ADHOC, **parameters)


def test_installing_the_automation_again_leaves_one(server):
    assert "renewed" in server.command("respun", "automations")
    assert len(server.ask("/automations/filter", {})) == 1


def test_three_nights(server, worker, output, index):
    """The second is missed and caught up with; the third is triggered twice, by a late run say."""
    assert server.finish(server.trigger(NIGHTLY, night=NIGHTS[0])) == "Completed"
    twice = [server.trigger(NIGHTLY, night=NIGHTS[2]) for _ in range(2)]
    ends = [server.finish(run) for run in twice]
    assert set(ends) <= {"Completed", "Cancelled"}, [server.logs(run) for run in twice]
    assert "Completed" in ends
    assert server.finish(server.trigger(NIGHTLY, night=NIGHTS[1])) == "Completed"
    assert [m["night"] for m in manifests(output)] == list(NIGHTS)
    assert {
        k: v["state"] for k, v in json.loads((output / "nights.json").read_text()).items()
    } == dict.fromkeys(NIGHTS, "finished")
    assert json.loads((output / "latest.json").read_text())["run_id"] == manifests(output)[-1]["run_id"]
    held = reader(index)
    assert [s.run_ids for s in held.segments] == [(m["run_id"],) for m in manifests(output)]
    assert held.n_articles == sum(m["counts"]["n_accepted"] for m in manifests(output)) == 177


def test_the_nights_tell_what_became_of_each_cluster(output, index):
    """What their events add up to are the clusters of the index."""
    sizes: dict[str, int] = {}
    told: set[str] = set()
    for manifest in manifests(output):
        folder = output / "runs" / manifest["run_id"]
        before = dict(sizes)  # of several events of a night and a cluster each has it
        shown = {row["cluster_id"] for row in pq.read_table(folder / "cluster_members.parquet").to_pylist()}
        for event in pq.read_table(folder / "cluster_events.parquet").to_pylist():
            assert event["run_id"] == manifest["run_id"]
            told.add(event["event"])
            if event["event"] == "merged":
                sizes.pop(event["other_id"], None)
            # An article alone is a cluster that nobody tells of until it grows.
            known = before.get(event["cluster_id"], min(event["n_before"], 1))
            assert event["n_before"] == known
            sizes[event["cluster_id"]] = event["n_after"]
            assert event["cluster_id"] in shown
    found = {f"{number:016x}": len(ids) for number, ids in clusters(index).items()}
    assert told == {"created", "grew", "merged", "split"}
    assert sizes == {cluster: n for cluster, n in found.items() if n > 1}


def test_a_night_leaves_artifacts_with_the_numbers_of_its_tables(server, worker, output):
    run = server.trigger(NIGHTLY, night=NIGHTS[2], again=True)
    assert server.finish(run) == "Completed"
    found = {artifact["key"]: artifact for artifact in server.artifacts(run)}
    assert set(found) == {"respun-progress", "respun-summary", "respun-clusters", "respun-report"}
    assert json.loads(json.dumps(found["respun-progress"]["data"])) == 100.0
    newest = manifests(output)[-1]
    page = output / "runs" / newest["run_id"] / "report.html"
    assert page.is_file()
    assert f"({page.absolute().as_uri()})" in found["respun-report"]["data"]
    assert f"{newest['counts']['n_accepted']:,} articles" in found["respun-summary"]["data"]
    assert f"{newest['counts']['n_confirmed_pairs']:,} confirmed pairs" in found["respun-summary"]["data"]
    table = pq.read_table(output / "runs" / newest["run_id"] / "clusters.parquet").to_pylist()
    shown = json.loads(found["respun-clusters"]["data"])
    assert {row["cluster_id"] for row in shown} <= {row["cluster_id"] for row in table}
    largest = [row["articles"] for row in shown if row["why"] == "largest"]
    assert largest == sorted((row["n_articles"] for row in table), reverse=True)[: len(largest)]
    wait_for(lambda: "prefect.flow-run.Completed" in server.events(run) or None)


def test_a_failed_night_is_told(server, worker):
    run = server.trigger(NIGHTLY, night="2026-11-23")
    assert server.finish(run) == "Failed"
    wait_for(lambda: "What was published before is still current" in server.logs(run) or None)
