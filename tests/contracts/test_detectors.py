"""What every kind of detector keeps to. To add one: a line in `MAKERS`: how to make it from a folder and a seed."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detector_graphs import BLUE, LAYOUTS, NAMES, RED, picture, write_detector
from hf_models import detector_folder
from mekiki.errors import UsageError
from mekiki.media.detections import Detections
from mekiki.models.base import Detector
from mekiki.models.detect import ABOUT_DETECTORS, AUTO, DETECTORS, DetectorOpening, detector_identity, open_detector
from mekiki.records import Image


def onnx_opening(folder: Path, seed: int, layout: str = "yolov8", **options: Any) -> DetectorOpening:
    path = write_detector(folder / "net.onnx", layout, strength=1 - 0.1 * seed, names=str(list(NAMES)), **options)
    return DetectorOpening(f"onnx:{path}")


def blobs_opening(_folder: Path, _seed: int) -> DetectorOpening:
    return DetectorOpening("blobs", confidence=0.1)


def hf_opening(folder: Path, seed: int, family: str) -> DetectorOpening:
    return DetectorOpening(f"hf:{detector_folder(folder, family, seed)}", confidence=0.01, device="cpu")


Maker = Callable[[Path, int], DetectorOpening]
MAKERS: dict[str, Maker] = {
    "blobs": blobs_opening,
    **{f"hf {family}": partial(hf_opening, family=family) for family in ("d_fine", "detr", "rt_detr", "yolos")},
    **{f"onnx {layout}": partial(onnx_opening, layout=layout) for layout in LAYOUTS},
    "onnx dynamic": partial(onnx_opening, shape=("n", 3, "h", "w"), imgsz="[64, 64]"),
    "onnx half": partial(onnx_opening, is_half=True),
    "onnx pairs": partial(onnx_opening, shape=(2, 3, 64, 64)),
    "onnx wide": partial(onnx_opening, shape=(1, 3, 32, 64), frame_hw=(32, 64)),
}
"""A word or two, of which the first is the kind, to what makes it; another seed gives other weights. At its thresholds
it finds something in `PICTURES`."""

WITHOUT_WEIGHTS = ("blobs",)
WITHOUT_PIXELS = ("import", "megadetector")
"""Their boxes are there already: see tests/models/test_detect_files.py."""

NOT_MADE_HERE = ("yolo",)
"""An extra that is not everywhere: see tests/models/test_detect_yolo.py."""

PICTURES: list[Image] = [
    picture((32, 0, RED), (96, 32, BLUE)),
    picture((0, 32, BLUE)),
    picture((64, 0, RED), (0, 0, BLUE), (32, 32, RED)),
    picture(),
    picture((0, 0, RED), size=(96, 128)),
    picture((160, 32, RED), (32, 64, BLUE), size=(257, 129), side_px=64),
]
TOLERANCE_PX, TOLERANCE = 0.1, 1e-3


@pytest.fixture(scope="module", params=sorted(MAKERS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def opening(name: str, tmp_path_factory: pytest.TempPathFactory) -> DetectorOpening:
    return MAKERS[name](tmp_path_factory.mktemp("detector"), 0)


@pytest.fixture(scope="module")
def detector(opening: DetectorOpening) -> Detector:
    return open_detector(opening)


def detect(detector: Detector, images: list[Image]) -> list[Detections]:
    return detector.detect([detector.prepare(image) for image in images])


def assert_same(found: list[Detections], wanted: list[Detections]) -> None:
    assert [one.class_names for one in found] == [one.class_names for one in wanted]
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one.boxes, other.boxes, atol=TOLERANCE_PX)
        np.testing.assert_allclose(one.scores, other.scores, atol=TOLERANCE)


def test_every_registered_kind_is_held_to_this() -> None:
    made = {name.split()[0] for name in MAKERS}

    assert made == set(DETECTORS.names()) - set(WITHOUT_PIXELS) - set(NOT_MADE_HERE)


def test_every_registered_kind_is_described() -> None:
    assert {name.partition(":")[0] for name in ABOUT_DETECTORS} == {*DETECTORS.names(), AUTO}


def test_no_picture_gives_no_row(detector: Detector) -> None:
    assert detector.detect([]) == []


def test_boxes_lie_in_the_picture_and_the_surest_stands_first(detector: Detector, opening: DetectorOpening) -> None:
    found = detect(detector, PICTURES)

    assert len(found) == len(PICTURES)
    assert sum(len(one) for one in found) > 0
    for image, one in zip(PICTURES, found, strict=True):
        assert (one.boxes.dtype, one.scores.dtype) == (np.float32, np.float32)
        assert (np.diff(one.scores) <= 0).all()
        assert ((one.scores >= opening.confidence) & (one.scores <= 1)).all()
        assert (one.boxes >= 0).all()
        assert (one.boxes[:, 2:] <= np.array([image.shape[1], image.shape[0]])).all()
        assert (one.boxes[:, :2] < one.boxes[:, 2:]).all()


def test_how_pictures_are_batched_and_ordered_changes_nothing(detector: Detector) -> None:
    together = detect(detector, PICTURES)

    assert_same([detect(detector, [image])[0] for image in PICTURES], together)
    assert_same(detect(detector, PICTURES[::-1])[::-1], together)
    assert_same(detect(detector, PICTURES[:1] * 5), together[:1] * 5)


def test_a_picture_is_not_changed(detector: Detector) -> None:
    image = PICTURES[0].copy()
    image.flags.writeable = False

    detect(detector, [image])

    assert (image == PICTURES[0]).all()


def test_threads_find_what_one_alone_finds(detector: Detector, opening: DetectorOpening) -> None:
    wanted = detect(detector, PICTURES)
    shared = open_detector(replace(opening, n_workers=4))

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda image: detect(shared, [image])[0], PICTURES * 4))

    assert_same(found, wanted * 4)
    assert shared.n_at_once >= 1


def test_no_more_boxes_are_given_than_wanted_and_they_are_the_surest(
    detector: Detector, opening: DetectorOpening
) -> None:
    every = detect(detector, PICTURES)

    one_each = detect(open_detector(replace(opening, max_boxes=1)), PICTURES)

    assert_same(one_each, [found.best(1) for found in every])


def test_a_higher_confidence_only_leaves_boxes_out(detector: Detector, opening: DetectorOpening) -> None:
    every = detect(detector, PICTURES)
    limit = max(float(found.scores.max(initial=0)) for found in every) - 1e-3

    sure = detect(open_detector(replace(opening, confidence=limit)), PICTURES)

    assert 0 < sum(map(len, sure)) <= sum(map(len, every))
    assert_same(sure, [found.where(found.scores >= limit) for found in every])


def test_the_identity_is_known_without_opening_and_says_what_decides_the_boxes(
    name: str, detector: Detector, opening: DetectorOpening, tmp_path: Path
) -> None:
    assert detector_identity(opening) == detector.identity
    changes: list[dict[str, Any]] = [{"confidence": 0.3}, {"iou": 0.3}, {"max_boxes": 7}]
    others = [detector_identity(replace(opening, **change)) for change in changes]

    assert len({detector.identity, *others}) == 4
    assert detector_identity(replace(opening, n_workers=3, device="cpu")) == detector.identity
    if name.split()[0] not in WITHOUT_WEIGHTS:
        assert detector_identity(MAKERS[name](tmp_path / "same", 0)) == detector.identity
        assert detector_identity(MAKERS[name](tmp_path / "other", 1)) != detector.identity


def test_its_device_is_said_in_words(detector: Detector) -> None:
    assert detector.device.startswith("cpu (")


def test_only_boxes_of_wanted_classes_are_given(detector: Detector, opening: DetectorOpening) -> None:
    every = detect(detector, PICTURES)
    wanted = next(found.class_names[0] for found in every if len(found))

    found = detect(open_detector(replace(opening, classes=(wanted,))), PICTURES)

    assert_same(found, [one.where(np.array(one.class_names, object) == wanted) for one in every])


def test_a_class_that_it_does_not_know_is_refused_with_the_nearest(
    detector: Detector, opening: DetectorOpening
) -> None:
    known = next(found.class_names[0] for found in detect(detector, PICTURES) if len(found))

    with pytest.raises(UsageError, match=f"no class of .* is called '{known}x'. Did you mean '{known}'"):
        open_detector(replace(opening, classes=(f"{known}x",)))
