"""A recipe is a YAML list of steps; every key is checked before the first step runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from mekiki.api.verbs import run_stage, settings_class
from mekiki.engine.run import Engine, Progress
from mekiki.errors import DataError, UsageError, unknown_name
from mekiki.records import RunSummary
from mekiki.settings import parse_settings


@dataclass(frozen=True, slots=True)
class Step:
    """One step: a stage with its settings, under a name that is unique in the recipe."""

    step_id: str
    stage: str
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RecipeOptions:
    """What a user changes about a recipe when running it.

    Attributes:
        paths: Inputs of the first ingest step, instead of the recipe's.
        changes: ``STEP.SETTING`` to value.
        skip: Steps to leave out.
        start: The first step to run; those before it are left out.
        allow_code: Let steps run Python files that they name as ``python:FILE:CLASS``.
    """

    paths: Sequence[Path | str] = ()
    changes: Mapping[str, Any] = field(default_factory=dict)
    skip: Sequence[str] = ()
    start: str | None = None
    allow_code: bool = False


def shipped_recipes() -> list[str]:
    """Return the names of the recipes that come with mekiki."""
    folder = files("mekiki").joinpath("recipes")
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def read_recipe(recipe: str | Path) -> list[Step]:
    """Return the steps of a shipped recipe or of a file.

    Raises:
        UsageError: If there is none, it is no YAML, or a stage or key in it is unknown (with the nearest).
    """
    path = Path(recipe)
    if path.suffix in (".yaml", ".yml") or path.is_file():
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise UsageError(f"cannot read recipe {path}: {error.strerror}. Shipped: mekiki list recipes") from error
        except UnicodeDecodeError as error:
            raise UsageError(f"cannot read recipe {path}: it is not UTF-8 text") from error
    elif str(recipe) in shipped_recipes():
        text = files("mekiki").joinpath("recipes", f"{recipe}.yaml").read_text(encoding="utf-8")
    else:
        raise UsageError(f"{unknown_name('recipe', str(recipe), shipped_recipes())} A file's name ends in .yaml.")
    return parse_recipe(text, str(recipe))


def parse_recipe(text: str, name: str) -> list[Step]:
    """Return the steps of a recipe's text; see `read_recipe`."""
    try:
        content = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: a date such as 2025-13-01
        raise UsageError(f"recipe {name} is no YAML: {' '.join(str(error).split())}") from error
    for key in content if isinstance(content, dict) else ():
        if key not in ("steps", "description"):
            raise UsageError(f"recipe {name}: {unknown_name('key', str(key), ('steps', 'description'))}")
    if not isinstance(content, dict) or not isinstance(content.get("steps"), list) or not content["steps"]:
        raise UsageError(f"recipe {name} needs a list called 'steps', each with 'stage: NAME' and its settings")
    steps: list[Step] = []
    for number, entry in enumerate(content["steps"], start=1):
        if not isinstance(entry, dict) or "stage" not in entry:
            raise UsageError(f"recipe {name}, step {number} has no 'stage': write stage: NAME")
        values = {key: value for key, value in entry.items() if key not in ("stage", "id")}
        step = Step(str(entry.get("id", entry["stage"])), str(entry["stage"]), values)
        if step.step_id in [other.step_id for other in steps]:
            raise UsageError(f"recipe {name}: two steps are called {step.step_id!r}; give one of them an id: NAME")
        parse_settings(settings_class(step.stage), values, f"recipe {name}, step {step.step_id}")
        steps.append(step)
    return steps


def parse_change(word: str) -> tuple[str, Any]:
    """Return the setting and the value of ``STEP.SETTING=VALUE``; the value is YAML, as in a recipe.

    Raises:
        UsageError: If there is no ``=``.

    Example:
        >>> parse_change("split.shares={train: 0.8, test: 0.2}")
        ('split.shares', {'train': 0.8, 'test': 0.2})
    """
    name, equals, text = word.partition("=")
    if not equals:
        raise UsageError(f"--set takes STEP.SETTING=VALUE, got {word!r}")
    try:
        return name, yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        return name, text


def plan_recipe(steps: Sequence[Step], options: RecipeOptions) -> list[Step]:
    """Return the steps that are left, with the user's changes.

    Raises:
        UsageError: If a change, skip or start names a step or setting that does not exist, if no step is left, or if
            paths are given and no ingest step is left to take them.
    """
    names = [step.step_id for step in steps]
    for name in (*options.skip, *([options.start] if options.start else [])):
        if name not in names:
            raise unknown_name("step", name, names)
    values = {step.step_id: dict(step.values) for step in steps}
    for target, value in options.changes.items():
        name, dot, setting = target.partition(".")
        if not dot:
            raise UsageError(f"--set takes STEP.SETTING=VALUE, got {target!r}")
        if name not in values:
            raise unknown_name("step", name, names)
        values[name][setting] = value
    first = names.index(options.start) if options.start else 0
    left = [step for step in steps[first:] if step.step_id not in options.skip]
    if not left:
        raise UsageError(f"no step is left to run: the recipe has {', '.join(names)}")
    if options.paths:
        taker = next((step.step_id for step in left if step.stage == "ingest"), None)
        if taker is None:
            raise UsageError(f"no ingest step is left to take {str(options.paths[0])!r}: leave the paths out")
        values[taker]["paths"] = [str(path) for path in options.paths]
    planned = [_allow_code(Step(step.step_id, step.stage, values[step.step_id]), options) for step in left]
    for step in planned:
        parse_settings(settings_class(step.stage), step.values, step.step_id)
    return planned


def _allow_code(step: Step, options: RecipeOptions) -> Step:
    """Return the step as it may run: a recipe can come from anywhere, so it cannot allow itself to run code."""
    if "allow_code" in step.values:
        raise UsageError(f"{step.step_id}: a recipe cannot allow itself to run code: mekiki run … --allow-code does")
    codes = [value for value in step.values.values() if isinstance(value, str) and value.startswith("python:")]
    if codes and not options.allow_code:
        raise UsageError(f"{step.step_id}: {codes[0]} would run that file: read it, then mekiki run … --allow-code")
    if options.allow_code and "allow_code" in settings_class(step.stage).model_fields:
        return Step(step.step_id, step.stage, {**step.values, "allow_code": True})
    return step


def _check_lists(paths: Any) -> None:
    """Raise `UsageError` if a list file that a recipe takes is not here; the user has never typed its name."""
    for path in paths if isinstance(paths, list | tuple) else [paths]:
        if isinstance(path, str) and path.endswith(".txt") and not Path(path).expanduser().exists():
            raise UsageError(
                f"the recipe takes the photos and clips that {path!r} lists, and it is not here: give PATHS behind the "
                "recipe's name, or write the list; mekiki list --copy FOLDER puts an example there"
            )


def iter_recipe(
    recipe: str | Path,
    workspace: Path | str,
    options: RecipeOptions | None = None,
    *,
    progress: Progress | None = None,
    dry_run: bool = False,
    engine: Engine | None = None,
) -> Iterator[RunSummary]:
    """Run a recipe and yield each step's summary as it finishes; see `run_recipe`."""
    is_waiting = False  # in a dry run: for what a step above would have written
    planned = plan_recipe(read_recipe(recipe), options or RecipeOptions())
    for step in planned:
        _check_lists(step.values.get("paths"))
    for step in planned:
        try:
            summary = run_stage(step.stage, workspace, step.values, progress=progress, dry_run=dry_run, engine=engine)
        except (DataError, UsageError):
            if not is_waiting:
                raise
            summary = RunSummary(
                step.stage, "", extra={"dry_run": True}, notes=["not known before the steps above have run"]
            )
        yield summary
        if "refusal" in summary.extra:
            return
        is_waiting = is_waiting or _would_write(summary)


def _would_write(summary: RunSummary) -> bool:
    """Return whether this is of a dry run that found something to do; stages over the whole set do not count it."""
    return "dry_run" in summary.extra and summary.extra.get("n_todo") != 0


def run_recipe(
    recipe: str | Path,
    workspace: Path | str,
    options: RecipeOptions | None = None,
    *,
    engine: Engine | None = None,
) -> list[RunSummary]:
    """Run a recipe on a workspace and return what each step did, as far as the first that says no.

    Args:
        recipe: A file, or the name of a recipe that comes with mekiki.
        workspace: The folder; made if it does not exist.
        options: Inputs, changed settings, and steps to leave out.
        engine: Where the work runs; this process by default.

    Raises:
        UsageError: If anything in the recipe or the options is wrong; nothing has run then.
        MekikiError: What a step raises; the steps before it have been done and are kept.
    """
    return list(iter_recipe(recipe, workspace, options, engine=engine))
