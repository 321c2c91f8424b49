"""One box per object: of boxes of one class that overlap, the surest stays.

N is the number of boxes and may be 0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mekiki.records import Boxes, Scores


def suppress_overlaps(
    boxes: Boxes, scores: Scores, classes: NDArray[np.integer], iou: float, at_most: int | None = None
) -> NDArray[np.int64]:
    """Return the rows of boxes that stay, the surest first.

    Greedy non-maximum suppression: the surest box stays, those of its class that overlap it by more than ``iou`` go,
    and so on with the rest. Of equally sure boxes the one that stands first counts as the surer; an overlap of exactly
    ``iou`` suppresses nothing. A box without area overlaps nothing, so it stays. Boxes of different classes never
    meet, however they lie. It stops at the boxes that are wanted, so that thousands of weak ones cost little.

    Args:
        boxes: ``(N, 4)``.
        scores: ``(N,)``, any finite numbers.
        classes: ``(N,)`` numbers of classes.
        iou: Intersection over union, in [0, 1].
        at_most: How many rows at most; None for all.

    Returns:
        ``(K,)`` int64.

    Raises:
        ValueError: If the shapes do not go together, or ``iou`` is out of range.

    Example:
        >>> boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 9], [0, 0, 10, 9]], np.float32)
        >>> suppress_overlaps(boxes, np.array([0.8, 0.9, 0.7], np.float32), np.array([0, 0, 1]), iou=0.5)
        array([1, 2])
    """
    n = len(boxes)
    if boxes.shape != (n, 4) or scores.shape != (n,) or classes.shape != (n,):
        raise ValueError(
            f"boxes, scores and classes must be (N, 4), (N,), (N,), got {boxes.shape}, {scores.shape}, {classes.shape}"
        )
    if not 0 <= iou <= 1:
        raise ValueError(f"iou must lie in [0, 1], got {iou}")
    left = np.argsort(-scores, kind="stable")
    areas = _areas(boxes)
    kept: list[int] = []
    while len(left) and (at_most is None or len(kept) < at_most):
        best, left = int(left[0]), left[1:]
        kept.append(best)
        low = np.maximum(boxes[best, :2], boxes[left, :2])
        high = np.minimum(boxes[best, 2:], boxes[left, 2:])
        shared = np.prod(np.clip(high - low, 0, None), axis=1)
        is_gone = (classes[left] == classes[best]) & (shared > iou * (areas[best] + areas[left] - shared))
        left = left[~is_gone]
    return np.array(kept, np.int64)


def _areas(boxes: Boxes) -> NDArray[np.float32]:
    sides: NDArray[np.float32] = np.clip(boxes[:, 2:] - boxes[:, :2], 0, None)
    return sides[:, 0] * sides[:, 1]
