r"""Reads one number from a short text, exactly: as a fraction.

Accepts 1,000.0, $18, -3/4, \frac{1}{2}, 1 1/2, 8.7e8, 3\times 10^{8}, 18%, 60^\circ, 18元, four.
Floats and rounding to decimal places are avoided: 3.89e-10 and 5.3e-9 would be equal.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

MAX_NUMBER = 200  # characters; a longer text is not one number with a unit

SPACING = re.compile(r"\\(?:left|right)(?![A-Za-z])|\\[!;:]|\\,|\\ |~|(?<=\{)\s+")
TEXT_COMMAND = r"\\(?:text|mbox|mathrm|textnormal|textrm|textbf|mathbf|textit|rm|bf)(?![A-Za-z])"
TEXT_GROUP = re.compile(TEXT_COMMAND + r"\s*\{([^{}]*)\}")


@dataclass(frozen=True)
class Number:
    """A number as it was written.

    Attributes:
        value: the number; that of 18% is 18.
        is_percent: whether a percent sign follows it.
        is_sure: False when it can be read in two ways: "1,22" may be a list, "3 million" the 3
            that was asked for.
    """

    value: Fraction
    is_percent: bool = False
    is_sure: bool = True


_TO_PLAIN = (  # LaTeX fractions and powers of ten, as 1/2 and e8
    (re.compile(r"\{,\}"), ","),
    (re.compile(r",\s*\\!\s*"), ","),
    (SPACING, " "),
    (re.compile(r"\\[dt]?frac\s*\{\s*(-?\d+)\s*\}\s*\{\s*(\d+)\s*\}"), r" \1/\2"),
    (re.compile(r"\\[dt]?frac\s*(\d)\s*(\d)"), r" \1/\2"),
    (re.compile(r"\s*(?:\\times|\\cdot|×|\*)\s*10\s*\^\s*\{?\s*([-+]?\d{1,3})\s*\}?"), r"e\1"),
)
_UNSIGNED = (
    r"(?:\d{1,3}(?:,\d{3})+(?![\d,])(?:\.\d+)?|\d{1,3}(?: \d{3})+(?!\d)(?:\.\d+)?"
    r"|\d+\.\d+|\d+|\.\d+)"
)
_NUMBER = re.compile(
    r"(?P<sign>[-+]?)\s*(?:\\?[$€£¥₹]\s*)?(?P<sign2>-?)\s*"
    r"(?:(?P<whole>\d+) +(?P<part>\d+/\d+)|(?P<comma>\d+,\d\d?(?![\d,]))"
    rf"|(?P<num>{_UNSIGNED})(?:e(?P<exp>[-+]?\d{{1,3}})(?!\d))?(?:\s*/\s*(?P<den>{_UNSIGNED}))?)",
    re.ASCII | re.IGNORECASE,
)
_SCALES = {"thousand": 3, "million": 6, "billion": 9, "trillion": 12, "万": 4, "亿": 8}
_SCALE = re.compile(rf"\s*({'|'.join(_SCALES)})(?![A-Za-z])", re.IGNORECASE)
_PERCENT = re.compile(r"\s*(?:\\?%|per ?cent(?:age)?\b|percentage points?\b)")
_ASSIGNED = re.compile(r"\A[A-Za-z](?:_\{?\w+\}?)?\s*=(?![=<>])")
_NOT_UNIT = re.compile(
    r"and|or|to|of|pi|sqrt|sin|cos|tan|log|ln|exp|times|plus|minus|over|mod|infty|infinity|hundred"
    r"|dozen|half|halves|thirds|quarters|tenths|if|for|when|where|not|no|less|more|than|least|most",
    re.IGNORECASE,
)
_WORD_NUMBERS = {
    word: Fraction(value)
    for value, word in enumerate(
        re.findall(
            r"\w+",
            "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
            "fifteen sixteen seventeen eighteen nineteen twenty",
        )
    )
}


def read_number(text: str) -> Number | None:
    """Return the number that the whole text is, None when it is anything else.

    A sign, a currency, thousands separators, a percent sign, a unit and `x =` may be around it.
    """
    if len(text) > MAX_NUMBER:
        return None
    text = _ASSIGNED.sub("", text).strip()
    if text.casefold() in _WORD_NUMBERS:
        return Number(_WORD_NUMBERS[text.casefold()])
    for pattern, plain in _TO_PLAIN:
        text = pattern.sub(plain, text)
    text = text.strip()
    match = _NUMBER.match(text)
    if match is None:
        return None
    rest = text[match.end() :]
    scale = _SCALE.match(rest)
    rest = rest[scale.end() :] if scale else rest
    percent = _PERCENT.match(rest)
    rest = rest[percent.end() :] if percent else rest
    value = _value(match)
    if value is None or not _is_unit(rest):
        return None
    value *= 10 ** _SCALES[scale[1].casefold()] if scale else 1
    is_sure = match["comma"] is None and scale is None
    return Number(value, is_percent=percent is not None, is_sure=is_sure)


def _value(match: re.Match[str]) -> Fraction | None:
    if match["whole"]:
        above, below = match["part"].split("/")
        parts = [Fraction(match["whole"]), Fraction(above), Fraction(below)]
    elif match["comma"]:
        parts = [Fraction(match["comma"].replace(",", ".")), Fraction(0), Fraction(1)]
    else:
        digits = [re.sub("[, ]", "", match[name] or "1") for name in ("num", "den")]
        power = Fraction(10) ** int(match["exp"] or 0)
        parts = [Fraction(0), Fraction(digits[0]) * power, Fraction(digits[1])]
    if parts[2] == 0:
        return None
    is_negative = (match["sign"] == "-") != (match["sign2"] == "-")
    return (-1 if is_negative else 1) * (parts[0] + parts[1] / parts[2])


def _is_unit(rest: str) -> bool:
    r"""Whether the text after a number is only a unit: cm^2, \text{ miles}, dollars, °, 元."""
    in_text = " ".join(TEXT_GROUP.findall(rest))
    rest = TEXT_GROUP.sub(" ", rest)
    rest = re.sub(r"\^\s*\{?\s*(?:[23]|\\circ)\s*\}?|°|\\degree|\\circ|\\\$|[$./()]", " ", rest)
    words = rest.split()
    if not all(re.fullmatch(r"[A-Za-z]{2,}|[\u4e00-\u9fff]{1,4}", word) for word in words):
        return False
    words += re.findall(r"[A-Za-z]+|[\u4e00-\u9fff]+|\d", in_text)
    if any(re.search("[万亿千百十半分之和或与]", word) or word.isdigit() for word in words):
        return False
    return len(words) <= 5 and not any(_NOT_UNIT.fullmatch(word) for word in words)


def last_number(tail: str) -> Number | None:
    """Return the last number of prose; None when it is part of an expression or a formula."""
    if "\\" in tail or re.search(r"\$(?!\d)|\d\$", tail):
        return None
    runs = [
        run for run in re.finditer(r"[-\d.,/+*^()=$€£¥%×÷ ]+", tail) if re.search(r"\d", run[0])
    ]
    if not runs:
        return None
    run = runs[-1]
    if run.start() > 0 and tail[run.start() - 1].isalnum() and run[0][0] != " ":
        return None
    return read_number(run[0].rpartition("=")[2].strip(" .,*-("))


def same_value(truth: Number, found: Number) -> bool:
    """Return whether the numbers are equal: 18% is 18 and 0.18, 1/3 is 0.333333."""
    if truth.is_percent == found.is_percent:
        return _is_close(truth.value, found.value)
    values = [truth.value / (100 if truth.is_percent else 1)]
    values.append(found.value / (100 if found.is_percent else 1))
    return _is_close(truth.value, found.value) or _is_close(*values)


def _is_close(truth: Fraction, found: Fraction) -> bool:
    """Whole numbers exactly, others to six places, relative to numbers below one."""
    if truth.denominator == found.denominator == 1:
        return truth == found
    return abs(truth - found) <= min(Fraction(1), abs(truth)) * Fraction(2, 10**6)
