"""Running recipes from the command line, and showing each step as it finishes."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mekiki.api.engines import open_engine
from mekiki.api.recipes import RecipeOptions, iter_recipe, shipped_recipes
from mekiki.cli.progress import choose_progress
from mekiki.cli.show import print_json
from mekiki.cli.verbs import SOME_FAILED, exit_code, print_summary
from mekiki.errors import UsageError, unknown_name
from mekiki.records import RunSummary


@dataclass(frozen=True, slots=True)
class Shown:
    """How much the user wants to see."""

    is_json: bool
    is_quiet: bool
    is_verbose: bool
    is_dry_run: bool


def run_and_show(
    recipe: str, workspace: str | Path, options: RecipeOptions, shown: Shown, engine_name: str = "local"
) -> int:
    """Run a recipe; return the highest exit code of its steps. Steps that are refused or miss something stop it."""
    progress = choose_progress(is_quiet=shown.is_quiet)
    summaries: list[RunSummary] = []
    code = 0
    is_dry_run = shown.is_dry_run
    try:
        with open_engine(engine_name, progress, dry_run=is_dry_run) as engine:
            for summary in iter_recipe(
                recipe, workspace, options, progress=progress, dry_run=is_dry_run, engine=engine
            ):
                summaries.append(summary)
                code = max(code, exit_code(summary))
                if not shown.is_json:
                    print_summary(summary, Path(workspace), is_verbose=shown.is_verbose)
                    sys.stdout.flush()
    finally:
        if shown.is_json and summaries:
            print_json([summary.to_json() for summary in summaries])
    return code


def run_demo(recipe: str, folder: Path, world: Mapping[str, Any], shown: Shown, engine_name: str = "local") -> int:
    """Make the demo world and run a recipe on it. The world's one broken photo is expected, so it is no failure."""
    from mekiki.demo.recipes import demo_settings, make_demo

    if recipe not in shipped_recipes():
        raise unknown_name("recipe", recipe, shipped_recipes())
    settings = demo_settings(recipe, world)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot make a demo in {folder} ({error.strerror}): give a folder with --folder") from error
    if not shown.is_quiet and not shown.is_json:
        print(f"drawing the demo world in {folder / 'world'}", flush=True)
    workspace = folder / "workspace"
    made = make_demo(recipe, folder, settings, workspace, n_workers=os.cpu_count() or 1)
    path = made.recipe
    code = run_and_show(str(path), workspace, RecipeOptions(), shown, engine_name)
    if not shown.is_json:
        print(f"what was run: {path}; {made.n_unreadable} photo of the world is broken on purpose")
        print(f"the report: {(workspace / 'reports' / 'report.html').absolute()}")
    return 0 if code == SOME_FAILED else code
