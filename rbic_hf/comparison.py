"""The pick orders that RBIC is held against, on a scored dataset.

What does not beat them has not been shown to help; many published selectors do not beat random.
They see clean rows only, in the order of their contents, so that shuffled rows are drawn alike;
they know nothing of groups of near-duplicates, and every budget is a prefix.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy.sparse import csr_array

from rbic_hf import baselines, domains, facility_location, graph, selection, tables
from rbic_hf.config import PROXY_COLUMNS, Method, RbicConfig
from rbic_hf.errors import DataError

if TYPE_CHECKING:
    from datasets import Dataset

Amounts = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
Vectors = npt.NDArray[np.float32]

ORDERS = tuple(method for method in get_args(Method) if method not in ("rbic", "twin"))

# The same centroids for every budget, so that budgets nest: the picks go round. More of them than
# this take hours on a million rows.
ROWS_PER_CENTROID, MOST_CENTROIDS = 8, 2000

_EMBEDDING_HELP = (
    "method={method!r} needs the column rbic_embedding: a scored dataset has it, a refined one "
    "with with_embeddings=True"
)
_PROXY_HELP = (
    "method={method!r} needs the column {column}: rbic_hf.with_likelihoods(scored) makes it with a "
    "small model, and `rbic select --method {method}` calls that"
)


def order(
    scored: Dataset, clean: Rows, method: Method, amounts: Amounts, budget: float, *, seed: int
) -> Rows:
    """Return the clean rows in the order in which a method of `ORDERS` picks them, (c,).

    Args:
        scored: what `score` returned.
        clean: (c,) its clean rows.
        method: one of `ORDERS`.
        amounts: (rows of scored,) what each row spends.
        budget: what will be spent: k-center need not look further.
        seed: draws what is drawn.

    Raises:
        DataError: the column that the method looks at is not there.
    """
    rows = by_content(scored, clean)
    return rows[_places(scored, rows, method, amounts, budget, seed)]


def by_content(scored: Dataset, rows: Rows) -> Rows:
    """Return the rows in the order of their content keys."""
    keys = tables.column_of(scored, "rbic_key").cast(pa.string()).to_numpy()[rows]
    return rows[np.argsort(keys.astype(str), kind="stable")]


def _places(
    scored: Dataset, clean: Rows, method: Method, amounts: Amounts, budget: float, seed: int
) -> Rows:
    if method in ("random", "random_rows"):
        return baselines.random_order(len(clean), seed=seed)
    if method in ("longest", "shortest"):
        tokens = tables.numbers_of(scored, "rbic_tokens")[clean]
        in_order = baselines.longest_first if method == "longest" else baselines.shortest_first
        return in_order(tokens)
    if method == "contribution":
        return baselines.top_first(tables.numbers_of(scored, "rbic_contribution")[clean])
    if method in PROXY_COLUMNS:
        column = PROXY_COLUMNS[method]
        if column not in scored.column_names:
            raise DataError(_PROXY_HELP.format(method=method, column=column))
        by_value = baselines.ifd_order if method == "ifd" else baselines.top_first
        return by_value(tables.numbers_of(scored, column)[clean])
    vectors = _vectors(scored, clean, method)
    if method == "facility_location":
        return _by_coverage(vectors, seed)
    if method == "k_center":
        most = selection.prefix_length(np.sort(amounts[clean]), budget)  # no order picks more
        return baselines.k_center_order(vectors, most)
    wanted = len(clean) // ROWS_PER_CENTROID
    return baselines.centroid_order(vectors, min(max(wanted, 1), MOST_CENTROIDS), seed=seed)


def _vectors(scored: Dataset, clean: Rows, method: Method) -> Vectors:
    if "rbic_embedding" not in scored.column_names:
        raise DataError(_EMBEDDING_HELP.format(method=method))
    vectors = tables.vectors_of(scored, "rbic_embedding")
    return np.ascontiguousarray(vectors[clean])


def _by_coverage(vectors: Vectors, seed: int) -> Rows:
    """Return greedy facility location over distinct vectors, then the copies in row order.

    On the graph of `RbicConfig`'s own number of neighbours, whatever the run had.
    """
    first: dict[bytes, int] = {}
    for row, vector in enumerate(vectors):
        first.setdefault(blake2b(vector, digest_size=16).digest(), row)
    distinct = np.fromiter(first.values(), np.int64, len(first))
    own = vectors if len(distinct) == len(vectors) else vectors[distinct]
    near = domains.find_neighbors(own, RbicConfig(seed=seed))
    similarity: csr_array = graph.similarity_graph(near.indices, near.similarities)
    picks = facility_location.by_coverage(similarity)
    copies = np.setdiff1d(np.arange(len(vectors)), distinct)
    return np.concatenate([distinct[picks], copies])
