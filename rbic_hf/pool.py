"""From a dataset to the pool: the clean rows, read, measured, and what was set aside."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from tqdm.auto import tqdm

from rbic_hf import cached, embed, engines, formats, layouts, tables, tokens
from rbic_hf.columns import CLEAN
from rbic_hf.errors import DataError, ModelError
from rbic_hf.request import Provenance, Request
from rbic_hf.store import Store, content_key

if TYPE_CHECKING:
    from datasets import Dataset

logger = logging.getLogger("rbic_hf")

ROWS_THAT_SETTLE_THE_LAYOUT = 50


@dataclass(frozen=True)
class Pool:
    """The clean rows; every field but `num_rows` has one value for each of them.

    Attributes:
        num_rows: rows of the dataset, clean or not.
        places: (m,) row numbers in the dataset.
        readings: what was read.
        keys: content keys.
        num_tokens: (m,) tokens.
        cost: (m,) training cost.
    """

    num_rows: int
    places: npt.NDArray[np.int64]
    readings: list[formats.Reading]
    keys: list[str]
    num_tokens: npt.NDArray[np.float64]
    cost: npt.NDArray[np.float64]

    def take(self, keep: npt.NDArray[np.bool_]) -> Pool:
        """Return the pool of the rows where `keep` is true."""
        chosen = np.flatnonzero(keep).tolist()
        return Pool(
            self.num_rows,
            self.places[keep],
            [self.readings[i] for i in chosen],
            [self.keys[i] for i in chosen],
            self.num_tokens[keep],
            self.cost[keep],
        )

    def spread(self, values: Any) -> list[Any]:
        """Return a column of the dataset: `values` at the clean rows, None elsewhere."""
        return tables.spread(values, self.places, self.num_rows)

    @property
    def questions(self) -> list[str]:
        """The questions, in row order."""
        return [reading.question for reading in self.readings]


def read_pool(dataset: Dataset, request: Request, made: Provenance) -> tuple[Pool, dict[str, Any]]:
    """Return the pool, and the columns status, key, tokens and cost of all rows.

    Raises:
        DataError: there are no rows, no known layout, or no clean row; the message counts reasons.
    """
    if dataset.num_rows == 0:
        raise DataError("the dataset has no rows")
    readings, made.layout = read_rows(dataset, request.columns)
    n = len(readings)
    status = [reading.status for reading in readings]
    check_any_clean(status)
    keys = [row_key(reading) for reading in readings]
    readable = np.flatnonzero([s not in ("not_text", "no_question") for s in status])
    num_tokens, cost = _count(readings, keys, readable, request, made)
    _set_aside(status, keys, num_tokens, request.config.max_length)
    check_any_clean(status)
    clean = np.flatnonzero([s == CLEAN for s in status])
    pool = Pool(
        n,
        clean,
        [readings[i] for i in clean],
        [keys[i] for i in clean],
        num_tokens[clean],
        cost[clean],
    )
    columns: dict[str, Any] = {
        "rbic_status": status,
        "rbic_key": keys,
        "rbic_tokens": tables.spread(num_tokens[readable].astype(int), readable, n),
        "rbic_cost": tables.spread(cost[readable], readable, n),
    }
    return pool, columns


def embed_pool(
    dataset: Dataset, pool: Pool, columns: dict[str, Any], request: Request, made: Provenance
) -> tuple[Pool, embed.Vectors, list[bool | None], embed.Vectors]:
    """Return the pool that could be embedded, its vectors (m, d), and what the encoder cut off.

    The last are the vectors of the benchmarks' questions, (questions, d), one benchmark after the
    other, NaN where there is none. Rows without a vector are set aside in `columns` as
    "not_embedded".

    Raises:
        ModelError: no row got a vector.
    """
    asked = [question for benchmark in request.benchmarks for question in benchmark.questions]
    # which encoder made a column is not known, and benchmarks have to be embedded by the same
    is_own = not asked and is_own_column(dataset, "rbic_embedding", columns, pool)
    if request.encoder is None and is_own:
        vectors = tables.vectors_of(dataset, "rbic_embedding")[pool.places]
        if embed.usable(vectors).all():
            logger.warning("encoder: none; the column rbic_embedding is used as it is")
            made.encoder = {"encoder": "column rbic_embedding"}
            known = "rbic_embedding_cut" in dataset.column_names
            cut = tables.values_of(dataset, "rbic_embedding_cut") if known else None
            own_cut = [cut[i] if cut else None for i in pool.places.tolist()]
            return pool, vectors, own_cut, vectors[:0]
    encoder = engines.resolve_encoder(request.encoder)
    spec = embed.describe(encoder)
    made.encoder = spec
    if spec is None:
        logger.warning(
            "%s has neither a spec nor a model name: its vectors are not kept for the next run",
            type(encoder).__name__,
        )
    foreign = sum(reading.language != "en" for reading in pool.readings)
    if "(English)" in str(spec and spec.get("encoder")) and foreign:
        logger.warning("%d rows are not English, but the encoder is: name another encoder", foreign)
    full_spec = None if spec is None else {**spec, "stage": embed.VERSION}
    store = Store.open(request.cache_dir, "embeddings", full_spec)
    both, cut = cached.embeddings(encoder, store, [*pool.questions, *filter(None, asked)])
    vectors, cut = both[: len(pool.places)], cut[: len(pool.places)]
    of_benchmarks = np.full((len(asked), both.shape[1]), np.nan, np.float32)
    of_benchmarks[[bool(question) for question in asked]] = both[len(pool.places) :]
    usable = embed.usable(vectors)
    if not usable.any():
        raise ModelError(f"the encoder returned NaN or zero vectors for all {len(usable)} rows")
    if not usable.all():
        logger.warning("%d rows set aside as not_embedded: NaN or zero vectors", (~usable).sum())
        for row in pool.places[~usable].tolist():
            columns["rbic_status"][row] = "not_embedded"
    kept_cut = [was_cut for was_cut, kept in zip(cut, usable, strict=True) if kept]
    if any(kept_cut):
        share = 100 * sum(map(bool, kept_cut)) / len(kept_cut)
        logger.warning("the encoder reads only the start of %.1f %% of the questions", share)
    return pool.take(usable), vectors[usable], kept_cut, of_benchmarks


def read_rows(
    dataset: Dataset, columns: Mapping[str, str] | None
) -> tuple[list[formats.Reading], str]:
    """Return the reading of every row, and the name of the layout.

    Raises:
        DataError: no known layout.
    """
    rows = tables.iterate(dataset)
    first = [row for _, row in zip(range(ROWS_THAT_SETTLE_THE_LAYOUT), rows, strict=False)]
    layout = layouts.recognise(dataset.column_names, first, named=columns)
    bar = tqdm(
        tables.iterate(dataset), total=dataset.num_rows, desc="Reading", unit="row", leave=False
    )
    # question and response are what the later stages need; their parts double the memory
    readings = [replace(formats.read_row(layout, row), thinking="", solution="") for row in bar]
    return readings, layout.name


def row_key(reading: formats.Reading) -> str:
    """Return the content key of a row: what was asked, what was answered, what is right."""
    return content_key(reading.question, reading.response, reading.reference or "")


def is_own_column(dataset: Dataset, column: str, columns: dict[str, Any], pool: Pool) -> bool:
    """Return whether a column was computed from exactly these rows, by the content keys beside it.

    A column that is merely there is not trusted: its rows may have been edited since.
    """
    if column not in dataset.column_names or "rbic_key" not in dataset.column_names:
        return False
    keys = tables.values_of(dataset, "rbic_key")
    return all(keys[i] == columns["rbic_key"][i] for i in pool.places.tolist())


def _count(
    readings: list[formats.Reading],
    keys: list[str],
    readable: npt.NDArray[np.int64],
    request: Request,
    made: Provenance,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return tokens and cost of all rows; 0 where there is nothing to read."""
    counter = engines.resolve_student(request.student)
    made.student = dict(counter.spec)
    num_tokens = np.zeros(len(readings))
    num_tokens[readable] = cached.token_counts(
        counter,
        Store.open(request.cache_dir, "tokens", counter.spec),
        [keys[i] for i in readable],
        [readings[i].question for i in readable],
        [readings[i].response for i in readable],
    )
    cost = [tokens.training_cost(int(t), counter.attention_length) for t in num_tokens]
    return num_tokens, np.array(cost)


def _set_aside(
    status: list[str], keys: list[str], num_tokens: npt.NDArray[np.float64], max_length: int
) -> None:
    """Mark rows longer than the training length, and all but the first of equal rows."""
    seen: set[str] = set()
    for i, key in enumerate(keys):
        if status[i] != CLEAN:
            continue
        if num_tokens[i] > max_length:
            status[i] = "too_long"
        elif key in seen:
            status[i] = "duplicate"
        seen.add(key)


def check_any_clean(status: list[str]) -> None:
    """Refuse a dataset without a clean row.

    Raises:
        DataError: counts the reasons.
    """
    if CLEAN not in status:
        reasons = ", ".join(f"{count} {reason}" for reason, count in Counter(status).most_common())
        raise DataError(f"no usable row among {len(status)}: {reasons}")
