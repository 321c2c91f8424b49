"""A camera on its post: the part of a place that it sees, the light, what moves before the lens, and its noise.

Every mount is drawn anew from the event's own random numbers, as if somebody had changed the batteries: two events at
one site never show the same picture. Pictures are RGB uint8 ``(H, W, 3)``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFilter
from numpy.random import Generator
from numpy.typing import NDArray

from mekiki.demo.paint import blend
from mekiki.demo.plan import Event
from mekiki.demo.scenery import HORIZON_SHARE, SITES, SNOW, Panorama, Pixels, fractal, in_season
from mekiki.records import Image

MARGIN_PX = 3  # how far the post may shake
NOISE_ROOM_PX = 32
WARM, COOL = (1.10, 1.0, 0.84), (0.92, 1.0, 1.10)


@dataclass(frozen=True, slots=True)
class View:
    """What the camera sees while nothing moves, and how to light whatever enters it."""

    backdrop: PIL.Image.Image  # lit RGB, `MARGIN_PX` larger than the picture on every side
    light: Pixels  # (H, W, 3) factor on colours, 1 is unchanged
    is_night: bool


@dataclass(frozen=True, slots=True)
class Lens:
    """What lies between the place and the picture: plants close by, rain or snow, noise."""

    plants: PIL.Image.Image | None  # RGBA of the picture's lower part
    falling: PIL.Image.Image | None  # L, twice as high as the picture
    noise: NDArray[np.int16]  # (H + 32, W + 32, 1 or 3)
    wind: float  # how far the top of the picture sways, in pixels
    shake: float  # deviation of the post in pixels


def open_view(event: Event, panorama: Panorama, size: tuple[int, int], rng: Generator) -> View:
    """Mount the camera and light what it sees.

    Args:
        event: Site, camera, season and night.
        panorama: The place in that season.
        size: Width and height of the picture.
        rng: The event's random numbers.
    """
    full_width, full_height = panorama.picture.size
    height = full_height / 1.5 * rng.uniform(0.72, 1.08)
    width = height * size[0] / size[1]
    room = full_width / 2
    left = event.camera_index * room + rng.uniform(-0.1, 1.0) * (room - width)
    left = float(np.clip(left, 0, full_width - width))
    top = float(np.clip(HORIZON_SHARE * full_height - height * rng.uniform(0.14, 0.42), 0, full_height - height))
    box = (left, top, left + width, top + height)
    outer = (size[0] + 2 * MARGIN_PX, size[1] + 2 * MARGIN_PX)
    seen = np.asarray(panorama.picture.resize(outer, PIL.Image.Resampling.BICUBIC, box=box), dtype=np.float32)
    near = np.asarray(panorama.near.resize(outer, PIL.Image.Resampling.BILINEAR, box=box))
    hw = (outer[1], outer[0])
    if event.is_night:
        lamp = _lamp(rng, hw) * (0.75 if event.season == "winter" else 1.0)
        light = np.repeat((lamp * (0.55 + 0.6 * np.sqrt(np.maximum(near, 0))))[..., None], 3, axis=2)
        grey = seen @ np.array((0.30, 0.55, 0.15), dtype=np.float32)
        lit = infrared(0.6 * grey[..., None] * light + rng.uniform(4, 16))
    else:
        light = _daylight(rng, hw) * np.float32(0.86 if event.season == "winter" else 1.0)
        lit = (seen - 110) * rng.uniform(0.85, 1.12) + 110
        lit = lit * light
    backdrop = PIL.Image.fromarray(np.clip(lit, 0, 255).astype(np.uint8))
    return View(backdrop, light[MARGIN_PX:-MARGIN_PX, MARGIN_PX:-MARGIN_PX], event.is_night)


def infrared(amount: NDArray[np.floating]) -> Pixels:
    """Return the grey that a sensor makes of an amount of infrared light: bright things lose detail late."""
    return np.asarray(235 * (1 - np.exp(-amount / 150)), dtype=np.float32)


def _daylight(rng: Generator, hw: tuple[int, int]) -> Pixels:
    """Sun from one side, the shadows of clouds and crowns, and the colour of the hour."""
    rows, columns = np.mgrid[-1 : 1 : hw[0] * 1j, -1 : 1 : hw[1] * 1j].astype(np.float32)
    angle = rng.uniform(0, 2 * np.pi)
    slope = rng.uniform(0.05, 0.38) * (np.cos(angle) * columns + 0.7 * np.sin(angle) * rows)
    shadows = rng.uniform(0.06, 0.26) * fractal(rng, hw, (int(rng.integers(1, 4)), int(rng.integers(2, 5))), 3)
    share = float(rng.uniform(0, 1))
    tint = np.array([w + (c - w) * share for w, c in zip(WARM, COOL, strict=True)], dtype=np.float32)
    light = rng.uniform(0.78, 1.2) * np.clip(1 + slope + shadows, 0.35, 1.6)
    return np.asarray(light[..., None] * tint, dtype=np.float32)


def _lamp(rng: Generator, hw: tuple[int, int]) -> Pixels:
    """The beam of the infrared lamp: bright around one point, dark towards the corners."""
    rows, columns = np.mgrid[-1 : 1 : hw[0] * 1j, -1 : 1 : hw[1] * 1j].astype(np.float32)
    x, y = rng.uniform(-0.8, 0.8), rng.uniform(-0.4, 0.7)
    spread = rng.uniform(0.6, 1.3)
    beam = np.exp(-(((columns - x) / spread) ** 2 + ((rows - y) / spread) ** 2) / 1.6)
    patches = 1 + rng.uniform(0.15, 0.35) * fractal(rng, hw, (int(rng.integers(1, 4)), int(rng.integers(2, 5))), 3)
    lamp = rng.uniform(1.1, 1.7) * (0.22 + 0.9 * beam) * np.clip(patches, 0.4, 1.6)
    return np.asarray(lamp, dtype=np.float32)


def prepare_lens(event: Event, view: View, size: tuple[int, int], rng: Generator) -> Lens:
    """Draw what stands and falls before the lens of one event.

    Args:
        event: Site and season; an event without animals is a windy one.
        view: Its light falls on the plants as well.
        size: Width and height of the picture.
        rng: The event's random numbers.
    """
    unit = size[1]
    wind = unit * (rng.uniform(0.06, 0.14) if not event.actors else rng.uniform(0.0, 0.05))
    plants = None
    if rng.random() < 0.75 or not event.actors:
        plants = _plants(event, view, size, rng)
    falling = None
    if event.season == "rain" or (event.season == "winter" and rng.random() < 0.5):
        falling = _falling(rng, size, is_snow=event.season == "winter")
    strength = rng.uniform(3.0, 6.0) if event.is_night else rng.uniform(1.5, 4.5)
    shape = (size[1] + NOISE_ROOM_PX, size[0] + NOISE_ROOM_PX, 1)
    noise = rng.normal(0.0, strength, shape).astype(np.int16)
    return Lens(plants, falling, noise, float(wind), float(rng.uniform(0.0, 0.8)))


def _plants(event: Event, view: View, size: tuple[int, int], rng: Generator) -> PIL.Image.Image:
    site = SITES[event.site_index]
    green = in_season(site.plants, event.season)
    picture = PIL.Image.new("RGBA", size, (*blend(green, (0, 0, 0), 0.3), 0))
    draw = PIL.ImageDraw.Draw(picture)
    for middle in rng.uniform(-0.05, 1.05, int(rng.integers(1, 4))):
        tall, broad = size[1] * rng.uniform(0.1, 0.28 if event.actors else 0.42), size[0] * rng.uniform(0.04, 0.14)
        for _ in range(int(rng.integers(12, 26))):
            root = middle * size[0] + rng.normal(0, 0.7) * broad
            lean, length = rng.normal(0, 0.5), tall * rng.uniform(0.45, 1.0)
            colour = blend(green, SNOW if event.season == "winter" else (0, 0, 0), float(rng.uniform(0.0, 0.5)))
            thick = size[1] * rng.uniform(0.006, 0.016)
            rise = np.linspace(0, 1, 6)
            x, y = root + lean * length * rise**1.8, size[1] + 2 - length * rise
            half = thick * (1 - rise**2)
            outline = np.concatenate([np.stack([x - half, y], 1), np.stack([x + half, y], 1)[::-1]])
            draw.polygon([(px, py) for px, py in outline], fill=(*colour, 255))
    blurred = np.asarray(picture.filter(PIL.ImageFilter.GaussianBlur(size[1] / 260)))
    lit = blurred[..., :3] * view.light
    if view.is_night:
        lit = np.repeat(lit.mean(axis=2, keepdims=True) * 1.25, 3, axis=2)
    rgb = np.clip(lit, 0, 255).astype(np.uint8)
    top = int(np.argmax(blurred[..., 3].any(axis=1)))
    return PIL.Image.fromarray(np.concatenate([rgb, blurred[..., 3:]], axis=2)[top:])


def _falling(rng: Generator, size: tuple[int, int], is_snow: bool) -> PIL.Image.Image:
    layer = PIL.Image.new("L", (size[0], 2 * size[1]), 0)
    draw = PIL.ImageDraw.Draw(layer)
    n = int(rng.integers(50, 110))
    slant = rng.uniform(-0.2, 0.2)
    for x, y, near in zip(
        rng.uniform(0, size[0], n), rng.uniform(0, 2 * size[1], n), rng.uniform(0.4, 1, n), strict=True
    ):
        if is_snow:
            r = 0.008 * size[1] * near
            draw.ellipse((x - r, y - r, x + r, y + r), fill=int(220 * near))
        else:
            length = 0.09 * size[1] * near
            draw.line([(x, y), (x + slant * length, y + length)], fill=int(120 * near), width=1)
    return layer


def expose(scene: PIL.Image.Image, lens: Lens, moment: float, rng: Generator) -> Image:
    """Return the picture that the sensor reads from a scene with its animals.

    Args:
        scene: RGB of the picture's size; it is changed.
        lens: What lies before it.
        moment: Seconds since the start; the wind follows it.
        rng: The event's random numbers.
    """
    width, height = scene.size
    if lens.plants is not None:
        sway = lens.wind / height * (np.sin(5.1 * moment) + 0.4 * np.sin(11.3 * moment + 1))
        shear = (1, sway, -sway * lens.plants.height, 0, 1, 0)
        bent = lens.plants.transform(lens.plants.size, PIL.Image.Transform.AFFINE, shear, PIL.Image.Resampling.BILINEAR)
        scene.paste(bent, (0, height - bent.height), bent)
    if lens.falling is not None:
        drop = int(rng.integers(height))
        scene.paste((228, 228, 228), (0, 0), lens.falling.crop((0, drop, width, drop + height)))
    row, column = (int(i) for i in rng.integers(0, NOISE_ROOM_PX, 2))
    noisy = np.asarray(scene, dtype=np.int16) + lens.noise[row : row + height, column : column + width]
    return np.asarray(np.clip(noisy, 0, 255), dtype=np.uint8)
