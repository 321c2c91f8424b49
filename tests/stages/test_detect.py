"""Stage ``detect``: boxes and crops; sampled, resumed, looked up, refused."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage

from detector_graphs import NAMES, RED, picture, spoil, write_detector
from mekiki.api.verbs import run_stage
from mekiki.api.workspace import forget
from mekiki.catalog.attributes import read_attributes
from mekiki.catalog.crops import crops_of
from mekiki.catalog.db import Catalog
from mekiki.engine.detecting import DetectWork
from mekiki.engine.local import LocalEngine
from mekiki.errors import BackendError, DataError, InterruptedRunError, UsageError
from mekiki.records import RunSummary, Tally
from objects import boxes_of, make_scenes, write_scene
from videos import Recipe, make_video
from workspaces import (
    counts,
    dump,
    file_hashes,
    ingest,
    make_photos,
    mekiki,
    query,
    reasons,
    run,
    start_mekiki,
    tables,
    write_json,
    write_text,
)

BLOBS = {"detector": "blobs"}
N_PICTURES = 12


def detect(workspace: Path, **settings: Any) -> RunSummary:
    return run("detect", workspace, **{**BLOBS, **settings})


def found(workspace: Path, run_id: str | None = None) -> dict[str, list[tuple[float, ...]]]:
    """Return name of each picture to its boxes, sorted, of one run or of all."""
    sql = (
        "SELECT s.path, x_min, y_min, x_max, y_max FROM boxes b JOIN sources s ON s.item_id = b.item_id "
        "WHERE coalesce(?, b.run_id) = b.run_id ORDER BY s.path, x_min, y_min"
    )
    boxes: dict[str, list[tuple[float, ...]]] = {}
    for path, *edges in query(workspace, sql, run_id):
        boxes.setdefault(Path(path).name, []).append(tuple(edges))
    return boxes


def expected(*numbers: int) -> dict[str, list[tuple[int, ...]]]:
    return {f"{number:02d}.png": sorted(boxes_of(number)) for number in numbers if boxes_of(number)}


def tallies(summary: RunSummary) -> dict[str, Tally]:
    return {one["step"]: Tally.from_json(one) for one in summary.extra["counts"]}


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    return make_scenes(tmp_path / "ws", N_PICTURES)


def test_it_finds_what_was_drawn_and_counts_it(scenes: Path) -> None:
    summary = detect(scenes)

    n_things = sum(len(boxes_of(number)) for number in range(N_PICTURES))
    assert found(scenes) == expected(*range(N_PICTURES))
    assert counts(summary) == (N_PICTURES, N_PICTURES, 0, 0)
    assert summary.n_rows == 2 * n_things
    assert summary.extra["classes"] == {"blob": n_things}
    assert (summary.extra["n_boxes"], summary.extra["n_crops"], summary.extra["n_without_boxes"]) == (
        n_things,
        n_things,
        2,
    )
    assert (summary.extra["detector"], summary.extra["device"]) == ("blobs", "cpu (numpy)")
    assert f"boxes of each class: blob {n_things}" in summary.notes
    for tally in tallies(summary).values():
        assert tally.line() in summary.notes


def test_crops_are_items_that_lie_where_the_boxes_are(scenes: Path) -> None:
    summary = detect(scenes)

    with Catalog(scenes) as catalog:
        crops = crops_of(catalog, summary.run_id)
    rows = query(scenes, "SELECT item_id, parent_id, width_px, height_px, parameters FROM items WHERE kind = 'crop'")
    placed = {row[0]: row[1:] for row in rows}
    assert len(crops) == len(rows) == summary.extra["n_crops"]
    for crop in crops:
        parent_id, width, height, parameters = placed[crop.item_id]
        left, top, right, bottom = crop.box
        assert parent_id == crop.parent_id
        assert (width, height) == (right - left, bottom - top)
        assert tuple(json.loads(parameters)["xyxy"]) == crop.box


def test_a_picture_without_boxes_is_done_too(scenes: Path) -> None:
    first = detect(scenes)
    second = detect(scenes)

    assert query(scenes, "SELECT count(*) FROM done WHERE run_id = ?", first.run_id) == [(N_PICTURES,)]
    assert counts(second) == (N_PICTURES, 0, N_PICTURES, 0)
    assert second.extra["counts"] == first.extra["counts"]


def test_one_broken_picture_in_the_middle_shifts_nothing(scenes: Path) -> None:
    (scenes / "in" / "05.png").write_bytes(b"\x89PNG\r\n\x1a\n nothing")

    summary = detect(scenes)

    assert found(scenes) == expected(*(number for number in range(N_PICTURES) if number != 5))
    assert counts(summary) == (N_PICTURES, N_PICTURES - 1, 0, 1)
    assert reasons(summary).keys() == {"05.png"}
    step = tallies(summary)["detection"]
    assert (step.n_in, step.n_kept, step.n_failed) == (N_PICTURES, N_PICTURES - 1, 1)


@pytest.mark.parametrize("workers", [1, 2])
def test_one_picture_for_which_the_network_gives_no_numbers_fails_alone(tmp_path: Path, workers: int) -> None:
    (tmp_path / "in").mkdir()
    for name, pixels in (("a", picture((32, 0, RED))), ("b", np.full((64, 64, 3), 255, np.uint8)), ("c", picture())):
        PillowImage.fromarray(pixels).save(tmp_path / "in" / f"{name}.png")
    ingest(tmp_path, tmp_path / "in")
    path = spoil(write_detector(tmp_path / "net.onnx", names=str(list(NAMES))), 0.6)

    summary = detect(tmp_path, detector=f"onnx:{path}", workers=workers)

    assert counts(summary) == (3, 2, 0, 1)
    assert reasons(summary) == {"b.png": "onnx:net.onnx gives scores from nan to nan and not in 0 to 1"}
    assert found(tmp_path).keys() == {"a.png"}


def test_a_share_is_looked_at_and_the_same_command_looks_at_the_same(scenes: Path) -> None:
    first = detect(scenes, share=0.25, seed=7)
    second = detect(scenes, share=0.25, seed=7)
    other = detect(scenes, share=0.25, seed=8)

    step = tallies(first)["sampling"]
    assert (step.n_in, step.n_kept, step.n_dropped, step.why) == (12, 3, 9, "share 0.25, seed 7")
    assert counts(second) == (3, 0, 3, 0)
    assert (other.run_id != first.run_id, other.n_written) == (True, 3)


def test_new_pictures_join_the_run_and_replace_none_that_were_looked_at(scenes: Path) -> None:
    first = detect(scenes, share=0.5)
    before = set(query(scenes, "SELECT item_id FROM done WHERE run_id = ?", first.run_id))
    for number in range(N_PICTURES, 2 * N_PICTURES):
        write_scene(scenes / "in" / f"{number:02d}.png", boxes_of(number), tint=number)
    ingest(scenes, scenes / "in")

    second = detect(scenes, share=0.5)

    after = set(query(scenes, "SELECT item_id FROM done WHERE run_id = ?", first.run_id))
    assert (second.run_id, counts(second)) == (first.run_id, (12, 6, 6, 0))
    assert before < after


def test_a_limit_leaves_the_rest_for_later(scenes: Path) -> None:
    first = detect(scenes, limit=5)
    second = detect(scenes)

    step = tallies(first)["detection"]
    assert (step.n_in, step.n_kept, step.n_dropped, step.why) == (12, 5, 7, "7 are left by --limit")
    assert counts(second) == (12, 7, 5, 0)
    assert found(scenes) == expected(*range(N_PICTURES))


def test_only_the_surest_are_kept_and_the_others_are_counted_in_every_later_call(scenes: Path) -> None:
    n_things = sum(len(boxes_of(number)) for number in range(N_PICTURES))
    n_pictures = sum(bool(boxes_of(number)) for number in range(N_PICTURES))
    first = detect(scenes, keep=1, limit=6)
    second = detect(scenes, keep=1)

    assert tallies(first)["keep best"].n_in < n_things
    step = tallies(second)["keep best"]
    assert (step.n_in, step.n_kept, step.n_dropped) == (n_things, n_pictures, n_things - n_pictures)
    assert "after the surest 1 of a picture" in step.why


def test_what_it_has_counted_stands_in_its_run(scenes: Path) -> None:
    summary = detect(scenes)

    stored = json.loads(query(scenes, "SELECT summary FROM runs WHERE run_id = ?", summary.run_id)[0][0])
    assert stored["counts"] == summary.extra["counts"]
    assert stored["classes"] == summary.extra["classes"]


def test_padding_makes_other_crops_and_the_same_boxes(scenes: Path) -> None:
    plain, padded = detect(scenes), detect(scenes, padding=0.05)

    assert found(scenes, plain.run_id) == found(scenes, padded.run_id)
    with Catalog(scenes) as catalog:
        without, wider = crops_of(catalog, plain.run_id), crops_of(catalog, padded.run_id)
    assert not {one.item_id for one in without} & {one.item_id for one in wider}
    sizes = dict(query(scenes, "SELECT item_id, width_px FROM items WHERE kind = 'crop'"))
    assert all(sizes[one.item_id] >= one.box[2] - one.box[0] + 1 for one in wider)


def test_large_pictures_are_shrunk_and_boxes_are_in_pixels_of_the_whole(tmp_path: Path) -> None:
    things = [(100, 60, 420, 300), (600, 400, 900, 700)]
    write_scene(tmp_path / "in" / "large.png", things, width_px=1000, height_px=750)
    ingest(tmp_path, tmp_path / "in")

    detect(tmp_path, long_side=250)

    boxes = found(tmp_path)["large.png"]
    assert len(boxes) == 2
    for box, thing in zip(boxes, things, strict=True):
        assert max(abs(a - b) for a, b in zip(box, thing, strict=True)) <= 4 * 2  # two pixels of what was looked at


def test_kill_9_loses_at_most_a_batch_and_the_same_command_does_the_rest(tmp_path: Path) -> None:
    killed = make_scenes(tmp_path / "killed", 60)
    whole = Path(shutil.copytree(killed, tmp_path / "whole"))
    process = start_mekiki("detect", "--detector", "blobs", "--batch-size", 2, "--workers", 1, "-w", killed)
    ends = time.monotonic() + 60
    while time.monotonic() < ends and query(killed, "SELECT count(*) FROM boxes")[0][0] < 6:
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()

    alike = {"batch_size": 2, "workers": 1}
    summary, at_once = detect(killed, **alike), detect(whole, **alike)

    assert 0 < summary.n_skipped < 60
    assert tables(killed) == tables(whole)
    assert summary.extra["counts"] == at_once.extra["counts"]
    assert counts(detect(killed)) == (60, 0, 60, 0)


def test_frames_of_clips_are_looked_at_and_videos_are_not(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    make_video(tmp_path / "in" / "clip.mp4", Recipe(n_frames=20))
    ingest(tmp_path, tmp_path / "in")

    without = detect(tmp_path)
    run("frames", tmp_path, every_n_frames=10)
    summary = detect(tmp_path)

    assert counts(without) == (0, 0, 0, 0)
    assert any("mekiki frames" in note for note in without.notes)
    assert counts(summary) == (2, 2, 0, 0)


def test_a_dry_run_says_how_many_and_writes_nothing(scenes: Path) -> None:
    rows, files = dump(scenes), file_hashes(scenes)

    summary = run_stage("detect", scenes, {**BLOBS, "share": 0.5}, engine=LocalEngine(dry_run=True))

    assert summary.extra["n_todo"] == 6
    assert (dump(scenes), file_hashes(scenes)) == (rows, files)


def test_forgetting_a_run_takes_its_boxes_its_own_crops_and_their_vectors(scenes: Path) -> None:
    few, many = detect(scenes, keep=1), detect(scenes)
    run("embed", scenes, embedder="colour-layout", kind=["crop"])
    shared = {row[0] for row in query(scenes, "SELECT item_id FROM made WHERE run_id = ?", few.run_id)}

    forget(scenes, many.run_id)

    left = {row[0] for row in query(scenes, "SELECT item_id FROM items WHERE kind = 'crop'")}
    assert left == shared
    assert {row[0] for row in query(scenes, "SELECT item_id FROM vectors")} == shared
    assert {row[0] for row in query(scenes, "SELECT DISTINCT run_id FROM boxes")} == {few.run_id}
    assert found(scenes, few.run_id).keys() == expected(*range(N_PICTURES)).keys()


def test_forgetting_a_crop_takes_its_box_and_forgetting_a_picture_its_crops(scenes: Path) -> None:
    summary = detect(scenes)
    with Catalog(scenes) as catalog:
        crops = crops_of(catalog, summary.run_id)
    parent_id = crops[-1].parent_id

    forget(scenes, crops[0].item_id)
    forget(scenes, parent_id)

    with Catalog(scenes) as catalog:
        left = {one.item_id for one in crops_of(catalog, summary.run_id)}
    assert left == {one.item_id for one in crops[1:] if one.parent_id != parent_id}
    assert left == {row[0] for row in query(scenes, "SELECT item_id FROM items WHERE kind = 'crop'")}


def megadetector(path: Path, entries: dict[str, list[tuple[str, float, list[float]]]]) -> Path:
    """Write a batch file; boxes are left, top, width, height in shares of the sides."""
    ids = {"animal": "1", "person": "2"}
    images = [
        {
            "file": name,
            "detections": [{"category": ids[one[0]], "conf": one[1], "bbox": one[2]} for one in found],
        }
        for name, found in entries.items()
    ]
    content = {"info": {"format_version": "1.4"}, "detection_categories": {"1": "animal", "2": "person"}}
    return write_json(path, {**content, "images": images})


def test_boxes_of_megadetector_are_taken_by_the_same_rules_and_what_is_left_is_said(scenes: Path) -> None:
    file = megadetector(
        scenes / "in" / "boxes.json",
        {
            "00.png": [("animal", 0.9, [0, 0, 0.5, 0.5]), ("animal", 0.1, [0, 0, 0.2, 0.2])],
            "01.png": [("animal", 0.4, [0.5, 0.5, 0.5, 0.5]), ("animal", 0.8, [0, 0, 0.25, 0.5])],
            "02.png": [],
            "elsewhere.png": [("animal", 0.9, [0, 0, 1, 1])],
        },
    )
    (scenes / "in" / "00.png").write_bytes(b"gone bad")  # nobody looks at it

    summary = detect(scenes, detector=f"megadetector:{file}", keep=1)

    assert found(scenes) == {"00.png": [(0, 0, 80, 60)], "01.png": [(0, 0, 40, 60)]}
    assert counts(summary) == (3, 3, 0, 0)
    assert (summary.extra["n_entries"], summary.extra["n_without_item"], summary.extra["n_without_entry"]) == (4, 1, 9)
    assert "detection: 12 pictures = 3 kept + 9 dropped + 0 failed (9 have no entry)" in summary.notes
    assert "1 picture has no box" in summary.notes
    assert any(note.startswith("1 entry is about files that are not in the workspace") for note in summary.notes)
    step = tallies(summary)["keep best"]
    assert (step.n_in, step.n_kept, step.n_dropped) == (4, 2, 2)
    assert "below confidence 0.25" in step.why


def test_entries_that_cannot_be_used_are_failures_and_shift_nothing(scenes: Path) -> None:
    whole = ("animal", 0.9, [0.0, 0.0, 0.5, 0.5])
    file = megadetector(scenes / "in" / "boxes.json", {"00.png": [whole], "../../away.png": [whole]})

    first, second = (detect(scenes, detector=f"megadetector:{file}") for _ in range(2))

    assert found(scenes) == {"00.png": [(0, 0, 80, 60)]}
    assert (counts(first), counts(second)) == ((2, 1, 0, 1), (2, 0, 1, 1))
    (failure,) = first.failures
    assert failure.path.startswith(f"{file}:")
    assert "away.png" in failure.reason
    step = tallies(first)["detection"]
    assert (step.n_in, step.n_kept, step.n_dropped, step.n_failed) == (N_PICTURES, 1, N_PICTURES - 1, 0)
    assert query(scenes, "SELECT path FROM failures") == [(failure.path,)]
    assert mekiki("detect", "--detector", f"megadetector:{file}", "-w", scenes)[0] == 3


def test_another_root_gives_other_boxes_and_so_another_run(scenes: Path) -> None:
    for name, tint in (("a", 50), ("b", 60)):
        write_scene(scenes / name / "x.png", [], tint=tint)
    ingest(scenes, scenes / "a", scenes / "b")
    file = megadetector(scenes / "boxes.json", {"x.png": [("animal", 0.9, [0, 0, 0.5, 0.5])]})

    first, second = (detect(scenes, detector=f"megadetector:{file}", root=str(scenes / name)) for name in "ab")

    paths = {
        run_id: query(scenes, "SELECT s.path FROM boxes b JOIN sources s USING (item_id) WHERE b.run_id = ?", run_id)
        for run_id in (first.run_id, second.run_id)
    }
    assert paths == {first.run_id: [("a/x.png",)], second.run_id: [("b/x.png",)]}


def test_what_it_counts_for_itself_is_no_attribute_of_pictures(scenes: Path) -> None:
    detect(scenes, keep=1)

    with Catalog(scenes) as catalog:
        assert query(scenes, "SELECT count(*) FROM attributes WHERE name = 'boxes_dropped'")[0][0] > 0
        assert not any("boxes_dropped" in known for known in read_attributes(catalog).values())


def test_boxes_that_were_ingested_become_crops(scenes: Path) -> None:
    coco = {
        "images": [{"id": 1, "file_name": "03.png", "width": 160, "height": 120}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 20, 30, 40], "area": 1200, "iscrowd": 0},
            {"id": 2, "image_id": 1, "category_id": 2, "bbox": [0, 0, 160, 120], "area": 19200, "iscrowd": 0},
        ],
        "categories": [{"id": 1, "name": "fox"}, {"id": 2, "name": "car"}],
    }
    ingest(scenes, scenes / "in", labels=[str(write_json(scenes / "in" / "coco.json", coco))])

    summary = detect(scenes, detector="import")
    foxes = detect(scenes, detector="import", classes=["fox"])

    assert summary.extra["classes"] == {"car": 1, "fox": 1}
    assert found(scenes, foxes.run_id) == {"03.png": [(10, 20, 40, 60)]}
    assert summary.extra["n_without_entry"] == N_PICTURES - 1
    with pytest.raises(UsageError, match=r"no class of import is called 'fux'\. Did you mean 'fox'"):
        detect(scenes, detector="import", classes=["fux"])


def test_looking_boxes_up_twice_writes_nothing_new_and_other_boxes_are_another_run(scenes: Path) -> None:
    file = megadetector(scenes / "in" / "boxes.json", {"00.png": [("animal", 0.9, [0, 0, 0.5, 0.5])]})
    first = detect(scenes, detector=f"megadetector:{file}")
    rows = dump(scenes)
    second = detect(scenes, detector=f"megadetector:{file}")

    assert dump(scenes) == rows
    megadetector(file, {"00.png": [("animal", 0.9, [0, 0, 0.25, 0.5])]})
    third = detect(scenes, detector=f"megadetector:{file}")
    assert (second.run_id == first.run_id, third.run_id != first.run_id) == (True, True)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        pytest.param({"detector": "blob"}, "no detector is called 'blob'. Did you mean 'blobs'", id="unknown detector"),
        pytest.param({"detector": "import", "iou": 0.3}, "--iou is for detectors that look at", id="a flag of others"),
        pytest.param({"detector": "import:x"}, "detector import reads the workspace", id="import of a file"),
        pytest.param({"detector": "blobs:x"}, "detector blobs has no variants", id="a variant of none"),
        pytest.param({"weights": "nope"}, "blobs takes no file of weights", id="weights for what has none"),
        pytest.param({"device": "xpu"}, "no device is called 'xpu'", id="a device that is none"),
        pytest.param(
            {"detector": "import", "device": "gpu"}, "no device is called 'gpu'", id="no device to look up with"
        ),
        pytest.param({"keep": 200}, "--keep 200 keeps no more than the --max-boxes 100", id="more than are given"),
        pytest.param({"allow_outside": True}, "--allow-outside is for --detector megadetector", id="out of nowhere"),
        pytest.param({"seed": 43}, "--seed does nothing at --share 1", id="a seed of nothing"),
        pytest.param({"root": "x"}, "--root is for --detector megadetector:FILE", id="a root for nothing"),
        pytest.param({"detector": "megadetector"}, "--detector megadetector:FILE", id="no file named"),
        pytest.param({"detector": "megadetector:no.json"}, "there is no label file 'no.json'", id="no such file"),
        pytest.param({"share": 0}, "share: .* greater than 0", id="a share of nothing"),
        pytest.param({"share": 1.5}, "share: .* less than or equal to 1", id="more than all"),
        pytest.param({"classes": ["fox"]}, "no class of blobs is called 'fox'", id="a class that it does not know"),
    ],
)
@pytest.mark.parametrize("is_done", [pytest.param(False, id="at first"), pytest.param(True, id="with the run done")])
def test_what_does_not_fit_is_refused(scenes: Path, settings: dict[str, Any], message: str, *, is_done: bool) -> None:
    if is_done:
        detect(scenes)

    with pytest.raises(UsageError, match=message):
        detect(scenes, **settings)


def test_a_device_and_allowing_code_may_be_said_to_every_step(scenes: Path) -> None:
    summary = detect(scenes, device="cuda:1", allow_code=True)

    assert counts(summary) == (N_PICTURES, N_PICTURES, 0, 0)


def test_fewer_boxes_may_be_asked_of_the_detector_than_are_kept_by_default(scenes: Path) -> None:
    assert detect(scenes, max_boxes=1).extra["n_boxes"] == sum(bool(boxes_of(n)) for n in range(N_PICTURES))


def test_a_workspace_without_boxes_or_entries_says_where_they_come_from(scenes: Path) -> None:
    with pytest.raises(DataError, match="mekiki ingest --labels FILE"):
        detect(scenes, detector="import")
    file = megadetector(scenes / "in" / "boxes.json", {"elsewhere.png": [("animal", 0.9, [0, 0, 1, 1])]})
    with pytest.raises(DataError, match=r"no entry in .* \(1 entry, the first is .*--root"):
        detect(scenes, detector=f"megadetector:{file}")


def test_weights_that_are_not_there_are_a_missing_backend(scenes: Path) -> None:
    with pytest.raises((BackendError, UsageError), match=r"none\.onnx"):
        detect(scenes, detector="onnx:none.onnx")


def test_a_file_that_is_no_megadetector_file_is_refused(scenes: Path) -> None:
    file = write_text(scenes / "in" / "x.json", "[]")

    with pytest.raises(UsageError, match="not a MegaDetector batch file"):
        detect(scenes, detector=f"megadetector:{file}")


def test_real_photos_and_a_real_detector(tmp_path: Path, shared_data: Path) -> None:
    pytest.importorskip("onnxruntime")
    shutil.copytree(shared_data / "street" / "ultralytics", tmp_path / "in")
    ingest(tmp_path, tmp_path / "in")

    summary = detect(tmp_path, detector=str(shared_data / "weights" / "detection" / "yolox_nano.onnx"))

    assert summary.n_failed == 0
    assert {"person", "bus"} <= summary.extra["classes"].keys()


def test_photos_in_which_nothing_is_found_have_no_crops(tmp_path: Path) -> None:
    make_photos(tmp_path, 2)

    summary = detect(tmp_path, confidence=1.0)

    assert (summary.extra["n_boxes"], summary.extra["n_crops"], summary.extra["n_without_boxes"]) == (0, 0, 2)


def test_a_detector_that_cannot_be_opened_leaves_no_run_that_seems_to_be_running(
    scenes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: DetectWork) -> None:
        raise BackendError("the network is broken")

    with monkeypatch.context() as patched:
        patched.setattr(DetectWork, "open", refuse)
        with pytest.raises(BackendError, match="the network is broken"):
            detect(scenes, workers=1)

    status = "SELECT status FROM runs WHERE stage = 'detect'"
    assert query(scenes, status) == [("stopped",)]
    detect(scenes, workers=1)
    assert query(scenes, status) == [("finished",)]


@pytest.mark.parametrize("error", [UsageError("no such class"), InterruptedRunError("enough"), KeyboardInterrupt()])
def test_a_detection_that_is_refused_or_interrupted_is_not_shown_as_running(
    scenes: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def stop(self: DetectWork) -> None:
        raise error

    monkeypatch.setattr(DetectWork, "open", stop)
    with pytest.raises(type(error)):
        detect(scenes, workers=1)

    assert query(scenes, "SELECT status FROM runs WHERE stage = 'detect'") == [("stopped",)]
