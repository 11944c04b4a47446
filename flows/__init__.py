"""The Prefect flows and the command line. They hold no algorithm: the stages are in `pipeline`.

Importing this package sets, for this process and where the user has not, what Prefect needs to run with
nothing configured, offline and without telemetry. Prefect reads its settings once, when it is imported, so
this has to come first. The same holds for two libraries underneath, which read their settings when they are
loaded:

- OpenBLAS under numpy and scipy: no stage multiplies matrices, and the threads that it would start with spin
  beside ours.
- mimalloc under pyarrow: it would hand freed memory back after 10 ms and fault it in anew for the next row
  group, which is a tenth of a night's time with an index of a million articles.
"""

from __future__ import annotations

import os
from collections.abc import MutableMapping

PREFECT_DEFAULTS = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    # A cold start of Prefect's temporary server takes about 20 s on a small machine: Prefect's own limit.
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    # The automation of flows/deployments.py takes a run for dead after four times as long.
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
}
LIBRARY_DEFAULTS = {"OPENBLAS_NUM_THREADS": "1", "MIMALLOC_PURGE_DELAY": "-1"}
LOOPBACK = ("127.0.0.1", "localhost")


def set_prefect_defaults(environ: MutableMapping[str, str]) -> None:
    """Add to `environ` what is missing; nothing that the user set is changed, only `NO_PROXY` is extended.

    A proxy that is asked for 127.0.0.1 keeps Prefect from its own temporary server.
    """
    for name, value in PREFECT_DEFAULTS.items():
        environ.setdefault(name, value)
    if any(name.lower() in {"http_proxy", "https_proxy", "all_proxy"} for name in environ):
        for name in ("NO_PROXY", "no_proxy"):
            hosts = [host.strip() for host in environ.get(name, "").split(",") if host.strip()]
            if "*" not in hosts:
                environ[name] = ",".join(hosts + [host for host in LOOPBACK if host not in hosts])


set_prefect_defaults(os.environ)
for name, value in LIBRARY_DEFAULTS.items():
    os.environ.setdefault(name, value)
