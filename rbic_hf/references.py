"""What a segment refers to by a label: "(2)" at the end of an equation, "from (2)", "by step 3"."""

from __future__ import annotations

import re

# Labels of equations and steps, and what refers to them: "(2)" at the end, "from (2)", "由②".
_LABEL = re.compile(
    r"[(（]([0-9]{1,2})[)）][\s.,。，$]{0,4}$|\\tag\{([0-9]{1,2})\}|([①-⑳])[\s.,。，$]{0,4}$"
)
_LEADING_LABEL = re.compile(
    r"\s{0,4}(?:[(（]([0-9]{1,2})[)）]|([①-⑳])|equation\s([0-9]{1,2}))", re.I
)
_MAY_LABEL = frozenset("(（①②③④⑤⑥⑦⑧⑨⑩⑪⑫⑬⑭⑮⑯⑰⑱⑲⑳{")
_STEP = re.compile(
    r"[\s*#]{0,6}(?:step\s([0-9]{1,2})|第([0-9]{1,2}|[一二三四五六七八九十])步)", re.I
)
_REFERENCE = re.compile(
    r"(?:\b(?:from|by|using|in|into|to|of|with|and|equations?|eqs?\.?|formulas?)"
    r"|[由从将把入据式立与和及、,，])\s{0,2}[(（]([0-9]{1,2})[)）]|equations?\s([0-9]{1,2})(?![0-9.])|([①-⑳])",
    re.I,
)
_STEP_REFERENCE = re.compile(
    r"\bsteps?\s([0-9]{1,2})(?![0-9.])|第([0-9]{1,2}|[一二三四五六七八九十])步", re.I
)


class References:
    """The labels that a text has given so far."""

    def __init__(self) -> None:
        self._equations: dict[str, int] = {}  # label -> segment
        self._steps: dict[str, int] = {}  # number -> block

    def label(self, text: str, segment: int) -> None:
        """Keep the label of an equation, if it has one."""
        if _MAY_LABEL.isdisjoint(text):
            return
        for label in (_LEADING_LABEL.match(text), _LABEL.search(text[-16:])):
            if label:
                self._equations[_name(label)] = segment

    def number(self, text: str, block: int) -> None:
        """Keep the number of a step, if it is the heading of one."""
        step = _STEP.match(text)
        if step:
            self._steps[_name(step)] = block

    def equations(self, text: str) -> list[tuple[str, int]]:
        """Return the labelled equations that a text refers to: how, and their segment."""
        if not self._equations:
            return []
        labels = map(_name, _REFERENCE.finditer(text))
        return [(f"({at})", self._equations[at]) for at in labels if at in self._equations]

    def steps(self, text: str) -> list[tuple[str, int]]:
        """Return the numbered steps that a text refers to: how, and their block."""
        if not self._steps:
            return []
        numbers = map(_name, _STEP_REFERENCE.finditer(text))
        return [(f"step {at}", self._steps[at]) for at in numbers if at in self._steps]


def _name(label: re.Match[str]) -> str:
    """Return the number of a label, in one spelling."""
    text = next(group for group in label.groups() if group)
    if "①" <= text <= "⑳":
        return str(ord(text) - ord("①") + 1)
    return text if text.isascii() else str("一二三四五六七八九十".index(text) + 1)
