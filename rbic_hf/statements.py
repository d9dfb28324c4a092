"""Reads the symbols of one segment: what it takes from earlier ones, and what it establishes.

Numbers and variables are names here; nothing is evaluated. A token is looked at once per process:
what it is lies in a table afterwards, which is most of the speed.
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
_SYMBOLS = frozenset("ncWHvli=E<O+-")
_ANY_SIGN, _WORDS = frozenset("=E<O+-"), frozenset("wh")
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
_STOP_WORDS = frozenset(
    "the a an of is are to we in that and for this by number so therefore our have can be it each "
    "per with as on at from find calculate".split()
)
_MAX_NAME_WORDS = 5  # a longer left side is a clause, not the name of a quantity
_SCALE_WORDS = frozenset({"hundred", "thousand", "million", "billion", "dozen"})
_MARKS = frozenset("$|'’\"_{}[]²³")
# Chinese numerals count before a measure word, or where there are several: 三个, but not 三角形.
_MEASURES = frozenset(
    "个只条件本元角分年月日天时秒米里斤克倍人位名块张支台辆把棵头匹架艘层间页行组排包盒箱瓶杯碗袋双对套份次"
    "步岁度平立升吨厘毫公种类题道颗粒根座户家口趟圈节朵株小"
)
_NO_MEASURES = frozenset({"角形", "次函", "次方", "次项", "次多", "年级", "月份", "边形"})

_TOKENS_KNOWN, _LONGEST_KNOWN = (
    200_000,
    24,
)  # a table of texts that never ends must not grow with it

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
# Operands between signs and brackets; no name has a symbol in it.
_TERM = re.compile(r"[^=E<O+\-(,]+")
_NO_NAME = re.compile("[ncWHMvlx]")
_NAMED_TERM = re.compile(
    r"(?:^|[=E<O+\-(,])[^=E<O+\-(,ncWHMvlxwh]*[wh][^=E<O+\-(,ncWHMvlx]*(?:$|[=E<O+\-(])"
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
    def is_closed(self) -> bool:
        """Whether it computes a value from numbers alone, all of them in sight: 3 * 4 = 12."""
        return (
            bool(self.value)
            and self.operators > 1
            and all("0" <= symbol[0] <= "9" for symbol in self.mentions)
        )

    @property
    def has_symbols(self) -> bool:
        """Whether the segment takes part in the graph at all."""
        return self.has_equation or bool(self.mentions)


_FORMULA, _PROSE = (
    Statement((), (), (), (), "", "", "", False, False, 0, is_formula, "")
    for is_formula in (True, False)
)


class _Codes(dict[str, str]):
    """What each token is, in one character, and by what name it goes."""

    def __init__(self) -> None:
        super().__init__()
        self.names: dict[str, str] = {}

    def __missing__(self, token: str) -> str:
        code, name = _classify(token)
        if len(self) >= _TOKENS_KNOWN:
            self.clear()
            self.names.clear()
        self[token] = code
        self.names[token] = name
        return code


def _classify(token: str) -> tuple[str, str]:
    if token in _SIGNS:
        return _SIGNS[token], _SAME_SIGN.get(token, token)
    if token in _GREEK or token in _GREEK_LETTERS:
        return "v", "\\" + _GREEK_LETTERS.get(token, token[1:])
    first = token[0]
    if first == "\\":
        return ("x" if len(token) > 1 else "m"), token
    if "0" <= first <= "9" or (first == "." and len(token) > 1):
        return _number(numerals.fraction(token) if "⁄" in token else numerals.digits(token))
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
_NAMES = _CODES.names


def tokens(text: str) -> list[str]:
    """Return the words, numbers, commands and signs of a text."""
    return _TOKEN.findall(text)


def read(segment: str, start: int = 0) -> Statement:
    """Return the symbols of one segment from `start` on, where its cues end."""
    if "/" in segment or "frac" in segment or "分之" in segment:
        segment = _with_fractions(segment)
    tokens = _TOKEN.findall(segment, start)
    codes = "".join([_CODES[token] for token in tokens])
    is_formula = _is_formula(tokens, codes)
    if _SYMBOLS.isdisjoint(codes):
        return _FORMULA if is_formula else _PROSE
    found = _symbols(tokens, codes)
    if "=" in codes or "E" in codes:
        return _equation(tokens, codes, found, is_formula)
    symbols = found.mentions()
    return Statement(
        symbols, (), (), symbols, "", "", "", False, False, found.num_signs, is_formula, ""
    )


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


_RELATION = re.compile("[=<]")
_OPERAND = re.compile("[nc+]")


def _is_formula(tokens: list[str], codes: str) -> bool:
    """Whether symbols carry the segment: few words before its first relation, or at all."""
    relation = _RELATION.search(codes)
    left = codes[: relation.start()] if relation else codes
    if relation is None:
        return _num_words(tokens, left) < 3
    operand = _OPERAND.search(left)
    if operand is None:  # "Eggs left for the market = ..."
        return _num_words(tokens, left) <= _MAX_NAME_WORDS
    # "7 days / week * 4 weeks = ..." but not "Natalia sold 48 / 2 = ..."
    return _num_words(tokens, left[: operand.start()]) < 2 and _num_words(tokens, left) < 8


def _num_words(tokens: list[str], codes: str) -> int:
    words = codes.count("w") + codes.count("W")
    if "h" in codes:  # two characters a word
        words += sum(len(t) // 2 for t, code in zip(tokens, codes, strict=False) if code == "h")
    return words


class _Symbols(NamedTuple):
    """The symbols of a segment with their positions, in order."""

    numbers: list[_At]
    variables: list[_At]
    all: list[_At]  # common numbers and signs too
    num_signs: int

    def mentions(self) -> tuple[str, ...]:
        """Return numbers, then variables, each once."""
        return tuple(dict.fromkeys([name for _, name in self.numbers + self.variables]))


def _symbols(tokens: list[str], codes: str) -> _Symbols:
    numbers: list[_At] = []
    variables: list[_At] = []
    names: list[_At] = []
    num_signs = 0
    done = -1  # the last token that belongs to a number before it
    for at in [at for at, code in enumerate(codes) if code in _SYMBOLS]:
        if at <= done:
            continue
        code, name = codes[at], _NAMES[tokens[at]]
        if code in _ANY_SIGN:
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
    return _Symbols(numbers, variables, names, num_signs)


_AFTER_NUMBERS = frozenset("WMP")


def _is_variable(tokens: list[str], codes: str, at: int) -> bool:
    """Whether a letter is a variable; not the article "a", or the sign of 8 x 24."""
    if codes[at] == "i":
        before, after = codes[at - 1 : at] if at else "", codes[at + 1 : at + 2]
        if before in ("n", "c") and after in ("w", "h"):
            return False  # 15 a day
        return before in _MATHEMATICAL or after in _MATHEMATICAL
    if tokens[at] in "xX" and 0 < at < len(tokens) - 1:
        return not (_is_factor(tokens[at - 1]) and _is_factor(tokens[at + 1]))
    return True


def _is_factor(token: str) -> bool:
    return "0" <= token[0] <= "9" or (len(token) > 2 and token[0].isupper() and token.isalpha())


def _number_at(tokens: list[str], codes: str, at: int) -> tuple[str | None, int]:
    """Return the number that begins at a token, None if it is none, and its last token."""
    name = _NAMES[tokens[at]]
    after = tokens[at + 1] if at + 1 < len(tokens) else ""
    if codes[at] == "W":
        return _worded(tokens, codes, at)
    if codes[at] == "H":
        is_counted = after[:1] in _MEASURES and after[:2] not in _NO_MEASURES
        is_long = len(name) > 1 and not after[:1].isalpha()
        return (numerals.in_han(name) if is_counted or is_long else None), at
    if codes[at + 1] == "P":
        return numerals.digits(tokens[at] + "%"), at + 1
    if codes[at + 1] == "M" or _NAMES[after] in _SCALE_WORDS:
        return numerals.times(name, _NAMES[after]), at + 1
    return name, at


def _worded(tokens: list[str], codes: str, at: int) -> tuple[str | None, int]:
    words: list[str] = []
    last = place = at
    while place < len(tokens):
        if codes[place] == "W":
            words += _NAMES[tokens[place]].split("-")
            last = place
        elif not (tokens[place] == "and" and place == last + 1):
            break
        place += 1
    if words[0] in numerals.PARTS_AFTER_ONE and at and tokens[at - 1] in ("a", "A"):
        words.insert(0, "one")
    return numerals.in_words(words), last


def _equation(tokens: list[str], codes: str, found: _Symbols, is_formula: bool) -> Statement:
    numbers, variables = found.numbers, found.variables
    first, last = _ends_of_equation(codes)
    right = codes[last + 1 :]
    is_value = not ("+" in right or "-" in right or (variables and variables[-1][0] > last))
    value = [name for at, name in numbers if at > last] if is_value else []
    taken = [name for _, name in numbers[: len(numbers) - len(value)]]
    defined = [name for at, name in variables if at < first]
    used = [name for at, name in variables if at > first]
    named = []
    if _NAMED_TERM.search(codes):
        names = _quantity_names(tokens, codes)
        named = [name for at, name in names if at < first] if not defined else []
        used += [name for at, name in names if at > first]
    name = named[0] if len(named) == 1 else ""
    left = codes[:first]
    return Statement(
        _unique(taken + used),
        _unique([variable for variable in defined if variable not in used]),
        _unique(value + defined + named),
        found.mentions(),
        name or "".join(tokens[:first]).replace("$", ""),
        name,
        " ".join(value),
        True,
        not left.strip("+-<m(,."),
        found.num_signs,
        is_formula,
        _identity(codes, found.all, first) if numbers or variables else "",
    )


def _ends_of_equation(codes: str) -> tuple[int, int]:
    """Return the places of the first and the last equals sign."""
    if "E" not in codes:
        return codes.find("="), codes.rfind("=")
    places = [at for at, code in enumerate(codes) if code in "=E"]
    return places[0], places[-1]


def _identity(codes: str, names: list[_At], first: int) -> str:
    """Return the signs and symbols of an equation.

    "The 2 sides are 17 + 6 = 23" begins at 17: two operands with a word between them are not of one
    equation.
    """
    start = 0
    before = -1  # the operand right before, if there is no sign between
    for i, (at, _) in enumerate(names):
        if at >= first:
            break
        if codes[at] in _ANY_SIGN:
            before = -1
            continue
        if before >= 0 and not _WORDS.isdisjoint(codes[before:at]):
            start = i
        before = at
    said = [name for _, name in names[start:]]
    return " ".join(said[said[0] == "=" :])


def _quantity_names(tokens: list[str], codes: str) -> list[_At]:
    """Return the operands that are words alone, as in `Cost = Price per egg * Eggs sold`."""
    names: list[_At] = []
    for term in _TERM.finditer(codes):
        start, end = term.span()
        if _NO_NAME.search(codes, start, end) or codes[end : end + 1] == ",":
            continue  # "Given that, speed = ..." names the speed
        words = [_NAMES[token] for token in tokens[start:end] if token[0].isalpha()]
        named = [word for word in words if word not in _STOP_WORDS]
        if 0 < len(named) <= _MAX_NAME_WORDS:
            names.append((end - 1, " ".join(named)))
    return names


def _unique(symbols: list[str]) -> tuple[str, ...]:
    return tuple(symbols) if len(symbols) < 2 else tuple(dict.fromkeys(symbols))
