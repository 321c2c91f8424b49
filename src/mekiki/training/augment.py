"""Augmentations: random changes of training pictures that leave their labels true, drawn from a given generator.

Each is drawn and applied by torchvision's functions on Pillow pictures, which is what seed 1's transforms do, and
which lets threads work side by side. The same generator gives the same picture.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from threading import Lock
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from mekiki.media.preprocessing import Interpolation
from mekiki.records import Image
from mekiki.training.packages import import_torchvision

Augmenting = Literal["seed1", "none", "strong"]

N_CROP_TRIES = 10
CROP_RATIO = (3 / 4, 4 / 3)
"""Width over height of what is cut out, drawn uniformly in the logarithm."""


@dataclass(frozen=True, slots=True)
class Augmentation:
    """How far pictures are changed; the defaults are seed 1's.

    Attributes:
        crop_area: Least and most share of the picture's area that is cut out and resized.
        flip_share: Share of pictures that are mirrored left to right.
        brightness: Factor drawn from 1 - this to 1 + this; so are contrast and saturation.
        contrast: As brightness.
        saturation: As brightness.
        hue: Turn of the colour circle, drawn from minus this to this, of a full turn.
        grey_share: Share of pictures that lose their colour.
        erased_share: Share of pictures of which a rectangle is filled with noise.
    """

    crop_area: tuple[float, float] = (0.7, 1.0)  # an animal is not always in the middle, nor equally far
    flip_share: float = 0.5  # animals walk both ways; no vertical flip: they are not upside down
    brightness: float = 0.2  # exposure differs with the hour and the camera
    contrast: float = 0.2  # so do haze and flash
    saturation: float = 0.2  # cameras render colour differently
    hue: float = 0.03  # white balance drifts a little; more would turn one species into another
    grey_share: float = 0.0
    erased_share: float = 0.0


AUGMENTATIONS: dict[Augmenting, Augmentation | None] = {
    "seed1": Augmentation(),
    "none": None,
    "strong": Augmentation(
        crop_area=(0.35, 1.0),  # few pictures: see parts of animals too
        brightness=0.4,
        contrast=0.4,
        saturation=0.4,
        grey_share=0.1,  # infrared pictures, taken at night, have no colour
        erased_share=0.25,  # leaves and trunks hide parts of animals
    ),
}


def augment(
    image: Image,
    how: Augmentation,
    size_hw: tuple[int, int],
    generator: np.random.Generator,
    interpolation: Interpolation = "bilinear",
) -> Image:
    """Return a changed copy of a picture, cut and resized to the network's input.

    Args:
        image: ``(H, W, 3)`` RGB uint8, resized as for evaluation but not cropped; not changed.
        how: How far.
        size_hw: Height and width of the result in pixels.
        generator: What decides everything.
        interpolation: Of resizing: that of evaluation, so that what is learned from looks like what is judged.

    Returns:
        ``(*size_hw, 3)`` uint8.
    """
    functions = _functions()
    number = int(PillowImage.Resampling[interpolation.upper()])  # which torchvision takes for its own
    top, left, height_px, width_px = draw_crop(image.shape[:2], how.crop_area, generator)
    picture: Any = functions.resized_crop(
        PillowImage.fromarray(image), top, left, height_px, width_px, list(size_hw), interpolation=number
    )
    if generator.random() < how.flip_share:
        picture = functions.horizontal_flip(picture)
    changes = [
        (functions.adjust_brightness, 1 + how.brightness * generator.uniform(-1, 1)),
        (functions.adjust_contrast, 1 + how.contrast * generator.uniform(-1, 1)),
        (functions.adjust_saturation, 1 + how.saturation * generator.uniform(-1, 1)),
        (functions.adjust_hue, how.hue * generator.uniform(-1, 1)),
    ]
    for number in generator.permutation(len(changes)):  # they do not commute, so their order is drawn too
        change, amount = changes[number]
        picture = change(picture, amount)
    if generator.random() < how.grey_share:
        picture = functions.rgb_to_grayscale(picture, num_output_channels=3)
    changed = np.array(picture)
    if generator.random() < how.erased_share:
        _erase(changed, generator)
    return changed


def draw_crop(
    image_hw: tuple[int, ...], area: tuple[float, float], generator: np.random.Generator
) -> tuple[int, int, int, int]:
    """Draw what is cut out of a picture, as torchvision's ``RandomResizedCrop`` does: top, left, height and width.

    A rectangle that does not fit is drawn again; after ten, the largest of an allowed shape is taken from the middle.
    """
    height_px, width_px = image_hw
    low, high = math.log(CROP_RATIO[0]), math.log(CROP_RATIO[1])
    for _ in range(N_CROP_TRIES):
        n_px = height_px * width_px * generator.uniform(*area)
        ratio = math.exp(generator.uniform(low, high))
        new_width, new_height = round(math.sqrt(n_px * ratio)), round(math.sqrt(n_px / ratio))
        if 0 < new_width <= width_px and 0 < new_height <= height_px:
            top = int(generator.integers(0, height_px - new_height + 1))
            left = int(generator.integers(0, width_px - new_width + 1))
            return top, left, new_height, new_width
    ratio = min(max(width_px / height_px, CROP_RATIO[0]), CROP_RATIO[1])
    new_height = min(height_px, max(1, round(width_px / ratio)))
    new_width = min(width_px, max(1, round(height_px * ratio)))
    return (height_px - new_height) // 2, (width_px - new_width) // 2, new_height, new_width


def _erase(image: NDArray[np.uint8], generator: np.random.Generator) -> None:
    """Fill a rectangle of 2 to 20 % of the picture with noise, in place; see Zhong et al., 2020, Random Erasing."""
    top, left, height_px, width_px = draw_crop(image.shape[:2], (0.02, 0.2), generator)
    noise = generator.integers(0, 256, (height_px, width_px, 3), dtype=np.uint8)
    image[top : top + height_px, left : left + width_px] = noise


_loaded: list[Any] = []  # importing anew for each picture costs more than the lookup
_loading = Lock()


def _functions() -> Any:
    with _loading:
        if not _loaded:
            import_torchvision()
            from torchvision.transforms.v2 import functional

            _loaded.append(functional)
        return _loaded[0]
