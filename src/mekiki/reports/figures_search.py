"""Figures of a search for settings: how it went, trial by trial, and which settings went with which outcome."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mekiki.reports.blocks import Column, Figure, Table
from mekiki.reports.canvas import INK, LINE, MUTED, SERIES, SMALL_PX, WIDTH_PX, Canvas, figure_labels
from mekiki.reports.figures_lines import HISTORY
from mekiki.reports.panels import Box, Curve, Panel, draw_panel
from mekiki.reports.text import shorten
from mekiki.reports.values import MISSING, Value, format_number

MAX_AXES = 8
MAX_NAME = 22
LOG_SPAN = 10.0
"""A setting whose highest value is this many times its lowest stands on a logarithmic axis."""

GOOD_SHARE = 0.25
"""Of trials that stand out among parallel coordinates."""

HEIGHT_PX = 210.0
BEST, GOOD = SERIES[5], SERIES[0]


@dataclass(frozen=True, slots=True)
class Trial:
    """One trial: its number from 0, how it ended (``complete``, ``pruned``, ``failed``), what it reached, its settings.

    What is shown counts from 1.
    """

    number: int
    state: str
    value: float | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = math.nan

    @property
    def place(self) -> int:
        """Its number as people count."""
        return self.number + 1


@dataclass(frozen=True, slots=True)
class Search:
    """A search as the page tells it: what was sought, whether more of it is better, and its trials.

    Raises:
        ValueError: If there is no trial.
    """

    objective: str
    is_maximised: bool
    trials: tuple[Trial, ...]

    def __post_init__(self) -> None:
        if not self.trials:
            raise ValueError("a search needs at least one trial")

    @property
    def sought(self) -> str:
        """The objective as a page calls it."""
        return HISTORY.get(self.objective, self.objective.replace("_", " "))

    @property
    def complete(self) -> list[Trial]:
        """Trials that ended with a finite value, the best first, of equal ones the earliest."""
        ended = [one for one in self.trials if one.state == "complete" and _is_number(one.value)]
        sign = -1 if self.is_maximised else 1
        return sorted(ended, key=lambda one: (sign * float(one.value or 0.0), one.number))


def history_figure(search: Search, caption: str) -> Figure:
    """Return what each trial reached, in their order, and the best so far as a line; pruned ones are grey."""
    ended = sorted(search.complete, key=lambda one: one.number)
    pruned = [one for one in search.trials if one.state == "pruned" and _is_number(one.value)]
    best: list[float] = []
    choose = max if search.is_maximised else min
    for one in ended:
        best.append(choose([float(one.value or 0.0), *best[-1:]]))
    dots = [_dots(pruned, MUTED), _dots(ended, GOOD)]
    first, last = min(one.place for one in search.trials), max(one.place for one in search.trials)
    # It stays as it is until a trial ends better, and where none does, to the end.
    steps = [
        (one.place, value) for one, *both in zip(ended, [*best[:1], *best[:-1]], best, strict=True) for value in both
    ]
    steps += [(last, value) for value in best[-1:]]
    name = search.sought
    canvas = Canvas(HEIGHT_PX, [name, "0123456789.,-e trial"])
    panel = Panel(
        name,
        [*dots, Curve([x for x, _ in steps], [y for _, y in steps], BEST)],
        ((first, f"trial {first}"), (last, f"{last}")),
    )
    draw_panel(canvas, panel, Box(0, 0, WIDTH_PX, HEIGHT_PX))
    top = search.complete[0] if ended else None
    told = "none ended" if top is None else f"trial {top.place} reached {format_number(float(top.value or 0.0))}"
    alt = f"What {len(search.trials)} trials reached, {len(pruned)} of them stopped early. The best: {told}."
    return Figure(canvas.finish(), alt, caption, _trial_table(search, caption))


def parallel_figure(search: Search, caption: str) -> Figure | None:
    """Return one vertical axis per setting that varied, what was reached last, and one line per trial that ended.

    The best trial's line stands out, then the best quarter. None where fewer than two trials ended, or nothing varied.
    At most `MAX_AXES` settings are drawn, those first named.
    """
    ended = search.complete
    names = [
        name
        for name in dict.fromkeys(name for one in ended for name in one.parameters)
        if len({_key(one.parameters.get(name)) for one in ended}) > 1
    ][:MAX_AXES]
    if len(ended) < 2 or not names:
        return None
    values = [float(one.value or 0.0) for one in ended]
    axes = [_Axis(name, [one.parameters.get(name) for one in ended]) for name in names]
    axes.append(_Axis(search.sought, values))
    labels = figure_labels([shorten(axis.name.replace("_", " "), MAX_NAME) for axis in axes])
    tick_texts = [text for axis in axes for _, text in axis.ticks]
    canvas = Canvas(HEIGHT_PX + 30, [*labels, *tick_texts])
    top, bottom, step = 50.0, HEIGHT_PX, (WIDTH_PX - 80) / (len(axes) - 1)
    xs = [40 + step * number for number in range(len(axes))]
    n_good = max(1, math.ceil(GOOD_SHARE * len(ended)))
    for rank in reversed(range(len(ended))):
        places = [bottom - (bottom - top) * axis.places[rank] for axis in axes]
        color = BEST if rank == 0 else GOOD if rank < n_good else LINE
        canvas.line(xs, places, color, 2.2 if rank == 0 else 1.2)
    for number, (x, axis, label) in enumerate(zip(xs, axes, labels, strict=True)):
        canvas.line([x, x], [top, bottom], MUTED)
        y = 8.0 if number % 2 else 23.0
        text = canvas.fit(label, 2 * step - 8, SMALL_PX)
        half = canvas.text_width_px(text, SMALL_PX) / 2
        canvas.text(min(max(x, half), WIDTH_PX - half), y, text, "center", INK, SMALL_PX)
        for place, tick in axis.ticks:
            shown = canvas.fit(tick, step + 10, SMALL_PX)
            half = canvas.text_width_px(shown, SMALL_PX) / 2
            height = bottom + 12 if place == 0 else bottom - (bottom - top) * place - 6
            canvas.text(min(max(x, half), WIDTH_PX - half), height, shown, "center", MUTED, SMALL_PX)
    best = ", ".join(f"{name} {_told(ended[0].parameters.get(name))}" for name in names)
    alt = f"Settings of {len(ended)} trials, one line each. The best, trial {ended[0].place}: {best}."
    return Figure(canvas.finish(), alt, caption)


class _Axis:
    """A setting's values as places from 0 to 1, and the labels at some of them.

    Numbers lie where they are, on a logarithmic scale if they span much; other values are spread evenly.
    """

    def __init__(self, name: str, values: Sequence[Any]) -> None:
        self.name = name
        known = [float(value) for value in values if _is_number(value)]
        if len(known) == len(values):
            low, high = min(known), max(known)
            is_log = low > 0 and high / low >= LOG_SPAN
            ends = (math.log(low), math.log(high)) if is_log else (low, high)
            spread = ends[1] - ends[0]
            scaled = [math.log(value) if is_log else value for value in known]
            self.places = [(value - ends[0]) / spread if spread > 0 else 0.5 for value in scaled]
            self.ticks = [(0.0, format_number(low)), (1.0, format_number(high))]
            return
        different = sorted({_key(value): value for value in values}.items())
        place_of = {key: number / max(len(different) - 1, 1) for number, (key, _) in enumerate(different)}
        self.places = [place_of[_key(value)] for value in values]
        self.ticks = [(place_of[key], _told(value)) for key, value in different]


def _dots(trials: Sequence[Trial], color: str) -> Curve:
    """Return a curve of single points: each stands between two gaps."""
    xs = [x for one in trials for x in (float(one.place), math.nan)]
    ys = [y for one in trials for y in (float(one.value or 0.0), math.nan)]
    return Curve(xs, ys, color)


def _trial_table(search: Search, caption: str) -> Table:
    names = list(dict.fromkeys(name for one in search.trials for name in one.parameters))
    columns = (
        Column("trial", "count"),
        Column("ended"),
        Column(search.sought, "number"),
        *(Column(name.replace("_", " ")) for name in names),
        Column("seconds", "number"),
    )
    ranked = search.complete
    others = sorted((one for one in search.trials if one not in ranked), key=lambda one: one.number)
    rows: tuple[tuple[Value, ...], ...] = tuple(
        (
            one.place,
            one.state,
            one.value,
            *(_told(one.parameters[name]) if name in one.parameters else None for name in names),
            one.seconds,
        )
        for one in (*ranked, *others)
    )
    return Table(columns, rows, f"{caption}, the best first", n_open=20)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _key(value: Any) -> str:
    return f"{type(value).__name__} {value!r}"


def _told(value: Any) -> str:
    if value is None:
        return MISSING
    return format_number(float(value)) if _is_number(value) else str(value)
