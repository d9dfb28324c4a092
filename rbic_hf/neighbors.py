"""The nearest other rows of each row: exact where it is affordable, in partitions above that.

All pairs cost n^2 d and parallel products are fast, so nothing beats them on small pools and on
a GPU. On a CPU, above `EXACT_ROWS` (where a recall of 1 stops being worth the seconds it takes;
benchmarks/scale.py), rows are compared with the partitions that a recall of .97 needs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rbic_hf import partitions

if TYPE_CHECKING:
    import torch

VERSION = 1

Ints = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float32]

EXACT_ROWS = 20_000
BLOCK = 4096  # rows against as many columns on a GPU: 64 MB of products


@dataclass(frozen=True)
class Neighbors:
    """The nearest other rows of each row.

    Attributes:
        indices: (n, k) row numbers, nearest first, ties by row number, k < n. Where more rows are
            equally near than fit, which of them are named is fixed but not defined.
        similarities: (n, k) cosines in [-1, 1].
        recall: share of the k true neighbours that were found, measured on a sample.
        is_exact: whether all pairs were compared.
    """

    indices: Ints
    similarities: Floats
    recall: float = 1.0
    is_exact: bool = True


def nearest(
    vectors: Floats, num_neighbors: int, *, seed: int = 0, device: str = "cpu"
) -> Neighbors:
    """Return the `num_neighbors` nearest other rows of each row of unit vectors (n, d).

    Args:
        vectors: (n, d), L2-normalised.
        num_neighbors: k; fewer where there are fewer other rows.
        seed: draws the partitions and the sample.
        device: a torch device other than "cpu" compares all pairs there, at any size.
    """
    n = len(vectors)
    k = min(num_neighbors, n - 1)
    vectors = np.ascontiguousarray(vectors, np.float32)
    if k < 1:
        return Neighbors(np.full((n, 0), -1, np.int32), np.full((n, 0), -1, np.float32))
    # one more than k, because a row finds itself, though not always first among equals
    if device != "cpu":
        return _without_self(*on_device(vectors, k + 1, device), k)
    if n > EXACT_ROWS:
        found, cosines, recall = partitions.search(vectors, k + 1, seed=seed)
        return replace(_without_self(found, cosines, k), recall=recall, is_exact=False)
    import faiss

    products, rows = faiss.knn(vectors, vectors, k + 1, metric=faiss.METRIC_INNER_PRODUCT)
    return _without_self(rows, products, k)


def on_device(
    vectors: Floats, num_nearest: int, device: str, *, block: int = BLOCK
) -> tuple[Ints, Floats]:
    """Return the nearest rows of each row, itself included, and their cosines, both (n, k).

    Products of blocks on a torch device; it holds the vectors and two blocks.
    """
    import torch

    rows = torch.from_numpy(vectors).to(device)
    found = np.empty((len(vectors), num_nearest), np.int32)
    similarities = np.empty((len(vectors), num_nearest), np.float32)
    for start in range(0, len(vectors), block):
        best, where = _best_of_block(rows, rows[start : start + block], num_nearest, block)
        found[start : start + block] = where.cpu().numpy()
        similarities[start : start + block] = best.cpu().numpy()
    return found, similarities


def _best_of_block(
    rows: torch.Tensor, queries: torch.Tensor, num_nearest: int, block: int
) -> tuple[torch.Tensor, torch.Tensor]:
    import torch

    best = torch.empty((len(queries), 0), device=rows.device)
    where = torch.empty((len(queries), 0), dtype=torch.int64, device=rows.device)
    for start in range(0, len(rows), block):
        products = queries @ rows[start : start + block].T
        top, at = products.topk(min(num_nearest, products.shape[1]), dim=1)
        best, where = torch.cat([best, top], 1), torch.cat([where, at + start], 1)
        best, order = best.topk(min(num_nearest, best.shape[1]), dim=1)
        where = where.gather(1, order)
    return best, where


def _without_self(found: npt.NDArray[np.integer[Any]], similarities: Floats, k: int) -> Neighbors:
    """Return the first k of k + 1 nearest rows, sorted, the row itself left out."""
    n = len(found)
    rows = np.arange(n)[:, None]
    similarities[found == rows] = -np.inf
    order = np.lexsort((found, -similarities), axis=1)[:, :k]
    return Neighbors(
        found[rows, order].astype(np.int32),
        np.clip(similarities[rows, order], -1, 1).astype(np.float32),
    )
