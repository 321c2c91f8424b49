"""From whatever a decoder gives to upright RGB uint8 ``(H, W, 3)``.

The rules, which every reader of pictures in mekiki shares:

* Transparent pixels are laid over white, whatever colour hides beneath them.
* 16 bits become 8 by dropping the low byte: black stays 0 and full scale becomes 255, nothing is clipped. Pillow does
  the same to 16-bit colour.
* 32-bit integers and floats have no agreed range. Floats that lie in [0, 1] are scaled by 255; everything else is
  stretched so that its least value becomes 0 and its largest 255 (one value alone becomes 0; what is not finite, 0).
* Embedded colour profiles are ignored, as the pipelines that models were trained with ignore them, but for CMYK:
  inks have no meaning without one. CMYK with a broken profile, or none, is converted by the plain formula.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageCms

from mekiki.records import Image

WHITE = (255, 255, 255, 255)

STRIP_PX = 4_000_000
"""Pictures are converted in strips of about so many pixels, so that a large one is not in memory several times."""


def picture_to_rgb(picture: PillowImage.Image) -> Image:
    """Convert a picture of any of Pillow's modes to a new ``(H, W, 3)`` uint8 array, by the rules above.

    The picture is decoded already, and is not turned.

    Raises:
        ValueError: If there is no conversion from its mode to RGB.
    """
    strip_to_rgb = _choose_conversion(picture)
    pixels = np.empty((picture.height, picture.width, 3), dtype=np.uint8)
    for top, strip in _iter_strips(picture):
        pixels[top : top + strip.height] = strip_to_rgb(strip)
    return pixels


def turn_upright(pixels: Image, orientation: int) -> Image:
    """Turn pixels the way the EXIF orientation of their file asks for.

    Args:
        pixels: ``(H, W, 3)`` uint8 as stored; not changed.
        orientation: 1 to 8 as EXIF counts them; anything else turns nothing.

    Returns:
        ``(H, W, 3)``, or ``(W, H, 3)`` for 5 to 8, contiguous; ``pixels`` itself where nothing is to turn.

    Example:
        >>> row = np.array([[[1, 1, 1], [2, 2, 2]]], dtype=np.uint8)
        >>> turn_upright(row, 8)[:, 0, 0]
        array([2, 1], dtype=uint8)
    """
    match orientation:
        case 2:
            turned = pixels[:, ::-1]
        case 3:
            turned = pixels[::-1, ::-1]
        case 4:
            turned = pixels[::-1]
        case 5:
            turned = pixels.transpose(1, 0, 2)
        case 6:
            turned = pixels[::-1].transpose(1, 0, 2)
        case 7:
            turned = pixels[::-1, ::-1].transpose(1, 0, 2)
        case 8:
            turned = pixels[:, ::-1].transpose(1, 0, 2)
        case _:
            turned = pixels
    return np.ascontiguousarray(turned)


_StripToRgb = Callable[[PillowImage.Image], NDArray[np.uint8]]


def _choose_conversion(picture: PillowImage.Image) -> _StripToRgb:
    """Return what turns a strip of the picture into an array that fits ``(H, W, 3)``."""
    is_portable_grey = picture.mode == "I" and picture.format == "PPM"  # Pillow gives these 0 to 65535
    if picture.mode.startswith("I;16") or is_portable_grey:
        return _drop_low_byte
    if picture.mode in ("I", "F"):
        return _choose_stretch(picture)
    if picture.mode == "CMYK":
        return _choose_ink_conversion(picture.info.get("icc_profile"))
    if picture.has_transparency_data:
        return _lay_over_white
    return _convert_plainly


def _iter_strips(picture: PillowImage.Image) -> Iterator[tuple[int, PillowImage.Image]]:
    n_rows = max(1, STRIP_PX // picture.width)
    if n_rows >= picture.height:
        yield 0, picture
        return
    for top in range(0, picture.height, n_rows):
        yield top, picture.crop((0, top, picture.width, min(top + n_rows, picture.height)))


def _convert_plainly(strip: PillowImage.Image) -> NDArray[np.uint8]:
    return np.asarray(strip.convert("RGB"))


def _lay_over_white(strip: PillowImage.Image) -> NDArray[np.uint8]:
    paper = PillowImage.new("RGBA", strip.size, WHITE)
    paper.alpha_composite(strip.convert("RGBA"))
    return np.asarray(paper.convert("RGB"))


def _drop_low_byte(strip: PillowImage.Image) -> NDArray[np.uint8]:
    return (np.asarray(strip)[:, :, np.newaxis] >> 8).astype(np.uint8)


def _choose_stretch(picture: PillowImage.Image) -> _StripToRgb:
    low, high = np.inf, -np.inf
    for _, strip in _iter_strips(picture):
        values = np.asarray(strip)
        known = values[np.isfinite(values)]
        if known.size:
            low, high = min(low, float(known.min())), max(high, float(known.max()))
    if picture.mode == "F" and low >= 0.0 and high <= 1.0:
        low, high = 0.0, 1.0

    def stretch(strip: PillowImage.Image) -> NDArray[np.uint8]:
        values = np.asarray(strip, dtype=np.float64)[:, :, np.newaxis]
        if low >= high:  # one value alone, or none at all
            return np.zeros_like(values, dtype=np.uint8)
        known = np.where(np.isfinite(values), values, low)
        return np.rint((known - low) * (255 / (high - low))).astype(np.uint8)

    return stretch


def _choose_ink_conversion(profile: bytes | None) -> _StripToRgb:
    if not profile:
        return _convert_plainly
    try:
        inks, screen = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
        transform = ImageCms.buildTransform(inks, screen, "CMYK", "RGB")
    except (ImageCms.PyCMSError, OSError):  # a broken profile, or one for something else than inks
        return _convert_plainly

    def convert(strip: PillowImage.Image) -> NDArray[np.uint8]:
        return np.asarray(transform.apply(strip))

    return convert
