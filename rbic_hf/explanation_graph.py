"""What is shown of a reasoning graph: all of a short one, the chain of a long one and its base."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from rbic_hf.plain_text import one_line
from rbic_hf.steps import Node, Trace

KINDS = {
    "equation": "equations",
    "fact": "facts",
    "code": "lines of code",
    "words": "segments of words",
    "repeat": "repeats",
    "check": "checks",
}
SYMBOL_LENGTH = 16
MOST_PREMISES = 6


@dataclass(frozen=True)
class View:
    """The part of a trace that is shown.

    Attributes:
        nodes: indices of the segments shown, ascending.
        chain: those of them on the longest chain, ascending.
        level: level of each segment shown that is in the graph, from 1.
        folded: what is not shown, by kind, in the words of `KINDS`.
        chain_folded: how many segments of the chain are among them.
    """

    nodes: tuple[int, ...]
    chain: tuple[int, ...]
    level: dict[int, int]
    folded: Counter[str]
    chain_folded: int


def view(trace: Trace, *, most: int, with_words: bool) -> View:
    """Return what is shown of a trace in `most` segments.

    All that is in the graph where that is no more than `most` (`with_words`: all segments);
    else the chain with its direct premises; else the chain, or where it is still too long its
    two ends.
    """
    level = _levels(trace)
    every = range(len(trace.nodes)) if with_words else sorted(level)
    chain = trace.chain
    shown = list(every)
    if len(shown) > most:
        premises = {premise for at in chain for premise in trace.nodes[at].premises}
        shown = sorted({*chain, *premises})
    if len(shown) > most:
        chain = chain if len(chain) <= most else chain[: most // 2] + chain[-(most // 2) :]
        shown = list(chain)
    return View(
        nodes=tuple(shown),
        chain=chain,
        level={at: level[at] for at in shown if at in level},
        folded=kinds_of(trace, set(range(len(trace.nodes))) - set(shown)),
        chain_folded=len(trace.chain) - len(chain),
    )


def kinds_of(trace: Trace, nodes: Iterable[int]) -> Counter[str]:
    """Return how many of the segments are of which kind."""
    return Counter(KINDS.get(trace.nodes[at].kind, "others") for at in nodes)


def counted(kinds: Counter[str]) -> str:
    """Return "3 equations, 2 repeats"; "" for none."""
    return ", ".join(
        f"{count:,} {kind if count > 1 else _one_of(kind)}"
        for kind, count in sorted(kinds.items())
        if count
    )


def premises_of(node: Node) -> str:
    """Return what a segment builds on, "3 (24), 5 (x)", counted from 1; "" for nothing."""
    found = [
        f"{premise + 1} ({one_line(symbol, SYMBOL_LENGTH)})" if symbol.strip() else str(premise + 1)
        for premise, symbol in zip(node.premises, node.symbols, strict=True)
    ]
    more = len(found) - MOST_PREMISES
    return ", ".join(found[:MOST_PREMISES]) + (f", and {more} more" if more > 0 else "")


def _one_of(kind: str) -> str:
    head, _, rest = kind.partition(" ")  # "lines of code"
    return f"{head[:-1]} {rest}".rstrip()


def _levels(trace: Trace) -> dict[int, int]:
    """Return the level of each segment in the graph; those on the chain have their block's."""
    of_block: dict[int, int] = {}
    for node in trace.nodes:
        of_block[node.block] = max(of_block.get(node.block, 0), node.level)
    levels = {at: node.level for at, node in enumerate(trace.nodes) if node.level}
    for at in trace.chain:  # words that open a block stand for it
        levels.setdefault(at, of_block[trace.nodes[at].block] or 1)
    return levels
