"""Pictures of the user's that a precision is calibrated and checked on. N of them, H and W pixels in size."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from mekiki.models.runners import Pictures

N_CHECKED = 100


@dataclass(frozen=True, slots=True)
class Sample:
    """Pictures of the user's.

    Attributes:
        ids: Whose they are.
        pixels: ``(N, H, W, 3)`` uint8 as the embedder sees them.
    """

    ids: Sequence[str]
    pixels: Pictures

    def __len__(self) -> int:
        return len(self.ids)

    def fingerprint(self) -> str:
        """Return 16 hex digits that stand for whose pictures these are."""
        return hashlib.sha256("\n".join(self.ids).encode()).hexdigest()[:16]

    def halves(self) -> tuple[Sample, Sample]:
        """Return what to calibrate on, and what to check on: other pictures, at most `N_CHECKED` and half."""
        cut = len(self) - min(N_CHECKED, len(self) // 2)
        return Sample(self.ids[:cut], self.pixels[:cut]), Sample(self.ids[cut:], self.pixels[cut:])
