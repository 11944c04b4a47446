"""One run at a time on an index, also from two machines, and none that a dead run holds forever.

Who wants the index announces itself with a file of its own, and only then looks at the others. Of two that
announce at the same time the later look sees both, so at most one goes on: this needs no lock and no
conditional write, only a store that lists what was written before, as file systems and S3 do. An
announcement counts as dead when its file has not been written anew for the seconds it says. Both times are
the store's, so clocks of machines don't matter.
"""

from __future__ import annotations

import json
import os
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

from pipeline.config import IndexConfig
from pipeline.errors import OutputError, RunError
from pipeline.index_store import Store

LEASES = "leases"
# How often one that waits looks again, in seconds; drawn anew each time, so that two don't go on meeting.
_PAUSE = (0.2, 1.0)


@dataclass(frozen=True)
class Holder:
    """Who holds an index; in its file."""

    run_id: str
    host: str
    pid: int
    lease_seconds: int

    def __str__(self) -> str:
        return f"run {self.run_id} on {self.host}, process {self.pid}"


class Lease:
    """An index held. `check` says whether it still is."""

    def __init__(self, store: Store, holder: Holder) -> None:
        self._store = store
        self._holder = holder
        self._name = f"{holder.run_id}-{os.urandom(4).hex()}.json"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)

    def announce(self) -> None:
        """Write, or write anew, the own file."""
        self._store.replace(f"{LEASES}/{self._name}", json.dumps(asdict(self._holder)).encode())

    def others(self) -> list[Holder]:
        """Who else has announced itself and lives. Files of the dead are removed. Call `announce` before."""
        times = self._store.times(LEASES)
        now = times.get(self._name, 0)
        living = []
        for name, written in sorted(times.items()):
            if name == self._name or not name.endswith(".json") or name.startswith("."):
                continue
            content = self._store.read(f"{LEASES}/{name}")
            if content is None:  # withdrawn meanwhile
                continue
            holder = _holder(content)
            if (now - written) / 1e9 > holder.lease_seconds or self._was_this_run(holder):
                self._store.delete(f"{LEASES}/{name}")
            else:
                living.append(holder)
        return living

    def _was_this_run(self, other: Holder) -> bool:
        """Whether it is what a process of this very run announced that has died: the run was resumed."""
        if (other.run_id, other.host) != (self._holder.run_id, self._holder.host):
            return False
        return not _lives(other.pid)

    def withdraw(self) -> None:
        """Remove the own file."""
        self._store.delete(f"{LEASES}/{self._name}")

    def check(self) -> None:
        """Raises RunError when another run has taken the index over: this one was silent for too long."""
        if self._name not in self._store.times(LEASES):
            raise RunError(
                f"index {self._store.shown}: must be held by this run, which was silent for more than "
                f"{self._holder.lease_seconds} s and lost it"
            )

    def start(self) -> None:
        """Renew from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Renew no more."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _renew(self) -> None:
        while not self._stop.wait(self._holder.lease_seconds / 4):
            try:
                if self._name not in self._store.times(LEASES):
                    return  # lost: `check` says so before anything is written
                self.announce()
            except OSError:
                continue  # the next time may do; for longer failures the lease runs out


def _holder(content: bytes) -> Holder:
    try:
        return Holder(**json.loads(content))
    except (ValueError, TypeError):
        return Holder("unknown", "unknown", 0, 0)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        pass
    return True


@contextmanager
def hold(store: Store, run_id: str, config: IndexConfig, tell: Callable[[str], None]) -> Iterator[Lease]:
    """Hold the index for the length of the block, waiting up to `wait_seconds` for another run.

    `tell` is told once who is waited for, and for how long, and once when it is over. Raises OutputError,
    naming the holder, when the index doesn't become free.
    """
    lease = Lease(store, Holder(run_id, socket.gethostname(), os.getpid(), config.lease_seconds))
    began = time.monotonic()
    deadline, is_told = began + config.wait_seconds, False
    try:
        while True:
            lease.announce()
            others = lease.others()
            if not others:
                break
            lease.withdraw()
            left = deadline - time.monotonic()
            if left <= 0:
                raise OutputError(
                    f"index {store.shown}: must be free, is held by {others[0]}, which counts as dead "
                    f"after {others[0].lease_seconds} s of silence (index.wait_seconds {config.wait_seconds})"
                )
            if not is_told:
                is_told = True
                tell(f"index {store.shown}: held by {others[0]}, waiting up to {config.wait_seconds} s")
            time.sleep(min(left, random.uniform(*_PAUSE)))
    except OSError as error:
        raise OutputError(f"index {store.shown}: must be a place that can be written: {error}") from None
    lease.start()
    try:
        if is_told:
            tell(f"index {store.shown}: held by this run, after {time.monotonic() - began:.0f} s")
        yield lease
    finally:
        lease.stop()
        lease.withdraw()
