"""One law for all formats that keep what they have no field for: what is written reads back as it was."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from mekiki.dataset.claims import box_in_px
from mekiki.dataset.formats.base import (
    BoxClaim,
    OutItem,
    ReadOptions,
    WriteOptions,
    complete_claims,
    resolve_path,
)
from mekiki.dataset.formats.camera_traps import CocoCameraTraps
from mekiki.dataset.formats.coco import Coco
from mekiki.dataset.formats.coco_captions import CocoCaptions
from mekiki.dataset.formats.megadetector import MegaDetector
from mekiki.dataset.formats.yolo import Yolo
from mekiki.dataset.ids import content_id

FORMATS: list[Any] = [Coco, CocoCaptions, CocoCameraTraps, MegaDetector, Yolo]
CLASSES = ("fox", "狸/🦝", "none", 'the "7": \\ # %', "..")
TEXTS = ("=1+1", "狸 🦝", '"', "a\nb", "\\", "null", "[1]", "../x", "x" * 300)
WIDTH, HEIGHT = 4000, 3000


def random_box(chance: random.Random) -> BoxClaim:
    x_min, y_min = chance.uniform(0, WIDTH - 20), chance.uniform(0, HEIGHT - 20)
    xyxy = (x_min, y_min, chance.uniform(x_min + 1, WIDTH), chance.uniform(y_min + 1, HEIGHT))
    score = chance.choice([1.0, 1.0, round(chance.random(), 3)])
    return BoxClaim(chance.choice([*CLASSES, "animal"]), xyxy, score)


def random_item(chance: random.Random, folder: Path, number: int) -> OutItem:
    def some(fields: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in fields.items() if chance.random() < 0.5}

    names = chance.sample(CLASSES, chance.choice([0, 1, len(CLASSES), len(CLASSES)]))
    choice = chance.choice([("absent",), ("present", "absent"), ("present", "absent", "unsure")])
    states: dict[str, Any] = {name: chance.choice(choice) for name in names}
    path = folder / str(number) / f"{chance.choice(['same', 'Same', 'ö 狸'])}.{chance.choice(['jpg', 'JPG', 'png'])}"
    path.parent.mkdir()
    path.write_bytes(str(number).encode())
    fields = some(
        {
            "boxes": tuple(random_box(chance) for _ in range(3)),
            "captions": tuple(chance.sample(TEXTS, 2)),
            "part": chance.choice(["train", "val", "test", "fold/1", "images", "all"]),
            "groups": some({"site": "n", "burst": "=b", "camera": "狸", "identity": "x", "source": "v.mp4"}),
            "attributes": some({"license": "3", "note": "", "seq_num_frames": "3", "detector": "md", "狸": "🦝"}),
            "captured_at": chance.choice(["2024-05-01 06:07:08", "2024-05-01 06:07:08.5"]),
            "confidence": {name: round(chance.random(), 3) for name in names},
        }
    )
    return OutItem(content_id(str(number).encode()), "image", path, WIDTH, HEIGHT, states=states, **fields)


@pytest.mark.parametrize("one_format", FORMATS, ids=lambda one: one.name)
@pytest.mark.parametrize("seed", range(5))
def test_whatever_is_written_reads_back_as_it_was(tmp_path: Path, one_format: Any, seed: int) -> None:
    chance = random.Random(seed)
    (tmp_path / "in").mkdir()
    items = [random_item(chance, tmp_path / "in", number) for number in range(25)]
    folder = tmp_path / "out"
    folder.mkdir()

    written = one_format.write(items, folder, WriteOptions(CLASSES, media="link"))

    sheet = one_format.read(written[0], ReadOptions())
    assert (sheet.classes, sheet.problems, sheet.notes) == (CLASSES, (), ())
    assert one_format.matches(written[0])
    by_content = {resolve_path(record.path, sheet.base).read_bytes(): record for record in sheet.records}
    assert len(by_content) == len(sheet.records) == len(items)
    for item in items:
        record = by_content[item.path.read_bytes()]
        said = {claim.class_name: (claim.state, claim.confidence) for claim in complete_claims(record, sheet.classes)}
        assert said == {name: (state, item.confidence.get(name, 1.0)) for name, state in item.states.items()}
        assert [(box.class_name, box.score) for box in record.boxes] == [
            (box.class_name, box.score) for box in item.boxes
        ]
        for box, expected in zip(record.boxes, item.boxes, strict=True):
            assert box_in_px(box, WIDTH, HEIGHT) == pytest.approx(expected.xyxy, abs=0.01)
        assert record.captions == item.captions
        assert (record.part, record.captured_at) == (item.part, item.captured_at)
        assert (record.groups, record.attributes) == (item.groups, item.attributes)


@pytest.mark.parametrize("one_format", FORMATS, ids=lambda one: one.name)
def test_the_same_items_give_the_same_bytes(tmp_path: Path, one_format: Any) -> None:
    chance = random.Random(7)
    (tmp_path / "in").mkdir()
    items = [random_item(chance, tmp_path / "in", number) for number in range(10)]
    folders = [tmp_path / name for name in ("first", "second")]

    for folder in folders:
        folder.mkdir()
        one_format.write(items, folder, WriteOptions(CLASSES, media="copy"))

    first, second = (
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for folder in folders
    )
    assert first == second


@pytest.mark.parametrize("one_format", FORMATS, ids=lambda one: one.name)
def test_one_file_is_recognised_by_its_own_format_only(tmp_path: Path, one_format: Any) -> None:
    chance = random.Random(8)
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    items = [random_item(chance, tmp_path / "in", number) for number in range(10)]

    main = one_format.write(items, tmp_path / "out", WriteOptions(CLASSES))[0]

    assert [other.name for other in FORMATS if other.matches(main)] == [one_format.name]
