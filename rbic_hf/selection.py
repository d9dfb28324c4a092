"""One global pick order of which every budget is a prefix, and the random twin to hold it against.

Cells = domain x tier x length band, each with a share M^alpha * g_tier * h_band of every budget.
They take turns: the cell that has spent the least of its share picks the row with the most coverage
and contribution, seeing what the others picked, at unit cost (gain per cost throws long traces
away; k-center picks outliers). Whose turn it is does not depend on the row that waits, so that
raising a contribution only ever brings a row forward. Prefixes are nested for every ratio and unit
by construction, and a new ratio costs one cumulative sum. Formulas of this project.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array, csr_array

from rbic_hf.facility_location import greedy_order

VERSION = 3

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
        group: duplicate group.
        question: the row's node in the similarity graph; None: row i is node i.
    """

    cost: Array
    num_tokens: Array
    domain: Codes
    tier: Codes
    tier_mass: Array
    contribution: Array
    group: Codes
    question: Codes | None = None


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
        graph: (m, m) symmetric similarity graph of the questions, weights in [0, 1].
        budgets: how the budget is spread.
    """
    allowed = np.flatnonzero(_is_best_of_group(rows, budgets.max_per_group))
    band = length_bands(rows.num_tokens)
    weight = _cell_weight(rows, band, budgets)
    members, starts = _in_turn(*_by_cell(rows, band, allowed), rows.domain, weight)
    capped = rows.tier == (-1 if budgets.capped_tier is None else budgets.capped_tier)
    question = members if rows.question is None else rows.question[members]
    apart, node = _apart(graph, question, capped[members])
    picks = greedy_order(
        apart,
        np.bincount(node, minlength=apart.shape[0]).astype(float),
        budgets.contribution_weight * rows.contribution[members],
        starts,
        rows.cost[members],
        weight[members[starts[:-1]]],
        node,
    )
    order = members[picks]
    if budgets.capped_tier is None:
        return order
    return _hold_back(order, rows.cost, capped, budgets.cap)


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
    members, starts = _by_cell(rows, band, np.arange(len(rows.cost)))
    # long rows first: what is left over at the end is then less than a short row
    for cell in np.argsort(-band[members[starts[:-1]]], kind="stable"):
        inside = members[starts[cell] : starts[cell + 1]]
        owed += float(amounts[inside][is_kept[inside]].sum())
        for row in rng.permutation(inside).tolist():
            if owed <= 0:
                break
            if left[rows.group[row]] and owed - amounts[row] / 2 > 0:  # nearest to what is owed
                chosen.append(row)
                left[rows.group[row]] -= 1
                owed -= float(amounts[row])
    return np.sort(np.array(chosen, dtype=np.int64))


def _is_best_of_group(rows: Candidates, max_per_group: int) -> npt.NDArray[np.bool_]:
    """Return which rows are among the `max_per_group` best contributions of their group."""
    return np.asarray(_place_in_group(rows.group, rows.contribution) < max_per_group)


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


def _by_cell(rows: Candidates, band: Codes, members: Rows) -> tuple[Rows, Rows]:
    """Return the members cell by cell, (k,), in row order inside each, and where cells begin.

    The second array, (cells + 1,), ends with k. Cells come by domain, tier and band.
    """
    num_tiers = int(rows.tier.max(initial=0)) + 1
    cell = (rows.domain[members].astype(np.int64) * num_tiers + rows.tier[members]) * NUM_BANDS
    cell += band[members]
    order = np.argsort(cell, kind="stable")
    starts = np.flatnonzero(np.diff(cell[order], prepend=-1))
    return members[order], np.append(starts, len(members))


def _in_turn(members: Rows, starts: Rows, domain: Codes, weight: Array) -> tuple[Rows, Rows]:
    """Return the members and starts with the cells in the order of their first picks.

    Each domain's heaviest cell comes before any domain's second, so that the smallest budgets reach
    every domain; among them the heaviest ahead.
    """
    head = members[starts[:-1]]
    turn = _place_in_group(domain[head], weight[head])
    order = np.lexsort((head, -weight[head], turn))
    sizes = np.diff(starts)[order]
    ends = np.cumsum(sizes)
    moved = np.arange(len(members)) - np.repeat(ends - sizes - starts[:-1][order], sizes)
    return members[moved], np.append(0, ends)


def _apart(
    graph: csr_array, question: Rows | Codes, capped: npt.NDArray[np.bool_]
) -> tuple[csr_array, Rows]:
    """Return a graph of the questions asked, (m, m), and the node of each row, (k,).

    A question that rows under a cap and others ask has a node for each kind, and no edge joins the
    two kinds: rows under a cap wait, and what waits must not count as covering. Nodes, not rows: a
    question's many traces would be joined all to all.
    """
    asked = question.astype(np.int64) * 2 + capped
    nodes, node = np.unique(asked, return_inverse=True)
    part = coo_array(graph[nodes // 2][:, nodes // 2])
    same_kind = nodes[part.row] % 2 == nodes[part.col] % 2
    places = part.row[same_kind], part.col[same_kind]
    return csr_array(coo_array((part.data[same_kind], places), shape=part.shape)), node


def _place_in_group(group: Codes, value: Array) -> Rows:
    """Return each one's place in its group by value, 0 = the highest, ties in order, (n,)."""
    order = np.lexsort((np.arange(len(group)), -value, group))
    sizes = np.bincount(group)
    place = np.empty(len(group), np.int64)
    place[order] = np.arange(len(group)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return place


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
