"""Figures of lines: learning curves, precision against recall, intervals. Each comes with its numbers as a table."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mekiki.records import Estimate
from mekiki.reports.blocks import Column, Figure, Table
from mekiki.reports.canvas import LINE, MUTED, SERIES, SMALL_PX, WIDTH_PX, Canvas, figure_labels
from mekiki.reports.figures import ROW_PX, number_rows
from mekiki.reports.panels import Box, Curve, Panel, Tick, draw_panel, round_steps
from mekiki.reports.values import MISSING, ValueKind, format_number, format_value

PANEL_GAP_PX = 14.0
TRAIN, VAL = SERIES[1], SERIES[0]

# Columns of history.csv with the heading that the table of a figure gives them.
HISTORY = {
    "train_loss": "train loss",
    "val_loss": "val loss",
    "train_micro_f1": "train micro F1",
    "train_macro_f1": "train macro F1",
    "val_micro_f1": "val micro F1",
    "val_macro_f1": "val macro F1",
    "val_pr_auc": "val PR-AUC",
    "lr": "learning rate",
}


@dataclass(frozen=True, slots=True)
class PrecisionRecall:
    """One class: its curve, the point at which its threshold decides, and what guessing would reach.

    ``recall`` and ``precision`` belong together, point by point; ``point`` is recall and precision at the threshold;
    ``positive_share`` is the share of pictures that show the class, which is the precision of guessing.
    """

    name: str
    recall: Sequence[float]
    precision: Sequence[float]
    average_precision: Estimate | None = None
    threshold: float | None = None
    point: tuple[float, float] | None = None
    positive_share: float | None = None


def learning_figure(epochs: Sequence[Mapping[str, float]], best_epoch: int | None, caption: str) -> Figure:
    """Return loss, F1, learning rate and, where it was measured, PR-AUC per epoch, the best epoch marked.

    Args:
        epochs: One row per epoch: ``epoch`` and columns of `HISTORY`; one that is missing or NaN leaves a gap.
        best_epoch: Whose weights were kept; None marks none.
        caption: What the figure shows.

    Raises:
        ValueError: If there is no epoch.
    """
    if not epochs:
        raise ValueError("a learning curve needs at least one epoch")
    numbers = [row["epoch"] for row in epochs]

    def curve(column: str, color: str) -> Curve:
        return Curve(numbers, [row.get(column, math.nan) for row in epochs], color, is_dashed="macro" in column)

    ticks = _epoch_ticks(numbers, best_epoch)
    mark = None if best_epoch is None else float(best_epoch)
    loss = Panel("loss", [curve("train_loss", TRAIN), curve("val_loss", VAL)], ticks, mark=mark)
    scores = [curve(name, TRAIN if name.startswith("train") else VAL) for name in HISTORY if name.endswith("_f1")]
    rate = Panel("learning rate", [curve("lr", MUTED)], ticks, mark=mark, n_y_steps=1)
    has_area = any("val_pr_auc" in row for row in epochs)
    height = 320 if has_area else 270
    canvas = Canvas(height, ["0123456789.,+- eabcdefghijklmnopqrstuvwxyzF:PR-AUC"])
    wide = (WIDTH_PX - PANEL_GAP_PX) / 2
    _legend(canvas, (("train", TRAIN, False), ("val", VAL, False), ("F1: micro", MUTED, False), ("macro", MUTED, True)))
    draw_panel(canvas, loss, Box(0, 24, wide, 160))
    draw_panel(canvas, Panel("F1", scores, ticks, y_range=(0, 1), mark=mark), Box(wide + PANEL_GAP_PX, 24, wide, 160))
    draw_panel(canvas, rate, Box(0, 190, wide if has_area else WIDTH_PX, height - 190))
    if has_area:
        area = Panel("PR-AUC", [curve("val_pr_auc", VAL)], ticks, mark=mark)
        draw_panel(canvas, area, Box(wide + PANEL_GAP_PX, 190, wide, height - 190))
    known = [name for name in HISTORY if name != "val_pr_auc" or has_area]
    rows = tuple((int(row["epoch"]), *(row.get(name) for name in known)) for row in epochs)
    columns = (Column("epoch", "count"), *(Column(HISTORY[name], "number") for name in known))
    table = Table(columns, rows, caption, n_open=len(rows))
    return Figure(canvas.finish(), _learning_alt(epochs, best_epoch), caption, table)


def recall_figure(classes: Sequence[PrecisionRecall], caption: str) -> Figure:
    """Return one small panel per class, two side by side: precision upwards, recall to the right.

    A dot is where the threshold decides; a dashed line is the precision of guessing.

    Raises:
        ValueError: If there is no class.
    """
    if not classes:
        raise ValueError("a figure needs at least one class")
    labels = figure_labels([one.name for one in classes])
    wide, tall = (WIDTH_PX - PANEL_GAP_PX) / 2, 172.0
    canvas = Canvas(tall * ((len(classes) + 1) // 2), [*labels, "0123456789.,AP<>", MISSING])
    for n, (label, one) in enumerate(zip(labels, classes, strict=True)):
        curves = [Curve(one.recall, one.precision, VAL)]
        if one.positive_share is not None:
            curves.insert(0, Curve((0, 1), (one.positive_share, one.positive_share), MUTED, is_dashed=True))
        panel = Panel(
            label,
            curves,
            ((0, "0"), (1, "1"), (0.5, "0.5")),
            x_range=(0, 1),
            y_range=(0, 1),
            n_y_steps=2,
            points=() if one.point is None or math.isnan(sum(one.point)) else (one.point,),
            note="" if one.average_precision is None else f"AP {format_value(one.average_precision.value, 'share')}",
        )
        draw_panel(canvas, panel, Box((wide + PANEL_GAP_PX) * (n % 2), tall * (n // 2), wide, tall - 8))
    columns = (
        Column("class"),
        Column("AP", "share"),
        Column("threshold", "number"),
        Column("recall", "share"),
        Column("precision", "share"),
    )
    rows = tuple((one.name, one.average_precision, one.threshold, *(one.point or (None, None))) for one in classes)
    table = number_rows(Table(columns, rows, caption), [one.name for one in classes], labels)
    return Figure(canvas.finish(), _recall_alt(classes), caption, table)


def interval_figure(
    estimates: Mapping[str, Estimate], caption: str, what: str, kind: ValueKind = "share", marked: str = ""
) -> Figure:
    """Return one row per name: a dot at its value, on the line of its interval.

    Args:
        estimates: Name to estimate, in the order given; what was not measured has an empty row.
        caption: What the figure shows.
        what: What is estimated.
        kind: ``share``, or ``difference``, where 0 is a stronger line.
        marked: The name whose row stands out; without it, all rows do.

    Raises:
        ValueError: If there is nothing to draw.
    """
    if not estimates:
        raise ValueError("a figure needs at least one name")
    labels = figure_labels(list(estimates))
    ends = [end for one in estimates.values() for end in (one.low, one.value, one.high) if math.isfinite(end)]
    steps = round_steps(min(ends, default=0.0), max(ends, default=1.0), 4)
    if kind == "difference":
        steps = round_steps(min(*steps, 0.0), max(*steps, 0.0), 4)
    bottom = ROW_PX * len(labels)
    canvas = Canvas(bottom + 26, [*labels, "0123456789.,-e"])
    label_px = min(max(map(canvas.text_width_px, labels)), 0.45 * WIDTH_PX)
    left, right = label_px + 20, WIDTH_PX - 16

    def x_of(value: float) -> float:
        return left + (right - left) * (value - steps[0]) / (steps[-1] - steps[0])

    for step in steps:
        canvas.line([x_of(step)] * 2, [2, bottom], color=MUTED if kind == "difference" and step == 0 else LINE)
        canvas.text(x_of(step), bottom + 14, format_number(step), align="center", color=MUTED, size_px=SMALL_PX)
    for n, (name, label, one) in enumerate(zip(estimates, labels, estimates.values(), strict=True)):
        middle = ROW_PX * (n + 0.5)
        color = SERIES[0] if marked in ("", name) else MUTED
        canvas.text(label_px, middle, canvas.fit(label, label_px), align="right")
        if math.isfinite(one.low + one.high):
            canvas.line([x_of(one.low), x_of(one.high)], [middle, middle], color=color, width_px=2.5)
        if math.isfinite(one.value):
            canvas.dot(x_of(one.value), middle, 9, color)
    told = "; ".join(f"{name} {format_value(one, kind)}" for name, one in estimates.items())
    table = Table((Column(""), Column(what, kind)), tuple(estimates.items()), caption)
    return Figure(
        canvas.finish(), f"{what} with its interval: {told}.", caption, number_rows(table, list(estimates), labels)
    )


def _legend(canvas: Canvas, entries: Sequence[tuple[str, str, bool]]) -> None:
    x = 0.0
    for text, color, is_dashed in entries:
        canvas.line([x, x + 18], [9, 9], color=color, width_px=2, is_dashed=is_dashed)
        canvas.text(x + 24, 9, text)
        x += 24 + canvas.text_width_px(text) + 18


def _epoch_ticks(numbers: Sequence[float], best_epoch: int | None) -> list[Tick]:
    """Return the labels under the epochs: the best one first, since of two that would overlap the first stays."""
    best = [] if best_epoch is None else [(float(best_epoch), f"best {best_epoch}")]
    return [*best, *((number, f"{number:.0f}") for number in (numbers[-1], numbers[0]))]


def _learning_alt(epochs: Sequence[Mapping[str, float]], best_epoch: int | None) -> str:
    first, last = epochs[0], epochs[-1]
    told = [
        f"{HISTORY[name]} from {format_number(first[name])} to {format_number(last[name])}"
        for name in ("train_loss", "val_loss", "val_micro_f1", "val_macro_f1", "val_pr_auc")
        if name in first and name in last
    ]
    best = f" The best epoch is {best_epoch}." if best_epoch is not None else ""
    return f"Curves over {len(epochs)} epochs: {', '.join(told)}.{best}"


def _recall_alt(classes: Sequence[PrecisionRecall]) -> str:
    told = (
        f"{one.name} {format_value(one.average_precision and one.average_precision.value, 'share')}" for one in classes
    )
    return f"Precision against recall for {len(classes)} classes. Average precision: {'; '.join(told)}."
