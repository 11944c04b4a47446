"""Command lines of prefect and respun, one after the other in one process: to import Prefect takes seconds.

The argument is a JSON list of command lines, each a list of words. Ends with the first that fails.
"""

import json
import sys

from prefect.cli import app

from flows.cli import cli

for line in json.loads(sys.argv[1]):
    sys.argv = line
    try:
        {"prefect": app, "respun": cli}[line[0]]()
    except SystemExit as ended:
        if ended.code:
            raise
