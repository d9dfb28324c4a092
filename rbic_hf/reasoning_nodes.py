"""What a reasoning graph is made of: the segments as nodes, and the blocks that gather them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

Kind = Literal["equation", "fact", "words", "repeat", "check", "code"]


class Node(NamedTuple):
    """A segment of the graph.

    Attributes:
        text: the segment.
        kind: "equation"; "fact" (symbols without an equation); "words" (no symbols); "repeat" (says
            an earlier segment again); "check" (an equation that is known, or that arrives at what
            is known); "code" (a statement of a program).
        premises: indices of the earlier segments that it depends on, ascending.
        symbols: for each premise what links to it: a number, a variable, a name, or "" for a
            connective or a line that goes on.
        block: number of its block, from 0.
        level: level of its block, from 1; 0 = it adds nothing.
        is_abandoned: whether the text takes it back.
    """

    text: str
    kind: Kind
    premises: tuple[int, ...]
    symbols: tuple[str, ...]
    block: int
    level: int
    is_abandoned: bool


@dataclass(slots=True)
class Block:
    """The segments that a reader would number as one step.

    Attributes:
        is_announced: whether words open it, not an equation.
        below: the level that it stands on: of its highest premise in another block, or without
            one of the block before when it opens with a connective.
        is_inert: whether it neither holds symbols nor follows from anything: filler.
        parent: the block that it stands on.
        link: the segment of this block and the premise in the parent that join them; None where a
            connective does.
        has_result: whether an equation is stated.
        results: the symbols that its equations establish.
        told: the symbols that its words mention.
        carrier: the segment that carries it: the first with symbols, else the one that opens it.
        last: its last segment with symbols.
        is_abandoned: whether the text takes it back.
    """

    is_announced: bool
    below: int
    is_inert: bool
    parent: int | None = None
    link: tuple[int, int] | None = None
    has_result: bool = False
    results: set[str] = field(default_factory=set)
    told: set[str] = field(default_factory=set)
    carrier: int | None = None
    last: int | None = None
    is_abandoned: bool = False

    @property
    def level(self) -> int:
        """Its place above the first blocks, from 1; 0 for filler."""
        return 0 if self.is_inert else 1 + self.below

    def stand_on(self, parent: int, level: int, link: tuple[int, int]) -> None:
        """Stand on a block, if it is the highest so far."""
        if self.link is None or level > self.below:
            self.below, self.parent, self.link = level, parent, link
