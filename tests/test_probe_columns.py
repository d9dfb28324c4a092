"""Outcomes that the dataset already has stand in for rollouts."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from conftest import WordEncoder
from datasets import Dataset

import rbic_hf
from rbic_hf import ColumnProber, ConfigError, DataError, RbicConfig


@pytest.mark.parametrize(
    ("arguments", "columns", "rollouts", "correct"),
    [
        ({"pass_rate": "p"}, {"p": [0, 0.5, 1, 0.26]}, [8, 8, 8, 8], [0, 4, 8, 2]),
        ({"pass_rate": "p", "num_rollouts": 4}, {"p": [0.5, None, "0.25"]}, [4, 0, 4], [2, 0, 1]),
        ({"pass_rate": "p"}, {"p": [1.01, 0.5, float("nan"), 0.5]}, [0, 8, 0, 8], [0, 4, 0, 4]),
        (
            {"num_correct": "c", "num_rollouts": "n"},
            {"c": [1, 5, 0, 2, None, 1], "n": [3, 4, 0, 2, 1, 1]},
            [3, 0, 0, 2, 0, 1],  # 5 of 4 is impossible, 0 of 0 says nothing
            [1, 0, 0, 2, 0, 1],
        ),
        ({"num_correct": "c", "num_rollouts": 2}, {"c": [0, 1, 2]}, [2, 2, 2], [0, 1, 2]),
    ],
)
def test_columns_become_counts(
    arguments: dict[str, Any], columns: dict[str, list[Any]], rollouts: list[int],
    correct: list[int],
) -> None:  # fmt: skip
    found = ColumnProber(**arguments).counts(columns, len(rollouts))
    assert found[0].tolist() == rollouts
    assert found[1].tolist() == correct


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "either pass_rate= or num_correct="),
        ({"num_correct": "c"}, "needs num_rollouts=: of how many"),
        ({"pass_rate": "p", "num_correct": "c"}, "either pass_rate= or num_correct="),
        ({"pass_rate": "p", "num_rollouts": 0}, "num_rollouts=0 is not accepted"),
        ({"pass_rate": "p", "num_rollouts": 10**6}, "num_rollouts=1000000 is not accepted"),
    ],
)
def test_settings_are_checked(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ColumnProber(**arguments)


def test_a_missing_column_is_named_before_any_model_is_loaded(
    dataset: Dataset, encoder: WordEncoder
) -> None:
    with pytest.raises(DataError, match=r"no column 'solve_rate'; columns of the dataset: quest"):
        rbic_hf.score(dataset, encoder=encoder, prober=ColumnProber(pass_rate="solve_rate"))
    assert encoder.num_calls == 0


def test_a_column_without_any_usable_value_is_an_error(
    dataset: Dataset, encoder: WordEncoder
) -> None:
    odd = dataset.add_column("solve_rate", [7.0] * dataset.num_rows)
    with pytest.raises(DataError, match=r"0 of \d+ values in 'solve_rate' are usable.*not percent"):
        rbic_hf.score(odd, encoder=encoder, prober=ColumnProber(pass_rate="solve_rate"))


def test_values_that_are_ignored_are_counted(
    dataset: Dataset, encoder: WordEncoder, caplog: pytest.LogCaptureFixture
) -> None:
    percent = dataset.add_column("solved", [50.0 * (i % 4 == 0) for i in range(dataset.num_rows)])
    with caplog.at_level(logging.WARNING, "rbic_hf"):
        scored = rbic_hf.score(percent, encoder=encoder, prober=ColumnProber(pass_rate="solved"))
    ignored = scored.filter(lambda row: row["rbic_status"] == "clean" and row["solved"] > 1)
    assert f"{ignored.num_rows} rows have a value that is ignored" in caplog.text
    assert set(ignored["rbic_probe"]) == {"not_asked"}


def test_given_pass_rates_become_tiers_and_missing_ones_are_predicted(
    dataset: Dataset, encoder: WordEncoder
) -> None:
    rates = [None if i % 4 == 3 else (i % 4) / 2 for i in range(dataset.num_rows)]
    given = dataset.add_column("solve_rate", rates)
    config = RbicConfig(num_neighbors=8)
    prober = ColumnProber(pass_rate="solve_rate", num_rollouts=16)
    scored = rbic_hf.score(given, config=config, encoder=encoder, prober=prober).to_pandas()
    clean = scored[scored.rbic_status == "clean"]
    measured = clean[clean.solve_rate.notna()]
    assert (measured.rbic_probe == "given").all()
    assert (measured.rbic_rollouts == 16).all()
    assert (measured.rbic_correct == measured.solve_rate * 16).all()
    assert (measured[measured.solve_rate == 1].rbic_tier == "easy").all()
    assert set(measured[measured.solve_rate == 0].rbic_tier) <= {"hard", "unsolved"}
    predicted = clean[clean.solve_rate.isna()]
    assert (predicted.rbic_probe == "not_asked").all()
    assert predicted.rbic_pass_rate.between(0.02, 0.98).all()
    assert predicted.rbic_pass_rate_std.mean() > measured.rbic_pass_rate_std.mean()
