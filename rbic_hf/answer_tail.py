"""How much of a text comes after its answer was first reached."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rbic_hf import numerals
from rbic_hf.statements import read

_ANSWERS = re.compile(r"\\boxed|\banswer\b|####|答案|故选|选", re.I)
_DRESSING = re.compile(
    r"\\(?:boxed|text|mathrm|mathbf|mbox|left|right|displaystyle)(?![A-Za-z])|\\[()\[\],;! ]|[$*{}]"
)
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_CORE = re.compile(r"[A-Za-z0-9\u4e00-\u9fff]+")
_AROUND_SIGN = re.compile(r" ?([^\w\s]) ?")
_THOUSANDS = re.compile(r"(?<=[0-9]),(?=[0-9]{3}(?![0-9]))")


def tail_share(segments: Sequence[str], answer: str | None) -> float:
    """Return the share [0, 1] of the characters after the segment that first reaches the answer.

    0 when no answer is given or it is not reached.
    """
    wanted = _flat(answer or "")
    if not wanted:
        return 0.0
    reached = _first_reached(segments, wanted)
    tail = 0 if reached is None else sum(map(len, segments[reached + 1 :]))
    return _share(tail, sum(map(len, segments)))


def _first_reached(segments: Sequence[str], wanted: str) -> int | None:
    """Return the first segment that concludes with the answer, else the first that names it."""
    named = None
    # what each segment is looked through for first: most do not hold it, and flattening is slow
    name = numerals.digits(wanted) if _NUMBER.fullmatch(wanted) else wanted
    core = max(_CORE.findall(wanted), key=len, default="")
    for at, part in enumerate(segments):
        if core not in (part.replace(",", "") if "," in part else part):
            continue
        if not _names(_flat(part), wanted):
            continue
        if _ANSWERS.search(part) or name in read(part).value.split():
            return at
        named = at if named is None else named
    return named


def _flat(text: str) -> str:
    """Return the text on one line, without LaTeX dressing and without space around signs."""
    line = " ".join(_DRESSING.sub(" ", text).split())
    return _AROUND_SIGN.sub(r"\1", _THOUSANDS.sub("", line)).strip()


def _names(flat: str, wanted: str) -> bool:
    """Whether `wanted` stands in the text by itself: 4 does not stand in 48, 4.5 or x4."""
    start = flat.find(wanted)
    while start >= 0:
        end = start + len(wanted)
        glued = _is_glued(flat[max(0, start - 2) : start], wanted[0]) or _is_glued(
            flat[end : end + 2][::-1], wanted[-1]
        )
        if not glued:
            return True
        start = flat.find(wanted, end)
    return False


def _is_glued(beside: str, edge: str) -> bool:
    """Whether the two characters beside a match, the nearer last, belong to its number or word."""
    if not beside or not edge.isalnum():
        return False
    near, far = beside[-1], beside[:-1]
    return (near.isascii() and near.isalnum()) or (near == "." and far.isdigit())


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
