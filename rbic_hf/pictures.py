"""Five pictures of a refinement, as PNG and SVG: where the kept rows are, and what they hold.

Domain map, difficulty, length and cost, contribution by length, and everything again over all
ratios beside a random selection. The arrays come from `picture_numbers`, the look from
`picture_style`; what cannot be drawn (no embeddings, no probing) is left out, and said so.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rbic_hf import picture_map, splits
from rbic_hf import picture_numbers as numbers
from rbic_hf import picture_style as style
from rbic_hf.columns import TIERS
from rbic_hf.errors import ConfigError
from rbic_hf.picture_numbers import RATIOS, Array, CleanRows, Codes, Curve, Places
from rbic_hf.splits import AnyDataset, Split

if TYPE_CHECKING:
    from datasets import Dataset
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

logger = logging.getLogger("rbic_hf")

MOST_SAMPLED = 3000  # pool rows whose coverage is measured
MOST_MARKS = 1500  # kept rows drawn one by one over the pool's cells
SCATTER_UP_TO = 1500  # rows; more are drawn as cells, which no number of rows makes black

Panel = tuple[str, Array, Array, bool]  # name, in pick order, at random, whether it is a share


def draw(
    scored: AnyDataset,
    refined: AnyDataset,
    folder: str | Path,
    *,
    split: Split = None,
    seed: int = 0,
) -> list[Path]:
    """Return the files of the pictures of what `refined` keeps of `scored`, PNG and SVG of each.

    The same datasets and seed give the same bytes.

    Args:
        scored: what `score` returned; with `rbic_embedding` for the map and the coverage.
        refined: what `select` or `refine` made of it.
        folder: where the files go; it is made when it is missing.
        split: the split that is meant, in a DatasetDict.
        seed: draws the rows on the map, the random selection and the start of t-SNE.

    Raises:
        RbicError: matplotlib is not installed; the message has the command.
        DataError: a dataset without rbic columns, or two that do not belong together.
    """
    style.require_matplotlib()
    whole, part = splits.chosen_part(scored, split), splits.chosen_part(refined, split)
    rows = numbers.read_rows(whole, part)
    out = Path(folder)
    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out} is a file; give a folder for the pictures")
    out.mkdir(parents=True, exist_ok=True)
    files: list[Path] = []
    with style.own_settings():
        for name, figure in (
            ("domain_map", picture_map.domain_map(whole, rows, seed=seed)),
            ("difficulty", _difficulty(rows)),
            ("length_and_cost", _length_and_cost(rows)),
            ("contribution_by_length", _contribution_by_length(rows, seed)),
            ("ratio_curve", _ratio_curve(whole, rows, seed)),
        ):
            if figure is not None:
                files += style.save(figure, out, name)
    return files


def _difficulty(rows: CleanRows) -> Figure | None:
    if not np.isfinite(rows.pass_rate).any():
        logger.warning("nothing was probed: the picture of the difficulty is left out")
        return None
    known = int(np.isfinite(rows.pass_rate).sum())
    figure, [left, right] = style.new_figure(
        "Difficulty before and after",
        f"{style.part_of(known, len(rows.place))} clean rows have a pass rate: estimates from "
        "rollouts, predictions where a row had none. Shares are of the training cost, not of "
        "rows. Dotted: the limits of the tiers; unsolved: no success at all, and below 10 %.",
        columns=2,
    )
    edges = np.linspace(0, 1, 21)
    _before_and_after(left, rows.pass_rate, rows.cost, rows, edges)
    _name_tiers(left)
    style.percent_axis(left.xaxis)
    left.set_xlabel("pass rate (harder ← → easier)")
    left.set_ylabel("share of the training cost")
    _dumbbells(right, rows.tier, rows, list(TIERS))
    return figure


def _name_tiers(axes: Axes) -> None:
    axes.set_xlim(0, 1)
    axes.set_ylim(0, axes.get_ylim()[1] * 1.12)
    for limit in (0.25, 0.75):
        axes.axvline(limit, color=style.SOFT, lw=0.8, ls=":")
    for middle, name in ((0.125, "hard"), (0.5, "medium"), (0.875, "easy")):
        axes.text(
            middle, 0.97, name, size=8.5, color=style.SOFT, ha="center", va="top",
            transform=axes.transAxes,
        )  # fmt: skip


def _before_and_after(
    axes: Axes, values: Array, weight: Array, rows: CleanRows, edges: Array
) -> None:
    """Draw the shares of each bin, of all clean rows filled and of the kept ones as a line."""
    before = numbers.shares(values, weight, edges)
    after = numbers.shares(values[rows.is_kept], weight[rows.is_kept], edges)
    axes.stairs(before, edges, fill=True, facecolor=style.POOL_FILL, label="all clean rows")
    axes.stairs(before, edges, color=style.POOL, lw=0.9)
    axes.stairs(after, edges, color=style.KEPT, lw=1.9, label="kept rows", baseline=None)
    axes.set_ylim(0, float(max(before.max(), after.max(), 0.01)) * 1.1)
    style.percent_axis(axes.yaxis)
    style.key(axes)


def _dumbbells(axes: Axes, codes: Codes, rows: CleanRows, names: list[str]) -> None:
    """Draw the share of each code as two marks with their numbers, the first code on top."""
    before = numbers.code_shares(codes, rows.cost, len(names))
    after = numbers.code_shares(codes[rows.is_kept], rows.cost[rows.is_kept], len(names))
    heights = np.arange(len(names))[::-1]
    axes.hlines(heights, before, after, color=style.POOL, lw=1.2, zorder=1)
    axes.plot(before, heights, "o", mfc=style.PANEL, mec=style.SOFT, ms=8, label="all clean rows")
    axes.plot(after, heights, "s", color=style.KEPT, ms=7, label="kept rows")
    for height, one, two in zip(heights, before, after, strict=True):
        text = f"{one:.1%} → {two:.1%}".replace("%", " %")
        axes.annotate(
            text, (max(one, two), height), (9, 0), textcoords="offset points", size=8.5,
            va="center",
        )  # fmt: skip
    axes.set_yticks(heights, names)
    axes.set_ylim(-0.6, len(names) - 0.4)
    top = float(max(before.max(), after.max()))
    axes.set_xlim(-0.04 * top, top * 1.75)
    axes.grid(axis="y", visible=False)
    style.percent_axis(axes.xaxis)
    axes.set_xlabel("share of the training cost")
    style.key(axes)


def _length_and_cost(rows: CleanRows) -> Figure:
    deciles = numbers.length_deciles(rows.tokens)
    kept = rows.is_kept
    figure, [left, right] = style.new_figure(
        "Length before and after",
        f"{int(kept.sum()):,} kept of {len(kept):,} clean rows; median length "
        f"{_tokens(float(np.nanmedian(rows.tokens[kept])))} tokens after, "
        f"{_tokens(float(np.nanmedian(rows.tokens)))} before. A decile is a tenth of the clean "
        "rows, by length; equal lengths share one.",
        columns=2,
    )
    low, high = style.log_limits(rows.tokens)
    edges = np.geomspace(low, high, 41 if len(kept) > 500 else 16)
    _before_and_after(left, np.maximum(rows.tokens, 1), np.ones(len(kept)), rows, edges)
    style.log_axis(left.xaxis, low, high, _tokens)
    left.set_xlabel("length in tokens (log scale)")
    left.set_ylabel("share of the rows")
    before = numbers.code_shares(deciles, rows.cost, numbers.NUM_DECILES)
    after = numbers.code_shares(deciles[kept], rows.cost[kept], numbers.NUM_DECILES)
    _decile_shares(right, before, after)
    return figure


def _decile_shares(axes: Axes, before: Array, after: Array) -> None:
    place = np.arange(1, len(before) + 1)
    axes.vlines(place, before, after, color=style.POOL, lw=1.2, zorder=1)
    axes.plot(place, before, "o", mfc=style.PANEL, mec=style.SOFT, ms=7, label="all clean rows")
    axes.plot(place, after, "s", color=style.KEPT, ms=6, label="kept rows")
    axes.set_xticks(place)
    axes.set_ylim(0, float(max(before.max(), after.max())) * 1.12)
    axes.grid(axis="x", visible=False)
    style.percent_axis(axes.yaxis)
    axes.set_xlabel("length decile (1: the shortest tenth)")
    axes.set_ylabel("share of the training cost")
    style.key(axes)


def _tokens(value: float) -> str:
    return f"{value:,.0f}"


def _contribution_by_length(rows: CleanRows, seed: int) -> Figure:
    tokens, kept = np.maximum(rows.tokens, 1), np.flatnonzero(rows.is_kept)
    marked = kept[numbers.sampled(len(kept), MOST_MARKS, seed=seed)]
    as_cells = len(tokens) > SCATTER_UP_TO
    figure, [axes] = style.new_figure(
        "Contribution against length",
        f"{'Grey cells, the darker the more rows' if as_cells else 'Grey dots'}: "
        f"{len(tokens):,} clean rows; blue squares: {len(marked):,} of {len(kept):,} kept rows. "
        "Lines: medians by length decile. Rank correlation (Spearman) of contribution and length: "
        f"{_correlation(rows.contribution, tokens)} over the clean rows, "
        f"{_correlation(rows.contribution[kept], tokens[kept])} over the kept ones.",
        height=3.9,
    )
    low, high = style.log_limits(tokens)
    axes.grid(visible=False)
    if as_cells:
        axes.hexbin(
            tokens, rows.contribution, gridsize=(55, 22), xscale="log", bins="log", mincnt=1,
            cmap=style.greys(), linewidths=0.1, extent=(*np.log10((low, high)), 0, 1),
        )  # fmt: skip
    else:
        axes.scatter(tokens, rows.contribution, s=12, color=style.POOL, alpha=0.5, lw=0)
    size = float(np.clip(40 / np.sqrt(len(marked)), 2.6, 5))  # few marks can be larger
    axes.plot(
        tokens[marked], rows.contribution[marked], "s", color=style.KEPT, ms=size, mew=0,
        alpha=0.65,
    )  # fmt: skip
    _median_lines(axes, tokens, rows)
    style.log_axis(axes.xaxis, low, high, _tokens)  # after hexbin, which sets a scale of its own
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlabel("length in tokens (log scale)")
    axes.set_ylabel("contribution (higher teaches more)")
    return figure


def _correlation(first: Array, second: Array) -> str:
    value = numbers.spearman(first, second)
    return "not defined" if value is None else f"{value:+.2f}".replace("-", "−")


def _median_lines(axes: Axes, tokens: Array, rows: CleanRows) -> None:
    deciles, kept = numbers.length_deciles(tokens), rows.is_kept
    at = numbers.medians(tokens, deciles, numbers.NUM_DECILES)
    pool = numbers.medians(rows.contribution, deciles, numbers.NUM_DECILES)
    after = numbers.medians(rows.contribution[kept], deciles[kept], numbers.NUM_DECILES)
    for values, color, line, mark, name in (
        (pool, style.INK, "--", "o", "median of all clean rows"),
        (after, style.KEPT, "-", "s", "median of the kept rows"),
    ):
        there = np.isfinite(values)
        axes.plot(at[there], values[there], color=style.PANEL, lw=4, zorder=4)
        axes.plot(
            at[there], values[there], color=color, ls=line, marker=mark, lw=1.8, ms=5,
            mec=style.PANEL, label=name, zorder=4,
        )  # fmt: skip
    style.key(axes)


def _ratio_curve(scored: Dataset, rows: CleanRows, seed: int) -> Figure:
    order = numbers.pick_order(rows.rank)
    drawn = np.random.default_rng(seed).permutation(len(rows.place))
    ours = numbers.prefix_lengths(rows.cost, order, RATIOS * rows.cost.sum())
    spent = np.cumsum(rows.cost[order])[ours - 1]
    by_chance = numbers.prefix_lengths(rows.cost, drawn, spent)
    curves = (numbers.curve(rows, order, ours), numbers.curve(rows, drawn, by_chance))
    panels = _panels(*curves)
    if "rbic_embedding" in scored.column_names:
        found = _coverage(scored, rows, [(order, ours), (drawn, by_chance)], seed)
        panels.insert(2, ("coverage (mean cosine)", found[0], found[1], False))
    selected = float(rows.cost[rows.is_kept].sum() / (rows.cost.sum() or 1))
    figure, axes = style.new_figure(
        "Every ratio is a prefix of the same order",
        _curve_caption(curves[0], len(panels) == 4),
        columns=2, rows=2, height=2.3, margins=style.GRID_MARGINS,
    )  # fmt: skip
    for place, one in enumerate(axes):
        if place < len(panels):
            _draw_panel(one, *panels[place], selected)
        else:
            one.set_visible(False)
    _mark_selected(axes[0], selected)
    style.key(axes[0], height=1.12)
    return figure


def _panels(ours: Curve, by_chance: Curve) -> list[Panel]:
    return [
        ("share of the rows", ours.rows, by_chance.rows, True),
        ("mean contribution", ours.contribution, by_chance.contribution, False),
        ("domains with a row", ours.domains, by_chance.domains, True),
    ]


def _coverage(
    scored: Dataset, rows: CleanRows, orders: list[tuple[Places, Places]], seed: int
) -> list[Array]:
    """Return the coverage of the prefixes of each order, in one pass over the vectors."""
    n = len(rows.place)
    sample = rows.place[numbers.sampled(n, MOST_SAMPLED, seed=seed)]
    vectors = numbers.vectors_at(scored, sample)
    steps = [numbers.entry_steps(order, num_rows, n) for order, num_rows in orders]
    blocks = numbers.vector_blocks(scored, rows.place)
    known = vectors[np.isfinite(vectors).all(axis=1)]
    return numbers.coverages(blocks, known, steps, len(RATIOS))


def _curve_caption(ours: Curve, has_coverage: bool) -> str:
    text = (
        "Solid: the first rows by rbic_rank; dashed: random clean rows that cost as much. "
        "Dotted: what the refined dataset spends. "
    )
    if has_coverage:
        text += "Coverage: cosine of a pool question to the nearest kept one, the mean over "
        text += f"at most {MOST_SAMPLED:,} pool rows. "
    if ours.rows[-1] < 1:
        text += (
            "Of each group of near-duplicate questions only some rows have a rank, so the order "
            f"ends at {ours.num_rows[-1]:,} of {round(ours.num_rows[-1] / ours.rows[-1]):,} rows."
        )
    return text.strip()


def _draw_panel(
    axes: Axes, name: str, ours: Array, by_chance: Array, is_share: bool, selected: float
) -> None:
    axes.plot(RATIOS, by_chance, color=style.RANDOM, ls="--", lw=1.6, label="random, equal cost")
    axes.plot(RATIOS, ours, color=style.KEPT, lw=2.0, label="rbic, in pick order")
    axes.axvline(selected, color=style.INK, lw=1.1, ls=":")
    style.log_axis(axes.xaxis, RATIOS[0], 1.0, lambda value: f"{100 * value:.4g} %")
    both = np.concatenate([ours, by_chance])
    room = max(float(np.ptp(both)) * 0.08, 0.01)
    axes.set_ylim(float(both.min()) - room, float(both.max()) + room)
    if is_share:
        axes.set_ylim(bottom=max(float(both.min()) - room, 0))
        style.percent_axis(axes.yaxis)
    axes.set_xlabel("ratio: share of the training cost (log scale)")
    axes.set_title(name, loc="left")


def _mark_selected(axes: Axes, selected: float) -> None:
    """Name the dotted line, on its side that has more room."""
    left = selected > 0.1
    axes.annotate(
        f"refined: {selected:.1%}".replace("%", " %"), (selected, 0.93),
        (-5 if left else 5, 0), xycoords=("data", "axes fraction"), textcoords="offset points",
        size=8.5, ha="right" if left else "left", va="center",
        bbox={"facecolor": style.PANEL, "edgecolor": "none", "pad": 1},
    )  # fmt: skip
