"""The symbols of one segment."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rbic_hf import symbols
from rbic_hf.statements import read

SAME_NUMBERS = {
    "1234": ["1,234", "1234.0", "one thousand two hundred thirty-four"],
    "25": ["twenty-five", "25.00", "025"],
    "3/4": ["0.75", "75%", "75 percent", "three quarters", r"\frac{3}{4}", r"\dfrac{3}{4}", "¾"],
}


@pytest.mark.parametrize("name", SAME_NUMBERS)
def test_a_number_is_the_same_however_it_is_written(name: str) -> None:
    for spelling in SAME_NUMBERS[name]:
        assert read(f"There are {spelling} of them").mentions == (name,)


@pytest.mark.parametrize(
    ("text", "mentions"),
    [
        ("有三百二十个苹果", ("320",)),
        ("共3万元", ("30000",)),
        ("四分之三的人", ("3/4",)),
        ("三角形和四边形", ()),
        ("三次函数", ()),
        ("5千米", ("5",)),
        ("Let's take Ann's cups", ()),
        ("on the third day", ()),
        ("x_1 + x_{2} and α", ("x_1", "x_2", "\\alpha")),
        ("Length x Width", ()),
        ("a cat and I", ()),
        ("a twenty-year-old", ()),
        ("the Y-shaped one", ()),
        ("C. Because of this", ()),
        ("故A项正确，B错误", ()),
        ("the value of C is 5", ("5", "C")),
        ("7 of 10", ("7",)),  # ten is too common to say where it is from
    ],
)
def test_numbers_and_variables_are_told_from_words(text: str, mentions: tuple[str, ...]) -> None:
    assert read(text).mentions == mentions


@pytest.mark.parametrize(
    ("text", "uses", "results"),
    [
        ("48/3 = 16", ("48", "3"), ("16",)),
        ("T = 3 * 4 + 8 = 20", ("3", "4", "8"), ("20", "T")),
        ("x = y + 4", ("4", "y"), ("x",)),
        ("Cost = Price per egg * Eggs sold", ("price egg", "eggs sold"), ("cost",)),
        ("单价 = 3 × 4", ("3", "4"), ("单价",)),
        ("There are 7 cats", ("7",), ()),
        ("15 a day = 3 a week", ("15",), ("3",)),
    ],
)
def test_an_equation_takes_what_is_left_and_establishes_what_is_right(
    text: str, uses: tuple[str, ...], results: tuple[str, ...]
) -> None:
    assert (read(text).uses, read(text).results) == (uses, results)


@pytest.mark.parametrize(
    "texts",
    [
        ("48 / 2 = 24", "So they sold 48/2 = 24 clips", "= 48 ÷ 2 = 24"),
        ("8 x 24 = 192", "8 × 24 = 192", r"8 \times 24 = 192", "8 * 24 = 192.0"),
        ("The 2 sides are 17 + 6 = 23", "17 + 6 = 23 metres"),
    ],
)
def test_an_equation_said_twice_has_one_form(texts: tuple[str, ...]) -> None:
    assert len({read(text).equation for text in texts}) == 1


def test_different_equations_have_different_forms() -> None:
    texts = ["48 / 2 = 24", "48 / 3 = 16", "24 = 48 / 2", "x = 24", "y = 24"]
    assert len({read(text).equation for text in texts}) == len(texts)


@pytest.mark.parametrize(
    ("text", "is_formula"),
    [
        ("Eggs left for the market = 9", True),
        ("7 days/week * 4 weeks = 28 days", True),
        (r"\[ \frac{1}{2} + \frac{1}{3} \]", True),
        ("draw((0,0)--(1,1));", True),
        ("Natalia sold 48/2 = 24 clips.", False),
        ("The robe takes four bolts.", False),
    ],
)
def test_symbols_or_words_carry_a_segment(text: str, is_formula: bool) -> None:
    assert read(text).is_formula == is_formula


@pytest.mark.parametrize(
    ("text", "closed"),
    [
        ("3 * 4 = 12", True),
        ("8 x 24 = 192", True),
        ("x = 12", False),
        ("x + 4 = 12", False),
        ("12", False),
    ],
)
def test_a_computation_from_numbers_alone_needs_nothing_else(text: str, closed: bool) -> None:
    assert read(text).is_closed == closed


@given(st.text(max_size=80))
def test_any_text_is_read(text: str) -> None:
    found = read(text)
    assert set(found.about).isdisjoint(found.uses)
    assert found.operators >= found.has_equation


def test_a_table_of_tokens_that_fills_up_within_a_segment_loses_nothing(monkeypatch) -> None:
    text = "x = 7 + 8 = 15 apples for 9 boxes"
    before = read(text)
    monkeypatch.setattr(symbols, "_MOST_TOKENS_KNOWN", 2)
    for _ in range(3):
        assert read(text) == before
        assert read("y = 31 * 47 = 1457 of 77").results == ("1457", "77", "y")
    assert len(symbols.NAMES) < 30
