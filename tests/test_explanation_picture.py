"""The drawing: valid, within its page, nothing on top of anything, and complete."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rbic_hf.explanation_picture import MOST_NODES, draw_graph
from rbic_hf.plain_text import width
from rbic_hf.reasoning_nodes import Node
from rbic_hf.sample import make_sample
from rbic_hf.steps import Trace, measure, trace

SVG = "{http://www.w3.org/2000/svg}"
ONE = measure("x = 1")
SAMPLE = [str(row["response"]) for row in make_sample(40, seed=2)]
CHAIN_300 = "\n".join(f"a{i} = a{i - 1} + {i}" for i in range(1, 301))


def draw(found: Trace, *, question: str = "How many?") -> ElementTree.Element:
    return ElementTree.fromstring(draw_graph(found, title="Row 3", question=question))


def boxes_of(svg: ElementTree.Element) -> list[tuple[float, float, float, float]]:
    """Return left, top, right, bottom of every node."""
    found = [r for r in svg.iter(f"{SVG}rect") if r.get("rx")]
    sides = [[float(r.get(k) or 0) for k in ("x", "y", "width", "height")] for r in found]
    return [(x, y, x + w, y + h) for x, y, w, h in sides]


def words_of(svg: ElementTree.Element) -> str:
    return "\n".join(t.text or "" for t in svg.iter(f"{SVG}text"))


@st.composite
def traces(draw: Any) -> Trace:
    """Return graphs of any shape; the chain is any part of them that never goes down a level."""
    n = draw(st.integers(0, 60))
    nodes: list[Node] = []
    for at in range(n):
        kind = draw(st.sampled_from(["equation", "fact", "words", "repeat", "code"]))
        is_in = kind not in ("words", "repeat")
        before = st.integers(0, at - 1) if at else st.nothing()
        premises = sorted(draw(st.sets(before, max_size=4 if at and is_in else 0)))
        level = 1 + max((nodes[p].level for p in premises), default=0) if is_in else 0
        text = draw(st.text(min_size=1, max_size=90))
        symbols = tuple(draw(st.sampled_from(["", "x", "<&>", "中文"])) for _ in premises)
        nodes.append(Node(text, kind, tuple(premises), symbols, at, level, draw(st.booleans())))
    chain: list[int] = []
    for at in sorted(draw(st.sets(st.integers(0, n - 1), max_size=20))) if n else []:
        if not chain or max(nodes[at].level, 1) >= max(nodes[chain[-1]].level, 1):
            chain.append(at)
    return Trace(tuple(nodes), tuple(chain), ONE)


@settings(deadline=None, max_examples=60)
@given(traces())
def test_boxes_lie_within_the_page_and_on_no_other(found: Trace) -> None:
    svg = draw(found)
    page = float(svg.get("width") or 0), float(svg.get("height") or 0)
    boxes = boxes_of(svg)
    assert len(boxes) <= MOST_NODES
    for i, (left, top, right, bottom) in enumerate(boxes):
        assert 0 < left < right < page[0]
        assert 0 < top < bottom < page[1]
        for other in boxes[:i]:
            beside = right < other[0] or other[2] < left
            above = bottom < other[1] or other[3] < top
            assert beside or above


@settings(deadline=None, max_examples=30)
@given(traces())
def test_text_stays_within_its_box_and_the_page(found: Trace) -> None:
    svg = draw(found)
    page = float(svg.get("width") or 0), float(svg.get("height") or 0)
    boxes = boxes_of(svg)
    for text in svg.iter(f"{SVG}text"):
        x, y = float(text.get("x") or 0), float(text.get("y") or 0)
        size = float(text.get("font-size") or 0)
        assert 0 <= x <= page[0] and 0 < y < page[1]
        around = [b for b in boxes if b[0] < x < b[2] and b[1] < y - 1 < b[3]]
        if "Mono" in (text.get("font-family") or "") and around:
            # monospace letters are .602 em wide, and Chinese ones at most twice that
            assert x + 0.602 * size * width(text.text or "") <= around[0][2]
            assert y < around[0][3]


@pytest.mark.parametrize("text", SAMPLE[:12])
def test_all_of_a_short_graph_is_drawn(text: str) -> None:
    found = trace(text)
    drawn = [n for i, n in enumerate(found.nodes) if n.level or i in found.chain]
    svg = draw(found)
    if len(drawn) <= MOST_NODES:
        assert len(boxes_of(svg)) == len(drawn)
    links = {
        (premise, at)
        for at, node in enumerate(found.nodes)
        for premise in node.premises
        if node in drawn and found.nodes[premise] in drawn
    }
    titles = [t.text or "" for t in svg.iter(f"{SVG}title")]
    told = {
        (int(m[2]) - 1, int(m[1]) - 1)
        for t in titles
        if (m := re.match(r"(\d+) builds on (\d+)", t))
    }
    assert told == links
    assert f"depth {found.complexity.depth}, {len(found.nodes)} segments" in words_of(svg)


def test_the_chain_is_heavier_than_the_rest() -> None:
    found = trace("a = 2 + 3\nb = a + 1\nc = b + 1\nd = 7 + 1\nThe answer is 7.")
    svg = draw(found)
    heavy = [r for r in svg.iter(f"{SVG}rect") if r.get("stroke-width") == "2.6"]
    assert len(heavy) == len(found.chain) >= 3
    thick = [p for p in svg.iter(f"{SVG}path") if p.get("stroke-width") == "3"]
    assert len(thick) >= len(found.chain) - 1 + 2  # and two in the legend


def test_of_a_long_chain_the_ends_are_drawn_and_the_rest_is_counted() -> None:
    found = trace(CHAIN_300)
    assert found.complexity.depth > 250
    svg = draw(found)
    assert len(boxes_of(svg)) == MOST_NODES
    words = words_of(svg)
    assert f"Not drawn: {len(found.nodes) - MOST_NODES} equations." in words
    assert f"The middle of the chain, {len(found.chain) - MOST_NODES} segments" in words
    assert sum("steps between" in (t.text or "") for t in svg.iter(f"{SVG}title")) == 1


def test_an_empty_trace_says_so() -> None:
    assert "No reasoning was found" in words_of(draw(trace("")))


def test_prose_says_that_its_depth_is_another() -> None:
    found = trace("We think about it. Therefore it follows. So we are done here.")
    assert found.complexity.confidence == 0
    assert "general prose" in words_of(draw(found))


def test_what_is_taken_back_is_dashed_and_says_so() -> None:
    nodes = (Node("x = 1", "equation", (), (), 0, 1, True),)
    svg = draw(Trace(nodes, (), ONE))
    assert "equation, taken back" in words_of(svg)
    [box] = [r for r in svg.iter(f"{SVG}rect") if r.get("rx")]
    assert box.get("stroke-dasharray")


def test_nothing_is_fetched_and_nothing_runs() -> None:
    drawn = draw_graph(trace("x = 3 <b>\ny = x"), title="<i>", question="<script>alert(1)</script>")
    assert "<script" not in drawn
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg\")", drawn)
    assert not re.search(r"\b(href|src|url\(|on\w+=)", drawn)
