"""YOLO folders: data.yaml in its many spellings, label files, broken lines, and back again."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from format_items import make_item
from mekiki.dataset.claims import box_in_px
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
from mekiki.dataset.formats.yolo import Yolo
from mekiki.errors import DataError, UnreadableError, UsageError


def make(folder: Path, data: dict[Any, Any] | str, labels: dict[str, str | bytes | None]) -> Path:
    """Write a ``data.yaml``, and per picture (``images/train/a.jpg``) a label file unless it is None."""
    for name, content in labels.items():
        picture = folder / name
        picture.parent.mkdir(parents=True, exist_ok=True)
        picture.write_bytes(name.encode())
        if content is not None:
            path = folder / name.replace("images/", "labels/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.with_suffix(".txt").write_bytes(content if isinstance(content, bytes) else content.encode())
    path = folder / "data.yaml"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(data if isinstance(data, str) else yaml.safe_dump(data, allow_unicode=True), encoding="utf-8")
    return path


PLAIN = {"train": "images/train", "names": ["fox", "car"]}


def read(folder: Path, labels: dict[str, str | bytes | None], options: ReadOptions | None = None, **data: Any) -> Sheet:
    return Yolo.read(make(folder, PLAIN | data, labels), options or ReadOptions())


def read_line(folder: Path, line: str | bytes, **data: Any) -> Sheet:
    return read(folder, {"images/train/a.jpg": line}, **data)


def states(record: Record, sheet: Sheet) -> dict[str, str]:
    return {claim.class_name: claim.state for claim in complete_claims(record, sheet.classes)}


def reasons(sheet: Sheet) -> list[str]:
    return [problem.reason for problem in sheet.problems]


def test_a_line_is_a_box_and_says_that_its_class_is_there(tmp_path: Path) -> None:
    sheet = read_line(tmp_path, "0 0.5 0.5 0.25 0.5\r\n\r\n0 0.25 0.25 0.5 0.5")

    record = sheet.records[0]
    assert (record.path, record.part, record.line) == ("images/train/a.jpg", "train", 1)
    assert record.boxes == (
        BoxClaim("fox", (0.375, 0.25, 0.625, 0.75), is_relative=True),
        BoxClaim("fox", (0.0, 0.0, 0.5, 0.5), is_relative=True),
    )
    assert states(record, sheet) == {"fox": "present", "car": "absent"}


@pytest.mark.parametrize("content", [pytest.param("", id="empty"), pytest.param(None, id="missing")])
def test_a_picture_with_an_empty_or_missing_label_file_shows_nothing(tmp_path: Path, content: str | None) -> None:
    sheet = read(tmp_path, {"images/train/a.jpg": content})

    assert states(sheet.records[0], sheet) == {"fox": "absent", "car": "absent"}
    assert sheet.problems == ()


def test_the_box_around_a_polygon_is_taken(tmp_path: Path) -> None:
    sheet = read_line(tmp_path, "1 0.25 0.5 0.75 0.25 0.5 1.0")

    assert sheet.records[0].boxes == (BoxClaim("car", (0.25, 0.25, 0.75, 1.0), is_relative=True),)


def test_a_sixth_number_is_a_score(tmp_path: Path) -> None:
    assert read_line(tmp_path, "0 0.5 0.5 0.5 0.5 0.75").records[0].boxes[0].score == 0.75


def test_keypoints_are_left_out(tmp_path: Path) -> None:
    sheet = read_line(tmp_path, "0 0.5 0.5 0.5 0.5 0.1 0.1 2 0.9 0.9 2", kpt_shape=[2, 3])

    assert sheet.records[0].boxes == (BoxClaim("fox", (0.25, 0.25, 0.75, 0.75), is_relative=True),)


def test_a_box_that_reaches_over_the_edge_is_clipped(tmp_path: Path) -> None:
    assert read_line(tmp_path, "0 0.9 0.5 0.4 0.5").records[0].boxes[0].xyxy == (0.7, 0.25, 1.0, 0.75)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        pytest.param("0 0.5 0.5 0.5", "3 numbers after the class are neither a box (4) nor a polygon", id="too few"),
        pytest.param("0 1 1 1 1 1 1 1", "7 numbers after the class are neither a box (4) nor", id="odd polygon"),
        pytest.param("0 0.5 0.5 nan 0.5", "'0.5 0.5 nan 0.5' are not all numbers", id="NaN"),
        pytest.param("0 0.5 0.5 inf 0.5", "are not all numbers", id="infinite"),
        pytest.param("0 0.5 0.5 wide 0.5", "'0.5 0.5 wide 0.5' are not all numbers", id="word"),
        pytest.param(b"0 0.5 0.5 \xff 0.5", "are not all numbers", id="no text"),
        pytest.param("0 0.5 0.5 -0.5 0.5", "its box 0.5 0.5 -0.5 0.5 has no area", id="negative"),
        pytest.param("0 320 240 100 50", "is not in shares of the picture, 0 to 1", id="pixels"),
        pytest.param("0 0.5 0.5 0.5 0.5 7", "its score 7 is not between 0 and 1", id="score"),
        pytest.param("0 0.5 0.5 0.5 0.5 0.5 0.5", "has no area inside the picture", id="flat polygon"),
    ],
)
def test_a_broken_box_is_a_problem_with_its_place_and_its_class_stays_present(
    tmp_path: Path, line: str | bytes, reason: str
) -> None:
    content = b"1 0.5 0.5 0.5 0.5\n" + (line if isinstance(line, bytes) else line.encode())

    sheet = read_line(tmp_path, content)

    assert [problem.line for problem in sheet.problems] == [2]
    assert reasons(sheet)[0].startswith("labels/train/a.txt:2: ")
    assert reason in reasons(sheet)[0]
    assert states(sheet.records[0], sheet) == {"fox": "present", "car": "present"}
    assert len(sheet.records[0].boxes) == 1


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        pytest.param("2 0.5 0.5 0.5 0.5", "there is no class 2; data.yaml names 0 to 1", id="too high"),
        pytest.param("-1 0.5 0.5 0.5 0.5", "there is no class -1; data.yaml names 0 to 1", id="negative"),
        pytest.param("1e300 0.5 0.5 0.5 0.5", "there is no class 1e+300", id="huge"),
        pytest.param("fox 0.5 0.5 0.5 0.5", "'fox' is no class index", id="word"),
        pytest.param("0.5 0.5 0.5 0.5 0.5", "'0.5' is no class index", id="fraction"),
    ],
)
def test_after_a_line_of_no_known_class_nothing_is_said_to_be_absent(tmp_path: Path, line: str, reason: str) -> None:
    sheet = read_line(tmp_path, f"0.0 0.5 0.5 0.5 0.5\n{line}\n")

    assert reasons(sheet)[0].startswith(f"labels/train/a.txt:2: {reason}")
    assert states(sheet.records[0], sheet) == {"fox": "present"}


def test_a_label_file_that_cannot_be_read_is_a_problem(tmp_path: Path) -> None:
    path = make(tmp_path, PLAIN, {"images/train/a.jpg": None})
    label = tmp_path / "labels/train/a.txt"
    label.parent.mkdir(parents=True)
    with label.open("wb") as file:
        file.truncate(30_000_000)

    sheet = Yolo.read(path, ReadOptions())

    assert reasons(sheet) == [
        "a.txt of 'images/train/a.jpg' cannot be read: it has 30,000,000 bytes, more than labels of one picture need"
    ]
    assert states(sheet.records[0], sheet) == {}


@pytest.mark.parametrize(
    "names",
    [
        pytest.param("['fox', 'car']", id="list"),
        pytest.param("{0: fox, 1: car}", id="mapping"),
        pytest.param("{'1': car, '0': fox}", id="mapping of text, out of order"),
    ],
)
def test_names_may_be_a_list_or_a_mapping(tmp_path: Path, names: str) -> None:
    path = make(tmp_path, f"train: images\nnames: {names}\n", {"images/a.jpg": "1 0.5 0.5 0.5 0.5"})

    sheet = Yolo.read(path, ReadOptions())

    assert sheet.classes == ("fox", "car")
    assert sheet.records[0].boxes[0].class_name == "car"


def test_the_class_unknown_is_no_class_and_leaves_the_others_open(tmp_path: Path) -> None:
    sheet = read_line(tmp_path, "0 0.5 0.5 0.5 0.5", names=["unknown", "car"])

    assert sheet.classes == ("car",)
    assert states(sheet.records[0], sheet) == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("train: images\n", r"has no class names: 'names' should be a list", id="no names"),
        pytest.param(
            "train: images\nnames: [a, no]\n", r"name 1 is False to YAML and no text: put it in quotes", id="no"
        ),
        pytest.param(
            "train: images\nnames: {a: b}\n", r"'a' in 'names' is no class index: they count from 0", id="index"
        ),
        pytest.param("names: [a]\n", r"names no pictures: it should have 'train', 'val' or 'test'", id="no part"),
        pytest.param("train: 7\nnames: [a]\n", r"'train' should be a folder, .* not 7", id="number"),
        pytest.param("train: [images, {}]\nnames: [a]\n", r"'train' should be a folder, .* not \{\}", id="object"),
        pytest.param("- a\n", r"is no data\.yaml: it should have 'names' and 'train', not \['a'\]", id="list"),
        pytest.param("a: [1\nb: 2", r"is broken YAML at line 2, column \d+: expected", id="broken"),
        pytest.param("a: !!python/object/apply:os.system ['true']", r"could not determine a constructor", id="code"),
        pytest.param("a: !!int ''", r"is broken YAML: ", id="empty integer"),
        pytest.param("a: !!timestamp x", r"is broken YAML: ", id="no time"),
        pytest.param("[" * 5000, r"is broken YAML", id="nested"),
        pytest.param("a: \0", r"is broken YAML", id="control character"),
        pytest.param("x" * 1_000_001, r"has 1,000,001 bytes; a data\.yaml of at most 1,000,000 is read", id="large"),
    ],
)
def test_a_broken_data_yaml_is_refused_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        Yolo.read(make(tmp_path, text, {}), ReadOptions())

    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"gone\.yaml cannot be read: No such file"):
        Yolo.read(tmp_path / "gone.yaml", ReadOptions())


def test_a_folder_without_a_data_yaml_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"holds no data\.yaml with 'names' and 'train', or several"):
        Yolo.read(tmp_path, ReadOptions())


def test_parts_that_are_nowhere_are_refused_all_and_a_problem_each(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"points at nothing: train: 'images/train' is no folder or \.txt file in"):
        read(tmp_path, {})

    sheet = read(tmp_path, {"images/train/a.jpg": ""}, val="images/val")
    assert reasons(sheet) == [f"val: 'images/val' is no folder or .txt file in {tmp_path}, or is above it"]
    assert len(sheet.records) == 1


@pytest.mark.parametrize("place", ["..", "/", "../.."])
def test_a_folder_above_is_no_part(tmp_path: Path, place: str) -> None:
    sheet = read(tmp_path / "set", {"images/train/a.jpg": ""}, val=place)

    assert len(sheet.records) == 1
    assert reasons(sheet)[0].endswith("or is above it")


def test_parts_come_from_folders_lists_of_folders_and_list_files(tmp_path: Path) -> None:
    labels = dict.fromkeys(
        ("images/1/a.jpg", "images/2/deep/b.PNG", "images/2/._b.jpg", "images/1/v.mp4", "images/3/c.jpg"), ""
    )
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "val.txt").write_text("\n../images/3/c.jpg\r\nimages/3/gone.jpg\n./images/1/a.jpg\n")

    sheet = read(tmp_path, labels, train=["images/1", "images/2"], valid="lists/val.txt", test=None)

    assert [(record.path, record.part) for record in sheet.records] == [
        ("images/1/a.jpg", "train"),
        ("images/2/deep/b.PNG", "train"),
        ("images/3/c.jpg", "val"),
        ("lists/images/3/gone.jpg", "val"),
        ("images/1/a.jpg", "val"),
    ]


def test_a_picture_in_two_parts_is_read_for_both_and_noted(tmp_path: Path) -> None:
    sheet = read(tmp_path, {"images/train/a.jpg": "0 0.5 0.5 0.5 0.5"}, val="images/train")

    assert [record.part for record in sheet.records] == ["train", "val"]
    assert sheet.notes == ("pictures that are in train and val at once: 1",)
    assert sheet.problems == ()


@pytest.mark.parametrize(
    ("path", "train"),
    [
        pytest.param("/content/datasets/not/here", "images/train", id="path of another machine"),
        pytest.param("sub/..", "images/train", id="detour"),
        pytest.param(None, "../images/train", id="as Roboflow writes it"),
        pytest.param("images", "train", id="path inside"),
    ],
)
def test_pictures_are_found_wherever_data_yaml_was_written(tmp_path: Path, path: str | None, train: str) -> None:
    (tmp_path / "set" / "sub").mkdir(parents=True)

    sheet = read(tmp_path / "set", {"images/train/a.jpg": "0 0.5 0.5 0.5 0.5"}, path=path, train=train)

    assert [record.path for record in sheet.records] == ["images/train/a.jpg"]
    assert sheet.records[0].boxes


def test_labels_may_stand_beside_the_pictures(tmp_path: Path) -> None:
    sheet = read(tmp_path, {"photos/a.jpg": "0 0.5 0.5 0.5 0.5"}, train="photos")

    assert sheet.records[0].boxes


def test_pictures_outside_are_named_as_they_are_and_refused_later(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()

    path = make(tmp_path / "set", {"train": "list.txt", "names": ["fox"]}, {})
    (tmp_path / "set" / "list.txt").write_text("../a.jpg\n/etc/hostname\n/\n..\na\0b.jpg\n" + "x" * 5000 + ".jpg\n")

    sheet = Yolo.read(path, ReadOptions())

    assert sheet.records[0].path == (tmp_path / "a.jpg").as_posix()
    for record in sheet.records[:5]:
        with pytest.raises(UnreadableError, match=r"points outside|names no file"):
            resolve_path(record.path, sheet.base)


@pytest.mark.skipif(os.name == "nt", reason="names are Unicode there")
def test_a_file_name_that_is_no_text_is_a_problem(tmp_path: Path) -> None:
    path = make(tmp_path, PLAIN, {"images/train/a.jpg": ""})
    try:
        (tmp_path / "images/train" / os.fsdecode(b"\xff.jpg")).touch()
    except OSError:
        pytest.skip("this disk takes Unicode names only")

    sheet = Yolo.read(path, ReadOptions())

    assert len(sheet.records) == 1
    assert reasons(sheet) == ["train: the file name 'images/train/\\udcff.jpg' is no Unicode text"]


def test_a_list_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes(b"a\xff.jpg")

    with pytest.raises(UsageError, match=r"list\.txt is no UTF-8 text at byte 1"):
        read(tmp_path, {}, train="list.txt")


def test_a_closed_list_leaves_other_classes_out_with_one_problem(tmp_path: Path) -> None:
    labels: dict[str, str | bytes | None] = {"images/train/a.jpg": "0 0.5 0.5 0.5 0.5\n" * 3 + "1 0.5 0.5 0.5 0.5"}

    sheet = read(tmp_path, labels, ReadOptions(classes=("car", "wolf")))

    assert states(sheet.records[0], sheet) == {"car": "present"}
    assert len(sheet.records[0].boxes) == 1
    assert reasons(sheet) == ["no class is called 'fox'. Known: car, wolf. Claims left out: 3."]


def test_files_and_folders_are_recognised(tmp_path: Path) -> None:
    path = make(tmp_path / "set", PLAIN, {})
    (tmp_path / "other.yaml").write_text("steps: []\n")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")

    assert Yolo.matches(path)
    assert Yolo.matches(tmp_path / "set")
    assert not Yolo.matches(tmp_path)
    assert not any(Yolo.matches(tmp_path / name) for name in ("other.yaml", "binary.yaml", "gone.yaml", "set/images"))


def test_of_two_files_in_a_folder_the_usual_name_is_taken(tmp_path: Path) -> None:
    make(tmp_path, PLAIN, {"images/train/a.jpg": ""})
    (tmp_path / "aaa.yml").write_text("train: nowhere\nnames: [x]\n")

    assert Yolo.read(tmp_path, ReadOptions()).classes == ("fox", "car")


CLASSES = ("fox", "no", 'a/../b: "狸" 🦝')


def items(folder: Path) -> list[OutItem]:
    """Items that say everything that can be said."""
    fox = BoxClaim("fox", (10.125, 20.5, 99.99, 101.01))
    odd = BoxClaim(CLASSES[2], (0.0, 0.0, 4000.0, 3000.0))
    none = dict.fromkeys(CLASSES, "absent")
    all_fields: list[dict[str, Any]] = [
        {"states": none | {"fox": "present", CLASSES[2]: "present"}, "boxes": (fox, odd, fox), "part": "train"},
        {"states": none, "part": "val"},
        {"states": none | {"no": "present"}, "part": "test", "groups": {"site": "n"}, "captions": ("A fox.",)},
        {"states": {"fox": "unsure"}, "part": "fold/1", "attributes": {"a": "b"}},
        {"part": "images", "boxes": (BoxClaim("animal", (1.0, 2.0, 3.0, 4.0), 0.5),)},
        {"states": none, "captured_at": "2024-05-01 06:07:08"},
        {},
    ]
    made = []
    for number, fields in enumerate(all_fields):
        path = folder / str(number) / ("same name.png" if number == 6 else "same name.jpg")
        path.parent.mkdir(parents=True)
        path.write_bytes(str(number).encode())
        made.append(OutItem(f"{number}" * 32, "image", path, 4000, 3000, **fields))
    return made


@pytest.mark.parametrize("n", [1, 2, 7])
def test_what_is_written_reads_back_as_it_was(tmp_path: Path, n: int) -> None:
    made = items(tmp_path / "in")[-n:]
    out = tmp_path / "images"
    out.mkdir()

    written = Yolo.write(made, out, WriteOptions(CLASSES))

    sheet = Yolo.read(written[0], ReadOptions())
    assert Yolo.matches(out)
    assert (sheet.classes, sheet.problems, sheet.notes) == (CLASSES, (), ())
    by_content = {resolve_path(record.path, sheet.base).read_bytes(): record for record in sheet.records}
    assert len(by_content) == len(sheet.records) == n
    for item in made:
        record = by_content[item.path.read_bytes()]
        assert states(record, sheet) == item.states
        assert [(box.class_name, box.score) for box in record.boxes] == [
            (box.class_name, box.score) for box in item.boxes
        ]
        for box, expected in zip(record.boxes, item.boxes, strict=True):
            assert box_in_px(box, 4000, 3000) == pytest.approx(expected.xyxy, abs=0.01)
        assert (record.part, record.captions, record.captured_at) == (item.part, item.captions, item.captured_at)
        assert (record.groups, record.attributes) == (item.groups, item.attributes)


def test_other_programs_see_an_ordinary_data_set(tmp_path: Path) -> None:
    made = items(tmp_path / "in")[:2]
    out = tmp_path / "out"
    out.mkdir()

    written = Yolo.write(made, out, WriteOptions(CLASSES, "copy"))

    data = yaml.safe_load(written[0].read_text("utf-8"))
    lines = (out / "labels/train/same name.txt").read_text().splitlines()
    assert written == [out / "data.yaml"]
    assert data == {"train": "images/train", "val": "images/val", "nc": 3, "names": list(CLASSES)}
    assert lines[1] == "2 0.50000000 0.50000000 1.00000000 1.00000000"
    assert (out / "labels/val/same name.txt").read_text() == ""


def test_pictures_of_one_name_and_two_suffixes_keep_their_own_labels(tmp_path: Path) -> None:
    boxes = (BoxClaim("fox", (0.0, 0.0, 5.0, 5.0)),)
    for name in ("a.jpg", "a.png"):
        (tmp_path / name).write_bytes(name.encode())
    made = [
        OutItem("1", "image", tmp_path / "a.jpg", 10, 10, states={"fox": "present"}, boxes=boxes),
        OutItem("2", "image", tmp_path / "a.png", 10, 10, states={"fox": "absent"}),
    ]
    (tmp_path / "out").mkdir()

    sheet = Yolo.read(Yolo.write(made, tmp_path / "out", WriteOptions(("fox",)))[0], ReadOptions())

    assert {record.path: len(record.boxes) for record in sheet.records} == {
        "images/all/jpg/a.jpg": 1,
        "images/all/png/a.png": 0,
    }


def test_a_skeleton_claims_nothing(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    written = Yolo.write(items(tmp_path / "in"), tmp_path / "out", WriteOptions(CLASSES, skeleton=True))

    sheet = Yolo.read(written[0], ReadOptions())
    assert sheet.classes == CLASSES
    assert all(not states(record, sheet) and not record.boxes for record in sheet.records)


def test_without_a_class_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no class, and YOLO needs one: label some pictures first"):
        Yolo.write([], tmp_path, WriteOptions(()))


def test_a_broken_file_of_ours_is_a_problem_and_no_wrong_label(tmp_path: Path) -> None:
    path = make(tmp_path, PLAIN, {"images/train/a.jpg": "0 0.5 0.5 0.5 0.5", "images/train/b.jpg": ""})
    (tmp_path / "mekiki.json").write_text('{"pictures": {"images/train/a.jpg": {"labels": 7}}}')

    sheet = Yolo.read(path, ReadOptions())

    assert [record.path for record in sheet.records] == ["images/train/b.jpg"]
    assert "mekiki.json, 'images/train/a.jpg': its field 'mekiki' is broken: 'labels' should be" in reasons(sheet)[0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param("{", r"mekiki\.json is broken JSON at line 1", id="broken"),
        pytest.param(
            '{"pictures": []}', r"mekiki\.json: 'pictures' should be an object, and is a list\. Mend", id="list"
        ),
        pytest.param('{"mekiki": {"classes": 7}}', r"mekiki\.json: its field 'mekiki' is broken", id="classes"),
    ],
)
def test_a_file_of_ours_that_says_nothing_is_refused(tmp_path: Path, content: str, message: str) -> None:
    path = make(tmp_path, PLAIN, {"images/train/a.jpg": ""})
    (tmp_path / "mekiki.json").write_text(content)

    with pytest.raises(UsageError, match=message):
        Yolo.read(path, ReadOptions())


def test_real_boxes_leave_and_come_back(shared_data: Path, tmp_path: Path) -> None:
    pictures = sorted((shared_data / "wildlife/ena24_small").glob("*.jpg"))
    boxes = (BoxClaim("animal", (1.0, 11.0, 112.0, 21.0)),)
    made = [
        OutItem(path.stem, "image", path, 1920, 1080, states={"animal": "present"}, boxes=boxes, part="train")
        for path in pictures
    ]

    sheet = Yolo.read(Yolo.write(made, tmp_path, WriteOptions(("animal",)))[0], ReadOptions())

    assert len(sheet.records) == len(pictures) == 12
    for record in sheet.records:
        assert box_in_px(record.boxes[0], 1920, 1080) == pytest.approx(boxes[0].xyxy, abs=0.01)
        assert resolve_path(record.path, sheet.base).is_file()


def test_folds_alone_are_recognised_and_come_back(tmp_path: Path) -> None:
    items = [
        make_item(tmp_path / f"in/{fold}.jpg", states={"fox": "present"}, part=f"fold-{fold}") for fold in range(3)
    ]
    (tmp_path / "out").mkdir()

    main = Yolo.write(items, tmp_path / "out", WriteOptions(classes=("fox",)))[0]

    assert Yolo.matches(tmp_path / "out")
    assert sorted(str(record.part) for record in Yolo.read(main, ReadOptions()).records) == [
        "fold-0",
        "fold-1",
        "fold-2",
    ]
