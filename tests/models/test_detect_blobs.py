"""The detector of drawn scenes finds what is drawn, and only that."""

from __future__ import annotations

import numpy as np
import pytest

from mekiki.errors import UsageError
from mekiki.media.boxes import box_iou
from mekiki.media.detections import Detections
from mekiki.media.images import decode_image, encode_jpeg
from mekiki.models.detect import DetectorOpening, detector_identity, open_detector
from mekiki.records import Image


def find(image: Image, **options: float) -> Detections:
    detector = open_detector(DetectorOpening("blobs", **options))  # type: ignore[arg-type]
    return detector.detect([detector.prepare(image)])[0]


def street(seed: int, n_things: int = 4) -> tuple[Image, np.ndarray]:
    """Return bands of colour with grain and rectangles on them, and where those are."""
    rng = np.random.default_rng(seed)
    image = np.empty((200, 320, 3))
    for band in range(4):
        image[band * 50 : band * 50 + 50] = rng.uniform(90, 170, 3)
    image += rng.normal(0, 1.5, image.shape)
    boxes = []
    for place in range(n_things):
        left, top = 20 + 72 * place + int(rng.integers(0, 12)), int(rng.integers(20, 120))
        right, bottom = left + int(rng.integers(15, 50)), top + int(rng.integers(15, 60))
        image[top:bottom, left:right] = rng.choice([20, 235], 3)
        boxes.append((left, top, right, bottom))
    return np.clip(image, 0, 255).astype(np.uint8), np.array(boxes, np.float32).reshape(-1, 4)


@pytest.mark.parametrize("value", [0, 114, 255])
def test_nothing_is_found_where_nothing_is(value: int) -> None:
    assert len(find(np.full((40, 60, 3), value, np.uint8))) == 0
    assert len(find(np.full((1, 1, 3), value, np.uint8))) == 0
    assert len(find(street(1, 0)[0])) == 0


@pytest.mark.parametrize("seed", range(6))
def test_it_finds_every_thing_of_a_drawn_street_and_no_other(seed: int) -> None:
    image, boxes = street(seed)

    found = find(image)

    assert set(found.class_names) == {"blob"}
    assert len(found) == len(boxes)
    assert (box_iou(boxes, found.boxes).max(axis=1) > 0.95).all()


@pytest.mark.parametrize("seed", range(3))
def test_a_jpeg_of_it_changes_little(seed: int) -> None:
    image, boxes = street(seed)
    again = decode_image(encode_jpeg(image, 90), "street").pixels

    found = find(again)

    assert len(found) == len(boxes)
    assert (box_iou(boxes, found.boxes).max(axis=1) > 0.7).all()


def test_a_thing_that_covers_most_of_its_rows_is_found() -> None:
    image = np.full((100, 200, 3), 120, np.uint8)
    image[30:60, 10:190] = (200, 40, 40)

    np.testing.assert_array_equal(find(image).boxes, [[10, 30, 190, 60]])


def test_a_thing_at_the_edge_of_the_picture_is_found() -> None:
    image = np.full((100, 200, 3), 120, np.uint8)
    image[30:60, :40] = (200, 40, 40)

    np.testing.assert_array_equal(find(image).boxes, [[0, 30, 40, 60]])


def test_more_contrast_and_more_area_give_a_higher_score() -> None:
    image = np.full((200, 300, 3), 120, np.uint8)
    image[20:40, 20:40] = 180
    image[20:40, 100:120] = 240
    image[100:104, 20:24] = 180
    found = find(image, confidence=0.0)

    by_place = {(int(box[0]), int(box[1])): score for box, score in zip(found.boxes, found.scores, strict=True)}

    assert by_place[100, 20] > by_place[20, 20] > by_place[20, 100] > 0
    assert found.scores.max() <= 1


def test_parts_that_nearly_touch_are_one_thing() -> None:
    image = np.full((300, 400, 3), 120, np.uint8)
    image[50:80, 50:80] = 200
    image[82:110, 50:80] = 30
    image[50:80, 95:120] = 200

    np.testing.assert_array_equal(sorted(find(image).boxes.tolist()), [[50, 50, 80, 110], [95, 50, 120, 80]])


def test_other_classes_and_variants_are_refused() -> None:
    with pytest.raises(UsageError, match="no class of blobs is called 'car'"):
        open_detector(DetectorOpening("blobs", classes=("car",)))
    with pytest.raises(UsageError, match="detector blobs has no variants, got 'blobs:x'"):
        open_detector(DetectorOpening("blobs:x"))


def test_its_version_is_part_of_its_identity() -> None:
    assert detector_identity(DetectorOpening("blobs")).startswith("blobs v1 ")
