"""An index in an object store: a real S3 server on loopback."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import made_up_news as news
import pytest
from indexes import clusters, pairs, run_night
from moto.server import ThreadedMotoServer
from pyarrow import fs
from stages import config

from pipeline import index_admin, index_check
from pipeline.errors import OutputError, RespunError
from pipeline.index_catalog import require_catalog
from pipeline.index_store import Store
from pipeline.lease import LEASES, hold

SETTINGS = config()
ROWS = news.stories(21, 16)


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """The address of a bucket, and what comes behind it: where the server is."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (
            ("ACCESS_KEY_ID", "none"),
            ("SECRET_ACCESS_KEY", "none"),
            ("EC2_METADATA_DISABLED", "true"),
        ):
            patch.setenv(f"AWS_{name}", value)
        end = f"?endpoint_override=127.0.0.1:{port}&scheme=http&region=us-east-1&allow_bucket_creation=true"
        files, _ = fs.FileSystem.from_uri(f"s3://bucket/x{end}")
        files.create_dir("bucket")
        yield end
    server.stop()


def test_nights_in_a_store_are_those_in_a_folder(bucket, tmp_path):
    far, near = f"s3://bucket/respun/index{bucket}", tmp_path / "index"
    for night in (ROWS[::2], ROWS[1::2]):
        tables = [
            run_night(night, tmp_path / name, at, SETTINGS) for name, at in (("far", far), ("near", near))
        ]
        for table in ("cluster_members", "confirmed_pairs", "clusters"):
            assert tables[0].rows(table) == tables[1].rows(table)
        assert tables[0].events() == tables[1].events()
    assert clusters(far) == clusters(near)
    assert pairs(far) == pairs(near)
    assert len(index_admin.compact(far, SETTINGS, print).segments) == 1
    assert clusters(far) == clusters(near)
    store = Store(far)
    assert len(store.folders("segments")) == 1
    assert run_night(ROWS, tmp_path / "far", far, SETTINGS).manifest()["counts"]["n_recognised"] == len(ROWS)


def test_files_in_a_store_are_compared_with_what_was_written(bucket, tmp_path):
    far = f"s3://bucket/checked{bucket}"
    run_night(ROWS[::2], tmp_path, far, SETTINGS)
    assert index_check.check(far).found == ()
    store = Store(far)
    files = require_catalog(store).segments[0].files
    store.replace(files["keys"].path, (store.read(files["keys"].path) or b"")[:-1] + b"?")
    store.delete(files["pairs"].path)
    found = index_check.check(far).found
    assert [line.split(":")[0] for line in found] == [files["keys"].path, files["pairs"].path]
    assert found[1].endswith("is missing")


def test_one_run_at_a_time(bucket):
    store = Store(f"s3://bucket/held{bucket}")
    with hold(store, "first", SETTINGS.index, print):
        refused = pytest.raises(OutputError, match="held by run first")
        with refused, hold(store, "second", SETTINGS.index, print):
            pytest.fail("two hold it")
    assert store.times(LEASES) == {}


def test_a_copy_of_a_folder_is_an_index(bucket, tmp_path):
    """Backup and restore."""
    run_night(ROWS[::2], tmp_path, tmp_path / "index", SETTINGS)
    far = Store(f"s3://bucket/copy{bucket}")
    for path in sorted(p for p in (tmp_path / "index").rglob("*") if p.is_file()):
        far.put(str(path), path.relative_to(tmp_path / "index").as_posix())
    shutil.rmtree(tmp_path / "index")
    assert run_night(ROWS, tmp_path, far.location, SETTINGS).manifest()["counts"]["n_recognised"] == len(
        ROWS[::2]
    )


def test_a_bucket_that_is_not_there_is_an_error_of_one_line(bucket, tmp_path: Path):
    with pytest.raises(RespunError, match="index s3://nowhere") as refused:
        run_night(ROWS, tmp_path, f"s3://nowhere/index{bucket.replace('true', 'false')}", SETTINGS)
    assert "\n" not in str(refused.value)
