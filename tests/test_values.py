"""Cells of any type as text, or as nothing."""

import pytest

from rbic_hf.values import answer_text, plain_text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("  16\n", "16"),
        (16, "16"),
        (16.0, "16"),
        (0.5, "0.5"),
        (-0.0, "0"),
        (True, "True"),
        (["D"], "D"),
        (["A", "C"], "AC"),
        ([1, 2.0], "1, 2"),
        (["x = 1", "x = 2"], "x = 1, x = 2"),
        ([], None),
        ([None], None),
        ([["D"]], None),
        ({"value": 3}, None),
        (b"16", None),
        (float("nan"), None),
        (float("inf"), None),
        pytest.param(10**5000, None, id="5001 digits"),
        ("", None),
        (" \n", None),
        (None, None),
    ],
)
def test_answers_of_any_type_become_text_or_nothing(value, text):
    assert answer_text(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (" kept as it is ", " kept as it is "),
        ([{"type": "text", "text": "a"}, "b"], "a\nb"),
        ([{"type": "image", "url": "x"}], None),
        (5, None),
        (b"bytes", None),
        ({"text": "a"}, None),
        ("lone \ud800 surrogate", "lone \ufffd surrogate"),
        ("a pair \ud83d\ude00", "a pair 😀"),
    ],
)
def test_text_is_text_or_text_parts_and_can_be_encoded(value, text):
    assert plain_text(value) == text
