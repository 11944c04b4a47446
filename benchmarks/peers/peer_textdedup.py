"""text-dedup 0.4.1: its own command `python -m text_dedup.minhash`, candidate pairs verified."""

from __future__ import annotations

import pickle
import re
import shutil
import subprocess
import sys
from os import environ

import numpy as np
import pyarrow.parquet as pq
from peer_run import Run, arguments, installed, read_table

CONFIG = """
[input]
input_type = "local_files"
file_type = "parquet"
[input.read_arguments]
path = "parquet"
data_files = "{corpus}"
split = "train"
cache_dir = "{base}/cache"
[algorithm]
algorithm_name = "minhash"
text_column = "text"
seed = 42
batch_size = 10000
num_proc = {procs}
num_perm = 128
threshold = {threshold}
hash_bits = 64
ngram_size = 5
check_false_positive = true
[output]
output_dir = "{base}/out"
save_clusters = true
skip_filtering = true
[debug]
enable_profiling = false
"""


def main() -> None:
    """Run once. The command's own start-up counts: it can't be told apart from outside."""
    args = arguments(threshold=0.7)
    base = (args.scratch / "textdedup").absolute()
    shutil.rmtree(base, ignore_errors=True)
    base.mkdir(parents=True)
    table = read_table(args)
    corpus = base / "corpus.parquet"
    pq.write_table(table, corpus)
    settings = CONFIG.format(corpus=corpus, base=base, procs=args.procs, threshold=args.threshold)
    (base / "config.toml").write_text(settings, encoding="utf-8")
    run = Run(installed("text-dedup"), args)
    done = subprocess.run(
        [sys.executable, "-m", "text_dedup.minhash"],
        cwd=base,
        capture_output=True,
        text=True,
        check=True,
        env={**environ, "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(base / "hf")},
    )
    run.mark("command")
    for phase, seconds in re.findall(
        r"(Preprocessing|MinHashing|Clustering|Verifying|Saving): ([\d.]+) ?s", done.stdout + done.stderr
    ):
        run.phases["signatures" if phase == "MinHashing" else phase.lower()] = float(seconds)
    labels = np.arange(len(table))
    with (base / "out" / "clusters.pickle").open("rb") as file:
        for article, cluster in pickle.load(file).items():
            labels[article] = cluster
    run.finish(len(table), labels=labels)


if __name__ == "__main__":
    main()
