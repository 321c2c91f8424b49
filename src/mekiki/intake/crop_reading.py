"""Reading many crops: each picture is decoded once for all crops of it that need the same scale."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

from mekiki.intake.files import unchanged_path
from mekiki.intake.pictures import open_picture
from mekiki.media.cropping import crop_reader
from mekiki.media.images import decode_image, read_picture_bytes
from mekiki.media.jpeg import choose_divisor
from mekiki.media.kinds import HEAD_BYTES, sniff_format
from mekiki.media.preprocessing import ReadPicture
from mekiki.records import Image, Item

MAX_BYTES = 256 << 20
"""Of pictures and files that are kept; a picture of 12 megapixels takes 36 MB."""

Decode = Callable[[bytes, Path, int | None], Image]
"""Gives the pixels of a file's content, decoded for a short side of at least so many; the path is for messages."""

_Key = tuple[Path, int | None]
"""A file, and by how much it is shrunk while it is decoded; None for its bytes."""


def _decode(content: bytes, path: Path, at_least_px: int | None) -> Image:
    return decode_image(content, path, at_least_px=at_least_px, allow_truncated=True).pixels


class CropReading:
    """Opens pictures and crops; what crops share is kept for a while. May be used by several threads at once.

    A crop has the same pixels as `mekiki.intake.pictures.open_picture` gives.

    Args:
        max_bytes: How much is kept beside what is being made; the least recently used goes first.
        decode: Decodes a picture.

    Example:
        reading = CropReading()
        images = [reading.open(item)(448) for item in crops]
    """

    def __init__(self, max_bytes: int = MAX_BYTES, decode: Decode = _decode) -> None:
        self._max_bytes = max_bytes
        self._decode = decode
        self._lock = threading.Lock()
        self._kept: OrderedDict[_Key, Future[bytes | Image]] = OrderedDict()
        self._n_bytes = 0

    def open(self, item: Item) -> ReadPicture:
        """Return what decodes the picture of an item, whose file has been read.

        Raises:
            UnreadableError: If the file is gone or holds something else now. Whether it can be decoded shows when
                it is.
        """
        if item.box is None or item.whole_hw is None:
            return open_picture(item)
        path, short_px = unchanged_path(item), min(item.whole_hw)
        content = self._shared((path, None), lambda: read_picture_bytes(path))
        assert isinstance(content, bytes)
        is_jpeg = sniff_format(content[:HEAD_BYTES]) == "jpeg"

        def read(at_least_px: int | None) -> Image:
            divisor = choose_divisor(short_px, at_least_px) if is_jpeg else 1
            wanted = None if divisor == 1 else math.ceil(short_px / divisor)
            image = self._shared((path, divisor), lambda: self._decode(content, path, wanted))
            assert not isinstance(image, bytes)
            return image

        return crop_reader(read, item.box, item.whole_hw)

    def _shared(self, key: _Key, make: Callable[[], bytes | Image]) -> bytes | Image:
        """Return what is kept under a key, made by the first who asks while the others wait."""
        with self._lock:
            known = self._kept.get(key)
            made: Future[bytes | Image] = Future() if known is None else known
            self._kept[key] = made
            self._kept.move_to_end(key)
        if known is None:
            try:
                made.set_result(make())
            except BaseException as error:  # raised again, here and for everybody who waits
                with self._lock:
                    del self._kept[key]
                made.set_exception(error)
                raise
            self._make_room(key, _size(made.result()))
        return made.result()

    def _make_room(self, made: _Key, n_bytes: int) -> None:
        """Count what was made, and let go of what has not been used for longest."""
        with self._lock:
            self._n_bytes += n_bytes
            for key in [key for key, one in self._kept.items() if key != made and one.done()]:
                if self._n_bytes <= self._max_bytes:
                    return
                self._n_bytes -= _size(self._kept.pop(key).result())


def _size(kept: bytes | Image) -> int:
    return len(kept) if isinstance(kept, bytes) else int(kept.nbytes)
