"""Which frames of a video to keep: pure rules over the times of its frames.

F is the number of frames of a video in the order of showing; a frame's *index* is its place in it, from 0. Times are
seconds from the first frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from mekiki.records import Image

SamplingMode = Literal["every-n-frames", "fps", "n-frames", "keyframes", "scene"]
SAMPLING_MODES: tuple[SamplingMode, ...] = get_args(SamplingMode)

THUMBNAIL_HW = (32, 32)


@dataclass(frozen=True, slots=True)
class Sampling:
    """Which frames of a video to keep.

    Modes:
        every-n-frames: Frames whose index is a multiple of ``every_n``, the first one included.
        fps: One frame each ``1 / fps`` seconds: for k = 0, 1, 2, … the first frame at or after ``k / fps``. A frame
            that serves two k is kept once.
        n-frames: ``n_frames`` of them, spread evenly: the frame on screen in the middle of each of that many equal
            parts of the duration. A shorter video gives each of its frames once.
        keyframes: Frames from which decoding can start; by far the cheapest.
        scene: The first frame, then each frame whose `scene_difference` to the last one kept is above
            ``scene_threshold``. All frames have to be decoded for this.

    Args:
        mode: One of `SAMPLING_MODES`; the other settings count only in the mode of their name.
        every_n: Distance in frames; at least 1.
        fps: Frames per second; above 0.
        n_frames: Number of frames; at least 1.
        scene_threshold: In [0, 1]; 0.1 is a tenth of the way from black to white, in the mean over the picture.
        max_frames: Keep only the first so many of what the mode gives; 0 keeps all.

    Raises:
        ValueError: If a setting is out of its range.
    """

    mode: SamplingMode = "every-n-frames"
    every_n: int = 45
    fps: float = 1.0
    n_frames: int = 10
    scene_threshold: float = 0.1
    max_frames: int = 0

    def __post_init__(self) -> None:
        if self.mode not in SAMPLING_MODES:
            raise ValueError(f"mode must be one of {', '.join(SAMPLING_MODES)}, got {self.mode!r}")
        if self.every_n < 1:
            raise ValueError(f"every_n must be at least 1, got {self.every_n}")
        if not 0 < self.fps < float("inf"):
            raise ValueError(f"fps must be above 0, got {self.fps}")
        if self.n_frames < 1:
            raise ValueError(f"n_frames must be at least 1, got {self.n_frames}")
        if not 0 <= self.scene_threshold <= 1:
            raise ValueError(f"scene_threshold must lie in [0, 1], got {self.scene_threshold}")
        if self.max_frames < 0:
            raise ValueError(f"max_frames must be 0 (no cap) or more, got {self.max_frames}")


@dataclass(frozen=True, slots=True)
class Timeline:
    """When the frames of one video are shown."""

    times_s: NDArray[np.float64]  # (F,) strictly rising, the first is 0
    is_key: NDArray[np.bool_]  # (F,) decoding can start here
    duration_s: float  # up to the end of the last frame
    tick_s: float  # stamps are multiples of this


def choose_frames(sampling: Sampling, timeline: Timeline) -> NDArray[np.int64]:
    """Return the indices of the frames to keep, for every mode but ``scene``, which has to see pixels.

    Args:
        sampling: Which frames to keep.
        timeline: When the frames are shown. F may be 0.

    Returns:
        ``(K,)`` int64, strictly rising, each in [0, F). Empty for an empty timeline.

    Raises:
        ValueError: If the mode is ``scene``.

    Example:
        >>> line = Timeline(np.arange(4) * 0.5, np.array([True, False, True, False]), 2.0, 0.5)
        >>> choose_frames(Sampling("every-n-frames", every_n=3), line)
        array([0, 3])
        >>> choose_frames(Sampling("fps", fps=1), line)
        array([0, 2])
        >>> choose_frames(Sampling("n-frames", n_frames=2), line)
        array([1, 3])
    """
    n = len(timeline.times_s)
    if sampling.mode == "every-n-frames":
        chosen = np.arange(0, n, sampling.every_n)
    elif sampling.mode == "fps":
        chosen = _at_rate(timeline, sampling.fps)
    elif sampling.mode == "n-frames":
        chosen = _in_the_middle_of_parts(timeline, sampling.n_frames)
    elif sampling.mode == "keyframes":
        chosen = np.flatnonzero(timeline.is_key)
    else:
        raise ValueError("mode 'scene' cannot be chosen from times: it compares pixels; see scene_difference")
    return chosen[: sampling.max_frames or None].astype(np.int64)


def scene_difference(thumbnail: Image, other: Image) -> float:
    """Return how different two pictures are, in [0, 1]: the mean over pixels and colours of ``|a - b| / 255``.

    Args:
        thumbnail: ``(32, 32, 3)`` RGB, the whole frame scaled down by averaging.
        other: The same of the other frame. The order of the two does not matter.

    Returns:
        0 for equal pictures, 1 for black against white.

    Raises:
        ValueError: If the shapes differ.
    """
    if thumbnail.shape != other.shape:
        raise ValueError(f"thumbnails must have one shape, got {thumbnail.shape} and {other.shape}")
    return float(np.abs(thumbnail.astype(np.int16) - other).mean() / 255)


def _at_rate(timeline: Timeline, fps: float) -> NDArray[np.int64]:
    """For each k the first frame at or after ``k / fps``; half a tick of slack, because stamps are rounded to ticks."""
    if not len(timeline.times_s):
        return np.zeros(0, np.int64)
    times = timeline.times_s + timeline.tick_s / 2 + 1e-9
    # Frame i is the first at or after k / fps for some k exactly if a multiple of 1 / fps lies after frame i - 1 and
    # no later than frame i.
    multiples_passed = np.floor(times * fps)
    return np.flatnonzero(np.diff(multiples_passed, prepend=-1) > 0)


def _in_the_middle_of_parts(timeline: Timeline, n_frames: int) -> NDArray[np.int64]:
    """Return the frame on screen at each ``(i + 0.5) * duration / n``, each frame once."""
    if not len(timeline.times_s):
        return np.zeros(0, np.int64)
    middles = (np.arange(n_frames) + 0.5) * timeline.duration_s / n_frames
    shown = np.searchsorted(timeline.times_s, middles + timeline.tick_s / 2, side="right") - 1
    return np.unique(np.clip(shown, 0, None))
