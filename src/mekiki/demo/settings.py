"""What a demo world is made from: its size, its seed and what is planted in it."""

from __future__ import annotations

from dataclasses import dataclass

from mekiki.demo.kinds import LABELS
from mekiki.demo.scenery import SITES
from mekiki.errors import UsageError, unknown_name


@dataclass(frozen=True, slots=True)
class WorldSettings:
    """How to draw a world. The same settings and library versions give the same bytes.

    Attributes:
        seed: Everything that is drawn by chance follows from it.
        n_clips: Number of video files, planted copies included.
        n_stills: Number of photo files, planted copies and the truncated one included.
        n_sites: Number of places, each with two cameras; at most 5.
        n_planted: Number of planted copies of each sort: clips copied byte by byte, clips re-encoded, clips
            mirrored, stills resized, stills mirrored.
        width_px: Width of a clip, even. The height is three quarters of it. Stills are 1.5 times as large.
        fps: Frames per second of the clips.
        confined_kind: Label of the kind that lives at the first site only; an empty text lets all live everywhere.
        has_extra_damage: Whether two more files are damaged beside the truncated still: one clip loses its last third
            (the rest can be read), and a text file that is named like a photo comes on top of ``n_stills``.
    """

    seed: int = 0
    n_clips: int = 360
    n_stills: int = 120
    n_sites: int = 5
    n_planted: int = 4
    width_px: int = 256
    fps: int = 8
    confined_kind: str = "テン"
    has_extra_damage: bool = False

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise UsageError(f"seed must be 0 or more, got {self.seed}.")
        if not 1 <= self.n_sites <= len(SITES):
            raise UsageError(f"n_sites must lie in 1..{len(SITES)}, got {self.n_sites}.")
        if self.width_px < 64 or self.width_px % 8:
            raise UsageError(f"width_px must be a multiple of 8 and at least 64, got {self.width_px}.")
        if not 1 <= self.fps <= 30:
            raise UsageError(f"fps must lie in 1..30, got {self.fps}.")
        if self.n_planted < 0:
            raise UsageError(f"n_planted must be 0 or more, got {self.n_planted}.")
        fewest_clips, fewest_stills = 6 * self.n_planted + 1, 7 * self.n_planted + 3
        if self.n_clips < fewest_clips or self.n_stills < fewest_stills:
            raise UsageError(
                f"n_planted={self.n_planted} needs at least {fewest_clips} clips and {fewest_stills} stills, "
                f"got {self.n_clips} and {self.n_stills}. Ask for more of them, or for fewer planted copies."
            )
        if self.confined_kind and self.confined_kind not in LABELS:
            raise unknown_name("kind of animal", self.confined_kind, LABELS)

    @property
    def clip_size(self) -> tuple[int, int]:
        """Width and height of a clip in pixels."""
        return self.width_px, self.width_px * 3 // 4

    @property
    def still_size(self) -> tuple[int, int]:
        """Width and height of a still in pixels."""
        return self.width_px * 3 // 2, self.width_px * 9 // 8
