"""How a video's frames must be turned to stand upright: the display matrix that cameras write beside the pictures.

The matrix is the one of MP4: nine integers, of which the first, second, fourth and fifth say where the picture's x and
y axes point on the screen, whose y axis points down.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from mekiki.records import Image


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn by quarters, clockwise, of a picture that was mirrored left to right before if so said."""

    quarters: int = 0  # 0 to 3
    is_mirrored: bool = False

    @property
    def swaps_sides(self) -> bool:
        """Whether width and height change places."""
        return self.quarters % 2 == 1


def read_turn(frame: Any) -> Turn:
    """Return how a decoded frame must be turned; an angle between quarters counts as the nearest quarter.

    To be asked once per file: PyAV ties a frame whose side data was looked at into a knot that keeps it in memory until
    the garbage collector comes by.

    Args:
        frame: An ``av.VideoFrame``.
    """
    try:
        matrix = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:  # PyAV gives up on side data when it meets a kind it does not know
        return Turn(round(-frame.rotation / 90) % 4)
    if matrix is None:
        return Turn()
    return matrix_to_turn(np.frombuffer(bytes(matrix), dtype=np.int32, count=9).tolist())


def matrix_to_turn(matrix: list[int]) -> Turn:
    """Return the turn that a display matrix of nine integers stands for; no turn for one without a direction.

    Example:
        >>> matrix_to_turn([0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30])
        Turn(quarters=1, is_mirrored=False)
    """
    x_right, x_down, y_right, y_down = matrix[0], matrix[1], matrix[3], matrix[4]
    determinant = x_right * y_down - x_down * y_right
    if determinant == 0:
        return Turn()
    is_mirrored = determinant < 0
    if is_mirrored:  # undo the mirroring: the x axis pointed the other way
        x_right, x_down = -x_right, -x_down
    degrees = math.degrees(math.atan2(x_down, x_right))
    return Turn(round(degrees / 90) % 4, is_mirrored)


def turn_upright(pixels: Image, turn: Turn) -> Image:
    """Return the picture as it is meant to be seen; a view of the input where nothing is to do.

    Args:
        pixels: ``(H, W, 3)`` RGB.
        turn: What `read_turn` said.

    Returns:
        ``(H, W, 3)`` or ``(W, H, 3)`` RGB, contiguous.
    """
    if turn.is_mirrored:
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(np.rot90(pixels, -turn.quarters))
