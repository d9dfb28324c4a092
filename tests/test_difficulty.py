"""Pass rates from few rollouts, on simulated questions whose true rates are known."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from scipy.stats import beta

from rbic_hf import difficulty
from rbic_hf.difficulty import TIERS, Difficulty, estimate, probe_order


@dataclass
class World:
    """Questions in domains of different rates; p ~ Beta(kappa m, kappa (1 - m))."""

    ok: npt.NDArray[np.int32]
    n: npt.NDArray[np.int32]
    graph: csr_array
    num_tokens: npt.NDArray[np.float64]
    domain: npt.NDArray[np.int32]
    true_rate: npt.NDArray[np.float64]

    def estimate(self, **changes) -> Difficulty:
        group = changes.pop("group", None)
        world = World(**{**self.__dict__, **changes})
        groups = [world.domain]
        return estimate(
            world.ok, world.n, world.graph, world.num_tokens, groups, seed=0, group=group
        )


def simulate(
    num_rows: int = 600,
    *,
    kappa: float = 4.0,
    num_domains: int = 4,
    probed: float = 1.0,
    copies: int = 1,
    seed: int = 0,
) -> World:
    """Return `copies` rows of each question, of equal rollouts, joined to 8 rows of its domain."""
    rng = np.random.default_rng(seed)
    own_domain = rng.integers(0, num_domains, num_rows // copies)
    mean = np.linspace(0.15, 0.85, num_domains)[own_domain] if num_domains > 1 else 0.5
    rate = rng.beta(kappa * mean, kappa * (1 - mean), len(own_domain))
    n = np.where(rng.random(len(rate)) < probed, 4, 0)
    ok = rng.binomial(n, rate)
    question = np.repeat(np.arange(len(rate)), copies)
    domain = own_domain[question]
    dense = np.zeros((len(question), len(question)))
    for i in range(len(question)):
        dense[i, rng.choice(np.flatnonzero(domain == domain[i]), 8)] = 0.5
        dense[i, question == question[i]] = 1
    dense = np.maximum(dense, dense.T)
    np.fill_diagonal(dense, 0)
    return World(
        ok[question].astype(np.int32),
        n[question].astype(np.int32),
        csr_array(dense),
        np.exp(rng.normal(5, 0.5, len(question))),
        domain.astype(np.int32),
        rate[question],
    )


@pytest.mark.parametrize("kappa", [1.5, 4.0, 12.0])
def test_the_priors_weight_is_found_when_the_prior_mean_is_known(kappa: float) -> None:
    rng = np.random.default_rng(1)
    mean = rng.uniform(0.2, 0.8, 4000)
    n = np.full(4000, 4.0)
    ok = rng.binomial(4, rng.beta(kappa * mean, kappa * (1 - mean))).astype(float)
    assert kappa / 1.2 < difficulty.fit_kappa(ok, n, mean) < kappa * 1.2


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_priors_weight_is_found_when_the_prior_mean_is_estimated(seed: int) -> None:
    found = simulate(1500, kappa=4.0, seed=seed).estimate()
    assert 4 / 1.5 < found.kappa < 4 * 1.5


def test_one_rollout_per_question_cannot_tell_the_priors_weight() -> None:
    mean = np.full(5, 0.5)
    assert difficulty.fit_kappa(np.ones(5), np.ones(5), mean) == 2
    assert difficulty.fit_kappa(np.zeros(5), np.zeros(5), mean) == 2


@pytest.mark.parametrize(
    ("ok", "limit"), [([0, 4] * 500, 0.5), ([2] * 1000, 20)], ids=["all or nothing", "all alike"]
)
def test_the_priors_weight_stays_between_a_half_and_twenty(ok: list[int], limit: float) -> None:
    n, mean = np.full(1000, 4.0), np.full(1000, 0.5)
    assert difficulty.fit_kappa(np.array(ok, float), n, mean) == pytest.approx(limit, rel=1e-3)


def test_a_tiny_case_agrees_with_the_formulas_by_hand() -> None:
    # Three rows in a chain, weights .5; under 30 probed rows the prior is the neighbour rate. Each
    # row is held out alone, so with s0 = (ok + 1) / (n + 2) of the two others:
    ok, n = np.array([4, 0, 1], np.int32), np.array([4, 4, 0], np.int32)
    chain = csr_array(np.array([[0, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0]]))
    found = estimate(ok * (n > 0), n, chain, np.full(3, 100.0), [], seed=0)
    prior = [
        (0.5 * 0 + 2 * (0 + 1) / (4 + 2)) / (0.5 * 4 + 2),  # sees row 1 alone: 1/12
        (0.5 * 4 + 2 * (4 + 1) / (4 + 2)) / (0.5 * 4 + 2),  # sees row 0 alone: 11/12
        (0.5 * 0 + 2 * (4 + 1) / (8 + 2)) / (0.5 * 4 + 2),  # sees both, touches row 1: 1/4
    ]
    np.testing.assert_allclose(found.prior, prior)
    kappa = found.kappa
    rate = [(4 + kappa / 12) / (4 + kappa), (kappa * 11 / 12) / (4 + kappa), 1 / 4]
    np.testing.assert_allclose(found.pass_rate, rate)
    a, b = kappa / 4, kappa * 3 / 4
    assert found.std[2] == pytest.approx(beta.std(a, b))
    np.testing.assert_allclose(
        found.tier_mass[2],
        [beta.sf(0.75, a, b), beta.cdf(0.75, a, b) - beta.cdf(0.25, a, b), beta.cdf(0.25, a, b), 0],
    )


@pytest.mark.parametrize(
    ("ok", "n", "tier"),
    [(8, 8, "easy"), (4, 8, "medium"), (1, 8, "hard"), (0, 40, "unsolved"), (0, 0, "medium")],
)
def test_tiers_follow_the_pass_rate(ok: int, n: int, tier: str) -> None:
    alone = csr_array((2, 2))
    counts = np.array([ok, 4], np.int32), np.array([n, 8], np.int32)
    found = estimate(*counts, alone, np.full(2, 50.0), [], seed=0)
    assert TIERS[found.tier[0]] == tier


def test_only_a_question_that_was_asked_and_never_solved_is_unsolved() -> None:
    world = simulate(300, probed=0.5)
    found = world.estimate(ok=np.zeros_like(world.ok))
    unsolved = found.tier == TIERS.index("unsolved")
    assert unsolved.any()
    assert (found.tier_mass[:, 3] > 0).tolist() == (world.n > 0).tolist()
    assert not unsolved[world.n == 0].any()
    solved = simulate(300).estimate()
    assert not (solved.tier_mass[:, 3] > 0)[simulate(300).ok > 0].any()


def test_the_edges_of_the_tiers_are_those_of_the_method() -> None:
    world = simulate(600, probed=0.7)
    found = world.estimate()
    expected = [
        "easy"
        if rate > 0.75
        else "medium"
        if rate >= 0.25
        else "unsolved"
        if n > 0 and ok == 0 and rate < 0.1
        else "hard"
        for rate, ok, n in zip(found.pass_rate, world.ok, world.n, strict=True)
    ]
    assert [TIERS[tier] for tier in found.tier] == expected
    never = (world.n > 0) & (world.ok == 0)
    assert {TIERS[tier] for tier in found.tier[never]} >= {"hard", "unsolved"}


def test_tier_masses_are_shares_and_agree_with_the_tier_of_a_certain_row() -> None:
    world = simulate(300, probed=0.6)
    found = world.estimate(ok=world.ok * 25, n=world.n * 25)
    np.testing.assert_allclose(found.tier_mass.sum(axis=1), 1)
    assert (found.tier_mass >= 0).all()
    certain = found.tier_mass.max(axis=1) > 0.9
    assert certain.sum() > 50
    assert (found.tier_mass.argmax(axis=1) == found.tier)[certain].all()


def test_rows_that_were_not_probed_get_the_prior() -> None:
    world = simulate(400, probed=0.5)
    found = world.estimate()
    alone = world.n == 0
    np.testing.assert_allclose(found.pass_rate[alone], found.prior[alone])
    # p (1 - p) / (weight + 1) is the variance; the weight is kappa alone, or kappa and rollouts
    weight = found.pass_rate * (1 - found.pass_rate) / found.std**2 - 1
    np.testing.assert_allclose(weight, found.kappa + world.n)


@pytest.mark.parametrize("num_rows", [12, 200], ids=["neighbour rate", "regression"])
def test_a_rows_own_outcome_never_enters_its_own_prior(num_rows: int) -> None:
    world = simulate(num_rows)
    before = world.estimate().prior
    for row in (0, 3, num_rows - 1):
        flipped = world.ok.copy()
        flipped[row] = 4 - flipped[row] if flipped[row] != 2 else 0
        after = world.estimate(ok=flipped).prior
        assert after[row] == before[row]
        assert (after != before).any()


def test_the_outcome_of_a_copy_of_the_question_never_enters_the_prior() -> None:
    world = simulate(400, copies=4)
    question = np.repeat(np.arange(100), 4)
    before = world.estimate(group=question).prior
    flipped = world.ok.copy()
    flipped[:4] = 0 if flipped[0] > 1 else 4
    after = world.estimate(ok=flipped, group=question).prior
    np.testing.assert_array_equal(after[:4], before[:4])


def test_copies_of_questions_do_not_make_the_prior_look_certain() -> None:
    world = simulate(1200, copies=8, kappa=4.0)
    question = np.repeat(np.arange(150), 8)
    told, untold = world.estimate(group=question), world.estimate()
    assert 4 / 2 < told.kappa < 4 * 2
    error = [np.abs(found.pass_rate - world.true_rate).mean() for found in (told, untold)]
    assert error[0] < 0.85 * error[1]


def test_a_copy_that_was_not_probed_learns_from_the_one_that_was() -> None:
    pair = csr_array(np.array([[0, 1.0, 0, 0], [1.0, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]]))
    ok, n = np.array([4, 0, 0, 0], np.int32), np.array([4, 0, 4, 0], np.int32)
    found = estimate(
        ok, n, pair, np.full(4, 90.0), [], seed=0, group=np.array([0, 0, 1, 1], np.int32)
    )
    assert found.prior[1] > 0.7 and found.prior[3] < 0.3


def test_neighbours_and_domains_predict_better_than_the_pools_mean() -> None:
    world = simulate(800, probed=0.5)
    found = world.estimate()
    alone = world.n == 0
    mean = world.ok.sum() / world.n.sum()
    error = np.abs(found.prior - world.true_rate)[alone].mean()
    assert error < 0.75 * np.abs(mean - world.true_rate)[alone].mean()
    raw = np.abs(world.ok[~alone] / 4 - world.true_rate[~alone]).mean()
    assert np.abs(found.pass_rate - world.true_rate)[~alone].mean() < 0.85 * raw


def test_neighbours_help_without_any_domain_and_with_few_rows() -> None:
    world = simulate(60, probed=0.45, num_domains=2)
    assert (world.n > 0).sum() < difficulty.LEAST_FOR_REGRESSION
    found = world.estimate(domain=np.zeros(60, np.int32))
    alone = world.n == 0
    mean = world.ok.sum() / world.n.sum()
    error = np.abs(found.prior - world.true_rate)[alone].mean()
    assert error < 0.85 * np.abs(mean - world.true_rate)[alone].mean()


@pytest.mark.parametrize("num_rows", [1, 2, 5, 40, 200])
@pytest.mark.parametrize("case", ["all solved", "none solved", "one probed", "one domain", "equal"])
def test_degenerate_pools_give_numbers_and_no_warnings(case: str, num_rows: int) -> None:
    n = np.full(num_rows, 4, np.int32)
    ok = (np.arange(num_rows) % 5).astype(np.int32)
    domain = (np.arange(num_rows) % 3).astype(np.int32)
    tokens = np.exp(np.linspace(2, 6, num_rows))
    if case == "all solved":
        ok = n.copy()
    elif case == "none solved":
        ok[:] = 0
    elif case == "one probed":
        n[1:] = ok[1:] = 0
    elif case == "one domain":
        domain[:] = 0
    else:
        tokens[:] = 1
    ring = np.roll(np.eye(num_rows), 1, axis=1) * 0.5
    dense = np.maximum(ring, ring.T) * (1 - np.eye(num_rows))
    found = estimate(ok, n, csr_array(dense), tokens, [domain], seed=0)
    assert ((found.pass_rate > 0) & (found.pass_rate < 1)).all()
    assert ((found.prior > 0) & (found.prior < 1)).all()
    np.testing.assert_allclose(found.tier_mass.sum(axis=1), 1)
    assert np.isfinite(found.std).all() and 0.5 <= found.kappa <= 20
    if case == "all solved" and num_rows >= 40:
        assert set(found.tier) == {0}
    if case == "none solved" and num_rows >= 40:
        assert set(found.tier) == {3}


def test_equal_inputs_and_seeds_give_equal_estimates() -> None:
    first, second = simulate(200).estimate(), simulate(200).estimate()
    for name, value in vars(first).items():
        np.testing.assert_array_equal(value, getattr(second, name))


def draws(n: int, seed: int = 0) -> list[str]:
    return [f"{x:.9f}" for x in np.random.default_rng(seed).random(n)]


@settings(deadline=None, max_examples=100)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=12))
def test_every_prefix_of_the_probe_order_holds_each_domain_in_proportion(sizes: list[int]) -> None:
    domains = np.repeat(np.arange(len(sizes)), sizes).astype(np.int32)
    domains = np.random.default_rng(0).permutation(domains)
    order = probe_order(domains, draws(len(domains)))
    assert sorted(order.tolist()) == list(range(len(domains)))
    counts: Counter[int] = Counter()
    for probed, row in enumerate(order.tolist(), start=1):
        counts[int(domains[row])] += 1
        for domain, size in enumerate(sizes):
            assert abs(counts[domain] - probed * size / len(domains)) < 1


def test_many_small_domains_do_not_crowd_out_a_large_one() -> None:
    domains = np.array([0] * 1000 + [1 + i // 3 for i in range(300)], np.int32)
    order = probe_order(domains, draws(1300))
    for probed in (13, 130, 260, 650):
        assert abs((domains[order[:probed]] == 0).sum() - probed * 1000 / 1300) < 1


def test_rows_of_a_domain_are_probed_in_the_order_of_their_draws() -> None:
    domains = np.array([0, 1, 0, 1, 0], np.int32)
    order = probe_order(domains, ["c", "b", "a", "a", "b"]).tolist()
    assert [row for row in order if domains[row] == 0] == [2, 4, 0]
    assert [row for row in order if domains[row] == 1] == [3, 1]


def test_calibration_agrees_with_a_count_by_hand() -> None:
    # every rollout of a row went the same way, so that the half that is drawn does not matter
    ok, n = np.array([2, 0], np.int32), np.array([2, 2], np.int32)
    found = difficulty.calibration(ok, n, np.array([0.5, 0.5]), seed=0)
    # kappa is .5: a row is easy or hard, each with the same mass, and easy comes first
    assert found["predicted"] == difficulty.Calibration(0.25, 0.5, 0.5)
    assert found["share"] == difficulty.Calibration(0.0, 0.0, 1.0)
    # kappa is at its lower bound of .5: (1 + .25) / 1.5 and .25 / 1.5
    assert found["estimate"].mae == pytest.approx(1 / 6, abs=1e-3)
    assert found["estimate"].brier == pytest.approx(1 / 36, abs=1e-3)


def test_without_two_rollouts_of_a_row_there_is_no_calibration() -> None:
    ok, n = np.array([1, 0], np.int32), np.array([1, 0], np.int32)
    assert difficulty.calibration(ok, n, np.array([0.5, 0.5]), seed=0) == {}


def test_on_simulated_questions_the_estimate_is_calibrated_best() -> None:
    world = simulate(2000, kappa=3.0)
    found = difficulty.calibration(world.ok, world.n, world.estimate().prior, seed=0)
    assert found["estimate"].brier < min(found["share"].brier, found["predicted"].brier)
    # no estimate beats the true rate, against which the same rollouts have this score
    ideal = (world.true_rate * (1 - world.true_rate)).mean()
    assert ideal < found["estimate"].brier < ideal + 0.06
