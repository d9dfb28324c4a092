"""The logical complexity of a piece of reasoning, from its text alone.

Complexity = depth of the dependency graph of its blocks. A block is what a reader would number as
one step: an announcement with the equations that carry it out, or all that stands under a heading.
A segment depends on the last producer of each symbol that it uses, a block on the blocks of its
segments' premises. Depth, not length or the number of lines: on chains with human-checked premises
those follow verbosity, and a loop or a filler line must add nothing. A program in the text is
read by its data flow, each statement a block.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rbic_hf.answer_tail import tail_share
from rbic_hf.code_flow import CodeRegion, CodeStatement, code_regions, data_flow
from rbic_hf.reasoning_graph import Graph, build
from rbic_hf.reasoning_nodes import Node
from rbic_hf.segments import Part, cut, segment

__all__ = ["VERSION", "Complexity", "Node", "Trace", "dependencies", "measure", "segment", "trace"]

VERSION = 2  # bump when output changes

_PYTHON = ("python", "py", "python3", "")


@dataclass(frozen=True)
class Complexity:
    """The logical complexity of one text.

    Attributes:
        steps: number of segments.
        novel_steps: segments that do not say an earlier one again, in its words or its symbols.
        depth: blocks on the longest chain of the dependency graph; 0 for an empty text, else
            at least 1. Higher is more complex.
        width: most blocks at one depth.
        edges: premise links between segments.
        operators: arithmetic and relation signs in novel segments.
        branch_density: share [0, 1] of segments that open a branch or take something back.
        loop_share: share [0, 1] of segments that repeat the words of an earlier one.
        tail_share: share [0, 1] of the characters after the segment that first reaches the
            answer; 0 when no answer is given or it is not reached.
        confidence: share [0, 1] of the reasoning that symbols carry, among the segments that hold
            symbols or a connective, and at most twice their share among all but filler. 0 =
            fallback: too few hold symbols (general prose), depth is the number of distinct
            segments linked by a connective, and weak evidence.
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
    confidence: float

    @property
    def symbolic(self) -> bool:
        """Whether depth follows symbols, not connectives."""
        return self.confidence > 0


@dataclass(frozen=True)
class Trace:
    """A piece of reasoning read as a graph.

    Attributes:
        nodes: its segments in order, with what each depends on.
        chain: indices of the nodes on one longest chain, ascending: of each of its blocks the
            segments that link it to the next. Empty for an empty text.
        complexity: the measures of the whole.
    """

    nodes: tuple[Node, ...]
    chain: tuple[int, ...]
    complexity: Complexity


def measure(text: str, *, answer: str | None = None) -> Complexity:
    """Return the logical complexity of `text`; all zeros when it holds no segment.

    `text` is reasoning and solution as written: plain, LaTeX, Chinese, with code or without.
    Repeating all of it leaves `depth` as it is, unless it takes something back. Never raises.
    """
    return _complexity(_read(text), answer)[0]


def trace(text: str, *, answer: str | None = None) -> Trace:
    """Return the graph behind `measure`, segment by segment, for an explanation."""
    complexity, graph = _complexity(_read(text), answer)
    return Trace(graph.nodes(), graph.chain(), complexity)


def dependencies(segments: Sequence[str]) -> list[tuple[int, ...]]:
    """Return the premises of each segment: indices of earlier segments, ascending.

    A segment that repeats an earlier one or holds no symbol has none.
    """
    return build([Part(text, True, False) for text in segments]).premises


def _read(text: str) -> Graph:
    programs = [region for region in code_regions(text) if region.language in _PYTHON]
    # one program: what a second block repeats of the first adds nothing
    code = data_flow("\n".join(region.source for region in programs)) if programs else None
    return build(cut(text)) if not code else _with_program(text, programs, code)


def _with_program(text: str, programs: list[CodeRegion], code: list[CodeStatement]) -> Graph:
    before = cut(text[: programs[0].start])
    parts = list(before)
    for region, after in zip(programs, [*programs[1:], None], strict=True):
        parts += cut(text[region.end : after.start if after else len(text)])
    return build(parts, code, len(before))


def _complexity(graph: Graph, answer: str | None) -> tuple[Complexity, Graph]:
    steps = len(graph.kinds)
    found = Complexity(
        steps=steps,
        novel_steps=steps - graph.repeats,
        depth=graph.depth(),
        width=graph.width(),
        edges=sum(map(len, graph.links)),
        operators=graph.operators,
        branch_density=graph.branches / steps if steps else 0.0,
        loop_share=graph.loops / steps if steps else 0.0,
        tail_share=tail_share(graph.texts, answer),
        confidence=graph.confidence(),
    )
    return found, graph
