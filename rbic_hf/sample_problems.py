"""A word problem as a computation graph: what the embedded sample knows about each of its rows.

A problem is a list of nodes, each a given quantity or one operation on earlier nodes; depth is the
longest chain of operations, known by construction rather than read back from the text. The
wording is a table (`sample_english.json`, `sample_chinese.json`), not code.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

Language = Literal["en", "zh"]

MAX_VALUE = 10_000

_WORD_FILES = {"en": "sample_english.json", "zh": "sample_chinese.json"}


class Unfit(Exception):
    """The numbers drawn so far do not make a clean problem; the caller draws again."""


@dataclass(frozen=True)
class Node:
    """One quantity: given when `op` is empty, else `op` applied to the nodes at `args`.

    `op` is one of "+", "-", "*", "/" and "%", where x % n means n percent of x.
    """

    value: int
    op: str = ""
    args: tuple[int, ...] = ()


@dataclass(frozen=True)
class Step:
    """One sentence of the solution; its "{eq}" stands for the equation of node `node`."""

    node: int
    text: str


@dataclass(frozen=True)
class Problem:
    """A question with the graph that answers it; the last step's node is the answer.

    `plot` names the wording that was used, so that a caller can avoid telling it twice.
    """

    topic: str
    language: Language
    question: str
    nodes: tuple[Node, ...]
    steps: tuple[Step, ...]
    plot: tuple[str, ...]

    @property
    def answer(self) -> int:
        """The value asked for, from 3 to 10,000."""
        return self.nodes[self.steps[-1].node].value

    @property
    def depth(self) -> int:
        """The number of operations on the longest chain that leads to the answer."""
        return node_depths(self.nodes)[self.steps[-1].node]


def node_depths(nodes: tuple[Node, ...] | list[Node]) -> list[int]:
    """Return each node's longest chain of operations; 0 for a given quantity."""
    depths: list[int] = []
    for node in nodes:
        depths.append(1 + max(depths[arg] for arg in node.args) if node.op else 0)
    return depths


@cache
def words(language: Language) -> dict[str, Any]:
    """Return the wording table of a language, read once."""
    text = files("rbic_hf").joinpath(_WORD_FILES[language]).read_text(encoding="utf-8")
    table: dict[str, Any] = json.loads(text)
    return table


def topics() -> list[str]:
    """Return the ten topic names, in the order of the English table."""
    return list(dict.fromkeys(scenario["topic"] for scenario in words("en")["scenarios"]))


def equation(nodes: tuple[Node, ...], index: int, *, times: str, over: str) -> str:
    """Return a node's computation, such as "3 × 4 = 12", with the signs for times and over."""
    node = nodes[index]
    operands = [str(nodes[arg].value) for arg in node.args]
    if node.op == "%":
        return f"{operands[0]} {times} {operands[1]} {over} 100 = {node.value}"
    sign = {"*": times, "/": over}.get(node.op, node.op)
    return f"{f' {sign} '.join(operands)} = {node.value}"


def compute(op: str, values: list[int]) -> int:
    """Return the exact result of an operation; raises Unfit when a division leaves a remainder."""
    first, last = values[0], values[-1]
    if op == "+":
        return sum(values)
    if op == "-":
        return first - last
    if op == "*":
        return first * last
    quotient, remainder = divmod(first * last, 100) if op == "%" else divmod(first, last)
    if remainder:
        raise Unfit
    return quotient
