"""Every bad file says what is wrong with it, and harms nothing."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import pictures
from mekiki.errors import UnreadableError
from mekiki.media.images import MAX_FILE_BYTES, DecodedImage, decode_image, read_image, read_picture_bytes
from mekiki.records import Image
from pictures import PAINTED, READABLE, SMALL_LOSS, difference


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(b"", "empty file (0 bytes)", id="empty"),
        pytest.param(pictures.text(), "content is no known picture format", id="text"),
        pytest.param(b"RIFF\0\0\0\0AVI LIST", "a video, not a picture", id="video"),
        pytest.param(pictures.truncated_jpeg(), "truncated JPEG: the end of the file is missing", id="cut jpeg"),
        pytest.param(pictures.cmyk_jpeg()[:-300], "truncated JPEG: the end of the file is missing", id="cut cmyk"),
        pytest.param(pictures.jpeg()[:200], "truncated JPEG: the end of the file is missing", id="cut header"),
        pytest.param(pictures.future_jpeg()[:-2], "truncated JPEG: the end of the file is missing", id="cut odd jpeg"),
        pytest.param(pictures.corrupted_jpeg(), "damaged JPEG: ", id="damaged jpeg"),
        pytest.param(pictures.png()[:-40], "truncated PNG: ", id="cut png"),
        pytest.param(pictures.png()[:60] + b"\0\0\0" + pictures.png()[63:], "damaged PNG: ", id="damaged png"),
        pytest.param(pictures.bomb_png(), "absurdly large: 100000 x 100000 pixels", id="bomb"),
        pytest.param(pictures.bomb_jpeg(), "absurdly large: 65000 x 65000 pixels", id="jpeg bomb"),
        pytest.param(pictures.short_tiff(), "damaged TIFF: has strips for", id="short tiff"),
    ],
)
def test_a_bad_file_says_what_is_wrong(content: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.jpg"
    path.write_bytes(content)

    with pytest.raises(UnreadableError) as caught:
        read_image(path)

    assert caught.value.path == str(path)
    assert caught.value.reason.startswith(reason)
    assert "\n" not in str(caught.value)


def test_an_odd_but_whole_jpeg_is_read() -> None:
    assert difference(decode_image(pictures.future_jpeg(), "a.jpg").pixels, PAINTED) <= SMALL_LOSS


@pytest.mark.parametrize("content", [pictures.jpeg(), pictures.cmyk_jpeg()], ids=["jpeg", "cmyk jpeg"])
def test_half_a_jpeg_is_read_where_that_is_allowed(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "half.jpg"
    path.write_bytes(content[: int(len(content) * 0.7)])

    half = read_image(path, allow_truncated=True)

    assert half.shape == PAINTED.shape
    assert difference(half[:8], PAINTED[:8]) <= SMALL_LOSS


def test_half_of_anything_else_stays_unreadable() -> None:
    with pytest.raises(UnreadableError, match="truncated PNG"):
        decode_image(pictures.png()[:-40], "a.png", allow_truncated=True)


@pytest.mark.parametrize("name", READABLE)
def test_a_cut_file_is_never_read_as_something_else(name: str) -> None:
    content = READABLE[name]()
    whole = decode_image(content, name).pixels

    for n_bytes in np.linspace(0, len(content) - 1, 60).astype(int):
        try:
            found = decode_image(content[:n_bytes], name).pixels
        except UnreadableError:
            continue
        np.testing.assert_array_equal(found, whole)  # what was cut held no pixels


def test_hostile_metadata_neither_hangs_nor_fills_memory() -> None:
    start = time.perf_counter()

    with pytest.raises(UnreadableError, match="damaged PNG: Decompressed data too large"):
        decode_image(pictures.text_bomb_png(), "a.png")
    with pytest.raises(UnreadableError, match="absurd JPEG"):
        decode_image(pictures.scan_bomb_jpeg(), "a.jpg")

    assert time.perf_counter() - start < 3


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's remarks on broken tags
def test_random_damage_is_read_or_refused_and_nothing_else() -> None:
    rng = np.random.default_rng(7)

    for name, make in READABLE.items():
        content = make()
        for _ in range(25):
            damaged = bytearray(content)
            for at in rng.integers(0, min(len(content), int(rng.choice([64, 400, 10_000]))), 3):
                damaged[at] = rng.integers(256)
            try:
                decoded = decode_image(bytes(damaged), name, allow_truncated=bool(rng.integers(2)))
            except UnreadableError:
                continue
            assert decoded.pixels.shape == (decoded.height_px, decoded.width_px, 3)


def test_many_threads_read_what_one_reads() -> None:
    files = [make() for make in READABLE.values()] + [pictures.truncated_jpeg(0.7), pictures.bomb_png()]

    def read(content: bytes) -> Image | str:
        try:
            return decode_image(content, "a", allow_truncated=len(content) % 2 == 0).pixels
        except UnreadableError as error:
            return error.reason

    alone = [read(content) for content in files]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(read, files * 6))

    for i, found in enumerate(together):
        np.testing.assert_array_equal(found, alone[i % len(files)])


def test_a_decoded_image_is_told_by_identity() -> None:
    decoded = decode_image(pictures.png(), "a.png")

    assert decoded in [decoded]  # comparing arrays would raise
    assert decoded != DecodedImage(decoded.pixels, 96, 64, "png")


def test_what_is_no_file_says_so(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.jpg"
    os.mkfifo(pipe)
    file = tmp_path / "a.jpg"
    file.write_bytes(pictures.jpeg())
    loop = tmp_path / "loop.jpg"
    loop.symlink_to(loop)

    for path, reason in [
        (tmp_path / "missing.jpg", "no such file"),
        (file / "inside.jpg", "no such file"),
        (tmp_path, "a folder, not a picture"),
        (pipe, "a device or pipe, not a picture"),
        (loop, "cannot be read: Too many levels of symbolic links"),
        (tmp_path / "a\0b.jpg", "no valid file name"),
    ]:
        with pytest.raises(UnreadableError) as caught:
            read_image(path)
        assert caught.value.reason.startswith(reason)


def test_a_file_that_may_not_be_opened_says_so(tmp_path: Path) -> None:
    class LockedPath(type(Path())):  # type: ignore[misc]
        def open(self, *args: object, **options: object) -> None:
            raise PermissionError(13, "Permission denied")

    (tmp_path / "a.jpg").write_bytes(pictures.jpeg())
    path = LockedPath(tmp_path / "a.jpg")

    with pytest.raises(UnreadableError, match="permission denied"):
        read_image(path)


def test_an_absurdly_large_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "large.jpg"
    path.write_bytes(pictures.jpeg())
    os.truncate(path, MAX_FILE_BYTES + 1)  # a hole; it takes no room

    with pytest.raises(UnreadableError, match=r"absurdly large: a file of 2\.0 GB, at most 2 GB are read"):
        read_picture_bytes(path)


def test_the_bytes_of_a_picture_are_given_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(pictures.jpeg() * 9)

    assert read_picture_bytes(path) == pictures.jpeg() * 9
