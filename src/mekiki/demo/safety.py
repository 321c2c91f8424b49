"""The world of the safety demo: two folders of harmless drawn photos, ``unsafe`` where there is snow."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from mekiki.demo.settings import WorldSettings
from mekiki.demo.world import make_world, read_truth

SAFE, UNSAFE = "safe", "unsafe"
DANGER = "winter"
"""The season whose photos are unsafe: there is snow on the path."""


@dataclass(frozen=True, slots=True)
class SafetyWorld:
    """Two folders of photos on disk.

    Attributes:
        folder: Holds ``safe`` and ``unsafe``.
        n_safe, n_unsafe: Files in them.
        n_unreadable: Of these, how many are broken on purpose.
    """

    folder: Path
    n_safe: int
    n_unsafe: int
    n_unreadable: int


def make_safety_world(folder: Path, settings: WorldSettings, n_workers: int = 1) -> SafetyWorld:
    """Draw a camera-trap world and sort its photos into two folders; its clips are left where they are.

    Args:
        folder: New, empty, or that of an earlier call.
        settings: Of the world.
        n_workers: Processes that draw.

    Raises:
        UsageError: If the folder holds something else.
    """
    world = make_world(folder / "drawn", settings, n_workers)
    sorted_into = folder / "photos"
    shutil.rmtree(sorted_into, ignore_errors=True)
    counts = dict.fromkeys((SAFE, UNSAFE), 0)
    for name in counts:
        (sorted_into / name).mkdir(parents=True)
    for file in read_truth(world.folder).files:
        source = world.folder / file.filepath
        if source.suffix.lower() not in (".jpg", ".jpeg"):
            continue
        name = UNSAFE if file.season == DANGER else SAFE
        counts[name] += 1
        shutil.copyfile(source, sorted_into / name / file.filepath.replace("/", "_"))
    return SafetyWorld(sorted_into, counts[SAFE], counts[UNSAFE], world.n_unreadable)
