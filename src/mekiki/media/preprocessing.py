"""Pixels as a network wants them: resize, centre crop, scale, normalise. One implementation for every runtime."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import pydantic
from numpy.typing import NDArray
from PIL import Image as PillowImage

from mekiki.records import Image

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

ReadPicture = Callable[[int | None], Image]
"""Gives a picture decoded for a short side of at least so many pixels; None for the whole. Called once per size."""

Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos"]
CropStart = Literal["even", "floor"]
MAX_SIDE_PX = 8192
LEAST, MOST = 1e-6, 1e6
"""Of a standard deviation; a mean lies within plus and minus `MOST`. Others have no place in float32."""

DECODE_FACTOR = 2
"""A JPEG is decoded to no less than this many times the size that it is resized to."""


class Preprocessing(pydantic.BaseModel):
    """How a picture becomes a network's input; part of every model file, so that no other can be used with it.

    Attributes:
        resize: ``squash`` gives exactly ``resize_hw`` whatever the shape; ``short-side`` keeps the shape and makes the
            short side ``min(resize_hw)``; ``none`` leaves the size.
        resize_hw: Height and width in pixels, at most `MAX_SIDE_PX`.
        crop_hw: What is cut from the middle then; not larger than what resizing gives.
        interpolation: Pillow's, always antialiased when shrinking (but for ``nearest``).
        crop_start: Where the crop begins if half of what is cut off is no whole number: ``even`` at the even one of
            the two next to it, as torchvision; ``floor`` at the lower, as transformers.
        mean: Per channel, subtracted after scaling to [0, 1].
        std: Per channel, divided by.
    """

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    resize: Literal["squash", "short-side", "none"] = "squash"
    resize_hw: tuple[int, int] = (256, 256)
    crop_hw: tuple[int, int] = (224, 224)
    interpolation: Interpolation = "bilinear"
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    crop_start: CropStart = "even"

    @pydantic.model_serializer(mode="wrap")
    def _without_usual_start(self, dump: pydantic.SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave the usual ``crop_start`` out: ids of models from before there was another are made from this."""
        fields: dict[str, Any] = dump(self)
        if self.crop_start == "even":
            fields.pop("crop_start", None)
        return fields

    @pydantic.model_validator(mode="after")
    def _check(self) -> Preprocessing:
        if min(*self.resize_hw, *self.crop_hw) < 1:
            raise ValueError(f"sizes must be 1 or more, got {self.resize_hw} and {self.crop_hw}")
        if max(*self.resize_hw, *self.crop_hw) > MAX_SIDE_PX:
            raise ValueError(f"sizes must be {MAX_SIDE_PX} or less, got {self.resize_hw} and {self.crop_hw}")
        if min(self.std) <= 0:
            raise ValueError(f"std must be above 0, got {self.std}")
        if not (all(LEAST <= one <= MOST for one in self.std) and all(abs(one) <= MOST for one in self.mean)):
            raise ValueError(f"mean and std must be numbers up to {MOST:.0e}, got {self.mean} and {self.std}")
        low = self.resize_hw if self.resize == "squash" else (min(self.resize_hw),) * 2
        if self.resize != "none" and (self.crop_hw[0] > low[0] or self.crop_hw[1] > low[1]):
            raise ValueError(f"crop_hw {self.crop_hw} must not exceed what resizing gives, {low}")
        return self

    @property
    def at_least_px(self) -> int | None:
        """The short side to which a JPEG may be shrunk while decoding; None for the whole picture."""
        return None if self.resize == "none" else DECODE_FACTOR * max(self.resize_hw)


def resize_for(image: Image, how: Preprocessing) -> Image:
    """Return the resized picture, before cropping.

    Args:
        image: ``(H, W, 3)`` RGB uint8; not changed.
        how: The network's preprocessing.

    Returns:
        uint8, ``how.resize_hw`` for ``squash``.
    """
    height_px, width_px = image.shape[:2]
    if how.resize == "none":
        return image
    if how.resize == "squash":
        wanted = how.resize_hw
    else:  # as torchvision: the long side is cut to whole pixels
        short = min(how.resize_hw)
        wanted = (
            (short, max(short, int(short * width_px / height_px)))
            if height_px <= width_px
            else (max(short, int(short * height_px / width_px)), short)
        )
    if wanted == (height_px, width_px):
        return image
    filters = PillowImage.Resampling[how.interpolation.upper()]
    return np.array(PillowImage.fromarray(image).resize((wanted[1], wanted[0]), filters))


def crop_middle(image: Image, crop_hw: tuple[int, int], start: CropStart = "even") -> Image:
    """Return the middle of a picture that is at least as large; see `Preprocessing` for ``start``.

    Raises:
        ValueError: If the picture is smaller.
    """
    height_px, width_px = image.shape[:2]
    if height_px < crop_hw[0] or width_px < crop_hw[1]:
        raise ValueError(f"image must be at least {crop_hw}, got {image.shape[:2]}")
    whole = math.floor if start == "floor" else round
    top, left = whole((height_px - crop_hw[0]) / 2), whole((width_px - crop_hw[1]) / 2)
    return image[top : top + crop_hw[0], left : left + crop_hw[1]]


def normalise(image: Image, how: Preprocessing) -> NDArray[np.float32]:
    """Return ``(3, H, W)`` float32: scaled to [0, 1], mean subtracted, divided by standard deviation."""
    scale = np.float32(1) / (np.float32(255) * np.asarray(how.std, np.float32))
    shift = np.asarray(how.mean, np.float32) / np.asarray(how.std, np.float32)
    return np.ascontiguousarray((image.astype(np.float32) * scale - shift).transpose(2, 0, 1))


def prepare(image: Image, how: Preprocessing) -> NDArray[np.float32]:
    """Return a network's input ``(3, H, W)`` float32 from a picture ``(H, W, 3)`` RGB uint8.

    Raises:
        ValueError: If the picture is not resized and smaller than the crop.
    """
    return normalise(seen_by(image, how), how)


def seen_by(image: Image, how: Preprocessing) -> Image:
    """Return ``(H, W, 3)`` uint8 as a network sees it: resized and cropped, not normalised.

    Raises:
        ValueError: If the picture is not resized and smaller than the crop.
    """
    return crop_middle(resize_for(image, how), how.crop_hw, how.crop_start)


def prepare_each(read: ReadPicture, hows: Sequence[Preprocessing]) -> tuple[NDArray[np.float32], ...]:
    """Return one input per preprocessing, each from the picture as it is decoded for that preprocessing alone.

    A JPEG that is decoded larger gives other pixels, so networks that share a picture would not see what they see
    when they run alone.

    Raises:
        ValueError: If the picture is not resized and smaller than a crop.
    """
    images = {px: read(px) for px in dict.fromkeys(how.at_least_px for how in hows)}
    return tuple(prepare(images[how.at_least_px], how) for how in hows)


def at_hand(image: Image) -> ReadPicture:
    """Return a picture that is decoded already, such as a frame of a clip, as classifiers take pictures."""
    return lambda _px: image
