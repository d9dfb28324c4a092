"""Each baseline's order against a table or a slow re-implementation, and what all promise."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rbic_hf import baselines
from rbic_hf.baselines import (
    Floats,
    Rows,
    centroid_order,
    ifd_order,
    k_center_order,
    longest_first,
    random_order,
    shortest_first,
    top_first,
)

NAN = math.nan


def unit(n: int, dim: int = 8, *, seed: int = 0, copies: int = 1) -> Floats:
    """Return unit vectors, each of them `copies` times."""
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((-(-n // copies), dim)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.tile(vectors, (copies, 1))[:n]


def on_circle(*degrees: float) -> Floats:
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


@pytest.fixture(params=[(baselines.POOL, baselines.BLOCK), (3, 2), (1, 1)])
def blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give small pools as many refreshes and blocks as large ones have."""
    monkeypatch.setattr(baselines, "POOL", request.param[0])
    monkeypatch.setattr(baselines, "BLOCK", request.param[1])


@pytest.mark.parametrize(
    ("values", "highest", "lowest"),
    [
        ([], [], []),
        ([5], [0], [0]),
        ([1, 3, 2], [1, 2, 0], [0, 2, 1]),
        ([2, 7, 2, 7], [1, 3, 0, 2], [0, 2, 1, 3]),
        ([0, 10**15, 10**15 + 1], [2, 1, 0], [0, 1, 2]),
    ],
)
def test_rows_by_length_and_by_score_with_ties_by_row_number(values, highest, lowest) -> None:
    assert longest_first(np.array(values, np.int64)).tolist() == highest
    assert top_first(np.array(values, np.float64)).tolist() == highest
    assert shortest_first(np.array(values, np.int64)).tolist() == lowest


def test_a_row_without_a_score_comes_last() -> None:
    assert top_first(np.array([NAN, 0.2, -np.inf, NAN, 0.9])).tolist() == [4, 1, 2, 0, 3]


@pytest.mark.parametrize(
    ("ifd", "order"),
    [
        ([0.2, 0.9, 0.5], [1, 2, 0]),
        ([1.5, 0.3, 1.0, 0.999], [3, 1, 2, 0]),
        ([NAN, 2.0, 0.1, NAN, 1.1], [2, 4, 1, 0, 3]),
        ([0.4, 3.0, 0.4, 3.0], [0, 2, 1, 3]),
        ([np.inf, 0.0, NAN], [1, 0, 2]),
        ([], []),
    ],
)
def test_ifd_takes_hard_rows_then_misaligned_ones_then_unknown_ones(ifd, order) -> None:
    assert ifd_order(np.array(ifd, np.float64)).tolist() == order


def test_a_seed_shuffles_in_one_way_and_another_seed_in_another() -> None:
    first, again, other = (random_order(50, seed=s).tolist() for s in (1, 1, 2))
    assert first == again != other
    assert first != sorted(first)


def test_random_rows_come_from_the_whole_pool() -> None:
    kept = np.concatenate([random_order(100, seed=s)[:10] for s in range(300)])
    counts = np.bincount(kept, minlength=100)  # 30 of each are expected, give or take 5
    assert 8 < counts.min() <= counts.max() < 60


def naive_k_center(vectors: Floats, num_picks: int) -> list[int]:
    """Return the traversal and the rest by a double loop over Euclidean distances."""
    mean = vectors.astype(float).mean(axis=0)

    def apart(a: Floats, b: Floats) -> float:
        return math.dist(a.tolist(), b.tolist())

    rows = range(len(vectors))
    picks = [min(rows, key=lambda i: (apart(vectors[i], mean), i))]

    def farthest_first(i: int) -> tuple[float, int]:
        return (-min(apart(vectors[i], vectors[j]) for j in picks), i)

    while len(picks) < num_picks:
        picks.append(min((i for i in rows if i not in picks), key=farthest_first))
    return picks + sorted((i for i in rows if i not in picks), key=farthest_first)


@pytest.mark.usefixtures("blocks")
@pytest.mark.parametrize("num_picks", [1, 2, 11, 30])
@pytest.mark.parametrize("seed", range(4))
def test_k_center_agrees_with_a_double_loop(seed: int, num_picks: int) -> None:
    vectors = unit(30, seed=seed)
    assert k_center_order(vectors, num_picks).tolist() == naive_k_center(vectors, num_picks)


@pytest.mark.usefixtures("blocks")
@pytest.mark.parametrize("seed", range(4))
def test_k_center_of_copies_agrees_with_a_double_loop_over_the_questions(seed: int) -> None:
    order = k_center_order(unit(30, seed=seed, copies=3), 10)
    assert (order[:10] % 10).tolist() == naive_k_center(unit(10, seed=seed), 10)
    assert order[10:].tolist() == sorted(order[10:].tolist())


def test_k_center_starts_in_the_middle_and_goes_to_the_ends() -> None:
    circle = on_circle(0, 80, 41, 20, 70)  # their mean is at about 42 degrees
    assert k_center_order(circle, 3).tolist() == [2, 0, 1, 3, 4]


def test_picks_beyond_the_number_of_questions_are_copies_by_row_number() -> None:
    order = k_center_order(unit(40, copies=4), 33)
    assert sorted((order[:10] % 10).tolist()) == list(range(10))
    assert order[10:].tolist() == sorted(order[10:].tolist())


@pytest.mark.usefixtures("blocks")
def test_k_center_covers_every_row_within_the_distance_of_its_next_pick() -> None:
    vectors = unit(600, 5, seed=1)
    order = k_center_order(vectors, 60)
    nearest = (vectors @ vectors[order[:59]].T).max(axis=1)
    assert nearest.min() == pytest.approx(nearest[order[59]], abs=1e-5)
    rest = (vectors[order[60:]] @ vectors[order[:60]].T).max(axis=1)
    assert (np.diff(rest) > -1e-5).all()


def test_k_center_says_how_long_it_takes_when_it_takes_long(monkeypatch, capsys) -> None:
    k_center_order(unit(50), 20)
    assert capsys.readouterr().err == ""
    original = baselines.tqdm

    def at_once(**options: object) -> object:
        return original(**(options | {"delay": 0}))

    monkeypatch.setattr(baselines, "tqdm", at_once)
    k_center_order(unit(50), 20)
    assert "20/20" in capsys.readouterr().err


def test_prototypes_of_the_largest_cluster_first_and_every_cluster_once_a_round() -> None:
    # three bundles far apart; inside each, the middle row is nearest to its centroid
    circle = on_circle(200, 202, 206, 0, 10, 14, 24, 34, 100)
    order = centroid_order(circle, 3, seed=0).tolist()
    bundle = [0] * 3 + [1] * 5 + [2]
    assert [bundle[row] for row in order] == [1, 0, 2, 1, 0, 1, 0, 1, 1]
    assert [row for row in order if bundle[row] == 0] == [1, 0, 2]


def test_prototypes_follow_their_own_centroid() -> None:
    vectors = unit(200, seed=4)
    cluster, nearness = baselines._clusters(vectors, 7, 0)
    order = centroid_order(vectors, 7, seed=0)
    for c in range(7):
        own = [row for row in order.tolist() if cluster[row] == c]
        assert own == sorted(own, key=lambda row: (-nearness[row], row))
        middle = vectors[own].mean(axis=0)
        assert (vectors[own] @ middle).argmax() == 0 or nearness[own[0]] > 0.5
    sizes = np.bincount(cluster)
    assert [sizes[cluster[row]] for row in order[:7]] == sorted(sizes.tolist(), reverse=True)


def test_k_means_of_a_seed_is_always_the_same_even_a_large_seed() -> None:
    vectors = unit(300, seed=2)
    first, again = (centroid_order(vectors, 9, seed=2**63 - 1).tolist() for _ in range(2))
    assert first == again
    others = [centroid_order(vectors, 9, seed=s).tolist() for s in range(3)]
    assert any(other != first for other in others)


@pytest.mark.parametrize("order", [k_center_order, lambda v, k: centroid_order(v, k, seed=0)])
@pytest.mark.parametrize("wanted", [0, 1, 2, 99])
@pytest.mark.parametrize("n", [0, 1, 2, 5])
def test_tiny_and_equal_pools_are_ordered_too(order, n: int, wanted: int) -> None:
    assert sorted(order(unit(n), wanted).tolist()) == list(range(n))
    assert sorted(order(unit(n, copies=max(n, 1)), wanted).tolist()) == list(range(n))


ORDERS: dict[str, Callable[[Floats], Rows]] = {
    "random": lambda v: random_order(len(v), seed=1),
    "longest": lambda v: longest_first((v[:, 0] * 9).astype(np.int64)),
    "shortest": lambda v: shortest_first((v[:, 0] * 9).astype(np.int64)),
    "top": lambda v: top_first(v[:, 1]),
    "ifd": lambda v: ifd_order(v[:, 1] + 0.8),
    "k-center": lambda v: k_center_order(v, max(len(v) // 3, 1)),
    "centroid": lambda v: centroid_order(v, max(len(v) // 5, 1), seed=0),
}


@pytest.mark.parametrize("name", ORDERS)
@settings(deadline=None, max_examples=25)
@given(n=st.integers(0, 90), seed=st.integers(0, 999), copies=st.integers(1, 4))
def test_every_order_names_every_row_once(name: str, n: int, seed: int, copies: int) -> None:
    order = ORDERS[name](unit(n, seed=seed, copies=copies))
    assert order.dtype == np.int64
    assert sorted(order.tolist()) == list(range(n))


@pytest.mark.parametrize("name", ["top", "ifd", "k-center"])
@settings(deadline=None, max_examples=25)
@given(n=st.integers(1, 90), seed=st.integers(0, 999))
def test_shuffled_rows_are_picked_in_the_same_order(name: str, n: int, seed: int) -> None:
    vectors = unit(n, seed=seed)
    shuffle = np.random.default_rng(seed + 1).permutation(n)
    assert shuffle[ORDERS[name](vectors[shuffle])].tolist() == ORDERS[name](vectors).tolist()


@settings(deadline=None, max_examples=25)
@given(n=st.integers(1, 90), seed=st.integers(0, 999), few=st.integers(1, 90))
def test_fewer_picks_of_k_center_are_a_prefix_of_more(n: int, seed: int, few: int) -> None:
    vectors = unit(n, seed=seed)
    few = min(few, n)
    assert k_center_order(vectors, few)[:few].tolist() == k_center_order(vectors, n)[:few].tolist()


def test_vectors_are_not_changed() -> None:
    vectors = unit(60)
    before = vectors.copy()
    vectors.flags.writeable = False
    k_center_order(vectors, 10)
    centroid_order(vectors, 5, seed=0)
    np.testing.assert_array_equal(vectors, before)
