"""Why one row was kept or not, and what its contribution is made of: as text, picture and page.

The reasoning is read again, by the same stages as in a run, and stands beside what the columns say;
where the two differ the explanation says so instead of mixing them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from rbic_hf import formats, layouts, picking, splits, steps, tables
from rbic_hf.columns import BUDGET, BY_NAME, CLEAN, KEPT
from rbic_hf.complexity import MEASURES
from rbic_hf.config import UNITS
from rbic_hf.errors import ConfigError, DataError
from rbic_hf.explanation_facts import TERMS, Place, Term, contribution_terms, number, verdict
from rbic_hf.pool import ROWS_THAT_SETTLE_THE_LAYOUT, row_key

if TYPE_CHECKING:
    from datasets import Dataset

CLOSE = 1e-5  # a float32 column against what it was computed from
HEAVY = ("rbic_embedding", "rbic_generations")


@dataclass(frozen=True)
class Explanation:
    """One row, explained; `str()` is the text for a terminal, a notebook shows the page.

    Attributes:
        row: its number in the dataset; None where a row alone was given.
        layout: how its columns were read.
        reading: question, response, reference and language as read.
        trace: the graph of its reasoning.
        columns: its rbic columns, vectors and rollouts left out.
        place: what only the whole dataset knows; None where a row alone was given, or unscored.
    """

    row: int | None
    layout: str
    reading: formats.Reading
    trace: steps.Trace
    columns: Mapping[str, Any]
    place: Place | None

    @cached_property
    def verdict(self) -> tuple[str, ...]:
        """Why the row was kept or not, one sentence each; empty where it was not scored."""
        return verdict(self.columns, self.place)

    @cached_property
    def terms(self) -> tuple[Term, ...]:
        """What the contribution is made of; empty where a column of it is missing or null."""
        return contribution_terms(self.columns)

    @cached_property
    def measures(self) -> dict[str, float]:
        """Steps, depth, width and so on: the column's value, or without one what is read now."""
        read = {name: float(getattr(self.trace.complexity, name)) for name in MEASURES}
        found = {name: number(self.columns, f"rbic_{name}") for name in MEASURES}
        return {name: read[name] if (v := found[name]) is None else v for name in MEASURES}

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """What the reader should know before trusting the rest: missing columns, edited rows."""
        return tuple(_notes(self))

    def __str__(self) -> str:
        """Return the explanation for a terminal: long reasoning is folded around its chain."""
        return self.as_text()

    def as_text(self, *, show_all: bool = False) -> str:
        """Return the explanation for a terminal, without control characters or colours.

        Args:
            show_all: every segment, not only the chain of a long trace and what it rests on.
        """
        from rbic_hf.explanation_text import render_text

        return render_text(self, show_all=show_all)

    def as_svg(self) -> str:
        """Return the graph of the reasoning as one self-contained SVG picture."""
        from rbic_hf.explanation_picture import draw_graph

        return draw_graph(self.trace, title=self.title, question=self.reading.question)

    def as_html(self) -> str:
        """Return a page with question, picture, segments and terms, without outside requests."""
        from rbic_hf.explanation_page import render_page

        return render_page(self)

    def _repr_html_(self) -> str:
        from rbic_hf.explanation_page import render_body

        return render_body(self)

    @property
    def title(self) -> str:
        """What the explanation is of."""
        return "Row" if self.row is None else f"Row {self.row}"


def explain(
    data: Any,
    row: int | None = None,
    *,
    key: str | None = None,
    split: str | None = None,
    columns: Mapping[str, str] | None = None,
) -> Explanation:
    """Return why a row was kept or not, and what its contribution is made of.

    Args:
        data: a scored dataset, or one row of it as a dict. A row alone does not know from which
            ratio on it is kept; an unscored row is shown as it is read.
        row: number of the row, from 0; only with a dataset.
        key: its `rbic_key`, instead of its number.
        split: the split of a DatasetDict.
        columns: role -> column where the layout is not recognised, as in `refine`.

    Raises:
        ConfigError: not a row or a dataset, or not one row of it named.
        DataError: no such row, key, split or column, or no known layout.
    """
    from datasets import Dataset, DatasetDict, IterableDataset, IterableDatasetDict

    if isinstance(data, Dataset | DatasetDict | IterableDataset | IterableDatasetDict):
        dataset = splits.chosen_part(data, split)
        return _of_dataset(dataset, _row_number(dataset, row, key), columns)
    if not isinstance(data, Mapping):
        raise ConfigError(
            f"{type(data).__name__} is not accepted; give a row as a dict, or a Dataset and row="
        )
    if row is not None or key is not None or split is not None:
        raise ConfigError("row=, key= and split= go with a dataset, and this is one row")
    names = [str(name) for name in data]
    plain = {str(name): value for name, value in data.items()}
    layout = layouts.recognise(names, [plain], named=columns)
    return _explained(None, layout, plain, plain, None)


def _of_dataset(dataset: Dataset, row: int, named: Mapping[str, str] | None) -> Explanation:
    rows = tables.iterate(dataset, batch_size=ROWS_THAT_SETTLE_THE_LAYOUT)
    first = [one for _, one in zip(range(ROWS_THAT_SETTLE_THE_LAYOUT), rows, strict=False)]
    layout = layouts.recognise(dataset.column_names, first, named=named)
    alone = dataset.select([row], keep_in_memory=True)
    own = next(tables.iterate(alone), {})
    known = [name for name in dataset.column_names if name in BY_NAME and name not in HEAVY]
    scores = {name: tables.values_of(alone, name)[0] for name in known}
    return _explained(row, layout, own, scores, _place(dataset, row, scores))


def _explained(
    row: int | None,
    layout: formats.Layout,
    own: Mapping[str, Any],
    scores: Mapping[str, Any],
    place: Place | None,
) -> Explanation:
    reading = formats.read_row(layout, own)
    return Explanation(
        row=row,
        layout=layout.name,
        reading=replace(reading, thinking="", solution=""),
        trace=steps.trace(reading.response, answer=reading.own_answer),
        columns={k: v for k, v in scores.items() if k in BY_NAME and k not in HEAVY},
        place=place,
    )


def _row_number(dataset: Dataset, row: int | None, key: str | None) -> int:
    if (row is None) == (key is None):
        raise ConfigError("name one row of the dataset: row=, or key= with its rbic_key")
    if key is not None:
        found = [i for i, k in enumerate(tables.values_of(dataset, "rbic_key")) if k == key]
        if not found:
            raise DataError(f"no row has the rbic_key {key!r}")
        return found[0]  # exact copies follow the row that stands for them
    if isinstance(row, bool) or not isinstance(row, int | np.integer):
        raise ConfigError(f"row={row!r} is not accepted; give a whole number >= 0")
    if not 0 <= row < dataset.num_rows:
        last = f"from 0 to {dataset.num_rows - 1}" if dataset.num_rows else "and the dataset none"
        raise DataError(f"row={row} is not in the dataset; rows are numbered {last}")
    return int(row)


def _place(dataset: Dataset, row: int, scores: Mapping[str, Any]) -> Place | None:
    """Return what the whole dataset knows of a row; None where it was not scored."""
    if any(name not in dataset.column_names for name in picking.NEEDED):
        return None
    status = np.array(tables.values_of(dataset, "rbic_status"), object)
    if not np.isin(status, [CLEAN, KEPT, BUDGET]).any():
        return None
    rank = tables.numbers_of(dataset, "rbic_rank")
    is_marked = KEPT in status and BUDGET in status
    kept = np.sort(rank[status == KEPT])
    by_rank = bool(is_marked and np.array_equal(kept, np.arange(len(kept))))
    is_selection = KEPT in status and not is_marked
    kept_from: dict[str, float] = {}
    if np.isfinite(rank[row]) and not is_selection and (by_rank or not is_marked):
        kept_from = {u: float(picking.kept_from(dataset, u)[row]) for u in UNITS}  # type: ignore[arg-type]
    return Place(
        num_ranked=int(np.isfinite(rank).sum()),
        kept_from=kept_from,
        is_selection=is_selection,
        in_domain=_in_domain(dataset, row, rank),
        last_kept=len(kept) - 1 if by_rank else None,
        group=_group(dataset, row, scores, rank, status),
    )


def _in_domain(dataset: Dataset, row: int, rank: Any) -> tuple[int, int] | None:
    if not np.isfinite(rank[row]) or "rbic_domain" not in dataset.column_names:
        return None
    domain = tables.numbers_of(dataset, "rbic_domain")
    of_domain = rank[(domain == domain[row]) & np.isfinite(rank)]
    return int((of_domain < rank[row]).sum()), len(of_domain)


def _group(
    dataset: Dataset, row: int, scores: Mapping[str, Any], rank: Any, status: Any
) -> list[tuple[int, int | None]]:
    """Return the other rows of the row's duplicate group, or of an exact copy the one it copies."""
    number_of = scores.get("rbic_duplicate_group")
    if status[row] == "duplicate":
        keys = tables.column_of(dataset, "rbic_key").to_numpy()
        same = (keys == scores.get("rbic_key")) & (status != "duplicate")
    elif number_of is not None:
        same = tables.numbers_of(dataset, "rbic_duplicate_group") == number_of
    else:
        return []
    others = [int(i) for i in np.flatnonzero(same) if i != row]
    ranks = [None if math.isnan(rank[i]) else int(rank[i]) for i in others]
    pairs = list(zip(others, ranks, strict=True))
    return sorted(pairs, key=lambda pair: (pair[1] is None, pair[1] or 0, pair[0]))


def _notes(of: Explanation) -> list[str]:
    found = []
    missing = [name for name in ("rbic_status", "rbic_rank", *TERMS) if name not in of.columns]
    if "rbic_status" in missing:
        found.append(
            "not scored: nothing says whether this row is kept; rbic_hf.score(dataset), or "
            "`rbic score`, would"
        )
    elif missing:
        found.append(
            f"not in these columns: {', '.join(missing)}; a refined dataset carries few of them, "
            "and older ones lack some: explain the row of a scored dataset"
        )
    elif not of.terms:
        found.append("no contribution: the row was set aside before it was measured")
    if of.reading.status != CLEAN and "rbic_status" in missing:
        found.append(f"a run would set it aside: {of.reading.status}")
    key = of.columns.get("rbic_key")
    if isinstance(key, str) and key != row_key(of.reading):
        found.append(
            "the text is not the one that was scored (its rbic_key is another): it was edited, or "
            "its columns were named otherwise"
        )
    else:
        found += _differences(of)
    return found


def _differences(of: Explanation) -> list[str]:
    """Say where the graph as read now is not the one that the columns were computed from."""
    differing = [
        f"{name} {measured:g}, now {now:g}"
        for name, measured in of.measures.items()
        if not math.isclose(
            measured, now := getattr(of.trace.complexity, name), rel_tol=CLOSE, abs_tol=CLOSE
        )
    ]
    if not differing:
        return []
    return [
        f"scored by another version of rbic_hf, which read the reasoning differently "
        f"({'; '.join(differing)}): the graph is of now, the numbers are of then"
    ]
