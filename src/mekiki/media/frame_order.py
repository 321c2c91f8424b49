"""The frames of a video in the order of showing, each with its stamp and the packet that it comes from.

In most files the packets tell all of it. Whether that holds is tried out on a few frames; where it does not (fields
stored apart, hidden frames, AVI with reordered frames, missing or repeated stamps) everything is decoded once to see
what comes out. F is the number of frames.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mekiki.errors import UnreadableError
from mekiki.media.decoding import STRICTNESS, Decoding
from mekiki.media.display_matrix import Turn, read_turn
from mekiki.media.packets import NO_STAMP, Packets, find_entries
from mekiki.media.sampling import Timeline

N_TRIED = 5  # frames of a trial
N_ENTRIES_TRIED = 3  # the first one included


@dataclass(frozen=True, slots=True)
class FrameOrder:
    """The frames that a file has, damaged ones included, in the order of showing."""

    rows: NDArray[np.int64]  # (F,) row of each frame's packet; F is at least 1
    pts: NDArray[np.int64]  # (F,) strictly rising
    packets: Packets
    is_strict: bool  # how the decoder is to treat damage; see Decoding
    picture_hw: tuple[int, int]  # as stored
    turn: Turn

    @property
    def time_base(self) -> Fraction:
        """Seconds per unit of a stamp."""
        return self.packets.time_base

    @property
    def duration_s(self) -> float:
        """From the first frame to the end of the last; 0 where a single frame does not say how long it lasts."""
        return float((int(self.pts[-1] - self.pts[0]) + self.packets.last_duration) * self.time_base)

    @property
    def fps(self) -> float | None:
        """Mean number of frames per second; None for a single frame."""
        span = int(self.pts[-1] - self.pts[0])
        return float((len(self.pts) - 1) / (span * self.time_base)) if span else None

    def time_s(self, pts: int) -> float:
        """Return a stamp's time in seconds from the first frame."""
        return float((pts - int(self.pts[0])) * self.time_base)

    def timeline(self) -> Timeline:
        """Return the times of all frames."""
        return Timeline(
            times_s=(self.pts - self.pts[0]) * self.time_base.numerator / self.time_base.denominator,
            is_key=self.packets.entry[self.rows] == self.rows,
            duration_s=self.duration_s,
            tick_s=float(self.time_base),
        )


def find_frame_order(path: Path, packets: Packets, threads: int = 1) -> FrameOrder:
    """Find out which frames a video shows, when, and that at least one of them can be decoded.

    Args:
        path: The file.
        packets: Its packets.
        threads: How many threads decode.

    Raises:
        UnreadableError: If there is no frame, or not one can be decoded.
    """
    shown = np.flatnonzero(packets.is_shown)
    if not len(shown):
        if len(packets.pts):
            raise all_damaged(path, len(packets.pts))
        raise UnreadableError(path, "it holds no frame: nothing was recorded, or it was cut off")
    trial = _Trial.run(path, packets, shown)
    packets = trial.doubt(packets)
    rows = shown[np.argsort(packets.pts[shown], kind="stable")]
    if packets.has_silent_packets or not packets.has_true_stamps:
        rows, packets = _decode_order(Decoding(path, packets, threads, trial.is_strict))
    return FrameOrder(rows, packets.pts[rows], packets, trial.is_strict, trial.picture_hw, trial.turn)


@dataclass(frozen=True, slots=True)
class _Trial:
    """What the first frames say when they are decoded, and the next entries, each by itself."""

    rows: list[int]  # in the order in which frames came out
    wanted: list[int]
    are_entries_whole: bool
    is_damaged: bool
    is_strict: bool
    picture_hw: tuple[int, int]
    turn: Turn

    @staticmethod
    def run(path: Path, packets: Packets, shown: NDArray[np.int64]) -> _Trial:
        """Decode a few frames; if they are damaged, go on to the first that is not."""
        wanted = shown[:N_TRIED].tolist()
        entries = [row for row in shown.tolist() if packets.entry[row] == row][1:N_ENTRIES_TRIED]
        tried = replace(_without_disposables(packets), has_true_stamps=False)  # show frames as they come
        is_strict = packets.codec not in STRICTNESS or _bears_strictness(path, packets, shown)
        decoding = Decoding(path, tried, is_strict=is_strict)
        rows = []
        look: tuple[tuple[int, int], Turn] | None = None
        for row, picture in decoding.frames([*wanted, *entries]):
            look = look or _look_at(picture)
            rows.append(row)
        if look is None:
            for _, picture in itertools.islice(Decoding(path, packets, is_strict=is_strict).frames(shown.tolist()), 1):
                look = _look_at(picture)
        if look is None:
            raise all_damaged(path, len(shown))
        return _Trial(
            rows=[row for row in rows if row in wanted],
            wanted=wanted,
            are_entries_whole=not decoding.false_entries,
            is_damaged=any(row <= wanted[-1] for row in decoding.damaged_rows),
            is_strict=is_strict,
            picture_hw=look[0],
            turn=look[1],
        )

    def doubt(self, packets: Packets) -> Packets:
        """Believe the packets no further than the trial bears them out."""
        if not self.are_entries_whole:
            packets = _from_one_point(packets)
        stamps = packets.pts[self.rows].tolist()
        is_complete = len(self.rows) == len(self.wanted) or self.is_damaged
        return replace(
            packets,
            has_true_stamps=packets.has_true_stamps and stamps == sorted(stamps),
            has_silent_packets=packets.has_silent_packets or not is_complete,
        )


def _look_at(picture: Any) -> tuple[tuple[int, int], Turn]:
    return (picture.height, picture.width), read_turn(picture)


def _bears_strictness(path: Path, packets: Packets, shown: NDArray[np.int64]) -> bool:
    """Tell whether any of a few frames passes the strict check; if none does, it is a camera's dialect, not damage."""
    entries = np.flatnonzero(packets.is_shown & (packets.entry == np.arange(len(packets.entry))))
    spread = entries[:: max(1, len(entries) // N_TRIED)]
    return any(True for _ in Decoding(path, packets).frames([*shown[:N_TRIED].tolist(), *spread.tolist()]))


def _without_disposables(packets: Packets) -> Packets:
    return replace(packets, is_disposable=np.zeros_like(packets.is_disposable))


def _from_one_point(packets: Packets) -> Packets:
    entry = find_entries(packets.pts, packets.entry == np.arange(len(packets.entry)), from_one_point=True)
    return replace(_without_disposables(packets), entry=entry)


def _decode_order(decoding: Decoding) -> tuple[NDArray[np.int64], Packets]:
    """Decode everything to see which frames come out in which order, and mend their stamps where they need it."""
    packets = decoding.packets
    counts_only = packets.has_counts and not packets.has_true_stamps
    decoding.packets = _from_one_point(packets) if counts_only else _without_disposables(packets)
    shown = np.flatnonzero(packets.is_shown)
    rows = np.array([row for row, _ in decoding.frames(shown.tolist())], np.int64)
    pts, entry = packets.pts.copy(), packets.entry
    if counts_only:
        rows = rows[: _n_certain(rows, shown, decoding.damaged_rows)]
        pts[rows] = np.sort(packets.pts[shown])[: len(rows)]
        entry = find_entries(pts, entry == np.arange(len(entry)), from_one_point=False)
    elif not packets.has_true_stamps:
        pts[rows] = mend_stamps(pts[rows], packets.step or 1)
    if not len(rows):
        raise all_damaged(decoding.path, len(shown))
    is_shown, is_damaged = np.isin(np.arange(len(pts)), rows), packets.is_damaged.copy()
    is_damaged[decoding.damaged_rows] = True
    return rows, replace(decoding.packets, pts=pts, is_shown=is_shown, entry=entry, is_damaged=is_damaged)


def _n_certain(rows: NDArray[np.int64], shown: NDArray[np.int64], damaged: list[int]) -> int:
    """Return how many of the frames that came out are surely not preceded by a lost one.

    A frame is shown at most so many places earlier than it is decoded as was seen in the frames that did come out.
    """
    lost = [row for row in damaged if row >= shown[0]] + np.setdiff1d(shown, rows)[:1].tolist()
    if not lost:
        return len(rows)
    places = np.searchsorted(shown, rows)  # in the order of decoding
    reach = max(2, int(np.max(places - np.arange(len(rows)), initial=0)))
    return max(0, int(np.searchsorted(shown, min(lost))) - reach)


def all_damaged(path: Path, n_frames: int) -> UnreadableError:
    """Return the error for a file of which no frame can be decoded."""
    return UnreadableError(path, f"not one of its {n_frames} frames can be decoded: all are damaged")


def mend_stamps(stamps: NDArray[np.int64], step: int) -> NDArray[np.int64]:
    """Return strictly rising stamps for frames in the order of showing.

    A frame keeps its stamp if that is later than its predecessor's, and gets the predecessor's plus ``step`` if not.

    Args:
        stamps: ``(F,)``; `NO_STAMP` where one is missing. F may be 0.
        step: Usual distance of two frames, at least 1.

    Returns:
        ``(F,)`` int64, a new array.

    Example:
        >>> mend_stamps(np.array([0, 40, 40, 120]), step=40)
        array([  0,  40,  80, 120])
    """
    mended: list[int] = []
    for stamp in stamps.tolist():
        if stamp == NO_STAMP or (mended and stamp <= mended[-1]):
            stamp = mended[-1] + step if mended else 0
        mended.append(stamp)
    return np.array(mended, np.int64)
