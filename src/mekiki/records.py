"""The nouns that cross folders.

Conventions that hold everywhere: images are RGB ``uint8`` ``(H, W, 3)``; boxes are ``x_min, y_min, x_max, y_max``
float32 pixels of the full image; times are seconds from the start; scores are float32 in [0, 1].
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
"""``(H, W, 3)`` RGB."""

Boxes = NDArray[np.float32]
"""``(N, 4)`` ``x_min, y_min, x_max, y_max`` in pixels of the full image."""

Scores = NDArray[np.float32]
"""``(N,)`` in [0, 1]."""

ItemKind = Literal["image", "video", "frame", "crop", "variant", "vector"]

PICTURE_KINDS: tuple[ItemKind, ...] = ("image", "frame")
"""Kinds that are whole pictures: what has pixels to look at."""

LABELLED_KINDS: tuple[ItemKind, ...] = (*PICTURE_KINDS, "vector")
"""What is labelled, split, trained on and predicted: pictures, and vectors that came without theirs."""

LabelState = Literal["present", "absent", "unsure"]

STATE_CODES = {"present": 1, "absent": 0, "unsure": -1}
"""Label states in arrays, where -1 also stands for not asked."""

IMAGE_SUFFIXES = frozenset(
    {
        *(".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"),
        *(".pbm", ".pgm", ".ppm", ".pnm", ".avif", ".heic", ".heif"),
    }
)
"""Lower-case endings of the names of pictures that mekiki looks for in a folder."""

VIDEO_SUFFIXES = frozenset(
    {
        *(".mp4", ".mov", ".m4v", ".3gp", ".avi", ".mkv", ".webm"),
        *(".mts", ".m2ts", ".asf", ".wmv", ".mpg", ".mpeg"),
    }
)
"""Lower-case endings of the names of videos; ``.ts`` is left out, since it mostly is TypeScript."""

VECTOR_SUFFIXES = frozenset({".npy"})
"""Lower-case endings of the names of files with vectors."""

UNKNOWN = "unknown"
"""Never stored: it means that every class of an annotator's list is absent."""


@dataclass(frozen=True, slots=True)
class Item:
    """A picture, a video or a vector with an id made from its content.

    ``path`` is where its bytes are now; None for a picture that is cut from its parent when it is needed, and for a row
    of a matrix of vectors ``matrix.npy#12``, which is no file (see `mekiki.dataset.formats.npy.split_row`).
    ``size_bytes`` and ``mtime_ns`` are what the file was when it was ingested; None for files of our own.
    """

    item_id: str
    kind: ItemKind
    path: Path | None
    width_px: int
    height_px: int
    parent_id: str | None = None
    time_s: float | None = None
    size_bytes: int | None = None
    mtime_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Loaded:
    """What reading one item gave: the unit that travels through a batch.

    ``item_id`` is the item that was read. ``content`` is whatever the work object needs to compute on: pixels,
    bytes, or a record with both. A video yields many of these.
    """

    item_id: str
    content: Any


@dataclass(frozen=True, slots=True)
class Result:
    """What computing one `Loaded` gave, on its way to the catalog."""

    item_id: str
    content: Any


@dataclass(frozen=True, slots=True)
class Estimate:
    """A measured number with the ends of its interval; NaN where there was nothing to measure.

    ``is_reliable`` is False where the interval rests on too few groups to be believed.
    """

    value: float
    low: float
    high: float
    is_reliable: bool = True

    def to_json(self) -> dict[str, float | bool | None]:
        """Return it as files have it; None stands for NaN."""
        numbers = {"value": self.value, "low": self.low, "high": self.high}
        plain = {name: round(float(number), 6) if number == number else None for name, number in numbers.items()}
        return {**plain, "reliable": self.is_reliable}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Estimate:
        """Return what `to_json` wrote."""
        low, value, high = (
            float("nan") if content[name] is None else content[name] for name in ("low", "value", "high")
        )
        return cls(value, low, high, bool(content["reliable"]))


@dataclass(frozen=True, slots=True)
class Failure:
    """An item that could not be worked on."""

    path: str
    reason: str
    stage: str = ""


@dataclass(slots=True)
class RunSummary:
    """What one stage did. ``n_selected == n_written + n_skipped + n_failed``, all in input items.

    ``extra`` is the stage's own (``metrics``, ``certificate``, ...) and is printed beside the rest by ``--json``.
    """

    stage: str
    run_id: str
    n_selected: int = 0
    n_written: int = 0
    n_skipped: int = 0
    n_failed: int = 0
    n_rows: int = 0
    failures: list[Failure] = field(default_factory=list)
    outputs: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    extra: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def to_json(self) -> Mapping[str, Any]:
        """Return the object that ``--json`` prints; its keys are stable."""
        return {
            "stage": self.stage,
            "run_id": self.run_id,
            "n_selected": self.n_selected,
            "n_written": self.n_written,
            "n_skipped": self.n_skipped,
            "n_failed": self.n_failed,
            "n_rows": self.n_rows,
            "failures": [{"path": failure.path, "reason": failure.reason} for failure in self.failures],
            "outputs": dict(self.outputs),
            "seconds": round(self.seconds, 3),
            **self.extra,
        }
