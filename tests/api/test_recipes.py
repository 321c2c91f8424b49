"""Recipes: every key is checked before the first step runs, and users change them without editing them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from mekiki.api.recipes import (
    RecipeOptions,
    Step,
    iter_recipe,
    parse_change,
    parse_recipe,
    plan_recipe,
    read_recipe,
    run_recipe,
)
from mekiki.api.verbs import settings_class
from mekiki.errors import DataError, MekikiError, UsageError
from mekiki.records import RunSummary
from mekiki.settings import parse_settings
from pictures import truncated_jpeg
from workspaces import query, write_photo, write_text

FOUR_STEPS = """
description: a small job
steps:
  - stage: ingest
    paths: [photos]
  - stage: dedupe
    id: near
    max_distance: 8
  - stage: export
    id: first
  - stage: export
    id: second
    format: coco
"""


def steps() -> list[Step]:
    return parse_recipe(FOUR_STEPS, "mine")


def planned(**options: Any) -> dict[str, Mapping[str, Any]]:
    return {step.step_id: step.values for step in plan_recipe(steps(), RecipeOptions(**options))}


def test_a_step_is_called_by_its_id_or_else_its_stage() -> None:
    assert [(step.step_id, step.stage) for step in steps()] == [
        ("ingest", "ingest"),
        ("near", "dedupe"),
        ("first", "export"),
        ("second", "export"),
    ]
    assert steps()[1].values == {"max_distance": 8}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "recipe mine needs a list called 'steps'", id="empty"),
        pytest.param("steps: []", "recipe mine needs a list called 'steps'", id="no step"),
        pytest.param("steps: ingest", "needs a list called 'steps'", id="no list"),
        pytest.param("- stage: ingest", "needs a list called 'steps'", id="only a list"),
        pytest.param("stpes: []", "no key is called 'stpes'. Did you mean 'steps'?", id="key"),
        pytest.param("steps: [ingest]", "step 1 has no 'stage': write stage: NAME", id="no stage"),
        pytest.param("steps: [{stage: ingets}]", "no stage is called 'ingets'. Did you mean 'ingest'?", id="stage"),
        pytest.param("steps: [{stage: }]", "no stage is called 'None'", id="empty stage"),
        pytest.param("steps: [{stage: python:mine.py:Mine}]", "no stage is called 'python'", id="code"),
        pytest.param("steps: [{stage: dedupe, seeed: 1}]", "step dedupe: no setting is called 'seeed'", id="setting"),
        pytest.param("steps: [{stage: dedupe, 7: 1}]", "no setting is called '7'", id="a number for a name"),
        pytest.param("steps: [{stage: dedupe, max_distance: far}]", "max_distance: .*valid integer", id="value"),
        pytest.param("steps: [{stage: dedupe, max_distance: 99}]", "less than or equal to 16, got 99", id="bounds"),
        pytest.param("steps: [{stage: export, format: cco}]", "'cco'. Did you mean 'coco'?", id="format"),
        pytest.param(
            "steps: [{stage: dedupe}, {stage: dedupe}]", "two steps are called 'dedupe'; .* id: NAME", id="id"
        ),
        pytest.param("steps: [{stage: dedupe", "recipe mine is no YAML: .*expected", id="no YAML"),
        pytest.param("steps: [{stage: split, seed: 2025-13-41}]", "is no YAML: month must be", id="no date"),
        pytest.param("steps: " + "[" * 5000, "is no YAML: ", id="too deep"),
        pytest.param("{[1]: 2}", "is no YAML: .*unhashable", id="a list for a key"),
        pytest.param(
            "steps: [{stage: !!python/object/apply:os.system [exit]}]",
            "is no YAML: could not determine a constructor for the tag .*python/object",
            id="Python objects",
        ),
    ],
)
def test_a_wrong_recipe_is_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_recipe(text, "mine")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        pytest.param("wildlif", "no recipe is called 'wildlif'. Did you mean 'wildlife'?", id="name"),
        pytest.param("absent.yaml", "cannot read recipe .*absent.yaml: No such file or directory. Shipped:", id="file"),
        pytest.param("folder.yaml", "cannot read recipe .*folder.yaml: Is a directory", id="folder"),
        pytest.param("latin.yaml", "cannot read recipe .*latin.yaml: it is not UTF-8 text", id="encoding"),
    ],
)
def test_a_recipe_that_is_not_there_says_so(name: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "latin.yaml").write_bytes("steps: é".encode("latin-1"))

    with pytest.raises(UsageError, match=message):
        read_recipe(tmp_path / name if "." in name else name)


def test_a_file_is_read_whatever_its_ending(tmp_path: Path) -> None:
    assert read_recipe(write_text(tmp_path / "job", FOUR_STEPS)) == steps()
    assert read_recipe(str(write_text(tmp_path / "job.yml", FOUR_STEPS))) == steps()


def test_a_folder_is_no_recipe(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no recipe is called .*A file's name ends in .yaml"):
        read_recipe(tmp_path)


def test_paths_replace_those_of_the_first_ingest_step_that_runs() -> None:
    two = [*steps(), Step("labels", "ingest", {"labels": ["l.csv"]})]

    both = {s.step_id: s.values for s in plan_recipe(two, RecipeOptions(paths=["a", Path("b")]))}
    last = {s.step_id: s.values for s in plan_recipe(two, RecipeOptions(paths=["a"], start="near"))}

    assert both["ingest"]["paths"] == ["a", "b"]
    assert both["labels"] == {"labels": ["l.csv"]}
    assert last["labels"] == {"labels": ["l.csv"], "paths": ["a"]}


def test_addresses_stay_as_they_are_written() -> None:
    assert planned(paths=["hf://datasets/a/b"])["ingest"]["paths"] == ["hf://datasets/a/b"]


def test_settings_are_changed_by_step_and_name() -> None:
    changed = planned(changes={"near.max_distance": 3, "second.media": "copy"})

    assert changed["near"] == {"max_distance": 3}
    assert changed["second"] == {"format": "coco", "media": "copy"}
    assert steps()[1].values == {"max_distance": 8}


def test_a_mapping_is_changed_as_a_flag_gives_it() -> None:
    found = parse_recipe("steps: [{stage: split}, {stage: tune, model: m, prevalence: fox=0.1}]", "theirs")
    words = ["split.shares=[train=0.6, test=0.4]", "tune.prevalence=bees=0.001"]

    split, tune = plan_recipe(found, RecipeOptions(changes=dict(parse_change(word) for word in words)))

    assert parse_settings(settings_class("split"), split.values, "").shares == {"train": 0.6, "test": 0.4}
    assert parse_settings(settings_class("tune"), tune.values, "").prevalence == {"bees": 0.001}


@pytest.mark.parametrize(
    ("word", "change"),
    [
        pytest.param("split.seed=7", ("split.seed", 7), id="number"),
        pytest.param("split.group_by=[site, camera]", ("split.group_by", ["site", "camera"]), id="list"),
        pytest.param("split.shares={train: 0.8, test: 0.2}", ("split.shares", {"train": 0.8, "test": 0.2}), id="map"),
        pytest.param("split.extend=true", ("split.extend", True), id="switch"),
        pytest.param("ingest.labels=a=b.csv", ("ingest.labels", "a=b.csv"), id="another ="),
        pytest.param("ingest.path_pattern={site", ("ingest.path_pattern", "{site"), id="no YAML is text"),
        pytest.param("ingest.part=2025-13-41", ("ingest.part", "2025-13-41"), id="no date is text"),
        pytest.param("ingest.part=", ("ingest.part", None), id="nothing"),
    ],
)
def test_a_change_has_the_values_of_a_recipe(word: str, change: tuple[str, object]) -> None:
    assert parse_change(word) == change


def test_steps_can_be_skipped_and_begun_later() -> None:
    assert list(planned(skip=["near", "second"])) == ["ingest", "first"]
    assert list(planned(start="near")) == ["near", "first", "second"]
    assert list(planned(start="near", skip=["near"])) == ["first", "second"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({"skip": ["dedupe"]}, "no step is called 'dedupe'", id="skip"),
        pytest.param({"start": "secnd"}, "no step is called 'secnd'. Did you mean 'second'?", id="from"),
        pytest.param({"changes": {"nera.x": 1}}, "no step is called 'nera'. Did you mean 'near'?", id="step"),
        pytest.param({"changes": {"near.max": 1}}, "near: no setting is called 'max'", id="setting"),
        pytest.param({"changes": {"near.max_distance": "x"}}, "near: max_distance: ", id="value"),
        pytest.param({"changes": {"second.format": "yoll"}}, "second: .*Did you mean 'yolo'?", id="format"),
        pytest.param({"changes": {"near": 1}}, "--set takes STEP.SETTING=VALUE, got 'near'", id="no setting"),
        pytest.param({"skip": ["ingest", "near", "first", "second"]}, "no step is left to run", id="none left"),
        pytest.param({"paths": ["a"], "start": "near"}, "no ingest step is left to take 'a'", id="paths"),
    ],
)
def test_a_wrong_option_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        planned(**options)


def test_nothing_runs_if_a_later_step_is_wrong(workspace: Path, tmp_path: Path) -> None:
    photo = write_photo(tmp_path / "a.jpg", 1)
    recipe = write_text(tmp_path / "r.yaml", FOUR_STEPS)

    with pytest.raises(UsageError):
        run_recipe(recipe, workspace, RecipeOptions(paths=[photo], changes={"second.format": "yoll"}))

    assert not workspace.exists()


def job(tmp_path: Path, *lines: str) -> Path:
    """Return a recipe that ingests three photos, of which one is broken, and goes on."""
    for number in range(2):
        write_photo(tmp_path / "photos" / f"{number}.jpg", number)
    (tmp_path / "photos" / "broken.jpg").write_bytes(truncated_jpeg())
    text = "\n".join(["steps:", f"- {{stage: ingest, paths: ['{tmp_path / 'photos'}']}}", *lines])
    return write_text(tmp_path / "job.yaml", text)


def test_failed_items_do_not_stop_a_recipe(workspace: Path, tmp_path: Path) -> None:
    done = run_recipe(job(tmp_path, "- stage: dedupe"), workspace)

    assert [(one.stage, one.n_failed) for one in done] == [("ingest", 1), ("dedupe", 0)]


def test_data_that_breaks_a_rule_stops_it_and_what_was_done_is_kept(workspace: Path, tmp_path: Path) -> None:
    recipe = job(tmp_path, "- stage: split", "- stage: dedupe")
    done: list[RunSummary] = []

    with pytest.raises(DataError, match="near-duplicates must be known before a split"):
        done.extend(iter_recipe(recipe, workspace))

    assert query(workspace, "SELECT DISTINCT stage FROM runs") == [("ingest",)]


def test_a_gate_that_says_no_stops_it_too(workspace: Path, tmp_path: Path) -> None:
    leaking = write_photo(tmp_path / "theirs" / "a.jpg", 5)
    (tmp_path / "theirs" / "b.jpg").write_bytes(leaking.read_bytes())
    table = write_text(tmp_path / "theirs" / "split.csv", "filepath,part\na.jpg,train\nb.jpg,test\n")
    recipe = job(tmp_path, f"- {{stage: split, check: '{table}'}}", "- stage: dedupe")

    done = run_recipe(recipe, workspace)

    assert [one.stage for one in done] == ["ingest", "split"]
    assert "refusal" in done[-1].extra


def test_running_it_again_does_nothing_twice(workspace: Path, tmp_path: Path) -> None:
    recipe = job(tmp_path, "- stage: dedupe", "- stage: report")
    run_recipe(recipe, workspace)

    again = run_recipe(recipe, workspace)

    assert [(one.stage, one.n_written, one.n_rows) for one in again] == [
        ("ingest", 0, 0),
        ("dedupe", 0, 0),
        ("report", 0, 0),
    ]


def test_a_dry_run_reports_what_is_known_and_what_depends_on_it(workspace: Path, tmp_path: Path) -> None:
    recipe = job(tmp_path, "- stage: dedupe", "- stage: split")

    first, *rest = iter_recipe(recipe, workspace, dry_run=True)

    assert first.extra["n_todo"] == 3
    assert [one.notes for one in rest] == [["not known before the steps above have run"]] * 2
    assert not workspace.exists()


def test_a_dry_run_does_not_hide_what_is_wrong_now(workspace: Path, tmp_path: Path) -> None:
    write_photo(tmp_path / "a.jpg", 1)
    recipe = write_text(tmp_path / "r.yaml", f"steps: [{{stage: ingest, paths: ['{tmp_path / 'b.jpg'}']}}]")

    with pytest.raises(MekikiError, match="there is no file or folder"):
        list(iter_recipe(recipe, workspace, dry_run=True))


USER_CODE = """
steps:
  - stage: train
    arch: python:net.py:Net
  - stage: dedupe
"""


def test_a_recipe_that_names_a_program_runs_only_when_the_user_allows_it() -> None:
    found = parse_recipe(USER_CODE, "theirs")

    with pytest.raises(UsageError, match=r"train: python:net\.py:Net would run that file: read it, .* --allow-code"):
        plan_recipe(found, RecipeOptions())
    planned = plan_recipe(found, RecipeOptions(allow_code=True))

    assert [step.values.get("allow_code") for step in planned] == [True, None]


def test_a_program_that_a_change_names_needs_leave_too() -> None:
    found = parse_recipe("steps: [{stage: train}]", "theirs")

    with pytest.raises(UsageError, match="--allow-code"):
        plan_recipe(found, RecipeOptions(changes={"train.arch": "python:net.py:Net"}))


def test_a_recipe_cannot_allow_itself_to_run_code() -> None:
    found = parse_recipe("steps: [{stage: predict, model: m, allow_code: true}]", "theirs")

    with pytest.raises(UsageError, match="a recipe cannot allow itself to run code"):
        plan_recipe(found, RecipeOptions(allow_code=True))
