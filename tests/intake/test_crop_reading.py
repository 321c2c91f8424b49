"""Reading many crops: the same pixels as one by one, and each picture is decoded once."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from mekiki.errors import UnreadableError
from mekiki.intake.crop_reading import CropReading
from mekiki.intake.pictures import open_picture
from mekiki.media.images import decode_image
from mekiki.records import Image, Item
from workspaces import scene

SIZE = (1200, 900)
BOXES = [(0, 0, 1200, 900), (100, 100, 700, 700), (10.5, 20.25, 60, 70), (300, 200, 420, 260), (0, 0, 33, 44)]


@pytest.fixture(params=["jpg", "png"])
def photo(request: pytest.FixtureRequest, tmp_path: Path) -> Item:
    path = tmp_path / f"photo.{request.param}"
    PillowImage.fromarray(scene(5, *SIZE)).save(path)
    return Item("a" * 32, "image", path, *SIZE)


def crop(photo: Item, box: Sequence[float]) -> Item:
    whole_hw = (photo.height_px, photo.width_px)
    left, top, right, bottom = box
    width, height = int(np.ceil(right)) - int(left), int(np.ceil(bottom)) - int(top)
    return replace(photo, item_id=str(box), kind="crop", width_px=width, height_px=height, parent_id=photo.item_id,
                   box=(left, top, right, bottom), whole_hw=whole_hw)  # fmt: skip


class Counting:
    """Decodes, and counts how often each size of each file was asked for."""

    def __init__(self) -> None:
        self.calls: Counter[tuple[str, tuple[int, ...]]] = Counter()
        self._lock = threading.Lock()

    def __call__(self, content: bytes, path: Path, at_least_px: int | None) -> Image:
        image = decode_image(content, path, at_least_px=at_least_px).pixels
        with self._lock:
            self.calls[path.name, image.shape] += 1
        return image


@pytest.mark.parametrize("at_least_px", [None, 1, 20, 64, 224, 2000])
def test_a_crop_has_the_pixels_that_it_has_alone(photo: Item, at_least_px: int | None) -> None:
    reading = CropReading()

    for box in BOXES:
        one = crop(photo, box)
        assert np.array_equal(reading.open(one)(at_least_px), open_picture(one)(at_least_px))


def test_each_picture_is_decoded_once_for_each_scale(photo: Item) -> None:
    decode = Counting()
    reading = CropReading(decode=decode)

    for _ in range(3):
        for box in BOXES:
            reading.open(crop(photo, box))(20)

    assert set(decode.calls.values()) == {1}
    assert len(decode.calls) == (3 if photo.path and photo.path.suffix == ".jpg" else 1)


def test_threads_that_read_crops_of_one_picture_at_once_share_what_is_decoded(photo: Item) -> None:
    gate = threading.Barrier(8, timeout=20)
    decode = Counting()
    reading = CropReading(decode=decode)

    def read(_number: int) -> Image:
        gate.wait()
        return reading.open(crop(photo, BOXES[1]))(None)

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(read, range(8)))

    assert decode.calls.total() == 1
    assert all(np.array_equal(one, found[0]) for one in found)


def test_no_more_is_kept_than_there_is_room_for(tmp_path: Path) -> None:
    photos = []
    for number in range(6):
        path = tmp_path / f"{number}.png"
        PillowImage.fromarray(scene(number, 200, 100)).save(path)
        photos.append(Item(f"{number:032x}", "image", path, 200, 100))
    decode = Counting()
    reading = CropReading(max_bytes=130_000, decode=decode)  # two pictures of 60,000 bytes, with their files

    for photo in (*photos, photos[-1], photos[0]):
        reading.open(crop(photo, (0, 0, 50, 50)))(None)

    kept = [one.result() for one in reading._kept.values()]
    assert sum(len(one) if isinstance(one, bytes) else one.nbytes for one in kept) == reading._n_bytes <= 130_000
    assert [decode.calls[f"{number}.png", (100, 200, 3)] for number in range(6)] == [2, 1, 1, 1, 1, 1]


def test_a_picture_larger_than_all_the_room_is_read_all_the_same(photo: Item) -> None:
    reading = CropReading(max_bytes=1)

    assert np.array_equal(reading.open(crop(photo, BOXES[1]))(None), open_picture(crop(photo, BOXES[1]))(None))


def test_a_broken_picture_is_unreadable_for_every_crop_and_for_no_other_picture(tmp_path: Path) -> None:
    broken, whole = tmp_path / "broken.jpg", tmp_path / "whole.jpg"
    PillowImage.fromarray(scene(1, 200, 100)).save(whole)
    broken.write_bytes(whole.read_bytes()[:300] + b"\0" * 300)
    reading = CropReading()

    for _ in range(2):
        with pytest.raises(UnreadableError, match=r"broken\.jpg"):
            reading.open(crop(Item("a" * 32, "image", broken, 200, 100), (0, 0, 50, 50)))(None)
    assert reading.open(crop(Item("b" * 32, "image", whole, 200, 100), (0, 0, 50, 50)))(None).shape == (50, 50, 3)


def test_whole_pictures_are_read_and_not_kept(photo: Item) -> None:
    reading = CropReading()

    assert reading.open(photo)(None).shape == (900, 1200, 3)
    assert not reading._kept
