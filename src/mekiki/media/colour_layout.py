"""A picture as numbers without any network: what colours lie where, which way its edges run, how rough it is.

Four blocks of a `N_DIMS`-long float32 vector, all computed from the picture squashed to 128 x 128 pixels:

* layout: mean and spread of CIE Lab lightness and colour in each cell of a 4 x 4 grid;
* palette: how much of each colour the whole picture and its middle have, whatever lies where;
* edges: how much gradient runs in each of 8 directions, in 4 x 4 cells of the picture at full, half and quarter size;
* texture: the energy of five bands of detail, from fine to coarse, in 3 x 3 cells.

Each number has a root mean square near 1 over ordinary photos, so that no block drowns the others. What it is good
for: scenes, colours and poses. It does not know what a dog is.

References: the grid of colours is the idea of MPEG-7's colour layout, Kasutani and Yamada 2001; palettes are compared
by the roots of their shares (Hellinger); the edges are those of Dalal and Triggs 2005, section 6, with cells that share
their borders softly.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mekiki.media.preprocessing import Preprocessing
from mekiki.records import Image

SIDE_PX = 128
PREPROCESSING = Preprocessing(
    resize="squash",
    resize_hw=(SIDE_PX, SIDE_PX),
    crop_hw=(SIDE_PX, SIDE_PX),
    interpolation="bicubic",
    mean=(0.0, 0.0, 0.0),
    std=(1.0, 1.0, 1.0),
)
"""How a picture becomes what `describe` takes."""

LAYOUT_CELLS, EDGE_CELLS, TEXTURE_CELLS = 4, 4, 3
N_DIRECTIONS = 8
N_SCALES = 3
N_BANDS = 5
LIGHTNESSES, OPPONENTS = np.array([10.0, 50.0, 90.0]), np.array([-50.0, -22.0, 0.0, 22.0, 50.0])
"""Middles of the palette's bins in Lab; a colour between two counts for both."""

N_PALETTE = len(LIGHTNESSES) * len(OPPONENTS) ** 2
N_DIMS = 6 * LAYOUT_CELLS**2 + 2 * N_PALETTE + N_SCALES * N_DIRECTIONS * EDGE_CELLS**2 + N_BANDS * TEXTURE_CELLS**2

FAINT_GRADIENT = 2.0
"""In Lab lightness per pixel: what a JPEG's noise makes; gradients below it count little."""

_TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
_WHITE = _TO_XYZ.sum(axis=1)


def describe(image: Image) -> NDArray[np.float32]:
    """Return the ``(N_DIMS,)`` float32 description of a picture.

    The same picture saved as JPEG at quality 60 or above stays within a cosine of 0.97 of itself, and is nearer to
    itself than to any other photo. A flat picture has no edges and no texture, and still a layout and a palette: no
    picture gives a vector of length 0.

    Args:
        image: ``(128, 128, 3)`` RGB uint8, prepared as `PREPROCESSING` says; not changed.

    Raises:
        ValueError: If it has another size.
    """
    if image.shape != (SIDE_PX, SIDE_PX, 3) or image.dtype != np.uint8:
        raise ValueError(f"image must be uint8 ({SIDE_PX}, {SIDE_PX}, 3), got {image.dtype} {image.shape}")
    lab = rgb_to_lab(image)
    blocks = (_layout(lab), _palettes(lab), _edges(lab[..., 0]), _texture(lab[..., 0]))
    return np.concatenate(blocks).astype(np.float32)


def rgb_to_lab(image: Image) -> NDArray[np.float64]:
    """Return CIE Lab under D65 of ``(H, W, 3)`` sRGB uint8: L in [0, 100], a and b within about 110 of 0.

    Example:
        >>> rgb_to_lab(np.full((1, 1, 3), 255, np.uint8)).round(3).tolist()
        [[[100.0, 0.0, 0.0]]]
    """
    xyz = _linear()[image] @ (_TO_XYZ / _WHITE[:, None]).T
    bent = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = bent[..., 0], bent[..., 1], bent[..., 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


@cache
def _linear() -> NDArray[np.float64]:
    """Return the light that each of the 256 values of sRGB stands for, in [0, 1]."""
    value = np.arange(256) / 255
    light: NDArray[np.float64] = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    return light


def _cells(plane: NDArray[np.float64], n_cells: int) -> NDArray[np.float64]:
    """Return ``(n, n, ...)`` means over cells that overlap: each point counts for the cells around it, by nearness."""
    weights = _cell_weights(plane.shape[0], n_cells)
    down = np.tensordot(weights, plane, axes=(1, 0))
    return np.moveaxis(np.tensordot(weights, down, axes=(1, 1)), 0, 1)


@cache
def _cell_weights(n_px: int, n_cells: int) -> NDArray[np.float64]:
    """Return ``(n_cells, n_px)`` rows that add up to 1: triangles around the cells' middles, flat at the ends."""
    place = (np.arange(n_px) + 0.5) * n_cells / n_px - 0.5
    near = np.clip(1 - abs(np.clip(place, 0, n_cells - 1)[None] - np.arange(n_cells)[:, None]), 0, None)
    weights: NDArray[np.float64] = near / near.sum(axis=1, keepdims=True)
    return weights


def _layout(lab: NDArray[np.float64]) -> NDArray[np.float64]:
    mean = _cells(lab, LAYOUT_CELLS)
    spread = np.sqrt(np.clip(_cells(lab * lab, LAYOUT_CELLS) - mean * mean, 0, None))
    centred = (mean - [50, 0, 0]) / [25, 15, 15]
    return np.concatenate([centred.ravel(), (spread / [15, 8, 8]).ravel()])


def _palettes(lab: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the palette of the picture, then that of its middle."""
    small, quarter = _halve(lab), SIDE_PX // 8
    return np.concatenate([_palette(small), _palette(small[quarter:-quarter, quarter:-quarter])])


def _palette(lab: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the root of the share of each of 3 x 5 x 5 colours, times the root of their number."""
    light, red, yellow = (
        _memberships(lab[..., channel].ravel(), middles)
        for channel, middles in enumerate((LIGHTNESSES, OPPONENTS, OPPONENTS))
    )
    share = light.T @ (red[:, :, None] * yellow[:, None, :]).reshape(len(red), -1) / len(light)
    root: NDArray[np.float64] = np.sqrt(share.ravel() * N_PALETTE)
    return root


def _memberships(values: NDArray[np.float64], middles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ``(N, B)`` rows that add up to 1: how much each value belongs to the bins around it."""
    place = np.interp(values, middles, np.arange(len(middles)))
    members: NDArray[np.float64] = np.clip(1 - abs(place[:, None] - np.arange(len(middles))), 0, None)
    return members


def _edges(lightness: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return gradient histograms at three sizes; a cell's is as long as its edges are clear, at most root 8."""
    found, plane = [], lightness
    for scale in range(N_SCALES):
        plane = _halve(plane) if scale else plane
        down, right = np.gradient(plane)
        place = (np.arctan2(down, right) / np.pi * N_DIRECTIONS) % N_DIRECTIONS
        apart = abs(place[..., None] - np.arange(N_DIRECTIONS))
        member = np.clip(1 - np.minimum(apart, N_DIRECTIONS - apart), 0, None)
        cells = _cells(np.sqrt(np.hypot(down, right))[..., None] * member, EDGE_CELLS)
        length = np.sqrt((cells * cells).sum(axis=2, keepdims=True))
        found.append(cells / (length + np.sqrt(FAINT_GRADIENT) / N_DIRECTIONS))
    edges: NDArray[np.float64] = np.concatenate([one.ravel() for one in found]) * np.sqrt(N_DIRECTIONS)
    return edges


def _texture(lightness: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return half the logarithm of the energy of bands of detail in each cell; 0 where there is none."""
    found, plane = [], lightness
    for _ in range(N_BANDS):
        smooth = ndimage.gaussian_filter(plane, 1.0, axes=(0, 1))
        found.append(np.sqrt(_cells((plane - smooth) ** 2, TEXTURE_CELLS)))
        plane = _halve(smooth)
    texture: NDArray[np.float64] = 0.5 * np.log1p(np.concatenate([one.ravel() for one in found]))
    return texture


def _halve(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return means of 2 x 2 points of ``(H, W, ...)``, both even."""
    height, width = plane.shape[:2]
    halved: NDArray[np.float64] = plane.reshape(height // 2, 2, width // 2, 2, *plane.shape[2:]).mean(axis=(1, 3))
    return halved
