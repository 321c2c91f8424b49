"""Running one stage from the command line."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mekiki.api.engines import open_engine
from mekiki.api.verbs import run_stage, settings_class
from mekiki.cli.flags import Parser, add_common_flags, add_setting_flags, setting_values
from mekiki.cli.help import VERBS
from mekiki.cli.progress import choose_progress
from mekiki.cli.show import print_json, summary_lines
from mekiki.errors import printable
from mekiki.records import RunSummary
from mekiki.settings import PerItemSettings, Settings

SOME_FAILED, REFUSED = 3, 4


def run_verb(verb: str, words: Sequence[str]) -> int:
    """Run a stage with its flags and return the exit code."""
    settings = settings_class(verb)
    parser = Parser(f"mekiki {verb}", (settings.__doc__ or VERBS[verb]).strip())
    add_setting_flags(parser, settings)
    has_engine = issubclass(settings, PerItemSettings)
    add_common_flags(parser, has_engine=has_engine)
    values = parser.parse(words)
    progress = choose_progress(is_quiet=values.quiet)
    with open_engine(values.engine if has_engine else "local", progress, dry_run=values.dry_run) as engine:
        summary = run_stage(
            verb,
            values.workspace,
            _allowing_code(setting_values(values, settings), settings),
            progress=progress,
            dry_run=values.dry_run,
            engine=engine,
        )
    if values.json:
        print_json(summary.to_json())
    else:
        print_summary(summary, Path(values.workspace), is_verbose=values.verbose)
    return exit_code(summary)


def _allowing_code(values: dict[str, Any], settings: type[Settings]) -> dict[str, Any]:
    """Return the values with leave to run a program that the user names: who types it means it, unlike a recipe."""
    names_code = any(isinstance(value, str) and value.startswith("python:") for value in values.values())
    if names_code and "allow_code" in settings.model_fields:
        return {"allow_code": True, **values}
    return values


def print_summary(summary: RunSummary, workspace: Path, *, is_verbose: bool) -> None:
    """Print what a stage did."""
    for line in summary_lines(summary, workspace, is_verbose=is_verbose):
        print(line)


def exit_code(summary: RunSummary) -> int:
    """Return 4 if a gate said no (after saying why on stderr), 3 if items failed, else 0."""
    if "refusal" in summary.extra:
        print(f"mekiki: {printable(summary.extra['refusal'])}", file=sys.stderr)
        return REFUSED
    return SOME_FAILED if summary.n_failed else 0
