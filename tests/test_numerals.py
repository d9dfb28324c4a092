"""One name for one number, in digits, words, Chinese numerals, fractions and percentages."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rbic_hf import numerals


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("7", "7"),
        ("007", "7"),
        ("0", "0"),
        ("1,200", "1200"),
        ("1200.00", "1200"),
        ("1,200.50", "2401/2"),
        (".5", "1/2"),
        ("0.75", "3/4"),
        ("75%", "3/4"),
        ("75 \\%", "3/4"),
        ("100%", "1"),
        ("3.14159", "3.14159"),  # many decimals are compared as they are
        ("3.1415900", "3.14159"),
    ],
)
def test_digits_have_one_name(text: str, name: str) -> None:
    assert numerals.digits(text) == name


@given(st.integers(0, 10**14), st.integers(0, 9999))
def test_a_decimal_has_the_name_of_its_fraction(whole: int, decimals: int) -> None:
    assert numerals.digits(f"{whole:,}.{decimals:04}") == str(whole + Fraction(decimals, 10**4))


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("seven", "7"),
        ("twenty five", "25"),
        ("one hundred five", "105"),
        ("twelve hundred", "1200"),
        ("three thousand two hundred", "3200"),
        ("two million", "2000000"),
        ("two dozen", "24"),
        ("half", "1/2"),
        ("a quarter", "1/4"),
        ("three quarters", "3/4"),
        ("one third", "1/3"),
        ("two thirds", "2/3"),
        ("third", None),  # the third day
        ("fifth", None),
    ],
)
def test_english_words_have_the_name_of_their_number(words: str, name: str | None) -> None:
    assert numerals.in_words(words.split()) == name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("七", "7"),
        ("十", "10"),
        ("十五", "15"),
        ("三百二十", "320"),
        ("一百零五", "105"),
        ("两百", "200"),
        ("一千二百三十四", "1234"),
        ("三万五千", "35000"),
        ("二〇二四", "2024"),
        ("三点五", "7/2"),
        ("千", None),  # of 千米
        ("万", None),
        ("点", None),
        ("三点", None),  # three o'clock
    ],
)
def test_chinese_numerals_have_the_name_of_their_number(text: str, name: str | None) -> None:
    assert numerals.in_han(text) == name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("百分之五十", "1/2"),
        ("百分之12.5", "1/8"),
        ("四分之三", "3/4"),
        ("3分之1", "1/3"),
        ("零分之一", None),
        ("四分之点", None),
    ],
)
def test_chinese_parts_have_the_name_of_their_fraction(text: str, name: str | None) -> None:
    assert numerals.in_han_parts(text) == name


def test_numerals_without_end_are_no_number() -> None:
    for text in ("一" * 5000, "一万" * 5000, "九" * 25):
        assert numerals.in_han(text) is None
    assert numerals.in_han_parts("一" * 6 + "分之一") is not None


def test_a_fraction_below_one_in_small_parts_is_a_number_and_others_are_divided() -> None:
    assert numerals.is_number("3", "4")
    assert not numerals.is_number("48", "2")
    assert not numerals.is_number("0", "4")
    assert not numerals.is_number("30", "60")
    assert numerals.fraction("6⁄8") == numerals.fraction("¾") == "3/4"
    for text in ("3⁄0", ".1⁄2", "1,234⁄5", "1⁄" + "9" * 5000):
        assert numerals.fraction(text) is None


@pytest.mark.parametrize(
    ("number", "scale", "name"),
    [("3", "万", "30000"), ("5/2", "million", "2500000"), ("3.14159", "万", "31415900/1000")],
)
def test_a_scale_after_a_number_multiplies_it(number: str, scale: str, name: str) -> None:
    assert numerals.times(number, scale) == str(Fraction(name))


@given(st.text(max_size=8))
def test_no_text_in_numerals_raises(text: str) -> None:
    drawn = "".join(char for char in text if char in numerals.HAN_NUMERALS)
    found = numerals.in_han(drawn) if drawn else None
    assert found is None or Fraction(found) >= 0
