"""Stage ``detect`` with boxes that are there already: what nobody speaks of, and what cannot be used."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from mekiki.dataset.formats.json_files import read_json
from mekiki.errors import DataError, UsageError
from mekiki.records import RunSummary, Tally
from objects import make_scenes, write_scene
from videos import Recipe, make_video
from workspaces import counts, ingest, query, reasons, run, write_json

N_PICTURES = 6
GOOD = {"category": "1", "conf": 0.9, "bbox": [0, 0, 0.5, 0.5]}


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    return make_scenes(tmp_path / "ws", N_PICTURES)


def look_up(workspace: Path, *entries: dict[str, Any], **settings: Any) -> RunSummary:
    content = {"detection_categories": {"1": "animal"}, "images": list(entries)}
    file = write_json(workspace / "in" / "boxes.json", content)
    return run("detect", workspace, detector=f"megadetector:{file}", **settings)


def entry(name: str, *detections: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"file": name, "detections": list(detections), **more}


def failed(name: str) -> dict[str, Any]:
    return {"file": name, "failure": "image access failure"}


def tallies(summary: RunSummary) -> dict[str, Tally]:
    return {one["step"]: Tally.from_json(one) for one in summary.extra["counts"]}


def done(workspace: Path) -> set[str]:
    sql = "SELECT s.path FROM done d JOIN sources s USING (item_id) JOIN runs r USING (run_id) WHERE r.stage = 'detect'"
    return {Path(row[0]).name for row in query(workspace, sql)}


def test_a_picture_without_an_entry_is_neither_looked_at_nor_empty(scenes: Path) -> None:
    summary = look_up(scenes, entry("00.png", GOOD), entry("01.png"))

    step = tallies(summary)["detection"]
    assert (step.n_in, step.n_kept, step.n_dropped, step.why) == (6, 2, 4, "4 have no entry")
    assert done(scenes) == {"00.png", "01.png"}
    assert (summary.extra["n_without_boxes"], summary.extra["n_without_entry"]) == (1, 4)


def test_an_entry_with_an_endless_path_is_refused_alone(scenes: Path) -> None:
    summary = look_up(scenes, entry("00.png", GOOD), entry("a" * 5000, GOOD), entry("x/" * 3000, GOOD))

    assert done(scenes) == {"00.png"}
    assert summary.extra["n_entries_refused"] == 2
    said = [one for one in summary.failures if "its path is too long" in one.reason]
    assert len(said) == 2
    assert all(len(one.reason) < 250 for one in said)


@pytest.mark.parametrize("what", ["pipe.json", "/dev/zero"])
def test_a_file_that_never_ends_is_not_read(scenes: Path, what: str) -> None:
    os.mkfifo(scenes / "pipe.json")

    with pytest.raises(UsageError, match="neither a file nor a folder"):
        run("detect", scenes, detector=f"megadetector:{scenes / what}")
    with pytest.raises(UsageError, match="is no file: give the path of a file of MegaDetector"):
        read_json(scenes / what, "a file of MegaDetector")


def test_a_picture_whose_entry_is_refused_has_failed_and_is_tried_again(scenes: Path) -> None:
    broken = [entry("00.png", GOOD), failed("02.png"), {"file": "03.png", "detections": 7}]

    first, second = (look_up(scenes, *broken) for _ in range(2))

    assert counts(first) == (3, 1, 0, 2)
    assert counts(second) == (3, 0, 1, 2)
    assert reasons(first).keys() == {"02.png", "03.png"}
    assert "image access failure" in reasons(first)["02.png"]
    step = tallies(second)["detection"]
    assert (step.n_in, step.n_kept, step.n_dropped, step.n_failed) == (6, 1, 3, 2)
    assert done(scenes) == {"00.png"}
    rows = "SELECT s.path FROM failures f JOIN sources s USING (item_id)"
    assert {Path(row[0]).name for row in query(scenes, rows)} == {"02.png", "03.png"}


def test_a_refused_path_is_a_failure_of_the_picture_that_it_names(scenes: Path) -> None:
    write_scene(scenes / "other" / "x.png", [], tint=90)
    ingest(scenes, scenes / "other")

    summary = look_up(scenes, entry("00.png", GOOD), entry("../other/x.png", GOOD))

    assert reasons(summary).keys() == {"x.png"}
    assert tallies(summary)["detection"].n_failed == 1


def test_a_picture_with_a_good_entry_beside_a_refused_one_is_good(scenes: Path) -> None:
    summary = look_up(scenes, failed("00.png"), entry("00.png", GOOD), entry("01.png", GOOD), entry("01.png", GOOD))

    assert (counts(summary), summary.extra["n_boxes"]) == ((2, 2, 0, 0), 2)
    assert summary.extra["n_entries_refused"] == 2


def test_refused_boxes_are_counted_and_the_others_of_the_picture_stay(scenes: Path) -> None:
    bad = {"category": "1", "conf": 2.5, "bbox": [0, 0, 0.5, 0.5]}
    entries = (entry("00.png", bad, GOOD, {**GOOD, "bbox": [1]}), entry("01.png", bad))

    first, second = (look_up(scenes, *entries, limit=limit) for limit in (1, None))

    step = tallies(second)["keep best"]
    assert (step.n_in, step.n_kept, step.n_dropped, step.n_failed) == (4, 1, 0, 3)
    assert (counts(second), second.extra["n_boxes"]) == ((2, 1, 1, 0), 1)
    assert any(note.startswith("3 boxes cannot be used, the first is ") for note in second.notes)
    assert first.run_id == second.run_id


def test_what_a_classifier_guessed_wrongly_costs_no_box(scenes: Path) -> None:
    summary = look_up(scenes, entry("00.png", {**GOOD, "classifications": [["9", 0.5]]}))

    assert (counts(summary), summary.extra["n_boxes"], tallies(summary)["keep best"].n_failed) == ((1, 1, 0, 0), 1, 0)


def test_frames_of_a_video_that_the_detector_could_not_read_have_failed(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    make_video(tmp_path / "in" / "clip.mp4", Recipe(n_frames=20))
    write_scene(tmp_path / "in" / "a.png", [])
    ingest(tmp_path, tmp_path / "in")
    run("frames", tmp_path, every_n_frames=10)

    summary = look_up(tmp_path, failed("clip.mp4"), entry("a.png"))

    assert counts(summary) == (3, 1, 0, 2)
    assert tallies(summary)["detection"].n_failed == 2


def test_boxes_cut_at_the_same_place_are_counted_as_one_crop(scenes: Path) -> None:
    summary = look_up(scenes, entry("00.png", GOOD, {**GOOD, "conf": 0.8}, {**GOOD, "bbox": [0.5, 0, 0.5, 0.5]}))

    step = tallies(summary)["crops"]
    assert (step.unit, step.n_in, step.n_kept, step.n_dropped) == ("boxes", 3, 2, 1)
    assert step.why == "cut at the same place"
    assert summary.extra["n_crops"] == 2


def test_a_file_of_which_every_path_leads_out_says_so_and_how_to_allow_it(scenes: Path) -> None:
    with pytest.raises(DataError, match=r"no entry in .* can be used \(2 entries, the first is .*--allow-outside"):
        look_up(scenes, entry("../far/00.png", GOOD), entry("../far/01.png", GOOD))
