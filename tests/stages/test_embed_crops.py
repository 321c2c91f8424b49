"""Stage ``embed`` on crops: one vector for each thing that was found, and none of them where pictures are meant."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as PillowImage

from mekiki.api.verbs import run_stage
from mekiki.api.workspace import forget
from mekiki.catalog.crops import Crop, crops_of, require_detections
from mekiki.catalog.db import Catalog
from mekiki.catalog.mining import require_mining
from mekiki.catalog.runs import count_done, find_run
from mekiki.catalog.vector_search import names_of_items
from mekiki.catalog.vectors import StoredVectors, require_vectors
from mekiki.engine.local import LocalEngine
from mekiki.errors import DataError, UsageError
from mekiki.media.colour_layout import PREPROCESSING, describe
from mekiki.media.images import read_image
from mekiki.media.preprocessing import seen_by
from mekiki.records import RunSummary, Tally
from objects import boxes_of, crop_pixels, make_scenes, scene_with, write_scene
from videos import Recipe, make_video
from workspaces import counts, dump, ingest, query, run, scene, write_json

LAYOUT = {"embedder": "colour-layout", "kind": ["crop"]}
N_PICTURES = 10
N_THINGS = sum(len(boxes_of(number)) for number in range(N_PICTURES))


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    """A workspace in which the things of ten pictures have been found."""
    workspace = make_scenes(tmp_path / "ws", N_PICTURES)
    run("detect", workspace, detector="blobs")
    return workspace


def embed(workspace: Path, **settings: Any) -> RunSummary:
    return run("embed", workspace, **{**LAYOUT, **settings})


def crops(workspace: Path) -> dict[str, Crop]:
    with Catalog(workspace) as catalog:
        return {one.item_id: one for one in crops_of(catalog, require_detections(catalog).run_id)}


def vectors(workspace: Path) -> dict[str, NDArray[np.float32]]:
    with Catalog(workspace) as catalog:
        stored = StoredVectors(catalog, require_vectors(catalog))
        return dict(zip(stored.item_ids(), stored.read(stored.item_ids()), strict=True))


def path_of(workspace: Path, item_id: str) -> Path:
    return workspace / query(workspace, "SELECT path FROM sources WHERE item_id = ?", item_id)[0][0]


def early(summary: RunSummary) -> Tally:
    return next(Tally.from_json(one) for one in summary.extra["counts"] if one["step"] == "early filter")


def test_a_crop_has_the_vector_of_the_pixels_that_lie_in_its_box(scenes: Path) -> None:
    summary = embed(scenes)

    found = vectors(scenes)
    assert counts(summary) == (N_THINGS, N_THINGS, 0, 0)
    assert found.keys() == crops(scenes).keys()
    for item_id, crop in crops(scenes).items():
        pixels = crop_pixels(read_image(path_of(scenes, crop.parent_id)), [int(edge) for edge in crop.box])
        assert np.abs(found[item_id] - describe(seen_by(pixels, PREPROCESSING))).max() < 1e-5


def test_a_crop_of_a_large_jpeg_is_near_what_the_whole_picture_gives(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    PillowImage.fromarray(scene(3, 2400, 1800)).save(tmp_path / "in" / "large.jpg", quality=92)
    boxes = [[0, 0, 1, 1], [0.1, 0.2, 0.5, 0.5], [0.4, 0.4, 0.05, 0.1]]
    found = [{"category": "1", "conf": 0.9, "bbox": box} for box in boxes]
    content = {"detection_categories": {"1": "thing"}, "images": [{"file": "large.jpg", "detections": found}]}
    file = write_json(tmp_path / "in" / "boxes.json", content)
    ingest(tmp_path, tmp_path / "in")
    run("detect", tmp_path, detector=f"megadetector:{file}")

    embed(tmp_path)

    whole = read_image(tmp_path / "in" / "large.jpg")
    stored = vectors(tmp_path)
    for item_id, crop in crops(tmp_path).items():
        expected = describe(seen_by(crop_pixels(whole, [round(edge) for edge in crop.box]), PREPROCESSING))
        cosine = float(stored[item_id] @ expected / np.linalg.norm(stored[item_id]) / np.linalg.norm(expected))
        assert cosine > 0.999


def test_one_broken_picture_fails_with_its_own_crops_and_shifts_no_vector(scenes: Path) -> None:
    embed(scenes)
    before = vectors(scenes)
    with Catalog(scenes) as catalog, catalog.transaction("forget") as transaction:
        for table in ("vectors", "done", "runs"):
            transaction.delete(table, "run_id = ?", (require_vectors(catalog).run_id,))
    broken = list(crops(scenes).values())[N_THINGS // 2].parent_id
    path_of(scenes, broken).write_bytes(b"no picture")

    summary = embed(scenes)

    lost = {item_id for item_id, crop in crops(scenes).items() if crop.parent_id == broken}
    after = vectors(scenes)
    assert summary.n_failed == len(lost) > 0
    with Catalog(scenes) as catalog:
        assert {one.path for one in summary.failures} == set(names_of_items(catalog, sorted(lost)).values())
    assert after.keys() == before.keys() - lost
    assert all((after[item_id] == before[item_id]).all() for item_id in after)


def test_pictures_and_crops_share_a_run_whichever_comes_first(scenes: Path) -> None:
    first = embed(scenes)
    second = embed(scenes, kind=["image", "frame"])
    third = embed(scenes, kind=["crop", "image"])

    assert first.run_id == second.run_id == third.run_id
    assert (second.n_written, counts(third)) == (N_PICTURES, (N_THINGS + N_PICTURES, 0, N_THINGS + N_PICTURES, 0))


def test_a_run_knows_what_all_its_commands_took(scenes: Path) -> None:
    parts = [embed(scenes, limit=2), embed(scenes, kind=["image"]), embed(scenes)]
    idle = embed(scenes)

    with Catalog(scenes) as catalog:
        run_of = find_run(catalog, idle.run_id)
        done = count_done(catalog, idle.run_id)
    assert run_of is not None
    assert abs(run_of.seconds_in_all - sum(one.seconds for one in parts)) < 0.003
    assert run_of.summary["seconds"] == round(parts[-1].seconds, 3) < run_of.seconds_in_all
    assert done == N_THINGS + N_PICTURES
    assert "seconds_in_all" not in idle.extra


def test_only_the_crops_of_the_run_that_is_named_are_embedded(scenes: Path) -> None:
    few = run("detect", scenes, detector="blobs", keep=1)
    run("detect", scenes, detector="blobs")

    summary = embed(scenes, detections=few.run_id)

    assert summary.n_written == few.extra["n_crops"] < N_THINGS
    with pytest.raises(UsageError, match="no run of detect is called 'feed'"):
        embed(scenes, detections="feed")


def coco_things(workspace: Path, names: list[str]) -> None:
    """Ingest one box for each name, of that class, and cut them out."""
    ids = {name: number for number, name in enumerate(dict.fromkeys(names), start=1)}
    rows = [
        {"id": n, "image_id": n % N_PICTURES + 1, "category_id": ids[name], "bbox": [n, n, 20, 30], "iscrowd": 0}
        for n, name in enumerate(names)
    ]
    images = [{"id": n + 1, "file_name": f"{n:02d}.png", "width": 160, "height": 120} for n in range(N_PICTURES)]
    content = {
        "images": images,
        "annotations": rows,
        "categories": [{"id": n, "name": name} for name, n in ids.items()],
    }
    ingest(workspace, workspace / "in", labels=[str(write_json(workspace / "in" / "coco.json", content))])
    run("detect", workspace, detector="import")


def test_the_early_filter_keeps_what_has_a_keyword_and_some_of_the_rest(scenes: Path) -> None:
    coco_things(scenes, ["truck"] * 5 + ["car"] * 35)

    first, second = embed(scenes, keywords=["seed2"]), embed(scenes, keywords=["seed2"])

    step = early(first)
    assert (step.n_in, step.n_kept, step.n_dropped, step.why) == (40, 9, 31, "5 have a keyword, and 4 others by chance")
    assert (counts(first), counts(second)) == ((9, 9, 0, 0), (9, 0, 9, 0))
    assert step.line() in first.notes
    trucks = {item_id for item_id, crop in crops(scenes).items() if crop.class_name == "truck"}
    assert trucks < vectors(scenes).keys()


def test_the_early_filter_is_off_unless_it_is_asked_for(scenes: Path) -> None:
    coco_things(scenes, ["truck"] * 5 + ["car"] * 35)

    summary = embed(scenes)

    assert (early(summary).n_kept, early(summary).n_dropped, summary.n_written) == (40, 0, 40)


def ranked(workspace: Path) -> tuple[set[str], Tally]:
    """Return what ``mine`` ranks, and its count of vectors."""
    summary = run("mine", workspace)
    with Catalog(workspace) as catalog:
        return set(require_mining(catalog).class_of), Tally.from_json(summary.extra["counts"][0])


def test_mine_ranks_what_the_last_command_took_and_not_what_it_left_out(scenes: Path) -> None:
    coco_things(scenes, ["truck"] * 5 + ["car"] * 20 + ["bus"] * 5)
    only = {"top_up_below": 0}
    embed(scenes)
    everything = crops(scenes).keys()
    of = {name: {key for key, crop in crops(scenes).items() if crop.class_name == name} for name in ("truck", "bus")}

    whole, step = ranked(scenes)
    assert (whole, step.n_dropped, step.why) == (everything, 0, "")
    for word in ("truck", "bus"):
        embed(scenes, keywords=[word], **only)
        few, step = ranked(scenes)
        assert (few, step.n_kept, step.n_dropped) == (of[word], 5, 25)
        assert step.why == "25 not taken by the early filter of embed"
    embed(scenes, kind=["image"])
    assert ranked(scenes)[0] == of["bus"]
    embed(scenes)
    assert ranked(scenes)[0] == everything


def test_a_filter_that_leaves_nothing_leaves_nothing_to_rank(scenes: Path) -> None:
    embed(scenes)
    embed(scenes, keywords=["zebra"], top_up_below=0)

    with pytest.raises(DataError, match="keywords left all of them out"):
        run("mine", scenes)


def test_a_filter_of_other_detections_says_nothing_of_these(scenes: Path) -> None:
    few = run("detect", scenes, detector="blobs", keep=1)
    embed(scenes)
    run("detect", scenes, detector="blobs")
    embed(scenes, keywords=["zebra"], top_up_below=0)

    summary = run("mine", scenes, detections=few.run_id)

    assert Tally.from_json(summary.extra["counts"][0]).n_kept == few.extra["n_crops"]


def test_forgotten_crops_are_gone_from_what_was_taken(scenes: Path) -> None:
    embed(scenes, keywords=["blob"])
    gone = next(iter(crops(scenes)))

    forget(scenes, gone)

    (file,) = (scenes / "runs").glob("*/crops.json")
    assert gone not in file.read_text()
    assert ranked(scenes)[0] == crops(scenes).keys()


def test_more_crops_redraw_nobody_that_came_in_by_chance(scenes: Path) -> None:
    def filtered(n_cars: int, **settings: Any) -> set[str]:
        coco_things(scenes, ["truck"] * 5 + ["car"] * n_cars)
        embed(scenes, keywords=["truck"], **settings)
        cars = {key for key, crop in crops(scenes).items() if crop.class_name == "car"}
        return ranked(scenes)[0] & cars

    first, other_seed = filtered(35), filtered(35, seed=1)
    more, even_more = filtered(40), filtered(75)

    assert (len(first), len(other_seed), len(more), len(even_more)) == (4, 4, 4, 8)
    assert first != other_seed
    assert len(first & more) >= 3
    assert more < even_more or len(more & even_more) >= 3


def test_those_that_came_in_by_chance_stay_when_more_pictures_are_looked_at(scenes: Path) -> None:
    def by_chance() -> set[str]:
        embed(scenes, keywords=["zebra"], top_up_share=0.3)
        return ranked(scenes)[0]

    before = by_chance()
    for number in range(N_PICTURES, 3 * N_PICTURES):
        write_scene(scenes / "in" / f"{number:02d}.png", boxes_of(number), tint=number)
        ingest(scenes, scenes / "in")
        run("detect", scenes, detector="blobs")
        after = by_chance()
        assert before <= after
        before = after
    assert len(before) == int(0.3 * len(crops(scenes)))


def test_searching_finds_pictures_or_crops_and_never_both(scenes: Path) -> None:
    embed(scenes, kind=["crop", "image", "frame"])
    query_path = str(path_of(scenes, next(iter(crops(scenes).values())).parent_id))

    pictures = run("search", scenes, queries=[query_path], k=100).extra["results"][0]["nearest"]
    things = run("search", scenes, queries=[query_path], k=100, kind=["crop"]).extra["results"][0]["nearest"]

    assert len(pictures) == N_PICTURES
    assert all("#" not in one["path"] for one in pictures)
    assert {one["item_id"] for one in things} == crops(scenes).keys()
    assert all("#xywh=" in one["path"] for one in things)


def test_a_crop_can_be_searched_for_among_pictures_and_among_crops(scenes: Path) -> None:
    embed(scenes, kind=["crop", "image", "frame"])
    crop_id = next(iter(crops(scenes)))

    among_pictures = run("search", scenes, queries=[crop_id]).extra["results"][0]["nearest"]
    among_crops = run("search", scenes, queries=[crop_id], kind=["crop"], k=100).extra["results"][0]["nearest"]

    assert crop_id not in {one["item_id"] for one in among_pictures}
    assert {one["item_id"]: round(one["cosine"], 4) for one in among_crops}[crop_id] == 1


def test_searching_a_kind_that_has_no_vectors_says_how_to_get_them(scenes: Path) -> None:
    embed(scenes, kind=["image", "frame"])

    with pytest.raises(DataError, match="no vectors of kind crop: mekiki embed --kind crop"):
        run("search", scenes, queries=[str(scenes / "in" / "00.png")], kind=["crop"])


def test_searching_pictures_where_only_crops_have_vectors_says_so(scenes: Path) -> None:
    embed(scenes)

    with pytest.raises(DataError, match=r"no vectors of whole pictures: mekiki embed.*add --kind crop"):
        run("search", scenes, queries=[str(scenes / "in" / "00.png")])


def test_crops_are_called_by_their_picture_and_their_place(scenes: Path) -> None:
    with Catalog(scenes) as catalog:
        names = names_of_items(catalog, list(crops(scenes)))

    for item_id, crop in crops(scenes).items():
        left, top, right, bottom = (int(edge) for edge in crop.box)
        place = f"#xywh={left},{top},{right - left},{bottom - top}"
        assert names[item_id] == f"{path_of(scenes, crop.parent_id)}{place}"


def test_crops_of_frames_are_called_by_their_clip_time_and_place(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    make_video(tmp_path / "in" / "clip.mp4", Recipe(n_frames=20))
    found = [{"category": "1", "conf": 0.9, "bbox": [0, 0, 0.5, 0.5], "frame_number": 10}]
    entry = {"file": "clip.mp4", "frame_rate": 10, "detections": found}
    file = write_json(tmp_path / "in" / "b.json", {"detection_categories": {"1": "fox"}, "images": [entry]})
    ingest(tmp_path, tmp_path / "in")
    run("frames", tmp_path, every_n_frames=10)
    run("detect", tmp_path, detector=f"megadetector:{file}")

    summary = embed(tmp_path)

    with Catalog(tmp_path) as catalog:
        (name,) = names_of_items(catalog, list(crops(tmp_path))).values()
    assert summary.n_written == 1
    assert "clip.mp4#t=" in name
    assert "&xywh=0,0," in name


def test_other_readers_of_the_run_do_not_see_its_crops(scenes: Path) -> None:
    embed(scenes, kind=["image", "frame"])
    before = run("dedupe", scenes, by="vectors")
    embed(scenes)

    after = run("dedupe", scenes, by="vectors")

    assert (after.run_id, counts(after)) == (before.run_id, (N_PICTURES, 0, N_PICTURES, 0))


def test_a_dry_run_counts_crops_and_writes_nothing(scenes: Path) -> None:
    rows = dump(scenes)

    summary = run_stage("embed", scenes, LAYOUT, engine=LocalEngine(dry_run=True))

    assert (summary.extra["n_todo"], dump(scenes) == rows) == (N_THINGS, True)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        pytest.param({"kind": ["video"]}, "--kind takes image, frame and crop", id="a kind without pixels"),
        pytest.param({"kind": ["image"], "keywords": ["car"]}, "--keywords is for crops", id="keywords of pictures"),
        pytest.param({"keywords": ["truck", " "]}, "a keyword is empty", id="an empty keyword"),
        pytest.param({"kind": ["image"], "top_up_share": 0.5}, "--top-up-share does nothing", id="share of pictures"),
        pytest.param({"top_up_below": 0.5}, "--top-up-below does nothing with no --keywords", id="no keywords"),
        pytest.param({"seed": 1}, "--seed does nothing with no --keywords", id="a seed of nothing"),
        pytest.param(
            {"keywords": ["car"], "top_up_below": 0, "top_up_share": 0.5},
            "--top-up-share does nothing with --top-up-below 0",
            id="a share of nothing",
        ),
        pytest.param({"embedder": "vectors"}, "vectors in files are of whole pictures", id="vectors in files"),
    ],
)
def test_what_does_not_fit_is_refused(scenes: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        embed(scenes, **settings)


def test_without_detections_it_says_what_to_do_first(tmp_path: Path) -> None:
    make_scenes(tmp_path, 1)

    with pytest.raises(DataError, match="mekiki detect"):
        embed(tmp_path)


def test_a_picture_whose_file_holds_something_else_now_takes_its_crops_along(scenes: Path) -> None:
    first = next(iter(crops(scenes).values())).parent_id
    path = path_of(scenes, first)
    PillowImage.fromarray(scene_with([], tint=99)).save(path)
    ingest(scenes, scenes / "in")

    summary = embed(scenes)

    n_lost = sum(crop.parent_id == first for crop in crops(scenes).values())
    assert (counts(summary), early(summary).n_in) == ((N_THINGS - n_lost, N_THINGS - n_lost, 0, 0), N_THINGS - n_lost)


def test_a_moved_workspace_still_reads_its_crops(scenes: Path, tmp_path: Path) -> None:
    moved = Path(shutil.move(scenes, tmp_path / "moved"))

    assert counts(embed(moved)) == (N_THINGS, N_THINGS, 0, 0)
