"""`respun serve` on a real Prefect server, without a work pool.

By its name the last file that uses the server: the deployments of the work pool are gone afterwards.
"""

from __future__ import annotations

from command_line import SAMPLE
from prefect_server import ADHOC, NIGHTLY, RefusedError, manifests, wait_for


def test_serve_does_without_a_work_pool(server):
    def served() -> bool | None:
        try:
            return server.ask(f"/deployments/name/{ADHOC}")["work_pool_name"] is None or None
        except RefusedError:
            return None

    for name in (ADHOC, NIGHTLY):
        found = server.ask(f"/deployments/name/{name}")
        server.ask(f"/deployments/{found['id']}", method="DELETE")
    with server.running("respun", "serve") as process:
        wait_for(served)
        run = server.trigger(ADHOC, inputs=[str(SAMPLE)])
        assert server.finish(run) == "Completed"
        assert process.poll() is None
    assert "respun-summary" in {artifact["key"] for artifact in server.artifacts(run)}
    assert manifests(server.output)[-1]["night"] is None
