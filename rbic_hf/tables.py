"""Arrays to dataset columns and back: the only place that knows how `datasets` stores them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from rbic_hf.columns import BY_NAME, COLUMNS
from rbic_hf.errors import DataError

if TYPE_CHECKING:
    from datasets import Dataset

_MEDIA = ("Image", "Audio", "Video", "Pdf", "Nifti")  # decoding them is slow and of no use here

_ARROW = {
    "string": pa.string(),
    "bool": pa.bool_(),
    "int32": pa.int32(),
    "float32": pa.float32(),
    "float64": pa.float64(),
    "list<string>": pa.list_(pa.string()),
}


def iterate(dataset: Dataset, *, batch_size: int = 1000) -> Iterator[dict[str, Any]]:
    """Yield the user's rows as dicts, without media and without the rbic columns."""
    wanted = [
        name
        for name in user_columns(dataset)
        if type(dataset.features[name]).__name__ not in _MEDIA
    ]
    if not wanted:
        return
    plain = dataset.select_columns(wanted).with_format(None)
    for batch in plain.iter(batch_size=batch_size):
        names = list(batch)
        for values in zip(*batch.values(), strict=True):
            yield dict(zip(names, values, strict=True))


def user_columns(dataset: Dataset) -> list[str]:
    """Return the columns that are not rbic_hf's, in their order."""
    return [name for name in dataset.column_names if name not in BY_NAME]


def spread(
    values: npt.NDArray[Any] | Sequence[Any], rows: npt.NDArray[np.int64], n: int
) -> list[Any]:
    """Return a list of length n with `values` at `rows` and None elsewhere."""
    result: list[Any] = [None] * n
    plain = values.tolist() if isinstance(values, np.ndarray) else values
    for row, value in zip(rows.tolist(), plain, strict=True):
        result[row] = value
    return result


def spread_vectors(
    vectors: npt.NDArray[np.float32], rows: npt.NDArray[np.int64], n: int
) -> pa.FixedSizeListArray:
    """Return a column of n vectors, those of `rows` from `vectors` (m, d) and null elsewhere."""
    if len(rows) == n:  # no copy: a million of these are 1.5 GB
        return pa.FixedSizeListArray.from_arrays(
            pa.array(np.ascontiguousarray(vectors).ravel()), vectors.shape[1]
        )
    full = np.zeros((n, vectors.shape[1]), np.float32)
    full[rows] = vectors
    missing = np.ones(n, bool)
    missing[rows] = False
    return pa.FixedSizeListArray.from_arrays(
        pa.array(full.ravel()), vectors.shape[1], mask=pa.array(missing)
    )


def with_columns(dataset: Dataset, columns: Mapping[str, Any]) -> Dataset:
    """Return the user's columns as they were, followed by rbic columns in the table's order."""
    from datasets import Dataset, Features, List, Value, concatenate_datasets

    arrays: dict[str, pa.Array] = {}
    features: dict[str, Any] = {}
    for column in COLUMNS:
        if column.name not in columns:
            continue
        values = columns[column.name]
        if column.dtype == "vector":
            arrays[column.name] = values
            features[column.name] = List(Value("float32"), length=values.type.list_size)
            continue
        arrays[column.name] = pa.array(values, _ARROW[column.dtype])
        as_list = column.dtype.startswith("list")
        features[column.name] = List(Value("string")) if as_list else Value(column.dtype)
    added = Dataset(pa.table(arrays).cast(Features(features).arrow_schema))
    own = user_columns(dataset)
    if not own:
        return added
    return concatenate_datasets([dataset.select_columns(own), added], axis=1)


def vectors_of(dataset: Dataset, column: str) -> npt.NDArray[np.float32]:
    """Return a vector column as one array (n, d); rows of NaN where it is null.

    Read-only and not copied where it lies in memory in one piece without nulls; else copied once.
    """
    chunks = [_fixed_size(chunk) for chunk in column_of(dataset, column).chunks if len(chunk)]
    sizes = {chunk.type.list_size for chunk in chunks}
    if not sizes:
        return np.zeros((0, 0), np.float32)
    if len(sizes) != 1:
        raise DataError(f"vectors of several lengths in one column: {sorted(sizes)}")
    width = sizes.pop()
    if len(chunks) == 1 and chunks[0].null_count == 0:
        return _flat(chunks[0]).reshape(-1, width)
    filled = np.empty((sum(map(len, chunks)), width), np.float32)
    start = 0
    for chunk in chunks:
        part = filled[start : start + len(chunk)]
        part[:] = np.nan
        part[np.asarray(chunk.is_valid())] = _flat(chunk).reshape(-1, width)
        start += len(chunk)
    return filled


def numbers_of(dataset: Dataset, column: str) -> npt.NDArray[np.float64]:
    """Return a column of numbers, (n,), NaN where it is null.

    Raises:
        DataError: the dataset has no such column.
    """
    return np.asarray(column_of(dataset, column).cast(pa.float64()).to_numpy(), dtype=np.float64)


def numbers_or_nan(dataset: Dataset, column: str) -> npt.NDArray[np.float64]:
    """Return a column of numbers, (n,), NaN where it is null or where there is no such column."""
    if column not in dataset.column_names:
        return np.full(dataset.num_rows, np.nan)
    return numbers_of(dataset, column)


def codes_of(dataset: Dataset, column: str, words: Sequence[str]) -> npt.NDArray[np.int32]:
    """Return each row's place among the words, (n,); -1 where it is none of them or not known."""
    if column not in dataset.column_names:
        return np.full(dataset.num_rows, -1, np.int32)
    texts = column_of(dataset, column).cast(pa.string())  # all null, or large strings, as they come
    found = pc.index_in(texts, value_set=pa.array(words, pa.string()))
    return np.asarray(found.fill_null(-1).to_numpy(), np.int32)


def values_of(dataset: Dataset, column: str) -> list[Any]:
    """Return one column as a list.

    Raises:
        DataError: the dataset has no such column.
    """
    return list(column_of(dataset, column).to_pylist())


def column_of(dataset: Dataset, column: str) -> pa.ChunkedArray:
    """Return one column in Arrow's form, without touching the others: a view would gather them all.

    Raises:
        DataError: the dataset has no such column.
    """
    if column not in dataset.column_names:
        fix = (
            "; score the dataset first: rbic_hf.score(dataset), or `rbic score`"
            if column in BY_NAME
            else ""
        )
        raise DataError(
            f"column {column!r} is not in the dataset{fix}. Its columns: {dataset.column_names}"
        )
    if dataset._indices is None:
        return dataset.data.column(column)
    return dataset.select_columns([column]).with_format("arrow")[:][column]


def take_rows(dataset: Dataset, rows: npt.NDArray[np.int64]) -> Dataset:
    """Return these rows, whose numbers rise, in memory.

    A filter of the table where the dataset is no view: gathering a million rows one by one takes a
    minute, and an indices mapping would be written into the folder that the dataset came from.
    """
    if dataset._indices is not None:
        return dataset.select(rows, keep_in_memory=True)
    from datasets import Dataset

    wanted = np.zeros(dataset.num_rows, bool)
    wanted[rows] = True
    return Dataset(
        dataset.data.table.filter(pa.array(wanted)), info=dataset.info.copy(), split=dataset.split
    )


def put_column(dataset: Dataset, column: str, values: pa.Array) -> Dataset:
    """Return the dataset with these values in one rbic column, where it is, or as the last one."""
    from datasets import Dataset, Features, Value, concatenate_datasets

    schema = Features({column: Value(BY_NAME[column].dtype)}).arrow_schema
    added = Dataset(pa.table({column: values}).cast(schema))
    names = list(dataset.column_names)
    rest = dataset.select_columns([name for name in names if name != column])
    whole = concatenate_datasets([rest, added], axis=1) if rest.column_names else added
    return whole.select_columns(names if column in names else [*names, column])


def _flat(vectors: pa.FixedSizeListArray) -> npt.NDArray[np.float32]:
    """Return the numbers of the vectors that are not null, whatever slice of an array they are."""
    return np.asarray(vectors.flatten().cast(pa.float32()).to_numpy(zero_copy_only=False))


def _fixed_size(array: pa.Array) -> pa.FixedSizeListArray:
    if pa.types.is_fixed_size_list(array.type):
        return array
    return array.cast(pa.list_(pa.float32(), _length(array)))


def _length(array: Any) -> int:
    lengths = set(pc.list_value_length(array.drop_null()).to_pylist())
    if not lengths:
        raise DataError("a vector column without a vector")
    if len(lengths) != 1:
        raise DataError(f"vectors of several lengths in one column: {sorted(lengths)}")
    return int(lengths.pop())
