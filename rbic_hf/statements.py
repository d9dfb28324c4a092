"""What one segment takes from earlier ones, and what it establishes."""

from __future__ import annotations

import re
from typing import NamedTuple

from rbic_hf.symbols import (
    NAMES,
    SIGN_CODES,
    SYMBOL_CODES,
    WORD_CODES,
    At,
    Symbols,
    coded,
    find_symbols,
)

_STOP_WORDS = frozenset(
    "the a an of is are to we in that and for this by number so therefore our have can be it each "
    "per with as on at from find calculate".split()
)
_POINTING = frozenset("remaining total these those rest leftover combined resulting".split())
_MAX_NAME_WORDS = 5  # a longer left side is a clause, not the name of a quantity
# Operands between signs and brackets; no name has a symbol in it.
_TERM = re.compile(r"[^=E<O+\-(,]+")
_NO_NAME = re.compile("[ncWHMvlx]")
_NAMED_TERM = re.compile(
    r"(?:^|[=E<O+\-(,])[^=E<O+\-(,ncWHMvlxwh]*[wh][^=E<O+\-(,ncWHMvlx]*(?:$|[=E<O+\-(])"
)


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
        unit: what its last number counts, egg of "= 9 eggs"; "" without one. English only, as:
        points_to: nouns that stand for an amount said before, egg of "the remaining eggs".
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
    unit: str = ""
    points_to: tuple[str, ...] = ()

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


def read(segment: str, start: int = 0) -> Statement:
    """Return the symbols of one segment from `start` on, where its cues end."""
    tokens, codes = coded(segment, start)
    is_formula = _is_formula(tokens, codes)
    if SYMBOL_CODES.isdisjoint(codes):
        return _FORMULA if is_formula else _PROSE
    found = find_symbols(tokens, codes)
    points_to = _pointed_to(tokens, codes)
    if "=" in codes or "E" in codes:
        statement = _equation(tokens, codes, found, is_formula)
        unit = _unit(tokens, codes, found)
        return (
            statement._replace(unit=unit, points_to=points_to) if unit or points_to else statement
        )
    mentions = found.mentions()
    told = Statement(
        mentions, (), (), mentions, "", "", "", False, False, found.num_signs, is_formula, ""
    )
    return told._replace(points_to=points_to) if points_to else told


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


def _equation(tokens: list[str], codes: str, found: Symbols, is_formula: bool) -> Statement:
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
        name or _subject(tokens, codes, found, defined, first),
        name,
        " ".join(value),
        True,
        not left.strip("+-<m(,."),
        found.num_signs,
        is_formula,
        _identity(codes, found.all, first) if numbers or variables else "",
    )


def _unit(tokens: list[str], codes: str, found: Symbols) -> str:
    """Return the noun after the value of an equation, in one number: egg of "= 9 eggs left"."""
    value = found.numbers[-1][0] if found.numbers else -1
    if value < 0 or "=" in codes[value:]:
        return ""
    for at in range(value + 1, min(value + 3, len(codes))):
        if codes[at] == "w" and (noun := tokens[at].lower()) not in _STOP_WORDS:
            return noun.rstrip("s")
    return ""


def _pointed_to(tokens: list[str], codes: str) -> tuple[str, ...]:
    if "ww" not in codes:
        return ()
    return tuple(
        tokens[at + 1].lower().rstrip("s")
        for at in range(len(tokens) - 1)
        if tokens[at].lower() in _POINTING and codes[at + 1] == "w"
    )


def _subject(tokens: list[str], codes: str, found: Symbols, defined: list[str], first: int) -> str:
    """Return the left side of an equation by the names of its symbols: x for "We have $x_{}$"."""
    if len(defined) == 1 and sum(at < first for at, _ in found.all) == 1:
        return defined[0]
    kept = (NAMES[t] for t, code in zip(tokens, codes[:first], strict=False) if code not in "m(,.x")
    return "".join(kept)


def _ends_of_equation(codes: str) -> tuple[int, int]:
    """Return the places of the first and the last equals sign."""
    if "E" not in codes:
        return codes.find("="), codes.rfind("=")
    places = [at for at, code in enumerate(codes) if code in "=E"]
    return places[0], places[-1]


def _identity(codes: str, names: list[At], first: int) -> str:
    """Return the signs and symbols of an equation.

    "The 2 sides are 17 + 6 = 23" begins at 17: two operands with a word between them are not of one
    equation.
    """
    start = 0
    before = -1  # the operand right before, if there is no sign between
    for i, (at, _) in enumerate(names):
        if at >= first:
            break
        if codes[at] in SIGN_CODES:
            before = -1
            continue
        if before >= 0 and not WORD_CODES.isdisjoint(codes[before:at]):
            start = i
        before = at
    said = [name for _, name in names[start:]]
    return " ".join(said[said[0] == "=" :])


def _quantity_names(tokens: list[str], codes: str) -> list[At]:
    """Return the operands that are words alone, as in `Cost = Price per egg * Eggs sold`."""
    names: list[At] = []
    for term in _TERM.finditer(codes):
        start, end = term.span()
        if _NO_NAME.search(codes, start, end) or codes[end : end + 1] == ",":
            continue  # "Given that, speed = ..." names the speed
        words = [NAMES[token] for token in tokens[start:end] if token[0].isalpha()]
        named = [word for word in words if word not in _STOP_WORDS]
        if 0 < len(named) <= _MAX_NAME_WORDS:
            names.append((end - 1, " ".join(named)))
    return names


def _unique(symbols: list[str]) -> tuple[str, ...]:
    return tuple(symbols) if len(symbols) < 2 else tuple(dict.fromkeys(symbols))
