"""Figures of counts: bars, stacked bars, hours of the day. Each comes with its numbers as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mekiki.reports.blocks import Column, Figure, Table
from mekiki.reports.canvas import LETTER_PX, LINE, MUTED, SERIES, WIDTH_PX, Canvas, figure_labels
from mekiki.reports.values import Value, format_count

MAX_LABEL_SHARE = 0.36
ROW_PX = 26.0
BAR_PX = 14.0
GAP_PX = 8.0
N_HOURS = 24


def bar_figure(counts: Mapping[str, int], caption: str, what: str = "pictures") -> Figure:
    """Return one horizontal bar per name, in the order given, each with its count.

    Args:
        counts: Name to count, none negative. At least one.
        caption: What the figure shows.
        what: What is counted, in the plural.

    Raises:
        ValueError: If there is nothing to draw or a count is negative.
    """
    return stacked_bars({name: {what: n} for name, n in counts.items()}, [what], caption, what)


def stacked_bars(
    counts: Mapping[str, Mapping[str, int]], series: Sequence[str], caption: str, what: str = "pictures"
) -> Figure:
    """Return one horizontal bar per name, made of one piece per series.

    Args:
        counts: Name to series to count, none negative; a series that is missing counts 0. At least one name.
        series: The series in the order in which they are stacked. More than eight share colours.
        caption: What the figure shows.
        what: What is counted, in the plural.

    Raises:
        ValueError: If there is nothing to draw or a count is negative.
    """
    table = _count_table(counts, series, caption)
    labels, parts = figure_labels(list(counts)), figure_labels(list(series))
    totals = [sum(row.get(part, 0) for part in series) for row in counts.values()]
    legend = _place_legend(parts) if len(series) > 1 else []
    top = legend[-1][1] + 23 if legend else 6.0
    canvas = Canvas(top + ROW_PX * len(labels) + 6, [*labels, *parts, "0123456789,"])
    for k, (x, y, text) in enumerate(legend):
        canvas.box(x, y, 10, 10, SERIES[k % len(SERIES)])
        canvas.text(x + 15, y + 5, text)
    label_px = min(max(map(canvas.text_width_px, labels)), MAX_LABEL_SHARE * WIDTH_PX)
    left = label_px + GAP_PX
    count_px = max(canvas.text_width_px(format_count(total)) for total in totals)
    scale = (WIDTH_PX - left - count_px - GAP_PX - 2) / max(*totals, 1)
    for n, (label, row, total) in enumerate(zip(labels, counts.values(), totals, strict=True)):
        middle = top + ROW_PX * (n + 0.5)
        canvas.text(label_px, middle, canvas.fit(label, label_px), align="right")
        canvas.line([left, left], [middle - ROW_PX / 2, middle + ROW_PX / 2])
        x = left + 0.5
        for k, part in enumerate(series):
            width = row.get(part, 0) * scale
            canvas.box(x, middle - BAR_PX / 2, max(width - 0.75, min(width, 0.75)), BAR_PX, SERIES[k % len(SERIES)])
            x += width
        canvas.text(x + GAP_PX * 0.75, middle, format_count(total), color=MUTED)
    return Figure(canvas.finish(), _bars_alt(counts, series, what), caption, number_rows(table, list(counts), labels))


def activity_figure(by_hour: Mapping[str, Sequence[int]], caption: str, what: str = "pictures") -> Figure:
    """Return, per name, 24 small columns that show how many pictures were taken in each hour of the day.

    Every row is scaled to its own busiest hour, so that rare and common classes can be compared in shape.

    Args:
        by_hour: Name to 24 counts, beginning at midnight. At least one name.
        caption: What the figure shows.
        what: What is counted, in the plural.

    Raises:
        ValueError: If there is nothing to draw, a row has not 24 counts, or a count is negative.
    """
    for name, hours in by_hour.items():
        if len(hours) != N_HOURS:
            raise ValueError(f"by_hour[{name!r}] must have {N_HOURS} counts, got {len(hours)}")
    names_of_hours = [f"{hour:02d}" for hour in range(N_HOURS)]
    counts = {name: dict(zip(names_of_hours, hours, strict=True)) for name, hours in by_hour.items()}
    table = _count_table(counts, names_of_hours, caption)
    labels = figure_labels(list(by_hour))
    row_px, column_px = 40.0, 26.0
    height = row_px * len(labels) + 24
    canvas = Canvas(height, [*labels, "0123456789:,"])
    label_px = min(max(map(canvas.text_width_px, labels)), MAX_LABEL_SHARE * WIDTH_PX)
    left = label_px + GAP_PX * 1.5
    step = (WIDTH_PX - left - 14) / N_HOURS
    for n, (label, hours) in enumerate(zip(labels, by_hour.values(), strict=True)):
        ground = row_px * (n + 1) - 4
        canvas.text(label_px, ground - 20, canvas.fit(label, label_px), align="right")
        canvas.text(label_px, ground - 5, format_count(sum(hours)), align="right", color=MUTED, size_px=10.5)
        busiest = max(*hours, 1)
        for hour, count in enumerate(hours):
            tall = column_px * count / busiest
            canvas.box(left + step * hour + 1, ground - tall, step - 2, tall, SERIES[0])
        canvas.line([left, left + step * N_HOURS], [ground, ground])
    for hour in range(0, N_HOURS + 1, 6):
        x = left + step * hour
        canvas.line([x, x], [height - 28, height - 22], color=LINE)
        canvas.text(x, height - 12, f"{hour}:00" if hour else "0:00", align="center", color=MUTED, size_px=10.5)
    return Figure(canvas.finish(), _hours_alt(by_hour, what), caption, number_rows(table, list(by_hour), labels))


def number_rows(table: Table, names: Sequence[str], labels: Sequence[str]) -> Table:
    """Return the table with its rows numbered where the figure's labels are numbers in place of names."""
    if not any(label == f"#{n}" != name for n, (name, label) in enumerate(zip(names, labels, strict=True), start=1)):
        return table
    rows = tuple((f"#{n}", *row) for n, row in enumerate(table.rows, start=1))
    return Table((Column("in the figure"), *table.columns), rows, table.caption, table.n_open)


def _place_legend(parts: Sequence[str]) -> list[tuple[float, float, str]]:
    """Return where each entry's square begins, row by row, and its text."""
    ruler = Canvas(1, parts)
    places: list[tuple[float, float, str]] = []
    x = y = 0.0
    for part in parts:
        text = ruler.fit(part, WIDTH_PX / 2)
        width = 15 + ruler.text_width_px(text, LETTER_PX)
        if x and x + width > WIDTH_PX:
            x, y = 0.0, y + 20
        places.append((x, y + 7, text))
        x += width + 18
    return places


def _count_table(counts: Mapping[str, Mapping[str, int]], series: Sequence[str], caption: str) -> Table:
    if not counts or not series:
        raise ValueError("a figure needs at least one name and one series")
    for name, row in counts.items():
        for part in series:
            if row.get(part, 0) < 0:
                raise ValueError(f"counts must not be negative, got {row[part]} for {name!r} in {part!r}")
    columns = [Column(""), *(Column(part, "count") for part in series)]
    rows: list[tuple[Value, ...]] = [(name, *(row.get(part, 0) for part in series)) for name, row in counts.items()]
    if len(series) > 1:
        columns.append(Column("all", "count"))
        rows = [(*row, sum(counts[str(row[0])].get(part, 0) for part in series)) for row in rows]
    return Table(tuple(columns), tuple(rows), caption=caption)


def _bars_alt(counts: Mapping[str, Mapping[str, int]], series: Sequence[str], what: str) -> str:
    totals = {name: sum(row.get(part, 0) for part in series) for name, row in counts.items()}
    most, least = max(totals, key=lambda name: totals[name]), min(totals, key=lambda name: totals[name])
    parts = f", divided into {', '.join(series)}" if len(series) > 1 else ""
    return (
        f"Bars for {len(totals)} names{parts}. Most {what}: {most} with {format_count(totals[most])}; "
        f"fewest: {least} with {format_count(totals[least])}."
    )


def _hours_alt(by_hour: Mapping[str, Sequence[int]], what: str) -> str:
    busiest = (f"{name} at {hours.index(max(hours))}:00" for name, hours in by_hour.items())
    return f"Number of {what} in each hour of the day. Busiest hours: {', '.join(busiest)}."
