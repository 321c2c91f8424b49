"""Cutting boxes out of pictures: the pixels that a box touches, at any scale of decoding."""

from __future__ import annotations

import math

import numpy as np

from mekiki.media.preprocessing import ReadPicture
from mekiki.records import Image

Xyxy = tuple[float, float, float, float]
"""``x_min, y_min, x_max, y_max`` in pixels of the whole picture."""


def cut_edges(box: Xyxy, image_hw: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return the whole pixels that a box touches, as left, top, right, bottom; the last two are excluded.

    Raises:
        ValueError: If it touches none.

    Example:
        >>> cut_edges((0.5, 1.0, 3.25, 9.0), (5, 4))
        (0, 1, 4, 5)
    """
    height_px, width_px = image_hw
    left, top = max(0, math.floor(box[0])), max(0, math.floor(box[1]))
    right, bottom = min(width_px, math.ceil(box[2])), min(height_px, math.ceil(box[3]))
    if right <= left or bottom <= top:
        raise ValueError(f"box must lie inside the picture, got {box} for {width_px} x {height_px} pixels")
    return left, top, right, bottom


def fragment_of(box: Xyxy, width_px: int, height_px: int) -> str:
    """Return where a crop of so many whole pixels lies, as W3C's media fragments say it.

    Example:
        >>> fragment_of((10.5, 20, 40, 60), 30, 40)
        'xywh=10,20,30,40'
    """
    return f"xywh={math.floor(box[0])},{math.floor(box[1])},{width_px},{height_px}"


def cut_box(image: Image, box: Xyxy, full_hw: tuple[int, int]) -> Image:
    """Return the part of a picture that a box shows, at least one pixel of it.

    Args:
        image: ``(h, w, 3)``, the whole picture, perhaps decoded smaller than it is.
        box: In pixels of the picture at full size.
        full_hw: That size.

    Returns:
        ``(H, W, 3)``, a copy.

    Raises:
        ValueError: If the box lies outside the picture.
    """
    edges = cut_edges(box, full_hw)
    height_px, width_px = image.shape[:2]
    x, y = width_px / full_hw[1], height_px / full_hw[0]
    left, top = math.floor(edges[0] * x), math.floor(edges[1] * y)
    right, bottom = max(left + 1, math.ceil(edges[2] * x)), max(top + 1, math.ceil(edges[3] * y))
    return np.ascontiguousarray(image[top:bottom, left:right])


def crop_reader(read: ReadPicture, box: Xyxy, full_hw: tuple[int, int]) -> ReadPicture:
    """Return what reads a crop, from what reads its picture: a JPEG is decoded no larger than the crop needs.

    Args:
        read: Of the whole picture.
        box: In pixels of the whole picture at full size.
        full_hw: That size.
    """
    left, top, right, bottom = cut_edges(box, full_hw)
    short_px = min(right - left, bottom - top)

    def read_crop(at_least_px: int | None) -> Image:
        wanted = None if at_least_px is None else math.ceil(at_least_px * min(full_hw) / short_px)
        return cut_box(read(wanted), box, full_hw)

    return read_crop
