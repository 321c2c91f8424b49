"""Every format is read to the same upright RGB."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage
from PIL import ImageOps

import pictures
from mekiki.media.images import (
    IMAGE_SUFFIXES,
    decode_image,
    read_decoded_image,
    read_image,
    resize_image,
)
from mekiki.records import Image
from pictures import ORIENTATIONS, PAINTED, READABLE, SMALL_LOSS, difference

LOSSLESS = ["png", "webp", "bmp", "tiff", "ppm"]
TURNABLE = ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"]


def pixels_of(content: bytes) -> Image:
    return decode_image(content, "a picture").pixels


def cyan_ink_jpeg(profile: bytes) -> bytes:
    return pictures.save(PillowImage.new("CMYK", (16, 16), (255, 0, 0, 0)), "JPEG", quality=100, icc_profile=profile)


def ink_profile(cyan_lab: tuple[int, int, int]) -> bytes:
    """Return a colour profile for inks in which full cyan looks like ``cyan_lab`` and anything else is white.

    Args:
        cyan_lab: Lightness, a and b as the profile's bytes: 255 is white, 128 is no colour.
    """
    identity = bytes(range(256))
    corners = bytearray(bytes((255, 128, 128)) * 16)  # of the cube of four inks; cyan turns slowest
    corners[8 * 3 : 9 * 3] = bytes(cyan_lab)
    matrix = struct.pack(">9i", *(65536 if i % 4 == 0 else 0 for i in range(9)))
    tables = struct.pack(">BBBx", 4, 3, 2) + matrix + identity * 4 + bytes(corners) + identity * 3
    table = b"mft1\0\0\0\0" + tables
    start = 128 + 4 + 12
    header = struct.pack(">I4xI4s4s4s", start + len(table), 0x02400000, b"prtr", b"CMYK", b"Lab ")
    header += bytes(12) + b"acsp" + bytes(28) + struct.pack(">III", 0xF6D6, 0x10000, 0xD32D)
    return header.ljust(128, b"\0") + struct.pack(">I4sII", 1, b"A2B0", start, len(table)) + table


@pytest.mark.parametrize("name", READABLE)
def test_every_format_is_read_to_the_same_pixels(name: str) -> None:
    found = pixels_of(READABLE[name]())

    assert found.dtype == np.uint8
    assert found.flags.c_contiguous
    assert found.flags.writeable
    assert difference(found, PAINTED) <= (0 if name in LOSSLESS else SMALL_LOSS)


def test_heic_is_read() -> None:
    pytest.importorskip("pillow_heif")

    decoded = decode_image(pictures.heic(), "a.heic")

    assert decoded.format_name == "heic"
    assert difference(decoded.pixels, PAINTED) <= SMALL_LOSS


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("format_name", TURNABLE)
def test_a_turned_picture_comes_out_upright(format_name: str, orientation: int) -> None:
    decoded = decode_image(pictures.turned(format_name, orientation), "a picture")

    assert difference(decoded.pixels, PAINTED) <= SMALL_LOSS
    assert (decoded.height_px, decoded.width_px) == PAINTED.shape[:2]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(pictures.one_pixel("PNG"), [[[200, 100, 50]]], id="1 x 1 png"),
        pytest.param(pictures.one_pixel("BMP"), [[[200, 100, 50]]], id="1 x 1 bmp"),
        pytest.param(pictures.one_bit_png(), [[[0] * 3, [255] * 3, [0] * 3, [255] * 3]], id="1 bit"),
        pytest.param(pictures.grey_png(), [[[0] * 3, [100] * 3, [255] * 3]], id="grey"),
        pytest.param(pictures.grey16("PNG"), [[[0] * 3, [64] * 3, [128] * 3, [255] * 3]], id="16-bit grey png"),
        pytest.param(pictures.grey16("TIFF"), [[[0] * 3, [64] * 3, [128] * 3, [255] * 3]], id="16-bit grey tiff"),
        pytest.param(pictures.grey16("PPM"), [[[0] * 3, [64] * 3, [128] * 3, [255] * 3]], id="16-bit grey pgm"),
        pytest.param(pictures.rgb16_png(), [[[255, 128, 0]]], id="16-bit colour"),
        pytest.param(pictures.float_tiff(0.0, 0.2, 1.0), [[[0] * 3, [51] * 3, [255] * 3]], id="float shares"),
        pytest.param(pictures.integer_tiff(-2000, 0, 8000), [[[0] * 3, [51] * 3, [255] * 3]], id="32-bit integers"),
        pytest.param(pictures.rgba_png(), [[[255, 0, 0], [255, 127, 127], [255] * 3]], id="alpha"),
        pytest.param(pictures.la_png(), [[[0] * 3, [127] * 3, [255] * 3]], id="grey with alpha"),
        pytest.param(pictures.transparent_palette_png(), [[[255, 0, 0], [255] * 3]], id="transparent palette"),
        pytest.param(
            pictures.plain_pgm(), [[[0] * 3, [128] * 3, [255] * 3], [[255] * 3, [128] * 3, [0] * 3]], id="plain pgm"
        ),
    ],
)
def test_odd_depths_and_transparency_follow_the_rules(content: bytes, expected: list[list[list[int]]]) -> None:
    assert pixels_of(content).tolist() == expected


def test_of_an_animation_the_first_frame_is_read() -> None:
    assert np.unique(pixels_of(pictures.animated_gif()).reshape(-1, 3), axis=0).tolist() == [[255, 0, 0]]


def test_of_many_pages_the_first_is_read() -> None:
    found = pixels_of(pictures.multi_page_tiff())

    assert found.shape == (10, 20, 3)
    assert np.unique(found.reshape(-1, 3), axis=0).tolist() == [[255, 0, 0]]


def test_inks_with_a_profile_look_as_the_profile_says() -> None:
    profile = ink_profile(cyan_lab=(128, 208, 128))

    red, green, blue = pixels_of(cyan_ink_jpeg(profile))[8, 8].tolist()

    assert red > 200 > green + 50
    assert blue > green


@pytest.mark.parametrize("profile", [b"", b"no profile at all"], ids=["no profile", "a broken profile"])
def test_inks_without_a_usable_profile_are_converted_plainly(profile: bytes) -> None:
    assert difference(pixels_of(cyan_ink_jpeg(profile))[8:9, 8:9], np.array([[[0, 255, 255]]], np.uint8)) < 3


def test_a_cmyk_jpeg_is_scaled_while_decoding_too() -> None:
    decoded = decode_image(pictures.cmyk_jpeg(), "a.jpg", at_least_px=16)

    assert decoded.pixels.shape == (16, 24, 3)
    assert (decoded.width_px, decoded.height_px) == (96, 64)


def test_a_png_that_is_named_jpg_is_read_without_complaint(tmp_path: Path) -> None:
    path = tmp_path / "really_a_png.jpg"
    path.write_bytes(pictures.png())

    decoded = read_decoded_image(path)

    assert decoded.format_name == "png"
    np.testing.assert_array_equal(decoded.pixels, PAINTED)


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_the_full_size_is_told_also_when_less_is_decoded(orientation: int) -> None:
    decoded = decode_image(pictures.turned("JPEG", orientation), "a.jpg", at_least_px=16)

    assert decoded.pixels.shape == (16, 24, 3)
    assert (decoded.width_px, decoded.height_px) == (96, 64)


@pytest.mark.parametrize("name", READABLE)
@pytest.mark.parametrize("at_least_px", [1, 20, 33, 64, 1000])
def test_less_is_never_less_than_asked_and_shows_the_same(name: str, at_least_px: int) -> None:
    decoded = decode_image(READABLE[name](), name, at_least_px=at_least_px)

    assert min(at_least_px, 64) <= min(decoded.pixels.shape[:2]) <= 64
    height_px, width_px = decoded.pixels.shape[:2]
    assert difference(decoded.pixels, resize_image(PAINTED, width_px, height_px)) <= 2 * SMALL_LOSS


def test_asking_for_no_pixels_is_a_broken_call() -> None:
    with pytest.raises(ValueError, match="at_least_px must be 1 or more, got 0"):
        decode_image(pictures.jpeg(), "a.jpg", at_least_px=0)


def real_pictures(shared_data: Path) -> list[Path]:
    return sorted(path for path in shared_data.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)


def plain_pillow(path: Path) -> Image:
    with PillowImage.open(path) as picture:
        return np.asarray(ImageOps.exif_transpose(picture).convert("RGB"))


def test_some_real_pictures_are_read_as_pillow_reads_them(shared_data: Path) -> None:
    for path in real_pictures(shared_data)[::60]:
        np.testing.assert_array_equal(read_image(path), plain_pillow(path), err_msg=path.name)


@pytest.mark.slow
def test_all_real_pictures_are_read_as_pillow_reads_them(shared_data: Path) -> None:
    paths = real_pictures(shared_data)

    for path in paths:
        np.testing.assert_array_equal(read_image(path), plain_pillow(path), err_msg=path.name)
    assert len(paths) > 3000
