"""What a selection has to beat: pick orders by chance, length, score, spread and prototypes.

Each order names every row once, so that any budget is a prefix of it. k-center: Gonzalez 1985,
Sener & Savarese 2018. Prototypes of k-means: Sorscher et al. 2022. IFD: Li et al. 2023 ("From
Quantity to Quality"). The high-entropy sum (Li et al. 2026, arXiv 2605.22389) and the gain of the
answer are picked from the top. The random twin is in `selection.py`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from tqdm.auto import tqdm

VERSION = 1

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]
Values = npt.NDArray[np.float64] | npt.NDArray[np.float32] | npt.NDArray[np.int64]

ROUNDING = 1e-5  # equal texts have cosines of .999999

POOL = 512  # rows that compete for the next picks of k-center; few, so that they stay in the cache
BLOCK = 1024  # picks, or rows, that are multiplied at once
PICKED = np.float32(-1)  # in place of the distance of a row that needs no pick any more

KMEANS_STEPS = 20


def random_order(num_rows: int, *, seed: int) -> Rows:
    """Return the rows in random order, (n,)."""
    return np.random.default_rng(seed).permutation(num_rows).astype(np.int64)


def longest_first(num_tokens: Values) -> Rows:
    """Return the rows by length, longest first, (n,); ties by row number."""
    return top_first(num_tokens)


def shortest_first(num_tokens: Values) -> Rows:
    """Return the rows by length, shortest first, (n,); ties by row number."""
    return top_first(-np.asarray(num_tokens, np.float64))


def top_first(values: Values) -> Rows:
    """Return the rows by value, highest first, (n,); ties by row number, NaN last."""
    return np.argsort(-np.asarray(values, np.float64), kind="stable").astype(np.int64)


def ifd_order(ifd: Values) -> Rows:
    """Return the rows by instruction-following difficulty, (n,); ties by row number.

    Hardest first among those below 1. From 1 on the question does not help the response, which
    Cherry-LLM drops as misaligned: they follow, nearest to 1 first. NaN last.
    """
    values = np.asarray(ifd, np.float64)
    band = np.where(values < 1, 0, np.where(values >= 1, 1, 2))
    return np.asarray(np.lexsort((np.where(band == 0, -values, values), band)), np.int64)


def k_center_order(vectors: Floats, num_picks: int) -> Rows:
    """Return the farthest-first traversal of unit vectors (n, d), then the other rows, (n,).

    It starts at the row nearest to the mean; each next pick is the row whose nearest pick is
    farthest away. After `num_picks` rows the others follow by that distance, farthest first. Fewer
    picks give the same first rows. Nothing is drawn. Ties by row number; copies of a row are tied
    to within float32, and exactly once one of them is picked. Vectors must be finite.

    Distances to the nearest pick only shrink, so a distance that is not up to date is a bound:
    only rows that may be next are measured, `POOL` at a time, which is exact. The worst case
    stays O(num_picks n d), and memory beside the vectors O(n).
    """
    num_rows = len(vectors)
    if num_rows == 0:
        return np.zeros(0, np.int64)
    traversal = _FarthestFirst(vectors, min(max(num_picks, 1), num_rows))
    traversal.run()
    picks = traversal.picks
    is_other = np.ones(num_rows, bool)
    is_other[picks] = False
    others = np.flatnonzero(is_other)
    traversal.measure(others)
    return np.concatenate([picks, others[top_first(traversal.distance[others])]])


def centroid_order(vectors: Floats, num_clusters: int, *, seed: int) -> Rows:
    """Return the prototypes of k-means on unit vectors (n, d) first, (n,).

    Each cluster's nearest row to its centroid, largest cluster first; then each one's second
    nearest, and so on. Ties by row number. Vectors must be finite. Above 256 rows a cluster, the
    centroids are found on a random part of the rows.
    """
    if len(vectors) == 0:
        return np.zeros(0, np.int64)
    cluster, nearness = _clusters(vectors, min(max(num_clusters, 1), len(vectors)), seed)
    sizes = np.bincount(cluster)
    rows = np.lexsort((-nearness, cluster))  # lexsort is stable: ties stay in row order
    starts = np.cumsum(sizes) - sizes
    turn = np.empty(len(rows), np.int64)
    turn[rows] = np.arange(len(rows)) - np.repeat(starts, sizes)
    return np.asarray(np.lexsort((-sizes[cluster], turn)), np.int64)


def _clusters(vectors: Floats, num_clusters: int, seed: int) -> tuple[Rows, Floats]:
    """Return each row's cluster and its cosine with the centroid, rounded: copies are tied."""
    import faiss

    points = np.ascontiguousarray(vectors, np.float32)
    kmeans = faiss.Kmeans(
        points.shape[1],
        num_clusters,
        niter=KMEANS_STEPS,
        spherical=True,
        seed=seed % 2**31,
        min_points_per_centroid=1,  # else faiss complains on stderr about small pools
    )
    kmeans.train(points)
    cosine, cluster = kmeans.index.search(points, 1)
    return cluster[:, 0].astype(np.int64), np.round(cosine[:, 0], 5)


class _FarthestFirst:
    """The state of a k-center traversal: picks so far, and a distance bound of each row.

    `distance` is 1 - cosine, which orders unit vectors as the Euclidean distance does; `seen` is
    the number of picks that it takes into account.
    """

    def __init__(self, vectors: Floats, num_picks: int) -> None:
        num_rows = len(vectors)
        self._vectors = vectors
        self.picks = np.zeros(num_picks, np.int64)
        self.distance = np.full(num_rows, np.inf, np.float32)
        self._seen = np.zeros(num_rows, np.int64)
        self._num_done = 0

    def run(self) -> None:
        """Pick all rows that are to be picked."""
        mean = self._vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
        nearness = np.round(self._vectors @ mean, 5)  # rounded: copies are tied
        self._pick(int(np.argmax(nearness)))
        self.measure(np.arange(len(nearness)))
        with tqdm(total=len(self.picks), initial=1, desc="k-center", unit="row", delay=1) as bar:
            while self._num_done < len(self.picks):
                before = self._num_done
                self._pick_from(*self._pool())
                bar.update(self._num_done - before)

    def measure(self, rows: Rows) -> None:
        """Bring the distances of `rows` up to date, in blocks of rows and of picks."""
        rows = rows[np.argsort(self._seen[rows], kind="stable")]
        for start in range(0, len(rows), BLOCK):
            block = rows[start : start + BLOCK]
            points = self._vectors[block]
            for first in range(int(self._seen[block[0]]), self._num_done, BLOCK):
                picks = self.picks[first : min(first + BLOCK, self._num_done)]
                nearest = (points @ self._vectors[picks].T).max(axis=1)
                self.distance[block] = np.minimum(self.distance[block], _distance(nearest))
            self._seen[block] = self._num_done

    def _pool(self) -> tuple[Rows, tuple[np.float32, int]]:
        """Return the rows of the largest bounds, up to date, and the first row that is left out.

        The latter as (bound, row number): it is next when no row of the pool comes before it.
        """
        num_rows = len(self.distance)
        if num_rows <= POOL:
            rows, outside = np.arange(num_rows), (PICKED, num_rows)
        else:
            least = np.partition(self.distance, num_rows - POOL)[num_rows - POOL]
            above = np.flatnonzero(self.distance > least)
            equal = np.flatnonzero(self.distance == least)
            rows = np.sort(np.concatenate([above, equal[: POOL - len(above)]]))
            left = np.append(equal[POOL - len(above) :], num_rows)
            outside = least, int(left[0])
        self.measure(rows)
        return rows, outside

    def _pick_from(self, rows: Rows, outside: tuple[np.float32, int]) -> None:
        """Pick rows of the pool as long as they are farther than what is outside."""
        points = self._vectors[rows]
        distance = self.distance[rows]
        bound, first_outside = outside
        while self._num_done < len(self.picks):
            place = int(np.argmax(distance))
            row = int(rows[place])
            if distance[place] < bound or (distance[place] == bound and row > first_outside):
                break
            self._pick(row)
            np.minimum(distance, _distance(points @ points[place]), out=distance)
            distance[place] = PICKED
        going = distance != PICKED
        self.distance[rows[going]] = distance[going]
        self._seen[rows[going]] = self._num_done

    def _pick(self, row: int) -> None:
        self.picks[self._num_done] = row
        self._num_done += 1
        self.distance[row] = PICKED


def _distance(cosine: Floats) -> Floats:
    """Return 1 - cosine, exactly 0 for copies, so that they are tied."""
    distance = 1 - cosine
    return np.where(distance < ROUNDING, np.float32(0), distance)
