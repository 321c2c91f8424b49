"""The commands that are no stage: run, demo, status, list, doctor, forget."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mekiki.cli.flags import Parser, add_common_flags
from mekiki.cli.show import print_json, print_status


def run_command(words: Sequence[str]) -> int:
    """Run a recipe."""
    parser = Parser("mekiki run", "Run a recipe: a YAML list of steps. Finished steps are not done again.")
    parser.add_argument("recipe", help="a file that ends in .yaml, or a shipped recipe; mekiki list recipes")
    parser.add_argument("paths", nargs="*", metavar="PATHS", help="inputs instead of the recipe's")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="STEP.SETTING=VALUE",
        dest="changes",
        help="change a setting; may be repeated",
    )
    parser.add_argument("--skip", action="append", default=[], metavar="STEP", help="leave a step out; may be repeated")
    parser.add_argument("--from", metavar="STEP", dest="start", help="begin at this step")
    parser.add_argument("--allow-code", action="store_true", help="let steps run files named as python:FILE:CLASS")
    add_common_flags(parser)
    values = parser.parse(words)
    from mekiki.api.recipes import RecipeOptions, parse_change
    from mekiki.cli.running import Shown, run_and_show

    changes = dict(parse_change(word) for word in values.changes)
    options = RecipeOptions(values.paths, changes, values.skip, values.start, values.allow_code)
    shown = Shown(is_json=values.json, is_quiet=values.quiet, is_verbose=values.verbose, is_dry_run=values.dry_run)
    return run_and_show(values.recipe, values.workspace, options, shown, values.engine)


def demo_command(words: Sequence[str]) -> int:
    """Make the demo world and run a recipe on it."""
    parser = Parser("mekiki demo", "Make a small world of photos and clips and run a recipe on it. Needs no network.")
    parser.add_argument("recipe", nargs="?", default="wildlife", help="which recipe (default: wildlife)")
    parser.add_argument("--folder", type=Path, default=Path("mekiki-demo"), help="where (default: ./mekiki-demo)")
    parser.add_argument("--seed", type=int, default=0, help="which world (default: 0)")
    parser.add_argument("--clips", type=int, default=None, metavar="N", help="how many clips the world has")
    parser.add_argument("--stills", type=int, default=None, metavar="N", help="how many photos the world has")
    add_common_flags(parser, has_dry_run=False, has_workspace=False)
    values = parser.parse(words)
    from mekiki.cli.running import Shown, run_demo

    shown = Shown(is_json=values.json, is_quiet=values.quiet, is_verbose=values.verbose, is_dry_run=False)
    sizes = {name: n for name, n in (("n_clips", values.clips), ("n_stills", values.stills)) if n is not None}
    return run_demo(values.recipe, values.folder, {"seed": values.seed, **sizes}, shown, values.engine)


def status_command(words: Sequence[str]) -> int:
    """Count what is in a workspace."""
    parser = Parser("mekiki status", "Count what is in a workspace.")
    add_common_flags(parser, has_dry_run=False, has_engine=False)
    values = parser.parse(words)
    from mekiki.api.workspace import failures, status

    counts = status(values.workspace)
    if values.json:
        print_json(counts)
        return 0
    print_status(counts, Path(values.workspace), is_verbose=values.verbose)
    if values.verbose:
        for failure in failures(values.workspace):
            print(f"  failed in {failure.stage}: {failure.path}: {failure.reason}")
    return 0


def list_command(words: Sequence[str]) -> int:
    """List names that can be used elsewhere."""
    parser = Parser("mekiki list", "List what can be named elsewhere.")
    parser.add_argument(
        "what",
        nargs="?",
        metavar="recipes|formats|stages|annotators|embedders|backbones|runtimes",
        help="what to list; all by default",
    )
    parser.add_argument("--copy", type=Path, metavar="FOLDER", help="copy the shipped recipes and example lists there")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    values = parser.parse(words)
    from mekiki.api.listing import copy_recipes, known_names

    if values.copy is not None:
        for path in copy_recipes(values.copy):
            print(path)
        return 0
    names = known_names(values.what)
    if values.json:
        print_json(names)
        return 0
    for what, rows in names.items():
        print(f"{what}:")
        for name, about in rows.items():
            print(f"  {name:<20} {about}".rstrip())
    return 0


def doctor_command(words: Sequence[str]) -> int:
    """Say what is installed."""
    parser = Parser("mekiki doctor", "Say what is installed, what is missing and how to get it.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    values = parser.parse(words)
    from mekiki.api.doctor import examine

    findings = examine()
    if values.json:
        print_json(findings)
        return 0
    for topic, rows in findings.items():
        print(f"{topic}:")
        for name, about in rows.items():
            print(f"  {name:<24} {about}")
    return 0


def forget_command(words: Sequence[str]) -> int:
    """Delete a run or an item."""
    parser = Parser("mekiki forget", "Delete a run, or an item with all that was made from it. Your files are kept.")
    parser.add_argument("name", metavar="RUN|ITEM", help="the beginning of an id, or the path of an ingested file")
    add_common_flags(parser, has_dry_run=False, has_engine=False)
    values = parser.parse(words)
    from mekiki.api.workspace import forget

    n_rows, n_files = forget(values.workspace, values.name)
    if values.json:
        print_json({"n_rows": n_rows, "n_files": n_files})
    else:
        print(f"forgot {values.name}: {n_rows} rows and {n_files} files of the workspace deleted")
    return 0
