"""What the command line prints."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mekiki.errors import printable
from mekiki.records import RunSummary

if TYPE_CHECKING:
    from rich.table import Table

N_FAILURES_SHOWN = 10
WIDTH_OF_FILES = 1000
"""Columns where stdout is no terminal: nothing is cut off in a file or a pipe."""


def print_json(content: Any) -> None:
    """Print one object on one line, escaped where stdout's encoding cannot show it."""
    text = json.dumps(content, ensure_ascii=False)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(content)
    print(text)


def summary_lines(summary: RunSummary, workspace: Path, *, is_verbose: bool) -> list[str]:
    """Return the lines that say what a stage did."""
    if "dry_run" in summary.extra:
        plans = [note for note in summary.notes if note.startswith("would ")] or summary.notes[:1]
        told = [f"  {note}" for note in summary.notes if note not in plans]
        first = f"{summary.stage} (dry run): {'; '.join(plans)}, {summary.n_skipped} done before"
        return [printable(line) for line in (first, *told)]
    lines = [
        f"{summary.stage}: {summary.n_written} written, {summary.n_skipped} done before, {summary.n_failed} failed"
        f"; {summary.n_rows} rows in {summary.seconds:.1f} s"
    ]
    lines += [f"  {note}" for note in summary.notes]
    lines += [f"  {name}: {workspace / path}" for name, path in summary.outputs.items()]
    shown = summary.failures if is_verbose else summary.failures[:N_FAILURES_SHOWN]
    lines += [f"  failed: {failure.path}: {failure.reason}" for failure in shown]
    if len(shown) < len(summary.failures):
        lines.append(f"  and {len(summary.failures) - len(shown)} more: add -v to list them all")
    return [printable(line) for line in lines]


def print_status(counts: Mapping[str, Any], workspace: Path, *, is_verbose: bool) -> None:
    """Print a workspace's counts as tables."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else WIDTH_OF_FILES
    console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True, width=width)
    console.print(f"workspace {workspace}")
    n_items = ", ".join(f"{n} {kind}s" for kind, n in counts["items"].items()) or "nothing yet"
    console.print(f"items: {n_items}, from {counts['sources']} files")
    for title, rows in (("groups", counts["groups"]), ("labels", counts["labels"])):
        if rows:
            console.print(_table(title, ("name", "n"), list(rows.items())))
    for name, parts in counts["splits"].items():
        console.print(_table(f"split {name!r}", ("part", "n"), list(parts.items())))
    for model in counts["models"]:
        console.print(f"model {model['name']}: {model['path']}")
    shown = counts["runs"] if is_verbose else counts["runs"][-5:]
    if shown:
        rows = [(run["run_id"], run["stage"], run["status"], run["started_at"][:19]) for run in shown]
        console.print(_table("runs", ("run", "stage", "status", "started (UTC)"), rows))
    if counts["failures"]:
        console.print(f"{counts['failures']} failed items: mekiki status -v lists them")


def _table(title: str, columns: tuple[str, ...], rows: list[tuple[Any, ...]]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title), title_justify="left", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column == "n" else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row))
    return table
