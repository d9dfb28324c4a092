"""The knowledge-domain graph on vectors whose neighbours, domains and copies are known."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from sklearn.metrics import adjusted_rand_score

from rbic_hf import graph
from rbic_hf.neighbors import Neighbors, nearest

Floats = npt.NDArray[np.float32]


def unit(vectors: npt.NDArray[np.float64]) -> Floats:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def random_unit(n: int, dim: int = 16, *, seed: int = 0) -> Floats:
    return unit(np.random.default_rng(seed).standard_normal((n, dim)))


def similarity_of(found: Neighbors) -> csr_array:
    return graph.similarity_graph(found.indices, found.similarities)


def groups_of(found: Neighbors, threshold: float) -> npt.NDArray[np.int32]:
    return graph.duplicate_groups(found.indices, found.similarities, threshold)


def plant(num_clusters: int, size: int, *, noise: float = 0.9, seed: int = 0):
    """Return shuffled unit vectors around random centres, and the cluster of each."""
    rng = np.random.default_rng(seed)
    truth = rng.permutation(np.repeat(np.arange(num_clusters), size))
    centres = rng.standard_normal((num_clusters, 32))
    return unit(centres[truth] + noise * rng.standard_normal((len(truth), 32))), truth


def double_loop(vectors: Floats, k: int) -> list[list[tuple[float, int]]]:
    """Return (cosine, row) of the k nearest other rows of each row, nearest first."""
    exact = vectors.astype(np.float64)
    found = []
    for i, own in enumerate(exact):
        others = [(float(own @ other), j) for j, other in enumerate(exact) if j != i]
        found.append(sorted(others, key=lambda pair: (-pair[0], pair[1]))[:k])
    return found


@pytest.mark.parametrize(("n", "k"), [(40, 5), (40, 39), (40, 40), (40, 500), (2, 20), (3, 1)])
def test_neighbours_are_those_of_a_double_loop(n: int, k: int) -> None:
    vectors = random_unit(n)
    found = nearest(vectors, k)
    expected = double_loop(vectors, min(k, n - 1))
    assert found.indices.tolist() == [[j for _, j in row] for row in expected]
    np.testing.assert_allclose(found.similarities, [[s for s, _ in r] for r in expected], atol=1e-6)


@pytest.mark.parametrize("copies", [2, 5, 30])
def test_exact_copies_are_neighbours_of_each_other_and_never_of_themselves(copies: int) -> None:
    vectors = random_unit(60)
    vectors[10 : 10 + copies] = vectors[10]
    found = nearest(vectors, 4)
    expected = double_loop(vectors, 4)
    np.testing.assert_allclose(found.similarities, [[s for s, _ in r] for r in expected], atol=1e-6)
    named = np.einsum("nd,nkd->nk", vectors, vectors[found.indices])
    np.testing.assert_allclose(found.similarities, named, atol=1e-6)
    for i, row in enumerate(found.indices.tolist()):
        assert i not in row
        assert len(set(row)) == 4
    near = set(found.indices[10, : min(copies - 1, 4)].tolist())
    assert near <= set(range(10, 10 + copies))


def test_rows_that_are_exactly_as_near_come_in_row_order() -> None:
    # entries of a half: all cosines are exact multiples of a quarter
    vectors = np.zeros((5, 4), np.float32)
    vectors[:] = [[0.5, 0.5, 0.5, 0.5]] * 5
    vectors[3] = [0.5, 0.5, -0.5, -0.5]
    assert nearest(vectors, 4).indices.tolist() == [
        [1, 2, 4, 3], [0, 2, 4, 3], [0, 1, 4, 3], [0, 1, 2, 4], [0, 1, 2, 3],
    ]  # fmt: skip


@pytest.mark.parametrize("n", [0, 1])
def test_without_other_rows_there_are_no_neighbours_and_no_edges(n: int) -> None:
    found = nearest(random_unit(2)[:n], 20)
    assert found.indices.shape == found.similarities.shape == (n, 0)
    assert similarity_of(found).nnz == 0


def mutual_and_best(vectors: Floats, k: int) -> set[frozenset[int]]:
    """Return the edges that the method asks for, by sets."""
    rows = [[j for _, j in row] for row in double_loop(vectors, k)]
    edges = {frozenset((i, j)) for i, row in enumerate(rows) for j in row if i in rows[j]}
    alone = [i for i in range(len(rows)) if not any(i in edge for edge in edges)]
    return edges | {frozenset((i, rows[i][0])) for i in alone}


@settings(deadline=None, max_examples=40)
@given(n=st.integers(2, 60), k=st.integers(1, 8), seed=st.integers(0, 10_000))
def test_edges_are_mutual_neighbours_and_the_best_of_each_isolate(n: int, k: int, seed: int):
    vectors = random_unit(n, 6, seed=seed)
    found = similarity_of(nearest(vectors, k)).toarray()
    edges = {frozenset((int(i), int(j))) for i, j in np.argwhere(found)}
    assert edges == mutual_and_best(vectors, min(k, n - 1))
    assert (found == found.T).all()
    assert (found.sum(axis=1) > 0).all()
    assert found.max() <= 1


def test_weights_rise_from_the_fifth_percentile_of_the_cosines_to_one() -> None:
    neighbors = nearest(random_unit(80), 10)
    dense = graph.similarity_graph(neighbors.indices, neighbors.similarities).toarray()
    low = np.percentile(neighbors.similarities, 5)
    for i, j in np.argwhere(dense):
        at = np.flatnonzero(neighbors.indices[i] == j)
        if len(at):
            cosine = float(neighbors.similarities[i, at[0]])
            assert dense[i, j] == pytest.approx(max((cosine - low) / (1 - low), 1e-6), abs=1e-5)


def test_a_pool_of_equal_questions_has_full_weights_and_one_domain() -> None:
    neighbors = nearest(np.tile(random_unit(1), (50, 1)), 5)
    similarity = graph.similarity_graph(neighbors.indices, neighbors.similarities)
    assert (np.diff(similarity.indptr) > 0).all()
    np.testing.assert_allclose(similarity.data, 1, atol=1e-3)
    assert set(graph.find_domains(similarity, 1, seed=0)) == {0}
    assert set(groups_of(neighbors, 0.95)) == {0}


@pytest.fixture(scope="module")
def planted() -> tuple[Floats, npt.NDArray[np.int64], csr_array]:
    vectors, truth = plant(30, 40)
    return vectors, truth, similarity_of(nearest(vectors, 20))


def test_planted_domains_are_found(planted) -> None:
    _, truth, similarity = planted
    domains = graph.find_domains(similarity, 30, seed=0)
    assert adjusted_rand_score(truth, domains) >= 0.9
    assert 27 <= domains.max() + 1 <= 33


def test_every_row_has_a_domain_and_the_largest_domain_comes_first(planted) -> None:
    _, _, similarity = planted
    domains = graph.find_domains(similarity, 30, seed=0)
    sizes = np.bincount(domains)
    assert len(domains) == 1200 and (domains >= 0).all() and (sizes > 0).all()
    first = [int(np.flatnonzero(domains == d)[0]) for d in range(len(sizes))]
    assert [(-s, f) for s, f in zip(sizes, first, strict=True)] == sorted(
        (-s, f) for s, f in zip(sizes, first, strict=True)
    )


@pytest.mark.parametrize("wanted", [4, 8, 16, 32])
def test_the_number_of_domains_is_close_to_the_one_asked_for(wanted: int) -> None:
    # no clusters at all: any number of domains can be cut from an even cloud
    similarity = similarity_of(nearest(random_unit(1000, 8), 20))
    domains = graph.find_domains(similarity, wanted, seed=0)
    sizes = np.bincount(domains)
    assert 0.7 * wanted <= len(sizes) <= 1.3 * wanted
    assert sizes.min() >= 1000 // (4 * wanted)


def test_another_process_finds_the_same_domains(planted) -> None:
    _, _, similarity = planted
    here = graph.find_domains(similarity, 30, seed=7)
    code = """
        import sys
        sys.path.insert(0, "tests")
        from test_graph import plant, similarity_of
        from rbic_hf import graph
        from rbic_hf.neighbors import nearest
        similarity = similarity_of(nearest(plant(30, 40)[0], 20))
        print(graph.find_domains(similarity, 30, seed=7).tolist())
    """
    there = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True
    )
    assert there.stdout.strip() == str(here.tolist())


@pytest.mark.parametrize("wanted", [1, 2, 3])
@pytest.mark.parametrize("n", [1, 2, 3])
def test_tiny_pools_have_domains_scores_and_groups(n: int, wanted: int) -> None:
    neighbors = nearest(random_unit(n), 20)
    similarity = graph.similarity_graph(neighbors.indices, neighbors.similarities)
    domains = graph.find_domains(similarity, min(wanted, n), seed=0)
    assert len(domains) == n and sorted(set(domains)) == list(range(domains.max() + 1))
    assert (graph.core_scores(similarity, domains) > 0).all()
    assert groups_of(neighbors, 0.95).tolist() == list(range(n))


def test_separate_islands_that_are_too_small_join_the_largest_domain() -> None:
    # a ring of 8 rows, and a pair that touches nothing else
    ring = [(i, (i + 1) % 8) for i in range(8)]
    edges = [*ring, (8, 9)]
    dense = np.zeros((10, 10))
    for i, j in edges:
        dense[i, j] = dense[j, i] = 1
    merged = graph._merge_small(csr_array(dense), np.array([0] * 8 + [1] * 2, np.int32), 3)
    assert set(merged) == {0}


def test_a_small_domain_joins_the_large_one_that_it_shares_most_weight_with() -> None:
    dense = np.zeros((9, 9))
    for members in ([0, 1, 2, 3], [4, 5, 6, 7]):
        dense[np.ix_(members, members)] = 1
    dense[8, 0] = dense[0, 8] = 0.3
    dense[8, 1] = dense[1, 8] = 0.3  # .6 in all to the first, .5 to the second
    dense[8, 4] = dense[4, 8] = 0.5
    np.fill_diagonal(dense, 0)
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 1, 2], np.int32)
    assert graph._merge_small(csr_array(dense), labels, 2).tolist() == [0] * 4 + [1] * 4 + [0]


@pytest.mark.parametrize(
    ("num_rows", "expected"), [(1, 1), (2, 1), (400, 10), (10_000, 50), (10**6, 200)]
)
def test_the_default_number_of_domains_grows_with_the_root_of_the_rows(num_rows, expected) -> None:
    assert graph.default_num_domains(num_rows) == expected


def test_a_hub_has_the_highest_core_score_of_its_domain() -> None:
    star = np.zeros((6, 6))
    star[0, 1:5] = star[1:5, 0] = 0.5
    star[4, 5] = star[5, 4] = 0.9  # to another domain: does not count
    scores = graph.core_scores(csr_array(star), np.array([0, 0, 0, 0, 0, 1], np.int32))
    np.testing.assert_allclose(scores, [1, 0.5, 0.5, 0.5, 0.5, 1])


def test_core_scores_are_percentiles_inside_each_domain(planted) -> None:
    _, truth, similarity = planted
    domains = truth.astype(np.int32)
    scores = graph.core_scores(similarity, domains)
    assert ((scores > 0) & (scores <= 1)).all()
    for domain in range(30):
        assert scores[domains == domain].mean() == pytest.approx(41 / 80)


def neighbors_of(pairs: dict[tuple[int, int], float], n: int) -> Neighbors:
    dense = np.full((n, n), 0.1, np.float32)
    for (i, j), cosine in pairs.items():
        dense[i, j] = dense[j, i] = cosine
    indices = np.array([[j for j in range(n) if j != i] for i in range(n)], np.int32)
    return Neighbors(indices, np.take_along_axis(dense, indices, axis=1))


def test_duplicates_of_duplicates_are_one_group_numbered_by_first_row() -> None:
    chain = {(1, 4): 0.96, (4, 3): 0.97, (2, 5): 0.99, (0, 2): 0.94}
    groups = groups_of(neighbors_of(chain, 6), 0.95)
    assert groups.tolist() == [0, 1, 2, 1, 1, 2]


def test_a_threshold_of_one_finds_exact_copies_despite_rounding() -> None:
    vectors = random_unit(300, 384)
    vectors[150:] = vectors[:150]
    groups = groups_of(nearest(vectors, 5), 1.0)
    assert groups.tolist() == list(range(150)) * 2


def test_more_copies_than_neighbours_are_still_one_group() -> None:
    vectors = random_unit(100)
    vectors[20:80] = vectors[20]
    groups = groups_of(nearest(vectors, 5), 0.95)
    assert len(set(groups[20:80])) == 1
    assert len(set(groups)) == 41


def test_rows_on_the_wrong_side_settle_where_their_vectors_and_neighbours_are(planted) -> None:
    vectors, truth, _ = planted
    moved = truth.astype(np.int32).copy()
    wrong = np.random.default_rng(0).permutation(len(moved))[:120]
    moved[wrong] = (moved[wrong] + 1) % 30
    settled = graph.settle_domains(moved, vectors, nearest(vectors, 20).indices)
    assert adjusted_rand_score(truth, settled) > adjusted_rand_score(truth, moved) + 0.1
    assert sorted(set(settled)) == list(range(settled.max() + 1))
    sizes = np.bincount(settled)
    assert (np.diff(sizes) <= 0).all()


def test_one_row_settles_in_its_domain() -> None:
    alone, nobody = random_unit(2)[:1], np.zeros((1, 0), np.int32)
    assert graph.settle_domains(np.zeros(1, np.int32), alone, nobody).tolist() == [0]


def test_islands_that_are_too_small_join_their_likes_and_not_all_one_domain() -> None:
    # 60 islands of 12 rows around 6 topics; no edge leaves an island
    rng = np.random.default_rng(0)
    topic = np.repeat(np.arange(60) % 6, 12)
    centres = rng.standard_normal((6, 48))
    islands = centres[np.arange(60) % 6] + 0.5 * rng.standard_normal((60, 48))
    vectors = unit(np.repeat(islands, 12, axis=0) + 0.05 * rng.standard_normal((720, 48)))
    similarity = similarity_of(nearest(vectors, 8))
    domains = graph.find_domains(similarity, 6, seed=0, vectors=vectors)
    assert 3 <= domains.max() + 1 <= 20
    assert np.bincount(domains).min() >= 24
    for domain in range(domains.max() + 1):
        counts = np.bincount(topic[domains == domain])
        assert counts.max() >= 0.9 * counts.sum()
