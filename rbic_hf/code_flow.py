"""The dependency graph of a program: which statement uses the value of which.

Python's own parser reads it; nothing is executed. Depth = the longest chain of statements that
build on each other, as for the text around the code. What a premise is stands in `code_reading`.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rbic_hf.code_reading import BRANCHES, Reader, TooDeepError
from rbic_hf.code_text import CodeRegion, code_regions, parse

__all__ = ["CodeRegion", "CodeStatement", "code_regions", "data_flow"]

_MAX_TEXT = 120


@dataclass(frozen=True, slots=True)
class CodeStatement:
    """One statement of a program in its dependency graph.

    Attributes:
        text: its first line as written, at most 120 characters.
        premises: indices of the earlier statements whose value or decision it uses, ascending.
        operators: its arithmetic, comparison and boolean operators, and calls. Subscripts are
            none, nor is the sign of a number.
        level: 1 + the highest level of its premises, so at least 1. Higher is deeper.
        is_branch: whether it opens a case: `if`, `elif`, `except`, `case`. `else` is no statement.
    """

    text: str
    premises: tuple[int, ...]
    operators: int
    level: int
    is_branch: bool


def data_flow(source: str) -> list[CodeStatement] | None:
    """Return the statements of a Python program, each with its premises; None if it has no parse.

    They are in the order of the source, but for functions that are used above their definition:
    what a statement uses always comes before it. Comments, docstrings, annotations, formatting,
    the names of variables and a second copy of the program change neither premises nor levels.
    An empty list: nothing but imports, prints and checks. None also for more than 200,000
    characters, and for blocks and functions over 100 deep in each other. Never raises.
    """
    parsed = parse(source)
    if parsed is None:
        return None
    tree, lines = parsed
    reader = Reader()
    try:
        reader.read(tree)
    except (TooDeepError, RecursionError):
        return None
    order = _order(reader)
    place = {old: new for new, old in enumerate(order)}
    return [
        CodeStatement(
            _first_line(reader.nodes[at], lines),
            tuple(sorted([place[premise] for premise in reader.premises[at]])),
            reader.operators[at],
            reader.levels[at],
            type(reader.nodes[at]) in BRANCHES,
        )
        for at in order
    ]


def _order(reader: Reader) -> Sequence[int]:
    """Return the statements in the order of the source, as far as premises come first."""
    positions = [_position(node) for node in reader.nodes]
    order = sorted(range(len(positions)), key=positions.__getitem__)
    place = {old: new for new, old in enumerate(order)}
    if all(place[p] < place[at] for at in order for p in reader.premises[at]):
        return order
    waiting = [len(premises) for premises in reader.premises]
    users: list[list[int]] = [[] for _ in order]
    for at, premises in enumerate(reader.premises):
        for premise in premises:
            users[premise].append(at)
    ready = [place[at] for at in order if not waiting[at]]  # ascending, so a heap
    found: list[int] = []
    while ready:
        at = order[heapq.heappop(ready)]
        found.append(at)
        for user in users[at]:
            waiting[user] -= 1
            if not waiting[user]:
                heapq.heappush(ready, place[user])
    return found


def _position(node: Any) -> tuple[int, int]:
    node = getattr(node, "pattern", node)  # a case has no place of its own
    return node.lineno, node.col_offset


def _first_line(node: Any, lines: list[str]) -> str:
    number, start = _position(node)
    line = lines[number - 1]
    if hasattr(node, "pattern"):
        return line.strip()[:_MAX_TEXT]
    end = None
    body = getattr(node, "body", None)
    if body and body[0].lineno == number:
        end = body[0].col_offset
    elif not body and node.end_lineno == number:
        end = node.end_col_offset
    if line.isascii():
        return line[start:end].strip()[:_MAX_TEXT]
    # the parser counts bytes
    return line.encode("utf-8", "replace")[start:end].decode("utf-8", "replace").strip()[:_MAX_TEXT]
