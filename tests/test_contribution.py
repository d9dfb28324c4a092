"""Contribution: depth that length does not explain, ranked among rows of one tier and length."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from rbic_hf.contribution import (
    ANSWER_WEIGHTS,
    contributions,
    further_terms,
    length_bins,
    residual_z,
    terms,
)

Array = npt.NDArray[np.float64]


def teach(num_rows: int, **inputs: Any) -> Array:
    """Return contributions of rows that are alike but for `inputs`."""
    defaults: dict[str, Any] = {
        "depth": np.full(num_rows, 3.0),
        "branch_density": np.zeros(num_rows),
        "loop_share": np.zeros(num_rows),
        "num_tokens": np.full(num_rows, 100.0),
        "tier": np.zeros(num_rows, np.int32),
        "family": np.zeros(num_rows, np.int32),
        "confidence": np.ones(num_rows),
        "answer_weight": np.ones(num_rows),
    }
    return contributions(**(defaults | inputs))


def simulate(n: int = 3000, *, seed: int = 0) -> dict[str, Any]:
    """Return rows in which depth, branches and loops all follow length, as in real pools."""
    rng = np.random.default_rng(seed)
    tokens = np.exp(rng.normal(5.5, 0.8, n))
    return {
        "depth": rng.poisson(1 + tokens**0.5 / 4).astype(float),
        "branch_density": rng.binomial(20, np.clip(tokens / 5000, 0, 0.5)) / 20,
        "loop_share": rng.binomial(20, np.clip(tokens / 9000, 0, 0.5)) / 20,
        "num_tokens": tokens.round(),
        "tier": rng.integers(0, 4, n).astype(np.int32),
        "family": rng.integers(0, 2, n).astype(np.int32),
    }


def test_ranks_of_depth_become_percentiles_by_hand() -> None:
    found = teach(4, depth=np.array([5.0, 1.0, 2.0, 3.0]))
    np.testing.assert_allclose(found, [3.5 / 4, 0.5 / 4, 1.5 / 4, 2.5 / 4])


def test_rows_are_ranked_inside_their_tier() -> None:
    tier = np.array([0, 0, 1, 1, 1], np.int32)
    found = teach(5, depth=np.array([9.0, 1.0, 8.0, 2.0, 3.0]), tier=tier)
    np.testing.assert_allclose(found, [3 / 4, 1 / 4, 5 / 6, 1 / 6, 3 / 6])


def test_rows_are_ranked_inside_their_length_decile() -> None:
    # ten lengths, two rows of each; the deeper of the two leads, however short both are
    tokens = np.repeat(np.arange(1, 11) * 100.0, 2)
    depth = np.tile([1.0, 2.0], 10) * np.repeat(np.arange(1, 11), 2)
    np.testing.assert_allclose(teach(20, depth=depth, num_tokens=tokens), np.tile([0.25, 0.75], 10))


@pytest.mark.parametrize("seed", [0, 1])
def test_contribution_does_not_follow_length_where_depth_does(seed: int) -> None:
    rows = simulate(seed=seed)
    assert spearmanr(rows["depth"], rows["num_tokens"])[0] > 0.5
    found = teach(3000, **rows)
    assert abs(spearmanr(found, np.log(rows["num_tokens"]))[0]) < 0.1
    assert spearmanr(found, rows["depth"])[0] > 0.3


def test_a_row_of_twice_the_depth_contributes_more() -> None:
    rows = simulate(500)
    before = teach(500, **rows)
    for row in np.flatnonzero((before > 0.2) & (before < 0.8))[:20]:
        doubled = np.where(np.arange(500) == row, 2 * rows["depth"] + 1, rows["depth"])
        assert teach(500, **{**rows, "depth": doubled})[row] > before[row]


@pytest.mark.parametrize("column", ["branch_density", "loop_share"])
def test_a_row_of_more_branches_or_loops_contributes_less(column: str) -> None:
    rows = simulate(500)
    before = teach(500, **rows)
    # where there is none of it yet: beyond three deviations more makes no difference
    free = (before > 0.2) & (before < 0.8) & (rows[column] == 0)
    assert free.sum() > 10
    after = before.copy()
    for row in np.flatnonzero(free)[:20]:
        changed = np.where(np.arange(500) == row, 1, rows[column])
        after[row] = teach(500, **{**rows, column: changed})[row]
    changes = (after - before)[np.flatnonzero(free)[:20]]
    assert changes.max() <= 0  # a row may be too far from the next one to lose its place
    assert (changes < 0).mean() > 0.8


def test_loops_weigh_twice_as_much_as_branches() -> None:
    # one z of depth each: the ranks tell how far a branch and a loop push a row down
    rng = np.random.default_rng(0)
    n = 400
    depth, extra = np.exp(rng.normal(1, 0.3, n)), rng.uniform(0.0, 0.2, n)
    extra[0] = 0.4
    by_loop = teach(n, depth=depth, loop_share=extra)[0]
    by_branch = teach(n, depth=depth, branch_density=extra)[0]
    neither = teach(n, depth=depth)[0]
    assert by_loop < by_branch < neither


@pytest.mark.parametrize("column", ["branch_density", "loop_share"])
def test_fewer_branches_or_loops_than_usual_are_no_merit(column: str) -> None:
    rng = np.random.default_rng(0)
    depth = rng.integers(1, 9, 100).astype(float)
    share = np.where(np.arange(100) < 30, 0.0, 0.2)
    np.testing.assert_allclose(teach(100, depth=depth, **{column: share}), teach(100, depth=depth))


@pytest.mark.parametrize(("answer", "weight"), [*ANSWER_WEIGHTS.items()])
def test_the_answer_scales_the_contribution(answer: str, weight: float) -> None:
    assert {"verified": 1.0, "unverifiable": 0.9, "contradicted": 0.6}[answer] == weight
    rows = simulate(200)
    scaled = teach(200, **rows, answer_weight=np.full(200, weight))
    np.testing.assert_allclose(scaled, weight * teach(200, **rows))


@pytest.mark.parametrize(
    ("confidence", "expected"),
    [
        ([0.0, 0.0, 1.0], [0.5, 0.3, 0.5]),  # nothing is known of the first two
        ([1.0, 1.0, 1.0], [5 / 6, 0.6 / 6, 0.5]),
        ([0.5, 0.25, 0.5], [0.5 + 1 / 6, 0.6 * (0.5 - 1 / 12), 0.5]),
    ],
)
def test_the_less_is_known_the_nearer_a_row_stands_to_the_middle(
    confidence: list[float], expected: list[float]
) -> None:
    found = teach(
        3,
        depth=np.array([9.0, 1.0, 4.0]),
        confidence=np.array(confidence),
        answer_weight=np.array([1.0, 0.6, 1.0]),
    )
    np.testing.assert_allclose(found, expected)


def test_contributions_are_made_of_their_terms() -> None:
    rows = simulate(300)
    found = terms(**rows)
    rng = np.random.default_rng(0)
    confidence, weight = rng.random(300), rng.choice([1.0, 0.9, 0.6], 300)
    np.testing.assert_allclose(
        teach(300, **rows, confidence=confidence, answer_weight=weight),
        [
            w * (0.5 + c * (p - 0.5))
            for w, c, p in zip(weight, confidence, found.percentile, strict=True)
        ],
    )
    z = residual_z(np.log1p(rows["depth"]), rows["num_tokens"], rows["family"])
    np.testing.assert_allclose(found.depth_z, z)
    # the percentile follows depth less a quarter of the branches and half of the loops
    work = z - 0.25 * np.maximum(found.branch_z, 0) - 0.5 * np.maximum(found.loop_z, 0)
    decile = length_bins(rows["num_tokens"], 10)
    for row in range(300):
        same = (decile == decile[row]) & (rows["tier"] == rows["tier"][row])
        below, alike = (work[same] < work[row]).sum(), (work[same] == work[row]).sum()
        assert found.percentile[row] == pytest.approx((below + alike / 2) / same.sum())


@pytest.mark.parametrize("n", [1, 2, 9, 10, 11, 150])
def test_rows_that_are_all_alike_contribute_a_half(n: int) -> None:
    np.testing.assert_allclose(teach(n), 0.5)


@settings(deadline=None, max_examples=40)
@given(n=st.integers(1, 80), seed=st.integers(0, 1000))
def test_contributions_are_between_zero_and_one_and_move_with_their_rows(n: int, seed: int) -> None:
    rows = simulate(n, seed=seed)
    found = teach(n, **rows)
    assert ((found > 0) & (found < 1)).all()
    moved = np.random.default_rng(seed).permutation(n)
    again = teach(n, **{name: values[moved] for name, values in rows.items()})
    np.testing.assert_allclose(again, found[moved])


def test_a_familys_medians_are_its_own() -> None:
    # the second language counts three times the depth for the same reasoning
    rng = np.random.default_rng(0)
    depth = rng.integers(1, 9, 400).astype(float)
    family = np.repeat([0, 1], 200).astype(np.int32)
    z = residual_z(np.concatenate([depth[:200], 3 * depth[:200]]), np.full(400, 50.0), family)
    np.testing.assert_allclose(z[:200], z[200:])


def test_the_residual_is_a_robust_z_by_hand() -> None:
    # median 3, absolute residuals 2 1 0 1 97, their median 1
    z = residual_z(np.array([1.0, 2, 3, 4, 100]), np.full(5, 9.0), np.zeros(5, np.int32))
    np.testing.assert_allclose(z * 1.4826, [-2, -1, 0, 1, 97])


def test_where_most_residuals_are_zero_the_scale_is_the_standard_deviation() -> None:
    value = np.array([0.0] * 9 + [1.0])
    z = residual_z(value, np.full(10, 9.0), np.zeros(10, np.int32))
    np.testing.assert_allclose(z, value / value.std())
    assert not residual_z(np.zeros(10), np.full(10, 9.0), np.zeros(10, np.int32)).any()


def test_the_residual_has_no_trend_in_length() -> None:
    rows = simulate()
    z = residual_z(np.log1p(rows["depth"]), rows["num_tokens"], rows["family"])
    assert abs(spearmanr(z, rows["num_tokens"])[0]) < 0.1


@pytest.mark.parametrize(
    ("lengths", "bins"),
    [
        (range(10), list(range(10))),
        ([5] * 7, [5] * 7),
        ([30, 10, 20, 40], [6, 1, 3, 8]),
        ([1, 1, 1, 1, 9], [4, 4, 4, 4, 9]),
        ([], []),
        ([7], [5]),
    ],
)
def test_length_bins_are_quantiles_with_ties_together(lengths, bins: list[int]) -> None:
    assert length_bins(np.array(list(lengths), float), 10).tolist() == bins


def test_further_terms_are_weighted_residual_zs_and_unknown_values_are_zero() -> None:
    rng = np.random.default_rng(0)
    tokens = np.exp(rng.normal(5, 1, 300)).round()
    family = rng.integers(0, 2, 300).astype(np.int32)
    gain, entropy = rng.normal(size=300), tokens + rng.normal(size=300)
    gain[::7] = np.nan
    known = np.isfinite(gain)
    expected = 0.5 * residual_z(entropy, tokens, family)
    expected[known] += 2 * residual_z(gain[known], tokens[known], family[known])
    found = further_terms([(2.0, gain), (0.5, entropy)], tokens, family)
    np.testing.assert_allclose(found, expected)
    assert np.ptp(found) > 1
    nothing = further_terms([(0.0, gain), (1.0, np.full(300, np.nan))], tokens, family)
    assert not nothing.any()
    assert further_terms([], tokens, family).tolist() == [0.0] * 300


def test_the_extra_sum_joins_the_depth_before_rows_are_ranked() -> None:
    depth = np.array([5.0, 1.0, 2.0, 3.0])
    extra = np.array([0.0, 0.0, 100.0, 0.0])
    found = teach(4, depth=depth, extra=extra)
    np.testing.assert_allclose(found, [2.5 / 4, 0.5 / 4, 3.5 / 4, 1.5 / 4])
    np.testing.assert_array_equal(
        teach(4, depth=depth, extra=np.zeros(4)), teach(4, depth=depth, extra=None)
    )
