"""What became of every picture and object: each step's counts, which add up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mekiki.records import Tally
from mekiki.reports.blocks import Column, Section, Table


@dataclass(frozen=True, slots=True)
class Counted:
    """One step's counts, and the stage that counted."""

    stage: str
    tally: Tally


def funnel_section(steps: Sequence[Counted]) -> Section:
    """Return the section ``funnel``: one row a step, in the order given; in each, in = kept + dropped + failed."""
    columns = (
        Column("step"),
        Column("in", "count"),
        Column("kept", "count"),
        Column("dropped", "count"),
        Column("failed", "count"),
        Column("of"),
        Column("stage"),
        Column("why dropped"),
    )
    rows = tuple(
        (
            one.tally.step,
            one.tally.n_in,
            one.tally.n_kept,
            one.tally.n_dropped,
            one.tally.n_failed,
            one.tally.unit,
            one.stage,
            one.tally.why if one.tally.n_dropped else "",
        )
        for one in steps
    )
    lead = "Every step counts what came in. In each row, what came in is what was kept, dropped and failed."
    return Section("funnel", "What became of every picture", (Table(columns, rows, n_open=40),), lead)
