"""The pictures in a file, whatever it is: the one of a photo, some of a clip."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mekiki.intake.files import look_at
from mekiki.media.images import read_image
from mekiki.media.sampling import Sampling
from mekiki.media.video import Damage, VideoReader
from mekiki.records import Image


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A photo, or a frame of a clip.

    Attributes:
        pixels: ``(H, W, 3)`` RGB, upright.
        index: Of a frame: its place in the clip.
        time_s: Of a frame.
    """

    pixels: Image
    index: int | None = None
    time_s: float | None = None


def iter_pictures(path: Path, sampling: Sampling, at_least_px: int | None) -> Iterator[Picture | Damage]:
    """Yield the picture of a photo, or the frames of a clip that ``sampling`` chooses.

    Args:
        path: A photo or a clip; its content decides which.
        sampling: Which frames.
        at_least_px: As `mekiki.media.images.read_image` takes it; frames are whole.

    Yields:
        Pictures; behind those of a damaged clip, what was lost of it.

    Raises:
        UnreadableError: If it is neither, or broken.
    """
    if look_at(path)[2] == "image":
        yield Picture(read_image(path, at_least_px=at_least_px))
        return
    reader = VideoReader(path)
    for frame in reader.sample(sampling):
        yield Picture(frame.pixels, frame.index, frame.time_s)
    if reader.damage:
        yield reader.damage
