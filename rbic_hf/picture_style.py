"""How the pictures look, and how they are saved: palette, fonts, safe text, same bytes each time.

An opaque, slightly off-white panel with dark text reads on light and on dark pages. Colours are
Okabe and Ito's, and never alone: shapes and line styles say the same. In the SVG text stays text,
so that it can be searched, read aloud and edited for a paper; the PNG has the glyphs as drawn.
"""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rbic_hf.errors import RbicError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = npt.NDArray[np.float64]

INSTALL = "pictures need matplotlib: pip install 'rbic-hf[pictures]'"

PANEL, INK, SOFT, RULE = "#FBFAF7", "#222222", "#5F5F5F", "#E3E0D8"
POOL, KEPT, RANDOM, OTHER = "#8C8C8C", "#0072B2", "#D55E00", "#BDBDBD"
POOL_FILL = "#D9D7D2"
# Okabe and Ito without black, which marks kept rows, and without yellow, which a light page eats;
# each colour comes back with another shape
HUES = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
SHAPES = ("o", "s", "^", "D", "v", "P", "X", "<", "p", ">")

DPI = 150
WIDTH = 8.0  # inches
CAPTION_WIDTH = 118  # characters at the caption's size
LINE, RIGHT = 0.17, 0.35  # inches: a caption line, right of the axes
# inches above, left of and below the axes, where there are axis labels and a key; and for a map
PLOT_MARGINS, GRID_MARGINS, MAP_MARGINS = (0.78, 0.75, 0.72), (1.02, 0.75, 0.72), (0.5, 0.2, 0.25)
LABEL_LENGTH = 34
MOST_TICKS = 7
# what a label pays per covered point, per own height away from its place, per whole overlap
COVERED, FAR, OVER = 0.12, 1.0, 1e4

CHINESE_FONTS = (  # how their names begin: the rest says the region
    "Noto Sans CJK", "Noto Sans SC", "Source Han Sans", "WenQuanYi", "PingFang", "Hiragino Sans GB",
    "Microsoft YaHei", "SimHei", "Droid Sans Fallback", "Arial Unicode",
)  # fmt: skip
LATIN_FONT = "DejaVu Sans"  # comes with matplotlib: the same metrics on every machine


def require_matplotlib() -> None:
    """Say how to install matplotlib where it is missing.

    Raises:
        RbicError: it is not installed; the message has the command.
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise RbicError(INSTALL) from error


@contextmanager
def own_settings() -> Iterator[None]:
    """Draw with matplotlib's defaults and ours, whatever the user's are; theirs come back after.

    Without this a notebook's dark style or `text.usetex` would change the pictures.
    """
    import matplotlib

    own: Any = {
        "font.family": [LATIN_FONT, "sans-serif"], "font.sans-serif": [LATIN_FONT],
        "font.size": 9.5, "axes.titlesize": 9.5, "axes.labelsize": 9.5, "xtick.labelsize": 8.5,
        "ytick.labelsize": 8.5, "legend.fontsize": 9, "figure.facecolor": PANEL,
        "axes.facecolor": PANEL, "savefig.facecolor": PANEL, "text.color": INK,
        "axes.labelcolor": INK, "axes.edgecolor": SOFT, "xtick.color": SOFT, "ytick.color": SOFT,
        "xtick.labelcolor": INK, "ytick.labelcolor": INK, "axes.spines.top": False,
        "axes.spines.right": False, "axes.grid": True, "axes.axisbelow": True,
        "grid.color": RULE, "grid.linewidth": 0.7, "axes.linewidth": 0.8, "text.parse_math": False,
        "svg.fonttype": "none", "svg.hashsalt": "rbic_hf",
    }  # fmt: skip
    plain: Any = {
        k: v for k, v in matplotlib.rcParamsDefault.items() if not k.startswith("backend")
    }
    with matplotlib.rc_context({**plain, **own}):
        yield


def new_figure(
    title: str,
    caption: str,
    *,
    columns: int = 1,
    rows: int = 1,
    height: float = 3.1,
    margins: tuple[float, float, float] = PLOT_MARGINS,
) -> tuple[Figure, list[Axes]]:
    """Return a figure with a headline above, a caption below, and its axes row by row.

    `height` is that of one row of axes, in inches; margins are in inches too, so that text of any
    length has its place and nothing depends on the canvas.
    """
    from matplotlib.figure import Figure

    lines = textwrap.wrap(caption, CAPTION_WIDTH)
    above, side, below = margins
    gap, below = 0.85, below + LINE * len(lines)
    total = above + rows * height + (rows - 1) * gap + below
    figure = Figure(figsize=(WIDTH, total))
    figure.text(0.2 / WIDTH, 1 - 0.28 / total, title, weight="bold", size=11, va="center")
    figure.text(
        0.2 / WIDTH, (0.1 + LINE * len(lines)) / total, "\n".join(lines),
        color=SOFT, size=8.5, va="top", linespacing=1.25,
    )  # fmt: skip
    right = min(side, RIGHT)
    width = (WIDTH - side - right - (columns - 1) * gap) / columns
    figure.subplots_adjust(
        left=side / WIDTH, right=1 - right / WIDTH, top=1 - above / total, bottom=below / total,
        wspace=gap / width, hspace=gap / height,
    )  # fmt: skip
    return figure, list(figure.subplots(rows, columns, squeeze=False).flat)


def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write a figure as PNG and SVG and return both paths; the same figure gives the same bytes."""
    paths = [folder / f"{name}.png", folder / f"{name}.svg"]
    figure.savefig(paths[0], dpi=DPI, metadata={"Software": None})
    figure.savefig(paths[1], metadata={"Date": None, "Creator": "rbic_hf"})
    return paths


def key(axes: Axes, *, height: float = 1.0) -> None:
    """Name what is drawn in one line above the axes, where it can cover nothing."""
    axes.legend(
        loc="lower left", bbox_to_anchor=(-0.01, height), ncols=6, frameon=False,
        borderaxespad=0.1, handletextpad=0.5, columnspacing=1.4, borderpad=0.2,
    )  # fmt: skip


def greys() -> Any:
    """Return a colour map from light to middle grey, over which marks can still be seen."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("greys", [POOL_FILL, "#868686"])


def percent_axis(axis: Any) -> None:
    """Write the shares of an axis in percent; where an axis has room above 100 %, nothing."""
    from matplotlib.ticker import FuncFormatter

    def shown(value: float, _: object) -> str:
        return f"{100 * value:.10g} %" if value < 1 + 1e-9 else ""

    axis.set_major_formatter(FuncFormatter(shown))


def log_axis(axis: Any, low: float, high: float, shown: Callable[[float], str]) -> None:
    """Make an axis logarithmic from low to high, with round ticks written by `shown`."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    # matplotlib hands the scale to the axes' own methods only
    getattr(axis.axes, f"set_{axis.axis_name}scale")("log")
    axis.set_major_locator(FixedLocator(log_ticks(low, high)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: shown(value)))
    getattr(axis.axes, f"set_{axis.axis_name}lim")(low, high)


def log_limits(values: Array) -> tuple[float, float]:
    """Return limits > 0 of a log axis around the values, with a little room."""
    known = np.maximum(values[np.isfinite(values)], 1)
    if len(known) == 0:
        return 1.0, 10.0
    return float(known.min()) / 1.12, float(known.max()) * 1.12


def log_ticks(low: float, high: float) -> list[float]:
    """Return at most eight round numbers between low and high, the most that fit."""
    decades = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    for digits in (
        (1, 1.5, 2, 3, 4, 5, 6, 8),
        (1, 2, 3, 4, 6),
        (1, 2, 3, 5),
        (1, 2, 5),
        (1, 3),
        (1,),
    ):
        ticks = [float(f"{d}e{p}") for p in decades for d in digits]
        inside = [tick for tick in ticks if low <= tick <= high]
        if len(inside) <= MOST_TICKS:
            return inside or [float(f"{(low * high) ** 0.5:.2g}")]
    return inside[:: len(inside) // MOST_TICKS + 1]


def safe_label(text: str | None, number: int) -> str:
    """Return a dataset's label as short, harmless text; "domain 7" where no font can draw it."""
    plain = "".join(" " if c.isspace() else c for c in text or "")
    plain = "".join(c for c in plain if unicodedata.category(c)[0] != "C")
    line = " ".join(plain.split())
    if not line or not all(_can_draw(c) for c in line):
        return f"domain {number}"
    return line if len(line) <= LABEL_LENGTH else line[: LABEL_LENGTH - 1].rstrip() + "…"


@cache
def label_fonts() -> tuple[str, ...]:
    """Return the fonts that labels are drawn with: ours, and a Chinese one of this machine.

    Labels are not bold: few Chinese fonts are, and matplotlib would complain of each.
    """
    from matplotlib import font_manager

    there = sorted({entry.name for entry in font_manager.fontManager.ttflist})
    chinese = [name for start in CHINESE_FONTS for name in there if name.startswith(start)]
    return (LATIN_FONT, *chinese[:1])


@cache
def _can_draw(character: str) -> bool:
    from matplotlib import font_manager

    paths = [font_manager.findfont(name, fallback_to_default=False) for name in label_fonts()]
    return any(font_manager.get_font(p).get_char_index(ord(character)) for p in paths)


def part_of(part: int, whole: int) -> str:
    """Return "3,000 of 7,473", or "All 7,473"."""
    return f"All {whole:,}" if part == whole else f"{part:,} of {whole:,}"


def place_boxes(
    centres: Array, sizes: Array, points: Array, weights: Array, low: Array, high: Array
) -> Array:
    """Return where boxes of these sizes (n, 2) go: near their centres (n, 2), overlapping no other
    box while there is room, covering few of the points (m, 2), between low and high.

    One after the other, each at the best of a grid of places around its centre.
    """
    across, up = np.meshgrid(np.linspace(-1, 1, 9), np.linspace(-4, 4, 17))
    grid = np.stack([across.ravel(), up.ravel()], axis=1)
    placed = np.zeros((0, 2))
    for centre, size in zip(centres, sizes, strict=True):
        half = size / 2
        there = np.clip(centre + grid * size, low + half, np.maximum(high - half, low + half))
        inside = (np.abs(there[:, None] - points[None]) <= half).all(axis=2)
        away = np.linalg.norm(there - centre, axis=1) / size[1]
        room = (sizes[: len(placed)] + size) / 2
        shared = np.maximum(room - np.abs(there[:, None] - placed[None]), 0).prod(axis=2)
        score = inside @ weights * COVERED + away * FAR + shared.sum(axis=1) / size.prod() * OVER
        placed = np.vstack([placed, there[score.argmin()]])
    return placed
