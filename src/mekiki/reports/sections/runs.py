"""What was run, with which settings and which versions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mekiki.reports.blocks import Block, Code, Column, Details, Fact, Facts, Group, Paragraph, Section, Table
from mekiki.reports.values import Value, format_seconds


@dataclass(frozen=True, slots=True)
class RunFacts:
    """One run as the page tells it. Times are as they should be shown, counts are in input items."""

    stage: str
    run_id: str
    started: str = ""
    seconds: float | None = None
    n_written: int | None = None
    n_failed: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


def runs_section(runs: Sequence[RunFacts], versions: Mapping[str, str]) -> Section:
    """Return the section ``runs``: a table of runs, each one's settings folded, and the versions used.

    Args:
        runs: In the order in which they are shown, usually that of the work.
        versions: Name of a package or tool to its version.
    """
    blocks: list[Block] = []
    if runs:
        columns = (
            Column("stage"),
            Column("started"),
            Column("took", "number"),
            Column("items done", "count"),
            Column("failed", "count"),
            Column("run", "code"),
        )
        rows: tuple[tuple[Value, ...], ...] = tuple(
            (
                run.stage,
                run.started or None,
                None if run.seconds is None else format_seconds(run.seconds),
                run.n_written,
                run.n_failed,
                run.run_id,
            )
            for run in runs
        )
        blocks.append(Table(columns, rows, "Runs", n_open=30))
        blocks.append(Group("Settings", tuple(_settings(run) for run in runs)))
    else:
        blocks.append(Paragraph("Nothing has been run yet."))
    if versions:
        facts = Facts(tuple(Fact(name, version) for name, version in versions.items()))
        blocks.append(Group("Versions", (facts,)))
    lead = "The same settings on the same files give the same results."
    return Section("runs", "How it was made", tuple(blocks), lead)


def _settings(run: RunFacts) -> Details:
    return Details(f"{run.stage} · {run.run_id}", (Code.from_json(dict(run.settings)),))
