"""Pictures of any shape in a frame of a fixed one: scaled to fit, the rest of the frame grey; and boxes back again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from mekiki.records import Boxes, Image

GREY = 114
"""What YOLO networks are trained to see around a picture."""


@dataclass(frozen=True, slots=True)
class Letterbox:
    """Where a picture lies in a frame.

    Attributes:
        image_hw: Height and width of the picture in pixels.
        frame_hw: Of the frame.
        scaled_hw: Of the picture in it, whole pixels, at least 1.
        top: Rows of the frame above the picture.
        left: Columns of the frame before it.
    """

    image_hw: tuple[int, int]
    frame_hw: tuple[int, int]
    scaled_hw: tuple[int, int]
    top: int
    left: int

    def to_image(self, boxes: Boxes) -> Boxes:
        """Return boxes in the frame, ``(N, 4)``, as boxes in pixels of the picture; not clipped."""
        return ((boxes.astype(np.float64) - self._shift()) / self._scale()).astype(np.float32)

    def _scale(self) -> NDArray[np.float64]:
        """Return how much larger a picture is in the frame, of each edge: rounding to whole pixels is part of it."""
        x, y = self.scaled_hw[1] / self.image_hw[1], self.scaled_hw[0] / self.image_hw[0]
        return np.array([x, y, x, y])

    def _shift(self) -> NDArray[np.float64]:
        return np.array([self.left, self.top, self.left, self.top], np.float64)


def fit_letterbox(image_hw: tuple[int, int], frame_hw: tuple[int, int], *, centred: bool) -> Letterbox:
    """Return where a picture lies in a frame: as large as it can be without a change of shape.

    Args:
        image_hw: Height and width of the picture in pixels.
        frame_hw: Of the frame.
        centred: Whether it lies in the middle, with the odd pixel behind it, or in the upper left corner.

    Raises:
        ValueError: If a side is below 1.

    Example:
        >>> fit_letterbox((100, 200), (64, 64), centred=True)
        Letterbox(image_hw=(100, 200), frame_hw=(64, 64), scaled_hw=(32, 64), top=16, left=0)
    """
    if min(*image_hw, *frame_hw) < 1:
        raise ValueError(f"sides must be 1 or more, got {image_hw} and {frame_hw}")
    scale = min(frame_hw[0] / image_hw[0], frame_hw[1] / image_hw[1])
    height, width = (min(room, max(1, round(side * scale))) for side, room in zip(image_hw, frame_hw, strict=True))
    top, left = ((frame_hw[0] - height) // 2, (frame_hw[1] - width) // 2) if centred else (0, 0)
    return Letterbox(image_hw, frame_hw, (height, width), top, left)


def letterbox(image: Image, frame_hw: tuple[int, int], *, centred: bool) -> tuple[Image, Letterbox]:
    """Return a picture in a grey frame, and where it lies there.

    Args:
        image: ``(H, W, 3)``, not changed; resized by Pillow's bilinear filter, antialiased where it shrinks.
        frame_hw: Height and width of what comes out.
        centred: See `fit_letterbox`.

    Returns:
        ``(*frame_hw, 3)`` uint8, and the letterbox.

    Raises:
        ValueError: If a side is below 1.
    """
    place = fit_letterbox((image.shape[0], image.shape[1]), frame_hw, centred=centred)
    height, width = place.scaled_hw
    scaled = image
    if place.scaled_hw != place.image_hw:
        small = PillowImage.fromarray(image).resize((width, height), PillowImage.Resampling.BILINEAR)
        scaled = np.asarray(small)
    frame = np.full((*frame_hw, 3), GREY, np.uint8)
    frame[place.top : place.top + height, place.left : place.left + width] = scaled
    return frame, place
