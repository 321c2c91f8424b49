"""Small line charts inside a figure: a title, a frame of hairlines, curves."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mekiki.reports.canvas import INK, MUTED, SERIES, SMALL_PX, Canvas
from mekiki.reports.values import format_number

TITLE_PX = 20.0
TICKS_PX = 18.0
MIN_AXIS_PX = 24.0
SMALLEST_SPAN, SMALLEST_SPAN_SHARE = 1e-12, 1e-6

POINT_COLOR = SERIES[5]

Range = tuple[float, float]
Tick = tuple[float, str]


@dataclass(frozen=True, slots=True)
class Curve:
    """Points joined in their order; one that is NaN leaves a gap, and one between two gaps is a dot.

    ``xs`` and ``ys`` are as long as each other.
    """

    xs: Sequence[float]
    ys: Sequence[float]
    color: str
    is_dashed: bool = False


@dataclass(frozen=True, slots=True)
class Box:
    """Where a panel lies on its canvas, in pixels; its title and the numbers at its axes are inside."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Panel:
    """What a panel shows.

    ``x_range`` and ``y_range`` are the ends of the axes; None is what the curves need. ``x_ticks`` are places and
    their labels; one that would lie over another is left out, the earlier ones stay. ``mark`` is where a vertical
    line stands, ``points`` are dots, ``note`` stands at the title's other end.
    """

    title: str
    curves: Sequence[Curve]
    x_ticks: Sequence[Tick] = ()
    x_range: Range | None = None
    y_range: Range | None = None
    n_y_steps: int = 3
    mark: float | None = None
    points: Sequence[tuple[float, float]] = ()
    note: str = ""


def draw_panel(canvas: Canvas, panel: Panel, box: Box) -> None:
    """Draw a panel inside a box of its canvas."""
    ys = [y for curve in panel.curves for y in curve.ys if math.isfinite(y)]
    xs = [x for curve in panel.curves for x in curve.xs if math.isfinite(x)]
    low, high = panel.y_range or (min(ys, default=0.0), max(ys, default=1.0))
    steps = round_steps(low, high, panel.n_y_steps)
    first, last = panel.x_range or (min(xs, default=0.0), max(xs, default=1.0))
    axis_px = max(canvas.text_width_px(format_number(step), SMALL_PX) for step in steps) + 6
    left, right = box.x + max(axis_px, MIN_AXIS_PX), box.x + box.width - 5
    top, bottom = box.y + TITLE_PX, box.y + box.height - TICKS_PX

    def x_of(x: float) -> float:
        return left + (right - left) * ((x - first) / (last - first) if last > first else 0.5)

    def y_of(y: float) -> float:
        return bottom - (bottom - top) * (y - steps[0]) / (steps[-1] - steps[0])

    note_px = canvas.text_width_px(panel.note, SMALL_PX) + 8 if panel.note else 0.0
    canvas.text(left, box.y + 9, canvas.fit(panel.title, right - left - note_px))
    if panel.note:
        canvas.text(right, box.y + 9, panel.note, align="right", color=MUTED, size_px=SMALL_PX)
    for step in steps:
        canvas.line([left, right], [y_of(step)] * 2)
        canvas.text(left - 5, y_of(step), format_number(step), align="right", color=MUTED, size_px=SMALL_PX)
    if panel.mark is not None:
        canvas.line([x_of(panel.mark)] * 2, [top, bottom], color=INK)
    for x, label in _apart(canvas, [(x_of(x), label) for x, label in panel.x_ticks]):
        canvas.line([x, x], [bottom, bottom + 3])
        canvas.text(_inside(canvas, x, label, box), bottom + 11, label, align="center", color=MUTED, size_px=SMALL_PX)
    for curve in panel.curves:
        for piece in _pieces(curve):
            if len(piece) == 1:
                canvas.dot(x_of(piece[0][0]), y_of(piece[0][1]), 5, curve.color)
            else:
                places = [(x_of(x), y_of(y)) for x, y in piece]
                canvas.line([x for x, _ in places], [y for _, y in places], curve.color, 1.6, curve.is_dashed)
    for x, y in panel.points:
        canvas.dot(x_of(x), y_of(y), 9, POINT_COLOR)


def round_steps(low: float, high: float, n: int) -> list[float]:
    """Return about ``n + 1`` round numbers, evenly spaced, that enclose both ends; at least two.

    Ends that are equal, or nearly so, are moved apart.

    Example:
        >>> round_steps(0.13, 0.58, 3)
        [0.0, 0.2, 0.4, 0.6]
        >>> round_steps(2.0, 2.0, 3)
        [2.0, 2.5, 3.0]
    """
    if high - low <= max(SMALLEST_SPAN, SMALLEST_SPAN_SHARE * max(abs(low), abs(high))):
        high = low + (abs(low) / 2 if abs(low) > SMALLEST_SPAN else 1.0)
    rough = (high - low) / n
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [float(f"{step * k:.10g}") for k in range(first, max(last, first + 1) + 1)]


def _pieces(curve: Curve) -> Iterator[list[tuple[float, float]]]:
    piece: list[tuple[float, float]] = []
    for x, y in zip(curve.xs, curve.ys, strict=True):
        if math.isfinite(x) and math.isfinite(y):
            piece.append((x, y))
        elif piece:
            yield piece
            piece = []
    if piece:
        yield piece


def _apart(canvas: Canvas, ticks: Sequence[Tick]) -> list[Tick]:
    kept: list[Tick] = []
    for x, label in ticks:
        half = canvas.text_width_px(label, SMALL_PX) / 2 + 4
        if all(abs(x - other) > half + canvas.text_width_px(text, SMALL_PX) / 2 for other, text in kept):
            kept.append((x, label))
    return kept


def _inside(canvas: Canvas, x: float, label: str, box: Box) -> float:
    """Move a label's middle so far that the label stays inside its box."""
    half = canvas.text_width_px(label, SMALL_PX) / 2
    return min(max(x, box.x + half), box.x + box.width - half)
