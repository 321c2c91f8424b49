"""Many small pictures as a few large ones: sheets of tiles, each sheet one JPEG without metadata."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from PIL import Image as PillowImage

from mekiki.media.images import shrink_image
from mekiki.records import Image
from mekiki.reports.pictures import BLURRED_SIDE_PX, Look

TILES_PER_SIDE = 10
QUALITY = 60
GROUND = 128
"""Grey around tiles that are no squares, so that their edges stay clean."""

_SIDES = ((2_000, 112), (6_000, 80), (25_000, 56), (100_000, 32))
"""Up to how many pictures, how large each is: a page of 20,000 stays below 20 MB."""


@dataclass(frozen=True, slots=True)
class Sheets:
    """N tiles on sheets of `TILES_PER_SIDE` squared, in their order, row by row.

    Attributes:
        side_px: Of the square in which each tile lies at the top left.
        sizes: ``(width, height)`` of each tile in pixels; ``(0, 0)`` where there is no picture.
        sheets: JPEG files as base64.
    """

    side_px: int = 0
    sizes: tuple[tuple[int, int], ...] = ()
    sheets: tuple[str, ...] = field(default=(), repr=False)

    @property
    def n_bytes(self) -> int:
        """What the sheets take up in a page."""
        return sum(map(len, self.sheets))


def tile_side(n_tiles: int, look: Look = "shown") -> int:
    """Return the longest side of each of so many tiles, in pixels.

    Example:
        >>> tile_side(200), tile_side(20_000), tile_side(200, "blurred")
        (112, 56, 8)
    """
    if look == "blurred":
        return BLURRED_SIDE_PX
    return next((side for n, side in _SIDES if n_tiles <= n), _SIDES[-1][1])


def make_tile(picture: Image, side_px: int) -> Image:
    """Return a picture as it lies on a sheet: its long side at most ``side_px``; a smaller one keeps its size."""
    return shrink_image(picture, side_px)


def pack_tiles(tiles: Iterable[Image | None], side_px: int) -> Sheets:
    """Return tiles on sheets; never more than one sheet of pixels is in memory.

    Args:
        tiles: ``(H, W, 3)`` uint8, no side above ``side_px``; None where there is no picture.
        side_px: Of the square that each gets.

    Raises:
        ValueError: If a tile is larger.
    """
    sizes: list[tuple[int, int]] = []
    sheets = [_encode(sheet) for sheet in _fill(tiles, side_px, sizes)]
    return Sheets(side_px, tuple(sizes), tuple(sheets))


def _fill(tiles: Iterable[Image | None], side_px: int, sizes: list[tuple[int, int]]) -> Iterator[Image]:
    """Yield sheets; ``sizes`` grows by that of each tile."""
    per_sheet = TILES_PER_SIDE**2
    sheet: Image | None = None
    for number, tile in enumerate(tiles):
        if number % per_sheet == 0:
            if sheet is not None:
                yield sheet
            sheet = np.full((TILES_PER_SIDE * side_px, TILES_PER_SIDE * side_px, 3), GROUND, np.uint8)
        assert sheet is not None
        if tile is None:
            sizes.append((0, 0))
            continue
        height, width = tile.shape[:2]
        if max(height, width) > side_px:
            raise ValueError(f"a tile must be at most {side_px} pixels, got {width} x {height}")
        row, column = divmod(number % per_sheet, TILES_PER_SIDE)
        sheet[row * side_px : row * side_px + height, column * side_px : column * side_px + width] = tile
        sizes.append((width, height))
    if sheet is not None:
        yield sheet


def _encode(sheet: Image) -> str:
    stream = io.BytesIO()
    PillowImage.fromarray(sheet).save(stream, format="JPEG", quality=QUALITY, optimize=True, subsampling="4:2:0")
    return base64.b64encode(stream.getvalue()).decode("ascii")
