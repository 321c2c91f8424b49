"""Small pictures inside a page: each a JPEG without metadata, small enough that hundreds fit."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from PIL import Image as PillowImage

from mekiki.media.images import decode_image, shrink_image
from mekiki.records import Image

BadgeTone = Literal["plain", "accent", "warning", "failed"]

Look = Literal["shown", "blurred", "none"]
"""How a page shows the user's pictures; ``none`` leaves their names."""

BLURRED_SIDE_PX = 8
"""What is left of a blurred picture: so few pixels along its long side, drawn smoothly at the size of a sharp one."""

QUALITIES = (78, 66, 54, 42, 30)

_JPEG_URI = re.compile(r"data:image/jpeg;base64,[A-Za-z0-9+/]+={0,2}")


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A small JPEG as a data URI.

    Raises:
        ValueError: If ``uri`` is anything but base64 JPEG data.
    """

    uri: str = field(repr=False)
    width_px: int
    height_px: int

    def __post_init__(self) -> None:
        if not _JPEG_URI.fullmatch(self.uri):
            raise ValueError(f"uri must be data:image/jpeg;base64,..., got {self.uri[:40]!r}")

    @property
    def n_bytes(self) -> int:
        """What it takes up in the page."""
        return len(self.uri)


@dataclass(frozen=True, slots=True)
class Badge:
    """A word or two on a picture."""

    text: str
    tone: BadgeTone = "plain"


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture with what is known about it.

    ``thumbnail`` is None where the file could not be read any more, or, where ``is_hidden``, is not to be shown;
    ``alt`` is made from labels and caption where it is empty.
    """

    thumbnail: Thumbnail | None
    caption: str
    alt: str = ""
    labels: tuple[str, ...] = ()
    badges: tuple[Badge, ...] = ()
    is_hidden: bool = False

    @property
    def spoken(self) -> str:
        """What a screen reader says for the picture."""
        return self.alt or f"{', '.join(self.labels) or 'Picture'}: {self.caption}"


@dataclass(frozen=True, slots=True)
class Gallery:
    """Pictures side by side. ``n_total`` is how many there are where not all are shown."""

    template: ClassVar[str] = "gallery.html"
    pictures: tuple[Picture, ...]
    caption: str = ""
    n_total: int | None = None

    @property
    def n_bytes(self) -> int:
        """What its pictures take up in the page."""
        return sum(picture.thumbnail.n_bytes for picture in self.pictures if picture.thumbnail)


def make_thumbnail(
    picture: Image | bytes, long_side_px: int = 160, max_bytes: int = 7000, *, is_blurred: bool = False
) -> Thumbnail:
    """Return a picture shrunk and re-encoded, so that nothing of the file but its pixels gets into the page.

    Args:
        picture: ``(H, W, 3)`` RGB uint8, not changed; or the bytes of a picture file of any known format.
        long_side_px: Longest side of the result; a smaller picture keeps its size.
        max_bytes: Size to stay under; JPEG quality falls step by step until it does, or until the lowest.
        is_blurred: Keep `BLURRED_SIDE_PX` of its pixels only, so that what was sharp is not in the page.

    Raises:
        ValueError: If the array is not ``(H, W, 3)`` uint8 or has no pixels, or ``long_side_px`` is below 1.
        UnreadableError: If the bytes are no readable picture.
    """
    if isinstance(picture, bytes):
        picture = decode_image(picture, "thumbnail", at_least_px=max(1, 2 * long_side_px)).pixels
    small = PillowImage.fromarray(shrink_image(picture, long_side_px))
    if is_blurred:
        left = shrink_image(picture, min(long_side_px, BLURRED_SIDE_PX))
        small = PillowImage.fromarray(left).resize(small.size, PillowImage.Resampling.BICUBIC)
    for quality in QUALITIES:
        stream = io.BytesIO()
        # Halved colour resolution, unlike `encode_jpeg`: nobody sees it at this size and it saves a quarter.
        small.save(stream, format="JPEG", quality=quality, optimize=True, subsampling="4:2:0")
        if stream.tell() <= max_bytes:
            break
    encoded = base64.b64encode(stream.getvalue()).decode("ascii")
    return Thumbnail(f"data:image/jpeg;base64,{encoded}", *small.size)
