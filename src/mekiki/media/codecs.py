"""The one door to Pillow's decoders: which class reads which format, and what its errors become.

Pillow's classes are called directly, not through ``Image.open``: only the formats of `PictureFormat` can be reached,
whatever the content pretends to be, and no global of Pillow (``MAX_IMAGE_PIXELS``, ``LOAD_TRUNCATED_IMAGES``) has to
be changed, which would not be safe while other threads read.
"""

from __future__ import annotations

import importlib
import io
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image as PillowImage
from PIL.ImageFile import ImageFile

from mekiki.errors import UnreadableError
from mekiki.media.kinds import PictureFormat

MAX_PICTURE_PX = 250_000_000
"""Pictures with more pixels than this are refused from their header, before anything is decoded.

The largest phone sensors have 200 megapixels. A picture at the limit takes 1 to 3 GB while it is decoded.
"""

_CLASSES: dict[PictureFormat, tuple[str, str]] = {
    "jpeg": ("PIL.JpegImagePlugin", "JpegImageFile"),
    "png": ("PIL.PngImagePlugin", "PngImageFile"),
    "webp": ("PIL.WebPImagePlugin", "WebPImageFile"),
    "bmp": ("PIL.BmpImagePlugin", "BmpImageFile"),
    "gif": ("PIL.GifImagePlugin", "GifImageFile"),
    "tiff": ("PIL.TiffImagePlugin", "TiffImageFile"),
    "pnm": ("PIL.PpmImagePlugin", "PpmImageFile"),
    "avif": ("PIL.AvifImagePlugin", "AvifImageFile"),
    "heic": ("pillow_heif", "HeifImageFile"),
}

# What Pillow's plugins raise on hostile or broken content: each parses in Python and lets its own slips through.
_DECODER_ERRORS = (
    OSError,  # truncated data, most errors of the C decoders
    SyntaxError,  # a header that makes no sense
    EOFError,  # no first frame
    ValueError,  # sizes, modes, text that unpacks to too much
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    ArithmeticError,  # division by a zero from the header, numbers too large
    RuntimeError,  # AVIF
    AssertionError,
    struct.error,
    zlib.error,
)

MAX_REASON_LETTERS = 160


@contextmanager
def decoding(name: Path | str, picture_format: PictureFormat) -> Iterator[None]:
    """Turn whatever a decoder raises inside the block into an error about that file.

    Keep the block to calls of the decoder, so that a bug of ours is never filed as a broken picture.

    Raises:
        UnreadableError: For any error that decoders are known to raise.
    """
    kind = picture_format.upper()
    try:
        yield
    except UnreadableError:
        raise
    except PillowImage.DecompressionBombError as error:
        raise UnreadableError(name, f"absurdly large {kind}") from error
    except MemoryError as error:
        raise UnreadableError(name, f"{kind} needs more memory than there is") from error
    except _DECODER_ERRORS as error:
        told = " ".join(str(error).split()) or type(error).__name__
        state = "truncated" if "truncated" in told.lower() or "not enough image data" in told else "damaged"
        raise UnreadableError(name, f"{state} {kind}: {told[:MAX_REASON_LETTERS]}") from error


def open_picture(content: bytes, name: Path | str, picture_format: PictureFormat) -> ImageFile:
    """Parse the header of a picture; its pixels are decoded when they are asked for.

    Args:
        content: The whole file.
        name: What errors call it.
        picture_format: What `mekiki.media.kinds.sniff_format` said.

    Returns:
        Pillow's picture, whose size is at most `MAX_PICTURE_PX`.

    Raises:
        UnreadableError: If the header is broken or states an absurd size, or if HEIC is not installed.
    """
    module, class_name = _CLASSES[picture_format]
    try:
        plugin = getattr(importlib.import_module(module), class_name)
    except ImportError as error:
        needed = f'reading {picture_format.upper()} needs pillow-heif. Type: pip install "mekiki[heic]"'
        raise UnreadableError(name, needed) from error
    with decoding(name, picture_format):
        picture: ImageFile = plugin(io.BytesIO(content))
    check_size(picture.width, picture.height, name)
    return picture


def check_size(width_px: int, height_px: int, name: Path | str) -> None:
    """Refuse a picture whose header states more than `MAX_PICTURE_PX`.

    Raises:
        UnreadableError: If it does.
    """
    if width_px * height_px > MAX_PICTURE_PX:
        limit = f"at most {MAX_PICTURE_PX // 1_000_000} megapixels are read"
        raise UnreadableError(name, f"absurdly large: {width_px} x {height_px} pixels, {limit}")


def check_tiles(picture: ImageFile, name: Path | str) -> None:
    """Refuse a TIFF whose directory has fewer strips or tiles than its size needs; Pillow would fill up with black.

    Raises:
        UnreadableError: If pixels are missing.
    """
    extents = [tile.extents for tile in picture.tile if tile.extents is not None]
    n_px = sum((right - left) * (bottom - top) for left, top, right, bottom in extents)
    if n_px < picture.width * picture.height:
        raise UnreadableError(name, f"damaged TIFF: has strips for {n_px} of {picture.width * picture.height} pixels")
