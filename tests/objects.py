"""Pictures with things to detect, and detectors to try stages with; in a module that workers elsewhere can import."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as PillowImage

from mekiki.media.detections import Detections
from mekiki.models.base import Detector
from mekiki.models.detect import DetectorOpening
from mekiki.records import Image
from workspaces import ingest

Xyxy = tuple[int, int, int, int]

COLOURS = ((230, 30, 30), (30, 200, 40), (40, 60, 230), (240, 220, 30))
GREY = 110


def scene_with(boxes: Sequence[Xyxy], width_px: int = 160, height_px: int = 120, tint: int = 0) -> Image:
    """Return a plain grey picture with one coloured thing in each box; ``tint`` tells pictures apart."""
    image = np.full((height_px, width_px, 3), GREY + tint, np.uint8)
    for number, (left, top, right, bottom) in enumerate(boxes):
        image[top:bottom, left:right] = COLOURS[number % len(COLOURS)]
    return image


def write_scene(path: Path, boxes: Sequence[Xyxy], tint: int = 0, **size: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    PillowImage.fromarray(scene_with(boxes, tint=tint, **size)).save(path)
    return path


def boxes_of(number: int) -> list[Xyxy]:
    """Return the things in picture ``number``: none in every fifth, else one to three."""
    places = [(10 + number % 7, 12, 40 + number % 7, 50), (70, 60 + number % 5, 110, 90), (120, 8, 150, 30)]
    return places[: 0 if number % 5 == 4 else 1 + number % 3]


def make_scenes(workspace: Path, n_pictures: int) -> Path:
    """Ingest pictures that lie inside the workspace: ``in/00.png`` and so on, with the things of `boxes_of`."""
    for number in range(n_pictures):
        write_scene(workspace / "in" / f"{number:02d}.png", boxes_of(number), tint=number)
    ingest(workspace, workspace / "in")
    return workspace


class Fixed:
    """A detector that finds the same in every picture, as shares of its sides."""

    identity = "fixed"
    device = "cpu (nowhere)"

    def __init__(self, shares: Sequence[Sequence[float]], n_at_once: int = 1) -> None:
        self.shares = np.array(shares, np.float32).reshape(-1, 5)
        self.n_at_once = n_at_once
        self.seen_hw: list[tuple[int, int]] = []

    def prepare(self, image: Image) -> Image:
        self.seen_hw.append((image.shape[0], image.shape[1]))
        return image

    def detect(self, batch: Sequence[Image]) -> list[Detections]:
        return [self._detect(image) for image in batch]

    def _detect(self, image: Image) -> Detections:
        height, width = image.shape[:2]
        boxes = self.shares[:, :4] * np.array([width, height, width, height], np.float32)
        return Detections(boxes, self.shares[:, 4], ("thing",) * len(boxes))


class Meeting(Fixed):
    """Waits in `detect` until another call is in it too; both fail if none comes."""

    def __init__(self, n_together: int = 2, timeout_s: float = 20) -> None:
        super().__init__([[0.1, 0.1, 0.5, 0.5, 0.9]], n_at_once=n_together)
        self._barrier = threading.Barrier(n_together, timeout=timeout_s)

    def detect(self, batch: Sequence[Image]) -> list[Detections]:
        self._barrier.wait()
        return super().detect(batch)


class Noting(Fixed):
    """Leaves a file ``detected-PID`` in the folder behind its name for every process that detects."""

    def __init__(self, opening: DetectorOpening) -> None:
        super().__init__([[0.1, 0.1, 0.5, 0.5, 0.9]], n_at_once=opening.n_workers)
        self._notes = Path(opening.what)

    def detect(self, batch: Sequence[Image]) -> list[Detections]:
        (self._notes / f"detected-{os.getpid()}").touch()
        threading.Event().wait(0.02 * len(batch))
        return super().detect(batch)


def open_noting(opening: DetectorOpening) -> Detector:
    return Noting(opening)


def crop_pixels(image: Image, box: Any) -> Image:
    """Return what lies in whole pixels of a box."""
    left, top, right, bottom = box
    return image[top:bottom, left:right]
