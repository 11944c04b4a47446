"""One run at a time on an index; a dead one holds it for as long as its lease says."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading

import pytest

from pipeline.config import IndexConfig
from pipeline.errors import OutputError, RunError
from pipeline.index_store import Store
from pipeline.lease import LEASES, hold

AT_ONCE = IndexConfig(lease_seconds=60, wait_seconds=0)


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(str(tmp_path / "index"))


def leases(store: Store) -> list[str]:
    return sorted(store.times(LEASES))


def abandon(store: Store, age_seconds: float, host: str = "elsewhere", pid: int = 1) -> None:
    """What a run that was killed leaves."""
    holder = {"run_id": "dead", "host": host, "pid": pid, "lease_seconds": 60}
    store.replace(f"{LEASES}/dead.json", json.dumps(holder).encode())
    path = f"{store.location}/{LEASES}/dead.json"
    then = os.stat(path).st_mtime - age_seconds
    os.utime(path, (then, then))


def test_a_second_run_is_refused_and_told_who_holds_it(store):
    with hold(store, "first", AT_ONCE, print):
        refused = pytest.raises(OutputError, match=r"held by run first on .*, process \d+")
        with refused, hold(store, "second", AT_ONCE, print):
            pytest.fail("two hold it")
    assert leases(store) == []


def test_it_is_free_again_after_an_error(store):
    with pytest.raises(ZeroDivisionError), hold(store, "first", AT_ONCE, print):
        raise ZeroDivisionError
    with hold(store, "second", AT_ONCE, print):
        pass


def test_a_run_that_waits_gets_it_when_the_other_ends(store):
    held, over = threading.Event(), threading.Event()

    def first() -> None:
        with hold(store, "first", AT_ONCE, print):
            held.set()
            over.wait()

    thread = threading.Thread(target=first)
    thread.start()
    held.wait()
    said: list[str] = []

    def tell(what: str) -> None:
        said.append(what)
        over.set()

    with hold(store, "second", IndexConfig(lease_seconds=60, wait_seconds=60), tell):
        assert over.is_set()
    thread.join()
    place = f"index {store.location}: held by"
    assert [line[: len(place)] for line in said] == [place] * 2
    assert said[0].startswith(f"{place} run first on {socket.gethostname()}, process {os.getpid()}")
    assert said[0].endswith(", waiting up to 60 s")
    assert said[1].startswith(f"{place} this run, after ")


def test_of_what_is_free_or_refused_at_once_nothing_is_said(store):
    said: list[str] = []
    with hold(store, "first", AT_ONCE, said.append):
        refused = pytest.raises(OutputError, match="held by run first")
        with refused, hold(store, "second", AT_ONCE, said.append):
            pytest.fail("two hold it")
    assert said == []


def test_a_dead_run_is_waited_for_no_longer_than_its_lease(store):
    abandon(store, age_seconds=59)
    refused = pytest.raises(OutputError, match="held by run dead on elsewhere")
    with refused, hold(store, "next", AT_ONCE, print):
        pytest.fail("taken over too soon")
    abandon(store, age_seconds=62)
    with hold(store, "next", AT_ONCE, print):
        assert len(leases(store)) == 1


@pytest.fixture
def dead_process() -> int:
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_a_run_that_goes_on_from_its_death_does_not_wait_for_itself(store, dead_process):
    abandon(store, age_seconds=0, host=socket.gethostname(), pid=dead_process)
    with hold(store, "dead", AT_ONCE, print):
        assert len(leases(store)) == 1


@pytest.mark.parametrize(("run", "host", "lives"), [
    ("dead", "elsewhere", False), ("next", "here", False), ("dead", "here", True),
])  # fmt: skip
def test_what_may_live_is_waited_for(store, dead_process, run, host, lives):
    """Processes of another machine can't be seen, and what another run holds is not this one's to judge."""
    host = socket.gethostname() if host == "here" else host
    abandon(store, age_seconds=0, host=host, pid=os.getpid() if lives else dead_process)
    with pytest.raises(OutputError, match="held by run dead"), hold(store, run, AT_ONCE, print):
        pytest.fail("taken over too soon")


def test_a_file_that_is_no_lease_holds_nothing_for_long(store):
    store.replace(f"{LEASES}/broken.json", b"{")
    os.utime(f"{store.location}/{LEASES}/broken.json", (0, 0))
    with hold(store, "next", AT_ONCE, print):
        pass


def test_who_was_taken_over_is_told_so(store):
    with hold(store, "first", AT_ONCE, print) as lease:
        lease.check()
        for name in leases(store):
            store.delete(f"{LEASES}/{name}")
        with pytest.raises(RunError, match="silent for more than 60 s and lost it"):
            lease.check()


def test_a_lease_is_renewed(store):
    with hold(store, "first", IndexConfig(lease_seconds=2), print):
        (name,) = leases(store)
        path = f"{store.location}/{LEASES}/{name}"
        os.utime(path, (0, 0))
        renewed = threading.Event()
        for _ in range(600):
            if os.stat(path).st_mtime > 0:
                renewed.set()
                break
            renewed.wait(0.1)
        assert renewed.is_set()


def test_of_many_at_once_one_holds_it_at_a_time(store):
    """Every one gets its turn, and none while another has it."""
    inside: list[str] = []
    overlaps: list[list[str]] = []

    def work(name: str) -> None:
        with hold(store, name, IndexConfig(lease_seconds=60, wait_seconds=300), print):
            inside.append(name)
            if len(inside) > 1:
                overlaps.append(list(inside))
            inside.remove(name)

    threads = [threading.Thread(target=work, args=(f"run-{i}",)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert overlaps == []
    assert leases(store) == []


def test_a_place_that_cannot_be_written_is_an_error_of_one_line(tmp_path):
    (tmp_path / "index").write_text("a file")
    store = Store(str(tmp_path / "index"))
    refused = pytest.raises(OutputError, match="must be a place that can be written")
    with refused, hold(store, "x", AT_ONCE, print):
        pytest.fail("held")
