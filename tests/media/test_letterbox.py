"""Pictures in frames, and boxes there and back."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from mekiki.media.letterbox import GREY, Letterbox, fit_letterbox, letterbox
from mekiki.records import Boxes

SHAPES = [
    pytest.param((480, 640), (640, 640), id="wide"),
    pytest.param((1080, 810), (416, 416), id="tall"),
    pytest.param((7, 5), (64, 64), id="enlarged"),
    pytest.param((1, 3000), (64, 64), id="thinner than a pixel"),
    pytest.param((333, 777), (384, 640), id="frame that is no square"),
    pytest.param((64, 64), (64, 64), id="as it is"),
]


def in_frame(place: Letterbox, boxes: Boxes) -> NDArray[np.float64]:
    """Return boxes in a picture as they lie in its frame."""
    (height, width), (rows, columns) = place.image_hw, place.scaled_hw
    scale = np.array([columns / width, rows / height])
    return (boxes.reshape(-1, 2) * scale + [place.left, place.top]).reshape(-1, 4)


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize(("image_hw", "frame_hw"), SHAPES)
def test_boxes_come_back_from_where_they_went(
    image_hw: tuple[int, int], frame_hw: tuple[int, int], centred: bool
) -> None:
    place = fit_letterbox(image_hw, frame_hw, centred=centred)
    corners = np.random.default_rng(0).uniform(0, 1, (50, 4)) * [*image_hw[::-1], *image_hw[::-1]]
    boxes = corners.astype(np.float32)

    framed = in_frame(place, boxes)

    np.testing.assert_allclose(place.to_image(framed), boxes, atol=1e-2)
    whole = np.array([[0, 0, image_hw[1], image_hw[0]]], np.float32)
    height, width = place.scaled_hw
    np.testing.assert_allclose(
        in_frame(place, whole), [[place.left, place.top, place.left + width, place.top + height]], atol=1e-4
    )


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize(("image_hw", "frame_hw"), SHAPES)
def test_a_picture_touches_two_sides_of_its_frame_and_keeps_its_shape(
    image_hw: tuple[int, int], frame_hw: tuple[int, int], centred: bool
) -> None:
    image = np.full((*image_hw, 3), 7, np.uint8)

    frame, place = letterbox(image, frame_hw, centred=centred)

    rows, columns = np.nonzero((frame == 7).all(axis=2))
    height, width = place.scaled_hw
    assert (frame.shape, frame.dtype) == ((*frame_hw, 3), np.uint8)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (
        *(place.top, place.top + height - 1),
        *(place.left, place.left + width - 1),
    )
    assert len(rows) == height * width
    assert (frame[(frame != 7).any(axis=2)] == GREY).all()
    assert height == frame_hw[0] or width == frame_hw[1]
    assert abs(height / image_hw[0] - width / image_hw[1]) * max(image_hw) <= 1 or min(height, width) == 1
    spare = (frame_hw[0] - height, frame_hw[1] - width)
    assert (place.top, place.left) == ((spare[0] // 2, spare[1] // 2) if centred else (0, 0))


def test_a_painted_thing_lies_where_its_box_says() -> None:
    image = np.zeros((200, 400, 3), np.uint8)
    image[40:80, 100:160] = 255

    frame, place = letterbox(image, (96, 128), centred=True)

    rows, columns = np.nonzero(frame[..., 0] > GREY)
    seen = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    np.testing.assert_allclose(in_frame(place, np.array([[100, 40, 160, 80]], np.float32))[0], seen, atol=1)


def test_a_picture_of_the_frames_size_is_not_touched() -> None:
    image = np.random.default_rng(0).integers(0, 256, (32, 64, 3), np.uint8)

    frame, _ = letterbox(image, (32, 64), centred=True)

    assert (frame == image).all()


def test_no_boxes_stay_none() -> None:
    place = fit_letterbox((10, 20), (64, 64), centred=True)

    assert place.to_image(np.zeros((0, 4), np.float32)).shape == (0, 4)


def test_a_side_below_one_pixel_is_refused() -> None:
    with pytest.raises(ValueError, match=r"sides must be 1 or more, got \(0, 5\)"):
        fit_letterbox((0, 5), (64, 64), centred=True)
