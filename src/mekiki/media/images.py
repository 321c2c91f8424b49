"""Reading pictures of any format as RGB uint8 ``(H, W, 3)``, upright; making them smaller; writing JPEG.

JPEG is decoded by libjpeg-turbo through simplejpeg, straight to a smaller size where a smaller picture is wanted;
everything else, and the kinds of JPEG that it does not read, by Pillow. The rules for colour, depth and transparency
are those of `mekiki.media.pixels`. Of an animation the first frame is read, of many pages the first. All functions
may be called from many threads at once; decoding and resizing let other threads run meanwhile.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import simplejpeg
from PIL import Image as PillowImage

from mekiki.errors import UnreadableError
from mekiki.media.codecs import MAX_PICTURE_PX, check_tiles, decoding, open_picture
from mekiki.media.exif import ExifFacts, read_exif
from mekiki.media.jpeg import END_MARKER, check_scans, decode_jpeg, find_jpeg_end, refuse_truncated
from mekiki.media.kinds import (
    HEAD_BYTES,
    IMAGE_SUFFIXES,
    VIDEO_SUFFIXES,
    PictureFormat,
    sniff_format,
    sniff_kind,
)
from mekiki.media.pixels import picture_to_rgb, turn_upright
from mekiki.records import Image

__all__ = [
    "IMAGE_SUFFIXES",
    "MAX_FILE_BYTES",
    "MAX_PICTURE_PX",
    "VIDEO_SUFFIXES",
    "DecodedImage",
    "ExifFacts",
    "decode_image",
    "encode_jpeg",
    "read_decoded_image",
    "read_exif",
    "read_image",
    "read_picture_bytes",
    "resize_image",
    "shrink_image",
    "sniff_kind",
]

MAX_FILE_BYTES = 2_000_000_000
"""Larger files are refused before they are read: a 16-bit picture of `MAX_PICTURE_PX` fits."""

_TURNED_BY_DECODER: frozenset[PictureFormat] = frozenset({"tiff", "heic"})
_SIDES_SWAPPED = range(5, 9)  # EXIF orientations that lie on their side
_REDUCING_GAP = 3.0
_MAX_JPEG_SIDE_PX = 65_500


@dataclass(frozen=True, slots=True, eq=False)
class DecodedImage:
    """A picture and what it was in its file.

    Attributes:
        pixels: ``(H, W, 3)`` RGB uint8, upright, contiguous and writable; at most the full size.
        width_px: Full width after turning, also where ``pixels`` are fewer.
        height_px: Full height after turning.
        format_name: What the content is, whatever the file is called: one of `mekiki.media.kinds.PictureFormat`.
    """

    pixels: Image
    width_px: int
    height_px: int
    format_name: PictureFormat


def decode_image(
    content: bytes, name: Path | str, *, at_least_px: int | None = None, allow_truncated: bool = False
) -> DecodedImage:
    """Decode a picture of any known format, told by its content.

    Args:
        content: The whole file.
        name: What errors call it, usually its path.
        at_least_px: A smaller picture is wanted: its short side may come out smaller than stored, but not below this,
            and never larger than stored. Only JPEG makes use of it. Ask for two or three times the size that it will
            be resized to: resized photos then differ from those of the whole picture by 0.6 or 0.3 of 255 on average,
            and by about 13 or 10 at their sharpest edges (medians over real photos, at 224 px).
        allow_truncated: Read what is there of a JPEG whose end is missing; the missing part comes out grey. Other
            formats stay unreadable, since they give no usable half.

    Returns:
        The upright pixels with the full size.

    Raises:
        UnreadableError: If the content is empty, no picture, truncated, damaged or absurdly large, or needs a package
            that is not installed.
        ValueError: If ``at_least_px`` is below 1.
    """
    if at_least_px is not None and at_least_px < 1:
        raise ValueError(f"at_least_px must be 1 or more, got {at_least_px}")
    picture_format = _picture_format(content[:HEAD_BYTES], name)
    orientation = 1 if picture_format in _TURNED_BY_DECODER else read_exif(content).orientation
    decoded = None
    if picture_format == "jpeg":
        decoded = decode_jpeg(content, name, at_least_px=at_least_px, allow_truncated=allow_truncated)
        if decoded is None:
            content = _whole_jpeg(content, name, allow_truncated)
    if decoded is None:
        decoded = _decode_by_pillow(content, name, picture_format, at_least_px)
    pixels, width_px, height_px = decoded
    if orientation in _SIDES_SWAPPED:
        width_px, height_px = height_px, width_px
    return DecodedImage(turn_upright(pixels, orientation), width_px, height_px, picture_format)


def read_decoded_image(path: Path, *, at_least_px: int | None = None, allow_truncated: bool = False) -> DecodedImage:
    """Read a picture with its full size and format; see `decode_image` for the arguments.

    Raises:
        UnreadableError: If the file cannot be opened, is no picture, or cannot be decoded.
        ValueError: If ``at_least_px`` is below 1.
    """
    content = read_picture_bytes(path)
    return decode_image(content, path, at_least_px=at_least_px, allow_truncated=allow_truncated)


def read_image(path: Path, *, at_least_px: int | None = None, allow_truncated: bool = False) -> Image:
    """Read a picture as ``(H, W, 3)`` RGB uint8, upright; see `decode_image` for the arguments.

    Raises:
        UnreadableError: If the file cannot be opened, is no picture, or cannot be decoded.
        ValueError: If ``at_least_px`` is below 1.
    """
    return read_decoded_image(path, at_least_px=at_least_px, allow_truncated=allow_truncated).pixels


def read_picture_bytes(path: Path) -> bytes:
    """Read the bytes of a file that holds a picture; anything else is refused after its first kilobyte.

    Raises:
        UnreadableError: If it is missing, not permitted, no regular file, empty, no picture or above
            `MAX_FILE_BYTES`.
    """
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise UnreadableError(path, "a folder, not a picture")
        if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for ever
            raise UnreadableError(path, "a device or pipe, not a picture")
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
            _picture_format(head, path)
            if status.st_size > MAX_FILE_BYTES:
                size, limit = f"{status.st_size / 1e9:.1f} GB", f"{MAX_FILE_BYTES / 1e9:.0f} GB"
                raise UnreadableError(path, f"absurdly large: a file of {size}, at most {limit} are read")
            file.seek(0)
            return file.read()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UnreadableError(path, "no such file") from error
    except PermissionError as error:
        raise UnreadableError(path, "permission denied") from error
    except OSError as error:
        raise UnreadableError(path, f"cannot be read: {error.strerror or error}") from error
    except ValueError as error:  # a zero byte in the name
        raise UnreadableError(path, f"no valid file name: {error}") from error


def resize_image(image: Image, width_px: int, height_px: int) -> Image:
    """Resize to exactly this size, smoothing what gets lost (antialiased bicubic).

    Reductions of sixfold and more average whole pixels first: at 12 megapixels five times faster than plain bicubic,
    0.2 of 255 from it on average and 6 at the sharpest edges.

    Args:
        image: ``(H, W, 3)`` uint8; not changed.
        width_px: New width, at least 1.
        height_px: New height, at least 1.

    Returns:
        ``(height_px, width_px, 3)`` uint8; ``image`` itself if that is its size.

    Raises:
        ValueError: If ``image`` has another shape or type or no pixels, or a size is below 1.
    """
    _check_image(image)
    if width_px < 1 or height_px < 1:
        raise ValueError(f"width_px and height_px must be 1 or more, got {width_px} x {height_px}")
    if image.shape[:2] == (height_px, width_px):
        return image
    picture = PillowImage.fromarray(image)
    bicubic = PillowImage.Resampling.BICUBIC
    return np.array(picture.resize((width_px, height_px), bicubic, reducing_gap=_REDUCING_GAP))


def shrink_image(image: Image, long_side_px: int) -> Image:
    """Shrink so that the long side is at most this; smaller pictures are returned as they are.

    The shape is kept as well as whole pixels allow, and no side gets below 1.

    Args:
        image: ``(H, W, 3)`` uint8; not changed.
        long_side_px: Largest width and height of the result.

    Raises:
        ValueError: If ``image`` has another shape or type or no pixels, or ``long_side_px`` is below 1.
    """
    _check_image(image)
    if long_side_px < 1:
        raise ValueError(f"long_side_px must be 1 or more, got {long_side_px}")
    height_px, width_px = image.shape[:2]
    long_px = max(height_px, width_px)
    if long_px <= long_side_px:
        return image
    new_width, new_height = (max(1, round(side * long_side_px / long_px)) for side in (width_px, height_px))
    return resize_image(image, new_width, new_height)


def encode_jpeg(image: Image, quality: int = 95) -> bytes:
    """Write a JPEG without any metadata, with full colour resolution (4:4:4).

    The same pixels and quality give the same bytes, on one version of libjpeg-turbo.

    Args:
        image: ``(H, W, 3)`` RGB uint8; not changed.
        quality: 1 to 100.

    Raises:
        ValueError: If ``image`` has another shape or type, no pixels or a side above 65,500 px, or ``quality`` is
            outside 1 to 100.
    """
    _check_image(image)
    if not 1 <= quality <= 100:
        raise ValueError(f"quality must be 1 to 100, got {quality}")
    if max(image.shape[:2]) > _MAX_JPEG_SIDE_PX:
        raise ValueError(f"a JPEG has sides of at most {_MAX_JPEG_SIDE_PX} px, got {image.shape[1]} x {image.shape[0]}")
    encoded: bytes = simplejpeg.encode_jpeg(np.ascontiguousarray(image), quality=quality, colorsubsampling="444")
    return encoded


def _picture_format(head: bytes, name: Path | str) -> PictureFormat:
    if not head:
        raise UnreadableError(name, "empty file (0 bytes)")
    picture_format = sniff_format(head)
    if picture_format is None:
        is_video = sniff_kind(head) == "video"
        raise UnreadableError(name, "a video, not a picture" if is_video else "content is no known picture format")
    return picture_format


def _whole_jpeg(content: bytes, name: Path | str, allow_truncated: bool) -> bytes:
    """Return a JPEG with its end: as it is, or with an end put to it so that Pillow decodes what is there."""
    if find_jpeg_end(content) is not None:
        return content
    if not allow_truncated:
        refuse_truncated(name)
    return content + END_MARKER


def _decode_by_pillow(
    content: bytes, name: Path | str, picture_format: PictureFormat, at_least_px: int | None
) -> tuple[Image, int, int]:
    picture = open_picture(content, name, picture_format)
    width_px, height_px = picture.size
    if picture_format == "jpeg":
        check_scans(content, width_px * height_px, name)
        if at_least_px is not None:
            picture.draft(None, (at_least_px, at_least_px))
    if picture_format == "tiff":
        check_tiles(picture, name)
    with decoding(name, picture_format):
        picture.load()
    try:
        return picture_to_rgb(picture), width_px, height_px
    except ValueError as error:
        raise UnreadableError(name, f"no way to show this {picture_format.upper()} as RGB: {error}") from error


def _check_image(image: Image) -> None:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f"image must be (H, W, 3) uint8, got {image.shape} {image.dtype}")
    if image.size == 0:
        raise ValueError(f"image must have pixels, got {image.shape}")
