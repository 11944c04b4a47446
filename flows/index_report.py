"""What an index holds, and what was done to it, in lines."""

from __future__ import annotations

from pipeline.index_admin import Forgotten, IndexInfo
from pipeline.index_check import Checked
from pipeline.index_rebuild import Rebuilt


def info_lines(found: IndexInfo) -> list[str]:
    """An index in a few lines, and a line for each segment."""
    first, last = found.first_published, found.last_published
    times = [time.date().isoformat() if time else "unknown" for time in (first, last)]
    frozen = found.statistics
    counted = f"{frozen.version}, over {frozen.n_articles} articles with the prior" if frozen else "none yet"
    lines = [
        f"index: {found.location}, generation {found.generation}",
        f"articles: {found.n_articles}, published {times[0]} to {times[1]}, of {len(found.run_ids)} runs",
        f"clusters: {found.n_clusters} of two or more; {found.n_pairs} judged pairs",
        f"bytes: {found.n_bytes}, {found.bytes_per_article:.0f} an article in the segments",
        f"statistics: {counted}",
        f"segments: {len(found.segments)}",
    ]
    lines += [f"  {name}: {n} articles, {n_bytes} bytes" for name, n, n_bytes in found.segments]
    return lines + [f"events: {found.n_untold}, which the next run tells"] * (found.n_untold > 0)


def forgotten_lines(found: Forgotten) -> list[str]:
    """What was forgotten, in a line."""
    single = f", {found.n_single} of them single articles" * (found.n_single > 0)
    return [f"forgotten: {found.n_articles} articles; {found.n_clusters} clusters expired{single}"]


def checked_lines(found: Checked) -> list[str]:
    """A line for each file that is wrong, and one that sums up."""
    n_wrong = len(found.found)
    said = f"{n_wrong} of {found.n_files} files are missing or differ" if n_wrong else "as index.json says"
    return [*found.found, f"index {found.location}: {found.n_files} files, {found.n_bytes} bytes: {said}"]


def rebuilt_lines(found: Rebuilt) -> list[str]:
    """A rebuild in a line or two."""
    changes = ", ".join(f"{n} {event}" for event, n in found.n_events.items()) or "as they were"
    return [f"statistics: {found.version}, over {found.n_articles} articles", f"clusters: {changes}"]
