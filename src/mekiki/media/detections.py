"""What a detector found in one picture: boxes, how sure it is of each, and what it calls them. N may be 0."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mekiki.records import Boxes, Scores


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """The boxes found in one picture. Rows of the three belong together.

    Attributes:
        boxes: ``(N, 4)`` float32 pixels of the picture that was shown.
        scores: ``(N,)`` float32 in [0, 1].
        class_names: N names, as the detector spells them.
        fault: Why there are none although the detector looked: what it gave for this picture cannot be read.

    Raises:
        ValueError: If the three differ in length, or a number is none.
    """

    boxes: Boxes
    scores: Scores
    class_names: tuple[str, ...]
    fault: str = ""

    def __post_init__(self) -> None:
        n = len(self.class_names)
        if self.boxes.shape != (n, 4) or self.scores.shape != (n,):
            raise ValueError(
                f"boxes and scores must have shapes ({n}, 4) and ({n},), got {self.boxes.shape} and {self.scores.shape}"
            )
        if not (np.isfinite(self.boxes).all() and np.isfinite(self.scores).all()):
            raise ValueError("boxes and scores must be finite numbers")

    def __len__(self) -> int:
        return len(self.class_names)

    def where(self, keep: NDArray[np.bool_]) -> Detections:
        """Return those that are marked, ``(N,)``, in the same order."""
        return self.take(np.flatnonzero(keep))

    def take(self, rows: NDArray[np.integer] | Sequence[int]) -> Detections:
        """Return these rows, in the order given."""
        chosen = np.asarray(rows, np.int64)
        names = tuple(self.class_names[row] for row in chosen)
        return Detections(self.boxes[chosen], self.scores[chosen], names)

    def best(self, n: int) -> Detections:
        """Return at most so many, the surest first; equal ones in the order in which they stand."""
        return self.take(np.argsort(-self.scores, kind="stable")[:n])

    @classmethod
    def none(cls) -> Detections:
        """Return no boxes."""
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), ())

    @classmethod
    def failed(cls, fault: str) -> Detections:
        """Return what stands for a picture whose boxes cannot be read, with the reason."""
        return replace(cls.none(), fault=fault)
