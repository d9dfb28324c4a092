"""What a selection keeps of a synthetic pool whose topics, lengths and depths are known.

python benchmarks/synthetic_pool.py [--quick]      100,000 rows (10,000)

Topics of uneven size overlap, and hold templates of about six questions; lengths are log-normal,
and the longest tenth of the rows holds about a third of the cost; depth follows length, with as
much again of its own. At 16 % of the cost, mean contribution and coverage (mean cosine of a row to
its nearest kept row) should be high, and the share of the longest decile in the cost near the
pool's. Every method gets the same budget.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from recording import finish
from scale import BUDGETS

from rbic_hf import baselines, contribution, facility_location, graph, neighbors, selection

Array = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
Vectors = npt.NDArray[np.float32]

RATIO, DIM, SAMPLE = 0.16, 64, 4000


@dataclass(frozen=True)
class Made:
    vectors: Vectors
    num_tokens: Array
    cost: Array
    depth: Array
    tier: npt.NDArray[np.int32]
    contribution: Array


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="10,000 rows")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    made = make(10_000 if args.quick else 100_000, args.seed)
    near = neighbors.nearest(made.vectors, 20)
    similarity = graph.similarity_graph(near.indices, near.similarities)
    num_domains = graph.default_num_domains(len(made.cost))
    domain = graph.find_domains(similarity, num_domains, seed=0, vectors=made.vectors)
    domain = graph.settle_domains(domain, made.vectors, near.indices)
    rows = selection.Candidates(
        cost=made.cost,
        num_tokens=made.num_tokens,
        domain=domain,
        tier=made.tier,
        tier_mass=np.eye(4)[made.tier],
        contribution=made.contribution,
        group=graph.duplicate_groups(near.indices, near.similarities, 0.95),
    )
    n = len(made.cost)
    orders = {
        "random": baselines.random_order(n, seed=0),
        "rbic": selection.pick_order(rows, similarity, BUDGETS),
        "longest": baselines.longest_first(made.num_tokens),
        "shortest": baselines.shortest_first(made.num_tokens),
        "top contribution": baselines.top_first(made.contribution),
        "top depth": baselines.top_first(made.depth),
        "facility location": facility_location.by_coverage(similarity),
    }
    kept = {name: cut(order, made.cost) for name, order in orders.items()}
    kept["twin"] = selection.random_twin(rows, kept["rbic"], made.cost, seed=0)
    by_rows = orders["top depth"][: round(RATIO * n)]
    deepest = float(made.cost[by_rows].sum() / made.cost.sum())
    print(f"recall {near.recall:.3f}; {domain.max() + 1} domains")
    print(f"the deepest 16 % of the rows cost {deepest:.3f}")
    print(f"the longest decile holds {longest_share(made, np.arange(n)):.3f} of the pool's cost")
    figures = {name: judge(made, part) for name, part in kept.items()}
    print(f"{'':18}{'rows':>8}{'cost':>8}{'contribution':>14}{'coverage':>10}{'longest':>9}")
    for name, found in figures.items():
        print(f"{name:18}" + "".join(f"{v:>{w}.3f}" for v, w in zip(found, WIDTHS, strict=True)))
    tried = {}
    for weight, alpha in WEIGHTS:
        budgets = replace(BUDGETS, contribution_weight=weight, alpha=alpha)
        part = cut(selection.pick_order(rows, similarity, budgets), made.cost)
        name = f"weight {weight} alpha {alpha}"
        tried[name] = [rounded(value) for value in judge(made, part)[2:]]
        print(f"{name:34}" + "  ".join(map(str, tried[name])))
    names = ("rows", "cost", "contribution", "coverage", "longest_decile")
    finish(
        "synthetic_pool",
        {
            "num_rows": n,
            "contribution_coverage_longest": tried,
            "pool_longest_decile": round(longest_share(made, np.arange(n)), 4),
            **{m: dict(zip(names, map(rounded, v), strict=True)) for m, v in figures.items()},
        },
    )


WIDTHS = (8, 8, 14, 10, 9)
WEIGHTS = ((0.0, 0.75), (0.15, 0.75), (0.25, 0.5), (0.25, 0.75), (0.5, 0.75), (1.0, 0.75))


def make(n: int, seed: int) -> Made:
    rng = np.random.default_rng(seed)
    num_templates = n // 6
    template = rng.choice(num_templates, n, p=rng.dirichlet(np.ones(num_templates)))
    topic = rng.choice(150, num_templates, p=rng.dirichlet(np.full(150, 0.5)))[template]
    rows = rng.standard_normal((150, DIM))[topic]
    rows += 1.4 * rng.standard_normal((num_templates, DIM))[template]
    rows += 1.52 * rng.standard_normal((n, DIM))
    vectors = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    z = rng.standard_normal(n) * 0.78 + 0.3 * rng.standard_normal(150)[topic]
    num_tokens = np.exp(6.5 + z).round() + 20
    cost = num_tokens * (1 + num_tokens / 20_000)
    depth = np.exp(1.2 + 0.45 * z + 0.45 * rng.standard_normal(n)).round()
    rate = 1 / (1 + np.exp(0.6 * z + rng.standard_normal(n)))
    tier = np.select([rate > 0.75, rate > 0.25, rate > 0.1], [0, 1, 2], 3).astype(np.int32)
    teaches = contribution.contributions(
        depth=depth,
        branch_density=np.zeros(n),
        loop_share=np.zeros(n),
        num_tokens=num_tokens,
        tier=tier,
        family=np.zeros(n, np.int32),
        confidence=np.ones(n),
        answer_weight=np.ones(n),
    )
    return Made(vectors, num_tokens, cost, depth, tier, teaches)


def cut(order: Rows, cost: Array) -> Rows:
    return order[: selection.prefix_length(cost[order], RATIO * float(cost.sum()))]


def judge(made: Made, kept: Rows) -> tuple[float, float, float, float, float]:
    """Return the shares of rows and cost, mean contribution, coverage, longest decile's share."""
    sample = np.random.default_rng(1).permutation(len(made.cost))[:SAMPLE]
    nearest = [
        (made.vectors[sample[i : i + 500]] @ made.vectors[kept].T).max(axis=1)
        for i in range(0, len(sample), 500)
    ]
    return (
        len(kept) / len(made.cost),
        float(made.cost[kept].sum() / made.cost.sum()),
        float(made.contribution[kept].mean()),
        float(np.concatenate(nearest).mean()),
        longest_share(made, kept),
    )


def longest_share(made: Made, rows: Rows) -> float:
    is_long = contribution.length_bins(made.num_tokens, 10) == 9
    return float(made.cost[rows][is_long[rows]].sum() / made.cost[rows].sum())


def rounded(value: float) -> float:
    return round(value, 4)


if __name__ == "__main__":
    main()
