"""COCO Camera Traps: species, the category empty, places, bursts and times, and back again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mekiki.dataset.formats.base import (
    BoxClaim,
    OutItem,
    ReadOptions,
    Record,
    Sheet,
    WriteOptions,
    complete_claims,
    resolve_path,
)
from mekiki.dataset.formats.camera_traps import CocoCameraTraps
from mekiki.dataset.formats.coco import Coco
from mekiki.errors import DataError, UsageError

CATEGORIES = [{"id": 0, "name": "empty"}, {"id": 1, "name": "deer"}, {"id": 2, "name": "human"}]


def read(
    folder: Path,
    annotations: list[dict[str, Any]],
    options: ReadOptions | None = None,
    image: dict[str, Any] | None = None,
    **fields: Any,
) -> Sheet:
    """Read a file with one picture, ``a.jpg``, whose id is ``p``."""
    path = folder / "traps.json"
    images = [{"id": "p", "file_name": "a.jpg", "location": "north"} | (image or {})]
    content = {"info": {}, "images": images, "annotations": annotations, "categories": CATEGORIES} | fields
    path.write_text(json.dumps(content), encoding="utf-8")
    return CocoCameraTraps.read(path, options or ReadOptions())


def says(category_id: object, **fields: Any) -> dict[str, Any]:
    return {"id": "x", "image_id": "p", "category_id": category_id} | fields


def states(record: Record, sheet: Sheet) -> dict[str, str]:
    return {claim.class_name: claim.state for claim in complete_claims(record, sheet.classes)}


def test_empty_means_that_every_class_is_absent_and_is_no_class(tmp_path: Path) -> None:
    sheet = read(tmp_path, [says(0)])

    assert sheet.classes == ("deer", "human")
    assert states(sheet.records[0], sheet) == {"deer": "absent", "human": "absent"}


@pytest.mark.parametrize(
    ("category", "is_empty"),
    [
        pytest.param({"id": 30, "name": "Empty"}, True, id="empty with another id"),
        pytest.param({"id": 0, "name": "blank"}, True, id="another word with id 0"),
        pytest.param({"id": 5, "name": "blank"}, False, id="another word with another id"),
        pytest.param({"id": 0, "name": "badger"}, False, id="an animal with id 0"),
    ],
)
def test_empty_is_told_by_its_name_and_by_id_0(tmp_path: Path, category: dict[str, Any], is_empty: bool) -> None:
    sheet = read(tmp_path, [says(category["id"])], categories=[category, {"id": 1, "name": "deer"}])

    assert (category["name"] not in sheet.classes) == is_empty
    assert ("present" in states(sheet.records[0], sheet).values()) != is_empty


def test_a_named_class_is_there_with_or_without_a_box_and_the_others_are_not(tmp_path: Path) -> None:
    sheet = read(tmp_path, [says(1)])
    boxed = read(tmp_path, [says(1, bbox=[1, 2, 3, 4])])

    assert states(sheet.records[0], sheet) == {"deer": "present", "human": "absent"}
    assert states(boxed.records[0], boxed) == {"deer": "present", "human": "absent"}
    assert boxed.records[0].boxes == (BoxClaim("deer", (1.0, 2.0, 4.0, 6.0)),)


def test_a_picture_without_annotations_was_not_looked_at(tmp_path: Path) -> None:
    sheet = read(tmp_path, [])

    assert states(sheet.records[0], sheet) == {}


def test_empty_and_an_animal_at_once_is_unsure_and_a_problem(tmp_path: Path) -> None:
    sheet = read(tmp_path, [says(0, bbox=[1, 2, 3, 4]), says(1)])

    assert states(sheet.records[0], sheet) == {"deer": "unsure", "human": "absent"}
    assert sheet.records[0].boxes == ()
    assert [problem.reason for problem in sheet.problems] == ["image 1: it is called empty and deer: unsure"]


def test_place_burst_and_camera_become_groups_and_the_rest_attributes(tmp_path: Path) -> None:
    image = {
        "location": 26,
        "seq_id": "s7",
        "camera": "left",
        "seq_num_frames": 3,
        "frame_num": 0,
        "datetime": "2013-10-04 13:31:53",
        "rights_holder": "Someone",
        "corrupt": False,
        "width": 10,
    }

    record = read(tmp_path, [], image=image).records[0]

    assert record.groups == {"site": "26", "burst": "s7", "camera": "left"}
    assert record.captured_at == "2013-10-04 13:31:53"
    assert record.attributes == {
        "seq_num_frames": "3",
        "frame_num": "0",
        "rights_holder": "Someone",
        "corrupt": "false",
    }


@pytest.mark.parametrize(
    ("image", "captured_at"),
    [
        pytest.param({"datetime": "2013:10:04 13:31:53"}, "2013-10-04 13:31:53", id="as in EXIF"),
        pytest.param({"date_captured": "2013-10-04T13:31:53.250+02:00"}, "2013-10-04 13:31:53", id="ISO with a zone"),
        pytest.param({"datetime": None, "date_captured": "2013/10/4 3:31"}, "2013-10-04 03:31:00", id="short"),
    ],
)
def test_a_time_is_brought_to_one_form(tmp_path: Path, image: dict[str, Any], captured_at: str) -> None:
    record = read(tmp_path, [], image=image).records[0]

    assert record.captured_at == captured_at
    assert record.attributes == {}


@pytest.mark.parametrize("text", ["10/4/2013 13:31", "2013-13-40 00:00:00", "0000-00-00 00:00:00", "noon"])
def test_a_time_that_is_none_stays_an_attribute(tmp_path: Path, text: str) -> None:
    record = read(tmp_path, [], image={"datetime": text}).records[0]

    assert record.captured_at is None
    assert record.attributes == {"datetime": text}


def test_a_label_of_a_whole_sequence_is_marked(tmp_path: Path) -> None:
    record = read(tmp_path, [says(1, sequence_level_annotation=True)]).records[0]

    assert record.attributes == {"sequence_level_annotation": "true"}


def test_relative_boxes_are_read(tmp_path: Path) -> None:
    record = read(tmp_path, [says(1, bbox_relative=[0.25, 0.5, 0.25, 0.5])]).records[0]

    assert record.boxes == (BoxClaim("deer", (0.25, 0.5, 0.5, 1.0), is_relative=True),)


def test_an_unknown_category_leaves_the_others_open(tmp_path: Path) -> None:
    sheet = read(tmp_path, [says(9)])

    assert states(sheet.records[0], sheet) == {}
    assert [problem.reason for problem in sheet.problems] == [
        "annotation 1 of 'a.jpg': there is no category with the id '9'"
    ]


def test_a_closed_list_says_absent_of_a_picture_that_shows_something_else(tmp_path: Path) -> None:
    sheet = read(tmp_path, [says(1)], ReadOptions(classes=("human",)))

    assert states(sheet.records[0], sheet) == {"human": "absent"}
    assert len(sheet.problems) == 1


def test_a_file_without_categories_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"is not a COCO Camera Traps file .*: 'categories' should be a list"):
        read(tmp_path, [], categories=None)


@pytest.mark.parametrize(
    ("image", "info", "is_ours"),
    [
        pytest.param({"location": "north"}, {}, True, id="location"),
        pytest.param({"seq_id": "s"}, {}, True, id="sequence"),
        pytest.param({}, {"description": "Somewhere Camera Traps"}, True, id="info"),
        pytest.param({}, {"description": "Streets"}, False, id="plain COCO"),
    ],
)
def test_a_file_is_told_from_plain_coco(
    tmp_path: Path, image: dict[str, Any], info: dict[str, Any], is_ours: bool
) -> None:
    path = tmp_path / "file.json"
    images = [{"id": 1, "file_name": "a.jpg"} | image]
    content = {"info": info, "images": images, "annotations": [], "categories": CATEGORIES}
    path.write_text(json.dumps(content))

    assert CocoCameraTraps.matches(path) == is_ours
    assert Coco.matches(path) != is_ours


CLASSES = ("deer", "狸/🦝")


def items(folder: Path) -> list[OutItem]:
    """Items that say everything that can be said."""
    deer = BoxClaim("deer", (10.125, 20.5, 99.99, 101.01), 0.5)
    none = {"deer": "absent", "狸/🦝": "absent"}
    groups = {"site": "north", "burst": "b1", "camera": "c", "identity": "Bambi"}
    attributes = {"frame_num": "0", "seq_num_frames": "03", "rights_holder": "Someone"}
    all_fields: list[dict[str, Any]] = [
        {"states": none, "part": "train"},
        {"states": none | {"deer": "present"}, "boxes": (deer, deer), "groups": groups, "attributes": attributes},
        {"states": none | {"deer": "present", "狸/🦝": "present"}, "captured_at": "2024-05-01 06:07:08"},
        {"states": none | {"deer": "unsure"}, "captured_at": "2024-05-01 06:07:08.25"},
        {
            "states": {"deer": "present"},
            "confidence": {"deer": 0.25},
            "attributes": {"sequence_level_annotation": "true"},
        },
        {"states": {"deer": "absent"}},
        {"states": none, "boxes": (BoxClaim("animal", (1.0, 2.0, 3.0, 4.0)), deer)},
        {"captions": ("A deer.",), "part": "val"},
    ]
    made = []
    for number, fields in enumerate(all_fields):
        path = folder / f"{number}.jpg"
        path.write_bytes(str(number).encode())
        made.append(OutItem(f"id{number}", "image", path, 640, 480, **fields))
    return made


def test_what_is_written_reads_back_as_it_was(tmp_path: Path) -> None:
    made = items(tmp_path)
    (tmp_path / "out").mkdir()

    written = CocoCameraTraps.write(made, tmp_path / "out", WriteOptions(CLASSES, "copy"))

    sheet = CocoCameraTraps.read(written[0], ReadOptions())
    assert CocoCameraTraps.matches(written[0])
    assert (sheet.classes, sheet.problems) == (CLASSES, ())
    for record, item in zip(sheet.records, made, strict=True):
        said = {claim.class_name: (claim.state, claim.confidence) for claim in complete_claims(record, CLASSES)}
        assert said == {name: (state, item.confidence.get(name, 1.0)) for name, state in item.states.items()}
        assert [(box.class_name, box.score) for box in record.boxes] == [
            (box.class_name, box.score) for box in item.boxes
        ]
        for box, expected in zip(record.boxes, item.boxes, strict=True):
            assert box.xyxy == pytest.approx(expected.xyxy, abs=0.01)
        assert (record.part, record.captions, record.captured_at) == (item.part, item.captions, item.captured_at)
        assert (record.groups, record.attributes) == (item.groups, item.attributes)
        assert resolve_path(record.path, sheet.base).read_bytes() == item.path.read_bytes()


def test_other_programs_see_labels_places_and_times(tmp_path: Path) -> None:
    written = CocoCameraTraps.write(items(tmp_path), tmp_path, WriteOptions(CLASSES))

    content = json.loads(written[0].read_text("utf-8"))
    boxed = content["images"][1]
    said = [(entry["image_id"], entry["category_id"]) for entry in content["annotations"]]
    assert [path.name for path in written] == ["annotations.json", "annotations_train.json", "annotations_val.json"]
    assert content["categories"][:2] == [{"id": 0, "name": "empty"}, {"id": 1, "name": "deer"}]
    assert (boxed["location"], boxed["seq_id"], boxed["frame_num"]) == ("north", "b1", 0)
    assert content["images"][2]["datetime"] == "2024-05-01 06:07:08"
    assert said[:5] == [("id0", 0), ("id1", 1), ("id1", 1), ("id2", 1), ("id2", 2)]
    assert "id5" not in [image_id for image_id, _ in said]
    assert "id7" not in [image_id for image_id, _ in said]


def test_a_skeleton_claims_nothing(tmp_path: Path) -> None:
    written = CocoCameraTraps.write(items(tmp_path), tmp_path, WriteOptions(CLASSES, skeleton=True))

    sheet = CocoCameraTraps.read(written[0], ReadOptions())
    assert all(not states(record, sheet) and not record.boxes for record in sheet.records)
    assert sheet.records[1].groups["site"] == "north"


def test_a_class_called_empty_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"class 'Empty' cannot be written as coco-camera-traps: .* another --format"):
        CocoCameraTraps.write([], tmp_path, WriteOptions(("deer", "Empty")))


def test_real_camera_trap_boxes_leave_and_come_back(shared_data: Path, tmp_path: Path) -> None:
    sheet = Coco.read(shared_data / "wildlife/ena24_small/coco_annotations.json", ReadOptions())
    made = [
        OutItem(
            record.path,
            "image",
            sheet.base / record.path,
            2048,
            1536,
            states={claim.class_name: claim.state for claim in complete_claims(record, sheet.classes)},
            boxes=record.boxes,
            groups={"site": "ENA24"},
        )
        for record in sheet.records
    ]

    written = CocoCameraTraps.write(made, tmp_path, WriteOptions(sheet.classes, "link"))

    again = CocoCameraTraps.read(written[0], ReadOptions())
    assert again.classes == sheet.classes
    assert [record.boxes for record in again.records] == [record.boxes for record in sheet.records]
    assert [states(record, again) for record in again.records] == [states(record, sheet) for record in sheet.records]
    assert {record.groups["site"] for record in again.records} == {"ENA24"}
