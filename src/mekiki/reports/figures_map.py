"""A map as a still figure: dots in the colours of their classes, or from common to rare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from mekiki.reports.blocks import Column, Figure, Table
from mekiki.reports.canvas import MUTED, SERIES, SMALL_PX, WIDTH_PX, Canvas, figure_labels
from mekiki.reports.figures import number_rows
from mekiki.reports.map_points import NO_CLASS, DrawnMap, names_by_count, scaled
from mekiki.reports.values import format_count, format_counted

MAX_COLORS = 7
REST_COLOR = SERIES[7]
MAP_PX = 360.0
RAMP = ("#c5ccd0", "#d6b98a", "#e3a04f", "#e07b2e", "#cc4a24", "#98163b")
"""From common to rare."""

Group = tuple[str, str, NDArray[np.bool_]]
"""A name, a colour, and which points it has."""


def class_figure(drawn: DrawnMap, caption: str) -> Figure:
    """Return the map coloured by class: the `MAX_COLORS` most frequent, and all others in grey under them.

    Raises:
        ValueError: If the map has no point.
    """
    names = np.array(drawn.names_of("class"), dtype=object)
    counts = names_by_count(list(names), NO_CLASS)
    colored = [name for name in counts if name != NO_CLASS][:MAX_COLORS]
    groups: list[Group] = [(name, SERIES[k], names == name) for k, name in enumerate(colored)]
    rest = ~np.isin(names, colored)
    n_others = len(counts) - len(colored)
    label = (NO_CLASS if NO_CLASS in counts else next(iter(set(counts) - set(colored)))) if n_others == 1 else "others"
    painted = [(label, REST_COLOR, rest), *groups] if rest.any() else groups
    legend = [(name, color) for name, color, _ in [*groups, *painted[: len(painted) - len(groups)]]]
    canvas = _draw(drawn, painted, legend)
    rows = tuple((name, n) for name, n in counts.items())
    table = Table((Column("class"), Column("points", "count")), rows, caption=caption)
    most = next(iter(counts))
    alt = (
        f"A map of {format_counted(len(drawn.points), 'point')} of {format_counted(len(counts), 'class', 'classes')}. "
        f"Most are {most}: {format_count(counts[most])}."
    )
    return Figure(canvas.finish(), alt, caption, number_rows(table, list(counts), figure_labels(list(counts))))


def rarity_figure(drawn: DrawnMap, caption: str) -> Figure | None:
    """Return the map coloured from common to rare, the rarest on top; None where no point has a rarity."""
    scores = np.array([np.nan if one.rarity is None else one.rarity for one in drawn.points])
    known = np.isfinite(scores)
    if not known.any():
        return None
    steps = np.clip(np.where(known, scores, 0) * len(RAMP), 0, len(RAMP) - 1).astype(int)
    groups: list[Group] = [("not scored", REST_COLOR, ~known)] if (~known).any() else []
    edges = [f"{k / len(RAMP):.2f} to {(k + 1) / len(RAMP):.2f}" for k in range(len(RAMP))]
    groups += [(edges[k], color, known & (steps == k)) for k, color in enumerate(RAMP)]
    legend = [("common", RAMP[0]), ("rare", RAMP[-1]), *([("not scored", REST_COLOR)] if (~known).any() else [])]
    canvas = _draw(drawn, groups, legend)
    rows = tuple((name, int(which.sum())) for name, _, which in groups)
    table = Table((Column("joint rarity"), Column("points", "count")), rows, caption=caption)
    alt = f"The same map from common to rare: {format_count(int(known.sum()))} points have a score."
    return Figure(canvas.finish(), alt, caption, table)


def scatter_groups(drawn: DrawnMap) -> Mapping[str, Sequence[tuple[float, float]]]:
    """Return class to its points, the most frequent first, as `mekiki.reports.figure_files.scatter_file` takes them."""
    names = np.array(drawn.names_of("class"), dtype=object)
    counts = names_by_count(list(names), NO_CLASS)
    return {name: [(float(x), float(y)) for x, y in drawn.plane[names == name]] for name in counts}


def _draw(drawn: DrawnMap, groups: Sequence[Group], legend: Sequence[tuple[str, str]]) -> Canvas:
    """Draw groups in their order, each place on the sheet once per group."""
    labels = figure_labels([name for name, _ in legend])
    n_rows = -(-len(legend) // 2)
    top = MAP_PX + 22
    canvas = Canvas(top + 20.0 * n_rows, labels)
    for number, (label, (_, color)) in enumerate(zip(labels, legend, strict=True)):
        x, y = (number % 2) * WIDTH_PX / 2, top + 10 + 20 * (number // 2)
        canvas.dot(x + 6, y, 9, color)
        canvas.text(x + 16, y, canvas.fit(label, WIDTH_PX / 2 - 24, SMALL_PX), color=MUTED, size_px=SMALL_PX)
    places = scaled(drawn.plane, round(MAP_PX * 2)) / 2  # half pixels
    size_px = 2.2 if len(places) > 2000 else 3.4 if len(places) > 300 else 5.0
    left = (WIDTH_PX - MAP_PX) / 2
    for _, color, which in groups:
        distinct = np.unique(places[which], axis=0)
        canvas.dots([(left + float(x), 8 + float(y)) for x, y in distinct], size_px, color)
    return canvas
