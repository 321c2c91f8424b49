"""FairFace-style tables: attributes, and any column as label."""

from __future__ import annotations

from pathlib import Path

import pytest

from format_items import CLASSES, hard_items, make_item, meant, said
from mekiki.dataset.formats.base import LabelClaim, ReadOptions, Sheet, WriteOptions
from mekiki.dataset.formats.fairface import FairFace

SEED = """file,age,gender,race,service_test,looks
normal_train/1.jpg,more than 70,Male,East Asian,True,0
normal_train/2.jpg,3-9,Female,White,False,0
good_train/1.jpg,20-29,female,White,,1
"""


def read(tmp_path: Path, text: str = SEED, name: str = "faces.csv", **options: object) -> Sheet:
    (tmp_path / name).write_text(text)
    assert FairFace.matches(tmp_path / name)
    return FairFace.read(tmp_path / name, ReadOptions(**options))  # type: ignore[arg-type]


def test_a_column_of_0_and_1_is_a_class(tmp_path: Path) -> None:
    sheet = read(tmp_path)

    assert (sheet.classes, sheet.is_single_label) == (("looks",), False)
    assert [one.labels[0].state for one in sheet.records] == ["absent", "absent", "present"]
    assert sheet.records[0].attributes == {
        "age": "more than 70",
        "gender": "Male",
        "race": "East Asian",
        "service_test": "True",
    }
    assert sheet.records[2].attributes == {"age": "20-29", "gender": "Female", "race": "White"}


def test_any_column_may_be_the_label(tmp_path: Path) -> None:
    sheet = read(tmp_path, label_column="gender")

    assert (sheet.classes, sheet.is_single_label) == (("Female", "Male"), True)
    assert [one.labels for one in sheet.records] == [
        (LabelClaim("Male"),),
        (LabelClaim("Female"),),
        (LabelClaim("Female"),),
    ]


def test_a_named_column_of_flags_is_one_class(tmp_path: Path) -> None:
    sheet = read(tmp_path, label_column="service_test")

    assert sheet.classes == ("service_test",)
    assert [[claim.state for claim in one.labels] for one in sheet.records] == [["present"], ["absent"], []]


def test_without_a_label_there_are_attributes_only(tmp_path: Path) -> None:
    sheet = read(tmp_path, "file,age,gender,race,service_test,pose\na.jpg,3-9,Male,White,True,0\n")

    assert sheet.classes == ()
    assert sheet.records[0].attributes["pose"] == "0"
    assert "--label-column NAME" in sheet.notes[0]


def test_an_empty_skeleton_asks_for_its_columns(tmp_path: Path) -> None:
    sheet = read(tmp_path, "file,age,gender,race,service_test,looks\na.jpg,,,,,\n")

    assert sheet.classes == ("looks",)
    assert sheet.records[0].labels == ()


@pytest.mark.parametrize(
    ("name", "part"), [("all_train.csv", "train"), ("fairface_label_val.csv", "val"), ("x.csv", None)]
)
def test_the_files_name_may_say_the_part(tmp_path: Path, name: str, part: str | None) -> None:
    assert {one.part for one in read(tmp_path, name=name).records} == {part}


def test_another_table_is_no_fairface(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("file,age,gender\n")

    assert not FairFace.matches(tmp_path / "t.csv")
    assert not FairFace.matches(tmp_path)


@pytest.mark.parametrize("media", ["reference", "copy"])
def test_labels_and_parts_survive_being_written(tmp_path: Path, media: str) -> None:
    items = hard_items(tmp_path / "in")
    out = tmp_path / "out"
    out.mkdir()

    table, _ = FairFace.write(items, out, WriteOptions(CLASSES, media=media))
    sheet = FairFace.read(table, ReadOptions())

    assert FairFace.matches(table)
    assert sheet.classes == CLASSES
    assert said(sheet) == meant(items)
    assert [one.attributes for one in sheet.records] == [item.attributes for item in items]


def test_classes_named_like_other_columns_and_attributes_of_flags_survive(tmp_path: Path) -> None:
    names = ("age", "site", "label_x", "Male")
    item = make_item(
        tmp_path / "a.jpg",
        states=dict.fromkeys(names, "present"),
        attributes={"age": "3-9", "night": "1", "pose": "0"},
        groups={"identity": "p1"},
    )

    table, _ = FairFace.write([item], tmp_path, WriteOptions(names))
    record = FairFace.read(table, ReadOptions()).records[0]

    assert said(FairFace.read(table, ReadOptions())) == meant([item])
    assert (record.attributes, record.groups) == (item.attributes, item.groups)


def test_a_skeleton_has_the_columns_and_nothing_in_them(tmp_path: Path) -> None:
    item = make_item(tmp_path / "a.jpg", states={"looks": "present"})

    table, _ = FairFace.write([item], tmp_path, WriteOptions(("looks",), skeleton=True))

    assert table.read_text().splitlines() == ["file,age,gender,race,service_test,looks", "a.jpg,,,,,"]
