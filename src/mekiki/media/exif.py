"""When and by which camera a picture was taken, and how it was held: read without decoding a pixel.

The tags are parsed here and not by Pillow: a few tags are wanted, from any format alike, and whatever is broken must
give what can still be known instead of an error.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from mekiki.errors import UnreadableError
from mekiki.media.codecs import open_picture
from mekiki.media.jpeg import read_jpeg_header
from mekiki.media.kinds import HEAD_BYTES, PictureFormat, sniff_format

_MAKE, _MODEL, _ORIENTATION, _CHANGED_AT = 0x010F, 0x0110, 0x0112, 0x0132
_EXIF_POINTER, _TAKEN_AT, _DIGITIZED_AT, _BODY_SERIAL = 0x8769, 0x9003, 0x9004, 0xA431
_DNG_SERIAL = 0xC62F

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 7: 1}  # bytes of: byte, text, short, long, undefined
_INTEGERS = {1: "B", 3: "H", 4: "I"}
_TEXT = 2
_MAX_TEXT_BYTES = 1000
_MAX_CHUNKS = 100_000
_PREFIX = b"Exif\0\0"

_TIME = re.compile(r"(\d{4})[:/.-](\d\d)[:/.-](\d\d)[ T](\d\d):(\d\d):(\d\d)")

_Tags = dict[int, int | str]


@dataclass(frozen=True, slots=True)
class ExifFacts:
    """What a picture says of itself.

    Attributes:
        captured_at: Local time of the camera's clock, ``YYYY-MM-DD HH:MM:SS``: of the shot, else of digitizing, else
            of the last change; None where none of them is a real date.
        camera: Make, model and, after a ``#``, the serial number of the body, as far as they are known. Two cameras
            of one model have the same text if they do not write their numbers.
        orientation: 1 to 8; how the stored pixels must be turned. 1 where nothing sensible is said, and for formats
            whose decoder turns the picture itself (HEIC).
    """

    captured_at: str | None = None
    camera: str | None = None
    orientation: int = 1


def read_exif(content: bytes) -> ExifFacts:
    """Read time, camera and orientation of a picture; never raises on broken content.

    Args:
        content: The whole file, or its beginning where the format keeps its tags there (JPEG does).

    Returns:
        The facts; all of them unknown for a picture without tags and for anything that is no picture.
    """
    picture_format = sniff_format(content[:HEAD_BYTES])
    if picture_format is None:
        return ExifFacts()
    tags = _read_tags(_find_block(content, picture_format))
    orientation = tags.get(_ORIENTATION)
    if not isinstance(orientation, int) or not 1 <= orientation <= 8:
        orientation = 1
    return ExifFacts(_first_time(tags), _camera(tags), orientation)


def _first_time(tags: _Tags) -> str | None:
    for tag in (_TAKEN_AT, _DIGITIZED_AT, _CHANGED_AT):
        found = _TIME.match(str(tags.get(tag, "")))
        if found is None:
            continue
        try:
            return str(datetime.fromisoformat("{}-{}-{} {}:{}:{}".format(*found.groups())))
        except ValueError:  # 0000:00:00 and the like, from a clock that was never set
            continue
    return None


def _camera(tags: _Tags) -> str | None:
    make, model, serial, dng_serial = (str(tags.get(tag, "")) for tag in (_MAKE, _MODEL, _BODY_SERIAL, _DNG_SERIAL))
    if make and model.lower().startswith(make.lower().split()[0]):
        make = ""
    number = serial or dng_serial
    return " ".join(part for part in (make, model, f"#{number}" if number else "") if part) or None


def _find_block(content: bytes, picture_format: PictureFormat) -> bytes:
    """Return the TIFF block that holds the tags; empty where there is none."""
    match picture_format:
        case "jpeg":
            return read_jpeg_header(content).exif
        case "tiff":
            return content
        case "png":
            return _first_chunk(content, b"eXIf", _png_chunks(content))
        case "webp":
            return _first_chunk(content, b"EXIF", _riff_chunks(content))
        case "avif" | "heic":
            try:
                block = open_picture(content, "", picture_format).info.get("exif") or b""
            except UnreadableError:
                return b""
            return block.removeprefix(_PREFIX) if isinstance(block, bytes) else b""
        case _:
            return b""


_Chunk = tuple[bytes, int, int]  # name, start and end of its payload


def _first_chunk(content: bytes, wanted: bytes, chunks: Iterator[_Chunk]) -> bytes:
    found = next((content[start:end] for name, start, end in chunks if name == wanted), b"")
    return found.removeprefix(_PREFIX)


def _png_chunks(content: bytes) -> Iterator[_Chunk]:
    at = 8
    for _ in range(_MAX_CHUNKS):
        if at + 8 > len(content):
            return
        end = at + 8 + int.from_bytes(content[at : at + 4], "big")
        yield content[at + 4 : at + 8], at + 8, end
        at = end + 4  # the checksum


def _riff_chunks(content: bytes) -> Iterator[_Chunk]:
    at = 12
    for _ in range(_MAX_CHUNKS):
        if at + 8 > len(content):
            return
        end = at + 8 + int.from_bytes(content[at + 4 : at + 8], "little")
        yield content[at : at + 4], at + 8, end
        at = end + end % 2


def _read_tags(block: bytes) -> _Tags:
    """Read the tags that are wanted from the first directory and the EXIF directory that it points to."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(block[:4])
    if order is None or len(block) < 8:
        return {}
    tags = dict(_iter_directory(block, struct.unpack_from(order + "I", block, 4)[0], order))
    pointer = tags.get(_EXIF_POINTER)
    if isinstance(pointer, int):
        tags |= {tag: value for tag, value in _iter_directory(block, pointer, order) if tag > _EXIF_POINTER}
    return tags


def _iter_directory(block: bytes, at: int, order: str) -> Iterator[tuple[int, int | str]]:
    """Yield tag and value of the readable entries of one directory: texts, and the first of each row of integers."""
    if at + 2 > len(block):
        return
    n_entries = struct.unpack_from(order + "H", block, at)[0]
    n_whole = min(n_entries, (len(block) - at - 2) // 12)
    for entry in range(at + 2, at + 2 + 12 * n_whole, 12):
        tag, kind, count = struct.unpack_from(order + "HHI", block, entry)
        n_bytes = _SIZES.get(kind, 0) * count
        start = entry + 8 if n_bytes <= 4 else struct.unpack_from(order + "I", block, entry + 8)[0]
        if n_bytes == 0 or start + n_bytes > len(block):
            continue
        if kind == _TEXT:
            yield tag, _clean(block[start : start + min(n_bytes, _MAX_TEXT_BYTES)])
        elif kind in _INTEGERS:
            yield tag, struct.unpack_from(order + _INTEGERS[kind], block, start)[0]


def _clean(raw: bytes) -> str:
    """Make one printable line of a fixed-width text field."""
    text = raw.split(b"\0")[0].decode("utf-8", errors="replace")
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
