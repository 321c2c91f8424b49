"""A small drawing board for soft shapes: tubes, spots and polygons in the units of what is drawn.

Points are ``(N, 2)`` float64, x to the right and y up; the board turns them into pixels of a supersampled RGBA picture.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import PIL.Image
import PIL.ImageDraw
from numpy.typing import NDArray

from mekiki.demo.kinds import Colour

Points = NDArray[np.float64]
SUPERSAMPLING = 3


class Board:
    """A transparent picture to draw on, reduced at the end so that edges are smooth.

    Args:
        size: Width and height in pixels of the finished picture.
        scale: Pixels per unit in the finished picture.
        origin: Where (0, 0) lies in the finished picture, in pixels from the upper left.
        ground: Colour of what is transparent; choose one near the edges' so that no fringe shows.
    """

    def __init__(self, size: tuple[int, int], scale: float, origin: tuple[float, float], ground: Colour) -> None:
        self._scale = scale * SUPERSAMPLING
        self._origin = np.array(origin) * SUPERSAMPLING
        self._picture = PIL.Image.new("RGBA", (size[0] * SUPERSAMPLING, size[1] * SUPERSAMPLING), (*ground, 0))
        self._draw = PIL.ImageDraw.Draw(self._picture)

    def tube(self, points: Points, radii: Sequence[float] | Points, colours: Colour | list[Colour]) -> None:
        """Draw a line of changing thickness with round ends.

        Args:
            points: ``(N, 2)`` middle line, N at least 2.
            radii: N half thicknesses.
            colours: One colour, or a list of N - 1 from the first point to the last.
        """
        at = self._pixels(points)
        width = np.asarray(radii, dtype=np.float64) * self._scale
        step = np.diff(at, axis=0)
        length = np.maximum(np.hypot(step[:, 0], step[:, 1]), 1e-9)[:, None]
        normal = np.stack([-step[:, 1], step[:, 0]], axis=1) / length
        each = colours if isinstance(colours, list) else [colours] * len(step)
        for i, (red, green, blue) in enumerate(each):
            colour = (red, green, blue, 255)
            side, far_side = normal[i] * width[i], normal[i] * width[i + 1]
            corners = (at[i] + side, at[i + 1] + far_side, at[i + 1] - far_side, at[i] - side)
            self._draw.polygon([(x, y) for x, y in corners], fill=colour)
            for j in (i, i + 1):
                (x, y), r = at[j], width[j]
                self._draw.ellipse((x - r, y - r, x + r, y + r), fill=colour)

    def spot(self, middle: Points | tuple[float, float], radius: tuple[float, float], colour: Colour) -> None:
        """Draw an upright ellipse with half axes ``radius``."""
        x, y = self._pixels(np.asarray(middle)[None])[0]
        rx, ry = radius[0] * self._scale, radius[1] * self._scale
        self._draw.ellipse((x - rx, y - ry, x + rx, y + ry), fill=(*colour, 255))

    def polygon(self, points: Points, colour: Colour) -> None:
        """Fill the polygon of ``(N, 2)`` corners."""
        self._draw.polygon([(x, y) for x, y in self._pixels(points)], fill=(*colour, 255))

    def finish(self) -> NDArray[np.uint8]:
        """Return ``(H, W, 4)`` uint8 RGBA."""
        return np.asarray(self._picture.reduce(SUPERSAMPLING))

    def _pixels(self, points: Points) -> Points:
        at: Points = np.asarray(points, dtype=np.float64) * (self._scale, -self._scale) + self._origin
        return at


def beside(points: Points, x: float, y: float) -> Points:
    """Return a point ``(2,)`` or points ``(N, 2)`` moved by x and y."""
    moved: Points = points + np.array((x, y))
    return moved


def bend(points: Points, n: int) -> Points:
    """Return ``(n, 2)`` points on the smooth curve (quadratic Bézier) through three given points."""
    first, middle, last = points
    handle = 2 * middle - (first + last) / 2
    t = np.linspace(0.0, 1.0, n)[:, None]
    curve: Points = (1 - t) ** 2 * first + 2 * t * (1 - t) * handle + t**2 * last
    return curve


def blend(first: Colour, second: Colour, share: float) -> Colour:
    """Return a colour between two; a share of 0 is the first.

    Example:
        >>> blend((0, 0, 0), (200, 100, 50), 0.5)
        (100, 50, 25)
    """
    mixed = [round(a + (b - a) * share) for a, b in zip(first, second, strict=True)]
    return (mixed[0], mixed[1], mixed[2])
