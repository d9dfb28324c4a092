"""The knowledge-domain graph: edges, domains, core score, duplicate groups.

Edges join mutual nearest neighbours, plus the best neighbour of every isolate (mutual edges alone
leave 11-15 % of the rows alone). Domains are Leiden communities at a resolution found by search,
because at a fixed resolution 40 planted domains come out as 4. Then every row goes where its vector
and its neighbours are: sparse edges leave some rows on the wrong side. Leiden comes from
graspologic-native (MIT); igraph and leidenalg are GPL.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components

VERSION = 2

Ints = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float32]

ROUNDING = 1e-5  # equal texts have cosines of .999999
WEAK_EDGE_PERCENTILE = 5  # cosines below this percentile of all neighbours weigh next to nothing
SEARCH_STEPS = 12
CLOSE_ENOUGH = 0.03  # of the number of domains: the search ends there
CENTROID_WEIGHT = 8.0  # against a neighbour's share of the votes; 4 and 16 are worse (LOG.md)
BLOCK = 4096  # rows held against all means at once
MOST_COSINES = 1 << 25  # of communities, held at once: 128 MB


def similarity_graph(indices: Ints, similarities: Floats) -> csr_array:
    """Return the symmetric graph (n, n) of mutual neighbours and each isolate's best one.

    Weights are cosines rescaled so that the 5th percentile of all neighbour cosines becomes (just
    above) 0 and 1 stays 1.

    Args:
        indices: (n, k) nearest other rows of each row, nearest first.
        similarities: (n, k) their cosines.
    """
    n, k = indices.shape
    if k == 0:
        return csr_array(coo_array((n, n), dtype=np.float32))
    low = min(float(np.percentile(similarities, WEAK_EDGE_PERCENTILE)), 1 - 1e-6)
    weights = np.clip((similarities - low) / (1 - low), 1e-6, 1).astype(np.float32)
    starts = np.arange(n + 1, dtype=np.int32) * k
    directed = csr_array((weights.ravel(), indices.ravel(), starts), shape=(n, n))
    mutual = directed.minimum(directed.T.tocsr())
    isolated = np.flatnonzero(np.diff(mutual.indptr) == 0).astype(np.int32)
    best = weights[isolated, 0], (isolated, indices[isolated, 0])
    bridges = csr_array(coo_array(best, shape=(n, n), dtype=np.float32))
    return csr_array(mutual.maximum(bridges.maximum(bridges.T.tocsr())))


def default_num_domains(num_rows: int) -> int:
    """Return how many domains to aim for: about sqrt(n) / 2, so that cells hold enough rows."""
    return int(np.clip(round(np.sqrt(num_rows) / 2), 1, 200))


def find_domains(
    graph: csr_array, num_domains: int, *, seed: int, vectors: Floats | None = None
) -> Ints:
    """Return the domain of each row, (n,), 0 = the largest, ties by first row.

    The resolution is searched by bisection on its logarithm until about `num_domains` communities
    of useful size (at least a quarter of the average) come out; smaller ones are then merged into
    the community that they share the most edge weight with. Islands, which share none, join the
    community of the most similar mean among `vectors`, (n, d); without vectors, the largest.
    """
    n = graph.shape[0]
    smallest = max(2, n // (4 * num_domains))
    best: tuple[int, Ints] | None = None
    low, high = -6.0, 6.0  # e^-6 .. e^6
    for _ in range(SEARCH_STEPS):
        middle = (low + high) / 2
        labels = _leiden(graph, float(np.exp(middle)), seed)
        useful = int((np.bincount(labels) >= smallest).sum())
        miss = abs(useful - num_domains)
        if best is None or miss < best[0]:
            best = miss, labels
        if miss <= CLOSE_ENOUGH * num_domains:
            break
        low, high = (middle, high) if useful < num_domains else (low, middle)
    assert best is not None
    return _largest_first(_merge_small(graph, best[1], smallest, vectors))


def settle_domains(domains: Ints, vectors: Floats, indices: Ints) -> Ints:
    """Return the domains after every row went, once, where its vector and its neighbours are.

    A row goes to the domain c with the largest 8 cos(x, centroid_c) + share of its neighbours in c:
    a step of spherical k-means with a vote. On the mixed pool it raises the agreement with the
    human topics of MATH from .318 to .335 (NMI; benchmarks/domains.py). Empty domains vanish.

    Args:
        domains: (n,) domain of each row.
        vectors: (n, d) unit vectors.
        indices: (n, k) nearest other rows of each row.
    """
    n, k = indices.shape
    centroids = _means(domains, vectors)
    settled = np.empty(n, np.int32)
    for start in range(0, n, BLOCK):
        near = domains[indices[start : start + BLOCK]]
        score = CENTROID_WEIGHT * (vectors[start : start + BLOCK] @ centroids.T)
        rows = np.repeat(np.arange(len(near)), k)
        np.add.at(score, (rows, near.ravel()), np.float32(1 / max(k, 1)))
        settled[start : start + BLOCK] = score.argmax(axis=1)
    return _largest_first(settled)


def core_scores(graph: csr_array, domains: Ints) -> Floats:
    """Return the percentile in (0, 1] of each row's weighted degree inside its domain, (n,).

    Higher is more central; rows of equal degree share their average percentile.
    """
    from scipy.stats import rankdata

    edges = coo_array(graph)
    inside = domains[edges.row] == domains[edges.col]
    degree = np.bincount(edges.row[inside], edges.data[inside], minlength=graph.shape[0])
    scores = np.zeros(graph.shape[0], np.float32)
    for domain in np.unique(domains):
        rows = np.flatnonzero(domains == domain)
        scores[rows] = rankdata(degree[rows]) / len(rows)
    return scores


def duplicate_groups(indices: Ints, similarities: Floats, threshold: float) -> Ints:
    """Return the group of each row, (n,): rows joined by cosines >= `threshold`, transitively.

    Groups are numbered by their first row; a row without duplicates has a group of its own.
    Arguments as for `similarity_graph`.
    """
    n = len(indices)
    close = similarities >= threshold - ROUNDING
    sources, targets = np.nonzero(close)[0], indices[close]
    edges = coo_array((np.ones(len(sources)), (sources, targets)), shape=(n, n))
    _, labels = connected_components(edges, directed=False)
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse].astype(np.int32)


def _leiden(graph: csr_array, resolution: float, seed: int) -> Ints:
    if graph.nnz == 0:  # a single row; the library panics without edges
        return np.arange(graph.shape[0], dtype=np.int32)
    import graspologic_native

    _, communities = graspologic_native.leiden_csr(
        graph.indptr.astype(np.int64),
        graph.indices.astype(np.int32),
        graph.data.astype(np.float64),
        graph.shape[0],
        resolution=resolution,
        seed=seed,
    )
    labels = np.full(graph.shape[0], -1, np.int64)
    labels[list(communities.keys())] = list(communities.values())
    alone = np.flatnonzero(labels < 0)  # a row without edges is in no community
    labels[alone] = labels.max(initial=-1) + 1 + np.arange(len(alone))
    return np.unique(labels, return_inverse=True)[1].astype(np.int32)


def _merge_small(
    graph: csr_array, labels: Ints, smallest: int, vectors: Floats | None = None
) -> Ints:
    """Merge communities below `smallest` rows into the large one that they share most weight with.

    Communities that touch no large one wait for the next round; when none of them touches one, each
    joins the community, small or large, of the nearest mean, and several may meet.
    """
    while True:
        labels = np.unique(labels, return_inverse=True)[1].astype(np.int32)
        sizes = np.bincount(labels)
        is_large = sizes >= (min(smallest, sizes.max()) if vectors is None else smallest)
        small, large = np.flatnonzero(~is_large), np.flatnonzero(is_large)
        if len(small) == 0 or len(sizes) == 1:
            return labels
        ones = np.ones(len(labels)), (labels, np.arange(len(labels)))
        members = csr_array(ones, shape=(len(sizes), len(labels)))
        shared = csr_array(members[small] @ graph @ members[large].T)
        touching = np.diff(shared.indptr) > 0
        target = np.arange(len(sizes))
        if touching.any():
            heaviest = np.asarray(shared.argmax(axis=1)).ravel()
            target[small[touching]] = large[heaviest[touching]]
        elif vectors is None:
            target[small] = np.argmax(sizes)
        else:
            target = _nearest_means(labels, small, vectors)
        labels = target[labels].astype(np.int32)


def _means(labels: Ints, vectors: Floats) -> Floats:
    """Return the normalised mean of the vectors of each label, (labels, d)."""
    n = len(labels)
    ones = np.ones(n, np.float32), (labels, np.arange(n))
    means = csr_array(ones, shape=(int(labels.max(initial=0)) + 1, n)) @ vectors
    means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)
    return np.asarray(means, np.float32)


def _nearest_means(
    labels: Ints, small: npt.NDArray[np.int64], vectors: Floats
) -> npt.NDArray[np.int64]:
    """Return where each label goes when the small ones join the label of the nearest mean."""
    means = _means(labels, vectors)
    nearest = np.empty(len(small), np.int64)
    step = max(1, MOST_COSINES // len(means))
    for start in range(0, len(small), step):
        block = small[start : start + step]
        cosines = means[block] @ means.T
        cosines[np.arange(len(block)), block] = -np.inf
        nearest[start : start + step] = cosines.argmax(axis=1)
    joined = coo_array((np.ones(len(small)), (small, nearest)), shape=(len(means), len(means)))
    return np.asarray(connected_components(joined, directed=False)[1], np.int64)


def _largest_first(labels: Ints) -> Ints:
    _, first, inverse, sizes = np.unique(
        labels, return_index=True, return_inverse=True, return_counts=True
    )
    place = np.empty(len(sizes), np.int32)
    place[np.lexsort((first, -sizes))] = np.arange(len(sizes))
    return place[inverse]
