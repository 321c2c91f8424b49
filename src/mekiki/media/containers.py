"""Opening a video file: which container it is by content, and in words why it cannot be opened.

FFmpeg is never asked to guess and never given a web address: the demuxer is forced from the first bytes, and only the
``file`` protocol is allowed. Playlists and scripts (HLS, ``ffconcat``), which could name other files or addresses, are
therefore no videos.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import av
import av.error

from mekiki.errors import UnreadableError

Container = Any
"""An open ``av.container.InputContainer``."""

Stream = Any
"""An ``av.video.stream.VideoStream``."""

HEAD_BYTES = 4096
ATTACHED_PICTURE = 0x400  # FFmpeg's AV_DISPOSITION_ATTACHED_PIC
DEFAULT_STREAM = 0x1  # FFmpeg's AV_DISPOSITION_DEFAULT
MAX_PIXELS = 1 << 27
"""Larger pictures (134 megapixels) are refused: no camera makes them, and one of them fills 400 MB."""

MAX_BOXES = 100_000
MP4_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot", b"moof", b"styp")
MPEGTS_UNITS = (188, 192, 204)  # bytes; 192 has a time code in front (camcorders), 204 a check sum behind


def sniff_container(head: bytes) -> str | None:
    """Return FFmpeg's name of the video container that starts with these bytes, or None.

    Args:
        head: The first bytes of a file; `HEAD_BYTES` of them settle every case.

    Returns:
        ``mov`` (also MP4, M4V, 3GP), ``avi``, ``matroska`` (also WebM), ``asf`` (also WMV), ``mpegts`` (also MTS) or
        ``mpeg`` (program stream). None for everything else, text and playlists included.

    Example:
        >>> sniff_container(b"RIFF1234AVI LIST")
        'avi'
        >>> sniff_container(b"#EXTM3U") is None
        True
    """
    if head[4:8] in MP4_BOXES:
        return "mov"
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return "avi"
    if head[:4] == b"\x1a\x45\xdf\xa3":
        return "matroska"
    if head[:4] == b"\x30\x26\xb2\x75":
        return "asf"
    if head[:4] == b"\x00\x00\x01\xba":
        return "mpeg"
    return "mpegts" if _is_mpegts(head) else None


def open_container(path: Path) -> Container:
    """Open a video file for demuxing; the caller closes it.

    Args:
        path: A file. A web address or a protocol prefix in it has no meaning: such a file does not exist.

    Returns:
        The open container, with at least one picture stream; see `picture_stream`.

    Raises:
        UnreadableError: If the file is missing, empty, cut off, no video, or has no picture stream.
    """
    head = _read_head(path)
    if not head:
        raise UnreadableError(path, "empty file (0 bytes)")
    demuxer = sniff_container(head)
    if demuxer is None:
        raise UnreadableError(path, "not a video: its content is no known video format")
    try:
        container = av.open(
            f"file:{os.fspath(path)}",
            format=demuxer,
            options={"protocol_whitelist": "file"},
            metadata_errors="replace",
        )
    except av.error.FFmpegError as error:
        raise UnreadableError(path, _why_not_opened(path, demuxer, error)) from error
    try:
        picture_stream(path, container)
    except UnreadableError:
        container.close()
        raise
    return container


def picture_stream(path: Path, container: Container) -> Stream:
    """Return the stream that holds the moving pictures.

    Args:
        path: The file, for the message.
        container: What `open_container` returned.

    Raises:
        UnreadableError: If there is none (sound only; a cover picture does not count), no decoder for it, or its
            pictures are absurdly large.
    """
    streams = [stream for stream in container.streams.video if not stream.disposition & ATTACHED_PICTURE]
    if not streams:
        has_sound = bool(container.streams.audio)
        raise UnreadableError(path, "it has no pictures: sound only" if has_sound else "it has no pictures")
    stream = max(streams, key=lambda one: bool(one.disposition & DEFAULT_STREAM))
    if stream.codec_context is None:
        raise UnreadableError(path, "its pictures are in a format that no decoder is known for")
    width_px, height_px = stream.codec_context.width, stream.codec_context.height
    if width_px * height_px > MAX_PIXELS:
        raise UnreadableError(path, f"absurdly large: {width_px} x {height_px} pixels")
    return stream


def _read_head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(HEAD_BYTES)
    except (FileNotFoundError, ValueError) as error:  # ValueError: no name of a file holds a NUL
        raise UnreadableError(path, "no such file") from error
    except IsADirectoryError as error:
        raise UnreadableError(path, "it is a folder, not a video") from error
    except OSError as error:
        raise UnreadableError(path, f"cannot be opened: {error.strerror}") from error


def _is_mpegts(head: bytes) -> bool:
    for unit in MPEGTS_UNITS:
        for first in range(unit):
            marks = head[first::unit]
            if len(marks) >= 3 and set(marks[:8]) == {0x47}:
                return True
    return False


def _why_not_opened(path: Path, demuxer: str, error: av.error.FFmpegError) -> str:
    if demuxer == "mov" and not _has_mp4_index(path):
        return "the index at its end is missing: the recording was cut off"
    return f"damaged beyond opening: {str(error.strerror).lower()}"


def _has_mp4_index(path: Path) -> bool:
    """Tell whether a ``moov`` or ``moof`` box lies at the top level of an MP4 file."""
    with path.open("rb") as file:
        size_of_file = os.fstat(file.fileno()).st_size
        start = 0
        for _ in range(MAX_BOXES):
            if start + 8 > size_of_file:
                return False
            file.seek(start)
            header = file.read(16)
            size, name = int.from_bytes(header[:4], "big"), header[4:8]
            if name in (b"moov", b"moof"):
                return True
            if size == 1:
                size = int.from_bytes(header[8:16], "big")
            if size < 8:  # 0: up to the end of the file
                return False
            start += size
    return False
