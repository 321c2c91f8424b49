"""The hard pictures, made in code, as the bytes of whole files.

`PAINTED` is what almost all of them show, so that a test can state what reading must give.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

ORIENTATIONS = range(1, 9)

# How the camera was held: what undoes the turn that each orientation asks for.
_UNDO = {
    2: PillowImage.Transpose.FLIP_LEFT_RIGHT,
    3: PillowImage.Transpose.ROTATE_180,
    4: PillowImage.Transpose.FLIP_TOP_BOTTOM,
    5: PillowImage.Transpose.TRANSPOSE,
    6: PillowImage.Transpose.ROTATE_90,
    7: PillowImage.Transpose.TRANSVERSE,
    8: PillowImage.Transpose.ROTATE_270,
}


def paint(width_px: int = 96, height_px: int = 64) -> NDArray[np.uint8]:
    """Return a smooth picture that shows how it is turned: red to the right, green down, a blue corner."""
    y, x = np.mgrid[0:height_px, 0:width_px]
    red = 30 + 200 * x / max(1, width_px - 1)
    green = 30 + 200 * y / max(1, height_px - 1)
    blue = 200 * np.exp(-((x / width_px) ** 2 + (y / height_px) ** 2) * 8)
    return np.rint(np.stack([red, green, blue], axis=2)).astype(np.uint8)


PAINTED = paint()

SMALL_LOSS = 12
"""Levels of 255 that `PAINTED` may be off in formats that lose something, at quality 95."""


def difference(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> int:
    """Return by how many levels two pictures of one size differ at most."""
    assert first.shape == second.shape
    return int(np.abs(first.astype(int) - second.astype(int)).max())


def encode(pixels: NDArray[Any], format_name: str, mode: str | None = None, **options: Any) -> bytes:
    """Return the file that Pillow writes for an array."""
    picture = PillowImage.fromarray(pixels)
    return save(picture.convert(mode) if mode else picture, format_name, **options)


def save(picture: PillowImage.Image, format_name: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, format_name, **options)
    return file.getvalue()


def jpeg(pixels: NDArray[np.uint8] = PAINTED, **options: Any) -> bytes:
    return encode(pixels, "JPEG", **{"quality": 95, **options})


def progressive_jpeg() -> bytes:
    return jpeg(progressive=True)


def grey_jpeg() -> bytes:
    return encode(PAINTED, "JPEG", "L", quality=95)


def png() -> bytes:
    return encode(PAINTED, "PNG")


def webp() -> bytes:
    return encode(PAINTED, "WEBP", lossless=True)


def avif() -> bytes:
    return encode(PAINTED, "AVIF", quality=95)


def heic() -> bytes:
    """Return a HEIC file; raises ImportError where pillow_heif is not installed."""
    import pillow_heif

    file = io.BytesIO()
    pillow_heif.from_pillow(PillowImage.fromarray(PAINTED)).save(file, quality=95)
    return file.getvalue()


def bmp() -> bytes:
    return encode(PAINTED, "BMP")


def tiff() -> bytes:
    return encode(PAINTED, "TIFF")


def ppm() -> bytes:
    return encode(PAINTED, "PPM")


def plain_pgm() -> bytes:
    return b"P2\n# as a person would type it\n3 2\n10\n0 5 10\n10 5 0\n"


def animated_gif() -> bytes:
    first, second = PillowImage.new("RGB", (20, 10), "red"), PillowImage.new("RGB", (20, 10), "blue")
    return save(first, "GIF", save_all=True, append_images=[second])


def multi_page_tiff() -> bytes:
    first, second = PillowImage.new("RGB", (20, 10), "red"), PillowImage.new("RGB", (8, 30), "blue")
    return save(first, "TIFF", save_all=True, append_images=[second])


def grey16(format_name: str) -> bytes:
    """Return a row of 16-bit greys: black, a quarter, a half and full scale."""
    return encode(np.array([[0, 0x4000, 0x8000, 0xFFFF]], dtype=np.uint16), format_name)


def rgb16_png() -> bytes:
    """Return one pixel of 16-bit colour: full red, half green, no blue."""
    header = struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 0)
    row = b"\0" + struct.pack(">HHH", 0xFFFF, 0x8000, 0)
    return png_of(("IHDR", header), ("IDAT", zlib.compress(row)))


def float_tiff(*values: float) -> bytes:
    return encode(np.array([values], dtype=np.float32), "TIFF")


def integer_tiff(*values: int) -> bytes:
    return encode(np.array([values], dtype=np.int32), "TIFF")


def one_pixel(format_name: str) -> bytes:
    return encode(np.array([[[200, 100, 50]]], dtype=np.uint8), format_name)


def one_bit_png() -> bytes:
    return encode(np.array([[0, 255, 0, 255]], dtype=np.uint8), "PNG", "1")


def grey_png() -> bytes:
    return encode(np.array([[0, 100, 255]], dtype=np.uint8), "PNG")


def rgba_png() -> bytes:
    """Return opaque red, half transparent red, and nothing (with green beneath)."""
    return encode(np.array([[[255, 0, 0, 255], [255, 0, 0, 128], [0, 255, 0, 0]]], dtype=np.uint8), "PNG")


def la_png() -> bytes:
    """Return opaque black, half transparent black, and nothing."""
    picture = PillowImage.merge("LA", [PillowImage.new("L", (3, 1)), PillowImage.new("L", (3, 1))])
    for x, alpha in enumerate((255, 128, 0)):
        picture.putpixel((x, 0), (0, alpha))
    return save(picture, "PNG")


def transparent_palette_png() -> bytes:
    """Return red, and the colour that the palette makes transparent."""
    picture = PillowImage.new("P", (2, 1))
    picture.putpalette([255, 0, 0, 0, 255, 0])
    picture.putpixel((1, 0), 1)
    return save(picture, "PNG", transparency=1)


def cmyk_jpeg(**options: Any) -> bytes:
    return encode(PAINTED, "JPEG", "CMYK", quality=95, **options)


def exif_block(orientation: int = 1, taken_at: str | None = None, **texts: str) -> bytes:
    """Return an EXIF block as Pillow writes it; ``texts`` may be make, model, serial, changed_at, digitized_at."""
    exif = PillowImage.Exif()
    exif[0x0112] = orientation
    inner = exif.get_ifd(0x8769)
    if taken_at is not None:
        inner[0x9003] = taken_at
    for name, text in texts.items():
        outer_tag = {"make": 0x010F, "model": 0x0110, "changed_at": 0x0132}.get(name)
        if outer_tag:
            exif[outer_tag] = text
        else:
            inner[{"serial": 0xA431, "digitized_at": 0x9004}[name]] = text
    return exif.tobytes()


def turned(format_name: str, orientation: int) -> bytes:
    """Return a file that shows `PAINTED` upright only after it is turned as its EXIF orientation asks."""
    stored = PillowImage.fromarray(PAINTED)
    if orientation != 1:
        stored = stored.transpose(_UNDO[orientation])
    options: dict[str, Any] = {"JPEG": {"quality": 95}, "WEBP": {"lossless": True}, "AVIF": {"quality": 95}}
    return save(stored, format_name, exif=exif_block(orientation), **options.get(format_name, {}))


def png_of(*chunks: tuple[str, bytes]) -> bytes:
    """Return a PNG of the given chunks, each with a correct checksum, and an end."""
    parts = [b"\x89PNG\r\n\x1a\n"]
    for name, payload in (*chunks, ("IEND", b"")):
        body = name.encode() + payload
        parts.append(struct.pack(">I", len(payload)) + body + struct.pack(">I", zlib.crc32(body)))
    return b"".join(parts)


def bomb_png(width_px: int = 100_000, height_px: int = 100_000) -> bytes:
    """Return a hundred bytes that claim to be ten gigapixels."""
    header = struct.pack(">IIBBBBB", width_px, height_px, 8, 2, 0, 0, 0)
    return png_of(("IHDR", header), ("IDAT", zlib.compress(bytes(1000))))


def bomb_jpeg() -> bytes:
    """Return a small JPEG whose header says 65,000 x 65,000."""
    return with_jpeg_size(jpeg(), 65_000, 65_000)


def scan_bomb_jpeg() -> bytes:
    """Return a small progressive JPEG that asks to go over 200 megapixels a thousand times."""
    content = progressive_jpeg()
    last_scan = content[content.rindex(b"\xff\xda") : -2]
    return with_jpeg_size(content[:-2] + last_scan * 1000 + content[-2:], 20_000, 10_000)


def text_bomb_png() -> bytes:
    """Return a PNG whose compressed text unpacks to 200 MB."""
    packed = b"Comment\0\0" + zlib.compress(bytes(200_000_000), 1)
    row = b"\0" + bytes((1, 2, 3))
    header = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    return png_of(("IHDR", header), ("zTXt", packed), ("IDAT", zlib.compress(row)))


def short_tiff() -> bytes:
    """Return a TIFF whose directory says 20,000 rows but lists strips for 64."""
    content = bytearray(tiff())
    at = content.index(struct.pack("<HHI", 0x0101, 4, 1))
    content[at + 8 : at + 12] = struct.pack("<I", 20_000)
    return bytes(content)


def with_jpeg_size(content: bytes, width_px: int, height_px: int) -> bytes:
    """Return the JPEG with another size in its header."""
    at = max(content.find(b"\xff\xc0\0"), content.find(b"\xff\xc2\0"))
    return content[: at + 5] + struct.pack(">HH", height_px, width_px) + content[at + 9 :]


def truncated_jpeg(share: float = 0.5) -> bytes:
    content = jpeg()
    return content[: int(len(content) * share)]


def corrupted_jpeg() -> bytes:
    """Return a JPEG whose middle was overwritten by a sector of something else."""
    content = jpeg(paint(256, 192))
    middle = len(content) // 2
    sector = np.random.default_rng(0).integers(0, 256, 512, dtype=np.uint8).tobytes()
    return content[:middle] + sector + content[middle + 512 :]


def padded_jpeg(n_bytes: int = 300) -> bytes:
    """Return a whole JPEG with zeros before its end marker, as some cameras write."""
    content = jpeg()
    return content[:-2] + bytes(n_bytes) + content[-2:]


def future_jpeg() -> bytes:
    """Return a whole JPEG that claims version 7 of its container, of which there is none."""
    return jpeg().replace(b"JFIF\0\1", b"JFIF\0\7", 1)


def text() -> bytes:
    return b"To whom it may concern: this is no picture.\n" * 20


READABLE: dict[str, Callable[[], bytes]] = {
    "jpeg": jpeg,
    "progressive jpeg": progressive_jpeg,
    "cmyk jpeg": cmyk_jpeg,
    "png": png,
    "webp": webp,
    "avif": avif,
    "bmp": bmp,
    "tiff": tiff,
    "ppm": ppm,
}
"""Files that all show `PAINTED`, some of them with a little loss."""
