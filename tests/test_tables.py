"""Columns to arrays and back: views, nulls, several pieces, lists without a fixed length."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from datasets import Dataset, concatenate_datasets

from rbic_hf import tables
from rbic_hf.errors import DataError


def vectors(n: int, *, width: int = 3) -> Dataset:
    flat = pa.array(np.arange(n * width, dtype=np.float32))
    return Dataset(pa.table({"v": pa.FixedSizeListArray.from_arrays(flat, width)}))


def test_vectors_in_one_piece_are_not_copied() -> None:
    rows = vectors(5)
    found = tables.vectors_of(rows, "v")
    assert found.tolist() == np.arange(15).reshape(5, 3).tolist()
    assert found.base is not None and not found.flags.owndata


@pytest.mark.parametrize("chosen", [[4, 1], [0], [2, 2, 3]])
def test_vectors_of_a_view_are_those_of_its_rows(chosen: list[int]) -> None:
    found = tables.vectors_of(vectors(5).select(chosen), "v")
    assert found.tolist() == np.arange(15).reshape(5, 3)[chosen].tolist()


def test_vectors_in_several_pieces_with_nulls_are_nan_there() -> None:
    holes = Dataset.from_dict({"v": [[1.0, 2.0, 3.0], None]})
    found = tables.vectors_of(
        concatenate_datasets([vectors(2), holes.cast(vectors(1).features)]), "v"
    )
    assert found[:3].tolist() == [[0, 1, 2], [3, 4, 5], [1, 2, 3]]
    assert np.isnan(found[3]).all()


def test_lists_without_a_fixed_length_are_vectors_when_they_are_equally_long() -> None:
    assert tables.vectors_of(Dataset.from_dict({"v": [[1.0, 2.0], [3.0, 4.0]]}), "v").tolist() == [
        [1, 2],
        [3, 4],
    ]
    with pytest.raises(DataError, match=r"several lengths.*\[1, 2\]"):
        tables.vectors_of(Dataset.from_dict({"v": [[1.0], [2.0, 3.0]]}), "v")


def test_numbers_are_nan_where_they_are_null() -> None:
    rows = Dataset.from_dict({"x": [1, None, 3]})
    np.testing.assert_array_equal(tables.numbers_of(rows, "x"), [1, np.nan, 3])
    np.testing.assert_array_equal(tables.numbers_of(rows.select([2, 0]), "x"), [3, 1])
    assert np.isnan(tables.numbers_of(Dataset.from_dict({"x": [None, None]}), "x")).all()


def test_a_missing_column_is_named_and_a_missing_score_says_what_to_do() -> None:
    rows = Dataset.from_dict({"x": [1]})
    with pytest.raises(DataError, match=r"'y' is not in the dataset. Its columns: \['x'\]"):
        tables.numbers_of(rows, "y")
    with pytest.raises(DataError, match="score the dataset first"):
        tables.column_of(rows, "rbic_cost")


@pytest.mark.parametrize("view", [False, True])
def test_rows_are_taken_in_order_and_in_memory(view: bool) -> None:
    rows = Dataset.from_dict({"x": list(range(6)), "text": list("abcdef")})
    rows = rows.select([5, 4, 3, 2, 1, 0]) if view else rows
    part = tables.take_rows(rows, np.array([1, 4]))
    assert part["x"] == ([4, 1] if view else [1, 4])
    assert part.features == rows.features and not part.cache_files


def test_a_column_is_put_where_it_was_or_last() -> None:
    rows = Dataset.from_dict({"rbic_status": ["a", "b"], "x": [1, 2]})
    assert tables.put_column(rows, "rbic_status", pa.array(["c", "d"])).to_dict() == {
        "rbic_status": ["c", "d"],
        "x": [1, 2],
    }
    assert tables.put_column(rows, "rbic_ifd", pa.array([0.5, None])).column_names == [
        "rbic_status",
        "x",
        "rbic_ifd",
    ]
