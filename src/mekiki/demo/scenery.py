"""The places of the demo world: a wide painted panorama for every site and season.

A camera later looks at a part of the panorama (`mekiki.demo.camera`), so that no two mounts show the same picture.
Rows and columns are pixels; ``H`` is the panorama's height, ``W`` its width.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFilter
from numpy.random import Generator
from numpy.typing import NDArray

from mekiki.demo.kinds import Colour
from mekiki.demo.paint import blend

Season = Literal["summer", "rain", "autumn", "winter"]
SEASONS: tuple[Season, ...] = ("summer", "rain", "autumn", "winter")
Backdrop = Literal["forest", "hills", "wall"]
Pixels = NDArray[np.float32]

PANORAMA_HEIGHT, PANORAMA_WIDTH = 1.5, 4.2  # in picture heights
HORIZON_SHARE = 0.40  # of the panorama's height
SNOW: Colour = (226, 232, 242)


@dataclass(frozen=True, slots=True)
class Site:
    """One place: what stands there and in which colours it stands in summer."""

    name: str
    backdrop: Backdrop
    far: Colour  # what closes the view
    ground: Colour
    plants: Colour  # grass, ferns or reeds, also close to the lens
    trunk: Colour
    n_trunks: int
    trunk_width: float  # in picture heights
    n_rocks: int
    n_tufts: int
    has_water: bool = False
    litter: float = 0.5  # share of autumn leaves on the ground


SITES: tuple[Site, ...] = (
    Site("cedar", "forest", (44, 60, 46), (92, 78, 56), (66, 104, 52), (104, 70, 50), 20, 0.10, 3, 70),
    Site(
        "meadow", "hills", (118, 142, 128), (116, 138, 66), (132, 158, 70), (112, 96, 76), 2, 0.07, 2, 260, litter=0.2
    ),
    Site(
        "quarry", "wall", (140, 134, 126), (146, 136, 118), (140, 146, 96), (96, 88, 80), 3, 0.05, 30, 40, litter=0.15
    ),
    Site("bamboo", "forest", (98, 128, 76), (126, 108, 70), (120, 156, 66), (108, 146, 70), 60, 0.032, 2, 30),
    Site("creek", "forest", (74, 96, 84), (104, 98, 84), (84, 120, 66), (120, 112, 100), 9, 0.08, 18, 80, True),
)


@dataclass(frozen=True, slots=True)
class Panorama:
    """A painted place. ``near`` grows from 0 at the horizon and beyond it to 1 at the lower edge."""

    picture: PIL.Image.Image  # (H, W) RGB
    near: PIL.Image.Image  # (H, W) float, mode "F"


def fractal(rng: Generator, hw: tuple[int, int], cells: tuple[int, int], n_octaves: int = 4) -> Pixels:
    """Return ``(H, W)`` float32 cloudy noise of mean about 0 and deviation about 1.

    Args:
        rng: Source of the noise.
        hw: Height and width in pixels.
        cells: Number of blobs down and across in the coarsest octave.
        n_octaves: How many times finer noise of half the strength is added.
    """
    total = np.zeros(hw, dtype=np.float32)
    for octave in range(n_octaves):
        rows, columns = min(cells[0] << octave, hw[0]), min(cells[1] << octave, hw[1])
        grid = PIL.Image.fromarray(rng.normal(0.0, 1.0, (rows + 1, columns + 1)).astype(np.float32))
        total += np.asarray(grid.resize((hw[1], hw[0]), PIL.Image.Resampling.BICUBIC)) * np.float32(0.6**octave)
    return np.asarray(total / 1.2, dtype=np.float32)


@lru_cache(maxsize=32)
def paint_panorama(seed: int, site_index: int, season: Season, picture_height_px: int) -> Panorama:
    """Paint one site in one season; where things stand depends on the seed and the site only.

    Args:
        seed: Seed of the world.
        site_index: Position in `SITES`.
        season: Changes colours, leaves and snow.
        picture_height_px: Height of a picture taken with neither zoom in nor out.
    """
    site = SITES[site_index]
    rng = np.random.default_rng([seed, 1, site_index])
    hw = (round(PANORAMA_HEIGHT * picture_height_px), round(PANORAMA_WIDTH * picture_height_px))
    horizon = round(HORIZON_SHARE * hw[0])
    pixels = np.concatenate([_backdrop(site, season, rng, (horizon, hw[1])), _ground(site, season, rng, hw, horizon)])
    picture = PIL.Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    _stand_things(picture, site, season, rng, picture_height_px)
    near = np.zeros(hw, dtype=np.float32)
    near[horizon:] = np.linspace(0.0, 1.0, hw[0] - horizon, dtype=np.float32)[:, None]
    return Panorama(picture.filter(PIL.ImageFilter.GaussianBlur(0.6)), PIL.Image.fromarray(near))


def in_season(colour: Colour, season: Season, share: float = 1.0) -> Colour:
    """Return what a summer green becomes in a season; snow is not part of it."""
    turned: dict[Season, Colour] = {
        "summer": colour,
        "rain": (50, 74, 52),
        "autumn": (184, 120, 50),
        "winter": (150, 140, 122),
    }
    weight = {"summer": 0.0, "rain": 0.35, "autumn": 0.55, "winter": 0.6}[season]
    return blend(colour, turned[season], weight * share)


def _backdrop(site: Site, season: Season, rng: Generator, hw: tuple[int, int]) -> Pixels:
    far = np.array(in_season(site.far, season, 0.5), dtype=np.float32)
    rows = np.linspace(0.0, 1.0, hw[0], dtype=np.float32)[:, None, None]
    columns = np.arange(hw[1])
    if site.backdrop == "hills":
        sky = np.array((176, 196, 214) if season == "summer" else (186, 190, 196), dtype=np.float32)
        pixels = sky * (0.9 + 0.15 * rows) + 5 * fractal(rng, hw, (3, 8))[..., None]
        for height, shade in ((0.45, 1.0), (0.7, 0.78)):
            ridge = hw[0] * (height + 0.16 * fractal(rng, (1, hw[1]), (1, 7))[0])
            hill = np.arange(hw[0])[:, None] > ridge[None]
            tone = far * shade + 7 * fractal(rng, hw, (10, 60))[..., None]
            pixels = np.where(
                hill[..., None], tone if season != "winter" else 0.4 * tone + 0.55 * np.array(SNOW), pixels
            )
        return np.asarray(pixels, dtype=np.float32)
    noise = fractal(rng, hw, (5, 24) if site.backdrop == "forest" else (7, 14), 5)
    pixels = far + 13 * noise[..., None] + (26 if site.backdrop == "forest" else 8) * (0.5 - rows)
    if site.backdrop == "wall":
        strata = np.sin(np.arange(hw[0])[:, None] * 0.32 + 2.2 * fractal(rng, hw, (2, 6)) + columns[None] * 0.01)
        pixels += 13 * strata[..., None]
        drop = fractal(rng, (1, hw[1]), (1, 40), 2)[0]
        pixels -= 34 * (drop > 1.1)[None, :, None]
    else:
        for x, width in zip(rng.integers(0, hw[1], 60), rng.integers(2, 7, 60), strict=True):
            pixels[:, x : x + width] *= 0.78
    if season == "winter":
        pixels += (SNOW - pixels) * np.clip(0.25 * noise - 0.02, 0, 0.6)[..., None]
    return np.asarray(pixels, dtype=np.float32)


def _ground(site: Site, season: Season, rng: Generator, hw: tuple[int, int], horizon: int) -> Pixels:
    height, width = hw[0] - horizon, hw[1]
    rows = np.linspace(0.0, 1.0, height, dtype=np.float32)[:, None]
    broad = fractal(rng, (height, width), (5, 9), 3)
    fine = fractal(rng, (height, width), (26, 70), 3)
    grain = rng.normal(0.0, 1.0, (height, width)).astype(np.float32)
    base = np.array(in_season(site.ground, season, 0.6), dtype=np.float32)
    tone = 13 * broad + 9 * fine * (0.4 + rows) + 6 * grain * rows + 18 * (rows - 0.5)
    pixels = base + tone[..., None]
    leaves = np.array((196, 112, 44) if season == "autumn" else site.plants, dtype=np.float32)
    cover = np.clip(fine + 0.8 * broad + 1.6 * (site.litter - 0.5), 0, 1) * (0.75 if season == "autumn" else 0.4)
    pixels += (leaves + 16 * grain[..., None] - pixels) * cover[..., None]
    wet = np.zeros((height, width), dtype=np.float32)
    if site.has_water:
        middle = 0.30 + 0.05 * fractal(rng, (1, width), (1, 6), 2)[0]
        wet = np.clip(1 - np.abs(rows - middle[None]) / 0.10, 0, 1) ** 0.3
        ripples = fractal(rng, (height, width), (60, 16), 2)
        water = np.array((104, 126, 138), dtype=np.float32) + 15 * ripples[..., None]
        pixels += (water - pixels) * wet[..., None]
    if season == "winter":
        cover = np.clip(0.82 + 0.30 * broad + 0.12 * fine, 0.05, 0.97) * (1 - wet)
        snow = np.array(SNOW, dtype=np.float32) + (10 * broad + 4 * grain + 14 * (rows - 0.6))[..., None]
        pixels += (snow - pixels) * cover[..., None]
    elif season == "rain":
        pixels *= 0.84
        pixels += 46 * np.clip(broad - 1.2, 0, 0.8)[..., None]
    return np.asarray(pixels, dtype=np.float32)


def _stand_things(picture: PIL.Image.Image, site: Site, season: Season, rng: Generator, unit: int) -> None:
    """Draw rocks, trunks and tufts from far to near."""
    draw = PIL.ImageDraw.Draw(picture)
    width, height = picture.size
    horizon = HORIZON_SHARE * height
    _draw_hedge(draw, site, season, rng, horizon, unit)
    names = ["rock"] * site.n_rocks + ["trunk"] * site.n_trunks + ["tuft"] * site.n_tufts
    depths = rng.uniform(0.0, 1.0, len(names)) ** 1.3
    columns = rng.uniform(0.0, width, len(names))
    looks = rng.uniform(0.7, 1.3, len(names))
    for i in np.argsort(depths):
        limit = 0.42 if names[i] == "trunk" else 0.95
        near = float(depths[i]) * limit
        foot, size = horizon + near * (height - horizon), (0.35 + 1.1 * near) * float(looks[i]) * unit
        at = (float(columns[i]), foot)
        if names[i] == "rock":
            _draw_rock(draw, at, 0.13 * size, season, rng)
        elif names[i] == "trunk":
            _draw_trunk(draw, at, site.trunk_width * size, site, season)
        else:
            _draw_tuft(draw, at, 0.11 * size, site, season, rng)


def _draw_hedge(
    draw: PIL.ImageDraw.ImageDraw, site: Site, season: Season, rng: Generator, horizon: float, unit: int
) -> None:
    """Hide the line where the ground meets what is far."""
    width = PANORAMA_WIDTH * unit
    colour = blend(in_season(site.plants, season), in_season(site.far, season), 0.65)
    for _ in range(260):
        x, r, tone = rng.uniform(0, width), unit * rng.uniform(0.012, 0.05), float(rng.uniform(0.0, 0.4))
        fill = blend(colour, SNOW if season == "winter" and tone > 0.2 else (20, 24, 18), tone)
        y = horizon + unit * rng.uniform(-0.015, 0.02)
        draw.ellipse((x - 1.5 * r, y - r, x + 1.5 * r, y + 0.6 * r), fill=fill)


def _draw_rock(
    draw: PIL.ImageDraw.ImageDraw, at: tuple[float, float], size: float, season: Season, rng: Generator
) -> None:
    angles = np.linspace(0, 2 * np.pi, 10)[:-1]
    radii = size * rng.uniform(0.75, 1.1, 9)
    tone = float(rng.uniform(0.8, 1.15))
    for share, shade in ((1.0, 0.72), (0.88, 0.9), (0.72, 1.02), (0.5, 1.14)):
        x = at[0] + 1.3 * share * radii * np.cos(angles) - 0.2 * (1 - share) * size
        y = at[1] + radii * (0.7 * share * np.sin(angles) - 0.45) - 0.3 * (1 - share) * size
        grey = [min(255, int(level * shade * tone)) for level in (126, 122, 114)]
        draw.polygon(list(zip(x.tolist(), y.tolist(), strict=True)), fill=(grey[0], grey[1], grey[2]))
    if season == "winter":
        x = at[0] + 1.12 * radii * np.cos(angles)
        y = at[1] + radii * (0.3 * np.sin(angles) - 0.3 * np.clip(-np.sin(angles), 0, 1)) - 0.68 * size
        draw.polygon(list(zip(x.tolist(), y.tolist(), strict=True)), fill=SNOW)


def _draw_trunk(
    draw: PIL.ImageDraw.ImageDraw, at: tuple[float, float], width: float, site: Site, season: Season
) -> None:
    n_strips = 7
    for strip in range(n_strips):
        across = strip / (n_strips - 1) - 0.5
        colour = blend(site.trunk, (0, 0, 0), 0.15 + 0.5 * abs(across + 0.15))
        if season == "winter" and strip == 1:
            colour = SNOW
        left, right = at[0] + width * (across - 0.08), at[0] + width * (across + 0.09)
        flare = width * across * 0.35
        draw.polygon([(left, 0), (right, 0), (right + flare, at[1]), (left + flare, at[1])], fill=colour)
    if site.name == "bamboo":
        step = max(12.0, 4.5 * width)
        for y in np.arange(at[1] % step, at[1], step):
            draw.line(
                [(at[0] - width / 2, y), (at[0] + width / 2, y)], fill=blend(site.trunk, (255, 255, 220), 0.5), width=2
            )


def _draw_tuft(
    draw: PIL.ImageDraw.ImageDraw, at: tuple[float, float], size: float, site: Site, season: Season, rng: Generator
) -> None:
    green = in_season(site.plants, season)
    for lean, tone in zip(rng.uniform(-0.9, 0.9, 9), rng.uniform(-0.35, 0.3, 9), strict=True):
        colour = blend(green, (255, 250, 200) if tone > 0 else (0, 0, 0), abs(float(tone)))
        if season == "winter":
            colour = blend(colour, SNOW, 0.35)
        root = at[0] + lean * 0.5 * size
        tip = (at[0] + lean * 1.2 * size, at[1] - size * (1.25 - 0.6 * abs(lean)))
        draw.polygon([(root - 0.05 * size, at[1]), tip, (root + 0.05 * size, at[1])], fill=colour)
