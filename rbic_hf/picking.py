"""From a scored dataset to a refined one, at any ratio and in any unit, without a model."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from rbic_hf import comparison, selection, splits, tables
from rbic_hf.columns import BUDGET, BY_NAME, CLEAN, KEPT, TIERS
from rbic_hf.config import METHODS, UNITS, Method, Unit, check_choice, check_ratio, check_seed
from rbic_hf.errors import DataError
from rbic_hf.splits import AnyDataset, Split

if TYPE_CHECKING:
    from datasets import Dataset

logger = logging.getLogger("rbic_hf")

Amounts = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

NEEDED = ("rbic_status", "rbic_rank", "rbic_key", "rbic_tokens", "rbic_cost")


def select(
    scored: AnyDataset,
    ratio: float = 0.16,
    *,
    unit: Unit = "cost",
    method: Method = "rbic",
    split: Split = None,
    seed: int = 0,
    keep_all_rows: bool = False,
    with_embeddings: bool = False,
    with_generations: bool = False,
) -> Any:
    """Return the rows of a scored dataset that `ratio` of its cost buys, in their original order.

    Args:
        scored: what `score` returned, or its copy from disk, Parquet or the Hub.
        ratio: share of the clean rows' `unit` to keep, in (0, 1]; smaller ratios are subsets, but
            for the twin, which is drawn for each.
        unit: "cost", "tokens" or "rows".
        method: "rbic", or what to hold it against: "twin" (random rows with the same domains, tiers
            and lengths), "random" (random rows for the same amount), "random_rows" (that share of
            the rows, whatever they cost), "longest", "shortest", "contribution" (highest first),
            "k_center", "centroids" (nearest to k-means centroids), "facility_location" (coverage
            alone), and what a small model says of the responses (see `with_likelihoods`): "ifd"
            (instruction-following difficulty), "hes" (high-entropy sum, highest first), "gain"
            (of the reasoning for the answer, highest first).
        split: the split or splits of a DatasetDict to select from.
        seed: draws what is drawn.
        keep_all_rows: return every row, `rbic_status` saying which are "kept" and which are beyond
            the "budget".
        with_embeddings: keep `rbic_embedding`.
        with_generations: keep `rbic_generations`.

    Raises:
        ConfigError: a ratio, unit or method that is not accepted.
        DataError: the dataset was not scored, has no clean row, or lacks a column that the method
            needs.
    """
    share = check_ratio(ratio)
    check_choice("unit", unit, UNITS)
    check_choice("method", method, METHODS)
    check_seed(seed)

    def one(rows: Dataset) -> Dataset:
        kept = _kept_rows(rows, share, unit, method, seed)
        wanted = {"rbic_embedding": with_embeddings, "rbic_generations": with_generations}
        return _marked(rows, kept, keep_all_rows, wanted)

    return splits.apply(scored, one, split)


def kept_amounts(scored: Dataset, unit: Unit) -> Amounts:
    """Return what each row spends in `unit`, (n,); 0 where it is not known."""
    if unit == "rows":
        return np.ones(scored.num_rows)
    return np.nan_to_num(tables.numbers_of(scored, f"rbic_{unit}"))


def twin_of(scored: Dataset, kept: Rows, unit: Unit, *, seed: int) -> Rows:
    """Return the random twin of the rows `kept`, as row numbers of the scored dataset."""
    clean = comparison.by_content(scored, clean_rows(scored))
    candidates = _candidates(scored, clean)
    places = np.flatnonzero(np.isin(clean, kept))
    amounts = kept_amounts(scored, unit)[clean]
    return np.sort(clean[selection.random_twin(candidates, places, amounts, seed=seed)])


def clean_rows(scored: Dataset) -> Rows:
    """Return the numbers of the rows that were not set aside.

    Raises:
        DataError: the dataset was not scored, or all its rows were set aside.
    """
    for name in NEEDED:
        tables.column_of(scored, name)  # says which column is missing
    clean = np.flatnonzero(_status_is(scored, CLEAN, KEPT, BUDGET))
    if len(clean) == 0:
        raise DataError(f"no clean row among {scored.num_rows} scored rows")
    return clean


def kept_of(scored: Dataset, refined: Dataset) -> Rows:
    """Return which clean rows of `scored` the kept rows of `refined` are, in their order.

    Raises:
        DataError: the two datasets do not belong together.
    """
    clean = clean_rows(scored)
    kept = np.flatnonzero(_status_is(refined, KEPT, CLEAN))
    keys = np.array(tables.values_of(scored, "rbic_key"), str)[clean]
    wanted = np.array(tables.values_of(refined, "rbic_key"), str)[kept]
    if missing := int((~np.isin(wanted, keys)).sum()):
        raise DataError(
            f"{missing} of {len(wanted)} refined rows are not among the scored rows: "
            "the two datasets do not belong together"
        )
    return clean[np.isin(keys, wanted)]


def kept_from(scored: Dataset, unit: Unit = "cost") -> Amounts:
    """Return the smallest ratio at which `select` keeps each row, (n,); lower is picked earlier.

    0: at every ratio. NaN: at none; the row was set aside, or another of its group is picked.

    Raises:
        DataError: the dataset was not scored, or all its rows were set aside.
    """
    clean = clean_rows(scored)
    order = _ranked(scored, clean)
    amounts = kept_amounts(scored, unit)
    whole = amounts[clean].sum()
    found = np.full(scored.num_rows, np.nan)
    found[order] = np.cumsum(amounts[order]) / (whole if whole > 0 else np.nan)
    found[order[:1]] = 0.0  # the first row is kept however small the budget
    return found


def _status_is(scored: Dataset, *wanted: str) -> npt.NDArray[np.bool_]:
    status = tables.column_of(scored, "rbic_status").cast(pa.string())
    return np.asarray(pc.is_in(status, value_set=pa.array(wanted)).to_numpy(), bool)


def _kept_rows(scored: Dataset, ratio: float, unit: Unit, method: Method, seed: int) -> Rows:
    clean = clean_rows(scored)
    if _status_is(scored, KEPT).any():
        logger.warning(
            "these rows are a selection already: shares count the selection, not its pool"
        )
    unit = "rows" if method == "random_rows" else unit
    amounts = kept_amounts(scored, unit)
    budget = ratio * float(amounts[clean].sum())
    if method in comparison.ORDERS:
        order = comparison.order(scored, clean, method, amounts, budget, seed=seed)
    else:
        order = _ranked(scored, clean)
    kept = order[: selection.prefix_length(amounts[order], budget)]
    if len(kept) == len(order) and amounts[kept].sum() < budget * (1 - 1e-9):
        logger.warning(
            "only %.1f %% of the %s could be spent: of each group of near-duplicate questions at "
            "most RbicConfig.max_per_group rows are kept",
            100 * amounts[kept].sum() / amounts[clean].sum(), unit,
        )  # fmt: skip
    if method == "twin":
        kept = twin_of(scored, np.sort(kept), unit, seed=seed)
    return np.sort(kept)


def _ranked(scored: Dataset, clean: Rows) -> Rows:
    """Return the clean rows that have a rank, in its order."""
    rank = tables.numbers_of(scored, "rbic_rank")[clean]
    order = np.argsort(rank, kind="stable")  # NaN comes last
    return clean[order[: int(np.isfinite(rank).sum())]]


def _candidates(scored: Dataset, clean: Rows) -> selection.Candidates:
    """Return the clean rows as the selection sees them; the twin needs no tier mass."""

    def column(name: str) -> Amounts:
        return tables.numbers_of(scored, name)[clean]

    tier = tables.codes_of(scored, "rbic_tier", TIERS)[clean]
    return selection.Candidates(
        cost=column("rbic_cost"),
        num_tokens=column("rbic_tokens"),
        domain=column("rbic_domain").astype(np.int32),
        tier=np.maximum(tier, 0),  # one tier where nothing was probed
        tier_mass=np.ones((len(clean), 1)),
        contribution=column("rbic_contribution"),
        group=column("rbic_duplicate_group").astype(np.int32),
    )


def _marked(scored: Dataset, kept: Rows, keep_all_rows: bool, wanted: dict[str, bool]) -> Dataset:
    chosen = [
        name
        for name in scored.column_names
        if name not in BY_NAME or BY_NAME[name].refined or wanted.get(name, keep_all_rows)
    ]
    part = scored.select_columns(chosen)
    if keep_all_rows:
        status = tables.column_of(scored, "rbic_status").to_numpy().astype(object)
        status[clean_rows(scored)] = BUDGET
        status[kept] = KEPT
    else:
        part = tables.take_rows(part, kept)
        status = np.full(len(kept), KEPT, object)
    part = part.flatten_indices(keep_in_memory=True) if part._indices is not None else part
    return tables.put_column(part, "rbic_status", pa.array(status, pa.string()))
