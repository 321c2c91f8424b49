"""Films one event: walks the animals through the camera's view and notes what can be seen of each.

Boxes are ``x_min, y_min, x_max, y_max`` in pixels of the picture; a visible share is the part of an animal's silhouette
that lies inside the picture and is not hidden by an animal before it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFilter
from numpy.typing import NDArray

from mekiki.demo.animals import GROUND_SHARE, MIDDLE_SHARE, Sprite, draw_animal
from mekiki.demo.camera import MARGIN_PX, View, expose, infrared, open_view, prepare_lens
from mekiki.demo.kinds import KIND_OF, AnimalKind
from mekiki.demo.plan import Actor, Event
from mekiki.demo.scenery import paint_panorama
from mekiki.records import Image

PRESENT_SHARE = 0.25
"""An animal counts as present in a picture when at least this share of it is visible."""

N_PHASES = 12  # drawings per gait cycle
FAR_ROW, NEAR_ROW = 0.64, 0.95  # where feet stand, in picture heights
FAR_SCALE, NEAR_SCALE = 0.9, 1.2
NOSE_REACH, TAIL_REACH = 1.25, 0.75  # from the middle of the torso, in torso lengths


@dataclass(frozen=True, slots=True)
class Sighting:
    """What one picture shows of one animal."""

    label: str
    box: tuple[float, float, float, float]
    visible_share: float

    @property
    def is_present(self) -> bool:
        """Whether enough of it shows to be called present."""
        return self.visible_share >= PRESENT_SHARE


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture of an event with its truth."""

    time_s: float
    pixels: Image
    sightings: tuple[Sighting, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the animals that are present, each once, in the order of the sightings."""
        return tuple(dict.fromkeys(one.label for one in self.sightings if one.is_present))


def film_event(event: Event, seed: int, size: tuple[int, int], panorama_height_px: int) -> Iterator[Shot]:
    """Yield the pictures of an event in order of time.

    Args:
        event: Who passes which camera, and when.
        seed: Seed of the world.
        size: Width and height of a picture.
        panorama_height_px: Resolution of the painted places; equal for all events of a world.
    """
    rng = np.random.default_rng([seed, 2, event.index])
    panorama = paint_panorama(seed, event.site_index, event.season, panorama_height_px)
    view = open_view(event, panorama, size, rng)
    lens = prepare_lens(event, view, size, rng)
    walkers = [_Walker(actor, event, view, size) for actor in sorted(event.actors, key=lambda one: one.depth)]
    for time_s in event.times_s:
        shake = np.clip(np.rint(rng.normal(0, lens.shake, 2)), -MARGIN_PX, MARGIN_PX).astype(int)
        corner = (MARGIN_PX + int(shake[0]), MARGIN_PX + int(shake[1]))
        scene = view.backdrop.crop((*corner, corner[0] + size[0], corner[1] + size[1]))
        masks = [walker.step(scene, time_s, shake) for walker in walkers]
        yield Shot(time_s, expose(scene, lens, time_s, rng), tuple(_sightings(event, walkers, masks)))


class _Walker:
    """One animal on its way; draws itself into a scene."""

    def __init__(self, actor: Actor, event: Event, view: View, size: tuple[int, int]) -> None:
        self.actor = actor
        self.kind: AnimalKind = KIND_OF[actor.label]
        self._view = view
        self._size = size
        scale = FAR_SCALE + (NEAR_SCALE - FAR_SCALE) * actor.depth
        self._torso_px = self.kind.torso_size * scale * size[1]
        self._speed_px = actor.heading * self.kind.pace * self._torso_px * actor.tempo / self.kind.cycle_s
        self._foot_px = (FAR_ROW + (NEAR_ROW - FAR_ROW) * actor.depth) * size[1]
        self._crossing_s = actor.turning_share * event.duration_s
        self._crossing_px = self._crossing(actor)
        self._drawn: dict[int, Sprite] = {}
        self.n_opaque = 1.0

    def _crossing(self, actor: Actor) -> float:
        width = self._size[0]
        if actor.entry == "passes":
            return 0.5 * width + actor.aside * self._size[1]
        if actor.entry == "enters":
            reach = NOSE_REACH * self._torso_px
            return -reach if actor.heading == 1 else width + reach
        reach = TAIL_REACH * self._torso_px
        return width + reach if actor.heading == 1 else -reach

    def _sprite(self, time_s: float) -> Sprite:
        phase = self.actor.phase + time_s * self.actor.tempo / self.kind.cycle_s
        slot = int(phase * N_PHASES) % N_PHASES
        if slot not in self._drawn:
            coat = self.kind.coats[self.actor.coat_index]
            sprite = draw_animal(self.kind, coat, slot / N_PHASES, self._torso_px, self._view.is_night)
            self._drawn[slot] = sprite if self.actor.heading == 1 else sprite[:, ::-1]
        return self._drawn[slot]

    def step(self, scene: PIL.Image.Image, time_s: float, shake: NDArray[np.int_]) -> NDArray[np.uint8]:
        """Draw the animal into the scene and return its ``(H, W)`` uint8 mask there."""
        sprite = self._sprite(time_s)
        self.n_opaque = float(sprite[..., 3].sum(dtype=np.int64)) / 255
        middle = self._crossing_px + self._speed_px * (time_s - self._crossing_s) - shake[0]
        share = MIDDLE_SHARE if self.actor.heading == 1 else 1 - MIDDLE_SHARE
        left = round(middle - share * sprite.shape[1])
        top = round(self._foot_px - GROUND_SHARE * sprite.shape[0] - shake[1])
        mask = PIL.Image.new("L", self._size, 0)
        alpha = PIL.Image.fromarray(np.ascontiguousarray(sprite[..., 3]))
        mask.paste(alpha, (left, top))
        if mask.getbbox() is not None:
            self._cast_shadow(scene, middle)
            scene.paste(PIL.Image.fromarray(self._lit(sprite, middle)), (left, top), alpha)
        return np.asarray(mask)

    def _lit(self, sprite: Sprite, middle: float) -> Sprite:
        height, width = self._view.light.shape[:2]
        row = int(np.clip(self._foot_px - 0.3 * self._torso_px, 0, height - 1))
        light = self._view.light[row, int(np.clip(middle, 0, width - 1))]
        colours = sprite[..., :3].astype(np.float32)
        if self._view.is_night:
            grey = colours @ np.array((0.34, 0.42, 0.24), dtype=np.float32)
            exposed = infrared((24 + 1.15 * grey) * np.clip(light[0], 0.9, 1.3))
            colours = np.repeat(exposed[..., None], 3, axis=2)
        else:
            colours = colours * np.clip(light, 0.5, 1.5)
        return np.clip(colours, 0, 255).astype(np.uint8)

    def _cast_shadow(self, scene: PIL.Image.Image, middle: float) -> None:
        length, height = round(1.9 * self._torso_px), max(3, round(0.22 * self._torso_px))
        blob = PIL.Image.new("L", (length, height), 0)
        PIL.ImageDraw.Draw(blob).ellipse((length * 0.1, height * 0.2, length * 0.9, height * 0.8), fill=110)
        blob = blob.filter(PIL.ImageFilter.GaussianBlur(height / 6))
        scene.paste((14, 14, 14), (round(middle - length / 2), round(self._foot_px - height * 0.6)), blob)


def _sightings(event: Event, walkers: list[_Walker], masks: list[NDArray[np.uint8]]) -> Iterator[Sighting]:
    for i, (walker, mask) in enumerate(zip(walkers, masks, strict=True)):
        rows, columns = np.nonzero(mask.max(axis=1) > 127)[0], np.nonzero(mask.max(axis=0) > 127)[0]
        if not len(rows):
            continue
        seen: NDArray[np.floating] = mask / np.float32(255)
        for before in masks[i + 1 :]:
            seen = seen * (1 - before / np.float32(255))
        box = (float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1))
        yield Sighting(walker.actor.label, box, float(seen.sum()) / walker.n_opaque)
