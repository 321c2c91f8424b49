"""Whole pictures made smaller for detectors: decoded no larger than needed, then shrunk by Pillow's Lanczos filter."""

from __future__ import annotations

import numpy as np
from PIL import Image as PillowImage

from mekiki.media.preprocessing import DECODE_FACTOR, ReadPicture
from mekiki.records import Image


def shrunk_hw(full_hw: tuple[int, int], long_side_px: int) -> tuple[int, int]:
    """Return height and width with the long side at most this; no side gets below 1, and smaller ones stay.

    Raises:
        ValueError: If ``long_side_px`` is below 1.

    Example:
        >>> shrunk_hw((1000, 4000), 1280), shrunk_hw((30, 40), 1280)
        ((320, 1280), (30, 40))
    """
    if long_side_px < 1:
        raise ValueError(f"long_side_px must be 1 or more, got {long_side_px}")
    share = long_side_px / max(full_hw)
    if share >= 1:
        return full_hw
    return max(1, round(full_hw[0] * share)), max(1, round(full_hw[1] * share))


def read_shrunk(read: ReadPicture, full_hw: tuple[int, int], long_side_px: int) -> Image:
    """Return a picture with its long side at most this, never enlarged.

    A JPEG is decoded to no less than twice the size that is wanted.

    Args:
        read: Decodes it.
        full_hw: Its height and width at full size.
        long_side_px: Largest height and width of the result.

    Returns:
        ``(H, W, 3)`` RGB uint8 of `shrunk_hw`; of a file that holds another size now, with a long side of that at most.

    Raises:
        UnreadableError: If it cannot be decoded.
        ValueError: If ``long_side_px`` is below 1.
    """
    wanted_hw = shrunk_hw(full_hw, long_side_px)
    image = read(None if wanted_hw == full_hw else DECODE_FACTOR * min(wanted_hw))
    if max(image.shape[:2]) <= long_side_px:
        return image
    height_px, width_px = wanted_hw
    shrunk = PillowImage.fromarray(image).resize((width_px, height_px), PillowImage.Resampling.LANCZOS)
    return np.array(shrunk)
