"""Where a response's reasoning ends and its answer begins.

How much reasoning helps a model with the answer is asked of the reasoning alone: where the answer
is written, a model only copies it. Cutting off the last statement of it is not enough, because the
calculation above it ("48 + 24 = 72") says it too. So the text ends before the sentence that first
reaches the answer: the model is left to take the last step itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

MAX_ANSWER_CHARS = 400  # of a text that is looked for; a longer one is no final answer

_SENTENCE_END = re.compile(r"[.!?;][ \t\r]|[。！？；\n]")
_NUMBER = re.compile(r"(?:[0-9]+(?:,[0-9]{3})*(?:\.[0-9]+)?|\.[0-9]+)")
_LONE_NUMBER = re.compile(
    rf"[\s$£€¥￥\\(+\-−]{{0,8}}({_NUMBER.pattern})[\s%$.)\\°]{{0,8}}"
    r"[A-Za-z\u4e00-\u9fff ]{0,30}[.。]?"
)
_DRESSING = " \t$£€¥￥({*~[+-−\\"  # between a sign of equality and its right side
_EQUALS = ("=", "≈", "approx", "equiv", " is", " are", " equals", "是", "为", "得")
_STATES = re.compile(
    r"\\boxed|\\fbox|####|<answer>|\banswer|\b(?:so|thus|hence|therefore|finally)\b"
    r"|答案|故选|所以|因此|综上|从而|于是",
    re.IGNORECASE,
)
MAX_CHARS = 400_000  # of a response that are looked at; no model reads more of one here
_LOOK_BACK = 40  # characters before a mention
_SPACING = re.compile(r"\s+|\\(?:left|right|displaystyle|[,;!:])")
_FRACTION = re.compile(r"\\[dt]frac")


def reasoning_end(response: str, answers: Sequence[str | None]) -> int:
    """Return how many characters of a response come before it first gives one of the `answers`.

    A sentence (or line) gives an answer when the answer stands in it by itself, as the value of an
    equation or in a sentence that concludes ("so", "answer", `\\boxed`, "####", "答案"). An answer
    that is only mentioned is given where it is mentioned last. A response that names none of the
    answers gives the last number that is in it, or else its last sentence. The text before that
    sentence remains: 0 where the first sentence gives the answer. Numbers are compared by value
    without their sign, other answers as written. Never raises on any text.
    """
    response = response[:MAX_CHARS]
    spans = _sentences(response)
    found = [
        end
        for answer in answers
        if answer and (end := _first_given(response, spans, _finder(answer))) is not None
    ]
    if found:
        return min(found)
    last = _last_number(response, spans)
    end = None if last is None else _first_given(response, spans, _number_finder(last))
    return (spans[-1][0] if spans else 0) if end is None else end


Finder = Callable[[str], tuple[str, list[int]]]  # a sentence -> it, and where the answer begins


def _sentences(text: str) -> list[tuple[int, int]]:
    """Return the start and end of each sentence that is not blank."""
    ends = [found.end() for found in _SENTENCE_END.finditer(text)]
    spans = zip([0, *ends], [*ends, len(text)], strict=True)
    return [(start, end) for start, end in spans if text[start:end].strip()]


def _first_given(text: str, spans: Sequence[tuple[int, int]], find: Finder) -> int | None:
    """Return the start of the sentence that first gives what is looked for, else names it last."""
    named = None
    for start, end in spans:
        sentence, places = find(text[start:end])
        if not places:
            continue
        named = start
        if _STATES.search(sentence) or any(_is_value(sentence, at) for at in places):
            return start
    return named


def _is_value(sentence: str, at: int) -> bool:
    """Return whether an equation's right side begins there."""
    return sentence[max(0, at - _LOOK_BACK) : at].rstrip(_DRESSING).endswith(_EQUALS)


def _finder(answer: str) -> Finder:
    answer = answer.strip()
    if len(answer) > MAX_ANSWER_CHARS:
        return lambda sentence: (sentence, [])
    if number := _LONE_NUMBER.fullmatch(answer):
        return _number_finder(_value(number[1]))
    if re.search(r"[\\^_=+*/{}()]", answer):
        return _formula_finder(_squeezed(answer))
    return _word_finder(answer)


def _number_finder(value: str) -> Finder:
    def find(sentence: str) -> tuple[str, list[int]]:
        return sentence, [m.start() for m in _NUMBER.finditer(sentence) if _value(m[0]) == value]

    return find


def _formula_finder(formula: str) -> Finder:
    def find(sentence: str) -> tuple[str, list[int]]:
        squeezed = _squeezed(sentence)
        return squeezed, [m.start() for m in re.finditer(re.escape(formula), squeezed)]

    return find


def _word_finder(answer: str) -> Finder:
    flags = 0 if len(answer) == 1 else re.IGNORECASE  # option A is not the article
    pattern = re.compile(rf"(?<![A-Za-z0-9]){re.escape(answer)}(?![A-Za-z0-9])", flags)

    def find(sentence: str) -> tuple[str, list[int]]:
        return sentence, [found.start() for found in pattern.finditer(sentence)]

    return find


def _last_number(text: str, spans: Sequence[tuple[int, int]]) -> str | None:
    for start, end in reversed(spans):
        if numbers := _NUMBER.findall(text[start:end]):
            return _value(numbers[-1])
    return None


def _value(number: str) -> str:
    """Return a number as it is written shortest: 70,000.00 and 70000 are one."""
    whole, _, rest = number.replace(",", "").partition(".")
    rest = rest.rstrip("0")
    return (whole.lstrip("0") or "0") + ("." + rest if rest else "")


def _squeezed(text: str) -> str:
    return _FRACTION.sub(r"\\frac", _SPACING.sub("", text))
