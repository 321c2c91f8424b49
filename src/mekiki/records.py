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
    ``size_bytes`` and ``mtime_ns`` are what the file was when it was ingested; None for files of our own. A crop has
    ``box``, where it lies in its parent, and ``whole_hw``, how large that is; its path, size and time are those of the
    parent's file.
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
    box: tuple[float, float, float, float] | None = None
    whole_hw: tuple[int, int] | None = None


VERBS_OF_ONE = {"are": "is", "have": "has"}


def counted(n: int, what: str) -> str:
    """Return a number with what it counts, in the singular where it is one.

    Args:
        n: How many.
        what: They are, in the plural; a verb may follow.

    Example:
        >>> counted(1, "entries are"), counted(1, "pictures have"), counted(1200, "boxes")
        ('1 entry is', '1 picture has', '1,200 boxes')
    """
    if n == 1:
        unit, blank, verb = what.partition(" ")
        unit = {"entries": "entry", "boxes": "box"}.get(unit, unit.removesuffix("s"))
        what = f"{unit}{blank}{VERBS_OF_ONE.get(verb, verb)}"
    return f"{n:,} {what}"


@dataclass(frozen=True, slots=True)
class Tally:
    """What one step made of what came in: ``n_in == n_kept + n_dropped + n_failed``, all in the same unit.

    Attributes:
        step: What was done, in a word or two: ``sampling``, ``early filter``.
        unit: What is counted, in the plural: ``pictures``, ``boxes``.
        why: What was dropped, in a few words; empty where nothing can be.

    Raises:
        ValueError: If the counts do not add up.
    """

    step: str
    unit: str
    n_in: int
    n_kept: int
    n_dropped: int = 0
    n_failed: int = 0
    why: str = ""

    def __post_init__(self) -> None:
        if self.n_in != self.n_kept + self.n_dropped + self.n_failed or min(self.n_kept, self.n_dropped) < 0:
            raise ValueError(f"the counts of {self.step} do not add up: {self}")

    def line(self) -> str:
        """Return it as a user reads it.

        Example:
            >>> Tally("sampling", "pictures", 10, 2, 8, why="share 0.2").line()
            'sampling: 10 pictures = 2 kept + 8 dropped + 0 failed (share 0.2)'
        """
        why = f" ({self.why})" if self.why else ""
        parts = f"{self.n_kept:,} kept + {self.n_dropped:,} dropped + {self.n_failed:,} failed"
        return f"{self.step}: {counted(self.n_in, self.unit)} = {parts}{why}"

    def to_json(self) -> dict[str, str | int]:
        """Return it as summaries and files have it."""
        return {
            "step": self.step,
            "unit": self.unit,
            "n_in": self.n_in,
            "n_kept": self.n_kept,
            "n_dropped": self.n_dropped,
            "n_failed": self.n_failed,
            "why": self.why,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Tally:
        """Return what `to_json` wrote."""
        return cls(**content)


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
