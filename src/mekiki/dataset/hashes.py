"""Perceptual hashes: 64 bits and a small grey picture that survive re-encoding and resizing.

A picture is averaged over a grid of 32 × 32 equal cells (its shape is not kept), which gives the thumbnail. The hash
says, for each of 64 low frequencies of the thumbnail's cosine transform, whether it is above their median.

The thumbnail is grey: it is stored for every item, at 1 KiB instead of 3, and a picture and its grey copy are the same
picture. The averages are sums of whole numbers, so the same pixels give the same bits on every machine.

Reference: Zauner, *Implementation and Benchmarking of Perceptual Image Hash Functions*, 2010, section 3.1 (DCT hash).
Departures: the picture is averaged over areas instead of blurred and thinned out, so that a scaled JPEG decode hashes
like the full one, and coefficients are rounded before they are compared.

Letters: N pictures, H and W the sides of a picture in pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mekiki.records import Image

THUMB_SIDE_PX = 32
HASH_NAME = "phash-dct-area-1"
"""Changes whenever the same pixels would hash differently; belongs into the fingerprint of whoever stores hashes."""

FLAT_CONTRAST = 3.0
"""A picture of less `inner_contrast` (grey levels) is flat. Of 4,416 photos none has below 9; black frames have 0.3."""

BORDER_PX = 3
"""Rows and columns of a thumbnail where cameras print their strips: 9 % of the picture on each side."""

Thumbs = NDArray[np.uint8]
"""``(N, 32, 32)`` grey, 0 black to 255 white."""

Layouts = NDArray[np.float32]
"""``(N, 64)``: 8 × 8 cells of a thumbnail row by row, in standard deviations above the picture's mean."""

_GRID = 8
_MIN_CONTRAST = 16.0  # grey levels; below it noise would be stretched into structure
_BATCH = 1024
_RED, _GREEN, _BLUE = 299, 587, 114  # thousandths: luma of ITU-R BT.601
_ODD_DECIMALS = (
    3  # exact zeros come out as 1e-14 of either sign; no honest coefficient of a uint8 picture is that small
)


@dataclass(frozen=True, slots=True, eq=False)
class PictureHash:
    """What is kept of one picture to find its near-duplicates.

    Attributes:
        bits: Its hash, 0 to 2**64 - 1. More than SQLite's signed integers hold: store ``np.uint64(bits).view("i8")``.
        mirrored_bits: The hash of the picture flipped left to right.
        thumb: ``(32, 32)`` uint8 grey thumbnail, from which all the rest can be computed again.
        contrast: Its `inner_contrast`, in grey levels.
    """

    bits: int
    mirrored_bits: int
    thumb: NDArray[np.uint8]
    contrast: float

    @property
    def is_flat(self) -> bool:
        """Whether there is next to no structure, so that the hash is noise: black, white or misty frames."""
        return self.contrast < FLAT_CONTRAST


def hash_picture(pixels: Image) -> PictureHash:
    """Return the perceptual hash of a picture, of its mirror image, and its grey thumbnail.

    Args:
        pixels: ``(H, W, 3)`` uint8 RGB, of any size from 1 × 1. Decoding a JPEG at half size changed the hash by 8 bits
            at most, as long as both sides kept 50 pixels.

    Raises:
        ValueError: If ``pixels`` is not ``(H, W, 3)`` uint8 or has no pixel.

    Example:
        >>> ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 64, axis=0).repeat(3, axis=2)
        >>> one = hash_picture(ramp)
        >>> one.is_flat, one.thumb[0, :3].tolist(), one.mirrored_bits == hash_picture(ramp[:, ::-1]).bits
        (False, [4, 12, 20], True)
    """
    thumb = shrink_to_thumb(pixels)
    thumbs = thumb[None]
    bits, mirrored = hash_thumbs(thumbs)
    return PictureHash(int(bits[0]), int(mirrored[0]), thumb, float(inner_contrast(thumbs)[0]))


def shrink_to_thumb(pixels: Image) -> NDArray[np.uint8]:
    """Return the picture averaged over 32 × 32 equal cells: ``(32, 32)`` uint8 grey.

    A pixel that lies in several cells counts in each by the share of its area, so no size is special and a picture
    smaller than the grid works too. Grey is 0.299 red + 0.587 green + 0.114 blue, rounded once, at the end. Halves go
    to the even number.

    Args:
        pixels: ``(H, W, 3)`` uint8 RGB. It is not changed.

    Raises:
        ValueError: If ``pixels`` is not ``(H, W, 3)`` uint8 or has no pixel.
    """
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8 or not pixels.size:
        raise ValueError(f"pixels must be (H, W, 3) uint8 with H, W > 0, got {pixels.shape} {pixels.dtype}")
    height, width, _ = pixels.shape
    grey = _cell_sums(pixels) @ np.array([_RED, _GREEN, _BLUE])
    total = _cell_sums(np.ascontiguousarray(grey.T)).T
    thumb: NDArray[np.uint8] = np.rint(total / (height * width * (_RED + _GREEN + _BLUE))).astype(np.uint8)
    return thumb


def hash_thumbs(thumbs: Thumbs) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Return the hashes of thumbnails, and of their mirror images.

    With C the orthonormal type-II cosine transform of a thumbnail, the hash holds, row by row and the highest bit
    first, ``C[v, u] > median`` for v and u from 1 to 8, where the median is that of these 64 values. Frequency 0 is
    left out, so a change of brightness or an even gradient of light changes nothing. A value equal to the median gives
    0. Mirroring turns the sign of every odd u.

    Args:
        thumbs: ``(N, 32, 32)`` uint8. N may be 0.

    Returns:
        Two ``(N,)`` uint64 arrays. Every row is computed alone: neither order nor batch matters.

    Raises:
        ValueError: If ``thumbs`` is not ``(N, 32, 32)`` uint8.
    """
    check_thumbs(thumbs)
    hashes, mirrored = np.empty((2, len(thumbs)), np.uint64)
    signs = np.where(np.arange(1, 9) % 2, -1.0, 1.0)
    for batch in _batches(len(thumbs)):
        spectrum = np.round(_LOW_COSINES @ thumbs[batch].astype(np.float64) @ _LOW_COSINES.T, _ODD_DECIMALS)
        hashes[batch], mirrored[batch] = _above_median(spectrum), _above_median(spectrum * signs)
    return hashes, mirrored


def inner_contrast(thumbs: Thumbs) -> NDArray[np.float64]:
    """Return the standard deviation of every thumbnail without its border, ``(N,)`` in grey levels.

    The border of `BORDER_PX` is left out because a black night frame is black whatever the camera prints below it.

    Args:
        thumbs: ``(N, 32, 32)`` uint8. N may be 0.

    Raises:
        ValueError: If ``thumbs`` is not ``(N, 32, 32)`` uint8.
    """
    check_thumbs(thumbs)
    inner = thumbs[:, BORDER_PX:-BORDER_PX, BORDER_PX:-BORDER_PX]
    contrast = np.empty(len(thumbs), np.float64)
    for batch in _batches(len(thumbs)):
        contrast[batch] = inner[batch].std(axis=(1, 2), dtype=np.float64)
    return contrast


def compare_thumbs(first: Thumbs, second: Thumbs) -> NDArray[np.float32]:
    """Return how much pictures differ where they differ most: ``(N,)`` float32, 0 for the same, row by row.

    Both thumbnails are averaged over 8 × 8 cells, their mean is taken off, and they are divided by their contrast; the
    largest absolute difference of a cell is the answer. So a change of brightness or contrast counts little, and a
    small animal counts fully. 0.3 is three tenths of the picture's standard deviation in one sixty-fourth of it.

    The contrast is the standard deviation in grey levels, at least 16, and at most twice `inner_contrast`: the strip
    that a camera prints below a dark frame does not hide that two dark frames differ.

    Args:
        first: ``(N, 32, 32)`` uint8. N may be 0.
        second: ``(N, 32, 32)`` uint8; give ``thumbs[:, :, ::-1]`` to compare with mirror images.

    Raises:
        ValueError: If the two are not ``(N, 32, 32)`` uint8 with the same N.
    """
    layouts, others = thumbs_to_layouts(first), thumbs_to_layouts(second)
    if len(layouts) != len(others):
        raise ValueError(f"first and second must have the same rows, got {len(layouts)} and {len(others)}")
    return compare_layouts(layouts, others)


def thumbs_to_layouts(thumbs: Thumbs) -> Layouts:
    """Return what `compare_thumbs` compares: mean-free cells in units of contrast, ``(N, 64)`` float32, row by row.

    Args:
        thumbs: ``(N, 32, 32)`` uint8. N may be 0.

    Raises:
        ValueError: If ``thumbs`` is not ``(N, 32, 32)`` uint8.
    """
    check_thumbs(thumbs)
    cell = THUMB_SIDE_PX // _GRID
    layouts = np.empty((len(thumbs), _GRID * _GRID), np.float32)
    for batch in _batches(len(thumbs)):
        some = thumbs[batch].astype(np.float64)
        cells = some.reshape(-1, _GRID, cell, _GRID, cell).mean(axis=(2, 4)).reshape(-1, _GRID * _GRID)
        contrast = np.minimum(some.std(axis=(1, 2)), 2 * inner_contrast(thumbs[batch]))
        mean = cells.mean(axis=1, keepdims=True)
        layouts[batch] = (cells - mean) / np.maximum(contrast, _MIN_CONTRAST)[:, None]
    return layouts


def mirror_layouts(layouts: Layouts) -> Layouts:
    """Return the layouts of the mirror images, ``(N, 64)`` float32, or any whole rows of cells of them."""
    n, n_cells = layouts.shape
    return layouts.reshape(n, n_cells // _GRID, _GRID)[:, :, ::-1].reshape(n, n_cells)


def compare_layouts(first: Layouts, second: Layouts) -> NDArray[np.float32]:
    """Return the largest absolute difference of a cell, ``(N,)`` float32; see `compare_thumbs`."""
    largest: NDArray[np.float32] = np.abs(first - second).max(axis=1, initial=0)
    return largest


def check_thumbs(thumbs: Thumbs) -> None:
    """Refuse anything but thumbnails.

    Raises:
        ValueError: If ``thumbs`` is not ``(N, 32, 32)`` uint8.
    """
    if thumbs.ndim != 3 or thumbs.shape[1:] != (THUMB_SIDE_PX, THUMB_SIDE_PX) or thumbs.dtype != np.uint8:
        raise ValueError(f"thumbs must be (N, 32, 32) uint8, got {thumbs.shape} {thumbs.dtype}")


def _cell_sums(values: NDArray[Any]) -> NDArray[np.int64]:
    """Return the sums over 32 equal cells of the first axis, times 32; whole numbers throughout, so they are exact.

    An edge of a cell lies some thirty-seconds behind the start of a value: what lies before it goes to the cell before.
    """
    n = len(values)
    starts, parts = np.divmod(np.arange(THUMB_SIDE_PX + 1) * n, THUMB_SIDE_PX)
    wide = np.uint32 if values.dtype == np.uint8 else np.int64  # 16 million rows of 255 fit the first, the faster
    whole = np.stack([values[start:stop].sum(axis=0, dtype=wide) for start, stop in pairwise(starts)]).astype(np.int64)
    cut = values[np.minimum(starts, n - 1)].astype(np.int64) * parts.reshape(-1, *[1] * (values.ndim - 1))
    sums: NDArray[np.int64] = THUMB_SIDE_PX * whole + cut[1:] - cut[:-1]
    return sums


def _cosines() -> NDArray[np.float64]:
    """Return rows 1 to 8 of the orthonormal DCT-II matrix of 32 points, ``(8, 32)``."""
    frequencies, places = np.arange(1, 9)[:, None], np.arange(THUMB_SIDE_PX)
    angles = np.pi * frequencies * (2 * places + 1) / (2 * THUMB_SIDE_PX)
    cosines: NDArray[np.float64] = np.sqrt(2 / THUMB_SIDE_PX) * np.cos(angles)
    return cosines


_LOW_COSINES = _cosines()


def _above_median(spectrum: NDArray[np.float64]) -> NDArray[np.uint64]:
    """Pack ``(N, 8, 8)`` coefficients into ``(N,)`` hashes."""
    values = spectrum.reshape(len(spectrum), 64)
    is_above = values > np.median(values, axis=1, keepdims=True)
    return np.packbits(is_above, axis=1).view(">u8")[:, 0].astype(np.uint64)


def _batches(n: int) -> Iterator[slice]:
    return (slice(first, first + _BATCH) for first in range(0, n, _BATCH))
