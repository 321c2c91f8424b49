"""Tables as other people made them; each case has a sibling made in code in the test of its format."""

from __future__ import annotations

from pathlib import Path

import pytest

from mekiki.dataset.formats.base import ReadOptions, resolve_path
from mekiki.dataset.formats.flickr import Flickr8k
from mekiki.dataset.formats.imagefolder import ImageFolder
from mekiki.dataset.formats.registry import READERS, detect_format


@pytest.mark.parametrize(
    ("path", "label_column", "n_records", "n_classes"),
    [
        ("wildlife/camtrapr/labels.csv", None, 46, 4),
        ("wildlife/monkeys10/labels.csv", "common_name", 300, 5),
        ("wildlife/ena24_small/labels.csv", None, 12, 4),
        ("wildlife/lila_mix/index.csv", None, 16, 0),
        ("wildlife/video/index.csv", "animal_hint_from_path", 12, 4),
        ("faces/fairface/labels.csv", "gender", 270, 2),
        ("faces/utkface/labels.csv", "race", 250, 5),
        ("classification/imagenet_one_per_class/labels.csv", "name", 100, 100),
        ("captions/flickr8k/captions.csv", None, 480, 0),
    ],
)
def test_real_tables_are_read_and_their_pictures_found(
    shared_data: Path, path: str, label_column: str | None, n_records: int, n_classes: int
) -> None:
    name = detect_format(shared_data / path)

    sheet = READERS.create(name).read(shared_data / path, ReadOptions(label_column=label_column))

    assert (len(sheet.records), len(sheet.classes), sheet.problems) == (n_records, n_classes, ())
    assert all(resolve_path(record.path, sheet.base).is_file() for record in sheet.records)
    assert sheet.is_single_label is (n_classes > 0)


def test_stations_of_a_camera_trap_survey_are_sites(shared_data: Path) -> None:
    sheet = READERS.create("csv").read(shared_data / "wildlife/camtrapr/labels.csv", ReadOptions())

    assert {record.groups["site"] for record in sheet.records} == {"StationA", "StationC"}


def test_every_real_picture_has_five_captions(shared_data: Path) -> None:
    sheet = Flickr8k.read(shared_data / "captions/flickr8k/captions.csv", ReadOptions())

    assert {len(record.captions) for record in sheet.records} == {5}


def test_real_folders_of_classes_are_one_sheet(shared_data: Path) -> None:
    sheet = ImageFolder.read(shared_data / "wildlife/monkeys10", ReadOptions())

    assert (len(sheet.records), len(sheet.classes)) == (300, 5)
    assert detect_format(shared_data / "wildlife/monkeys10") == "imagefolder"
