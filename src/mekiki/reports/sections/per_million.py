"""False alarms, finds and misses per million pictures, as rows of a table; the share of pictures was stated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mekiki.reports.blocks import Block, Column, Paragraph, Table
from mekiki.reports.measures import estimate_of
from mekiki.reports.values import UNRELIABLE_MARK, UNRELIABLE_NOTE, Value, format_count

COLUMNS = ("model", "class", "stated share", "false alarms", "found", "missed")


def per_million_rows(name: str, classes: Mapping[str, Any]) -> Iterator[tuple[Value, ...]]:
    """Yield one row per class; ``classes`` as ``per_million`` of ``metrics.json`` and ``tuning.json`` has them."""
    for class_name, one in classes.items():
        figures = (_counted(one, key) for key in ("false_alarms", "found", "missed"))
        yield (name, class_name, f"{one['prevalence']:.4g}", *figures)


def per_million_blocks(rows: Sequence[tuple[Value, ...]], where: str) -> list[Block]:
    """Return the table of such rows and how to read it; ``where`` says which pictures the rates were measured on."""
    remark = (
        "What the thresholds mean among a million pictures of which the stated share shows the class: how often there "
        "are false alarms and finds was measured here, the share was given to mekiki tune."
    )
    if any(UNRELIABLE_MARK in str(cell) for row in rows for cell in row[3:]):
        remark += f" {UNRELIABLE_NOTE}."
    return [
        Table(tuple(Column(heading) for heading in COLUMNS), tuple(rows), f"Per million pictures, measured on {where}"),
        Paragraph(remark, is_muted=True),
    ]


def _counted(content: Mapping[str, Any], key: str) -> str | None:
    one = estimate_of(content, key)
    if one is None or one.value != one.value:
        return None
    value, low, high = (format_count(round(number)) for number in (one.value, one.low, one.high))
    return f"{value} ({low} to {high}){'' if one.is_reliable else f' {UNRELIABLE_MARK}'}"
