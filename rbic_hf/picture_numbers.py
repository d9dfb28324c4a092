"""What the pictures show, as arrays: nothing here draws, so every number can be checked by hand.

Columns are read through Arrow into arrays, and vectors in blocks, so that a million rows need
tens of megabytes and not a list of a million dicts. All arrays are over the clean rows.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from rbic_hf import picking, selection, tables
from rbic_hf.columns import TIERS
from rbic_hf.contribution import length_bins
from rbic_hf.errors import DataError

if TYPE_CHECKING:
    from datasets import Dataset

Array = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int32]
Places = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Vectors = npt.NDArray[np.float32]

NUM_DECILES = 10
RATIOS = np.geomspace(0.01, 1, 25)
BLOCK = 2048  # rows whose cosines to the sample are held at once: 25 MB at 3,000 sampled rows

COMPONENTS = 50
PERPLEXITY = 30
LEAST_FOR_TSNE = 30  # below, neighbourhoods are the whole pool: PCA shows as much


@dataclass(frozen=True)
class CleanRows:
    """The clean rows as the pictures see them, one value per row in each field.

    Attributes:
        place: row number in the scored dataset.
        is_kept: whether the refined dataset has the row.
        rank: global pick order; NaN where another row of the duplicate group is picked.
        tokens: length.
        cost: training cost.
        contribution: in [0, 1], higher teaches more.
        pass_rate: in [0, 1], higher is easier; NaN where nothing was probed.
        tier: index into `TIERS`; -1 where nothing was probed.
        domain: knowledge domain; -1 where it is not known.
    """

    place: Places
    is_kept: Mask
    rank: Array
    tokens: Array
    cost: Array
    contribution: Array
    pass_rate: Array
    tier: Codes
    domain: Codes


@dataclass(frozen=True)
class Curve:
    """What the first rows of an order hold, one value per ratio in each field.

    Attributes:
        num_rows: how many rows the ratio buys.
        rows: their share of the clean rows.
        contribution: their mean contribution.
        domains: share of the domains with at least one of them.
    """

    num_rows: Places
    rows: Array
    contribution: Array
    domains: Array


def read_rows(scored: Dataset, refined: Dataset) -> CleanRows:
    """Return the clean rows of `scored`, marked by whether `refined` has them.

    Raises:
        DataError: a column is missing, or the two datasets do not belong together.
    """
    place = picking.clean_rows(scored)

    def numbers(name: str) -> Array:
        return tables.numbers_or_nan(scored, name)[place]

    return CleanRows(
        place=place,
        is_kept=_is_kept(scored, refined, place),
        rank=numbers("rbic_rank"),
        tokens=numbers("rbic_tokens"),
        cost=np.nan_to_num(numbers("rbic_cost")),
        contribution=numbers("rbic_contribution"),
        pass_rate=numbers("rbic_pass_rate"),
        tier=tables.codes_of(scored, "rbic_tier", TIERS)[place],
        domain=np.nan_to_num(numbers("rbic_domain"), nan=-1).astype(np.int32),
    )


def vectors_at(scored: Dataset, places: Places) -> Vectors:
    """Return the question embeddings (n, d) of some rows; NaN where there is none."""
    part = scored.select_columns(["rbic_embedding"]).select(places, keep_in_memory=True)
    return tables.vectors_of(part, "rbic_embedding")


def vector_blocks(scored: Dataset, places: Places) -> Iterable[tuple[slice, Vectors]]:
    """Yield the embeddings of the rows block by block, each with where it is among `places`."""
    for start in range(0, len(places), BLOCK):
        where = slice(start, start + BLOCK)
        yield where, np.nan_to_num(vectors_at(scored, places[where]))


def sampled(num_rows: int, most: int, *, seed: int) -> Places:
    """Return at most `most` of the row numbers 0 .. num_rows - 1, in order."""
    if num_rows <= most:
        return np.arange(num_rows)
    return np.sort(np.random.default_rng(seed).choice(num_rows, most, replace=False))


def shares(values: Array, weight: Array, edges: Array) -> Array:
    """Return the share of the weight in each bin, (len(edges) - 1,); sums to 1 unless empty.

    Values beyond the edges count in the outer bins; NaN does not count.
    """
    known = np.isfinite(values)
    inside = np.clip(values[known], edges[0], edges[-1])
    amount = np.histogram(inside, bins=edges, weights=weight[known])[0]
    return np.asarray(amount / (amount.sum() or 1))


def code_shares(codes: Codes, weight: Array, num_codes: int) -> Array:
    """Return the share of the weight of each code, (num_codes,); codes below 0 do not count."""
    known = codes >= 0
    amount = np.bincount(codes[known], weights=weight[known], minlength=num_codes)
    return np.asarray(amount / (amount.sum() or 1))


def length_deciles(tokens: Array) -> Codes:
    """Return the length decile of each row, 0 = shortest, as the contribution has it."""
    return length_bins(tokens, NUM_DECILES)


def medians(values: Array, codes: Codes, num_codes: int) -> Array:
    """Return the median of the values of each code, (num_codes,); NaN where it has none."""
    result = np.full(num_codes, np.nan)
    for code in range(num_codes):
        own = values[(codes == code) & np.isfinite(values)]
        result[code] = np.median(own) if len(own) else np.nan
    return result


def spearman(first: Array, second: Array) -> float | None:
    """Return the rank correlation in [-1, 1]; None where a side is constant or empty."""
    from scipy.stats import rankdata

    known = np.isfinite(first) & np.isfinite(second)
    one, two = rankdata(first[known]), rankdata(second[known])
    if known.sum() < 2 or np.ptp(one) == 0 or np.ptp(two) == 0:
        return None
    return float(np.corrcoef(one, two)[0, 1])


def pick_order(rank: Array) -> Places:
    """Return row numbers in pick order, those without a rank left out."""
    ranked = np.flatnonzero(np.isfinite(rank))
    return ranked[np.argsort(rank[ranked], kind="stable")]


def prefix_lengths(cost: Array, order: Places, budgets: Array) -> Places:
    """Return how many of the first rows in `order` each budget buys, at least 1."""
    return np.array([selection.prefix_length(cost[order], b) for b in budgets], np.int64)


def curve(rows: CleanRows, order: Places, num_rows: Places) -> Curve:
    """Return what the first `num_rows` rows of an order hold."""
    teaches = rows.contribution[order]
    known = np.maximum(np.cumsum(np.isfinite(teaches)), 1)
    mean = np.cumsum(np.nan_to_num(teaches)) / known
    num_domains = len(np.unique(rows.domain[rows.domain >= 0]))
    codes, first = np.unique(rows.domain[order], return_index=True)
    found = np.searchsorted(np.sort(first[codes >= 0]), num_rows, side="left")
    return Curve(
        num_rows=num_rows,
        rows=num_rows / len(rows.place),
        contribution=mean[num_rows - 1],
        domains=found / max(num_domains, 1),
    )


def entry_steps(order: Places, num_rows: Places, n: int) -> Codes:
    """Return at which of the growing prefixes each of n rows comes in, (n,).

    `len(num_rows)` for a row that no prefix has.
    """
    step = np.full(n, len(num_rows), np.int32)
    step[order] = np.searchsorted(num_rows, np.arange(len(order)), side="right")
    return step


def coverages(
    blocks: Iterable[tuple[slice, Vectors]], sample: Vectors, steps: list[Codes], num_steps: int
) -> list[Array]:
    """Return, for each order, the mean cosine of a sampled row to its nearest row of each prefix.

    Args:
        blocks: unit vectors of all rows, block by block: one pass serves all orders.
        sample: (m, d) unit vectors of the sampled rows.
        steps: for each order, what `entry_steps` returned.
        num_steps: number of prefixes.
    """
    best = [np.full((num_steps + 1, len(sample)), -1, np.float32) for _ in steps]
    for where, vectors in blocks:
        cosine = vectors @ sample.T
        for nearest, step in zip(best, steps, strict=True):
            _raise_to(nearest, cosine, step[where])
    return [np.maximum.accumulate(b[:-1], axis=0).mean(axis=1).astype(float) for b in best]


def _raise_to(nearest: Vectors, cosine: Vectors, step: Codes) -> None:
    """Raise `nearest` (steps, m) in place to the largest cosines (b, m) of each step's rows."""
    by_step = np.argsort(step, kind="stable")
    present, start = np.unique(step[by_step], return_index=True)
    largest = np.maximum.reduceat(cosine[by_step], start, axis=0)
    nearest[present] = np.maximum(nearest[present], largest)


def flat_map(vectors: Vectors, *, seed: int) -> tuple[Array, str]:
    """Return (n, 2) positions on a plane, and the name of the method that found them.

    PCA, then t-SNE from there: on unit vectors Euclidean neighbours are cosine neighbours. One
    thread, because sums in another order would move every point.
    """
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(1):
        components = _principal(vectors.astype(float), COMPONENTS)
        plane = components[:, :2]
        if len(vectors) < LEAST_FOR_TSNE or plane.std(axis=0).min() < 1e-9:
            return plane, "PCA"
        perplexity = min(PERPLEXITY, len(vectors) / 4)
        tsne = TSNE(init="pca", perplexity=perplexity, random_state=seed % 2**32, n_jobs=1)
        return np.asarray(tsne.fit_transform(components), float), "t-SNE"


def _principal(vectors: Array, num_components: int) -> Array:
    """Return the (n, k) principal components, at least two (zeros where there are fewer)."""
    left, scale, _ = np.linalg.svd(vectors - vectors.mean(axis=0), full_matrices=False)
    found = left[:, :num_components] * scale[:num_components]
    # the sign of a component is arbitrary; fix it, so that another LAPACK draws no mirror image
    largest = np.abs(found).argmax(axis=0)
    found = found * np.where(found[largest, np.arange(found.shape[1])] < 0, -1, 1)
    return np.pad(found, ((0, 0), (0, max(0, 2 - found.shape[1]))))


def _is_kept(scored: Dataset, refined: Dataset, place: Places) -> Mask:
    kept = picking.kept_of(scored, refined)
    if len(kept) == 0:
        raise DataError("the refined dataset has no kept row: there is nothing to draw")
    return np.isin(place, kept)
