"""Cuts reasoning into segments: sentences, lines, and rows of LaTeX displays.

A newline always ends a segment, whatever is open around it (`$`, a code fence): so a text and its
repetition are cut alike, and reading a trace twice cannot look like more reasoning. Every pattern
runs in linear time.
"""

from __future__ import annotations

import re
import string
from typing import NamedTuple

from rbic_hf.cues import DIRECTIVES

_PARAGRAPH = 4  # different segments with numbers or signs on one line that make it a paragraph

_FULL_WIDTH_SIGNS = "＝＋－＊／＜＞％．" + "".join(
    chr(ord(char) + 0xFEE0) for char in string.digits + string.ascii_letters
)
# Digits, letters and signs; punctuation stays, it means more in Chinese.
_FULL_WIDTH = re.compile(f"[{_FULL_WIDTH_SIGNS}]")
_HALF_WIDTH = {code: code - 0xFEE0 for code in map(ord, _FULL_WIDTH_SIGNS)}
_CALCULATOR_MARK = re.compile(r"<<[^<>\n]*>>")  # GSM8K repeats each result inside one
# What stands around thoughts and answers (`thinking` tells them apart) is no part of a sentence.
_MARKER = re.compile(
    r"<\s{0,2}/?\s{0,2}(?:think|thinking|thoughts?|reasoning|answer|solution|seed:think"
    r"|longcat_think)(?:\s[^<>\n]{0,80})?\s{0,2}>"
    r"|<\|[A-Za-z_]{1,24}\|>(?:(?:analysis|final|assistant)(?=<\|))?"
    r"|\[/?THINK\]|◁/?think▷",
    re.I,
)
_ENVIRONMENT = re.compile(r"\s*\\(?:begin|end)\{[a-z]{1,12}\*?\}(?:\{[^{}]{0,20}\})?\s*")
_ENDS = re.compile(
    r"[.?!](?:[\"'”’)\]*$]|\\[)\]]){0,4}\s+(?=[A-Z\\$*(“\"0-9])"
    r"|[。！？；]"
    # a sentence that lost its full stop: "... = 7 eggs Calculate the price"
    r"|(?<=[0-9a-z$)\]}%²³°])\s(?=[A-Z][a-z'’]+[\s,])"
)
# Where one equation ends and the next begins without a mark: "x = 288 / 18 x = 16", "$a$ $b$"
_NEXT_EQUATION = re.compile(
    r"(?:(?<=[0-9)\]}])|(?<=[-+*/=(]\s[A-Za-z])|(?<=[-+*/=(][A-Za-z]))\s+"
    r"(?=(?:[0-9][0-9.,]{0,12}|[A-Za-wyz]|x(?=\s?=)|√[0-9]{1,6})!?[ ^0-9]{0,3}\s?[-+*/=(])"
    r"|(?<=\$)\s+(?=\$)|(?<=\\[\])])\s+(?=\\[\[(])"
)
_TELLS = re.compile(r"[0-9=$\\]")
_LETTERS_BEFORE = re.compile(r"[a-z]{2}$|[a-z]{2}[\"'”’)\]*]{1,4}$")
_ABBREVIATION = re.compile(r"(?:^|[\s(])(?:e\.g|i\.e|vs|Mr|Mrs|Ms|Dr|St|No|Nos|Eq|Fig|approx)\.$")
_ENUMERATOR = re.compile(r"[\s\-*#(]*(?:[0-9]{1,3}|[A-Za-z])[.)]\**")
_SAYS_SOMETHING = re.compile(r"[^\W_]")
_STARTERS = frozenset(word.capitalize() for word in DIRECTIVES) | frozenset(
    "Therefore Thus Hence Consequently So Now Next First Then Finally Since Given Let's We "
    "To".split()
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
    if not text.isascii() and _FULL_WIDTH.search(text):
        text = text.translate(_HALF_WIDTH)
    if "[asy]" in text:
        text = _without_drawings(text)
    if "<" in text or "THINK]" in text or "◁" in text:
        text = _MARKER.sub("\n", text)
    if "<<" in text:
        text = _CALCULATOR_MARK.sub("", text)
    for line in text.splitlines():
        found = _of_line(line)
        # of different ones: a line that is said twice is no paragraph
        is_long = len(found) >= _PARAGRAPH and len(set(filter(_TELLS.search, found))) >= _PARAGRAPH
        starts = True
        for sentence in found:
            parts.append(Part(sentence, starts, is_long))
            starts = False
    return parts


def _without_drawings(text: str) -> str:
    """Return the text without the programs of Asymptote that draw its figures."""
    kept: list[str] = []
    start = 0
    while (opened := text.find("[asy]", start)) >= 0:
        kept.append(text[start:opened])
        closed = text.find("[/asy]", opened)
        start = len(text) if closed < 0 else closed + len("[/asy]")
    kept.append(text[start:])
    return "\n".join(kept)


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
    pieces = _NEXT_EQUATION.split(sentence) if sentence.count("=") > 1 else [sentence]
    found += [
        piece.strip()
        for piece in pieces
        if _SAYS_SOMETHING.search(piece) and not _ENVIRONMENT.fullmatch(piece)
    ]


def _is_end(row: str, start: int, end: re.Match[str]) -> bool:
    stop = end[0][0]
    if stop in "。！？；":
        return True
    if stop.isspace():
        return row[end.end() : end.end() + 16].split(None, 1)[0].rstrip(",") in _STARTERS
    # Slices, not the whole sentence: a row of abbreviations must stay linear.
    before = row[max(start, end.start() - 12) : end.start() + 1]
    if stop == "!" and not _LETTERS_BEFORE.search(before[:-1]):
        return False  # a factorial
    if stop == ".":
        if end.end() - start <= 12 and _ENUMERATOR.fullmatch(row[start : end.end()].strip()):
            return False
        if "0" <= row[end.end()] <= "9":  # "No. 5", but "= 320. 320 * 2 = 640"
            is_result = before[-2:-1].isdigit() and "=" in row[start : end.start()]
            if not (is_result or _LETTERS_BEFORE.search(before[:-1])):
                return False
        return not _ABBREVIATION.search(before)
    return True
