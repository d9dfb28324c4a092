"""Text of a dataset as harmless text: short, on one line, nothing that steers a terminal or a page.

Control, format and surrogate characters go (escape sequences, NUL, bidirectional overrides), white
space becomes one blank, marks cannot be piled up, and text that is written from right to left is
isolated, so that it turns nothing around it. Escaping for XML is left to who writes XML.
"""

from __future__ import annotations

import unicodedata

ISOLATE, END = "\u2068", "\u2069"
ELLIPSIS = "…"
_NEVER_FIRST = "，。、；：！？）》」』】,.;:!?)"
MOST_MARKS = 4  # combining marks on one letter; more than any script needs would climb other lines


def one_line(text: str, limit: int) -> str:
    """Return the start of a text as one harmless line of at most `limit` columns."""
    return isolated(_shortened(_cleaned(text, limit), limit))


def wrapped(text: str, columns: int, num_lines: int) -> list[str]:
    """Return the start of a text as up to `num_lines` harmless lines of at most `columns`.

    Lines break at blanks where there are any, else anywhere.
    """
    rest = _cleaned(text, columns * (num_lines + 1))
    lines: list[str] = []
    while rest and len(lines) < num_lines - 1:
        end = _fitting(rest, columns)
        if end < len(rest):
            blank = rest.rfind(" ", 0, end + 1)
            end = blank if blank > end // 2 else _before_punctuation(rest, end)
        lines.append(rest[:end].rstrip())
        rest = rest[end:].lstrip()
    if rest:
        lines.append(_shortened(rest, columns))
    return [isolated(line) for line in lines]


def width(text: str) -> int:
    """Return how many columns of a terminal a text takes: 2 for a Chinese character."""
    return sum(map(_columns, text))


def isolated(text: str) -> str:
    """Return the text, in isolates where it is written from right to left."""
    backwards = any(unicodedata.bidirectional(c) in ("R", "AL", "AN") for c in text)
    return f"{ISOLATE}{text}{END}" if backwards else text


def _columns(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _cleaned(text: str, limit: int) -> str:
    """Return the start of a text, more than `limit` columns of it where there is more."""
    kept: list[str] = []
    marks = columns = 0
    for c in text.strip()[: 8 * limit + 64]:
        if c.isspace():
            c = " "
            if not kept or kept[-1] == " ":
                continue
        kind = unicodedata.category(c)
        if kind[0] == "C":
            continue
        marks = marks + 1 if kind in ("Mn", "Me") else 0
        if marks <= MOST_MARKS:
            kept.append(c)
            columns += _columns(c)
        if columns > limit + 1:
            break
    return "".join(kept).rstrip()


def _fitting(text: str, columns: int) -> int:
    """Return how many characters fit; at least one."""
    taken = 0
    for place, c in enumerate(text):
        taken += _columns(c)
        if taken > columns:
            return max(place, 1)
    return len(text)


def _before_punctuation(text: str, end: int) -> int:
    """Return where to break instead, so that no line begins with a Chinese comma or the like."""
    return end - 1 if text[end] in _NEVER_FIRST and end > 1 else end


def _shortened(text: str, limit: int) -> str:
    if width(text) <= limit:
        return text
    cut = text[: _fitting(text, limit - 1)].rstrip()
    return cut + ELLIPSIS if width(cut) < limit else ELLIPSIS
