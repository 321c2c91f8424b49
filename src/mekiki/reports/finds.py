"""Rare things as a page shows them: each beside its scene, with what is known of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from PIL import Image as PillowImage

from mekiki.media.images import decode_image, shrink_image
from mekiki.records import Image
from mekiki.reports.blocks import Fact
from mekiki.reports.pictures import BLURRED_SIDE_PX, BadgeTone, Picture, Thumbnail, make_thumbnail

SCENE_PX = 320
_BOX_RGB, _RIM_RGB = (255, 196, 0), (0, 0, 0)


@dataclass(frozen=True, slots=True)
class Find:
    """One rare thing.

    Attributes:
        rank: 1 is the rarest.
        title: Its class, as the detector or labels spell it.
        note: The detector's confidence, in words; empty without a detector.
        thing: The crop, or the whole picture where there is no crop.
        scene: The picture it is cut from, with its box drawn; None where it is the picture.
        words: What is said of it; empty where nothing is.
        words_by: Whose words these are.
        verdict: Whether it is rare after all, in a few words; empty where nobody judged.
        tone: Of the verdict.
        facts: Scores, concept and the like.
        why: Why it was chosen, a short sentence each.
    """

    rank: int
    title: str
    note: str
    thing: Picture
    scene: Picture | None = None
    words: str = ""
    words_by: str = ""
    verdict: str = ""
    tone: BadgeTone = "plain"
    facts: tuple[Fact, ...] = ()
    why: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FindList:
    """Rare things one under the other, the rarest first."""

    template: ClassVar[str] = "finds.html"
    finds: tuple[Find, ...] = field(default=())

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """All pictures in it."""
        return tuple(picture for one in self.finds for picture in (one.thing, one.scene) if picture is not None)

    @property
    def n_bytes(self) -> int:
        """What its pictures take up in the page."""
        return sum(picture.thumbnail.n_bytes for picture in self.pictures if picture.thumbnail)


def make_scene(
    picture: Image | bytes,
    box: tuple[float, float, float, float],
    whole_hw: tuple[int, int],
    long_side_px: int = SCENE_PX,
    *,
    is_blurred: bool = False,
) -> Thumbnail:
    """Return a small picture with a box drawn into it, bright inside dark so that it is seen on any ground.

    Args:
        picture: ``(H, W, 3)`` RGB uint8, not changed, at any scale; or the bytes of a picture file.
        box: ``x_min, y_min, x_max, y_max`` in pixels of the picture at full size.
        whole_hw: That size.
        long_side_px: Longest side of the result.
        is_blurred: As in `make_thumbnail`; the box stays sharp.

    Raises:
        UnreadableError: If the bytes are no readable picture.
    """
    if isinstance(picture, bytes):
        picture = decode_image(picture, "scene", at_least_px=long_side_px).pixels
    small_pixels = np.array(shrink_image(picture, long_side_px))
    if is_blurred:
        left = PillowImage.fromarray(shrink_image(picture, min(long_side_px, BLURRED_SIDE_PX)))
        size = (small_pixels.shape[1], small_pixels.shape[0])
        small_pixels = np.array(left.resize(size, PillowImage.Resampling.BICUBIC))
    height, width = small_pixels.shape[:2]
    scale_x, scale_y = width / whole_hw[1], height / whole_hw[0]
    edges = (round(box[0] * scale_x), round(box[1] * scale_y), round(box[2] * scale_x), round(box[3] * scale_y))
    for grown, color in ((3, _RIM_RGB), (2, _BOX_RGB), (1, _BOX_RGB), (0, _BOX_RGB), (-1, _RIM_RGB)):
        _outline(small_pixels, edges, grown, color)
    return make_thumbnail(small_pixels, long_side_px, max_bytes=16_000)


def _outline(pixels: Image, edges: tuple[int, int, int, int], grown: int, color: tuple[int, int, int]) -> None:
    """Draw a rectangle one pixel wide, so many pixels around another, as far as it lies inside."""
    height, width = pixels.shape[:2]
    left, top, right, bottom = edges[0] - grown, edges[1] - grown, edges[2] + grown - 1, edges[3] + grown - 1
    if right <= left or bottom <= top:
        return
    xs = slice(max(left, 0), min(right, width - 1) + 1)
    ys = slice(max(top, 0), min(bottom, height - 1) + 1)
    for y in (top, bottom):
        if 0 <= y < height:
            pixels[y, xs] = color
    for x in (left, right):
        if 0 <= x < width:
            pixels[ys, x] = color
