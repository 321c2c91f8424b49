"""Perceptual hashes: what they are, what leaves them alone, and what is flat."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from scipy.fft import dctn

from mekiki.dataset.hashes import (
    compare_thumbs,
    hash_picture,
    hash_thumbs,
    inner_contrast,
    mirror_layouts,
    shrink_to_thumb,
    thumbs_to_layouts,
)


def scene(seed: int, height: int = 240, width: int = 320) -> np.ndarray:
    """A smooth random picture with some detail, so that its spectrum falls like a photo's."""
    rng = np.random.default_rng(seed)
    layers = [rng.integers(0, 256, (*hw, 3), dtype=np.uint8) for hw in ((4, 5), (12, 16), (60, 80))]
    wide = [np.asarray(Image.fromarray(layer).resize((width, height), Image.Resampling.BICUBIC)) for layer in layers]
    mixed = np.tensordot([0.7, 0.3, 0.15], np.stack(wide).astype(float), 1)
    return np.clip((mixed - mixed.mean()) * 1.6 + 120, 0, 255).astype(np.uint8)


def n_bits_between(one: int, other: int) -> int:
    return (one ^ other).bit_count()


@pytest.mark.parametrize(
    "pixels",
    [
        pytest.param(np.zeros((0, 4, 3), np.uint8), id="no pixel"),
        pytest.param(np.zeros((4, 4), np.uint8), id="grey"),
        pytest.param(np.zeros((4, 4, 4), np.uint8), id="alpha"),
        pytest.param(np.zeros((4, 4, 3), np.float32), id="floats"),
    ],
)
def test_anything_but_rgb_bytes_is_refused_with_its_shape(pixels) -> None:
    with pytest.raises(ValueError, match=r"pixels must be \(H, W, 3\) uint8"):
        hash_picture(pixels)


@pytest.mark.parametrize("thumbs", [np.zeros((32, 32), np.uint8), np.zeros((1, 32, 32)), np.zeros((1, 8, 8), np.uint8)])
def test_anything_but_thumbnails_is_refused(thumbs) -> None:
    for function in (hash_thumbs, inner_contrast, thumbs_to_layouts):
        with pytest.raises(ValueError, match=r"thumbs must be \(N, 32, 32\) uint8"):
            function(thumbs)


def test_no_thumbnails_have_no_hashes() -> None:
    nothing = np.zeros((0, 32, 32), np.uint8)

    assert [len(part) for part in hash_thumbs(nothing)] == [0, 0]
    assert len(inner_contrast(nothing)) == len(compare_thumbs(nothing, nothing)) == 0


@pytest.mark.parametrize("hw", [(1, 1), (5, 7), (31, 33), (32, 32), (64, 96), (75, 100), (241, 130)])
def test_a_thumbnail_is_the_exact_mean_over_areas(hw) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*hw, 3), dtype=np.uint8)

    thumb = shrink_to_thumb(pixels)

    grey = pixels.astype(np.int64) @ np.array([299, 587, 114])
    fine = grey.repeat(32, axis=0).repeat(32, axis=1)  # now the cells are whole blocks
    means = fine.reshape(32, hw[0], 32, hw[1]).mean(axis=(1, 3)) / 1000
    np.testing.assert_allclose(thumb, means, atol=0.5 + 1e-9)


def test_a_very_long_picture_is_averaged_exactly() -> None:
    pixels = np.full((70_001, 1, 3), 255, np.uint8)

    assert (shrink_to_thumb(pixels) == 255).all()


def test_the_hash_is_the_low_cosines_above_their_median() -> None:
    one = hash_picture(scene(1))

    spectrum = dctn(one.thumb.astype(float), norm="ortho")[1:9, 1:9].ravel()
    assert f"{one.bits:064b}" == "".join("1" if value > np.median(spectrum) else "0" for value in spectrum)


@pytest.mark.parametrize("hw", [(1, 1), (7, 5), (32, 32), (75, 101), (240, 320)])
def test_mirroring_a_picture_swaps_its_two_hashes(hw) -> None:
    pixels = scene(2, *hw)

    one, other = hash_picture(pixels), hash_picture(pixels[:, ::-1])

    assert (other.bits, other.mirrored_bits) == (one.mirrored_bits, one.bits)
    assert (other.thumb == one.thumb[:, ::-1]).all()


def test_the_same_pixels_give_the_same_hash_however_they_lie_in_memory() -> None:
    pixels = scene(3)
    before = pixels.copy()

    one, other = hash_picture(pixels), hash_picture(np.asfortranarray(pixels))

    assert (one.bits, one.mirrored_bits, one.contrast) == (other.bits, other.mirrored_bits, other.contrast)
    assert (pixels == before).all()


def test_neither_order_nor_batch_changes_a_hash() -> None:
    thumbs = np.stack([shrink_to_thumb(scene(seed, 60, 80)) for seed in range(40)])

    together = hash_thumbs(thumbs)

    for n in range(40):
        assert [part[0] for part in hash_thumbs(thumbs[n : n + 1])] == [part[n] for part in together]
    assert [part.tolist() for part in hash_thumbs(thumbs[::-1])] == [part[::-1].tolist() for part in together]


def test_brightness_and_an_even_gradient_of_light_leave_the_hash_alone() -> None:
    pixels = (scene(4) // 2).astype(np.uint8)
    ramp = np.linspace(0, 60, pixels.shape[0])[:, None, None]

    one, brighter = hash_picture(pixels), hash_picture(pixels + 50)
    lit = hash_picture((pixels + ramp).astype(np.uint8))

    assert brighter.bits == one.bits
    assert n_bits_between(lit.bits, one.bits) <= 4


@pytest.mark.parametrize("quality", [95, 70, 30])
@pytest.mark.parametrize("seed", range(5))
def test_a_jpeg_decoded_at_half_size_hashes_like_the_original(seed, quality) -> None:
    pixels = scene(seed, 480, 640)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    decoded = Image.open(file)
    decoded.draft("RGB", (320, 240))
    assert decoded.size == (320, 240)

    one, half = hash_picture(pixels), hash_picture(np.asarray(decoded))

    assert n_bits_between(one.bits, half.bits) <= 6
    assert compare_thumbs(one.thumb[None], half.thumb[None])[0] < 0.1


def night(strip: bool) -> np.ndarray:
    noise = np.random.default_rng(0).normal(8, 4, (240, 320, 3))
    if strip:
        noise[-16:] = 230
        noise[-12:-6, 20:120:7] = 20  # the camera's date and time
    return np.clip(noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    "pixels",
    [
        pytest.param(np.zeros((50, 60, 3), np.uint8), id="black"),
        pytest.param(np.full((1, 1, 3), 255, np.uint8), id="one white pixel"),
        pytest.param(night(strip=False), id="night with sensor noise"),
        pytest.param(night(strip=True), id="night with the camera's strip below"),
    ],
)
def test_a_picture_that_shows_nothing_is_flat(pixels) -> None:
    assert hash_picture(pixels).is_flat


def test_a_picture_that_shows_something_is_not_flat() -> None:
    small_subject = np.full((200, 200, 3), 250, np.uint8)
    small_subject[90:110, 90:110] = 30

    assert not hash_picture(scene(5)).is_flat
    assert not hash_picture(small_subject).is_flat


def test_a_picture_does_not_differ_from_itself_brighter_or_with_more_contrast() -> None:
    pixels = (scene(6) // 2).astype(np.uint8)
    thumbs = np.stack([shrink_to_thumb(other) for other in (pixels, pixels + 40, (pixels * 1.3).astype(np.uint8))])

    differences = compare_thumbs(thumbs[[0, 0, 0]], thumbs)

    assert differences[0] == 0
    assert (differences[1:] < 0.05).all()


def test_differences_are_symmetric_and_the_same_for_two_mirror_images() -> None:
    one, other = (np.stack([shrink_to_thumb(scene(seed, 60, 80)) for seed in seeds]) for seeds in ((1, 2), (3, 4)))

    differences = compare_thumbs(one, other)

    np.testing.assert_array_equal(differences, compare_thumbs(other, one))
    np.testing.assert_allclose(differences, compare_thumbs(one[:, :, ::-1], other[:, :, ::-1]), atol=1e-5)
    np.testing.assert_array_equal(
        mirror_layouts(thumbs_to_layouts(one)).round(4), thumbs_to_layouts(one[:, :, ::-1]).round(4)
    )


def test_two_lots_of_thumbnails_must_be_as_many() -> None:
    with pytest.raises(ValueError, match="got 1 and 2"):
        compare_thumbs(np.zeros((1, 32, 32), np.uint8), np.zeros((2, 32, 32), np.uint8))
