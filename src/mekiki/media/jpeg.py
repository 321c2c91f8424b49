"""JPEG: decoded by libjpeg-turbo at full, half, quarter or eighth size, and refused when cut short or damaged.

JPEG carries no checksum, so damage that leaves its codes valid cannot be told from a picture. What can be told is:
the end marker is missing (truncated), or the decoder lost its place (damaged). A picture that is whole but untidily
written, such as by cameras that pad their files, is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import simplejpeg

from mekiki.errors import UnreadableError
from mekiki.media.codecs import MAX_PICTURE_PX, check_size
from mekiki.records import Image

MAX_SCANNED_PX = 10 * MAX_PICTURE_PX
"""Scans times pixels: a progressive file of a few kilobytes can ask for hours of work otherwise."""

MAX_STRAY_BYTES = 16
"""Up to so many unused bytes before a marker are untidiness; more mean that the decoder lost its place."""

END_MARKER = b"\xff\xd9"

_START_OF_SCAN, _END, _APP1 = 0xDA, 0xD9, 0xE1
_STANDALONE = {0x01, *range(0xD0, 0xD9)}  # markers without a length
_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SEQUENTIAL = {0xC0, 0xC1}
_MAX_SEGMENTS = 100_000
_NEXT_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_EXIF = b"Exif\0\0"

_STRAY = re.compile(r"(\d+) extraneous bytes before marker 0x(\w\w)")
_CUT_SHORT = "Premature end of JPEG file"
# Remarks of libjpeg that are no sign of lost pixels.
_HARMLESS = ("unknown JFIF revision", "Unknown Adobe color transform", "Invalid SOS parameters", "bad ICC marker")


@dataclass(frozen=True, slots=True)
class JpegHeader:
    """What the segments before the pixels say. ``exif`` is a TIFF block, empty where there is none."""

    exif: bytes = b""
    has_many_scans: bool = False


@dataclass(frozen=True, slots=True)
class _Segment:
    marker: int
    start: int  # of its payload
    end: int


def read_jpeg_header(content: bytes) -> JpegHeader:
    """Walk the segments of a JPEG up to its pixels; a broken file gives what was found until then."""
    exif = b""
    is_sequential, n_channels = True, 0
    for segment in _iter_segments(content):
        payload = content[segment.start : segment.end]
        if segment.marker == _APP1 and payload.startswith(_EXIF) and not exif:
            exif = payload[len(_EXIF) :]
        elif segment.marker in _FRAMES and len(payload) > 5:
            is_sequential, n_channels = segment.marker in _SEQUENTIAL, payload[5]
        elif segment.marker == _START_OF_SCAN:
            return JpegHeader(exif, not is_sequential or payload[:1] != bytes([n_channels]))
    return JpegHeader(exif)


def find_jpeg_end(content: bytes) -> int | None:
    """Find where the end marker of the main picture is; None for a file that is cut short.

    End markers of embedded previews, before or after the main picture, are not taken for it.
    """
    for segment in _iter_segments(content):
        if segment.marker == _END:
            return segment.start - len(END_MARKER)
    return None


def decode_jpeg(
    content: bytes, name: Path | str, *, at_least_px: int | None, allow_truncated: bool
) -> tuple[Image, int, int] | None:
    """Decode a JPEG as it is stored, without turning it.

    Args:
        content: The whole file.
        name: What errors call it.
        at_least_px: The short side may come out smaller than stored, but not below this.
        allow_truncated: Read what is there of a file whose end is missing; the rest comes out grey.

    Returns:
        ``(H, W, 3)`` uint8 RGB, and the full width and height; None for a kind of JPEG that libjpeg-turbo does not
        turn into RGB (inks, 12 bits, odd subsampling, odd headers), to be tried elsewhere.

    Raises:
        UnreadableError: If it is truncated, damaged or absurdly large.
    """
    try:
        height_px, width_px, colour_space, _ = simplejpeg.decode_jpeg_header(content, strict=False)
    except (ValueError, KeyError):  # KeyError: a subsampling that it has no name for
        return None
    check_size(width_px, height_px, name)
    check_scans(content, width_px * height_px, name)
    if colour_space in ("CMYK", "YCCK"):
        return None
    divisor = choose_divisor(min(width_px, height_px), at_least_px)
    wanted = {"min_height": -(-height_px // divisor), "min_width": -(-width_px // divisor)}
    try:
        pixels = simplejpeg.decode_jpeg(content, **wanted)
    except ValueError as error:
        _judge(str(error), content, name, allow_truncated)
        try:
            pixels = simplejpeg.decode_jpeg(content, strict=False, **wanted)
        except ValueError:  # some remarks on the header are final for it even so
            return None
    return pixels, width_px, height_px


def choose_divisor(short_side_px: int, at_least_px: int | None) -> int:
    """Choose by how much a JPEG may be shrunk while it is decoded.

    Only halves, quarters and eighths: the sizes between decode more slowly than the whole picture.

    Example:
        >>> choose_divisor(3000, 448), choose_divisor(3000, 224), choose_divisor(3000, None)
        (4, 8, 1)
    """
    if at_least_px is None:
        return 1
    return next((divisor for divisor in (8, 4, 2) if -(-short_side_px // divisor) >= at_least_px), 1)


def check_scans(content: bytes, n_px: int, name: Path | str) -> None:
    """Refuse a JPEG that goes over its pixels so often that it can only be an attack.

    Raises:
        UnreadableError: If scans times pixels exceed `MAX_SCANNED_PX`.
    """
    if not read_jpeg_header(content).has_many_scans:
        return
    n_scans = sum(segment.marker == _START_OF_SCAN for segment in _iter_segments(content))
    if n_scans * n_px > MAX_SCANNED_PX:
        raise UnreadableError(name, f"absurd JPEG: {n_scans} scans of {n_px} pixels")


def refuse_truncated(name: Path | str) -> NoReturn:
    """Raise the error for a JPEG whose end is missing.

    Raises:
        UnreadableError: Always.
    """
    raise UnreadableError(name, "truncated JPEG: the end of the file is missing")


def _judge(remark: str, content: bytes, name: Path | str, allow_truncated: bool) -> None:
    """Return if the picture is readable in spite of what the decoder remarked, and raise if it is not.

    The decoder stops at its first remark, so damage behind a harmless one is not seen; a missing end is.
    """
    end = find_jpeg_end(content)
    if _CUT_SHORT not in remark and not _is_harmless(remark, content, end):
        raise UnreadableError(name, f"damaged JPEG: {remark}")
    if (end is None or _CUT_SHORT in remark) and not allow_truncated:
        refuse_truncated(name)


def _is_harmless(remark: str, content: bytes, end: int | None) -> bool:
    stray = _STRAY.search(remark)
    if stray is None:
        return any(harmless in remark for harmless in _HARMLESS)
    n_stray, marker = int(stray[1]), int(stray[2], 16)
    is_padding = marker == _END and end is not None and len(set(content[end - n_stray : end])) == 1
    return n_stray <= MAX_STRAY_BYTES or is_padding


def _iter_segments(content: bytes) -> Iterator[_Segment]:
    """Yield the segments of the main picture, its scans and its end marker, as far as they can be followed."""
    at = 2
    for _ in range(_MAX_SEGMENTS):
        found = _NEXT_MARKER.search(content, at)
        if found is None:
            return
        marker, at = content[found.end() - 1], found.end()
        if marker == _END:
            yield _Segment(marker, at, at)
            return
        if marker in _STANDALONE:
            continue
        end = at + int.from_bytes(content[at : at + 2], "big")
        if end > len(content):
            return
        yield _Segment(marker, at + 2, end)
        at = max(end, at + 2)
