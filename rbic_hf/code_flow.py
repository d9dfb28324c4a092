"""The dependency graph of a program: which statement uses the value of which.

Python's own parser reads it; nothing is executed. Depth = the longest chain of statements that
build on each other, as for the text around the code. What a premise is stands in `code_reading`.
"""

from __future__ import annotations

import ast
import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import gt
from typing import Any

from rbic_hf.code_reading import Reader, TooDeepError
from rbic_hf.code_statements import BRANCHES, KINDS
from rbic_hf.code_text import CodeRegion, code_regions, parse

__all__ = ["CodeRegion", "CodeStatement", "code_regions", "data_flow"]

_MAX_TEXT = 120
_SIMPLE = {ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Delete, ast.Expr, ast.Return}


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
    reader = Reader(KINDS)
    try:
        reader.read(tree)
    except (TooDeepError, RecursionError):
        return None
    positions = [_position(node) for node in reader.nodes]
    order: Sequence[int] = range(len(positions))
    premises: Iterable[Iterable[int]] = reader.premises
    if any(map(gt, positions, positions[1:])):
        order = _order(positions, reader.premises)
        place = {old: new for new, old in enumerate(order)}
        premises = ([place[old] for old in reader.premises[at]] for at in order)
    return [
        CodeStatement(
            _first_line(reader.nodes[at], positions[at], lines),
            tuple(sorted(found)),
            reader.operators[at],
            reader.levels[at],
            type(reader.nodes[at]) in BRANCHES,
        )
        for at, found in zip(order, premises, strict=True)
    ]


def _order(positions: list[tuple[int, int]], premises: list[set[int]]) -> Sequence[int]:
    """Return the statements in the order of the source, as far as premises come first."""
    order = sorted(range(len(positions)), key=positions.__getitem__)
    place = {old: new for new, old in enumerate(order)}
    if all(place[premise] < place[at] for at in order for premise in premises[at]):
        return order
    waiting = [len(found) for found in premises]
    users: list[list[int]] = [[] for _ in order]
    for at, found in enumerate(premises):
        for premise in found:
            users[premise].append(at)
    ready = [place[at] for at in order if not waiting[at]]  # ascending, so a heap
    sorted_out: list[int] = []
    while ready:
        at = order[heapq.heappop(ready)]
        sorted_out.append(at)
        for user in users[at]:
            waiting[user] -= 1
            if not waiting[user]:
                heapq.heappush(ready, place[user])
    return sorted_out


def _position(node: Any) -> tuple[int, int]:
    if type(node) is ast.match_case:
        node = node.pattern  # a case has no place of its own
    return node.lineno, node.col_offset


def _first_line(node: Any, position: tuple[int, int], lines: list[str]) -> str:
    number, start = position
    line = lines[number - 1]
    kind = type(node)
    end = None
    if kind is ast.match_case:
        start = 0
    elif kind in _SIMPLE:
        end = node.end_col_offset if node.end_lineno == number else None
    elif node.body[0].lineno == number:
        end = node.body[0].col_offset
    if line.isascii():
        return line[start:end].strip()[:_MAX_TEXT]
    # the parser counts bytes
    return line.encode("utf-8", "replace")[start:end].decode("utf-8", "replace").strip()[:_MAX_TEXT]
