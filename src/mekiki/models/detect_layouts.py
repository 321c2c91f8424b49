"""What a YOLO network's output means: recognised from shapes, metadata and one run, and decoded into boxes.

M is the number of boxes that a network proposes, C of classes, S of cells in its grids: a frame of height H and width W
has ``ceil(H/s) * ceil(W/s)`` cells for each stride s of 8, 16, 32 and, in larger networks, 64. Known are

* **YOLOX** ``(1, S, 5+C)``: offset of the centre in its cell, logarithm of the size in strides, objectness, classes;
  also with the grid decoded inside. BGR, 0 to 255, the picture in the upper left corner.
* **YOLOv5**, YOLOv7 ``(1, 3S, 5+C)`` and **YOLOv6** ``(1, S, 5+C)`` with an objectness of 1: centre and size in pixels.
* **YOLOv8**, YOLO11 ``(1, 4+C, S)`` or turned around: centre and size in pixels, classes without objectness.
* **final boxes** ``(1, M, 6)``: YOLOv10, YOLO26 and exports with the suppression of overlaps inside: corners in pixels,
  score, class.

All but YOLOX take RGB, 0 to 1, the picture in the middle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil

import numpy as np
from numpy.typing import NDArray

from mekiki.errors import BackendError
from mekiki.media.boxes import xywh_to_xyxy
from mekiki.records import Boxes, Scores


class StrangeOutputError(ValueError):
    """What a network gives for one picture cannot be read; the message says why."""


STRIDES = ((8, 16, 32), (8, 16, 32, 64))
N_COCO = 80
MOST_LOG = 20.0
"""Logarithm of a size in strides at which YOLOX's sizes are cut off; anything near is far outside the frame."""

TOLERANCE = 0.01
"""By how much a score may leave [0, 1]: 8-bit networks round."""

Rows = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Layout:
    """How a network's output is read.

    Attributes:
        family: In words, for messages.
        n_classes: C; None where the output does not tell.
        is_bgr: Whether it takes BGR, 0 to 255, in the upper left corner; else RGB, 0 to 1, in the middle.
        is_turned: Whether boxes are columns.
        has_objectness: Whether a score that there is anything stands before those of the classes.
        is_raw: Whether boxes are relative to their cells.
        is_final: Whether rows are corners, score, class.
    """

    family: str
    n_classes: int | None
    is_bgr: bool = False
    is_turned: bool = False
    has_objectness: bool = False
    is_raw: bool = False
    is_final: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Proposals:
    """Boxes before overlaps are suppressed: ``(K, 4)`` in pixels of the frame, ``(K,)`` scores, ``(K,)`` classes."""

    boxes: Boxes
    scores: Scores
    classes: NDArray[np.int64]

    def where(self, keep: NDArray[np.bool_]) -> Proposals:
        """Return those that are marked, ``(K,)``."""
        return Proposals(self.boxes[keep], self.scores[keep], self.classes[keep])


def count_cells(frame_hw: tuple[int, int], strides: Sequence[int]) -> int:
    """Return S.

    Example:
        >>> count_cells((416, 416), (8, 16, 32))
        3549
    """
    return sum(ceil(frame_hw[0] / stride) * ceil(frame_hw[1] / stride) for stride in strides)


def recognise(
    outputs: Sequence[Rows], frame_hw: tuple[int, int], n_names: int | None, *, says_final: bool, name: str
) -> Layout:
    """Return how a network's outputs are read.

    Args:
        outputs: All of one run on any picture.
        frame_hw: Height and width of what it was shown.
        n_names: C, where its file has the names of the classes.
        says_final: Whether its file says that it suppresses overlaps itself.
        name: What errors call it.

    Raises:
        BackendError: If this is none of the known layouts, with the shapes.
    """
    shapes = ", ".join(str(one.shape) for one in outputs)
    where = f"{name} gives {shapes} for a frame of {frame_hw[1]} x {frame_hw[0]} pixels"
    threes = [one for one in outputs if one.ndim == 3]
    if len(threes) != 1 or any(one.ndim not in (3, 5) for one in outputs):  # YOLOv5 may give its raw grids as well
        raise BackendError(f"{where}: no detector of a known layout, which has one output (N, boxes, numbers)")
    _, n_first, n_second = threes[0].shape
    cells = [count_cells(frame_hw, strides) for strides in STRIDES]
    anchors = [3 * one for one in cells]
    found = None
    if n_second == 6 and (says_final or n_first not in cells + anchors):
        found = Layout("final boxes", n_names, is_final=True)
    elif n_second in cells and n_first > 4:
        found = Layout("YOLOv8", n_first - 4, is_turned=True)
    elif n_first in anchors and n_second > 5:
        found = Layout("YOLOv5", n_second - 5, has_objectness=True)
    elif n_first in cells and n_second > 4:
        found = _one_per_cell(threes[0][0], frame_hw, n_names, where)
    if found is None:
        raise BackendError(
            f"{where}: none of the layouts of YOLOX, YOLOv5, YOLOv8 or final boxes, which have {cells[0]}, "
            f"{anchors[0]}, {cells[0]} and any number of boxes there"
        )
    if found.n_classes is not None and n_names not in (None, found.n_classes):
        raise BackendError(
            f"{where}: as {found.family} that is {found.n_classes} classes, and its file names {n_names}. Networks "
            "that also find outlines, poses or angles are not supported"
        )
    if not found.is_raw and 0 < _numbers(threes[0][0], found)[:, :4].max(initial=0) <= 2:
        raise BackendError(f"{where}, and its boxes are shares of the frame, not pixels: export it with pixels")
    try:
        decode(threes[0][0], found, frame_hw, 0.5)
    except StrangeOutputError as error:
        raise BackendError(f"{name}, read as {found.family}, {error}: it has another layout or is damaged") from error
    return found


def _one_per_cell(rows: Rows, frame_hw: tuple[int, int], n_names: int | None, where: str) -> Layout:
    """Return the layout of one row per cell: by how many numbers it has, and where its boxes lie."""
    n_numbers = rows.shape[1]
    if n_names is None and n_numbers == 4 + N_COCO:
        raise BackendError(
            f"{where}: {N_COCO} classes without objectness, or {N_COCO - 1} with it. Export it with the names of the "
            "classes in its file"
        )
    if n_names == n_numbers - 4:
        return Layout("YOLOv8", n_numbers - 4)
    found = Layout("YOLOX", n_numbers - 5, is_bgr=True, has_objectness=True)
    centres, strides = _grid(frame_hw, len(rows))
    off_decoded = np.abs(rows[:, :2] - centres) / strides
    off_raw = np.abs(rows[:, :2] - np.float32(0.5))
    if np.median(off_raw) < np.median(off_decoded):
        if rows[:, :4].min() >= 0:  # logarithms of sizes of all cells are never all above 0
            raise BackendError(f"{where}, and its boxes are shares of the frame, not pixels: export it with pixels")
        return replace(found, is_raw=True)
    return replace(found, family="YOLOv6", is_bgr=False) if (rows[:, 4] == 1).all() else found


def decode(output: Rows, layout: Layout, frame_hw: tuple[int, int], confidence: float) -> Proposals:
    """Return the boxes of one picture whose best class is sure enough, in the order of the network.

    Args:
        output: ``(M, 5+C)`` or as the layout has it.
        layout: Of the network.
        frame_hw: Height and width of the frame.
        confidence: The least score that is kept.

    Raises:
        StrangeOutputError: If scores or boxes are no numbers, or scores not in [0, 1].
    """
    rows = _numbers(output, layout)
    if layout.is_final:
        sure, classes = rows[:, 4], rows[:, 5]
    else:
        of_classes = rows[:, 5:] * rows[:, 4:5] if layout.has_objectness else rows[:, 4:]
        sure = of_classes.max(axis=1)
        classes = of_classes.argmax(axis=1)
    low, high = sure.min(initial=0), sure.max(initial=0)
    if not (low >= -TOLERANCE and high <= 1 + TOLERANCE):  # also where one is no number
        raise StrangeOutputError(f"gives scores from {low:.3g} to {high:.3g} and not in 0 to 1")
    kept = np.flatnonzero(sure >= confidence)
    boxes = rows[kept, :4]
    if layout.is_raw:
        centres, strides = _grid(frame_hw, len(rows))
        middle = (boxes[:, :2] - np.float32(0.5)) * strides[kept] + centres[kept]
        size = np.exp(np.minimum(boxes[:, 2:], np.float32(MOST_LOG))) * strides[kept]
        boxes = np.concatenate([middle, size], axis=1)
    if not (np.isfinite(boxes).all() and np.isfinite(classes[kept]).all()):
        raise StrangeOutputError("gives boxes that are no numbers")
    if not layout.is_final:  # corners from centre and size
        boxes = xywh_to_xyxy(np.concatenate([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, 2:]], axis=1))
    return Proposals(boxes, np.clip(sure[kept], 0, 1), classes[kept].astype(np.int64))


def _numbers(output: Rows, layout: Layout) -> Rows:
    return output.T if layout.is_turned else output


def _grid(frame_hw: tuple[int, int], n_cells: int) -> tuple[Rows, Rows]:
    """Return the middle of each cell ``(S, 2)`` in pixels and its stride ``(S, 1)``, in the order of networks."""
    strides = next(one for one in STRIDES if count_cells(frame_hw, one) == n_cells)
    middles, steps = [], []
    for stride in strides:
        y, x = np.mgrid[: ceil(frame_hw[0] / stride), : ceil(frame_hw[1] / stride)]
        middles.append((np.stack([x.ravel(), y.ravel()], axis=1) + 0.5) * stride)
        steps.append(np.full((x.size, 1), stride))
    return np.concatenate(middles).astype(np.float32), np.concatenate(steps).astype(np.float32)
