"""One global pick order of which every budget is a prefix, and the random twin to hold it against.

Cells = domain x tier x length band. Inside a cell, lazy greedy on facility location plus
contribution, at unit cost (gain per cost throws long traces away; k-center picks outliers). A
row's entry level is the smallest lam at which its cell's budget lam * M^alpha * g * h covers the
cell's picks up to and with it. Rows sorted by entry level are nested for every ratio and unit by
construction, and a new ratio costs one cumulative sum. Formulas of this project.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

VERSION = 1

Array = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int32]
Rows = npt.NDArray[np.int64]

NUM_BANDS = 3


@dataclass(frozen=True)
class Candidates:
    """The rows that a selection chooses among, one value per row in each field.

    Attributes:
        cost: training cost, > 0.
        num_tokens: length.
        domain: knowledge domain.
        tier: index of the difficulty tier; all 0 when nothing was probed.
        tier_mass: (n, num_tiers) probability of each tier.
        contribution: in [0, 1], higher teaches more.
        core: weight of the row as something to be covered, in [0, 1].
        group: duplicate group.
    """

    cost: Array
    num_tokens: Array
    domain: Codes
    tier: Codes
    tier_mass: Array
    contribution: Array
    core: Array
    group: Codes


@dataclass(frozen=True)
class Budgets:
    """How a budget is spread over the cells; see `RbicConfig` for the meaning of each field.

    `tier_weight` has one weight per tier; `capped_tier` is the tier under `cap`, or None.
    """

    alpha: float
    tilt: float
    tier_weight: tuple[float, ...]
    capped_tier: int | None
    cap: float
    contribution_weight: float
    max_per_group: int


def length_bands(num_tokens: Array) -> Codes:
    """Return the length band of each row, 0 short, 1 middle, 2 long, by thirds; ties together."""
    if len(num_tokens) == 0:
        return np.zeros(0, np.int32)
    edges = np.quantile(num_tokens, [1 / 3, 2 / 3])
    return np.searchsorted(edges, num_tokens, side="left").astype(np.int32)


def pick_order(rows: Candidates, graph: csr_array, budgets: Budgets) -> Rows:
    """Return row numbers in pick order, with at most `max_per_group` rows of a duplicate group.

    Args:
        rows: the candidates, n of them.
        graph: (n, n) symmetric similarity graph, weights in [0, 1].
        budgets: how the budget is spread.
    """
    allowed = _best_of_groups(rows, budgets.max_per_group)
    band = length_bands(rows.num_tokens)
    weight = _cell_weight(rows, band, budgets)
    first: list[tuple[float, int]] = []
    later: list[tuple[float, int]] = []
    for members in _cells(rows, band, allowed):
        picks = members[_greedy(rows, graph, members, budgets.contribution_weight)]
        share = weight[members[0]]
        entry = np.cumsum(rows.cost[picks]) / share
        first.append((-share, int(picks[0])))
        later.extend(zip(entry[1:].tolist(), picks[1:].tolist(), strict=True))
    order = np.array([row for _, row in sorted(first) + sorted(later)], dtype=np.int64)
    if budgets.capped_tier is None:
        return order
    return _hold_back(order, rows.cost, rows.tier == budgets.capped_tier, budgets.cap)


def prefix_length(amounts: Array, budget: float) -> int:
    """Return how many of the first rows fit the budget; at least 1, so that nothing comes empty."""
    spent = np.cumsum(amounts)
    fitting = int(np.searchsorted(spent, budget * (1 + 1e-9), side="right"))
    return min(max(fitting, 1), len(amounts))


def random_twin(rows: Candidates, kept: Rows, amounts: Array, *, seed: int) -> Rows:
    """Return random rows that spend, cell by cell, what the `kept` rows spend there.

    Same domains, tiers and lengths, no contribution, and no more rows of a duplicate group than
    `kept` has of any. Over- and underspending is carried to the next cell, of the same length band
    where there is one, so that cells and total agree to within one row while groups last.
    """
    band = length_bands(rows.num_tokens)
    rng = np.random.default_rng(seed)
    is_kept = np.zeros(len(rows.cost), bool)
    is_kept[kept] = True
    left = np.full(int(rows.group.max()) + 1, np.bincount(rows.group[kept]).max(initial=0))
    chosen: list[int] = []
    owed = 0.0
    cells = _cells(rows, band, np.ones(len(rows.cost), bool))
    # long rows first: what is left over at the end is then less than a short row
    for members in sorted(cells, key=lambda members: -int(band[members[0]])):
        owed += float(amounts[members][is_kept[members]].sum())
        for row in rng.permutation(members).tolist():
            if left[rows.group[row]] and owed - amounts[row] / 2 > 0:  # nearest to what is owed
                chosen.append(row)
                left[rows.group[row]] -= 1
                owed -= float(amounts[row])
    return np.sort(np.array(chosen, dtype=np.int64))


def _best_of_groups(rows: Candidates, max_per_group: int) -> npt.NDArray[np.bool_]:
    """Return which rows are among the `max_per_group` best contributions of their group."""
    n = len(rows.group)
    order = np.lexsort((np.arange(n), -rows.contribution, rows.group))
    sizes = np.bincount(rows.group)
    place = np.arange(n) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    allowed = np.zeros(n, bool)
    allowed[order] = place < max_per_group
    return allowed


def _cell_weight(rows: Candidates, band: Codes, budgets: Budgets) -> Array:
    """Return M^alpha * g_tier * h_band of each row's own cell, (n,), > 0.

    The mass is soft: a row counts in each tier by its probability, so that a predicted row does
    not sit in one tier for certain.
    """
    num_tiers = rows.tier_mass.shape[1]
    place = rows.domain.astype(np.int64) * NUM_BANDS + band
    mass = np.zeros((int(place.max()) + 1, num_tiers))
    np.add.at(mass, place, rows.cost[:, None] * rows.tier_mass)
    own_mass = np.maximum(mass[place, rows.tier], rows.cost)  # never below the row itself
    lengths = np.array(
        [rows.num_tokens[band == b].mean() if (band == b).any() else 1 for b in range(NUM_BANDS)]
    )
    long = (lengths / rows.num_tokens.mean()) ** budgets.tilt
    weight = own_mass**budgets.alpha * np.array(budgets.tier_weight)[rows.tier] * long[band]
    # equal inside a cell: own_mass differs between rows only where the soft mass is tiny
    _, cell = np.unique(place * num_tiers + rows.tier, return_inverse=True)
    largest = np.zeros(int(cell.max()) + 1)
    np.maximum.at(largest, cell, weight)
    return np.maximum(largest[cell], 1e-12)


def _cells(rows: Candidates, band: Codes, allowed: npt.NDArray[np.bool_]) -> list[Rows]:
    """Return the allowed rows of each cell that has any, in row order."""
    members = np.flatnonzero(allowed)
    key = np.stack([rows.domain[members], rows.tier[members], band[members]], axis=1)
    _, cell = np.unique(key, axis=0, return_inverse=True)
    cell = cell.ravel()
    order = np.argsort(cell, kind="stable")
    return np.split(members[order], np.cumsum(np.bincount(cell))[:-1])


def _greedy(rows: Candidates, graph: csr_array, members: Rows, contribution_weight: float) -> Rows:
    """Return all members' places in lazy-greedy order of
    sum_i core_i max_{j in S} sim_ij / scale + contribution_weight * sum_j contribution_j.

    The coverage gain is scaled by the best single row's, so that both terms live in [0, 1].
    """
    inside = csr_array(graph[members][:, members])
    core = np.maximum(rows.core[members], 1e-6)
    covered = np.zeros(len(members))
    starts, columns, data = inside.indptr, inside.indices, inside.data

    def gain(j: int) -> float:
        near, sim = columns[starts[j] : starts[j + 1]], data[starts[j] : starts[j + 1]]
        new = np.maximum(sim - covered[near], 0) @ core[near]
        return float(new + max(1 - covered[j], 0) * core[j])

    alone = [gain(j) for j in range(len(members))]
    scale = max(alone)
    bonus = contribution_weight * rows.contribution[members]
    heap = [(-(alone[j] / scale + bonus[j]), j, 0) for j in range(len(members))]
    heapq.heapify(heap)
    order: list[int] = []
    while heap:
        _, j, asked = heapq.heappop(heap)
        if asked < len(order):  # its gain may have shrunk since; submodularity: never grown
            heapq.heappush(heap, (-(gain(j) / scale + bonus[j]), j, len(order)))
            continue
        order.append(j)
        near = columns[starts[j] : starts[j + 1]]
        covered[near] = np.maximum(covered[near], data[starts[j] : starts[j + 1]])
        covered[j] = 1
    return np.array(order, dtype=np.int64)


def _hold_back(order: Rows, cost: Array, capped: npt.NDArray[np.bool_], cap: float) -> Rows:
    """Return the order in which capped rows wait while they would exceed `cap` of the prefix."""
    result: list[int] = []
    waiting: list[int] = []
    next_waiting = 0
    total = spent_on_capped = 0.0

    def place(row: int) -> None:
        nonlocal total, spent_on_capped
        result.append(row)
        total += float(cost[row])
        spent_on_capped += float(cost[row]) if capped[row] else 0.0

    for row in order.tolist():
        if capped[row]:
            waiting.append(row)
        else:
            place(row)
        while next_waiting < len(waiting):
            price = float(cost[waiting[next_waiting]])
            if spent_on_capped + price > cap * (total + price):
                break
            place(waiting[next_waiting])
            next_waiting += 1
    for row in waiting[next_waiting:]:
        place(row)
    return np.array(result, dtype=np.int64)
