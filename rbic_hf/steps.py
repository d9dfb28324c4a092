"""The logical complexity of a piece of reasoning, from its text alone.

Complexity = depth of the dependency graph of its segments. A segment depends on the last producer
of each symbol that it uses; a link costs one step unless the segment only goes on with, or states
again, what its premise established. Depth, not length or the number of steps: on chains with
human-checked premises those follow verbosity, and a loop or a filler line must add nothing.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from rbic_hf.segments import Statement, identity, read, segment

__all__ = ["VERSION", "Complexity", "dependencies", "measure", "segment"]

VERSION = 1  # bump when output changes

# Below this share of segments with symbols, among those with symbols or a connective, the text is
# prose. Segments with neither do not count: filler must not turn mathematics into prose.
_MIN_SYMBOLIC_SHARE = 0.5

_LEAD = r"[\s\-*#>•]*(?:[0-9]{1,2}[.)]\s*)?\**"
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
        depth: segments on the longest chain of the dependency graph; 0 for an empty text, else
            at least 1. Higher is more complex.
        width: most segments at one depth.
        edges: premise links.
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
    segments = segment(text)
    graph = _build(segments)
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
    return _build(segments).premises


@dataclass
class _Graph:
    """The dependency graph and what is known while it is read from the first segment on."""

    premises: list[tuple[int, ...]] = field(default_factory=list)
    depths: list[int] = field(default_factory=list)  # 0: repeats, and segments without symbols
    repeats: int = 0
    operators: int = 0
    symbolic: int = 0  # novel segments with symbols
    linked: int = 0  # novel segments that open with a connective
    prose_linked: int = 0  # ... and hold no symbol
    seen: set[str] = field(default_factory=set)
    producer: dict[str, int] = field(default_factory=dict)  # the last one of each symbol
    solved: set[str] = field(default_factory=set)  # symbols whose value is stated
    facts: dict[tuple[str, str], int] = field(default_factory=dict)  # (subject, value): segment
    announced: set[int] = field(default_factory=set)  # premises of "substitute into ...:"
    previous: int | None = None  # the last segment with symbols
    subject: str = ""  # of `previous`

    @property
    def is_symbolic(self) -> bool:
        either = self.symbolic + self.prose_linked
        return bool(self.symbolic) and self.symbolic >= _MIN_SYMBOLIC_SHARE * either

    def depth(self) -> int:
        if not self.premises:
            return 0
        return max([1, *self.depths]) if self.is_symbolic else max(1, self.linked)

    def width(self) -> int:
        if not self.premises:
            return 0
        return max(Counter(level for level in self.depths if level).values(), default=1)

    def skip(self) -> None:
        """Add a segment that neither gives nor takes anything."""
        self.premises.append(())
        self.depths.append(0)

    def add(self, premises: set[int], cost: int) -> None:
        """Add a segment that lies `cost` steps above the deepest of its premises."""
        self.premises.append(tuple(sorted(premises)))
        self.depths.append(max(1, cost + max((self.depths[at] for at in premises), default=0)))


def _build(segments: Sequence[str]) -> _Graph:
    graph = _Graph()
    for part in segments:
        name = identity(part)
        if name in graph.seen:
            graph.repeats += 1
            graph.skip()
            continue
        graph.seen.add(name)
        _link(graph, read(part), follows=bool(_CONNECTIVE.match(part)))
    return graph


def _link(graph: _Graph, statement: Statement, *, follows: bool) -> None:
    """Add a novel segment with its premises, then record what it produces."""
    graph.linked += follows
    if not (statement.mentions or statement.has_equation):
        graph.prose_linked += follows
        graph.skip()
        return
    graph.symbolic += 1
    graph.operators += statement.operators
    fact = (statement.subject, statement.value)
    known = graph.facts.get(fact) if statement.value else None
    if known is not None:  # "so the speed is again 6": nothing new to build on
        graph.add({known}, 0)
        return
    goes_on = _goes_on(graph, statement)
    premises = _premises(graph, statement)
    if graph.previous is not None and (goes_on or (follows and not premises)):
        premises.add(graph.previous)
    if statement.announces:
        graph.announced |= premises
        graph.add(premises, 0)
        return
    premises |= graph.announced
    graph.announced = set()
    graph.add(premises, 0 if goes_on else 1)
    _produce(graph, statement, len(graph.depths) - 1)


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
    if statement.value:
        graph.facts[statement.subject, statement.value] = at
        if statement.subject in statement.about:
            graph.solved.add(statement.subject)
    for symbol in statement.mentions:
        graph.producer.setdefault(symbol, at)
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
