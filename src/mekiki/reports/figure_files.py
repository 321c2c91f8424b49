"""Figures as files that papers and slides take, PNG and PDF: the same numbers give the same bytes.

The page has figures of its own; these stand alone, on white, with axes and legends.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Sheet

from mekiki.reports.canvas import SERIES, WRITING, figure_labels
from mekiki.reports.fonts import figure_families
from mekiki.reports.text import shorten

SUFFIXES = ("png", "pdf")
DPI = 150
WIDTH_IN = 6.4
PLOT_IN = 4.4
ROW_IN = 0.24
MAX_NAME, MAX_TITLE = 24, 64
MAX_BARS = 15
_NOTHING: Mapping[str, dict[str, Any]] = {
    "png": {"Software": None},
    "pdf": dict.fromkeys(("CreationDate", "Creator", "Producer")),
}
_LINES = ("-", "--", ":", "-.")
_MARKERS = ("o", "s", "^", "D")
GREY = "#777777"
_SIDES = {"train": SERIES[1], "val": SERIES[0], "": GREY}


@dataclass(frozen=True, slots=True)
class Line:
    """A named line: its points, and what its legend adds to the name. ``is_guide`` is grey and dashed."""

    name: str
    xs: Sequence[float]
    ys: Sequence[float]
    note: str = ""
    is_guide: bool = False


def line_files(title: str, axes_names: tuple[str, str], lines: Sequence[Line]) -> dict[str, bytes]:
    """Return one picture of lines over [0, 1] in both directions, as PNG and as PDF by suffix.

    Args:
        title: Above it.
        axes_names: Of the horizontal and of the vertical axis.
        lines: In the order of the legend; more than eight share colours and differ in their dashes.
    """
    labels = _labels(lines)
    height = PLOT_IN + 0.3 + ROW_IN * len(lines)

    def draw(sheet: Sheet) -> None:
        bottom = 0.25 + ROW_IN * len(lines) + 0.45
        axes = sheet.add_axes((0.11, bottom / height, 0.84, (height - bottom - 0.4) / height))
        drawn = [_draw_line(axes, number, line) for number, line in enumerate(lines)]
        axes.set_xlim(-0.01, 1.01)
        axes.set_ylim(-0.01, 1.01)
        axes.set_xlabel(axes_names[0])
        axes.set_ylabel(axes_names[1])
        axes.set_title(shorten(title, MAX_TITLE))
        sheet.legend(drawn, labels, loc="lower left", bbox_to_anchor=(0.06, 0.01), frameon=False, fontsize=8)

    return _save(draw, (WIDTH_IN, height), [title, *labels])


def histogram_files(title: str, classes: Mapping[str, tuple[Sequence[int], Sequence[int]]]) -> dict[str, bytes]:
    """Return one panel per class: its scores in pictures with it, and without it, each side as shares of itself.

    Args:
        title: Above them.
        classes: Name to counts over equal bins of [0, 1]: of pictures with it, and without it.
    """
    names = _shown(list(classes))
    n_columns = min(2, len(classes))
    n_rows = -(-len(classes) // max(n_columns, 1))
    height = 0.7 + 2.3 * n_rows

    def draw(sheet: Sheet) -> None:
        grid = sheet.subplots(n_rows, n_columns, squeeze=False)
        for axes in grid.ravel()[len(classes) :]:
            axes.set_axis_off()
        for axes, name, (present, absent) in zip(grid.ravel(), names, classes.values(), strict=False):
            for side, counts, color in (("absent", absent, SERIES[0]), ("present", present, SERIES[5])):
                total = sum(counts)
                edges = [number / len(counts) for number in range(len(counts) + 1)]
                shares = [count / total if total else 0.0 for count in counts]
                axes.stairs(shares, edges, fill=True, alpha=0.45, color=color, label=f"{side} ({total:,})")
            axes.set_xlim(0, 1)
            axes.set_ylim(0, 1.3 * axes.get_ylim()[1])  # the legend needs room
            axes.set_title(name)
            axes.set_xlabel("score")
            axes.set_ylabel("share of pictures")
            axes.legend(frameon=False, loc="upper right", ncols=2, fontsize=8, handlelength=1.2, columnspacing=1)
        sheet.suptitle(shorten(title, MAX_TITLE))
        sheet.subplots_adjust(
            left=0.13, right=0.97, bottom=0.5 / height, top=1 - 0.7 / height, hspace=0.75, wspace=0.36
        )

    return _save(draw, (WIDTH_IN if n_columns > 1 else 4.8, height), [title, *names])


def history_files(title: str, epochs: Sequence[Mapping[str, float]]) -> dict[str, bytes]:
    """Return one panel per figure of a training's history, over epochs; of train and of val in the same panel.

    Args:
        title: Above them.
        epochs: Rows of ``history.csv``: ``epoch``, and any of ``train_…``, ``val_…`` and others; ``seconds`` is not
            drawn. At least one.
    """
    panels = _panels(epochs)
    n_rows = -(-len(panels) // 2)
    height = 0.7 + 2.2 * n_rows

    def draw(sheet: Sheet) -> None:
        grid = sheet.subplots(n_rows, 2, squeeze=False)
        for axes in grid.ravel()[len(panels) :]:
            axes.set_axis_off()
        for axes, (panel, sides) in zip(grid.ravel(), panels.items(), strict=False):
            for side, column in sides.items():
                values = [row.get(column, math.nan) for row in epochs]
                marker = "o" if len(values) == 1 else ""
                axes.plot([row["epoch"] for row in epochs], values, color=_SIDES[side], label=side, marker=marker)
            axes.set_title(panel.replace("_", " "))
            axes.set_xlabel("epoch")
            if "" not in sides:
                axes.legend(frameon=False)
        sheet.suptitle(shorten(title, MAX_TITLE))
        sheet.subplots_adjust(
            left=0.13, right=0.97, bottom=0.5 / height, top=1 - 0.7 / height, hspace=0.75, wspace=0.36
        )

    return _save(draw, (WIDTH_IN, height), [title, *panels])


def scatter_file(title: str, groups: Mapping[str, Sequence[tuple[float, float]]]) -> bytes:
    """Return one picture of points in the colours of their groups, as PNG, without axes: distances have no unit.

    Args:
        title: Above it.
        groups: Name to points, painted in this order; more than eight share colours and differ in their shape.
    """
    n_points = sum(map(len, groups.values()))
    size_pt = 1.4 if n_points > 5000 else 2.2 if n_points > 1000 else 4.0
    labels = [f"{name} ({len(groups[key]):,})" for name, key in zip(_shown(list(groups)), groups, strict=True)]
    n_rows = -(-len(labels) // 3)
    height = WIDTH_IN + 0.4 + ROW_IN * n_rows

    def draw(sheet: Sheet) -> None:
        bottom = 0.15 + ROW_IN * n_rows
        axes = sheet.add_axes((0.02, bottom / height, 0.96, (WIDTH_IN - 0.1) / height))
        axes.set_axis_off()
        axes.set_aspect("equal", adjustable="datalim")
        axes.set_title(shorten(title, MAX_TITLE))
        drawn = []
        for number, points in enumerate(groups.values()):
            xs, ys = [x for x, _ in points], [y for _, y in points]
            marker = _MARKERS[number // len(SERIES) % len(_MARKERS)]
            drawn.append(
                axes.scatter(xs, ys, s=size_pt**2, c=SERIES[number % len(SERIES)], marker=marker, linewidths=0)
            )
        sheet.legend(
            drawn,
            labels,
            loc="lower center",
            ncols=3,
            frameon=False,
            fontsize=8,
            markerscale=5.0 / size_pt,
            borderaxespad=0.2,
        )

    return _save(draw, (WIDTH_IN, height), [title, *labels], ("png",))["png"]


def bars_png(title: str, bars: Mapping[str, float], axis_name: str) -> bytes:
    """Return horizontal bars as PNG, the first at the top; with many, the first `MAX_BARS` and how many are left out.

    Args:
        title: Above them.
        bars: Name to length, at least one; the longest stand out.
        axis_name: What is shown.
    """
    shown = dict(list(bars.items())[:MAX_BARS])
    names, title = _shown(list(shown)), title.replace("\n", " ")
    more = f", the first {MAX_BARS} of {len(bars)}" if len(bars) > MAX_BARS else ""
    height = 0.9 + ROW_IN * len(shown)

    def draw(sheet: Sheet) -> None:
        axes = sheet.add_axes((0.34, 0.5 / height, 0.6, ROW_IN * len(shown) / height))
        longest = max(shown.values())
        colors = [SERIES[5] if value == longest else SERIES[0] for value in shown.values()]
        axes.barh(range(len(shown)), list(shown.values()), color=colors)
        axes.set_yticks(range(len(shown)), names)
        axes.invert_yaxis()
        axes.set_xlabel(f"{axis_name}{more}")
        sheet.suptitle(shorten(title, MAX_TITLE), fontsize=10)

    return _save(draw, (WIDTH_IN, height), [title, *names], ("png",))["png"]


def _panels(epochs: Sequence[Mapping[str, float]]) -> dict[str, dict[str, str]]:
    """Return, by panel, which column is whose: ``train``, ``val``, or neither."""
    panels: dict[str, dict[str, str]] = {}
    for name in dict.fromkeys(key for row in epochs for key in row):
        side, _, rest = name.partition("_")
        if name in ("epoch", "seconds") or all(math.isnan(row.get(name, math.nan)) for row in epochs):
            continue
        if side in ("train", "val"):
            panels.setdefault(rest, {})[side] = name
        else:
            panels.setdefault(name, {})[""] = name
    return panels


def _draw_line(axes: Axes, number: int, line: Line) -> Any:
    color = GREY if line.is_guide else SERIES[number % len(SERIES)]
    dashes = "--" if line.is_guide else _LINES[number // len(SERIES) % len(_LINES)]
    return axes.plot(line.xs, line.ys, color=color, linestyle=dashes, linewidth=1.0 if line.is_guide else 1.6)[0]


def _labels(lines: Sequence[Line]) -> list[str]:
    names = _shown([line.name for line in lines])
    return [f"{name}: {line.note}" if line.note else name for name, line in zip(names, lines, strict=True)]


def _shown(names: Sequence[str]) -> list[str]:
    """Return names as a figure can show them; a legend leaves out a text that begins with an underline."""
    return [shorten(f" {name}" if name.startswith("_") else name, MAX_NAME) for name in figure_labels(names)]


def _save(
    draw: Callable[[Sheet], None],
    size_in: tuple[float, float],
    texts: Sequence[str],
    suffixes: Sequence[str] = SUFFIXES,
) -> dict[str, bytes]:
    with _own_settings(figure_families("".join(texts) + "0123456789…")):
        sheet = Sheet(figsize=size_in, dpi=DPI)
        FigureCanvasAgg(sheet)
        draw(sheet)
        saved = {}
        for suffix in suffixes:
            stream = io.BytesIO()
            sheet.savefig(stream, format=suffix, dpi=DPI, metadata=_NOTHING[suffix])
            saved[suffix] = stream.getvalue()
    return saved


@contextmanager
def _own_settings(families: Sequence[str]) -> Iterator[None]:
    """Leave out the user's settings, and read no name as a formula."""
    with WRITING, matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(
            {
                "font.family": list(families),
                "font.size": 9.0,
                "axes.titlesize": 10.0,
                "axes.spines.top": False,
                "axes.spines.right": False,
                "axes.unicode_minus": False,
                "text.parse_math": False,
                "axes.formatter.useoffset": False,
                "pdf.fonttype": 3,
            }
        )
        yield
