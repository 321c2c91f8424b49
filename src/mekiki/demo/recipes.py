"""The shipped recipes, as they are run on the demo world: with its paths, its truth and its short clips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from mekiki.api.recipes import Step, read_recipe
from mekiki.demo.world import World

FRAMES = {"sampling": "every-n-frames", "every_n_frames": 4}
"""The world's clips last two to three seconds at 8 frames a second."""

HEADER = """# The recipe {name!r} for the demo world: what `mekiki demo` runs.
# Change it and run it again: mekiki run {path} -w {workspace}
"""


def write_demo_recipe(name: str, world: World, path: Path, workspace: Path) -> Path:
    """Write the recipe of that name for a world, where a user can read and change it.

    Labels of single frames can only be understood when the frames have been taken, so a step ``labels`` follows
    ``frames``.

    Args:
        name: A shipped recipe.
        world: The photos, clips and truth.
        path: The file to write.
        workspace: Where it is going to run; for the comment in the file.
    """
    steps = adapt_steps(read_recipe(name), world)
    listed = [{"stage": step.stage, "id": step.step_id, **step.values} for step in steps]
    text = yaml.safe_dump({"steps": listed}, allow_unicode=True, sort_keys=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(HEADER.format(name=name, path=path, workspace=workspace) + text, encoding="utf-8")
    return path


def adapt_steps(steps: Sequence[Step], world: World) -> list[Step]:
    """Return the steps with the world's inputs."""
    adapted = []
    for step in steps:
        adapted.append(Step(step.step_id, step.stage, {**step.values, **_changes(step, world)}))
        if step.stage == "frames":
            adapted.append(Step("labels", "ingest", {"labels": [str(world.frames_path)]}))
    return adapted


def _changes(step: Step, world: World) -> Mapping[str, Any]:
    if step.stage == "ingest":
        return {"paths": [str(world.folder)], "labels": [str(world.truth_path)]}
    return FRAMES if step.stage == "frames" else {}
