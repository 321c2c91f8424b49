"""Boxes as arrays: always ``(N, 4)`` float32 ``x_min, y_min, x_max, y_max`` in pixels.

N is the number of boxes and may be 0. No function changes what it is given. Two conversions have another layout or
unit on one side, and say so: ``xywh`` is ``x_min, y_min, width, height``, *relative* is in shares of the picture's
sides, 0 to 1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mekiki.records import Boxes

STEPS_PER_PX = 16
"""Boxes that differ by less than one step are the same box: crops get their ids from rounded boxes."""


def pad_boxes(boxes: Boxes, fraction: float, image_hw: tuple[int, int]) -> Boxes:
    """Return boxes that are larger on every side by a fraction of their own size, clipped to the image.

    Args:
        boxes: ``(N, 4)`` in pixels.
        fraction: Growth on each side, in box widths and heights. 0.1 makes a box 20 % wider.
        image_hw: Image height and width in pixels.

    Returns:
        A new ``(N, 4)`` float32 array in the same order.

    Raises:
        ValueError: If ``boxes`` is not ``(N, 4)`` or ``fraction`` is negative, infinite or NaN.

    Example:
        >>> boxes = np.array([[10, 10, 30, 20]], dtype=np.float32)
        >>> pad_boxes(boxes, fraction=0.5, image_hw=(100, 35))
        array([[ 0.,  5., 35., 25.]], dtype=float32)
    """
    _check(boxes)
    if not 0 <= fraction < np.inf:
        raise ValueError(f"fraction must be a number from 0 on, got {fraction}")
    margin = (boxes[:, 2:] - boxes[:, :2]) * np.float32(fraction)
    return clip_boxes(np.concatenate([boxes[:, :2] - margin, boxes[:, 2:] + margin], axis=1), image_hw)


def clip_boxes(boxes: Boxes, image_hw: tuple[int, int]) -> Boxes:
    """Return the part of each box that is inside the image.

    A box wholly outside has no area afterwards; it lies on the nearest edge.

    Args:
        boxes: ``(N, 4)`` in pixels.
        image_hw: Image height and width in pixels.

    Returns:
        A new ``(N, 4)`` float32 array in the same order.

    Raises:
        ValueError: If ``boxes`` is not ``(N, 4)`` or a side of the image is below 1.

    Example:
        >>> clip_boxes(np.array([[-5, 2, 50, 8]], dtype=np.float32), image_hw=(10, 20))
        array([[ 0.,  2., 20.,  8.]], dtype=float32)
    """
    _check(boxes)
    return np.clip(boxes, 0, _sides(image_hw)).astype(np.float32, copy=False)


def scale_boxes(boxes: Boxes, from_hw: tuple[int, int], to_hw: tuple[int, int]) -> Boxes:
    """Return boxes of one image as boxes of the same image in another size.

    Args:
        boxes: ``(N, 4)`` in pixels of the image as it was.
        from_hw: Its height and width.
        to_hw: Height and width that it has now.

    Returns:
        A new ``(N, 4)`` float32 array in the same order.

    Raises:
        ValueError: If ``boxes`` is not ``(N, 4)`` or a side is below 1.

    Example:
        >>> scale_boxes(np.array([[10, 10, 30, 20]], dtype=np.float32), from_hw=(100, 100), to_hw=(50, 200))
        array([[20.,  5., 60., 10.]], dtype=float32)
    """
    _check(boxes)
    return (boxes * (_sides(to_hw) / _sides(from_hw))).astype(np.float32)


def xyxy_to_xywh(boxes: Boxes) -> NDArray[np.float32]:
    """Return boxes as ``x_min, y_min, width, height``.

    Args:
        boxes: ``(N, 4)``, in pixels or relative.

    Returns:
        ``(N, 4)`` float32 in the same unit and order.

    Raises:
        ValueError: If ``boxes`` is not ``(N, 4)``.

    Example:
        >>> xyxy_to_xywh(np.array([[10, 10, 30, 20]], dtype=np.float32))
        array([[10., 10., 20., 10.]], dtype=float32)
    """
    _check(boxes)
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1).astype(np.float32, copy=False)


def xywh_to_xyxy(boxes_xywh: NDArray[np.float32]) -> Boxes:
    """Return ``x_min, y_min, width, height`` as boxes.

    Args:
        boxes_xywh: ``(N, 4)``, in pixels or relative.

    Returns:
        ``(N, 4)`` float32 in the same unit and order.

    Raises:
        ValueError: If ``boxes_xywh`` is not ``(N, 4)``.

    Example:
        >>> xywh_to_xyxy(np.array([[10, 10, 20, 10]], dtype=np.float32))
        array([[10., 10., 30., 20.]], dtype=float32)
    """
    _check(boxes_xywh, "boxes_xywh")
    corners = [boxes_xywh[:, :2], boxes_xywh[:, :2] + boxes_xywh[:, 2:]]
    return np.concatenate(corners, axis=1).astype(np.float32, copy=False)


def relative_to_pixels(boxes_relative: NDArray[np.float32], image_hw: tuple[int, int]) -> Boxes:
    """Return boxes in shares of the image's sides as boxes in pixels.

    Args:
        boxes_relative: ``(N, 4)`` ``x_min, y_min, x_max, y_max``, 0 to 1.
        image_hw: Image height and width in pixels.

    Returns:
        ``(N, 4)`` float32 in the same order, not clipped.

    Raises:
        ValueError: If ``boxes_relative`` is not ``(N, 4)`` or a side is below 1.

    Example:
        >>> relative_to_pixels(np.array([[0, 0.5, 0.5, 1]], dtype=np.float32), image_hw=(100, 200))
        array([[  0.,  50., 100., 100.]], dtype=float32)
    """
    _check(boxes_relative, "boxes_relative")
    return (boxes_relative * _sides(image_hw)).astype(np.float32, copy=False)


def pixels_to_relative(boxes: Boxes, image_hw: tuple[int, int]) -> NDArray[np.float32]:
    """Return boxes in pixels as shares of the image's sides.

    Args:
        boxes: ``(N, 4)`` in pixels.
        image_hw: Image height and width in pixels.

    Returns:
        ``(N, 4)`` float32 in the same order, 0 to 1 for boxes inside the image; not clipped.

    Raises:
        ValueError: If ``boxes`` is not ``(N, 4)`` or a side is below 1.

    Example:
        >>> pixels_to_relative(np.array([[0, 50, 100, 100]], dtype=np.float32), image_hw=(100, 200))
        array([[0. , 0.5, 0.5, 1. ]], dtype=float32)
    """
    _check(boxes)
    return (boxes / _sides(image_hw)).astype(np.float32, copy=False)


def box_iou(boxes: Boxes, others: Boxes) -> NDArray[np.float32]:
    """Return how much each box overlaps each other one: intersection over union.

    A box without area (or with its corners the wrong way round) overlaps nothing, not even itself: 0.

    Args:
        boxes: ``(N, 4)``.
        others: ``(M, 4)`` in the same unit.

    Returns:
        ``(N, M)`` float32 in [0, 1].

    Raises:
        ValueError: If one of the two is not ``(·, 4)``.

    Example:
        >>> boxes = np.array([[0, 0, 2, 2], [1, 0, 3, 2]], dtype=np.float32)
        >>> box_iou(boxes, boxes).round(2)
        array([[1.  , 0.33],
               [0.33, 1.  ]], dtype=float32)
    """
    _check(boxes)
    _check(others, "others")
    first, second = boxes.astype(np.float64), others.astype(np.float64)
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=2)
    union = _areas(first)[:, None] + _areas(second)[None, :] - shared
    overlap: NDArray[np.float64] = np.divide(shared, union, out=np.zeros_like(shared), where=shared > 0)
    return overlap.astype(np.float32)


def round_boxes(boxes: Boxes) -> Boxes:
    """Return boxes rounded to 1/16 pixel; halves of a step round up.

    Args:
        boxes: ``(N, 4)`` in pixels.

    Returns:
        A new ``(N, 4)`` float32 array in the same order.

    Raises:
        ValueError: If ``boxes`` is not ``(N, 4)``.

    Example:
        >>> round_boxes(np.array([[0.03, 0.04, 10.03125, 20]], dtype=np.float32))
        array([[ 0.    ,  0.0625, 10.0625, 20.    ]], dtype=float32)
    """
    _check(boxes)
    return (np.floor(boxes.astype(np.float64) * STEPS_PER_PX + 0.5) / STEPS_PER_PX).astype(np.float32)


def _check(boxes: NDArray[np.float32], name: str = "boxes") -> None:
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f"{name} must have shape (N, 4), got {boxes.shape}")


def _sides(image_hw: tuple[int, int]) -> NDArray[np.float32]:
    """Return width, height, width, height."""
    height, width = image_hw
    if height < 1 or width < 1:
        raise ValueError(f"an image must have sides of at least 1, got height {height} and width {width}")
    return np.array([width, height, width, height], np.float32)


def _areas(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    sides: NDArray[np.float64] = np.clip(boxes[:, 2:] - boxes[:, :2], 0, None)
    return sides[:, 0] * sides[:, 1]
