"""The columns that a model fills by reading the responses: answer gain, entropy and IFD."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from rbic_hf import cached, engines, picking, splits, tables
from rbic_hf.errors import DataError
from rbic_hf.formats import Reading
from rbic_hf.pool import read_rows, row_key
from rbic_hf.probers.likelihood import Likelihoods, LikelihoodScorer, Passage
from rbic_hf.probers.reasoning import reasoning_end
from rbic_hf.request import CacheDir, check_request
from rbic_hf.rollouts import shown_time
from rbic_hf.splits import AnyDataset, Split
from rbic_hf.store import Store
from rbic_hf.tokens import EstimatedTokens

if TYPE_CHECKING:
    from datasets import Dataset

logger = logging.getLogger("rbic_hf")

# What is said of the minutes left is measured for so long; sooner, or below so long, nothing is.
SECONDS_TO_MEASURE, SECONDS_TO_TELL = 3.0, 5.0


def with_likelihoods(
    scored: AnyDataset,
    model: str | Path | None = None,
    *,
    columns: Mapping[str, str] | None = None,
    split: Split = None,
    cache_dir: CacheDir = None,
) -> Any:
    """Return a scored dataset with `rbic_answer_gain`, `rbic_entropy` and `rbic_ifd`.

    `select(..., method="gain")`, "hes" and "ifd" pick by them. They leave `rbic_contribution` and
    `rbic_rank` as they are; `score(..., proxy=model)` with a weight above 0 puts them in. Every
    clean row is read twice by the model. Results are kept by content, like rollouts.

    Args:
        scored: what `score` returned.
        model: model id or folder of a causal language model; None: the one that `score` asks on a
            CPU when nothing is named.
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
        stored = tables.values_of(rows, "rbic_key")
        if any(row_key(readings[i]) != stored[i] for i in clean.tolist()):
            raise DataError(
                "the rows do not read as they did when they were scored: name the same columns= as "
                "for score, or score them again"
            )
        scorer = engines.resolve_proxy(model)
        found = read_responses([readings[i] for i in clean], scorer, request.cache_dir)
        for name, values in columns_of(found).items():
            column = np.full(rows.num_rows, np.nan)
            column[clean] = values
            rows = tables.put_column(rows, name, pa.array(column, from_pandas=True))
        return rows

    return splits.apply(scored, one, split)


def columns_of(found: Likelihoods) -> dict[str, Any]:
    """Return the terms by the names of their columns, (n,) each."""
    return {
        "rbic_answer_gain": found.answer_gain,
        "rbic_entropy": found.entropy,
        "rbic_ifd": found.ifd,
    }


def read_responses(
    readings: Sequence[Reading], scorer: LikelihoodScorer, cache_dir: Path | None
) -> Likelihoods:
    """Say what it will cost, then return the terms of each row, (n,) each; NaN: not to be had."""
    passages = [passage_of(reading) for reading in readings]
    store = Store.open(cache_dir, "likelihoods", scorer.spec)
    missing = cached.missing_places(store, cached.passage_keys(passages))
    pace = _Pace([passages[i] for i in missing])
    if missing:
        num_tokens = _num_tokens([passages[i] for i in missing], scorer)
        logger.warning(
            "reading %d responses with %s: %d read before, %d to read, about %s tokens",
            len(passages), scorer.spec.get("proxy"), len(passages) - len(missing), len(missing),
            f"{num_tokens:,}",
        )  # fmt: skip
    found = cached.likelihoods(scorer, store, passages, tell=pace.count)
    no_gain = int(np.isnan(found.answer_gain).sum())
    if missing and no_gain:
        logger.warning(
            "%d of %d responses have no answer gain: there is no short answer, or the reasoning "
            "is longer than the model reads here (%s tokens)",
            no_gain, len(passages), scorer.spec.get("max_tokens", "?"),
        )  # fmt: skip
    return found


def passage_of(reading: Reading) -> Passage:
    """Return a row as the scorer sees it: the answer is the reference, else the row's own."""
    end = reasoning_end(reading.response, [reading.reference, reading.own_answer])
    return Passage(reading.question, reading.response, end, reading.reference, reading.language)


def _num_tokens(passages: Sequence[Passage], scorer: LikelihoodScorer) -> int:
    """Return about how many tokens are read: prompt and response, and the response alone."""
    counter = EstimatedTokens()
    longest = int(scorer.spec.get("max_tokens", 1 << 30))
    both = counter.count([p.question for p in passages], [p.response for p in passages])
    alone = counter.count([""] * len(passages), [p.response for p in passages])
    return sum(min(n, longest) for n in (*both, *alone))


class _Pace:
    """Says once, as soon as it is known, how long reading takes. The first batch loads the model.

    The longest are read first, and time is counted per character: attention makes long ones dearer,
    so that what is said is rather too much.
    """

    def __init__(self, passages: Sequence[Passage]) -> None:
        self._num = len(passages)
        self._chars = sum(len(p.question) + len(p.response) for p in passages)
        self._since: float | None = None
        self._num_read = self._measured = 0
        self._told = False

    def count(self, num_read: int, chars: int) -> None:
        """Note a batch that was read."""
        now = time.monotonic()
        self._num_read += num_read
        self._chars -= chars
        if self._since is None:
            self._since = now
            return
        self._measured += chars
        spent = now - self._since
        left = self._chars * spent / max(self._measured, 1)
        if self._told or spent < SECONDS_TO_MEASURE or left < SECONDS_TO_TELL:
            return
        self._told = True
        logger.warning(
            "measured on %d of %d responses: about %s left",
            self._num_read, self._num, shown_time(left),
        )  # fmt: skip
