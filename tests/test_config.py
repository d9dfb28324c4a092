"""Settings: every bad value is refused with the field, the value and what is accepted."""

from __future__ import annotations

import json
import math
from dataclasses import FrozenInstanceError, fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rbic_hf.config import UNITS, RbicConfig, check_choice, check_ratio
from rbic_hf.errors import ConfigError, RbicError

NO_WHOLE = [0, -1, 1.0, 2.5, "4", True, None, math.nan, [4]]
NO_SHARE = [-0.01, 1.01, math.nan, math.inf, -math.inf, "0.5", True, [0.5], 10**400, 1j]
BAD: dict[str, list[Any]] = {
    "num_neighbors": NO_WHOLE,
    "benchmark_ngram": NO_WHOLE,
    "num_domains": [v for v in NO_WHOLE if v is not None],
    "max_per_group": NO_WHOLE,
    "num_rollouts": NO_WHOLE,
    "max_new_tokens": [v for v in NO_WHOLE if v is not None],
    "instruction": [3, b"x", ["x"]],
    "max_length": NO_WHOLE,
    "seed": [-1, 0.0, "0", None, False, 2**63],
    "max_probe_rows": [-1, 0.5, "9", False],
    "probe_fraction": [0, *NO_SHARE],
    "duplicate_threshold": [0, None, *NO_SHARE],
    "top_p": [0, None, *NO_SHARE],
    "temperature": [0, -0.1, math.inf, math.nan, None, "1", True, 10**400],
    "tilt": [math.inf, math.nan, None, "-0.3", False],
    "alpha": [None, *NO_SHARE],
    "easy_weight": [None, *NO_SHARE],
    "unsolved_cap": [None, *NO_SHARE],
    "contribution_weight": [-0.1, math.inf, math.nan, None, "1", True],
    "gain_weight": [-0.1, math.inf, math.nan, None, "1", True],
    "entropy_weight": [-0.1, math.inf, math.nan, None, "1", True],
}


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, value) for name, values in BAD.items() for value in values],
    ids=lambda value: ascii(value)[:20],
)
def test_a_bad_value_is_refused_by_field_and_value(name: str, value: Any) -> None:
    with pytest.raises(ConfigError) as refused:
        RbicConfig(**{name: value})
    message = str(refused.value)
    assert message.startswith(f"{name}={value!r} is not accepted; give a ")
    assert isinstance(refused.value, RbicError) and isinstance(refused.value, ValueError)


def test_every_field_has_its_bad_values() -> None:
    assert set(BAD) == {field.name for field in fields(RbicConfig)}


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"num_rollouts": 0}, "give a whole number >= 1"),
        ({"seed": -1}, f"give a whole number >= 0 and <= {2**63 - 1}"),
        ({"alpha": 2}, "give a number >= 0 and <= 1"),
        ({"top_p": 0}, "give a number > 0 and <= 1"),
        ({"temperature": 0}, "give a number > 0"),
        ({"tilt": "x"}, "give a number"),
    ],
)
def test_the_message_says_what_is_accepted(changes: dict[str, Any], wanted: str) -> None:
    with pytest.raises(ConfigError) as refused:
        RbicConfig(**changes)
    assert str(refused.value).endswith(wanted)


@pytest.mark.parametrize(
    "changes",
    [
        {"num_neighbors": 1, "num_domains": 1, "max_probe_rows": 0, "max_length": 1},
        {"alpha": 0, "easy_weight": 0, "unsolved_cap": 0, "contribution_weight": 0},
        {"alpha": 1, "easy_weight": 1, "unsolved_cap": 1, "probe_fraction": 1},
        {"duplicate_threshold": 1, "top_p": 1e-9, "temperature": 1e-3, "tilt": -5},
        {"seed": 2**63 - 1, "num_domains": None, "probe_fraction": None, "max_probe_rows": None},
    ],
)
def test_the_ends_of_each_range_are_accepted(changes: dict[str, Any]) -> None:
    made = RbicConfig(**changes)
    assert {name: getattr(made, name) for name in changes} == changes


def test_a_config_cannot_be_changed_and_a_copy_is_checked_again() -> None:
    with pytest.raises(FrozenInstanceError):
        RbicConfig().alpha = 2  # type: ignore[misc]
    with pytest.raises(ConfigError, match=r"alpha=2"):
        replace(RbicConfig(), alpha=2)


def test_a_config_survives_json() -> None:
    config = RbicConfig(alpha=0.5, num_domains=7)
    assert RbicConfig(**json.loads(json.dumps(config.as_dict()))) == config
    assert list(config.as_dict()) == [field.name for field in fields(RbicConfig)]


@given(st.floats(min_value=0, max_value=1, exclude_min=True))
def test_a_ratio_between_zero_and_one_is_taken_as_it_is(ratio: float) -> None:
    assert check_ratio(ratio) == ratio


@pytest.mark.parametrize("ratio", [1, True, 0.16, np.float64(0.16), 0, None, "0.16", 16, -1, 1.5])
def test_a_ratio_is_a_number_above_zero_up_to_one(ratio: Any) -> None:
    if not isinstance(ratio, bool) and ratio in (1, 0.16):
        assert check_ratio(ratio) == ratio and type(check_ratio(ratio)) is float
    else:
        with pytest.raises(ConfigError, match=r"^ratio=.* give a number > 0 and <= 1$"):
            check_ratio(ratio)


def test_a_misspelt_word_is_answered_with_the_accepted_ones() -> None:
    check_choice("unit", "tokens", UNITS)
    for wrong in ("token", "Cost", "", None, 3, ["cost"]):
        with pytest.raises(ConfigError) as refused:
            check_choice("unit", wrong, UNITS)
        assert str(refused.value) == f"unit={wrong!r} is not known; accepted: cost, tokens, rows"
