"""One function over the kinds of dataset that users hold."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from rbic_hf.errors import DataError

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict, IterableDataset, IterableDatasetDict

    AnyDataset = Dataset | DatasetDict | IterableDataset | IterableDatasetDict
else:
    AnyDataset = Any

Split = str | Sequence[str] | None

logger = logging.getLogger("rbic_hf")


def apply(dataset: Any, function: Callable[[Dataset], Dataset], split: Split) -> Any:
    """Return `function` of a Dataset, or a DatasetDict with it applied to the splits named.

    Without a name the split is `train`, or the only one. Other splits are handed on untouched.

    Raises:
        DataError: not a dataset, or no such split.
    """
    from datasets import Dataset, DatasetDict, IterableDataset, IterableDatasetDict

    if isinstance(dataset, dict):
        chosen = _chosen(list(dataset), split)
        parts = {
            name: function(_materialise(part)) if name in chosen else part
            for name, part in dataset.items()
        }
        streams = any(isinstance(part, IterableDataset) for part in parts.values())
        return IterableDatasetDict(parts) if streams else DatasetDict(parts)
    if not isinstance(dataset, Dataset | IterableDataset):
        raise DataError(
            f"{type(dataset).__name__} is not accepted; give a Dataset, DatasetDict or "
            "IterableDataset of the datasets library"
        )
    if split is not None:
        raise DataError(f"split={split!r} was named, but the dataset has no splits")
    return function(_materialise(dataset))


def chosen_part(dataset: Any, split: Split) -> Dataset:
    """Return the Dataset itself, or the one split of a dict that is meant.

    Raises:
        DataError: several splits are named, or none is clear.
    """
    if not isinstance(dataset, dict):
        return _materialise(dataset)
    chosen = _chosen(list(dataset), split)
    if len(chosen) != 1:
        raise DataError(f"one split is needed, not {list(chosen)}")
    return _materialise(dataset[chosen[0]])


def _chosen(names: list[str], split: Split) -> list[str]:
    if split is None:
        if "train" in names:
            return ["train"]
        if len(names) == 1:
            return names
        raise DataError(f"no split is called train; name one with split=: {names}")
    wanted = [split] if isinstance(split, str) else list(split)
    if unknown := [name for name in wanted if name not in names]:
        raise DataError(f"no such split: {unknown}; the dataset has {names}")
    return wanted


def _materialise(dataset: Any) -> Dataset:
    """Return a Dataset; a stream is read to its end, because neighbours need every row."""
    from datasets import Dataset, IterableDataset

    if not isinstance(dataset, IterableDataset):
        return dataset
    logger.warning("an IterableDataset is read into memory: the graph needs every row")
    rows = list(dataset.with_format(None))
    if not rows:
        raise DataError("the dataset has no rows")
    return Dataset.from_list(rows, features=dataset.features)
