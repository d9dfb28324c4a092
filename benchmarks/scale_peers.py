"""What benchmarks/scale.py is held against: the libraries that one would pick instead.

Each neighbour index is asked with the cheapest of a few settings that finds .95 of the 20 nearest;
all use two threads. The group `peers` of pyproject.toml installs them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array, csr_matrix, eye_array

Vectors = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]
THREADS = 2


def faiss_flat(x: Vectors, k: int) -> Iterator[tuple[str, Callable[[], Rows]]]:
    import faiss

    def search() -> Rows:
        index = faiss.IndexFlatIP(x.shape[1])
        index.add(x)
        return index.search(x, k)[1]

    yield "exact", search


def faiss_hnsw(x: Vectors, k: int) -> Iterator[tuple[str, Callable[[], Rows]]]:
    import faiss

    for links, building, asking in ((16, 40, 32), (16, 40, 48), (32, 40, 32), (32, 64, 64)):

        def search(links: int = links, building: int = building, asking: int = asking) -> Rows:
            index = faiss.IndexHNSWFlat(x.shape[1], links, faiss.METRIC_INNER_PRODUCT)
            index.hnsw.efConstruction, index.hnsw.efSearch = building, asking
            index.add(x)
            return index.search(x, k)[1]

        yield f"M={links} efConstruction={building} efSearch={asking}", search


def faiss_ivf(x: Vectors, k: int) -> Iterator[tuple[str, Callable[[], Rows]]]:
    import faiss

    lists = round(1.6 * len(x) ** 0.5)
    for asked in (8, 16, 24, 32):

        def search(asked: int = asked) -> Rows:
            flat = faiss.IndexFlatIP(x.shape[1])
            index = faiss.IndexIVFFlat(flat, x.shape[1], lists, faiss.METRIC_INNER_PRODUCT)
            index.cp.niter, index.cp.max_points_per_centroid = 8, 64
            index.train(x)
            index.add(x)
            index.nprobe = asked
            return index.search(x, k)[1]

        yield f"lists={lists} nprobe={asked}", search


def hnswlib_index(x: Vectors, k: int) -> Iterator[tuple[str, Callable[[], Rows]]]:
    import hnswlib

    for links, building, asking in ((16, 40, 32), (16, 50, 40), (16, 60, 48), (32, 60, 64)):

        def search(links: int = links, building: int = building, asking: int = asking) -> Rows:
            index = hnswlib.Index(space="ip", dim=x.shape[1])
            index.init_index(len(x), ef_construction=building, M=links, random_seed=0)
            index.set_num_threads(THREADS)
            index.add_items(x)
            index.set_ef(asking)
            return index.knn_query(x, k)[0]

        yield f"M={links} ef_construction={building} ef={asking}", search


def usearch_index(x: Vectors, k: int) -> Iterator[tuple[str, Callable[[], Rows]]]:
    from usearch.index import Index

    for links, building, asking in ((16, 64, 48), (16, 128, 64), (32, 128, 96)):

        def search(links: int = links, building: int = building, asking: int = asking) -> Rows:
            index = Index(
                ndim=x.shape[1],
                metric="ip",
                connectivity=links,
                expansion_add=building,
                expansion_search=asking,
            )
            index.add(np.arange(len(x)), x, threads=THREADS)
            return np.asarray(index.search(x, k, threads=THREADS).keys).astype(np.int64)

        yield f"connectivity={links} add={building} search={asking}", search


def semhash_index(x: Vectors, k: int) -> Iterator[tuple[str, Callable[[], Rows]]]:
    from semhash.index import Index
    from vicinity import Backend

    def search() -> Rows:
        rows = [[{"row": i}] for i in range(len(x))]
        index = Index.from_vectors_and_items(x, rows, Backend.USEARCH)
        found = np.full((len(x), k), -1, np.int64)
        for i, (near, _) in enumerate(index.query_top_k(x, k, vectors_are_in_index=False)):
            found[i, : len(near)] = near
        return found

    yield "its own settings", search


NEIGHBORS = {
    "faiss_flat": faiss_flat,
    "faiss_hnsw": faiss_hnsw,
    "faiss_ivf": faiss_ivf,
    "hnswlib": hnswlib_index,
    "usearch": usearch_index,
    "semhash": semhash_index,
}


def apricot_picks(graph: csr_array, num_picks: int) -> Rows:
    """Return apricot's lazy facility location on the same graph, rows similar to themselves."""
    from apricot import FacilityLocationSelection

    own = csr_matrix(graph + eye_array(graph.shape[0]))
    selector: Any = FacilityLocationSelection(num_picks, metric="precomputed", optimizer="lazy")
    return np.asarray(selector.fit(own).ranking, np.int64)


def kmeans_domains(x: Vectors, num_domains: int) -> npt.NDArray[np.int32]:
    """Return the clusters of scikit-learn's mini-batch k-means."""
    from sklearn.cluster import MiniBatchKMeans

    return MiniBatchKMeans(num_domains, n_init=1, random_state=0).fit_predict(x)
