"""MegaDetector batch files: boxes with scores, failures, videos, versions, and back again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mekiki.dataset.claims import box_in_px
from mekiki.dataset.formats.base import (
    BoxClaim,
    OutItem,
    ReadOptions,
    Sheet,
    WriteOptions,
    complete_claims,
    resolve_path,
)
from mekiki.dataset.formats.megadetector import MegaDetector
from mekiki.errors import UsageError

CATEGORIES = {"1": "animal", "2": "person", "3": "vehicle"}


def read(folder: Path, entries: object, options: ReadOptions | None = None, **fields: Any) -> Sheet:
    path = folder / "results.json"
    content = {"info": {"format_version": "1.4"}, "detection_categories": CATEGORIES, "images": entries} | fields
    path.write_text(json.dumps(content), encoding="utf-8")
    return MegaDetector.read(path, options or ReadOptions())


def found(**fields: Any) -> dict[str, Any]:
    return {"category": "1", "conf": 0.9, "bbox": [0.25, 0.5, 0.5, 0.25]} | fields


def photo(*detections: Any, **fields: Any) -> dict[str, Any]:
    return {"file": "a.jpg", "detections": list(detections)} | fields


def reasons(sheet: Sheet) -> list[str]:
    return [problem.reason for problem in sheet.problems]


def test_detections_are_relative_boxes_with_the_confidence_as_score(tmp_path: Path) -> None:
    sheet = read(tmp_path, [photo(found(), found(category=2, conf=0))])

    assert sheet.records[0].boxes == (
        BoxClaim("animal", (0.25, 0.5, 0.75, 0.75), 0.9, is_relative=True),
        BoxClaim("person", (0.25, 0.5, 0.75, 0.75), 0.0, is_relative=True),
    )
    assert sheet.problems == ()


def test_a_detector_makes_no_labels_and_no_classes(tmp_path: Path) -> None:
    sheet = read(tmp_path, [photo(found()), photo(file="b.jpg")])

    assert sheet.classes == ()
    assert [(record.labels, record.is_complete) for record in sheet.records] == [((), False)] * 2
    assert sheet.records[1].boxes == ()


@pytest.mark.parametrize(
    ("info", "image"),
    [
        pytest.param(None, {"max_detection_conf": 0.9}, id="before versions"),
        pytest.param({"format_version": "1.0"}, {"max_detection_conf": 0.9, "failure": None}, id="1.0"),
        pytest.param({"format_version": "1.2", "detector_metadata": {}}, {}, id="1.2"),
        pytest.param({"format_version": 1.4}, {}, id="as a number"),
        pytest.param({"format_version": "1.6"}, {"width": 10, "height": 10}, id="1.6"),
    ],
)
def test_every_version_1_is_read(tmp_path: Path, info: object, image: dict[str, Any]) -> None:
    sheet = read(tmp_path, [photo(found(), **image)], info=info)

    assert len(sheet.records[0].boxes) == 1
    assert sheet.records[0].attributes == {}


def test_a_later_major_version_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"has format_version '2\.0'; MegaDetector files of version 1 are read"):
        read(tmp_path, [], info={"format_version": "2.0"})


def test_the_likeliest_class_the_detector_and_the_time_are_kept(tmp_path: Path) -> None:
    detections = [found(classifications=[["1", 0.2], ["0", 0.1]]), found(classifications=[["0", 0.75]]), found()]
    image = photo(*detections, datetime="2024:05:01 06:07:08", note="x")

    sheet = read(tmp_path, [image], info={"detector": "md_v5"}, classification_categories={"0": "fox", "1": "deer"})

    record = sheet.records[0]
    assert record.attributes == {"detector": "md_v5", "note": "x", "top_class": "fox", "top_class_score": "0.75"}
    assert record.captured_at == "2024-05-01 06:07:08"


@pytest.mark.parametrize(
    ("classifications", "reason"),
    [
        pytest.param([7], "a classification should be a category and a score, not 7", id="no pair"),
        pytest.param([["9", 0.5]], "its class '9' is not in classification_categories", id="unknown class"),
        pytest.param([["0", 5]], "5 is not between 0 and 1", id="no score"),
    ],
)
def test_a_broken_classification_is_a_problem_and_the_box_stays(
    tmp_path: Path, classifications: object, reason: str
) -> None:
    image = photo(found(classifications=classifications))

    sheet = read(tmp_path, [image], classification_categories={"0": "fox"})

    assert len(sheet.records[0].boxes) == 1
    assert reasons(sheet) == [f"image 1, detection 1 of 'a.jpg': the box is kept, but {reason}"]


def test_a_failure_is_a_problem_and_no_record(tmp_path: Path) -> None:
    failed = {"file": "b.jpg", "failure": "Failure image access", "detections": None}

    sheet = read(tmp_path, [photo(found()), failed])

    assert [record.path for record in sheet.records] == ["a.jpg"]
    assert [problem.line for problem in sheet.problems] == [2]
    assert reasons(sheet) == ["image 2: the detector could not read 'b.jpg': 'Failure image access'"]


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        pytest.param(7, "image 1: it should be an object, not 7", id="no object"),
        pytest.param({"detections": []}, "image 1: its file should be text, not None", id="no file"),
        pytest.param(
            {"file": "b.jpg"}, "image 1: 'b.jpg' has neither a list of detections nor a failure", id="nothing"
        ),
        pytest.param(photo(mekiki=7), "image 1: its field 'mekiki' should be an object, and is a number", id="ours"),
    ],
)
def test_a_broken_image_is_a_problem(tmp_path: Path, image: object, reason: str) -> None:
    sheet = read(tmp_path, [image])

    assert reasons(sheet) == [reason]
    assert sheet.records == ()


def test_a_file_that_stands_twice_counts_once(tmp_path: Path) -> None:
    sheet = read(tmp_path, [photo(found()), photo()])

    assert len(sheet.records) == 1
    assert reasons(sheet) == ["image 2: 'a.jpg' is image 1 already; this one is left out"]


def test_a_file_that_failed_once_and_was_read_later_is_kept(tmp_path: Path) -> None:
    sheet = read(tmp_path, [photo(failure="time-out"), photo(found())])

    assert len(sheet.records[0].boxes) == 1
    assert len(sheet.problems) == 1


@pytest.mark.parametrize(
    ("detection", "reason"),
    [
        pytest.param(7, "it should be an object, not 7", id="no object"),
        pytest.param(found(category=None), "None is no id: a whole number or text is", id="no category"),
        pytest.param(found(conf=1.5), "its conf: 1.5 is not between 0 and 1", id="confidence"),
        pytest.param(found(conf=float("nan")), "its conf: nan is no finite number", id="NaN"),
        pytest.param(found(bbox=None), "its box should be four numbers, not None", id="no box"),
        pytest.param(
            found(bbox=[10, 20, 30, 40]), "10, 20, 40, 60 is not in shares of the picture, 0 to 1", id="pixels"
        ),
        pytest.param(found(bbox=[0.5, 0.5, -0.1, 0.1]), "has no area inside the picture", id="negative"),
        pytest.param(found(bbox=[1.2, 0.5, 0.1, 0.1]), "has no area inside the picture", id="outside"),
        pytest.param(found(frame_number=-1), "-1 is no index of a frame: they count from 0", id="frame"),
    ],
)
def test_a_broken_detection_is_a_problem_and_the_others_are_read(
    tmp_path: Path, detection: object, reason: str
) -> None:
    sheet = read(tmp_path, [photo(found(), detection)])

    assert len(sheet.records[0].boxes) == 1
    assert len(sheet.problems) == 1
    assert reasons(sheet)[0].startswith("image 1, detection 2 of 'a.jpg': ")
    assert reason in reasons(sheet)[0]


def test_a_category_that_is_not_listed_counts_as_no_detection(tmp_path: Path) -> None:
    sheet = read(tmp_path, [photo(found(category="9"), found())])

    assert len(sheet.records[0].boxes) == 1
    assert sheet.problems == ()
    assert sheet.notes == ("detections of categories that are not in detection_categories, left out: 1",)


def test_detections_in_a_video_are_records_of_its_frames(tmp_path: Path) -> None:
    detections = [found(frame_number=40), found(frame_number=0), found(frame_number=40, category="2")]
    video = {"file": "v.mp4", "frame_rate": 20, "frames_processed": [0, 20, 40], "detections": detections}

    whole, first, second = read(tmp_path, [video]).records

    assert (whole.boxes, whole.frame_index, whole.attributes) == ((), None, {"frame_rate": "20"})
    assert {record.path for record in (whole, first, second)} == {"v.mp4"}
    assert (first.frame_index, first.time_s, len(first.boxes)) == (0, 0.0, 1)
    assert (second.frame_index, second.time_s, len(second.boxes)) == (40, 2.0, 2)


def test_a_video_without_a_frame_rate_has_frames_without_a_time(tmp_path: Path) -> None:
    video = {"file": "v.mp4", "frame_rate": 0, "detections": [found(frame_number=5)]}

    assert read(tmp_path, [video]).records[1].time_s is None


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        pytest.param({"entries": None}, "'images' should be a list, and is null", id="images"),
        pytest.param({"detection_categories": None}, "should be an object of names, and is null", id="categories"),
        pytest.param({"detection_categories": {"1": 7}}, "and is one with a name that is no text", id="names"),
    ],
)
def test_a_file_without_what_it_needs_is_refused(tmp_path: Path, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read(tmp_path, **{"entries": []} | fields)


def test_a_file_is_recognised_by_its_detection_categories(tmp_path: Path) -> None:
    path = tmp_path / "results.json"

    read(tmp_path, [photo(found())])
    assert MegaDetector.matches(path)
    path.write_text('{"images": [{"file_name": "a.jpg"}], "categories": []}')
    assert not MegaDetector.matches(path)


def items(folder: Path) -> list[OutItem]:
    """Items that say everything that can be said."""
    animal = BoxClaim("animal", (10.125, 20.5, 99.99, 101.01), 0.926)
    odd = BoxClaim("狸/🦝", (0.0, 0.0, 4000.0, 3000.0))
    all_fields: list[dict[str, Any]] = [
        {"boxes": (animal, odd, animal), "attributes": {"detector": "md_v5", "top_class": "fox"}},
        {"states": {"fox": "present", "car": "absent"}, "part": "train", "attributes": {"detector": "md_v5"}},
        {"states": {"car": "unsure"}, "captions": ("A car?",), "attributes": {"detector": "md_v5"}},
        {
            "groups": {"site": "n", "burst": "b"},
            "captured_at": "2024-05-01 06:07:08",
            "attributes": {"detector": "md_v5"},
        },
    ]
    made = []
    for number, fields in enumerate(all_fields):
        path = folder / f"{number}.jpg"
        path.write_bytes(str(number).encode())
        made.append(OutItem(f"id{number}", "image", path, 4000, 3000, **fields))
    return made


def test_what_is_written_reads_back_as_it_was(tmp_path: Path) -> None:
    made = items(tmp_path)
    (tmp_path / "out").mkdir()

    written = MegaDetector.write(made, tmp_path / "out", WriteOptions(("fox", "car"), "copy"))

    sheet = MegaDetector.read(written[0], ReadOptions())
    assert MegaDetector.matches(written[0])
    assert (sheet.classes, sheet.problems, sheet.notes) == (("fox", "car"), (), ())
    for record, item in zip(sheet.records, made, strict=True):
        assert {claim.class_name: claim.state for claim in complete_claims(record, sheet.classes)} == item.states
        assert [(box.class_name, box.score) for box in record.boxes] == [
            (box.class_name, box.score) for box in item.boxes
        ]
        for box, expected in zip(record.boxes, item.boxes, strict=True):
            assert box_in_px(box, 4000, 3000) == pytest.approx(expected.xyxy, abs=0.01)
        assert (record.part, record.captions, record.captured_at) == (item.part, item.captions, item.captured_at)
        assert (record.groups, record.attributes) == (item.groups, item.attributes)
        assert resolve_path(record.path, sheet.base).read_bytes() == item.path.read_bytes()


def test_the_usual_categories_have_their_usual_numbers(tmp_path: Path) -> None:
    boxes = tuple(BoxClaim(name, (0.0, 0.0, 5.0, 5.0)) for name in ("zebra", "vehicle", "ape"))
    (tmp_path / "a.jpg").touch()

    written = MegaDetector.write(
        [OutItem("1", "image", tmp_path / "a.jpg", 10, 10, boxes=boxes)], tmp_path, WriteOptions(())
    )

    content = json.loads(written[0].read_text("utf-8"))
    assert content["detection_categories"] == {"3": "vehicle", "4": "ape", "5": "zebra"}
    assert content["info"] == {"format_version": "1.4"}
    assert content["images"][0]["detections"][0] == {"category": "5", "conf": 1.0, "bbox": [0.0, 0.0, 0.5, 0.5]}


def test_a_skeleton_has_no_boxes_and_no_labels(tmp_path: Path) -> None:
    written = MegaDetector.write(items(tmp_path), tmp_path, WriteOptions(("fox", "car"), skeleton=True))

    records = MegaDetector.read(written[0], ReadOptions()).records
    assert all(not record.boxes and not record.labels for record in records)


def test_a_class_outside_the_closed_list_is_a_problem(tmp_path: Path) -> None:
    written = MegaDetector.write(items(tmp_path), tmp_path, WriteOptions(("fox", "car")))

    sheet = MegaDetector.read(written[0], ReadOptions(classes=("car",)))

    assert reasons(sheet) == ["no class is called 'fox'. Known: car. Claims left out: 1."]
    assert all(claim.class_name == "car" for record in sheet.records for claim in record.labels)


def test_real_output_reads_without_a_problem(shared_data: Path) -> None:
    path = shared_data / "wildlife/ena24_small/megadetector_output.json"

    sheet = MegaDetector.read(path, ReadOptions())

    assert (len(sheet.records), sheet.problems, sheet.notes) == (12, (), ())
    assert MegaDetector.matches(path)
    assert sheet.records[0].boxes == (
        BoxClaim("animal", pytest.approx((0.35, 0.35, 0.65, 0.65)), 0.926, is_relative=True),
    )
    assert sheet.records[0].attributes["top_class"] == "virginia_opossum"
    assert all(resolve_path(record.path, sheet.base).is_file() for record in sheet.records)
