"""How long a flow may take. Read before Prefect is imported, which takes seconds."""

from __future__ import annotations

import math
from collections.abc import Mapping

from pipeline.errors import ConfigError

TIMEOUT = "RESPUN_TIMEOUT_SECONDS"


def timeout_seconds(environ: Mapping[str, str]) -> float:
    """How long a run may take: for those that hang. Without the variable half a day; 0 is for ever.

    Raises ConfigError when the variable is no number of seconds.
    """
    given = environ.get(TIMEOUT, str(12 * 3600))
    try:
        seconds = float(given)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise ConfigError(f"{TIMEOUT}: must be a number of seconds, 0 for no limit, not {given!r}")
    return seconds
