"""The dependency graph of a piece of reasoning, read from its first segment to its last.

A segment depends on the last producer of every symbol that it uses. Segments are gathered into
blocks, the steps that a reader would number, and a block stands one level above the highest block
that it depends on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rbic_hf import cues
from rbic_hf.code_flow import CodeStatement
from rbic_hf.cues import Opening, opening
from rbic_hf.producers import Producers
from rbic_hf.reasoning_nodes import Block, Kind, Node
from rbic_hf.references import References
from rbic_hf.segments import Part
from rbic_hf.statements import Statement, read

# Below this share of segments with symbols, among those with symbols or a connective, the text is
# prose. Segments with neither do not count: filler must not turn mathematics into prose.
_MIN_SYMBOLIC_SHARE = 0.5


# Steps that begin with one of these, and with nothing that they share, go on from the one before.
_LEADS_ON = cues.FOLLOWS | cues.OPENS

_CARRYING = ("equation", "fact", "code")

_TURNS = cues.BRANCHES | cues.RETRACTS | cues.RESTARTS | cues.CASES | cues.MERGES | cues.VERIFIES

_NOISE = dict.fromkeys(map(ord, ' \t\r\f\v\u3000$*#`,;:!?。，！？；：、"“”'))


class Graph:
    """The dependency graph, and what is known while it is read."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.kinds: list[Kind] = []
        self.links: list[dict[int, str]] = []  # premise -> symbol, of each segment
        self.block_of: list[int] = []
        self.blocks: list[Block] = []
        self.repeats = 0  # segments that say earlier ones again
        self.loops = 0  # ... in the same words
        self.operators = self.branches = 0
        self._symbolic = 0  # novel segments with symbols
        self._wordy = 0  # novel segments without, filler left out
        self._linked = 0  # novel segments that open with a connective
        self._prose_linked = 0  # ... and hold no symbol
        self._texts: dict[str, int] = {}  # segments as they are, and where
        self._said: dict[str, int] = {}  # what was said, as text, and where
        self._equations: dict[str, int] = {}  # what was stated, as symbols, and where
        self._names: dict[int, str] = {}  # the quantity that an equation names
        self._producers = Producers()
        self._references = References()
        self._previous: int | None = None  # the last segment with symbols
        self._before_previous: int | None = None
        self._subject = ""  # of `_previous`
        self._standing: int | None = None  # the last block that is closed and not inert
        self._last_said: int | None = None  # the last one said, or said again
        self._is_checking = False
        self._live: list[int] = []  # blocks since the last new start
        self._is_headed = False  # headings cut the text, and nothing else does

    @property
    def premises(self) -> list[tuple[int, ...]]:
        """The premises of each segment, ascending."""
        return [tuple(sorted(links)) for links in self.links]

    def confidence(self) -> float:
        """Return the share of the reasoning that symbols carry; 0 when it is too small."""
        either = self._symbolic + self._prose_linked
        share = self._symbolic / either if either else 0.0
        if share < _MIN_SYMBOLIC_SHARE:
            return 0.0
        # half of the segments may be words, as in mathematics that is told
        return min(share, 2 * self._symbolic / (self._symbolic + self._wordy))

    def depth(self) -> int:
        """Return the blocks on a longest chain."""
        if not self.kinds:
            return 0
        if not self.confidence():
            return max(1, self._linked)
        levels = [b.level for b in self.blocks if not b.is_abandoned]
        return max([1, *levels])

    def width(self) -> int:
        """Return the most blocks at one level."""
        if not self.kinds:
            return 0
        levels = Counter(block.level for block in self.blocks if not block.is_inert)
        return max(levels.values(), default=1)

    def chain(self) -> tuple[int, ...]:
        """Return the segments on one longest chain, ascending."""
        live = [at for at, b in enumerate(self.blocks) if not b.is_abandoned]
        if not live:
            return ()
        at: int | None = max(live, key=lambda number: self.blocks[number].level)
        found: set[int] = set()
        is_reached = False  # by a segment of its own
        while at is not None:
            block = self.blocks[at]
            if not is_reached and block.link is None and block.carrier is not None:
                found.add(block.carrier)
            found.update(block.link or ())
            is_reached = block.link is not None
            at = block.parent
        return tuple(sorted(found))

    def nodes(self) -> tuple[Node, ...]:
        """Return the segments with what they depend on."""
        found = []
        for at, (text, kind, links, number) in enumerate(
            zip(self.texts, self.kinds, self.links, self.block_of, strict=True)
        ):
            block = self.blocks[number]
            premises = tuple(sorted(links))
            found.append(
                Node(
                    text,
                    kind,
                    premises,
                    tuple(links[premise] for premise in premises),
                    number,
                    block.level if kind in _CARRYING or at == block.carrier else 0,
                    block.is_abandoned,
                )
            )
        return tuple(found)

    def add(self, part: Part, opens: Opening, *, is_one_of_many_headings: bool) -> None:
        """Add the next segment."""
        self.texts.append(part.text)
        if opens.flags & _TURNS:
            self._turn(opens.flags)
        known = self._texts.setdefault(part.text, len(self.kinds))
        if known < len(self.kinds):
            self._repeat(known, is_loop=True)  # without reading it again: loops are long
            return
        statement = read(part.text, opens.core)
        core = part.text[opens.core :] or part.text
        said = core.translate(_NOISE).lower().rstrip(".") or part.text
        loop, first = self._first_said(said, statement)
        if first < len(self.kinds):
            self._texts[part.text] = first
            self._repeat(first, is_loop=loop)
            return
        if self._is_checking and statement.has_equation:
            if self._producers.know(statement):
                self._check(statement)
                return
            self._is_checking = False
        is_filler = not statement.has_symbols and cues.is_filler(core)
        leading = _LEADS_ON if statement.has_symbols else cues.FOLLOWS
        leads_on = bool(opens.flags & leading) and not is_filler and not statement.is_closed
        follows = leads_on and self._previous is not None  # else from nothing
        if is_one_of_many_headings and not self._symbolic:
            self._is_headed = True
        if not self.blocks or self._opens_block(part, opens, statement, is_filler=is_filler):
            self._open_block(is_announced=not statement.has_equation, follows=follows)
        self._link(part.text, statement, leads_on=leads_on, is_filler=is_filler)
        if opens.first & cues.HEADS:
            self._references.number(part.text, len(self.blocks) - 1)

    def add_code(self, statements: Sequence[CodeStatement]) -> None:
        """Add the statements of a program, each of which is a block; no words link to them."""
        start = len(self.kinds)
        for statement in statements:
            at = len(self.kinds)
            block = Block(False, statement.level - 1, is_inert=False, carrier=at, last=at)
            premises = [start + premise for premise in statement.premises]
            if premises:
                highest = max(premises, key=lambda place: self.blocks[self.block_of[place]].level)
                block.parent, block.link = self.block_of[highest], (at, highest)
            self.texts.append(statement.text)
            self.kinds.append("code")
            self.links.append(dict.fromkeys(premises, ""))
            self.block_of.append(len(self.blocks))
            self._live.append(len(self.blocks))
            self.blocks.append(block)
            self.operators += statement.operators
        self._symbolic += len(statements)

    def _turn(self, flags: int) -> None:
        self.branches += bool(flags & cues.BRANCHES)
        if flags & (cues.RETRACTS | cues.RESTARTS):
            self._take_back(everything=bool(flags & cues.RESTARTS))
        if flags & (cues.CASES | cues.MERGES):
            self._producers.open_case(is_merged=bool(flags & cues.MERGES))
        self._is_checking = self._is_checking or bool(flags & cues.VERIFIES)

    def _first_said(self, said: str, statement: Statement) -> tuple[bool, int]:
        """Return whether the words were said before, and the first segment that says the same.

        That is the next one if none does. An equation that comes again in other words is no loop:
        a solution says again what was thought before it.
        """
        place = len(self.kinds)
        first = self._said.setdefault(said, place)
        is_loop = first < place
        if statement.equation:
            stated = self._equations.setdefault(statement.equation, place)
            self._names.setdefault(place, statement.name)
            if stated < place and statement.name in ("", self._names[stated]):
                first = min(first, stated)
        return is_loop, first

    def _repeat(self, first: int, *, is_loop: bool) -> None:
        """Add what was said before; if it was taken back since, it holds again."""
        self.repeats += 1
        self.loops += is_loop
        self._skip("repeat" if is_loop else "check")
        number = self.block_of[first]
        if self.blocks[number].is_abandoned:
            self.blocks[number].is_abandoned = False
            self._live.append(number)
        if self.kinds[first] in ("equation", "fact"):
            self._last_said = first

    def _take_back(self, *, everything: bool) -> None:
        """Abandon the last result, or all so far; what is used again all the same still counts."""
        if everything:
            for number in self._live:
                self.blocks[number].is_abandoned = True
            self._live.clear()
        elif self._last_said is not None:
            self.blocks[self.block_of[self._last_said]].is_abandoned = True
            if self._last_said == self._previous:
                self._producers.take_back()
                self._previous = self._before_previous
            self._subject = ""

    def _check(self, statement: Statement) -> None:
        """Add a segment that arrives at what is known: it depends on others, and none on it."""
        self._skip("check")
        self.links[-1].update(self._producers.of(statement))

    def _opens_block(
        self, part: Part, opens: Opening, statement: Statement, *, is_filler: bool
    ) -> bool:
        block = self.blocks[-1]
        if block.is_abandoned and statement.has_symbols:
            return True
        is_heading = bool(opens.first & cues.HEADS)
        if is_heading or self._is_headed:
            return is_heading
        if opens.first & cues.REMARKS or is_filler:
            if not statement.has_symbols:
                return False
        elif opens.first & cues.OPENS and not (statement.is_formula and statement.has_equation):
            return True  # "so" before an equation makes no step of it that it was not without
        elif statement.is_formula:
            if self._goes_on(statement):
                return False
            if not block.has_result and block.told:
                # a fact announces an equation that takes something from it, and no other
                return statement.has_equation and block.told.isdisjoint(statement.mentions)
            if not (block.has_result and statement.has_equation):
                return False
            # Under an announcement only an equation that builds on another one is a step.
            return not block.is_announced or not block.results.isdisjoint(statement.uses)
        return part.starts_line or part.in_paragraph or block.has_result

    def _open_block(self, *, is_announced: bool, follows: bool) -> None:
        if self.blocks and self.blocks[-1].level:
            self._standing = len(self.blocks) - 1
        below, parent = 0, None
        if follows and self._standing is not None:
            below, parent = self.blocks[self._standing].level, self._standing
        opened = Block(is_announced, below, is_inert=not follows, parent=parent)
        if follows:
            opened.carrier = len(self.kinds)
        self._live.append(len(self.blocks))
        self.blocks.append(opened)

    def _skip(self, kind: Kind) -> None:
        """Add a segment that neither gives nor takes anything."""
        if not self.blocks:
            self._open_block(is_announced=True, follows=False)
        self.kinds.append(kind)
        self.links.append({})
        self.block_of.append(len(self.blocks) - 1)

    def _link(self, text: str, statement: Statement, *, leads_on: bool, is_filler: bool) -> None:
        """Add a novel segment with its premises, then record what it produces."""
        self._linked += leads_on
        if not statement.has_symbols:
            self._prose_linked += leads_on
            self._wordy += not is_filler
            self._skip("words")
            return
        self._symbolic += 1
        self.operators += statement.operators
        links = self._producers.of(statement)
        for name, premise in self._references.equations(text):
            links.setdefault(premise, name)
        for name, number in self._references.steps(text):
            last = self.blocks[number].last
            if last is not None:
                links.setdefault(last, name)
        goes_on = self._goes_on(statement)
        if self._previous is not None and (goes_on or (leads_on and not links)):
            links.setdefault(self._previous, "")
        at = len(self.kinds)
        block = self.blocks[-1]
        if block.last is None:
            block.is_inert, block.carrier = False, at
        for premise in links:
            number = self.block_of[premise]
            if number != len(self.blocks) - 1:
                block.stand_on(number, self.blocks[number].level, (at, premise))
        self.kinds.append("equation" if statement.has_equation else "fact")
        self.links.append(links)
        self.block_of.append(len(self.blocks) - 1)
        self._produce(statement, at)
        if statement.has_equation:
            self._references.label(text, at)

    def _goes_on(self, statement: Statement) -> bool:
        """Whether the segment only works out the equation above it: `T = 3 * 4`, `T = 12`."""
        if self._previous is None or not statement.has_equation:
            return False
        same = statement.subject == self._subject and bool(statement.subject)
        return statement.continues or (same and statement.subject not in statement.uses)

    def _produce(self, statement: Statement, at: int) -> None:
        self._producers.add(statement, at)
        if statement.has_equation:
            self.blocks[-1].has_result = True
            self.blocks[-1].results.update(statement.results)
        else:
            self.blocks[-1].told.update(statement.mentions)
        self._before_previous = self._previous
        self._previous = self._last_said = self.blocks[-1].last = at
        if not statement.continues:
            self._subject = statement.subject if statement.has_equation else ""


def build(
    parts: Sequence[Part], code: Sequence[CodeStatement] = (), code_at: int | None = None
) -> Graph:
    """Return the dependency graph of the segments, with a program before the one at `code_at`."""
    different_openings = {text: opening(text) for text in {part.text for part in parts}}
    openings = [different_openings[part.text] for part in parts]
    headings = [bool(opens.first & cues.HEADS) for opens in openings]
    different = {part.text for part, heads in zip(parts, headings, strict=True) if heads}
    graph = Graph()
    for at, (part, opens, heads) in enumerate(zip(parts, openings, headings, strict=True)):
        if at == code_at:
            graph.add_code(code)
        graph.add(part, opens, is_one_of_many_headings=heads and len(different) > 1)
    if code_at == len(parts):
        graph.add_code(code)
    return graph
