"""The logical complexity of a piece of reasoning, from its text alone.

Complexity = depth of the dependency graph of its blocks. A block is what a reader would number as
one step: an announcement with the equations that carry it out, or all that stands under a heading.
A segment depends on the last producer of each symbol that it uses, a block on the blocks of its
segments' premises. Depth, not length or the number of lines: on chains with human-checked premises
those follow verbosity, and a loop or a filler line must add nothing.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from rbic_hf.segments import Part, Role, Statement, cut, identity, read, role, segment

__all__ = ["VERSION", "Complexity", "dependencies", "measure", "segment"]

VERSION = 1  # bump when output changes

# Below this share of segments with symbols, among those with symbols or a connective, the text is
# prose. Segments with neither do not count: filler must not turn mathematics into prose.
_MIN_SYMBOLIC_SHARE = 0.5

_LEAD = r"[\s\-*#>•]{0,8}(?:[0-9]{1,2}[.)]\s{0,4})?\*{0,3}"
_CONNECTIVE = re.compile(
    _LEAD + r"(?:(?:(?:and\s)?so|therefore|thus|hence|then|consequently|accordingly|as a result|it "
    r"follows|this (?:means|gives|implies|shows)|which (?:means|gives|implies)|that means|since|"
    r"because|finally|(?:now )?we (?:get|have|obtain|find)|substitut\w{1,9}|plug\w{0,5}|"
    r"simplif\w{1,9}|\\(?:Rightarrow|implies|therefore))(?![A-Za-z])"
    r"|所以|因此|因而|故|则|从而|于是|即|由此|那么|可得|得到|∴|⇒|=>)",
    re.I,
)
_BRANCH = re.compile(
    _LEAD
    + r"(?:(?:wait|hold on|alternatively|actually|however|hmm+|but wait|no,|on second thought|"
    r"another (?:way|approach|method)|let me (?:re|try|double|check)\w{0,9}|or maybe|maybe|"
    r"instead|otherwise)(?![A-Za-z])|不对|等等|等一下|或者|另一种|换一种|重新|但是|不过|再检查)",
    re.I,
)
_ANSWERS = re.compile(r"\\boxed|\banswer\b|####|答案|故选|选", re.I)
_DRESSING = re.compile(
    r"\\(?:boxed|text|mathrm|mathbf|mbox|left|right|displaystyle)(?![A-Za-z])|\\[()\[\],;! ]|[$*{}]"
)
_AROUND_SIGN = re.compile(r" ?([^\w\s]) ?")
_THOUSANDS = re.compile(r"(?<=[0-9]),(?=[0-9]{3}(?![0-9]))")


@dataclass(frozen=True)
class Complexity:
    """The logical complexity of one text.

    Attributes:
        steps: number of segments.
        novel_steps: segments that do not repeat an earlier one.
        depth: blocks on the longest chain of the dependency graph; 0 for an empty text, else
            at least 1. Higher is more complex.
        width: most blocks at one depth.
        edges: premise links between segments.
        operators: arithmetic and relation signs in novel segments.
        branch_density: share [0, 1] of segments that open a branch or take something back.
        loop_share: share [0, 1] of segments that repeat an earlier one.
        tail_share: share [0, 1] of the characters after the segment that first reaches the
            answer; 0 when no answer is given or it is not reached.
        symbolic: False when too few segments hold symbols (general prose): depth is then the
            number of distinct segments linked by a connective, and weak evidence.
    """

    steps: int
    novel_steps: int
    depth: int
    width: int
    edges: int
    operators: int
    branch_density: float
    loop_share: float
    tail_share: float
    symbolic: bool


def measure(text: str, *, answer: str | None = None) -> Complexity:
    """Return the logical complexity of `text`; all zeros when it holds no segment.

    `text` is reasoning and solution as written: plain, LaTeX, Chinese, with code or without.
    Repeating all of it leaves `depth` as it is. Never raises on any text.
    """
    parts = cut(text)
    graph = _build(parts)
    segments = [part.text for part in parts]
    steps = len(segments)
    return Complexity(
        steps=steps,
        novel_steps=steps - graph.repeats,
        depth=graph.depth(),
        width=graph.width(),
        edges=sum(map(len, graph.premises)),
        operators=graph.operators,
        branch_density=_share(sum(bool(_BRANCH.match(part)) for part in segments), steps),
        loop_share=_share(graph.repeats, steps),
        tail_share=_tail_share(segments, answer),
        symbolic=graph.is_symbolic,
    )


def dependencies(segments: Sequence[str]) -> list[tuple[int, ...]]:
    """Return the premises of each segment: indices of earlier segments, ascending.

    A segment that repeats an earlier one or holds no symbol has none.
    """
    return _build([Part(text, True, False) for text in segments]).premises


@dataclass
class _Block:
    """The segments that a reader would number as one step.

    Attributes:
        is_announced: whether words open it, not an equation.
        below: the level that it stands on: of its highest premise in another block, or without
            one of the block before when it opens with a connective.
        is_inert: whether it neither holds symbols nor follows from anything: filler.
        has_result: whether an equation is stated.
        results: the symbols that its equations establish.
    """

    is_announced: bool
    below: int
    is_inert: bool
    has_premises: bool = False
    has_result: bool = False
    results: set[str] = field(default_factory=set)

    @property
    def level(self) -> int:
        return 0 if self.is_inert else 1 + self.below

    def stand_on(self, level: int) -> None:
        self.below = max(level, self.below if self.has_premises else 0)
        self.has_premises = True


@dataclass
class _Graph:
    """The dependency graph and what is known while it is read from the first segment on."""

    premises: list[tuple[int, ...]] = field(default_factory=list)
    block_of: list[int] = field(default_factory=list)  # the block of each segment
    blocks: list[_Block] = field(default_factory=list)
    repeats: int = 0
    operators: int = 0
    symbolic: int = 0  # novel segments with symbols
    linked: int = 0  # novel segments that open with a connective
    prose_linked: int = 0  # ... and hold no symbol
    producer: dict[str, int] = field(default_factory=dict)  # the last one of each symbol
    solved: set[str] = field(default_factory=set)  # symbols whose value is stated
    previous: int | None = None  # the last segment with symbols
    subject: str = ""  # of `previous`
    level: int = 0  # of the last block that is closed and not inert
    is_headed: bool = False  # headings cut the text, and nothing else does

    @property
    def is_symbolic(self) -> bool:
        either = self.symbolic + self.prose_linked
        return bool(self.symbolic) and self.symbolic >= _MIN_SYMBOLIC_SHARE * either

    def depth(self) -> int:
        if not self.premises:
            return 0
        levels = [block.level for block in self.blocks]
        return max([1, *levels]) if self.is_symbolic else max(1, self.linked)

    def width(self) -> int:
        if not self.premises:
            return 0
        levels = Counter(block.level for block in self.blocks if not block.is_inert)
        return max(levels.values(), default=1)

    def open_block(self, *, is_announced: bool, follows: bool) -> None:
        if self.blocks:
            self.level = self.blocks[-1].level or self.level
        below = self.level if follows else 0
        self.blocks.append(_Block(is_announced, below, is_inert=not follows))

    def skip(self) -> None:
        """Add a segment that neither gives nor takes anything."""
        self.premises.append(())
        self.block_of.append(len(self.blocks) - 1)

    def add(self, premises: set[int]) -> None:
        """Add a segment with symbols to the open block."""
        block = self.blocks[-1]
        block.is_inert = False
        for at in premises:
            if self.block_of[at] != len(self.blocks) - 1:
                block.stand_on(self.blocks[self.block_of[at]].level)
        self.premises.append(tuple(sorted(premises)))
        self.block_of.append(len(self.blocks) - 1)


def _build(parts: Sequence[Part]) -> _Graph:
    roles = _roles(parts)
    num_headings = roles.count("heading")
    graph = _Graph()
    for part, kind in zip(parts, roles, strict=True):
        if kind is None:
            graph.repeats += 1
            graph.skip()
            continue
        statement = read(part.text)
        follows = bool(_CONNECTIVE.match(part.text))
        if kind == "heading" and num_headings > 1 and not graph.symbolic:
            graph.is_headed = True
        if not graph.blocks or _opens_block(graph, part, kind, statement):
            graph.open_block(is_announced=not statement.has_equation, follows=follows)
        _link(graph, statement, follows=follows)
    return graph


def _roles(parts: Sequence[Part]) -> list[Role | None]:
    """Return the role of each segment, None for one that repeats an earlier one."""
    seen: set[str] = set()
    roles: list[Role | None] = []
    for part in parts:
        name = identity(part.text)
        roles.append(None if name in seen else role(part.text))
        seen.add(name)
    return roles


def _opens_block(graph: _Graph, part: Part, kind: Role, statement: Statement) -> bool:
    block = graph.blocks[-1]
    if kind == "heading" or graph.is_headed:
        return kind == "heading"
    if kind == "opener":
        return True
    if kind == "remark" and not statement.has_symbols:
        return False
    if kind != "formula":
        return part.starts_line or part.in_paragraph or block.has_result
    if not (block.has_result and statement.has_equation) or _goes_on(graph, statement):
        return False
    # Under an announcement only an equation that builds on another one is a step of its own.
    return not block.is_announced or not block.results.isdisjoint(statement.uses)


def _link(graph: _Graph, statement: Statement, *, follows: bool) -> None:
    """Add a novel segment with its premises, then record what it produces."""
    graph.linked += follows
    if not statement.has_symbols:
        graph.prose_linked += follows
        graph.skip()
        return
    graph.symbolic += 1
    graph.operators += statement.operators
    premises = _premises(graph, statement)
    if graph.previous is not None and (_goes_on(graph, statement) or (follows and not premises)):
        premises.add(graph.previous)
    graph.add(premises)
    _produce(graph, statement, len(graph.premises) - 1)


def _goes_on(graph: _Graph, statement: Statement) -> bool:
    """Whether the segment only works out the equation right above it: `T = 3 * 4`, `T = 12`."""
    if graph.previous is None or not statement.has_equation:
        return False
    same = statement.subject == graph.subject and bool(statement.subject)
    return statement.continues or (same and statement.subject not in statement.uses)


def _premises(graph: _Graph, statement: Statement) -> set[int]:
    # An equation in an unknown goes back to the last equation in it, but not beyond its solution:
    # "case 2: -x + 1 = 7" does not follow from the "x = 8" of case 1.
    open_subjects = [symbol for symbol in statement.about if symbol not in graph.solved]
    found = (graph.producer.get(symbol) for symbol in (*statement.uses, *open_subjects))
    return {at for at in found if at is not None}


def _produce(graph: _Graph, statement: Statement, at: int) -> None:
    for symbol in statement.results:
        graph.producer[symbol] = at
        graph.solved.discard(symbol)
    if statement.value and statement.subject in statement.about:
        graph.solved.add(statement.subject)
    for symbol in statement.mentions:
        graph.producer.setdefault(symbol, at)
    if statement.has_equation:
        graph.blocks[-1].has_result = True
        graph.blocks[-1].results.update(statement.results)
    graph.previous = at
    if not statement.continues:
        graph.subject = statement.subject if statement.has_equation else ""


def _tail_share(segments: Sequence[str], answer: str | None) -> float:
    wanted = _flat(answer or "")
    if not wanted:
        return 0.0
    reached = _first_reached(segments, wanted)
    tail = 0 if reached is None else sum(map(len, segments[reached + 1 :]))
    return _share(tail, sum(map(len, segments)))


def _first_reached(segments: Sequence[str], wanted: str) -> int | None:
    """Return the first segment that concludes with the answer, else the first that names it."""
    named = None
    for at, part in enumerate(segments):
        if not _names(_flat(part), wanted):
            continue
        if _ANSWERS.search(part) or wanted in read(part).value.split():
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
