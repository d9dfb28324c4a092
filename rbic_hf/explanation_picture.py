"""The graph of one row's reasoning as a self-contained SVG: levels from top to bottom, the longest
chain straight down the left side, what it rests on beside it.

Made of strings, without a drawing library: text stays text, and every piece of it is cleaned and
escaped. Colours are Okabe and Ito's and never alone: width, dashes and words say the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from xml.sax.saxutils import escape, quoteattr

from rbic_hf.explanation_graph import View, counted, premises_of, view
from rbic_hf.picture_style import INK, KEPT, PANEL, POOL, RULE, SOFT
from rbic_hf.plain_text import one_line, wrapped
from rbic_hf.steps import Trace

SANS = (
    "'Segoe UI', 'Helvetica Neue', Arial, 'Noto Sans', 'Noto Sans CJK SC', 'PingFang SC', "
    "'Microsoft YaHei', sans-serif"
)
MONO = (
    "'DejaVu Sans Mono', Menlo, Consolas, 'Noto Sans Mono', 'Noto Sans Mono CJK SC', "
    "'Noto Sans CJK SC', 'PingFang SC', 'Microsoft YaHei', monospace"
)

MOST_NODES = 40  # drawn of one trace; of more the chain and its premises are
COLUMNS = 3  # beside the chain
TEXT_COLUMNS, TEXT_LINES = 32, 3  # of a node
LINE, PADDING = 15, 8
BOX_WIDTH = 6.65 * TEXT_COLUMNS + 2 * PADDING + 4  # 11 px monospace: .602 em, and a little room
LEVEL_WIDTH, ARC_ROOM, MARGIN = 62, 44, 20
COLUMN_GAP, ROW_GAP, BAND_GAP = 44, 26, 34
FAR = 360  # links over more than this are paler, so that near ones can be followed
TITLE_LENGTH = 300
FACT_FILL = "#F1EFEA"
QUESTION_COLUMNS, QUESTION_LINES = 100, 3


@dataclass(frozen=True)
class _Box:
    """A node in its place: column 0 is the chain's; x, y of its upper left corner."""

    at: int
    column: int
    x: float
    y: float
    height: float
    lines: tuple[str, ...]
    footer: str

    @property
    def middle(self) -> float:
        return self.y + self.height / 2

    @property
    def bottom(self) -> float:
        return self.y + self.height

    @property
    def right(self) -> float:
        return self.x + BOX_WIDTH


@dataclass(frozen=True)
class _Band:
    """A level: its number, and where it lies."""

    level: int
    top: float
    bottom: float


def draw_graph(trace: Trace, *, title: str, question: str) -> str:
    """Return the graph of a trace as an SVG document.

    Of more than 40 nodes only the longest chain and its direct premises are drawn, and the others
    counted. Segments that add nothing (words, repeats, checks) are counted only.
    """
    shown = view(trace, most=MOST_NODES, with_words=False)
    head, top = _head(trace, title, question)
    boxes, bands, bottom = _placed(trace, shown, top)
    columns = 1 + max((box.column for box in boxes.values()), default=0)
    width = max(
        # the arcs of the last column need a little room too
        _left() + columns * BOX_WIDTH + (columns - 0.5) * COLUMN_GAP + MARGIN,
        640 + 2 * MARGIN,
    )
    notes = _notes(trace, shown)
    height = bottom + LINE * (len(notes) + 1) + MARGIN
    below = [
        _text(MARGIN, bottom + LINE * (i + 1), note, size=11, colour=SOFT)
        for i, note in enumerate(notes)
    ]
    body = [
        *head, *_levels(bands, width), *_edges(trace, shown, boxes),
        *[_box(trace, box, on_chain=box.at in shown.chain) for box in boxes.values()], *below,
    ]  # fmt: skip
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" role="img" font-family={quoteattr(SANS)}>'
        f"<title>{escape(one_line(title, TITLE_LENGTH))}: the graph of its reasoning</title>"
        f'<rect width="100%" height="100%" fill="{PANEL}"/>' + "".join(body) + "</svg>"
    )


def _left() -> float:
    return MARGIN + LEVEL_WIDTH + ARC_ROOM


def _head(trace: Trace, title: str, question: str) -> tuple[list[str], float]:
    """Return title, question and legend, and where the graph begins."""
    found = trace.complexity
    said = (
        f"{one_line(title, TITLE_LENGTH)}: depth {found.depth}, {found.steps:,} segments, "
        f"{found.edges:,} links"
    )
    if trace.nodes and not found.confidence:
        said += "; general prose, depth counts segments that a connective links"
    parts = [_text(MARGIN, 30, said, size=15, weight="bold")]
    y = 30.0
    for line in wrapped(question, QUESTION_COLUMNS, QUESTION_LINES):
        y += 18
        parts.append(_text(MARGIN, y, line, size=12, colour=SOFT))
    y += 24
    return [*parts, *_legend(y)], y + 22


def _legend(y: float) -> list[str]:
    entries = (
        (f'stroke="{KEPT}" stroke-width="3"', "longest chain"),
        (f'stroke="{KEPT}" stroke-width="3" stroke-dasharray="2 4"', "same step"),
        (f'stroke="{POOL}" stroke-width="1.2"', "builds on, with what links"),
        (f'stroke="{SOFT}" stroke-width="1.2" stroke-dasharray="6 4"', "box: taken back"),
    )
    parts, x = [], float(MARGIN)
    for stroke, words in entries:
        parts.append(f'<path d="M{x:.0f} {y - 4:.0f}h26" fill="none" {stroke}/>')
        parts.append(_text(x + 32, y, words, size=11, colour=SOFT))
        x += 32 + 6.4 * len(words) + 20
    return parts


def _placed(trace: Trace, shown: View, top: float) -> tuple[dict[int, _Box], list[_Band], float]:
    """Return every node's box, the levels, and where the graph ends."""
    boxes: dict[int, _Box] = {}
    bands = []
    y = top
    for level in sorted(set(shown.level.values())):
        here = [at for at in shown.nodes if shown.level.get(at) == level]
        spine = [at for at in here if at in shown.chain]
        beside = [at for at in here if at not in shown.chain]
        start = y + BAND_GAP / 2
        end = start
        for at in spine:
            boxes[at] = _boxed(trace, at, 0, end)
            end = boxes[at].bottom + ROW_GAP
        row_top = start
        for first in range(0, len(beside), COLUMNS):
            row = [
                _boxed(trace, at, 1 + i, row_top)
                for i, at in enumerate(beside[first : first + COLUMNS])
            ]
            boxes.update({box.at: box for box in row})
            row_top = max(box.bottom for box in row) + ROW_GAP
        bottom = max(end, row_top) - ROW_GAP + BAND_GAP / 2
        bands.append(_Band(level, y, bottom))
        y = bottom
    return boxes, bands, y


def _boxed(trace: Trace, at: int, column: int, y: float) -> _Box:
    node = trace.nodes[at]
    lines = tuple(wrapped(node.text, TEXT_COLUMNS, TEXT_LINES))
    premises = premises_of(node)
    footer = one_line(f"from {premises}", TEXT_COLUMNS) if premises else ""
    x = _left() + column * (BOX_WIDTH + COLUMN_GAP)
    height = LINE * (1 + len(lines) + bool(footer)) + PADDING
    return _Box(at, column, x, y, height, lines, footer)


def _levels(bands: Sequence[_Band], width: float) -> list[str]:
    parts = []
    for band in bands:
        parts.append(f'<path d="M{MARGIN} {band.top:.1f}H{width - MARGIN:.1f}" stroke="{RULE}"/>')
        y = band.top + BAND_GAP / 2 + LINE
        parts.append(_text(MARGIN, y, f"level {band.level}", size=11, colour=SOFT))
    return parts


def _box(trace: Trace, box: _Box, *, on_chain: bool) -> str:
    node = trace.nodes[box.at]
    stroke = f'stroke="{KEPT}" stroke-width="2.6"' if on_chain else f'stroke="{POOL}"'
    if node.is_abandoned:
        stroke += ' stroke-dasharray="6 4"'
    fill = FACT_FILL if node.kind == "fact" else "#FFFFFF"
    kind = node.kind + (", taken back" if node.is_abandoned else "")
    whole = one_line(node.text, TITLE_LENGTH)
    parts = [
        f"<g><title>{escape(f'{box.at + 1}: {whole}')}</title>",
        f'<rect x="{box.x:.1f}" y="{box.y:.1f}" width="{BOX_WIDTH:.1f}" '
        f'height="{box.height:.1f}" rx="5" fill="{fill}" fill-opacity="1" {stroke}/>',
        _text(box.x + PADDING, box.y + LINE, str(box.at + 1), size=11, weight="bold"),
        _text(box.right - PADDING, box.y + LINE, kind, size=10, colour=SOFT, anchor="end"),
    ]
    for i, line in enumerate(box.lines):
        parts.append(_text(box.x + PADDING, box.y + LINE * (i + 2), line, size=11, mono=True))
    if box.footer:
        y = box.y + LINE * (len(box.lines) + 2)
        parts.append(_text(box.x + PADDING, y, box.footer, size=10, colour=SOFT, mono=True))
    return "".join(parts) + "</g>"


def _edges(trace: Trace, shown: View, boxes: dict[int, _Box]) -> list[str]:
    """Return the thin edges, then the chain above them."""
    thin, thick = [], []
    for at in boxes:
        node = trace.nodes[at]
        for premise, symbol in zip(node.premises, node.symbols, strict=True):
            if premise not in boxes:
                continue
            words = f"{at + 1} builds on {premise + 1}" + (f": {symbol}" if symbol.strip() else "")
            start, end = boxes[premise], boxes[at]
            if not _is_chain(trace, shown, premise, at):
                thin.append(_edge(start, end, words, is_chain=False, is_next=False))
                continue
            is_next = _is_next(shown.chain, premise, at)
            thick.append(_edge(start, end, words, is_chain=True, is_next=is_next))
            if is_next and symbol.strip():
                thick.append(_symbol(start, end, symbol))
    return thin + thick + _dotted(trace, shown, boxes)


def _is_chain(trace: Trace, shown: View, premise: int, at: int) -> bool:
    """Whether a link is one of the chain's: inside one of its steps, or from one to the next."""
    if premise not in shown.chain or at not in shown.chain:
        return False
    between = {trace.nodes[i].block for i in shown.chain if premise <= i <= at}
    return len(between) <= 2


def _is_next(chain: Sequence[int], premise: int, at: int) -> bool:
    return (premise, at) in pairwise(chain)


def _dotted(trace: Trace, shown: View, boxes: dict[int, _Box]) -> list[str]:
    """Join neighbours on the chain that no link joins: of one step, or with steps left out."""
    parts = []
    for one, other in pairwise(shown.chain):
        is_same = trace.nodes[one].block == trace.nodes[other].block
        is_gap = trace.chain.index(other) - trace.chain.index(one) > 1
        if one in trace.nodes[other].premises or not (is_same or is_gap):
            continue
        words = "the same step" if is_same else "steps between are not drawn"
        x, y1, y2 = boxes[one].x + BOX_WIDTH / 2, boxes[one].bottom, boxes[other].y
        parts.append(
            f'<g><title>{words}</title><path d="M{x:.1f} {y1:.1f}V{y2:.1f}" fill="none" '
            f'stroke="{KEPT}" stroke-width="3" stroke-dasharray="2 4"/></g>'
        )
    return parts


def _edge(start: _Box, end: _Box, words: str, *, is_chain: bool, is_next: bool) -> str:
    """Return one link as a curve with an arrowhead; `is_next`: straight down to the box below."""
    x1, y1, x2, y2, bend1, bend2 = _course(start, end)
    if is_next:
        x = start.x + BOX_WIDTH / 2
        path, tip = f"M{x:.1f} {start.bottom:.1f}V{end.y:.1f}", _tip(x, end.y, 0, 1)
    else:
        path = (
            f"M{x1:.1f} {y1:.1f}C{x1 + bend1:.1f} {y1:.1f} "
            f"{x2 + bend2:.1f} {y2:.1f} {x2:.1f} {y2:.1f}"
        )
        tip = _tip(x2, y2, -1 if bend2 > 0 else 1, 0)
    far = abs(end.middle - start.middle) > FAR
    thin = f'stroke-width="1.2" opacity="{".4" if far else ".85"}"'
    style = 'stroke-width="3"' if is_chain else thin
    colour = KEPT if is_chain else POOL
    return (
        f"<g><title>{escape(one_line(words, TITLE_LENGTH))}</title>"
        f'<path d="{path}" fill="none" stroke="{colour}" {style}/>'
        f'<path d="{tip}" fill="{colour}"/></g>'
    )


def _course(start: _Box, end: _Box) -> tuple[float, float, float, float, float, float]:
    """Return where a curve begins and ends, and how far it leans out there, left being negative."""
    if start.column == end.column == 0:  # past boxes of the chain, on their left
        lean = -min(14 + 0.05 * abs(end.middle - start.middle), ARC_ROOM)
        return start.x, start.middle, end.x, end.y + 0.4 * end.height, lean, lean
    if start.column == end.column:  # past boxes of a column, on their right
        lean = 0.6 * COLUMN_GAP
        return start.right, start.middle, end.right, end.middle, lean, lean
    if start.column > end.column:
        lean = 0.8 * COLUMN_GAP
        return start.x, start.middle, end.right, end.middle, -lean, lean
    lean = 0.8 * COLUMN_GAP
    return start.right, start.middle, end.x, end.middle, lean, -lean


def _tip(x: float, y: float, dx: int, dy: int) -> str:
    """Return an arrowhead whose point is at x, y, in the direction dx, dy."""
    back_x, back_y = x - 7 * dx, y - 7 * dy
    side_x, side_y = 3.5 * dy, 3.5 * dx
    return (
        f"M{x:.1f} {y:.1f}L{back_x + side_x:.1f} {back_y + side_y:.1f}"
        f"L{back_x - side_x:.1f} {back_y - side_y:.1f}Z"
    )


def _symbol(start: _Box, end: _Box, symbol: str) -> str:
    y = (start.bottom + end.y) / 2 + 4
    words = one_line(symbol, TEXT_COLUMNS // 2)
    return _text(start.x + BOX_WIDTH / 2 + 7, y, words, size=11, colour=KEPT, mono=True)


def _notes(trace: Trace, shown: View) -> list[str]:
    if not trace.nodes:
        return ["No reasoning was found in this row."]
    notes = []
    if shown.folded:
        notes.append(f"Not drawn: {counted(shown.folded)}.")
    if shown.chain_folded:
        notes.append(f"The middle of the chain, {shown.chain_folded:,} segments, is not drawn.")
    return notes


def _text(
    x: float,
    y: float,
    words: str,
    *,
    size: float,
    colour: str = INK,
    weight: str = "normal",
    anchor: str = "start",
    mono: bool = False,
) -> str:
    font = f" font-family={quoteattr(MONO)}" if mono else ""
    bold = f' font-weight="{weight}"' if weight != "normal" else ""
    end = f' text-anchor="{anchor}"' if anchor != "start" else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:g}" fill="{colour}"{font}{bold}{end} '
        f'xml:space="preserve">{escape(words)}</text>'
    )
