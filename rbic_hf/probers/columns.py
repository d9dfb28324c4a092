"""Pass rates that the dataset already has, such as a solve-rate column of its authors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
import numpy.typing as npt

from rbic_hf.errors import ConfigError, DataError

Ints = npt.NDArray[np.int32]

ROLLOUTS_OF_A_SHARE = 8
MOST_ROLLOUTS = 1000  # more than that only says that a share was taken for a count


@dataclass(frozen=True)
class ColumnProber:
    """Takes what is known of each question from columns, instead of asking a model.

    Give `pass_rate`, or `num_correct` and `num_rollouts`. A row without a value, or with an
    impossible one, counts as not asked, and its pass rate is predicted like that of other rows.

    Args:
        pass_rate: column of shares in [0, 1]; higher is easier.
        num_correct: column of counts.
        num_rollouts: column of counts; or, a whole number, the same for all rows. With `pass_rate`
            it says how many rollouts a share stands for: the more, the less the prior weighs; None:
            8.
    """

    pass_rate: str | None = None
    num_correct: str | None = None
    num_rollouts: str | int | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be read.

        Raises:
            ConfigError: names what is missing.
        """
        if (self.pass_rate is None) == (self.num_correct is None):
            raise ConfigError("give ColumnProber either pass_rate= or num_correct=")
        if self.num_rollouts is None and self.pass_rate is not None:
            object.__setattr__(self, "num_rollouts", ROLLOUTS_OF_A_SHARE)
        if self.num_rollouts is None:
            raise ConfigError("num_correct= needs num_rollouts=: of how many?")
        if isinstance(self.num_rollouts, str):
            return
        whole = isinstance(self.num_rollouts, Integral) and not isinstance(self.num_rollouts, bool)
        if not whole or not 1 <= self.num_rollouts <= MOST_ROLLOUTS:
            raise ConfigError(
                f"num_rollouts={self.num_rollouts!r} is not accepted; give a column, or a whole "
                f"number >= 1 and <= {MOST_ROLLOUTS}"
            )

        object.__setattr__(self, "num_rollouts", int(self.num_rollouts))  # numpy's is no JSON

    @property
    def spec(self) -> Mapping[str, Any]:
        """What is read."""
        return {
            "prober": "columns",
            "pass_rate": self.pass_rate,
            "num_correct": self.num_correct,
            "num_rollouts": self.num_rollouts,
        }

    @property
    def columns(self) -> list[str]:
        """The columns that are read."""
        named = (self.pass_rate, self.num_correct, self.num_rollouts)
        return [name for name in named if isinstance(name, str)]

    def check(self, column_names: Sequence[str]) -> None:
        """Refuse columns that are not there.

        Raises:
            DataError: names the column and those of the dataset.
        """
        if missing := [name for name in self.columns if name not in column_names]:
            raise DataError(
                f"no column {missing[0]!r}; columns of the dataset: {', '.join(column_names)}"
            )

    def counts(self, columns: Mapping[str, Sequence[Any]], num_rows: int) -> tuple[Ints, Ints]:
        """Return (rollouts, correct ones), both (num_rows,); 0 rollouts where nothing is known.

        Raises:
            DataError: no more than half of the values are usable.
        """
        if isinstance(self.num_rollouts, str):
            asked = _numbers(columns[self.num_rollouts])
        else:
            asked = np.full(num_rows, float(self.num_rollouts or 0))
        if self.pass_rate is not None:
            share = _numbers(columns[self.pass_rate])
            correct = np.round(np.where((share >= 0) & (share <= 1), share, np.nan) * asked)
        else:
            correct = _numbers(columns[str(self.num_correct)])
        given = np.isfinite(_numbers(columns[str(self.pass_rate or self.num_correct)]))
        usable = (asked >= 1) & (asked <= MOST_ROLLOUTS) & (correct >= 0) & (correct <= asked)
        if 2 * usable.sum() <= given.sum() or not usable.any():
            raise DataError(
                f"{int(usable.sum())} of {int(given.sum())} values in "
                f"{', '.join(map(repr, self.columns))} are usable: pass rates lie between 0 and 1 "
                "(not percent), counts between 0 and the number of rollouts"
            )
        return (
            np.where(usable, asked, 0).astype(np.int32),
            np.where(usable, np.nan_to_num(correct), 0).astype(np.int32),
        )


def _numbers(values: Sequence[Any]) -> npt.NDArray[np.float64]:
    """Return floats; NaN for whatever is no number."""

    def number(value: Any) -> float:
        try:
            return float(value)
        except (TypeError, ValueError):
            return float("nan")

    return np.array([number(value) for value in values])
