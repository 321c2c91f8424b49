"""Every shipped recipe parses, is valid in every setting, and runs."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image as PillowImage

from mekiki.api.recipes import RecipeOptions, plan_recipe, read_recipe, run_recipe, shipped_recipes
from mekiki.api.verbs import settings_class
from mekiki.api.workspace import status
from mekiki.demo.street import StreetSettings, make_street_world
from mekiki.demo.world import World
from mekiki.media.finding import read_list_file
from mekiki.records import Tally
from mekiki.settings import parse_settings
from mekiki.training.card import read_card
from workspaces import scene, write_photo, write_text

RECIPES = shipped_recipes()


def text_of(recipe: str) -> str:
    return files("mekiki").joinpath("recipes", f"{recipe}.yaml").read_text(encoding="utf-8")


def test_the_recipes_that_exist_are_shipped() -> None:
    assert {"safety", "wildlife"} <= set(RECIPES)


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_parses_and_every_setting_of_every_step_is_valid(recipe: str) -> None:
    steps = plan_recipe(read_recipe(recipe), RecipeOptions())

    assert steps[0].stage == "ingest"
    for step in steps:
        settings = parse_settings(settings_class(step.stage), step.values, step.step_id)
        assert set(step.values) <= set(type(settings).model_fields)


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_says_what_it_is_and_how_it_is_run(recipe: str) -> None:
    assert yaml.safe_load(text_of(recipe))["description"]
    assert f"mekiki run {recipe} " in text_of(recipe)


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_names_only_lists_that_are_shipped_with_it(recipe: str) -> None:
    for name in dict(read_recipe(recipe)[0].values).get("paths", []):
        listed = files("mekiki").joinpath("recipes", name)
        assert read_list_file(Path(str(listed))) == []  # an example: every line of it is a comment


SMALL_NETWORK = {
    **{"arch": "small-cnn", "arch_options": {"width": 4}, "pretrained": False, "image_size": 32},
    **{"epochs": 1, "lr": 0.001, "head_epochs": 0},
}


def test_wildlife_runs_and_a_second_run_does_nothing(world: World, workspace: Path) -> None:
    trained = [step.step_id for step in read_recipe("wildlife") if step.stage == "train"]
    options = RecipeOptions(
        paths=[world.folder],
        changes={
            "ingest.labels": str(world.truth_path),
            "frames.every_n_frames": 4,
            "annotate.annotator": "import",
            "annotate.classes_file": None,
            "annotate.labels": str(world.frames_path),
            "split.shares": {"train": 0.4, "val": 0.3, "test": 0.3},
            "split.allow_missing": classes_of(world, workspace / "first"),
            **{f"{step}.{name}": value for step in trained for name, value in SMALL_NETWORK.items()},
            "train-effnet.head_epochs": 1,
            **{f"{step}.cross_fit": 2 for step in ("tune-effnet", "tune-ensemble")},
        },
    )

    first = run_recipe("wildlife", workspace, options)
    second = run_recipe("wildlife", workspace, options)

    assert [one.stage for one in first] == [step.stage for step in read_recipe("wildlife")]
    assert [one.n_failed for one in first] == [1] + [0] * (len(first) - 1)
    assert [(one.n_written, one.n_rows) for one in second] == [(0, 0)] * len(first)
    assert set(status(workspace)["splits"]["default"]) == {"train", "val", "test"}
    assert {one["name"] for one in status(workspace)["models"]} >= {"effnet", "ensemble", "ensemble-tuned"}
    measured = next(one for one in first if one.stage == "evaluate").extra["metrics"]
    assert set(measured) == {"resnet50", "resnet101", "effnet", "ensemble", "effnet-tuned", "ensemble-tuned"}
    assert (workspace / first[-1].outputs["report"]).stat().st_size > 10_000


def classes_of(world: World, workspace: Path) -> list[str]:
    """Return the classes of a world; so few clips cannot put each of them into every part."""
    later = [step.step_id for step in read_recipe("wildlife")[1:]]
    run_recipe("wildlife", workspace, RecipeOptions([world.folder], {"ingest.labels": str(world.truth_path)}, later))
    return [name for name in status(workspace)["labels"] if name != "unknown"]


def test_safety_runs_and_a_second_run_does_nothing(tmp_path: Path) -> None:
    for number in range(48):
        kind = "unsafe" if number % 3 == 0 else "safe"
        photo = write_photo(tmp_path / "in" / kind / f"{number:02d}.jpg", number)
        if kind == "unsafe":  # a red picture is easy to tell
            PillowImage.fromarray(scene(number) // np.array([1, 3, 3], np.uint8)).save(photo, quality=92)
    write_text(tmp_path / "in" / "safe" / "broken.jpg", "no picture")
    options = RecipeOptions(
        paths=[tmp_path / "in"],
        changes={
            "embed.embedder": "colour-layout",
            "split.shares": {"train": 0.5, "val": 0.25, "test": 0.25},
            "train.search": 2,
            "train.epochs": 6,
            "tune.cross_fit": 2,
            "tune.prevalence": {"unsafe": 0.01},
        },
    )

    first = run_recipe("safety", tmp_path / "ws", options)
    second = run_recipe("safety", tmp_path / "ws", options)

    assert [one.stage for one in first] == [step.stage for step in read_recipe("safety")]
    assert [one.n_failed for one in first] == [1] + [0] * (len(first) - 1)
    assert [(one.n_written, one.n_rows) for one in second] == [(0, 0)] * len(first)
    measured = next(one for one in first if one.stage == "evaluate").extra["metrics"]
    assert measured["safety"]["macro_pr_auc"]["value"] > 0.9
    (card,) = [read_card(path) for path in (tmp_path / "ws" / "models").iterdir() if read_card(path).name == "safety"]
    assert (card.class_names, card.settings["negative"]) == (("unsafe",), "safe")  # nobody said which is positive
    page = (tmp_path / "ws" / first[-1].outputs["report"]).read_text(encoding="utf-8")
    assert "PR-AUC (trapezoid)" in page


def test_rare_objects_runs_and_a_second_run_does_nothing(tmp_path: Path) -> None:
    world = make_street_world(tmp_path / "streets", StreetSettings(seed=1, n_scenes=30, n_rare=5))
    changes = {
        "detect.detector": "blobs",
        "embed.embedder": "colour-layout",
        "mine.keep": "count:10",
        "map.method": "pca",
        "caption.captioner": "class-name",
    }
    options = RecipeOptions(paths=[world.photos], changes=changes)

    first = run_recipe("rare-objects", tmp_path / "ws", options)
    second = run_recipe("rare-objects", tmp_path / "ws", options)

    assert [one.stage for one in first] == [step.stage for step in read_recipe("rare-objects")]
    assert [one.n_failed for one in first] == [1] + [0] * (len(first) - 1)
    assert [(one.n_written, one.n_rows) for one in second] == [(0, 0)] * len(first)
    tallies = [Tally.from_json(one) for step in first for one in step.extra.get("counts", [])]  # refuse what is wrong
    assert {"sampling", "selection", "describing"} <= {one.step for one in tallies}
    records = json.loads((tmp_path / "ws" / "exports" / "rare-objects" / "detection_results.json").read_text())
    assert sum(one["is_outlier"] for one in records) == 10
    assert (tmp_path / "ws" / first[-1].outputs["report"]).stat().st_size > 10_000
