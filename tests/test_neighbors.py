"""Approximate and blocked neighbours against comparing all pairs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from rbic_hf import neighbors, partitions

Floats = npt.NDArray[np.float32]


def overlapping(n: int, *, seed: int = 0, dim: int = 48, spread: float = 1.2) -> Floats:
    """Return unit vectors around centres; `spread` is how far the rows of each lie apart."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((40, dim))
    rows = centres[rng.integers(0, 40, n)] + spread * rng.standard_normal((n, dim))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def true_neighbors(vectors: Floats, k: int) -> npt.NDArray[np.int64]:
    products = vectors.astype(np.float64) @ vectors.T.astype(np.float64)
    return np.argsort(-products, axis=1, kind="stable")[:, :k]


def share_found(found: npt.NDArray[np.int32], truth: npt.NDArray[np.int64]) -> float:
    hits = [len(set(a) & set(b)) for a, b in zip(found.tolist(), truth.tolist(), strict=True)]
    return sum(hits) / truth.size


@pytest.fixture(scope="module")
def searched() -> tuple[Floats, npt.NDArray[np.int32], Floats, float]:
    vectors = overlapping(6000)
    return vectors, *partitions.search(vectors, 21, seed=0)


def test_partitions_find_the_share_that_is_wanted_and_say_so(searched) -> None:
    vectors, found, _, recall = searched
    actual = share_found(found, true_neighbors(vectors, 21))
    assert actual >= partitions.WANTED_RECALL - 0.015
    assert recall == pytest.approx(actual, abs=0.015)


def test_a_lower_recall_is_met_as_well_with_less_to_compare() -> None:
    vectors = overlapping(4000, seed=1, spread=4.0)
    found, _, recall = partitions.search(vectors, 21, seed=0, wanted_recall=0.7)
    actual = share_found(found, true_neighbors(vectors, 21))
    assert 0.66 <= actual <= 0.9
    assert recall == pytest.approx(actual, abs=0.03)


def test_what_partitions_name_comes_with_its_cosine_nearest_first(searched) -> None:
    vectors, found, cosines, _ = searched
    named = np.einsum("nd,nkd->nk", vectors, vectors[found])
    np.testing.assert_allclose(cosines, named, atol=1e-5)
    assert (np.diff(cosines, axis=1) <= 0).all()
    assert all(len(set(row)) == 21 for row in found.tolist())
    assert (found[:, 0] == np.arange(len(vectors))).mean() > 0.999


def test_two_searches_find_the_same(searched) -> None:
    vectors, found, cosines, recall = searched
    again = partitions.search(vectors, 21, seed=0)
    assert (again[0] == found).all() and (again[1] == cosines).all() and again[2] == recall


def test_every_list_asked_is_an_exhaustive_search() -> None:
    vectors = overlapping(1500)
    found, _, recall = partitions.search(vectors, 5, seed=0, wanted_recall=1.0)
    assert share_found(found, true_neighbors(vectors, 5)) >= 0.998
    assert recall >= 0.998


def test_copies_by_the_hundred_are_found(searched) -> None:
    vectors = overlapping(3000)
    vectors[100:400] = vectors[100]
    found, cosines, _ = partitions.search(vectors, 21, seed=0)
    np.testing.assert_allclose(cosines[100:400], 1, atol=1e-5)
    assert ((found[100:400] >= 100) & (found[100:400] < 400)).all()


def test_islands_of_fewer_rows_than_neighbours_are_left_for_the_next_island() -> None:
    rng = np.random.default_rng(0)
    centres = 20 * rng.standard_normal((500, 24))
    rows = np.repeat(centres, 6, axis=0) + 0.1 * rng.standard_normal((3000, 24))
    vectors = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    found, cosines, recall = partitions.search(vectors, 21, seed=0)
    assert (found >= 0).all() and np.isfinite(cosines).all() and recall > 0.9
    assert all(len(set(row)) == 21 for row in found.tolist())
    island = np.arange(3000) // 6
    assert (island[found[:, :6]] == island[:, None]).mean() > 0.99


def test_above_the_exact_size_neighbours_are_sorted_and_without_the_row_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(neighbors, "EXACT_ROWS", 1000)
    vectors = overlapping(2500)
    found = neighbors.nearest(vectors, 20)
    assert found.indices.shape == (2500, 20) and 0.9 < found.recall <= 1
    assert not (found.indices == np.arange(2500)[:, None]).any()
    assert (np.diff(found.similarities, axis=1) <= 0).all()
    assert share_found(found.indices, true_neighbors(vectors, 21)[:, 1:]) > 0.95


@pytest.mark.parametrize("block", [64, 100, 4096])
def test_blocks_on_a_device_find_what_comparing_all_pairs_finds(block: int) -> None:
    vectors = overlapping(700)
    found, cosines = neighbors.on_device(vectors, 9, "cpu", block=block)
    exact = neighbors.nearest(vectors, 8)
    assert share_found(found, true_neighbors(vectors, 9)) > 0.999
    np.testing.assert_allclose(cosines[:, 1:], exact.similarities, atol=1e-5)


def test_lists_that_are_needed_are_read_off_where_true_neighbours_lie() -> None:
    # two rows, three lists: neighbours lie in the nearest list (5 of 6) and in the third (1 of 6)
    similarity = np.array([[0.9, 0.5, 0.1], [0.2, 0.8, 0.3]], np.float32)
    truth_lists = np.array([[0, 0, 0], [1, 1, 0]], np.int32)
    assert partitions._lists_needed(similarity, truth_lists, 0.8) == 2  # one would do: the least
    assert partitions._lists_needed(similarity, truth_lists, 1.0) == 3


def test_compiled_and_plain_loops_keep_the_same_best() -> None:
    rng = np.random.default_rng(0)
    products = rng.standard_normal((30, 200)).astype(np.float32)
    rows, columns = np.arange(30), rng.permutation(5000)[:200]
    kept = []
    for keep in (partitions._keep_best, partitions._compiled()):
        found = np.full((30, 7), -1, np.int32)
        cosines = np.full((30, 7), -np.inf, np.float32)
        keep(products[:, :120], rows, columns[:120], found, cosines)
        keep(products[:, 120:], rows, columns[120:], found, cosines)
        kept.append((found, cosines))
    best = np.argsort(-products, axis=1)[:, :7]
    for found, cosines in kept:
        assert (found == columns[best]).all()
        assert (cosines == np.take_along_axis(products, best, axis=1)).all()


def test_a_list_of_thousands_of_copies_is_multiplied_in_pieces(monkeypatch) -> None:
    vectors = overlapping(2500)
    vectors[:1200] = vectors[0]
    whole = partitions.search(vectors, 21, seed=0)
    monkeypatch.setattr(partitions, "MOST_PRODUCTS", 5000)
    pieces = partitions.search(vectors, 21, seed=0)
    np.testing.assert_allclose(pieces[1], whole[1], atol=1e-5)
    assert pieces[2] == pytest.approx(whole[2], abs=0.01)


def test_among_equal_rows_any_of_them_is_found() -> None:
    vectors = np.repeat(overlapping(50), 60, axis=0)
    _, cosines, recall = partitions.search(vectors, 21, seed=0)
    np.testing.assert_allclose(cosines, 1, atol=1e-5)
    assert recall == 1


def test_partitions_never_say_that_they_are_exact(monkeypatch) -> None:
    monkeypatch.setattr(neighbors, "EXACT_ROWS", 500)
    assert not neighbors.nearest(np.repeat(overlapping(50), 60, axis=0), 20).is_exact
    assert neighbors.nearest(overlapping(300), 20).is_exact
