"""The packets of a video, listed without decoding: stamps, keyframes, and what is damaged or missing.

P is the number of picture packets in the order of the file, which is the order of decoding; a packet's *row* is its
place in it. Stamps are integers in units of the stream's time base; `NO_STAMP` stands for a missing one. A row's
*entry* is the row from which decoding must start to get its frame exactly.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av.error
import numpy as np
from numpy.typing import NDArray

from mekiki.media import avi, h264
from mekiki.media.containers import Container, Stream, open_container, picture_stream

NO_STAMP = int(np.iinfo(np.int64).min)
MAX_READ_ERRORS = 100  # in a row; a cut-off MP4 gives one for each packet that is not there
TINY_BYTES = 16
NEAR = 16  # packets
MAX_REORDER = 32  # places between decoding and showing; no codec has more than 16
MAX_KEYS_BACK = 8  # how many entries before its own a frame may be shown
MAX_UNEVEN_SHARE = 0.02  # of the distances between frames, in a video that counts as even
STREAMS_CUT_ANYWHERE = ("mpegts", "mpeg")  # may begin with frames that depend on what is not there
HIDDEN_FRAME_CODECS = ("vp8",)  # some packets hold frames that are never shown
COMPACT_CODECS = ("mpeg4", "msmpeg4v1", "msmpeg4v2", "msmpeg4v3", "wmv1", "wmv2", "h263", "flv1")


@dataclass(slots=True)
class Packets:
    """Everything that is known of the packets before decoding; all arrays are ``(P,)``."""

    pts: NDArray[np.int64]
    entry: NDArray[np.int64]  # -1: nothing before it to decode from
    is_shown: NDArray[np.bool_]  # False: cut away by the edit list, without an entry, or at an unknown time
    is_damaged: NDArray[np.bool_]
    is_disposable: NDArray[np.bool_]  # no other frame is predicted from it
    time_base: Fraction
    codec: str
    step: int  # usual distance between frames; 0 if unknown
    last_duration: int  # of the frame shown last; 0 if unknown
    n_read_errors: int  # reads that failed, and gaps: data that should be there and is not
    has_true_stamps: bool  # distinct, none missing, in the order of showing
    has_silent_packets: bool  # some packets may give no frame of their own
    has_counts: bool  # stamps count packets (AVI): they do not tell the order of showing


def iter_packets(container: Container, stream: Stream, errors: list[str]) -> Iterator[Any]:
    """Yield the picture packets in the order of the file, going on after what cannot be read.

    Empty packets (AVI writes them for a frame that was dropped) are left out.

    Args:
        container: An open container.
        stream: Its picture stream.
        errors: Gets one line for each read that failed.
    """
    n_failed = 0
    while n_failed < MAX_READ_ERRORS:
        try:
            for packet in container.demux(stream):
                if packet.size:
                    n_failed = 0
                    yield packet
            return
        except av.error.FFmpegError as error:
            n_failed += 1
            errors.append(str(error.strerror))


def list_packets(path: Path) -> Packets:
    """Read through a video without decoding it.

    Raises:
        UnreadableError: If it cannot be opened; see `open_container`.
    """
    with open_container(path) as container:
        stream = picture_stream(path, container)
        decoder = stream.codec_context
        rows = _Rows(path, container.format.name, decoder.codec.canonical_name, bool(decoder.has_b_frames))
        if rows.demuxer == "avi":
            rows.avi_index = avi.read_index(stream)
        inspector = h264.Inspector(decoder.extradata) if rows.codec == "h264" else None
        errors: list[str] = []
        for packet in iter_packets(container, stream, errors):
            rows.add(packet, inspector)
        return rows.finish(stream.time_base, len(errors))


@dataclass(slots=True)
class _Rows:
    """Collects what one pass over the packets shows, and draws the conclusions at its end."""

    path: Path
    demuxer: str
    codec: str
    may_reorder: bool
    avi_index: dict[int, int] = field(default_factory=dict)
    pts: list[int] = field(default_factory=list)
    dts: list[int] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    durations: list[int] = field(default_factory=list)
    has_key: bool = False
    flags: list[tuple[bool, ...]] = field(default_factory=list)  # key, corrupt, shown, disposable, after a loss

    def add(self, packet: Any, inspector: h264.Inspector | None) -> None:
        """Take note of one packet."""
        is_key = bool(packet.is_keyframe)
        unit = h264.Unit(is_entry=is_key, is_disposable=False, follows_loss=False)
        if inspector:
            unit = inspector.look(bytes(memoryview(packet)[: h264.HEAD_BYTES]))
            is_key = is_key and (unit.is_entry or not self.has_key)
            self.has_key = self.has_key or is_key
        pts, dts = packet.pts, packet.dts
        self.pts.append(NO_STAMP if pts is None and dts is None else dts if pts is None else pts)
        self.dts.append(NO_STAMP if dts is None else dts)
        self.places.append(-1 if packet.pos is None else packet.pos)
        self.sizes.append(packet.size)
        self.durations.append(packet.duration or 0)
        is_shown, follows_loss = not packet.is_discard, unit.follows_loss and not is_key
        self.flags.append((is_key, bool(packet.is_corrupt), is_shown, unit.is_disposable, follows_loss))

    def finish(self, time_base: Fraction, n_read_errors: int) -> Packets:
        """Return the table."""
        pts, dts = np.array(self.pts, np.int64), np.array(self.dts, np.int64)
        places, sizes = np.array(self.places, np.int64), np.array(self.sizes, np.int64)
        flags = np.array(self.flags, np.bool_).reshape(-1, 5)
        is_key, is_damaged, is_shown, is_disposable, follows_loss = flags.T.copy()
        from_one_point = False
        if self.demuxer == "avi" and len(pts):
            pts = dts = dts.copy()  # any other stamps are FFmpeg's guess
            checked = avi.check_index(self.avi_index, places, dts)
            if checked:
                shift, is_listed, is_after_gap = checked
                pts += shift
                is_damaged, is_shown = is_damaged | ~is_listed, is_shown & is_listed
            else:  # times are certain only as long as no chunk is missing
                from_one_point, is_after_gap = True, avi.check_chain(self.path, places, sizes)
            follows_loss |= is_after_gap
        step = _usual_step(pts)
        if self.codec != "h264":  # which counts its frames itself
            follows_loss |= _follows_a_loss(self.demuxer, pts, dts, places, sizes)
        if self.demuxer == "mpegts":  # the parser hands on a packet one late: the mark may mean the next
            is_damaged[1:] |= is_damaged[:-1].copy()
        is_damaged |= follows_loss & (~is_key | from_one_point)
        if self.demuxer not in STREAMS_CUT_ANYWHERE:
            is_key[:1] = True  # where it is none, the packet is damaged: decoding it will show
        entry = find_entries(pts, is_key, from_one_point)
        if self.demuxer == "mpeg":  # stamps around a loss are inferred, and wrong
            for row in np.flatnonzero(follows_loss):
                near = entry[max(0, row - NEAR) : row + NEAR]
                is_damaged[near[near >= 0]] = True
        if from_one_point and is_damaged[entry < 0].any():
            is_damaged |= True
        is_shown &= entry >= 0
        has_true_stamps = self._has_true_stamps(pts[is_shown], dts)
        return Packets(
            pts=pts,
            entry=entry,
            is_shown=is_shown,
            is_damaged=is_damaged,
            is_disposable=is_disposable & has_true_stamps & (not from_one_point),
            time_base=time_base,
            codec=self.codec,
            step=step,
            last_duration=(self.durations[int(np.argmax(pts))] or step) if self.durations else 0,
            n_read_errors=n_read_errors + int((follows_loss & ~is_damaged).sum()),
            has_true_stamps=has_true_stamps,
            has_silent_packets=self.codec in HIDDEN_FRAME_CODECS
            or (self.codec in COMPACT_CODECS and bool(np.any(sizes < TINY_BYTES))),
            has_counts=self.demuxer == "avi",
        )

    def _has_true_stamps(self, shown: NDArray[np.int64], dts: NDArray[np.int64]) -> bool:
        if self.demuxer == "avi" and self.may_reorder:
            return False
        are_distinct = len(np.unique(shown)) == len(shown) and not np.any(shown == NO_STAMP)
        never_jump_back = bool(np.all(np.diff(dts[dts != NO_STAMP]) >= 0))
        places_moved = np.abs(np.argsort(np.argsort(shown)) - np.arange(len(shown)))
        return are_distinct and never_jump_back and bool(np.all(places_moved <= MAX_REORDER))


def _usual_step(pts: NDArray[np.int64]) -> int:
    steps = np.diff(np.unique(pts[pts != NO_STAMP]))
    return int(np.median(steps)) if len(steps) else 0


def find_entries(pts: NDArray[np.int64], is_key: NDArray[np.bool_], from_one_point: bool) -> NDArray[np.int64]:
    """Return for each row the last key row that is decoded no later and shown no later; -1 where there is none.

    Args:
        pts: ``(P,)`` stamps.
        is_key: ``(P,)`` whether decoding can start there.
        from_one_point: Only the first key row counts.
    """
    entry = np.full(len(pts), -1, np.int64)
    keys: deque[int] = deque(maxlen=MAX_KEYS_BACK)  # the latest first
    stamps = pts.tolist()
    for row, (stamp, is_entry) in enumerate(zip(stamps, is_key.tolist(), strict=True)):
        if is_entry and not (keys and from_one_point):
            keys.appendleft(row)
        entry[row] = next((key for key in keys if stamps[key] <= stamp or stamp == NO_STAMP), -1)
    return entry


def _follows_a_loss(
    demuxer: str,
    pts: NDArray[np.int64],
    dts: NDArray[np.int64],
    places: NDArray[np.int64],
    sizes: NDArray[np.int64],
) -> NDArray[np.bool_]:
    """Find rows before which the demuxer skipped damaged bytes without a word; for codecs that do not count frames.

    In a video of even rate (MPEG streams, ASF) time that is missing is enough. In Matroska, whose rate may vary, more
    bytes must be missing as well than the container needs for itself.
    """
    found = np.zeros(len(pts), np.bool_)
    step = _usual_step(pts)
    if len(pts) < 3 or not step:
        return found
    if demuxer == "matroska":
        ordered = np.unique(pts)
        after_gap = ordered[1:][np.diff(ordered) > 1.5 * step]
        skipped = np.diff(places) - sizes[:-1]
        for row in np.flatnonzero(skipped > 4 * np.percentile(skipped, 95) + 256) + 1:
            found[row] = bool(np.isin(pts[row : row + NEAR], after_gap).any())
    elif demuxer in ("asf", "mpegts", "mpeg"):
        is_gap = np.diff(dts) > 1.5 * step
        if is_gap.mean() <= MAX_UNEVEN_SHARE:
            found[1:] = is_gap
    return found
