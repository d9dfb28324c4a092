"""The pick orders that RBIC is held against, on a scored dataset.

What does not beat them has not been shown to help; many published selectors do not beat random.
They see clean rows only, know nothing of groups of near-duplicates, and every budget is a prefix.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from rbic_hf import baselines, domains, facility_location, graph, selection, tables
from rbic_hf.config import Method, RbicConfig
from rbic_hf.errors import DataError

if TYPE_CHECKING:
    from datasets import Dataset

Amounts = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
Vectors = npt.NDArray[np.float32]

ORDERS = tuple(method for method in get_args(Method) if method not in ("rbic", "twin"))

MOST_CENTROIDS = 2000  # a centroid per pick takes hours on a million rows; the picks go round

_EMBEDDING_HELP = (
    "method={method!r} needs the column rbic_embedding: a scored dataset has it, a refined one "
    "with with_embeddings=True"
)
_IFD_HELP = (
    "method='ifd' needs the column rbic_ifd: rbic_hf.with_ifd(scored) makes it with a small model, "
    "and `rbic select --method ifd` calls that"
)


def order(
    scored: Dataset, clean: Rows, method: Method, amounts: Amounts, budget: float, *, seed: int
) -> Rows:
    """Return places in `clean` in the order in which a method of `ORDERS` picks them.

    Args:
        scored: what `score` returned.
        clean: (c,) its clean rows.
        method: one of `ORDERS`.
        amounts: (rows of scored,) what each row spends.
        budget: what will be spent, for methods that want to know how many rows that may be.
        seed: draws what is drawn.

    Raises:
        DataError: the column that the method looks at is not there.
    """
    if method in ("random", "random_rows"):
        return baselines.random_order(len(clean), seed=seed)
    if method in ("longest", "shortest"):
        tokens = tables.numbers_of(scored, "rbic_tokens")[clean]
        in_order = baselines.longest_first if method == "longest" else baselines.shortest_first
        return in_order(tokens)
    if method == "contribution":
        return baselines.top_first(tables.numbers_of(scored, "rbic_contribution")[clean])
    if method == "ifd":
        if "rbic_ifd" not in scored.column_names:
            raise DataError(_IFD_HELP)
        return baselines.ifd_order(tables.numbers_of(scored, "rbic_ifd")[clean])
    vectors = _vectors(scored, clean, method)
    if method == "facility_location":
        return _by_coverage(vectors, seed)
    cheap = np.sort(amounts[clean])
    most = selection.prefix_length(cheap, budget)  # no order picks more rows than this
    if method == "k_center":
        return baselines.k_center_order(vectors, most)
    wanted = round(budget / amounts[clean].mean())
    return baselines.centroid_order(vectors, min(max(wanted, 1), MOST_CENTROIDS), seed=seed)


def _vectors(scored: Dataset, clean: Rows, method: Method) -> Vectors:
    if "rbic_embedding" not in scored.column_names:
        raise DataError(_EMBEDDING_HELP.format(method=method))
    vectors = tables.vectors_of(scored, "rbic_embedding")
    return vectors if len(clean) == len(vectors) else vectors[clean]


def _by_coverage(vectors: Vectors, seed: int) -> Rows:
    """Return greedy facility location over distinct vectors, then the copies in row order."""
    first: dict[bytes, int] = {}
    for row, vector in enumerate(vectors):
        first.setdefault(vector.tobytes(), row)
    distinct = np.fromiter(first.values(), np.int64, len(first))
    near = domains.find_neighbors(vectors[distinct], RbicConfig(seed=seed))
    similarity: csr_array = graph.similarity_graph(near.indices, near.similarities)
    picks = facility_location.by_coverage(similarity)
    copies = np.setdiff1d(np.arange(len(vectors)), distinct)
    return np.concatenate([distinct[picks], copies])
