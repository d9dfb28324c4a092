"""What the columns say, in words and terms: sums by hand, every status, values of any kind."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rbic_hf.columns import BY_NAME
from rbic_hf.explanation_facts import (
    STATUS_MEANINGS,
    Place,
    contribution_terms,
    number,
    shown_ratio,
    verdict,
    word,
)
from rbic_hf.formats import STATUSES

SCORED: dict[str, Any] = {
    "rbic_status": "clean", "rbic_rank": 3, "rbic_depth": 4, "rbic_tokens": 140, "rbic_cost": 150.0,
    "rbic_depth_z": 1.5, "rbic_branch_z": 0.4, "rbic_loop_z": -2.0, "rbic_further_z": 0.0,
    "rbic_percentile": 0.9, "rbic_confidence": 0.75, "rbic_answer": "contradicted",
    "rbic_contribution": 0.48, "rbic_domain": 2, "rbic_domain_label": "eggs, box",
    "rbic_core": 0.25, "rbic_tier": None,
}  # fmt: skip
PLACE = Place(
    num_ranked=40,
    kept_from={"cost": 0.1372, "rows": 0.1},
    is_selection=False,
    in_domain=(2, 9),
    last_kept=None,
    group=(),
)


def said(place: Place | None = PLACE, **changes: Any) -> str:
    return "\n".join(verdict({**SCORED, **changes}, place))


def test_terms_add_up_by_hand() -> None:
    found = {term.name: term.value for term in contribution_terms(SCORED)}
    assert found == pytest.approx(
        {
            "z_depth": 1.5,
            "branch penalty": 0.1,  # a quarter of .4
            "loop penalty": 0.0,  # fewer loops than usual are no merit
            "work": 1.4,
            "percentile": 0.9,
            "confidence": 0.75,
            "drawn to the middle": 0.8,  # .5 + .75 * .4
            "answer weight": 0.6,
            "contribution": 0.48,
        }
    )


def test_what_a_model_adds_is_a_line_of_its_own() -> None:
    found = {t.name: t.value for t in contribution_terms({**SCORED, "rbic_further_z": -0.5})}
    assert found["model terms"] == -0.5
    assert found["work"] == pytest.approx(0.9)


@pytest.mark.parametrize("name", ["rbic_depth_z", "rbic_percentile", "rbic_answer"])
@pytest.mark.parametrize("value", [None, float("nan"), "<b>", [1.0], True])
def test_without_one_of_them_there_are_no_terms(name: str, value: Any) -> None:
    assert contribution_terms({**SCORED, name: value}) == ()
    without = {k: v for k, v in SCORED.items() if k != name}
    assert contribution_terms(without) == ()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (3, 3.0), (0.5, 0.5), (np.float32(0.5), 0.5), (np.int64(2), 2.0), (None, None),
        (True, None), ("3", None), (float("inf"), None), (float("nan"), None), ([3], None),
    ],
)  # fmt: skip
def test_only_numbers_are_numbers(value: Any, expected: float | None) -> None:
    assert number({"rbic_core": value}, "rbic_core") == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [("eggs", "eggs"), ("\x1b[1m<b>", "[1m<b>"), (" ", None), (3, None), (None, None)],
)
def test_only_text_is_a_word(value: Any, expected: str | None) -> None:
    assert word({"rbic_tier": value}, "rbic_tier") == expected


def test_every_status_has_a_meaning() -> None:
    listed = BY_NAME["rbic_status"].meaning.replace(":", ",").replace(";", ",").split(",")
    named = {part.strip() for part in listed} & set(STATUS_MEANINGS)
    assert named == set(STATUS_MEANINGS)
    assert set(STATUSES) <= set(STATUS_MEANINGS)
    for status, meaning in STATUS_MEANINGS.items():
        assert said(rbic_status=status).startswith(meaning)
    assert "'other'" in said(rbic_status="other")
    assert verdict({}, None) == ()


@pytest.mark.parametrize(
    ("place", "changes", "expected"),
    [
        (PLACE, {}, "rank 3 of 40 in the pick order (0 is picked first): kept from ratio .138"),
        (PLACE, {}, ".100 of the rows on"),
        (PLACE, {}, "2 of the 9 ranked rows of its domain are picked before it"),
        (
            PLACE,
            {"rbic_status": "contaminated", "rbic_contaminated_by": "13-gram gsm8k:4"},
            "found by 13-gram gsm8k:4",
        ),
        (None, {}, "rank 3 in the pick order"),
        (PLACE, {"rbic_rank": None}, "no rank, kept at no ratio"),
        (PLACE, {}, 'knowledge domain 2 "eggs, box"; more central than 25% of it'),
        (PLACE, {}, "140 tokens, training cost 150"),
        (PLACE, {}, "difficulty: not measured"),
        (PLACE, {"rbic_status": "too_long"}, "140 tokens"),
        (
            PLACE,
            {"rbic_tier": "hard", "rbic_pass_rate": 0.2, "rbic_pass_rate_std": 0.1,
             "rbic_rollouts": 4, "rbic_correct": 1, "rbic_prior": 0.31},
            "hard, pass rate 0.20 ± 0.10, 1 of 4 rollouts right; 0.31 was expected",
        ),
        (
            PLACE,
            {"rbic_tier": "easy", "rbic_pass_rate": 0.8, "rbic_rollouts": 0, "rbic_correct": 0,
             "rbic_probe": "not_asked"},
            "easy, pass rate 0.80, predicted (not_asked)",
        ),
    ],
)  # fmt: skip
def test_sentences(place: Place | None, changes: dict[str, Any], expected: str) -> None:
    assert expected in said(place, **changes)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"kept_from": {"cost": 0.0, "rows": 0.0}}, "kept at every ratio"),
        ({"is_selection": True, "kept_from": {}}, "from which ratio on, cannot be told"),
        ({"kept_from": {}}, "not chosen by rank"),
        ({"last_kept": 7}, "the budget ended after rank 7"),
        ({"group": ((9, None), (12, 20))}, "row 9 without a rank, row 12 with rank 20"),
    ],
)
def test_sentences_of_the_place(changes: dict[str, Any], expected: str) -> None:
    place = Place(**{**PLACE.__dict__, **changes})
    assert expected in said(place)


def test_a_row_without_a_rank_names_the_one_that_is_picked_instead() -> None:
    place = Place(**{**PLACE.__dict__, "group": ((12, 20), *((i, None) for i in range(30, 50)))})
    found = said(place, rbic_rank=None)
    assert "another row is picked instead" in found
    assert "row 12 with rank 20" in found
    assert "and 13 more" in found
    copy = said(Place(**{**PLACE.__dict__, "group": ((12, 20),)}), rbic_status="duplicate")
    assert "the row that stands for it: row 12 with rank 20" in copy


@given(st.floats(1e-9, 1.0))
def test_a_ratio_is_rounded_up_and_stays_close(ratio: float) -> None:
    shown = float(shown_ratio(ratio))
    assert ratio - 1e-9 <= shown <= max(ratio * 1.1, ratio + 0.001)


@pytest.mark.parametrize(
    ("ratio", "expected"),
    [(0.1372, ".138"), (0.137, ".137"), (1.0, "1.000"), (0.9999, "1.000"), (0.0042, ".0042"),
     (0.00421, ".0043"), (0.01, ".010")],
)  # fmt: skip
def test_ratios_as_text(ratio: float, expected: str) -> None:
    assert shown_ratio(ratio) == expected
