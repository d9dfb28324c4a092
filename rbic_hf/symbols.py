"""The numbers, variables and signs of a segment, each by one name.

A token is looked at once per process: what it is lies in a table afterwards, which is most of the
speed. Nothing is evaluated.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from rbic_hf import numerals

# What a token is, in one character: a segment's tokens become a text that patterns can read.
#   n number   c common number   W number in words   H Chinese numeral   M 万, 亿   P percent
#   v variable   l letter   i a letter that is also a word
#   = equation   E the same as a command   < order   O the same as a command
#   + operator of a term   - other operator
#   w word   h Chinese words   , separator   ( bracket   m mark beside symbols   x command   . rest
_OPERANDS = frozenset("ncWHM")
SYMBOL_CODES = frozenset("ncWHvli=E<O+-")
SIGN_CODES, WORD_CODES = frozenset("=E<O+-"), frozenset("wh")
_MATHEMATICAL = frozenset("nc=E<O+-(mxv")  # what makes the letter beside it a variable

# Numbers too common to say which earlier segment they come from.
COMMON_NUMBERS = frozenset({"0", "1", "2", "10", "100"})
_SIGNS = {
    **dict.fromkeys(("=", "≈"), "="),
    **dict.fromkeys(("\\approx", "\\equiv"), "E"),
    **dict.fromkeys("<>≤≥≠", "<"),
    **dict.fromkeys("\\le \\leq \\ge \\geq \\lt \\gt \\ne \\neq".split(), "O"),
    **dict.fromkeys("+*/^", "+"),
    **dict.fromkeys("-×÷·−√∑∫", "-"),
    **dict.fromkeys(
        "\\times \\cdot \\div \\frac \\dfrac \\tfrac \\sqrt \\pm \\binom \\sum \\int "
        "\\prod".split(),
        "-",
    ),
}
# One sign however it is written, so that an equation said again is known again.
_SAME_SIGN = {
    "×": "*", "·": "*", "\\times": "*", "\\cdot": "*", "÷": "/", "\\div": "/", "−": "-",
    "\\dfrac": "\\frac", "\\tfrac": "\\frac", "\\approx": "≈", "\\leq": "≤", "\\le": "≤",
    "\\geq": "≥", "\\ge": "≥", "\\ne": "≠", "\\neq": "≠", "\\lt": "<", "\\gt": ">",
}  # fmt: skip
_GREEK_NAMES = (
    "alpha beta gamma delta epsilon zeta eta theta kappa lambda mu nu xi rho sigma tau phi chi psi "
    "omega Gamma Delta Theta Lambda Sigma Phi Psi Omega"
).split()
_GREEK_LETTERS = dict(zip("αβγδεζηθκλμνξρστφχψωΓΔΘΛΣΦΨΩ", _GREEK_NAMES, strict=True))  # no π
_GREEK = frozenset("\\" + name for name in [*_GREEK_NAMES, "varphi", "varepsilon"])
_SCALE_WORDS = frozenset({"hundred", "thousand", "million", "billion", "dozen"})
_MARKS = frozenset("$|'’\"_{}[]²³")
# Chinese numerals count before a measure word, or where there are several: 三个, but not 三角形.
_MEASURES = frozenset(
    "个只条件本元角分年月日天时秒米里斤克倍人位名块张支台辆把棵头匹架艘层间页行组排包盒箱瓶杯碗袋双对套份次"
    "步岁度平立升吨厘毫公种类题道颗粒根座户家口趟圈节朵株小"
)
_NO_MEASURES = frozenset({"角形", "次函", "次方", "次项", "次多", "年级", "月份", "边形"})

_MOST_TOKENS_KNOWN = 200_000  # the table of a pool that never ends must not grow with it

_HAN_WORD = re.sub(f"[{numerals.HAN_NUMERALS}]", "", "".join(map(chr, range(0x4E00, 0xA000))))
_TOKEN = re.compile(
    r"\\[A-Za-z]+"
    r"|(?:[0-9]+(?:,[0-9]{3}(?![0-9]))*(?:\.[0-9]+)?|\.[0-9]+)(?:\s?\\?%|⁄[0-9]+)?"
    # no variable s in "let's"
    r"|[A-Za-z]+(?:_\{?[A-Za-z0-9]+\}?|[0-9]+|(?:(?<=[a-z]{2})-[a-z]{2,}|-[a-z]{5,})+)?"
    r"(?:['’](?:s|t|d|m|re|ve|ll)(?![A-Za-z]))?"
    rf"|[{numerals.HAN_NUMERALS}]+"
    rf"|[{_HAN_WORD}]+"
    r"|\S"
)
_LETTER_NAME = re.compile(r"[A-Za-z](?:[0-9]+)?|[A-Za-z]+_.+")
_BRACES = {ord("{"): None, ord("}"): None}  # x_{1} is x_1
_LATEX_FRACTION = re.compile(r"\\[dt]?frac\s?\{([0-9]{1,2})\}\s?\{([0-9]{1,2})\}")
_SLASHED = re.compile(r"(?<![0-9./,])([0-9]{1,2})/([0-9]{1,2})(?![0-9./])")
_HAN_PARTS = re.compile(
    rf"[{numerals.HAN_DIGITS}十百千0-9]{{1,6}}分之[{numerals.HAN_NUMERALS}0-9.]{{1,8}}"
)

At = tuple[int, str]  # the position of a token, and the name of its symbol


class _Codes(dict[str, str]):
    """What each token is, in one character, and by what name it goes."""

    def __init__(self) -> None:
        super().__init__()
        self.names: dict[str, str] = {}

    def __missing__(self, token: str) -> str:
        code, name = _classify(token)
        self[token] = code
        self.names[token] = name
        return code

    def forget(self) -> None:
        """Empty a table that has grown too large; between segments, whose names are looked up."""
        if len(self) > _MOST_TOKENS_KNOWN:
            self.clear()
            self.names.clear()


def _classify(token: str) -> tuple[str, str]:
    first = token[0]
    if "0" <= first <= "9" or (first == "." and len(token) > 1):  # first: most new tokens are
        return _number(numerals.fraction(token) if "⁄" in token else numerals.digits(token))
    if token in _SIGNS:
        return _SIGNS[token], _SAME_SIGN.get(token, token)
    if token in _GREEK or token in _GREEK_LETTERS:
        return "v", "\\" + _GREEK_LETTERS.get(token, token[1:])
    if first == "\\":
        return ("x" if len(token) > 1 else "m"), token
    if token in numerals.VULGAR_FRACTIONS:
        return _number(numerals.fraction(token))
    if first in numerals.HAN_NUMERALS:
        return ("M" if token in "万亿" else "H"), token
    if first in ",:;，：；":
        return ",", token
    if first in "()":
        return "(", token
    if first.isascii() and first.isalpha():
        return _classify_word(token)
    if not first.isalnum():
        return ("m" if first in _MARKS else "."), token
    return "h", token


def _classify_word(token: str) -> tuple[str, str]:
    plain = token.split("'")[0].split("’")[0]
    word = plain.lower()
    if numerals.NUMBER_WORDS.issuperset(word.split("-")):
        return "W", word
    if (len(plain) == 1 or not plain.isalpha()) and _LETTER_NAME.fullmatch(plain):
        if len(plain) > 1:
            return "v", plain.translate(_BRACES)
        return ("i" if plain in "aAI" else "l"), plain
    return ("P" if word == "percent" else "w"), word


def _number(name: str | None) -> tuple[str, str]:
    if name is None:
        return ".", ""
    return ("c" if name in COMMON_NUMBERS else "n"), name


_CODES = _Codes()
NAMES = _CODES.names


def tokens(text: str) -> list[str]:
    """Return the words, numbers, commands and signs of a text."""
    return _TOKEN.findall(text)


def coded(segment: str, start: int = 0) -> tuple[list[str], str]:
    """Return the tokens of a segment from `start` on, and their codes, one character each."""
    _CODES.forget()
    if "/" in segment or "frac" in segment or "分之" in segment:
        segment = _with_fractions(segment)
    found = _TOKEN.findall(segment, start)
    return found, "".join([_CODES[token] for token in found])


def _with_fractions(segment: str) -> str:
    """Return the segment with one form of every fraction."""
    if "分之" in segment:
        segment = _HAN_PARTS.sub(_as_part, segment)
    segment = _SLASHED.sub(_as_fraction, segment)
    return _LATEX_FRACTION.sub(_as_fraction, segment)


def _as_fraction(found: re.Match[str]) -> str:
    return f"{found[1]}⁄{found[2]}" if numerals.is_number(found[1], found[2]) else found[0]


def _as_part(found: re.Match[str]) -> str:
    name = numerals.in_han_parts(found[0])
    return found[0] if name is None else name.replace("/", "⁄")


class Symbols(NamedTuple):
    """The symbols of a segment with their positions, in order.

    Attributes:
        numbers: numbers that can say where they come from.
        variables: variables.
        all: both, common numbers and signs.
        num_signs: arithmetic and relation signs.
    """

    numbers: list[At]
    variables: list[At]
    all: list[At]
    num_signs: int

    def mentions(self) -> tuple[str, ...]:
        """Return numbers, then variables, each once."""
        return tuple(dict.fromkeys([name for _, name in self.numbers + self.variables]))


def find_symbols(tokens: list[str], codes: str) -> Symbols:
    """Return the symbols of tokens with these codes."""
    numbers: list[At] = []
    variables: list[At] = []
    names: list[At] = []
    num_signs = 0
    done = -1  # the last token that belongs to a number before it
    for at in [at for at, code in enumerate(codes) if code in SYMBOL_CODES]:
        if at <= done:
            continue
        code, name = codes[at], NAMES[tokens[at]]
        if code in SIGN_CODES:
            num_signs += 1
        elif code in _OPERANDS:
            if code not in "nc" or codes[at + 1 : at + 2] in _AFTER_NUMBERS:
                number, done = _number_at(tokens, codes, at)
                if number is None:
                    continue
                name = number
            if name not in COMMON_NUMBERS:
                numbers.append((at, name))
        elif code == "v" or _is_variable(tokens, codes, at):
            variables.append((at, name))
        elif name in "xX" and codes[at] == "l":
            num_signs, name = num_signs + 1, "*"  # 8 x 24
        else:
            continue
        names.append((at, name))
    return Symbols(numbers, variables, names, num_signs)


_OPTIONS, _AFTER_OPTIONS = frozenset("ABCDEFG"), frozenset("、项选正错")
_AFTER_LABELS = frozenset(".．:：)")
_AFTER_NUMBERS = frozenset("WMP")


def _is_variable(tokens: list[str], codes: str, at: int) -> bool:
    """Whether a letter is a variable; not the article "a", or the sign of 8 x 24."""
    if codes[at] == "i":
        before, after = codes[at - 1 : at] if at else "", codes[at + 1 : at + 2]
        if before in ("n", "c") and after in ("w", "h"):
            return False  # 15 a day
        return before in _MATHEMATICAL or after in _MATHEMATICAL
    if tokens[at] == "s" and codes[at + 1 : at + 2] == "w" and tokens[at - 1][-1:] == "0":
        return not tokens[at - 1].isdigit()  # "the 10s cancel"
    if tokens[at] in _OPTIONS:
        after = tokens[at + 1][:1] if at + 1 < len(tokens) else ""
        if after in _AFTER_OPTIONS or (at == 0 and after in _AFTER_LABELS):
            return False  # A、B两项正确, "C. Because ..."
    if tokens[at] in "xX" and 0 < at < len(tokens) - 1:
        return not (_is_factor(tokens[at - 1]) and _is_factor(tokens[at + 1]))
    return True


def _is_factor(token: str) -> bool:
    return "0" <= token[0] <= "9" or (len(token) > 2 and token[0].isupper() and token.isalpha())


def _number_at(tokens: list[str], codes: str, at: int) -> tuple[str | None, int]:
    """Return the number that begins at a token, None if it is none, and its last token."""
    name = NAMES[tokens[at]]
    after = tokens[at + 1] if at + 1 < len(tokens) else ""
    if codes[at] == "W":
        return _worded(tokens, codes, at)
    if codes[at] == "H":
        is_counted = after[:1] in _MEASURES and after[:2] not in _NO_MEASURES
        is_long = len(name) > 1 and not after[:1].isalpha()
        return (numerals.in_han(name) if is_counted or is_long else None), at
    if codes[at + 1] == "P":
        return numerals.digits(tokens[at] + "%"), at + 1
    if codes[at + 1] == "M" or NAMES[after] in _SCALE_WORDS:
        return numerals.times(name, NAMES[after]), at + 1
    return name, at


def _worded(tokens: list[str], codes: str, at: int) -> tuple[str | None, int]:
    words: list[str] = []
    last = place = at
    while place < len(tokens):
        if codes[place] == "W":
            words += NAMES[tokens[place]].split("-")
            last = place
        elif not (tokens[place] == "and" and place == last + 1):
            break
        place += 1
    if words[0] in numerals.PARTS_AFTER_ONE and at and tokens[at - 1] in ("a", "A"):
        words.insert(0, "one")
    return numerals.in_words(words), last
