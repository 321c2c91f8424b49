"""Pictures are made smaller without a pattern, and written as JPEG."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image as PillowImage

from mekiki.media.images import decode_image, encode_jpeg, resize_image, shrink_image
from pictures import PAINTED, SMALL_LOSS, difference, paint


@pytest.mark.parametrize("size", [(1, 1), (7, 5), (96, 64), (64, 96), (200, 300)])
def test_resizing_gives_exactly_that_size(size: tuple[int, int]) -> None:
    found = resize_image(PAINTED, *size)

    assert found.shape == (size[1], size[0], 3)
    assert found.dtype == np.uint8


def test_resizing_to_the_same_size_gives_the_picture_itself() -> None:
    assert resize_image(PAINTED, 96, 64) is PAINTED


def test_resizing_stays_close_to_plain_bicubic() -> None:
    rng = np.random.default_rng(0)
    noisy = np.clip(paint(1200, 900) + rng.normal(0, 10, (900, 1200, 3)), 0, 255).astype(np.uint8)
    bicubic = PillowImage.Resampling.BICUBIC

    for width_px, height_px in [(600, 450), (200, 150), (64, 48), (32, 32)]:
        plain = np.asarray(PillowImage.fromarray(noisy).resize((width_px, height_px), bicubic))
        assert difference(resize_image(noisy, width_px, height_px), plain) <= 3


def test_shrinking_fine_stripes_gives_grey_and_no_pattern() -> None:
    stripes = np.zeros((300, 300, 3), dtype=np.uint8)
    stripes[:, ::2] = 255

    inner = resize_image(stripes, 45, 45)[5:-5, 5:-5]

    assert difference(inner, np.full_like(inner, 128)) < 8


@pytest.mark.parametrize(
    ("size", "long_side_px", "expected"),
    [
        pytest.param((96, 64), 48, (48, 32), id="wide"),
        pytest.param((64, 96), 48, (32, 48), id="tall"),
        pytest.param((96, 64), 96, (96, 64), id="small enough"),
        pytest.param((96, 64), 500, (96, 64), id="never larger"),
        pytest.param((1000, 1), 10, (10, 1), id="no side vanishes"),
    ],
)
def test_shrinking_keeps_the_shape(size: tuple[int, int], long_side_px: int, expected: tuple[int, int]) -> None:
    found = shrink_image(paint(*size), long_side_px)

    assert (found.shape[1], found.shape[0]) == expected
    assert shrink_image(found, long_side_px) is found


@pytest.mark.parametrize(
    ("call", "message"),
    [
        pytest.param(lambda: resize_image(PAINTED, 0, 5), "must be 1 or more, got 0 x 5", id="no width"),
        pytest.param(lambda: resize_image(PAINTED[..., 0], 5, 5), r"must be \(H, W, 3\) uint8", id="grey"),
        pytest.param(lambda: resize_image(PAINTED / 255, 5, 5), "float64", id="floats"),
        pytest.param(lambda: resize_image(PAINTED[:0], 5, 5), "must have pixels", id="nothing to resize"),
        pytest.param(lambda: shrink_image(PAINTED, 0), "long_side_px must be 1 or more, got 0", id="no side"),
        pytest.param(lambda: shrink_image(PAINTED[:0], 5), "must have pixels", id="nothing to shrink"),
        pytest.param(lambda: encode_jpeg(PAINTED, 0), "quality must be 1 to 100, got 0", id="no quality"),
        pytest.param(lambda: encode_jpeg(PAINTED[:, :0]), "must have pixels", id="nothing to write"),
        pytest.param(
            lambda: encode_jpeg(np.zeros((1, 65_501, 3), np.uint8)), "at most 65500 px, got 65501 x 1", id="too wide"
        ),
    ],
)
def test_a_broken_call_says_what_would_be_right(call, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=message):
        call()


def test_a_written_jpeg_reads_back_and_carries_no_metadata() -> None:
    content = encode_jpeg(PAINTED)

    assert difference(decode_image(content, "a.jpg").pixels, PAINTED) <= SMALL_LOSS
    assert set(PillowImage.open(io.BytesIO(content)).info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
    assert encode_jpeg(PAINTED) == content


def test_lower_quality_is_smaller_and_any_layout_is_written() -> None:
    assert len(encode_jpeg(PAINTED, quality=30)) < len(encode_jpeg(PAINTED))
    assert encode_jpeg(PAINTED[:, ::-1]) == encode_jpeg(np.ascontiguousarray(PAINTED[:, ::-1]))
