"""One name for one number, however it is written: 1,200 = 1200.0 = 一千二百 = twelve hundred.

Numbers stay names: nothing is computed with them. Fractions below one, percentages and short
decimals share a name too (3/4, 75%, .75, three quarters, 四分之三), because solutions change
between them in the middle of an argument.
"""

from __future__ import annotations

import re
from fractions import Fraction

_UNITS = {
    word: value
    for value, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
        "fifteen sixteen seventeen eighteen nineteen".split()
    )
}
_TENS = {
    word: 10 * value
    for value, word in enumerate(
        "twenty thirty forty fifty sixty seventy eighty ninety".split(), start=2
    )
}
_SCALES = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9, "dozen": 12}
_PARTS = {
    "half": 2, "halves": 2, "thirds": 3, "quarter": 4, "quarters": 4, "fourths": 4, "fifths": 5,
    "sixths": 6, "sevenths": 7, "eighths": 8, "ninths": 9, "tenths": 10,
}  # fmt: skip
PARTS_AFTER_ONE = {"third": 3, "fourth": 4, "fifth": 5, "sixth": 6, "eighth": 8, "tenth": 10}
NUMBER_WORDS = frozenset({*_UNITS, *_TENS, *_SCALES, *_PARTS, *PARTS_AFTER_ONE})

HAN_DIGITS = "零〇一二两三四五六七八九"
_HAN_VALUE = dict(zip(HAN_DIGITS, (0, 0, 1, 2, 2, 3, 4, 5, 6, 7, 8, 9), strict=True))
_HAN_SCALE = {"十": 10, "百": 100, "千": 1000}
_HAN_MYRIAD = {"万": 10**4, "亿": 10**8}
HAN_NUMERALS = HAN_DIGITS + "十百千万亿点"

_VULGAR = dict(
    zip(
        "½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞",
        "1⁄2 1⁄3 2⁄3 1⁄4 3⁄4 1⁄5 2⁄5 3⁄5 4⁄5 1⁄6 5⁄6 1⁄8 3⁄8 5⁄8 7⁄8".split(),
        strict=True,
    )
)
VULGAR_FRACTIONS = "".join(_VULGAR)

# 3/4 is a number and 48/2 a division: below one, and in parts that people speak of.
_LARGEST_PART = 20
_MOST_DIGITS = 15  # longer digits are compared as they are
_MOST_DECIMALS = 4
_LONGEST_HAN = 24  # no number; a text of nothing but numerals must not make one that nobody prints


def digits(text: str) -> str:
    """Return the name of a number written in digits: "1,200.50" -> "2401/2", "75%" -> "3/4"."""
    if text.isdigit():
        return text.lstrip("0") or "0"
    is_percent = text.endswith("%")
    plain = text.rstrip("%\\ \t").replace(",", "")
    whole, _, decimals = plain.partition(".")
    decimals = decimals.rstrip("0")
    whole = whole.lstrip("0")
    if not decimals and not is_percent:
        return whole or "0"
    if len(whole) > _MOST_DIGITS or len(decimals) > _MOST_DECIMALS:
        return f"{whole or 0}.{decimals}" + "%" * is_percent
    number = Fraction(int(whole + decimals or "0"), 10 ** len(decimals))
    return str(number / 100 if is_percent else number)


def is_number(above: str, below: str) -> bool:
    """Whether above/below is spoken of as a number, 3/4, and not divided, 48/2."""
    return 0 < int(above) < int(below) <= _LARGEST_PART


def fraction(text: str) -> str | None:
    """Return the name of a fraction with the fraction slash: "6⁄8" or "¾" -> "3/4"."""
    above, _, below = _VULGAR.get(text, text).partition("⁄")
    if not (above.isdecimal() and below.isdecimal() and len(above + below) <= _MOST_DIGITS):
        return None
    return str(Fraction(int(above), int(below))) if int(below) else None


def in_words(words: list[str]) -> str | None:
    """Return the name of a number in English words: ["twenty", "five"] -> "25".

    None when the words are no number, such as "third" by itself. "and" is left out by the caller.
    """
    last = words[-1]
    if last in _PARTS or last in PARTS_AFTER_ONE:
        return _part(words[:-1], last)
    total = group = 0
    for word in words:
        if word in _UNITS:
            group += _UNITS[word]
        elif word in _TENS:
            group += _TENS[word]
        elif word in ("hundred", "dozen"):
            group = max(1, group) * _SCALES[word]
        elif word in _SCALES:
            total, group = total + max(1, group) * _SCALES[word], 0
        else:
            return None
    return str(total + group)


def _part(above: list[str], word: str) -> str | None:
    if above in ([], ["a"]) and word in ("half", "quarter"):
        return str(Fraction(1, _PARTS[word]))
    if above in (["one"], ["a"]) and word in PARTS_AFTER_ONE:
        return str(Fraction(1, PARTS_AFTER_ONE[word]))
    if len(above) != 1 or above[0] not in _UNITS or word not in _PARTS:
        return None
    return str(Fraction(_UNITS[above[0]], _PARTS[word]))


def in_han(text: str) -> str | None:
    """Return the name of a number in Chinese numerals, "三百二十" -> "320"; None: no number."""
    if len(text) > _LONGEST_HAN:
        return None
    whole, point, decimals = text.partition("点")
    if point and not decimals:
        return None
    value = _han_whole(whole)
    if value is None or not point:
        return None if value is None else str(value)
    places = [_HAN_VALUE.get(char) for char in decimals]
    if None in places:
        return None
    return digits(f"{value}." + "".join(map(str, places)))


def _han_whole(text: str) -> int | None:
    if len(text) > 1 and all(char in _HAN_VALUE for char in text):
        return int("".join(str(_HAN_VALUE[char]) for char in text))  # 二〇二四
    total = group = digit = 0
    seen = False
    for char in text:
        if char in _HAN_VALUE:
            digit, seen = _HAN_VALUE[char], True
        elif char in _HAN_SCALE and (seen or char == "十"):
            group += max(1, digit) * _HAN_SCALE[char]
            digit, seen = 0, True
        elif char in _HAN_MYRIAD and seen:
            total, group, digit = (total + group + digit) * _HAN_MYRIAD[char], 0, 0
        else:
            return None
    return total + group + digit if seen else None


def times(number: str, scale: str) -> str:
    """Return the name of a number and the scale after it: ("3", "万") -> "30000"."""
    try:
        return str(Fraction(number) * (_SCALES.get(scale) or _HAN_MYRIAD[scale]))
    except ValueError:  # digits that are compared as they are
        return number


_HAN_FRACTION = re.compile(
    f"([{HAN_DIGITS}十百千]{{1,6}}|[0-9]{{1,4}})分之([{HAN_NUMERALS}]{{1,8}}|[0-9.]{{1,8}})"
)


def in_han_parts(text: str) -> str | None:
    """Return the name of a fraction or percentage in Chinese: "百分之五十" -> "1/2"."""
    found = _HAN_FRACTION.fullmatch(text)
    if found is None:
        return None
    below, above = (part if part.isascii() else in_han(part) for part in found.groups())
    if found[1] in _HAN_SCALE:  # 百分之 is "of a hundred", without a digit before it
        below = str(_HAN_SCALE[found[1]])
    if below is None or above is None or not below.isdigit() or int(below) == 0:
        return None
    try:
        return str(Fraction(above) / int(below))
    except (ValueError, ZeroDivisionError):
        return None
