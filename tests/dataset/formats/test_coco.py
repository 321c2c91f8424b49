"""COCO detection: what boxes say of classes, broken entries, where pictures are, and back again without loss."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from mekiki.dataset.formats.base import (
    BoxClaim,
    LabelClaim,
    OutItem,
    ReadOptions,
    Record,
    Sheet,
    WriteOptions,
    complete_claims,
    resolve_path,
)
from mekiki.dataset.formats.coco import Coco
from mekiki.errors import UsageError

FOX_AND_CAR = [{"id": 1, "name": "fox"}, {"id": 2, "name": "car"}]


def document(**changes: Any) -> dict[str, Any]:
    """A file with two pictures of 100 × 50, of which the first shows a fox."""
    return {
        "images": [
            {"id": 1, "file_name": "a.jpg", "width": 100, "height": 50},
            {"id": 2, "file_name": "night/b.jpg", "width": 100, "height": 50},
        ],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 20, 30, 5], "iscrowd": 0}],
        "categories": FOX_AND_CAR,
    } | changes


def read(folder: Path, options: ReadOptions | None = None, **changes: Any) -> Sheet:
    path = folder / "annotations.json"
    path.write_text(json.dumps(document(**changes)), encoding="utf-8")
    return Coco.read(path, options or ReadOptions())


def annotated(**fields: Any) -> dict[str, Any]:
    return {"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 20, 30, 5]} | fields


def states(record: Record, sheet: Sheet) -> dict[str, str]:
    return {claim.class_name: claim.state for claim in complete_claims(record, sheet.classes)}


def reasons(sheet: Sheet) -> list[str]:
    return [problem.reason for problem in sheet.problems]


def test_a_box_says_that_its_class_is_there_and_the_others_are_not(tmp_path: Path) -> None:
    sheet = read(tmp_path)

    first, second = sheet.records
    assert first.boxes == (BoxClaim("fox", (10.0, 20.0, 40.0, 25.0)),)
    assert states(first, sheet) == {"fox": "present", "car": "absent"}
    assert states(second, sheet) == {"fox": "absent", "car": "absent"}
    assert (second.path, second.line, second.is_complete) == ("night/b.jpg", 2, True)
    assert sheet.problems == ()


def test_categories_in_the_order_of_their_ids_are_the_classes(tmp_path: Path) -> None:
    categories = [{"id": 10, "name": "ten"}, {"id": "x", "name": "letter"}, {"id": 9, "name": "nine"}]

    assert read(tmp_path, categories=categories, annotations=[]).classes == ("nine", "ten", "letter")


def test_a_crowd_region_counts_as_present_and_is_no_box(tmp_path: Path) -> None:
    record = read(tmp_path, annotations=[annotated(iscrowd=1)]).records[0]

    assert record.labels == (LabelClaim("fox"),)
    assert record.boxes == ()
    assert record.attributes["crowd"] == '["fox"]'


def test_an_annotation_without_a_box_says_that_the_class_is_there(tmp_path: Path) -> None:
    record = read(tmp_path, annotations=[annotated(bbox=[])]).records[0]

    assert record.labels == (LabelClaim("fox"),)
    assert record.boxes == ()


def test_a_file_without_annotations_says_nothing_of_its_pictures(tmp_path: Path) -> None:
    content = document()
    del content["annotations"]
    path = tmp_path / "image_info_test2017.json"
    path.write_text(json.dumps(content))

    sheet = Coco.read(path, ReadOptions())

    assert [(record.labels, record.is_complete) for record in sheet.records] == [((), False)] * 2
    assert Coco.matches(path)


def test_ids_may_be_text_on_one_side_and_numbers_on_the_other(tmp_path: Path) -> None:
    sheet = read(tmp_path, annotations=[annotated(image_id="1", category_id="1")])

    assert sheet.records[0].boxes
    assert sheet.problems == ()


def test_scores_and_relative_boxes_are_kept(tmp_path: Path) -> None:
    extra = annotated(bbox=None, bbox_relative=[0.5, 0.5, 0.25, 0.25])

    record = read(tmp_path, annotations=[annotated(score=0.5), extra]).records[0]

    assert record.boxes[0].score == 0.5
    assert record.boxes[1] == BoxClaim("fox", (0.5, 0.5, 0.75, 0.75), is_relative=True)


def test_other_fields_of_an_image_are_attributes_and_the_download_date_is_no_time_of_capture(tmp_path: Path) -> None:
    image = {"id": 1, "file_name": "a.jpg", "license": 3, "date_captured": "2013-11-21 01:37:46", "split": "validation"}

    record = read(tmp_path, images=[image]).records[0]

    assert record.attributes == {"license": "3", "date_captured": "2013-11-21 01:37:46"}
    assert record.captured_at is None
    assert record.part == "val"


@pytest.mark.parametrize(
    ("bbox", "reason"),
    [
        pytest.param([1, 2, 3], "its box should be four numbers, not [1, 2, 3]", id="three numbers"),
        pytest.param("1 2 3 4", "its box should be four numbers, not '1 2 3 4'", id="text"),
        pytest.param([1, 2, float("nan"), 4], "is broken: nan is no finite number", id="NaN"),
        pytest.param([1, 2, None, 4], "is broken: None is no number", id="null"),
        pytest.param([1, 2, -3, 4], "has no area: width and height should be above 0", id="negative"),
        pytest.param([1, 2, 3, 0], "has no area: width and height should be above 0", id="flat"),
        pytest.param([1, 2, 1e300, 4], "reaches beyond 10000000 pixels", id="huge"),
        pytest.param([1, 2, 10**400, 4], "is broken: a number is too large", id="too large for a float"),
        pytest.param([100, 2, 5, 4], "lies outside the picture", id="right of the picture"),
        pytest.param([-9, 2, 5, 4], "lies outside the picture", id="left of the picture"),
    ],
)
def test_a_broken_box_is_a_problem_and_its_class_stays_present(tmp_path: Path, bbox: object, reason: str) -> None:
    sheet = read(tmp_path, annotations=[annotated(bbox=bbox), annotated(category_id=2)])

    assert len(sheet.problems) == 1
    assert sheet.problems[0].line == 1
    assert reason in sheet.problems[0].reason
    assert sheet.problems[0].reason.startswith("annotation 1 of 'a.jpg': its box")
    assert states(sheet.records[0], sheet) == {"fox": "present", "car": "present"}
    assert [box.class_name for box in sheet.records[0].boxes] == ["car"]


def test_a_score_outside_0_to_1_is_a_problem(tmp_path: Path) -> None:
    assert reasons(read(tmp_path, annotations=[annotated(score=7)])) == [
        "annotation 1 of 'a.jpg': 7 is not between 0 and 1"
    ]


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        pytest.param([], "annotation 1: it should be an object, not []", id="no object"),
        pytest.param(annotated(image_id=99), "annotation 1: there is no image with the id '99'", id="unknown image"),
        pytest.param(annotated(image_id=None), "annotation 1: None is no id: a whole number or text is", id="no image"),
    ],
)
def test_an_annotation_of_no_known_picture_is_a_problem(tmp_path: Path, entry: object, reason: str) -> None:
    sheet = read(tmp_path, annotations=[entry])

    assert reasons(sheet) == [reason]
    assert len(sheet.records) == 2


@pytest.mark.parametrize("category_id", [7, None, [1]])
def test_after_an_unknown_category_nothing_is_said_to_be_absent(tmp_path: Path, category_id: object) -> None:
    sheet = read(tmp_path, annotations=[annotated(), annotated(category_id=category_id)])

    assert states(sheet.records[0], sheet) == {"fox": "present"}
    assert states(sheet.records[1], sheet) == {"fox": "absent", "car": "absent"}
    assert len(sheet.problems) == 1
    assert sheet.problems[0].line == 2


def test_the_category_unknown_is_no_class_and_leaves_the_others_open(tmp_path: Path) -> None:
    categories = [*FOX_AND_CAR, {"id": 3, "name": "Unknown"}]

    sheet = read(tmp_path, categories=categories, annotations=[annotated(category_id=3)])

    assert sheet.classes == ("fox", "car")
    assert states(sheet.records[0], sheet) == {}
    assert sheet.records[0].boxes[0].class_name == "Unknown"


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        pytest.param(7, "image 1: it should be an object, not 7", id="no object"),
        pytest.param({"id": 1}, "image 1: its file_name should be text, not None", id="no name"),
        pytest.param({"id": 1, "file_name": "\ud800.jpg"}, "image 1: its file_name should be text", id="half a pair"),
        pytest.param({"file_name": "a.jpg"}, "image 1: None is no id: a whole number or text is", id="no id"),
    ],
)
def test_an_image_without_a_name_or_an_id_is_a_problem(tmp_path: Path, image: object, reason: str) -> None:
    sheet = read(tmp_path, images=[image, {"id": 2, "file_name": "b.jpg"}], annotations=[])

    assert [record.path for record in sheet.records] == ["b.jpg"]
    assert reasons(sheet)[0].startswith(reason)


def test_two_files_with_one_id_are_both_left_out(tmp_path: Path) -> None:
    images = [{"id": 1, "file_name": name} for name in ("a.jpg", "b.jpg")] + [{"id": 2, "file_name": "c.jpg"}]

    sheet = read(tmp_path, images=images)

    assert [record.path for record in sheet.records] == ["c.jpg"]
    assert reasons(sheet) == ["image 2: id 1 stands for 'a.jpg' and 'b.jpg'; both are left out"]


def test_a_file_that_is_listed_twice_is_read_as_one(tmp_path: Path) -> None:
    images = [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "a.jpg"}]

    sheet = read(tmp_path, images=images, annotations=[annotated(), annotated(image_id=2, category_id=2)])

    assert [states(record, sheet) for record in sheet.records] == [{"fox": "present", "car": "present"}]
    assert reasons(sheet) == ["image 2: 'a.jpg' is image 1 already; they are read as one"]


@pytest.mark.parametrize(
    ("category", "reason"),
    [
        pytest.param(
            {"id": 3}, "category 3: it should be an object with an id and a name, not {'id': 3}", id="no name"
        ),
        pytest.param({"name": "cat"}, "category 3: None is no id: a whole number or text is", id="no id"),
        pytest.param({"id": 1, "name": "cat"}, "category 3: id 1 is 'fox' already; 'cat' is left out", id="taken"),
    ],
)
def test_a_broken_category_is_a_problem(tmp_path: Path, category: dict[str, Any], reason: str) -> None:
    sheet = read(tmp_path, categories=[*FOX_AND_CAR, category])

    assert reasons(sheet) == [reason]
    assert sheet.classes == ("fox", "car")


def test_two_ids_of_one_name_are_one_class(tmp_path: Path) -> None:
    assert read(tmp_path, categories=[*FOX_AND_CAR, {"id": 3, "name": "fox "}]).classes == ("fox", "car")


def test_a_class_outside_the_closed_list_is_one_problem_and_no_claim(tmp_path: Path) -> None:
    entries = [annotated(), annotated(), annotated(category_id=2)]

    sheet = read(tmp_path, ReadOptions(classes=("car",)), annotations=entries)

    assert sheet.classes == ("car",)
    assert states(sheet.records[0], sheet) == {"car": "present"}
    assert [box.class_name for box in sheet.records[0].boxes] == ["car"]
    assert reasons(sheet) == ["no class is called 'fox'. Known: car. Claims left out: 2."]


def test_of_a_wanted_class_that_the_file_never_asked_for_nothing_is_said(tmp_path: Path) -> None:
    sheet = read(tmp_path, ReadOptions(classes=("wolf", "car", "fox")))

    assert states(sheet.records[0], sheet) == {"fox": "present", "car": "absent"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"images": {}}, "'images' should be a list, and is an object", id="no list"),
        pytest.param({"annotations": None}, "'annotations' should be a list, and is null", id="null"),
        pytest.param({"categories": "fox"}, "'categories' should be a list, and is text", id="text"),
        pytest.param({"mekiki": {"classes": [1]}}, "its field 'mekiki' is broken: 'class' should hold text", id="ours"),
    ],
)
def test_a_file_without_its_lists_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read(tmp_path, **changes)


def test_a_list_of_results_is_refused_with_what_was_expected(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_text(json.dumps([annotated(score=0.5)]))

    with pytest.raises(UsageError, match=r"is not a COCO detection file .*: it should hold an object .*, not a list"):
        Coco.read(path, ReadOptions())
    assert not Coco.matches(path)


@pytest.mark.parametrize(
    "place",
    ["", "images", "train2017", "images/train2017"],
)
def test_pictures_are_found_where_they_usually_are(tmp_path: Path, place: str) -> None:
    folder = tmp_path / place / "night"
    folder.mkdir(parents=True)
    (folder / "b.jpg").touch()
    path = tmp_path / "instances_train2017.json"
    path.write_text(json.dumps(document()))

    assert Coco.read(path, ReadOptions()).base == tmp_path / place


def test_a_file_in_annotations_finds_the_folder_beside_it(tmp_path: Path) -> None:
    for folder in ("annotations", "train2017"):
        (tmp_path / folder).mkdir()
    (tmp_path / "train2017" / "a.jpg").touch()
    path = tmp_path / "annotations" / "instances_train2017.json"
    path.write_text(json.dumps(document()))

    assert Coco.read(path, ReadOptions()).base == tmp_path / "train2017"


def test_names_that_leave_the_folder_choose_no_folder(tmp_path: Path) -> None:
    (tmp_path / "sub" / "images").mkdir(parents=True)
    (tmp_path / "sub" / "secret.jpg").touch()
    images = [
        {"id": number, "file_name": name}
        for number, name in enumerate(["../secret.jpg", "/etc/passwd", "a\0.jpg", "x" * 5000 + ".jpg"])
    ]

    sheet = read(tmp_path / "sub", images=images, annotations=[])

    assert sheet.base == tmp_path / "sub"
    assert len(sheet.records) == 4
    with pytest.raises(Exception, match="points outside"):
        resolve_path(sheet.records[0].path, sheet.base)


def item(folder: Path, name: str, **fields: Any) -> OutItem:
    path = folder / f"{name}.jpg"
    path.write_bytes(name.encode())
    return OutItem(f"id-{name}", "image", path, 640, 480, **fields)


def hard_items(folder: Path) -> list[OutItem]:
    """Items that say everything that can be said, with names that are hard to write."""
    fox, odd = BoxClaim("fox", (10.125, 20.5, 99.99, 101.01)), BoxClaim('a/../b;"狸" 🦝', (0.0, 0.0, 640.0, 480.0))
    none = {"fox": "absent", odd.class_name: "absent", "car": "absent"}
    return [
        item(folder, "boxed", states=none | {"fox": "present", odd.class_name: "present"}, boxes=(fox, odd, fox)),
        item(folder, "empty", states=none, part="train"),
        item(folder, "not asked", part="val"),
        item(folder, "partly asked", states={"fox": "present", "car": "unsure"}, confidence={"fox": 0.75}),
        item(folder, "label without a box", states=none | {"fox": "present"}, confidence={"car": 0.5}, part="fold 1"),
        item(folder, "detected", boxes=(BoxClaim("animal", (1.0, 2.0, 3.0, 4.0), score=0.25),)),
        item(
            folder,
            "words",
            states=none,
            captions=("One.", "=2+2", "狸 🦝"),
            groups={"site": "north", "burst": "b1", "near": "found again"},
            attributes={"license": "3", "note": ""},
            captured_at="2024-05-01 06:07:08",
        ),
        item(folder, "frame", states=none, video_path=folder / "v.mp4", video_id="v", frame_index=45, time_s=1.5),
    ]


CLASSES = ("fox", 'a/../b;"狸" 🦝', "car")


def assert_same(read_back: Sheet, items: list[OutItem]) -> None:
    assert read_back.classes == CLASSES
    assert read_back.problems == ()
    assert len(read_back.records) == len(items)
    for record, one in zip(read_back.records, items, strict=True):
        said = {claim.class_name: (claim.state, claim.confidence) for claim in complete_claims(record, CLASSES)}
        assert said == {name: (state, one.confidence.get(name, 1.0)) for name, state in one.states.items()}, one.item_id
        assert [(box.class_name, box.score) for box in record.boxes] == [
            (box.class_name, box.score) for box in one.boxes
        ]
        for box, expected in zip(record.boxes, one.boxes, strict=True):
            assert box.xyxy == pytest.approx(expected.xyxy, abs=0.01)
        assert (record.part, record.captions, record.captured_at) == (one.part, one.captions, one.captured_at)
        assert record.attributes == one.attributes
        assert resolve_path(record.path, read_back.base).read_bytes() == one.path.read_bytes()


@pytest.mark.parametrize("media", ["copy", "link"])
def test_what_is_written_reads_back_as_it_was(tmp_path: Path, media: str) -> None:
    items = hard_items(tmp_path)
    out = tmp_path / "out"
    out.mkdir()

    written = Coco.write(items, out, WriteOptions(CLASSES, media=media))

    sheet = Coco.read(written[0], ReadOptions())
    assert_same(sheet, items)
    assert sheet.records[6].groups == {"site": "north", "burst": "b1"}
    frame = sheet.records[7]
    assert (frame.parent_path, frame.frame_index, frame.time_s) == ("../v.mp4", 45, 1.5)
    assert frame.groups == {"source": "v"}
    assert Coco.matches(written[0])


def test_each_part_has_a_file_of_its_own_with_the_same_ids(tmp_path: Path) -> None:
    written = Coco.write(hard_items(tmp_path), tmp_path, WriteOptions(CLASSES))

    names = [path.name for path in written]
    whole, train = (json.loads(path.read_text("utf-8")) for path in written[:2])
    assert names == ["annotations.json", "annotations_train.json", "annotations_val.json", "annotations_fold 1.json"]
    assert [image["file_name"] for image in train["images"]] == ["empty.jpg"]
    assert train["images"][0] in whole["images"]


def test_ids_last_whatever_else_is_written(tmp_path: Path) -> None:
    items = hard_items(tmp_path)
    alone, together = tmp_path / "1", tmp_path / "2"
    alone.mkdir()
    together.mkdir()

    first = json.loads(Coco.write(items[:1], alone, WriteOptions(CLASSES))[0].read_text("utf-8"))
    second = json.loads(Coco.write(items[::-1], together, WriteOptions(CLASSES))[0].read_text("utf-8"))

    image_id = first["images"][0]["id"]
    assert image_id in [image["id"] for image in second["images"]]
    assert isinstance(image_id, int)
    assert 0 < image_id < 2**53


def test_other_programs_see_ordinary_boxes_only(tmp_path: Path) -> None:
    content = json.loads(Coco.write(hard_items(tmp_path), tmp_path, WriteOptions(CLASSES))[0].read_text("utf-8"))

    assert [category["name"] for category in content["categories"]] == [*CLASSES, "animal"]
    assert [category["id"] for category in content["categories"]] == [1, 2, 3, 4]
    assert [entry["id"] for entry in content["annotations"]] == [1, 2, 3, 4]
    for entry in content["annotations"]:
        assert entry.keys() - {"score"} == {"id", "image_id", "category_id", "bbox", "area", "iscrowd"}
    assert "mekiki" not in content["images"][0]


def test_a_skeleton_has_pictures_and_classes_and_claims_nothing(tmp_path: Path) -> None:
    written = Coco.write(hard_items(tmp_path), tmp_path, WriteOptions(CLASSES, skeleton=True))

    sheet = Coco.read(written[0], ReadOptions())
    assert sheet.classes == CLASSES
    assert all(not complete_claims(record, CLASSES) and not record.boxes for record in sheet.records)


def test_nothing_can_be_written_and_read_back(tmp_path: Path) -> None:
    sheet = Coco.read(Coco.write([], tmp_path, WriteOptions(()))[0], ReadOptions())

    assert (sheet.records, sheet.classes, sheet.problems) == ((), (), ())


def test_a_broken_field_of_ours_is_a_problem_and_no_wrong_label(tmp_path: Path) -> None:
    image = {"id": 1, "file_name": "a.jpg", "mekiki": {"labels": {"fox": "maybe"}}}

    sheet = read(tmp_path, images=[image])

    assert sheet.records == ()
    assert reasons(sheet) == [
        "image 1: its field 'mekiki' is broken: class 'fox' cannot be 'maybe'. Known: present, absent, unsure"
    ]


def test_time_grows_with_the_number_of_pictures_and_not_with_its_square(tmp_path: Path) -> None:
    n = 20_000
    images = [{"id": number, "file_name": f"{number}.jpg"} for number in range(n)]
    annotations = [annotated(id=number, image_id=number % n) for number in range(3 * n)]
    started = time.process_time()

    sheet = read(tmp_path, images=images, annotations=annotations)

    assert len(sheet.records) == n
    assert time.process_time() - started < 8


def test_real_coco_reads_whole_and_comes_back_the_same(shared_data: Path, tmp_path: Path) -> None:
    sheet = Coco.read(shared_data / "street/coco_mini/instances.json", ReadOptions())

    assert (len(sheet.records), len(sheet.classes), sheet.problems) == (80, 80, ())
    assert sum(len(record.boxes) for record in sheet.records) == 739 - 8
    assert all(resolve_path(record.path, sheet.base).is_file() for record in sheet.records)

    def out(record: Record) -> OutItem:
        claims = complete_claims(record, sheet.classes)
        states = {claim.class_name: claim.state for claim in claims}
        return OutItem(record.path, "image", sheet.base / record.path, 640, 640, states=states, boxes=record.boxes)

    written = Coco.write([out(record) for record in sheet.records], tmp_path, WriteOptions(sheet.classes, "link"))
    again = Coco.read(written[0], ReadOptions())
    for record, second in zip(sheet.records, again.records, strict=True):
        assert states(record, sheet) == states(second, again)
        assert [box.class_name for box in record.boxes] == [box.class_name for box in second.boxes]


@pytest.mark.parametrize(
    ("name", "n_pictures", "n_classes"),
    [("street/coco_mini/person_keypoints.json", 80, 1), ("wildlife/ena24_small/coco_annotations.json", 12, 7)],
)
def test_real_files_read_without_a_problem(shared_data: Path, name: str, n_pictures: int, n_classes: int) -> None:
    sheet = Coco.read(shared_data / name, ReadOptions())

    assert (len(sheet.records), len(sheet.classes), sheet.problems) == (n_pictures, n_classes, ())
    assert any(record.boxes for record in sheet.records)
    assert all(resolve_path(record.path, sheet.base).is_file() for record in sheet.records)
