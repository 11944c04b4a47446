"""Links that hold two parts of a graph together alone."""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt

from pipeline.arrays import READ_I64

_BOOLS = nb.boolean[::1]


@nb.njit(_BOOLS(nb.int64, READ_I64, READ_I64), cache=True, nogil=True)
def _bridges(n, left, right):  # type: ignore[no-untyped-def]
    m = len(left)
    ends = np.zeros(n + 1, np.int64)
    for k in range(m):
        ends[left[k] + 1] += 1
        ends[right[k] + 1] += 1
    for node in range(n):
        ends[node + 1] += ends[node]
    links, free = np.empty(2 * m, np.int64), ends[:-1].copy()
    for k in range(m):
        for node in (left[k], right[k]):
            links[free[node]] = k
            free[node] += 1
    found = np.zeros(m, np.bool_)
    order, low = np.full(n, -1), np.empty(n, np.int64)
    at, via, stack = ends[:-1].copy(), np.full(n, -1), np.empty(n, np.int64)
    clock = 0
    for root in range(n):
        if order[root] >= 0:
            continue
        order[root] = low[root] = clock
        clock += 1
        stack[0], depth = root, 1
        while depth:
            node = stack[depth - 1]
            if at[node] < ends[node + 1]:
                k = links[at[node]]
                at[node] += 1
                if k == via[node]:
                    continue
                other = left[k] + right[k] - node
                if order[other] >= 0:
                    low[node] = min(low[node], order[other])
                else:
                    order[other] = low[other] = clock
                    clock += 1
                    via[other] = k
                    stack[depth] = other
                    depth += 1
                continue
            depth -= 1
            if depth:
                parent = stack[depth - 1]
                low[parent] = min(low[parent], low[node])
                found[via[node]] = low[node] > order[parent]
    return found


def bridges(n: int, left: npt.NDArray[np.int64], right: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
    """Which links of a graph of `n` nodes are bridges: without one, its two ends are apart. bool (n_links,).

    `left`, `right` int64 (n_links,): nodes, 0 <= node < n; a link is there once, and none goes from a node to
    itself. Depth-first numbering (Tarjan 1974, "A note on finding the bridges of a graph").
    """
    return np.asarray(_bridges(n, left, right))
