"""Reads the symbols of one segment: what it takes from earlier ones, and what it establishes.

Numbers and variables are names here; nothing is evaluated. A token is looked at once per process:
what it is lies in a table afterwards, which is most of the speed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from rbic_hf import numerals

# Kinds of tokens; all others are words and punctuation.
_NUMBER, _COMMON, _VARIABLE, _LETTER, _EQUAL, _ORDER, _SIGN, _WORDED, _HAN, _MYRIAD = range(10)

# Numbers too common to say which earlier segment they come from.
COMMON_NUMBERS = frozenset({"0", "1", "2", "10", "100"})
_EQUALS = frozenset({"=", "≈", "\\approx", "\\equiv"})
_ORDERS = frozenset("<>≤≥≠") | {"\\le", "\\leq", "\\ge", "\\geq", "\\lt", "\\gt", "\\ne", "\\neq"}
_ARITHMETIC = frozenset("+-*/^×÷·−√∑∫") | {
    *("\\times", "\\cdot", "\\div", "\\frac", "\\dfrac", "\\tfrac", "\\sqrt", "\\pm"),
    *("\\binom", "\\sum", "\\int", "\\prod"),
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
# A letter beside one of these is mathematics, not the article "a" or the label of "circle A".
_MATH_NEIGHBOURS = frozenset("=+-*/^<>$()\\|≤≥≈×÷·−²³√∛'’\"_{}[]0123456789")
_NAMING_WORDS = frozenset({"let", "as", "denote", "of", "is", "for", "设", "令"})
_STOP_WORDS = frozenset(
    "the a an of is are to we in that and for this by number so therefore our have can be it each "
    "per with as on at from find calculate".split()
)
_MAX_NAME_WORDS = 5  # a longer left side is a clause, not the name of a quantity
_SCALE_WORDS = frozenset({"hundred", "thousand", "million", "billion", "dozen"})
# Chinese numerals count before a measure word, or where there are several: 三个, but not 三角形.
_MEASURES = frozenset(
    "个只条件本元角分年月日天时秒米里斤克倍人位名块张支台辆把棵头匹架艘层间页行组排包盒箱瓶杯碗袋双对套份次"
    "步岁度平立升吨厘毫公种类题道颗粒根座户家口趟圈节朵株小"
)
_NO_MEASURES = frozenset({"角形", "次函", "次方", "次项", "次多", "年级", "月份", "边形"})

_TOKENS_KNOWN, _LONGEST_KNOWN = 200_000, 24  # a table of texts that never ends must not grow with it

_HAN_WORD = re.sub(f"[{numerals.HAN_NUMERALS}]", "", "".join(map(chr, range(0x4E00, 0xA000))))
_TOKEN = re.compile(
    r"\\[A-Za-z]+"
    r"|[0-9]+(?:,[0-9]{3}(?![0-9]))*(?:\.[0-9]+)?(?:\s?\\?%|⁄[0-9]+)?"
    # no variable s in "let's"
    r"|[A-Za-z]+(?:_\{?[A-Za-z0-9]+\}?|[0-9]+)?(?:['’](?:s|t|d|m|re|ve|ll)(?![A-Za-z]))?"
    rf"|[{numerals.HAN_NUMERALS}]+"
    rf"|[{_HAN_WORD}]+"
    r"|\S"
)
_LETTER_NAME = re.compile(r"[A-Za-z](?:[0-9]+)?|[A-Za-z]+_.+")
_BRACES = {ord("{"): None, ord("}"): None}  # x_{1} is x_1
_UNUSUAL = re.compile("[\uff01-\uff5e]")
_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
_LATEX_FRACTION = re.compile(r"\\[dt]?frac\s?\{([0-9]{1,2})\}\s?\{([0-9]{1,2})\}")
_SLASHED = re.compile(r"(?<![0-9./,])([0-9]{1,2})/([0-9]{1,2})(?![0-9./])")
_HAN_PARTS = re.compile(
    rf"[{numerals.HAN_DIGITS}十百千0-9]{{1,6}}分之[{numerals.HAN_NUMERALS}0-9.]{{1,8}}"
)

_At = tuple[int, str]  # the position of a token, and the name of its symbol


class Statement(NamedTuple):
    """The symbols of one segment.

    Attributes:
        uses: symbols that the segment takes from earlier ones, in order of appearance.
        about: variables that stand only left of its first `=`.
        results: symbols that it establishes: the value right of the last `=`, the variables
            or the named quantity left of the first.
        mentions: all its symbols; the first mention of a symbol counts as its producer.
        subject: the left side of its equation, "" without one.
        name: the named quantity that its equation establishes, "" without one.
        value: the numbers right of its last `=` when that is a plain value, else "".
        has_equation: whether it contains `=` or `≈`.
        continues: whether it opens with `=` or an operator and so goes on with the equation above.
        operators: arithmetic and relation signs.
        is_formula: whether symbols carry it, not words.
        equation: its signs and symbols in order, one spelling each: what an equation that is said
            twice has in common. "" without an equation.
    """

    uses: tuple[str, ...]
    about: tuple[str, ...]
    results: tuple[str, ...]
    mentions: tuple[str, ...]
    subject: str
    name: str
    value: str
    has_equation: bool
    continues: bool
    operators: int
    is_formula: bool
    equation: str

    @property
    def has_symbols(self) -> bool:
        """Whether the segment takes part in the graph at all."""
        return self.has_equation or bool(self.mentions)


_FORMULA, _PROSE = (
    Statement((), (), (), (), "", "", "", False, False, 0, is_formula, "")
    for is_formula in (True, False)
)


class _Token(NamedTuple):
    kind: int
    name: str


class _Known(dict[str, "_Token | None"]):
    """What each token is; None = a word or punctuation."""

    def __missing__(self, token: str) -> _Token | None:
        found = _classify(token)
        if len(token) <= _LONGEST_KNOWN and len(self) < _TOKENS_KNOWN:
            self[token] = found
        return found


def _classify(token: str) -> _Token | None:
    for kind, signs in ((_EQUAL, _EQUALS), (_ORDER, _ORDERS), (_SIGN, _ARITHMETIC)):
        if token in signs:
            return _Token(kind, _SAME_SIGN.get(token, token))
    if token in _GREEK or token in _GREEK_LETTERS:
        return _Token(_VARIABLE, "\\" + _GREEK_LETTERS.get(token, token[1:]))
    if "0" <= token[0] <= "9":
        return _number(numerals.fraction(token) if "⁄" in token else numerals.digits(token))
    if token in numerals.VULGAR_FRACTIONS:
        return _number(numerals.fraction(token))
    if token[0] in numerals.HAN_NUMERALS:
        return _Token(_MYRIAD if token in "万亿" else _HAN, token)
    plain = token.split("'")[0].split("’")[0]
    if plain.lower() in numerals.NUMBER_WORDS:
        return _Token(_WORDED, plain.lower())
    if (len(plain) == 1 or not plain.isalpha()) and _LETTER_NAME.fullmatch(plain):
        return _Token(_LETTER, plain.translate(_BRACES))
    return None


def _number(name: str | None) -> _Token | None:
    if name is None:
        return None
    return _Token(_COMMON if name in COMMON_NUMBERS else _NUMBER, name)


_KNOWN = _Known()


def read(segment: str, start: int = 0) -> Statement:
    """Return the symbols of one segment from `start` on, where its label ends."""
    tokens = _TOKEN.findall(_plain(segment), start)
    infos = [_KNOWN[token] for token in tokens]
    is_formula = _is_formula(tokens, infos)
    if not any(infos):
        return _FORMULA if is_formula else _PROSE
    symbols = _symbols(tokens, infos)
    return _statement(tokens, symbols, is_formula)


def _plain(segment: str) -> str:
    """Return the segment with one form of every digit and fraction."""
    if not segment.isascii():
        if _UNUSUAL.search(segment):
            segment = segment.translate(_FULL_WIDTH)
        if "分之" in segment:
            segment = _HAN_PARTS.sub(_as_part, segment)
    if "/" in segment:
        segment = _SLASHED.sub(_as_fraction, segment)
    if "frac" in segment:
        segment = _LATEX_FRACTION.sub(_as_fraction, segment)
    return segment


def _as_fraction(found: re.Match[str]) -> str:
    return f"{found[1]}⁄{found[2]}" if numerals.is_number(found[1], found[2]) else found[0]


def _as_part(found: re.Match[str]) -> str:
    name = numerals.in_han_parts(found[0])
    return found[0] if name is None else name.replace("/", "⁄")


def _is_formula(tokens: list[str], infos: list[_Token | None]) -> bool:
    """Whether symbols carry the segment: few words before its first relation, or at all."""
    words = 0
    before: int | None = None  # words before the first number or sign
    for token, info in zip(tokens, infos, strict=True):
        if info is None:
            if len(token) > 1 and token[0].isalpha():
                words += 1 if token.isascii() else len(token) // 2
                if words >= 8:
                    return False
        elif info[0] in (_EQUAL, _ORDER) and len(token) == 1:
            # "Eggs left for the market = ..."; "7 days / week * 4 weeks = ..." but not
            # "Natalia sold 48 / 2 = ..."
            return words <= _MAX_NAME_WORDS if before is None else before < 2
        elif before is None and (token[0] in "+*/^" or "0" <= token[0] <= "9"):
            before = words
    return words < 3


class _Symbols(NamedTuple):
    """The symbols of a segment with their positions, in order."""

    numbers: list[_At]
    variables: list[_At]
    equals: list[int]
    signs: list[int]  # arithmetic
    breaks: list[int]  # all signs and relations
    names: list[str]  # of all symbols and signs: the equation


def _symbols(tokens: list[str], infos: list[_Token | None]) -> _Symbols:
    found = _Symbols([], [], [], [], [], [])
    done = -1  # the last token that belongs to a number before it
    for at, info in enumerate(infos):
        if info is None or at <= done:
            continue
        kind, name = info
        if kind in (_EQUAL, _ORDER, _SIGN):
            found.breaks.append(at)
            (found.equals if kind == _EQUAL else found.signs if kind == _SIGN else []).append(at)
        elif kind in (_VARIABLE, _LETTER):
            if kind == _LETTER and not _is_variable(tokens, at):
                continue
            found.variables.append((at, name))
        else:
            number, done = _number_at(tokens, infos, at)
            if number is None:
                continue
            name = number
            if number not in COMMON_NUMBERS:
                found.numbers.append((at, number))
        found.names.append(name)
    return found


def _is_variable(tokens: list[str], at: int) -> bool:
    """Whether a letter is a variable; not the article "a", the sign of 8 x 24, or "circle A"."""
    token = tokens[at]
    before = tokens[at - 1] if at else " "
    after = tokens[at + 1] if at + 1 < len(tokens) else " "
    if token in "xX" and _is_factor(before) and _is_factor(after):
        return False  # 8 x 24, Length x Width
    if before[0] in _MATH_NEIGHBOURS or after[0] in _MATH_NEIGHBOURS or len(token) > 1:
        return True
    if token in "aAI":  # words of English
        return False
    return token.islower() or not before.isalpha() or before.lower() in _NAMING_WORDS


def _is_factor(token: str) -> bool:
    return "0" <= token[0] <= "9" or (len(token) > 2 and token[0].isupper() and token.isalpha())


def _number_at(
    tokens: list[str], infos: list[_Token | None], at: int
) -> tuple[str | None, int]:
    """Return the number that begins at a token, None if it is none, and its last token."""
    info = infos[at]
    assert info is not None
    after = tokens[at + 1] if at + 1 < len(tokens) else ""
    if info.kind == _WORDED:
        return _worded(tokens, infos, at)
    if info.kind == _MYRIAD:
        return None, at
    if info.kind == _HAN:
        is_counted = after[:1] in _MEASURES and after[:2] not in _NO_MEASURES
        is_long = len(info.name) > 1 and not after[:1].isalpha()
        return (numerals.in_han(info.name) if is_counted or is_long else None), at
    if after in ("万", "亿"):
        return numerals.times(info.name, after), at + 1
    if after[:1] in "mbtdhp" and after:
        word = after.lower()
        if word == "percent":
            return numerals.digits(tokens[at] + "%"), at + 1
        if word in _SCALE_WORDS:
            return numerals.times(info.name, word), at + 1
    return info.name, at


def _worded(tokens: list[str], infos: list[_Token | None], at: int) -> tuple[str | None, int]:
    words: list[str] = []
    last = place = at
    while place < len(tokens):
        info = infos[place]
        if info is not None and info.kind == _WORDED:
            words.append(info.name)
            last = place
        elif not (tokens[place] in ("-", "and") and place == last + 1):
            break
        place += 1
    if words[0] in numerals.PARTS_AFTER_ONE and at and tokens[at - 1] in ("a", "A"):
        words.insert(0, "one")
    return numerals.in_words(words), last


def _statement(tokens: list[str], found: _Symbols, is_formula: bool) -> Statement:
    numbers, variables, equals = found.numbers, found.variables, found.equals
    if not equals:
        symbols = _unique([name for _, name in sorted(numbers + variables)])
        return Statement(
            symbols, (), (), symbols, "", "", "", False, False, len(found.breaks), is_formula, ""
        )
    first, last = equals[0], equals[-1]
    is_value = not (
        (found.signs and found.signs[-1] > last) or (variables and variables[-1][0] > last)
    )
    value = [number for at, number in numbers if is_value and at > last]
    taken = [number for at, number in numbers if not (is_value and at > last)]
    defined = [variable for at, variable in variables if at < first]
    names = _quantity_names(tokens, set(found.breaks))
    named = [name for at, name in names if at < first] if not defined else []
    used = [symbol for at, symbol in variables + names if at > first]
    left = tokens[:first]
    return Statement(
        uses=_unique(taken + used),
        about=_unique([variable for variable in defined if variable not in used]),
        results=_unique(value + defined + named),
        mentions=_unique([number for _, number in numbers] + [name for _, name in variables]),
        subject=named[0] if len(named) == 1 else "".join(t for t in left if t != "$"),
        name=named[0] if len(named) == 1 else "",
        value=" ".join(value) if is_value else "",
        has_equation=True,
        continues=not any(token[0].isalnum() or token[0] == "\\" for token in left),
        operators=len(found.breaks),
        is_formula=is_formula,
        # an equation of words alone is compared as text
        equation=" ".join(found.names[found.names[0] == "=" :]) if numbers or variables else "",
    )


def _quantity_names(tokens: list[str], breaks: set[int]) -> list[_At]:
    """Return the operands that are words alone, as in `Cost = Price per egg * Eggs sold`."""
    names: list[_At] = []
    operand: list[str] = []
    is_name = True
    for at, token in enumerate([*tokens, "="]):
        if at in breaks or token in "()" or at == len(tokens):
            if is_name and 0 < len(operand) <= _MAX_NAME_WORDS:
                names.append((at - 1, " ".join(operand)))
            operand, is_name = [], True
        elif token[0].isalpha() and len(token) > 1:
            word = token.lower()
            if word not in _STOP_WORDS:
                operand.append(word)
        elif token[0].isalnum() or token[0] == "\\":
            is_name = False
        elif token in ",:;，：；":
            operand, is_name = [], True  # "Given that, speed = ..." names the speed
    return names


def _unique(symbols: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(symbols))
