"""The dependency graph of a piece of reasoning, read from its first segment to its last.

A segment depends on the last producer of every symbol that it uses. Segments are gathered into
blocks, the steps that a reader would number, and a block stands one level above the highest block
that it depends on.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from rbic_hf import cues
from rbic_hf.cues import Opening, opening
from rbic_hf.segments import Part
from rbic_hf.statements import Statement, read

# Below this share of segments with symbols, among those with symbols or a connective, the text is
# prose. Segments with neither do not count: filler must not turn mathematics into prose.
_MIN_SYMBOLIC_SHARE = 0.5

Kind = Literal["equation", "fact", "words", "repeat", "check"]

_NOISE = dict.fromkeys(map(ord, " \t\r\f\v\u3000$*#`,;:!?。，！？；：、\"“”"))


class Node(NamedTuple):
    """A segment of the graph.

    Attributes:
        text: the segment.
        kind: "equation"; "fact" (symbols without an equation); "words" (no symbols); "repeat" (says
            an earlier segment again); "check" (verifies and adds nothing).
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
class _Block:
    """The segments that a reader would number as one step.

    Attributes:
        is_announced: whether words open it, not an equation.
        below: the level that it stands on: of its highest premise in another block, or without
            one of the block before when it opens with a connective.
        is_inert: whether it neither holds symbols nor follows from anything: filler.
        link: the segment of this block and the premise in another that give it its level.
        has_result: whether an equation is stated.
        results: the symbols that its equations establish.
        is_abandoned: whether the text takes it back.
    """

    is_announced: bool
    below: int
    is_inert: bool
    link: tuple[int, int] | None = None
    has_result: bool = False
    results: set[str] = field(default_factory=set)
    is_abandoned: bool = False

    @property
    def level(self) -> int:
        return 0 if self.is_inert else 1 + self.below

    def stand_on(self, level: int, segment: int, premise: int) -> None:
        if self.link is None or level > self.below:
            self.below = level
            self.link = (segment, premise)


class Graph:
    """The dependency graph, and what is known while it is read."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts = parts
        self.kinds: list[Kind] = []
        self.links: list[dict[int, str]] = []  # premise -> symbol, of each segment
        self.block_of: list[int] = []
        self.blocks: list[_Block] = []
        self.repeats = self.operators = self.branches = 0
        self._symbolic = 0  # novel segments with symbols
        self._linked = 0  # novel segments that open with a connective
        self._prose_linked = 0  # ... and hold no symbol
        self._said: dict[str, int] = {}  # what was said, as text, and where
        self._equations: dict[str, int] = {}  # what was stated, as symbols, and where
        self._names: dict[int, str] = {}  # the quantity that an equation names
        self._producer: dict[str, int] = {}  # the last one of each symbol
        self._solved: set[str] = set()  # symbols whose value is stated
        self._previous: int | None = None  # the last segment with symbols
        self._subject = ""  # of `_previous`
        self._level = 0  # of the last block that is closed and not inert
        self._is_headed = False  # headings cut the text, and nothing else does

    @property
    def premises(self) -> list[tuple[int, ...]]:
        """The premises of each segment, ascending."""
        return [tuple(sorted(links)) for links in self.links]

    def confidence(self) -> float:
        """Return the share of the reasoning that symbols carry; 0 when it is too small."""
        either = self._symbolic + self._prose_linked
        share = self._symbolic / either if either else 0.0
        return share if share >= _MIN_SYMBOLIC_SHARE else 0.0

    def depth(self) -> int:
        """Return the blocks on a longest chain."""
        if not self.kinds:
            return 0
        if not self.confidence():
            return max(1, self._linked)
        return max([1, *(block.level for block in self.blocks if not block.is_abandoned)])

    def width(self) -> int:
        """Return the most blocks at one level."""
        if not self.kinds:
            return 0
        levels = Counter(block.level for block in self.blocks if not block.is_inert)
        return max(levels.values(), default=1)

    def chain(self) -> tuple[int, ...]:
        """Return the segments on one longest chain, ascending."""
        live = [at for at, block in enumerate(self.blocks) if not block.is_abandoned]
        if not live:
            return ()
        at: int | None = max(live, key=lambda number: self.blocks[number].level)
        found: list[int] = []
        while at is not None:
            link = self.blocks[at].link
            found += [self.block_of.index(at)] if link is None else list(link)
            at = None if link is None else self.block_of[link[1]]
        return tuple(sorted(set(found)))

    def nodes(self) -> tuple[Node, ...]:
        """Return the segments with what they depend on."""
        found = []
        for part, kind, links, at in zip(
            self.parts, self.kinds, self.links, self.block_of, strict=True
        ):
            block = self.blocks[at]
            premises = tuple(sorted(links))
            found.append(
                Node(
                    part.text,
                    kind,
                    premises,
                    tuple(links[premise] for premise in premises),
                    at,
                    block.level if kind in ("equation", "fact") else 0,
                    block.is_abandoned,
                )
            )
        return tuple(found)

    def add(self, part: Part, opens: Opening, *, is_one_of_many_headings: bool) -> None:
        """Add the next segment."""
        self.branches += bool(opens.flags & cues.BRANCHES)
        statement = read(part.text, opens.lead)
        core = part.text[opens.core :] or part.text
        said = core.translate(_NOISE).lower().rstrip(".")
        if self._is_repeat(said, statement):
            self.repeats += 1
            self._skip("repeat")
            return
        follows = bool(opens.flags & cues.FOLLOWS)
        if is_one_of_many_headings and not self._symbolic:
            self._is_headed = True
        if not self.blocks or self._opens_block(part, opens, statement):
            self._open_block(is_announced=not statement.has_equation, follows=follows)
        self._link(statement, follows=follows)

    def _is_repeat(self, said: str, statement: Statement) -> bool:
        place = len(self.kinds)
        first = self._said.setdefault(said, place)
        if statement.equation:
            stated = self._equations.setdefault(statement.equation, place)
            self._names.setdefault(place, statement.name)
            if stated < place and statement.name in ("", self._names[stated]):
                first = min(first, stated)
        return first < place

    def _opens_block(self, part: Part, opens: Opening, statement: Statement) -> bool:
        block = self.blocks[-1]
        is_heading = bool(opens.first & cues.HEADS)
        if is_heading or self._is_headed:
            return is_heading
        if opens.first & cues.REMARKS:
            if not statement.has_symbols:
                return False
        elif opens.first & cues.OPENS:
            return True
        elif statement.is_formula:
            if not (block.has_result and statement.has_equation) or self._goes_on(statement):
                return False
            # Under an announcement only an equation that builds on another one is a step.
            return not block.is_announced or not block.results.isdisjoint(statement.uses)
        return part.starts_line or part.in_paragraph or block.has_result

    def _open_block(self, *, is_announced: bool, follows: bool) -> None:
        if self.blocks:
            self._level = self.blocks[-1].level or self._level
        below = self._level if follows else 0
        self.blocks.append(_Block(is_announced, below, is_inert=not follows))

    def _skip(self, kind: Kind) -> None:
        """Add a segment that neither gives nor takes anything."""
        if not self.blocks:
            self._open_block(is_announced=True, follows=False)
        self.kinds.append(kind)
        self.links.append({})
        self.block_of.append(len(self.blocks) - 1)

    def _link(self, statement: Statement, *, follows: bool) -> None:
        """Add a novel segment with its premises, then record what it produces."""
        self._linked += follows
        if not statement.has_symbols:
            self._prose_linked += follows
            self._skip("words")
            return
        self._symbolic += 1
        self.operators += statement.operators
        links = self._premises(statement)
        goes_on = self._goes_on(statement)
        if self._previous is not None and (goes_on or (follows and not links)):
            links.setdefault(self._previous, "")
        at = len(self.kinds)
        block = self.blocks[-1]
        block.is_inert = False
        for premise in links:
            number = self.block_of[premise]
            if number != len(self.blocks) - 1:
                block.stand_on(self.blocks[number].level, at, premise)
        self.kinds.append("equation" if statement.has_equation else "fact")
        self.links.append(links)
        self.block_of.append(len(self.blocks) - 1)
        self._produce(statement, at)

    def _goes_on(self, statement: Statement) -> bool:
        """Whether the segment only works out the equation above it: `T = 3 * 4`, `T = 12`."""
        if self._previous is None or not statement.has_equation:
            return False
        same = statement.subject == self._subject and bool(statement.subject)
        return statement.continues or (same and statement.subject not in statement.uses)

    def _premises(self, statement: Statement) -> dict[int, str]:
        # An equation in an unknown goes back to the last equation in it, but not beyond its
        # solution: "case 2: -x + 1 = 7" does not follow from the "x = 8" of case 1.
        found: dict[int, str] = {}
        for symbol in statement.uses:
            at = self._producer.get(symbol)
            if at is not None:
                found.setdefault(at, symbol)
        for symbol in statement.about:
            at = self._producer.get(symbol)
            if at is not None and symbol not in self._solved:
                found.setdefault(at, symbol)
        return found

    def _produce(self, statement: Statement, at: int) -> None:
        for symbol in statement.results:
            self._producer[symbol] = at
            self._solved.discard(symbol)
        if statement.value and statement.subject in statement.about:
            self._solved.add(statement.subject)
        for symbol in statement.mentions:
            self._producer.setdefault(symbol, at)
        if statement.has_equation:
            self.blocks[-1].has_result = True
            self.blocks[-1].results.update(statement.results)
        self._previous = at
        if not statement.continues:
            self._subject = statement.subject if statement.has_equation else ""


def build(parts: Sequence[Part]) -> Graph:
    """Return the dependency graph of the segments."""
    openings = [opening(part.text) for part in parts]
    num_headings = sum(bool(opens.first & cues.HEADS) for opens in openings)
    graph = Graph(parts)
    for part, opens in zip(parts, openings, strict=True):
        is_heading = num_headings > 1 and bool(opens.first & cues.HEADS)
        graph.add(part, opens, is_one_of_many_headings=is_heading)
    return graph
