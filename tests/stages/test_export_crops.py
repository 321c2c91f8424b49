"""Crops on their way out: cut from their pictures as JPEG files, under what their detector or a person calls them."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage

from mekiki.errors import DataError, UsageError
from workspaces import counts, ingest, query, run, write_text

GREY, RED, BLUE = (120, 120, 120), (220, 30, 30), (30, 30, 220)
SQUARES = {
    "one.png": [((20, 30, 60, 70), RED), ((100, 40, 150, 80), BLUE)],
    "two.png": [((40, 10, 90, 60), BLUE)],
    "none.png": [],
}
"""Photos and what is painted in them."""


def paint(path: Path, squares: list[Any]) -> None:
    image = np.full((100, 200, 3), GREY, np.uint8)
    for (left, top, right, bottom), colour in squares:
        image[top:bottom, left:right] = colour
    path.parent.mkdir(parents=True, exist_ok=True)
    PillowImage.fromarray(image).save(path)


@pytest.fixture
def detected(workspace: Path, tmp_path: Path) -> Path:
    """A workspace with three photos, in two parts, and what the detector of blobs found in them."""
    for name, squares in SQUARES.items():
        paint(tmp_path / "in" / name, squares)
    rows = "".join(f"{name},{part}\n" for name, part in zip(SQUARES, ("train", "test", "test"), strict=True))
    ingest(workspace, labels=[write_text(tmp_path / "in/labels.csv", f"filepath,part\n{rows}")])
    run("detect", workspace, detector="blobs", workers=1)
    return workspace


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def colour_of(path: Path) -> tuple[tuple[int, int], str]:
    """Return width and height of a picture, and what it shows."""
    with PillowImage.open(path) as picture:
        assert picture.format == "JPEG"
        mean = np.asarray(picture, np.float64).mean(axis=(0, 1))
        return picture.size, {0: "red", 2: "blue"}[int(mean.argmax())]


SIZES = [((40, 40), "red"), ((50, 40), "blue"), ((50, 50), "blue")]


def test_crops_go_out_as_jpeg_files_with_what_their_detector_says(detected: Path) -> None:
    summary = run("export", detected, format="csv", kind=["crop"])

    folder = detected / "exports" / "csv"
    rows = read_rows(folder / "labels.csv")
    assert counts(summary) == (3, 3, 0, 0)
    assert sorted(colour_of(folder / row["filepath"]) for row in rows) == sorted(SIZES)
    assert [row["attribute_class_name"] for row in rows] == ["blob"] * 3
    assert all(0 < float(row["detection_score"]) <= 1 for row in rows)
    assert {row["box"] for row in rows} == {"20 30 60 70", "100 40 150 80", "40 10 90 60"}
    assert {Path(row["filepath"]).name[:4]: row["part"] for row in rows} == {"one_": "train", "two_": "test"}
    assert summary.notes == ["3 crops are cut out as JPEG files: there is none to name or to link"]


@pytest.mark.parametrize("media", ["reference", "link", "copy"])
def test_whole_pictures_beside_crops_go_as_they_are_told_to(media: str, detected: Path) -> None:
    run("export", detected, format="csv", kind=["image", "crop"], media=media)

    folder = detected / "exports" / "csv"
    rows = read_rows(folder / "labels.csv")
    assert len(rows) == 6
    assert all((folder / row["filepath"]).is_file() for row in rows)
    assert sum((folder / row["filepath"]).suffix == ".jpg" for row in rows) == 3
    inside = [row for row in rows if not row["filepath"].startswith("..")]
    assert len(inside) == (3 if media == "reference" else 6)


def test_folders_are_named_after_the_detectors_class_and_the_part(detected: Path) -> None:
    summary = run("export", detected, format="imagefolder", kind=["crop"])

    folder = detected / "exports" / "imagefolder"
    found = sorted(path.relative_to(folder).parent.as_posix() for path in folder.rglob("*.jpg"))
    assert found == ["test/blob", "train/blob", "train/blob"]
    assert "3 crops without labels lie under the class that their detector gave them" in summary.notes


def test_a_label_counts_more_than_the_detector(detected: Path) -> None:
    from mekiki.catalog.db import Catalog
    from mekiki.catalog.results import LabelRow, write_labels

    labelled = query(detected, "SELECT item_id FROM items WHERE kind = 'crop' ORDER BY item_id LIMIT 1")[0][0]
    catalog = Catalog(detected)
    with catalog.transaction("ingest", "0000000000000000") as transaction:
        write_labels(transaction, [LabelRow(labelled, "cat", "human:me", "present", 1.0)])
    catalog.close()

    run("export", detected, format="csv", kind=["crop"])

    rows = read_rows(detected / "exports" / "csv" / "labels.csv")
    said = {row["filepath"][-12:-4]: (row["labels"], row["attribute_class_name"]) for row in rows}
    assert said.pop(labelled[:8]) == ("cat", "")
    assert set(said.values()) == {("", "blob")}


def test_a_hugging_face_folder_lies_beside_its_table(detected: Path) -> None:
    run("export", detected, format="hf", kind=["crop"])

    folder = detected / "exports" / "hf"
    rows = {part: read_rows(folder / part / "metadata.csv") for part in ("train", "test")}
    assert {part: len(found) for part, found in rows.items()} == {"train": 2, "test": 1}
    assert all((folder / part / row["file_name"]).is_file() for part, found in rows.items() for row in found)


def test_vectors_of_crops_go_out_with_their_names(detected: Path) -> None:
    run("embed", detected, embedder="colour-layout", kind=["crop"])

    summary = run("export", detected, format="npy", kind=["crop"])

    folder = detected / "exports" / "npy"
    rows = read_rows(folder / "index.csv")
    assert np.load(next(folder.glob("*.npy"))).shape[0] == len(rows) == 3
    assert len({row["filepath"] for row in rows}) == 3
    assert all(row["filepath"].endswith(f"_{row['item_id'][:8]}.jpg") for row in rows)
    assert not any("JPEG" in note for note in summary.notes)


def test_what_goes_out_can_come_in_again(detected: Path, tmp_path: Path) -> None:
    run("export", detected, format="csv", kind=["crop"])

    again = ingest(tmp_path / "again", labels=[detected / "exports" / "csv" / "labels.csv"])

    assert counts(again) == (3, 3, 0, 0)
    assert query(tmp_path / "again", "SELECT count(*) FROM attributes WHERE value = 'blob'") == [(3,)]
    assert query(tmp_path / "again", "SELECT count(*) FROM labels") == [(0,)]


def test_only_crops_of_the_wanted_run_go_out(detected: Path) -> None:
    first = query(detected, "SELECT run_id FROM runs WHERE stage = 'detect'")[0][0]
    run("detect", detected, detector="blobs", workers=1, keep=1)

    latest = run("export", detected, format="csv", kind=["crop"])
    chosen = run("export", detected, format="csv", kind=["crop"], detections=first[:8], overwrite=True)

    assert (latest.n_written, chosen.n_written) == (2, 3)


def test_the_same_again_writes_nothing(detected: Path) -> None:
    first = run("export", detected, format="csv", kind=["crop"])

    second = run("export", detected, format="csv", kind=["crop"])

    assert (first.n_written, second.n_skipped, second.n_written) == (3, 3, 0)


def test_crops_of_a_picture_that_is_gone_are_failures(detected: Path, tmp_path: Path) -> None:
    (tmp_path / "in" / "one.png").unlink()

    summary = run("export", detected, format="csv", kind=["crop"])

    assert (summary.n_written, summary.n_failed) == (1, 2)
    assert len(read_rows(detected / "exports" / "csv" / "labels.csv")) == 1


@pytest.mark.parametrize("name", ["coco", "yolo", "seed1", "fairface", "megadetector"])
def test_formats_of_whole_pictures_refuse_crops(name: str, detected: Path) -> None:
    with pytest.raises(UsageError, match=f"format {name} is of whole pictures: crops go out with --format csv, hf"):
        run("export", detected, format=name, kind=["crop"])


def test_a_run_of_detect_without_crops_is_refused(detected: Path) -> None:
    with pytest.raises(UsageError, match="--detections does nothing without --kind crop: leave it out"):
        run("export", detected, format="csv", detections="0123")


def test_without_detections_it_says_how_to_get_them(workspace: Path, tmp_path: Path) -> None:
    paint(tmp_path / "in" / "one.png", [])
    ingest(workspace, tmp_path / "in")

    with pytest.raises(DataError, match=r"nothing has been detected in .*: mekiki detect"):
        run("export", workspace, format="csv", kind=["crop"])


def describe(workspace: Path, crop: str, said: dict[str, str], prompt: str) -> None:
    """Store what a run of ``caption`` says of a crop: annotator to text."""
    from mekiki.catalog.db import Catalog
    from mekiki.catalog.results import CaptionRow, write_captions
    from mekiki.engine.run import begin_run, describe_run, end_run
    from mekiki.records import RunSummary
    from mekiki.settings import Settings

    with Catalog(workspace) as catalog, catalog.writing("caption"):
        told = describe_run("caption", Settings(), prompt, {})
        begin_run(catalog, told)
        with catalog.transaction("caption", told["run_id"]) as transaction:
            rows = enumerate(said.items())
            write_captions(transaction, [CaptionRow(crop, position, who, text) for position, (who, text) in rows])
        end_run(catalog, RunSummary("caption", told["run_id"]))


def test_of_what_was_said_of_a_crop_the_latest_words_of_each_go_out_and_names_of_classes_do_not(detected: Path) -> None:
    from mekiki.catalog.db import Catalog
    from mekiki.catalog.outgoing import Wanted, gather

    crop = query(detected, "SELECT item_id FROM items WHERE kind = 'crop' ORDER BY item_id LIMIT 1")[0][0]
    run_id = query(detected, "SELECT run_id FROM runs WHERE stage = 'detect'")[0][0]
    describe(detected, crop, {"vlm:a": "an old guess", "class-name": "blob"}, "first")
    describe(detected, crop, {"vlm:a": "a red square", "vlm:b": "red paint"}, "second")
    describe(detected, crop, {"class-name": "blob"}, "third")

    with Catalog(detected) as catalog:
        items = gather(catalog, Wanted(["crop"], detect_run_id=run_id), "export").items

    said = {item.item_id: item.captions for item in items}
    assert said.pop(crop) == ("a red square", "red paint")
    assert set(said.values()) == {()}
