"""Cutting boxes out of pictures at any scale."""

from __future__ import annotations

import numpy as np
import pytest

from mekiki.media.cropping import Xyxy, crop_reader, cut_box, cut_edges
from mekiki.records import Image


def numbered(height_px: int, width_px: int) -> Image:
    """Return a picture in which every pixel says where it is."""
    y, x = np.mgrid[:height_px, :width_px]
    return np.stack([x, y, np.zeros_like(x)], axis=2).astype(np.uint8)


@pytest.mark.parametrize(
    ("box", "edges"),
    [
        pytest.param((2, 3, 6, 8), (2, 3, 6, 8), id="whole pixels"),
        pytest.param((2.0625, 3.5, 5.0625, 7.9375), (2, 3, 6, 8), id="pixels that it only touches"),
        pytest.param((-3, -3, 99, 99), (0, 0, 20, 10), id="clipped"),
        pytest.param((19.5, 9.5, 20, 10), (19, 9, 20, 10), id="the last pixel"),
    ],
)
def test_a_box_takes_every_pixel_that_it_touches(box: Xyxy, edges: tuple[int, int, int, int]) -> None:
    assert cut_edges(box, (10, 20)) == edges
    left, top, right, bottom = edges
    assert (cut_box(numbered(10, 20), box, (10, 20)) == numbered(10, 20)[top:bottom, left:right]).all()


@pytest.mark.parametrize("box", [(20, 0, 30, 5), (3, 3, 3, 8), (5, 5, 2, 8), (-9, 0, 0, 4)])
def test_a_box_without_a_pixel_is_refused(box: Xyxy) -> None:
    with pytest.raises(ValueError, match="box must lie inside the picture"):
        cut_edges(box, (10, 20))


def test_a_box_in_a_picture_that_was_decoded_smaller_shows_the_same_place() -> None:
    large, small = numbered(80, 160), numbered(80, 160)[::4, ::4]

    cut = cut_box(small, (40, 20, 80, 60), large.shape[:2])

    assert cut.shape == (10, 10, 3)
    assert cut[0, 0].tolist() == [40, 20, 0]


def test_the_smallest_box_has_a_pixel_at_any_scale() -> None:
    assert cut_box(numbered(2, 3), (100, 50, 100.0625, 50.0625), (160, 240)).shape == (1, 1, 3)


def test_a_crop_is_read_from_its_picture_decoded_as_large_as_it_needs() -> None:
    asked: list[int | None] = []

    def read(at_least_px: int | None) -> Image:
        asked.append(at_least_px)
        return numbered(80, 160)

    read_crop = crop_reader(read, (0, 0, 40, 20), (80, 160))

    assert read_crop(None).shape == (20, 40, 3)
    assert read_crop(10).shape == (20, 40, 3)
    assert asked == [None, 40]


def test_a_cut_does_not_change_when_its_picture_does() -> None:
    image = numbered(10, 20)
    cut = cut_box(image, (2, 2, 6, 6), (10, 20))

    image[:] = 0

    assert cut.any()
