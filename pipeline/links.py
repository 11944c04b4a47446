"""The path of confirmed pairs that links two articles of a cluster."""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.explained import Link


def shortest_path(links: Iterable[Link], start: str, end: str) -> tuple[Link, ...]:
    """The fewest links from `start` to `end`; of equally many, those whose least probability is highest.

    Links go both ways. Empty when there is no path, or `start` is `end`. The way back has the same links.
    """
    # Ties go by id, so both ways are looked for from the smaller one.
    if start > end:
        return tuple(_turned(link) for link in reversed(shortest_path(links, end, start)))
    neighbours: dict[str, list[Link]] = {}
    for link in links:
        neighbours.setdefault(link.article_id_from, []).append(link)
        neighbours.setdefault(link.article_id_to, []).append(_turned(link))
    # Best last link to each article reached, and the least probability on the way there.
    reached: dict[str, tuple[float, Link | None]] = {start: (1.0, None)}
    layer = [start]
    while layer and end not in reached:
        found: dict[str, tuple[float, Link | None]] = {}
        for here in sorted(layer):
            for link in neighbours.get(here, ()):
                least = min(reached[here][0], link.probability)
                there = link.article_id_to
                if there not in reached and (there not in found or least > found[there][0]):
                    found[there] = (least, link)
        reached |= found
        layer = list(found)
    path: list[Link] = []
    last = reached.get(end, (0.0, None))[1]
    while last is not None:
        path.append(last)
        last = reached[last.article_id_from][1]
    return tuple(reversed(path))


def _turned(link: Link) -> Link:
    return Link(link.article_id_to, link.article_id_from, link.relation, link.probability)
