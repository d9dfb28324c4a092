"""An explanation as text for a terminal: plain marks, no colours, nothing that steers it."""

from __future__ import annotations

import textwrap
from collections import Counter
from typing import TYPE_CHECKING

from rbic_hf.complexity import MEASURES
from rbic_hf.explanation_graph import counted, kinds_of, premises_of, view
from rbic_hf.plain_text import one_line
from rbic_hf.steps import Node, Trace

if TYPE_CHECKING:
    from rbic_hf.explanation import Explanation

WIDTH = 100
QUESTION_LENGTH = 400
ANSWER_LENGTH = 60
SEGMENT_LENGTH = 76
MOST_SEGMENTS = 40  # of a trace that is shown whole; more are folded around the chain

MARKS = {"words": ".", "repeat": "~", "check": "?"}
LEGEND = (
    "* on the longest chain (several segments can be one step), ~ repeat, ? check, . words,\n"
    "    x taken back; <- what it builds on"
)
LANGUAGES = {"en": "English", "zh": "Chinese"}
SHARES = ("branch_density", "loop_share", "tail_share", "confidence")


def render_text(of: Explanation, *, show_all: bool) -> str:
    """Return the text of an explanation; `show_all`: every segment."""
    blocks = [
        [of.title.lower(), *_indented(of.verdict), *_indented([f"note: {n}" for n in of.notes])],
        ["question", *_indented([one_line(of.reading.question, QUESTION_LENGTH) or "(none)"])],
        ["read as", *_indented([read_as(of)])],
        _reasoning(of.trace, show_all=show_all),
        ["measures", *_indented([", ".join(measured(of))])],
        _terms(of),
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block)


def read_as(of: Explanation) -> str:
    """Return how the row was read: layout, language, answers."""
    reading = of.reading
    language = LANGUAGES.get(reading.language, "another language")
    parts = [f"layout {one_line(of.layout, ANSWER_LENGTH)}", language]
    if reading.reference is None:
        parts.append("no reference answer")
    else:
        whose = "given by a column" if reading.is_reference_given else "the response's own"
        parts.append(f"reference answer {one_line(reading.reference, ANSWER_LENGTH)} ({whose})")
    own = reading.own_answer
    parts.append(f"ends in {one_line(own, ANSWER_LENGTH)}" if own else "no final answer found")
    return "; ".join(parts)


def measured(of: Explanation) -> list[str]:
    """Return every measure with its name, "depth 4", "loop share .250"."""
    return [
        f"{name.replace('_', ' ')} "
        + (f"{of.measures[name]:.3f}" if name in SHARES else f"{of.measures[name]:.0f}")
        for name in MEASURES
    ]


def depth_in_words(trace: Trace) -> str:
    """Return what the depth of a trace counts."""
    found = trace.complexity
    if not trace.nodes:
        return "no reasoning was found"
    if found.confidence > 0:
        return f"depth {found.depth}: steps on the longest chain that build on each other"
    return (
        f"depth {found.depth}: general prose, too few symbols to follow; segments that a "
        "connective links are counted instead, not the chain shown"
    )


def _reasoning(trace: Trace, *, show_all: bool) -> list[str]:
    said = f"reasoning: {len(trace.nodes):,} segments"
    if not trace.nodes:
        return ["reasoning", "  no reasoning was found"]
    shown = view(trace, most=len(trace.nodes) if show_all else MOST_SEGMENTS, with_words=True)
    lines = [f"{said}; {depth_in_words(trace)}", f"  {LEGEND}"]
    digits = len(str(len(trace.nodes)))
    chain = set(shown.chain)
    last = -1
    for at in shown.nodes:
        lines += _folded(trace, range(last + 1, at), digits)
        lines.append(_segment(trace.nodes[at], at, digits, on_chain=at in chain))
        last = at
    lines += _folded(trace, range(last + 1, len(trace.nodes)), digits)
    if shown.folded:
        of_chain = f", {shown.chain_folded:,} of the chain among them" if shown.chain_folded else ""
        lines.append(
            f"  folded: {counted(shown.folded)}{of_chain}; every segment: --all, or "
            "as_text(show_all=True)"
        )
    return lines


def _segment(node: Node, at: int, digits: int, *, on_chain: bool) -> str:
    mark = "*" if on_chain else " "
    kind = "x" if node.is_abandoned else MARKS.get(node.kind, " ")
    text = one_line(node.text, SEGMENT_LENGTH)
    premises = premises_of(node)
    builds_on = f"  <- {premises}" if premises else ""
    return f"  {mark}{kind} {at + 1:>{digits}}  {text}{builds_on}"


def _folded(trace: Trace, nodes: range, digits: int) -> list[str]:
    if not nodes:
        return []
    found: Counter[str] = kinds_of(trace, nodes)
    return [f"     {'':>{digits}}  ... {counted(found)}"]


def _terms(of: Explanation) -> list[str]:
    if not of.terms:
        return []
    signs = {"branch penalty": "-", "loop penalty": "-", "work": "=", "answer weight": "×"}
    lines = ["contribution (higher teaches more)"]
    for term in of.terms:
        sign = "=" if term.name == "contribution" else signs.get(term.name, " ")
        lines.append(f"  {sign} {term.name:<20}{term.value:>8.3f}   {term.note}")
    return lines


def _indented(sentences: list[str] | tuple[str, ...]) -> list[str]:
    return [
        textwrap.fill(
            sentence, WIDTH, initial_indent="  ", subsequent_indent="    ", break_long_words=False
        )
        for sentence in sentences
    ]
