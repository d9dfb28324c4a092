"""How well few real outcomes of a question predict the others.

    python benchmarks/difficulty.py [--quick]

Of each question's real outcomes (one sample each of many models) k are drawn and the share of right
ones among the rest is predicted: by the raw rate, by plain shrinkage to the pool's rate (kappa by
likelihood), by the estimate of `rbic_hf.difficulty`, and by the same estimate without the graph.
MAE: mean absolute error, lower is better. Tiers: share of questions put into the tier (easy,
medium, hard) of that share. Questions that were not drawn at all are predicted as well (k = 0).
The last line is JSON; it is appended to benchmarks/results/difficulty.jsonl.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from typing import Any

import numpy as np
from recording import finish, rows_of
from scipy.sparse import csr_array

from rbic_hf import difficulty, engines, graph, neighbors, tokens

NUM_NEIGHBORS = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="3 draws instead of 20")
    args = parser.parse_args()
    rows = rows_of("labels/pass_rates")
    world = World(rows)
    errors: dict[tuple[int, str], list[float]] = defaultdict(list)
    hits: dict[tuple[int, str], list[float]] = defaultdict(list)
    for k in (1, 2, 4):
        for draw in range(3 if args.quick else 20):
            for name, predicted, tier, truth in world.predictions(k, seed=draw):
                errors[k, name].append(float(np.abs(predicted - truth).mean()))
                hits[k, name].append(float((tier == tiers(truth)).mean()))
    print(f"{len(rows)} questions of {', '.join(sorted({r['bench'] for r in rows}))}")
    print(f"{'k':>2} {'':24}{'MAE':>8}{'tiers':>8}")
    figures: dict[str, Any] = {"questions": len(rows), "draws": 3 if args.quick else 20}
    for (k, name), values in errors.items():
        mae, tier = float(np.mean(values)), float(np.mean(hits[k, name]))
        print(f"{k:>2} {name:24}{mae:8.4f}{tier:8.3f}")
        figures[f"mae_{name}_{k}"] = round(mae, 4)
        figures[f"tiers_{name}_{k}"] = round(tier, 3)
    finish("difficulty", figures)


class World:
    """The questions, their graph, and the ways to predict them."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.num_runs = np.array([row["n_runs"] for row in rows])
        self.num_correct = np.array([row["n_correct"] for row in rows])
        questions = [row["question"] for row in rows]
        encoder = engines.resolve_encoder(engines.packaged_folder(engines.PACKAGED_ENCODER))
        vectors = np.asarray(encoder.encode(questions), np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        near = neighbors.nearest(vectors, NUM_NEIGHBORS)
        self.graph = graph.similarity_graph(near.indices, near.similarities)
        self.domain = graph.find_domains(self.graph, graph.default_num_domains(len(rows)), seed=0)
        self.num_tokens = np.array(
            tokens.EstimatedTokens().count(questions, [""] * len(rows)), float
        )

    def predictions(self, k: int, seed: int) -> Any:
        """Yield (name, predicted, share of the outcomes that were not drawn), for k drawn."""
        rng = np.random.default_rng(seed)
        usable = self.num_runs > k
        ok = np.zeros(len(usable), np.int64)
        ok[usable] = rng.hypergeometric(
            self.num_correct[usable], (self.num_runs - self.num_correct)[usable], k
        )
        n = np.where(usable, k, 0)
        truth = (self.num_correct - ok)[usable] / (self.num_runs - n)[usable]
        # half of the questions are not asked: the prior alone has to do
        asked = usable & (rng.random(len(usable)) < 0.5)
        for name, predicted, tier in self._estimates(ok, n):
            yield name, predicted[usable], tier[usable], truth
        left_out = usable & ~asked
        unasked, tier = self._full(np.where(asked, ok, 0), np.where(asked, n, 0), self.graph)
        rate = ok[asked].sum() / n[asked].sum()
        rest = (self.num_correct - ok)[left_out] / (self.num_runs - n)[left_out]
        alike = np.full(left_out.sum(), rate)
        yield "unasked_rate", alike, tiers(alike), rest
        yield "unasked_estimate", unasked[left_out], tier[left_out], rest

    def _estimates(self, ok: Any, n: Any) -> Any:
        asked = n > 0
        raw = np.divide(ok, n, where=asked, out=np.zeros(len(n)))
        yield "raw", raw, tiers(raw)
        mean = np.full(len(n), (ok.sum() + 1) / (n.sum() + 2))
        kappa = difficulty.fit_kappa(ok.astype(float), n.astype(float), mean)
        shrunk = (ok + kappa * mean) / (n + kappa)
        yield "shrunk", shrunk, tiers(shrunk)
        yield "estimate", *self._full(ok, n, self.graph)
        yield "estimate_no_graph", *self._full(ok, n, csr_array(self.graph.shape))

    def _full(self, ok: Any, n: Any, similarity: Any) -> Any:
        is_graph = similarity.nnz > 0
        found = difficulty.estimate(
            ok.astype(np.int32),
            n.astype(np.int32),
            similarity,
            self.num_tokens,
            [self.domain if is_graph else np.zeros_like(self.domain)],
            seed=0,
        )
        return found.pass_rate, np.minimum(found.tier, 2)


def tiers(rate: Any) -> Any:
    """Return 0 easy, 1 medium, 2 hard."""
    return 2 - np.digitize(rate, [difficulty.HARD_BELOW, difficulty.EASY_ABOVE])


if __name__ == "__main__":
    main()
