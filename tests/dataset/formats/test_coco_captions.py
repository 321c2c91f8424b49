"""COCO captions: sentences in order, and back again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mekiki.dataset.formats.base import BoxClaim, OutItem, ReadOptions, Sheet, WriteOptions, complete_claims
from mekiki.dataset.formats.coco_captions import CocoCaptions
from mekiki.errors import UsageError


def read(folder: Path, annotations: list[Any], options: ReadOptions | None = None, **fields: Any) -> Sheet:
    images = [{"id": number, "file_name": f"{number}.jpg", "license": 1} for number in (1, 2)]
    path = folder / "captions.json"
    path.write_text(json.dumps({"images": images, "annotations": annotations} | fields))
    return CocoCaptions.read(path, options or ReadOptions())


def test_captions_stand_in_the_order_of_the_annotations(tmp_path: Path) -> None:
    texts = ["Zwei.\n", " A fox. ", "One\ttwo"]

    sheet = read(tmp_path, [{"id": 9 - n, "image_id": 1, "caption": text} for n, text in enumerate(texts)])

    assert sheet.records[0].captions == ("Zwei.", "A fox.", "One\ttwo")
    assert sheet.records[1].captions == ()
    assert [record.attributes for record in sheet.records] == [{"license": "1"}] * 2


def test_captions_say_nothing_of_classes(tmp_path: Path) -> None:
    sheet = read(tmp_path, [])

    assert sheet.classes == ()
    assert [(record.labels, record.is_complete) for record in sheet.records] == [((), False)] * 2


@pytest.mark.parametrize("caption", [None, "", "  ", 7, "\ud800"])
def test_a_caption_that_is_no_text_is_a_problem(tmp_path: Path, caption: object) -> None:
    sheet = read(tmp_path, [{"image_id": 1, "caption": caption}, {"image_id": 1, "caption": "A fox."}])

    assert sheet.records[0].captions == ("A fox.",)
    assert [problem.line for problem in sheet.problems] == [1]
    assert sheet.problems[0].reason.startswith("annotation 1 of '1.jpg': its caption should be text, not ")


def test_a_file_without_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"is not a COCO captions file .*: 'images' should be a list, and is null"):
        read(tmp_path, [], images=None)


def test_a_file_is_recognised_by_its_captions(tmp_path: Path) -> None:
    path = tmp_path / "captions.json"

    read(tmp_path, [{"id": 1, "image_id": 1, "caption": "A fox."}])
    assert CocoCaptions.matches(path)
    read(tmp_path, [{"id": 1, "image_id": 1, "category_id": 1}])
    assert not CocoCaptions.matches(path)


def test_what_is_written_reads_back_as_it_was(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.jpg").write_bytes(name.encode())
    (tmp_path / "out").mkdir()
    items = [
        OutItem("1", "image", tmp_path / "a.jpg", 10, 10, captions=("Two.", "One 狸.", '"quoted"'), part="train"),
        OutItem("2", "image", tmp_path / "b.jpg", 10, 10, groups={"site": "north"}),
        OutItem(
            "3",
            "image",
            tmp_path / "c.jpg",
            10,
            10,
            states={"fox": "present", "car": "unsure"},
            boxes=(BoxClaim("fox", (1.0, 2.0, 3.0, 4.0), 0.5),),
        ),
    ]

    written = CocoCaptions.write(items, tmp_path / "out", WriteOptions(("fox", "car"), "copy"))

    sheet = CocoCaptions.read(written[0], ReadOptions())
    assert [path.name for path in written] == ["captions.json", "captions_train.json"]
    assert all(CocoCaptions.matches(path) for path in written)
    assert sheet.classes == ("fox", "car")
    for record, item in zip(sheet.records, items, strict=True):
        assert {claim.class_name: claim.state for claim in complete_claims(record, sheet.classes)} == item.states
        assert (record.captions, record.boxes, record.part) == (item.captions, item.boxes, item.part)
        assert record.groups == item.groups
        assert (sheet.base / record.path).read_bytes() == item.path.read_bytes()


def test_a_file_of_ours_without_captions_is_recognised(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    items = [OutItem("1", "image", tmp_path / "a.jpg", 10, 10, captions=("A fox.",))]

    written = CocoCaptions.write(items, tmp_path, WriteOptions((), skeleton=True))

    assert CocoCaptions.matches(written[0])
    assert CocoCaptions.read(written[0], ReadOptions()).records[0].captions == ()


def test_a_class_outside_the_closed_list_is_a_problem(tmp_path: Path) -> None:
    kept = {"labels": {"fox": "present", "car": "present"}}
    images = [{"id": 1, "file_name": "a.jpg", "mekiki": kept}]

    sheet = read(tmp_path, [], ReadOptions(classes=("car",)), images=images)

    assert [claim.class_name for claim in sheet.records[0].labels] == ["car"]
    assert [problem.reason for problem in sheet.problems] == [
        "no class is called 'fox'. Known: car. Claims left out: 1."
    ]


def test_real_coco_has_five_captions_per_picture(shared_data: Path) -> None:
    path = shared_data / "street/coco_mini/captions.json"

    sheet = CocoCaptions.read(path, ReadOptions())

    assert (len(sheet.records), sheet.problems) == (80, ())
    assert {len(record.captions) for record in sheet.records} == {5}
    assert sheet.records[0].captions[1] == "a living room with many decorations hanging"
    assert CocoCaptions.matches(path)
