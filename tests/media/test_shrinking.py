"""Whole pictures made smaller for detectors."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image as PillowImage

from mekiki.media.images import decode_image
from mekiki.media.shrinking import read_shrunk, shrunk_hw
from mekiki.records import Image
from workspaces import scene


@pytest.mark.parametrize(
    ("full_hw", "expected"),
    [
        pytest.param((100, 200), (100, 200), id="never enlarged"),
        pytest.param((1280, 1280), (1280, 1280), id="just right"),
        pytest.param((3000, 4000), (960, 1280), id="landscape"),
        pytest.param((4000, 3000), (1280, 960), id="portrait"),
        pytest.param((3, 20_000), (1, 1280), id="no side below 1"),
    ],
)
def test_the_long_side_is_at_most_what_is_wanted(full_hw: tuple[int, int], expected: tuple[int, int]) -> None:
    assert shrunk_hw(full_hw, 1280) == expected


def test_a_small_picture_is_taken_as_it_is() -> None:
    image = scene(1)

    assert read_shrunk(lambda _px: image, (64, 96), 1280) is image


def test_a_photo_is_decoded_no_smaller_than_twice_what_is_wanted_and_looks_the_same() -> None:
    stream = io.BytesIO()
    PillowImage.fromarray(scene(1, 2000, 1500)).save(stream, "jpeg", quality=95)
    asked: list[int | None] = []

    def read(at_least_px: int | None) -> Image:
        asked.append(at_least_px)
        return decode_image(stream.getvalue(), "photo.jpg", at_least_px=at_least_px).pixels

    shrunk = read_shrunk(read, (1500, 2000), 400)

    exact = PillowImage.fromarray(read(None)).resize((400, 300), PillowImage.Resampling.LANCZOS)
    assert (shrunk.shape, asked[0]) == ((300, 400, 3), 600)
    assert np.abs(shrunk.astype(int) - np.asarray(exact, dtype=int)).mean() < 1


def test_a_side_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="long_side_px must be 1 or more"):
        shrunk_hw((10, 10), 0)
