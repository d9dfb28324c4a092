"""Lazy greedy facility location plus a bonus per row, on a sparse similarity graph, compiled.

Picks j maximise sum_i w_i max_{j in S} sim_ij / scale + sum_{j in S} bonus_j, one after the other;
a gain never grows, so only the row on top of a heap is asked again (Minoux 1978). Any prefix is
within 1 - 1/e of the best set of its size (Nemhauser, Wolsey, Fisher 1978). k-center picks outliers
and stochastic greedy is no better than random; libraries take tens of times as long on the same
graph (benchmarks/scale.py).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

VERSION = 1

Array = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

WORTH_COMPILING = 10_000  # rows; below, plain Python is done before the compiler is


def greedy_order(graph: csr_array, weight: Array, bonus: Array, starts: Rows) -> Rows:
    """Return all row numbers in greedy order, (n,), block after block; ties by row number.

    Blocks do not see each other: the graph has no edge between them. The coverage gain of a block
    is scaled by its best single row's, so that it lies in [0, 1] as a bonus of that range does.

    Args:
        graph: (n, n) symmetric similarities in [0, 1]; a row covers itself fully.
        weight: (n,) how much each row wants to be covered, > 0.
        bonus: (n,) what picking a row is worth by itself.
        starts: (b + 1,) where each block of rows begins; last, n.
    """
    n = graph.shape[0]
    if n == 0:
        return np.zeros(0, np.int64)
    block = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    alone = graph @ weight + weight
    scale = np.maximum.reduceat(alone, starts[:-1])[block]
    key = alone / scale + bonus
    heap = np.lexsort((np.arange(n), -key, block))  # sorted, so it is a heap in every block
    run = _compiled() if n >= WORTH_COMPILING else _lazy_greedy
    order = np.empty(n, np.int64)
    run(graph.indptr, graph.indices, graph.data, weight, bonus, scale, key, heap, starts, order)
    return order


def coverage(graph: csr_array, picked: Rows) -> float:
    """Return the mean over all rows of the similarity to the nearest picked row, in [0, 1]."""
    nearest = np.zeros(graph.shape[0])
    np.maximum.at(nearest, graph[picked].indices, graph[picked].data)
    nearest[picked] = 1
    return float(nearest.mean())


@cache
def _compiled() -> Callable[..., None]:
    import numba

    return numba.njit(_lazy_greedy)  # type: ignore[no-any-return]


def _lazy_greedy(
    indptr: npt.NDArray[Any],
    indices: npt.NDArray[Any],
    data: npt.NDArray[Any],
    weight: Array,
    bonus: Array,
    scale: Array,
    key: Array,
    heap: Rows,
    starts: Rows,
    order: Rows,
) -> None:
    """Fill `order`; plain loops, because it is compiled. `key` and `heap` are used up."""
    covered = np.zeros(len(key))
    asked = np.zeros(len(key), np.int64)  # after how many picks of its block a key was computed
    for b in range(len(starts) - 1):
        first, size = starts[b], starts[b + 1] - starts[b]
        picked = 0
        while size > 0:
            row = heap[first]
            if asked[row] == picked:
                order[first + picked] = row
                picked += 1
                for e in range(indptr[row], indptr[row + 1]):
                    if data[e] > covered[indices[e]]:
                        covered[indices[e]] = data[e]
                covered[row] = 1.0
                size -= 1
                row = heap[first + size]
            else:
                gain = (1.0 - covered[row]) * weight[row]
                for e in range(indptr[row], indptr[row + 1]):
                    if data[e] > covered[indices[e]]:
                        gain += (data[e] - covered[indices[e]]) * weight[indices[e]]
                key[row] = gain / scale[row] + bonus[row]
                asked[row] = picked
            place = 0  # the row sinks from the top to where no child is better
            while 2 * place + 1 < size:
                child = 2 * place + 1
                left = heap[first + child]
                if child + 1 < size:
                    right = heap[first + child + 1]
                    if key[right] > key[left] or (key[right] == key[left] and right < left):
                        child, left = child + 1, right
                if key[row] > key[left] or (key[row] == key[left] and row < left):
                    break
                heap[first + place] = left
                place = child
            heap[first + place] = row
