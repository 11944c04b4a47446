"""The Markdown tables of benchmarks/side_by_side.py."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.contenders import BASELINE, JOB, SIGNING

if TYPE_CHECKING:
    from benchmarks.planted_truth import Found
    from benchmarks.side_by_side import Record

OWN = (SIGNING, JOB)


def print_tables(records: Sequence[Record]) -> None:
    """Print all tables; each figure of time is the median of the runs."""
    one_core = [record for record in records if record.n_cores == 1]
    print("\n### Signing, one core\n")
    print_signing(one_core)
    for n_cores in sorted({record.n_cores for record in records}):
        print(f"\n### Whole job, {n_cores} core{'s' if n_cores > 1 else ''}\n")
        print_jobs([record for record in records if record.n_cores == n_cores and record.name != SIGNING])
    print("\n### What was found\n")
    print_found(one_core)


def print_signing(records: Sequence[Record]) -> None:
    """From text in memory to an array of signatures, tokenising included."""
    runs = by_name([record for record in records if "signatures" in record.phases])
    rates = {
        name: median(r.n_articles / r.phases["signatures"] for r in several) for name, several in runs.items()
    }
    print_table(
        ("", "runs", "articles/s", f"x {BASELINE}", "x fastest peer"),
        [(name, str(len(runs[name])), f"{rate:,.0f}", *ratios(rate, rates)) for name, rate in ranked(rates)],
    )


def print_jobs(records: Sequence[Record]) -> None:
    """From the file of articles to clusters. Ratios compare articles/s without start-up."""
    runs = by_name(records)

    def middle(name: str, value: Callable[[Record], float]) -> float:
        return median(map(value, runs[name]))

    rates = {name: middle(name, lambda r: r.n_articles / r.job_seconds) for name in runs}
    print_table(
        ("", "confirms", "runs", "start-up s", "job s", "both s", "CPU s", "articles/s", "peak MB",
         f"x {BASELINE}", "x fastest peer"),
        [
            (
                name, runs[name][0].confirms, str(len(runs[name])),
                f"{middle(name, lambda r: r.start_up_seconds):.1f}",
                f"{middle(name, lambda r: r.job_seconds):.1f}",
                f"{middle(name, lambda r: r.start_up_seconds + r.job_seconds):.1f}",
                f"{middle(name, lambda r: r.cpu_seconds):.1f}",
                f"{rate:,.0f}", f"{middle(name, lambda r: r.peak_bytes / 1e6):,.0f}", *ratios(rate, rates),
            )
            for name, rate in ranked(rates)
        ],
    )  # fmt: skip


def print_found(records: Sequence[Record]) -> None:
    """Speed means little without it: recall of the planted pairs, from pairs and from clusters."""
    rows = []
    for name, several in by_name(records).items():
        for level, found in (("pairs", several[0].pairs), ("clusters", several[0].clusters)):
            if found is not None:
                rows.append((name, several[0].version, level, *found_cells(found)))
    print_table(
        ("", "version", "from", "pairs", "recall, Jaccard >= 0.7", "recall, planted", "recall, respin",
         "precision"),
        rows,
    )  # fmt: skip


def found_cells(found: Found) -> tuple[str, ...]:
    """The figures of one contender."""
    shares = (found.recall_near, found.recall_planted, found.recall_respin, found.precision)
    return (f"{found.n_pairs:,}", *(f"{share:.3f}" for share in shares))


def by_name(records: Sequence[Record]) -> dict[str, list[Record]]:
    """The runs of each contender."""
    runs: dict[str, list[Record]] = {}
    for record in records:
        runs.setdefault(record.name, []).append(record)
    return runs


def ranked(rates: dict[str, float]) -> list[tuple[str, float]]:
    """Fastest first."""
    return sorted(rates.items(), key=lambda item: -item[1])


def ratios(rate: float, rates: dict[str, float]) -> tuple[str, str]:
    """How many times the baseline's and the fastest peer's rate this is; "-" without one."""
    peers = [other for name, other in rates.items() if name not in OWN]
    return (
        f"{rate / rates[BASELINE]:.2f}" if BASELINE in rates else "-",
        f"{rate / max(peers):.2f}" if peers else "-",
    )


def print_table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """A Markdown table."""
    for cells in (header, ("---",) * len(header), *rows):
        print("| " + " | ".join(cells) + " |")
