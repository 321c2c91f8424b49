"""Boxes as label files write them, checked on the way in and turned to the file's units on the way out."""

from __future__ import annotations

from mekiki.dataset.formats.base import BoxClaim, OutItem
from mekiki.dataset.formats.json_files import number, show

XYXY = tuple[float, float, float, float]

MAX_PX = 10_000_000
"""No picture is larger; a coordinate beyond is a mistake."""

MAX_OVERHANG = 0.51
"""How far a relative box may reach beyond the picture, in picture sides; more means that the box is in pixels."""


def four_numbers(value: object) -> XYXY:
    """Return a list of four finite numbers as a tuple.

    Raises:
        ValueError: If it is anything else.
    """
    if not isinstance(value, list) or len(value) != 4:
        raise ValueError(f"its box should be four numbers, not {show(value)}")
    try:
        first, second, third, fourth = map(number, value)
    except ValueError as error:
        raise ValueError(f"its box {show(value)} is broken: {error}") from error
    return first, second, third, fourth


def corners(value: object) -> XYXY:
    """Return ``[x_min, y_min, x_max, y_max]`` as it is.

    Raises:
        ValueError: If the box is broken or reaches beyond any picture.
    """
    box = four_numbers(value)
    if max(map(abs, box)) > MAX_PX:
        raise ValueError(f"its box {show(value)} reaches beyond {MAX_PX} pixels")
    return box


def xywh_px(value: object, width_px: float | None = None, height_px: float | None = None) -> XYXY:
    """Return ``[x_min, y_min, width, height]`` in pixels as ``x_min, y_min, x_max, y_max``; it is not clipped.

    Args:
        value: What stands in the file.
        width_px: Width of the picture if the file says it.
        height_px: Its height, likewise.

    Raises:
        ValueError: If the box is broken, has no area, or lies wholly outside the picture.

    Example:
        >>> xywh_px([10, 20, 30, 5])
        (10.0, 20.0, 40.0, 25.0)
    """
    x, y, width, height = four_numbers(value)
    if width <= 0 or height <= 0:
        raise ValueError(f"its box {show(value)} has no area: width and height should be above 0")
    if max(abs(x), abs(y), x + width, y + height) > MAX_PX:
        raise ValueError(f"its box {show(value)} reaches beyond {MAX_PX} pixels")
    is_beyond = (width_px is not None and x >= width_px) or (height_px is not None and y >= height_px)
    if is_beyond or x + width <= 0 or y + height <= 0:
        raise ValueError(f"its box {show(value)} lies outside the picture")
    return x, y, x + width, y + height


def xywh_relative(value: object) -> XYXY:
    """Return ``[x_min, y_min, width, height]`` in shares of the picture's sides as corners, clipped to the picture.

    Raises:
        ValueError: If the box is broken, has no area, or is not relative.

    Example:
        >>> xywh_relative([0.5, 0.5, 0.25, 0.5001])
        (0.5, 0.5, 0.75, 1.0)
    """
    x, y, width, height = four_numbers(value)
    return relative_corners(x, y, x + width, y + height)


def relative_corners(x_min: float, y_min: float, x_max: float, y_max: float) -> XYXY:
    """Return corners in shares of the picture's sides, clipped to the picture.

    Raises:
        ValueError: If they reach so far beyond the picture that they are no shares, or hold no area inside it.
    """
    box = (x_min, y_min, x_max, y_max)
    shown = ", ".join(f"{corner:g}" for corner in box)
    if not all(-MAX_OVERHANG <= corner <= 1 + MAX_OVERHANG for corner in box):
        raise ValueError(f"its box with the corners {shown} is not in shares of the picture, 0 to 1")
    x_min, y_min, x_max, y_max = (min(max(corner, 0.0), 1.0) for corner in box)
    if x_max <= x_min or y_max <= y_min:
        raise ValueError(f"its box with the corners {shown} has no area inside the picture")
    return x_min, y_min, x_max, y_max


def to_xywh_px(box: BoxClaim, item: OutItem) -> list[float]:
    """Return a box as ``[x_min, y_min, width, height]`` in pixels, to 1/10,000 px."""
    x_min, y_min, x_max, y_max = box.xyxy
    if box.is_relative:
        x_min, x_max = x_min * item.width_px, x_max * item.width_px
        y_min, y_max = y_min * item.height_px, y_max * item.height_px
    return [round(value, 4) for value in (x_min, y_min, x_max - x_min, y_max - y_min)]


def to_relative(box: BoxClaim, item: OutItem) -> XYXY:
    """Return a box as corners in shares of the picture's sides, clipped to the picture."""
    x_min, y_min, x_max, y_max = box.xyxy
    if not box.is_relative:
        x_min, x_max = x_min / item.width_px, x_max / item.width_px
        y_min, y_max = y_min / item.height_px, y_max / item.height_px
    return min(max(x_min, 0.0), 1.0), min(max(y_min, 0.0), 1.0), min(max(x_max, 0.0), 1.0), min(max(y_max, 0.0), 1.0)
