"""The inference contribution: depth of the reasoning beyond what its length explains.

contribution_i = v_i * (.5 + c_i * (p_i - .5))
p_i            = percentile, within tier and length decile, of
                 z_depth - .25 max(z_branch, 0) - .5 max(z_loop, 0) + further_z
with each penalised z at most 3, and further_z what a model adds (0 by default). z_depth is the
robust z of log1p(depth) minus its median at that length, per language and family; v = 1 for a
verified answer, .9 for an unverifiable and .6 for a contradicted one; c, the share of the reasoning
that symbols carry, draws what cannot be read for certain to the middle. Plain depth follows length:
the deepest 16 % of rows hold 21-29 % of the tokens. Formulas of this project.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

VERSION = 2

Array = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int32]

BRANCH_PENALTY, LOOP_PENALTY = 0.25, 0.5
# Where hardly a row loops, one that does a little would be ten deviations off: one segment in
# twenty is a deviation at least, and three are the most that count.
LEAST_SPREAD, MOST_PENALISED = 0.05, 3.0
ANSWER_WEIGHTS = {"verified": 1.0, "unverifiable": 0.9, "contradicted": 0.6}
LENGTH_BINS = 10
LEAST_PER_BIN = 10
MIDDLE = 0.5


@dataclass(frozen=True)
class Terms:
    """What a contribution is made of, before answer and confidence; one value per row.

    Attributes:
        depth_z: (n,) robust z of log1p(depth) at the row's length; higher is deeper than usual.
        branch_z: (n,) of branch_density, from -3 to 3; only above 0 it counts, against the row.
        loop_z: (n,) of loop_share; likewise.
        further_z: (n,) weighted sum of the terms that a model adds; 0 without one.
        percentile: (n,) in (0, 1), of all together, within tier and length decile.
    """

    depth_z: Array
    branch_z: Array
    loop_z: Array
    further_z: Array
    percentile: Array


def contributions(
    depth: Array,
    branch_density: Array,
    loop_share: Array,
    num_tokens: Array,
    tier: Codes,
    family: Codes,
    confidence: Array,
    answer_weight: Array,
    extra: Array | None = None,
) -> Array:
    """Return each row's contribution in [0, 1], (n,); higher teaches more.

    Args:
        depth: (n,) longest dependency chain.
        branch_density: (n,) share of segments that branch or turn back.
        loop_share: (n,) share of segments that repeat an earlier one.
        num_tokens: (n,) length of the row.
        tier: (n,) difficulty tier; all equal when nothing was probed.
        family: (n,) language and kind of reasoning; medians are taken inside a family.
        confidence: (n,) in [0, 1], how far the text's symbols carry its depth; 0: nothing is known.
        answer_weight: (n,) a value of `ANSWER_WEIGHTS`.
        extra: (n,) weighted sum of further z terms (`further_terms`); None: there are none.
    """
    found = terms(depth, branch_density, loop_share, num_tokens, tier, family, extra)
    return weighted(found.percentile, confidence, answer_weight)


def terms(
    depth: Array,
    branch_density: Array,
    loop_share: Array,
    num_tokens: Array,
    tier: Codes,
    family: Codes,
    extra: Array | None = None,
) -> Terms:
    """Return what contributions are made of, row by row; arguments as in `contributions`."""
    z_depth = residual_z(np.log1p(depth), num_tokens, family)
    z_branch, z_loop = (
        residual_z(share, num_tokens, family, LEAST_SPREAD).clip(-MOST_PENALISED, MOST_PENALISED)
        for share in (branch_density, loop_share)
    )
    work = z_depth - BRANCH_PENALTY * z_branch.clip(0) - LOOP_PENALTY * z_loop.clip(0)
    further = np.zeros(len(work)) if extra is None else extra
    work = work + further
    percentile = np.empty(len(work))
    decile = length_bins(num_tokens, LENGTH_BINS)
    for rows in _groups(tier, decile):
        percentile[rows] = (rankdata(work[rows]) - 0.5) / len(rows)
    return Terms(z_depth, z_branch, z_loop, further, percentile)


def weighted(percentile: Array, confidence: Array, answer_weight: Array) -> Array:
    """Return contributions from percentiles, (n,): drawn to .5, then weighed by the answer."""
    return np.asarray(answer_weight * (MIDDLE + confidence * (percentile - MIDDLE)))


def further_terms(
    weighted: Sequence[tuple[float, Array]], num_tokens: Array, family: Codes
) -> Array:
    """Return the sum of weight * z over further terms, (n,); higher teaches more.

    Args:
        weighted: (weight >= 0, values (n,)) per term; higher values teach more. A row whose value
            is NaN gets z = 0, and the others' medians are taken without it.
        num_tokens: (n,) length of the row.
        family: (n,) as for `contributions`.
    """
    total = np.zeros(len(num_tokens))
    for weight, value in weighted:
        rows = np.flatnonzero(np.isfinite(value))
        if weight > 0 and len(rows):
            total[rows] += weight * residual_z(value[rows], num_tokens[rows], family[rows])
    return total


def residual_z(value: Array, num_tokens: Array, family: Codes, least_spread: float = 0.0) -> Array:
    """Return the robust z of `value` minus its median at the row's length, within a family.

    Lengths are compared in up to ten bins of at least ten rows. The scale is the family's median
    absolute residual; where more than half of the residuals are 0 it is their standard deviation,
    and the z is 0 when there is no spread at all. A scale below `least_spread` is raised to it.
    """
    z = np.zeros(len(value))
    for rows in _groups(family):
        bins = length_bins(num_tokens[rows], int(np.clip(len(rows) // LEAST_PER_BIN, 1, 10)))
        residual = value[rows].astype(float)
        for members in _groups(bins):
            residual[members] -= np.median(residual[members])
        scale = 1.4826 * np.median(np.abs(residual))
        scale = scale if scale > 1e-9 else residual.std()
        z[rows] = residual / max(scale, least_spread) if scale > 1e-9 else 0.0
    return z


def length_bins(num_tokens: Array, num_bins: int) -> Codes:
    """Return the quantile bin of each length, (n,), 0 = shortest; equal lengths share a bin."""
    if len(num_tokens) == 0:
        return np.zeros(0, np.int32)
    place = (rankdata(num_tokens, method="average") - 0.5) / len(num_tokens)
    return np.minimum((place * num_bins).astype(np.int32), num_bins - 1)


def _groups(*codes: Codes) -> list[npt.NDArray[np.int64]]:
    """Return the row numbers of each combination of codes that occurs."""
    _, inverse = np.unique(np.stack(codes, axis=1), axis=0, return_inverse=True)
    inverse = inverse.ravel()
    order = np.argsort(inverse, kind="stable")
    return np.split(order, np.cumsum(np.bincount(inverse))[:-1])
