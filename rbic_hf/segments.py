"""Cuts reasoning into segments: sentences, lines, and rows of LaTeX displays.

A newline always ends a segment, whatever is open around it (`$`, a code fence): so a text and its
repetition are cut alike, and reading a trace twice cannot look like more reasoning. Every pattern
runs in linear time.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from rbic_hf.cues import DIRECTIVES

_PARAGRAPH = 4  # segments on one line that make it a paragraph

_CALCULATOR_MARK = re.compile(r"<<[^<>\n]*>>")  # GSM8K repeats each result inside one
_ENDS = re.compile(
    r"[.?!][\"'”’)\]*]{0,4}\s+(?=[A-Z\\$*(“\"0-9])"
    r"|[。！？；]"
    # a sentence that lost its full stop: "... = 7 eggs Calculate the price"
    r"|(?<=[0-9a-z$)\]}%²³°])\s(?=[A-Z][a-z'’]+\s)"
)
_LETTERS_BEFORE = re.compile(r"[a-z]{2}$|[a-z]{2}[\"'”’)\]*]{1,4}$")
_ABBREVIATION = re.compile(r"(?:^|[\s(])(?:e\.g|i\.e|vs|Mr|Mrs|Ms|Dr|St|No|Nos|Eq|Fig|approx)\.$")
_ENUMERATOR = re.compile(r"[\s\-*#(]*(?:[0-9]{1,3}|[A-Za-z])[.)]\**")
_SAYS_SOMETHING = re.compile(r"[^\W_]")
_STARTERS = frozenset(word.capitalize() for word in DIRECTIVES) | frozenset(
    "Therefore Thus Hence Consequently So Now Next First Then Finally Since Given Let's We To".split()
)


class Part(NamedTuple):
    """A segment and its place.

    Attributes:
        text: the segment.
        starts_line: whether it is the first of its line.
        in_paragraph: whether its line holds many segments.
    """

    text: str
    starts_line: bool
    in_paragraph: bool


def segment(text: str) -> list[str]:
    """Return the sentences, lines and display rows of `text` that hold a letter or a digit.

    Order is kept, outer white space is dropped, calculator marks `<<48/2=24>>` are removed.
    An empty list means that there is nothing to read.
    """
    return [part.text for part in cut(text)]


def cut(text: str) -> list[Part]:
    """Return the segments of `text` with their places."""
    parts: list[Part] = []
    if "<<" in text:
        text = _CALCULATOR_MARK.sub("", text)
    for line in text.splitlines():
        found = _of_line(line)
        is_long = len(found) >= _PARAGRAPH
        starts = True
        for sentence in found:
            parts.append(Part(sentence, starts, is_long))
            starts = False
    return parts


def _of_line(line: str) -> list[str]:
    if "\\\\" not in line:
        return _sentences(line)
    return [sentence for row in line.split("\\\\") for sentence in _sentences(row)]


def _sentences(row: str) -> list[str]:
    found: list[str] = []
    start = 0
    for end in _ENDS.finditer(row):
        if _is_end(row, start, end):
            _keep(row[start : end.end()], found)
            start = end.end()
    _keep(row[start:] if start else row, found)
    return found


def _keep(sentence: str, found: list[str]) -> None:
    if _SAYS_SOMETHING.search(sentence):
        found.append(sentence.strip())


def _is_end(row: str, start: int, end: re.Match[str]) -> bool:
    stop = end[0][0]
    if stop in "。！？；":
        return True
    if stop.isspace():
        word = row[end.end() : end.end() + 16].split(None, 1)[0]
        return word in _STARTERS
    # Slices, not the whole sentence: a row of abbreviations must stay linear.
    before = row[max(start, end.start() - 12) : end.start() + 1]
    if stop == "!" and not _LETTERS_BEFORE.search(before[:-1]):
        return False  # a factorial
    if stop == ".":
        if end.end() - start <= 12 and _ENUMERATOR.fullmatch(row[start : end.end()].strip()):
            return False
        if "0" <= row[end.end()] <= "9" and not _LETTERS_BEFORE.search(before[:-1]):
            return False
        return not _ABBREVIATION.search(before)
    return True
