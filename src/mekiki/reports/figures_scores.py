"""Figures of scores: ROC, how they are spread, whether they are probabilities; each with its numbers as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from mekiki.records import Estimate
from mekiki.reports.blocks import Column, Drawing, Figure, Table
from mekiki.reports.canvas import MUTED, SERIES, WIDTH_PX, Canvas, figure_labels
from mekiki.reports.figures import number_rows
from mekiki.reports.panels import Box, Curve, Panel, Tick, draw_panel
from mekiki.reports.values import MISSING, format_percent, format_value

PANEL_GAP_PX = 14.0
PANEL_PX = 172.0
LEGEND_PX = 24.0
HALVES: Sequence[Tick] = ((0, "0"), (1, "1"), (0.5, "0.5"))
LINE_COLOR, PRESENT, ABSENT = SERIES[0], SERIES[5], SERIES[0]


@dataclass(frozen=True, slots=True)
class ScoresOfClass:
    """One class: its ROC curve, its scores over equal bins of [0, 1] in pictures with and without it, its calibration.

    Rates and recall belong together point by point; so do counts, mean scores and shares of bins, which are None in an
    empty bin.
    """

    name: str
    false_alarm_rate: Sequence[float] = ()
    recall: Sequence[float] = ()
    roc_auc: Estimate | None = None
    present: Sequence[int] = ()
    absent: Sequence[int] = ()
    n_in_bin: Sequence[int] = ()
    mean_score: Sequence[float | None] = ()
    present_share: Sequence[float | None] = ()
    calibration_error: Estimate | None = None


class _Legend(NamedTuple):
    text: str
    color: str


def roc_figure(classes: Sequence[ScoresOfClass], caption: str) -> Figure:
    """Return one small panel per class, two side by side: recall upwards, false alarm rate to the right.

    The dashed line is guessing.

    Raises:
        ValueError: If there is no class.
    """
    panels = [
        Panel(
            "",
            [Curve((0, 1), (0, 1), MUTED, is_dashed=True), Curve(one.false_alarm_rate, one.recall, LINE_COLOR)],
            HALVES,
            (0, 1),
            (0, 1),
            n_y_steps=2,
            note=_note("AUC", one.roc_auc),
        )
        for one in classes
    ]
    drawing, labels = _draw(classes, panels)
    table = Table(
        (Column("class"), Column("ROC-AUC", "share")), tuple((one.name, one.roc_auc) for one in classes), caption
    )
    told = "; ".join(f"{one.name} {_value(one.roc_auc)}" for one in classes)
    alt = f"Recall against the false alarm rate for {len(classes)} classes. Area under each curve: {told}."
    return Figure(drawing, alt, caption, number_rows(table, [one.name for one in classes], labels))


def histogram_figure(classes: Sequence[ScoresOfClass], caption: str) -> Figure:
    """Return one small panel per class: outlines of its scores in pictures with it, and in pictures without it.

    Each side counts as shares of itself, so that a rare class can be seen.

    Raises:
        ValueError: If there is no class.
    """
    panels = [
        Panel(
            "",
            [_outline(one.absent, ABSENT), _outline(one.present, PRESENT)],
            HALVES,
            (0, 1),
            (0, max(0.05, *_shares(one.present), *_shares(one.absent))),
            n_y_steps=2,
        )
        for one in classes
    ]
    legend = (_Legend("pictures with the class", PRESENT), _Legend("without it", ABSENT))
    drawing, labels = _draw(classes, panels, legend)
    rows = tuple(
        (label, f"{low / n:.2f} to {(low + 1) / n:.2f}", with_it, without)
        for label, one in zip(labels, classes, strict=True)
        for n in [len(one.present)]
        for low, (with_it, without) in enumerate(zip(one.present, one.absent, strict=True))
        if with_it or without
    )
    columns = (Column("class"), Column("score"), Column("with it", "count"), Column("without it", "count"))
    table = Table(columns, rows, caption, n_open=40)
    told = "; ".join(
        f"{one.name}: {format_percent(_upper(one.present))} of pictures with it and "
        f"{format_percent(_upper(one.absent))} without it"
        for one in classes
    )
    return Figure(drawing, f"Scores of {len(classes)} classes. At 0.5 or more lie, of {told}.", caption, table)


def reliability_figure(classes: Sequence[ScoresOfClass], caption: str) -> Figure:
    """Return one small panel per class: the share of pictures that show it over the mean score, bin by bin.

    On the dashed line, scores are probabilities; below it they are too high.

    Raises:
        ValueError: If there is no class.
    """
    panels = []
    for one in classes:
        points = [
            (score, share)
            for score, share in zip(one.mean_score, one.present_share, strict=True)
            if score is not None and share is not None
        ]
        curves = [
            Curve((0, 1), (0, 1), MUTED, is_dashed=True),
            Curve([x for x, _ in points], [y for _, y in points], LINE_COLOR),
        ]
        note = _note("error", one.calibration_error)
        panels.append(Panel("", curves, HALVES, (0, 1), (0, 1), n_y_steps=2, note=note))
    drawing, labels = _draw(classes, panels)
    columns = (Column("class"), Column("expected calibration error", "share"))
    table = Table(columns, tuple((one.name, one.calibration_error) for one in classes), caption)
    told = "; ".join(f"{one.name} {_value(one.calibration_error)}" for one in classes)
    alt = f"Share of pictures that show a class over its score, for {len(classes)} classes. Expected error: {told}."
    return Figure(drawing, alt, caption, number_rows(table, [one.name for one in classes], labels))


def _draw(
    classes: Sequence[ScoresOfClass], panels: Sequence[Panel], legend: Sequence[_Legend] = ()
) -> tuple[Drawing, list[str]]:
    """Return the panels, two side by side, each titled with its class, and the titles."""
    if not classes:
        raise ValueError("a figure needs at least one class")
    labels = figure_labels([one.name for one in classes])
    wide, top = (WIDTH_PX - PANEL_GAP_PX) / 2, LEGEND_PX if legend else 0.0
    texts = [*labels, *(one.text for one in legend), *(panel.note for panel in panels), "0123456789.,<>", MISSING]
    canvas = Canvas(top + PANEL_PX * ((len(classes) + 1) // 2), texts)
    x = 0.0
    for one in legend:
        canvas.line([x, x + 18], [9, 9], color=one.color, width_px=2)
        canvas.text(x + 24, 9, one.text)
        x += 24 + canvas.text_width_px(one.text) + 18
    for number, (label, panel) in enumerate(zip(labels, panels, strict=True)):
        place = Box((wide + PANEL_GAP_PX) * (number % 2), top + PANEL_PX * (number // 2), wide, PANEL_PX - 8)
        draw_panel(canvas, replace(panel, title=label), place)
    return canvas.finish(), labels


def _outline(counts: Sequence[int], color: str) -> Curve:
    """Return the upper edge of bars, from the ground and back to it."""
    edges = [number / max(len(counts), 1) for number in range(len(counts) + 1)]
    shares = _shares(counts)
    xs = [x for edge in edges for x in (edge, edge)]
    ys = [0.0, *(y for share in shares for y in (share, share)), 0.0]
    return Curve(xs, ys, color)


def _shares(counts: Sequence[int]) -> list[float]:
    total = sum(counts)
    return [count / total if total else 0.0 for count in counts]


def _upper(counts: Sequence[int]) -> float:
    """Return the share of counts in the upper half of the bins; NaN without any."""
    total = sum(counts)
    return sum(counts[len(counts) // 2 :]) / total if total else float("nan")


def _note(name: str, one: Estimate | None) -> str:
    return "" if one is None else f"{name} {_value(one)}"


def _value(one: Estimate | None) -> str:
    return MISSING if one is None else format_value(one.value, "share")
