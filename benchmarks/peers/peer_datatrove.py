"""datatrove: MinhashDedupSignature, Buckets and Cluster, defaults (14 x 8, 5-grams), English tokeniser."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.dedup import MinhashDedupSignature
from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupBuckets, MinhashDedupCluster
from datatrove.pipeline.readers import ParquetReader
from datatrove.utils.hashing import HashConfig
from peer_run import Pair, Run, arguments, installed, read_table

N_TASKS = 2


def split_input(args: argparse.Namespace, folder: Path) -> tuple[int, int]:
    """Write the collection as one file a task. Returns the number of articles, and of those in a file."""
    table = read_table(args)
    step = -(-len(table) // N_TASKS)
    folder.mkdir(parents=True)
    for task in range(N_TASKS):
        pq.write_table(table.slice(task * step, step), folder / f"{task:03d}.parquet")
    return len(table), step


def main() -> None:
    """Run once."""
    args = arguments(buckets=14, rows=8)
    base = args.scratch / "datatrove"
    shutil.rmtree(base, ignore_errors=True)
    n_articles, step = split_input(args, base / "in")
    config = MinhashConfig(
        hash_config=HashConfig(precision=64), num_buckets=args.buckets, hashes_per_bucket=args.rows, n_grams=5
    )
    run = Run(installed("datatrove"), args)

    def execute(phase: str, pipeline: list[PipelineStep], n_tasks: int, n_workers: int) -> None:
        LocalPipelineExecutor(
            pipeline=pipeline,
            tasks=n_tasks,
            workers=n_workers,
            logging_dir=str(base / f"log-{phase}"),
            skip_completed=False,
        ).run()
        run.mark(phase)

    read = ParquetReader(str(base / "in"), text_key="text", id_key="id")
    signed, buckets, clusters = (str(base / name) for name in ("signatures", "buckets", "clusters"))
    execute(
        "signatures",
        [read, MinhashDedupSignature(output_folder=signed, config=config)],
        N_TASKS,
        args.procs,
    )
    execute(
        "buckets",
        [MinhashDedupBuckets(input_folder=signed, output_folder=buckets, config=config)],
        args.buckets,
        args.procs,
    )
    execute(
        "cluster",
        [
            MinhashDedupCluster(
                input_folder=buckets, output_folder=clusters, config=config, save_cluster_id=True
            )
        ],
        1,
        1,
    )
    # Its clusters are numbered from 0: an article without one gets a label that none of them has.
    labels = np.arange(n_articles, dtype=np.int64) + 2**32
    for file in Path(clusters).glob("*.clusters"):
        members = np.fromfile(file, "<u4").reshape(-1, 2)
        labels[int(file.name.partition(".")[0]) * step + members[:, 0]] = members[:, 1]
    pairs: list[Pair] = []
    for file in Path(buckets).glob("*.dups"):
        for file_a, row_a, file_b, row_b in np.fromfile(file, "<u4").reshape(-1, 4).tolist():
            pairs.append((file_a * step + row_a, file_b * step + row_b))
    run.finish(n_articles, pairs, labels)


if __name__ == "__main__":
    main()
