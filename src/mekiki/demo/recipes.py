"""The shipped recipes, as they are run on the demo world: with its paths, its truth and its short clips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mekiki.api.recipes import Step, read_recipe
from mekiki.demo.safety import UNSAFE, SafetyWorld, make_safety_world
from mekiki.demo.settings import WorldSettings
from mekiki.demo.street import StreetSettings, StreetWorld, make_street_world
from mekiki.demo.world import World, make_world

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

SAFETY = "safety"
SAFETY_SIZES = {"n_clips": 25, "n_stills": 600}
"""The fewest clips that a world can have with its planted copies; they are not used here."""

PROJECTIONS, PROJECTED_DIMS = ("pca", "orthogonal"), 64
SAFETY_CHANGES: dict[str, dict[str, Any]] = {
    "embed": {"embedder": "colour-layout"},
    "train": {"positive": UNSAFE},
    "tune": {"prevalence": {UNSAFE: 0.01}, "at_least": 0.8},
    "report": {"pictures": "shown"},
}
"""What the recipe is given in this world: no weights, one score, that it is rarer outside, and that it is harmless."""

RARE_OBJECTS = "rare-objects"
RARE_SIZES = {"n_clips": 25, "n_stills": 240}
"""Scenes are what counts here; clips are not drawn."""

RARE_CHANGES: dict[str, dict[str, Any]] = {
    "dedupe": {"max_distance": 2},
    "detect": {"detector": "blobs"},
    "embed": {"embedder": "colour-layout"},
    "caption": {"captioner": "class-name"},
}
"""What the recipe is given in drawn streets: nothing that needs weights or a server. Each scene is a draw of its own,
while plain streets have hashes so alike that `dedupe` would take some for copies."""

HEADER = """# The recipe {name!r} for the demo world: what `mekiki demo` runs.
# Change it and run it again: mekiki run {path} -w {workspace}
"""


@dataclass(frozen=True, slots=True)
class Demo:
    """A world on disk and the recipe that is run on it.

    Attributes:
        recipe: The file.
        n_unreadable: Photos of the world that are broken on purpose.
    """

    recipe: Path
    n_unreadable: int


def make_demo(name: str, folder: Path, settings: WorldSettings, workspace: Path, n_workers: int = 1) -> Demo:
    """Draw the world that a recipe is shown on, and write the recipe as it fits that world.

    Args:
        name: A shipped recipe.
        folder: Where the world and the recipe go.
        settings: Of the world.
        workspace: Where it is going to run; for the comment in the file.
        n_workers: Processes that draw.

    Raises:
        UsageError: If the folder holds something that is no world.
    """
    steps = read_recipe(name)
    if name == SAFETY:
        photos = make_safety_world(folder / "world", settings, n_workers)
        adapted, n_unreadable = adapt_safety_steps(steps, photos), photos.n_unreadable
    elif name == RARE_OBJECTS:
        streets = make_street_world(folder / "world", StreetSettings(settings.seed, settings.n_stills))
        adapted, n_unreadable = adapt_rare_steps(steps, streets), streets.n_unreadable
    else:
        world = make_world(folder / "world", settings, n_workers)
        adapted, n_unreadable = adapt_steps(steps, world), world.n_unreadable
    return Demo(_write_steps(name, adapted, folder / f"{name}.yaml", workspace), n_unreadable)


def demo_settings(name: str, given: Mapping[str, Any]) -> WorldSettings:
    """Return how a recipe's world is drawn: photos alone for those that look at no clips."""
    sizes = {SAFETY: SAFETY_SIZES, RARE_OBJECTS: RARE_SIZES}.get(name, {})
    return WorldSettings(**{**sizes, **given})


def _write_steps(name: str, steps: Sequence[Step], path: Path, workspace: Path) -> Path:
    """Write a recipe where a user can read and change it."""
    listed = [{"stage": step.stage, "id": step.step_id, **step.values} for step in steps]
    text = yaml.safe_dump({"steps": listed}, allow_unicode=True, sort_keys=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(HEADER.format(name=name, path=path, workspace=workspace) + text, encoding="utf-8")
    return path


def adapt_safety_steps(steps: Sequence[Step], photos: SafetyWorld) -> list[Step]:
    """Return the steps with the world's folders, vectors that need no weights, and three heads to compare."""
    adapted: list[Step] = []
    for step in steps:
        values = {**step.values, **SAFETY_CHANGES.get(step.stage, {})}
        if step.stage == "ingest":
            values["paths"] = [str(photos.folder)]
        adapted.append(Step(step.step_id, step.stage, values))
        if step.stage == "predict":
            adapted += [one for kind in PROJECTIONS for one in _with_projection(kind)]
    return adapted


def adapt_rare_steps(steps: Sequence[Step], streets: StreetWorld) -> list[Step]:
    """Return the steps with the streets' photos, the blob detector, and a look at how many rare things came back."""
    adapted: list[Step] = []
    for step in steps:
        values = {**step.values, **RARE_CHANGES.get(step.stage, {})}
        if step.stage == "ingest":
            values["paths"] = [str(streets.photos)]
        adapted.append(Step(step.step_id, step.stage, values))
        if step.stage == "mine":
            judged = {"rarity": True, "truth": str(streets.truth_path), "truth_column": "rare"}
            adapted.append(Step("evaluate", "evaluate", judged))
    return adapted


def _with_projection(kind: str) -> list[Step]:
    """Return the steps of a head that sees its vectors through a projection."""
    name = f"safety-{kind}"
    head = {"head": "mlp", "class_weight": True, "seed": 42, "positive": UNSAFE}
    return [
        Step(f"train-{kind}", "train", {"name": name, **head, "projection": f"{kind}:{PROJECTED_DIMS}"}),
        Step(f"predict-{kind}", "predict", {"model": name}),
    ]


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
