"""Thumbnails are small, upright, and hold nothing but pixels."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image as PillowImage

from mekiki.errors import UnreadableError
from mekiki.reports.pictures import Badge, Gallery, Picture, Thumbnail, make_thumbnail


def opened(thumbnail: Thumbnail) -> PillowImage.Image:
    return PillowImage.open(io.BytesIO(base64.b64decode(thumbnail.uri.partition(",")[2])))


def test_the_long_side_is_what_was_asked_for_and_the_shape_is_kept() -> None:
    thumbnail = make_thumbnail(np.zeros((300, 600, 3), np.uint8), long_side_px=100)

    assert opened(thumbnail).size == (thumbnail.width_px, thumbnail.height_px) == (100, 50)


def test_a_small_picture_keeps_its_size() -> None:
    assert opened(make_thumbnail(np.zeros((1, 1, 3), np.uint8))).size == (1, 1)


def test_colours_stay() -> None:
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[...] = (200, 60, 20)

    shown = np.asarray(opened(make_thumbnail(pixels, 32)))

    assert np.abs(shown.astype(int) - (200, 60, 20)).max() < 8


def test_bytes_are_turned_upright_and_lose_their_metadata() -> None:
    exif = PillowImage.Exif()
    exif[0x0112], exif[0x010E] = 6, "secret place"
    stream = io.BytesIO()
    PillowImage.new("RGB", (80, 40), "red").save(stream, "JPEG", exif=exif)

    thumbnail = make_thumbnail(stream.getvalue())

    assert (thumbnail.width_px, thumbnail.height_px) == (40, 80)
    assert b"secret" not in base64.b64decode(thumbnail.uri.partition(",")[2])
    assert not opened(thumbnail).getexif()


def test_noise_is_squeezed_under_the_limit() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (160, 160, 3), np.uint8)

    assert len(base64.b64decode(make_thumbnail(noise, max_bytes=9000).uri.partition(",")[2])) <= 9000


@pytest.mark.parametrize(
    "pixels",
    [
        pytest.param(np.zeros((0, 5, 3), np.uint8), id="empty"),
        pytest.param(np.zeros((5, 5), np.uint8), id="grey"),
        pytest.param(np.zeros((5, 5, 3), np.float32), id="float"),
    ],
)
def test_other_arrays_are_refused(pixels: np.ndarray) -> None:
    with pytest.raises(ValueError, match="image must"):
        make_thumbnail(pixels)


def test_bytes_that_are_no_picture_are_unreadable() -> None:
    with pytest.raises(UnreadableError, match="no known picture format"):
        make_thumbnail(b"<svg onload=alert(1)>")


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "javascript:alert(1)",
        "data:text/html;base64,AAAA",
        "data:image/svg+xml;base64,AAAA",
        'data:image/jpeg;base64,AA" onerror="alert(1)',
        "data:image/jpeg;base64,AAAA\n",
    ],
)
def test_only_jpeg_data_can_be_a_thumbnail(uri: str) -> None:
    with pytest.raises(ValueError, match="uri must be data:image/jpeg"):
        Thumbnail(uri, 1, 1)


def test_a_picture_always_has_something_to_say() -> None:
    assert Picture(None, "a.jpg").spoken == "Picture: a.jpg"
    assert Picture(None, "a.jpg", labels=("cat", "fox")).spoken == "cat, fox: a.jpg"
    assert Picture(None, "a.jpg", alt="A cat").spoken == "A cat"


def test_a_gallery_knows_what_it_weighs() -> None:
    thumbnail = make_thumbnail(np.zeros((8, 8, 3), np.uint8))

    gallery = Gallery((Picture(thumbnail, "a"), Picture(None, "b", badges=(Badge("x"),))))

    assert gallery.n_bytes == thumbnail.n_bytes == len(thumbnail.uri)


def test_of_a_blurred_picture_eight_pixels_are_left_at_the_size_of_a_sharp_one() -> None:
    pixels = np.zeros((120, 240, 3), np.uint8)
    pixels[:, 1::2] = 255
    pixels[:, :120] //= 2

    sharp, blurred = (np.asarray(opened(make_thumbnail(pixels, 240, 10**6, is_blurred=on))) for on in (False, True))

    assert sharp.shape == blurred.shape
    assert np.abs(np.diff(sharp[..., 0].astype(int), axis=1)).max() > 200
    assert np.abs(np.diff(blurred[..., 0].astype(int), axis=1)).max() < 10
    assert blurred[:, :60].mean() + 40 < blurred[:, -60:].mean()
