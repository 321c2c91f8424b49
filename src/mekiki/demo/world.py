"""Makes the demo world: a folder of camera-trap clips and photos that is drawn from a seed, with its truth."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

from mekiki.demo.files import write_event_files
from mekiki.demo.kinds import LABELS
from mekiki.demo.layout import PlannedFile, plan_files
from mekiki.demo.settings import WorldSettings
from mekiki.demo.truth import CAPTIONS_NAME, FILES_NAME, FRAMES_NAME, Truth, read_truth, write_truth
from mekiki.errors import UsageError

__all__ = ["World", "WorldSettings", "make_world", "read_truth"]

MARKER_NAME = "world.json"
CLAIM_NAME = "world.json.part"
TRUTH_NAMES = (FILES_NAME, FRAMES_NAME, CAPTIONS_NAME)
DRAWING_VERSION = 1
"""Goes up whenever the same settings would draw something else, so that old worlds are made anew."""


@dataclass(frozen=True, slots=True)
class World:
    """A finished demo world on disk."""

    folder: Path
    settings: WorldSettings
    files: tuple[Path, ...]  # every clip and photo, the damaged ones included
    classes: tuple[str, ...]  # labels in the fixed order of the wildlife recipe
    n_clips: int
    n_stills: int
    n_frames: int  # pictures in all clips
    n_events: int  # what may stand in different parts of a split: copies and bursts count once
    n_unreadable: int
    truth_path: Path
    frames_path: Path
    captions_path: Path


def make_world(folder: Path, settings: WorldSettings | None = None, n_workers: int = 1) -> World:
    """Draw a world into a folder; one that is there already with these settings is left as it is.

    A folder that holds a world of other settings, or one that was interrupted, is emptied of that world's files and
    of nothing else, and drawn anew.

    Args:
        folder: New, empty, or that of an earlier world.
        settings: None for the defaults.
        n_workers: Processes that draw; the bytes do not depend on it.

    Raises:
        UsageError: If the folder holds something that is no world.
    """
    settings = settings or WorldSettings()
    wanted = {"drawing_version": DRAWING_VERSION, "settings": asdict(settings)}
    if _is_finished(folder, wanted):
        return _open_world(folder, settings)
    _clear(folder)
    planned = plan_files(settings)
    claim = json.dumps({**wanted, "files": [one.filepath for one in planned]}, ensure_ascii=False, indent=1)
    (folder / CLAIM_NAME).write_text(claim, encoding="utf-8")
    (folder / MARKER_NAME).unlink(missing_ok=True)
    write_truth(folder, _write_files(folder, settings, planned, n_workers))
    (folder / CLAIM_NAME).replace(folder / MARKER_NAME)
    return _open_world(folder, settings)


def _write_files(folder: Path, settings: WorldSettings, planned: list[PlannedFile], n_workers: int) -> Truth:
    by_event: list[Sequence[PlannedFile]] = [list(files) for _, files in groupby(planned, lambda one: one.event.index)]
    work = partial(write_event_files, folder, settings)
    truth = Truth()
    if n_workers == 1:
        for files in by_event:
            truth.extend(work(files))
        return truth
    with ProcessPoolExecutor(n_workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        for part in pool.map(work, by_event, chunksize=8):
            truth.extend(part)
    return truth


def _is_finished(folder: Path, wanted: dict[str, object]) -> bool:
    found = _read_note(folder / MARKER_NAME)
    if found is None:
        return False
    names = [*found.pop("files"), *TRUTH_NAMES]
    return found == wanted and all((folder / name).is_file() for name in names)


def _read_note(path: Path) -> dict[str, Any] | None:
    """Return what an earlier call wrote about its world, or None where that is not what the file is."""
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:  # not JSON, or not even text
        return None
    is_note = isinstance(found, dict) and "drawing_version" in found and isinstance(found.get("files"), list)
    return found if is_note else None


def _clear(folder: Path) -> None:
    """Make an empty folder, or take away the files of an earlier world; its note goes last, by the caller."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file. Choose a new or an empty folder for the demo world.")
    folder.mkdir(parents=True, exist_ok=True)
    notes = [note for name in (MARKER_NAME, CLAIM_NAME) if (note := _read_note(folder / name)) is not None]
    if not notes and any(path.name != CLAIM_NAME for path in folder.iterdir()):
        raise UsageError(
            f"{folder} holds something that is no demo world. Choose a new or an empty folder for the demo world."
        )
    inside = folder.resolve()
    places: set[Path] = set()
    for name in [name for note in notes for name in [*note["files"], *TRUTH_NAMES]]:
        path = (inside / name).resolve()
        if path.is_relative_to(inside):
            path.unlink(missing_ok=True)
            places.update(place for place in path.parents if place != inside and place.is_relative_to(inside))
    for place in sorted(places, key=lambda place: len(place.parts), reverse=True):
        if place.is_dir() and not any(place.iterdir()):
            place.rmdir()


def _open_world(folder: Path, settings: WorldSettings) -> World:
    truth = read_truth(folder)
    clips = {one.filepath for one in truth.files if one.filepath.endswith(".MP4")}
    return World(
        folder=folder,
        settings=settings,
        files=tuple(folder / one.filepath for one in truth.files),
        classes=LABELS,
        n_clips=len(clips),
        n_stills=len(truth.files) - len(clips),
        n_frames=sum(one.filepath in clips for one in truth.frames),
        n_events=len({one.event_id for one in truth.files}),
        n_unreadable=sum(not one.is_readable for one in truth.files),
        truth_path=folder / FILES_NAME,
        frames_path=folder / FRAMES_NAME,
        captions_path=folder / CAPTIONS_NAME,
    )
