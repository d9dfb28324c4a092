"""The logical complexity of a piece of reasoning, from its text alone.

Complexity = depth of the dependency graph of its blocks. A block is what a reader would number as
one step: an announcement with the equations that carry it out, or all that stands under a heading.
A segment depends on the last producer of each symbol that it uses, a block on the blocks of its
segments' premises. Depth, not length or the number of lines: on chains with human-checked premises
those follow verbosity, and a loop or a filler line must add nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rbic_hf.answer_tail import tail_share
from rbic_hf.reasoning_graph import Graph, Node, build
from rbic_hf.segments import Part, cut, segment

__all__ = ["VERSION", "Complexity", "Node", "Trace", "dependencies", "measure", "segment", "trace"]

VERSION = 2  # bump when output changes


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
        confidence: share [0, 1] of the reasoning that symbols carry, among the segments that hold
            symbols or a connective. 0 = fallback: too few hold symbols (general prose), depth is
            the number of distinct segments linked by a connective, and weak evidence.
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
    Repeating all of it leaves `depth` as it is. Never raises on any text.
    """
    return _complexity(cut(text), answer)[0]


def trace(text: str, *, answer: str | None = None) -> Trace:
    """Return the graph behind `measure`, segment by segment, for an explanation."""
    complexity, graph = _complexity(cut(text), answer)
    return Trace(graph.nodes(), graph.chain(), complexity)


def dependencies(segments: Sequence[str]) -> list[tuple[int, ...]]:
    """Return the premises of each segment: indices of earlier segments, ascending.

    A segment that repeats an earlier one or holds no symbol has none.
    """
    return build([Part(text, True, False) for text in segments]).premises


def _complexity(parts: list[Part], answer: str | None) -> tuple[Complexity, Graph]:
    graph = build(parts)
    steps = len(parts)
    found = Complexity(
        steps=steps,
        novel_steps=steps - graph.repeats,
        depth=graph.depth(),
        width=graph.width(),
        edges=sum(map(len, graph.premises)),
        operators=graph.operators,
        branch_density=graph.branches / steps if steps else 0.0,
        loop_share=graph.repeats / steps if steps else 0.0,
        tail_share=tail_share([part.text for part in parts], answer),
        confidence=graph.confidence(),
    )
    return found, graph
