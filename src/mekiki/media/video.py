"""Frames of a video with their exact times, in whatever container, as far as the file still holds them.

The packets are listed first, without decoding; then only what the wanted frames need is decoded. Sampling therefore
gives exactly the frames that decoding everything would give, and never a frame that damage could have touched.
Frames are RGB ``uint8`` ``(H, W, 3)``, upright; times are seconds from the first frame that can be shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from av.video.reformatter import VideoReformatter

from mekiki.errors import UnreadableError
from mekiki.media.containers import open_container, picture_stream
from mekiki.media.decoding import Decoding
from mekiki.media.display_matrix import turn_upright
from mekiki.media.frame_order import all_damaged, find_frame_order
from mekiki.media.packets import list_packets
from mekiki.media.sampling import THUMBNAIL_HW, Sampling, choose_frames, scene_difference
from mekiki.records import Image

MAX_FPS = 1000  # a header that says more says nothing
NEVER_SET_YEAR = 1970  # clocks that were never set start at 1904 or 1970


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture of a video."""

    pixels: Image  # (H, W, 3) RGB, upright
    pts: int  # its stamp, in units of time_base; no two frames of a file share one
    time_base: Fraction  # seconds
    time_s: float  # from the first frame
    index: int  # place in the order of showing, from 0; frames lost to damage are counted too


@dataclass(frozen=True, slots=True)
class VideoFacts:
    """What a video is, from its packets and one decoded frame rather than from what its header claims."""

    width_px: int  # upright
    height_px: int
    rotation_deg: int  # how far the stored pictures were turned clockwise: 0, 90, 180 or 270
    duration_s: float  # from the first frame to the end of the last; 0 if neither is known
    fps: float | None  # mean; None for a single frame of unknown duration
    n_frames: int  # packets that stand for a shown frame, damaged ones included
    codec: str  # FFmpeg's name, such as h264
    time_base: tuple[int, int]  # numerator, denominator: seconds per unit of pts
    captured_at: str | None  # "YYYY-MM-DD HH:MM:SS" as the file has it (by the standard UTC)
    has_audio: bool


@dataclass(frozen=True, slots=True)
class Damage:
    """What was found to be broken so far; reading more of the file may find more."""

    n_packets: int  # damaged packets, and reads of packets that failed
    n_lost_frames: int  # frames that were asked for and could not be given

    def __bool__(self) -> bool:
        return bool(self.n_packets or self.n_lost_frames)


class VideoReader:
    """A video file that is read several times, or whose damage is to be known.

    Holds no open file between calls; each running iterator has its own, and closes it when it ends or is dropped. For
    one thread at a time.

    Args:
        path: A file on disk; web addresses and FFmpeg's protocols have no meaning.
        threads: How many threads decode one stretch. One is best where several files are read at once.

    Raises:
        UnreadableError: If the file cannot be opened, is no video, or not one of its frames can be decoded.

    Example:
        ``reader = VideoReader(path)``, ``for frame in reader.sample(Sampling("fps", fps=2)): ...``, then
        ``reader.damage`` tells what was lost.
    """

    def __init__(self, path: Path | str, threads: int = 1) -> None:
        self.path = Path(path)
        self._order = find_frame_order(self.path, list_packets(self.path), threads)
        self._decoding = Decoding(self.path, self._order.packets, threads, self._order.is_strict)
        self._index_of_row = {row: index for index, row in enumerate(self._order.rows.tolist())}
        self._n_lost = 0
        self._reformatter = VideoReformatter()

    @cached_property
    def facts(self) -> VideoFacts:
        """What the video is."""
        order = self._order
        height_px, width_px = order.picture_hw[::-1] if order.turn.swaps_sides else order.picture_hw
        with open_container(self.path) as container:
            stream = picture_stream(self.path, container)
            rate = stream.average_rate
            texts = (container.metadata.get("creation_time"), stream.metadata.get("creation_time"))
            has_audio = bool(container.streams.audio)
        return VideoFacts(
            width_px=width_px,
            height_px=height_px,
            rotation_deg=90 * order.turn.quarters,
            duration_s=order.duration_s,
            fps=order.fps or (float(rate) if rate and 0 < rate < MAX_FPS else None),
            n_frames=len(order.pts),
            codec=order.packets.codec,
            time_base=(order.time_base.numerator, order.time_base.denominator),
            captured_at=next((time for text in texts if (time := tidy_time(text))), None),
            has_audio=has_audio,
        )

    @property
    def damage(self) -> Damage:
        """What was found to be broken up to now."""
        n_packets = len(self._decoding.damaged_rows) + self._decoding.packets.n_read_errors
        return Damage(n_packets, self._n_lost)

    def frames(self) -> Iterator[Frame]:
        """Yield all frames in the order of showing.

        Raises:
            UnreadableError: If there is not one.
        """
        return self._read(range(len(self._order.pts)))

    def sample(self, sampling: Sampling) -> Iterator[Frame]:
        """Yield the frames that ``sampling`` chooses, decoding no more than they need.

        A chosen frame that is lost to damage is left out, not replaced.

        Raises:
            UnreadableError: If all of the chosen frames are lost.
        """
        if sampling.mode == "scene":
            return self._read_scenes(sampling)
        return self._read(choose_frames(sampling, self._order.timeline()).tolist())

    def frame(self, pts: int) -> Frame:
        """Return the frame with a given stamp.

        Raises:
            UnreadableError: If no frame has it (the message names the nearest stamps), or damage took it.
        """
        stamps = self._order.pts
        at = int(np.searchsorted(stamps, pts))
        if at == len(stamps) or stamps[at] != pts:
            near = " and ".join(str(stamp) for stamp in stamps[max(0, at - 1) : at + 1])
            raise UnreadableError(self.path, f"no frame has the stamp {pts}; the nearest: {near}")
        return next(self._read([at]))

    def _read(self, indices: Sequence[int]) -> Iterator[Frame]:
        n_given = 0
        rows = self._order.rows[list(indices)].tolist()
        for row, picture in self._decoding.frames(rows):
            n_given += 1
            yield self._frame(row, picture)
        self._n_lost += len(rows) - n_given
        if rows and not n_given:
            only = f"the frame with the stamp {self._order.pts[indices[0]]} is damaged"
            raise UnreadableError(self.path, only if len(rows) == 1 else f"all {len(rows)} chosen frames are damaged")

    def _read_scenes(self, sampling: Sampling) -> Iterator[Frame]:
        last: Image | None = None
        n_seen = n_kept = 0
        for row, picture in self._decoding.frames(self._order.rows.tolist()):
            n_seen += 1
            thumbnail = self._to_rgb(picture, THUMBNAIL_HW)
            if last is None or scene_difference(thumbnail, last) > sampling.scene_threshold:
                last = thumbnail
                n_kept += 1
                yield self._frame(row, picture)
                if n_kept == sampling.max_frames:
                    return
        self._n_lost += len(self._order.rows) - n_seen
        if not n_seen:
            raise all_damaged(self.path, len(self._order.rows))

    def _frame(self, row: int, picture: Any) -> Frame:
        index = self._index_of_row[row]
        pts = int(self._order.pts[index])
        pixels = turn_upright(self._to_rgb(picture), self._order.turn)
        return Frame(pixels, pts, self._order.time_base, self._order.time_s(pts), index)

    def _to_rgb(self, picture: Any, size_hw: tuple[int, int] | None = None) -> Image:
        height, width = size_hw or (picture.height, picture.width)
        how = "AREA" if size_hw else "BILINEAR"
        scaled = self._reformatter.reformat(picture, width, height, "rgb24", interpolation=how, threads=1)
        return np.asarray(scaled.to_ndarray(), np.uint8)


def probe_video(path: Path | str) -> VideoFacts:
    """Return what a video is; see `VideoReader` for the errors.

    Reads through all packets and decodes a few frames, so that the facts hold even where the header lies.
    """
    return VideoReader(path).facts


def iter_frames(path: Path | str, threads: int = 1) -> Iterator[Frame]:
    """Yield all frames of a video in the order of showing; see `VideoReader` for the arguments and errors.

    Frames that damage could have touched are left out; the times and indices of the others are not changed by that.
    """
    yield from VideoReader(path, threads).frames()


def sample_frames(path: Path | str, sampling: Sampling, threads: int = 1) -> Iterator[Frame]:
    """Yield the frames of a video that ``sampling`` chooses; see `VideoReader` for the rest.

    They are exactly those that choosing from `iter_frames` would give, but only what they need is decoded.
    """
    yield from VideoReader(path, threads).sample(sampling)


def read_frame(path: Path | str, pts: int) -> Frame:
    """Return the frame of a video with a given stamp; see `VideoReader.frame`."""
    return VideoReader(path).frame(pts)


def tidy_time(text: str | None) -> str | None:
    """Return a container's creation time as ``YYYY-MM-DD HH:MM:SS``; None if it is absent, unset or unreadable.

    The clock reading is kept as it stands: by the standard it is UTC, but many cameras write local time there.

    Example:
        >>> tidy_time("2017-09-26T16:57:49.000000Z")
        '2017-09-26 16:57:49'
        >>> tidy_time("1970-01-01T00:00:00.000000Z") is None
        True
    """
    try:
        time = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return None if time.year <= NEVER_SET_YEAR else time.strftime("%Y-%m-%d %H:%M:%S")
