"""Pixels as a network wants them, beside torchvision's own transforms."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image as PillowImage

from mekiki.media.preprocessing import CropStart, Preprocessing, crop_middle, normalise, prepare, resize_for, seen_by
from workspaces import scene

SHAPES = [(300, 200), (200, 300), (256, 256), (97, 411), (60, 50)]


@pytest.mark.parametrize(("width_px", "height_px"), SHAPES)
@pytest.mark.parametrize("resize", ["squash", "short-side"])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_equals_the_transforms_of_torchvision(width_px: int, height_px: int, resize: str, interpolation: str) -> None:
    from mekiki.torchvision_ops import declare_torchvision_ops

    declare_torchvision_ops()
    from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Normalize, Resize, ToTensor

    image = scene(3, width_px, height_px)
    how = Preprocessing(resize=resize, resize_hw=(64, 64), crop_hw=(56, 48), interpolation=interpolation)  # type: ignore[arg-type]
    size = (64, 64) if resize == "squash" else 64
    theirs = Compose(
        [
            Resize(size, InterpolationMode(interpolation)),
            CenterCrop((56, 48)),
            ToTensor(),
            Normalize(how.mean, how.std),
        ]
    )(PillowImage.fromarray(image))
    np.testing.assert_allclose(prepare(image, how), theirs.numpy(), atol=1e-5)


def test_none_leaves_the_size_and_cuts_the_middle() -> None:
    image = scene(1, 40, 32)
    how = Preprocessing(resize="none", crop_hw=(32, 32), mean=(0, 0, 0), std=(1, 1, 1))
    assert resize_for(image, how) is image
    np.testing.assert_allclose(prepare(image, how), image[:, 4:36].transpose(2, 0, 1) / np.float32(255), atol=1e-6)
    assert how.at_least_px is None


def test_a_jpeg_is_decoded_to_twice_what_is_needed() -> None:
    assert Preprocessing(resize_hw=(256, 128), crop_hw=(128, 128)).at_least_px == 512


def test_the_picture_is_not_changed() -> None:
    image = scene(1, 40, 32)
    before = image.copy()
    normalise(image, Preprocessing())
    prepare(image, Preprocessing())
    assert (image == before).all()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"resize_hw": (64, 64), "crop_hw": (65, 64)}, "must not exceed what resizing gives"),
        ({"resize": "short-side", "resize_hw": (64, 300), "crop_hw": (64, 70)}, "must not exceed"),
        ({"std": (0.5, 0, 0.5)}, "std must be above 0"),
        ({"crop_hw": (0, 64)}, "sizes must be 1 or more"),
        ({"resize_hw": (10**9, 10**9)}, "sizes must be 8192 or less"),
        ({"resize": "none", "crop_hw": (8193, 64)}, "sizes must be 8192 or less"),
        ({"mean": (1e39, 0, 0)}, "mean and std must be numbers up to"),
        ({"std": (1e-40, 1, 1)}, "mean and std must be numbers up to"),
        ({"mean": (float("nan"), 0, 0)}, "finite"),
        ({"reisze": "squash"}, "Extra inputs"),
    ],
)
def test_sizes_that_would_pad_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Preprocessing(**values)  # type: ignore[arg-type]


def test_a_picture_smaller_than_the_crop_is_refused_and_never_padded() -> None:
    with pytest.raises(ValueError, match=r"image must be at least \(50, 50\), got \(32, 40\)"):
        crop_middle(scene(1, 40, 32), (50, 50))


@pytest.mark.parametrize(("start", "wanted"), [("even", 2), ("floor", 1)])
def test_half_a_pixel_is_rounded_as_the_library_does_that_the_network_comes_from(start: CropStart, wanted: int) -> None:
    image = scene(1, 35, 32)

    assert (crop_middle(image, (32, 32), start) == image[:, wanted : wanted + 32]).all()
    how = Preprocessing(resize="none", crop_hw=(32, 32), crop_start=start)
    assert (seen_by(image, how) == crop_middle(image, (32, 32), start)).all()


def test_the_usual_rounding_is_not_written_so_that_ids_of_older_models_stay() -> None:
    usual, other = Preprocessing(), Preprocessing(crop_start="floor")

    assert "crop_start" not in usual.model_dump(mode="json")
    assert "crop_start" not in usual.model_dump_json()
    assert [Preprocessing.model_validate_json(one.model_dump_json()) for one in (usual, other)] == [usual, other]
    assert usual != other
