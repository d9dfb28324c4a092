"""Lazy greedy facility location plus a bonus per row, on a sparse similarity graph, compiled.

Cells take turns: the one that has spent the least of its share picks the row with the largest
gain sum_i w_i (max_{j in S + row} sim_ij - max_{j in S} sim_ij) / scale + bonus_row, where S holds
what all cells have picked. A gain never grows, so only the row on top of a cell's heap is asked
again (Minoux 1978). With one cell any prefix is within 1 - 1/e of the best set of its size
(Nemhauser, Wolsey, Fisher 1978). k-center picks outliers and stochastic greedy is no better than
random; libraries take tens of times as long on the same graph (benchmarks/scale.py).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

VERSION = 2

Array = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

WORTH_COMPILING = 10_000  # rows; below, plain Python is done before the compiler is


def greedy_order(
    graph: csr_array,
    weight: Array,
    bonus: Array,
    starts: Rows,
    cost: Array,
    share: Array,
    node: Rows | None = None,
) -> Rows:
    """Return all row numbers in the order in which they are picked, (n,); ties by number.

    The coverage gain is scaled by the best single row's of its cell, so that it lies in [0, 1] as
    a bonus of that range does.

    Args:
        graph: (m, m) symmetric similarities in [0, 1] of nodes; a node covers itself fully.
        weight: (m,) how much each node wants to be covered, > 0.
        bonus: (n,) what picking a row is worth by itself.
        starts: (c + 1,) where the rows of each cell begin; last, n. The first cell picks first.
        cost: (n,) what a pick spends, >= 0.
        share: (c,) a cell's part of every budget, > 0.
        node: (n,) the node of each row; rows may share one. None: row i is node i.
    """
    n = len(bonus)
    if n == 0:
        return np.zeros(0, np.int64)
    node = np.arange(n) if node is None else node
    cell = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    alone = (graph @ weight + weight)[node]
    scale = np.maximum.reduceat(alone, starts[:-1])[cell]
    key = alone / scale + bonus
    heap = np.lexsort((np.arange(n), -key, cell))  # sorted, so it is a heap in every cell
    run = _compiled() if n >= WORTH_COMPILING else _take_turns(_sink)
    order = np.empty(n, np.int64)
    csr = graph.indptr, graph.indices, graph.data
    run(*csr, node, weight, bonus, scale, key, heap, starts, cost, share, order)
    return order


def by_coverage(graph: csr_array) -> Rows:
    """Return all row numbers by facility location alone, every row equal, (n,)."""
    n = graph.shape[0]
    ones = np.ones(n)
    return greedy_order(graph, ones, np.zeros(n), np.array([0, n]), ones, np.ones(1))


def coverage(graph: csr_array, picked: Rows) -> float:
    """Return the mean over all rows of the similarity to the nearest picked row, in [0, 1]."""
    nearest = np.zeros(graph.shape[0])
    np.maximum.at(nearest, graph[picked].indices, graph[picked].data)
    nearest[picked] = 1
    return float(nearest.mean())


@cache
def _compiled() -> Callable[..., None]:
    import numba

    return numba.njit(_take_turns(numba.njit(_sink)))  # type: ignore[no-any-return]


def _sink(heap: Rows, first: int, size: int, item: int, key: Array) -> None:
    """Put an item on top of the heap `heap[first : first + size]` and let it sink to its place.

    Larger keys come first, then smaller items. What was on top is gone.
    """
    place = 0
    while 2 * place + 1 < size:
        child = 2 * place + 1
        best = heap[first + child]
        if child + 1 < size:
            right = heap[first + child + 1]
            if key[right] > key[best] or (key[right] == key[best] and right < best):
                child, best = child + 1, right
        if key[item] > key[best] or (key[item] == key[best] and item < best):
            break
        heap[first + place] = best
        place = child
    heap[first + place] = item


def _take_turns(sink: Callable[..., None]) -> Callable[..., None]:
    """Return the loop around `sink`: both are compiled, or neither."""

    def run(
        indptr: npt.NDArray[Any],
        indices: npt.NDArray[Any],
        data: npt.NDArray[Any],
        node: Rows,
        weight: Array,
        bonus: Array,
        scale: Array,
        key: Array,
        heap: Rows,
        starts: Rows,
        cost: Array,
        share: Array,
        order: Rows,
    ) -> None:
        """Fill `order`; `key` and `heap` are used up."""
        left = starts[1:] - starts[:-1]
        unspent = np.zeros(len(left))  # minus what a cell has spent of its share
        cells = np.arange(len(left))  # a heap: all keys are equal
        num_cells = len(left)
        covered = np.zeros(len(weight))
        asked = np.zeros(len(key), np.int64)  # after how many picks a key was computed
        for done in range(len(key)):
            cell = cells[0]
            first = starts[cell]
            row = heap[first]
            while asked[row] != done:
                at = node[row]
                gain = (1.0 - covered[at]) * weight[at]
                for e in range(indptr[at], indptr[at + 1]):
                    if data[e] > covered[indices[e]]:
                        gain += (data[e] - covered[indices[e]]) * weight[indices[e]]
                key[row] = gain / scale[row] + bonus[row]
                asked[row] = done
                sink(heap, first, left[cell], row, key)
                row = heap[first]
            order[done] = row
            at = node[row]
            covered[at] = 1.0
            for e in range(indptr[at], indptr[at + 1]):
                if data[e] > covered[indices[e]]:
                    covered[indices[e]] = data[e]
            left[cell] -= 1
            if left[cell]:
                sink(heap, first, left[cell], heap[first + left[cell]], key)
                unspent[cell] -= cost[row] / share[cell]
            else:
                num_cells -= 1
                cell = cells[num_cells]
            if num_cells:
                sink(cells, 0, num_cells, cell, unspent)

    return run
