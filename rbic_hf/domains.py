"""From vectors to what the knowledge-domain graph says of every row.

The graph is built over distinct questions: copies would fill each other's neighbours, and all
traces of one question would be joined.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from rbic_hf import domain_labels, graph, neighbors
from rbic_hf.config import RbicConfig
from rbic_hf.probers.loading import best_device

logger = logging.getLogger("rbic_hf")


@dataclass(frozen=True)
class Domains:
    """The graph of the distinct questions, and what it says of each row.

    Attributes:
        graph: (m, m) symmetric similarities.
        question: (n,) the row's node in the graph.
        domain: (n,) knowledge domain, 0 = the one of most questions.
        labels: one per domain.
        core: (n,) percentile of the weighted degree inside the domain.
        group: (n,) near-duplicate group.
    """

    graph: csr_array
    question: npt.NDArray[np.int32]
    domain: npt.NDArray[np.int32]
    labels: list[str]
    core: npt.NDArray[np.float32]
    group: npt.NDArray[np.int32]


def knowledge_domains(
    vectors: npt.NDArray[np.float32], questions: list[str], config: RbicConfig
) -> Domains:
    """Return the domains of rows with these unit vectors (n, d) and questions.

    Questions are taken in the order of their text, not of their rows: Leiden depends on the order,
    and shuffled rows must not be probed anew because they landed in other domains.
    """
    first, question = _distinct(questions)
    own = vectors[first]
    near = find_neighbors(own, config)
    similarity = graph.similarity_graph(near.indices, near.similarities)
    wanted = config.num_domains or graph.default_num_domains(len(own))
    domain = graph.find_domains(similarity, min(wanted, len(own)), seed=config.seed, vectors=own)
    domain = graph.settle_domains(domain, own, near.indices)
    group = graph.duplicate_groups(near.indices, near.similarities, config.duplicate_threshold)
    return Domains(
        graph=similarity,
        question=question,
        domain=domain[question],
        labels=domain_labels.label_domains([questions[i] for i in first], domain),
        core=graph.core_scores(similarity, domain)[question],
        group=group[question],
    )


def find_neighbors(vectors: npt.NDArray[np.float32], config: RbicConfig) -> neighbors.Neighbors:
    """Return the neighbours of unit vectors (n, d), on a GPU if there is one; log the recall."""
    device = best_device() if len(vectors) > neighbors.EXACT_ROWS else "cpu"
    near = neighbors.nearest(vectors, config.num_neighbors, seed=config.seed, device=device)
    num_neighbors = near.indices.shape[1]
    if near.is_exact and num_neighbors:
        logger.info("neighbours: all pairs compared; recall@%d 1", num_neighbors)
    elif num_neighbors:
        logger.warning(
            "neighbours: by partitions; recall@%d is %.3f on a sample", num_neighbors, near.recall
        )
    return near


def _distinct(texts: list[str]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    """Return where each distinct text comes first, in the order of the texts, and which each is."""
    first: dict[str, int] = {}
    for row, text in enumerate(texts):
        first.setdefault(text, row)
    place = {text: at for at, text in enumerate(sorted(first))}
    return np.array([first[text] for text in place]), np.array([place[t] for t in texts], np.int32)
