"""How far the knowledge domains are sources or lengths in disguise.

Communities on sentence embeddings follow source and language. A number says how much: normalised
mutual information, 2 I(a, b) / (H(a) + H(b)).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from rbic_hf import tables
from rbic_hf.contribution import LENGTH_BINS, length_bins

if TYPE_CHECKING:
    from datasets import Dataset

SOURCE_COLUMNS = (
    "source", "data_source", "dataset", "dataset_name", "source_dataset", "subset", "origin",
)  # fmt: skip
MOST_SOURCES = 200  # a column of more values names rows, not sources


def domain_agreement(scored: Dataset, clean: npt.NDArray[np.int64]) -> dict[str, float]:
    """Return name -> agreement in [0, 1] of the domains of the clean rows with it.

    "length decile" always; and the first of `SOURCE_COLUMNS` that holds 2 to 200 different texts.
    Empty where the rows are of one domain, which agrees with nothing.
    """
    domain = tables.numbers_of(scored, "rbic_domain")[clean].astype(np.int32)
    if len(np.unique(domain)) < 2:
        return {}
    num_tokens = tables.numbers_of(scored, "rbic_tokens")[clean]
    found = {"length decile": mutual_information(domain, length_bins(num_tokens, LENGTH_BINS))}
    for name in SOURCE_COLUMNS:
        if name in scored.column_names:
            codes = _codes(scored, name, clean)
            if codes is not None:
                found[f"column {name!r}"] = mutual_information(domain, codes)
                break
    return found


def mutual_information(a: npt.NDArray[np.int32], b: npt.NDArray[np.int32]) -> float:
    """Return the normalised mutual information of two labellings, in [0, 1]; 1: the same."""
    from sklearn.metrics import normalized_mutual_info_score

    return float(normalized_mutual_info_score(a, b))


def _codes(
    dataset: Dataset, column: str, rows: npt.NDArray[np.int64]
) -> npt.NDArray[np.int32] | None:
    """Return a number for each row's text, (rows,); None where the texts are no sources."""
    values = tables.column_of(dataset, column).take(pa.array(rows))
    if not pa.types.is_string(values.type) and not pa.types.is_large_string(values.type):
        return None
    encoded = values.combine_chunks().dictionary_encode()
    if not 2 <= len(encoded.dictionary) <= MOST_SOURCES:
        return None
    return np.asarray(encoded.indices.fill_null(len(encoded.dictionary)).to_numpy(), np.int32)
