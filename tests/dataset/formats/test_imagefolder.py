"""Folders of classes, with and without parts."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from format_items import CLASSES, make_item, meant, said, single_label_items, states
from mekiki.dataset.formats.base import LabelClaim, ReadOptions, WriteOptions
from mekiki.dataset.formats.imagefolder import ImageFolder
from mekiki.errors import DataError, UsageError


def make(folder: Path, *paths: str) -> Path:
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(path)
    return folder


def test_the_folders_name_is_the_label(tmp_path: Path) -> None:
    make(tmp_path, "タヌキ/b.jpg", "タヌキ/a.JPG", "cat/c.mp4", "unknown/d.png")

    sheet = ImageFolder.read(tmp_path, ReadOptions())

    assert sheet.classes == ("cat", "タヌキ")
    assert sheet.is_single_label
    assert [(one.path, one.labels, one.is_complete, one.part) for one in sheet.records] == [
        ("cat/c.mp4", (LabelClaim("cat"),), True, None),
        ("unknown/d.png", (), True, None),
        ("タヌキ/a.JPG", (LabelClaim("タヌキ"),), True, None),
        ("タヌキ/b.jpg", (LabelClaim("タヌキ"),), True, None),
    ]


def test_parts_are_folders_above_the_classes(tmp_path: Path) -> None:
    make(tmp_path, "train/cat/a.jpg", "validation/cat/b.jpg", "testing/dog/c.jpg")

    sheet = ImageFolder.read(tmp_path, ReadOptions())

    assert sheet.classes == ("cat", "dog")
    assert {one.path: one.part for one in sheet.records} == {
        "train/cat/a.jpg": "train",
        "validation/cat/b.jpg": "val",
        "testing/dog/c.jpg": "test",
    }


def test_hidden_files_and_what_is_no_picture_are_no_entries(tmp_path: Path) -> None:
    make(tmp_path, "cat/a.jpg", "cat/._a.jpg", "cat/Thumbs.db", "cat/notes.txt", ".cache/x/y.jpg", "dog/b.jpg")

    sheet = ImageFolder.read(tmp_path, ReadOptions())

    assert [one.path for one in sheet.records] == ["cat/a.jpg", "dog/b.jpg"]
    assert sheet.notes == ()


def test_pictures_outside_the_folders_of_classes_are_counted(tmp_path: Path) -> None:
    make(tmp_path, "cat/a.jpg", "loose.jpg", "cat/old/b.jpg")

    sheet = ImageFolder.read(tmp_path, ReadOptions())

    assert len(sheet.records) == 1
    assert sheet.notes == ("2 pictures are not directly in a class's folder and were left out",)


def test_a_class_without_pictures_is_a_class(tmp_path: Path) -> None:
    make(tmp_path, "cat/a.jpg")
    (tmp_path / "dog").mkdir()

    assert ImageFolder.read(tmp_path, ReadOptions()).classes == ("cat", "dog")


def test_a_folder_named_by_a_mac_is_the_class_it_looks_like(tmp_path: Path) -> None:
    make(tmp_path, unicodedata.normalize("NFD", "ガン") + "/a.jpg")

    assert ImageFolder.read(tmp_path, ReadOptions()).classes == ("ガン",)


def test_a_folder_outside_the_users_classes_is_a_problem(tmp_path: Path) -> None:
    make(tmp_path, "cat/a.jpg", "dgo/b.jpg", "dgo/c.jpg", "unknown/d.jpg")

    sheet = ImageFolder.read(tmp_path, ReadOptions(classes=("dog", "cat")))

    assert sheet.classes == ("dog", "cat")
    assert [one.path for one in sheet.records] == ["cat/a.jpg", "unknown/d.jpg"]
    assert [one.reason for one in sheet.problems] == [
        f"no class is called 'dgo'. Did you mean 'dog'? Known: cat, dog. 2 pictures in {tmp_path / 'dgo'} were left out"
    ]


@pytest.mark.parametrize(
    ("paths", "is_match"),
    [
        pytest.param([], False, id="empty"),
        pytest.param(["a.jpg"], False, id="loose pictures"),
        pytest.param(["photos/a.jpg"], False, id="one folder"),
        pytest.param(["StationA/PBE/a.jpg", "StationB/PBE/a.jpg"], False, id="stations"),
        pytest.param(["cat/a.jpg", "docs/readme.txt"], False, id="a folder without pictures"),
        pytest.param(["cat/a.jpg", "dog/b.jpg"], True, id="classes"),
        pytest.param(["train/cat/a.jpg"], True, id="parts"),
    ],
)
def test_only_what_surely_is_one_is_recognised(tmp_path: Path, paths: list[str], is_match: bool) -> None:
    assert ImageFolder.matches(make(tmp_path, *paths)) is is_match


def test_what_is_no_folder_of_folders_is_refused(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg")

    with pytest.raises(UsageError, match=r"a\.jpg is no folder\. An ImageFolder was expected"):
        ImageFolder.read(tmp_path / "a.jpg", ReadOptions())
    with pytest.raises(UsageError, match=r"has no folders\. An ImageFolder was expected"):
        ImageFolder.read(tmp_path, ReadOptions())


@pytest.mark.parametrize("media", ["reference", "copy", "link"])
@pytest.mark.parametrize("parts", ["all", "some", "none", "folds"])
def test_labels_and_parts_survive_being_written(tmp_path: Path, media: str, parts: str) -> None:
    given = {"all": ["train", "val"], "some": ["train", None], "none": [None, None], "folds": ["fold0", "fold1"]}[parts]
    items = [
        make_item(one.path, states=one.states, part=given[number % 2])
        for number, one in enumerate(single_label_items(tmp_path / "in"))
    ]

    paths = ImageFolder.write(items, tmp_path / "out", WriteOptions(CLASSES, media=media))
    sheet = ImageFolder.read(tmp_path / "out", ReadOptions())

    assert sheet.classes == CLASSES
    assert said(sheet) == meant(items)
    assert ImageFolder.matches(tmp_path / "out")
    assert len(paths) == 1 + len(items)
    assert all(path.is_file() for path in paths)


def test_no_class_name_leaves_the_folder(tmp_path: Path) -> None:
    items = [make_item(tmp_path / "a.jpg", states={"../../up": "present", "/root": "absent", "CON": "absent"})]

    ImageFolder.write(items, tmp_path / "out", WriteOptions(("../../up", "/root", "CON")))

    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jpg", "out"]
    assert ImageFolder.read(tmp_path / "out", ReadOptions()).records[0].labels == (LabelClaim("../../up"),)


def test_classes_that_differ_in_case_have_folders_of_their_own(tmp_path: Path) -> None:
    items = [make_item(tmp_path / f"{name}.jpg", states={name: "present"}) for name in ("Cat", "cat")]

    ImageFolder.write(items, tmp_path / "out", WriteOptions(("Cat", "cat")))

    folders = [path.name.casefold() for path in (tmp_path / "out").iterdir() if path.is_dir()]
    assert len(set(folders)) == 2
    assert ImageFolder.read(tmp_path / "out", ReadOptions()).classes == ("Cat", "cat")


def test_pictures_with_several_classes_are_refused(tmp_path: Path) -> None:
    items = [make_item(tmp_path / "a.jpg", states={"cat": "present", "dog": "present"})]

    with pytest.raises(DataError, match=r"1 of 1 pictures have several classes.*--format csv, hf or coco"):
        ImageFolder.write(items, tmp_path / "out", WriteOptions(("cat", "dog")))


@pytest.mark.parametrize("given", [{}, states(unsure="a/b"), states(present="タヌキ", unsure="a/b")])
def test_pictures_without_a_sure_label_are_refused(tmp_path: Path, given: dict[str, str]) -> None:
    items = [make_item(tmp_path / "a.jpg", states=given)]

    with pytest.raises(DataError, match=r"1 of 1 pictures have an unsure class or no label.*--format csv or hf"):
        ImageFolder.write(items, tmp_path / "out", WriteOptions(CLASSES))
