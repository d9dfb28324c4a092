"""Nearest neighbours of every row by partitions: k-means lists, each row against the nearest few.

An inverted file (IVF) whose lists are multiplied as blocks: because every row asks, a list is
compared with all rows that ask for it in one matrix product, several times as fast as row by row
(faiss, hnswlib, usearch side by side: benchmarks/scale.py). How many lists a row has to ask is read
off a sample whose true neighbours are known, and the recall is measured on another one. The vectors
are not copied, and two runs find the same.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import numpy.typing as npt
from tqdm.auto import tqdm

Ints = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

WANTED_RECALL = 0.97
SAMPLE = 256  # rows, twice: to find out how many lists to ask, and to measure what came out
LISTS_PER_ROOT = 1.0  # lists = sqrt(n): products stay large, and few rows are compared
LEAST_ASKED = 2  # where clusters are lists, a small list alone would not hold enough rows
TRAINING_ROWS = 64  # per list
ITERATIONS = 8
BLOCK = 65_536  # rows that ask at once
MOST_PRODUCTS = 1 << 25  # held at once, 128 MB: one list of a pool of copies can hold half of it
ROUNDING = 1e-5


def search(
    vectors: Floats, num_nearest: int, *, seed: int, wanted_recall: float = WANTED_RECALL
) -> tuple[Ints, Floats, float]:
    """Return the nearest rows of each row, itself included, (n, k), their cosines, and the recall.

    Nearest first.
    """
    centroids = _centroids(vectors, seed)
    own_list = _nearest_lists(vectors, centroids, 1)[:, 0]
    sample = np.random.default_rng(seed).permutation(len(vectors))[: 2 * SAMPLE]
    true_cosines, truth = _inner_products(vectors[sample], vectors, num_nearest)
    num_asked = _lists_needed(
        vectors[sample[::2]] @ centroids.T, own_list[truth[::2]], wanted_recall
    )
    lists = _members(own_list, len(centroids))
    found = np.full((len(vectors), num_nearest), -1, np.int32)
    cosines = np.full((len(vectors), num_nearest), -np.inf, np.float32)
    with tqdm(total=len(vectors), desc="Neighbours", unit="row", leave=False) as bar:
        for start in range(0, len(vectors), BLOCK):
            block = slice(start, start + BLOCK)
            asked = _nearest_lists(vectors[block], centroids, num_asked)
            _ask(vectors, start, asked, lists, found[block], cosines[block])
            bar.update(len(asked))
    short = np.flatnonzero(found[:, -1] < 0)  # its lists hold fewer rows than it needs
    if len(short):
        cosines[short], found[short] = _inner_products(vectors[short], vectors, num_nearest)
    return found, cosines, _recall(cosines[sample[1::2]], true_cosines[1::2])


def _centroids(vectors: Floats, seed: int) -> Floats:
    import faiss

    num_lists = max(1, round(LISTS_PER_ROOT * len(vectors) ** 0.5))
    means = faiss.Kmeans(
        vectors.shape[1],
        num_lists,
        niter=ITERATIONS,
        seed=seed % 2**31,
        spherical=True,
        min_points_per_centroid=1,
        max_points_per_centroid=TRAINING_ROWS,
    )
    means.train(vectors)
    return np.asarray(means.centroids, np.float32)


def _nearest_lists(vectors: Floats, centroids: Floats, num_asked: int) -> Ints:
    return _inner_products(vectors, centroids, num_asked)[1].astype(np.int32)


def _inner_products(queries: Floats, rows: Floats, k: int) -> tuple[Floats, Longs]:
    import faiss

    similarities, found = faiss.knn(queries, rows, k, metric=faiss.METRIC_INNER_PRODUCT)
    return similarities, found


def _lists_needed(similarity: Floats, truth_lists: Ints, wanted_recall: float) -> int:
    """Return how many lists each sampled row has to ask to find that share of its neighbours.

    Args:
        similarity: (s, lists) of sampled rows to centroids.
        truth_lists: (s, k) the lists that their true neighbours are in.
        wanted_recall: in (0, 1].
    """
    rank = np.argsort(np.argsort(-similarity, axis=1, kind="stable"), axis=1, kind="stable")
    needed = np.sort(np.take_along_axis(rank, truth_lists.astype(np.int64), axis=1), axis=None)
    found = int(needed[min(int(wanted_recall * len(needed)), len(needed) - 1)]) + 1
    return max(found, min(LEAST_ASKED, int(similarity.shape[1])))


def _members(own_list: Ints, num_lists: int) -> list[Longs]:
    """Return the rows of each list, in row order."""
    order = np.argsort(own_list, kind="stable")
    return np.split(order, np.cumsum(np.bincount(own_list, minlength=num_lists))[:-1])


def _ask(
    vectors: Floats, start: int, asked: Ints, lists: list[Longs], found: Ints, cosines: Floats
) -> None:
    """Compare the rows from `start` on with the lists that they ask; fill `found` and `cosines`."""
    keep_best = _compiled()
    order = np.argsort(asked, axis=None, kind="stable")
    rows = order // asked.shape[1]
    for members, asking in zip(
        lists,
        np.split(rows, np.cumsum(np.bincount(asked.ravel(), minlength=len(lists)))[:-1]),
        strict=True,
    ):
        if not len(members):
            continue
        step = max(1, MOST_PRODUCTS // len(members))
        for first in range(0, len(asking), step):
            part = asking[first : first + step]
            products = vectors[start + part] @ vectors[members].T
            keep_best(products, part, members, found, cosines)


def _recall(cosines: Floats, true_cosines: Floats) -> float:
    """Return the share of the found ones that are as near as the last true one."""
    return float((cosines >= true_cosines[:, -1:] - ROUNDING).mean())


@cache
def _compiled() -> Callable[..., None]:
    import numba

    return numba.njit(_keep_best)  # type: ignore[no-any-return]


def _keep_best(products: Floats, rows: Longs, columns: Longs, found: Ints, cosines: Floats) -> None:
    """Put products that belong to a row's best ones into their place, nearest first; compiled."""
    last = found.shape[1] - 1
    for i in range(len(rows)):
        row = rows[i]
        worst = cosines[row, last]
        for j in range(len(columns)):
            product = products[i, j]
            if product > worst:
                place = last
                while place > 0 and cosines[row, place - 1] < product:
                    cosines[row, place] = cosines[row, place - 1]
                    found[row, place] = found[row, place - 1]
                    place -= 1
                cosines[row, place] = product
                found[row, place] = columns[j]
                worst = cosines[row, last]
