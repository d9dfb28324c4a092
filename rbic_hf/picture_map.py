"""The map of the questions: their embeddings on a plane, domains named, kept rows ringed.

At most 3,000 rows are placed: t-SNE of more takes minutes and shows no more. Colour and shape say
the domain, and its name stands at its centre; a map has no key to look up.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np

from rbic_hf import picture_numbers as numbers
from rbic_hf import picture_style as style
from rbic_hf import tables
from rbic_hf.picture_numbers import Array, CleanRows, Codes, Mask, Places

if TYPE_CHECKING:
    from datasets import Dataset
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

logger = logging.getLogger("rbic_hf")

MOST_SHOWN = 3000
MOST_DOMAINS = 10
MARK = 14  # pixels that a frame, and half a mark on each side, add to a name


def domain_map(scored: Dataset, rows: CleanRows, *, seed: int) -> Figure | None:
    """Return the map of the questions; None, and a warning, where there are no embeddings."""
    if "rbic_embedding" not in scored.column_names:
        logger.warning("no rbic_embedding column: the domain map is left out, and the coverage")
        return None
    shown = numbers.sampled(len(rows.place), MOST_SHOWN, seed=seed)
    vectors = numbers.vectors_at(scored, rows.place[shown])
    shown, vectors = _with_vector(shown, vectors)
    plane, method = numbers.flat_map(vectors, seed=seed)
    domain, is_kept = rows.domain[shown], rows.is_kept[shown]
    large = _largest(rows.domain)
    figure, [axes] = style.new_figure(
        "Knowledge domains, and which of their questions were kept",
        _caption(rows, shown, method, len(large)),
        height=5.6,
        margins=style.MAP_MARGINS,
    )
    _draw_points(axes, plane, domain, is_kept, large)
    _frame_only(axes, plane)
    present = [place for place, code in enumerate(large) if (domain == code).any()]
    names = _labels(scored, rows, large)
    centres = np.array([np.median(plane[domain == large[place]], axis=0) for place in present])
    weights = np.where(is_kept, 3.0, 1.0)
    _label_domains(
        axes, centres.reshape(-1, 2), [(names[p], _hue(p)) for p in present], plane, weights
    )
    return figure


def _caption(rows: CleanRows, shown: Places, method: str, num_large: int) -> str:
    num_kept, num_domains = int(rows.is_kept[shown].sum()), len(np.unique(rows.domain))
    named = f"The {num_large} largest of {num_domains} domains are named, the others grey."
    return (
        f"{style.part_of(len(shown), len(rows.place))} clean rows, placed by {method} of their "
        f"question embeddings; ringed in black: the {num_kept:,} kept rows among them. Close "
        "points are alike; distances between far groups, and the groups' sizes, mean nothing. "
        + (named if num_large < num_domains else "")
    ).strip()


def _with_vector(shown: Places, vectors: Any) -> tuple[Places, Any]:
    known = np.isfinite(vectors).all(axis=1)
    return shown[known], vectors[known]


def _largest(domain: Codes) -> list[int]:
    """Return at most ten domains with the most rows, largest first."""
    codes, sizes = np.unique(domain[domain >= 0], return_counts=True)
    order = np.lexsort((codes, -sizes))
    return [int(code) for code in codes[order[:MOST_DOMAINS]]]


def _labels(scored: Dataset, rows: CleanRows, domains: list[int]) -> list[str]:
    first = [int(rows.place[np.argmax(rows.domain == code)]) for code in domains]
    if "rbic_domain_label" not in scored.column_names or not first:
        return [f"domain {code}" for code in domains]
    part = scored.select_columns(["rbic_domain_label"]).select(first, keep_in_memory=True)
    texts = tables.values_of(part, "rbic_domain_label")
    return [style.safe_label(text, code) for text, code in zip(texts, domains, strict=True)]


def _draw_points(axes: Axes, plane: Array, domain: Codes, is_kept: Mask, large: list[int]) -> None:
    size = float(np.clip(9000 / len(plane), 9, 40))
    groups = [(~np.isin(domain, large), style.OTHER, "o")]
    for place, code in enumerate(large):
        groups.append((domain == code, _hue(place), style.SHAPES[place]))
    for keep, line, layer in ((False, 0.0, 2), (True, 0.9, 3)):
        for chosen, color, shape in groups:
            at = plane[chosen & (is_kept == keep)]
            grown = (1.9 if keep else 0.8) * (0.5 if color == style.OTHER else 1)
            axes.scatter(
                at[:, 0], at[:, 1], s=size * grown, marker=shape, color=color,
                alpha=1.0 if keep else 0.45, edgecolors=style.INK if keep else "none",
                linewidths=line, zorder=layer,
            )  # fmt: skip


def _hue(place: int) -> str:
    return style.HUES[place % len(style.HUES)]


def _frame_only(axes: Axes, plane: Array) -> None:
    """Leave out ticks and grid: positions on the map have no unit."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[["left", "bottom"]].set_visible(False)
    low, high = plane.min(axis=0), plane.max(axis=0)
    room = np.maximum((high - low) * 0.05, 1e-3)
    axes.set_xlim(low[0] - room[0], high[0] + room[0])
    axes.set_ylim(low[1] - room[1], high[1] + room[1])


def _label_domains(
    axes: Axes, centres: Array, names: list[tuple[str, str]], points: Array, weights: Array
) -> None:
    """Write each name near its domain's centre, covering few points and no other name."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas: Any = FigureCanvasAgg(axes.get_figure(root=True))
    renderer = canvas.get_renderer()
    texts = [
        axes.text(
            centre[0], centre[1], name, size=9, family=style.label_fonts(), ha="center",
            va="center", zorder=6,
            bbox={"facecolor": style.PANEL, "edgecolor": hue, "alpha": 0.9, "pad": 2, "lw": 1.2},
        )
        for centre, (name, hue) in zip(centres, names, strict=True)
    ]  # fmt: skip
    boxes = [text.get_window_extent(renderer) for text in texts]
    sizes = np.array([(box.width, box.height) for box in boxes]).reshape(-1, 2) + MARK  # pixels
    frame, to_pixels = axes.get_window_extent(renderer), axes.transData
    at = to_pixels.transform(centres)
    placed = style.place_boxes(
        at, sizes, to_pixels.transform(points), weights, np.array(frame.min), np.array(frame.max)
    )
    for text, start, end, size in zip(texts, at, placed, sizes, strict=True):
        text.set_position(tuple(to_pixels.inverted().transform(end)))
        if (np.abs(start - end) > size / 2).any():
            line = to_pixels.inverted().transform([start, end])
            axes.plot(line[:, 0], line[:, 1], color=style.INK, lw=0.7, zorder=5)
