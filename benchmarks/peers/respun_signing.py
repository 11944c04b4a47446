"""respun's signing phase alone, measured like a peer's: from Arrow text to the array of signatures."""

from __future__ import annotations

import pyarrow as pa
from peer_run import Run, arguments, read_table

from pipeline import __version__
from pipeline.config import load_config
from pipeline.signatures import sign_reprint

WARM_UP = 20


def main() -> None:
    """Run once."""
    args = arguments()
    config = load_config()
    texts = pa.concat_arrays(read_table(args)["text"].chunks)
    sign_reprint(texts.slice(0, WARM_UP), config)  # loads the compiled kernels: start-up, not signing
    run = Run(f"respun {__version__}", args)
    signatures = sign_reprint(texts, config)
    run.mark("signatures")
    run.finish(len(signatures))


if __name__ == "__main__":
    main()
