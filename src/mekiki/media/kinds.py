"""What a file is, told from its first bytes and never from its name."""

from __future__ import annotations

import re
from typing import Literal

from mekiki.records import IMAGE_SUFFIXES, VIDEO_SUFFIXES

__all__ = ["HEAD_BYTES", "IMAGE_SUFFIXES", "VIDEO_SUFFIXES", "PictureFormat", "sniff_format", "sniff_kind"]

PictureFormat = Literal["jpeg", "png", "webp", "bmp", "gif", "tiff", "pnm", "avif", "heic"]
"""``pnm`` is the family of PBM, PGM and PPM."""

HEAD_BYTES = 1024
"""How many of a file's first bytes `sniff_format` and `sniff_kind` want to see."""

_MAGIC: tuple[tuple[PictureFormat, re.Pattern[bytes]], ...] = (
    ("jpeg", re.compile(rb"\xff\xd8\xff")),
    ("png", re.compile(rb"\x89PNG\r\n\x1a\n")),
    ("webp", re.compile(rb"RIFF....WEBP", re.DOTALL)),
    ("gif", re.compile(rb"GIF8[79]a")),
    # `+` in place of `*` is BigTIFF.
    ("tiff", re.compile(rb"II[*+]\0|MM\0[*+]")),
    # Two letters are too few to tell; the size of the second header comes in few values.
    ("bmp", re.compile(rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0", re.DOTALL)),
    ("pnm", re.compile(rb"P[1-6]\s+[#\d]")),
)

_VIDEO_MAGIC = re.compile(
    rb"RIFF....AVI "
    rb"|\x1a\x45\xdf\xa3"  # EBML: Matroska, WebM
    rb"|\x30\x26\xb2\x75\x8e\x66\xcf\x11"  # ASF, WMV
    rb"|\0\0\x01[\xba\xb3]"  # MPEG program stream, MPEG video
    rb"|....(?:moov|mdat|wide|skip|free|pnot)",  # QuickTime older than ftyp
    re.DOTALL,
)

_AVIF_BRANDS = {b"avif", b"avis"}
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
_ANY_HEIF_BRANDS = {b"mif1", b"mif2", b"msf1"}
# The same box also opens sound, raw photos and other pictures, none of which is read here.
_OTHER_BRANDS = {b"M4A ", b"M4B ", b"M4P ", b"F4A ", b"F4B ", b"crx ", b"jp2 ", b"jxl "}

_TS_SYNC = 0x47
_TS_PACKETS = ((0, 188), (4, 192))  # (offset, length): plain, and with a time code before each packet
_TS_MIN_PACKETS = 3


def sniff_format(head: bytes) -> PictureFormat | None:
    r"""Name the picture format that the content is in; None for anything else.

    Args:
        head: The first `HEAD_BYTES` of a file, or all of a shorter one.

    Example:
        >>> sniff_format(b"P5\n640 480\n255\n")
        'pnm'
        >>> sniff_format(b"a text file") is None
        True
    """
    for name, magic in _MAGIC:
        if magic.match(head):
            return name
    brands = _brands(head)
    if not brands:
        return None
    if brands[0] in _AVIF_BRANDS:
        return "avif"
    if brands[0] in _HEIC_BRANDS:
        return "heic"
    if brands[0] in _ANY_HEIF_BRANDS:
        return "avif" if _AVIF_BRANDS.intersection(brands) else "heic"
    return None


def sniff_kind(head: bytes) -> Literal["image", "video"] | None:
    r"""Tell a picture from a video by content; None means that the content is no known format.

    Sound, documents and raw photos in a container of their own are None too. Raw photos that are built as a TIFF
    (NEF, DNG, ARW) look like one and count as pictures.

    Args:
        head: The first `HEAD_BYTES` of a file, or all of a shorter one. A transport stream needs at least three
            packets of 188 bytes to be told.

    Example:
        >>> sniff_kind(b"RIFF\x00\x00\x00\x00AVI LIST")
        'video'
    """
    if sniff_format(head) is not None:
        return "image"
    brands = _brands(head)
    if brands:
        return None if brands[0] in _OTHER_BRANDS else "video"
    if _VIDEO_MAGIC.match(head) or _is_transport_stream(head):
        return "video"
    return None


def _brands(head: bytes) -> list[bytes]:
    """Return the brands of an ISO media file, its major brand first; none for any other file."""
    if head[4:8] != b"ftyp" or len(head) < 12:
        return []
    end = min(int.from_bytes(head[:4], "big"), len(head))
    return [head[8:12], *(head[at : at + 4] for at in range(16, end, 4))]


def _is_transport_stream(head: bytes) -> bool:
    for offset, length in _TS_PACKETS:
        syncs = head[offset::length]
        if len(syncs) >= _TS_MIN_PACKETS and set(syncs) == {_TS_SYNC}:
            return True
    return False
