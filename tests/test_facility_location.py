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
from rbic_hf.facility_location import coverage, greedy_order


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


def whole(n: int) -> npt.NDArray[np.int64]:
    return np.array([0, n])


@settings(deadline=None, max_examples=25)
@given(n=st.integers(1, 9), seed=st.integers(0, 9999), size=st.integers(1, 4))
def test_the_greedy_loses_little_against_the_best_of_all_subsets(n, seed, size) -> None:
    size = min(size, n)
    rng = np.random.default_rng(seed)
    graph, weight, bonus = random_graph(n, seed), rng.random(n) + 0.05, 0.5 * rng.random(n)
    picked = greedy_order(graph, weight, bonus, whole(n))[:size]
    best = max(value(graph, weight, bonus, s) for s in combinations(range(n), size))
    assert value(graph, weight, bonus, picked) >= (1 - 1 / np.e) * best - 1e-9


def test_on_average_the_greedy_is_within_two_percent_of_the_best() -> None:
    ratios = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        graph, weight, bonus = random_graph(9, seed), rng.random(9) + 0.05, 0.5 * rng.random(9)
        picked = greedy_order(graph, weight, bonus, whole(9))[:3]
        best = max(value(graph, weight, bonus, s) for s in combinations(range(9), 3))
        ratios.append(value(graph, weight, bonus, picked) / best)
    assert min(ratios) > 0.9 and np.mean(ratios) > 0.98


@settings(deadline=None, max_examples=40)
@given(n=st.integers(1, 40), seed=st.integers(0, 9999), num_blocks=st.integers(1, 4))
def test_every_pick_has_the_largest_gain_left_in_its_block(n, seed, num_blocks) -> None:
    rng = np.random.default_rng(seed)
    starts = np.unique(np.append(rng.integers(1, n + 1, num_blocks - 1), [0, n]))
    block = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    dense = random_graph(n, seed).toarray() * (block[:, None] == block[None, :])
    weight, bonus = rng.random(n) + 0.05, 0.5 * rng.random(n)
    order = greedy_order(csr_array(dense), weight, bonus, starts)
    for b in range(len(starts) - 1):
        rows = np.arange(starts[b], starts[b + 1])
        picks = order[starts[b] : starts[b + 1]]
        assert sorted(picks.tolist()) == rows.tolist()
        part, own = csr_array(dense[np.ix_(rows, rows)]), (weight[rows], bonus[rows])
        for count in range(len(rows)):
            chosen = (picks[:count] - starts[b]).tolist()
            left = [j for j in range(len(rows)) if j not in chosen]
            after = [value(part, *own, [*chosen, j]) for j in left]
            assert after[left.index(int(picks[count] - starts[b]))] >= max(after) - 1e-9


def test_equal_rows_are_picked_in_row_order() -> None:
    ones = np.ones(6)
    order = greedy_order(csr_array((6, 6)), ones, 0 * ones, np.array([0, 4, 6]))
    assert order.tolist() == [0, 1, 2, 3, 4, 5]


def test_compiled_and_plain_loops_pick_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    graph, weight, bonus = random_graph(300, 0, 0.05), rng.random(300) + 0.1, rng.random(300)
    plain = greedy_order(graph, weight, bonus, whole(300))
    monkeypatch.setattr(facility_location, "WORTH_COMPILING", 0)
    assert greedy_order(graph, weight, bonus, whole(300)).tolist() == plain.tolist()


def test_no_rows_have_no_order() -> None:
    assert len(greedy_order(csr_array((0, 0)), np.zeros(0), np.zeros(0), whole(0))) == 0


def test_coverage_is_the_mean_similarity_to_the_nearest_pick() -> None:
    graph = csr_array(np.array([[0, 0.5, 0.0], [0.5, 0, 0.2], [0.0, 0.2, 0]]))
    assert coverage(graph, np.array([0])) == pytest.approx((1 + 0.5 + 0) / 3)
    assert coverage(graph, np.array([0, 2])) == pytest.approx((1 + 0.5 + 1) / 3)
