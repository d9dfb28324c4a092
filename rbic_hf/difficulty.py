"""The difficulty gradient: few graded rollouts per question to a pass rate with its uncertainty.

Empirical Bayes (formulas of this project; the paper's are not public):
neighbour rate  M_i = (sum_j w_ij ok_j + 2 s0) / (sum_j w_ij n_j + 2), s0 the pool's rate
prior mean      m_i = cross-fitted ridge-logistic on logit M_i, log T_i, domain, language
pass rate       p_i = (ok_i + kappa m_i) / (n_i + kappa), kappa by beta-binomial likelihood
Neighbours alone cannot predict accuracy; as a prior they are worth about one extra rollout.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.sparse import coo_array, csr_array
from scipy.special import betaln, logit
from scipy.stats import beta

VERSION = 2

Array = npt.NDArray[np.float64]

EASY_ABOVE, HARD_BELOW, UNSOLVED_BELOW = 0.75, 0.25, 0.1
TIERS = ("easy", "medium", "hard", "unsolved")
NUM_FOLDS = 5
LEAST_FOR_REGRESSION = 30  # probed rows; below this the prior is the smoothed neighbour rate


@dataclass(frozen=True)
class Difficulty:
    """What is known of each question's difficulty.

    Attributes:
        pass_rate: (n,) posterior mean in [0, 1]; higher is easier.
        std: (n,) posterior standard deviation.
        tier: (n,) index into `TIERS`: the most probable one; unsolved when no rollout succeeded
            and the pass rate is below .1.
        tier_mass: (n, 4) posterior probability of each tier; rows sum to 1.
        prior: (n,) cross-fitted prior mean in (0, 1).
        kappa: the prior's weight in rollouts.
    """

    pass_rate: Array
    std: Array
    tier: npt.NDArray[np.int32]
    tier_mass: Array
    prior: Array
    kappa: float


def estimate(
    num_correct: npt.NDArray[np.int32],
    num_rollouts: npt.NDArray[np.int32],
    graph: csr_array,
    num_tokens: Array,
    groups: Sequence[npt.NDArray[np.int32]],
    *,
    seed: int,
    question: npt.NDArray[np.int32] | None = None,
    group: npt.NDArray[np.int32] | None = None,
) -> Difficulty:
    """Return the difficulty of every row; rows with `num_rollouts` 0 are predicted.

    Args:
        num_correct: (n,) graded rollouts that were right.
        num_rollouts: (n,) graded rollouts; at least one row must have some.
        graph: (m, m) symmetric similarity graph of the questions, weights in [0, 1].
        num_tokens: (n,) length of the row, > 0.
        groups: categorical features, each (n,) of small non-negative codes (domain, language).
        seed: draws the folds.
        question: (n,) the row's node in the graph; None: row i is node i.
        group: (n,) equal for rows that ask (nearly) the same: they share their rollouts, so that
            one's outcome must not enter the other's prior. None: rows of one question.
    """
    ok, n = num_correct.astype(float), num_rollouts.astype(float)
    node = np.arange(len(ok), dtype=np.int32) if question is None else question
    asks = node if group is None else group
    near = _Neighborhood(graph, node, asks, n > 0)
    prior = _prior_mean(ok, n, near, num_tokens, groups, asks, seed)
    kappa = fit_kappa(ok, n, prior)
    a, b = ok + kappa * prior, (n - ok) + kappa * (1 - prior)
    pass_rate = a / (a + b)
    std = np.sqrt(a * b / ((a + b) ** 2 * (a + b + 1)))
    three = _three_tiers(a, b)
    never_solved = (ok == 0) & (n > 0)
    unsolved_mass = np.where(never_solved, beta.cdf(UNSOLVED_BELOW, a, b), 0.0)
    mass = np.column_stack([three[:, :2], three[:, 2] - unsolved_mass, unsolved_mass])
    # the most probable tier: the tier of the mean pass rate shrinks too many rows to medium
    tier = np.where(never_solved & (pass_rate < UNSOLVED_BELOW), 3, three.argmax(axis=1))
    return Difficulty(pass_rate, std, tier.astype(np.int32), mass, prior, kappa)


def _three_tiers(a: Array, b: Array) -> Array:
    """Return Beta(a, b)'s mass in easy, medium and hard, (n, 3)."""
    below_hard, below_easy = beta.cdf(HARD_BELOW, a, b), beta.cdf(EASY_ABOVE, a, b)
    return np.stack([1 - below_easy, below_easy - below_hard, below_hard], axis=1)


@dataclass(frozen=True)
class Calibration:
    """How well one kind of pass rate predicts rollouts that were held aside.

    Attributes:
        brier: mean squared error against the outcome of each rollout, in [0, 1]; lower is better.
        mae: mean absolute error against a row's share of right ones, in [0, 1]; lower is better. A
            share of few rollouts is often 0 or 1, which favours guesses of 0 and 1; Brier does not.
        tier_accuracy: share of rows put into the tier (easy, medium, hard) of that share; higher is
            better, and below 1 even for the truth, because few rollouts do not show it.
    """

    brier: float
    mae: float
    tier_accuracy: float


def calibration(
    num_correct: npt.NDArray[np.int32],
    num_rollouts: npt.NDArray[np.int32],
    prior: Array,
    *,
    seed: int,
) -> dict[str, Calibration]:
    """Return the calibration of three pass rates, each shown half of a row's rollouts or none.

    "predicted": the prior alone, as for rows that were not probed; "share": the share of right ones
    among the half that is shown; "estimate": both together. The other half is predicted. Empty when
    no row has two graded rollouts. A row's prior does not know its rollouts: see `estimate`.

    Args:
        num_correct: (n,) graded rollouts that were right.
        num_rollouts: (n,) graded rollouts.
        prior: (n,) `Difficulty.prior`.
        seed: draws the half.
    """
    several = num_rollouts >= 2
    if not several.any():
        return {}
    kappa = fit_kappa(num_correct.astype(float), num_rollouts.astype(float), prior)
    ok, n, mean = num_correct[several], num_rollouts[several], prior[several]
    seen = n // 2
    ok_seen = np.random.default_rng(seed).hypergeometric(ok, n - ok, seen)
    share = (ok - ok_seen) / (n - seen)
    of_prior = kappa * mean, kappa * (1 - mean)
    of_both = of_prior[0] + ok_seen, of_prior[1] + seen - ok_seen
    tiers = {
        "predicted": _three_tiers(*of_prior).argmax(axis=1),
        "share": _tier_of(ok_seen / seen),
        "estimate": _three_tiers(*of_both).argmax(axis=1),
    }
    rates = {"predicted": mean, "share": ok_seen / seen, "estimate": of_both[0] / sum(of_both)}
    return {
        name: Calibration(
            # over a row's rollouts, r (1 - p)^2 + w p^2 with r + w = 1
            brier=float(
                np.average(share * (1 - rate) ** 2 + (1 - share) * rate**2, weights=n - seen)
            ),
            mae=float(np.abs(rate - share).mean()),
            tier_accuracy=float((tiers[name] == _tier_of(share)).mean()),
        )
        for name, rate in rates.items()
    }


def _tier_of(rate: Array) -> npt.NDArray[np.int64]:
    """Return 0 easy, 1 medium, 2 hard of a rate that is known."""
    return 2 - np.digitize(rate, [HARD_BELOW, EASY_ABOVE])


def probe_order(domains: npt.NDArray[np.int32], draws: Sequence[str]) -> npt.NDArray[np.int64]:
    """Return all rows in an order whose every prefix is spread over the domains by their size.

    Within a domain rows come in the order of their `draws`, one random text per row. Draws that are
    hashes of the row's content let rows move without others being probed, and probing more rows
    keeps those that were probed.
    """
    shuffled = np.argsort(np.asarray(draws), kind="stable")
    by_domain = shuffled[np.argsort(domains[shuffled], kind="stable")]
    sizes = np.bincount(domains)
    return by_domain[_interleave(sizes.tolist())]


def _interleave(sizes: list[int]) -> list[int]:
    """Return the places of blocks that lie one after the other, of these sizes, interleaved.

    Of n places in all, the i-th of a block of s has its turn between i n / s and (i + 1) n / s;
    taking the earliest end first keeps all turns, so that every prefix holds each block in
    proportion to within one (Tijdeman's chairman assignment).
    """
    n, starts = sum(sizes), np.cumsum([0, *sizes]).tolist()
    coming = [(0, block, 0) for block, size in enumerate(sizes) if size]
    due: list[tuple[int, int, int]] = []
    order: list[int] = []
    for turn in range(n):
        while coming and coming[0][0] <= turn:
            _, block, i = heapq.heappop(coming)
            heapq.heappush(due, (-(-(i + 1) * n // sizes[block]), block, i))
        _, block, i = heapq.heappop(due)
        order.append(starts[block] + i)
        if i + 1 < sizes[block]:
            heapq.heappush(coming, ((i + 1) * n // sizes[block], block, i + 1))
    return order


def _prior_mean(
    ok: Array,
    n: Array,
    near: _Neighborhood,
    num_tokens: Array,
    groups: Sequence[npt.NDArray[np.int32]],
    asks: npt.NDArray[np.int32],
    seed: int,
) -> Array:
    """Return the prior mean; a probed row's own outcome never enters its own prior."""
    probed = np.flatnonzero(n > 0)
    prior = _fit_and_predict(ok, n, near, num_tokens, groups, probed)
    _, asked = np.unique(asks[probed], return_inverse=True)
    num_asked = int(asked.max(initial=-1)) + 1
    folds = np.random.default_rng(seed).permutation(np.arange(num_asked) % NUM_FOLDS)[asked]
    for fold in range(min(NUM_FOLDS, num_asked)):
        held_out = probed[folds == fold]
        prior[held_out] = _fit_and_predict(ok, n, near, num_tokens, groups, probed[folds != fold])[
            held_out
        ]
    return prior


class _Neighborhood:
    """Sums over the neighbours of every row, on the graph of questions.

    A probed row does not see the rows that ask the same. An unprobed row sees them: they are the
    best that is known of it. A graph of rows would hold the square of a question's traces.
    """

    def __init__(
        self,
        graph: csr_array,
        node: npt.NDArray[np.int32],
        asks: npt.NDArray[np.int32],
        is_probed: npt.NDArray[np.bool_],
    ) -> None:
        asked_at = np.empty(graph.shape[0], np.int32)
        asked_at[node] = asks
        edges = coo_array(graph)
        apart = asked_at[edges.row] != asked_at[edges.col]
        places = edges.row[apart], edges.col[apart]
        self._all = graph
        self._apart = csr_array(coo_array((edges.data[apart], places), shape=graph.shape))
        self._node, self._is_probed = node, is_probed

    def sum(self, value: Array) -> Array:
        """Return the weighted sum of (n,) values that are 0 where a row was not probed, (n,)."""
        at_node = np.bincount(self._node, value, minlength=self._all.shape[0])
        seen = np.where(
            self._is_probed,
            (self._apart @ at_node)[self._node],
            (self._all @ at_node + at_node)[self._node],
        )
        return np.asarray(seen, float)


def _fit_and_predict(
    ok: Array,
    n: Array,
    near: _Neighborhood,
    num_tokens: Array,
    groups: Sequence[npt.NDArray[np.int32]],
    training: npt.NDArray[np.int64],
) -> Array:
    """Fit on the `training` rows alone and return a prior mean in [.02, .98] for every row."""
    seen = np.zeros(len(ok))
    seen[training] = 1
    base = (ok[training].sum() + 1) / (n[training].sum() + 2)
    rate = (near.sum(ok * seen) + 2 * base) / (near.sum(n * seen) + 2)
    if len(training) < LEAST_FOR_REGRESSION:
        return np.asarray(np.clip(rate, 0.02, 0.98))

    from sklearn.linear_model import LogisticRegression

    features = _features(rate, num_tokens, groups)
    model = LogisticRegression(C=0.3, max_iter=1000)
    model.fit(
        np.concatenate([features[training], features[training]]),
        np.repeat([1, 0], len(training)),
        # a success and a failure row of each question, weighed by how often each happened; the
        # half keeps both classes present when every rollout went the same way
        sample_weight=np.concatenate([ok[training], (n - ok)[training]]) + 0.5 / len(training),
    )
    return np.asarray(np.clip(model.predict_proba(features)[:, 1], 0.02, 0.98))


def _features(rate: Array, num_tokens: Array, groups: Sequence[npt.NDArray[np.int32]]) -> Array:
    length = np.log(np.maximum(num_tokens, 1))
    length = (length - length.mean()) / (length.std() + 1e-9)
    codes = [np.eye(int(g.max()) + 1)[g] for g in groups]
    return np.column_stack([logit(np.clip(rate, 0.01, 0.99)), length, *codes])


def fit_kappa(ok: Array, n: Array, prior: Array) -> float:
    """Return the beta-binomial likelihood's kappa in [.5, 20], over rows with two rollouts or more.

    One rollout per row cannot tell kappa; then, and without any row, it is 2.
    """
    several = n >= 2
    if not several.any():
        return 2.0
    k, total, mean = ok[several], n[several], prior[several]

    def loss(log_kappa: float) -> float:
        kappa = np.exp(log_kappa)
        a, b = kappa * mean, kappa * (1 - mean)
        return -float(np.sum(betaln(k + a, total - k + b) - betaln(a, b)))

    found = minimize_scalar(loss, bounds=(np.log(0.5), np.log(20)), method="bounded")
    return float(np.exp(found.x))
