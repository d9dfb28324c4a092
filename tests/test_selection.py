"""The pick order against a slow re-implementation, its promises, and the random twin."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array, random_array

from rbic_hf.selection import (
    Budgets,
    Candidates,
    length_bands,
    pick_order,
    prefix_length,
    random_twin,
)

EVEN = Budgets(
    alpha=0.75,
    tilt=0.0,
    tier_weight=(0.6, 1.0, 1.0, 1.0),
    capped_tier=3,
    cap=0.15,
    contribution_weight=0.5,
    max_per_group=1,
)
Rows = npt.NDArray[np.int64]


def pool(n: int, *, seed: int = 0, num_domains: int = 3, copies: float = 1.0) -> Candidates:
    """Return candidates; about `copies` rows share a duplicate group, their domain and no more."""
    rng = np.random.default_rng(seed)
    tokens = np.exp(rng.normal(5, 0.8, n)).round() + 5
    group = np.arange(n) if copies == 1 else rng.integers(0, max(1, int(n / copies)), n)
    group = np.unique(group, return_inverse=True)[1]
    mass = rng.dirichlet(np.full(4, 0.4), n)
    return Candidates(
        cost=tokens * (1 + tokens / 5000),
        num_tokens=tokens,
        domain=(group % num_domains).astype(np.int32),
        tier=mass.argmax(axis=1).astype(np.int32),
        tier_mass=mass,
        contribution=rng.random(n),
        group=group.astype(np.int32),
    )


def edges(n: int, *, seed: int = 0, density: float = 0.15) -> csr_array:
    half = random_array((n, n), density=density, rng=np.random.default_rng(seed)).toarray()
    dense = np.maximum(half, half.T)
    np.fill_diagonal(dense, 0)
    return csr_array(dense)


def cells_of(rows: Candidates) -> list[tuple[int, int, int]]:
    bands = length_bands(rows.num_tokens).tolist()
    return list(zip(rows.domain.tolist(), rows.tier.tolist(), bands, strict=True))


def members_of(rows: Candidates, allowed: Any) -> dict[tuple[int, int, int], list[int]]:
    members: dict[tuple[int, int, int], list[int]] = {}
    for row, cell in enumerate(cells_of(rows)):
        if row in allowed:
            members.setdefault(cell, []).append(row)
    return members


def naive_order(rows: Candidates, graph: csr_array, budgets: Budgets) -> list[int]:
    """Return the order by its definition: cells in turn, every gain computed anew; no cap."""
    sim = graph.toarray()
    np.fill_diagonal(sim, 1)
    cells, bands = cells_of(rows), length_bands(rows.num_tokens)
    members = members_of(rows, set(range(len(cells))))
    mean = [rows.num_tokens[bands == b].mean() if (bands == b).any() else 1 for b in range(3)]
    share = {}
    for cell in members:
        inside = [i for i in range(len(cells)) if (cells[i][0], cells[i][2]) == cell[::2]]
        mass = (rows.cost * rows.tier_mass[:, cell[1]])[inside].sum()
        mass = max(mass, *rows.cost[members[cell]])
        long = (mean[cell[2]] / rows.num_tokens.mean()) ** budgets.tilt
        share[cell] = mass**budgets.alpha * budgets.tier_weight[cell[1]] * long
    heavier = {c: sum(share[o] > share[c] for o in share if o[0] == c[0]) for c in share}
    turn = sorted(share, key=lambda c: (heavier[c], -share[c]))
    scale = {c: max(sim[i].sum() for i in members[c]) for c in share}
    spent, covered, order = dict.fromkeys(share, 0.0), np.zeros(len(cells)), []
    while any(members.values()):
        cell = min((c for c in turn if members[c]), key=lambda c: spent[c] / share[c])
        gains = {
            i: np.maximum(sim[i] - covered, 0).sum() / scale[cell]
            + budgets.contribution_weight * rows.contribution[i]
            for i in members[cell]
        }
        row = max(members[cell], key=lambda i: (round(gains[i], 10), -i))
        members[cell].remove(row)
        order.append(row)
        spent[cell] += float(rows.cost[row])
        covered = np.maximum(covered, sim[row])
    return order


@pytest.mark.parametrize("weight", [0.0, 0.5, 3.0])
@pytest.mark.parametrize("seed", range(4))
def test_the_order_is_that_of_a_slow_re_implementation(seed: int, weight: float) -> None:
    rows, graph = pool(150, seed=seed, num_domains=2), edges(150, seed=seed)
    budgets = replace(EVEN, capped_tier=None, contribution_weight=weight)
    assert pick_order(rows, graph, budgets).tolist() == naive_order(rows, graph, budgets)


def test_what_one_cell_covers_another_need_not() -> None:
    # rows 0 and 1 are alike and of two length bands; 2 and 3 are alone, as long as 1
    dense = np.zeros((4, 4))
    dense[0, 1] = dense[1, 0] = 0.95
    rows = replace(
        pool(4),
        cost=np.ones(4),
        num_tokens=np.array([1.0, 9, 9, 9]),
        domain=np.zeros(4, np.int32),
        tier=np.zeros(4, np.int32),
        tier_mass=np.ones((4, 1)),
        contribution=np.zeros(4),
    )
    budgets = replace(EVEN, alpha=0.0, tier_weight=(1.0,), capped_tier=None)
    order = pick_order(rows, csr_array(dense), budgets).tolist()
    assert 0 in order[:2] and order[-1] == 1


def test_greedy_covers_two_clusters_before_it_goes_deeper_into_one() -> None:
    # rows 0-2 are alike, rows 3-4 are alike; with one row of the first kept, the second is next
    dense = np.zeros((5, 5))
    dense[:3, :3] = dense[3:, 3:] = 0.9
    np.fill_diagonal(dense, 0)
    alike = replace(
        pool(5),
        cost=np.ones(5),
        num_tokens=np.ones(5),
        domain=np.zeros(5, np.int32),
        tier=np.zeros(5, np.int32),
        contribution=np.zeros(5),
    )
    assert pick_order(alike, csr_array(dense), EVEN).tolist()[:2] == [0, 3]


@settings(deadline=None, max_examples=60)
@given(
    n=st.integers(1, 80),
    seed=st.integers(0, 999),
    copies=st.sampled_from([1.0, 2.0, 9.0]),
    most=st.integers(1, 3),
    alpha=st.floats(0, 1),
    cap=st.floats(0, 1),
)
def test_the_order_is_every_allowed_row_once(n, seed, copies, most, alpha, cap) -> None:
    rows = pool(n, seed=seed, copies=copies)
    budgets = replace(EVEN, alpha=alpha, cap=cap, max_per_group=most)
    order = pick_order(rows, edges(n, seed=seed), budgets)
    best = np.lexsort((np.arange(n), -rows.contribution))
    allowed = {int(row) for g in set(rows.group) for row in best[rows.group[best] == g][:most]}
    assert sorted(order.tolist()) == sorted(allowed)
    assert np.bincount(rows.group[order]).max() <= most


@settings(deadline=None, max_examples=60)
@given(
    n=st.integers(1, 60),
    seed=st.integers(0, 999),
    shares=st.lists(st.floats(0.001, 1), min_size=2, max_size=6),
    unit=st.sampled_from(["cost", "tokens", "rows"]),
)
def test_smaller_budgets_are_prefixes_of_larger_ones_in_every_unit(n, seed, shares, unit) -> None:
    rows = pool(n, seed=seed)
    amounts = {"cost": rows.cost, "tokens": rows.num_tokens, "rows": np.ones(n)}[unit]
    order = pick_order(rows, edges(n, seed=seed), EVEN)
    spent = np.cumsum(amounts[order])
    kept = [prefix_length(amounts[order], share * amounts.sum()) for share in sorted(shares)]
    assert kept == sorted(kept)
    for length, share in zip(kept, sorted(shares), strict=True):
        budget = share * amounts.sum()
        assert length == 1 or spent[length - 1] <= budget * (1 + 1e-6)
        assert length == n or spent[length] > budget * (1 - 1e-6)


@pytest.mark.parametrize(
    ("budget", "kept"), [(0, 1), (0.5, 1), (1, 1), (2.9, 1), (3, 2), (5.9, 2), (6, 3), (99, 3)]
)
def test_a_prefix_is_what_the_budget_pays_for_and_at_least_one_row(budget: float, kept: int):
    assert prefix_length(np.array([1.0, 2.0, 3.0]), budget) == kept


def test_a_budget_of_everything_keeps_everything_despite_rounding() -> None:
    assert np.cumsum(np.full(3, 0.1))[-1] > 0.3
    assert prefix_length(np.full(3, 0.1), 0.3) == 3


@pytest.mark.parametrize("seed", range(3))
def test_the_first_picks_of_all_cells_come_first_each_domains_heaviest_ahead(seed: int) -> None:
    rows = pool(200, seed=seed)
    one_tier = replace(rows, tier=np.zeros(200, np.int32), tier_mass=np.ones((200, 1)))
    budgets = replace(EVEN, tier_weight=(1.0,), capped_tier=None)
    order = pick_order(one_tier, edges(200), budgets).tolist()
    cells = cells_of(one_tier)
    first = [cells[row] for row in order[: len(set(cells))]]
    assert len(set(first)) == len(first)
    mass = {c: sum(one_tier.cost[i] for i in range(200) if cells[i] == c) for c in first}
    turn = {c: sum(mass[o] > mass[c] for o in first if o[0] == c[0]) for c in first}
    assert first == sorted(first, key=lambda cell: (turn[cell], -mass[cell]))
    assert {cell[0] for cell in first[:3]} == {0, 1, 2}


def test_later_picks_come_when_their_cells_budget_covers_them() -> None:
    # two cells; alpha 1 and mass 40 against 10: four rows of the first to one of the second
    domain = np.repeat([0, 1], [40, 10]).astype(np.int32)
    rows = replace(
        pool(50),
        cost=np.ones(50),
        num_tokens=np.full(50, 9.0),
        domain=domain,
        tier=np.zeros(50, np.int32),
        tier_mass=np.ones((50, 1)),
    )
    budgets = replace(EVEN, alpha=1.0, tier_weight=(1.0,), capped_tier=None)
    order = pick_order(rows, csr_array((50, 50)), budgets)
    for length in range(5, 51, 5):
        assert abs((domain[order[:length]] == 0).sum() - 0.8 * length) <= 1


def spent(rows: Candidates, kept: Rows, where: npt.NDArray[np.bool_]) -> float:
    return float(rows.cost[kept[where[kept]]].sum() / rows.cost[kept].sum())


def prefix(rows: Candidates, ratio: float, **changes: Any) -> Rows:
    n = len(rows.cost)
    order = pick_order(rows, edges(n, density=0.02), replace(EVEN, **changes))
    return order[: prefix_length(rows.cost[order], ratio * float(rows.cost.sum()))]


def test_alpha_goes_from_equal_domains_to_domains_by_their_mass() -> None:
    sizes = np.repeat([0, 1, 2], [700, 200, 100]).astype(np.int32)
    rows = replace(pool(1000), domain=sizes, tier=np.zeros(1000, np.int32))
    rows = replace(rows, tier_mass=np.ones((1000, 1)))
    simple: dict[str, Any] = {"tier_weight": (1.0,), "capped_tier": None}
    for ratio in (0.1, 0.2):
        by_mass = prefix(rows, ratio, alpha=1.0, **simple)
        between = prefix(rows, ratio, alpha=0.75, **simple)
        equal = prefix(rows, ratio, alpha=0.0, **simple)
        large = [spent(rows, kept, sizes == 0) for kept in (by_mass, between, equal)]
        assert large[0] == pytest.approx(rows.cost[:700].sum() / rows.cost.sum(), abs=0.05)
        assert large[2] == pytest.approx(1 / 3, abs=0.05)
        assert large[0] > large[1] > large[2]


def test_tilt_favours_long_rows_above_zero_and_short_ones_below() -> None:
    rows = pool(1000)
    long = length_bands(rows.num_tokens) == 2
    shares = [spent(rows, prefix(rows, 0.2, tilt=tilt), long) for tilt in (-0.6, 0.0, 0.6)]
    assert shares[0] + 0.05 < shares[1] < shares[2] - 0.05


def test_easy_cells_get_their_weight_of_a_budget() -> None:
    rows = pool(1200, num_domains=1)
    half = np.arange(1200) % 2
    rows = replace(rows, tier=half.astype(np.int32), tier_mass=np.eye(2)[half])
    equal = prefix(rows, 0.3, tier_weight=(1.0, 1.0), capped_tier=None)
    less = prefix(rows, 0.3, tier_weight=(0.6, 1.0), capped_tier=None)
    assert spent(rows, equal, half == 0) == pytest.approx(0.5, abs=0.03)
    assert spent(rows, less, half == 0) == pytest.approx(0.6 / 1.6, abs=0.03)


def test_a_high_contribution_weight_takes_the_best_rows_of_each_cell() -> None:
    rows = pool(900)
    means = [
        rows.contribution[prefix(rows, 0.2, contribution_weight=w)].mean() for w in (0, 0.5, 50)
    ]
    assert means[0] + 0.1 < means[1] <= means[2]


@settings(deadline=None, max_examples=60)
@given(n=st.integers(1, 120), seed=st.integers(0, 999), cap=st.sampled_from([0, 0.05, 0.15, 0.6]))
def test_unsolved_rows_keep_to_their_cap_while_other_rows_are_left(n, seed, cap) -> None:
    rows = pool(n, seed=seed)
    order = pick_order(rows, edges(n, seed=seed), replace(EVEN, cap=cap))
    unsolved = rows.tier[order] == 3
    cost = rows.cost[order]
    others_done = int(np.flatnonzero(~unsolved).max(initial=-1)) + 1
    within = np.cumsum(cost * unsolved) <= cap * np.cumsum(cost) * (1 + 1e-9)
    assert within[:others_done].all()


def test_unsolved_rows_use_their_cap_and_keep_their_own_order() -> None:
    rows = pool(600)
    uncapped = pick_order(rows, edges(600), replace(EVEN, cap=1.0))
    capped = pick_order(rows, edges(600), EVEN)
    assert (rows.tier[uncapped[:200]] == 3).mean() > 0.2
    for mask in (rows.tier == 3, rows.tier != 3):
        assert capped[mask[capped]].tolist() == uncapped[mask[uncapped]].tolist()
    kept = capped[: prefix_length(rows.cost[capped], 0.4 * rows.cost.sum())]
    assert 0.1 < spent(rows, kept, rows.tier == 3) <= 0.15


def test_a_pool_of_unsolved_rows_alone_is_still_ordered() -> None:
    rows = replace(pool(20), tier=np.full(20, 3, np.int32))
    assert sorted(pick_order(rows, edges(20), EVEN).tolist()) == list(range(20))


def test_extreme_costs_keep_the_order_whole() -> None:
    rows = replace(pool(30), cost=10.0 ** np.linspace(-3, 12, 30))
    assert sorted(pick_order(rows, csr_array((30, 30)), EVEN).tolist()) == list(range(30))


@pytest.mark.parametrize(
    ("lengths", "bands"),
    [
        ([1, 2, 3], [0, 1, 2]),
        ([5, 5, 5], [0, 0, 0]),
        ([9, 1, 1, 9], [1, 0, 0, 1]),
        ([7], [0]),
        ([], []),
    ],
)
def test_length_bands_are_thirds_with_ties_together(lengths, bands) -> None:
    assert length_bands(np.array(lengths, float)).tolist() == bands


def per_cell(rows: Candidates, kept: Rows) -> dict[tuple[int, int, int], float]:
    cells, total = cells_of(rows), dict.fromkeys(cells_of(rows), 0.0)
    for row in kept.tolist():
        total[cells[row]] += float(rows.cost[row])
    return total


def largest(rows: Candidates, band: int) -> float:
    return float(rows.cost[length_bands(rows.num_tokens) == band].max())


@pytest.mark.parametrize(
    ("ratio", "copies"), [(0.02, 1.0), (0.1, 1.0), (0.5, 1.0), (0.02, 1.5), (0.16, 1.5)]
)
@pytest.mark.parametrize("seed", range(3))
def test_the_twin_spends_in_each_cell_what_the_kept_rows_spend(ratio, copies, seed) -> None:
    rows = pool(600, seed=seed, num_domains=4, copies=copies)
    kept = prefix(rows, ratio)
    twin = random_twin(rows, kept, rows.cost, seed=seed)
    ours, theirs = per_cell(rows, kept), per_cell(rows, twin)
    for cell, amount in ours.items():
        # what a longer band left over is at most half of one of its rows
        above = min(cell[2] + 1, 2)
        assert abs(theirs[cell] - amount) <= (largest(rows, cell[2]) + largest(rows, above)) / 2
    assert abs(rows.cost[twin].sum() - rows.cost[kept].sum()) <= largest(rows, 2) / 2
    assert len(set(rows.group[twin])) == len(twin)


def test_a_twin_in_rows_has_the_same_number_of_rows_in_every_cell() -> None:
    rows = pool(500)
    kept = prefix(rows, 0.2)
    twin = random_twin(rows, kept, np.ones(500), seed=0)
    cells = cells_of(rows)
    assert sorted(cells[i] for i in twin) == sorted(cells[i] for i in kept)


def test_the_twins_rows_are_about_as_long_as_the_kept_ones() -> None:
    rows = pool(4000, num_domains=6)
    kept = prefix(rows, 0.16)
    twin = random_twin(rows, kept, rows.cost, seed=0)
    ours, theirs = rows.num_tokens[kept].mean(), rows.num_tokens[twin].mean()
    assert theirs == pytest.approx(ours, rel=0.05)


def test_the_twin_is_blind_to_contribution() -> None:
    rows = pool(1500)
    kept = prefix(rows, 0.2, contribution_weight=5.0)
    twin = random_twin(rows, kept, rows.cost, seed=0)
    turned = replace(rows, contribution=1 - rows.contribution)
    assert twin.tolist() == random_twin(turned, kept, rows.cost, seed=0).tolist()
    assert rows.contribution[kept].mean() > 0.7
    assert rows.contribution[twin].mean() == pytest.approx(0.5, abs=0.05)


def test_a_seed_draws_one_twin_and_another_seed_another() -> None:
    rows = pool(400)
    kept = prefix(rows, 0.2)
    first, again, other = (random_twin(rows, kept, rows.cost, seed=s).tolist() for s in (1, 1, 2))
    assert first == again != other
    assert first == sorted(set(first))


def test_the_twin_may_keep_as_many_of_a_group_as_the_kept_rows_do() -> None:
    rows = pool(600, copies=6.0)
    kept = prefix(rows, 0.5, max_per_group=3)
    twin = random_twin(rows, kept, rows.cost, seed=0)
    assert np.bincount(rows.group[kept]).max() == 3
    assert np.bincount(rows.group[twin]).max() in (2, 3)
    assert abs(rows.cost[twin].sum() / rows.cost[kept].sum() - 1) < 0.1


def test_the_twin_of_everything_is_everything() -> None:
    rows = pool(50)
    assert random_twin(rows, np.arange(50), rows.cost, seed=3).tolist() == list(range(50))


@settings(deadline=None, max_examples=50)
@given(n=st.integers(2, 60), seed=st.integers(0, 999), copies=st.sampled_from([1.0, 2.0]))
def test_rows_in_another_order_are_the_same_selection(n, seed, copies) -> None:
    rows, graph = pool(n, seed=seed, copies=copies), edges(n, seed=seed)
    # cells of equal mass take turns in row order; `score` orders rows by content before
    assume(len(np.unique(rows.cost)) == n)
    moved = np.random.default_rng(seed).permutation(n)
    shuffled = Candidates(
        **{name: value[moved] for name, value in vars(rows).items() if name != "question"}
    )
    theirs = pick_order(shuffled, csr_array(graph[moved][:, moved]), EVEN)
    assert moved[theirs].tolist() == pick_order(rows, graph, EVEN).tolist()


@settings(deadline=None, max_examples=80)
@given(
    n=st.integers(2, 60),
    seed=st.integers(0, 999),
    row=st.integers(0, 59),
    raised=st.floats(0, 1),
    ratio=st.floats(0.02, 0.9),
    copies=st.sampled_from([1.0, 2.0]),
)
def test_raising_a_rows_contribution_never_drops_it(n, seed, row, raised, ratio, copies) -> None:
    rows, graph, row = pool(n, seed=seed, copies=copies), edges(n, seed=seed), row % n

    def is_kept(contribution) -> bool:
        order = pick_order(replace(rows, contribution=contribution), graph, EVEN)
        length = prefix_length(rows.cost[order], ratio * float(rows.cost.sum()))
        return row in order[:length]

    better = rows.contribution.copy()
    better[row] += raised
    assert is_kept(better) or not is_kept(rows.contribution)


@settings(deadline=None, max_examples=50)
@given(n=st.integers(2, 120), seed=st.integers(0, 999), ratio=st.floats(0.01, 1))
def test_every_cell_that_the_budget_can_afford_is_represented(n, seed, ratio) -> None:
    rows = pool(n, seed=seed)
    order = pick_order(rows, edges(n, seed=seed), replace(EVEN, capped_tier=None))
    kept = order[: prefix_length(rows.cost[order], ratio * float(rows.cost.sum()))]
    cells = cells_of(rows)
    first = {cells[row]: row for row in reversed(order.tolist())}
    reached = {cells[row] for row in kept.tolist()}
    if rows.cost[list(first.values())].sum() <= ratio * rows.cost.sum():
        assert reached == set(cells)
    # and before that, no cell has a second row
    if reached != set(cells):
        assert len(reached) == len(kept)


@settings(deadline=None, max_examples=30)
@given(n=st.integers(1, 80), seed=st.integers(0, 999))
def test_the_whole_budget_keeps_every_row(n, seed) -> None:
    rows = pool(n, seed=seed)
    order = pick_order(rows, edges(n, seed=seed), EVEN)
    assert prefix_length(rows.cost[order], float(rows.cost.sum())) == n == len(set(order.tolist()))


def test_rows_of_one_question_share_its_node_in_the_graph() -> None:
    # questions 0 and 1 are alike, 2 is alone; two rows each, two rows of a group allowed
    graph = csr_array(np.array([[0, 0.9, 0], [0.9, 0, 0], [0, 0, 0.0]]))
    rows = replace(
        pool(6),
        cost=np.ones(6),
        num_tokens=np.ones(6),
        domain=np.zeros(6, np.int32),
        tier=np.zeros(6, np.int32),
        contribution=np.zeros(6),
        group=np.array([0, 0, 1, 1, 2, 2], np.int32),
        question=np.array([0, 0, 1, 1, 2, 2], np.int32),
    )
    order = pick_order(rows, graph, replace(EVEN, max_per_group=2)).tolist()
    assert order[:2] == [0, 4]  # its copy and the row alike are covered by the first
    assert set(order) == set(range(6))


@settings(deadline=None, max_examples=30)
@given(n=st.integers(1, 25), seed=st.integers(0, 999), traces=st.integers(1, 4))
def test_traces_of_one_question_are_picked_as_copies_of_a_row_would_be(n, seed, traces) -> None:
    rows, graph = pool(n * traces, seed=seed), edges(n, seed=seed)
    question = np.repeat(np.arange(n), traces)
    dense = graph.toarray()[question][:, question]
    dense[(question[:, None] == question[None, :])] = 1
    np.fill_diagonal(dense, 0)
    budgets = replace(EVEN, max_per_group=traces)
    grouped = replace(rows, group=question.astype(np.int32))
    by_node = pick_order(replace(grouped, question=question.astype(np.int32)), graph, budgets)
    assert by_node.tolist() == pick_order(grouped, csr_array(dense), budgets).tolist()
