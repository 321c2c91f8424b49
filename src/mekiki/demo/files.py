"""Draws one event and writes every file that shows it, with the truth about each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import PIL.ExifTags
import PIL.Image

from mekiki.demo.clips import POOR_CRF, read_clip, write_clip
from mekiki.demo.layout import PlannedFile
from mekiki.demo.plan import Event, mirrored
from mekiki.demo.scenes import PRESENT_SHARE, Shot, Sighting, film_event
from mekiki.demo.sentences import describe, stretches
from mekiki.demo.settings import WorldSettings
from mekiki.demo.truth import CaptionTruth, FileTruth, FrameTruth, Truth
from mekiki.records import Image

GOOD_QUALITY, POOR_QUALITY = 88, 55
RESIZED_SHARE = 0.6
MAKER = "Torii"
MODELS = {"cam1": "TC-1", "cam2": "TC-2"}
UNSURE_SHARE = 0.02
"""Less than this of an animal is nothing that anybody could see."""


def write_event_files(folder: Path, settings: WorldSettings, files: Sequence[PlannedFile]) -> Truth:
    """Draw one event, write its files and return the truth about them.

    Args:
        folder: The world's folder.
        settings: Of the world.
        files: All files that show one event, originals before their copies.
    """
    event = files[0].event
    size = settings.clip_size if event.medium == "clip" else settings.still_size
    shots = list(film_event(event, settings.seed, size, settings.clip_size[1] * 5 // 4))
    truth = Truth()
    for one in files:
        path = folder / one.filepath
        path.parent.mkdir(parents=True, exist_ok=True)
        if one.transformation == "text":
            path.write_text("This file is named like a photo and is none.\n", encoding="utf-8")
            truth.extend(_truth_of(one, event, [], settings.fps))
        elif event.medium == "clip":
            shown, told = _write_clip_file(folder, one, shots, settings.fps)
            truth.extend(_truth_of(one, told, shown, settings.fps))
        else:
            shown, told = _write_still_file(folder, one, shots[one.shot_index])
            truth.extend(_truth_of(one, told, shown, settings.fps))
    return truth


def _write_clip_file(folder: Path, one: PlannedFile, shots: list[Shot], fps: int) -> tuple[list[Shot], Event]:
    path, original = folder / one.filepath, folder / one.duplicate_of
    if one.transformation == "copied":
        path.write_bytes(original.read_bytes())
    elif one.transformation == "reencoded":
        write_clip(path, read_clip(original), fps, POOR_CRF)
    elif one.transformation == "mirrored":
        write_clip(path, [_flip(picture) for picture in read_clip(original)], fps)
        return [_flip_shot(shot) for shot in shots], mirrored(one.event)
    else:
        write_clip(path, (shot.pixels for shot in shots), fps)
        if one.transformation == "cut":
            content = path.read_bytes()
            path.write_bytes(content[: len(content) * 2 // 3])
            return shots[: len(read_clip(path))], one.event
    return shots, one.event


def _write_still_file(folder: Path, one: PlannedFile, shot: Shot) -> tuple[list[Shot], Event]:
    path, original = folder / one.filepath, folder / one.duplicate_of
    if one.transformation == "mirrored":
        with PIL.Image.open(original) as picture:
            picture.transpose(PIL.Image.Transpose.FLIP_LEFT_RIGHT).save(path, "JPEG", quality=GOOD_QUALITY)
        return [_flip_shot(shot)], mirrored(one.event)
    if one.transformation == "resized":
        with PIL.Image.open(original) as picture:
            size = (round(picture.width * RESIZED_SHARE), round(picture.height * RESIZED_SHARE))
            smaller = picture.resize(size, PIL.Image.Resampling.LANCZOS)
            smaller.save(path, "JPEG", quality=POOR_QUALITY)
        return [_resize_shot(shot, size)], one.event
    exif = PIL.Image.Exif()
    exif[PIL.ExifTags.Base.Make] = MAKER
    exif[PIL.ExifTags.Base.Model] = MODELS[one.camera]
    exif.get_ifd(PIL.ExifTags.IFD.Exif)[PIL.ExifTags.Base.DateTimeOriginal] = f"{one.captured_at:%Y:%m:%d %H:%M:%S}"
    PIL.Image.fromarray(shot.pixels).save(path, "JPEG", quality=GOOD_QUALITY, exif=exif)
    if one.transformation == "truncated":
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])
    return [shot], one.event


def _flip(picture: Image) -> Image:
    return np.ascontiguousarray(picture[:, ::-1])


def _flip_shot(shot: Shot) -> Shot:
    width = shot.pixels.shape[1]
    turned = tuple(
        Sighting(one.label, (width - one.box[2], one.box[1], width - one.box[0], one.box[3]), one.visible_share)
        for one in shot.sightings
    )
    return Shot(shot.time_s, _flip(shot.pixels), turned)


def _resize_shot(shot: Shot, size: tuple[int, int]) -> Shot:
    x, y = size[0] / shot.pixels.shape[1], size[1] / shot.pixels.shape[0]
    smaller = tuple(
        Sighting(one.label, (one.box[0] * x, one.box[1] * y, one.box[2] * x, one.box[3] * y), one.visible_share)
        for one in shot.sightings
    )
    return Shot(shot.time_s, shot.pixels, smaller)


def _truth_of(one: PlannedFile, event: Event, shots: list[Shot], fps: int) -> Truth:
    """Put down what is to be said about one file; ``event`` is turned round where the file is a mirror picture."""
    is_readable = one.transformation not in ("truncated", "text")
    labels = tuple(dict.fromkeys(label for shot in shots for label in shot.labels))
    file = FileTruth(
        filepath=one.filepath,
        labels=labels,
        site=one.site,
        camera=one.camera,
        captured_at=one.captured_at,
        event_id=event.event_id,
        is_night=event.is_night,
        season=event.season,
        duplicate_of=one.duplicate_of,
        transformation=one.transformation,
        is_readable=is_readable,
    )
    if not is_readable:
        return Truth(files=[file])
    is_clip = event.medium == "clip"
    frames = [
        FrameTruth(one.filepath, i, shot.time_s if is_clip else 0.0, shot.labels, _unsure(shot), shot.sightings)
        for i, shot in enumerate(shots)
    ]
    captions = [
        CaptionTruth(
            one.filepath,
            first / fps if is_clip else 0.0,
            end / fps if is_clip else 0.0,
            describe(event, shots[first].labels),
        )
        for first, end in stretches([shot.labels for shot in shots])
    ]
    return Truth([file], frames, captions)


def _unsure(shot: Shot) -> tuple[str, ...]:
    return tuple(one.label for one in shot.sightings if UNSURE_SHARE <= one.visible_share < PRESENT_SHARE)
