"""The column that the baseline "ifd" picks by: instruction-following difficulty."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from rbic_hf import cached, engines, picking, splits, tables
from rbic_hf.errors import DataError
from rbic_hf.pool import read_rows, row_key
from rbic_hf.request import CacheDir, check_request
from rbic_hf.splits import AnyDataset, Split
from rbic_hf.store import Store

if TYPE_CHECKING:
    from datasets import Dataset


def with_ifd(
    scored: AnyDataset,
    model: str | Path | None = None,
    *,
    columns: Mapping[str, str] | None = None,
    split: Split = None,
    cache_dir: CacheDir = None,
) -> Any:
    """Return a scored dataset with the column `rbic_ifd`, for `select(..., method="ifd")`.

    Every clean row is read twice by the model. Results are kept by content, like rollouts.

    Args:
        scored: what `score` returned.
        model: model id or folder of a causal language model; None: the one that `score` asks when
            nothing is named.
        columns: role -> column, as for `score`.
        split: the split or splits of a DatasetDict.
        cache_dir: as for `score`.

    Raises:
        DataError: the dataset was not scored, has no clean row, no known layout, or reads otherwise
            than when it was scored.
        ModelError: the model is neither a folder nor to be had from the Hub.
    """
    request = check_request(columns=columns, cache_dir=cache_dir)

    def one(rows: Dataset) -> Dataset:
        clean = picking.clean_rows(rows)
        readings, _ = read_rows(rows, request.columns)
        keys = [row_key(reading) for reading in readings]
        stored = tables.values_of(rows, "rbic_key")
        if any(keys[i] != stored[i] for i in clean.tolist()):
            raise DataError(
                "the rows do not read as they did when they were scored: name the same columns= as "
                "for score, or score them again"
            )
        scorer = engines.resolve_ifd_scorer(model)
        ifd = cached.ifd(
            scorer,
            Store.open(request.cache_dir, "ifd", scorer.spec),
            [keys[i] for i in clean],
            [readings[i].question for i in clean],
            [readings[i].response for i in clean],
        )
        column = np.full(rows.num_rows, np.nan)
        column[clean] = ifd
        return tables.put_column(rows, "rbic_ifd", pa.array(column, from_pandas=True))

    return splits.apply(scored, one, split)
