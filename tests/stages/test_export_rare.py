"""Stage ``export --format rare-objects``: seed 2's folder, in plain JSON, with every name its own."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage

from detections import cloud_with_strangers, mined_street, store_detections
from mekiki.catalog.db import Catalog
from mekiki.catalog.describing import Described, Descriptions
from mekiki.catalog.mining import require_mining
from mekiki.catalog.vectors import require_vectors
from mekiki.cli.main import main
from mekiki.engine.rare_export import gather_rare, write_rare
from mekiki.engine.run import begin_run, describe_run, end_run, run_folder
from mekiki.errors import DataError, UsageError
from mekiki.media.images import read_image
from mekiki.records import RunSummary
from mekiki.reports.figure_files import bars_png
from mekiki.settings import Settings
from vectors import store_vectors
from workspaces import counts, file_hashes, ingest, make_photos, query, run, scene, write_text

NAMES = ["car"] * 12 + ["truck", "person", "traffic light", "bicycle"]
SEED_KEYS = [
    *("path", "original_path", "sample_token", "class_name", "confidence", "bbox", "is_outlier", "outlier_code"),
    *("top_concept", "is_final_outlier", "is_yolo_potential", "target_matches", "description"),
    *("used_image_embedding", "weight_text", "outlier_source"),
]


def describe(workspace: Path, **changes: Any) -> dict[str, Described]:
    """Store what ``caption`` would have said of the latest selection."""
    with Catalog(workspace) as catalog, catalog.writing("caption"):
        mining = require_mining(catalog)
        run = describe_run("caption", Settings(), "toy", {"mining": mining.run_id, "captions": "c" * 16})
        told = {
            one.item_id: Described(
                one.item_id,
                f"thing {one.rank}",
                "vlm:toy",
                top_concept="excavator",
                concepts={"excavator": 0.4, "car": 0.1},
                is_final_outlier=one.rank == 1,
                decided_by="concepts",
                weight_text=0.5,
                used_image=True,
                targets=("construction_vehicle",) if one.rank == 1 else (),
            )
            for one in mining.selected
        }
        described = Descriptions(run["run_id"], "c" * 16, mining.run_id, "vlm:toy", told)
        begin_run(catalog, run)
        path = run_folder(catalog, run["run_id"]) / "descriptions.json"
        path.write_text(json.dumps(described.to_json()), encoding="utf-8")
        end_run(catalog, RunSummary("caption", run["run_id"]))
    return told


def export(workspace: Path, **settings: Any) -> RunSummary:
    return run("export", workspace, format="rare-objects", **settings)


def records(folder: Path) -> list[dict[str, Any]]:
    return list(json.loads((folder / "detection_results.json").read_text(encoding="utf-8")))


def pictures(folder: Path, name: str) -> set[str]:
    return {path.name for path in (folder / name).iterdir()} if (folder / name).is_dir() else set()


@pytest.fixture
def mined(workspace: Path) -> Path:
    """A workspace with 16 crops in four photos, of which two were chosen: the truck and the person."""
    mined_street(workspace, NAMES, strangers=[12, 13])
    run("mine", workspace, keep="count:2", n_neighbours=3, target_classes=["truck", "construction_vehicle", "bicycle"])
    return workspace


def test_without_words_the_class_name_and_the_keywords_stand_in_and_it_says_so(mined: Path) -> None:
    summary = export(mined)

    folder = mined / "exports" / "rare-objects"
    truck = next(name for name in pictures(folder, "cropped_objects") if name.endswith("_truck.jpg"))
    stem = truck.removesuffix(".jpg")
    assert counts(summary) == (16, 16, 0, 0)
    assert len(pictures(folder, "cropped_objects")) == 16
    assert len(pictures(folder, "inliers")) == 14
    assert pictures(folder, "final_outliers") == {truck, f"{stem}_source.jpg", f"{stem}_desc.txt"}
    assert (folder / "final_outliers" / f"{stem}_desc.txt").read_text() == "truck\n"
    assert pictures(folder, "targets/truck") == {truck}
    assert {one.split("_")[-1] for one in pictures(folder, "targets/bicycle")} == {"bicycle.jpg"}
    assert any("descriptions are class names" in note for note in summary.notes)
    config = json.loads((folder / "config.json").read_text())
    assert (config["skip_caption"], config["described_by"]) == (True, "class-name")
    assert [one["stage"] for one in config["runs"]] == ["detect", "embed", "mine"]
    assert (config["contamination"], config["seed"]) == (None, 42)
    assert {one["decided_by"] for one in records(folder)} == {"keywords"}


def test_records_have_the_seeds_keys_and_plain_values(mined: Path) -> None:
    describe(mined)

    export(mined)

    folder = mined / "exports" / "rare-objects"
    found = records(folder)
    assert [list(one)[: len(SEED_KEYS)] for one in found] == [SEED_KEYS] * 16
    first, last = found[0], found[-1]
    assert (first["is_outlier"], first["outlier_code"], first["rank"]) == (True, -1, 1)
    assert (last["is_outlier"], last["outlier_code"], last["rank"]) == (False, 1, None)
    assert first["outlier_source"] == {"knn": True, "combined": True}
    assert last["outlier_source"] == {"knn": False, "combined": False}
    assert (first["description"], first["top_concept"], first["weight_text"]) == ("thing 1", "excavator", 0.5)
    assert "construction_vehicle" in first["target_matches"]
    for one in found:
        assert [type(edge) for edge in one["bbox"]] == [float] * 4
        assert (folder / one["path"]).is_file()
        assert (folder / one["original_path"]).resolve().parent == mined / "in"
    statistics = json.loads((folder / "statistics.json").read_text())
    assert statistics["total_objects"] == statistics["processed_objects"] == 16
    assert (statistics["outlier_count"], statistics["final_outlier_count"]) == (2, 1)
    assert statistics["target_counts"] == {"truck": 1, "construction_vehicle": 1, "bicycle": 1}
    assert statistics["class_distribution"] == {
        "car": 12,
        "truck": 1,
        "pedestrian": 1,
        "traffic_light": 1,
        "bicycle": 1,
    }
    timing = (folder / "timing.txt").read_text().splitlines()
    assert [line.partition(" ")[0] for line in timing] == ["detect", "embed", "mine", "caption", "total:"]
    assert timing[2].endswith(" s for 16 items")
    shown = [float(line.partition(": ")[2].split()[0]) for line in timing]
    assert abs(shown[-1] - sum(shown[:-1])) < 0.003


def test_a_final_outlier_has_its_scene_its_words_and_its_concepts(mined: Path) -> None:
    describe(mined)

    export(mined)

    folder = mined / "exports" / "rare-objects"
    first = records(folder)[0]
    stem = Path(first["path"]).stem
    assert pictures(folder, "final_outliers") == {
        f"{stem}.jpg",
        f"{stem}_source.jpg",
        f"{stem}_desc.txt",
        f"{stem}_probs.png",
    }
    final = folder / "final_outliers"
    assert (final / f"{stem}_source.jpg").read_bytes() == (folder / first["original_path"]).read_bytes()
    with PillowImage.open(final / f"{stem}_probs.png") as plot:
        assert min(plot.size) > 100


def test_a_crop_shows_what_its_box_says(mined: Path) -> None:
    export(mined)

    folder = mined / "exports" / "rare-objects"
    for one in records(folder):
        left, top, right, bottom = (int(edge) for edge in one["bbox"])
        whole, crop = read_image(folder / one["original_path"]), read_image(folder / one["path"])
        wanted = whole[top:bottom, left:right].astype(int)
        assert crop.shape == wanted.shape
        assert np.abs(crop.astype(int) - wanted).mean() < 4


def test_two_pictures_of_one_name_do_not_overwrite_each_other(workspace: Path) -> None:
    for number in range(2):
        (workspace / "in" / str(number)).mkdir(parents=True)
        PillowImage.fromarray(scene(number)).save(workspace / "in" / str(number) / "a.png")
    ingest(workspace, workspace / "in")
    photos = [row[0] for row in query(workspace, "SELECT item_id FROM sources")]
    store_detections(workspace, {photo: [("../etc/x", (0, 0, 20, 20)), ("con", (5, 5, 30, 30))] for photo in photos})
    crops = [row[0] for row in query(workspace, "SELECT crop_id FROM boxes")]
    store_vectors(workspace, dict(zip(crops, cloud_with_strangers(4, []), strict=True)))
    run("mine", workspace, keep="share:1", target_classes=["../etc/x"])

    export(workspace)

    folder = workspace / "exports" / "rare-objects"
    names = pictures(folder, "cropped_objects")
    assert len(names) == 4
    assert {one["path"] for one in records(folder)} == {f"cropped_objects/{name}" for name in names}
    assert all(path.resolve().is_relative_to(folder) for path in folder.rglob("*"))
    assert len(list((folder / "targets").iterdir())) == 1
    assert len({path.read_bytes() for path in (folder / "cropped_objects").iterdir()}) == 4


def test_a_photo_that_is_gone_is_a_failure_and_shifts_nothing(mined: Path) -> None:
    before = {one["item_id"]: one for one in _exported(mined)}
    gone = mined / "in" / "01.jpg"
    gone.unlink()

    summary = export(mined)

    after = {one["item_id"]: one for one in records(mined / "exports" / "rare-objects")}
    assert (summary.n_selected, summary.n_failed) == (16, 4)
    assert {one.path for one in summary.failures} == {str(gone)}
    assert after.keys() == before.keys()
    lost = [item_id for item_id, one in after.items() if one["path"] is None]
    assert len(lost) == 4
    for item_id in after.keys() - set(lost):
        assert after[item_id] == before[item_id]
    assert after[lost[0]]["bbox"] == before[lost[0]]["bbox"]


def _exported(workspace: Path) -> list[dict[str, Any]]:
    export(workspace, output=workspace.parent / "first")
    found = records(workspace.parent / "first")
    for one in found:
        if one["original_path"]:
            one["original_path"] = f"../../in/{Path(one['original_path']).name}"
    return found


@pytest.mark.parametrize("said", [False, True])
def test_a_target_is_found_by_the_detectors_name_and_by_ours(workspace: Path, said: bool) -> None:
    crops = mined_street(workspace, NAMES, strangers=[12, 13])
    run("mine", workspace, keep="count:2", n_neighbours=3, target_classes=["person", "pedestrian", "truck"])
    if said:
        run("caption", workspace, captioner="class-name")

    export(workspace)

    found = {one["item_id"]: one["target_matches"] for one in records(workspace / "exports" / "rare-objects")}
    assert {item_id: names for item_id, names in found.items() if names} == {
        crops[12]: ["truck"],
        crops[13]: ["pedestrian", "person"],
    }


def test_contamination_is_that_of_the_isolation_forest_alone(workspace: Path) -> None:
    mined_street(workspace, NAMES)

    def contamination(**settings: Any) -> float | None:
        run("mine", workspace, **settings)
        export(workspace)
        content = json.loads((workspace / "exports" / "rare-objects" / "config.json").read_text())
        return content["contamination"]  # type: ignore[no-any-return]

    assert contamination(scorers=["knn"], keep="share:0.1") is None
    assert contamination(scorers=["knn", "isolation"], keep="share:0.1") == 0.1
    assert contamination(scorers=["knn", "isolation"], rule={"isolation": "share:0.3"}) == 0.3
    assert contamination(scorers=["knn", "isolation"], combine="mean-rank") is None


def test_pictures_can_be_exported_too(workspace: Path) -> None:
    make_photos(workspace, 5)
    photos = [row[0] for row in query(workspace, "SELECT item_id FROM sources ORDER BY path")]
    store_vectors(workspace, dict(zip(photos, cloud_with_strangers(5, [2]), strict=True)))
    run("mine", workspace, kind="image", keep="count:1", n_neighbours=1)

    summary = export(workspace, media="copy")

    folder = workspace / "exports" / "rare-objects"
    assert counts(summary) == (5, 5, 0, 0)
    assert pictures(folder, "outliers") == {"02_0_object.jpg"}
    assert records(folder)[0]["bbox"] == [0.0, 0.0, 96.0, 64.0]
    assert (folder / "outliers" / "02_0_object.jpg").read_bytes() == (workspace / "in" / "02.jpg").read_bytes()
    assert records(folder)[0]["confidence"] is None


def test_copies_are_files_of_their_own_and_links_are_not(mined: Path) -> None:
    describe(mined)
    export(mined, output=mined.parent / "linked")
    export(mined, output=mined.parent / "copied", media="copy")

    linked = next((mined.parent / "linked" / "final_outliers").glob("*_source.jpg"))
    copied = next((mined.parent / "copied" / "final_outliers").glob("*_source.jpg"))
    assert linked.read_bytes() == copied.read_bytes()
    assert linked.stat().st_nlink == 2
    assert copied.stat().st_nlink == 1


def test_it_is_written_once_and_again_when_something_is_said(mined: Path) -> None:
    first = export(mined)
    files = file_hashes(mined)

    second = export(mined)
    assert (second.run_id, second.n_written, file_hashes(mined)) == (first.run_id, 0, files)

    describe(mined)
    third = export(mined)
    assert third.run_id != first.run_id
    assert third.extra["descriptions"] is not None
    assert not list(mined.rglob(".*.mekiki-*"))


def test_nothing_ranked_gives_an_empty_folder(workspace: Path) -> None:
    make_photos(workspace, 1)
    photo = query(workspace, "SELECT item_id FROM sources")[0][0]
    store_detections(workspace, {photo: []})
    run("mine", workspace)

    summary = export(workspace)

    folder = workspace / "exports" / "rare-objects"
    assert counts(summary) == (0, 0, 0, 0)
    assert records(folder) == []
    assert json.loads((folder / "statistics.json").read_text())["total_objects"] == 0


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"split": "one"}, UsageError, "--split does nothing"),
        ({"kind": "image"}, UsageError, "--kind does nothing"),
        ({"model": "one"}, UsageError, "--model does nothing"),
        ({"skeleton": True}, UsageError, "--skeleton does nothing"),
        ({"mining": "abcdef"}, UsageError, "no run of mine"),
    ],
)
def test_what_does_nothing_is_refused(mined: Path, settings: dict[str, Any], error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        export(mined, **settings)


def test_other_formats_take_no_mining(mined: Path) -> None:
    with pytest.raises(UsageError, match="--mining does nothing with --format csv"):
        run("export", mined, mining="abcdef")


def test_vectors_have_no_picture_and_nothing_mined_says_so(workspace: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "m.npy", cloud_with_strangers(4, [1]))
    ingest(workspace, tmp_path / "m.npy")
    with pytest.raises(DataError, match="nothing has been mined"):
        export(workspace)
    run("embed", workspace, embedder="vectors")
    run("mine", workspace, kind="vector")

    with pytest.raises(DataError, match="ranked vectors"):
        export(workspace)


def test_a_users_own_folder_is_not_replaced_unasked(mined: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    write_text(own / "mine.txt", "keep")

    with pytest.raises(UsageError, match="--overwrite"):
        export(mined, output=own)
    assert (
        main(["export", "-w", str(mined), "--format", "rare-objects", "--output", str(own), "--overwrite", "-q"]) == 0
    )

    assert not (own / "mine.txt").exists()
    assert len(records(own)) == 16


def test_many_concepts_are_cut_and_strange_titles_drawn(mined: Path, tmp_path: Path) -> None:
    concepts = {f"concept {number} $x$": 1 - number / 40 for number in range(40)}

    content = bars_png("a $strange$\ntitle " * 20, concepts, "score")

    assert content == bars_png("a $strange$\ntitle " * 20, concepts, "score")
    with PillowImage.open(write_bytes(tmp_path / "a.png", content)) as plot:
        assert plot.size[1] < 1000
    with Catalog(mined) as catalog:
        folder = tmp_path / "out"
        folder.mkdir()
        failures, tally = write_rare(catalog, gather_rare(catalog, None), folder, lambda _t, _s: b"", copy=False)
    assert (failures, tally.n_kept) == ({}, 16)
    shutil.rmtree(folder)


def write_bytes(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_the_configuration_names_the_embedder_that_was_used(workspace: Path) -> None:
    mined_street(workspace, NAMES)
    run("mine", workspace)
    with sqlite3.connect(workspace / "mekiki.db") as connection:
        connection.execute("UPDATE runs SET settings = '{\"embedder\": \"auto\"}' WHERE stage = 'embed'")
    export(workspace)

    content = json.loads((workspace / "exports" / "rare-objects" / "config.json").read_text())
    with Catalog(workspace) as catalog:
        assert content["clip_model"] == require_vectors(catalog).space.embedder != "auto"
