"""Drawn streets: the same settings give the same bytes, things stand apart, and the truth says where."""

from __future__ import annotations

import csv
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from mekiki.api.recipes import read_recipe
from mekiki.demo.recipes import adapt_rare_steps
from mekiki.demo.street import StreetSettings, draw_scene, make_street_world
from mekiki.demo.street_kinds import KINDS, RARE_KINDS, draw_sprite
from mekiki.errors import UnreadableError, UsageError
from mekiki.media.boxes import box_iou
from mekiki.media.images import read_image
from workspaces import run

SMALL = StreetSettings(seed=3, n_scenes=12, n_rare=5)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_seen_and_touches_no_edge_of_its_sprite_but_the_ground(kind: str) -> None:
    for seed in range(6):
        alpha = draw_sprite(KINDS[kind], 30.0, np.random.default_rng(seed))[:, :, 3]

        assert (alpha > 96).mean() > 0.05
        assert not (alpha[:, [0, -1]] > 96).any(), "cut off at a side"
        assert not (alpha[0] > 96).any(), "cut off at the top"


def test_things_stand_apart_and_differ_from_their_row() -> None:
    for seed in range(8):
        pixels, things = draw_scene(np.random.default_rng(seed), RARE_KINDS[seed % len(RARE_KINDS)])

        assert things[0].kind == RARE_KINDS[seed % len(RARE_KINDS)]
        boxes = np.array([thing.box for thing in things], np.float32)
        assert not any(box_iou(boxes[[i]], boxes[[j]])[0, 0] for i, j in combinations(range(len(boxes)), 2))
        for left, top, right, bottom in boxes.astype(int):
            rows = np.median(pixels[top:bottom], axis=1, keepdims=True)
            differs = np.abs(pixels[top:bottom, left:right] - rows).max(axis=2) > 24
            assert differs.mean() > 0.1


def test_the_truth_has_every_thing_of_the_readable_photos(tmp_path: Path) -> None:
    world = make_street_world(tmp_path / "streets", SMALL)

    with world.truth_path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == world.n_things > 20
    assert sorted(row["kind"] for row in rows if row["rare"] == "1") == sorted(RARE_KINDS)
    assert world.n_rare == 5
    named = {row["filepath"] for row in rows}
    broken = [path for path in sorted(world.photos.iterdir()) if f"photos/{path.name}" not in named]
    assert len(broken) == world.n_unreadable
    with pytest.raises(UnreadableError):
        read_image(broken[0])


def test_drawing_again_changes_nothing_and_other_settings_draw_anew(tmp_path: Path) -> None:
    make_street_world(tmp_path / "streets", SMALL)
    before = {path: path.read_bytes() for path in (tmp_path / "streets").rglob("*") if path.is_file()}
    times = {path: path.stat().st_mtime_ns for path in before}

    make_street_world(tmp_path / "streets", SMALL)
    assert {path: path.stat().st_mtime_ns for path in before} == times
    make_street_world(tmp_path / "again", SMALL)
    assert {path.relative_to(tmp_path / "streets"): content for path, content in before.items()} == {
        path.relative_to(tmp_path / "again"): path.read_bytes()
        for path in (tmp_path / "again").rglob("*")
        if path.is_file()
    }
    make_street_world(tmp_path / "streets", StreetSettings(seed=3, n_scenes=8, n_rare=2))
    assert len(list((tmp_path / "streets" / "photos").iterdir())) == 8


def test_a_folder_with_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")

    with pytest.raises(UsageError, match="holds something that is no demo street"):
        make_street_world(tmp_path, SMALL)


def test_more_rare_things_than_scenes_are_refused() -> None:
    with pytest.raises(UsageError, match="n_rare must lie in"):
        StreetSettings(n_scenes=4, n_rare=4)


def test_the_demo_needs_neither_weights_nor_a_server(tmp_path: Path) -> None:
    world = make_street_world(tmp_path / "streets", SMALL)

    adapted = {step.step_id: step.values for step in adapt_rare_steps(read_recipe("rare-objects"), world)}

    assert adapted["detect"]["detector"] == "blobs"
    assert adapted["embed"]["embedder"] == "colour-layout"
    assert adapted["caption"]["captioner"] == "class-name"
    assert list(adapted).index("dedupe") < list(adapted).index("detect")
    assert list(adapted).index("evaluate") == list(adapted).index("mine") + 1


def test_scenes_that_were_drawn_one_by_one_are_no_copies_of_each_other(tmp_path: Path) -> None:
    world = make_street_world(tmp_path / "streets", StreetSettings(seed=0, n_scenes=120, n_rare=5))
    adapted = {step.step_id: step.values for step in adapt_rare_steps(read_recipe("rare-objects"), world)}
    run("ingest", tmp_path / "ws", paths=[str(world.photos)])

    assert run("dedupe", tmp_path / "ws").extra["n_groups"] > 0  # by the usual distance of hashes
    assert run("dedupe", tmp_path / "ws", **adapted["dedupe"]).extra["n_groups"] == 0
