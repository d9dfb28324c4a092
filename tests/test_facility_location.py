"""Lazy greedy facility location against the definition, and against the best of all subsets."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from rbic_hf import facility_location
from rbic_hf.facility_location import by_coverage, coverage
from rbic_hf.facility_location import greedy_order as greedy_in_turns


def random_graph(n: int, seed: int, density: float = 0.4) -> csr_array:
    rng = np.random.default_rng(seed)
    dense = np.triu(rng.random((n, n)) * (rng.random((n, n)) < density), 1)
    return csr_array(dense + dense.T)


def value(graph: csr_array, weight, bonus, chosen) -> float:
    """Return the objective by its definition."""
    dense = graph.toarray()
    np.fill_diagonal(dense, 1)
    scale = max(weight @ dense[:, j] for j in range(len(weight)))
    covered = weight @ dense[:, list(chosen)].max(axis=1) if len(chosen) else 0.0
    return float(covered / scale + sum(bonus[j] for j in chosen))


def greedy_order(graph: csr_array, weight, bonus) -> npt.NDArray[np.int64]:
    """Return the order of one cell."""
    n = graph.shape[0]
    return greedy_in_turns(graph, weight, bonus, np.array([0, n]), np.ones(n), np.ones(1))


@settings(deadline=None, max_examples=25)
@given(n=st.integers(1, 9), seed=st.integers(0, 9999), size=st.integers(1, 4))
def test_the_greedy_loses_little_against_the_best_of_all_subsets(n, seed, size) -> None:
    size = min(size, n)
    rng = np.random.default_rng(seed)
    graph, weight, bonus = random_graph(n, seed), rng.random(n) + 0.05, 0.5 * rng.random(n)
    picked = greedy_order(graph, weight, bonus)[:size]
    best = max(value(graph, weight, bonus, s) for s in combinations(range(n), size))
    assert value(graph, weight, bonus, picked) >= (1 - 1 / np.e) * best - 1e-9


def test_on_average_the_greedy_is_within_two_percent_of_the_best() -> None:
    ratios = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        graph, weight, bonus = random_graph(9, seed), rng.random(9) + 0.05, 0.5 * rng.random(9)
        picked = greedy_order(graph, weight, bonus)[:3]
        best = max(value(graph, weight, bonus, s) for s in combinations(range(9), 3))
        ratios.append(value(graph, weight, bonus, picked) / best)
    assert min(ratios) > 0.9 and np.mean(ratios) > 0.98


@settings(deadline=None, max_examples=40)
@given(n=st.integers(1, 40), seed=st.integers(0, 9999), num_cells=st.integers(1, 4))
def test_cells_take_turns_and_pick_the_largest_gain_that_is_left(n, seed, num_cells) -> None:
    rng = np.random.default_rng(seed)
    starts = np.unique(np.append(rng.integers(1, n + 1, num_cells - 1), [0, n]))
    cell = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    graph, weight, bonus = random_graph(n, seed), rng.random(n) + 0.05, 0.5 * rng.random(n)
    cost, share = rng.random(n) + 0.1, rng.random(len(starts) - 1) + 0.1
    dense = graph.toarray()
    np.fill_diagonal(dense, 1)
    alone = dense @ weight
    scale = np.array([alone[cell == c].max() for c in range(len(share))])[cell]
    spent, covered = np.zeros(len(share)), np.zeros(n)
    left = np.ones(n, bool)
    for row in greedy_in_turns(graph, weight, bonus, starts, cost, share).tolist():
        waiting = [c for c in range(len(share)) if left[cell == c].any()]
        assert cell[row] == min(waiting, key=lambda c: (spent[c] / share[c], c))
        gain = (np.maximum(dense - covered, 0) @ weight) / scale + bonus
        assert gain[row] >= gain[left & (cell == cell[row])].max() - 1e-9
        left[row] = False
        spent[cell[row]] += cost[row]
        covered = np.maximum(covered, dense[row])
    assert not left.any()


def test_equal_rows_are_picked_in_row_order() -> None:
    assert by_coverage(csr_array((6, 6))).tolist() == [0, 1, 2, 3, 4, 5]


def test_compiled_and_plain_loops_pick_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    graph, weight, bonus = random_graph(300, 0, 0.05), rng.random(300) + 0.1, rng.random(300)
    plain = greedy_order(graph, weight, bonus)
    monkeypatch.setattr(facility_location, "WORTH_COMPILING", 0)
    assert greedy_order(graph, weight, bonus).tolist() == plain.tolist()


def test_no_rows_have_no_order() -> None:
    assert len(greedy_order(csr_array((0, 0)), np.zeros(0), np.zeros(0))) == 0


def test_coverage_is_the_mean_similarity_to_the_nearest_pick() -> None:
    graph = csr_array(np.array([[0, 0.5, 0.0], [0.5, 0, 0.2], [0.0, 0.2, 0]]))
    assert coverage(graph, np.array([0])) == pytest.approx((1 + 0.5 + 0) / 3)
    assert coverage(graph, np.array([0, 2])) == pytest.approx((1 + 0.5 + 1) / 3)
