"""An explanation as one page, or as a part of a notebook: nothing is loaded, nothing runs.

Every text of the dataset is cleaned, escaped, and told to find its own direction.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from rbic_hf.explanation_graph import premises_of, view
from rbic_hf.explanation_picture import SANS
from rbic_hf.explanation_text import depth_in_words, measured, read_as
from rbic_hf.picture_style import INK, KEPT, PANEL, RULE, SOFT
from rbic_hf.plain_text import one_line

if TYPE_CHECKING:
    from rbic_hf.explanation import Explanation

QUESTION_LENGTH = 4000
SEGMENT_LENGTH = 1000
MOST_SEGMENTS = 1000  # in the table; of a longer trace the chain and its premises are

# within its own element, so that it changes nothing of a notebook around it
STYLE = f"""
.rbic-explanation {{ font: 15px/1.5 {SANS}; color: {INK}; background: {PANEL};
  max-width: 78rem; margin: 0 auto; padding: 1rem 1.5rem; }}
.rbic-explanation h1 {{ font-size: 1.35rem; }}
.rbic-explanation h2 {{ font-size: 1.05rem; margin: 1.6rem 0 .4rem; }}
.rbic-explanation .picture {{ overflow: auto; max-height: 56rem; border: 1px solid {RULE}; }}
.rbic-explanation table {{ border-collapse: collapse; font-size: .9rem; }}
.rbic-explanation td, .rbic-explanation th {{ text-align: start; vertical-align: top;
  padding: .15rem .7rem; border-bottom: 1px solid {RULE}; color: {INK}; background: {PANEL}; }}
.rbic-explanation td.number {{ text-align: right; font-variant-numeric: tabular-nums; }}
.rbic-explanation tr.chain td:first-child {{ border-left: 4px solid {KEPT}; }}
.rbic-explanation tr.chain td {{ font-weight: 600; }}
.rbic-explanation tr.nothing td {{ color: {SOFT}; }}
.rbic-explanation .text {{ overflow-wrap: anywhere; }}
"""


def render_page(of: Explanation) -> str:
    """Return the explanation as an HTML document."""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"/>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"/>'
        f"<title>{escape(of.title)}, explained</title></head>"
        f'<body style="margin:0;background:{PANEL}">{render_body(of)}</body></html>\n'
    )


def render_body(of: Explanation) -> str:
    """Return the explanation as one element, for a page or a notebook."""
    notes = [f"<strong>Note:</strong> {escape(note)}" for note in of.notes]
    parts = [
        f'<div class="rbic-explanation"><style>{STYLE}</style><h1>{escape(of.title)}</h1>',
        _list([*map(escape, of.verdict), *notes]),
        "<h2>Question</h2>",
        f'<p class="text" dir="auto">{_text(of.reading.question, QUESTION_LENGTH)}</p>',
        f'<p dir="auto">Read as: {escape(read_as(of))}.</p>',
        f"<h2>Reasoning</h2><p>{escape(depth_in_words(of.trace).capitalize())}.</p>",
        f'<div class="picture">{of.as_svg()}</div>',
        *_terms(of),
        f"<h2>Measures</h2><p>{escape(', '.join(measured(of)))}.</p>",
        *_segments(of),
        "</div>",
    ]
    return "".join(parts)


def _list(items: list[str]) -> str:
    return "<ul>" + "".join(f"<li>{item}</li>" for item in items) + "</ul>" if items else ""


def _terms(of: Explanation) -> list[str]:
    if not of.terms:
        return []
    rows = [
        f'<tr><td>{escape(term.name)}</td><td class="number">{term.value:.3f}</td>'
        f"<td>{escape(term.note)}</td></tr>"
        for term in of.terms
    ]
    return ["<h2>Contribution</h2><table>", *rows, "</table>"]


def _segments(of: Explanation) -> list[str]:
    nodes = of.trace.nodes
    if not nodes:
        return []
    shown = view(of.trace, most=MOST_SEGMENTS, with_words=True)
    chain = set(shown.chain)
    parts = [
        "<h2>Segments</h2><p>A blue bar and bold letters: on the longest chain.</p><table>"
        "<tr><th>no</th><th>kind</th><th>level</th><th>text</th><th>builds on</th></tr>"
    ]
    for at in shown.nodes:
        node = nodes[at]
        level = str(shown.level.get(at, ""))
        look = "chain" if at in chain else "" if node.level else "nothing"
        kind = node.kind + (", taken back" if node.is_abandoned else "")
        parts.append(
            f'<tr class="{look}"><td class="number">{at + 1}</td><td>{escape(kind)}</td>'
            f'<td class="number">{level}</td><td class="text" dir="auto">'
            f'{_text(node.text, SEGMENT_LENGTH)}</td><td dir="auto">'
            f"{escape(premises_of(node))}</td></tr>"
        )
    parts.append("</table>")
    if more := len(nodes) - len(shown.nodes):
        parts.append(f"<p>{more:,} more segments are not listed.</p>")
    return parts


def _text(text: str, limit: int) -> str:
    return escape(one_line(text, limit))
