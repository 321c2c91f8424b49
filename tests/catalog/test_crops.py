"""Crops in the catalog: what a run found, and the items that are cut there."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mekiki.api.workspace import forget
from mekiki.catalog.crops import CropSelection, crops_of, new_crop, require_detections, write_crops
from mekiki.catalog.db import Catalog
from mekiki.catalog.detected import KeptBoxes, boxes_from_files, count_found, write_kept
from mekiki.catalog.forget import forget_run
from mekiki.catalog.items import select_items
from mekiki.catalog.results import BoxRow
from mekiki.catalog.runs import runs_of
from mekiki.dataset.ids import crop_id
from mekiki.errors import DataError, UsageError
from mekiki.intake.pictures import open_picture
from mekiki.media.images import read_image
from mekiki.records import Item
from objects import make_scenes
from workspaces import query, run

PARENT = Item("f" * 32, "image", Path("/a.png"), width_px=160, height_px=120)


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    return make_scenes(tmp_path / "ws", 6)


def detect(workspace: Path, **settings: object) -> str:
    return run("detect", workspace, detector="blobs", **settings).run_id


def test_a_crop_is_as_large_as_the_pixels_that_its_box_touches() -> None:
    made = new_crop(PARENT, (10.5, 20.25, 30.0625, 40))

    assert (made.kind, made.parent_id) == ("crop", PARENT.item_id)
    assert (made.width_px, made.height_px) == (21, 20)
    assert made.item_id == crop_id(PARENT.item_id, (10.5, 20.25, 30.0625, 40))
    assert json.loads(made.parameters or "") == {"xyxy": [10.5, 20.25, 30.0625, 40]}


def test_a_crop_without_a_pixel_is_refused() -> None:
    with pytest.raises(ValueError, match="inside the picture"):
        new_crop(PARENT, (160, 0, 200, 50))


def test_crops_are_written_once_whoever_asks_for_them(scenes: Path) -> None:
    crops = [new_crop(PARENT, (0, 0, 10, 10)), new_crop(PARENT, (0, 0, 20, 20))]
    with Catalog(scenes) as catalog:
        with catalog.transaction("detect", "one") as transaction:
            assert write_crops(transaction, crops) == 2
        with catalog.transaction("detect", "two") as transaction:
            assert write_crops(transaction, crops[:1]) == 0

    assert query(scenes, "SELECT run_id, count(*) FROM made GROUP BY run_id") == [("one", 2), ("two", 1)]


def test_of_boxes_at_one_place_the_surest_counts(scenes: Path) -> None:
    crop = new_crop(PARENT, (0, 0, 10, 10))
    rows = [
        BoxRow(PARENT.item_id, number, name, score, (0, 0, 10, 10), crop.item_id)
        for number, (name, score) in enumerate([("car", 0.5), ("truck", 0.9), ("bus", 0.7)])
    ]
    with Catalog(scenes) as catalog, catalog.transaction("detect", "one") as transaction:
        n_rows = write_kept(transaction, [KeptBoxes(PARENT.item_id, tuple(rows), (crop, crop, crop), 2)])

        (found,) = crops_of(catalog, "one")
        counts = count_found(catalog, "one")

    assert n_rows == 4
    assert (found.class_name, found.score) == ("truck", 0.9)
    assert (counts.n_boxes, counts.n_crops, counts.n_dropped) == (3, 1, 2)
    assert counts.classes == {"bus": 1, "car": 1, "truck": 1}


def test_the_run_that_was_asked_for_last_counts_and_a_named_one_before_it(scenes: Path) -> None:
    first, second = detect(scenes), detect(scenes, keep=1)
    with Catalog(scenes) as catalog:
        assert require_detections(catalog).run_id == second
        assert require_detections(catalog, first[:6]).run_id == first
        with pytest.raises(UsageError, match="no run of detect is called 'feed'"):
            require_detections(catalog, "feed")

    detect(scenes)
    with Catalog(scenes) as catalog:
        assert require_detections(catalog).run_id == first


def test_nothing_detected_says_what_to_type(scenes: Path) -> None:
    with Catalog(scenes) as catalog, pytest.raises(DataError, match=r"nothing has been detected.*mekiki detect -w"):
        require_detections(catalog)


def test_boxes_that_came_with_labels_are_no_detections(scenes: Path) -> None:
    detect(scenes)

    with Catalog(scenes) as catalog:
        assert boxes_from_files(catalog) == {}


def test_crops_of_a_picture_stand_behind_each_other_and_some_can_be_chosen(scenes: Path) -> None:
    run_id = detect(scenes)
    with Catalog(scenes) as catalog:
        everything = list(CropSelection(catalog, run_id))
        wanted = {one.item_id for one in everything[::2]}
        some = CropSelection(catalog, run_id, wanted)

        assert len(CropSelection(catalog, run_id)) == len(everything) == len(crops_of(catalog, run_id))
        assert [one.parent_id for one in everything] == sorted(one.parent_id or "" for one in everything)
        assert (len(some), {one.item_id for one in some}) == (len(wanted), wanted)
        assert len(CropSelection(catalog, run_id, [])) == 0


def test_the_item_of_a_crop_has_the_file_of_its_picture_and_opens_as_its_pixels(scenes: Path) -> None:
    run_id = detect(scenes)
    with Catalog(scenes) as catalog:
        pictures = {one.item_id: one for one in select_items(catalog, ["image"])}
        for crop in CropSelection(catalog, run_id):
            parent = pictures[crop.parent_id or ""]
            assert (crop.path, crop.size_bytes, crop.whole_hw) == (parent.path, parent.size_bytes, (120, 160))
            assert crop.path is not None
            assert crop.box is not None
            left, top, right, bottom = (int(edge) for edge in crop.box)
            assert (open_picture(crop)(None) == read_image(crop.path)[top:bottom, left:right]).all()


def steps(catalog: Catalog, work: Callable[[], object]) -> int:
    """Return how many hundreds of instructions SQLite needs for some work: a time that no other program changes."""
    n_steps = 0

    def count() -> int:
        nonlocal n_steps
        n_steps += 1
        return 0

    catalog._connection.set_progress_handler(count, 100)
    work()
    catalog._connection.set_progress_handler(None, 0)
    return n_steps


def with_crops(workspace: Path, n_crops: int) -> str:
    """Add crops to the pictures of a run of ``detect``, evenly, and return it."""
    run_id = detect(workspace)
    with Catalog(workspace) as catalog:
        parents = list(select_items(catalog, ["image"]))
        places = [(x % 2000 / 16, x // 2000) for x in range(n_crops)]
        crops = [new_crop(parents[k % len(parents)], (x, y, x + 20, y + 20)) for k, (x, y) in enumerate(places)]
        with catalog.transaction("detect", run_id) as transaction:
            write_crops(transaction, crops)
    return run_id


@pytest.mark.parametrize("work", ["look", "forget"])
def test_four_times_as_many_crops_take_four_times_as_long(tmp_path: Path, work: str) -> None:
    def cost(n_crops: int) -> int:
        workspace = make_scenes(tmp_path / str(n_crops), 4)
        run_id = with_crops(workspace, n_crops)
        with Catalog(workspace) as catalog:
            (run_of_detect,) = runs_of(catalog, "detect")
            if work == "look":
                return steps(catalog, lambda: list(CropSelection(catalog, run_id)))
            return steps(catalog, lambda: forget_run(catalog, run_of_detect))

    assert cost(4000) < 6 * cost(1000)


def test_a_few_crops_are_looked_up_without_reading_the_others(scenes: Path) -> None:
    run_id = with_crops(scenes, 2000)
    with Catalog(scenes) as catalog:
        few = [one.item_id for one in CropSelection(catalog, run_id)][:1000:200]
        some = CropSelection(catalog, run_id, [*few, "unknown"])

        assert [one.item_id for one in some] == few
        assert steps(catalog, lambda: (list(some), len(some))) * 20 < steps(
            catalog, lambda: list(CropSelection(catalog, run_id))
        )


def test_forgetting_many_crops_takes_seconds(tmp_path: Path) -> None:
    workspace = make_scenes(tmp_path / "ws", 1)
    run_id = with_crops(workspace, 2000)
    started = time.monotonic()

    forget(workspace, run_id)

    assert time.monotonic() - started < 10
    assert query(workspace, "SELECT count(*) FROM items WHERE kind = 'crop'") == [(0,)]
