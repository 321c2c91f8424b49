"""The same tables for the terminal: what a page shows as HTML, `status` and summaries print."""

from __future__ import annotations

import io

from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from mekiki.reports.blocks import Table
from mekiki.reports.text import one_line
from mekiki.reports.values import NUMBER_KINDS, format_value


def terminal_table(table: Table) -> RichTable:
    """Return a table that rich can print; brackets and control characters in names stay what they are.

    All rows are there, whatever ``n_open`` says. Paths and ids are never cut, they wrap.
    """
    drawn = RichTable(
        title=Text(one_line(table.caption)) if table.caption else None,
        caption=Text(table.footnote) if table.footnote else None,
        box=box.SIMPLE_HEAD,
        title_justify="left",
        caption_justify="left",
        show_edge=False,
        pad_edge=False,
    )
    for column in table.columns:
        heading = f"{one_line(column.name)} {column.unit}".rstrip()
        is_number = column.kind in NUMBER_KINDS
        drawn.add_column(Text(heading), justify="right" if is_number else "left", no_wrap=is_number, overflow="fold")
    for row in table.rows:
        cells = zip(row, table.columns, strict=True)
        drawn.add_row(*(Text(one_line(format_value(value, column.kind))) for value, column in cells))
    return drawn


def table_text(table: Table, width: int = 100) -> str:
    """Return the table as plain text at most ``width`` columns wide, without colours; wide letters count as two."""
    stream = io.StringIO()
    console = Console(file=stream, width=width, color_system=None, force_terminal=False, legacy_windows=False)
    console.print(terminal_table(table))
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines()) + "\n"
