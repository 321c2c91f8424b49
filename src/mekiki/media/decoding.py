"""Decoding chosen frames: only the stretches that they need, and never a frame that damage could have touched.

A frame depends on the packets from its entry to itself (see `mekiki.media.packets`), disposable ones excepted. It is
lost if any of these is damaged: marked so by the container, refused by the decoder, or patched up by it. Frames are
held back until everything that was decoded before them has come out sound, so that the same frames are lost whether a
file is decoded from its beginning or from any entry.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import av.error

from mekiki.media.containers import MAX_PIXELS, Stream, open_container, picture_stream
from mekiki.media.packets import NO_STAMP, Packets, iter_packets

MAX_DELAY = 32  # packets; no decoder holds a frame back for longer
NOT_BEGUN = 1 << 62

# Decoders that pass over damage in silence unless they are told to look for it.
STRICTNESS = {"mjpeg": "explode", "hevc": "explode"} | dict.fromkeys(
    ("msmpeg4v1", "msmpeg4v2", "msmpeg4v3", "wmv1", "wmv2", "h263", "flv1"), "buffer+explode"
)


class Decoding:
    """One way to decode a file's frames; keeps what it learns about damage.

    Args:
        path: The file.
        packets: Its packets.
        threads: How many threads the decoder may use; more than one loses a few more frames around damage.
        is_strict: Whether silent decoders are told to look for damage.
    """

    def __init__(self, path: Path, packets: Packets, threads: int = 1, is_strict: bool = True) -> None:
        self.path = path
        self.packets = packets
        self.threads = threads
        self.is_strict = is_strict
        self.damaged_rows: list[int] = packets.is_damaged.nonzero()[0].tolist()  # sorted
        self.false_entries: set[int] = set()  # rows that are no entries, although the packets say so

    def is_sound(self, row: int) -> bool:
        """Tell whether nothing is known to be damaged that the frame of this row depends on."""
        entry = int(self.packets.entry[row])
        if entry < 0:
            return False
        begin, end = bisect_left(self.damaged_rows, entry), bisect_right(self.damaged_rows, row)
        for damaged in self.damaged_rows[begin:end]:
            is_disposable = self.packets.is_disposable[damaged] and damaged != row
            is_leading = self.packets.entry[damaged] < entry  # shown before the entry: nothing after that needs it
            if not is_disposable and not is_leading:
                return False
        return True

    def frames(self, rows: Sequence[int]) -> Iterator[tuple[int, Any]]:
        """Yield ``(row, av.VideoFrame)`` for the rows that can be decoded soundly, in the order of showing.

        Args:
            rows: Wanted rows, in any order; all must have an entry.
        """
        if not len(rows):
            return
        wanted = {int(row) for row in rows}
        with open_container(self.path) as container:
            stream = picture_stream(self.path, container)
            stretches = _plan_stretches(self.packets, sorted(wanted))
            yield from _Walk(self, stream, wanted).run(iter_packets(container, stream, []), stretches)

    def prepare(self, stream: Stream) -> Any:
        """Return the stream's decoder, set up."""
        decoder = stream.codec_context
        decoder.thread_count = self.threads
        decoder.thread_type = "FRAME" if self.threads > 1 else "SLICE"
        decoder.options = {"max_pixels": str(MAX_PIXELS)}
        if self.is_strict and self.packets.codec in STRICTNESS:
            decoder.options = decoder.options | {"err_detect": STRICTNESS[self.packets.codec]}
        return decoder

    def note_damage(self, row: int) -> None:
        """Remember that a row's packet is damaged."""
        at = bisect_left(self.damaged_rows, row)
        if at == len(self.damaged_rows) or self.damaged_rows[at] != row:
            insort(self.damaged_rows, row)


class _Walk:
    """One pass over a file's packets, with the frames that are still held back."""

    def __init__(self, decoding: Decoding, stream: Stream, wanted: set[int]) -> None:
        self.decoding = decoding
        self.decoder = decoding.prepare(stream)
        self.wanted = wanted
        self.held: deque[tuple[int, Any]] = deque()  # in the order of showing
        self.inside: set[int] = set()  # rows in the decoder, their frames not yet out
        self.begun_at = NOT_BEGUN  # the entry at which the decoder was started
        self.latest_entry = NOT_BEGUN
        self.last_stamp = NO_STAMP  # of the frame given out last; one that is not later has a stamp that lies

    def run(self, packets: Iterator[Any], stretches: list[tuple[int, int]]) -> Iterator[tuple[int, Any]]:
        """Decode the stretches and yield the wanted frames."""
        table, ahead = self.decoding.packets, deque(stretches)
        for row, packet in enumerate(packets):
            while ahead and row > ahead[0][1]:
                yield from self.stop()
                ahead.popleft()
            if not ahead:
                return
            if row < ahead[0][0]:
                continue
            if self.begun_at == NOT_BEGUN and table.entry[row] == row:
                self.begun_at = row
            if table.entry[row] == row and self.begun_at != NOT_BEGUN:
                self.latest_entry = row
            if table.entry[row] < self.begun_at:  # shown before the entry at which decoding began: nothing needs it
                continue
            if not self.decoding.is_sound(row):
                is_leading = table.entry[row] < self.latest_entry
                if not is_leading and not table.is_disposable[row]:  # then nothing is sound up to the next entry
                    yield from self.stop()
            elif row in self.wanted or not table.is_disposable[row]:
                self.feed(row, packet)
                yield from self.release()
        yield from self.stop()

    def feed(self, row: int, packet: Any) -> None:
        """Decode one packet; the row travels through the decoder in place of the stamp."""
        packet.pts = packet.dts = row
        self.inside = {one for one in self.inside if one > row - MAX_DELAY - self.decoding.threads}
        if self.decoding.packets.is_shown[row]:
            self.inside.add(row)
        try:
            self.take(self.decoder.decode(packet))
        except av.error.FFmpegError:  # with several threads it may be an earlier packet's
            self.decoding.note_damage(max(self.begun_at, row - self.decoding.threads + 1))
            self.inside.discard(row)

    def take(self, frames: list[Any]) -> None:
        """Sort out what the decoder hands over."""
        for frame in frames:
            row = frame.pts
            if row is None:
                continue
            self.inside.discard(row)
            is_false_entry = row == self.decoding.packets.entry[row] and not frame.key_frame
            if is_false_entry:
                self.decoding.false_entries.add(row)
            if frame.is_corrupt or is_false_entry:
                self.decoding.note_damage(row)
            elif row in self.wanted:
                self.held.append((row, frame))

    def release(self) -> Iterator[tuple[int, Any]]:
        """Yield the frames whose soundness is settled; drop those that are lost."""
        while self.held and not any(row < self.held[0][0] for row in self.inside):
            row, frame = self.held.popleft()
            stamp = int(self.decoding.packets.pts[row])
            is_in_order = stamp > self.last_stamp or not self.decoding.packets.has_true_stamps
            if is_in_order and self.decoding.is_sound(row):
                self.last_stamp = stamp
                yield row, frame

    def stop(self) -> Iterator[tuple[int, Any]]:
        """Get everything out of the decoder and make it forget; yield what is sound."""
        if self.begun_at != NOT_BEGUN:
            try:
                self.take(self.decoder.decode(None))
            except av.error.FFmpegError:
                for row in sorted(self.inside):
                    self.decoding.note_damage(row)
            self.decoder.flush_buffers()
            self.inside.clear()
            self.begun_at = NOT_BEGUN
            yield from self.release()


def _plan_stretches(packets: Packets, rows: list[int]) -> list[tuple[int, int]]:
    """Return the first and last row of each stretch to decode, in order and without overlap."""
    stretches: list[tuple[int, int]] = []
    for row in rows:
        first = int(packets.entry[row])
        while stretches and first <= stretches[-1][1]:
            first = min(first, stretches.pop()[0])
        stretches.append((first, row))
    return stretches
