"""A sheet to draw figures on: matplotlib without its global state, measured in pixels, in the page's colours.

Figures are drawn 400 px wide, so that their letters keep a readable size on a phone of 360 px; a page puts two side
by side where it is wide enough. ``x`` runs to the right and ``y`` downwards from the top left corner, in pixels.
"""

from __future__ import annotations

import io
import threading
from bisect import bisect_right
from collections.abc import Sequence
from typing import Literal

import matplotlib
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure as Sheet
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.patches import Ellipse, PathPatch, Rectangle
from matplotlib.path import Path
from matplotlib.text import Text
from matplotlib.textpath import text_to_path

from mekiki.reports.blocks import Drawing
from mekiki.reports.fonts import figure_families, undrawable
from mekiki.reports.svg import clean_svg
from mekiki.reports.text import one_line

Align = Literal["left", "center", "right"]

WIDTH_PX = 400
LETTER_PX = 12.5
SMALL_PX = 10.5
DASHES = (3.0, 2.0)
INK = "#010203"
MUTED = "#010204"
LINE = "#010205"
PAPER = "#010206"

# Okabe and Ito's colours, which people with any colour vision can tell apart, ordered so that neighbours differ in
# lightness too; the page has a lighter set for its dark mode.
SERIES = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8c6bb1", "#777777")

_CSS_COLORS = {
    INK: "currentColor",
    MUTED: "var(--muted,#5d6468)",
    LINE: "var(--line,#d9dcde)",
    PAPER: "var(--paper,#ffffff)",
    **{color: f"var(--series-{n},{color})" for n, color in enumerate(SERIES, start=1)},
}

# Reading matplotlib's settings cannot be avoided while it writes a file, so one figure is written at a time.
WRITING = threading.Lock()
_SETTINGS = {"svg.fonttype": "path", "svg.hashsalt": "mekiki", "text.usetex": False, "path.simplify": True}


class Canvas:
    """An empty sheet; the same calls give the same bytes. ``texts`` are all texts that may be drawn on it."""

    def __init__(self, height_px: float, texts: Sequence[str], width_px: float = WIDTH_PX) -> None:
        self.width_px = width_px
        self.height_px = height_px
        self._families = figure_families("".join(texts) + "…")
        self._sheet = Sheet(figsize=(width_px / 72, height_px / 72), dpi=72)
        self._sheet.patch.set_visible(False)
        FigureCanvasSVG(self._sheet)

    def text_width_px(self, text: str, size_px: float = LETTER_PX) -> float:
        """Return how wide a text is when drawn."""
        font = self._font(size_px)
        width: float = text_to_path.get_text_width_height_descent(text, font, ismath=False)[0]
        return width

    def fit(self, text: str, max_width_px: float, size_px: float = LETTER_PX) -> str:
        """Return the text, or as much of its beginning as fits with an ellipsis."""
        if self.text_width_px(text, size_px) <= max_width_px:
            return text
        lengths = range(len(text))
        n = bisect_right(lengths, max_width_px, key=lambda n: self.text_width_px(text[:n] + "…", size_px)) - 1
        return text[: max(n, 0)].rstrip() + "…"

    def text(
        self, x: float, y: float, text: str, align: Align = "left", color: str = INK, size_px: float = LETTER_PX
    ) -> None:
        """Write a text whose middle line is at ``y``; ``align`` says which end of it is at ``x``."""
        self._sheet.add_artist(
            Text(
                x / self.width_px,
                1 - y / self.height_px,
                text,
                color=color,
                horizontalalignment=align,
                verticalalignment="center_baseline",
                fontproperties=self._font(size_px),
                parse_math=False,
                transform=self._sheet.transFigure,
            )
        )

    def box(self, x: float, y: float, width: float, height: float, color: str) -> None:
        """Fill a rectangle; nothing is drawn where it has no area."""
        if width <= 0 or height <= 0:
            return
        left, bottom = x / self.width_px, 1 - (y + height) / self.height_px
        self._sheet.add_artist(
            Rectangle(
                (left, bottom),
                width / self.width_px,
                height / self.height_px,
                facecolor=color,
                edgecolor="none",
                linewidth=0,
                transform=self._sheet.transFigure,
            )
        )

    def line(
        self,
        xs: Sequence[float],
        ys: Sequence[float],
        color: str = LINE,
        width_px: float = 1.0,
        is_dashed: bool = False,
    ) -> None:
        """Draw a line through points."""
        self._sheet.add_artist(
            Line2D(
                [x / self.width_px for x in xs],
                [1 - y / self.height_px for y in ys],
                color=color,
                linewidth=width_px,
                linestyle=(0, DASHES) if is_dashed else "-",
                marker="None",
                solid_capstyle="butt",
                solid_joinstyle="round",
                dash_capstyle="butt",
                dash_joinstyle="round",
                transform=self._sheet.transFigure,
            )
        )

    def dot(self, x: float, y: float, size_px: float, color: str) -> None:
        """Fill a circle around a point; ``size_px`` is its diameter."""
        self._sheet.add_artist(
            Ellipse(
                (x / self.width_px, 1 - y / self.height_px),
                size_px / self.width_px,
                size_px / self.height_px,
                facecolor=color,
                edgecolor="none",
                linewidth=0,
                zorder=3,  # over lines
                transform=self._sheet.transFigure,
            )
        )

    def dots(self, places: Sequence[tuple[float, float]], size_px: float, color: str) -> None:
        """Fill a circle around each of many points; in the file they are one path."""
        if not places:
            return
        # Lines of next to no length, with round ends; one of none at all would be left out.
        corners = [((x + dx) / self.width_px, 1 - y / self.height_px) for x, y in places for dx in (0, 0.1)]
        path = Path(corners, [Path.MOVETO, Path.LINETO] * len(places))
        path.should_simplify = False
        self._sheet.add_artist(
            PathPatch(
                path,
                facecolor="none",
                edgecolor=color,
                linewidth=size_px,
                capstyle="round",
                joinstyle="round",
                transform=self._sheet.transFigure,
            )
        )

    def finish(self) -> Drawing:
        """Return what was drawn."""
        stream = io.StringIO()
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        with WRITING, matplotlib.rc_context(_SETTINGS):
            self._sheet.savefig(stream, format="svg", dpi=72, facecolor="none", edgecolor="none", metadata=nothing)
        return clean_svg(stream.getvalue(), _CSS_COLORS)

    def _font(self, size_px: float) -> FontProperties:
        # Everything is said, because what is left out comes from the user's own settings.
        return FontProperties(
            family=self._families, style="normal", variant="normal", weight=400, stretch="normal", size=size_px
        )


def figure_labels(names: Sequence[str]) -> list[str]:
    """Return the names as a figure can show them: one with a character that no font here has becomes its number.

    ``#3`` stands for the third name; the table beside the figure numbers its rows when this happens.
    """
    lines = [one_line(name) for name in names]
    missing = undrawable("".join(lines))
    return [f"#{n}" if missing & set(line) else line for n, line in enumerate(lines, start=1)]
