"""Augmentations: drawn from the given generator alone, within their bounds, and true to the labels."""

from __future__ import annotations

import numpy as np
import pytest

from mekiki.torchvision_ops import declare_torchvision_ops
from mekiki.training.augment import AUGMENTATIONS, Augmentation, augment, draw_crop

pytest.importorskip("torch")
declare_torchvision_ops()
pytest.importorskip("torchvision")

NOTHING = Augmentation(crop_area=(1.0, 1.0), flip_share=0, brightness=0, contrast=0, saturation=0, hue=0)
SEED1 = AUGMENTATIONS["seed1"]


def picture(side_px: int = 32, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (side_px, side_px, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", ["seed1", "strong"])
def test_the_generator_decides_everything(name: str) -> None:
    how, image = AUGMENTATIONS[name], picture()

    first, again, other = (augment(image, how, (24, 28), np.random.default_rng(seed)) for seed in (1, 1, 2))

    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert first.shape == (24, 28, 3)
    assert first.dtype == np.uint8
    np.testing.assert_array_equal(image, picture())  # not changed


def test_the_defaults_are_seed_1s() -> None:
    assert Augmentation() == SEED1
    assert (SEED1.crop_area, SEED1.flip_share) == ((0.7, 1.0), 0.5)
    assert (SEED1.brightness, SEED1.contrast, SEED1.saturation, SEED1.hue) == (0.2, 0.2, 0.2, 0.03)
    assert AUGMENTATIONS["none"] is None


def test_flips_come_as_often_as_said() -> None:
    """On a picture that is dark on its left, whatever is cut out of it."""
    image = np.zeros((16, 16, 3), np.uint8)
    image[:, 8:] = 200
    how = Augmentation(NOTHING.crop_area, 0.3, 0, 0, 0, 0)

    generator = np.random.default_rng(0)
    n_flipped = sum(bool(augment(image, how, (16, 16), generator)[8, 0, 0] > 100) for _ in range(300))

    assert 60 < n_flipped < 120


def test_colours_change_within_bounds() -> None:
    grey = np.full((8, 8, 3), 100, np.uint8)
    how = Augmentation((1.0, 1.0), 0, brightness=0.2, contrast=0, saturation=0, hue=0)

    found = {int(augment(grey, how, (8, 8), np.random.default_rng(seed))[0, 0, 0]) for seed in range(200)}

    assert 80 <= min(found) < 85
    assert 115 < max(found) <= 120


def test_crops_keep_the_area_and_shape_that_were_asked_for() -> None:
    generator = np.random.default_rng(0)

    crops = [draw_crop((256, 256), (0.7, 1.0), generator) for _ in range(500)]

    for top, left, height_px, width_px in crops:
        assert 0 <= top <= 256 - height_px
        assert 0 <= left <= 256 - width_px
        assert 0.69 < height_px * width_px / 256**2 <= 1.0
        assert 0.74 < width_px / height_px < 1.35
    areas = [height_px * width_px / 256**2 for _, _, height_px, width_px in crops]
    assert min(areas) < 0.72
    assert max(areas) > 0.95


@pytest.mark.parametrize("image_hw", [(10, 200), (200, 10), (1, 1), (1, 50)])
def test_pictures_of_any_shape_can_be_cut(image_hw: tuple[int, int]) -> None:
    top, left, height_px, width_px = draw_crop(image_hw, (0.7, 1.0), np.random.default_rng(0))

    assert 1 <= height_px <= image_hw[0] - top
    assert 1 <= width_px <= image_hw[1] - left


def test_a_crop_draws_as_torchvisions_does() -> None:
    """The same distribution: means of area, ratio and place of a thousand crops each."""
    from torchvision.transforms import v2

    transform = v2.RandomResizedCrop(8, scale=(0.35, 1.0))
    import torch

    torch.manual_seed(0)
    theirs = [transform.make_params([torch.zeros(3, 100, 100)]) for _ in range(1500)]
    generator = np.random.default_rng(0)
    ours = [draw_crop((100, 100), (0.35, 1.0), generator) for _ in range(1500)]

    names = ("top", "left", "height", "width")
    for place, name in enumerate(names):
        a, b = np.mean([one[name] for one in theirs]), np.mean([one[place] for one in ours])
        assert a == pytest.approx(b, abs=2.0), name


def test_strong_takes_colour_away_and_hides_parts() -> None:
    image = picture()
    image[..., 0] = 255
    grey = Augmentation((1.0, 1.0), 0, 0, 0, 0, 0, grey_share=1.0)
    hidden = Augmentation((1.0, 1.0), 0, 0, 0, 0, 0, erased_share=1.0)

    without_colour = augment(image, grey, (32, 32), np.random.default_rng(0))
    erased = augment(image, hidden, (32, 32), np.random.default_rng(0))

    assert (without_colour[..., 0] == without_colour[..., 2]).all()
    share = (erased != augment(image, NOTHING, (32, 32), np.random.default_rng(0))).any(axis=2).mean()
    assert 0.01 < share < 0.25
    assert AUGMENTATIONS["strong"].grey_share > 0
    assert AUGMENTATIONS["strong"].erased_share > 0


def test_pictures_are_resized_as_for_evaluation() -> None:
    image = np.zeros((32, 32, 3), np.uint8)
    image[::2] = 255

    nearest, bilinear = (
        augment(image, NOTHING, (8, 8), np.random.default_rng(0), name) for name in ("nearest", "bilinear")
    )

    assert set(np.unique(nearest)) <= {0, 255}
    assert not set(np.unique(bilinear)) <= {0, 255}
