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

NETWORKS: dict[str, dict[str, Any]] = {
    "resnet50": {"name": "small-a", "seed": 42, "max_positive_weight": 2},
    "resnet101": {"name": "small-b", "seed": 43, "max_positive_weight": 1},
    "effnet": {"name": "small-c", "seed": 44, "max_positive_weight": 2, "image_size": 80},
}
"""Models of the shipped recipe, and the small ones that the demo trains from scratch in their place."""

TRAINING: dict[str, Any] = {
    **{"arch": "small-cnn", "pretrained": False, "image_size": 96, "epochs": 14},
    **{"lr": 0.004, "schedule": "cosine", "warmup_epochs": 1, "clip_norm": 1},
}
"""For drawn animals on two cores; a minute or so for each network. Seed 1's positive weights cost 0.05 of F1 here."""

HEADER = """# The recipe {name!r} for the demo world: what `mekiki demo` runs.
# Change it and run it again: mekiki run {path} -w {workspace}
"""


def write_demo_recipe(name: str, world: World, path: Path, workspace: Path) -> Path:
    """Write the recipe of that name for a world, where a user can read and change it.

    Its truth of single frames is imported by ``annotate``, when the frames have been taken.

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
    """Return the steps with the world's inputs, its truth as the annotator, and small networks."""
    adapted = []
    for step in steps:
        values = {**step.values, **_changes(step, world)}
        if step.stage == "annotate":
            values.pop("classes_file", None)
        if step.stage == "train":
            values = {**TRAINING, **NETWORKS[str(step.values["name"])]}
        adapted.append(Step(_renamed(step.step_id), step.stage, values))
    return adapted


def _changes(step: Step, world: World) -> Mapping[str, Any]:
    """Return the settings that another world needs: where files are, who labels, what models are called."""
    if step.stage == "ingest":
        return {"paths": [str(world.folder)], "labels": [str(world.truth_path)]}
    if step.stage == "frames":
        return FRAMES
    if step.stage == "annotate":
        return {"annotator": "import", "labels": [str(world.frames_path)]}
    changes: dict[str, Any] = {
        name: _renamed(step.values[name]) for name in ("model", "name") if name in step.values and step.stage != "split"
    }
    if "models" in step.values:
        changes["models"] = [_renamed(name) for name in step.values["models"]]
    return changes


def _renamed(name: str) -> str:
    """Return a model's or step's name with the demo's network in place of the recipe's."""
    for theirs, ours in NETWORKS.items():
        if theirs in name.split("-"):
            return name.replace(theirs, ours["name"])
    return name
