"""The pictures in a file, whatever it is: the one of a photo, some of a clip."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mekiki.intake.files import look_at, unchanged_path
from mekiki.media.cropping import crop_reader
from mekiki.media.images import decode_image, read_picture_bytes
from mekiki.media.preprocessing import ReadPicture, at_hand
from mekiki.media.sampling import Sampling
from mekiki.media.video import Damage, VideoReader
from mekiki.records import Image, Item


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A photo, or a frame of a clip.

    Attributes:
        read: Gives its pixels: a photo is decoded when it is asked, and smaller if that will do; frames are whole.
        index: Of a frame: its place in the clip.
        time_s: Of a frame.
    """

    read: ReadPicture
    index: int | None = None
    time_s: float | None = None


def iter_pictures(path: Path, sampling: Sampling) -> Iterator[Picture | Damage]:
    """Yield the picture of a photo, or the frames of a clip that ``sampling`` chooses.

    Args:
        path: A photo or a clip; its content decides which.
        sampling: Which frames.

    Yields:
        Pictures; behind those of a damaged clip, what was lost of it.

    Raises:
        UnreadableError: If it is neither, or broken. Whether a photo can be decoded shows when it is.
    """
    if look_at(path)[2] == "image":
        content = read_picture_bytes(path)
        yield Picture(lambda px: decode_image(content, path, at_least_px=px).pixels)
        return
    reader = VideoReader(path)
    for frame in reader.sample(sampling):
        yield Picture(at_hand(frame.pixels), frame.index, frame.time_s)
    if reader.damage:
        yield reader.damage


def open_picture(item: Item) -> ReadPicture:
    """Return what decodes the picture of an item, whose file has been read: a photo's, a frame's, a crop's.

    What was ingested although its end is missing is taken as far as it goes.

    Raises:
        UnreadableError: If the file is gone or holds something else now. Whether it can be decoded shows when it is.
    """
    path = unchanged_path(item)
    content = read_picture_bytes(path)

    def read(at_least_px: int | None) -> Image:
        return decode_image(content, path, at_least_px=at_least_px, allow_truncated=True).pixels

    if item.box is None or item.whole_hw is None:
        return read
    return crop_reader(read, item.box, item.whole_hw)
