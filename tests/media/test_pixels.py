"""Whatever a decoder gives becomes RGB uint8 by one set of rules."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image as PillowImage
from PIL import ImageOps

from mekiki.media import pixels
from mekiki.media.pixels import picture_to_rgb, turn_upright
from pictures import ORIENTATIONS, PAINTED

MODES = ["1", "L", "P", "RGB", "RGBA", "RGBX", "RGBa", "LA", "CMYK", "YCbCr", "HSV", "PA"]


def in_mode(mode: str) -> PillowImage.Image:
    picture = PillowImage.fromarray(PAINTED)
    if mode == "PA":
        picture = picture.convert("P")
    elif mode == "RGBa":
        picture = picture.convert("RGBA")
    return picture.convert(mode)


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_becomes_what_pillow_makes_of_it(mode: str) -> None:
    picture = in_mode(mode)
    via = {"RGBa": "RGBA", "PA": "RGBA"}.get(mode, mode)
    expected = np.asarray(picture.convert(via).convert("RGB"))

    found = picture_to_rgb(picture)

    assert found.dtype == np.uint8
    assert found.flags.c_contiguous
    assert found.flags.writeable
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("mode", [*MODES, "I", "F", "I;16"])
def test_cutting_into_strips_changes_nothing(mode: str) -> None:
    if mode in ("I", "F", "I;16"):
        values = np.arange(70 * 100).reshape(70, 100) * 9
        picture = PillowImage.fromarray(values.astype({"I": np.int32, "F": np.float32, "I;16": np.uint16}[mode]))
    else:
        picture = in_mode(mode)
    n_times = -(-pixels.STRIP_PX // picture.width // picture.height) + 1
    tall = PillowImage.new(picture.mode, (picture.width, picture.height * n_times))
    if picture.mode in ("P", "PA"):
        tall.putpalette(picture.getpalette("RGB"), "RGB")
    for i in range(n_times):
        tall.paste(picture, (0, i * picture.height))

    found = picture_to_rgb(tall)

    np.testing.assert_array_equal(found, np.tile(picture_to_rgb(picture), (n_times, 1, 1)))


def test_transparent_pixels_become_white() -> None:
    picture = PillowImage.new("RGBA", (2, 1), (10, 20, 30, 0))
    picture.putpixel((1, 0), (10, 20, 30, 255))

    assert picture_to_rgb(picture).tolist() == [[[255, 255, 255], [10, 20, 30]]]


def test_half_transparent_pixels_are_half_white() -> None:
    picture = PillowImage.new("LA", (1, 1), (0, 128))

    assert picture_to_rgb(picture).tolist() == [[[127, 127, 127]]]


def test_16_bits_are_scaled_and_not_clipped() -> None:
    picture = PillowImage.fromarray(np.array([[0, 0x00FF, 0x0100, 0x8000, 0xFFFF]], dtype=np.uint16))

    assert picture_to_rgb(picture)[0, :, 0].tolist() == [0, 0, 1, 128, 255]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param([0.0, 0.2, 1.0], [0, 51, 255], id="shares"),
        pytest.param([0.0, 0.0, 0.2], [0, 0, 51], id="shares that do not reach 1"),
        pytest.param([0.0, 20.0, 100.0], [0, 51, 255], id="anything else is stretched"),
        pytest.param([-2.0, 0.0, 8.0], [0, 51, 255], id="negative"),
        pytest.param([7.0, 7.0, 7.0], [0, 0, 0], id="one value alone"),
        pytest.param([np.nan, 10.0, 20.0], [0, 0, 255], id="not a number is as dark as the darkest"),
        pytest.param([np.inf, 10.0, 20.0], [0, 0, 255], id="infinite"),
        pytest.param([np.nan, np.nan, np.nan], [0, 0, 0], id="nothing known"),
    ],
)
def test_floats_are_shares_or_stretched(values: list[float], expected: list[int]) -> None:
    picture = PillowImage.fromarray(np.array([values], dtype=np.float32))

    assert picture_to_rgb(picture)[0, :, 0].tolist() == expected


def test_integers_of_32_bits_are_stretched() -> None:
    picture = PillowImage.fromarray(np.array([[-2000, 0, 8000]], dtype=np.int32))

    assert picture_to_rgb(picture)[0, :, 2].tolist() == [0, 51, 255]


def test_a_mode_without_a_way_to_rgb_is_refused() -> None:
    with pytest.raises(ValueError, match="La"):
        picture_to_rgb(PillowImage.new("La", (2, 2)))


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_turning_is_what_pillow_does_by_exif(orientation: int) -> None:
    picture = PillowImage.fromarray(PAINTED)
    picture.getexif()[0x0112] = orientation
    expected = np.asarray(ImageOps.exif_transpose(picture))

    found = turn_upright(PAINTED, orientation)

    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found, expected)


def test_no_sense_is_no_turn() -> None:
    assert turn_upright(PAINTED, 0) is PAINTED
    assert turn_upright(PAINTED, 9) is PAINTED


@pytest.mark.parametrize(("turn", "back"), [(2, 2), (3, 3), (4, 4), (5, 5), (6, 8), (7, 7), (8, 6)])
def test_every_turn_has_its_way_back(turn: int, back: int) -> None:
    np.testing.assert_array_equal(turn_upright(turn_upright(PAINTED, turn), back), PAINTED)
