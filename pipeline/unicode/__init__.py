"""Per-code-point tables behind the tokeniser (see `build.py`)."""
