"""What one file is, read once; and whether it still is what it was."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mekiki.dataset.hashes import hash_picture
from mekiki.dataset.ids import content_id, vector_id
from mekiki.errors import UnreadableError
from mekiki.intake.files import FileFacts, examine_file, unchanged_path
from mekiki.records import Item
from pictures import READABLE, bomb_jpeg, bomb_png, exif_block, jpeg, png, text, truncated_jpeg, turned
from videos import RECIPES, cut_tail, make_sound_only, make_video, scramble
from workspaces import scene


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def as_item(path: Path, facts: FileFacts) -> Item:
    return Item(
        facts.item_id,
        facts.kind,
        path,
        facts.width_px,
        facts.height_px,
        size_bytes=facts.size_bytes,
        mtime_ns=facts.mtime_ns,
    )


@pytest.mark.parametrize("name", READABLE)
def test_a_picture_of_any_format_is_known_by_its_bytes_and_size(name: str, tmp_path: Path) -> None:
    content = READABLE[name]()

    facts = examine_file(write(tmp_path / "picture", content))

    assert facts.item_id == content_id(content)
    assert (facts.kind, facts.width_px, facts.height_px, facts.size_bytes) == ("image", 96, 64, len(content))
    assert facts.picture_hash is not None
    assert (facts.duration_s, facts.fps, facts.n_frames) == (None, None, None)


def test_a_turned_picture_has_its_upright_size(tmp_path: Path) -> None:
    facts = examine_file(write(tmp_path / "a.jpg", turned("JPEG", 6)))

    assert (facts.width_px, facts.height_px) == (96, 64)


def test_time_and_camera_come_from_exif(tmp_path: Path) -> None:
    exif = exif_block(taken_at="2024:05:01 06:07:08", make="TRAILCO", model="T1", serial="7")

    facts = examine_file(write(tmp_path / "a.jpg", jpeg(exif=exif)))

    assert (facts.captured_at, facts.camera_model) == ("2024-05-01 06:07:08", "TRAILCO T1 #7")


def test_the_hash_is_that_of_the_whole_picture_though_a_large_jpeg_is_decoded_small(tmp_path: Path) -> None:
    pixels = scene(3, 1600, 1200)

    facts = examine_file(write(tmp_path / "a.jpg", jpeg(pixels)))

    assert facts.picture_hash is not None
    assert np.bitwise_count(np.uint64(facts.picture_hash.bits ^ hash_picture(pixels).bits)) <= 4
    assert (facts.width_px, facts.height_px) == (1600, 1200)


@pytest.mark.parametrize("recipe", ["h264-mp4", "h264-mkv-uneven", "mjpeg-avi", "vp8-webm"])
def test_a_video_is_known_by_its_bytes_size_and_length(recipe: str, tmp_path: Path) -> None:
    made = make_video(tmp_path / f"clip{RECIPES[recipe].suffix}", RECIPES[recipe])
    path = made.rename(tmp_path / "clip")

    facts = examine_file(path)

    assert facts.item_id == content_id(path.read_bytes())
    assert (facts.kind, facts.width_px, facts.height_px) == ("video", 160, 96)
    assert facts.duration_s is not None
    assert facts.duration_s >= 2.3
    assert facts.picture_hash is None


def test_a_video_without_its_tail_is_still_a_video(tmp_path: Path) -> None:
    whole = make_video(tmp_path / "a.ts", RECIPES["h264-ts"])

    assert examine_file(cut_tail(whole, tmp_path / "b.ts", 0.5)).kind == "video"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(b"", "empty file (0 bytes)", id="empty"),
        pytest.param(b"\xff", "wrongly named", id="one byte"),
        pytest.param(text(), "wrongly named: its content is no known format of photo or video", id="text"),
        pytest.param(truncated_jpeg(), "truncated", id="truncated"),
        pytest.param(png()[:-30], "", id="truncated PNG"),
        pytest.param(bomb_png(), "pixels", id="bomb PNG"),
        pytest.param(bomb_jpeg(), "pixels", id="bomb JPEG"),
        pytest.param(b"\0\0\0\x20ftypisom" + bytes(400), "", id="MP4 without an index"),
    ],
)
def test_what_is_neither_or_broken_says_why(content: bytes, reason: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a.jpg", content)

    with pytest.raises(UnreadableError) as caught:
        examine_file(path)

    assert caught.value.path == str(path)
    assert reason in caught.value.reason
    assert caught.value.reason
    assert str(path) not in caught.value.reason


def test_a_missing_file_and_a_folder_say_so(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match="no such file"):
        examine_file(tmp_path / "gone.jpg")
    with pytest.raises(UnreadableError, match=r"[Dd]irectory"):
        examine_file(tmp_path)


def test_a_pipe_is_refused_instead_of_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")

    with pytest.raises(UnreadableError, match="a pipe or a device"):
        examine_file(tmp_path / "pipe.jpg")


def test_sound_without_pictures_is_no_video(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError):
        examine_file(make_sound_only(tmp_path / "a.mp4"))


def test_a_truncated_jpeg_is_taken_only_when_asked(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jpg", truncated_jpeg(0.8))

    facts = examine_file(path, allow_truncated=True)

    assert (facts.width_px, facts.height_px) == (96, 64)


def test_a_file_as_it_was_is_trusted_without_reading(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jpg", jpeg())
    item = as_item(path, examine_file(path))
    status = path.stat()
    path.write_bytes(bytes(status.st_size))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))

    assert unchanged_path(item) == path


def test_a_file_that_was_only_touched_is_read_and_trusted(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jpg", jpeg())
    item = as_item(path, examine_file(path))
    os.utime(path, ns=(1, 1))

    assert unchanged_path(item) == path


@pytest.mark.parametrize(
    "content",
    [pytest.param(jpeg()[::-1], id="same size"), pytest.param(b"shorter", id="another size")],
)
def test_a_file_that_holds_something_else_is_refused(content: bytes, tmp_path: Path) -> None:
    path = write(tmp_path / "a.jpg", jpeg())
    item = as_item(path, examine_file(path))
    path.write_bytes(content)
    os.utime(path, ns=(1, 1))

    with pytest.raises(UnreadableError, match="changed since ingest: mekiki ingest it again"):
        unchanged_path(item)


def test_a_file_that_is_gone_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jpg", jpeg())
    item = as_item(path, examine_file(path))
    path.unlink()

    with pytest.raises(UnreadableError, match="gone since ingest: bring it back"):
        unchanged_path(item)


def test_a_file_of_our_own_only_has_to_be_there(tmp_path: Path) -> None:
    path = write(tmp_path / "frame.jpg", jpeg())
    item = Item("f", "frame", path, 96, 64)

    assert unchanged_path(item) == path
    with pytest.raises(UnreadableError, match="gone since"):
        unchanged_path(replace(item, path=tmp_path / "gone.jpg"))


def test_an_item_without_a_file_says_so() -> None:
    with pytest.raises(UnreadableError, match="cut from its parent"):
        unchanged_path(Item("crop", "crop", None, 10, 10))


def test_noise_in_the_middle_of_a_video_is_no_reason_to_refuse_it(tmp_path: Path) -> None:
    whole = make_video(tmp_path / "a.mp4", RECIPES["h264-mp4"])
    middle = whole.stat().st_size // 2

    facts = examine_file(scramble(whole, tmp_path / "b.mp4", middle, 200))

    assert facts.kind == "video"
    assert facts.item_id != content_id(whole.read_bytes())


def test_a_vector_is_what_its_numbers_are_whatever_its_file_looks_like(tmp_path: Path) -> None:
    matrix = np.arange(1, 13, dtype=np.float32).reshape(3, 4)
    np.save(tmp_path / "m.npy", matrix)
    status = (tmp_path / "m.npy").stat()
    facts = {"size_bytes": status.st_size, "mtime_ns": status.st_mtime_ns}
    second = Item(vector_id(matrix[1]), "vector", tmp_path / "m.npy#1", 0, 0, **facts)
    first = Item(vector_id(matrix[0]), "vector", tmp_path / "m.npy#0", 0, 0, **facts)
    matrix[0] = -1

    np.save(tmp_path / "m.npy", matrix)  # of the same size, at another time
    os.utime(tmp_path / "m.npy", ns=(1, 1))

    assert unchanged_path(second) == tmp_path / "m.npy#1"
    with pytest.raises(UnreadableError, match="changed since ingest"):
        unchanged_path(first)
    (tmp_path / "m.npy").unlink()
    with pytest.raises(UnreadableError, match="gone since ingest"):
        unchanged_path(second)
