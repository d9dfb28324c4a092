"""Cuts reasoning into segments and reads the symbols and the role of each one.

A segment is a sentence, a line, or a row of a LaTeX display. A newline always ends one, whatever
is open around it (`$`, a code fence): so a text and its repetition are cut alike, and reading
a trace twice cannot look like more reasoning. Every pattern runs in linear time; nothing is
evaluated, numbers stay strings.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

# Numbers too common to say which earlier segment they come from.
_COMMON_NUMBERS = frozenset({"0", "1", "2", "10", "100"})
_EQUAL = frozenset({"=", "≈", "\\approx", "\\equiv"})
_ORDER = frozenset("<>≤≥≠") | {"\\le", "\\leq", "\\ge", "\\geq", "\\lt", "\\gt", "\\ne", "\\neq"}
_ARITHMETIC = frozenset("+-*/^×÷·−√∑∫") | {
    *("\\times", "\\cdot", "\\div", "\\frac", "\\dfrac", "\\tfrac", "\\sqrt", "\\pm"),
    *("\\binom", "\\sum", "\\int", "\\prod"),
}
_GREEK = re.compile(
    r"\\(?:alpha|beta|gamma|delta|epsilon|zeta|eta|theta|kappa|lambda|mu|nu|xi|rho|sigma|tau|phi"
    r"|varphi|chi|psi|omega|Gamma|Delta|Theta|Lambda|Sigma|Phi|Psi|Omega)"
)
# A letter beside one of these is mathematics, not the article "a" or the label of "circle A".
_MATH_NEIGHBOURS = frozenset("=+-*/^<>$()\\|≤≥≈×÷·−²³√∛'’\"_{}[]0123456789")
_SIGNS = _EQUAL | _ORDER | _ARITHMETIC
_NAMING_WORDS = frozenset({"let", "as", "denote", "of", "is", "for", "设", "令"})
_STOP_WORDS = frozenset(
    {"the", "a", "an", "of", "is", "are", "to", "we", "in", "that", "and", "for", "this", "by"}
    | {"number", "so", "therefore", "our", "have", "can", "be", "it", "each", "per", "with"}
    | {"as", "on", "at", "from", "find", "calculate"}
)
_PARAGRAPH = 4  # segments on one line that make it a paragraph
_MAX_NAME_WORDS = 5  # a longer left side is a clause, not the name of a quantity

_CALCULATOR_MARK = re.compile(r"<<[^<>\n]*>>")  # GSM8K repeats each result inside one
_SENTENCE_END = re.compile(
    r"(?:(?<=[.?])|(?<=[a-z][a-z]!))[\"'”’)\]*]{0,4}\s+(?=[A-Z\\$*(“\"])|(?<=[。！？；])"
)
_ABBREVIATION = re.compile(r"(?:^|[\s(])(?:e\.g|i\.e|vs|Mr|Mrs|Dr|St|No|Eq|approx)\.$")
_ENUMERATOR = re.compile(r"[\s\-*#(]*(?:[0-9]{1,3}|[A-Za-z])[.)]\**")
_LABEL = re.compile(r"\s*(?:[-*•>#]+\s+)?\(?[0-9]{1,2}[.)]\**\s|\s*[-*•>#]+\s")
_TOKEN = re.compile(
    r"\\[A-Za-z]+"
    r"|[0-9]+(?:,[0-9]{3}(?![0-9]))*(?:\.[0-9]+)?"
    r"|[A-Za-z]{2,}['’](?:s|t|d|m|re|ve|ll)(?![A-Za-z])"  # no variable s in "let's"
    r"|[A-Za-z]+(?:_\{?[A-Za-z0-9]+\}?|[0-9]+)?"
    r"|[\u4e00-\u9fff]+"
    r"|\S"
)
_LETTER = re.compile(r"[A-Za-z](?:[0-9]+)?|[A-Za-z]+_.+")
_BRACES = {ord("{"): None, ord("}"): None}  # x_{1} is x_1
_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
_OPENING = re.compile(
    r"^[\s\-*#>•]*(?:(?:so|therefore|thus|hence|then|wait|okay|ok|now|again|and|but|hmm|yes|"
    r"所以|因此|故|则|从而|于是|即|由此|那么)(?![A-Za-z])[\s,，]*)+",
    re.I,
)
_NOISE = re.compile(r"[\s$*#,;:!?`，。！？；：、]+|\.(?![0-9])|\\[()\[\],;]")


# Bounded: two open repetitions of one character would take quadratic time.
_START = r"[\s*#>]{0,8}(?:\(?[0-9]{1,2}[.)]\s{1,4})?\*{0,3}"
# What solvers tell themselves: a clause that opens with one of these has no subject.
_DIRECTIVES = (
    "add|analyze|apply|arrange|break|calculate|cancel|check|choose|combine|compare|complete|compute"
    "|construct|convert|count|create|cross-multiply|define|derive|determine|distribute|divide|draw"
    "|equate|estimate|evaluate|examine|exclude|expand|express|extract|factor|factorize|find"
    "|formulate|identify|interpret|isolate|list|make|multiply|perform|plug|prove|rearrange"
    "|recall(?! that)|recognize|reduce|replace|rewrite|round|set|simplify|solve|substitute|subtract"
    "|take|translate|understand|use|verify|write"
)
_HEADING = re.compile(
    rf"{_START}(?:(?:{_DIRECTIVES})(?![A-Za-z(])"
    r"|(?:case|part|step)\s+\(?[0-9A-Z]{1,2}(?![0-9A-Za-z])|计算|求出|确定|化简|列出|找出)"
    r"|\s*(?:#{1,6}\s|\*\*[^*]+\*\*:?\s*$)",
    re.I,
)
_OPENER = re.compile(
    rf"{_START}(?:(?:now|next|first(?:ly)?|second(?:ly)?|then|finally|let's|let us|let|given"
    r"|so|therefore|thus|hence)(?![A-Za-z])"
    r"|\*\*[^*]+\*\*:?|首先|其次|然后|接着|接下来|最后|设|令|已知|代入|所以|因此|因而|故|则|从而|于是|由此|那么)",
    re.I,
)
# What a solver says to themselves between steps; with symbols in it, it is more than that.
_REMARK = re.compile(
    rf"{_START}(?:(?:okay|ok|wait|hmm+|alright|all right|well|yes|good|great|let me|i|this is"
    r"|that|so far|(?:now,? )?let's (?:see|think|check|verify|continue|proceed|move on|go on))"
    r"(?![A-Za-z])|嗯|好的|让我|等等)",
    re.I,
)
# A sentence that lost its full stop: "... = 7 eggs Calculate the price", "... x = 8 Therefore".
_RUN_ON = re.compile(
    r"(?<=[0-9a-z$)\]}%²³°])\s+(?=(?:"
    + "|".join(word.capitalize() for word in _DIRECTIVES.split("|"))
    + r"|Therefore|Thus|Hence|So|Now|Next|First|Then|Finally|Since|Given|Let's|We|To)\s)"
)
_RELATION = re.compile(r"[=≈<>≤≥]")
_COMMAND = re.compile(r"\\[A-Za-z]+|\$")
_WORD = re.compile(r"[A-Za-z]{2,}|[\u4e00-\u9fff]{2}")

_At = tuple[int, str]  # the position of a token, and what it says


Role = Literal["heading", "opener", "remark", "prose", "formula"]


@dataclass(frozen=True, slots=True)
class Part:
    """A segment and its place.

    Attributes:
        text: the segment.
        starts_line: whether it is the first of its line.
        in_paragraph: whether its line holds many segments.
    """

    text: str
    starts_line: bool
    in_paragraph: bool


@dataclass(frozen=True, slots=True)
class Statement:
    """The symbols of one segment.

    Attributes:
        uses: symbols that the segment takes from earlier ones, in order of appearance.
        about: variables that stand only left of its first `=`.
        results: symbols that it establishes: the value right of the last `=`, the variables
            or the named quantity left of the first.
        mentions: all its symbols; the first mention of a symbol counts as its producer.
        subject: the left side of its equation, "" without one.
        value: the numbers right of its last `=` when that is a plain value, else "".
        has_equation: whether it contains `=` or `≈`.
        continues: whether it opens with `=` or an operator and so goes on with the equation above.
        operators: arithmetic and relation signs.
    """

    uses: tuple[str, ...]
    about: tuple[str, ...]
    results: tuple[str, ...]
    mentions: tuple[str, ...]
    subject: str
    value: str
    has_equation: bool
    continues: bool
    operators: int

    @property
    def has_symbols(self) -> bool:
        """Whether the segment takes part in the graph at all."""
        return self.has_equation or bool(self.mentions)


def segment(text: str) -> list[str]:
    """Return the sentences, lines and display rows of `text` that hold a letter or a digit.

    Order is kept, outer white space is dropped, calculator marks `<<48/2=24>>` are removed.
    An empty list means that there is nothing to read.
    """
    return [part.text for part in cut(text)]


def cut(text: str) -> list[Part]:
    """Return the segments of `text` with their places."""
    parts: list[Part] = []
    for line in _CALCULATOR_MARK.sub("", text).splitlines():
        rows = [row for row in line.split("\\\\") if row and not row.isspace()]
        found = [sentence for row in rows for sentence in _sentences(row)]
        for at, sentence in enumerate(found):
            parts.append(Part(sentence, at == 0, len(found) >= _PARAGRAPH))
    return parts


def _sentences(row: str) -> list[str]:
    found: list[str] = []
    start = 0
    for end in [match.end() for match in _SENTENCE_END.finditer(row)] + [len(row)]:
        # Slices, not the whole sentence: a row of abbreviations must stay linear.
        tail = row[max(start, end - 12) : end].rstrip()
        is_enumerator = end - start <= 12 and _ENUMERATOR.fullmatch(row[start:end].strip())
        if end < len(row) and (is_enumerator or _ABBREVIATION.search(tail)):
            continue
        for sentence in _RUN_ON.split(row[start:end].strip()):
            if any(char.isalnum() for char in sentence):
                found.append(sentence)
        start = end
    return found


def identity(segment: str) -> str:
    """Return what two segments must share to be repeats: the text without opening and dressing."""
    plain = segment.translate(_FULL_WIDTH)
    return _NOISE.sub("", _OPENING.sub("", plain)) or _NOISE.sub("", plain)


def role(segment: str) -> Role:
    """Return what the segment does: head a passage, open a step, tell, or carry a step out."""
    if _HEADING.match(segment):
        return "heading"
    if _REMARK.match(segment):
        return "remark"
    if _OPENER.match(segment):
        return "opener"
    plain = segment.translate(_FULL_WIDTH)
    relation = _RELATION.search(plain)
    left = _COMMAND.sub("", plain[: relation.start()] if relation else plain)
    words = len(_WORD.findall(left))
    if relation is None:
        return "formula" if words < 3 else "prose"
    operand = re.search(r"[0-9+*/^]", left)
    if operand is None:  # "Eggs left for the market = ..."
        return "formula" if words <= _MAX_NAME_WORDS else "prose"
    # "7 days / week * 4 weeks = ..." against "Natalia sold 48 / 2 = ..."
    before = len(_WORD.findall(left[: operand.start()]))
    return "formula" if before < 2 and words < 8 else "prose"


def read(segment: str) -> Statement:
    """Return the symbols of one segment; `Statement` says which."""
    plain = segment.translate(_FULL_WIDTH)
    label = _LABEL.match(plain)
    tokens = _TOKEN.findall(plain, label.end() if label else 0)
    equals = [at for at, token in enumerate(tokens) if token in _EQUAL]
    first, last = (equals[0], equals[-1]) if equals else (len(tokens), len(tokens))
    numbers, variables, words = _symbols(tokens)
    left, right = tokens[:first], tokens[last + 1 :]
    is_value = bool(equals) and not (
        any(token in _ARITHMETIC for token in right) or any(at > last for at, _ in variables)
    )
    value = [number for at, number in numbers if is_value and at > last]
    taken = [number for at, number in numbers if not (is_value and at > last)]
    defined = [variable for at, variable in variables if equals and at < first]
    names = _quantity_names(tokens, words) if equals else []
    named = [name for at, name in names if at < first] if not defined else []
    used = [symbol for at, symbol in variables + names if at > first or not equals]
    return Statement(
        uses=_unique(taken + used),
        about=_unique([variable for variable in defined if variable not in used]),
        results=_unique(value + defined + named),
        mentions=_unique([number for _, number in numbers] + [name for _, name in variables]),
        subject=named[0] if len(named) == 1 else "".join(t for t in left if t != "$"),
        value=" ".join(_normal_number(t) for t in right if _is_number(t)) if is_value else "",
        has_equation=bool(equals),
        continues=bool(equals) and not any(t[0].isalnum() or t[0] == "\\" for t in left),
        operators=sum(token in _SIGNS for token in tokens),
    )


def _symbols(tokens: list[str]) -> tuple[list[_At], list[_At], dict[int, str]]:
    """Sort tokens into numbers and variables, with their positions, and plain words."""
    numbers: list[_At] = []
    variables: list[_At] = []
    words: dict[int, str] = {}
    for at, token in enumerate(tokens):
        if _is_number(token):
            number = _normal_number(token)
            if number not in _COMMON_NUMBERS:
                numbers.append((at, number))
        elif (len(token) == 1 or not token.isalpha()) and _LETTER.fullmatch(token):
            before = tokens[at - 1] if at else " "
            after = tokens[at + 1] if at + 1 < len(tokens) else " "
            if token in "xX" and _is_factor(before) and _is_factor(after):
                continue  # 8 x 24, Length x Width
            if _is_variable(token, before, after):
                variables.append((at, token.translate(_BRACES)))
            else:
                words[at] = token
        elif _GREEK.fullmatch(token):
            variables.append((at, token))
        elif token[0].isalpha():
            words[at] = token.lower()
    return numbers, variables, words


def _is_variable(token: str, before: str, after: str) -> bool:
    if before[0] in _MATH_NEIGHBOURS or after[0] in _MATH_NEIGHBOURS:
        return True
    if token in "aAI":  # words of English
        return False
    # "circle A" and "Section H" are labels; "let S be" and "the value of S" are not.
    return token.islower() or not before.isalpha() or before.lower() in _NAMING_WORDS


def _is_factor(token: str) -> bool:
    return _is_number(token) or (len(token) > 2 and token[0].isupper() and token.isalpha())


def _quantity_names(tokens: list[str], words: dict[int, str]) -> list[_At]:
    """Return the operands that are words alone, as in `Cost = Price per egg * Eggs sold`."""
    names: list[_At] = []
    operand: list[str] = []
    is_name = True
    for at, token in enumerate([*tokens, "="]):
        if token in _SIGNS or token in "()":
            if is_name and 0 < len(operand) <= _MAX_NAME_WORDS:
                names.append((at - 1, " ".join(operand)))
            operand, is_name = [], True
        elif at in words:
            if words[at] not in _STOP_WORDS:
                operand.append(words[at])
        elif token[0].isalnum() or token[0] == "\\":
            is_name = False
        elif token in ",:;":
            operand, is_name = [], True  # "Given that, speed = ..." names the speed
    return names


def _is_number(token: str) -> bool:
    return "0" <= token[0] <= "9"


def _normal_number(token: str) -> str:
    number = token.replace(",", "")
    if "." in number:
        number = number.rstrip("0").rstrip(".")
    return number.lstrip("0") or "0"


def _unique(symbols: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(symbols))
