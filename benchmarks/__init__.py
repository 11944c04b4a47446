"""Speed and quality, measured: see docs/benchmarks.md."""
