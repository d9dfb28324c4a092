"""From a scored dataset to a refined one, at any ratio and in any unit, without a model."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rbic_hf import selection, splits, tables
from rbic_hf.columns import BUDGET, BY_NAME, CLEAN, KEPT, TIERS
from rbic_hf.config import METHODS, UNITS, Method, Unit, check_choice, check_ratio
from rbic_hf.errors import DataError
from rbic_hf.splits import AnyDataset, Split

if TYPE_CHECKING:
    from datasets import Dataset

logger = logging.getLogger("rbic_hf")

Amounts = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

NEEDED = ("rbic_status", "rbic_rank", "rbic_tokens", "rbic_cost")


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
        ratio: share of the clean rows' `unit` to keep, in (0, 1]; smaller ratios are subsets.
        unit: "cost", "tokens" or "rows".
        method: "rbic", or "twin": random rows with the same domains, tiers and lengths.
        split: the split or splits of a DatasetDict to select from.
        seed: draws the twin.
        keep_all_rows: return every row, `rbic_status` saying which are "kept" and which are beyond
            the "budget".
        with_embeddings: keep `rbic_embedding`.
        with_generations: keep `rbic_generations`.

    Raises:
        ConfigError: a ratio, unit or method that is not accepted.
        DataError: the dataset was not scored, or has no clean row.
    """
    share = check_ratio(ratio)
    check_choice("unit", unit, UNITS)
    check_choice("method", method, METHODS)

    def one(rows: Dataset) -> Dataset:
        kept = _kept_rows(rows, share, unit, method, seed)
        wanted = {"rbic_embedding": with_embeddings, "rbic_generations": with_generations}
        return _marked(rows, kept, keep_all_rows, wanted)

    return splits.apply(scored, one, split)


def kept_amounts(scored: Dataset, unit: Unit) -> Amounts:
    """Return what each row spends in `unit`, (n,); 0 where it is not known."""
    if unit == "rows":
        return np.ones(scored.num_rows)
    values = tables.values_of(scored, f"rbic_{unit}")
    return np.array([value or 0.0 for value in values], float)


def twin_of(scored: Dataset, kept: Rows, unit: Unit, *, seed: int) -> Rows:
    """Return the random twin of the rows `kept`, as row numbers of the scored dataset."""
    clean = clean_rows(scored)
    candidates = _candidates(scored, clean)
    places = np.searchsorted(clean, kept)
    amounts = kept_amounts(scored, unit)[clean]
    return clean[selection.random_twin(candidates, places, amounts, seed=seed)]


def clean_rows(scored: Dataset) -> Rows:
    """Return the numbers of the rows that were not set aside.

    Raises:
        DataError: the dataset was not scored, or all its rows were set aside.
    """
    for name in NEEDED:
        tables.values_of(scored.select(range(0)), name)  # says which column is missing
    usable = (CLEAN, KEPT, BUDGET)
    status = tables.values_of(scored, "rbic_status")
    clean = np.flatnonzero([value in usable for value in status])
    if len(clean) == 0:
        raise DataError(f"no clean row among {len(status)} scored rows")
    return clean


def _kept_rows(scored: Dataset, ratio: float, unit: Unit, method: Method, seed: int) -> Rows:
    clean = clean_rows(scored)
    if KEPT in tables.values_of(scored, "rbic_status"):
        logger.warning(
            "these rows are a selection already: shares count the selection, not its pool"
        )
    ranks = tables.values_of(scored, "rbic_rank")
    ranked = np.array([i for i in clean if ranks[i] is not None], dtype=np.int64)
    order = ranked[np.argsort([ranks[i] for i in ranked], kind="stable")]
    amounts = kept_amounts(scored, unit)
    budget = ratio * float(amounts[clean].sum())
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


def _candidates(scored: Dataset, clean: Rows) -> selection.Candidates:
    """Return the clean rows as the selection sees them; the twin needs no tier mass and no core."""

    def column(name: str) -> list[Any]:
        values = tables.values_of(scored, name)
        return [values[i] for i in clean]

    tiers = [TIERS.index(tier) if tier is not None else 0 for tier in column("rbic_tier")]
    return selection.Candidates(
        cost=np.array(column("rbic_cost"), float),
        num_tokens=np.array(column("rbic_tokens"), float),
        domain=np.array(column("rbic_domain"), np.int32),
        tier=np.array(tiers, np.int32),
        tier_mass=np.ones((len(clean), 1)),
        contribution=np.array(column("rbic_contribution"), float),
        core=np.ones(len(clean)),
        group=np.array(column("rbic_duplicate_group"), np.int32),
    )


def _marked(scored: Dataset, kept: Rows, keep_all_rows: bool, wanted: dict[str, bool]) -> Dataset:
    status = tables.values_of(scored, "rbic_status")
    for i in clean_rows(scored).tolist():
        status[i] = BUDGET
    for i in kept.tolist():
        status[i] = KEPT
    rows = np.arange(scored.num_rows) if keep_all_rows else kept
    # in memory: an indices mapping would be written into the folder that the dataset came from
    part = scored if keep_all_rows else scored.select(kept, keep_in_memory=True)
    part = part.flatten_indices(keep_in_memory=True) if part._indices is not None else part
    chosen = [
        name
        for name in scored.column_names
        if name not in BY_NAME or BY_NAME[name].refined or wanted.get(name, keep_all_rows)
    ]
    part = part.select_columns(chosen)
    relabelled = part.remove_columns("rbic_status").add_column(
        "rbic_status", [status[i] for i in rows]
    )
    return relabelled.select_columns(part.column_names)
