"""What a map shows of each point: where it lies, and what it can be coloured by."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

ColorBy = Literal["class", "part", "rarity"]

NO_CLASS, NO_PART = "no class", "no part"
"""What a point is called that has none; shown, never stored."""


@dataclass(frozen=True, slots=True)
class MapPoint:
    """One point of a map, but for its place.

    Attributes:
        item_id: What lies there.
        name: The file it comes from, and where in it.
        class_name: Empty where it has none.
        class_score: The detector's confidence, where a detector said the class.
        part: Of the split; empty where it is in none.
        rarity: The joint score of ``mine``, in [0, 1], 1 the rarest; None where it was not scored.
        rank: Its place in the selection of ``mine``, 1 the rarest; None where it was not chosen.
    """

    item_id: str
    name: str = ""
    class_name: str = ""
    class_score: float | None = None
    part: str = ""
    rarity: float | None = None
    rank: int | None = None


@dataclass(frozen=True, slots=True)
class DrawnMap:
    """A map, ready to be drawn.

    Attributes:
        points: N of them.
        plane: ``(N, 2)`` float32, finite; up is positive.
        method: ``tsne``, ``umap`` or ``pca``.
        what: Which vectors these are, in a few words.
        n_all: Vectors of which the N were drawn.
    """

    points: tuple[MapPoint, ...]
    plane: NDArray[np.float32]
    method: str
    what: str
    n_all: int

    def __post_init__(self) -> None:
        if self.plane.shape != (len(self.points), 2) or not np.isfinite(self.plane).all():
            raise ValueError(f"plane must be ({len(self.points)}, 2) and finite, got {self.plane.shape}")
        if self.n_all < len(self.points):
            raise ValueError(f"n_all must be at least {len(self.points)}, got {self.n_all}")

    def color_choices(self) -> list[ColorBy]:
        """Return by what the points differ, the most telling first; always at least ``class``."""
        has_parts = any(point.part for point in self.points)
        has_rarity = any(point.rarity is not None for point in self.points)
        return ["class", *(["part"] if has_parts else []), *(["rarity"] if has_rarity else [])]  # type: ignore[list-item]

    def names_of(self, by: Literal["class", "part"]) -> list[str]:
        """Return what each point is called by its class or its part."""
        if by == "class":
            return [point.class_name or NO_CLASS for point in self.points]
        return [point.part or NO_PART for point in self.points]


def names_by_count(names: Sequence[str], last: str) -> dict[str, int]:
    """Return each name with its count, the most frequent first, equal ones by name; ``last`` stands at the end.

    Example:
        >>> names_by_count(["b", "none", "a", "none", "none"], "none")
        {'a': 1, 'b': 1, 'none': 3}
    """
    counts = Counter(names)
    return {name: counts[name] for name in sorted(counts, key=lambda name: (name == last, -counts[name], name))}


def scaled(plane: NDArray[np.float32], side: int) -> NDArray[np.int64]:
    """Return ``(N, 2)`` whole numbers from 0 to ``side``: the map in a square, its middle in the middle, down positive.

    Both axes keep the same scale. One point, or points that are all at one place, lie in the middle.

    Example:
        >>> scaled(np.array([[0, 0], [4, 2]], dtype=np.float32), 100).tolist()
        [[0, 75], [100, 25]]
    """
    if not len(plane):
        return np.zeros((0, 2), np.int64)
    low, high = plane.min(axis=0).astype(np.float64), plane.max(axis=0).astype(np.float64)
    span = float((high - low).max())
    middle = (low + high) / 2
    unit = side / span if span > 0 and math.isfinite(side / span) else 0.0
    centred = (plane - middle) * unit * np.array([1.0, -1.0])
    return np.asarray(np.rint(np.clip(centred + side / 2, 0, side)), np.int64)
