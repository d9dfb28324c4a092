"""What is shown of a graph: all of a short one, the chain of a long one, and the rest as counts."""

from __future__ import annotations

from collections import Counter

import pytest

from rbic_hf.explanation_graph import KINDS, counted, premises_of, view
from rbic_hf.reasoning_nodes import Kind, Node
from rbic_hf.sample import make_sample
from rbic_hf.steps import Trace, measure, trace


def node(kind: Kind = "equation", *premises: int, level: int = 1, block: int = 0) -> Node:
    return Node("x = 1", kind, premises, ("x",) * len(premises), block, level, False)


def line(n: int) -> Trace:
    """Return a chain of n equations, each with a fact of its own beside it and a word after it."""
    nodes: list[Node] = []
    for i in range(n):
        at = 3 * i
        nodes.append(node("fact", level=1, block=2 * i))
        below = (at - 2, at) if i else (at,)
        nodes.append(node("equation", *below, level=i + 2, block=2 * i + 1))
        nodes.append(node("words", level=0, block=2 * i + 1))
    return Trace(tuple(nodes), tuple(range(1, 3 * n, 3)), measure("x = 1"))


def test_a_short_trace_is_shown_whole() -> None:
    shown = view(line(3), most=9, with_words=True)
    assert shown.nodes == tuple(range(9))
    assert shown.chain == (1, 4, 7)
    assert shown.folded == Counter()


def test_a_picture_leaves_out_what_adds_nothing() -> None:
    shown = view(line(3), most=9, with_words=False)
    assert shown.nodes == (0, 1, 3, 4, 6, 7)
    assert shown.level == {0: 1, 1: 2, 3: 1, 4: 3, 6: 1, 7: 4}
    assert shown.folded == Counter({KINDS["words"]: 3})


def test_of_a_long_trace_the_chain_and_its_premises_are_shown() -> None:
    found = line(10)
    shown = view(found, most=20, with_words=True)
    assert shown.nodes == tuple(i for i in range(30) if i % 3 != 2)
    assert shown.folded == Counter({KINDS["words"]: 10})
    assert shown.chain == found.chain


def test_of_a_very_long_chain_both_ends_are_shown() -> None:
    found = line(100)
    shown = view(found, most=20, with_words=False)
    assert shown.nodes == shown.chain == found.chain[:10] + found.chain[-10:]
    assert shown.chain_folded == 80
    assert sum(shown.folded.values()) + len(shown.nodes) == 300


def test_words_that_open_a_step_of_the_chain_have_its_level() -> None:
    nodes = (
        node("words", level=0),
        node("equation", 0, level=1),
        node("fact", 0, level=2, block=1),
    )
    shown = view(Trace(nodes, (0, 2), measure("x = 1")), most=9, with_words=False)
    assert shown.level == {0: 1, 1: 1, 2: 2}


def test_no_segments_show_nothing() -> None:
    shown = view(trace(""), most=9, with_words=True)
    assert (shown.nodes, shown.chain, shown.level) == ((), (), {})


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        ({}, ""),
        ({"equations": 1}, "1 equation"),
        ({"repeats": 1200, "equations": 2}, "2 equations, 1,200 repeats"),
        ({"segments of words": 1}, "1 segment of words"),
        ({"lines of code": 2, "others": 1}, "2 lines of code, 1 other"),
    ],
)
def test_counts_in_words(kinds: dict[str, int], expected: str) -> None:
    assert counted(Counter(kinds)) == expected


@pytest.mark.parametrize(
    ("premises", "symbols", "expected"),
    [
        ((), (), ""),
        ((2, 4), ("24", "x"), "3 (24), 5 (x)"),
        ((0,), ("",), "1"),
        ((0,), ("<b>\x1b[1m",), "1 (<b>[1m)"),
        ((0,), ("a" * 99,), f"1 ({'a' * 15}…)"),
        (tuple(range(9)), ("x",) * 9, "1 (x), 2 (x), 3 (x), 4 (x), 5 (x), 6 (x), and 3 more"),
    ],
)
def test_premises_are_counted_from_one(
    premises: tuple[int, ...], symbols: tuple[str, ...], expected: str
) -> None:
    assert premises_of(Node("t", "fact", premises, symbols, 0, 1, False)) == expected


def test_every_segment_of_the_sample_is_shown_or_counted() -> None:
    for row in make_sample(60, seed=1):
        found = trace(str(row["response"]))
        for most in (3, 12, 1000):
            for with_words in (False, True):
                shown = view(found, most=most, with_words=with_words)
                assert len(shown.nodes) + sum(shown.folded.values()) == len(found.nodes)
                assert set(shown.chain) <= set(shown.nodes)
                assert set(shown.chain) <= set(shown.level)
                assert len(shown.chain) + shown.chain_folded == len(found.chain)
