"""Which files a world consists of: names as a camera gives them, planted copies and planted damage.

A file is called ``<site>/<camera>/IMG_0001.JPG`` or ``VID_0002.MP4``, numbered by camera in order of time, so that a
name tells nothing about what is in the picture. Copies lie in the folder of the site's other camera.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

import numpy as np

from mekiki.demo.plan import Event, plan_events
from mekiki.demo.scenery import SITES
from mekiki.demo.settings import WorldSettings

Transformation = Literal["", "copied", "reencoded", "mirrored", "resized", "truncated", "cut", "text"]
"""What was done to a file: the first of each pair makes a copy, the rest damages the only one.

``copied`` same bytes, ``reencoded`` poorer H.264, ``mirrored`` flipped left to right, ``resized`` smaller and poorer
JPEG without EXIF; ``truncated`` a photo without its second half, ``cut`` a clip without its last third, ``text`` no
picture at all.
"""

CLIP_COPIES: tuple[Transformation, ...] = ("copied", "reencoded", "mirrored")
STILL_COPIES: tuple[Transformation, ...] = ("resized", "mirrored")
CAMERAS = ("cam1", "cam2")
COPY_DELAY = timedelta(days=3)


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """One file that a world will hold."""

    filepath: str  # below the world's folder, with slashes
    event: Event
    shot_index: int  # which still of its burst; 0 for a clip
    transformation: Transformation = ""
    duplicate_of: str = ""

    @property
    def site(self) -> str:
        """Name of the place."""
        return SITES[self.event.site_index].name

    @property
    def camera(self) -> str:
        """Name of the folder of the camera in which the file lies."""
        return self.filepath.split("/")[1]

    @property
    def captured_at(self) -> datetime:
        """When the picture was taken, or the clip began."""
        moment = self.event.times_s[self.shot_index] if self.event.medium == "still" else 0.0
        return self.event.starts_at + timedelta(seconds=moment)


def plan_files(settings: WorldSettings) -> list[PlannedFile]:
    """Return every file of a world in the order of its events; copies follow their originals."""
    rng = np.random.default_rng([settings.seed, 3])
    files = []
    for event in plan_events(settings):
        shots = range(len(event.times_s)) if event.medium == "still" else range(1)
        files += [PlannedFile("", event, shot) for shot in shots]
    clips = [i for i, one in enumerate(files) if one.event.medium == "clip"]
    stills = [i for i, one in enumerate(files) if one.event.medium == "still" and len(one.event.times_s) == 1]
    clips, stills = [list(rng.permutation(chosen)) for chosen in (clips, stills)]
    copies: dict[int, Transformation] = {}
    for chosen, transformations in ((clips, CLIP_COPIES), (stills, STILL_COPIES)):
        for transformation in transformations * settings.n_planted:
            copies[chosen.pop()] = transformation
    damage: dict[int, Transformation] = {stills.pop(): "truncated"}
    if settings.has_extra_damage:
        damage[clips.pop()] = "cut"
    return _named(files, copies, damage, settings.has_extra_damage)


def _named(
    files: list[PlannedFile], copies: dict[int, Transformation], damage: dict[int, Transformation], has_text: bool
) -> list[PlannedFile]:
    planned: list[tuple[PlannedFile, int | None]] = []  # with the position of the original of a copy
    for i, one in enumerate(files):
        planned.append((replace(one, transformation=damage.get(i, "")), None))
        if i in copies:
            planned.append((replace(one, transformation=copies[i]), len(planned) - 1))
    if has_text:
        planned.append((replace(files[-1], transformation="text"), None))
    names = _names(planned)
    return [
        replace(one, filepath=name, duplicate_of="" if original is None else names[original])
        for (one, original), name in zip(planned, names, strict=True)
    ]


def _names(planned: list[tuple[PlannedFile, int | None]]) -> list[str]:
    folders, moments = [], []
    for one, original in planned:
        is_copy = original is not None
        camera_index = one.event.camera_index if not is_copy else 1 - one.event.camera_index
        folders.append(f"{one.site}/{CAMERAS[camera_index]}")
        moments.append(one.captured_at + COPY_DELAY * is_copy)
    names = [""] * len(planned)
    counts: dict[str, int] = {}
    for i in sorted(range(len(planned)), key=lambda i: (moments[i], i)):
        counts[folders[i]] = number = counts.get(folders[i], 0) + 1
        is_clip = planned[i][0].event.medium == "clip"
        names[i] = f"{folders[i]}/VID_{number:04d}.MP4" if is_clip else f"{folders[i]}/IMG_{number:04d}.JPG"
    return names
